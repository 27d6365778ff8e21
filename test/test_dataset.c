/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Data sets of the examples: the files of CIFAR, folders of pictures, the order of classes, splits, wrong labels.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "common.h"
#include "data_common.h"
#include "dataset.h"

static const char *folder;

static void make_folder(void)
{
    folder = data_folder_make();
}

/* A network without layers to speak of, with classes called `names`. */
static resattn_network *named_network(resattn_context *context, const char *const *names, int32_t classes)
{
    resattn_builder *builder = resattn_builder_new(context);
    resattn_layer *root = resattn_sequential_new(builder, NULL);
    resattn_layer_add(root, resattn_global_average_pool_new(builder, NULL));
    resattn_layer_add(root, resattn_linear_new(builder, "linear", classes));
    resattn_network *network = resattn_network_new(builder, root, 3);
    resattn_builder_free(builder);
    ck_assert_ptr_nonnull(network);
    if (names)
        ck_assert_int_eq(resattn_network_set_classes(network, names, classes), RESATTN_OK);
    return network;
}

/* Opening fails, and the message has `part` in it. */
static void expect_refusal(const char *where, enum dataset_part part, const resattn_network *network, const char *text)
{
    data_catch_errors();
    struct dataset *dataset = dataset_open(where, part, network);
    const char *errors = data_caught_errors();
    ck_assert_msg(!dataset && strstr(errors, text), "expected \"%s\", got \"%s\"", text, errors);
}

/* ---- CIFAR ---- */

enum { RECORDS = 12 };

/* Byte k of record i; the labels come first. */
static uint8_t record_byte(int32_t i, int32_t k, int32_t labels, int test)
{
    if (k == labels - 1)
        return (uint8_t)((i * 7 + test) % (labels == 2 ? 100 : 10));
    return (uint8_t)(k == 0 ? 19 : i * 31 + (k - labels) * 7 + (k - labels) / 1024 + test);
}

static void write_records(const char *name, int32_t first, int32_t count, int32_t labels, int test)
{
    int32_t size = labels + IMAGE_BYTES;
    uint8_t *bytes = malloc((size_t)(count * size));
    for (int32_t i = 0; i < count * size; i++)
        bytes[i] = record_byte(first + i / size, i % size, labels, test);
    data_write(name, bytes, (size_t)(count * size));
    free(bytes);
}

static void write_names(const char *name, int32_t count)
{
    char text[2000];
    size_t length = 0;
    for (int32_t i = 0; i < count; i++)
        length += (size_t)snprintf(text + length, sizeof text - length, "class_%d\r\n", (int)i);
    data_write(name, text, length);
}

static void check_records(const struct dataset *dataset, int32_t labels, int test)
{
    ck_assert_int_eq(dataset_count(dataset), RECORDS);
    ck_assert_int_eq(dataset_side(dataset), 32);
    ck_assert_int_eq(dataset_classes(dataset), labels == 2 ? 100 : 10);
    ck_assert_str_eq(dataset_class_name(dataset, 9), "class_9");
    ck_assert_ptr_null(dataset_where(dataset, 0));
    ck_assert_int_eq(dataset_has_targets(dataset), 0);
    for (int32_t i = 0; i < RECORDS; i++) {
        struct bitmap bitmap;
        ck_assert_int_eq(dataset_label(dataset, i), record_byte(i, labels - 1, labels, test));
        ck_assert_int_eq(dataset_read(dataset, i, &bitmap), 0);
        for (int32_t k = 0; k < IMAGE_BYTES; k++)
            ck_assert_int_eq(bitmap.pixels[k], record_byte(i, labels + k % 3 * IMAGE_PIXELS + k / 3, labels, test));
        bitmap_free(&bitmap);
    }
}

START_TEST(test_cifar)
{
    int32_t labels = _i + 1;
    if (labels == 1) {
        write_records("c/data_batch_1.bin", 0, 5, labels, 0);
        write_records("c/data_batch_2.bin", 5, RECORDS - 5, labels, 0);
    } else {
        write_records("c/train.bin", 0, RECORDS, labels, 0);
    }
    expect_refusal(data_path("c"), DATASET_TEST, NULL, labels == 1 ? "test_batch.bin: " : "test.bin: ");
    write_records(labels == 1 ? "c/test_batch.bin" : "c/test.bin", 0, RECORDS, labels, 1);
    write_names(labels == 1 ? "c/batches.meta.txt" : "c/fine_label_names.txt", labels == 1 ? 10 : 99);
    if (labels == 2)
        expect_refusal(data_path("c"), DATASET_TEST, NULL, "fine_label_names.txt: 99 class names, expected 100");
    write_names(labels == 1 ? "c/batches.meta.txt" : "c/fine_label_names.txt", labels == 1 ? 10 : 100);
    for (int part = DATASET_TRAIN; part <= DATASET_TEST_OR_WHOLE; part++) {
        struct dataset *dataset = dataset_open(data_path("c"), (enum dataset_part)part, NULL);
        ck_assert_ptr_nonnull(dataset);
        check_records(dataset, labels, part != DATASET_TRAIN);
        dataset_close(dataset);
    }
}
END_TEST

