/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every layer, alone and in small trees, against the reference: random shapes and settings, forward, backward,
 * statistics, inference. RESATTN_TEST_SEED gives other ones.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "trial.h"

static resattn_context *context;

static void set_up(void)
{
    context = resattn_context_new(2);
}

static void tear_down(void)
{
    resattn_context_unref(context);
}

/* Random settings of a convolution; answers the reach of the window, dilation * (kernel - 1) + 1. */
static void set_window(resattn_layer *layer, const char *side, const char *before, const char *after, bool dilated,
                       bool pads_any, int32_t *size, bool shrinks)
{
    char name[32];
    int32_t kernel = pick(1, 4), stride = pick(1, 3), dilation = dilated ? pick(1, 2) : 1;
    int32_t first = pick(0, pads_any ? 3 : kernel - 1), last = pick(0, pads_any ? 3 : kernel - 1);
    int32_t reach = dilation * (kernel - 1) + 1;
    snprintf(name, sizeof name, "kernel_%s", side);
    set_int(layer, name, kernel);
    snprintf(name, sizeof name, "stride_%s", side);
    set_int(layer, name, stride);
    if (dilated) {
        snprintf(name, sizeof name, "dilation_%s", side);
        set_int(layer, name, dilation);
    }
    *size = pick(1, 11);
    while (shrinks && *size + first + last < reach)
        ++*size;
    while (!shrinks && (*size - 1) * stride + reach <= first + last)
        ++*size;
    set_int(layer, before, first);
    set_int(layer, after, last);
    if (dilated && !shrinks) {
        snprintf(name, sizeof name, "output_pad_%s", side);
        set_int(layer, name, pick(0, stride - 1));
    }
}

static void set_windows(resattn_layer *layer, bool dilated, bool pads_any, bool shrinks, ref_image *in)
{
    set_window(layer, "h", "pad_top", "pad_bottom", dilated, pads_any, &in->h, shrinks);
    set_window(layer, "w", "pad_left", "pad_right", dilated, pads_any, &in->w, shrinks);
}

static resattn_layer *make_conv2d(resattn_builder *b, ref_image *in)
{
    int32_t groups = pick(0, 1) ? 1 : pick(2, 3);
    in->n = pick(1, 3);
    in->c = groups * pick(1, 5);
    resattn_layer *layer = resattn_conv2d_new(b, NULL, groups * pick(1, 6), 1, 1, 0);
    set_int(layer, "groups", groups);
    set_int(layer, "bias", pick(0, 1));
    set_windows(layer, true, true, true, in);
    return layer;
}

/* The shapes that networks are made of: no groups, enough channels to fill the blocks of a matrix product. */
static resattn_layer *make_wide_conv2d(resattn_builder *b, ref_image *in)
{
    int32_t kernel = 2 * pick(0, 2) + 1, stride = pick(1, 2);
    *in = image_shape(pick(1, 2), pick(1, 70), pick(kernel, 17), pick(kernel, 17));
    resattn_layer *layer = resattn_conv2d_new(b, NULL, pick(1, 70), kernel, stride, kernel / 2);
    set_int(layer, "bias", pick(0, 1));
    return layer;
}

/* One channel in each group. */
static resattn_layer *make_depthwise(resattn_builder *b, ref_image *in)
{
    *in = image_shape(pick(1, 2), pick(2, 20), pick(3, 9), pick(3, 9));
    resattn_layer *layer = resattn_conv2d_new(b, NULL, in->c * pick(1, 2), 3, pick(1, 2), 1);
    set_int(layer, "groups", in->c);
    return layer;
}

static resattn_layer *make_conv_transpose2d(resattn_builder *b, ref_image *in)
{
    int32_t groups = pick(0, 1) ? 1 : pick(2, 3);
    in->n = pick(1, 3);
    in->c = groups * pick(1, 5);
    resattn_layer *layer = resattn_conv_transpose2d_new(b, NULL, groups * pick(1, 6), 1, 1, 0);
    set_int(layer, "groups", groups);
    set_int(layer, "bias", pick(0, 1));
    set_windows(layer, true, true, false, in);
    return layer;
}

