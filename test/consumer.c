/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A program of somebody who has the installed library only, in what C and C++ have in common: builds an attention
 * network, runs it, takes a training step, saves it to memory and loads it from there. Ends with 0 if the copy answers
 * the same.
 */
#include <resattn/resattn.h>
#include <stdio.h>
#include <string.h>

enum { SIDE = 16, IMAGES = 2, CLASSES = 4 };

static resattn_network *build(resattn_context *context)
{
    resattn_builder *b = resattn_builder_new(context);
    resattn_attention *attention = resattn_attention_new(b, "attention");
    resattn_attention_set_trunk(attention, resattn_conv2d_new(b, "trunk", 8, 3, 1, 1));
    resattn_attention_set_mask(attention, resattn_down_up_new(b, NULL, resattn_max_pool_new(b, NULL, 3, 2, 1),
                                                              resattn_conv2d_new(b, "mask", 8, 3, 1, 1),
                                                              resattn_bilinear_resize_new(b, NULL, 0, 0)));
    resattn_layer *net = resattn_sequential_new(b, NULL);
    resattn_layer_add(net, resattn_conv2d_new(b, "conv", 8, 3, 1, 1));
    resattn_layer_add(net, resattn_batch_norm_new(b, "bn"));
    resattn_layer_add(net, resattn_relu_new(b, NULL));
    resattn_layer_add(net, resattn_attention_layer(attention));
    resattn_layer_add(net, resattn_global_average_pool_new(b, NULL));
    resattn_layer_add(net, resattn_linear_new(b, "linear", CLASSES));
    resattn_network *network = resattn_network_new(b, net, 3);
    resattn_builder_free(b);
    return network;
}

static int train(resattn_network *network, resattn_tensor *images)
{
    const int32_t labels[IMAGES] = {1, 3};
    resattn_plan *plan = resattn_plan_new(network, RESATTN_TRAINING, IMAGES, SIDE, SIDE);
    resattn_session *session = plan ? resattn_session_new(plan) : NULL;
    resattn_optimizer *sgd = session ? resattn_sgd_new(network, 0.05) : NULL;
    int failed = !sgd || resattn_session_forward(session, images) ||
                 resattn_softmax_cross_entropy(session, labels, IMAGES, NULL, NULL) ||
                 resattn_session_backward(session) || resattn_optimizer_step(sgd);
    resattn_optimizer_free(sgd);
    resattn_session_free(session);
    resattn_plan_free(plan);
    return failed;
}

static int infer(resattn_network *network, resattn_tensor *images, float answers[IMAGES * CLASSES])
{
    resattn_plan *plan = resattn_plan_new(network, RESATTN_INFERENCE, IMAGES, SIDE, SIDE);
    resattn_session *session = plan ? resattn_session_new(plan) : NULL;
    int failed =
        !session || resattn_session_forward(session, images) ||
        resattn_tensor_read(resattn_session_output(session, NULL), RESATTN_CHANNELS_FIRST, answers, IMAGES * CLASSES);
    resattn_session_free(session);
    resattn_plan_free(plan);
    return failed;
}

int main(void)
{
    void *bytes = NULL;
    size_t size = 0;
    float before[IMAGES * CLASSES], after[IMAGES * CLASSES];
    const int64_t shape[] = {IMAGES, 3, SIDE, SIDE};
    resattn_context *context = resattn_context_new(2);
    resattn_tensor *images = resattn_tensor_new(context, RESATTN_F32, 4, shape, RESATTN_CHANNELS_LAST);
    resattn_network *network = context ? build(context) : NULL, *copy = NULL;
    int failed = !images || !network || resattn_tensor_fill(images, 0.5) || train(network, images) ||
                 infer(network, images, before) ||
                 resattn_network_save_buffer(network, RESATTN_DEFAULT_LEVEL, &bytes, &size);
    if (!failed) {
        copy = resattn_network_load_buffer(context, bytes, size);
        failed = !copy || infer(copy, images, after) || memcmp(before, after, sizeof before) != 0;
    }
    if (failed)
        fprintf(stderr, "consumer: %s\n", resattn_last_error());
    else
        printf("libresattn %s, headers %d: %lu bytes, the copy answers the same\n", resattn_info("version"),
               RESATTN_VERSION, (unsigned long)size);
    resattn_buffer_free(bytes);
    resattn_network_unref(copy);
    resattn_network_unref(network);
    resattn_tensor_unref(images);
    resattn_context_unref(context);
    return failed || resattn_version() < RESATTN_VERSION;
}