START_TEST(test_cifar_damaged)
{
    uint8_t record[2 + IMAGE_BYTES] = {3, 100};
    write_names("c/fine_label_names.txt", 100);
    data_write("c/test.bin", record, sizeof record);
    expect_refusal(data_path("c"), DATASET_TEST, NULL, "test.bin: record 0 has label 100, expected 0 to 99");
    data_write("c/test.bin", record, sizeof record - 1);
    expect_refusal(data_path("c"), DATASET_TEST, NULL, "c/test.bin: 3073 bytes");
    data_write("c/test.bin", record, 0);
    expect_refusal(data_path("c"), DATASET_TEST, NULL, "c/test.bin: 0 bytes");
}
END_TEST

/* ---- folders ---- */

START_TEST(test_folder_whole)
{
    data_write_png("f/b/2.png", 8, 9, 1);
    data_write_png("f/b/1.png", 7, 9, 2);
    data_write_png("f/a/x.PNG", 6, 9, 3);
    data_write("f/a/notes.txt", "", 0);
    data_write("f/a/.hidden.png", "", 0);
    expect_refusal(data_path("f"), DATASET_TEST, NULL, "neither test/ nor val/");
    struct dataset *dataset = dataset_open(data_path("f"), DATASET_TEST_OR_WHOLE, NULL);
    static const char *const paths[] = {"f/a/x.PNG", "f/b/1.png", "f/b/2.png"};
    static const int32_t labels[] = {0, 1, 1}, widths[] = {6, 7, 8};
    ck_assert_int_eq(dataset_count(dataset), 3);
    ck_assert_int_eq(dataset_side(dataset), 0);
    ck_assert_ptr_null(dataset_images(dataset));
    for (int32_t i = 0; i < 3; i++) {
        struct bitmap bitmap;
        ck_assert_str_eq(dataset_where(dataset, i), data_path(paths[i]));
        ck_assert_int_eq(dataset_label(dataset, i), labels[i]);
        ck_assert_int_eq(dataset_read(dataset, i, &bitmap), 0);
        ck_assert_int_eq(bitmap.width, widths[i]);
        bitmap_free(&bitmap);
        ck_assert_int_eq(dataset_read_target(dataset, i, &bitmap), 1);
    }
    ck_assert_str_eq(dataset_class_name(dataset, 1), "b");
    ck_assert_ptr_null(dataset_class_name(dataset, 2));
    float mean[3], deviation[3];
    dataset_statistics(dataset, mean, deviation);
    ck_assert_float_eq_tol(mean[2], 0.406f, 1e-6f);
    ck_assert_float_eq_tol(deviation[0], 0.229f, 1e-6f);
    dataset_close(dataset);
}
END_TEST

/* The test pictures need not be of every class; they are numbered as the training pictures. */
START_TEST(test_folder_parts)
{
    data_write_png("f/train/a/1.png", 8, 8, 1);
    data_write_png("f/train/b/1.png", 8, 8, 1);
    data_write_png("f/train/c/1.png", 8, 8, 1);
    expect_refusal(data_path("f"), DATASET_TEST, NULL, "neither test/ nor val/");
    expect_refusal(data_path("f"), DATASET_TEST_OR_WHOLE, NULL, "neither test/ nor val/");
    data_write_png("f/val/c/1.png", 8, 8, 1);
    struct dataset *train = dataset_open(data_path("f"), DATASET_TRAIN, NULL);
    struct dataset *test = dataset_open(data_path("f"), DATASET_TEST, NULL);
    ck_assert_int_eq(dataset_count(train), 3);
    ck_assert_int_eq(dataset_count(test), 1);
    ck_assert_int_eq(dataset_classes(test), 3);
    ck_assert_int_eq(dataset_label(test, 0), 2);
    ck_assert_str_eq(dataset_where(test, 0), data_path("f/val/c/1.png"));
    dataset_close(train);
    dataset_close(test);
    data_write_png("f/val/d/1.png", 8, 8, 1);
    expect_refusal(data_path("f"), DATASET_TEST, NULL, "f/val/d: no folder of this name is among the 3 of train/");
    data_write_png("g/test/a/1.png", 8, 8, 1);
    expect_refusal(data_path("g"), DATASET_TRAIN, NULL, "no train/");
    expect_refusal(data_path("absent"), DATASET_TRAIN, NULL, "absent: ");
    data_write("h/a/text", "", 0);
    expect_refusal(data_path("h"), DATASET_TRAIN, NULL, "h: no pictures in its 1 folders");
    data_write("i/text", "", 0);
    expect_refusal(data_path("i"), DATASET_TRAIN, NULL, "i: neither a folder for each class nor");
}
END_TEST

