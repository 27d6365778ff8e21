/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pixels as tensors and in tensors, and 8-bit tensors as input of sessions.
 */
#include "common.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tensor/tensor.h"

static test_heap heap;
static resattn_context *context;

static void setup(void)
{
    heap = (test_heap){0};
    context = ra_context_create(1, test_heap_alloc, test_heap_free, &heap);
    ck_assert_ptr_nonnull(context);
}

static void teardown(void)
{
    resattn_context_unref(context);
    ck_assert_int_eq(heap.blocks, 0);
}

typedef struct owner {
    int released;
    void *memory;
} owner;

static void release(void *user, void *memory)
{
    owner *self = user;
    self->released++;
    self->memory = memory;
}

enum { HEIGHT = 5, WIDTH = 7, ROW = 40 };
static const int pixel_bytes[] = {0, 3, 3, 4};

/* Random pixels in rows of ROW bytes. */
static void random_pixels(uint8_t *pixels)
{
    for (int i = 0; i < HEIGHT * ROW; i++)
        pixels[i] = (uint8_t)test_random();
}

/* Channel c (0: red) of a pixel, y counted from the top. */
static uint8_t pixel(const uint8_t *pixels, int format, bool bottom_up, int64_t c, int64_t y, int64_t x)
{
    int64_t row = bottom_up ? HEIGHT - 1 - y : y;
    return pixels[row * ROW + x * pixel_bytes[format] + (format == RESATTN_PIXEL_BGR ? 2 - c : c)];
}

static float value_of(resattn_tensor *tensor, int64_t n, int64_t c, int64_t y, int64_t x)
{
    const int64_t *stride = tensor->stride;
    return ((float *)tensor->data)[n * stride[0] + c * stride[1] + y * stride[2] + x * stride[3]];
}

START_TEST(pixels_are_read_in_every_format)
{
    static const float mean[] = {0.485f, 0.456f, 0.406f}, deviation[] = {0.229f, -0.224f, 0.225f};
    static const int64_t two[] = {2, 3, HEIGHT, WIDTH};
    uint8_t *pixels = malloc(HEIGHT * ROW);
    for (int round = 0; round < 24; round++) {
        int format = 1 + round % 3;
        bool bottom_up = round % 2 == 1, normalise = round / 6 % 2 == 1;
        owner self = {0};
        random_pixels(pixels);
        uint8_t *top = bottom_up ? pixels + (HEIGHT - 1) * ROW : pixels;
        int64_t pitch = bottom_up ? -ROW : ROW;
        resattn_tensor *image = resattn_tensor_wrap_pixels(context, (resattn_pixel_format)format, HEIGHT, WIDTH, pitch,
                                                           top, release, &self);
        ck_assert_ptr_nonnull(image);
        ck_assert_int_eq(resattn_tensor_dtype(image), RESATTN_U8);
        uint8_t planes[3 * HEIGHT * WIDTH];
        float dense[3 * HEIGHT * WIDTH];
        ck_assert_int_eq(resattn_tensor_read(image, RESATTN_CHANNELS_FIRST, planes, 3 * HEIGHT * WIDTH), RESATTN_OK);
        ra_tensor_to_dense(image, normalise ? mean : NULL, normalise ? deviation : NULL, dense);
        resattn_tensor *floats = resattn_tensor_new(context, RESATTN_F32, 4, two,
                                                    round < 12 ? RESATTN_CHANNELS_LAST : RESATTN_CHANNELS_FIRST);
        ck_assert_int_eq(resattn_tensor_fill(floats, -9.0f), RESATTN_OK);
        ck_assert_int_eq(resattn_tensor_set_pixels(floats, 1, (resattn_pixel_format)format, HEIGHT, WIDTH, pitch, top,
                                                   normalise ? mean : NULL, normalise ? deviation : NULL),
                         RESATTN_OK);
        for (int i = 0; i < 3 * HEIGHT * WIDTH; i++) {
            int64_t c = i / (HEIGHT * WIDTH), y = i / WIDTH % HEIGHT, x = i % WIDTH;
            uint8_t byte = pixel(pixels, format, bottom_up, c, y, x);
            float expected = (float)byte / 255.0f;
            if (normalise)
                expected = (expected - mean[c]) / deviation[c];
            ck_assert_uint_eq(planes[(c * HEIGHT + y) * WIDTH + x], byte);
            ck_assert_float_eq(dense[(y * WIDTH + x) * 3 + c], expected);
            ck_assert_float_eq(value_of(floats, 1, c, y, x), expected);
            ck_assert_float_eq(value_of(floats, 0, c, y, x), -9.0f);
        }
        resattn_tensor_unref(image);
        ck_assert_int_eq(self.released, 1);
        ck_assert_ptr_eq(self.memory, top);
        resattn_tensor_unref(floats);
    }
    free(pixels);
}
END_TEST

