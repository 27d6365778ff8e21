/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The forward pass of convolution and its gradient with respect to the input. Both are products of gathered pixels: in
 * the gradient, the input pixels with the same position modulo the stride are hit by the same taps of the kernel, and
 * from one such *phase* to the output's pixels it is a convolution of stride 1, so that nothing is scattered and no tap
 * is computed in vain.
 */
#include "kernels/conv_internal.h"

#include <string.h>

/* Below so many channels a product over one tap is too thin: the filter is first brought into an order in which all
 * taps are one matrix. */
#define THIN 192

static bool fits_tasks(int64_t tasks)
{
    return tasks <= INT32_MAX;
}

/* ---- forward ---- */

typedef struct forward_job {
    const ra_conv *conv;
    ra_patches patches;
    ra_tiling tiling;
    int64_t rows;
    const float *prepared, *bias;
    const float *whole; /* see ra_gather_whole() */
    bool relu, accumulate;
    float *y, *work;
} forward_job;

static ra_extent forward_extent(const ra_conv *conv, int32_t n)
{
    ra_patches patches = ra_conv_patches(conv, NULL);
    return (ra_extent){.rows = ra_conv_pixels(conv, n),
                       .columns = conv->out_c / conv->groups,
                       .depth = conv->in_c / conv->groups,
                       .taps = ra_conv_taps(conv),
                       .copies = conv->groups,
                       .gathered = !ra_patches_are_pixels(&patches)};
}

static ra_tiling forward_tiling(const ra_conv *conv, int32_t n)
{
    ra_extent extent = forward_extent(conv, n);
    return ra_tiling_choose(&extent);
}

static int64_t forward_tasks(const ra_conv *conv, const ra_tiling *tiling)
{
    return tiling->row_tiles * tiling->column_tiles * conv->groups;
}

bool ra_conv_forward_work(const ra_conv *conv, int32_t n, int32_t workers, bool prepared, size_t *bytes)
{
    if (ra_conv_is_direct(conv))
        return ra_direct_work(conv, n, prepared ? 0 : 1, bytes);
    ra_extent extent = forward_extent(conv, n);
    ra_tiling tiling = ra_tiling_choose(&extent);
    ra_tiling_bounds most = ra_tiling_most(&extent);
    size_t shared = ra_line((size_t)most.whole_rows * (size_t)ra_conv_taps(conv) * (size_t)conv->in_c);
    if (!prepared)
        shared += ra_line(ra_conv_filter_floats(conv));
    return fits_tasks(forward_tasks(conv, &tiling)) && ra_conv_bytes(shared, most.scratch, workers, bytes);
}

static void forward_task(void *context, int32_t index, int32_t worker)
{
    const forward_job *job = context;
    const ra_conv *conv = job->conv;
    const ra_tiling *tiling = &job->tiling;
    int32_t out_c = conv->out_c / conv->groups, in_c = conv->in_c / conv->groups;
    int32_t column = index % tiling->column_tiles * tiling->columns, rest = index / tiling->column_tiles;
    int32_t group = rest % conv->groups;
    int64_t row = (int64_t)(rest / conv->groups) * tiling->rows;
    int32_t columns = ra_min(tiling->columns, out_c - column);
    int32_t rows = job->rows - row < tiling->rows ? (int32_t)(job->rows - row) : tiling->rows;
    int32_t channel = group * out_c + column;
    int64_t tap = (int64_t)in_c * out_c;
    ra_weights weights = {job->prepared + group * ra_conv_taps(conv) * tap + column, conv->kernel_w * tap, tap, out_c,
                          1};
    float *y = job->y + row * conv->out_c + channel;
    ra_product_tile(&job->patches, row, rows, group * in_c, in_c, &weights, columns, tiling, job->whole,
                    job->accumulate ? 1.0f : 0.0f, y, conv->out_c,
                    job->work + (size_t)worker * ra_tiling_scratch(tiling));
    ra_conv_finish(rows, columns, job->bias == NULL ? NULL : job->bias + channel, job->relu, y, conv->out_c);
}

