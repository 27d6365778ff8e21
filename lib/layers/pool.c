/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pooling: the largest or the mean value of windows, the mean of whole maps. Forward cuts the output into rows;
 * backward, where windows that overlap add to the same pixel, into blocks of channels of an image.
 */
#include "kernels/kernels.h"
#include "layers/kinds.h"

enum { KERNEL_H, KERNEL_W, STRIDE_H, STRIDE_W, PAD_TOP, PAD_LEFT, PAD_BOTTOM, PAD_RIGHT, CEIL_MODE, COUNT_PADDING };

/* Maximum pool has all but the last one. */
static const ra_attribute attributes[] = {
    RA_INT("kernel_h", 1, 1, RA_MAX_DIM),   RA_INT("kernel_w", 1, 1, RA_MAX_DIM),  RA_INT("stride_h", 1, 1, RA_MAX_DIM),
    RA_INT("stride_w", 1, 1, RA_MAX_DIM),   RA_INT("pad_top", 0, 0, RA_MAX_DIM),   RA_INT("pad_left", 0, 0, RA_MAX_DIM),
    RA_INT("pad_bottom", 0, 0, RA_MAX_DIM), RA_INT("pad_right", 0, 0, RA_MAX_DIM), RA_INT("ceil_mode", 0, 0, 1),
    RA_INT("count_padding", 1, 0, 1),
};

#define CHANNEL_BLOCK 64

typedef struct pool_job {
    const ra_op *op;
    const ra_run *run;
    int64_t blocks; /* of channels in an image */
    bool count_padding;
} pool_job;

static void over_rows(const ra_op *op, const ra_run *run, ra_range_fn range, bool count_padding)
{
    pool_job job = {.op = op, .run = run, .count_padding = count_padding};
    int64_t row = (int64_t)op->out_shape.w * op->out_shape.c;
    ra_parallel_ranges(run->context, range, &job, (int64_t)run->n * op->out_shape.h, ra_range_step(row));
}

static void over_blocks(const ra_op *op, const ra_run *run, ra_range_fn range, bool count_padding)
{
    pool_job job = {
        .op = op, .run = run, .blocks = ra_div_up(op->out_shape.c, CHANNEL_BLOCK), .count_padding = count_padding};
    int64_t block = (int64_t)op->in_shape[0].h * op->in_shape[0].w * CHANNEL_BLOCK;
    ra_parallel_ranges(run->context, range, &job, run->n * job.blocks, ra_range_step(block));
}

/* A block of channels in the gradients of one image. */
typedef struct block {
    int64_t first, count;
    int64_t image;
    const float *dy; /* the first pixel's */
    float *dx;
} block;

/* Also makes the input's gradient zero where it is not added to. */
static block start_block(const pool_job *job, int64_t index)
{
    ra_shape in = job->op->in_shape[0], out = job->op->out_shape;
    int64_t pixels = (int64_t)in.h * in.w;
    block b = {.first = index % job->blocks * CHANNEL_BLOCK, .image = index / job->blocks};
    b.count = in.c - b.first < CHANNEL_BLOCK ? in.c - b.first : CHANNEL_BLOCK;
    b.dy = job->run->dout + b.image * out.h * out.w * out.c + b.first;
    b.dx = job->run->din[0] + b.image * pixels * in.c + b.first;
    if (!job->run->accumulate[0])
        for (int64_t p = 0; p < pixels; p++)
            memset(b.dx + p * in.c, 0, (size_t)b.count * sizeof *b.dx);
    return b;
}

/* ---- windows ---- */

/* A window along one dimension: from `origin`, which may lie in the padding; begin .. end - 1 are inside the input. */
typedef struct extent {
    int64_t origin, begin, end;
} extent;

static extent extent_of(int64_t i, int64_t kernel, int64_t stride, int64_t before, int64_t in)
{
    extent e = {.origin = i * stride - before};
    e.begin = e.origin > 0 ? e.origin : 0;
    e.end = e.origin + kernel < in ? e.origin + kernel : in;
    return e;
}

static extent vertical(const ra_op *op, int64_t i)
{
    const resattn_layer *layer = op->layer;
    return extent_of(i, ra_int(layer, KERNEL_H), ra_int(layer, STRIDE_H), ra_int(layer, PAD_TOP), op->in_shape[0].h);
}

static extent horizontal(const ra_op *op, int64_t i)
{
    const resattn_layer *layer = op->layer;
    return extent_of(i, ra_int(layer, KERNEL_W), ra_int(layer, STRIDE_W), ra_int(layer, PAD_LEFT), op->in_shape[0].w);
}

