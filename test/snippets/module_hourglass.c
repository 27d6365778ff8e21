/* SPDX-License-Identifier: BSD-3-Clause */
#include "small.h"

/* block of module_unit.c */

/* block */

int main(void)
{
    resattn_context *context = resattn_context_new(1);
    resattn_builder *b = resattn_builder_new(context);
    resattn_network *network = resattn_network_new(b, hourglass(b, "hourglass", 8, 3), 8);
    MUST(network);
    /* down to a map of one pixel and beyond */
    for (int32_t side = 1; side <= 64; side *= 4) {
        resattn_plan *plan = resattn_plan_new(network, RESATTN_INFERENCE, 1, side, side);
        MUST(plan);
        resattn_plan_free(plan);
    }
    resattn_network_unref(network);
    resattn_builder_free(b);
    resattn_context_unref(context);
    return 0;
}
