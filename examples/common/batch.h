/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A batch: some images of a set side by side in memory, wrapped as the tensor that a session takes.
 */
#ifndef EXAMPLES_BATCH_H
#define EXAMPLES_BATCH_H

#include <resattn/resattn.h>

#include "images.h"

struct batch {
    int32_t capacity, side;
    uint8_t *pixels; /* capacity x side x side x 3 */
    int32_t *labels;
    resattn_tensor *all;  /* capacity images, over `pixels` */
    resattn_tensor *part; /* the first images of `all`, for a batch that is not full; NULL at first */
};

/* `side` is a multiple of 32: larger networks get each pixel several times. Returns 0, or -1 after printing why not. */
int batch_init(struct batch *batch, resattn_context *context, int32_t capacity, int32_t side);

void batch_free(struct batch *batch);

/* Puts an image into a place of the batch: as it is, or augmented if `augmented` is not 0, as `seed` and `stream` say.
 */
void batch_put(struct batch *batch, int32_t place, const struct images *images, int32_t index, int augmented,
               uint64_t seed, uint64_t stream);

/* The tensor of the first `count` images, borrowed from the batch until the next call. NULL after printing why. */
const resattn_tensor *batch_tensor(struct batch *batch, int32_t count);

#endif