START_TEST(test_class_order)
{
    static const char *const names[] = {"c", "x", "a", "b"};
    static const int32_t expected[] = {2, 3, 0};
    data_write_png("f/a/1.png", 8, 8, 1);
    data_write_png("f/b/1.png", 8, 8, 1);
    data_write_png("f/c/1.png", 8, 8, 1);
    resattn_context *context = resattn_context_new(1);
    resattn_network *network = named_network(context, names, 4);
    struct dataset *dataset = dataset_open(folder, DATASET_TRAIN, network);
    ck_assert_ptr_null(dataset);
    dataset = dataset_open(data_path("f"), DATASET_TRAIN, network);
    ck_assert_int_eq(dataset_classes(dataset), 4);
    ck_assert_str_eq(dataset_class_name(dataset, 1), "x");
    for (int32_t i = 0; i < 3; i++)
        ck_assert_int_eq(dataset_label(dataset, i), expected[i]);
    dataset_close(dataset);
    resattn_network_unref(network);
    network = named_network(context, NULL, 4);
    expect_refusal(data_path("f"), DATASET_TRAIN, network, "f: 3 folders that are not called like");
    expect_refusal("shapes", DATASET_TEST, network, "shapes: 10 classes that are not called like");
    resattn_network_unref(network);
    network = named_network(context, NULL, 3);
    data_catch_errors();
    dataset = dataset_open(data_path("f"), DATASET_TRAIN, network);
    ck_assert_ptr_nonnull(strstr(data_caught_errors(), "classes 0 to 2 in the order of their names"));
    ck_assert_int_eq(dataset_label(dataset, 2), 2);
    dataset_close(dataset);
    resattn_network_unref(network);
    resattn_context_unref(context);
}
END_TEST

START_TEST(test_target_folder)
{
    data_write_png("f/a/1.png", 8, 8, 1);
    data_write_png("f/a/2.png", 8, 8, 1);
    data_write("f/b/3.jpeg", "", 0);
    data_write_png("maps/b/3.png", 5, 4, 9);
    data_write_png("maps/a/1.png", 6, 4, 9);
    struct dataset *dataset = dataset_open(data_path("f"), DATASET_TRAIN, NULL);
    ck_assert_int_eq(dataset_has_targets(dataset), 0);
    data_catch_errors();
    ck_assert_int_eq(dataset_set_target_folder(dataset, data_path("absent")), -1);
    ck_assert_ptr_nonnull(strstr(data_caught_errors(), "absent: "));
    ck_assert_int_eq(dataset_set_target_folder(dataset, data_path("maps")), 0);
    ck_assert_int_eq(dataset_has_targets(dataset), 1);
    static const int32_t widths[] = {6, 0, 5};
    for (int32_t i = 0; i < 3; i++) {
        struct bitmap bitmap;
        ck_assert_int_eq(dataset_read_target(dataset, i, &bitmap), widths[i] == 0);
        ck_assert_int_eq(bitmap.width, widths[i]);
        bitmap_free(&bitmap);
    }
    dataset_close(dataset);
    struct images images = data_images(2, 2, 0);
    dataset = dataset_of_images(&images);
    data_catch_errors();
    ck_assert_int_eq(dataset_set_target_folder(dataset, data_path("maps")), -1);
    ck_assert_ptr_nonnull(strstr(data_caught_errors(), "folders of pictures only"));
    dataset_close(dataset);
}
END_TEST

/* ---- labels and splits ---- */

enum { COUNT = 997, CLASSES = 7 };

static struct dataset *many(void)
{
    struct images images = data_images(COUNT, CLASSES, 0);
    for (int32_t i = 0; i < COUNT; i++)
        images.labels[i] = i * i % 11 % CLASSES;
    return dataset_of_images(&images);
}

