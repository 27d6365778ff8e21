/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests of checkpoints share: see checkpoint_common.h. */
#include "checkpoint_common.h"

#include <stdlib.h>
#include <string.h>

static resattn_network *new_network(resattn_context *context)
{
    resattn_builder *builder = resattn_builder_new(context);
    resattn_layer *net = resattn_sequential_new(builder, NULL);
    resattn_layer_add(net, resattn_conv2d_new(builder, "stem", 4, 3, 1, 1));
    resattn_layer_add(net, resattn_batch_norm_new(builder, "bn"));
    resattn_layer_add(net, resattn_relu_new(builder, NULL));
    resattn_layer_add(net, resattn_dropout_new(builder, "dropout", 0.3));
    resattn_layer_add(net, resattn_global_average_pool_new(builder, NULL));
    resattn_layer_add(net, resattn_linear_new(builder, "fc", CLASSES));
    resattn_network *network = resattn_network_new(builder, net, 2);
    ck_assert_msg(network != NULL, "%s", resattn_last_error());
    resattn_builder_free(builder);
    return network;
}

resattn_session *training_session(resattn_network *network)
{
    resattn_plan *plan = resattn_plan_new(network, RESATTN_TRAINING, IMAGES, SIDE, SIDE);
    resattn_session *session = resattn_session_new(plan);
    resattn_plan_free(plan);
    return session;
}

training training_of(resattn_context *context, resattn_network *network, int32_t kind)
{
    training t = {.context = context, .network = network, .session = training_session(network)};
    t.optimizer = (kind & 1 ? resattn_adamw_new : resattn_sgd_new)(network, 0.5);
    t.average = kind & 2 ? resattn_ema_new(network, 0.25) : NULL;
    ck_assert_msg(t.session && t.optimizer, "%s", resattn_last_error());
    return t;
}

static void set(const training *t, const char *attribute, double value)
{
    ck_assert_int_eq(resattn_optimizer_set_real(t->optimizer, attribute, value), RESATTN_OK);
}

static void set_path(const training *t, const char *path, const char *attribute, double factor)
{
    ck_assert_int_eq(resattn_optimizer_set_factor(t->optimizer, path, attribute, factor), RESATTN_OK);
}

static void change_settings(const training *t, int32_t kind)
{
    set(t, "rate", 0.0625);
    set(t, "weight_decay", 0.001);
    set(t, "decay_vectors", 0);
    set(t, "clip_norm", 0.3);
    set(t, kind & 1 ? "beta1" : "momentum", 0.8);
    if (kind & 1)
        set(t, "epsilon", 1e-6);
    else
        set(t, "nesterov", 1);
    set_path(t, "", "weight_decay", 2);
    set_path(t, "fc", "rate", 0.5);
    set_path(t, "fc.weight", "weight_decay", 0.1);
    set_path(t, "bn.bias", "rate", 0);
}

training new_training(int32_t kind)
{
    resattn_context *context = resattn_context_new(1 + kind % 2);
    training t = training_of(context, new_network(context), kind);
    if (t.average) {
        resattn_ema_free(t.average);
        t.average = resattn_ema_new(t.network, 0.75);
    }
    if (kind & 4)
        change_settings(&t, kind);
    return t;
}

void free_training(training *t)
{
    resattn_ema_free(t->average);
    resattn_optimizer_free(t->optimizer);
    resattn_session_free(t->session);
    resattn_network_unref(t->network);
    resattn_context_unref(t->context);
}

void do_step(const training *t, int32_t index)
{
    static const int32_t labels[IMAGES] = {2, 0, 1, 2};
    float values[IMAGES * 2 * SIDE * SIDE];
    uint32_t state = 12345u + (uint32_t)index * 7919u;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        state = state * 1664525u + 1013904223u;
        values[i] = (float)(state >> 8) / 8388608.0f - 1;
    }
    resattn_tensor *input =
        resattn_tensor_new(t->context, RESATTN_F32, 4, (int64_t[]){IMAGES, 2, SIDE, SIDE}, RESATTN_CHANNELS_LAST);
    memcpy(resattn_tensor_mutable_data(input), values, sizeof values);
    ck_assert_int_eq(resattn_session_forward(t->session, input), RESATTN_OK);
    ck_assert_int_eq(resattn_softmax_cross_entropy(t->session, labels, IMAGES, NULL, NULL), RESATTN_OK);
    ck_assert_int_eq(resattn_session_backward(t->session), RESATTN_OK);
    ck_assert_int_eq(resattn_optimizer_step(t->optimizer), RESATTN_OK);
    if (t->average)
        ck_assert_int_eq(resattn_ema_update(t->average), RESATTN_OK);
    resattn_tensor_unref(input);
}

void do_steps(const training *t, int32_t first, int32_t last)
{
    for (int32_t i = first; i < last; i++)
        do_step(t, i);
}

int32_t put_bytes(void *user, const void *from, size_t size)
{
    bytes *b = user;
    b->data = realloc(b->data, b->size + size + 1);
    memcpy(b->data + b->size, from, size);
    b->size += size;
    return 0;
}

int64_t get_bytes(void *user, void *to, size_t size)
{
    bytes *b = user;
    size_t left = b->size - b->at, given = size < left ? size : left;
    if (given > 0)
        memcpy(to, b->data + b->at, given);
    b->at += given;
    return (int64_t)given;
}

bytes checkpoint_of(const training *t)
{
    bytes b = {0};
    ck_assert_msg(resattn_checkpoint_save_stream(t->optimizer, t->average, 6, put_bytes, &b) == RESATTN_OK, "%s",
                  resattn_last_error());
    return b;
}

resattn_status restore_bytes(const training *t, const void *data, size_t size)
{
    bytes b = {.data = (unsigned char *)(uintptr_t)data, .size = size};
    return resattn_checkpoint_restore_stream(t->optimizer, t->average, get_bytes, &b);
}

resattn_status load_bytes(training *t, const void *data, size_t size)
{
    bytes b = {.data = (unsigned char *)(uintptr_t)data, .size = size};
    return resattn_checkpoint_load_stream(t->context, get_bytes, &b, &t->network, &t->optimizer, &t->average);
}

void expect_same(const bytes *a, const bytes *b)
{
    ck_assert_uint_eq(a->size, b->size);
    ck_assert_mem_eq(a->data, b->data, a->size);
}
