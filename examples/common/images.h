/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A set of small labelled colour images in memory, as the examples pass it around.
 */
#ifndef EXAMPLES_IMAGES_H
#define EXAMPLES_IMAGES_H

#include <stddef.h>
#include <stdint.h>

#include "names.h"

enum { IMAGE_SIDE = 32, IMAGE_PIXELS = IMAGE_SIDE * IMAGE_SIDE, IMAGE_BYTES = IMAGE_PIXELS * 3 };

struct images {
    int32_t count;
    uint8_t *pixels; /* count x 32 x 32 x (red, green, blue) */
    int32_t *labels; /* count */
    /* count x 32 x 32: how much of each pixel the object covers, 0 to 255; NULL where nobody knows */
    uint8_t *coverage;
    struct names classes;
};

/* Allocates room for `count` images. Returns 0, or -1 after printing why not. */
int images_init(struct images *images, int32_t count, int with_coverage);

void images_free(struct images *images);

/* Mean and standard deviation of each colour over all pixels, of values scaled to 0 .. 1. */
void images_statistics(const struct images *images, float mean[3], float deviation[3]);

static inline const uint8_t *image_pixels(const struct images *images, int32_t index)
{
    return images->pixels + (size_t)index * IMAGE_BYTES;
}

static inline const uint8_t *image_coverage(const struct images *images, int32_t index)
{
    return images->coverage + (size_t)index * IMAGE_PIXELS;
}

#endif
