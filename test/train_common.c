/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests of training share: see train_common.h. */
#include "train_common.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

double random_real(double low, double high)
{
    return low + (high - low) * (double)(test_random() >> 11) / (double)(UINT64_C(1) << 53);
}

void expect_error(resattn_status got, resattn_status expected, const char *part)
{
    ck_assert_int_eq(got, expected);
    ck_assert_int_eq(resattn_last_status(), expected);
    ck_assert_msg(strstr(resattn_last_error(), part) != NULL, "\"%s\" should say \"%s\"", resattn_last_error(), part);
}

resattn_session *new_session(resattn_network *network, resattn_purpose purpose, int32_t batch, int32_t size)
{
    resattn_plan *plan = resattn_plan_new(network, purpose, batch, size, size);
    ck_assert_ptr_nonnull(plan);
    if (purpose == RESATTN_TRAINING)
        ck_assert_int_eq(resattn_plan_set_input_gradient(plan, 1), RESATTN_OK);
    resattn_session *session = resattn_session_new(plan);
    ck_assert_ptr_nonnull(session);
    resattn_plan_free(plan);
    return session;
}

resattn_tensor *new_input(resattn_context *context, int64_t n, int64_t channels, int64_t size)
{
    resattn_tensor *input =
        resattn_tensor_new(context, RESATTN_F32, 4, (int64_t[]){n, channels, size, size}, RESATTN_CHANNELS_LAST);
    ck_assert_ptr_nonnull(input);
    float *values = resattn_tensor_mutable_data(input);
    for (int64_t i = 0; i < resattn_tensor_elements(input); i++)
        values[i] = (float)random_real(-3, 3);
    return input;
}

/* The matrix of the linear layer is larger than what one task of a step works on. */
resattn_network *train_network(resattn_context *context)
{
    resattn_builder *builder = resattn_builder_new(context);
    resattn_layer *net = resattn_sequential_new(builder, NULL);
    resattn_layer *conv = resattn_conv2d_new(builder, "conv", CHANNELS, 3, 1, 1);
    ck_assert_int_eq(resattn_layer_set_int(conv, "bias", 1), RESATTN_OK);
    resattn_layer_add(net, conv);
    resattn_layer_add(net, resattn_batch_norm_new(builder, "bn"));
    resattn_layer_add(net, resattn_relu_new(builder, NULL));
    resattn_layer_add(net, resattn_global_average_pool_new(builder, NULL));
    resattn_layer_add(net, resattn_linear_new(builder, "linear", OUTPUTS));
    resattn_network *network = resattn_network_new(builder, net, 3);
    ck_assert_msg(network != NULL, "%s", resattn_last_error());
    resattn_builder_free(builder);
    return network;
}

void follow(followed *f, resattn_tensor *tensor)
{
    f->count = resattn_tensor_elements(tensor);
    f->value = calloc((size_t)f->count, sizeof(double));
    for (int32_t i = 0; i < 2; i++)
        f->state[i] = calloc((size_t)f->count, sizeof(double));
    f->buffer = calloc((size_t)f->count, sizeof(float));
    resattn_tensor_read(tensor, RESATTN_CHANNELS_FIRST, f->buffer, f->count);
    for (int64_t i = 0; i < f->count; i++)
        f->value[i] = (double)f->buffer[i];
}

void unfollow(followed *f)
{
    free(f->value);
    free(f->state[0]);
    free(f->state[1]);
    free(f->buffer);
}

void compare(followed *f, resattn_tensor *tensor, const char *name)
{
    resattn_tensor_read(tensor, RESATTN_CHANNELS_FIRST, f->buffer, f->count);
    for (int64_t i = 0; i < f->count; i++)
        ck_assert_msg(fabs((double)f->buffer[i] - f->value[i]) <= 2e-6 * (fabs(f->value[i]) + 0.1),
                      "%s[%lld] is %.9g, expected %.9g", name, (long long)i, (double)f->buffer[i], f->value[i]);
}

void train_step(resattn_session *session, resattn_tensor *input)
{
    static const int32_t labels[BATCH] = {3, 999, 0, 3};
    ck_assert_int_eq(resattn_session_forward(session, input), RESATTN_OK);
    ck_assert_int_eq(resattn_softmax_cross_entropy(session, labels, BATCH, NULL, NULL), RESATTN_OK);
    ck_assert_int_eq(resattn_session_backward(session), RESATTN_OK);
}

resattn_network *pass_on_network(resattn_context *context, int32_t channels)
{
    resattn_builder *builder = resattn_builder_new(context);
    resattn_network *network = resattn_network_new(builder, resattn_scale_new(builder, "logits", 1), channels);
    ck_assert_ptr_nonnull(network);
    resattn_builder_free(builder);
    return network;
}

void *give(void *user, size_t size)
{
    host *h = user;
    if (h->left-- == 0)
        return NULL;
    void *memory = malloc(size);
    h->living += memory != NULL;
    return memory;
}

void take(void *user, void *memory)
{
    host *h = user;
    h->living--;
    free(memory);
}
