/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Convolution as matrix products: 1x1 directly, everything else over im2col segments. Images are dense channels-last
 * (N, H, W, C), filters (out, kernel h, kernel w, in / groups). Uses: core, gemm.
 */
#ifndef RA_CONV_H
#define RA_CONV_H

#include "core/core.h"

typedef struct ra_conv {
    int32_t in_c, in_h, in_w;
    int32_t out_c, out_h, out_w;
    int32_t kernel_h, kernel_w;
    int32_t stride_h, stride_w;
    int32_t dilation_h, dilation_w;
    int32_t pad_top, pad_left; /* what is beyond the bottom and right follows from out_h and out_w */
    int32_t groups;
} ra_conv;

/* Bytes of scratch that a call needs with up to `n` images and `workers` workers. False if that does not fit a size_t. */
bool ra_conv_forward_work(const ra_conv *conv, int32_t n, int32_t workers, bool prepared, size_t *bytes);
bool ra_conv_backward_input_work(const ra_conv *conv, int32_t n, int32_t workers, size_t *bytes);
bool ra_conv_backward_filter_work(const ra_conv *conv, int32_t n, int32_t workers, size_t *bytes);

/*
 * The order in which the forward pass reads a filter fastest: (group, tap, in / groups, out / groups), or (tap,
 * channel) for a depthwise one. The layout depends on these
 * sizes only; `prepared` has as many elements as the filter and does not overlap it.
 */
void ra_conv_prepare_filter(const float *filter, int32_t out_c, int64_t taps, int32_t group_in_c, int32_t groups,
                            float *prepared);

/*
 * Each call cuts its work into tiles that depend on the shapes only and runs them with ra_parallel(): the same bits for
 * any number of workers. `accumulate` adds to the result instead of replacing it.
 */

/* y = x * filter + bias (bias may be NULL), then max(0, y) if relu. `prepared`: the filter is in the order of
 * ra_conv_prepare_filter(). */
void ra_conv_forward(resattn_context *context, const ra_conv *conv, int32_t n, const float *x, const float *filter,
                     bool prepared, const float *bias, bool relu, bool accumulate, float *y, void *work);

/* dx from dy; also the forward pass of transposed convolution (with conv describing the convolution that it
 * transposes). */
void ra_conv_backward_input(resattn_context *context, const ra_conv *conv, int32_t n, const float *dy,
                            const float *filter, bool accumulate, float *dx, void *work);

/* The filter's gradient. */
void ra_conv_backward_filter(resattn_context *context, const ra_conv *conv, int32_t n, const float *x, const float *dy,
                             bool accumulate, float *dfilter, void *work);

/* The bias's gradient: sums over the pixels, in double precision. */
bool ra_conv_backward_bias_work(int64_t pixels, int32_t c, size_t *bytes);
void ra_conv_backward_bias(resattn_context *context, int64_t pixels, int32_t c, const float *dy, bool accumulate,
                           float *dbias, void *work);

/* y += bias for each pixel. */
void ra_conv_add_bias(resattn_context *context, int64_t pixels, int32_t c, const float *bias, float *y);

#endif
