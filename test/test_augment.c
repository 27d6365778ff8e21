/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Augmentation of pictures: how crops at random scales are distributed, what is cut out, and how colours change.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "augment.h"
#include "common.h"

enum { DRAWS = 20000 };

/* ---- crops ---- */

/* Of a picture in which every shape fits, the area is uniform but for shapes that are drawn again, and so is the place.
 */
START_TEST(test_scaled)
{
    static const int32_t sizes[][2] = {{500, 500}, {640, 480}, {300, 900}, {1, 1}};
    static const struct augmentation augmentation = {.scale_crop = 1, .smallest_area = 0.08};
    double width = sizes[_i][0], height = sizes[_i][1], smallest = 2, largest = 0, sum_x = 0;
    int32_t mirrored = 0, below_half = 0;
    for (int32_t i = 0; i < DRAWS; i++) {
        struct random random = random_for(1, (uint64_t)i);
        struct variant v = variant_draw(&augmentation, &random, sizes[_i][0], sizes[_i][1], 224);
        double area = v.width * v.height, aspect = v.width * width / (v.height * height);
        ck_assert(v.scaled && v.x >= 0 && v.y >= 0 && v.width > 0 && v.height > 0);
        ck_assert(v.x + v.width <= 1 + 1e-12 && v.y + v.height <= 1 + 1e-12);
        ck_assert(area >= 0.08 - 1e-12 && area <= 1 + 1e-12);
        ck_assert(aspect >= 0.75 - 1e-9 && aspect <= 4 / 3.0 + 1e-9);
        smallest = fmin(smallest, area);
        largest = fmax(largest, area);
        sum_x += v.width < 0.999 ? v.x / (1 - v.width) : 0.5;
        mirrored += v.mirrored;
        below_half += area < 0.54;
    }
    ck_assert_double_lt(smallest, 0.09);
    ck_assert_double_gt(largest, _i == 2 ? 0.4 : 0.95);
    ck_assert_double_eq_tol(sum_x / DRAWS, 0.5, 0.02);
    ck_assert(mirrored > 0.48 * DRAWS && mirrored < 0.52 * DRAWS);
    if (_i < 2)
        ck_assert(below_half > 0.5 * DRAWS && below_half < 0.7 * DRAWS);
}
END_TEST

/* A shape that never fits: the largest of a permitted aspect, from the middle. */
START_TEST(test_scaled_slim)
{
    static const struct augmentation augmentation = {.scale_crop = 1, .smallest_area = 0.9};
    struct random random = random_for(1, 1);
    struct variant v = variant_draw(&augmentation, &random, 100, 1000, 224);
    ck_assert_double_eq_tol(v.width, 1, 1e-12);
    ck_assert_double_eq_tol(v.height, 100 / 0.75 / 1000, 1e-12);
    ck_assert_double_eq_tol(v.y, (1 - v.height) / 2, 1e-12);
    v = variant_draw(&augmentation, &random, 1000, 100, 224);
    ck_assert_double_eq_tol(v.height, 1, 1e-12);
    ck_assert_double_eq_tol(v.width, 400 / 3.0 / 1000, 1e-12);
}
END_TEST

/* A picture whose values grow evenly shows where each pixel comes from. */
START_TEST(test_place)
{
    enum { WIDTH = 200, HEIGHT = 160, SIDE = 16 };
    struct bitmap bitmap;
    uint8_t target[SIDE * SIDE * 3];
    ck_assert_int_eq(bitmap_init(&bitmap, "test", WIDTH, HEIGHT), 0);
    for (int32_t i = 0; i < WIDTH * HEIGHT; i++) {
        bitmap.pixels[i * 3] = (uint8_t)(i % WIDTH);
        bitmap.pixels[i * 3 + 1] = (uint8_t)(i / WIDTH);
        bitmap.pixels[i * 3 + 2] = 7;
    }
    for (int mirrored = 0; mirrored < 2; mirrored++) {
        struct variant v = {.side = SIDE, .scaled = 1, .mirrored = mirrored, .x = 0.2, .y = 0.3, .width = 0.5};
        v.height = 0.4;
        ck_assert_int_eq(variant_place(&v, &bitmap, SIDE, target), 0);
        for (int i = 0; i < SIDE * SIDE; i++) {
            int column = mirrored ? SIDE - 1 - i % SIDE : i % SIDE;
            double x = 0.2 * WIDTH + (column + 0.5) * 0.5 * WIDTH / SIDE - 0.5;
            double y = 0.3 * HEIGHT + (i / SIDE + 0.5) * 0.4 * HEIGHT / SIDE - 0.5;
            ck_assert_double_eq_tol(target[i * 3], x, 0.51);
            ck_assert_double_eq_tol(target[i * 3 + 1], y, 0.51);
            ck_assert_int_eq(target[i * 3 + 2], 7);
        }
    }
    bitmap_free(&bitmap);
}
END_TEST

