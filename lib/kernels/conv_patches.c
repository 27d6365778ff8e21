/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * im2col segments: copying the pixels under a kernel together into rows of a matrix.
 */
#include "kernels/conv_internal.h"

#include <string.h>

enum { FEW = 64 };

/* Divisions are the most costly part of gathering few channels. */
static int64_t divide_up(int64_t a, int64_t b)
{
    if (b == 1)
        return a;
    return a >= 0 ? (a + b - 1) / b : -(-a / b);
}

static int64_t clamp(int64_t value, int64_t low, int64_t high)
{
    return value < low ? low : value > high ? high : value;
}

/* Few floats are the rule where the image has few channels: a call would take longer than the copy. */
static inline void copy(float *target, const float *source, int64_t count)
{
    if (count >= FEW) {
        memcpy(target, source, (size_t)count * sizeof(float));
        return;
    }
    for (int64_t i = 0; i < count; i++)
        target[i] = source[i];
}

static inline void clear(float *target, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        target[i] = 0;
}

/* Taps first .. last - 1 of one row of the kernel, the tap numbered 0 being at column x of the image's row `line`
 * (NULL: outside). Returns the end of what was written. */
static float *gather_taps(const ra_patches *p, const float *line, int64_t x, int32_t first, int32_t last,
                          int32_t channels, float *target)
{
    int64_t low = last, high = last;
    if (line != NULL) {
        low = clamp(divide_up(-x, p->delta_w), first, last);
        high = clamp(divide_up(p->w - x, p->delta_w), low, last);
    }
    clear(target, (low - first) * channels);
    target += (low - first) * channels;
    if (high > low) {
        const float *source = line + (x + low * p->delta_w) * p->c;
        if (p->delta_w == 1 && channels == p->c) {
            copy(target, source, (high - low) * channels);
            target += (high - low) * channels;
        } else {
            int64_t step = (int64_t)p->delta_w * p->c;
            for (int64_t tap = low; tap < high; tap++, source += step, target += channels)
                copy(target, source, channels);
        }
    }
    clear(target, (last - high) * channels);
    return target + (last - high) * channels;
}

void ra_patches_gather(const ra_patches *p, int64_t row, int64_t rows, int32_t tap, int32_t taps, int32_t channel,
                       int32_t channels, float *target, int64_t target_row)
{
    int64_t gx = row % p->grid_w, gy = row / p->grid_w % p->grid_h, image = row / p->grid_w / p->grid_h;
    for (int64_t i = 0; i < rows; i++) {
        float *next = target + target_row;
        const float *base = p->image + image * p->h * p->w * p->c + channel;
        int64_t x = gx * p->step_w + p->first_w, y = gy * p->step_h + p->first_h;
        int32_t ty = tap / p->taps_w, first = tap % p->taps_w, left = taps;
        while (left > 0) {
            int32_t last = ra_min(p->taps_w, first + left);
            int64_t line = y + (int64_t)ty * p->delta_h;
            bool inside = line >= 0 && line < p->h;
            target = gather_taps(p, inside ? base + line * p->w * p->c : NULL, x, first, last, channels, target);
            left -= last - first;
            first = 0;
            ty++;
        }
        target = next;
        if (++gx == p->grid_w) {
            gx = 0;
            if (++gy == p->grid_h) {
                gy = 0;
                image++;
            }
        }
    }
}

bool ra_patches_are_pixels(const ra_patches *p)
{
    return p->taps_h == 1 && p->taps_w == 1 && p->step_h == 1 && p->step_w == 1 && p->first_h == 0 && p->first_w == 0 &&
           p->grid_h == p->h && p->grid_w == p->w;
}

ra_patches ra_conv_patches(const ra_conv *conv, const float *x)
{
    return (ra_patches){
        .image = x,
        .c = conv->in_c,
        .h = conv->in_h,
        .w = conv->in_w,
        .grid_h = conv->out_h,
        .grid_w = conv->out_w,
        .step_h = conv->stride_h,
        .step_w = conv->stride_w,
        .taps_h = conv->kernel_h,
        .taps_w = conv->kernel_w,
        .first_h = -conv->pad_top,
        .first_w = -conv->pad_left,
        .delta_h = conv->dilation_h,
        .delta_w = conv->dilation_w,
    };
}

int64_t ra_first_tap(int64_t reach, int32_t stride, int32_t dilation, int64_t *step)
{
    /* Euclid's algorithm: in the end dilation * inverse is the common divisor, modulo the stride. */
    int64_t divisor = stride, rest = dilation, inverse = 0, next = 1;
    while (rest != 0) {
        int64_t times = divisor / rest, old_rest = rest, old_next = next;
        rest = divisor - times * rest;
        next = inverse - times * next;
        divisor = old_rest;
        inverse = old_next;
    }
    *step = stride / divisor;
    if (reach % divisor != 0)
        return -1;
    int64_t k = reach / divisor % *step * (inverse % *step) % *step;
    return k < 0 ? k + *step : k;
}
