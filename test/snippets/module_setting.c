/* SPDX-License-Identifier: BSD-3-Clause */
#include "small.h"

int main(void)
{
    resattn_context *context = resattn_context_new(1);
    resattn_builder *b = resattn_builder_new(context);
    resattn_attention *module = resattn_attention_new(b, "attention");
    /* block */
    MUST(!resattn_builder_status(b));
    MUST(resattn_attention_learning(module) != RESATTN_LEARNING_RESIDUAL ||
         resattn_attention_activation(module) != RESATTN_ACTIVATION_MIXED);
    resattn_builder_free(b);
    resattn_context_unref(context);
    return 0;
}
