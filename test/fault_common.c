/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests of faults share: see fault_common.h. */
#include "fault_common.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CHANNELS = 8, MOST_KINDS = 64 };

static resattn_layer *chain(resattn_builder *b, const char *name, resattn_layer *first, resattn_layer *second,
                            resattn_layer *third)
{
    resattn_layer *layer = resattn_sequential_new(b, name);
    resattn_layer_add(layer, first);
    resattn_layer_add(layer, second);
    if (third != NULL)
        resattn_layer_add(layer, third);
    return layer;
}

static resattn_layer *conv(resattn_builder *b, const char *name, const char *attribute, int64_t value)
{
    resattn_layer *layer = resattn_conv2d_new(b, name, CHANNELS, 3, 1, 1);
    resattn_layer_set_int(layer, attribute, value);
    return layer;
}

static resattn_layer *attention(resattn_builder *b, const char *name, resattn_layer *trunk, resattn_layer *mask,
                                resattn_mask_activation activation, resattn_learning learning)
{
    resattn_attention *module = resattn_attention_new(b, name);
    resattn_attention_set_trunk(module, trunk);
    resattn_attention_set_mask(module, mask);
    resattn_attention_set_activation(module, activation);
    resattn_attention_set_learning(module, learning);
    return resattn_attention_layer(module);
}

static resattn_layer *mixed(resattn_builder *b)
{
    resattn_layer *trunk = resattn_residual_new(
        b, "trunk", chain(b, NULL, conv(b, "grouped", "groups", 2), resattn_batch_norm_new(b, "bn"), NULL), NULL);
    resattn_layer *inner = resattn_conv2d_new(b, "inner", CHANNELS, 3, 1, 2);
    resattn_layer_set_int(inner, "dilation_h", 2);
    resattn_layer_set_int(inner, "dilation_w", 2);
    resattn_layer *mask = resattn_down_up_new(b, "soft", resattn_max_pool_new(b, "down", 3, 2, 1), inner,
                                              resattn_bilinear_resize_new(b, "up", 0, 0));
    return attention(b, "mixed", trunk, mask, RESATTN_ACTIVATION_MIXED, RESATTN_LEARNING_RESIDUAL);
}

static resattn_layer *spatial(resattn_builder *b)
{
    resattn_layer *trunk = resattn_sum_new(b, "trunk");
    resattn_layer_add(trunk, resattn_conv2d_new(b, "conv", CHANNELS, 1, 1, 0));
    resattn_layer_add(trunk, resattn_scale_new(b, "half", 0.5));
    resattn_layer *mask =
        resattn_down_up_new(b, "soft", resattn_average_pool_new(b, "down", 2, 2, 0), conv(b, "inner", "bias", 1),
                            resattn_conv_transpose2d_new(b, "up", CHANNELS, 2, 2, 0));
    return attention(b, "spatial", trunk, mask, RESATTN_ACTIVATION_SPATIAL, RESATTN_LEARNING_NAIVE);
}

static resattn_layer *norms(resattn_builder *b)
{
    resattn_layer *layer = resattn_concat_new(b, "norms");
    resattn_layer_add(layer, resattn_instance_norm_new(b, "instance"));
    resattn_layer_add(layer, resattn_channel_norm_new(b, "channel"));
    return layer;
}

static resattn_layer *head(resattn_builder *b)
{
    resattn_layer *wide = chain(b, NULL, resattn_subsample_new(b, "wide", 20, 2), resattn_sigmoid_new(b, NULL),
                                resattn_softmax_new(b, NULL));
    return chain(b, NULL, wide,
                 chain(b, "last", resattn_conv2d_new(b, "conv", CHANNELS, 3, 2, 1),
                       resattn_global_average_pool_new(b, NULL), resattn_dropout_new(b, "drop", 0.2)),
                 resattn_linear_new(b, "fc", FAULT_CLASSES));
}

resattn_network *fault_network(resattn_context *context)
{
    resattn_builder *b = resattn_builder_new(context);
    if (b == NULL)
        return NULL;
    resattn_layer *net = resattn_sequential_new(b, NULL);
    resattn_layer_add(net, chain(b, "stem", resattn_conv2d_new(b, "conv", CHANNELS, 3, 1, 1),
                                 resattn_batch_norm_new(b, "bn"), resattn_relu_new(b, NULL)));
    resattn_layer_add(net, mixed(b));
    resattn_layer_add(net, spatial(b));
    resattn_layer_add(net, attention(b, "channel", resattn_identity_new(b, "same"), conv(b, "mask_conv", "bias", 1),
                                     RESATTN_ACTIVATION_CHANNEL, RESATTN_LEARNING_RESIDUAL));
    resattn_layer_add(net, attention(b, "plain", conv(b, "trunk_conv", "bias", 1),
                                     resattn_conv2d_new(b, "mask_conv", 1, 1, 1, 0), RESATTN_ACTIVATION_IDENTITY,
                                     RESATTN_LEARNING_RESIDUAL));
    resattn_layer_add(net, norms(b));
    resattn_layer_add(net, head(b));
    resattn_network *network = resattn_network_new(b, net, 3);
    resattn_builder_free(b);
    return network;
}

