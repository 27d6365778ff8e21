/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Numbers that are none, infinite or the same everywhere, and maps of one pixel: they go through every kind of layer
 * without harm, stay where they belong, and what is finite stays so.
 */
#include <math.h>
#include <string.h>

#include "fault_common.h"

enum { CHANNELS = 4, BATCH = 2 };

typedef resattn_layer *(*make_fn)(resattn_builder *b);

static resattn_layer *make_conv(resattn_builder *b)
{
    return resattn_conv2d_new(b, "x", CHANNELS, 3, 1, 1);
}
static resattn_layer *make_transposed(resattn_builder *b)
{
    return resattn_conv_transpose2d_new(b, "x", 4, 3, 1, 1);
}
static resattn_layer *make_batch_norm(resattn_builder *b)
{
    return resattn_batch_norm_new(b, "x");
}
static resattn_layer *make_relu(resattn_builder *b)
{
    return resattn_relu_new(b, "x");
}
static resattn_layer *make_sigmoid(resattn_builder *b)
{
    return resattn_sigmoid_new(b, "x");
}
static resattn_layer *make_softmax(resattn_builder *b)
{
    return resattn_softmax_new(b, "x");
}
static resattn_layer *make_identity(resattn_builder *b)
{
    return resattn_identity_new(b, "x");
}
static resattn_layer *make_max_pool(resattn_builder *b)
{
    return resattn_max_pool_new(b, "x", 3, 2, 1);
}
static resattn_layer *make_average_pool(resattn_builder *b)
{
    return resattn_average_pool_new(b, "x", 3, 2, 1);
}
static resattn_layer *make_global(resattn_builder *b)
{
    return resattn_global_average_pool_new(b, "x");
}
static resattn_layer *make_resize(resattn_builder *b)
{
    return resattn_bilinear_resize_new(b, "x", 7, 5);
}
static resattn_layer *make_dropout(resattn_builder *b)
{
    return resattn_dropout_new(b, "x", 0.3);
}
static resattn_layer *make_subsample(resattn_builder *b)
{
    return resattn_subsample_new(b, "x", 6, 2);
}
static resattn_layer *make_channel_norm(resattn_builder *b)
{
    return resattn_channel_norm_new(b, "x");
}
static resattn_layer *make_instance_norm(resattn_builder *b)
{
    return resattn_instance_norm_new(b, "x");
}
static resattn_layer *make_scale(resattn_builder *b)
{
    return resattn_scale_new(b, "x", 0.5);
}
static resattn_layer *make_residual(resattn_builder *b)
{
    return resattn_residual_new(b, "x", make_conv(b), NULL);
}

static resattn_layer *make_attention(resattn_builder *b)
{
    resattn_attention *module = resattn_attention_new(b, "module");
    resattn_attention_set_trunk(module, resattn_conv2d_new(b, "trunk", CHANNELS, 1, 1, 0));
    resattn_attention_set_mask(module, resattn_down_up_new(b, NULL, resattn_max_pool_new(b, NULL, 3, 2, 1),
                                                           resattn_conv2d_new(b, "inner", CHANNELS, 1, 1, 0),
                                                           resattn_bilinear_resize_new(b, NULL, 0, 0)));
    return resattn_attention_layer(module);
}

static const make_fn makers[] = {make_conv,          make_transposed, make_batch_norm, make_relu,   make_sigmoid,
                                 make_softmax,       make_identity,   make_max_pool,   make_global, make_average_pool,
                                 make_resize,        make_dropout,    make_subsample,  make_scale,  make_channel_norm,
                                 make_instance_norm, make_residual,   make_attention};
enum { MAKERS = sizeof makers / sizeof makers[0] };

static resattn_tensor *filled(resattn_context *context, int64_t n, int64_t c, int64_t h, int64_t w, float value)
{
    resattn_tensor *t = resattn_tensor_new(context, RESATTN_F32, 4, (int64_t[]){n, c, h, w}, RESATTN_CHANNELS_LAST);
    ck_assert_int_eq(resattn_tensor_fill(t, value), RESATTN_OK);
    return t;
}

/* How many of the image's numbers are not finite; `image` -1: of all images. */
static int64_t not_finite(const resattn_tensor *tensor, int64_t image)
{
    float values[4096];
    int64_t count = resattn_tensor_elements(tensor), bad = 0, each = count / BATCH;
    ck_assert_int_eq(resattn_tensor_read(tensor, RESATTN_CHANNELS_FIRST, values, count), RESATTN_OK);
    for (int64_t i = 0; i < count; i++)
        bad += (image < 0 || i / each == image) && !isfinite(values[i]);
    return bad;
}

static resattn_session *session_of(make_fn make, resattn_purpose purpose, int32_t side, resattn_context *context)
{
    resattn_builder *b = resattn_builder_new(context);
    resattn_network *network = resattn_network_new(b, make(b), CHANNELS);
    ck_assert_msg(network != NULL, "%s", resattn_last_error());
    resattn_plan *plan = resattn_plan_new(network, purpose, BATCH, side, side);
    ck_assert_msg(plan != NULL, "%s", resattn_last_error());
    if (purpose == RESATTN_TRAINING)
        ck_assert_int_eq(resattn_plan_set_input_gradient(plan, 1), RESATTN_OK);
    resattn_session *session = resattn_session_new(plan);
    ck_assert_msg(session != NULL, "%s", resattn_last_error());
    resattn_plan_free(plan);
    resattn_network_unref(network);
    resattn_builder_free(b);
    return session;
}

