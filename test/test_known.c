/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Layers on values that were worked out by hand: with these, neither the library nor the reference can be wrong.
 */
#include <math.h>
#include <stdlib.h>

#include "trial.h"

static resattn_context *context;

static void set_up(void)
{
    context = resattn_context_new(1);
}

static void tear_down(void)
{
    resattn_context_unref(context);
}

typedef struct known {
    const char *what;
    resattn_layer *(*make)(resattn_builder *b);
    int32_t in[3], out[3]; /* c, h, w */
    float weight[8], input[12], output[16];
} known;

static resattn_layer *known_conv(resattn_builder *b)
{
    return resattn_conv2d_new(b, "it", 1, 2, 1, 0);
}
static resattn_layer *known_strided(resattn_builder *b)
{
    resattn_layer *layer = resattn_conv2d_new(b, "it", 1, 2, 2, 0);
    set_int(layer, "pad_left", 1);
    set_int(layer, "pad_bottom", 1);
    return layer;
}
static resattn_layer *known_grouped(resattn_builder *b)
{
    resattn_layer *layer = resattn_conv2d_new(b, "it", 4, 1, 1, 0);
    set_int(layer, "groups", 2);
    return layer;
}
static resattn_layer *known_transposed(resattn_builder *b)
{
    return resattn_conv_transpose2d_new(b, "it", 1, 2, 2, 0);
}
static resattn_layer *known_overlapping(resattn_builder *b)
{
    resattn_layer *layer = resattn_conv_transpose2d_new(b, "it", 1, 1, 2, 0);
    set_int(layer, "kernel_w", 3);
    set_int(layer, "stride_h", 1);
    return layer;
}
static resattn_layer *known_iohw(resattn_builder *b)
{
    return resattn_conv_transpose2d_new(b, "it", 2, 1, 1, 0);
}
static resattn_layer *known_corners(resattn_builder *b)
{
    return resattn_bilinear_resize_new(b, "it", 1, 4);
}
static resattn_layer *known_centres(resattn_builder *b)
{
    resattn_layer *layer = resattn_bilinear_resize_new(b, "it", 1, 4);
    set_int(layer, "align_corners", 0);
    return layer;
}
static resattn_layer *rounding_up(resattn_layer *layer)
{
    set_int(layer, "ceil_mode", 1);
    return layer;
}
static resattn_layer *known_ceil_max(resattn_builder *b)
{
    return rounding_up(resattn_max_pool_new(b, "it", 2, 2, 0));
}
static resattn_layer *known_small_max(resattn_builder *b)
{
    return rounding_up(resattn_max_pool_new(b, "it", 3, 2, 0));
}
static resattn_layer *known_small_padded_max(resattn_builder *b)
{
    return rounding_up(resattn_max_pool_new(b, "it", 3, 2, 1));
}
static resattn_layer *known_small_average(resattn_builder *b)
{
    return rounding_up(resattn_average_pool_new(b, "it", 3, 2, 0));
}
static resattn_layer *known_counting(resattn_builder *b)
{
    return resattn_average_pool_new(b, "it", 3, 2, 1);
}
static resattn_layer *known_not_counting(resattn_builder *b)
{
    resattn_layer *layer = resattn_average_pool_new(b, "it", 3, 2, 1);
    set_int(layer, "count_padding", 0);
    return layer;
}
static resattn_layer *known_ceil_average(resattn_builder *b)
{
    return rounding_up(resattn_average_pool_new(b, "it", 2, 2, 0));
}
static resattn_layer *known_subsample(resattn_builder *b)
{
    return resattn_subsample_new(b, "it", 4, 2);
}
static resattn_layer *known_softmax(resattn_builder *b)
{
    return resattn_softmax_new(b, "it");
}
static resattn_layer *known_channel_norm(resattn_builder *b)
{
    return resattn_channel_norm_new(b, "it");
}
static resattn_layer *known_instance_norm(resattn_builder *b)
{
    resattn_layer *layer = resattn_instance_norm_new(b, "it");
    resattn_layer_set_real(layer, "epsilon", 1e-12);
    return layer;
}
static resattn_layer *known_linear(resattn_builder *b)
{
    return resattn_linear_new(b, "it", 2);
}