static int32_t note_kinds(const resattn_layer *layer, const char **kinds, int32_t count)
{
    int32_t i = 0;
    while (i < count && strcmp(kinds[i], resattn_layer_kind(layer)) != 0)
        i++;
    if (i == count && count < MOST_KINDS)
        kinds[count++] = resattn_layer_kind(layer);
    for (i = 0; i < resattn_layer_child_count(layer); i++)
        count = note_kinds(resattn_layer_child(layer, i), kinds, count);
    return count;
}

int32_t fault_kinds(resattn_network *network)
{
    const char *kinds[MOST_KINDS];
    return note_kinds(resattn_network_root(network), kinds, 0);
}

resattn_tensor *fault_input(resattn_context *context, uint64_t seed)
{
    int64_t shape[4] = {FAULT_BATCH, 3, FAULT_SIDE, FAULT_SIDE};
    resattn_tensor *tensor = resattn_tensor_new(context, RESATTN_F32, 4, shape, RESATTN_CHANNELS_LAST);
    float *value = resattn_tensor_mutable_data(tensor);
    for (int64_t i = 0; value != NULL && i < resattn_tensor_elements(tensor); i++) {
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        value[i] = (float)(seed >> 40) / 8388608.0F - 1;
    }
    return tensor;
}

resattn_session *fault_session(resattn_network *network, resattn_purpose purpose, int32_t recompute)
{
    resattn_plan *plan = resattn_plan_new(network, purpose, FAULT_BATCH, FAULT_SIDE, FAULT_SIDE);
    resattn_session *session = NULL;
    if (plan != NULL && resattn_plan_add_output(plan, "mixed.mask") == RESATTN_OK &&
        (purpose == RESATTN_INFERENCE || (resattn_plan_set_input_gradient(plan, 1) == RESATTN_OK &&
                                          resattn_plan_set_recomputation(plan, recompute) == RESATTN_OK)))
        session = resattn_session_new(plan);
    resattn_plan_free(plan);
    return session;
}

resattn_status fault_made(const void *made)
{
    return made != NULL ? RESATTN_OK : resattn_last_status();
}

uint64_t fault_hash(uint64_t hash, const resattn_tensor *tensor)
{
    int64_t count = resattn_tensor_elements(tensor);
    float *values = malloc((size_t)count * sizeof *values + 1);
    ck_assert_ptr_nonnull(values);
    ck_assert_int_eq(resattn_tensor_read(tensor, RESATTN_CHANNELS_FIRST, values, count), RESATTN_OK);
    const unsigned char *bytes = (const unsigned char *)values;
    for (size_t i = 0; i < (size_t)count * sizeof *values; i++)
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    free(values);
    return hash;
}

uint64_t fault_hash_network(resattn_network *network)
{
    uint64_t hash = 0;
    for (int32_t i = 0; i < resattn_network_parameter_count(network); i++)
        hash = fault_hash(hash, resattn_network_parameter(network, i));
    return hash;
}

uint64_t fault_infer(resattn_session *session, const resattn_tensor *input)
{
    ck_assert_msg(resattn_session_forward(session, input) == RESATTN_OK, "%s", resattn_last_error());
    uint64_t hash = fault_hash(1, resattn_session_output(session, NULL));
    return fault_hash(hash, resattn_session_output(session, "mixed.mask"));
}

resattn_status fault_train(resattn_session *session, resattn_optimizer *optimizer, const resattn_tensor *input)
{
    static const int32_t labels[FAULT_BATCH] = {0, 3, 4};
    resattn_status status = resattn_session_forward(session, input);
    if (status == RESATTN_OK)
        status = resattn_softmax_cross_entropy(session, labels, FAULT_BATCH, NULL, NULL);
    if (status == RESATTN_OK)
        status = resattn_session_backward(session);
    if (status == RESATTN_OK && optimizer != NULL)
        status = resattn_optimizer_step(optimizer);
    return status;
}

int64_t fault_resident(void)
{
    long whole, pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file != NULL) {
        if (fscanf(file, "%ld %ld", &whole, &pages) != 2)
            pages = 0;
        fclose(file);
    }
    return (int64_t)pages * sysconf(_SC_PAGESIZE);
}