static ra_window window_of(const ra_op *op, const float *image, extent v, extent h)
{
    ra_shape in = op->in_shape[0];
    int32_t kernel_w = ra_int(op->layer, KERNEL_W);
    return (ra_window){.x = image + (v.begin * in.w + h.begin) * in.c,
                       .row_stride = (int64_t)in.w * in.c,
                       .col_stride = in.c,
                       .rows = (int32_t)(v.end - v.begin),
                       .cols = (int32_t)(h.end - h.begin),
                       .first_tap = (int32_t)((v.begin - v.origin) * kernel_w + h.begin - h.origin),
                       .kernel_w = kernel_w};
}

/* As in Caffe and PyTorch: rounding up, the first window may reach beyond the padding too, and none begins there. */
static bool pooled_size(const resattn_layer *layer, const char *what, int32_t in, int32_t dimension, int32_t *out)
{
    int64_t kernel = ra_int(layer, KERNEL_H + dimension), stride = ra_int(layer, STRIDE_H + dimension);
    int64_t before = ra_int(layer, PAD_TOP + dimension), after = ra_int(layer, PAD_BOTTOM + dimension);
    int64_t beyond = ra_int(layer, CEIL_MODE) ? stride - 1 : 0;
    int64_t room = in + before + after + beyond - kernel;
    if (room < 0) {
        ra_fail(RESATTN_SHAPE_MISMATCH, "the %s is %d, with padding %lld, expected at least %lld for the kernel's %lld",
                what, in, (long long)(in + before + after), (long long)(kernel - beyond), (long long)kernel);
        return false;
    }
    int64_t size = room / stride + 1;
    if (ra_int(layer, CEIL_MODE) && (size - 1) * stride >= in + before)
        size--;
    *out = (int32_t)size;
    return true;
}

static bool op_shape(ra_op *op)
{
    ra_shape in = op->in_shape[0];
    op->out_shape.c = in.c;
    return pooled_size(op->layer, "height", in.h, 0, &op->out_shape.h) &&
           pooled_size(op->layer, "width", in.w, 1, &op->out_shape.w);
}

static bool infer(resattn_layer *layer)
{
    layer->out_c = layer->in_c;
    for (int32_t i = PAD_TOP; i <= PAD_RIGHT; i++) {
        int32_t kernel = KERNEL_H + (i - PAD_TOP) % 2;
        if (ra_int(layer, i) >= ra_int(layer, kernel)) {
            ra_fail(RESATTN_INVALID_ARGUMENT, "%s is %d, expected less than %s, which is %d", attributes[i].name,
                    ra_int(layer, i), attributes[kernel].name, ra_int(layer, kernel));
            return false;
        }
    }
    return true;
}

static resattn_layer *pool_new(resattn_builder *builder, const ra_layer_kind *kind, const char *name, int32_t kernel,
                               int32_t stride, int32_t padding)
{
    resattn_layer *layer = ra_layer_new(builder, kind, name);
    for (int32_t i = KERNEL_H; i <= KERNEL_W; i++)
        ra_layer_init_int(layer, i, kernel);
    for (int32_t i = STRIDE_H; i <= STRIDE_W; i++)
        ra_layer_init_int(layer, i, stride);
    for (int32_t i = PAD_TOP; i <= PAD_RIGHT; i++)
        ra_layer_init_int(layer, i, padding);
    return ra_layer_ready(layer);
}

/* ---- maximum: keeps the number of the winner in its window, for each output element ---- */

#define MAX_TAPS 65535

static void max_rows(void *data, int64_t begin, int64_t end)
{
    const pool_job *job = data;
    const ra_loops *loops = ra_kernels();
    const ra_op *op = job->op;
    ra_shape in = op->in_shape[0], out = op->out_shape;
    uint16_t *taps = job->run->training ? job->run->saved : NULL;
    for (int64_t row = begin; row < end; row++) {
        const float *image = job->run->in[0] + row / out.h * in.h * in.w * in.c;
        extent v = vertical(op, row % out.h);
        for (int64_t i = 0; i < out.w; i++) {
            int64_t first = (row * out.w + i) * out.c;
            ra_window window = window_of(op, image, v, horizontal(op, i));
            loops->max_pool(&window, out.c, job->run->out + first, taps != NULL ? taps + first : NULL);
        }
    }
}

static void max_forward(const ra_op *op, const ra_run *run)
{
    over_rows(op, run, max_rows, false);
}

static bool max_saved(const ra_op *op, int32_t n, size_t *bytes)
{
    size_t pixels = (size_t)op->out_shape.h * (size_t)op->out_shape.w;
    return ra_mul_size(pixels, (size_t)op->out_shape.c * sizeof(uint16_t), bytes) &&
           ra_mul_size(*bytes, (size_t)n, bytes);
}