static const known knowns[] = {
    {"conv2d", known_conv, {1, 3, 3}, {1, 2, 2}, {1, 0, 0, -2}, {1, 2, 3, 4, 5, 6, 7, 8, 9}, {-9, -10, -12, -13}},
    {"conv2d with padding", known_strided, {1, 2, 3}, {1, 1, 2}, {1, 2, 3, 4}, {1, 2, 3, 4, 5, 6}, {18, 47}},
    {"conv2d in groups",
     known_grouped,
     {4, 1, 1},
     {4, 1, 1},
     {1, 2, 3, 4, 5, 6, 7, 8},
     {1, 10, 100, 1000},
     {21, 43, 6500, 8700}},
    {"conv_transpose2d", known_transposed, {1, 1, 2}, {1, 2, 4}, {1, 2, 3, 4}, {1, 10}, {1, 2, 10, 20, 3, 4, 30, 40}},
    {"conv_transpose2d that overlaps", known_overlapping, {1, 1, 2}, {1, 1, 5}, {1, 2, 3}, {1, 10}, {1, 2, 13, 20, 30}},
    {"conv_transpose2d of two channels", known_iohw, {2, 1, 1}, {2, 1, 1}, {1, 2, 3, 4}, {1, 10}, {31, 42}},
    {"bilinear_resize by corners", known_corners, {1, 1, 2}, {1, 1, 4}, {0}, {0, 3}, {0, 1, 2, 3}},
    {"bilinear_resize by centres", known_centres, {1, 1, 2}, {1, 1, 4}, {0}, {0, 4}, {0, 1, 3, 4}},
    {"max_pool, rounding up",
     known_ceil_max,
     {1, 3, 3},
     {1, 2, 2},
     {0},
     {-1, -2, -3, -4, -5, -6, -7, -8, -9},
     {-1, -3, -7, -9}},
    {"max_pool of less than a window", known_small_max, {1, 2, 2}, {1, 1, 1}, {0}, {1, 4, 3, 2}, {4}},
    {"max_pool, padded", known_small_padded_max, {1, 1, 2}, {1, 1, 2}, {0}, {-1, -2}, {-1, -2}},
    {"average_pool of less than a window", known_small_average, {1, 2, 2}, {1, 1, 1}, {0}, {1, 4, 3, 2}, {2.5F}},
    {"average_pool, counting", known_counting, {1, 1, 3}, {1, 1, 2}, {0}, {9, 18, 27}, {3, 5}},
    {"average_pool, not counting", known_not_counting, {1, 1, 3}, {1, 1, 2}, {0}, {9, 18, 27}, {13.5F, 22.5F}},
    {"average_pool, rounding up",
     known_ceil_average,
     {1, 3, 3},
     {1, 2, 2},
     {0},
     {1, 2, 3, 4, 5, 6, 7, 8, 9},
     {3, 4.5F, 7.5F, 9}},
    {"subsample", known_subsample, {1, 1, 3}, {4, 1, 2}, {0}, {1, 2, 3}, {0, 0, 1, 3, 0, 0, 0, 0}},
    {"softmax", known_softmax, {2, 1, 1}, {2, 1, 1}, {0}, {0, 1.09861229F}, {0.25F, 0.75F}},
    {"channel_norm", known_channel_norm, {2, 1, 2}, {2, 1, 2}, {0}, {3, 0, 4, 2}, {0.6F, 0, 0.8F, 1}},
    {"instance_norm", known_instance_norm, {1, 1, 4}, {1, 1, 4}, {0}, {1, 3, 1, 3}, {-1, 1, -1, 1}},
    {"linear", known_linear, {3, 1, 1}, {2, 1, 1}, {1, 2, 3, 4, 5, 6}, {1, 10, 100}, {321, 654}},
};

