/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The numeric loops, written so that compilers vectorise them, and compiled once for each CPU level with RA_LOOPS_TABLE
 * as the table's name. Sums over pixels keep one accumulator for each channel, sums over channels LANES of them, so the
 * order of additions is fixed by the source and not by the width of vectors. Without contraction to fused multiply-adds
 * all levels then give the same bits.
 */
#include "kernels/loops.h"

#include "kernels/exponential.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#define LANES 16
#define BLOCK 64 /* channels of a pixel that are summed at a time in local accumulators */

/* y[i] = value or y[i] += value, for i below count. */
#define STORE(count, accumulate, y, value)                                                                             \
    do {                                                                                                               \
        if (accumulate) {                                                                                              \
            RA_INDEPENDENT                                                                                                \
            for (int64_t i = 0; i < (count); i++)                                                                      \
                (y)[i] += (value);                                                                                     \
        } else {                                                                                                       \
            RA_INDEPENDENT                                                                                                \
            for (int64_t i = 0; i < (count); i++)                                                                      \
                (y)[i] = (value);                                                                                      \
        }                                                                                                              \
    } while (0)

/* ---- elementwise ---- */

/* NaN is not below 0. */
static inline float rectify(float x)
{
    return x < 0 ? 0 : x;
}

/* As functions, so that both values are read whatever the condition: such loops vectorise on every CPU. */
static inline float where_positive(float y, float value)
{
    return y > 0 ? value : 0;
}
static inline float where_kept(uint32_t bits, uint32_t threshold, float value)
{
    return bits >= threshold ? value : 0;
}

static void relu(int64_t count, const float *x, float *y)
{
    STORE(count, false, y, rectify(x[i]));
}

static void relu_backward(int64_t count, const float *y, const float *dy, bool accumulate, float *dx)
{
    STORE(count, accumulate, dx, where_positive(y[i], dy[i]));
}

static void sigmoid(int64_t count, const float *x, float *y)
{
    STORE(count, false, y, 1.0f / (1.0f + ra_exponential(-x[i])));
}

static void sigmoid_backward(int64_t count, const float *y, const float *dy, bool accumulate, float *dx)
{
    STORE(count, accumulate, dx, dy[i] * (y[i] * (1.0f - y[i])));
}

static void scale(int64_t count, float factor, const float *x, bool accumulate, float *y)
{
    STORE(count, accumulate, y, factor * x[i]);
}

static void add(int64_t count, const float *a, const float *b, bool relu_after, float *y)
{
    if (relu_after)
        STORE(count, false, y, rectify(a[i] + b[i]));
    else
        STORE(count, false, y, a[i] + b[i]);
}

/* Random bits as ra_random_bits(): splitmix64 (Steele, Lea and Flood, OOPSLA 2014). One of them serves the elements i
 * and i + half of a block. */
static void block_bits(uint64_t key, uint64_t counter, uint32_t *bits)
{
    enum { half = RA_DROPOUT_BLOCK / 2 };
    for (uint64_t i = 0; i < half; i++) {
        uint64_t z = key + (counter + i + 1) * UINT64_C(0x9e3779b97f4a7c15);
        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        z ^= z >> 31;
        bits[i] = (uint32_t)z;
        bits[i + half] = (uint32_t)(z >> 32);
    }
}

static void dropout(int64_t first, int64_t count, uint64_t key, uint32_t threshold, float factor, const float *x,
                    bool accumulate, float *y)
{
    uint32_t bits[RA_DROPOUT_BLOCK];
    for (int64_t done = 0; done < count; done += RA_DROPOUT_BLOCK) {
        int64_t rest = count - done < RA_DROPOUT_BLOCK ? count - done : RA_DROPOUT_BLOCK;
        block_bits(key, (uint64_t)(first + done) / 2, bits);
        STORE(rest, accumulate, y, where_kept(bits[i], threshold, x[i] * factor));
        x += rest;
        y += rest;
    }
}

/* ---- one factor or term for each channel ---- */

/*
 * Asks for `rows` rows that follow about AHEAD elements later, if the `pixels` from x on reach so far. Hardware does
 * not foresee reading four rows at once, nor loads that a condition masks.
 */
#define AHEAD 2048
static inline void fetch_rows(const float *x, int64_t rows, int64_t pixels, int64_t c, int64_t stride)
{
#if defined(__GNUC__)
    int64_t first = c < AHEAD / 4 ? AHEAD / c : 4;
    if (pixels < first + rows)
        return;
    for (int64_t row = first; row < first + rows; row++)
        for (int64_t i = 0; i < c; i += 16)
            __builtin_prefetch(x + row * stride + i);
#endif
}

