/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How a network is put together. Constructors take the builder, which owns all layers until a network takes them; what
 * goes wrong is remembered by the builder, so that nothing needs to be checked here.
 */
#include "small_net.h"

/* Batch norm, ReLU, 3x3 convolution. The names become parts of the parameters' names. */
static void add_step(resattn_builder *b, resattn_layer *branch, const char *norm, const char *conv, int32_t channels,
                     int32_t stride)
{
    resattn_layer_add(branch, resattn_batch_norm_new(b, norm));
    resattn_layer_add(branch, resattn_relu_new(b, NULL));
    resattn_layer_add(branch, resattn_conv2d_new(b, conv, channels, 3, stride, 1));
}

/* A pre-activation residual unit (He et al., ECCV 2016): x + branch(x), with one or two convolutions in the branch. */
static resattn_layer *unit(resattn_builder *b, const char *name, int32_t channels, int32_t convolutions)
{
    resattn_layer *branch = resattn_sequential_new(b, NULL);
    add_step(b, branch, "bn1", "conv1", channels, 1);
    if (convolutions > 1)
        add_step(b, branch, "bn2", "conv2", channels, 1);
    return resattn_residual_new(b, name, branch, NULL);
}

/* One that halves the map and widens it to `channels`. The shortcut takes every other pixel and adds channels of zeros.
 */
static resattn_layer *shrinking_unit(resattn_builder *b, const char *name, int32_t channels)
{
    resattn_layer *branch = resattn_sequential_new(b, NULL);
    add_step(b, branch, "bn1", "conv1", channels, 2);
    add_step(b, branch, "bn2", "conv2", channels, 1);
    return resattn_residual_new(b, name, branch, resattn_subsample_new(b, NULL, channels, 2));
}

/*
 * The hourglass of a mask: halve the map, work there, come back up to the size it started with. With a depth of more
 * than one, there is a smaller hourglass inside, added to what goes into it.
 */
static resattn_layer *hourglass(resattn_builder *b, const char *name, int32_t channels, int32_t depth)
{
    resattn_layer *inner = resattn_sequential_new(b, name);
    resattn_layer_add(inner, unit(b, "unit", channels, 1));
    if (depth > 1)
        resattn_layer_add(inner, resattn_residual_new(b, NULL, hourglass(b, "inner", channels, depth - 1), NULL));
    return resattn_down_up_new(b, NULL, resattn_max_pool_new(b, NULL, 3, 2, 1), inner,
                               resattn_bilinear_resize_new(b, NULL, 0, 0));
}

/* Hourglass and a 1x1 convolution; the attention module adds the sigmoid. */
static resattn_layer *mask(resattn_builder *b, int32_t channels, int32_t depth)
{
    resattn_layer *branch = resattn_sequential_new(b, "mask_branch");
    resattn_layer_add(branch, hourglass(b, "hourglass", channels, depth));
    resattn_layer_add(branch, resattn_batch_norm_new(b, "bn"));
    resattn_layer_add(branch, resattn_relu_new(b, NULL));
    resattn_layer *last = resattn_conv2d_new(b, "conv", channels, 1, 1, 0);
    resattn_layer_set_int(last, "bias", 1);
    resattn_layer_add(branch, last);
    return branch;
}

/* An attention module with residual learning: (1 + mask(x)) * trunk(x) (Wang et al., CVPR 2017). */
static resattn_layer *attention(resattn_builder *b, int32_t channels, int32_t trunk_convolutions, int32_t mask_depth)
{
    resattn_attention *module = resattn_attention_new(b, "attention");
    resattn_attention_set_trunk(module, unit(b, "trunk_unit", channels, trunk_convolutions));
    resattn_attention_set_mask(module, mask(b, channels, mask_depth));
    return resattn_attention_layer(module);
}

resattn_layer *small_net_new(resattn_builder *b, int32_t classes)
{
    resattn_layer *net = resattn_sequential_new(b, NULL);
    resattn_layer_add(net, resattn_conv2d_new(b, "conv1", 16, 3, 1, 1));

    resattn_layer *stage1 = resattn_sequential_new(b, "stage1"); /* 32 x 32 */
    resattn_layer_add(stage1, attention(b, 16, 1, 2));
    resattn_layer_add(net, stage1);

    resattn_layer *stage2 = resattn_sequential_new(b, "stage2"); /* 16 x 16 */
    resattn_layer_add(stage2, shrinking_unit(b, "unit1", 32));
    resattn_layer_add(stage2, attention(b, 32, 2, 1));
    resattn_layer_add(net, stage2);

    resattn_layer *stage3 = resattn_sequential_new(b, "stage3"); /* 8 x 8 */
    resattn_layer_add(stage3, shrinking_unit(b, "unit1", 64));
    resattn_layer_add(stage3, attention(b, 64, 2, 1));
    resattn_layer_add(net, stage3);

    resattn_layer_add(net, resattn_batch_norm_new(b, "bn"));
    resattn_layer_add(net, resattn_relu_new(b, NULL));
    resattn_layer_add(net, resattn_global_average_pool_new(b, NULL));
    resattn_layer_add(net, resattn_linear_new(b, "linear", classes));
    return net;
}

resattn_layer *linear_net_new(resattn_builder *b, int32_t classes)
{
    /* A kernel as large as the image makes a convolution a linear layer. */
    resattn_layer *linear = resattn_conv2d_new(b, "linear", classes, 32, 1, 0);
    resattn_layer_set_int(linear, "bias", 1);
    return linear;
}
