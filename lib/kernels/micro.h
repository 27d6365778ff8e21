/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table of micro-kernels: products with weights that were packed once, and Winograd's transforms. One table for
 * each CPU level, compiled from the same source; products and sums are fused where the CPU does that, so results differ
 * between levels in the last bits. Single-threaded, on plain pointers. Uses: nothing.
 */
#ifndef RA_MICRO_H
#define RA_MICRO_H

#include <stdbool.h>
#include <stdint.h>

/* Packed weights are panels of so many columns: panel p holds the columns from RA_PANEL * p on, row by row of the
 * depth, with zeros for columns that are not there. */
#define RA_PANEL 32

/* c (rows x columns) = a (rows x depth) * panels, where a row of a may come in several segments, or with `add` c + a *
 * panels; then + bias, + addend (where not NULL), then max(0, .) if relu; then second = c * scale + shift, and max(0,
 * .) if second_relu. Rows of a, c, addend and second are a_row, c_row, addend_row and second_row floats apart. */
typedef struct ra_product {
    int64_t rows, depth; /* depth: of a segment */
    int32_t columns;
    int32_t segments;       /* 0: one, at `a` itself; */
    const int64_t *offsets; /* else where each segment begins, in floats from `a` on */
    bool add, relu;
    const float *a;
    int64_t a_row;
    int64_t a_step; /* floats to the next step of the depth; 0: one */
    const float *panels;
    int64_t panel_row;  /* from one row of a panel to the next; 0: RA_PANEL */
    int64_t panel_step; /* floats from one panel to the next */
    const float *next;  /* the panel that will be read after the last one: fetched ahead; may be NULL */
    float *c;
    int64_t c_row;
    const float *bias;
    const float *addend;
    int64_t addend_row;
    float *second; /* NULL, or c with second_row = c_row: then the first result is not written */
    int64_t second_row;
    const float *scale, *shift;
    bool second_relu;
} ra_product;

/* In place: y = 1 / (1 + exp(-y)) if sigmoid, then trunk * (plus + y) where there is a trunk; then where there is one,
 * second = y * scale + shift, and max(0, .) if second_relu; second may be y. Rows are y_row, trunk_row and second_row
 * floats apart. */
typedef struct ra_finishing {
    int64_t rows;
    int32_t columns;
    bool sigmoid, second_relu;
    float plus;
    float *y, *second;
    const float *trunk, *scale, *shift;
    int64_t y_row, trunk_row, second_row;
} ra_finishing;

/*
 * One row of a convolution in groups of `group` input and output channels, a divisor of the vector's length that
 * ra_micro.lanes names: for each pixel p, tap t and channel c, y[p * y_row + c] = bias[c] + the sum over t and i <
 * group of x[p * x_row + offsets[t] + c - c % group + i] * weight(t, i, c), then max(0, .) if relu. The weights are in
 * the order (vector of channels, t, i, channel in the vector).
 */
typedef struct ra_lanes {
    int32_t pixels, channels, group, taps;
    const float *x;
    int64_t x_row;
    const int64_t *offsets;
    const float *weights, *bias; /* bias may be NULL */
    bool relu;
    float *y;
    int64_t y_row;
} ra_lanes;

/* Winograd's minimal filtering F(2x2, 3x3) and F(4x4, 3x3) (Lavin and Gray, CVPR 2016): a tile of `tile` x `tile`
 * outputs comes from (tile + 2)^2 inputs by as many products. Channels are a multiple of RA_WINOGRAD_UNIT. */
#define RA_WINOGRAD_UNIT 16
#define RA_WINOGRAD_MOST 6 /* the largest tile + 2 */

/* v[i * v_step + channel] for the transformed inputs i, from the pixels that x points to. */
typedef void ra_winograd_input(int32_t channels, const float *const *x, float *v, int64_t v_step);
/* The outputs of a tile from m[i * m_step + channel], finished as in ra_product. y[i] NULL: outside the image; addend
 * NULL or as many pointers. */
typedef void ra_winograd_output(int32_t channels, const float *m, int64_t m_step, const float *bias,
                                const float *const *addend, bool relu, float *const *y);
/* u[i * u_step + channel] for the transformed taps i of a filter whose nine taps are g_step floats apart. */
typedef void ra_winograd_filter(int32_t channels, const float *g, int64_t g_step, float *u, int64_t u_step);
/* For the filter's gradient the outputs' gradients, `tile` x `tile` of them, are transformed as by ra_winograd_input, and
 * the nine taps, dw_step floats apart, come from the sum over `parts` of m[part * part_step + i * m_step + channel];
 * `add`: to what is there. */
typedef void ra_winograd_taps(int32_t channels, const float *m, int64_t m_step, int32_t parts, int64_t part_step,
                              bool add, float *dw, int64_t dw_step);

typedef struct ra_micro {
    const char *name;
    void (*product)(const ra_product *product);
    void (*finish)(const ra_finishing *finishing);
    int32_t lanes; /* of a vector */
    void (*lane_groups)(const ra_lanes *lanes);
    /* Of tiles of 2 x 2 and of 4 x 4. */
    struct {
        ra_winograd_input *input;
        ra_winograd_output *output;
        ra_winograd_filter *filter;
        ra_winograd_input *gradient;
        ra_winograd_taps *taps;
    } winograd[2];
} ra_micro;

extern const ra_micro ra_micro_plain;
#if defined(__x86_64__)
extern const ra_micro ra_micro_avx2, ra_micro_avx512;
#endif

#endif
