/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sets of labelled pictures: images in memory, or files.
 */
#include "dataset.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cifar.h"
#include "errors.h"
#include "folder.h"
#include "random.h"
#include "shapes.h"

/* Either images or files. */
struct dataset {
    struct images images;
    struct folder folder;
    char *target_folder;
    int32_t count;
    int32_t *labels; /* as the network numbers the classes */
    struct names classes;
};

static int in_memory(const struct dataset *dataset)
{
    return dataset->images.pixels != NULL;
}

/* ---- opening ---- */

static int read_set(struct dataset *dataset, const char *where, enum dataset_part part)
{
    if (strcmp(where, "shapes") == 0)
        return part == DATASET_TRAIN ? shapes_draw(&dataset->images, SHAPES_PART_TRAIN, SHAPES_TRAIN)
                                     : shapes_draw(&dataset->images, SHAPES_PART_TEST, SHAPES_TEST);
    if (cifar_is_in(where))
        return cifar_read(&dataset->images, where, part != DATASET_TRAIN);
    return folder_read(&dataset->folder, where, part);
}

static int32_t network_class(const resattn_network *network, const char *name)
{
    for (int32_t c = 0; resattn_network_class_name(network, c); c++)
        if (strcmp(resattn_network_class_name(network, c), name) == 0)
            return c;
    return -1;
}

/* Finds the network's class for each of the set's. Returns 1 if it has all, otherwise 0. */
static int match_names(const struct names *own, const resattn_network *network, int32_t *class_of)
{
    for (int32_t i = 0; i < own->count; i++)
        if ((class_of[i] = network_class(network, own->texts[i])) < 0)
            return 0;
    return 1;
}

static int check_classes(const struct dataset *dataset, const char *where, int32_t own, const resattn_network *network)
{
    const char *what = in_memory(dataset) ? "classes" : "folders";
    int32_t expected = resattn_network_out_channels(network);
    if (own != expected)
        return complain("%s: %d %s that are not called like the network's classes, expected %d, one for each", where,
                        (int)own, what, (int)expected);
    if (!in_memory(dataset))
        complain("the folders are taken as classes 0 to %d in the order of their names", (int)own - 1);
    return 0;
}

/* Fills labels and class names. */
static int name_classes(struct dataset *dataset, const char *where, const resattn_network *network)
{
    const struct names *own = in_memory(dataset) ? &dataset->images.classes : &dataset->folder.classes;
    const int32_t *labels = in_memory(dataset) ? dataset->images.labels : dataset->folder.labels;
    int32_t *class_of = calloc((size_t)own->count + 1, sizeof *class_of);
    dataset->count = in_memory(dataset) ? dataset->images.count : dataset->folder.files.count;
    dataset->labels = calloc((size_t)dataset->count, sizeof *dataset->labels);
    int result = class_of && dataset->labels ? 0 : complain("no memory for %d labels", (int)dataset->count);
    int by_name = !result && network && match_names(own, network, class_of);
    if (!result && network && !by_name)
        result = check_classes(dataset, where, own->count, network);
    for (int32_t i = 0; i < dataset->count && !result; i++)
        dataset->labels[i] = by_name ? class_of[labels[i]] : labels[i];
    int32_t classes = by_name ? resattn_network_out_channels(network) : own->count;
    for (int32_t i = 0; i < classes && !result; i++) {
        const char *name = by_name ? resattn_network_class_name(network, i) : own->texts[i];
        result = names_add_copy(&dataset->classes, name ? name : "");
    }
    free(class_of);
    return result;
}

static struct dataset *finish(struct dataset *dataset, int result)
{
    if (!result)
        return dataset;
    dataset_close(dataset);
    return NULL;
}

int dataset_is_named_by(const struct dataset *dataset, const resattn_network *network)
{
    int all = 1;
    for (int32_t i = 0; i < dataset->classes.count && all; i++)
        all = network_class(network, dataset->classes.texts[i]) >= 0;
    return all;
}

struct dataset *dataset_open(const char *where, enum dataset_part part, const resattn_network *network)
{
    struct dataset *dataset = calloc(1, sizeof *dataset);
    if (!dataset) {
        complain("%s: no memory for a data set", where);
        return NULL;
    }
    return finish(dataset, read_set(dataset, where, part) || name_classes(dataset, where, network));
}

