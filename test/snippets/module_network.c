/* SPDX-License-Identifier: BSD-3-Clause */
#include "small.h"

/* block of module_unit.c */

/* block of module_mask.c */

int main(void)
{
    resattn_context *context = resattn_context_new(1);
    /* block */
    MUST(network);
    MUST(resattn_network_attention_count(network) == 1);
    MUST(!resattn_network_save(network, "module.resattn", RESATTN_DEFAULT_LEVEL));
    resattn_network_unref(network);
    resattn_context_unref(context);
    return 0;
}