static void affine(int64_t pixels, int64_t c, int64_t stride, const float *x, const float *weight, const float *bias,
                   bool relu_after, float *y)
{
    for (int64_t p = 0; p < pixels; p++, x += stride, y += stride) {
        if (relu_after)
            STORE(c, false, y, rectify(x[i] * weight[i] + bias[i]));
        else
            STORE(c, false, y, x[i] * weight[i] + bias[i]);
    }
}

static void gate(int64_t pixels, int64_t c, int64_t mask_c, float plus, const float *t, const float *m, bool accumulate,
                 float *y)
{
    if (mask_c == c) {
        STORE(pixels * c, accumulate, y, t[i] * (plus + m[i]));
        return;
    }
    for (int64_t p = 0; p < pixels; p++, t += c, y += c) {
        float factor = plus + m[p];
        STORE(c, accumulate, y, t[i] * factor);
    }
}

/* ---- sums over pixels: four at a time, so that accumulators are not moved more than operands ---- */

static void sums(int64_t pixels, int64_t c, int64_t stride, const float *x, double *sum)
{
    for (; pixels >= 4; pixels -= 4, x += 4 * stride) {
        const float *x1 = x + stride, *x2 = x1 + stride, *x3 = x2 + stride;
        fetch_rows(x, 4, pixels, c, stride);
        STORE(c, true, sum, ((double)x[i] + (double)x1[i]) + ((double)x2[i] + (double)x3[i]));
    }
    for (; pixels > 0; pixels--, x += stride)
        STORE(c, true, sum, (double)x[i]);
}

static void moments(int64_t pixels, int64_t c, int64_t stride, const float *x, const float *about, double *sum,
                    double *square)
{
    for (; pixels >= 4; pixels -= 4, x += 4 * stride) {
        const float *x1 = x + stride, *x2 = x1 + stride, *x3 = x2 + stride;
        fetch_rows(x, 4, pixels, c, stride);
        RA_INDEPENDENT
        for (int64_t i = 0; i < c; i++) {
            double a = (double)about[i];
            double d = (double)x[i] - a, d1 = (double)x1[i] - a, d2 = (double)x2[i] - a, d3 = (double)x3[i] - a;
            sum[i] += (d + d1) + (d2 + d3);
            square[i] += (d * d + d1 * d1) + (d2 * d2 + d3 * d3);
        }
    }
    for (; pixels > 0; pixels--, x += stride) {
        RA_INDEPENDENT
        for (int64_t i = 0; i < c; i++) {
            double d = (double)x[i] - (double)about[i];
            sum[i] += d;
            square[i] += d * d;
        }
    }
}

/* The gradient before the fused ReLU; the condition repeats what affine() computed. */
static inline float gradient(bool masked, float x, float dy, float factor, float term)
{
    return masked ? where_positive(x * factor + term, dy) : dy;
}

static inline void norm_sums_of(bool masked, int64_t pixels, int64_t c, int64_t stride, const float *x, const float *dy,
                                const float *factor, const float *term, const double *mean, double *sum, double *dot)
{
    for (; pixels >= 4; pixels -= 4, x += 4 * stride, dy += 4 * stride) {
        const float *x1 = x + stride, *x2 = x1 + stride, *x3 = x2 + stride;
        fetch_rows(x, 4, pixels, c, stride);
        const float *dy1 = dy + stride, *dy2 = dy1 + stride, *dy3 = dy2 + stride;
        fetch_rows(dy, 4, pixels, c, stride);
        RA_INDEPENDENT
        for (int64_t i = 0; i < c; i++) {
            double g = (double)gradient(masked, x[i], dy[i], factor[i], term[i]);
            double g1 = (double)gradient(masked, x1[i], dy1[i], factor[i], term[i]);
            double g2 = (double)gradient(masked, x2[i], dy2[i], factor[i], term[i]);
            double g3 = (double)gradient(masked, x3[i], dy3[i], factor[i], term[i]);
            double d = g * ((double)x[i] - mean[i]), d1 = g1 * ((double)x1[i] - mean[i]);
            double d2 = g2 * ((double)x2[i] - mean[i]), d3 = g3 * ((double)x3[i] - mean[i]);
            sum[i] += (g + g1) + (g2 + g3);
            dot[i] += (d + d1) + (d2 + d3);
        }
    }
    for (; pixels > 0; pixels--, x += stride, dy += stride) {
        RA_INDEPENDENT
        for (int64_t i = 0; i < c; i++) {
            double g = (double)gradient(masked, x[i], dy[i], factor[i], term[i]);
            sum[i] += g;
            dot[i] += g * ((double)x[i] - mean[i]);
        }
    }
}

