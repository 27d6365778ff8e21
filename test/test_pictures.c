/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How the tool reads and scales pictures: known pixels, and resizing against its definition.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <check.h>
#include <jpeglib.h>
#include <png.h>

#include "bitmap.h"
#include "classifier.h"
#include "common.h"
#include "top.h"

static char path[64];

static void make_file(void)
{
    strcpy(path, "/tmp/resattn-picture-XXXXXX");
    int file = mkstemp(path);
    ck_assert_int_ge(file, 0);
    close(file);
}

static void remove_file(void)
{
    unlink(path);
}

/* ---- formats ---- */

START_TEST(test_png)
{
    enum { WIDTH = 7, HEIGHT = 5 };
    uint8_t pixels[WIDTH * HEIGHT * 3];
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (uint8_t)(i * 37);
    png_image png;
    memset(&png, 0, sizeof png);
    png.version = PNG_IMAGE_VERSION;
    png.width = WIDTH;
    png.height = HEIGHT;
    png.format = PNG_FORMAT_RGB;
    ck_assert(png_image_write_to_file(&png, path, 0, pixels, 0, NULL));
    struct bitmap bitmap;
    ck_assert_int_eq(bitmap_read(&bitmap, path), 0);
    ck_assert_int_eq(bitmap.width, WIDTH);
    ck_assert_int_eq(bitmap.height, HEIGHT);
    ck_assert_mem_eq(bitmap.pixels, pixels, sizeof pixels);
    bitmap_free(&bitmap);
}
END_TEST

static void write_jpeg(J_COLOR_SPACE space, int channels, const uint8_t *colour)
{
    enum { SIDE = 16 };
    uint8_t row[SIDE * 4];
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    for (int x = 0; x < SIDE; x++)
        memcpy(row + x * channels, colour, (size_t)channels);
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_stdio_dest(&jpeg, file);
    jpeg.image_width = jpeg.image_height = SIDE;
    jpeg.input_components = channels;
    jpeg.in_color_space = space;
    jpeg_set_defaults(&jpeg);
    jpeg_set_quality(&jpeg, 100, TRUE);
    jpeg_start_compress(&jpeg, TRUE);
    JSAMPROW rows[] = {row};
    while (jpeg.next_scanline < jpeg.image_height)
        jpeg_write_scanlines(&jpeg, rows, 1);
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    fclose(file);
}

/* A file of one colour is read as that colour. libjpeg marks its CMYK files as Adobe's: what is stored is the paper
 * left. */
