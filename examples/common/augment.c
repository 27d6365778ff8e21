/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pad, crop, mirror.
 */
#include "augment.h"

#include <string.h>

#include "images.h"
#include "random.h"

enum { BORDER = 4 };

/* The border repeats the image, mirrored at its edge. */
static int mirrored(int at)
{
    if (at < 0)
        return -at;
    return at < IMAGE_SIDE ? at : 2 * (IMAGE_SIDE - 1) - at;
}

void augment(uint8_t *target, const uint8_t *source, uint64_t seed, uint64_t stream)
{
    struct random random = random_for(seed, stream);
    int down = random_below(&random, 2 * BORDER + 1) - BORDER;
    int right = random_below(&random, 2 * BORDER + 1) - BORDER;
    int flip = random_below(&random, 2);
    for (int row = 0; row < IMAGE_SIDE; row++) {
        for (int column = 0; column < IMAGE_SIDE; column++) {
            int from = mirrored((flip ? IMAGE_SIDE - 1 - column : column) + right);
            memcpy(target + (row * IMAGE_SIDE + column) * 3, source + (mirrored(row + down) * IMAGE_SIDE + from) * 3,
                   3);
        }
    }
}
