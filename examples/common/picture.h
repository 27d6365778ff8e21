/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A PNG file with some images, each beside the masks of a network's attention modules as heat maps.
 */
#ifndef EXAMPLES_PICTURE_H
#define EXAMPLES_PICTURE_H

#include "evaluate.h"

/* Draws the first `count` images, in columns. The colours of each heat map go from its smallest value (dark) to its
 * largest (light). Returns 0, or -1 after printing why not. */
int picture_write(const char *path, const struct images *images, const struct answers *answers, int32_t count);

#endif