/* Where each element of a window lies, relative to its origin. */
static bool max_work(const ra_op *op, int32_t n, int32_t workers, bool training, size_t *bytes)
{
    (void)n;
    (void)workers;
    size_t taps = (size_t)ra_int(op->layer, KERNEL_H) * (size_t)ra_int(op->layer, KERNEL_W);
    *bytes = training ? taps * sizeof(int64_t) : 0;
    return true;
}

static void max_gradient_blocks(void *data, int64_t begin, int64_t end)
{
    const pool_job *job = data;
    const ra_op *op = job->op;
    ra_shape in = op->in_shape[0], out = op->out_shape;
    const int64_t *offset = job->run->work;
    for (int64_t index = begin; index < end; index++) {
        block b = start_block(job, index);
        const uint16_t *tap = (const uint16_t *)job->run->saved + b.image * out.h * out.w * out.c + b.first;
        for (int64_t p = 0; p < (int64_t)out.h * out.w; p++, b.dy += out.c, tap += out.c) {
            int64_t origin = (vertical(op, p / out.w).origin * in.w + horizontal(op, p % out.w).origin) * in.c;
            for (int64_t i = 0; i < b.count; i++)
                b.dx[origin + offset[tap[i]] + i] += b.dy[i];
        }
    }
}

static void max_backward(const ra_op *op, const ra_run *run)
{
    if (run->din[0] == NULL)
        return;
    int64_t kernel_h = ra_int(op->layer, KERNEL_H), kernel_w = ra_int(op->layer, KERNEL_W);
    int64_t *offset = run->work;
    for (int64_t tap = 0; tap < kernel_h * kernel_w; tap++)
        offset[tap] = (tap / kernel_w * op->in_shape[0].w + tap % kernel_w) * op->in_shape[0].c;
    over_blocks(op, run, max_gradient_blocks, false);
}

static const ra_op_kind max_pool_op = {.name = "max_pool",
                                       .shape = op_shape,
                                       .saved = max_saved,
                                       .work = max_work,
                                       .forward = max_forward,
                                       .backward = max_backward};

static bool infer_max(resattn_layer *layer)
{
    int64_t h = ra_int(layer, KERNEL_H), w = ra_int(layer, KERNEL_W);
    if (h * w <= MAX_TAPS)
        return infer(layer);
    ra_fail(RESATTN_TOO_LARGE, "a window of %lldx%lld has %lld elements, expected at most %d", (long long)h,
            (long long)w, (long long)(h * w), MAX_TAPS);
    return false;
}

const ra_layer_kind ra_kind_max_pool = {.name = "max_pool",
                                        .attributes = attributes,
                                        .attribute_count = COUNT_PADDING,
                                        .infer = infer_max,
                                        .op = &max_pool_op};

resattn_layer *resattn_max_pool_new(resattn_builder *builder, const char *name, int32_t kernel, int32_t stride,
                                    int32_t padding)
{
    return pool_new(builder, &ra_kind_max_pool, name, kernel, stride, padding);
}

/* ---- average ---- */

/* 1 / the number of elements that a window counts: of what a last one has beyond the padding, none, as in PyTorch. */
static float average_factor(const pool_job *job, extent v, extent h)
{
    const ra_op *op = job->op;
    int64_t rows = v.end - v.begin, cols = h.end - h.begin;
    if (job->count_padding) {
        int64_t bottom = (int64_t)op->in_shape[0].h + ra_int(op->layer, PAD_BOTTOM);
        int64_t right = (int64_t)op->in_shape[0].w + ra_int(op->layer, PAD_RIGHT);
        int64_t kernel_h = ra_int(op->layer, KERNEL_H), kernel_w = ra_int(op->layer, KERNEL_W);
        rows = v.origin + kernel_h < bottom ? kernel_h : bottom - v.origin;
        cols = h.origin + kernel_w < right ? kernel_w : right - h.origin;
    }
    return (float)(1 / ((double)rows * (double)cols));
}

static void average_rows(void *data, int64_t begin, int64_t end)
{
    const pool_job *job = data;
    const ra_loops *loops = ra_kernels();
    const ra_op *op = job->op;
    ra_shape in = op->in_shape[0], out = op->out_shape;
    for (int64_t row = begin; row < end; row++) {
        const float *image = job->run->in[0] + row / out.h * in.h * in.w * in.c;
        extent v = vertical(op, row % out.h);
        for (int64_t i = 0; i < out.w; i++) {
            extent h = horizontal(op, i);
            ra_window window = window_of(op, image, v, h);
            loops->sum_pool(&window, out.c, average_factor(job, v, h), job->run->out + (row * out.w + i) * out.c);
        }
    }
}

