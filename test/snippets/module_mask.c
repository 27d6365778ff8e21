/* SPDX-License-Identifier: BSD-3-Clause */
#include "small.h"

/* block of module_unit.c */

/* block */

int main(void)
{
    resattn_context *context = resattn_context_new(1);
    resattn_builder *b = resattn_builder_new(context);
    resattn_network *network = resattn_network_new(b, mask_branch(b, 8), 8);
    MUST(network);
    resattn_plan *plan = resattn_plan_new(network, RESATTN_INFERENCE, 1, 33, 30);
    int32_t height = 0, width = 0;
    MUST(!resattn_plan_layer_size(plan, resattn_network_root(network), &height, &width));
    MUST(height == 33 && width == 30);
    resattn_plan_free(plan);
    resattn_network_unref(network);
    resattn_builder_free(b);
    resattn_context_unref(context);
    return 0;
}
