/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Supervises a mask: the host knows where the object is in each image, and training brings the attention module's mask
 * there. The class loss, where there is one, goes into the same step: one backward pass serves both.
 */
#include <stdio.h>

#include <resattn/resattn.h>

enum { BATCH = 4, SIDE = 16, STEPS = 60, PIXELS = SIDE * SIDE };

static resattn_network *build(resattn_context *context)
{
    resattn_builder *b = resattn_builder_new(context);
    if (!b)
        return NULL;
    resattn_layer *mask = resattn_sequential_new(b, NULL);
    resattn_layer_add(mask, resattn_conv2d_new(b, "mask_conv1", 8, 3, 1, 1));
    resattn_layer_add(mask, resattn_batch_norm_new(b, "mask_bn"));
    resattn_layer_add(mask, resattn_relu_new(b, NULL));
    resattn_layer *last = resattn_conv2d_new(b, "mask_conv2", 1, 3, 1, 1); /* one channel weighs all of the trunk's */
    resattn_layer_set_int(last, "bias", 1);
    resattn_layer_add(mask, last);
    resattn_attention *attention = resattn_attention_new(b, "attention");
    resattn_attention_set_trunk(attention, resattn_conv2d_new(b, "trunk_conv", 8, 3, 1, 1));
    resattn_attention_set_mask(attention, mask);
    resattn_layer *net = resattn_sequential_new(b, NULL);
    resattn_layer_add(net, resattn_attention_layer(attention));
    resattn_layer_add(net, resattn_global_average_pool_new(b, NULL));
    resattn_layer_add(net, resattn_linear_new(b, "classifier", 2));
    resattn_network *network = resattn_network_new(b, net, 3);
    resattn_builder_free(b);
    return network;
}

/* Squares, red (class 0) or blue (class 1), each elsewhere; the targets are 1 where they are, and 0 elsewhere. */
static int draw(resattn_tensor *images, resattn_tensor *targets, int32_t labels[BATCH])
{
    static float pixels[BATCH * 3 * PIXELS], places[BATCH * PIXELS];
    for (int i = 0; i < BATCH * PIXELS; i++) {
        int image = i / PIXELS, x = i % SIDE - 3 * image, y = i / SIDE % SIDE - (9 - 2 * image);
        int inside = x >= 0 && x < 6 && y >= 0 && y < 6;
        labels[image] = image % 2;
        places[i] = (float)inside;
        for (int c = 0; c < 3; c++)
            pixels[(image * 3 + c) * PIXELS + i % PIXELS] = inside && c == 2 * labels[image] ? 1.0f : 0.1f;
    }
    return resattn_tensor_write(images, RESATTN_CHANNELS_FIRST, pixels, BATCH * 3 * PIXELS) ||
           resattn_tensor_write(targets, RESATTN_CHANNELS_FIRST, places, BATCH * PIXELS);
}

/* Returns 0 if both losses became small. */
static int train(resattn_session *session, resattn_optimizer *optimizer, const resattn_mask_loss *loss,
                 const resattn_tensor *images, const resattn_tensor *targets, const int32_t labels[BATCH])
{
    double mask_loss = 0, class_loss = 0;
    int failed = 0;
    for (int step = 0; step <= STEPS && !failed; step++) {
        failed = resattn_session_forward(session, images) ||
                 resattn_softmax_cross_entropy(session, labels, BATCH, &class_loss, NULL) ||
                 resattn_mask_loss_apply(loss, session, "attention.mask", targets, NULL, &mask_loss) ||
                 resattn_session_backward(session) || resattn_optimizer_step(optimizer);
        if (step % 20 == 0 && !failed)
            printf("step %2d: loss of the mask %.3f, of the classes %.3f\n", step, mask_loss, class_loss);
    }
    return failed || !(mask_loss < 0.1) || !(class_loss < 0.3);
}

int main(void)
{
    const int64_t shape[] = {BATCH, 3, SIDE, SIDE}, target_shape[] = {BATCH, 1, SIDE, SIDE};
    int32_t labels[BATCH];
    resattn_network *network = NULL;
    resattn_optimizer *optimizer = NULL;
    resattn_mask_loss *loss = NULL;
    resattn_tensor *images = NULL, *targets = NULL;
    resattn_plan *plan = NULL;
    resattn_session *session = NULL;
    resattn_context *context = resattn_context_new(0);
    int good = context && (network = build(context)) && (optimizer = resattn_adamw_new(network, 0.03)) &&
               (loss = resattn_mask_loss_new(context, RESATTN_MASK_LOSS_CROSS_ENTROPY)) &&
               (images = resattn_tensor_new(context, RESATTN_F32, 4, shape, RESATTN_CHANNELS_FIRST)) &&
               (targets = resattn_tensor_new(context, RESATTN_F32, 4, target_shape, RESATTN_CHANNELS_FIRST)) &&
               !draw(images, targets, labels) &&
               (plan = resattn_plan_new(network, RESATTN_TRAINING, BATCH, SIDE, SIDE)) &&
               !resattn_plan_add_output(plan, "attention.mask") && (session = resattn_session_new(plan)) &&
               !train(session, optimizer, loss, images, targets, labels);
    if (!good)
        fprintf(stderr, "supervise: %s\n", resattn_last_error());
    resattn_session_free(session);
    resattn_plan_free(plan);
    resattn_tensor_unref(targets);
    resattn_tensor_unref(images);
    resattn_mask_loss_free(loss);
    resattn_optimizer_free(optimizer);
    resattn_network_unref(network);
    resattn_context_unref(context);
    return !good;
}
