/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Resizing with antialiasing, rows and columns one after the other. Only what the cut from the centre needs is
 * computed.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bitmap.h"
#include "errors.h"

/* For each of `count` pixels of the result: `taps` weights of pixels of the source from `first` on. */
struct axis {
    int32_t count, taps;
    int32_t *first;
    float *weights;
};

static void axis_free(struct axis *axis)
{
    free(axis->first);
    free(axis->weights);
}

/* The weights of the pixel whose centre is at `centre` of the source, in pixels of the source; `scale` of these make
 * one of the result. */
static void fill_taps(const struct axis *axis, int32_t index, int32_t source, double centre, double scale)
{
    double radius = fmax(scale, 1), sum = 0;
    float *weights = axis->weights + (size_t)index * (size_t)axis->taps;
    int32_t begin = (int32_t)fmax(ceil(centre - radius - 0.5), 0);
    int32_t first = begin < source - axis->taps ? begin : source - axis->taps;
    for (int32_t i = 0; i < axis->taps; i++)
        sum += fmax(1 - fabs(first + i + 0.5 - centre) / radius, 0);
    for (int32_t i = 0; i < axis->taps; i++)
        weights[i] = (float)(fmax(1 - fabs(first + i + 0.5 - centre) / radius, 0) / sum);
    axis->first[index] = first;
}

/* `source` pixels become source / scale, of which `count` from `offset` on are wanted. */
static int axis_init(struct axis *axis, int32_t source, double scale, double offset, int32_t count)
{
    double most = 2 * fmax(scale, 1) + 1;
    axis->count = count;
    axis->taps = most < source ? (int32_t)most : source;
    axis->first = calloc((size_t)count, sizeof *axis->first);
    axis->weights = calloc((size_t)count * (size_t)axis->taps, sizeof *axis->weights);
    if (!axis->first || !axis->weights)
        return complain("no memory to resize %d pixels", (int)source);
    for (int32_t i = 0; i < count; i++)
        fill_taps(axis, i, source, (offset + i + 0.5) * scale, scale);
    return 0;
}

/* One row of the source to `count` pixels. */
static void resize_row(const struct axis *axis, const uint8_t *source, float *target)
{
    for (int32_t x = 0; x < axis->count; x++) {
        const uint8_t *from = source + (size_t)axis->first[x] * 3;
        const float *weights = axis->weights + (size_t)x * (size_t)axis->taps;
        float sum[3] = {0};
        for (int32_t i = 0; i < axis->taps; i++)
            for (int32_t c = 0; c < 3; c++)
                sum[c] += weights[i] * (float)from[i * 3 + c];
        memcpy(target + (size_t)x * 3, sum, sizeof sum);
    }
}

static void blend_rows(const struct axis *axis, int32_t y, const float *rows, size_t values, uint8_t *target)
{
    const float *weights = axis->weights + (size_t)y * (size_t)axis->taps;
    for (size_t x = 0; x < values; x++) {
        float sum = 0;
        for (int32_t i = 0; i < axis->taps; i++)
            sum += weights[i] * rows[(size_t)i * values + x];
        target[x] = (uint8_t)lrintf(fminf(fmaxf(sum, 0), 255));
    }
}

static int resize(const struct bitmap *bitmap, const struct axis *across, const struct axis *down, uint8_t *target)
{
    size_t values = (size_t)across->count * 3;
    int32_t begin = down->first[0], end = down->first[down->count - 1] + down->taps;
    float *rows = malloc((size_t)(end - begin) * values * sizeof *rows);
    if (!rows)
        return complain("no memory to resize %d x %d pixels", (int)bitmap->width, (int)bitmap->height);
    for (int32_t y = begin; y < end; y++)
        resize_row(across, bitmap->pixels + (size_t)y * (size_t)bitmap->width * 3, rows + (size_t)(y - begin) * values);
    for (int32_t y = 0; y < down->count; y++)
        blend_rows(down, y, rows + (size_t)(down->first[y] - begin) * values, values, target + (size_t)y * values);
    free(rows);
    return 0;
}

/* So many of the source's pixels make one of the result, and the result begins at so many of its own. */
struct window {
    double scale, offset;
};

static int cut(const struct bitmap *bitmap, struct window x, struct window y, int32_t side, uint8_t *target)
{
    struct axis across = {0}, down = {0};
    int result = axis_init(&across, bitmap->width, x.scale, x.offset, side) ||
                         axis_init(&down, bitmap->height, y.scale, y.offset, side)
                     ? -1
                     : resize(bitmap, &across, &down, target);
    axis_free(&across);
    axis_free(&down);
    return result;
}

/* `source` pixels become `whole`, of which `count` are wanted, from the middle. */
static struct window middle(int32_t source, int64_t whole, int32_t count)
{
    return (struct window){(double)source / (double)whole, (double)lrint((double)(whole - count) / 2)};
}

int bitmap_fit(const struct bitmap *bitmap, int32_t short_side, int32_t side, uint8_t *target)
{
    int32_t shorter = bitmap->width < bitmap->height ? bitmap->width : bitmap->height;
    if (bitmap->width == side && bitmap->height == side && short_side == side) {
        memcpy(target, bitmap->pixels, (size_t)side * (size_t)side * 3);
        return 0;
    }
    return cut(bitmap, middle(bitmap->width, (int64_t)short_side * bitmap->width / shorter, side),
               middle(bitmap->height, (int64_t)short_side * bitmap->height / shorter, side), side, target);
}

int bitmap_cut(const struct bitmap *bitmap, double x, double y, double width, double height, int32_t side,
               uint8_t *target)
{
    double across = width / side, down = height / side;
    return cut(bitmap, (struct window){across, x / across}, (struct window){down, y / down}, side, target);
}
