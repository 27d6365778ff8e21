/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every numeric loop with the same in plain C and double.
 */
#include "loop_cases.h"

#include <math.h>
#include <string.h>

#include "common.h"

static float uniform(float low, float high)
{
    return low + (high - low) * (float)(test_random() >> 40) * 0x1p-24f;
}

static int64_t below(int64_t limit)
{
    return (int64_t)(test_random() % (uint64_t)limit);
}

void make_problem(problem *p, bool strided)
{
    p->c = 1 + below(below(2) ? 20 : 150);
    p->pixels = 1 + below(MOST / (p->c + 8) < 24 ? MOST / (p->c + 8) : 24);
    p->stride = p->c + (strided ? below(8) : 0);
    p->elements = p->pixels * p->stride;
    p->accumulate = below(2);
    p->flag = below(2);
    p->factor = uniform(-2, 2);
    float *arrays[] = {p->x, p->y, p->initial, p->a, p->b, p->m};
    for (int32_t k = 0; k < RA_COUNT(arrays); k++)
        for (int64_t i = 0; i < MOST; i++)
            arrays[k][i] = uniform(-2, 2);
}

static void put(const problem *p, double *out, int64_t i, double value)
{
    out[i] = (p->accumulate ? out[i] : 0) + value;
}

/* For each channel i of each pixel, q: where it lies. */
#define EACH(p)                                                                                                        \
    for (int64_t row = 0; row < (p)->pixels; row++)                                                                    \
        for (int64_t i = 0, q = row * (p)->stride; i < (p)->c; i++, q++)

/* ---- elementwise ---- */

static void run_relu(const ra_loops *l, const problem *p, float *out)
{
    l->relu(p->elements, p->x, out);
}
static void expect_relu(const problem *p, double *out)
{
    for (int64_t i = 0; i < p->elements; i++)
        out[i] = fmax(0, (double)p->x[i]);
}

static void run_relu_backward(const ra_loops *l, const problem *p, float *out)
{
    l->relu_backward(p->elements, p->x, p->y, p->accumulate, out);
}
static void expect_relu_backward(const problem *p, double *out)
{
    for (int64_t i = 0; i < p->elements; i++)
        put(p, out, i, p->x[i] > 0 ? (double)p->y[i] : 0);
}

static void run_sigmoid(const ra_loops *l, const problem *p, float *out)
{
    l->sigmoid(p->elements, p->x, out);
}
static void expect_sigmoid(const problem *p, double *out)
{
    for (int64_t i = 0; i < p->elements; i++)
        out[i] = 1 / (1 + exp(-(double)p->x[i]));
}

static void run_sigmoid_backward(const ra_loops *l, const problem *p, float *out)
{
    l->sigmoid_backward(p->elements, p->x, p->y, p->accumulate, out);
}
static void expect_sigmoid_backward(const problem *p, double *out)
{
    for (int64_t i = 0; i < p->elements; i++)
        put(p, out, i, (double)p->y[i] * (double)p->x[i] * (1 - (double)p->x[i]));
}

static void run_scale(const ra_loops *l, const problem *p, float *out)
{
    l->scale(p->elements, p->factor, p->x, p->accumulate, out);
}
static void expect_scale(const problem *p, double *out)
{
    for (int64_t i = 0; i < p->elements; i++)
        put(p, out, i, (double)p->factor * (double)p->x[i]);
}

static void run_squares(const ra_loops *l, const problem *p, float *out)
{
    for (int64_t i = 0; i < p->elements; i++)
        out[i] = (float)l->squares(i, p->x);
}
static void expect_squares(const problem *p, double *out)
{
    double sum = 0;
    for (int64_t i = 0; i < p->elements; i++) {
        out[i] = sum;
        sum += (double)p->x[i] * (double)p->x[i];
    }
}

static void run_add(const ra_loops *l, const problem *p, float *out)
{
    l->add(p->elements, p->x, p->y, p->flag, out);
}
static void expect_add(const problem *p, double *out)
{
    for (int64_t i = 0; i < p->elements; i++) {
        double sum = (double)p->x[i] + (double)p->y[i];
        out[i] = p->flag ? fmax(0, sum) : sum;
    }
}

static void run_dropout(const ra_loops *l, const problem *p, float *out)
{
    l->dropout(512, p->elements, 77, 1u << 30, p->factor, p->x, p->accumulate, out);
}
static void expect_dropout(const problem *p, double *out)
{
    for (int64_t i = 0; i < p->elements; i++) {
        int64_t half = RA_DROPOUT_BLOCK / 2, in_block = i % RA_DROPOUT_BLOCK;
        uint64_t bits = ra_random_bits(77, (uint64_t)((512 + i - in_block) / 2 + in_block % half));
        bool kept = (uint32_t)(in_block < half ? bits : bits >> 32) >= 1u << 30;
        put(p, out, i, kept ? (double)p->x[i] * (double)p->factor : 0);
    }
}

/* ---- by channel ---- */

