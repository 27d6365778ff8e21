/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fine-tuning: a network that comes from somewhere gets a new head, for other classes, and only the head is trained.
 * The same layers are built with the new number of classes, and take over every parameter but the head's.
 */
#include <stdio.h>
#include <string.h>

#include <resattn/resattn.h>

enum { BATCH = 6, SIDE = 16, OLD_CLASSES = 10, CLASSES = 3, STEPS = 40, IMAGE = 3 * SIDE * SIDE };

static resattn_network *build(resattn_context *context, int32_t classes)
{
    resattn_builder *b = resattn_builder_new(context);
    if (!b)
        return NULL;
    resattn_attention *attention = resattn_attention_new(b, "attention");
    resattn_attention_set_trunk(attention, resattn_conv2d_new(b, "trunk_conv", 16, 3, 1, 1));
    resattn_attention_set_mask(attention, resattn_conv2d_new(b, "mask_conv", 16, 3, 1, 1));
    resattn_layer *net = resattn_sequential_new(b, NULL);
    resattn_layer_add(net, resattn_conv2d_new(b, "conv", 16, 3, 1, 1));
    resattn_layer_add(net, resattn_batch_norm_new(b, "bn"));
    resattn_layer_add(net, resattn_relu_new(b, NULL));
    resattn_layer_add(net, resattn_attention_layer(attention));
    resattn_layer_add(net, resattn_global_average_pool_new(b, NULL));
    resattn_layer_add(net, resattn_linear_new(b, "head", classes));
    resattn_network *network = resattn_network_new(b, net, 3);
    resattn_builder_free(b);
    return network;
}

/* Copies all parameters and statistics by their names, but those of the head, which keeps its random ones. */
static int take_over(resattn_network *network, resattn_network *from)
{
    for (int32_t i = 0; i < resattn_network_parameter_count(network); i++) {
        const char *name = resattn_network_parameter_name(network, i);
        int32_t k = strncmp(name, "head.", 5) ? resattn_network_find_parameter(from, name) : -2;
        if (k == -1 ||
            (k >= 0 && resattn_tensor_copy(resattn_network_parameter(network, i), resattn_network_parameter(from, k))))
            return -1;
    }
    return 0;
}

/* Trains on two images of each class, which is the channel that is bright. Returns 0 if the loss became small. */
static int train(resattn_session *session, resattn_optimizer *sgd, resattn_tensor *images)
{
    static float pixels[BATCH * IMAGE];
    int32_t labels[BATCH], correct = 0;
    double first = 0, loss = 0;
    for (int i = 0; i < BATCH * IMAGE; i++)
        pixels[i] = (i / (SIDE * SIDE) % 3 == i / IMAGE % CLASSES ? 1.0f : -1.0f) + 0.1f * (float)(i % 7);
    for (int i = 0; i < BATCH; i++)
        labels[i] = i % CLASSES;
    int failed = resattn_tensor_write(images, RESATTN_CHANNELS_FIRST, pixels, BATCH * IMAGE);
    for (int step = 0; step < STEPS && !failed; step++) {
        failed = resattn_session_forward(session, images) ||
                 resattn_softmax_cross_entropy(session, labels, BATCH, &loss, &correct) ||
                 resattn_session_backward(session) || resattn_optimizer_step(sgd);
        first = step ? first : loss;
    }
    printf("loss %.3f at first, %.3f after %d steps; %d of %d images right\n", first, loss, STEPS, (int)correct, BATCH);
    return failed || !(loss < 0.5 * first) || correct != BATCH;
}

/* Whether both networks have the same bits in the first convolution's weights. */
static int is_unchanged(resattn_network *network, resattn_network *from)
{
    float now[16 * 3 * 9], then[16 * 3 * 9];
    int32_t i = resattn_network_find_parameter(network, "conv.weight");
    return !resattn_tensor_read(resattn_network_parameter(network, i), RESATTN_CHANNELS_FIRST, now, 16 * 3 * 9) &&
           !resattn_tensor_read(resattn_network_parameter(from, i), RESATTN_CHANNELS_FIRST, then, 16 * 3 * 9) &&
           !memcmp(now, then, sizeof now);
}

int main(void)
{
    const int64_t shape[] = {BATCH, 3, SIDE, SIDE};
    void *bytes = NULL;
    size_t size = 0;
    resattn_network *old = NULL, *network = NULL;
    resattn_tensor *images = NULL;
    resattn_plan *plan = NULL;
    resattn_session *session = NULL;
    resattn_optimizer *sgd = NULL;
    resattn_context *context = resattn_context_new(0);
    resattn_network *made =
        context ? build(context, OLD_CLASSES) : NULL; /* stands for one that was trained elsewhere */
    int good = made && !resattn_network_save_buffer(made, RESATTN_DEFAULT_LEVEL, &bytes, &size) &&
               (old = resattn_network_load_buffer(context, bytes, size)) && /* resattn_network_load() takes a file */
               (network = build(context, CLASSES)) && !take_over(network, old) &&
               (sgd = resattn_sgd_new(network, 0.1)) &&
               !resattn_optimizer_freeze(sgd, "", 1) &&     /* nothing learns, statistics of batch norms stay */
               !resattn_optimizer_freeze(sgd, "head", 0) && /* but the head */
               (images = resattn_tensor_new(context, RESATTN_F32, 4, shape, RESATTN_CHANNELS_FIRST)) &&
               (plan = resattn_plan_new(network, RESATTN_TRAINING, BATCH, SIDE, SIDE)) &&
               (session = resattn_session_new(plan)) && !train(session, sgd, images) && is_unchanged(network, old);
    if (good)
        printf("%d classes became %d; the frozen layers are unchanged\n", OLD_CLASSES, CLASSES);
    else
        fprintf(stderr, "finetune: %s\n", resattn_last_error());
    resattn_session_free(session);
    resattn_plan_free(plan);
    resattn_tensor_unref(images);
    resattn_optimizer_free(sgd);
    resattn_network_unref(network);
    resattn_network_unref(old);
    resattn_buffer_free(bytes);
    resattn_network_unref(made);
    resattn_context_unref(context);
    return !good;
}
