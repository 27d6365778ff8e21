/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * PNG files: some images, each beside the masks of a network's attention modules as heat maps; and single images.
 */
#ifndef EXAMPLES_PICTURE_H
#define EXAMPLES_PICTURE_H

#include "evaluate.h"

/* Draws the first `count` images, in columns. The colours of each heat map go from its smallest value (dark) to its
 * largest (light). Returns 0, or -1 after printing why not. */
int picture_write(const char *path, const struct images *images, const struct answers *answers, int32_t count);

/* Writes one image as it is, 32 x 32. Returns 0, or -1 after printing why not. */
int picture_write_image(const char *path, const uint8_t *pixels);

#endif