/* Forward and backward with a gradient of one number everywhere. */
static void go(resattn_session *session, resattn_context *context, const resattn_tensor *input, float gradient)
{
    ck_assert_msg(resattn_session_forward(session, input) == RESATTN_OK, "%s", resattn_last_error());
    if (resattn_session_purpose(session) != RESATTN_TRAINING)
        return;
    const int64_t *s = resattn_tensor_shape(resattn_session_output(session, NULL));
    resattn_tensor *g = filled(context, s[0], s[1], s[2], s[3], gradient);
    ck_assert_int_eq(resattn_session_set_output_gradient(session, NULL, g), RESATTN_OK);
    ck_assert_int_eq(resattn_session_backward(session), RESATTN_OK);
    resattn_tensor_unref(g);
}

/* One number of the first image. In inference NaN is seen in the first image's output, and nothing of it reaches the
 * second; afterwards all is as before. */
START_TEST(test_odd_inputs)
{
    static const float odd[] = {NAN, INFINITY, -INFINITY, 3e38F, -3e38F, 1e-40F};
    for (int32_t purpose = RESATTN_INFERENCE; purpose <= RESATTN_TRAINING; purpose++) {
        resattn_context *context = resattn_context_new(1);
        resattn_session *session = session_of(makers[_i], (resattn_purpose)purpose, 6, context);
        resattn_tensor *input = filled(context, BATCH, CHANNELS, 6, 6, 0.25F);
        for (int i = 0; i < 6; i++) {
            float *values = resattn_tensor_mutable_data(input);
            values[0] = odd[i];
            go(session, context, input, 1);
            if (purpose == RESATTN_INFERENCE)
                ck_assert_int_eq(not_finite(resattn_session_output(session, NULL), 1), 0);
            if (purpose == RESATTN_INFERENCE && isnan(odd[i]))
                ck_assert_int_gt(not_finite(resattn_session_output(session, NULL), 0), 0);
            if (purpose == RESATTN_INFERENCE && fabsf(odd[i]) < 1)
                ck_assert_int_eq(not_finite(resattn_session_output(session, NULL), -1), 0);
            values[0] = 0.25F;
            go(session, context, input, odd[i]);
        }
        if (purpose == RESATTN_INFERENCE) {
            go(session, context, input, 1);
            ck_assert_int_eq(not_finite(resattn_session_output(session, NULL), -1), 0);
        }
        resattn_tensor_unref(input);
        resattn_session_free(session);
        resattn_context_unref(context);
    }
}
END_TEST

/* The same number everywhere, so that every variance is 0, on maps of one pixel and larger ones: gradients are finite.
 */
START_TEST(test_equal_inputs)
{
    static const float levels[] = {0, 1, -5, 1e-40F};
    for (int32_t side = 1; side <= 5; side += 4) {
        resattn_context *context = resattn_context_new(1);
        resattn_session *session = session_of(makers[_i], RESATTN_TRAINING, side, context);
        for (int i = 0; i < 4; i++) {
            resattn_tensor *input = filled(context, BATCH, CHANNELS, side, side, levels[i]);
            go(session, context, input, 1);
            ck_assert_int_eq(not_finite(resattn_session_output(session, NULL), -1), 0);
            ck_assert_int_eq(not_finite(resattn_session_input_gradient(session), -1), 0);
            resattn_network *network = resattn_session_network(session);
            for (int32_t p = 0; p < resattn_network_parameter_count(network); p++)
                if (resattn_network_parameter_kind(network, p) == RESATTN_PARAMETER_TRAINABLE)
                    ck_assert_int_eq(not_finite(resattn_network_parameter_gradient(network, p), -1), 0);
            resattn_tensor_unref(input);
        }
        resattn_session_free(session);
        resattn_context_unref(context);
    }
}
END_TEST

/* NaN in a weight is seen in the outputs and the loss, and no call fails; with the weight mended all is as it was. */
START_TEST(test_odd_weights)
{
    resattn_context *context = resattn_context_new(2);
    resattn_network *network = fault_network(context);
    resattn_tensor *input = fault_input(context, 1);
    resattn_session *session = fault_session(network, RESATTN_INFERENCE, 0);
    uint64_t before = fault_infer(session, input);
    resattn_tensor *bias = resattn_network_parameter(network, resattn_network_find_parameter(network, "last.fc.bias"));
    if (bias == NULL)
        bias = resattn_network_parameter(network, resattn_network_parameter_count(network) - 1);
    ck_assert_ptr_nonnull(bias);
    float *value = resattn_tensor_mutable_data(bias), kept = value[0];
    value[0] = _i ? INFINITY : NAN;
    ck_assert_int_eq(resattn_network_touch(network), RESATTN_OK);
    ck_assert_int_eq(resattn_session_refresh(session), RESATTN_OK);
    fault_infer(session, input);
    ck_assert_int_eq(not_finite(resattn_session_output(session, NULL), -1), FAULT_BATCH);
    int32_t labels[FAULT_BATCH] = {1, 2, 3};
    double loss = 0;
    ck_assert_int_eq(resattn_softmax_cross_entropy(session, labels, FAULT_BATCH, &loss, NULL), RESATTN_OK);
    ck_assert(!isfinite(loss));
    value[0] = kept;
    ck_assert_int_eq(resattn_network_touch(network), RESATTN_OK);
    ck_assert_int_eq(resattn_session_refresh(session), RESATTN_OK);
    ck_assert(fault_infer(session, input) == before);
    resattn_session_free(session);
    resattn_tensor_unref(input);
    resattn_network_unref(network);
    resattn_context_unref(context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fault numbers");
    TCase *tests = tcase_create("numbers");
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, test_odd_inputs, 0, MAKERS);
    tcase_add_loop_test(tests, test_equal_inputs, 0, MAKERS);
    tcase_add_loop_test(tests, test_odd_weights, 0, 2);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
