/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every public function refuses NULL where a handle must be, and arguments that are wrong by themselves. What is wrong
 * because of the state that something is in: test_wrong_state.c. A function that is missing here is noticed by
 * check_tree.py.
 */
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "wrong.h"

static resattn_context *context;

static void set_up(void)
{
    context = resattn_context_new(1);
}

static void tear_down(void)
{
    resattn_context_unref(context);
}

START_TEST(test_common)
{
    ck_assert_int_eq(resattn_version(), RESATTN_VERSION);
    ck_assert_int_eq(resattn_last_status(), RESATTN_OK);
    ck_assert_str_eq(resattn_last_error(), "");
    for (int32_t status = -14; status <= 1; status++)
        for (int32_t other = -13; other < status && status <= 0; other++)
            ck_assert_str_ne(resattn_status_text((resattn_status)status), resattn_status_text((resattn_status)other));
    ck_assert_ptr_nonnull(resattn_status_text((resattn_status)77));
    resattn_context_set_seed(NULL, 0);
    ck_assert_int_eq(resattn_context_set_seed(context, 0), RESATTN_OK);
    ck_assert_int_eq(resattn_last_status(), INVALID); /* a success leaves the last error as it is */
    resattn_clear_error();
    ck_assert_int_eq(resattn_last_status(), RESATTN_OK);
    REFUSED(INVALID, "message is NULL", resattn_fail(RESATTN_BUSY, NULL));
    REFUSED(INVALID, "status is 0", resattn_fail(RESATTN_OK, "all is well"));
    REFUSED(INVALID, "status is 1", resattn_fail((resattn_status)1, "more than well"));
    REFUSED(INVALID, "status is -14", resattn_fail((resattn_status)-14, "of a later version"));
    REFUSED(RESATTN_HOST_ERROR, "in vain", resattn_fail(RESATTN_HOST_ERROR, "in vain"));
}
END_TEST

static void *give(void *user, size_t size)
{
    (void)user;
    return malloc(size);
}

static void take(void *user, void *memory)
{
    (void)user;
    free(memory);
}

static void run_in_turn(void *user, resattn_task_fn task, void *job, int32_t count)
{
    (void)user;
    for (int32_t i = 0; i < count; i++)
        task(job, i, 0);
}

static void ignore_log(void *user, resattn_log_level level, const char *message)
{
    (void)user;
    (void)level;
    (void)message;
}

START_TEST(test_context)
{
    REFUSED(INVALID, "flags", resattn_process_init(-1));
    REFUSED(INVALID, "flags", resattn_process_init(1 << 20));
    ck_assert_ptr_null(resattn_info(NULL));
    ck_assert_ptr_null(resattn_info("colour"));
    NOTHING(INVALID, "-1", resattn_context_new(-1));
    NOTHING(INVALID, "1025", resattn_context_new(1025));
    NOTHING(INVALID, "NULL", resattn_context_new_with_allocator(1, NULL, take, NULL));
    NOTHING(INVALID, "NULL", resattn_context_new_with_allocator(1, give, NULL, NULL));
    NOTHING(INVALID, "-7", resattn_context_new_with_allocator(-7, give, take, NULL));
    ck_assert_ptr_null(resattn_context_ref(NULL));
    resattn_context_unref(NULL);
    ck_assert_int_eq(resattn_context_threads(NULL), 0);
    ck_assert_uint_eq(resattn_context_seed(NULL), 0);
    REFUSED(INVALID, "NULL", resattn_context_set_log(NULL, ignore_log, NULL, RESATTN_LOG_ERROR));
    REFUSED(INVALID, "9", resattn_context_set_log(context, ignore_log, NULL, (resattn_log_level)9));
    REFUSED(INVALID, "NULL", resattn_context_set_runner(NULL, run_in_turn, NULL, 1));
    REFUSED(INVALID, "1025", resattn_context_set_runner(context, run_in_turn, NULL, 1025));
    REFUSED(INVALID, "0", resattn_context_set_runner(context, run_in_turn, NULL, 0));
    REFUSED(INVALID, "NULL", resattn_context_set_limit(NULL, RESATTN_LIMIT_LAYERS, 1));
    REFUSED(INVALID, "limit is 0, expected 1 to 14", resattn_context_set_limit(context, RESATTN_LIMIT_NONE, 1));
    REFUSED(INVALID, "limit is 15, expected 1 to 14", resattn_context_set_limit(context, (resattn_limit)15, 1));
    REFUSED(INVALID, "limit is -1", resattn_context_set_limit(context, (resattn_limit)-1, 1));
    REFUSED(INVALID, "the limit 'depth' is -1, expected 1 to 200, or 0 for 200",
            resattn_context_set_limit(context, RESATTN_LIMIT_DEPTH, -1));
    REFUSED(INVALID, "the limit 'rank' is 65", resattn_context_set_limit(context, RESATTN_LIMIT_RANK, 65));
    ck_assert_int_eq(resattn_context_limit(NULL, RESATTN_LIMIT_RANK), 0);
    ck_assert_int_eq(resattn_context_limit(context, RESATTN_LIMIT_NONE), 0);
    ck_assert_int_eq(resattn_context_limit(context, (resattn_limit)15), 0);
    ck_assert_int_eq(resattn_context_set_seed(NULL, 1), INVALID);
    ck_assert_ptr_nonnull(strstr(resattn_last_error(), "NULL"));
}
END_TEST

/* ---- tensors ---- */

START_TEST(test_tensor_new)
{
    int64_t shape[5] = {2, 3, 4, 5, 6}, zero[2] = {4, 0}, negative[2] = {-3, 2};
    int64_t huge[4] = {INT64_MAX / 2, 2, 2, 2}, larger[2] = {INT64_MAX, INT64_MAX};
    const resattn_order order = RESATTN_CHANNELS_LAST;
    NOTHING(INVALID, "NULL", resattn_tensor_new(NULL, RESATTN_F32, 4, shape, order));
    NOTHING(INVALID, "NULL", resattn_tensor_new(context, RESATTN_F32, 4, NULL, order));
    NOTHING(INVALID, "7", resattn_tensor_new(context, (resattn_dtype)7, 4, shape, order));
    NOTHING(INVALID, "3", resattn_tensor_new(context, RESATTN_F32, 4, shape, (resattn_order)3));
    NOTHING(INVALID, "5", resattn_tensor_new(context, RESATTN_F32, 5, shape, order));
    NOTHING(INVALID, "0", resattn_tensor_new(context, RESATTN_F32, 0, shape, order));
    NOTHING(INVALID, "0", resattn_tensor_new(context, RESATTN_F32, 2, zero, order));
    NOTHING(INVALID, "-3", resattn_tensor_new(context, RESATTN_F32, 2, negative, order));
    NOTHING(LARGE, "", resattn_tensor_new(context, RESATTN_F32, 4, huge, order));
    NOTHING(LARGE, "", resattn_tensor_new(context, RESATTN_U8, 2, larger, order));
}
END_TEST

