/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A set of labelled pictures, wherever they come from. What is in it does not change once it is set up, so that several
 * threads may read from it.
 */
#ifndef EXAMPLES_DATASET_H
#define EXAMPLES_DATASET_H

#include <resattn/resattn.h>

#include "bitmap.h"
#include "images.h"

enum dataset_part {
    DATASET_TRAIN,
    DATASET_TEST,
    DATASET_TEST_OR_WHOLE /* the same, or all of a folder that is not divided into parts */
};

struct dataset;

/*
 * `where` is
 * - "shapes": the generated images;
 * - a folder with CIFAR-10's or CIFAR-100's binary files;
 * - a folder with a folder of JPEG and PNG files for each class, or with train/ and test/ (or val/) in it and these
 *   folders there. What does not end in .jpg, .jpeg or .png, or begins with a dot, is passed over.
 * The labels follow the names of the network's classes if it has all of the set's; otherwise, and without a network
 * (NULL), the set's own order: folders by their names. Returns an owned set, or NULL after printing why not.
 */
struct dataset *dataset_open(const char *where, enum dataset_part part, const resattn_network *network);

/* A set of images in memory, which it takes over, also when it fails. NULL after printing why not. */
struct dataset *dataset_of_images(struct images *images);

void dataset_close(struct dataset *dataset);

int32_t dataset_count(const struct dataset *dataset);
int32_t dataset_classes(const struct dataset *dataset);

/* NULL if there is no such class. */
const char *dataset_class_name(const struct dataset *dataset, int32_t c);

/* Whether the network has a class of the name of each of the set's. */
int dataset_is_named_by(const struct dataset *dataset, const resattn_network *network);

int32_t dataset_label(const struct dataset *dataset, int32_t index);

/* The path of a picture's file; NULL where pictures have no files of their own. */
const char *dataset_where(const struct dataset *dataset, int32_t index);

/* 32 where all pictures are in memory, 32 x 32 pixels each; 0: files with pictures of all sizes. */
int32_t dataset_side(const struct dataset *dataset);

/* These pictures; NULL where there are files. */
const struct images *dataset_images(const struct dataset *dataset);

/* Whether it knows of some pictures where the object is. */
int dataset_has_targets(const struct dataset *dataset);

/* A picture, to be freed by the caller. Returns 0, or -1 after printing why not. Any thread. */
int dataset_read(const struct dataset *dataset, int32_t index, struct bitmap *bitmap);

/* How much of each pixel the object covers, three times the same byte; the size may be another one than the picture's.
 * Returns 0, 1 where nobody knows (then the bitmap is empty), or -1 after printing what went wrong. Any thread. */
int dataset_read_target(const struct dataset *dataset, int32_t index, struct bitmap *bitmap);

/* Mean and deviation of each colour over all pixels, of values scaled to 0 .. 1. For files those of ImageNet that
 * everyone uses. */
void dataset_statistics(const struct dataset *dataset, float mean[3], float deviation[3]);

/* Changes a share (0 to 1) of the labels, drawn as `seed` says, to one of the other classes each. Returns 0, or -1
 * after printing why not. */
int dataset_add_label_noise(struct dataset *dataset, double share, uint64_t seed);

/*
 * Names a folder with maps of where the objects are, grey PNG files at the same paths as the pictures have below their
 * folder, but for the ending. Pictures without such a file have no target. For files only, otherwise -1 after printing
 * that.
 */
int dataset_set_target_folder(struct dataset *dataset, const char *folder);

/* Two lists without a common index, ascending. Both are to be freed. */
struct dataset_split {
    int32_t *first, *second;
    int32_t first_count, second_count;
};

/* Puts `share` (0 to 1, rounded) of each class into the second list, drawn as `seed` says, and the others into the
 * first. Returns 0, or -1 after printing why not. */
int dataset_split(const struct dataset *dataset, double share, uint64_t seed, struct dataset_split *split);

void dataset_split_free(struct dataset_split *split);

#endif
