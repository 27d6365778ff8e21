/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A network of your own, with two attention modules, and a forward pass. Nothing is checked while it is put together:
 * the builder remembers what goes wrong, and resattn_network_new() then fails with that.
 */
#include <math.h>
#include <stdio.h>

#include <resattn/resattn.h>

enum { IMAGES = 2, SIDE = 32, CLASSES = 5 };

/* 3x3 convolution, batch norm, ReLU. */
static resattn_layer *unit(resattn_builder *b, const char *name, int32_t channels, int32_t stride)
{
    resattn_layer *unit = resattn_sequential_new(b, name);
    resattn_layer_add(unit, resattn_conv2d_new(b, "conv", channels, 3, stride, 1));
    resattn_layer_add(unit, resattn_batch_norm_new(b, "bn"));
    resattn_layer_add(unit, resattn_relu_new(b, NULL));
    return unit;
}

/* (1 + sigmoid(mask(x))) * trunk(x); the mask works on a map of half the size and comes back up. */
static resattn_layer *module(resattn_builder *b, const char *name, int32_t channels)
{
    resattn_layer *mask = resattn_sequential_new(b, "mask_branch");
    resattn_layer_add(mask,
                      resattn_down_up_new(b, NULL, resattn_max_pool_new(b, NULL, 3, 2, 1),
                                          unit(b, "bottom", channels, 1), resattn_bilinear_resize_new(b, NULL, 0, 0)));
    resattn_layer_add(mask, resattn_conv2d_new(b, "last", channels, 1, 1, 0));
    resattn_attention *attention = resattn_attention_new(b, name);
    resattn_attention_set_trunk(attention, unit(b, "trunk_branch", channels, 1));
    resattn_attention_set_mask(attention, mask);
    return resattn_attention_layer(attention);
}

static resattn_network *build(resattn_context *context)
{
    resattn_builder *b = resattn_builder_new(context);
    if (!b)
        return NULL;
    resattn_layer *net = resattn_sequential_new(b, NULL);
    resattn_layer_add(net, unit(b, "stem", 16, 1));
    resattn_layer_add(net, module(b, "attention1", 16));
    resattn_layer_add(net, unit(b, "down", 32, 2));
    resattn_layer_add(net, module(b, "attention2", 32));
    resattn_layer_add(net, resattn_global_average_pool_new(b, NULL));
    resattn_layer_add(net, resattn_linear_new(b, "classifier", CLASSES));
    resattn_layer_add(net, resattn_softmax_new(b, NULL));
    resattn_network *network = resattn_network_new(b, net, 3); /* takes the layers, for images of 3 channels */
    resattn_builder_free(b);
    return network;
}

/* Prints the classes' probabilities of each image. Returns 0 if they sum to 1. */
static int show(resattn_session *session)
{
    float probabilities[IMAGES * CLASSES];
    if (resattn_tensor_read(resattn_session_output(session, NULL), RESATTN_CHANNELS_FIRST, probabilities,
                            IMAGES * CLASSES))
        return -1;
    int result = 0;
    for (int i = 0; i < IMAGES; i++) {
        double sum = 0;
        printf("image %d:", i);
        for (int c = 0; c < CLASSES; c++) {
            printf(" %.3f", (double)probabilities[i * CLASSES + c]);
            sum += (double)probabilities[i * CLASSES + c];
        }
        printf(", sum %.3f\n", sum);
        result = fabs(sum - 1) < 1e-5 ? result : -1;
    }
    return result;
}

int main(void)
{
    const int64_t shape[] = {IMAGES, 3, SIDE, SIDE};
    resattn_network *network = NULL;
    resattn_tensor *images = NULL;
    resattn_plan *plan = NULL;
    resattn_session *session = NULL;
    resattn_context *context = resattn_context_new(0); /* a thread for each CPU */
    int good = context && (network = build(context)) &&
               (images = resattn_tensor_new(context, RESATTN_F32, 4, shape, RESATTN_CHANNELS_FIRST)) &&
               !resattn_tensor_fill(images, 0.5f) &&
               (plan = resattn_plan_new(network, RESATTN_INFERENCE, IMAGES, SIDE, SIDE)) &&
               (session = resattn_session_new(plan)) && !resattn_session_forward(session, images);
    if (good)
        printf("%d attention modules, %lld parameters, %lld multiply-adds an image\n",
               (int)resattn_network_attention_count(network), (long long)resattn_network_trainable_values(network),
               (long long)resattn_plan_multiply_adds(plan));
    good = good && !show(session);
    if (!good)
        fprintf(stderr, "assemble: %s\n", resattn_last_error());
    resattn_session_free(session);
    resattn_plan_free(plan);
    resattn_tensor_unref(images);
    resattn_network_unref(network);
    resattn_context_unref(context);
    return !good;
}