START_TEST(test_known)
{
    const known *k = &knowns[_i];
    resattn_builder *builder = resattn_builder_new(context);
    resattn_network *network = resattn_network_new(builder, k->make(builder), k->in[0]);
    ck_assert_msg(network != NULL, "%s: %s", k->what, resattn_last_error());
    int32_t weight = resattn_network_find_parameter(network, "it.weight");
    if (weight >= 0) {
        resattn_tensor *tensor = resattn_network_parameter(network, weight);
        ck_assert_int_eq(
            resattn_tensor_write(tensor, RESATTN_CHANNELS_FIRST, k->weight, resattn_tensor_elements(tensor)),
            RESATTN_OK);
    }
    int64_t in_shape[4] = {1, k->in[0], k->in[1], k->in[2]};
    resattn_tensor *input = resattn_tensor_new(context, RESATTN_F32, 4, in_shape, RESATTN_CHANNELS_FIRST);
    ck_assert_int_eq(resattn_tensor_write(input, RESATTN_CHANNELS_FIRST, k->input, resattn_tensor_elements(input)),
                     RESATTN_OK);
    resattn_plan *plan = resattn_plan_new(network, RESATTN_INFERENCE, 1, k->in[1], k->in[2]);
    resattn_session *session = resattn_session_new(plan);
    resattn_plan_free(plan);
    ck_assert_msg(resattn_session_forward(session, input) == RESATTN_OK, "%s: %s", k->what, resattn_last_error());
    const resattn_tensor *output = resattn_session_output(session, NULL);
    float *got = read_values(output);
    for (int32_t i = 0; i < 3; i++)
        ck_assert_msg(resattn_tensor_size(output, i + 1) == k->out[i], "%s: size %d", k->what, i + 1);
    for (int32_t i = 0; i < resattn_tensor_elements(output); i++)
        ck_assert_msg(fabsf(got[i] - k->output[i]) <= 1e-6F * fabsf(k->output[i]), "%s: element %d is %g, expected %g",
                      k->what, i, (double)got[i], (double)k->output[i]);
    free(got);
    resattn_session_free(session);
    resattn_tensor_unref(input);
    resattn_network_unref(network);
    resattn_builder_free(builder);
}
END_TEST

/* Batch norm of 1, 2, 3, 4: mean 2.5, variance 1.25 (biased), 5/3 (unbiased). */
START_TEST(test_known_statistics)
{
    resattn_builder *builder = resattn_builder_new(context);
    resattn_network *network = resattn_network_new(builder, resattn_batch_norm_new(builder, "bn"), 1);
    int64_t in_shape[4] = {2, 1, 2, 1};
    const float values[4] = {1, 2, 3, 4};
    resattn_tensor *input = resattn_tensor_new(context, RESATTN_F32, 4, in_shape, RESATTN_CHANNELS_FIRST);
    resattn_tensor_write(input, RESATTN_CHANNELS_FIRST, values, 4);
    resattn_plan *plan = resattn_plan_new(network, RESATTN_TRAINING, 2, 2, 1);
    resattn_session *session = resattn_session_new(plan);
    ck_assert_msg(resattn_session_forward(session, input) == RESATTN_OK, "%s", resattn_last_error());
    float *out = read_values(resattn_session_output(session, NULL));
    for (int32_t i = 0; i < 4; i++)
        ck_assert_double_eq_tol((double)out[i], (i - 1.5) / sqrt(1.25 + 1e-5), 1e-6);
    free(out);
    float *mean =
        read_values(resattn_network_parameter(network, resattn_network_find_parameter(network, "bn.running_mean")));
    float *variance =
        read_values(resattn_network_parameter(network, resattn_network_find_parameter(network, "bn.running_var")));
    ck_assert_double_eq_tol((double)*mean, 0.25, 1e-7);
    ck_assert_double_eq_tol((double)*variance, 0.9 + 0.1 * 5 / 3, 1e-6);
    free(mean);
    free(variance);
    resattn_session_free(session);
    resattn_plan_free(plan);
    resattn_tensor_unref(input);
    resattn_network_unref(network);
    resattn_builder_free(builder);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("known values");
    TCase *tests = tcase_create("known values");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_loop_test(tests, test_known, 0, (int)(sizeof knowns / sizeof *knowns));
    tcase_add_test(tests, test_known_statistics);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
