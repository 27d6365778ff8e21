/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table of numeric loops, single-threaded, on plain pointers. Images are dense channels-last; a loop over `pixels`
 * rows of `c` channels takes the distance `stride` in elements between rows where it serves parts of images too. Every
 * level gives the same bits. Where an output is the very same pointer as an input of the same kind of element, the loop
 * works in place; other overlap is not allowed. `accumulate` adds to the output instead of replacing it. NaN goes
 * through every loop. Uses: nothing.
 */
#ifndef RA_LOOPS_H
#define RA_LOOPS_H

#include <stdbool.h>
#include <stdint.h>

/* A pooling window cut to the image: rows x cols pixels from x on. */
typedef struct ra_window {
    const float *x;
    int64_t row_stride, col_stride; /* in elements */
    int32_t rows, cols;
    int32_t first_tap, kernel_w; /* number of the pixel x in the whole window, taps in a row of it */
} ra_window;

/* The terms of normalisation's gradient, per channel: dx = scale * g + (x - mean) * slope + offset, where g is dy, or
 * with a fused ReLU (shift not NULL) dy where x * scale + shift > 0 and else 0. */
typedef struct ra_norm_terms {
    const float *scale, *shift;
    const float *mean, *slope, *offset;
} ra_norm_terms;

typedef struct ra_loops {
    /* y = x < 0 ? 0 : x; dx = y > 0 ? dy : 0 */
    void (*relu)(int64_t count, const float *x, float *y);
    void (*relu_backward)(int64_t count, const float *y, const float *dy, bool accumulate, float *dx);

    /* y = 1 / (1 + exp(-x)); dx = dy * y * (1 - y) */
    void (*sigmoid)(int64_t count, const float *x, float *y);
    void (*sigmoid_backward)(int64_t count, const float *y, const float *dy, bool accumulate, float *dx);

    /* y = factor * x, y += factor * x */
    void (*scale)(int64_t count, float factor, const float *x, bool accumulate, float *y);

    /* the sum of x * x: element i of whole eights in sum i modulo 8, and those added in order */
    double (*squares)(int64_t count, const float *x);

    /* y = a + b, then max(0, y) if relu */
    void (*add)(int64_t count, const float *a, const float *b, bool relu, float *y);

    /* y = x * weight[channel] + bias[channel], then max(0, y) if relu */
    void (*affine)(int64_t pixels, int64_t c, int64_t stride, const float *x, const float *weight, const float *bias,
                   bool relu, float *y);

    /* y = t * (plus + m), the mask having mask_c = c channels or one; dm = sum of dy * t */
    void (*gate)(int64_t pixels, int64_t c, int64_t mask_c, float plus, const float *t, const float *m, bool accumulate,
                 float *y);
    void (*gate_backward)(int64_t pixels, int64_t c, int64_t mask_c, const float *t, const float *dy, bool accumulate,
                          float *dm);

    /* sum[channel] += x */
    void (*sums)(int64_t pixels, int64_t c, int64_t stride, const float *x, double *sum);
    /* with d = x - about[channel]: sum += d, square += d * d */
    void (*moments)(int64_t pixels, int64_t c, int64_t stride, const float *x, const float *about, double *sum,
                    double *square);
    /* with g as in ra_norm_terms (its scale and shift only): sum += g, dot += g * (x - mean) */
    void (*norm_sums)(int64_t pixels, int64_t c, int64_t stride, const float *x, const float *dy, const float *scale,
                      const float *shift, const double *mean, double *sum, double *dot);
    /* dx (of the stride of x and dy); may write over dy */
    void (*norm_backward)(int64_t pixels, int64_t c, int64_t stride, const float *x, const float *dy,
                          const ra_norm_terms *terms, bool accumulate, float *dx);

    /* One output pixel of c channels; the first of equal values wins; tap (may be NULL) says which. */
    void (*max_pool)(const ra_window *window, int64_t c, float *y, uint16_t *tap);
    /* factor * the sum over the window, summed in double */
    void (*sum_pool)(const ra_window *window, int64_t c, float factor, float *y);
    /* y = (x[0] * (1 - fx) + x[1] * fx) * (1 - fy) + (x[2] * (1 - fx) + x[3] * fx) * fy */
    void (*bilinear)(int64_t c, const float *const *x, float fx, float fy, float *y);

    /* Elements `first` .. first + count - 1 of a dropout: y = x * factor where their 32 random bits are at least
     * `threshold`, 0 elsewhere. `first` is a multiple of RA_DROPOUT_BLOCK. */
    void (*dropout)(int64_t first, int64_t count, uint64_t key, uint32_t threshold, float factor, const float *x,
                    bool accumulate, float *y);

    /* Over the channels of each pixel. softmax; dx = y * (dy - sum of dy * y) */
    void (*softmax)(int64_t pixels, int64_t c, const float *x, float *y);
    void (*softmax_backward)(int64_t pixels, int64_t c, const float *y, const float *dy, bool accumulate, float *dx);
    /* r = 1 / sqrt(sum of x^2 + epsilon): y = r * x; dx = r * dy - r^3 * x * sum of x * dy */
    void (*channel_norm)(int64_t pixels, int64_t c, double epsilon, const float *x, float *y);
    void (*channel_norm_backward)(int64_t pixels, int64_t c, double epsilon, const float *x, const float *dy,
                                  bool accumulate, float *dx);
} ra_loops;

/* Random bits are made for so many elements at a time. */
#define RA_DROPOUT_BLOCK 256

extern const ra_loops ra_loops_plain;
#if defined(__x86_64__)
extern const ra_loops ra_loops_avx2, ra_loops_avx512;
#endif

#endif