static void run_affine(const ra_loops *l, const problem *p, float *out)
{
    l->affine(p->pixels, p->c, p->stride, p->x, p->a, p->b, p->flag, out);
}
static void expect_affine(const problem *p, double *out)
{
    EACH(p)
    {
        double y = (double)p->x[q] * (double)p->a[i] + (double)p->b[i];
        out[q] = p->flag ? fmax(0, y) : y;
    }
}

static void run_gate(const ra_loops *l, const problem *p, float *out)
{
    l->gate(p->pixels, p->c, p->flag ? p->c : 1, p->factor, p->x, p->m, p->accumulate, out);
}
static void expect_gate(const problem *p, double *out)
{
    EACH(p) put(p, out, q, (double)p->x[q] * ((double)p->factor + (double)p->m[p->flag ? q : row]));
}

static void run_gate_backward(const ra_loops *l, const problem *p, float *out)
{
    l->gate_backward(p->pixels, p->c, p->flag ? p->c : 1, p->x, p->y, p->accumulate, out);
}
static void expect_gate_backward(const problem *p, double *out)
{
    double sum[MOST] = {0};
    EACH(p) sum[p->flag ? q : row] += (double)p->x[q] * (double)p->y[q];
    for (int64_t i = 0; i < (p->flag ? p->elements : p->pixels); i++)
        put(p, out, i, sum[i]);
}

/* Two sums for each channel, given as floats one after the other; a sentinel behind each. */
typedef struct two_sums {
    double first[MOST], second[MOST];
} two_sums;

static void give_sums(const problem *p, const two_sums *sums, float *out)
{
    ck_assert(sums->first[p->c] == 0 && sums->second[p->c] == 0);
    for (int64_t i = 0; i < p->c; i++) {
        out[i] = (float)sums->first[i];
        out[p->c + i] = (float)sums->second[i];
    }
}

static void run_sums(const ra_loops *l, const problem *p, float *out)
{
    two_sums sums = {.first = {0}};
    l->sums(p->pixels, p->c, p->stride, p->x, sums.first);
    give_sums(p, &sums, out);
}
static void expect_sums(const problem *p, double *out)
{
    memset(out, 0, 2 * (size_t)p->c * sizeof *out);
    EACH(p) out[i] += (double)p->x[q];
}

static void run_moments(const ra_loops *l, const problem *p, float *out)
{
    two_sums sums = {.first = {0}};
    l->moments(p->pixels, p->c, p->stride, p->x, p->a, sums.first, sums.second);
    give_sums(p, &sums, out);
}
static void expect_moments(const problem *p, double *out)
{
    memset(out, 0, 2 * (size_t)p->c * sizeof *out);
    EACH(p)
    {
        double d = (double)p->x[q] - (double)p->a[i];
        out[i] += d;
        out[p->c + i] += d * d;
    }
}

/* Rounded as the loops round it, whatever the compiler. */
static double masked_gradient(const problem *p, int64_t q, int64_t i)
{
    volatile float product = p->x[q] * p->a[i];
    volatile float sum = product + p->b[i];
    return p->flag && !(sum > 0) ? 0 : (double)p->y[q];
}

static void run_norm_sums(const ra_loops *l, const problem *p, float *out)
{
    two_sums sums = {.first = {0}};
    double mean[MOST];
    for (int64_t i = 0; i < p->c; i++)
        mean[i] = (double)p->m[i];
    l->norm_sums(p->pixels, p->c, p->stride, p->x, p->y, p->a, p->flag ? p->b : NULL, mean, sums.first, sums.second);
    give_sums(p, &sums, out);
}
static void expect_norm_sums(const problem *p, double *out)
{
    memset(out, 0, 2 * (size_t)p->c * sizeof *out);
    EACH(p)
    {
        out[i] += masked_gradient(p, q, i);
        out[p->c + i] += masked_gradient(p, q, i) * ((double)p->x[q] - (double)p->m[i]);
    }
}

static void run_norm_backward(const ra_loops *l, const problem *p, float *out)
{
    ra_norm_terms terms = {p->a, p->flag ? p->b : NULL, p->m, p->m + 256, p->m + 512};
    l->norm_backward(p->pixels, p->c, p->stride, p->x, p->y, &terms, p->accumulate, out);
}
static void expect_norm_backward(const problem *p, double *out)
{
    EACH(p)
    put(p, out, q,
        (double)p->a[i] * masked_gradient(p, q, i) + ((double)p->x[q] - (double)p->m[i]) * (double)p->m[256 + i] +
            (double)p->m[512 + i]);
}

/* ---- windows: all pixels of a problem, as two rows where their number is even ---- */

static ra_window whole_window(const problem *p)
{
    int32_t rows = p->pixels % 2 ? 1 : 2, cols = (int32_t)p->pixels / rows;
    return (ra_window){p->x, cols * p->stride, p->stride, rows, cols, 3, cols + 2};
}