START_TEST(test_jpeg)
{
    static const struct {
        J_COLOR_SPACE space;
        int channels;
        uint8_t stored[4], seen[3];
    } cases[] = {
        {JCS_RGB, 3, {200, 100, 50, 0}, {200, 100, 50}},      {JCS_GRAYSCALE, 1, {77, 0, 0, 0}, {77, 77, 77}},
        {JCS_CMYK, 4, {255, 255, 255, 255}, {255, 255, 255}}, {JCS_CMYK, 4, {255, 128, 0, 255}, {255, 128, 0}},
        {JCS_CMYK, 4, {255, 128, 0, 128}, {128, 64, 0}},      {JCS_CMYK, 4, {255, 255, 255, 0}, {0, 0, 0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bitmap bitmap;
        write_jpeg(cases[i].space, cases[i].channels, cases[i].stored);
        ck_assert_int_eq(bitmap_read(&bitmap, path), 0);
        for (int c = 0; c < 3; c++)
            ck_assert_msg(abs(bitmap.pixels[300 + c] - cases[i].seen[c]) <= 2, "case %zu: colour %d is %d, expected %d",
                          i, c, bitmap.pixels[300 + c], cases[i].seen[c]);
        bitmap_free(&bitmap);
    }
}
END_TEST

/* ---- resizing ---- */

static struct bitmap random_bitmap(int32_t width, int32_t height)
{
    struct bitmap bitmap;
    ck_assert_int_eq(bitmap_init(&bitmap, "test", (uint32_t)width, (uint32_t)height), 0);
    for (int32_t i = 0; i < width * height * 3; i++)
        bitmap.pixels[i] = (uint8_t)test_random();
    return bitmap;
}

static double triangle(double at)
{
    return fmax(1 - fabs(at), 0);
}

/* The definition: a mean of all pixels, weighed by a triangle around the place of the pixel of the result. */
static double defined(const struct bitmap *bitmap, double x, double y, double scale_x, double scale_y, int c)
{
    double sum = 0, weights = 0;
    for (int32_t row = 0; row < bitmap->height; row++) {
        for (int32_t column = 0; column < bitmap->width; column++) {
            double weight =
                triangle((column + 0.5 - x) / fmax(scale_x, 1)) * triangle((row + 0.5 - y) / fmax(scale_y, 1));
            sum += weight * bitmap->pixels[(row * bitmap->width + column) * 3 + c];
            weights += weight;
        }
    }
    return sum / weights;
}

START_TEST(test_limit)
{
    static const struct {
        const char *limit;
        uint32_t width, height;
        int result;
    } list[] = {{NULL, 1 << 14, 1 << 13, 0},
                {NULL, 1 << 14, (1 << 13) + 1, -1},
                {"12", 4, 3, 0},
                {"12", 13, 1, -1},
                {"12", UINT32_MAX, UINT32_MAX, -1},
                {"12", 0, 3, -1},
                {"0", 1, 1, -1},
                {"-5", 1, 1, -1},
                {"1073741825", 1, 1, -1},
                {"12x", 1, 1, -1},
                {"", 1, 1, -1},
                {"99999999999999999999", 1, 1, -1}};
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        struct bitmap bitmap;
        ck_assert_int_eq(
            list[i].limit ? setenv("RESATTN_MOST_PIXELS", list[i].limit, 1) : unsetenv("RESATTN_MOST_PIXELS"), 0);
        int result = bitmap_init(&bitmap, "test", list[i].width, list[i].height);
        ck_assert_msg(result == list[i].result, "limit %s, %u x %u: %d", list[i].limit ? list[i].limit : "none",
                      (unsigned)list[i].width, (unsigned)list[i].height, result);
        ck_assert_int_eq(bitmap.pixels != NULL, result == 0);
        bitmap_free(&bitmap);
    }
    unsetenv("RESATTN_MOST_PIXELS");
}
END_TEST

START_TEST(test_resize)
{
    static const int32_t cases[][4] = {/* width, height, shorter side, side */
                                       {20, 30, 8, 8},   {30, 20, 8, 6},  {17, 13, 20, 16}, {9, 9, 9, 9},
                                       {64, 48, 24, 24}, {1, 40, 6, 6},   {40, 1, 6, 5},    {1, 1, 4, 4},
                                       {33, 32, 16, 14}, {50, 21, 21, 7}, {100, 7, 3, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int32_t width = cases[i][0], height = cases[i][1], shorter = cases[i][2], side = cases[i][3];
        struct bitmap bitmap = random_bitmap(width, height);
        uint8_t *result = malloc((size_t)(side * side * 3));
        ck_assert_int_eq(bitmap_fit(&bitmap, shorter, side, result), 0);
        int32_t least = width < height ? width : height;
        int32_t whole_x = shorter * width / least, whole_y = shorter * height / least;
        double scale_x = (double)width / whole_x, scale_y = (double)height / whole_y;
        long left = lrint((whole_x - side) / 2.0), top = lrint((whole_y - side) / 2.0);
        for (int32_t k = 0; k < side * side * 3; k++) {
            double x = ((double)left + k / 3 % side + 0.5) * scale_x, y = ((double)top + k / 3 / side + 0.5) * scale_y;
            double expected = defined(&bitmap, x, y, scale_x, scale_y, k % 3);
            ck_assert_msg(fabs(result[k] - expected) <= 0.51, "case %zu: value %d is %d, expected %.3f", i, (int)k,
                          result[k], expected);
        }
        free(result);
        bitmap_free(&bitmap);
    }
}
END_TEST

/* A part of a picture, with parts of pixels at its edges; larger and smaller. */
START_TEST(test_cut)
{
    static const double cases[][5] = {/* x, y, width, height, side */
                                      {0, 0, 20, 30, 8},
                                      {3.25, 7.5, 10.5, 12.25, 5},
                                      {5, 6, 7, 8, 16},
                                      {19.5, 29.5, 0.5, 0.5, 3},
                                      {0, 10, 20, 1, 4}};
    struct bitmap bitmap = random_bitmap(20, 30);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t result[16 * 16 * 3];
        int32_t side = (int32_t)cases[i][4];
        double scale_x = cases[i][2] / side, scale_y = cases[i][3] / side;
        ck_assert_int_eq(bitmap_cut(&bitmap, cases[i][0], cases[i][1], cases[i][2], cases[i][3], side, result), 0);
        for (int32_t k = 0; k < side * side * 3; k++) {
            double x = cases[i][0] + (k / 3 % side + 0.5) * scale_x, y = cases[i][1] + (k / 3 / side + 0.5) * scale_y;
            double expected = defined(&bitmap, x, y, scale_x, scale_y, k % 3);
            ck_assert_msg(fabs(result[k] - expected) <= 0.51, "case %zu: value %d is %d, expected %.3f", i, (int)k,
                          result[k], expected);
        }
    }
    bitmap_free(&bitmap);
}
END_TEST

/* Without a change of size nothing is lost. */
START_TEST(test_same_size)
{
    uint8_t result[24 * 24 * 3];
    struct bitmap bitmap = random_bitmap(24, 24);
    ck_assert_int_eq(bitmap_fit(&bitmap, 24, 24, result), 0);
    ck_assert_mem_eq(result, bitmap.pixels, sizeof result);
    bitmap_free(&bitmap);
}
END_TEST

/* ---- the best classes ---- */

START_TEST(test_top)
{
    static const float values[] = {0.1f, 0.3f, 0.3f, 0.0f, 0.25f, 0.05f};
    static const int32_t order[] = {1, 2, 4, 0, 5, 3};
    for (int32_t k = 1; k <= 6; k++) {
        int32_t top[6];
        top_classes(values, 6, k, top);
        ck_assert_mem_eq(top, order, (size_t)k * sizeof *top);
        for (int32_t c = 0; c < 6; c++)
            ck_assert_int_eq(is_in_top(values, 6, k, order[c]), c < k);
    }
    static const float unknown[] = {NAN, NAN};
    ck_assert_int_eq(is_in_top(unknown, 2, 1, 0), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pictures");
    TCase *tests = tcase_create("pictures");
    tcase_add_checked_fixture(tests, make_file, remove_file);
    tcase_add_test(tests, test_png);
    tcase_add_test(tests, test_jpeg);
    tcase_add_test(tests, test_limit);
    tcase_add_test(tests, test_resize);
    tcase_add_test(tests, test_cut);
    tcase_add_test(tests, test_same_size);
    tcase_add_test(tests, test_top);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