START_TEST(test_tensor_wrap)
{
    float memory[64];
    uint8_t pixels[64];
    int64_t shape[4] = {2, 2, 2, 2}, huge[2] = {INT64_MAX, 8}, zero[4] = {2, 0, 2, 2};
    int64_t still[4] = {8, 0, 2, 1}, far[4] = {INT64_MAX, 4, 2, 1};
    const resattn_order order = RESATTN_CHANNELS_FIRST;
    NOTHING(INVALID, "NULL", resattn_tensor_wrap(NULL, RESATTN_F32, 4, shape, order, NULL, memory, NULL, NULL));
    NOTHING(INVALID, "NULL", resattn_tensor_wrap(context, RESATTN_F32, 4, NULL, order, NULL, memory, NULL, NULL));
    NOTHING(INVALID, "NULL", resattn_tensor_wrap(context, RESATTN_F32, 4, shape, order, NULL, NULL, NULL, NULL));
    NOTHING(INVALID, "0", resattn_tensor_wrap(context, RESATTN_F32, 4, zero, order, NULL, memory, NULL, NULL));
    NOTHING(INVALID, "stride", resattn_tensor_wrap(context, RESATTN_F32, 4, shape, order, still, memory, NULL, NULL));
    NOTHING(LARGE, "", resattn_tensor_wrap(context, RESATTN_F32, 2, huge, order, NULL, memory, NULL, NULL));
    NOTHING(LARGE, "", resattn_tensor_wrap(context, RESATTN_F32, 4, shape, order, far, memory, NULL, NULL));
    const resattn_pixel_format rgb = RESATTN_PIXEL_RGB;
    NOTHING(INVALID, "NULL", resattn_tensor_wrap_pixels(NULL, rgb, 2, 4, 12, pixels, NULL, NULL));
    NOTHING(INVALID, "NULL", resattn_tensor_wrap_pixels(context, rgb, 2, 4, 12, NULL, NULL, NULL));
    NOTHING(INVALID, "8", resattn_tensor_wrap_pixels(context, (resattn_pixel_format)8, 2, 4, 12, pixels, NULL, NULL));
    NOTHING(INVALID, "11", resattn_tensor_wrap_pixels(context, rgb, 2, 4, 11, pixels, NULL, NULL));
    NOTHING(INVALID, "-11", resattn_tensor_wrap_pixels(context, rgb, 2, 4, -11, pixels, NULL, NULL));
    NOTHING(INVALID, "15", resattn_tensor_wrap_pixels(context, RESATTN_PIXEL_RGBA, 2, 4, 15, pixels, NULL, NULL));
    NOTHING(INVALID, "0", resattn_tensor_wrap_pixels(context, rgb, 0, 4, 12, pixels, NULL, NULL));
    NOTHING(INVALID, "-2", resattn_tensor_wrap_pixels(context, rgb, 2, -2, 12, pixels, NULL, NULL));
}
END_TEST

START_TEST(test_tensor_view)
{
    int64_t shape[4] = {2, 3, 4, 5}, begin[4] = {0, 1, 0, 0}, before[4] = {0, -1, 0, 0}, far[4] = {INT64_MAX, 0, 0, 0};
    int64_t part[4] = {2, 3, 4, 1}, none[4] = {1, 0, 1, 1};
    resattn_tensor *tensor = resattn_tensor_new(context, RESATTN_F32, 4, shape, RESATTN_CHANNELS_FIRST);
    NOTHING(INVALID, "NULL", resattn_tensor_view(NULL, NULL, part));
    NOTHING(INVALID, "NULL", resattn_tensor_view(tensor, NULL, NULL));
    NOTHING(MISMATCH, "3", resattn_tensor_view(tensor, begin, part));
    NOTHING(MISMATCH, "-1", resattn_tensor_view(tensor, before, part));
    NOTHING(MISMATCH, "", resattn_tensor_view(tensor, far, part));
    wrong_before();
    ck_assert_ptr_null(resattn_tensor_view(tensor, NULL, none));
    ck_assert_ptr_null(resattn_tensor_ref(NULL));
    resattn_tensor_unref(NULL);
    ck_assert_int_eq((int)resattn_tensor_dtype(NULL), 0);
    ck_assert_int_eq(resattn_tensor_rank(NULL), 0);
    ck_assert_int_eq(resattn_tensor_size(NULL, 0), 0);
    ck_assert_int_eq(resattn_tensor_size(tensor, 4), 0);
    ck_assert_int_eq(resattn_tensor_size(tensor, -1), 0);
    ck_assert_int_eq(resattn_tensor_stride(NULL, 0), 0);
    ck_assert_int_eq(resattn_tensor_stride(tensor, 4), 0);
    ck_assert_int_eq(resattn_tensor_elements(NULL), 0);
    ck_assert_ptr_null(resattn_tensor_shape(NULL));
    ck_assert_ptr_null(resattn_tensor_strides(NULL));
    ck_assert_ptr_null(resattn_tensor_data(NULL));
    ck_assert_ptr_null(resattn_tensor_mutable_data(NULL));
    resattn_tensor_unref(tensor);
}
END_TEST

START_TEST(test_tensor_copies)
{
    int64_t shape[4] = {1, 3, 2, 2}, other[4] = {1, 3, 2, 1}, end[4] = {0, 0, 0, 1}, column[4] = {1, 3, 2, 1};
    float buffer[12] = {0};
    uint8_t pixels[24] = {0};
    const float deviation[3] = {1, 0, 1}, infinite[3] = {1, 1, INFINITY};
    resattn_tensor *tensor = resattn_tensor_new(context, RESATTN_F32, 4, shape, RESATTN_CHANNELS_FIRST);
    resattn_tensor *narrow = resattn_tensor_new(context, RESATTN_F32, 4, other, RESATTN_CHANNELS_FIRST);
    resattn_tensor *bytes = resattn_tensor_new(context, RESATTN_U8, 4, shape, RESATTN_CHANNELS_FIRST);
    resattn_tensor *left = resattn_tensor_view(tensor, NULL, column), *right = resattn_tensor_view(tensor, end, column);
    REFUSED(INVALID, "NULL", resattn_tensor_read(NULL, RESATTN_CHANNELS_FIRST, buffer, 12));
    REFUSED(INVALID, "NULL", resattn_tensor_read(tensor, RESATTN_CHANNELS_FIRST, NULL, 12));
    REFUSED(INVALID, "5", resattn_tensor_read(tensor, (resattn_order)5, buffer, 12));
    REFUSED(MISMATCH, "11", resattn_tensor_read(tensor, RESATTN_CHANNELS_FIRST, buffer, 11));
    REFUSED(INVALID, "NULL", resattn_tensor_write(NULL, RESATTN_CHANNELS_FIRST, buffer, 12));
    REFUSED(INVALID, "NULL", resattn_tensor_write(tensor, RESATTN_CHANNELS_FIRST, NULL, 12));
    REFUSED(INVALID, "0", resattn_tensor_write(tensor, (resattn_order)0, buffer, 12));
    REFUSED(MISMATCH, "13", resattn_tensor_write(tensor, RESATTN_CHANNELS_FIRST, buffer, 13));
    REFUSED(INVALID, "NULL", resattn_tensor_copy(NULL, tensor));
    REFUSED(INVALID, "NULL", resattn_tensor_copy(tensor, NULL));
    REFUSED(MISMATCH, "", resattn_tensor_copy(tensor, narrow));
    REFUSED(MISMATCH, "", resattn_tensor_copy(tensor, bytes));
    REFUSED(INVALID, "overlap", resattn_tensor_copy(tensor, tensor));
    REFUSED(INVALID, "overlap", resattn_tensor_copy(left, right));
    REFUSED(INVALID, "NULL", resattn_tensor_fill(NULL, 0));
    REFUSED(INVALID, "", resattn_tensor_fill(bytes, 0));
    const resattn_pixel_format rgb = RESATTN_PIXEL_RGB;
    REFUSED(INVALID, "NULL", resattn_tensor_set_pixels(NULL, 0, rgb, 2, 2, 6, pixels, NULL, NULL));
    REFUSED(INVALID, "NULL", resattn_tensor_set_pixels(tensor, 0, rgb, 2, 2, 6, NULL, NULL, NULL));
    REFUSED(INVALID, "1", resattn_tensor_set_pixels(tensor, 1, rgb, 2, 2, 6, pixels, NULL, NULL));
    REFUSED(INVALID, "-1", resattn_tensor_set_pixels(tensor, -1, rgb, 2, 2, 6, pixels, NULL, NULL));
    REFUSED(INVALID, "5", resattn_tensor_set_pixels(tensor, 0, rgb, 2, 2, 5, pixels, NULL, NULL));
    REFUSED(INVALID, "deviation", resattn_tensor_set_pixels(tensor, 0, rgb, 2, 2, 6, pixels, NULL, deviation));
    REFUSED(INVALID, "deviation", resattn_tensor_set_pixels(tensor, 0, rgb, 2, 2, 6, pixels, NULL, infinite));
    REFUSED(MISMATCH, "", resattn_tensor_set_pixels(tensor, 0, rgb, 2, 3, 9, pixels, NULL, NULL));
    resattn_tensor_unref(left);
    resattn_tensor_unref(right);
    resattn_tensor_unref(bytes);
    resattn_tensor_unref(narrow);
    resattn_tensor_unref(tensor);
}
END_TEST