START_TEST(test_noise)
{
    static const double shares[] = {0, 0.1, 0.5, 1};
    int32_t targets[CLASSES] = {0};
    for (size_t s = 0; s < 4; s++) {
        struct dataset *clean = many(), *noisy = many(), *again = many(), *other = many();
        int32_t changed = 0, differ = 0;
        ck_assert_int_eq(dataset_add_label_noise(noisy, shares[s], 5), 0);
        ck_assert_int_eq(dataset_add_label_noise(again, shares[s], 5), 0);
        ck_assert_int_eq(dataset_add_label_noise(other, shares[s], 6), 0);
        for (int32_t i = 0; i < COUNT; i++) {
            int32_t label = dataset_label(noisy, i);
            ck_assert(label >= 0 && label < CLASSES);
            ck_assert_int_eq(label, dataset_label(again, i));
            changed += label != dataset_label(clean, i);
            differ += label != dataset_label(other, i);
            targets[label] += label != dataset_label(clean, i);
        }
        ck_assert(changed >= shares[s] * COUNT - 0.5 && changed <= shares[s] * COUNT + 0.5);
        ck_assert_int_eq(differ > 0, s > 0);
        dataset_close(clean);
        dataset_close(noisy);
        dataset_close(again);
        dataset_close(other);
    }
    for (int32_t c = 0; c < CLASSES; c++)
        ck_assert_int_ge(targets[c], COUNT * 16 / 10 / CLASSES / 2);
    struct dataset *dataset = many();
    data_catch_errors();
    ck_assert_int_eq(dataset_add_label_noise(dataset, 1.1, 1), -1);
    ck_assert_ptr_nonnull(strstr(data_caught_errors(), "1.1"));
    dataset_close(dataset);
}
END_TEST

/* Checks that a split is one, and how many of each class it has. */
static void check_split(const struct dataset *dataset, const struct dataset_split *split, double share)
{
    int32_t all[CLASSES] = {0}, second[CLASSES] = {0};
    uint8_t seen[COUNT] = {0};
    ck_assert_int_eq(split->first_count + split->second_count, COUNT);
    for (int32_t i = 0; i < split->first_count; i++) {
        ck_assert(i == 0 || split->first[i] > split->first[i - 1]);
        seen[split->first[i]]++;
    }
    for (int32_t i = 0; i < split->second_count; i++) {
        ck_assert(i == 0 || split->second[i] > split->second[i - 1]);
        seen[split->second[i]]++;
        second[dataset_label(dataset, split->second[i])]++;
    }
    for (int32_t i = 0; i < COUNT; i++) {
        ck_assert_int_eq(seen[i], 1);
        all[dataset_label(dataset, i)]++;
    }
    for (int32_t c = 0; c < CLASSES; c++)
        ck_assert(second[c] >= share * all[c] - 0.5 && second[c] <= share * all[c] + 0.5);
}

START_TEST(test_split)
{
    static const double shares[] = {0, 0.1, 0.37, 1};
    struct dataset *dataset = many();
    for (size_t s = 0; s < 4; s++) {
        struct dataset_split split, again, other;
        ck_assert_int_eq(dataset_split(dataset, shares[s], 3, &split), 0);
        ck_assert_int_eq(dataset_split(dataset, shares[s], 3, &again), 0);
        ck_assert_int_eq(dataset_split(dataset, shares[s], 4, &other), 0);
        check_split(dataset, &split, shares[s]);
        check_split(dataset, &other, shares[s]);
        size_t bytes = (size_t)split.second_count * sizeof *split.second;
        ck_assert_int_eq(split.second_count, again.second_count);
        ck_assert_int_eq(memcmp(split.second, again.second, bytes), 0);
        if (s == 1 || s == 2)
            ck_assert_int_ne(memcmp(split.second, other.second, bytes), 0);
        dataset_split_free(&split);
        dataset_split_free(&again);
        dataset_split_free(&other);
    }
    dataset_close(dataset);
}
END_TEST

START_TEST(test_shapes)
{
    struct dataset *dataset = dataset_open("shapes", DATASET_TEST, NULL);
    struct bitmap map;
    ck_assert_int_eq(dataset_has_targets(dataset), 1);
    ck_assert_str_eq(dataset_class_name(dataset, 3), "star");
    ck_assert_int_eq(dataset_read_target(dataset, 3, &map), 0);
    int32_t covered = 0;
    for (int32_t i = 0; i < IMAGE_PIXELS; i++) {
        ck_assert_int_eq(map.pixels[i * 3 + 1], image_coverage(dataset_images(dataset), 3)[i]);
        covered += map.pixels[i * 3] >= 128;
    }
    ck_assert(covered > 20 && covered < IMAGE_PIXELS / 2);
    bitmap_free(&map);
    dataset_close(dataset);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("dataset");
    TCase *tests = tcase_create("dataset");
    tcase_add_checked_fixture(tests, make_folder, data_folder_remove);
    tcase_add_loop_test(tests, test_cifar, 0, 2);
    tcase_add_test(tests, test_cifar_damaged);
    tcase_add_test(tests, test_folder_whole);
    tcase_add_test(tests, test_folder_parts);
    tcase_add_test(tests, test_class_order);
    tcase_add_test(tests, test_target_folder);
    tcase_add_test(tests, test_noise);
    tcase_add_test(tests, test_split);
    tcase_add_test(tests, test_shapes);
    tcase_set_timeout(tests, 60);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