static void norm_sums(int64_t pixels, int64_t c, int64_t stride, const float *x, const float *dy, const float *factor,
                      const float *term, const double *mean, double *sum, double *dot)
{
    if (term != NULL)
        norm_sums_of(true, pixels, c, stride, x, dy, factor, term, mean, sum, dot);
    else
        norm_sums_of(false, pixels, c, stride, x, dy, factor, factor, mean, sum, dot);
}

static void norm_backward(int64_t pixels, int64_t c, int64_t stride, const float *x, const float *dy,
                          const ra_norm_terms *terms, bool accumulate, float *dx)
{
    const float *factor = terms->scale, *term = terms->shift;
    const float *mean = terms->mean, *slope = terms->slope, *offset = terms->offset;
    for (int64_t p = 0; p < pixels; p++, x += stride, dy += stride, dx += stride) {
        fetch_rows(x, 1, pixels - p, c, stride);
        fetch_rows(dy, 1, pixels - p, c, stride);
        if (term != NULL)
            STORE(c, accumulate, dx,
                  factor[i] * gradient(true, x[i], dy[i], factor[i], term[i]) +
                      ((x[i] - mean[i]) * slope[i] + offset[i]));
        else
            STORE(c, accumulate, dx, factor[i] * dy[i] + ((x[i] - mean[i]) * slope[i] + offset[i]));
    }
}

/* ---- windows and interpolation: one output pixel ---- */

/* A later NaN wins over a number, nothing over NaN. */
static inline bool wins(float x, float y)
{
    return (x > y) | (x != x);
}

static void max_pool(const ra_window *w, int64_t c, float *y, uint16_t *tap)
{
    STORE(c, false, y, w->x[i]);
    if (tap != NULL)
        STORE(c, false, tap, (uint16_t)w->first_tap);
    for (int32_t row = 0; row < w->rows; row++) {
        for (int32_t col = row == 0; col < w->cols; col++) {
            const float *x = w->x + row * w->row_stride + col * w->col_stride;
            if (tap == NULL) {
                STORE(c, false, y, wins(x[i], y[i]) ? x[i] : y[i]);
                continue;
            }
            uint16_t number = (uint16_t)(w->first_tap + row * w->kernel_w + col);
            RA_INDEPENDENT
            for (int64_t i = 0; i < c; i++) {
                bool won = wins(x[i], y[i]);
                y[i] = won ? x[i] : y[i];
                tap[i] = won ? number : tap[i];
            }
        }
    }
}

static void sum_pool(const ra_window *w, int64_t c, float factor, float *y)
{
    double sum[BLOCK];
    for (int64_t begin = 0; begin < c; begin += BLOCK) {
        int64_t size = c - begin < BLOCK ? c - begin : BLOCK;
        memset(sum, 0, sizeof sum);
        for (int32_t row = 0; row < w->rows; row++)
            sums(w->cols, size, w->col_stride, w->x + begin + row * w->row_stride, sum);
        STORE(size, false, y + begin, (float)(sum[i] * (double)factor));
    }
}

static void bilinear(int64_t c, const float *const *x, float fx, float fy, float *y)
{
    const float *x0 = x[0], *x1 = x[1], *x2 = x[2], *x3 = x[3];
    float gx = 1.0f - fx, gy = 1.0f - fy;
    STORE(c, false, y, (x0[i] * gx + x1[i] * fx) * gy + (x2[i] * gx + x3[i] * fx) * fy);
}

static double squares(int64_t count, const float *x)
{
    double sums[8] = {0}, sum = 0;
    int64_t i = 0;
    for (; i + 8 <= count; i += 8)
        for (int32_t lane = 0; lane < 8; lane++)
            sums[lane] += (double)x[i + lane] * (double)x[i + lane];
    for (; i < count; i++)
        sums[i % 8] += (double)x[i] * (double)x[i];
    for (int32_t lane = 0; lane < 8; lane++)
        sum += sums[lane];
    return sum;
}

/* ---- over the channels of a pixel ---- */