/* ---- layers ---- */

START_TEST(test_layers_without_builder)
{
    NOTHING(INVALID, "NULL", resattn_builder_new(NULL));
    resattn_builder_free(NULL);
    ck_assert_int_ne(resattn_builder_status(NULL), RESATTN_OK);
    ck_assert_ptr_nonnull(resattn_builder_error(NULL));
    ck_assert_ptr_null(resattn_builder_context(NULL));
    REFUSED(INVALID, "builder", resattn_builder_fail(NULL, RESATTN_NOT_FOUND, "a"));
    NOTHING(INVALID, "builder", resattn_conv2d_new(NULL, "a", 1, 1, 1, 0));
    NOTHING(INVALID, "builder", resattn_conv_transpose2d_new(NULL, "a", 1, 1, 1, 0));
    NOTHING(INVALID, "builder", resattn_batch_norm_new(NULL, "a"));
    NOTHING(INVALID, "builder", resattn_relu_new(NULL, "a"));
    NOTHING(INVALID, "builder", resattn_sigmoid_new(NULL, "a"));
    NOTHING(INVALID, "builder", resattn_softmax_new(NULL, "a"));
    NOTHING(INVALID, "builder", resattn_identity_new(NULL, "a"));
    NOTHING(INVALID, "builder", resattn_max_pool_new(NULL, "a", 2, 2, 0));
    NOTHING(INVALID, "builder", resattn_average_pool_new(NULL, "a", 2, 2, 0));
    NOTHING(INVALID, "builder", resattn_global_average_pool_new(NULL, "a"));
    NOTHING(INVALID, "builder", resattn_bilinear_resize_new(NULL, "a", 2, 2));
    NOTHING(INVALID, "builder", resattn_linear_new(NULL, "a", 2));
    NOTHING(INVALID, "builder", resattn_dropout_new(NULL, "a", 0.5));
    NOTHING(INVALID, "builder", resattn_subsample_new(NULL, "a", 2, 2));
    NOTHING(INVALID, "builder", resattn_channel_norm_new(NULL, "a"));
    NOTHING(INVALID, "builder", resattn_instance_norm_new(NULL, "a"));
    NOTHING(INVALID, "builder", resattn_scale_new(NULL, "a", 2));
    NOTHING(INVALID, "builder", resattn_sequential_new(NULL, "a"));
    NOTHING(INVALID, "builder", resattn_sum_new(NULL, "a"));
    NOTHING(INVALID, "builder", resattn_concat_new(NULL, "a"));
    NOTHING(INVALID, "builder", resattn_residual_new(NULL, "a", NULL, NULL));
    NOTHING(INVALID, "builder", resattn_down_up_new(NULL, "a", NULL, NULL, NULL));
    NOTHING(INVALID, "builder", resattn_attention_new(NULL, "a"));
    NOTHING(INVALID, "builder", resattn_model_new(NULL, "attention56", 10));
}
END_TEST

START_TEST(test_layers_null)
{
    double real;
    int64_t value;
    REFUSED(INVALID, "NULL", resattn_layer_add(NULL, NULL));
    REFUSED(INVALID, "NULL", resattn_attention_set_trunk(NULL, NULL));
    REFUSED(INVALID, "NULL", resattn_attention_set_mask(NULL, NULL));
    REFUSED(INVALID, "NULL", resattn_attention_set_learning(NULL, RESATTN_LEARNING_NAIVE));
    REFUSED(INVALID, "NULL", resattn_attention_set_activation(NULL, RESATTN_ACTIVATION_IDENTITY));
    ck_assert_int_eq((int)resattn_attention_learning(NULL), 0);
    ck_assert_int_eq((int)resattn_attention_activation(NULL), 0);
    ck_assert_ptr_null(resattn_attention_layer(NULL));
    ck_assert_ptr_null(resattn_attention_mask_name(NULL));
    ck_assert_ptr_null(resattn_attention_trunk_name(NULL));
    REFUSED(INVALID, "NULL", resattn_layer_set_int(NULL, "bias", 1));
    REFUSED(INVALID, "NULL", resattn_layer_set_real(NULL, "epsilon", 1));
    REFUSED(INVALID, "NULL", resattn_layer_get_int(NULL, "bias", &value));
    REFUSED(INVALID, "NULL", resattn_layer_get_real(NULL, "epsilon", &real));
    ck_assert_int_eq(resattn_layer_attribute_count(NULL), 0);
    ck_assert_ptr_null(resattn_layer_attribute_name(NULL, 0));
    ck_assert_int_eq((int)resattn_layer_attribute_type(NULL, 0), 0);
    REFUSED(INVALID, "NULL", resattn_layer_attribute_range(NULL, 0, &real, &real, &real));
    REFUSED(INVALID, "NULL", resattn_layer_set_path(NULL, "a"));
    ck_assert_ptr_null(resattn_layer_kind(NULL));
    ck_assert_ptr_null(resattn_layer_name(NULL));
    ck_assert_ptr_null(resattn_layer_path(NULL));
    ck_assert_int_eq(resattn_layer_in_channels(NULL), 0);
    ck_assert_int_eq(resattn_layer_out_channels(NULL), 0);
    ck_assert_int_eq(resattn_layer_child_count(NULL), 0);
    ck_assert_ptr_null(resattn_layer_child(NULL, 0));
    ck_assert_ptr_null(resattn_layer_attention(NULL));
    ck_assert_ptr_null(resattn_layer_parent(NULL));
    ck_assert_int_eq(resattn_layer_parameter_count(NULL), 0);
    ck_assert_int_eq(resattn_layer_parameter(NULL, 0), -1);
    ck_assert_int_eq(resattn_layer_attribute_is_mutable(NULL, 0), 0);
    ck_assert_ptr_null(resattn_attention_trunk(NULL));
    ck_assert_ptr_null(resattn_attention_mask(NULL));
}
END_TEST