START_TEST(bytes_of_any_number_of_channels)
{
    for (int64_t channels = 1; channels <= 11; channels++) {
        const int64_t shape[] = {2, channels, 3, 5};
        float mean[11], deviation[11], dense[2 * 11 * 15];
        uint8_t bytes[2 * 11 * 15];
        for (int c = 0; c < 11; c++) {
            mean[c] = (float)(test_random() % 100 + 0) / 100.0f;
            deviation[c] = (float)(test_random() % 100 + 1) / 100.0f;
        }
        for (int64_t i = 0; i < 30 * channels; i++)
            bytes[i] = (uint8_t)test_random();
        resattn_tensor *t =
            resattn_tensor_wrap(context, RESATTN_U8, 4, shape, RESATTN_CHANNELS_FIRST, NULL, bytes, NULL, NULL);
        ra_tensor_to_dense(t, mean, deviation, dense);
        for (int64_t n = 0; n < 2; n++)
            for (int64_t c = 0; c < channels; c++)
                for (int64_t p = 0; p < 15; p++)
                    ck_assert_float_eq(dense[(n * 15 + p) * channels + c],
                                       ((float)bytes[(n * channels + c) * 15 + p] / 255.0f - mean[c]) / deviation[c]);
        resattn_tensor_unref(t);
    }
}
END_TEST

