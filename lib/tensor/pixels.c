/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pixels and tensors: 8-bit images as tensors, and what a session makes of its input.
 */
#include "tensor/tensor.h"

#include <inttypes.h>
#include <math.h>

/* Channels that are converted at a time, so that their tables fit the stack and the first-level cache. */
#define CHANNELS_AT_ONCE 4

typedef struct layout {
    int64_t first; /* the offset of red */
    int64_t channel, pixel;
} layout;

/* Checks an image in memory; sets how its bytes lie. */
static resattn_status check_pixels(resattn_pixel_format format, int32_t height, int32_t width, int64_t pitch,
                                   const void *pixels, layout *bytes)
{
    switch (format) {
    case RESATTN_PIXEL_RGB:
        *bytes = (layout){0, 1, 3};
        break;
    case RESATTN_PIXEL_BGR:
        *bytes = (layout){2, -1, 3};
        break;
    case RESATTN_PIXEL_RGBA:
        *bytes = (layout){0, 1, 4};
        break;
    default:
        return ra_fail(RESATTN_INVALID_ARGUMENT, "format is %d, expected %d to %d", (int)format, RESATTN_PIXEL_RGB,
                       RESATTN_PIXEL_RGBA);
    }
    if (height < 1 || width < 1)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "%s is %d, expected at least 1", height < 1 ? "height" : "width",
                       (int)(height < 1 ? height : width));
    if (pixels == NULL)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "pixels is NULL");
    int64_t row = bytes->pixel * width;
    if (pitch > -row && pitch < row)
        return ra_fail(RESATTN_INVALID_ARGUMENT,
                       "pitch is %" PRId64 ", expected at least the %" PRId64 " bytes of a row, up or down", pitch,
                       row);
    return RESATTN_OK;
}

resattn_tensor *resattn_tensor_wrap_pixels(resattn_context *context, resattn_pixel_format format, int32_t height,
                                           int32_t width, int64_t pitch, void *pixels, resattn_release_fn release,
                                           void *user)
{
    layout bytes = {0, 0, 0};
    if (check_pixels(format, height, width, pitch, pixels, &bytes) != RESATTN_OK)
        return NULL;
    const int64_t shape[] = {1, 3, height, width};
    const int64_t strides[] = {0, bytes.channel, pitch, bytes.pixel};
    resattn_tensor *tensor = resattn_tensor_wrap(context, RESATTN_U8, 4, shape, RESATTN_CHANNELS_LAST, strides,
                                                 (uint8_t *)pixels + bytes.first, release, user);
    if (tensor != NULL)
        tensor->foreign = pixels;
    return tensor;
}

/* What each of the 256 values becomes in a channel: the formula is in the public header. */
static void make_tables(int32_t channels, const float *mean, const float *deviation, float (*table)[256])
{
    for (int32_t c = 0; c < channels; c++)
        for (int32_t value = 0; value < 256; value++)
            table[c][value] =
                ((float)value / 255.0f - (mean == NULL ? 0.0f : mean[c])) / (deviation == NULL ? 1.0f : deviation[c]);
}

/* One image of up to CHANNELS_AT_ONCE channels. The strides are those of channels, rows and pixels. */
static void convert(const float (*table)[256], int32_t channels, int64_t height, int64_t width, const uint8_t *source,
                    const int64_t *from, float *target, const int64_t *to)
{
    for (int64_t y = 0; y < height; y++) {
        const uint8_t *in = source + y * from[1];
        float *out = target + y * to[1];
        if (channels == 3) {
            for (int64_t x = 0; x < width; x++) {
                const uint8_t *i = in + x * from[2];
                float *o = out + x * to[2];
                float red = table[0][i[0]], green = table[1][i[from[0]]], blue = table[2][i[2 * from[0]]];
                o[0] = red;
                o[to[0]] = green;
                o[2 * to[0]] = blue;
            }
            continue;
        }
        for (int64_t x = 0; x < width; x++)
            for (int32_t c = 0; c < channels; c++)
                out[x * to[2] + c * to[0]] = table[c][in[x * from[2] + c * from[0]]];
    }
}

/* Planes of three channels to channels-last: the input of nearly every network. */
static void interleave(int64_t height, int64_t width, const float *source, const int64_t *from, float *target)
{
    for (int64_t y = 0; y < height; y++) {
        const float *red = source + y * from[1], *green = red + from[0], *blue = green + from[0];
        float *out = target + y * width * 3;
        for (int64_t x = 0; x < width; x++) {
            out[3 * x] = red[x];
            out[3 * x + 1] = green[x];
            out[3 * x + 2] = blue[x];
        }
    }
}