START_TEST(test_layer_arguments)
{
    UNMADE(INVALID, "c1: out_channels is 0", resattn_conv2d_new(b, "c1", 0, 3, 1, 1));
    UNMADE(INVALID, "c1: kernel_h is -3", resattn_conv2d_new(b, "c1", 8, -3, 1, 1));
    UNMADE(INVALID, "c1: stride_h is 0", resattn_conv2d_new(b, "c1", 8, 3, 0, 1));
    UNMADE(INVALID, "c1: pad_top is -1", resattn_conv2d_new(b, "c1", 8, 3, 1, -1));
    UNMADE(INVALID, "c1: out_channels is 2147483647", resattn_conv2d_new(b, "c1", INT_MAX, 3, 1, 1));
    UNMADE(INVALID, "u: stride_h is 0", resattn_conv_transpose2d_new(b, "u", 8, 3, 0, 1));
    UNMADE(INVALID, "p: kernel_h is 0", resattn_max_pool_new(b, "p", 0, 2, 0));
    UNMADE(INVALID, "r: height is -1", resattn_bilinear_resize_new(b, "r", -1, 4));
    UNMADE(INVALID, "fc: out_features is 0", resattn_linear_new(b, "fc", 0));
    UNMADE(INVALID, "d: probability is 1", resattn_dropout_new(b, "d", 1));
    UNMADE(INVALID, "d: probability is -0.1", resattn_dropout_new(b, "d", -0.1));
    UNMADE(INVALID, "d: probability is", resattn_dropout_new(b, "d", NAN));
    UNMADE(INVALID, "s: stride is 0", resattn_subsample_new(b, "s", 8, 0));
    UNMADE(INVALID, "x: factor is", resattn_scale_new(b, "x", INFINITY));
    UNMADE(INVALID, "NULL", resattn_residual_new(b, "unit", NULL, NULL));
    UNMADE(INVALID, "NULL", resattn_down_up_new(b, "du", resattn_relu_new(b, NULL), NULL, resattn_relu_new(b, NULL)));
    UNMADE(ABSENT, "attention5", resattn_model_new(b, "attention5", 10));
    UNMADE(INVALID, "0", resattn_model_new(b, resattn_model_name(0), 0));
    UNMADE(INVALID, "NULL", resattn_model_new(b, NULL, 10));
    ck_assert_ptr_null(resattn_model_name(-1));
    ck_assert_ptr_null(resattn_model_name(resattn_model_count()));
    ck_assert_int_eq(resattn_model_input_size(NULL), 0);
    ck_assert_int_eq(resattn_model_input_size("attention5"), 0);
}
END_TEST

/* More in test_models_config.c. */
START_TEST(test_model_config)
{
    int64_t value = 0;
    NOTHING(INVALID, "NULL", resattn_model_config_new(NULL, "attention-56"));
    NOTHING(INVALID, "NULL", resattn_model_config_new(context, NULL));
    NOTHING(ABSENT, "attention5", resattn_model_config_new(context, "attention5"));
    resattn_model_config_free(NULL);
    resattn_model_config *config = resattn_model_config_new(context, "attention-56");
    REFUSED(INVALID, "NULL", resattn_model_config_set_int(NULL, "p", 1));
    REFUSED(INVALID, "NULL", resattn_model_config_set_int(config, NULL, 1));
    REFUSED(INVALID, "NULL", resattn_model_config_get_int(NULL, "p", &value));
    REFUSED(INVALID, "NULL", resattn_model_config_get_int(config, "p", NULL));
    ck_assert_int_eq(resattn_model_config_setting_count(NULL), 0);
    ck_assert_ptr_null(resattn_model_config_setting_name(NULL, 0));
    ck_assert_ptr_null(resattn_model_config_setting_name(config, -1));
    REFUSED(INVALID, "NULL", resattn_model_config_setting_range(NULL, 0, &value, &value));
    REFUSED(INVALID, "NULL", resattn_model_config_setting_range(config, 0, NULL, &value));
    REFUSED(INVALID, "NULL", resattn_model_config_setting_range(config, 0, &value, NULL));
    REFUSED(INVALID, "setting -1", resattn_model_config_setting_range(config, -1, &value, &value));
    NOTHING(INVALID, "builder", resattn_model_config_build(config, NULL, 10));
    UNMADE(INVALID, "NULL", resattn_model_config_build(NULL, b, 10));
    resattn_model_config_free(config);
}
END_TEST

START_TEST(test_names)
{
    static const char *const bad[] = {"", ".a", "a.", "a\nb", "tab\t", "\x7f", "a..b"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        UNMADE(INVALID, "relu", resattn_relu_new(b, bad[i]));
        resattn_builder *builder = resattn_builder_new(context);
        resattn_layer *layer = resattn_relu_new(builder, "fine");
        REFUSED(INVALID, "relu", resattn_layer_set_path(layer, bad[i]));
        NOTHING(INVALID, "relu", resattn_network_new(builder, layer, 1));
        resattn_builder_free(builder);
    }
    char endless[70000];
    memset(endless, 'n', sizeof endless - 1);
    endless[sizeof endless - 1] = '\0';
    UNMADE(INVALID, "relu", resattn_relu_new(b, endless));
    UNBUILDABLE(INVALID, "NULL", 1, (resattn_layer_set_path(resattn_relu_new(b, "x"), NULL), resattn_relu_new(b, "y")));
}
END_TEST

/* ---- networks, sessions, training, blobs without a handle ---- */

