/* SPDX-License-Identifier: BSD-3-Clause */
#include "small.h"

int main(void)
{
    resattn_context *context = resattn_context_new(1);
    resattn_builder *builder = resattn_builder_new(context);
    /* block */
    resattn_network *network = resattn_network_new_zeroed(builder, root, 3);
    MUST(network);
    MUST(resattn_network_attention_count(network) == 4);
    resattn_attention *first = resattn_network_attention(network, 0);
    MUST(resattn_attention_learning(first) == RESATTN_LEARNING_NAIVE);
    MUST(resattn_attention_activation(first) == RESATTN_ACTIVATION_SPATIAL);
    resattn_model_config_free(config);
    resattn_network_unref(network);
    resattn_builder_free(builder);
    resattn_context_unref(context);
    return 0;
}