static void run_max_pool(const ra_loops *l, const problem *p, float *out)
{
    ra_window window = whole_window(p);
    uint16_t tap[MOST];
    tap[p->c] = 0xbad;
    l->max_pool(&window, p->c, out, p->flag ? tap : NULL);
    ck_assert_uint_eq(tap[p->c], 0xbad);
    for (int64_t i = 0; i < p->c && p->flag; i++) {
        int64_t number = tap[i] - 3;
        ck_assert(out[i] == p->x[(number / window.kernel_w * window.cols + number % window.kernel_w) * p->stride + i]);
    }
}
static void expect_max_pool(const problem *p, double *out)
{
    EACH(p) out[i] = row == 0 ? (double)p->x[q] : fmax(out[i], (double)p->x[q]);
}

static void run_sum_pool(const ra_loops *l, const problem *p, float *out)
{
    ra_window window = whole_window(p);
    l->sum_pool(&window, p->c, p->factor, out);
}
static void expect_sum_pool(const problem *p, double *out)
{
    memset(out, 0, (size_t)p->c * sizeof *out);
    EACH(p) out[i] += (double)p->factor * (double)p->x[q];
}

static void run_bilinear(const ra_loops *l, const problem *p, float *out)
{
    const float *corners[4] = {p->x, p->y, p->a, p->b};
    l->bilinear(p->c, corners, fabsf(p->factor) / 2, 0.25f, out);
}
static void expect_bilinear(const problem *p, double *out)
{
    double fx = fabs((double)p->factor) / 2;
    for (int64_t i = 0; i < p->c; i++)
        out[i] = 0.75 * ((1 - fx) * (double)p->x[i] + fx * (double)p->y[i]) +
                 0.25 * ((1 - fx) * (double)p->a[i] + fx * (double)p->b[i]);
}

/* ---- over channels ---- */

static double channel_sum(const problem *p, const float *a, const float *b, int64_t row)
{
    double sum = 0;
    for (int64_t i = row * p->c; i < (row + 1) * p->c; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

static void run_softmax(const ra_loops *l, const problem *p, float *out)
{
    l->softmax(p->pixels, p->c, p->x, out);
}
static void expect_softmax(const problem *p, double *out)
{
    double sum[MOST] = {0};
    EACH(p) sum[row] += exp((double)p->x[q]);
    EACH(p) out[q] = exp((double)p->x[q]) / sum[row];
}

static void run_softmax_backward(const ra_loops *l, const problem *p, float *out)
{
    l->softmax_backward(p->pixels, p->c, p->x, p->y, p->accumulate, out);
}
static void expect_softmax_backward(const problem *p, double *out)
{
    EACH(p) put(p, out, q, (double)p->x[q] * ((double)p->y[q] - channel_sum(p, p->x, p->y, row)));
}

static void run_channel_norm(const ra_loops *l, const problem *p, float *out)
{
    l->channel_norm(p->pixels, p->c, 0.1, p->x, out);
}
static void expect_channel_norm(const problem *p, double *out)
{
    EACH(p) out[q] = (double)p->x[q] / sqrt(channel_sum(p, p->x, p->x, row) + 0.1);
}

static void run_channel_norm_backward(const ra_loops *l, const problem *p, float *out)
{
    l->channel_norm_backward(p->pixels, p->c, 0.1, p->x, p->y, p->accumulate, out);
}
static void expect_channel_norm_backward(const problem *p, double *out)
{
    EACH(p)
    {
        double r = 1 / sqrt(channel_sum(p, p->x, p->x, row) + 0.1);
        put(p, out, q, r * (double)p->y[q] - r * r * r * (double)p->x[q] * channel_sum(p, p->x, p->y, row));
    }
}

#define CASE(name, strided, tolerance)                                                                                 \
    {                                                                                                                  \
#name, strided, tolerance, run_##name, expect_##name                                                           \
    }

const loop_case loop_cases[] = {
    CASE(relu, false, 0),
    CASE(relu_backward, false, 1e-7),
    CASE(sigmoid, false, 2e-7),
    CASE(sigmoid_backward, false, 1e-6),
    CASE(scale, false, 3e-7),
    CASE(squares, false, 1e-7),
    CASE(add, false, 1e-7),
    CASE(dropout, false, 3e-7),
    CASE(affine, true, 5e-7),
    CASE(gate, false, 1e-6),
    CASE(gate_backward, false, 1e-6),
    CASE(sums, true, 1e-7),
    CASE(moments, true, 1e-7),
    CASE(norm_sums, true, 1e-7),
    CASE(norm_backward, true, 2e-6),
    CASE(max_pool, true, 0),
    CASE(sum_pool, true, 1e-7),
    CASE(bilinear, false, 5e-7),
    CASE(softmax, false, 5e-7),
    CASE(softmax_backward, false, 3e-5),
    CASE(channel_norm, false, 2e-7),
    CASE(channel_norm_backward, false, 2e-6),
};

const int32_t loop_case_count = RA_COUNT(loop_cases);
