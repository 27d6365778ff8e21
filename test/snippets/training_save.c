/* SPDX-License-Identifier: BSD-3-Clause */
#include "small.h"

/* block */

int main(void)
{
    resattn_context *context = resattn_context_new(1);
    resattn_network *network = shipped_network(context);
    resattn_session *session = session_of(network, RESATTN_TRAINING, SMALL_BATCH);
    resattn_optimizer *optimizer = resattn_sgd_new(network, 0.1);
    resattn_ema *average = resattn_ema_new(network, 0.999);
    one_step(session, optimizer, some_images(context, SMALL_BATCH));
    MUST(!resattn_ema_update(average));
    MUST(!save(network, optimizer, average, 1, "run.state"));
    return 0;
}
