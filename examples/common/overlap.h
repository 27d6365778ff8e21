/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How much of an object a mask finds when it is cut at a threshold: intersection over union.
 */
#ifndef EXAMPLES_OVERLAP_H
#define EXAMPLES_OVERLAP_H

#include "evaluate.h"

/* How masks are read: the pixels above the threshold are the object, or those below it. */
struct cut {
    int32_t module;
    int below;
    double threshold;
};

/* Intersection over union of cut masks and objects, as the mean over `count` images from `first` on. A mask's cell
 * stands for all pixels that it covers; a pixel that the object covers by half or more is the object's. */
double overlap(const struct answers *answers, const struct cut *cut, const struct images *images, int32_t first,
               int32_t count);

/* The cut with the largest overlap on those images, of all modules, both sides and thresholds of 0.01 to 0.99. */
struct cut overlap_best(const struct answers *answers, const struct images *images, int32_t first, int32_t count);

/* The overlap on the other images with the cut that is best on the first `choosing`; the cut goes to *cut. */
double overlap_chosen(const struct answers *answers, const struct images *images, int32_t choosing, struct cut *cut);

#endif
