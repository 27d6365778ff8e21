/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs a network on a set of images: its answers, and what the masks of its attention modules look like.
 */
#ifndef EXAMPLES_EVALUATE_H
#define EXAMPLES_EVALUATE_H

#include <resattn/resattn.h>

#include "images.h"

/* Room for what a network says about images: fill with evaluate(), free with answers_free(). */
struct answers {
    int32_t count, classes;
    float *logits; /* count x classes */
    int32_t modules;
    struct module_masks {
        int32_t height, width;
        float *values; /* count x height x width: the mask, as the mean over its channels */
    } * masks;
};

/*
 * Runs the network on the first `count` images, resized to side x side. `with_masks`: also records the masks of all
 * attention modules. Returns 0, or -1 after printing why not.
 */
int evaluate(struct answers *answers, resattn_network *network, const struct images *images, int32_t count,
             int32_t side, int with_masks);

void answers_free(struct answers *answers);

/* The class that the network finds most likely for an image. */
int32_t answers_class(const struct answers *answers, int32_t index);

/* The share of images whose class was found. */
double answers_accuracy(const struct answers *answers, const struct images *images);

#endif
