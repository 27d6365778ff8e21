/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdatomic.h>

#include "small.h"

/* block */

int main(void)
{
    atomic_size_t total;
    atomic_init(&total, 0);
    resattn_context *context = counted_context(&total);
    resattn_network *network = shipped_network(context);
    MUST(atomic_load(&total) > 4 * 222154);
    resattn_network_unref(network);
    resattn_context_unref(context);
    return 0;
}
