/* SPDX-License-Identifier: BSD-3-Clause */
#include "small.h"

static resattn_tensor *images;

static const resattn_tensor *images_of(int step)
{
    return step >= 0 ? images : NULL;
}

int main(void)
{
    const int batches = 2;
    resattn_context *context = resattn_context_new(1);
    resattn_network *network = shipped_network(context);
    resattn_session *session = session_of(network, RESATTN_TRAINING, SMALL_BATCH);
    resattn_optimizer *optimizer = resattn_sgd_new(network, 0.1);
    resattn_ema *average = resattn_ema_new(network, 0.9);
    images = some_images(context, SMALL_BATCH);
    one_step(session, optimizer, images);
    MUST(!resattn_ema_update(average));
    /* block */
    one_step(session, optimizer, images);
    MUST(!resattn_ema_update(average));
    MUST(resattn_network_load(context, "best.resattn"));
    return 0;
}
