/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of the convolution share.
 */
#ifndef RA_CONV_INTERNAL_H
#define RA_CONV_INTERNAL_H

#include "gemm/gemm.h"
#include "kernels/conv.h"

/*
 * The left operand of a product: a row for every pixel of a grid over n images, made of `taps_h` x `taps_w` pixels of
 * an image (zeros where that is outside). Tap (ty, tx) of grid pixel (gy, gx) is the image's pixel (gy * step_h +
 * first_h + ty * delta_h, gx * step_w + first_w + tx * delta_w). Taps are numbered row by row.
 */
typedef struct ra_patches {
    const float *image;
    int32_t c, h, w;
    int32_t grid_h, grid_w;
    int32_t step_h, step_w;
    int32_t taps_h, taps_w;
    int32_t first_h, first_w;
    int32_t delta_h, delta_w; /* > 0 */
} ra_patches;

/* Copies `channels` channels from `channel` on of `taps` taps from `tap` on, for `rows` rows from `row` on, to a
 * matrix of rows x (taps * channels) whose rows are target_row floats apart. */
void ra_patches_gather(const ra_patches *patches, int64_t row, int64_t rows, int32_t tap, int32_t taps, int32_t channel,
                       int32_t channels, float *target, int64_t target_row);

/* Whether the rows are the image's pixels as they lie in memory. */
bool ra_patches_are_pixels(const ra_patches *patches);

/* The patches of a convolution's forward pass. */
ra_patches ra_conv_patches(const ra_conv *conv, const float *x);

/* The right operand: element (tap (ty, tx), channel l, column j) is data[ty * tap_h + tx * tap_w + l * row + j *
 * column]. */
typedef struct ra_weights {
    const float *data;
    int64_t tap_h, tap_w, row, column;
} ra_weights;

/* How a product is cut: into tiles of the result, one a task, and within a tile into steps over taps and channels whose
 * gathered rows stay in the L2 cache. Depends on the shapes only. */
typedef struct ra_tiling {
    int32_t rows, columns; /* of a tile */
    int64_t row_tiles;
    int32_t column_tiles;
    int32_t taps, channels; /* of a step */
    bool gathered;          /* whether rows are copied together first: */
    bool whole;             /* all of them once, as they are few and their tiles are several columns */
} ra_tiling;

#define RA_TASKS_WANTED 8

/* What is cut: a rows x columns result with `depth` channels and `taps` taps, made `copies` times. */
typedef struct ra_extent {
    int64_t rows;
    int32_t columns, depth;
    int64_t taps, copies;
    bool one_tap;  /* the weights of several taps are not one matrix */
    bool gathered; /* the rows are no rows in memory */
} ra_extent;

ra_tiling ra_tiling_choose(const ra_extent *extent);

/* Floats of scratch for gathered rows: of a worker, and shared. */
size_t ra_tiling_scratch(const ra_tiling *tiling);
size_t ra_tiling_shared(const ra_tiling *tiling, int64_t rows, int64_t depth);

/* What a tiling may have at most for extent->rows or any smaller number of rows: fewer rows may be cut into larger
 * tiles, and a run may have fewer images than the memory was made for. */
typedef struct ra_tiling_bounds {
    int64_t tile;       /* elements of a tile */
    size_t scratch;     /* ra_tiling_scratch() */
    int64_t whole_rows; /* rows that are gathered at once */
} ra_tiling_bounds;

ra_tiling_bounds ra_tiling_most(const ra_extent *extent);

/* Gathers all rows, where the tiling says so; returns `shared`, else NULL. */
const float *ra_gather_whole(resattn_context *context, const ra_patches *patches, const ra_tiling *tiling, int64_t rows,
                             float *shared);

/* c (rows x columns, row stride c_row) = beta * c + patches * weights, for rows from `row` on and channels from
 * `channel` to `channel` + depth - 1 of the patches. whole: what ra_gather_whole() gave. */
void ra_product_tile(const ra_patches *patches, int64_t row, int32_t rows, int32_t channel, int32_t depth,
                     const ra_weights *weights, int32_t columns, const ra_tiling *tiling, const float *whole,
                     float beta, float *c, int64_t c_row, float *scratch);

/* y (rows x columns, row stride y_row) += bias, where not NULL, then max(0, y) if relu. */
void ra_conv_finish(int64_t rows, int32_t columns, const float *bias, bool relu, float *y, int64_t y_row);

/* The first tap k >= 0 at which reach - k * dilation is a multiple of the stride, and the step from one such tap to the
 * next; -1 if there is none. reach: an input position and the padding before it. */
int64_t ra_first_tap(int64_t reach, int32_t stride, int32_t dilation, int64_t *step);

static inline int64_t ra_conv_taps(const ra_conv *conv)
{
    return (int64_t)conv->kernel_h * conv->kernel_w;
}
static inline int64_t ra_conv_pixels(const ra_conv *conv, int32_t n)
{
    return (int64_t)n * conv->out_h * conv->out_w;
}
/* a * b, or the largest number. Plans are made in integers: they must come out the same whatever the caller's rounding
 * mode. */
static inline int64_t ra_times(int64_t a, int64_t b)
{
    int64_t product;
    return ra_mul_i64(a, b, &product) ? product : INT64_MAX;
}
static inline int64_t ra_smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}
static inline int64_t ra_round_up(int64_t value, int64_t unit)
{
    return ra_div_up(value, unit) * unit;
}
/* The most equal parts of `whole` that are at most `most` each. */
static inline int32_t ra_equal_part(int64_t whole, int64_t most)
{
    return (int32_t)ra_div_up(whole, ra_div_up(whole, most < 1 ? 1 : most));
}

/* Elements of the filter. */
size_t ra_conv_filter_floats(const ra_conv *conv);

/* ra_conv_prepare_filter() with all workers. */
void ra_conv_prepare(resattn_context *context, const ra_conv *conv, const float *filter, float *prepared);

/* Bytes of `shared` floats and `each` floats for every worker. False if that does not fit. */
bool ra_conv_bytes(size_t shared, size_t each, int32_t workers, size_t *bytes);

/* Many groups of few channels: loops of their own (conv_direct.c). */
bool ra_conv_is_direct(const ra_conv *conv);
/* copies: of the filter, in the work memory */
bool ra_direct_work(const ra_conv *conv, int32_t n, int32_t copies, size_t *bytes);
enum { RA_DIRECT_PARTS = 8 }; /* copies for the filter's gradient */
/* With a prepared filter, and no work memory. */
void ra_direct_forward(resattn_context *context, const ra_conv *conv, int32_t n, const float *x, const float *prepared,
                       const float *bias, bool relu, bool accumulate, float *y);
void ra_direct_backward_input(resattn_context *context, const ra_conv *conv, int32_t n, const float *dy,
                              const float *filter, bool accumulate, float *dx, float *work);
void ra_direct_backward_filter(resattn_context *context, const ra_conv *conv, int32_t n, const float *x,
                               const float *dy, bool accumulate, float *dfilter, float *work);

/* An output with far fewer pixels than the input: its gradient with respect to the input (conv_narrow.c). */
bool ra_conv_is_narrow(const ra_conv *conv);
bool ra_narrow_work(const ra_conv *conv, int32_t n, int32_t workers, size_t *bytes);
void ra_narrow_backward_input(resattn_context *context, const ra_conv *conv, int32_t n, const float *dy,
                              const float *filter, bool accumulate, float *dx, void *work);

#endif