static void average_forward(const ra_op *op, const ra_run *run)
{
    over_rows(op, run, average_rows, ra_int(op->layer, COUNT_PADDING) != 0);
}

static void average_gradient_blocks(void *data, int64_t begin, int64_t end)
{
    const pool_job *job = data;
    const ra_loops *loops = ra_kernels();
    const ra_op *op = job->op;
    ra_shape in = op->in_shape[0], out = op->out_shape;
    for (int64_t index = begin; index < end; index++) {
        block b = start_block(job, index);
        for (int64_t p = 0; p < (int64_t)out.h * out.w; p++, b.dy += out.c) {
            extent v = vertical(op, p / out.w), h = horizontal(op, p % out.w);
            float factor = average_factor(job, v, h);
            for (int64_t y = v.begin; y < v.end; y++)
                for (int64_t x = h.begin; x < h.end; x++)
                    loops->scale(b.count, factor, b.dy, true, b.dx + (y * in.w + x) * in.c);
        }
    }
}

static void average_backward(const ra_op *op, const ra_run *run)
{
    if (run->din[0] != NULL)
        over_blocks(op, run, average_gradient_blocks, ra_int(op->layer, COUNT_PADDING) != 0);
}

static const ra_op_kind average_pool_op = {
    .name = "average_pool", .shape = op_shape, .forward = average_forward, .backward = average_backward};

const ra_layer_kind ra_kind_average_pool = {.name = "average_pool",
                                            .attributes = attributes,
                                            .attribute_count = RA_COUNT(attributes),
                                            .infer = infer,
                                            .op = &average_pool_op};

resattn_layer *resattn_average_pool_new(resattn_builder *builder, const char *name, int32_t kernel, int32_t stride,
                                        int32_t padding)
{
    return pool_new(builder, &ra_kind_average_pool, name, kernel, stride, padding);
}

/* ---- global average ---- */

static void global_blocks(void *data, int64_t begin, int64_t end)
{
    const pool_job *job = data;
    ra_shape in = job->op->in_shape[0];
    int64_t pixels = (int64_t)in.h * in.w;
    for (int64_t index = begin; index < end; index++) {
        double sum[CHANNEL_BLOCK] = {0};
        int64_t image = index / job->blocks, first = index % job->blocks * CHANNEL_BLOCK;
        int64_t count = in.c - first < CHANNEL_BLOCK ? in.c - first : CHANNEL_BLOCK;
        float *y = job->run->out + image * in.c + first;
        ra_kernels()->sums(pixels, count, in.c, job->run->in[0] + image * pixels * in.c + first, sum);
        for (int64_t i = 0; i < count; i++)
            y[i] = (float)(sum[i] / (double)pixels);
    }
}

static void global_forward(const ra_op *op, const ra_run *run)
{
    over_blocks(op, run, global_blocks, false);
}

static void global_gradient_pixels(void *data, int64_t begin, int64_t end)
{
    const pool_job *job = data;
    ra_shape in = job->op->in_shape[0];
    int64_t pixels = (int64_t)in.h * in.w;
    float factor = (float)(1 / (double)pixels);
    for (int64_t p = begin; p < end; p++)
        ra_kernels()->scale(in.c, factor, job->run->dout + p / pixels * in.c, job->run->accumulate[0],
                            job->run->din[0] + p * in.c);
}

static void global_backward(const ra_op *op, const ra_run *run)
{
    if (run->din[0] == NULL)
        return;
    pool_job job = {.op = op, .run = run};
    ra_shape in = op->in_shape[0];
    ra_parallel_ranges(run->context, global_gradient_pixels, &job, (int64_t)run->n * in.h * in.w, ra_range_step(in.c));
}

static bool global_shape(ra_op *op)
{
    op->out_shape = (ra_shape){op->in_shape[0].c, 1, 1};
    return true;
}

static const ra_op_kind global_average_pool_op = {
    .name = "global_average_pool", .shape = global_shape, .forward = global_forward, .backward = global_backward};

static bool infer_global(resattn_layer *layer)
{
    layer->out_c = layer->in_c;
    return true;
}

const ra_layer_kind ra_kind_global_average_pool = {
    .name = "global_average_pool", .infer = infer_global, .op = &global_average_pool_op};

resattn_layer *resattn_global_average_pool_new(resattn_builder *builder, const char *name)
{
    return ra_layer_new(builder, &ra_kind_global_average_pool, name);
}
