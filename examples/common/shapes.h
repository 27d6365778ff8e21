/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A data set that needs no files: ten shapes on cluttered, textured backgrounds. The class is the shape alone; colours,
 * size, place, rotation, texture and clutter are drawn independently of it.
 */
#ifndef EXAMPLES_SHAPES_H
#define EXAMPLES_SHAPES_H

#include "images.h"

enum { SHAPES_TRAIN = 8000, SHAPES_TEST = 2000, SHAPES_CLASSES = 10 };

/* Which of the two sets. Each is always the same, as it would be if it came from a disk; they have no image in common.
 */
enum shapes_part { SHAPES_PART_TRAIN = 1, SHAPES_PART_TEST = 2 };

/* Draws the first `count` images of a part, with the coverage of each pixel by the object. Returns 0, or -1 after
 * printing why not. */
int shapes_draw(struct images *images, enum shapes_part part, int32_t count);

#endif