static void bytes_to_dense(const resattn_tensor *tensor, const float *mean, const float *deviation, float *target)
{
    float table[CHANNELS_AT_ONCE][256];
    int64_t channels = tensor->shape[1], height = tensor->shape[2], width = tensor->shape[3];
    const int64_t *from = tensor->stride + 1;
    const int64_t to[] = {1, width * channels, channels};
    for (int64_t c = 0; c < channels; c += CHANNELS_AT_ONCE) {
        int32_t part = channels - c < CHANNELS_AT_ONCE ? (int32_t)(channels - c) : CHANNELS_AT_ONCE;
        make_tables(part, mean == NULL ? NULL : mean + c, deviation == NULL ? NULL : deviation + c, table);
        for (int64_t n = 0; n < tensor->shape[0]; n++)
            convert((const float(*)[256])table, part, height, width,
                    (const uint8_t *)tensor->data + n * tensor->stride[0] + c * from[0], from,
                    target + n * height * width * channels + c, to);
    }
}

void ra_tensor_to_dense(const resattn_tensor *tensor, const float *mean, const float *deviation, float *target)
{
    if (tensor->dtype == RESATTN_U8) {
        bytes_to_dense(tensor, mean, deviation, target);
        return;
    }
    if (tensor->rank == 4 && tensor->shape[1] == 3 && tensor->stride[3] == 1) {
        for (int64_t n = 0; n < tensor->shape[0]; n++)
            interleave(tensor->shape[2], tensor->shape[3], (const float *)tensor->data + n * tensor->stride[0],
                       tensor->stride + 1, target + n * 3 * tensor->shape[2] * tensor->shape[3]);
        return;
    }
    int64_t dense[RA_MAX_RANK];
    ra_tensor_strides(tensor->rank, tensor->shape, RESATTN_CHANNELS_LAST, dense);
    ra_tensor_copy_elements(RESATTN_F32, tensor->rank, tensor->shape, target, dense, tensor->data, tensor->stride);
}

static resattn_status check_statistics(const float *mean, const float *deviation)
{
    for (int c = 0; c < 3; c++) {
        if (mean != NULL && !isfinite(mean[c]))
            return ra_fail(RESATTN_INVALID_ARGUMENT, "mean[%d] is %g, expected a finite number", c, (double)mean[c]);
        if (deviation != NULL && !isnormal(deviation[c]))
            return ra_fail(RESATTN_INVALID_ARGUMENT, "deviation[%d] is %g, expected a finite number other than 0", c,
                           (double)deviation[c]);
    }
    return RESATTN_OK;
}

resattn_status resattn_tensor_set_pixels(resattn_tensor *tensor, int64_t index, resattn_pixel_format format,
                                         int32_t height, int32_t width, int64_t pitch, const void *pixels,
                                         const float *mean, const float *deviation)
{
    layout bytes = {0, 0, 0};
    resattn_status status = ra_tensor_check_write(tensor, "tensor");
    if (status != RESATTN_OK)
        return status;
    if (tensor->dtype != RESATTN_F32)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "the tensor has dtype %d, expected %d (F32)", (int)tensor->dtype,
                       RESATTN_F32);
    status = check_pixels(format, height, width, pitch, pixels, &bytes);
    if (status == RESATTN_OK)
        status = check_statistics(mean, deviation);
    if (status != RESATTN_OK)
        return status;
    if (tensor->rank != 4 || tensor->shape[1] != 3 || tensor->shape[2] != height || tensor->shape[3] != width)
        return ra_fail(RESATTN_SHAPE_MISMATCH,
                       "the tensor has rank %d and images of %" PRId64 "x%" PRId64 "x%" PRId64
                       ", expected rank 4 and 3x%dx%d",
                       (int)tensor->rank, resattn_tensor_size(tensor, 1), resattn_tensor_size(tensor, 2),
                       resattn_tensor_size(tensor, 3), (int)height, (int)width);
    if (index < 0 || index >= tensor->shape[0])
        return ra_fail(RESATTN_INVALID_ARGUMENT, "index is %" PRId64 ", expected 0 to %" PRId64, index,
                       tensor->shape[0] - 1);
    float table[3][256];
    const int64_t from[] = {bytes.channel, pitch, bytes.pixel};
    ra_fpmode mode;
    ra_fpmode_enter(&mode);
    make_tables(3, mean, deviation, table);
    ra_fpmode_leave(&mode);
    convert((const float(*)[256])table, 3, height, width, (const uint8_t *)pixels + bytes.first, from,
            (float *)tensor->data + index * tensor->stride[0], tensor->stride + 1);
    ra_tensor_changed(tensor);
    return RESATTN_OK;
}
