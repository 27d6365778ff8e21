/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The loader of the examples: which pictures come in which order and how they are changed, whatever the timing; what it
 * does about damaged files; that it can be closed at any time.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <check.h>

#include "common.h"
#include "data_common.h"
#include "loader.h"

static resattn_context *context;

static void set_up(void)
{
    data_folder_make();
    context = resattn_context_new(1);
}

static void tear_down(void)
{
    resattn_context_unref(context);
    data_folder_remove();
}

static void rest(int milliseconds)
{
    struct timespec time = {0, milliseconds * 1000000L};
    nanosleep(&time, NULL);
}

static const uint8_t *bytes_of(const resattn_tensor *tensor)
{
    return resattn_tensor_data(tensor);
}

/* FNV-1a of all that is in a batch. */
static uint64_t fold(uint64_t sum, const void *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        sum = (sum ^ ((const uint8_t *)bytes)[i]) * UINT64_C(0x100000001b3);
    return sum;
}

static uint64_t sum_of(const struct loader_batch *batch)
{
    uint64_t sum =
        fold(UINT64_C(0xcbf29ce484222325), bytes_of(batch->input), (size_t)resattn_tensor_elements(batch->input));
    sum = fold(sum, batch->labels, (size_t)batch->count * sizeof *batch->labels);
    sum = fold(sum, batch->indices, (size_t)batch->count * sizeof *batch->indices);
    if (batch->targets)
        sum = fold(sum, bytes_of(batch->targets), (size_t)resattn_tensor_elements(batch->targets));
    return sum;
}

/* ---- order and augmentation, as published with the first trained networks ---- */

