/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Batches of 8-bit images. The library converts them to numbers itself, by the network's mean and deviation.
 */
#include "batch.h"

#include <stdlib.h>
#include <string.h>

#include "errors.h"

int batch_init(struct batch *batch, resattn_context *context, int32_t capacity, int32_t side)
{
    memset(batch, 0, sizeof *batch);
    batch->capacity = capacity;
    batch->side = side;
    size_t image = (size_t)side * (size_t)side * 3;
    batch->pixels = calloc((size_t)capacity, image);
    if (!batch->pixels) {
        batch_free(batch);
        return complain("no memory for a batch of %d images", (int)capacity);
    }
    /* The shape is always batch, channels, height, width; the order says that the three bytes of a pixel lie together.
     */
    int64_t shape[] = {capacity, 3, side, side};
    batch->all =
        resattn_tensor_wrap(context, RESATTN_U8, 4, shape, RESATTN_CHANNELS_LAST, NULL, batch->pixels, NULL, NULL);
    if (!batch->all) {
        batch_free(batch);
        return complain_library();
    }
    return 0;
}

void batch_free(struct batch *batch)
{
    resattn_tensor_unref(batch->part);
    resattn_tensor_unref(batch->all);
    free(batch->pixels);
    memset(batch, 0, sizeof *batch);
}

const resattn_tensor *batch_tensor(struct batch *batch, int32_t count)
{
    if (count == batch->capacity)
        return batch->all;
    int64_t shape[] = {count, 3, batch->side, batch->side};
    resattn_tensor_unref(batch->part);
    batch->part = resattn_tensor_view(batch->all, NULL, shape);
    if (!batch->part)
        complain_library();
    return batch->part;
}
