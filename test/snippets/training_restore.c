/* SPDX-License-Identifier: BSD-3-Clause */
#include "small.h"

int main(void)
{
    const char *path = "run.state"; /* of training_save.c */
    resattn_context *context = resattn_context_new(1);
    resattn_network *loaded = resattn_network_load(context, path);
    resattn_session *session = session_of(loaded, RESATTN_TRAINING, SMALL_BATCH);
    /* block */
    MUST(network && optimizer && average);
    MUST(step == 1 && resattn_session_step_count(session) == 1);
    double rate = 0;
    MUST(!resattn_optimizer_get_real(optimizer, "rate", &rate));
    MUST(rate == 0.1);
    return 0;
}
