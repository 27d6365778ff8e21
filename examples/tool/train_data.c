/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * resattn train: the images for training, validation and the test at the end.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "errors.h"
#include "train.h"

/* All numbers from 0 on. */
static int32_t *all_indices(int32_t count)
{
    int32_t *indices = calloc((size_t)count + 1, sizeof *indices);
    for (int32_t i = 0; i < count && indices; i++)
        indices[i] = i;
    if (!indices)
        complain("no memory for a list of %d images", (int)count);
    return indices;
}

/* Leaves `limit` of them, evenly spaced, so that each class keeps about its share. */
static void limit_indices(int32_t *indices, int32_t *count, int32_t limit)
{
    if (limit == 0 || *count <= limit)
        return;
    for (int32_t i = 0; i < limit; i++)
        indices[i] = indices[(int64_t)i * *count / limit];
    *count = limit;
}

/* Whether a folder of pictures has a part for the test. */
static int has_test(const char *where)
{
    static const char *const parts[] = {"test", "val"};
    char path[4096];
    struct stat status;
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", where, parts[i]);
        if (stat(path, &status) == 0 && S_ISDIR(status.st_mode))
            return 1;
    }
    return 0;
}

static int open_test(struct train_data *data, const struct train_settings *settings, const resattn_network *network)
{
    if (dataset_side(data->training) == 0 && !has_test(settings->data))
        return 0;
    data->test = dataset_open(settings->data, DATASET_TEST, network);
    if (!data->test)
        return -1;
    if (dataset_classes(data->test) != dataset_classes(data->training))
        return complain("%s: %d classes of test images and %d of training images, expected as many", settings->data,
                        (int)dataset_classes(data->test), (int)dataset_classes(data->training));
    data->test_count = dataset_count(data->test);
    data->test_indices = all_indices(data->test_count);
    return data->test_indices ? 0 : -1;
}

static int validate_by_test(struct train_data *data, const struct train_settings *settings)
{
    if (!data->test)
        return complain("%s: no test images, expected some for --validation test", settings->data);
    data->validation = data->test;
    data->validation_count = data->test_count;
    data->validation_indices = all_indices(data->test_count);
    data->count = dataset_count(data->training);
    data->indices = all_indices(data->count);
    return data->indices && data->validation_indices ? 0 : -1;
}

/* Images for validation keep their right labels: where the others get wrong ones, there are two sets. */
static int split(struct train_data *data, const struct train_settings *settings, const resattn_network *network)
{
    struct dataset_split parts;
    if (dataset_split(data->training, settings->validation, settings->seed, &parts))
        return -1;
    data->indices = parts.first;
    data->count = parts.first_count;
    data->validation_indices = parts.second;
    data->validation_count = parts.second_count;
    if (parts.second_count == 0)
        return settings->validation > 0 ? complain("%s: %g of %d images are too few for validation", settings->data,
                                                   settings->validation, (int)dataset_count(data->training))
                                        : 0;
    data->validation = data->training;
    if (settings->label_noise > 0) {
        data->validation = dataset_open(settings->data, DATASET_TRAIN, network);
        data->owns_validation = 1;
    }
    return data->validation ? 0 : -1;
}

int train_data_open(struct train_data *data, const struct train_settings *settings, const resattn_network *network)
{
    *data = (struct train_data){.training = dataset_open(settings->data, DATASET_TRAIN, network)};
    if (!data->training)
        return -1;
    if (settings->target_folder && dataset_set_target_folder(data->training, settings->target_folder))
        return -1;
    if (open_test(data, settings, network))
        return -1;
    int result = settings->validation < 0 ? validate_by_test(data, settings) : split(data, settings, network);
    if (!result && settings->label_noise > 0)
        result = dataset_add_label_noise(data->training, settings->label_noise, settings->seed);
    if (result)
        return -1;
    limit_indices(data->indices, &data->count, settings->limit);
    limit_indices(data->validation_indices, &data->validation_count, settings->limit);
    limit_indices(data->test_indices, &data->test_count, settings->limit);
    return 0;
}

void train_data_close(struct train_data *data)
{
    if (data->owns_validation)
        dataset_close(data->validation);
    dataset_close(data->training);
    dataset_close(data->test);
    free(data->indices);
    free(data->validation_indices);
    free(data->test_indices);
    *data = (struct train_data){0};
}

/* ---- weights of the classes ---- */

/* So that each class counts as much as any other: images / (classes * images of the class). */
static int balance(float *weights, const struct train_data *data)
{
    int32_t classes = dataset_classes(data->training);
    int32_t *counts = calloc((size_t)classes, sizeof *counts);
    if (!counts)
        return complain("no memory for %d classes", (int)classes);
    for (int32_t i = 0; i < data->count; i++)
        counts[dataset_label(data->training, data->indices[i])]++;
    for (int32_t c = 0; c < classes; c++)
        weights[c] = counts[c] ? (float)data->count / ((float)classes * (float)counts[c]) : 0;
    free(counts);
    return 0;
}

static int read_list(float *weights, const char *text, int32_t classes)
{
    const char *at = text;
    for (int32_t c = 0; c < classes; c++) {
        char *end;
        weights[c] = strtof(at, &end);
        char expected = c + 1 < classes ? ',' : '\0';
        if (end == at || *end != expected || !isfinite(weights[c]) || weights[c] < 0)
            return complain(
                "--class-weights is '%s', expected \"balanced\" or %d numbers from 0 on with commas between", text,
                (int)classes);
        at = end + 1;
    }
    return 0;
}

float *train_class_weights(const struct train_settings *settings, const struct train_data *data, int *failed)
{
    *failed = 0;
    if (!settings->class_weights)
        return NULL;
    int32_t classes = dataset_classes(data->training);
    float *weights = calloc((size_t)classes, sizeof *weights);
    if (!weights)
        *failed = complain("no memory for %d class weights", (int)classes);
    else if (strcmp(settings->class_weights, "balanced") == 0)
        *failed = balance(weights, data);
    else
        *failed = read_list(weights, settings->class_weights, classes);
    if (!*failed)
        return weights;
    free(weights);
    return NULL;
}
