/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How well a mask tells an object's place: the area under the ROC curve.
 */
#ifndef EXAMPLES_ROC_H
#define EXAMPLES_ROC_H

#include "evaluate.h"

/*
 * The area under the curve of one module's masks as scores of "this pixel is the object", as the mean over the images:
 * 1 for a mask that is larger on all of the object than anywhere else, 0.5 for one that knows nothing, 0 for one that
 * is smaller. A mask's cell stands for all pixels that it covers. Returns a negative number after printing what went
 * wrong.
 */
double roc_area(const struct answers *answers, int32_t module, const struct images *images);

#endif
