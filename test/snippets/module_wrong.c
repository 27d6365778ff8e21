/* SPDX-License-Identifier: BSD-3-Clause */
#include "small.h"

/* block of module_unit.c */

/* block of module_mask.c */

int main(void)
{
    resattn_context *context = resattn_context_new(1);
    resattn_builder *b = resattn_builder_new(context);
    resattn_attention *module = resattn_attention_new(b, "attention");
    resattn_layer *net = resattn_sequential_new(b, NULL);
    resattn_layer_add(net, resattn_conv2d_new(b, "stem", 8, 3, 1, 1));
    resattn_attention_set_trunk(module, resattn_conv2d_new(b, "trunk_conv", 16, 3, 1, 1));
    /* block */
    resattn_builder_free(b);
    resattn_context_unref(context);
    return 0;
}