START_TEST(pixels_refuse_wrong_arguments)
{
    static const int64_t shape[] = {2, 3, 4, 5}, four[] = {2, 4, 4, 5};
    static const float none[] = {1, 0, 1}, infinite[] = {1, 1, INFINITY}, unknown[] = {NAN, 1, 1};
    uint8_t p[4 * 20] = {0};
    resattn_tensor *t = resattn_tensor_new(context, RESATTN_F32, 4, shape, RESATTN_CHANNELS_LAST);
    resattn_tensor *bytes = resattn_tensor_new(context, RESATTN_U8, 4, shape, RESATTN_CHANNELS_LAST);
    resattn_tensor *other = resattn_tensor_new(context, RESATTN_F32, 4, four, RESATTN_CHANNELS_LAST);
    ck_assert_ptr_null(resattn_tensor_wrap_pixels(NULL, RESATTN_PIXEL_RGB, 4, 5, 15, p, NULL, NULL));
    test_expect_error(RESATTN_INVALID_ARGUMENT, "context is NULL");
    ck_assert_ptr_null(resattn_tensor_wrap_pixels(context, (resattn_pixel_format)4, 4, 5, 15, p, NULL, NULL));
    test_expect_error(RESATTN_INVALID_ARGUMENT, "format is 4, expected 1 to 3");
    ck_assert_ptr_null(resattn_tensor_wrap_pixels(context, RESATTN_PIXEL_RGB, 0, 5, 15, p, NULL, NULL));
    test_expect_error(RESATTN_INVALID_ARGUMENT, "height is 0");
    ck_assert_ptr_null(resattn_tensor_wrap_pixels(context, RESATTN_PIXEL_RGB, 4, -5, 15, p, NULL, NULL));
    test_expect_error(RESATTN_INVALID_ARGUMENT, "width is -5");
    ck_assert_ptr_null(resattn_tensor_wrap_pixels(context, RESATTN_PIXEL_RGB, 4, 5, 15, NULL, NULL, NULL));
    test_expect_error(RESATTN_INVALID_ARGUMENT, "pixels is NULL");
    ck_assert_ptr_null(resattn_tensor_wrap_pixels(context, RESATTN_PIXEL_RGB, 4, 5, 14, p, NULL, NULL));
    test_expect_error(RESATTN_INVALID_ARGUMENT, "pitch is 14, expected at least the 15 bytes");
    ck_assert_ptr_null(resattn_tensor_wrap_pixels(context, RESATTN_PIXEL_RGBA, 4, 5, -19, p, NULL, NULL));
    test_expect_error(RESATTN_INVALID_ARGUMENT, "pitch is -19");
    ck_assert_ptr_null(resattn_tensor_wrap_pixels(context, RESATTN_PIXEL_RGB, 4, 5, INT64_MIN, p, NULL, NULL));
    test_expect_error(RESATTN_TOO_LARGE, "strides");
    ck_assert_int_eq(resattn_tensor_set_pixels(NULL, 0, RESATTN_PIXEL_RGB, 4, 5, 15, p, NULL, NULL),
                     RESATTN_INVALID_ARGUMENT);
    ck_assert_int_eq(resattn_tensor_set_pixels(bytes, 0, RESATTN_PIXEL_RGB, 4, 5, 15, p, NULL, NULL),
                     RESATTN_INVALID_ARGUMENT);
    test_expect_error(RESATTN_INVALID_ARGUMENT, "dtype 4, expected 1");
    ck_assert_int_eq(resattn_tensor_set_pixels(t, 2, RESATTN_PIXEL_RGB, 4, 5, 15, p, NULL, NULL),
                     RESATTN_INVALID_ARGUMENT);
    test_expect_error(RESATTN_INVALID_ARGUMENT, "index is 2, expected 0 to 1");
    ck_assert_int_eq(resattn_tensor_set_pixels(t, -1, RESATTN_PIXEL_RGB, 4, 5, 15, p, NULL, NULL),
                     RESATTN_INVALID_ARGUMENT);
    ck_assert_int_eq(resattn_tensor_set_pixels(t, 0, RESATTN_PIXEL_RGB, 5, 4, 15, p, NULL, NULL),
                     RESATTN_SHAPE_MISMATCH);
    test_expect_error(RESATTN_SHAPE_MISMATCH, "expected rank 4 and 3x5x4");
    ck_assert_int_eq(resattn_tensor_set_pixels(other, 0, RESATTN_PIXEL_RGB, 4, 5, 15, p, NULL, NULL),
                     RESATTN_SHAPE_MISMATCH);
    ck_assert_int_eq(resattn_tensor_set_pixels(t, 0, RESATTN_PIXEL_RGB, 4, 5, 15, p, NULL, none),
                     RESATTN_INVALID_ARGUMENT);
    test_expect_error(RESATTN_INVALID_ARGUMENT, "deviation[1] is 0");
    ck_assert_int_eq(resattn_tensor_set_pixels(t, 0, RESATTN_PIXEL_RGB, 4, 5, 15, p, NULL, infinite),
                     RESATTN_INVALID_ARGUMENT);
    test_expect_error(RESATTN_INVALID_ARGUMENT, "deviation[2] is inf");
    ck_assert_int_eq(resattn_tensor_set_pixels(t, 0, RESATTN_PIXEL_RGB, 4, 5, 15, p, unknown, NULL),
                     RESATTN_INVALID_ARGUMENT);
    test_expect_error(RESATTN_INVALID_ARGUMENT, "mean[0] is ");
    resattn_tensor_unref(t);
    resattn_tensor_unref(bytes);
    resattn_tensor_unref(other);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pixels");
    TCase *test = tcase_create("pixels");
    tcase_add_checked_fixture(test, setup, teardown);
    tcase_add_test(test, pixels_are_read_in_every_format);
    tcase_add_test(test, bytes_of_any_number_of_channels);
    tcase_add_test(test, pixels_refuse_wrong_arguments);
    suite_add_tcase(suite, test);
    return test_run(suite);
}