void ra_conv_forward(resattn_context *context, const ra_conv *conv, int32_t n, const float *x, const float *filter,
                     bool prepared, const float *bias, bool relu, bool accumulate, float *y, void *work)
{
    float *scratch = work;
    if (!prepared) {
        ra_conv_prepare(context, conv, filter, scratch);
        filter = scratch;
        scratch += ra_line(ra_conv_filter_floats(conv));
    }
    if (ra_conv_is_direct(conv)) {
        ra_direct_forward(context, conv, n, x, filter, bias, relu, accumulate, y);
        return;
    }
    forward_job job = {
        .conv = conv,
        .patches = ra_conv_patches(conv, x),
        .tiling = forward_tiling(conv, n),
        .rows = ra_conv_pixels(conv, n),
        .prepared = filter,
        .bias = bias,
        .relu = relu,
        .accumulate = accumulate,
        .y = y,
        .work = scratch,
    };
    job.whole = ra_gather_whole(context, &job.patches, &job.tiling, job.rows, scratch);
    job.work += ra_tiling_shared(&job.tiling, job.rows, ra_conv_taps(conv) * conv->in_c);
    ra_parallel(context, forward_task, &job, (int32_t)forward_tasks(conv, &job.tiling));
}

/* ---- gradient with respect to the input ---- */

/* One dimension of a phase: the taps k = last, last - period, ... that reach it, as positions in dy that ascend. */
typedef struct phase {
    int32_t pixels; /* of the input that are in it */
    int32_t taps;
    int32_t last, period;
    int32_t first, delta; /* position in dy of tap `last` for the phase's pixel 0, and the distance between taps */
} phase;

/* Input pixel i meets output pixel o at tap k where o * stride = i + pad - k * dilation. */
static phase make_phase(int32_t offset, int32_t size, int32_t kernel, int32_t stride, int32_t dilation, int32_t pad)
{
    int64_t step, k = ra_first_tap((int64_t)offset + pad, stride, dilation, &step);
    phase p = {.pixels = (size - offset + stride - 1) / stride, .period = (int32_t)step};
    p.delta = (int32_t)(step * dilation / stride);
    if (k < 0 || k >= kernel)
        return p;
    p.taps = (int32_t)((kernel - 1 - k) / step) + 1;
    p.last = (int32_t)(k + (p.taps - 1) * step);
    p.first = (int32_t)(((int64_t)offset + pad - (int64_t)p.last * dilation) / stride);
    return p;
}

typedef struct input_plan {
    int32_t phases_h, phases_w;
    bool reordered; /* stride 1 and few channels: the filter as one matrix over all taps */
    ra_extent extent;
    ra_tiling tiling;
} input_plan;

typedef struct input_job {
    const ra_conv *conv;
    input_plan plan;
    int32_t n;
    const float *dy, *filter;
    bool accumulate;
    float *dx;
    const float *reordered, *whole; /* NULL where not so planned */
    float *work;
    size_t each; /* floats of work for a worker */
} input_job;

static ra_patches phase_patches(const ra_conv *conv, const float *dy, const phase *h, const phase *w)
{
    return (ra_patches){
        .image = dy,
        .c = conv->out_c,
        .h = conv->out_h,
        .w = conv->out_w,
        .grid_h = h->pixels,
        .grid_w = w->pixels,
        .step_h = 1,
        .step_w = 1,
        .taps_h = h->taps,
        .taps_w = w->taps,
        .first_h = h->first,
        .first_w = w->first,
        .delta_h = h->delta,
        .delta_w = w->delta,
    };
}

static input_plan make_input_plan(const ra_conv *conv, int32_t n)
{
    int32_t in_c = conv->in_c / conv->groups, out_c = conv->out_c / conv->groups;
    input_plan plan = {.phases_h = ra_min(conv->stride_h, conv->in_h), .phases_w = ra_min(conv->stride_w, conv->in_w)};
    bool single = conv->stride_h == 1 && conv->stride_w == 1;
    phase h = make_phase(0, conv->in_h, conv->kernel_h, conv->stride_h, conv->dilation_h, conv->pad_top);
    phase w = make_phase(0, conv->in_w, conv->kernel_w, conv->stride_w, conv->dilation_w, conv->pad_left);
    ra_patches patches = phase_patches(conv, NULL, &h, &w);
    int64_t strides = (int64_t)conv->stride_h * conv->stride_w;
    int64_t taps = ra_div_up(ra_conv_taps(conv), strides); /* of a phase on average */
    plan.reordered = single && taps > 1 && out_c < THIN;
    plan.extent = (ra_extent){.rows = (int64_t)n * h.pixels * w.pixels,
                              .columns = in_c,
                              .depth = out_c,
                              .taps = taps,
                              .copies = (int64_t)conv->groups * plan.phases_h * plan.phases_w,
                              .one_tap = !plan.reordered,
                              .gathered = !(single && ra_patches_are_pixels(&patches))};
    plan.tiling = ra_tiling_choose(&plan.extent);
    return plan;
}

