/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A batch: some pictures side by side in memory, wrapped as the tensor that a session takes.
 */
#ifndef EXAMPLES_BATCH_H
#define EXAMPLES_BATCH_H

#include <resattn/resattn.h>

struct batch {
    int32_t capacity, side;
    uint8_t *pixels;      /* capacity x side x side x 3 */
    resattn_tensor *all;  /* capacity pictures, over `pixels` */
    resattn_tensor *part; /* the first ones of `all`, for a batch that is not full; NULL at first */
};

/* Returns 0, or -1 after printing why not. */
int batch_init(struct batch *batch, resattn_context *context, int32_t capacity, int32_t side);

void batch_free(struct batch *batch);

static inline uint8_t *batch_pixels(struct batch *batch, int32_t place)
{
    return batch->pixels + (size_t)place * (size_t)batch->side * (size_t)batch->side * 3;
}

/* The tensor of the first `count` images, borrowed from the batch until the next call. NULL after printing why. */
const resattn_tensor *batch_tensor(struct batch *batch, int32_t count);

#endif