static uint64_t mix(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint64_t start(uint64_t seed, uint64_t stream)
{
    uint64_t state = seed;
    state = mix(&state) ^ stream;
    return mix(&state);
}

static int32_t below(uint64_t *state, int32_t count)
{
    return (int32_t)((mix(state) >> 32) * (uint64_t)count >> 32);
}

static int reflect(int at)
{
    return at < 0 ? -at : at > 31 ? 62 - at : at;
}

/* A border of 4 pixels, mirrored, a crop, a mirror image; each pixel factor x factor times. */
static void check_picture(const uint8_t *pixels, const uint8_t *source, uint64_t state, int factor)
{
    int down = below(&state, 9) - 4, right = below(&state, 9) - 4, mirrored = below(&state, 2);
    int side = 32 * factor;
    for (int row = 0; row < side; row++) {
        for (int column = 0; column < side; column++) {
            int x = mirrored ? 31 - column / factor : column / factor;
            const uint8_t *from = source + (reflect(row / factor + down) * 32 + reflect(x + right)) * 3;
            ck_assert_mem_eq(pixels + (row * side + column) * 3, from, 3);
        }
    }
}

START_TEST(test_order)
{
    enum { COUNT = 37, BATCH = 8, EPOCHS = 3, SEED = 5 };
    int factor = _i + 1, steps = COUNT / BATCH;
    struct images images = data_images(COUNT, 5, 0);
    struct dataset *dataset = dataset_of_images(&images);
    struct loader_settings settings = {.batch = BATCH,
                                       .side = 32 * factor,
                                       .shuffled = 1,
                                       .whole_batches = 1,
                                       .augmentation = {.crop_flip = 1},
                                       .seed = SEED,
                                       .last_step = EPOCHS * steps};
    struct loader *loader = loader_open(context, dataset, &settings);
    struct loader_batch batch;
    int32_t order[COUNT];
    ck_assert_int_eq(loader_steps_an_epoch(loader), steps);
    for (int32_t i = 0; i < COUNT; i++)
        order[i] = i;
    for (int32_t step = 0; step < EPOCHS * steps; step++) {
        uint64_t seed = (uint64_t)(SEED * 1000003 + step / steps);
        uint64_t state = start(seed, 0);
        for (int32_t i = COUNT - 1; i > 0 && step % steps == 0; i--) {
            int32_t other = below(&state, i + 1), kept = order[i];
            order[i] = order[other];
            order[other] = kept;
        }
        ck_assert_int_eq(loader_next(loader, &batch), 1);
        ck_assert_int_eq(batch.step, step);
        ck_assert_int_eq(batch.epoch, step / steps);
        ck_assert_int_eq(batch.count, BATCH);
        ck_assert_ptr_null(batch.targets);
        for (int32_t i = 0; i < BATCH; i++) {
            int32_t index = order[step % steps * BATCH + i];
            ck_assert_int_eq(batch.indices[i], index);
            ck_assert_int_eq(batch.labels[i], index % 5);
            check_picture(bytes_of(batch.input) + i * 32 * factor * 32 * factor * 3,
                          image_pixels(dataset_images(dataset), index), start(seed, (uint64_t)index + 1), factor);
        }
    }
    ck_assert_int_eq(loader_next(loader, &batch), 0);
    ck_assert_int_eq(loader_next(loader, &batch), 0);
    loader_close(loader);
    dataset_close(dataset);
}
END_TEST

/* ---- timing ---- */

/* Sums of the batches of a run from `first` to `last`. `slow`: 1 the caller, 2 the loader gets ahead now and then. */
static void run_sums(const struct dataset *dataset, struct loader_settings settings, int64_t first, int64_t last,
                     int slow, uint64_t *sums)
{
    settings.first_step = first;
    settings.last_step = last;
    struct loader *loader = loader_open(context, dataset, &settings);
    struct loader_batch batch;
    ck_assert_ptr_nonnull(loader);
    for (int64_t step = first; step < last; step++) {
        if (slow == 1 || (slow == 2 && step % 5 == 0))
            rest(2);
        ck_assert_int_eq(loader_next(loader, &batch), 1);
        ck_assert_int_eq(batch.step, step);
        sums[step] = sum_of(&batch);
    }
    ck_assert_int_eq(loader_next(loader, &batch), 0);
    loader_close(loader);
}

static void check_sums(const struct dataset *dataset, const struct loader_settings *settings)
{
    enum { STEPS = 23 };
    uint64_t expected[STEPS], sums[STEPS];
    run_sums(dataset, *settings, 0, STEPS, 0, expected);
    for (int i = 1; i < STEPS; i++)
        ck_assert_uint_ne(expected[i], expected[i - 1]);
    for (int32_t threads = 1; threads <= 4; threads++) {
        struct loader_settings other = *settings;
        other.threads = threads;
        for (int slow = 0; slow < 3; slow++) {
            int64_t first = threads * 5 + slow;
            run_sums(dataset, other, first, STEPS, slow, sums);
            ck_assert_mem_eq(sums + first, expected + first, (STEPS - (size_t)first) * sizeof *sums);
        }
    }
    struct loader_settings other = *settings;
    other.seed++;
    run_sums(dataset, other, 0, STEPS, 0, sums);
    ck_assert_uint_ne(sums[0], expected[0]);
}

START_TEST(test_timing)
{
    struct images images = data_images(37, 5, 1);
    struct dataset *dataset = dataset_of_images(&images);
    struct loader_settings settings = {.batch = 8, .side = 32, .shuffled = 1, .whole_batches = 1, .seed = 9};
    settings.with_targets = 1;
    settings.augmentation = (struct augmentation){.crop_flip = 1, .colour = 0.3};
    check_sums(dataset, &settings);
    settings.augmentation = (struct augmentation){.scale_crop = 1, .smallest_area = 0.2};
    settings.whole_batches = 0;
    check_sums(dataset, &settings);
    dataset_close(dataset);
}
END_TEST

static struct dataset *folder_of_pictures(int32_t count)
{
    char name[64];
    for (int i = 0; i < count; i++) {
        snprintf(name, sizeof name, "f/%c/%02d.png", 'a' + i / 5, i % 5);
        data_write_png(name, 30 + i, 50 - i, i);
        snprintf(name, sizeof name, "maps/%c/%02d.png", 'a' + i / 5, i % 5);
        if (i % 3)
            data_write_png(name, 30 + i, 50 - i, i);
    }
    struct dataset *dataset = dataset_open(data_path("f"), DATASET_TRAIN, NULL);
    ck_assert_ptr_nonnull(dataset);
    ck_assert_int_eq(dataset_count(dataset), count);
    ck_assert_int_eq(dataset_set_target_folder(dataset, data_path("maps")), 0);
    return dataset;
}

START_TEST(test_folder_timing)
{
    struct dataset *dataset = folder_of_pictures(13);
    struct loader_settings settings = {.batch = 4, .side = 24, .shuffled = 1, .with_targets = 1, .seed = 2};
    settings.augmentation = (struct augmentation){.scale_crop = 1, .smallest_area = 0.08, .colour = 0.4};
    check_sums(dataset, &settings);
    settings.augmentation = (struct augmentation){.crop_flip = 1};
    settings.short_side = 28;
    check_sums(dataset, &settings);
    dataset_close(dataset);
}
END_TEST

/* ---- pictures as they are ---- */

START_TEST(test_plain)
{
    static const int32_t indices[] = {12, 3, 3, 7, 0, 1, 2};
    struct dataset *dataset = folder_of_pictures(13);
    struct loader_settings settings = {.batch = 3, .side = 24, .short_side = 28, .indices = indices, .count = 7};
    settings.with_targets = 1;
    struct loader *loader = loader_open(context, dataset, &settings);
    struct loader_batch batch;
    ck_assert_int_eq(loader_steps_an_epoch(loader), 3);
    for (int32_t at = 0; at < 7; at += batch.count) {
        uint8_t expected[24 * 24 * 3];
        ck_assert_int_eq(loader_next(loader, &batch), 1);
        ck_assert_int_eq(batch.count, at < 6 ? 3 : 1);
        ck_assert_int_eq(resattn_tensor_size(batch.input, 0), batch.count);
        ck_assert_int_eq(resattn_tensor_size(batch.targets, 0), batch.count);
        ck_assert_int_eq(resattn_tensor_size(batch.targets, 3), 24);
        for (int32_t i = 0; i < batch.count; i++) {
            int32_t index = indices[at + i];
            struct bitmap bitmap;
            ck_assert_int_eq(dataset_read(dataset, index, &bitmap), 0);
            ck_assert_int_eq(bitmap_fit(&bitmap, 28, 24, expected), 0);
            bitmap_free(&bitmap);
            ck_assert_mem_eq(bytes_of(batch.input) + (size_t)i * sizeof expected, expected, sizeof expected);
            ck_assert_int_eq(batch.labels[i], index / 5);
            /* the maps are the pictures here, those that exist */
            float weight = batch.target_weights ? batch.target_weights[i] : 1;
            ck_assert_float_eq(weight, index % 3 ? 1 : 0);
            for (int32_t k = 0; k < 24 * 24; k++)
                ck_assert_int_eq(bytes_of(batch.targets)[i * 24 * 24 + k], index % 3 ? expected[k * 3] : 0);
        }
    }
    ck_assert_int_eq(loader_next(loader, &batch), 0);
    loader_close(loader);
    dataset_close(dataset);
}
END_TEST

/* What is done to a picture is done to the map of its object. */
START_TEST(test_targets)
{
    static const struct augmentation kinds[] = {
        {.crop_flip = 0}, {.crop_flip = 1}, {.scale_crop = 1, .smallest_area = 0.3}};
    struct images images = data_images(20, 5, 1);
    struct dataset *dataset = dataset_of_images(&images);
    for (int32_t factor = 1; factor <= 2; factor++) {
        for (size_t kind = 0; kind < 3; kind++) {
            struct loader_settings settings = {.batch = 10, .side = 32 * factor, .with_targets = 1, .seed = 4};
            settings.augmentation = kinds[kind];
            struct loader *loader = loader_open(context, dataset, &settings);
            struct loader_batch batch;
            while (loader_next(loader, &batch) == 1) {
                ck_assert_ptr_null(batch.target_weights);
                int32_t side = (int32_t)resattn_tensor_size(batch.targets, 2), step = 32 * factor / side;
                ck_assert_int_eq(side, kind == 2 ? 32 * factor : 32);
                const uint8_t *input = bytes_of(batch.input), *map = bytes_of(batch.targets);
                for (int32_t i = 0; i < batch.count * side * side; i++) {
                    int32_t row = i / side * step, column = i % side * step;
                    ck_assert_int_eq(map[i], input[(row * 32 * factor + column) * 3]);
                }
            }
            loader_close(loader);
        }
    }
    dataset_close(dataset);
}
END_TEST

/* ---- trouble ---- */

/* What is full comes first; then the error, with the file's name, again and again. */
static void expect_damage(const char *name, int32_t index)
{
    struct dataset *dataset = dataset_open(data_path("f"), DATASET_TRAIN, NULL);
    for (int32_t threads = 1; threads <= 4; threads++) {
        struct loader_settings settings = {.batch = 2, .side = 24, .threads = threads};
        struct loader_batch batch;
        data_catch_errors();
        struct loader *loader = loader_open(context, dataset, &settings);
        for (int32_t step = 0; step < index / 2; step++)
            ck_assert_int_eq(loader_next(loader, &batch), 1);
        ck_assert_int_eq(loader_next(loader, &batch), -1);
        ck_assert_int_eq(loader_next(loader, &batch), -1);
        loader_close(loader);
        const char *errors = data_caught_errors();
        ck_assert_msg(strstr(errors, data_path(name)), "%s is not named by \"%s\"", name, errors);
    }
    dataset_close(dataset);
}

START_TEST(test_damaged)
{
    dataset_close(folder_of_pictures(13));
    uint8_t jpeg[] = {0xFF, 0xD8, 0xFF, 0xE0, 0, 16, 'J', 'F', 'I', 'F', 0};
    data_write("f/b/02.png", jpeg, sizeof jpeg);
    expect_damage("f/b/02.png", 7);
    data_write("f/b/02.png", "", 0);
    expect_damage("f/b/02.png", 7);
    struct dataset *dataset = dataset_open(data_path("f"), DATASET_TRAIN, NULL);
    ck_assert_int_eq(unlink(data_path("f/a/00.png")), 0);
    struct loader_settings settings = {.batch = 2, .side = 24};
    struct loader_batch batch;
    data_catch_errors();
    struct loader *loader = loader_open(context, dataset, &settings);
    ck_assert_int_eq(loader_next(loader, &batch), -1);
    loader_close(loader);
    ck_assert_ptr_nonnull(strstr(data_caught_errors(), "f/a/00.png: No such file"));
    dataset_close(dataset);
}
END_TEST

START_TEST(test_damaged_target)
{
    struct dataset *dataset = folder_of_pictures(13);
    struct loader_settings settings = {.batch = 2, .side = 24, .with_targets = 1};
    struct loader_batch batch;
    data_write("maps/a/00.png", "no picture", 10);
    data_catch_errors();
    struct loader *loader = loader_open(context, dataset, &settings);
    ck_assert_int_eq(loader_next(loader, &batch), -1);
    loader_close(loader);
    ck_assert_ptr_nonnull(strstr(data_caught_errors(), "maps/a/00.png: "));
    dataset_close(dataset);
}
END_TEST

START_TEST(test_close)
{
    struct images images = data_images(37, 5, 0);
    struct dataset *sets[] = {dataset_of_images(&images), folder_of_pictures(13)};
    for (int set = 0; set < 2; set++) {
        for (int taken = 0; taken < 12; taken++) {
            struct loader_settings settings = {
                .batch = 3, .side = 32, .shuffled = 1, .threads = 1 + taken % 4, .last_step = 1000};
            struct loader_batch batch;
            struct loader *loader = loader_open(context, sets[set], &settings);
            for (int i = 0; i < taken / 4; i++)
                ck_assert_int_eq(loader_next(loader, &batch), 1);
            if (taken % 2)
                rest(1);
            loader_close(loader);
        }
        dataset_close(sets[set]);
    }
    loader_close(NULL);
}
END_TEST

START_TEST(test_wrong_settings)
{
    static const int32_t far[] = {0, 10};
    struct images images = data_images(10, 5, 0);
    struct dataset *dataset = dataset_of_images(&images);
    const struct {
        struct loader_settings settings;
        const char *message;
    } cases[] = {
        {{.batch = 11, .side = 32, .whole_batches = 1}, "10 pictures are less than one batch of 11"},
        {{.batch = 0, .side = 32}, "batch of 0"},
        {{.batch = 2, .side = 32, .count = 11}, "11 pictures are asked for"},
        {{.batch = 2, .side = 32, .count = 2, .indices = far}, "picture 10 is asked for, expected 0 to 9"},
        {{.batch = 2, .side = 32, .short_side = 31}, "shorter side is 31"},
        {{.batch = 2, .side = 32, .first_step = -1}, "first step is -1"},
        {{.batch = 2, .side = 32, .with_targets = 1}, "where their objects are"},
        {{.batch = 2, .side = 32, .augmentation = {.crop_flip = 1, .scale_crop = 1}}, "not both"},
        {{.batch = 2, .side = 32, .augmentation = {.scale_crop = 1}}, "smallest area of a crop is 0"},
        {{.batch = 2, .side = 32, .augmentation = {.colour = 1.5}}, "up to 1.5"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        data_catch_errors();
        ck_assert_ptr_null(loader_open(context, dataset, &cases[i].settings));
        const char *errors = data_caught_errors();
        ck_assert_msg(strstr(errors, cases[i].message), "case %zu: \"%s\"", i, errors);
    }
    dataset_close(dataset);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("loader");
    TCase *tests = tcase_create("loader");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_loop_test(tests, test_order, 0, 3);
    tcase_add_test(tests, test_timing);
    tcase_add_test(tests, test_folder_timing);
    tcase_add_test(tests, test_plain);
    tcase_add_test(tests, test_targets);
    tcase_add_test(tests, test_damaged);
    tcase_add_test(tests, test_damaged_target);
    tcase_add_test(tests, test_close);
    tcase_add_test(tests, test_wrong_settings);
    tcase_set_timeout(tests, 120);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
