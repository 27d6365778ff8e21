/* SPDX-License-Identifier: BSD-3-Clause */
#include "small.h"

int main(void)
{
    resattn_context *context = resattn_context_new(1);
    resattn_builder *b = resattn_builder_new(context);
    resattn_attention *module = resattn_attention_new(b, "attention");
    resattn_attention_set_trunk(module, resattn_conv2d_new(b, "trunk_conv", 4, 3, 1, 1));
    resattn_attention_set_mask(module, resattn_conv2d_new(b, "mask_conv", 1, 3, 1, 1));
    resattn_layer *net = resattn_sequential_new(b, NULL), *stage2 = resattn_sequential_new(b, "stage2");
    resattn_layer_add(net, resattn_attention_layer(module));
    resattn_layer_add(net, resattn_conv2d_new(b, "stage1", 4, 3, 1, 1));
    resattn_layer_add(net, resattn_global_average_pool_new(b, NULL));
    resattn_layer_add(stage2, resattn_linear_new(b, "head", 4));
    resattn_layer_add(net, stage2);
    resattn_layer_add(net, resattn_linear_new(b, "classifier", 4));
    resattn_network *network = resattn_network_new(b, net, 3);
    MUST(network);
    resattn_plan *plan = resattn_plan_new(network, RESATTN_TRAINING, SMALL_BATCH, SMALL_SIDE, SMALL_SIDE);
    const char *mask_name = resattn_attention_mask_name(module);
    MUST(!resattn_plan_add_output(plan, mask_name));
    MUST(!resattn_plan_add_output(plan, "stage1"));
    resattn_cross_entropy *auxiliary = resattn_cross_entropy_new(context);
    resattn_mask_loss *masks = resattn_mask_loss_new(context, RESATTN_MASK_LOSS_SQUARED);
    resattn_tensor *images = some_images(context, SMALL_BATCH);
    const int64_t target_shape[] = {SMALL_BATCH, 1, 8, 8}, own_shape[] = {SMALL_BATCH, 4, SMALL_SIDE, SMALL_SIDE};
    resattn_tensor *targets = resattn_tensor_new(context, RESATTN_F32, 4, target_shape, RESATTN_CHANNELS_LAST);
    resattn_tensor *own = resattn_tensor_new(context, RESATTN_F32, 4, own_shape, RESATTN_CHANNELS_LAST);
    const int32_t labels[SMALL_BATCH] = {0, 1, 2, 3}, count = SMALL_BATCH;
    double loss = 0;
    int32_t correct = -1;
    /* block */
    MUST(loss > 0 && correct >= 0);
    MUST(!resattn_last_status());
    return 0;
}
