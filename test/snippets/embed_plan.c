/* SPDX-License-Identifier: BSD-3-Clause */
#include "small.h"

int main(void)
{
    const int64_t budget = 64 << 20;
    resattn_context *context = resattn_context_new(1);
    resattn_network *network = shipped_network(context);
    /* block */
    MUST(session);
    MUST(bytes > 0);
    resattn_session_free(session);
    resattn_plan_free(plan);
    resattn_network_unref(network);
    resattn_context_unref(context);
    return 0;
}
