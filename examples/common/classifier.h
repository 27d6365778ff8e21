/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Classifies pictures of any size, some at a time.
 */
#ifndef EXAMPLES_CLASSIFIER_H
#define EXAMPLES_CLASSIFIER_H

#include <resattn/resattn.h>

#include "batch.h"
#include "bitmap.h"

struct classifier {
    resattn_session *session;
    struct batch batch;
    int32_t classes, short_side;
    int softmaxed;        /* the network itself ends with a softmax */
    float *probabilities; /* of the last run: batch x classes */
};

/*
 * Prepares to run the network on up to `capacity` pictures at once, each scaled so that its shorter side has
 * `short_side` pixels, of which side x side in the middle are taken. Returns 0, or -1 after printing why not.
 */
int classifier_open(struct classifier *classifier, resattn_network *network, int32_t capacity, int32_t short_side,
                    int32_t side);

/* The same, and the masks of the attention modules can be read after a run. */
int classifier_open_with_masks(struct classifier *classifier, resattn_network *network, int32_t capacity,
                               int32_t short_side, int32_t side);

void classifier_close(struct classifier *classifier);

/* Reads a picture file into a place of the batch. Returns 0, or -1 after printing why not. */
int classifier_put(struct classifier *classifier, int32_t place, const char *path);

/* The same with a picture that has been read. */
int classifier_put_bitmap(struct classifier *classifier, int32_t place, const struct bitmap *bitmap);

/* Runs the network on the first `count` pictures of the batch. Returns 0, or -1 after printing why not. */
int classifier_run(struct classifier *classifier, int32_t count);

/* The probabilities of the classes of a picture of the last run. */
static inline const float *classifier_result(const struct classifier *classifier, int32_t place)
{
    return classifier->probabilities + (size_t)place * (size_t)classifier->classes;
}

#endif