static int64_t input_tasks(const ra_conv *conv, const input_plan *plan)
{
    int64_t tiles = plan->tiling.row_tiles * plan->tiling.column_tiles * conv->groups, tasks;
    return ra_mul_i64(tiles, (int64_t)plan->phases_h * plan->phases_w, &tasks) ? tasks : INT64_MAX;
}

/* Floats of work that the workers share: the filter in another order, and the rows where they are gathered at once. */
static size_t reordered_floats(const ra_conv *conv, const input_plan *plan)
{
    return plan->reordered ? ra_line(ra_conv_filter_floats(conv)) : 0;
}

static size_t whole_floats(const ra_conv *conv, int32_t n, const input_plan *plan)
{
    return ra_tiling_shared(&plan->tiling, (int64_t)n * conv->in_h * conv->in_w, ra_conv_taps(conv) * conv->out_c);
}

static bool is_scattered(const input_plan *plan)
{
    return plan->phases_h > 1 || plan->phases_w > 1;
}

/* Floats of a worker's scratch: gathered rows, and the tile where it is scattered to dx afterwards. */
static size_t input_scratch(const input_plan *plan)
{
    size_t tile = (size_t)plan->tiling.rows * (size_t)plan->tiling.columns;
    return ra_tiling_scratch(&plan->tiling) + (is_scattered(plan) ? ra_line(tile) : 0);
}

bool ra_conv_backward_input_work(const ra_conv *conv, int32_t n, int32_t workers, size_t *bytes)
{
    if (ra_conv_is_direct(conv))
        return ra_direct_work(conv, n, 1, bytes);
    if (ra_conv_is_narrow(conv))
        return ra_narrow_work(conv, n, workers, bytes);
    input_plan plan = make_input_plan(conv, n);
    ra_tiling_bounds most = ra_tiling_most(&plan.extent);
    size_t whole = ra_line((size_t)most.whole_rows * (size_t)ra_conv_taps(conv) * (size_t)conv->out_c);
    size_t tile = is_scattered(&plan) ? ra_line((size_t)most.tile) : 0;
    return fits_tasks(input_tasks(conv, &plan)) &&
           ra_conv_bytes(reordered_floats(conv, &plan) + whole, most.scratch + tile, workers, bytes);
}

/* Filter (out, tap, in) as (group, tap from last to first, out within the group, in): one task a tap. */
static void reorder_task(void *context, int32_t index, int32_t worker)
{
    const input_job *job = context;
    const ra_conv *conv = job->conv;
    int64_t taps = ra_conv_taps(conv), in_c = conv->in_c / conv->groups, out_c = conv->out_c / conv->groups;
    (void)worker;
    for (int64_t o = 0; o < conv->out_c; o++) {
        const float *source = job->filter + (o * taps + index) * in_c;
        float *target = job->work + ((o / out_c * taps + taps - 1 - index) * out_c + o % out_c) * in_c;
        memcpy(target, source, (size_t)in_c * sizeof(float));
    }
}

/* The weights for a phase, columns from `column` of the group's input channels on. */
static ra_weights input_weights(const input_job *job, const phase *h, const phase *w, int32_t group, int32_t column)
{
    const ra_conv *conv = job->conv;
    int64_t in_c = conv->in_c / conv->groups, out_c = conv->out_c / conv->groups, taps = ra_conv_taps(conv);
    if (job->reordered != NULL)
        return (ra_weights){job->reordered + group * taps * out_c * in_c + column, conv->kernel_w * out_c * in_c,
                            out_c * in_c, in_c, 1};
    int64_t tap = (int64_t)h->last * conv->kernel_w + w->last;
    return (ra_weights){job->filter + (group * out_c * taps + tap) * in_c + column,
                        -(int64_t)h->period * conv->kernel_w * in_c, -(int64_t)w->period * in_c, taps * in_c, 1};
}

/* Adds or copies a tile's rows to the pixels of dx that they belong to; tile NULL: zeros. */
static void scatter(const input_job *job, const phase *h, const phase *w, int32_t py, int32_t px, int64_t row,
                    int32_t rows, int32_t channel, int32_t columns, const float *tile)
{
    const ra_conv *conv = job->conv;
    for (int64_t i = row; i < row + rows; i++) {
        int64_t qx = i % w->pixels, qy = i / w->pixels % h->pixels, image = i / w->pixels / h->pixels;
        int64_t y = py + qy * conv->stride_h, x = px + qx * conv->stride_w;
        float *target = job->dx + ((image * conv->in_h + y) * conv->in_w + x) * conv->in_c + channel;
        if (tile == NULL) {
            if (!job->accumulate)
                memset(target, 0, (size_t)columns * sizeof(float));
            continue;
        }
        if (job->accumulate)
            for (int32_t j = 0; j < columns; j++)
                target[j] += tile[j];
        else
            memcpy(target, tile, (size_t)columns * sizeof(float));
        tile += columns;
    }
}