static resattn_layer *make_batch_norm(resattn_builder *b, ref_image *in)
{
    *in = any_shape();
    in->n += in->h * in->w == 1;
    resattn_layer *layer = resattn_batch_norm_new(b, "bn");
    resattn_layer_set_real(layer, "momentum", pick_real(0, 1));
    resattn_layer_set_real(layer, "epsilon", pick(0, 1) ? 1e-5 : 1e-3);
    return layer;
}

static resattn_layer *make_frozen_batch_norm(resattn_builder *b, ref_image *in)
{
    *in = any_shape();
    resattn_layer *layer = resattn_batch_norm_new(b, NULL);
    set_int(layer, "frozen", 1);
    return layer;
}

/* Where pooling rounds up, the input may be smaller than the first window, by less than a stride. */
static int32_t smaller(const resattn_layer *layer, const char *stride_name, int32_t size)
{
    int64_t stride = 1;
    resattn_layer_get_int(layer, stride_name, &stride);
    int32_t less = pick(0, (int32_t)stride - 1);
    return size > less ? size - less : 1;
}

static void set_rounding(resattn_layer *layer, ref_image *in)
{
    int32_t up = pick(0, 1);
    set_int(layer, "ceil_mode", up);
    if (!up)
        return;
    in->h = smaller(layer, "stride_h", in->h);
    in->w = smaller(layer, "stride_w", in->w);
}

static resattn_layer *make_max_pool(resattn_builder *b, ref_image *in)
{
    *in = any_shape();
    resattn_layer *layer = resattn_max_pool_new(b, NULL, 1, 1, 0);
    set_windows(layer, false, false, true, in);
    set_rounding(layer, in);
    return layer;
}

static resattn_layer *make_average_pool(resattn_builder *b, ref_image *in)
{
    *in = any_shape();
    resattn_layer *layer = resattn_average_pool_new(b, NULL, 1, 1, 0);
    set_windows(layer, false, false, true, in);
    set_rounding(layer, in);
    set_int(layer, "count_padding", pick(0, 1));
    return layer;
}

static resattn_layer *make_resize(resattn_builder *b, ref_image *in)
{
    *in = any_shape();
    bool fixed = pick(0, 1);
    resattn_layer *layer = resattn_bilinear_resize_new(b, NULL, fixed ? pick(1, 15) : 0, fixed ? pick(1, 15) : 0);
    if (!fixed)
        resattn_layer_set_real(layer, "factor", pick(0, 2) ? pick_real(1, 3.3) : pick(1, 4));
    set_int(layer, "align_corners", pick(0, 1));
    return layer;
}

static resattn_layer *make_linear(resattn_builder *b, ref_image *in)
{
    *in = image_shape(pick(1, 5), pick(1, 90), 1, 1);
    resattn_layer *layer = resattn_linear_new(b, NULL, pick(1, 40));
    set_int(layer, "bias", pick(0, 2) != 0);
    return layer;
}

static resattn_layer *make_dropout(resattn_builder *b, ref_image *in)
{
    *in = any_shape();
    return resattn_dropout_new(b, NULL, pick(0, 2) ? pick_real(0, 0.9) : 0);
}

static resattn_layer *make_subsample(resattn_builder *b, ref_image *in)
{
    *in = any_shape();
    return resattn_subsample_new(b, NULL, in->c + pick(0, 7), pick(1, 3));
}

static resattn_layer *make_scale(resattn_builder *b, ref_image *in)
{
    *in = any_shape();
    return resattn_scale_new(b, NULL, pick_real(-3, 3));
}

#define MAKE_PLAIN(kind)                                                                                               \
    static resattn_layer *make_##kind(resattn_builder *b, ref_image *in)                                               \
    {                                                                                                                  \
        *in = any_shape();                                                                                             \
        return resattn_##kind##_new(b, NULL);                                                                          \
    }
MAKE_PLAIN(relu)
MAKE_PLAIN(sigmoid)
MAKE_PLAIN(softmax)
MAKE_PLAIN(identity)
MAKE_PLAIN(global_average_pool)
MAKE_PLAIN(channel_norm)
MAKE_PLAIN(instance_norm)