struct dataset *dataset_of_images(struct images *images)
{
    struct dataset *dataset = calloc(1, sizeof *dataset);
    if (!dataset) {
        images_free(images);
        complain("no memory for a data set");
        return NULL;
    }
    dataset->images = *images;
    memset(images, 0, sizeof *images);
    return finish(dataset, name_classes(dataset, "", NULL));
}

void dataset_close(struct dataset *dataset)
{
    if (!dataset)
        return;
    images_free(&dataset->images);
    folder_free(&dataset->folder);
    names_free(&dataset->classes);
    free(dataset->target_folder);
    free(dataset->labels);
    free(dataset);
}

/* ---- what is in it ---- */

int32_t dataset_count(const struct dataset *dataset)
{
    return dataset->count;
}

int32_t dataset_classes(const struct dataset *dataset)
{
    return dataset->classes.count;
}

const char *dataset_class_name(const struct dataset *dataset, int32_t c)
{
    return c >= 0 && c < dataset->classes.count ? dataset->classes.texts[c] : NULL;
}

int32_t dataset_label(const struct dataset *dataset, int32_t index)
{
    return dataset->labels[index];
}

const char *dataset_where(const struct dataset *dataset, int32_t index)
{
    return in_memory(dataset) ? NULL : dataset->folder.files.texts[index];
}

int32_t dataset_side(const struct dataset *dataset)
{
    return in_memory(dataset) ? IMAGE_SIDE : 0;
}

const struct images *dataset_images(const struct dataset *dataset)
{
    return in_memory(dataset) ? &dataset->images : NULL;
}

int dataset_has_targets(const struct dataset *dataset)
{
    return dataset->images.coverage || dataset->target_folder;
}

void dataset_statistics(const struct dataset *dataset, float mean[3], float deviation[3])
{
    static const float imagenet_mean[] = {0.485f, 0.456f, 0.406f}, imagenet_deviation[] = {0.229f, 0.224f, 0.225f};
    if (in_memory(dataset)) {
        images_statistics(&dataset->images, mean, deviation);
        return;
    }
    memcpy(mean, imagenet_mean, sizeof imagenet_mean);
    memcpy(deviation, imagenet_deviation, sizeof imagenet_deviation);
}

/* ---- pictures ---- */

int dataset_read(const struct dataset *dataset, int32_t index, struct bitmap *bitmap)
{
    if (!in_memory(dataset))
        return bitmap_read(bitmap, dataset->folder.files.texts[index]);
    if (bitmap_init(bitmap, "an image", IMAGE_SIDE, IMAGE_SIDE))
        return -1;
    memcpy(bitmap->pixels, image_pixels(&dataset->images, index), IMAGE_BYTES);
    return 0;
}

static int read_coverage(const struct images *images, int32_t index, struct bitmap *bitmap)
{
    if (!images->coverage)
        return 1;
    if (bitmap_init(bitmap, "a map", IMAGE_SIDE, IMAGE_SIDE))
        return -1;
    for (size_t i = 0; i < IMAGE_BYTES; i++)
        bitmap->pixels[i] = image_coverage(images, index)[i / 3];
    return 0;
}

/* The path of a picture's map: below the other folder, ending in .png. */
static char *target_path(const struct dataset *dataset, int32_t index)
{
    static const char ending[] = ".png";
    const char *below = dataset->folder.files.texts[index] + strlen(dataset->folder.path) + 1;
    size_t folder = strlen(dataset->target_folder), stem = (size_t)(strrchr(below, '.') - below);
    char *path = malloc(folder + 1 + stem + sizeof ending);
    if (path) {
        memcpy(path, dataset->target_folder, folder);
        path[folder] = '/';
        memcpy(path + folder + 1, below, stem);
        memcpy(path + folder + 1 + stem, ending, sizeof ending);
    }
    return path;
}

int dataset_read_target(const struct dataset *dataset, int32_t index, struct bitmap *bitmap)
{
    memset(bitmap, 0, sizeof *bitmap);
    if (in_memory(dataset))
        return read_coverage(&dataset->images, index, bitmap);
    if (!dataset->target_folder)
        return 1;
    char *path = target_path(dataset, index);
    int result = !path ? complain("no memory for a path") : access(path, F_OK) ? 1 : bitmap_read(bitmap, path);
    free(path);
    return result;
}

