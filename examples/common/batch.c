/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Batches of 8-bit images. The library converts them to numbers itself, by the network's mean and deviation.
 */
#include "batch.h"

#include <stdlib.h>
#include <string.h>

#include "augment.h"
#include "errors.h"

int batch_init(struct batch *batch, resattn_context *context, int32_t capacity, int32_t side)
{
    memset(batch, 0, sizeof *batch);
    batch->capacity = capacity;
    batch->side = side;
    size_t image = (size_t)side * (size_t)side * 3;
    batch->pixels = calloc((size_t)capacity, image);
    batch->labels = calloc((size_t)capacity, sizeof *batch->labels);
    if (!batch->pixels || !batch->labels) {
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
    free(batch->labels);
    memset(batch, 0, sizeof *batch);
}

static void enlarge(uint8_t *target, int32_t side, const uint8_t *source)
{
    int32_t factor = side / IMAGE_SIDE;
    for (int32_t row = 0; row < side; row++) {
        for (int32_t column = 0; column < side; column++) {
            const uint8_t *from = source + (row / factor * IMAGE_SIDE + column / factor) * 3;
            memcpy(target, from, 3);
            target += 3;
        }
    }
}

void batch_put(struct batch *batch, int32_t place, const struct images *images, int32_t index, int augmented,
               uint64_t seed, uint64_t stream)
{
    const uint8_t *source = image_pixels(images, index);
    uint8_t variant[IMAGE_BYTES];
    if (augmented) {
        augment(variant, source, seed, stream);
        source = variant;
    }
    size_t image = (size_t)batch->side * (size_t)batch->side * 3;
    enlarge(batch->pixels + (size_t)place * image, batch->side, source);
    batch->labels[place] = images->labels[index];
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