START_TEST(test_network_null)
{
    NOTHING(INVALID, "NULL", resattn_network_new(NULL, NULL, 3));
    NOTHING(INVALID, "NULL", resattn_network_new_zeroed(NULL, NULL, 3));
    ck_assert_ptr_null(resattn_network_ref(NULL));
    resattn_network_unref(NULL);
    NOTHING(INVALID, "NULL", resattn_network_copy(NULL));
    REFUSED(INVALID, "NULL", resattn_network_initialize(NULL, 0));
    ck_assert_ptr_null(resattn_network_context(NULL));
    ck_assert_ptr_null(resattn_network_root(NULL));
    ck_assert_int_eq(resattn_network_in_channels(NULL), 0);
    ck_assert_int_eq(resattn_network_out_channels(NULL), 0);
    ck_assert_ptr_null(resattn_network_layer(NULL, "a"));
    ck_assert_int_eq(resattn_network_attention_count(NULL), 0);
    ck_assert_ptr_null(resattn_network_attention(NULL, 0));
    ck_assert_int_eq(resattn_network_parameter_count(NULL), 0);
    ck_assert_ptr_null(resattn_network_parameter_name(NULL, 0));
    ck_assert_int_eq((int)resattn_network_parameter_kind(NULL, 0), 0);
    ck_assert_int_eq(resattn_network_find_parameter(NULL, "a.weight"), -1);
    NOTHING(INVALID, "NULL", resattn_network_parameter(NULL, 0));
    NOTHING(INVALID, "NULL", resattn_network_parameter_gradient(NULL, 0));
    ck_assert_int_eq(resattn_network_trainable_values(NULL), 0);
    REFUSED(INVALID, "NULL", resattn_network_touch(NULL));
    const char *const names[1] = {"cat"};
    const float one[1] = {1};
    REFUSED(INVALID, "NULL", resattn_network_set_classes(NULL, names, 1));
    ck_assert_ptr_null(resattn_network_class_name(NULL, 0));
    ck_assert_int_eq(resattn_network_class_count(NULL), 0);
    REFUSED(INVALID, "NULL", resattn_network_set_input_size(NULL, 1, 1));
    ck_assert_int_eq(resattn_network_input_height(NULL), 0);
    ck_assert_int_eq(resattn_network_input_width(NULL), 0);
    REFUSED(INVALID, "NULL", resattn_network_set_normalization(NULL, one, one, 1));
    ck_assert(resattn_network_mean(NULL, 0) == 0);
    ck_assert(resattn_network_deviation(NULL, 0) == 0);
    REFUSED(INVALID, "NULL", resattn_network_set_text(NULL, "name", "x"));
    ck_assert_ptr_null(resattn_network_text(NULL, "name"));
    ck_assert_ptr_null(resattn_network_text_key(NULL, 0));
    ck_assert_int_eq(resattn_network_text_count(NULL), 0);
    REFUSED(INVALID, "NULL", resattn_network_seal(NULL));
    ck_assert_int_eq(resattn_network_is_sealed(NULL), 0);
    REFUSED(INVALID, "NULL", resattn_network_set_storage(NULL, RESATTN_F16));
    ck_assert_int_eq((int)resattn_network_storage(NULL), 0);
}
END_TEST

START_TEST(test_session_null)
{
    int32_t label = 0;
    double real;
    NOTHING(INVALID, "NULL", resattn_plan_new(NULL, RESATTN_INFERENCE, 1, 8, 8));
    resattn_plan_free(NULL);
    REFUSED(INVALID, "NULL", resattn_plan_add_output(NULL, "a"));
    REFUSED(INVALID, "NULL", resattn_plan_set_input_gradient(NULL, 1));
    REFUSED(INVALID, "NULL", resattn_plan_set_convolution(NULL, RESATTN_CONVOLUTION_FASTEST));
    REFUSED(INVALID, "NULL", resattn_plan_set_recomputation(NULL, 1));
    ck_assert_ptr_null(resattn_plan_network(NULL));
    ck_assert_int_eq((int)resattn_plan_purpose(NULL), RESATTN_PURPOSE_NONE);
    ck_assert_int_eq(resattn_plan_batch(NULL), 0);
    ck_assert_int_eq(resattn_plan_height(NULL), 0);
    ck_assert_int_eq(resattn_plan_width(NULL), 0);
    ck_assert_int_eq(resattn_plan_input_gradient(NULL), 0);
    ck_assert_int_eq(resattn_plan_recomputation(NULL), 0);
    ck_assert_int_eq((int)resattn_plan_convolution(NULL), RESATTN_CONVOLUTION_NONE);
    ck_assert_int_eq(resattn_plan_memory(NULL), -1);
    ck_assert_int_eq(resattn_plan_multiply_adds(NULL), -1);
    REFUSED(INVALID, "NULL", resattn_plan_layer_size(NULL, NULL, NULL, NULL));
    ck_assert_int_eq(resattn_plan_layer_multiply_adds(NULL, NULL), -1);
    NOTHING(INVALID, "NULL", resattn_session_new(NULL));
    resattn_session_free(NULL);
    ck_assert_ptr_null(resattn_session_network(NULL));
    ck_assert_int_eq((int)resattn_session_purpose(NULL), RESATTN_PURPOSE_NONE);
    ck_assert_int_eq(resattn_session_batch(NULL), 0);
    ck_assert_int_eq(resattn_session_height(NULL), 0);
    ck_assert_int_eq(resattn_session_width(NULL), 0);
    ck_assert_int_eq(resattn_session_output_count(NULL), 0);
    ck_assert_ptr_null(resattn_session_output_name(NULL, 0));
    ck_assert_int_eq(resattn_session_accumulate(NULL), 0);
    ck_assert_int_eq(resattn_session_profiling(NULL), 0);
    REFUSED(INVALID, "NULL", resattn_session_forward(NULL, NULL));
    NOTHING(INVALID, "NULL", resattn_session_output(NULL, NULL));
    REFUSED(INVALID, "NULL", resattn_session_set_output_gradient(NULL, NULL, NULL));
    REFUSED(INVALID, "NULL", resattn_session_add_output_gradient(NULL, NULL, NULL));
    REFUSED(INVALID, "NULL", resattn_session_backward(NULL));
    REFUSED(INVALID, "NULL", resattn_session_set_accumulate(NULL, 1));
    NOTHING(INVALID, "NULL", resattn_session_input_gradient(NULL));
    REFUSED(INVALID, "NULL", resattn_session_refresh(NULL));
    REFUSED(INVALID, "NULL", resattn_session_set_profiling(NULL, 1));
    REFUSED(INVALID, "NULL", resattn_session_set_statistics(NULL, RESATTN_STATISTICS_MEAN));
    ck_assert_int_eq(resattn_session_step_count(NULL), -1);
    REFUSED(INVALID, "NULL", resattn_session_set_step_count(NULL, 1));
    ck_assert_uint_eq(resattn_session_seed(NULL), 0);
    REFUSED(INVALID, "NULL", resattn_session_set_seed(NULL, 1));
    ck_assert_int_eq(resattn_session_operation_count(NULL), 0);
    NOTHING(INVALID, "NULL", resattn_session_operation_name(NULL, 0));
    NOTHING(INVALID, "NULL", resattn_session_operation_kind(NULL, 0));
    NOTHING(INVALID, "NULL", resattn_session_operation_kernel(NULL, 0));
    ck_assert_int_eq(resattn_session_operation_multiply_adds(NULL, 0), -1);
    ck_assert_double_eq(resattn_session_operation_seconds(NULL, 0), -1);
    ck_assert_double_eq(resattn_context_peak(NULL), -1);
    REFUSED(INVALID, "NULL", resattn_softmax_cross_entropy(NULL, &label, 1, &real, NULL));
    NOTHING(INVALID, "NULL", resattn_cross_entropy_new(NULL));
    resattn_cross_entropy_free(NULL);
    REFUSED(INVALID, "NULL", resattn_cross_entropy_set_real(NULL, "label_smoothing", 0));
    REFUSED(INVALID, "NULL", resattn_cross_entropy_get_real(NULL, "label_smoothing", &real));
    REFUSED(INVALID, "NULL", resattn_cross_entropy_set_class_weights(NULL, NULL, 0));
    REFUSED(INVALID, "NULL", resattn_cross_entropy_apply(NULL, NULL, NULL, &label, 1, &real, NULL));
    NOTHING(INVALID, "NULL", resattn_sgd_new(NULL, 0.1));
    NOTHING(INVALID, "NULL", resattn_adamw_new(NULL, 0.1));
    resattn_optimizer_free(NULL);
    ck_assert_ptr_null(resattn_optimizer_kind(NULL));
    ck_assert_ptr_null(resattn_optimizer_network(NULL));
    ck_assert_int_eq(resattn_optimizer_attribute_count(NULL), 0);
    ck_assert_ptr_null(resattn_optimizer_attribute_name(NULL, 0));
    REFUSED(INVALID, "NULL", resattn_optimizer_attribute_range(NULL, 0, &real, &real, &real));
    REFUSED(INVALID, "NULL", resattn_optimizer_get_factor(NULL, 0, "rate", &real));
    ck_assert_int_eq(resattn_optimizer_is_frozen(NULL, 0), 0);
    REFUSED(INVALID, "NULL", resattn_optimizer_set_real(NULL, "rate", 1));
    REFUSED(INVALID, "NULL", resattn_optimizer_get_real(NULL, "rate", &real));
    REFUSED(INVALID, "NULL", resattn_optimizer_set_factor(NULL, "", "rate", 1));
    REFUSED(INVALID, "NULL", resattn_optimizer_freeze(NULL, "", 1));
    REFUSED(INVALID, "frozen is 2", resattn_optimizer_freeze(NULL, "", 2));
    REFUSED(INVALID, "NULL", resattn_optimizer_step(NULL));
    ck_assert(isnan(resattn_optimizer_gradient_norm(NULL)));
    NOTHING(INVALID, "NULL", resattn_ema_new(NULL, 0.9));
    resattn_ema_free(NULL);
    ck_assert_ptr_null(resattn_ema_network(NULL));
    ck_assert(isnan(resattn_ema_decay(NULL)));
    REFUSED(INVALID, "NULL", resattn_ema_update(NULL));
    REFUSED(INVALID, "NULL", resattn_ema_swap(NULL));
    REFUSED(INVALID, "optimizer is NULL", resattn_checkpoint_save(NULL, NULL, "never.resattn", 6));
    REFUSED(INVALID, "optimizer is NULL", resattn_checkpoint_save_buffer(NULL, NULL, 6, NULL, NULL));
    REFUSED(INVALID, "optimizer is NULL", resattn_checkpoint_save_stream(NULL, NULL, 6, NULL, NULL));
    REFUSED(INVALID, "optimizer is NULL", resattn_checkpoint_restore(NULL, NULL, "never.resattn"));
    REFUSED(INVALID, "optimizer is NULL", resattn_checkpoint_restore_buffer(NULL, NULL, NULL, 0));
    REFUSED(INVALID, "optimizer is NULL", resattn_checkpoint_restore_stream(NULL, NULL, NULL, NULL));
    REFUSED(INVALID, "context is NULL", resattn_checkpoint_load(NULL, "never.resattn", NULL, NULL, NULL));
    REFUSED(INVALID, "path is NULL", resattn_checkpoint_load(context, NULL, NULL, NULL, NULL));
    REFUSED(INVALID, "context is NULL", resattn_checkpoint_load_buffer(NULL, &label, 4, NULL, NULL, NULL));
    REFUSED(INVALID, "buffer is NULL", resattn_checkpoint_load_buffer(context, NULL, 4, NULL, NULL, NULL));
    REFUSED(INVALID, "context is NULL", resattn_checkpoint_load_stream(NULL, NULL, NULL, NULL, NULL, NULL));
    REFUSED(INVALID, "callback is NULL", resattn_checkpoint_load_stream(context, NULL, NULL, NULL, NULL, NULL));
}
END_TEST