int dataset_set_target_folder(struct dataset *dataset, const char *folder)
{
    if (in_memory(dataset))
        return complain("%s: maps of objects go with folders of pictures only", folder);
    if (access(folder, R_OK | X_OK))
        return complain("%s: no folder with maps of objects that can be read", folder);
    char *copy = path_join(folder, "");
    if (!copy)
        return complain("no memory for a path");
    copy[strlen(folder)] = '\0';
    free(dataset->target_folder);
    dataset->target_folder = copy;
    return 0;
}

/* ---- changed labels, parts ---- */

/* Moves `chosen` random ones of `count` numbers to the beginning. */
static void choose_some(int32_t *numbers, int32_t count, int32_t chosen, struct random *random)
{
    for (int32_t i = 0; i < chosen; i++) {
        int32_t other = i + random_below(random, count - i), kept = numbers[i];
        numbers[i] = numbers[other];
        numbers[other] = kept;
    }
}

int dataset_add_label_noise(struct dataset *dataset, double share, uint64_t seed)
{
    int32_t classes = dataset->classes.count;
    if (!(share >= 0 && share <= 1))
        return complain("a share of %g of the labels is to be wrong, expected 0 to 1", share);
    if (classes < 2)
        return complain("labels cannot be wrong with %d classes, expected at least 2", (int)classes);
    int32_t *order = calloc((size_t)dataset->count, sizeof *order);
    if (!order)
        return complain("no memory for %d labels", (int)dataset->count);
    for (int32_t i = 0; i < dataset->count; i++)
        order[i] = i;
    struct random random = random_for(seed, 0);
    int32_t wrong = (int32_t)lrint(share * dataset->count);
    choose_some(order, dataset->count, wrong, &random);
    for (int32_t i = 0; i < wrong; i++) {
        int32_t *label = &dataset->labels[order[i]];
        *label = (*label + 1 + random_below(&random, classes - 1)) % classes;
    }
    free(order);
    return 0;
}

void dataset_split_free(struct dataset_split *split)
{
    free(split->first);
    free(split->second);
    memset(split, 0, sizeof *split);
}

/* Writes the indices of each class to `members`, one class after the other; class c ends before begin[c + 1]. */
static void group_by_class(const struct dataset *dataset, int32_t *begin, int32_t *members)
{
    int32_t classes = dataset->classes.count;
    for (int32_t i = 0; i < dataset->count; i++)
        begin[dataset->labels[i] + 1]++;
    for (int32_t c = 0; c < classes; c++)
        begin[c + 1] += begin[c];
    for (int32_t i = 0; i < dataset->count; i++)
        members[begin[dataset->labels[i]]++] = i;
    /* each entry has become the next one */
    memmove(begin + 1, begin, (size_t)classes * sizeof *begin);
    begin[0] = 0;
}

/* Marks what goes into the second list. */
static int mark(const struct dataset *dataset, double share, uint64_t seed, uint8_t *marks)
{
    int32_t classes = dataset->classes.count;
    int32_t *begin = calloc((size_t)classes + 1, sizeof *begin);
    int32_t *members = calloc((size_t)dataset->count, sizeof *members);
    int result = begin && members ? 0 : complain("no memory to split %d pictures", (int)dataset->count);
    if (!result)
        group_by_class(dataset, begin, members);
    for (int32_t c = 0; c < classes && !result; c++) {
        struct random random = random_for(seed, (uint64_t)c);
        int32_t *those = members + begin[c], count = begin[c + 1] - begin[c];
        int32_t chosen = (int32_t)lrint(share * count);
        choose_some(those, count, chosen, &random);
        for (int32_t i = 0; i < chosen; i++)
            marks[those[i]] = 1;
    }
    free(begin);
    free(members);
    return result;
}

int dataset_split(const struct dataset *dataset, double share, uint64_t seed, struct dataset_split *split)
{
    size_t count = (size_t)dataset->count;
    memset(split, 0, sizeof *split);
    if (!(share >= 0 && share <= 1))
        return complain("a share of %g of the pictures is to be split off, expected 0 to 1", share);
    uint8_t *marks = calloc(count, sizeof *marks);
    split->first = calloc(count, sizeof *split->first);
    split->second = calloc(count, sizeof *split->second);
    int result = marks && split->first && split->second ? 0 : complain("no memory to split %zu pictures", count);
    if (!result)
        result = mark(dataset, share, seed, marks);
    for (int32_t i = 0; i < dataset->count && !result; i++) {
        if (marks[i])
            split->second[split->second_count++] = i;
        else
            split->first[split->first_count++] = i;
    }
    if (result)
        dataset_split_free(split);
    free(marks);
    return result;
}