static const struct {
    const char *what;
    make_fn make;
} leaves[] = {
    {"conv2d", make_conv2d},
    {"wide conv2d", make_wide_conv2d},
    {"depthwise conv2d", make_depthwise},
    {"conv_transpose2d", make_conv_transpose2d},
    {"batch_norm", make_batch_norm},
    {"frozen batch_norm", make_frozen_batch_norm},
    {"relu", make_relu},
    {"sigmoid", make_sigmoid},
    {"softmax", make_softmax},
    {"identity", make_identity},
    {"max_pool", make_max_pool},
    {"average_pool", make_average_pool},
    {"global_average_pool", make_global_average_pool},
    {"bilinear_resize", make_resize},
    {"linear", make_linear},
    {"dropout", make_dropout},
    {"subsample", make_subsample},
    {"channel_norm", make_channel_norm},
    {"instance_norm", make_instance_norm},
    {"scale", make_scale},
};

START_TEST(test_leaf)
{
    for (int32_t i = 0; i < 24; i++) {
        trial t;
        trial_begin(&t, context, leaves[_i].what, leaves[_i].make);
        trial_check(&t);
        trial_end(&t);
    }
}
END_TEST

START_TEST(test_leaf_reference)
{
    for (int32_t i = 0; i < 6; i++) {
        trial t;
        trial_begin(&t, context, leaves[_i].what, leaves[_i].make);
        trial_check_reference(&t);
        trial_end(&t);
    }
}
END_TEST

/* ---- dropout ---- */

static float *dropped(resattn_network *network, resattn_session *session, const resattn_tensor *ones)
{
    (void)network;
    ck_assert_msg(resattn_session_forward(session, ones) == RESATTN_OK, "%s", resattn_last_error());
    return read_values(resattn_session_output(session, NULL));
}

START_TEST(test_dropout)
{
    enum { SIDE = 32, CHANNELS = 16, COUNT = 2 * CHANNELS * SIDE * SIDE };
    int64_t in_shape[4] = {2, CHANNELS, SIDE, SIDE};
    resattn_builder *builder = resattn_builder_new(context);
    resattn_layer *layer = resattn_dropout_new(builder, "drop", 0.5);
    resattn_network *network = resattn_network_new(builder, layer, CHANNELS);
    resattn_tensor *ones = resattn_tensor_new(context, RESATTN_F32, 4, in_shape, RESATTN_CHANNELS_LAST);
    resattn_tensor_fill(ones, 1);
    resattn_plan *plan = resattn_plan_new(network, RESATTN_TRAINING, 2, SIDE, SIDE);
    resattn_plan_set_input_gradient(plan, 1);
    resattn_session *session = resattn_session_new(plan);
    for (int32_t i = 0; i < 5; i++) {
        double probability = 0.2 * i; /* changed while a session lives */
        ck_assert_int_eq(resattn_layer_set_real(layer, "probability", probability), RESATTN_OK);
        float *first = dropped(network, session, ones), *second = dropped(network, session, ones);
        resattn_session_set_output_gradient(session, NULL, ones);
        ck_assert_int_eq(resattn_session_backward(session), RESATTN_OK);
        float *gradient = read_values(resattn_session_input_gradient(session));
        int32_t kept = 0, both = 0;
        for (int32_t j = 0; j < COUNT; j++) {
            ck_assert(first[j] == 0 || fabs((double)first[j] - 1 / (1 - probability)) < 1e-6);
            ck_assert(memcmp(&second[j], &gradient[j], sizeof(float)) == 0);
            kept += first[j] != 0;
            both += first[j] != 0 && second[j] != 0;
        }
        /* binomial: within five standard deviations; two steps drop independently */
        double share = 1 - probability, deviation = sqrt(COUNT * share * probability);
        ck_assert_double_le(fabs(kept - COUNT * share), 5 * deviation);
        ck_assert_double_le(fabs(both - COUNT * share * share), 5 * sqrt(COUNT * share * share * (1 - share * share)));
        free(first);
        free(second);
        free(gradient);
    }
    resattn_session_free(session);
    resattn_plan_free(plan);
    resattn_tensor_unref(ones);
    resattn_network_unref(network);
    resattn_builder_free(builder);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("layers");
    TCase *tests = tcase_create("layers");
    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_loop_test(tests, test_leaf_reference, 0, (int)(sizeof leaves / sizeof *leaves));
    tcase_add_loop_test(tests, test_leaf, 0, (int)(sizeof leaves / sizeof *leaves));
    tcase_add_test(tests, test_dropout);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