START_TEST(test_mask_losses)
{
    double weight = 0;
    resattn_mask_loss *loss = resattn_mask_loss_new(context, RESATTN_MASK_LOSS_SQUARED);
    NOTHING(INVALID, "NULL", resattn_mask_loss_new(NULL, RESATTN_MASK_LOSS_DICE));
    NOTHING(INVALID, "kind is 4", resattn_mask_loss_new(context, (resattn_mask_loss_kind)4));
    NOTHING(INVALID, "kind is 0", resattn_mask_loss_new(context, (resattn_mask_loss_kind)0));
    ck_assert_int_eq((int)resattn_mask_loss_get_kind(NULL), RESATTN_MASK_LOSS_NONE);
    REFUSED(INVALID, "NULL", resattn_mask_loss_set_real(NULL, "weight", 1));
    REFUSED(INVALID, "attribute is NULL", resattn_mask_loss_set_real(loss, NULL, 1));
    REFUSED(INVALID, "weight is -1, expected 0 to 1e+06", resattn_mask_loss_set_real(loss, "weight", -1));
    REFUSED(INVALID, "weight is nan", resattn_mask_loss_set_real(loss, "weight", NAN));
    REFUSED(ABSENT, "\"rate\", expected weight", resattn_mask_loss_set_real(loss, "rate", 1));
    REFUSED(INVALID, "NULL", resattn_mask_loss_get_real(NULL, "weight", &weight));
    REFUSED(INVALID, "value is NULL", resattn_mask_loss_get_real(loss, "weight", NULL));
    REFUSED(INVALID, "NULL", resattn_mask_loss_apply(NULL, NULL, NULL, NULL, NULL, NULL));
    ck_assert_int_eq(resattn_mask_loss_get_real(loss, "weight", &weight), RESATTN_OK);
    ck_assert_double_eq(weight, 1);
    resattn_mask_loss_free(loss);
    resattn_mask_loss_free(NULL);
}
END_TEST