static void input_task(void *context, int32_t index, int32_t worker)
{
    const input_job *job = context;
    const ra_conv *conv = job->conv;
    const ra_tiling *tiling = &job->plan.tiling;
    int32_t in_c = conv->in_c / conv->groups, out_c = conv->out_c / conv->groups;
    int32_t column = index % tiling->column_tiles * tiling->columns, rest = index / tiling->column_tiles;
    int32_t group = rest % conv->groups, tile = rest / conv->groups;
    int64_t row = tile % tiling->row_tiles * tiling->rows;
    int32_t number = (int32_t)(tile / tiling->row_tiles);
    int32_t px = number % job->plan.phases_w, py = number / job->plan.phases_w;
    phase h = make_phase(py, conv->in_h, conv->kernel_h, conv->stride_h, conv->dilation_h, conv->pad_top);
    phase w = make_phase(px, conv->in_w, conv->kernel_w, conv->stride_w, conv->dilation_w, conv->pad_left);
    int64_t left = (int64_t)job->n * h.pixels * w.pixels - row; /* later phases may have fewer pixels than the first */
    int32_t rows = left < tiling->rows ? (int32_t)left : tiling->rows, columns = ra_min(tiling->columns, in_c - column);
    int32_t channel = group * in_c + column;
    if (rows <= 0)
        return;
    if (h.taps == 0 || w.taps == 0) {
        scatter(job, &h, &w, py, px, row, rows, channel, columns, NULL);
        return;
    }
    float *scratch = job->work + (size_t)worker * job->each;
    ra_patches patches = phase_patches(conv, job->dy, &h, &w);
    ra_weights weights = input_weights(job, &h, &w, group, column);
    if (!is_scattered(&job->plan)) {
        ra_product_tile(&patches, row, rows, group * out_c, out_c, &weights, columns, tiling, job->whole,
                        job->accumulate ? 1.0f : 0.0f, job->dx + row * conv->in_c + channel, conv->in_c, scratch);
        return;
    }
    float *result = scratch + ra_tiling_scratch(tiling);
    ra_product_tile(&patches, row, rows, group * out_c, out_c, &weights, columns, tiling, NULL, 0.0f, result, columns,
                    scratch);
    scatter(job, &h, &w, py, px, row, rows, channel, columns, result);
}

void ra_conv_backward_input(resattn_context *context, const ra_conv *conv, int32_t n, const float *dy,
                            const float *filter, bool accumulate, float *dx, void *work)
{
    if (ra_conv_is_direct(conv)) {
        ra_direct_backward_input(context, conv, n, dy, filter, accumulate, dx, work);
        return;
    }
    if (ra_conv_is_narrow(conv)) {
        ra_narrow_backward_input(context, conv, n, dy, filter, accumulate, dx, work);
        return;
    }
    input_job job = {
        .conv = conv,
        .plan = make_input_plan(conv, n),
        .n = n,
        .dy = dy,
        .filter = filter,
        .accumulate = accumulate,
        .dx = dx,
        .work = work,
    };
    job.each = input_scratch(&job.plan);
    if (job.plan.reordered) {
        ra_parallel(context, reorder_task, &job, (int32_t)ra_conv_taps(conv));
        job.reordered = job.work;
        job.work += reordered_floats(conv, &job.plan);
    }
    if (job.plan.tiling.whole) {
        phase h = make_phase(0, conv->in_h, conv->kernel_h, conv->stride_h, conv->dilation_h, conv->pad_top);
        phase w = make_phase(0, conv->in_w, conv->kernel_w, conv->stride_w, conv->dilation_w, conv->pad_left);
        ra_patches patches = phase_patches(conv, dy, &h, &w);
        int64_t rows = (int64_t)n * conv->in_h * conv->in_w;
        job.whole = ra_gather_whole(context, &patches, &job.plan.tiling, rows, job.work);
        job.work += whole_floats(conv, n, &job.plan);
    }
    ra_parallel(context, input_task, &job, (int32_t)input_tasks(conv, &job.plan));
}
