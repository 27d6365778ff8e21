/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs a network on a set of pictures: how often it is right, its answers, and what the masks of its attention modules
 * look like.
 */
#ifndef EXAMPLES_EVALUATE_H
#define EXAMPLES_EVALUATE_H

#include <resattn/resattn.h>

#include "dataset.h"

/* What it is run on. */
struct evaluation {
    int32_t side, short_side; /* as in struct loader_settings */
    int32_t batch;            /* 0: 50 */
    const int32_t *indices;   /* as in struct loader_settings, with `count` */
    int32_t count;
    int shows_progress; /* evaluate(): on standard error */
};

enum { SCORES_TOP = 5 };

/* How often the network is right. Free with scores_free(). */
struct scores {
    int32_t count, top1, top5;
    int32_t classes;
    int32_t *pictures, *right; /* of each class */
};

/* Needs memory for a few batches only. Returns 0, or -1 after printing why not. */
int evaluate(struct scores *scores, resattn_network *network, const struct dataset *dataset,
             const struct evaluation *evaluation);

void scores_free(struct scores *scores);

/* What a network says about each picture. Free with answers_free(). */
struct answers {
    int32_t count, classes;
    float *logits;   /* count x classes */
    int32_t *labels; /* count */
    int32_t modules;
    struct module_masks {
        int32_t height, width;
        float *values; /* count x height x width: the mask, as the mean over its channels */
    } * masks;
};

/* `with_masks`: also records the masks of all attention modules. Returns 0, or -1 after printing why not. */
int evaluate_answers(struct answers *answers, resattn_network *network, const struct dataset *dataset,
                     const struct evaluation *evaluation, int with_masks);

void answers_free(struct answers *answers);

/* The class that the network finds most likely for a picture. */
int32_t answers_class(const struct answers *answers, int32_t index);

/* The share of pictures whose class was found. */
double answers_accuracy(const struct answers *answers);

#endif