START_TEST(test_schedules)
{
    const int64_t milestones[2] = {10, 20}, descending[2] = {20, 10}, negative[2] = {-1, 10};
    NOTHING(INVALID, "NULL", resattn_step_schedule_new(NULL, 0.1, 0.1, milestones, 2));
    NOTHING(INVALID, "NULL", resattn_step_schedule_new(context, 0.1, 0.1, NULL, 2));
    NOTHING(INVALID, "-1", resattn_step_schedule_new(context, 0.1, 0.1, milestones, -1));
    NOTHING(INVALID, "10", resattn_step_schedule_new(context, 0.1, 0.1, descending, 2));
    NOTHING(INVALID, "-1", resattn_step_schedule_new(context, 0.1, 0.1, negative, 2));
    NOTHING(INVALID, "rate", resattn_step_schedule_new(context, NAN, 0.1, milestones, 2));
    NOTHING(INVALID, "rate", resattn_step_schedule_new(context, -0.5, 0.1, milestones, 2));
    NOTHING(INVALID, "NULL", resattn_cosine_schedule_new(NULL, 0.1, 0, 5, 10));
    NOTHING(INVALID, "0", resattn_cosine_schedule_new(context, 0.1, 0, 0, 0));
    NOTHING(INVALID, "11", resattn_cosine_schedule_new(context, 0.1, 0, 11, 10));
    NOTHING(INVALID, "-1", resattn_cosine_schedule_new(context, 0.1, 0, -1, 10));
    NOTHING(INVALID, "NULL", resattn_one_cycle_schedule_new(NULL, 0.1, 0.3, 10));
    NOTHING(INVALID, "1.5", resattn_one_cycle_schedule_new(context, 0.1, 1.5, 10));
    NOTHING(INVALID, "-0.5", resattn_one_cycle_schedule_new(context, 0.1, -0.5, 10));
    NOTHING(INVALID, "0", resattn_one_cycle_schedule_new(context, 0.1, 0.5, 0));
    resattn_schedule_free(NULL);
    ck_assert(isnan(resattn_schedule_rate(NULL, 0)));
    resattn_schedule *schedule = resattn_cosine_schedule_new(context, 0.1, 0, 2, 10);
    ck_assert(isnan(resattn_schedule_rate(schedule, -1)));
    ck_assert(!isnan(resattn_schedule_rate(schedule, INT64_MAX)));
    REFUSED(INVALID, "NULL", resattn_schedule_set_warm_up(NULL, 1));
    REFUSED(INVALID, "-1", resattn_schedule_set_warm_up(schedule, -1));
    REFUSED(INVALID, "9223372036854775807", resattn_schedule_set_warm_up(schedule, INT64_MAX));
    resattn_schedule_free(schedule);
}
END_TEST

static int32_t write_nothing(void *user, const void *bytes, size_t size)
{
    (void)user;
    (void)bytes;
    (void)size;
    return 1;
}

static int64_t read_failure(void *user, void *bytes, size_t size)
{
    (void)user;
    (void)bytes;
    (void)size;
    return -1;
}

static int64_t read_too_much(void *user, void *bytes, size_t size)
{
    (void)user;
    memset(bytes, 0, size);
    return (int64_t)size + 1;
}

START_TEST(test_blobs)
{
    const char *text = "this is a text and not a blob, however long it goes on: it has no magic number at its start";
    void *bytes;
    size_t size;
    REFUSED(INVALID, "NULL", resattn_network_save(NULL, "/tmp/x", 6));
    REFUSED(INVALID, "NULL", resattn_network_save_buffer(NULL, 6, &bytes, &size));
    REFUSED(INVALID, "NULL", resattn_network_save_stream(NULL, 6, write_nothing, NULL));
    resattn_buffer_free(NULL);
    NOTHING(INVALID, "NULL", resattn_network_load(NULL, "/tmp/x"));
    NOTHING(INVALID, "NULL", resattn_network_load(context, NULL));
    NOTHING(ABSENT, "/no/such/file", resattn_network_load(context, "/no/such/file"));
    NOTHING(INVALID, "NULL", resattn_network_load_buffer(NULL, text, 10));
    NOTHING(INVALID, "NULL", resattn_network_load_buffer(context, NULL, 10));
    NOTHING(RESATTN_BAD_FORMAT, "", resattn_network_load_buffer(context, text, strlen(text)));
    NOTHING(RESATTN_BAD_FORMAT, "", resattn_network_load_buffer(context, text, 0));
    NOTHING(INVALID, "NULL", resattn_network_load_stream(NULL, read_failure, NULL));
    NOTHING(INVALID, "NULL", resattn_network_load_stream(context, NULL, NULL));
    NOTHING(RESATTN_IO_ERROR, "", resattn_network_load_stream(context, read_failure, NULL));
    NOTHING(RESATTN_IO_ERROR, "", resattn_network_load_stream(context, read_too_much, NULL));
}
END_TEST

START_TEST(test_probes)
{
    const char *text = "neither a blob nor weights";
    NOTHING(INVALID, "NULL", resattn_probe_new(NULL, "/tmp/x"));
    NOTHING(INVALID, "NULL", resattn_probe_new(context, NULL));
    NOTHING(ABSENT, "/no/such/file", resattn_probe_new(context, "/no/such/file"));
    NOTHING(INVALID, "NULL", resattn_probe_new_buffer(NULL, text, 10));
    NOTHING(INVALID, "NULL", resattn_probe_new_buffer(context, NULL, 10));
    NOTHING(RESATTN_BAD_FORMAT, "neither", resattn_probe_new_buffer(context, text, strlen(text)));
    NOTHING(RESATTN_BAD_FORMAT, "truncated", resattn_probe_new_buffer(context, text, 0));
    NOTHING(INVALID, "NULL", resattn_probe_new_stream(NULL, read_failure, NULL));
    NOTHING(INVALID, "NULL", resattn_probe_new_stream(context, NULL, NULL));
    NOTHING(RESATTN_IO_ERROR, "", resattn_probe_new_stream(context, read_failure, NULL));
    NOTHING(RESATTN_IO_ERROR, "", resattn_probe_new_stream(context, read_too_much, NULL));
    resattn_probe_free(NULL);
    ck_assert_int_eq((int)resattn_probe_format(NULL), RESATTN_FORMAT_NONE);
    ck_assert_int_eq(resattn_probe_number(NULL, RESATTN_PROBE_LAYERS), 0);
    ck_assert_ptr_null(resattn_probe_optimizer(NULL));
    ck_assert_ptr_null(resattn_probe_text(NULL, "name"));
    ck_assert_ptr_null(resattn_probe_text_key(NULL, 0));
    ck_assert_ptr_null(resattn_probe_class_name(NULL, 0));
    ck_assert_ptr_null(resattn_probe_tensor_name(NULL, 0));
    ck_assert_int_eq(resattn_probe_tensor_rank(NULL, 0), 0);
    ck_assert_int_eq(resattn_probe_tensor_size(NULL, 0, 0), 0);
}
END_TEST

static resattn_status run_nothing(void *user, const resattn_layer *layer, resattn_custom_run *run)
{
    (void)user;
    (void)layer;
    (void)run;
    return RESATTN_OK;
}