/* The border is an eighth of the side: every crop of it occurs, with and without mirror image. */
START_TEST(test_border)
{
    static const struct augmentation augmentation = {.crop_flip = 1};
    int32_t seen[2][9][9] = {{{0}}};
    for (int32_t i = 0; i < DRAWS; i++) {
        struct random random = random_for(2, (uint64_t)i);
        struct variant v = variant_draw(&augmentation, &random, 50, 60, 32);
        ck_assert(abs(v.down) <= 4 && abs(v.right) <= 4 && !v.scaled);
        seen[v.mirrored][v.down + 4][v.right + 4]++;
    }
    for (int i = 0; i < 2 * 81; i++)
        ck_assert_int_ge(seen[i / 81][i / 9 % 9][i % 9], DRAWS / 162 / 2);
    struct random random = random_for(2, 1);
    int32_t most = 0;
    for (int32_t i = 0; i < 1000; i++) {
        int32_t down = abs(variant_draw(&augmentation, &random, 50, 60, 224).down);
        most = down > most ? down : most;
    }
    ck_assert_int_eq(most, 28);
}
END_TEST

/* ---- colours ---- */

static double clamped(double value)
{
    return fmin(fmax(value, 0), 255);
}

static double luma(const uint8_t *pixel)
{
    return 0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2];
}

/* Each kind alone, against its definition. */
START_TEST(test_colour_kinds)
{
    enum { COUNT = 500 };
    static const float factors[] = {0, 0.6f, 1, 1.4f, 2};
    uint8_t source[COUNT * 3], pixels[COUNT * 3];
    double mean = 0;
    for (size_t i = 0; i < sizeof source; i++)
        source[i] = (uint8_t)test_random();
    for (int i = 0; i < COUNT; i++)
        mean += luma(source + i * 3) / COUNT;
    for (int kind = 0; kind < 3; kind++) {
        for (size_t f = 0; f < sizeof factors / sizeof factors[0]; f++) {
            struct variant v = {.colour_order = {2, 0, 1}, .colour_factor = {1, 1, 1}};
            v.colour_factor[kind] = factors[f];
            memcpy(pixels, source, sizeof source);
            variant_colour(&v, pixels, COUNT);
            for (int i = 0; i < COUNT * 3; i++) {
                double centre = kind == 0 ? 0 : kind == 1 ? mean : luma(source + i / 3 * 3);
                double expected = clamped(centre + (double)factors[f] * (source[i] - centre));
                ck_assert_msg(fabs(pixels[i] - expected) <= 0.501, "kind %d, factor %g: %d, expected %g", kind,
                              (double)factors[f], pixels[i], expected);
            }
        }
    }
}
END_TEST

/* Factors stay in their range and all orders occur. */
START_TEST(test_colour_draws)
{
    static const struct augmentation augmentation = {.colour = 0.4};
    float smallest[3] = {9, 9, 9}, largest[3] = {0, 0, 0};
    int32_t orders[27] = {0}, kinds = 0;
    for (int32_t i = 0; i < DRAWS; i++) {
        struct random random = random_for(3, (uint64_t)i);
        struct variant v = variant_draw(&augmentation, &random, 50, 60, 32);
        ck_assert(!v.mirrored && !v.scaled && !v.down && !v.right);
        orders[v.colour_order[0] * 9 + v.colour_order[1] * 3 + v.colour_order[2]]++;
        for (int c = 0; c < 3; c++) {
            smallest[c] = fminf(smallest[c], v.colour_factor[c]);
            largest[c] = fmaxf(largest[c], v.colour_factor[c]);
        }
    }
    for (int c = 0; c < 3; c++) {
        ck_assert(smallest[c] >= 0.6f - 1e-6f && smallest[c] < 0.61f);
        ck_assert(largest[c] <= 1.4f + 1e-6f && largest[c] > 1.39f);
    }
    for (int i = 0; i < 27; i++) {
        int first = i / 9, second = i / 3 % 3, third = i % 3;
        int is_order = first != second && second != third && first != third;
        ck_assert_int_eq(orders[i] > DRAWS / 7, is_order);
        kinds += orders[i] > 0;
    }
    ck_assert_int_eq(kinds, 6);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("augment");
    TCase *tests = tcase_create("augment");
    tcase_add_loop_test(tests, test_scaled, 0, 4);
    tcase_add_test(tests, test_scaled_slim);
    tcase_add_test(tests, test_place);
    tcase_add_test(tests, test_border);
    tcase_add_test(tests, test_colour_kinds);
    tcase_add_test(tests, test_colour_draws);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
