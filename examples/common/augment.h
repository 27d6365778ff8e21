/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From a picture of any size to the square that a network takes, at random for training.
 */
#ifndef EXAMPLES_AUGMENT_H
#define EXAMPLES_AUGMENT_H

#include <stdint.h>

#include "bitmap.h"
#include "random.h"

/* All zero: none. */
struct augmentation {
    int crop_flip; /* a border of an eighth of the side (4 of 32 pixels), mirrored, a random crop, a random mirror image
                      (He et al., CVPR 2016) */
    int scale_crop; /* instead: a random area of a random aspect of 3/4 to 4/3, a random mirror image (Szegedy et al.,
                       CVPR 2015) */
    double smallest_area; /* of that, as a share of the picture; usually 0.08. At most 1 */
    double colour; /* brightness, contrast and saturation, each times 1 - colour to 1 + colour, in random order */
};

/* Returns 0, or -1 after printing what is wrong. */
int augmentation_check(const struct augmentation *augmentation);

/* What is done to one picture, and in the same way to the map of where its object is. */
struct variant {
    int32_t side; /* of the result */
    int mirrored;
    int32_t down, right;    /* of the crop, in pixels of the result, from the middle */
    int scaled;             /* the part below is cut out instead */
    double x, y;            /* of its upper left corner, as shares of width and height */
    double width, height;   /* of it, the same */
    int colour_order[3];    /* 0 brightness, 1 contrast, 2 saturation */
    float colour_factor[3]; /* of these; 1: nothing changes */
};

/* Draws what is done to a picture of width x height that becomes side x side. */
struct variant variant_draw(const struct augmentation *augmentation, struct random *random, int32_t width,
                            int32_t height, int32_t side);

/*
 * Writes side x side x 3 bytes. What is not scaled is brought to `short_side` and cut from the middle, as by
 * bitmap_fit(). Returns 0, or -1 after printing why not.
 */
int variant_place(const struct variant *variant, const struct bitmap *bitmap, int32_t short_side, uint8_t *target);

/* Changes the colours of `count` pixels. */
void variant_colour(const struct variant *variant, uint8_t *pixels, int32_t count);

#endif