/* More in test_custom.c. */
START_TEST(test_custom)
{
    const int64_t shape[1] = {3};
    int32_t sizes[4];
    NOTHING(INVALID, "context is NULL", resattn_custom_new(NULL, "x-a", run_nothing, NULL, NULL));
    NOTHING(INVALID, "name is NULL", resattn_custom_new(context, NULL, run_nothing, NULL, NULL));
    NOTHING(INVALID, "forward callback is NULL", resattn_custom_new(context, "x-a", NULL, NULL, NULL));
    resattn_custom *kind = resattn_custom_new(context, "x-a", run_nothing, NULL, NULL);
    REFUSED(INVALID, "NULL", resattn_custom_set_backward(NULL, run_nothing, 0));
    REFUSED(INVALID, "NULL", resattn_custom_set_backward(kind, NULL, 0));
    REFUSED(INVALID, "reads is 4", resattn_custom_set_backward(kind, run_nothing, 4));
    REFUSED(INVALID, "reads is -1", resattn_custom_set_backward(kind, run_nothing, -1));
    REFUSED(INVALID, "NULL", resattn_custom_set_shape(NULL, NULL, NULL));
    REFUSED(INVALID, "NULL", resattn_custom_set_cost(NULL, NULL, NULL));
    REFUSED(INVALID, "NULL", resattn_custom_set_instance(NULL, NULL, NULL, NULL));
    REFUSED(INVALID, "NULL", resattn_custom_add_attribute(NULL, "a", RESATTN_ATTRIBUTE_INT, 0, 0, 1, 0));
    REFUSED(INVALID, "NULL", resattn_custom_add_attribute(kind, NULL, RESATTN_ATTRIBUTE_INT, 0, 0, 1, 0));
    NOTHING(INVALID, "builder is NULL", resattn_custom_layer_new(NULL, "x-a", "a", NULL));
    UNMADE(INVALID, "kind is NULL", resattn_custom_layer_new(b, NULL, "a", NULL));
    UNMADE(ABSENT, "x-b", resattn_custom_layer_new(b, "x-b", "a", NULL));
    UNMADE(ABSENT, "relu", resattn_custom_layer_new(b, "relu", "a", NULL));
    UNMADE(INVALID, ".a", resattn_custom_layer_new(b, "x-a", ".a", NULL));
    ck_assert_ptr_null(resattn_layer_instance(NULL));
    resattn_builder *b = resattn_builder_new(context);
    resattn_layer *layer = resattn_custom_layer_new(b, "x-a", NULL, NULL);
    const resattn_parameter_kind trained = RESATTN_PARAMETER_TRAINABLE;
    REFUSED(INVALID, "NULL", resattn_custom_add_parameter(NULL, "a", trained, RESATTN_INIT_ONES, 1, shape));
    REFUSED(INVALID, "NULL", resattn_custom_add_parameter(layer, NULL, trained, RESATTN_INIT_ONES, 1, shape));
    REFUSED(INVALID, "NULL", resattn_custom_add_parameter(layer, "a", trained, RESATTN_INIT_ONES, 1, NULL));
    REFUSED(STATE, "channels callback", resattn_custom_add_parameter(layer, "a", trained, RESATTN_INIT_ONES, 1, shape));
    resattn_builder_free(b);
    ck_assert_int_eq((int)resattn_custom_run_phase(NULL), 0);
    REFUSED(INVALID, "NULL", resattn_custom_run_shape(NULL, 0, sizes));
    ck_assert_uint_eq(resattn_custom_run_key(NULL), 0);
    ck_assert_ptr_null(resattn_custom_run_data(NULL, RESATTN_DATA_INPUT, 0));
    REFUSED(INVALID, "NULL", resattn_custom_run_parallel(NULL, NULL, NULL, 1));
}
END_TEST

START_TEST(test_weights)
{
    resattn_builder *builder = resattn_builder_new(context);
    resattn_network *network = resattn_network_new(builder, resattn_linear_new(builder, "fc", 2), 3);
    resattn_weights_report *report = (resattn_weights_report *)network;
    resattn_builder_free(builder);
    REFUSED(INVALID, "storage: the number type is 4, expected 1 to 3",
            resattn_network_set_storage(network, (resattn_dtype)4));
    REFUSED(INVALID, "NULL", resattn_network_load_weights(NULL, "/tmp/x", NULL, 0, &report));
    ck_assert_ptr_null(report);
    REFUSED(INVALID, "NULL", resattn_network_load_weights(network, NULL, NULL, 0, NULL));
    REFUSED(INVALID, "flags is 4, expected 0 to 3", resattn_network_load_weights(network, "/tmp/x", NULL, 4, NULL));
    REFUSED(INVALID, "flags is -1", resattn_network_load_weights(network, "/tmp/x", NULL, -1, NULL));
    report = (resattn_weights_report *)network;
    REFUSED(INVALID, "network is NULL", resattn_network_load_weights_buffer(NULL, "", 0, NULL, 0, &report));
    ck_assert_ptr_null(report);
    REFUSED(INVALID, "buffer is NULL", resattn_network_load_weights_buffer(network, NULL, 0, NULL, 0, NULL));
    REFUSED(INVALID, "flags is 4", resattn_network_load_weights_buffer(network, "", 0, NULL, 4, NULL));
    REFUSED(INVALID, "NULL", resattn_network_save_weights(NULL, "/tmp/x", RESATTN_F32));
    void *bytes = NULL;
    size_t size = 0;
    REFUSED(INVALID, "network is NULL", resattn_network_save_weights_buffer(NULL, RESATTN_F32, &bytes, &size));
    REFUSED(INVALID, "buffer is NULL", resattn_network_save_weights_buffer(network, RESATTN_F32, NULL, &size));
    REFUSED(INVALID, "buffer is NULL", resattn_network_save_weights_buffer(network, RESATTN_F32, &bytes, NULL));
    REFUSED(INVALID, "number type is 9", resattn_network_save_weights_buffer(network, (resattn_dtype)9, &bytes, &size));
    REFUSED(INVALID, "network is NULL", resattn_network_save_weights_stream(NULL, RESATTN_F32, write_nothing, NULL));
    REFUSED(INVALID, "callback is NULL", resattn_network_save_weights_stream(network, RESATTN_F32, NULL, NULL));
    REFUSED(INVALID, "number type is 0",
            resattn_network_save_weights_stream(network, (resattn_dtype)0, write_nothing, NULL));
    REFUSED(INVALID, "NULL", resattn_network_save_weights(network, NULL, RESATTN_F32));
    REFUSED(INVALID, "0", resattn_network_save_weights(network, "/tmp/x", (resattn_dtype)0));
    ck_assert_int_eq(resattn_weights_report_count(NULL), 0);
    ck_assert_int_eq((int)resattn_weights_report_problem(NULL, 0), 0);
    ck_assert_ptr_null(resattn_weights_report_name(NULL, 0));
    ck_assert_ptr_null(resattn_weights_report_text(NULL, 0));
    resattn_weights_report_free(NULL);
    resattn_network_unref(network);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("wrong use");
    TCase *tests = tcase_create("wrong use");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, test_common);
    tcase_add_test(tests, test_context);
    tcase_add_test(tests, test_tensor_new);
    tcase_add_test(tests, test_tensor_wrap);
    tcase_add_test(tests, test_tensor_view);
    tcase_add_test(tests, test_tensor_copies);
    tcase_add_test(tests, test_layers_without_builder);
    tcase_add_test(tests, test_layers_null);
    tcase_add_test(tests, test_layer_arguments);
    tcase_add_test(tests, test_model_config);
    tcase_add_test(tests, test_names);
    tcase_add_test(tests, test_network_null);
    tcase_add_test(tests, test_session_null);
    tcase_add_test(tests, test_mask_losses);
    tcase_add_test(tests, test_schedules);
    tcase_add_test(tests, test_blobs);
    tcase_add_test(tests, test_probes);
    tcase_add_test(tests, test_custom);
    tcase_add_test(tests, test_weights);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
