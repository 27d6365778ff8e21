/* SPDX-License-Identifier: BSD-3-Clause */
#include "small.h"

/* block */

int main(void)
{
    resattn_context *context = resattn_context_new(1);
    resattn_builder *b = resattn_builder_new(context);
    resattn_network *network = resattn_network_new(b, unit(b, "unit", 8), 8);
    MUST(network);
    MUST(resattn_network_find_parameter(network, "unit.conv.weight") >= 0);
    resattn_network_unref(network);
    resattn_builder_free(b);
    resattn_context_unref(context);
    return 0;
}
