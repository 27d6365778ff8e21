/* SPDX-License-Identifier: BSD-3-Clause */
#include "small.h"

int main(void)
{
    resattn_context *context = resattn_context_new(1);
    resattn_builder *b = resattn_builder_new(context);
    resattn_network *network = resattn_network_new(b, resattn_model_new(b, "resnet-50", 10), 3);
    MUST(network);
    resattn_optimizer *optimizer = resattn_sgd_new(network, 0.1);
    /* block */
    int64_t frozen = 0;
    MUST(!resattn_layer_get_int(resattn_network_layer(network, "bn1"), "frozen", &frozen));
    MUST(frozen == 1);
    MUST(!resattn_last_status());
    return 0;
}