static double fold(double *lanes)
{
    for (int32_t half = LANES / 2; half > 0; half /= 2)
        for (int32_t l = 0; l < half; l++)
            lanes[l] += lanes[l + half];
    return lanes[0];
}

static double total(int64_t c, const float *x)
{
    double sum[LANES] = {0};
    int64_t i = 0;
    for (; i + LANES <= c; i += LANES)
        for (int32_t l = 0; l < LANES; l++)
            sum[l] += (double)x[i + l];
    for (int32_t l = 0; i < c; i++, l++)
        sum[l] += (double)x[i];
    return fold(sum);
}

static double dot_product(int64_t c, const float *a, const float *b)
{
    double sum[LANES] = {0};
    int64_t i = 0;
    for (; i + LANES <= c; i += LANES)
        for (int32_t l = 0; l < LANES; l++)
            sum[l] += (double)a[i + l] * (double)b[i + l];
    for (int32_t l = 0; i < c; i++, l++)
        sum[l] += (double)a[i] * (double)b[i];
    return fold(sum);
}

/* NaN is left out: it comes back in the exponentials. */
static float largest(int64_t c, const float *x)
{
    float most[LANES];
    int64_t i = 0;
    for (int32_t l = 0; l < LANES; l++)
        most[l] = -INFINITY;
    for (; i + LANES <= c; i += LANES)
        for (int32_t l = 0; l < LANES; l++)
            most[l] = x[i + l] > most[l] ? x[i + l] : most[l];
    for (int32_t l = 0; i < c; i++, l++)
        most[l] = x[i] > most[l] ? x[i] : most[l];
    for (int32_t l = 1; l < LANES; l++)
        most[0] = most[l] > most[0] ? most[l] : most[0];
    return most[0];
}

static void gate_backward(int64_t pixels, int64_t c, int64_t mask_c, const float *t, const float *dy, bool accumulate,
                          float *dm)
{
    if (mask_c == c) {
        STORE(pixels * c, accumulate, dm, dy[i] * t[i]);
        return;
    }
    for (int64_t p = 0; p < pixels; p++) {
        float part = (float)dot_product(c, t + p * c, dy + p * c);
        dm[p] = accumulate ? dm[p] + part : part;
    }
}

static void softmax(int64_t pixels, int64_t c, const float *x, float *y)
{
    for (int64_t p = 0; p < pixels; p++, x += c, y += c) {
        float most = largest(c, x);
        STORE(c, false, y, ra_exponential(x[i] - most));
        float factor = (float)(1.0 / total(c, y));
        STORE(c, false, y, y[i] * factor);
    }
}

static void softmax_backward(int64_t pixels, int64_t c, const float *y, const float *dy, bool accumulate, float *dx)
{
    for (int64_t p = 0; p < pixels; p++, y += c, dy += c, dx += c) {
        float dot = (float)dot_product(c, y, dy);
        STORE(c, accumulate, dx, y[i] * (dy[i] - dot));
    }
}

static void channel_norm(int64_t pixels, int64_t c, double epsilon, const float *x, float *y)
{
    for (int64_t p = 0; p < pixels; p++, x += c, y += c) {
        float r = (float)(1.0 / sqrt(dot_product(c, x, x) + epsilon));
        STORE(c, false, y, r * x[i]);
    }
}

static void channel_norm_backward(int64_t pixels, int64_t c, double epsilon, const float *x, const float *dy,
                                  bool accumulate, float *dx)
{
    for (int64_t p = 0; p < pixels; p++, x += c, dy += c, dx += c) {
        double r = 1.0 / sqrt(dot_product(c, x, x) + epsilon);
        float factor = (float)r, slope = (float)(r * r * r * dot_product(c, x, dy));
        STORE(c, accumulate, dx, factor * dy[i] - slope * x[i]);
    }
}

const ra_loops RA_LOOPS_TABLE = {
    .relu = relu,
    .relu_backward = relu_backward,
    .sigmoid = sigmoid,
    .sigmoid_backward = sigmoid_backward,
    .scale = scale,
    .squares = squares,
    .add = add,
    .affine = affine,
    .gate = gate,
    .gate_backward = gate_backward,
    .sums = sums,
    .moments = moments,
    .norm_sums = norm_sums,
    .norm_backward = norm_backward,
    .max_pool = max_pool,
    .sum_pool = sum_pool,
    .bilinear = bilinear,
    .dropout = dropout,
    .softmax = softmax,
    .softmax_backward = softmax_backward,
    .channel_norm = channel_norm,
    .channel_norm_backward = channel_norm_backward,
};
