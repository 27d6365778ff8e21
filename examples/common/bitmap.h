/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pictures of any size from JPEG and PNG files.
 */
#ifndef EXAMPLES_BITMAP_H
#define EXAMPLES_BITMAP_H

#include <stdint.h>
#include <stdio.h>

struct bitmap {
    int32_t width, height;
    uint8_t *pixels; /* height x width x (red, green, blue) */
};

/*
 * Reads a file; what it holds is told by its first bytes, not by its name. Grey and CMYK become RGB, transparent parts
 * white. A file that is cut short or damaged is refused. Returns 0, or -1 after printing why not.
 */
int bitmap_read(struct bitmap *bitmap, const char *path);

void bitmap_free(struct bitmap *bitmap);

/*
 * Scales the picture so that its shorter side has `short_side` pixels, cuts side x side from its centre and writes that
 * to `target` (side x side x 3 bytes). When it gets smaller, every pixel of the source counts: the filter is a triangle
 * that is as wide as two pixels of the result, which is what Pillow calls bilinear. side <= short_side. Returns 0, or
 * -1 after printing why not.
 */
int bitmap_fit(const struct bitmap *bitmap, int32_t short_side, int32_t side, uint8_t *target);

/*
 * The same with a part of the picture: the rectangle with its upper left corner at x, y, in pixels of the source,
 * becomes side x side. All of x, y, x + width, y + height are inside of the picture; they need not be whole.
 */
int bitmap_cut(const struct bitmap *bitmap, double x, double y, double width, double height, int32_t side,
               uint8_t *target);

/* For the readers of formats: allocates the pixels of a picture. Returns 0, or -1 after printing why not. */
int bitmap_init(struct bitmap *bitmap, const char *path, uint32_t width, uint32_t height);

/* The formats: `file` is at its beginning. As bitmap_read(). */
int bitmap_read_jpeg(struct bitmap *bitmap, FILE *file, const char *path);
int bitmap_read_png(struct bitmap *bitmap, FILE *file, const char *path);

#endif
