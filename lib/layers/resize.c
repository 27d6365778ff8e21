/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bilinear interpolation.
 */
#include <math.h>

#include "kernels/kernels.h"
#include "layers/kinds.h"

enum { HEIGHT, WIDTH, FACTOR, ALIGN_CORNERS };

static const ra_attribute attributes[] = {
    RA_INT("height", 0, 0, RA_MAX_DIM),
    RA_INT("width", 0, 0, RA_MAX_DIM),
    RA_REAL("factor", 0, 0, RA_MAX_DIM),
    RA_INT("align_corners", 1, 0, 1),
};

/* Channels that one task of the backward pass treats. */
#define CHANNEL_BLOCK 64

/* An output position between two of the input along one dimension. */
typedef struct place {
    int64_t low, high;
    float fraction;
} place;

/* Exact in integers: source = i * (in - 1) / (out - 1), or (i + 0.5) * in / out - 0.5. */
static place place_of(int64_t i, int64_t in, int64_t out, bool align_corners)
{
    int64_t numerator = align_corners ? i * (in - 1) : (2 * i + 1) * in - out;
    int64_t denominator = align_corners ? (out == 1 ? 1 : out - 1) : 2 * out;
    if (numerator < 0)
        numerator = 0;
    place p = {.low = numerator / denominator};
    p.high = p.low + 1 < in ? p.low + 1 : in - 1;
    p.fraction = (float)((double)(numerator % denominator) / (double)denominator);
    return p;
}

typedef struct resize_job {
    const ra_op *op;
    const ra_run *run;
    bool align_corners;
    int64_t blocks; /* of channels */
} resize_job;

/* ---- forward: rows of the output's images ---- */

static void forward_rows(void *data, int64_t begin, int64_t end)
{
    const resize_job *job = data;
    const ra_loops *loops = ra_kernels();
    ra_shape in = job->op->in_shape[0], out = job->op->out_shape;
    int64_t c = in.c, in_row = in.w * c;
    for (int64_t row = begin; row < end; row++) {
        place v = place_of(row % out.h, in.h, out.h, job->align_corners);
        const float *image = job->run->in[0] + row / out.h * in.h * in_row;
        const float *low = image + v.low * in_row, *high = image + v.high * in_row;
        for (int64_t i = 0; i < out.w; i++) {
            place h = place_of(i, in.w, out.w, job->align_corners);
            const float *corners[4] = {low + h.low * c, low + h.high * c, high + h.low * c, high + h.high * c};
            loops->bilinear(c, corners, h.fraction, v.fraction, job->run->out + (row * out.w + i) * c);
        }
    }
}

static void forward(const ra_op *op, const ra_run *run)
{
    resize_job job = {.op = op, .run = run, .align_corners = ra_int(op->layer, ALIGN_CORNERS) != 0};
    int64_t row = (int64_t)op->out_shape.w * op->out_shape.c;
    ra_parallel_ranges(run->context, forward_rows, &job, (int64_t)run->n * op->out_shape.h, ra_range_step(row));
}

/* ---- backward: channel blocks of the images, as several outputs add to one input ---- */

static void backward_block(const resize_job *job, int64_t image, int64_t first, int64_t count)
{
    const ra_loops *loops = ra_kernels();
    ra_shape in = job->op->in_shape[0], out = job->op->out_shape;
    int64_t c = in.c, in_row = in.w * c;
    const float *dy = job->run->dout + image * out.h * out.w * c + first;
    float *dx = job->run->din[0] + image * in.h * in_row + first;
    if (!job->run->accumulate[0])
        for (int64_t i = 0; i < (int64_t)in.h * in.w; i++)
            memset(dx + i * c, 0, (size_t)count * sizeof *dx);
    for (int64_t row = 0; row < out.h; row++) {
        place v = place_of(row, in.h, out.h, job->align_corners);
        float *low = dx + v.low * in_row, *high = dx + v.high * in_row;
        for (int64_t i = 0; i < out.w; i++, dy += c) {
            place h = place_of(i, in.w, out.w, job->align_corners);
            loops->scale(count, (1 - h.fraction) * (1 - v.fraction), dy, true, low + h.low * c);
            loops->scale(count, h.fraction * (1 - v.fraction), dy, true, low + h.high * c);
            loops->scale(count, (1 - h.fraction) * v.fraction, dy, true, high + h.low * c);
            loops->scale(count, h.fraction * v.fraction, dy, true, high + h.high * c);
        }
    }
}

static void backward_range(void *data, int64_t begin, int64_t end)
{
    const resize_job *job = data;
    int64_t c = job->op->out_shape.c;
    for (int64_t i = begin; i < end; i++) {
        int64_t first = i % job->blocks * CHANNEL_BLOCK, rest = c - first;
        backward_block(job, i / job->blocks, first, rest < CHANNEL_BLOCK ? rest : CHANNEL_BLOCK);
    }
}

static void backward(const ra_op *op, const ra_run *run)
{
    if (run->din[0] == NULL)
        return;
    resize_job job = {.op = op,
                      .run = run,
                      .align_corners = ra_int(op->layer, ALIGN_CORNERS) != 0,
                      .blocks = ra_div_up(op->out_shape.c, CHANNEL_BLOCK)};
    int64_t block = (int64_t)op->out_shape.h * op->out_shape.w * CHANNEL_BLOCK;
    ra_parallel_ranges(run->context, backward_range, &job, run->n * job.blocks, ra_range_step(block));
}

/* ---- the layer ---- */

static bool size_of(const ra_op *op, int32_t fixed, int32_t target, int32_t in, const char *what, int32_t *size)
{
    double factor = ra_real(op->layer, FACTOR), scaled = floor(in * factor);
    if (fixed > 0 || target > 0) {
        *size = fixed > 0 ? fixed : target;
        return true;
    }
    if (scaled >= 1 && scaled <= RA_MAX_DIM) {
        *size = (int32_t)scaled;
        return true;
    }
    if (factor > 0)
        ra_fail(RESATTN_SHAPE_MISMATCH, "factor is %g, which makes a %s of %d to %g, expected 1 to %d", factor, what,
                in, scaled, RA_MAX_DIM);
    else
        ra_fail(RESATTN_INVALID_ARGUMENT,
                "the resize has no %s: expected an attribute %s or factor, or a down_up around it", what, what);
    return false;
}

static bool op_shape(ra_op *op)
{
    ra_shape in = op->in_shape[0];
    op->out_shape.c = in.c;
    return size_of(op, ra_int(op->layer, HEIGHT), op->target.h, in.h, "height", &op->out_shape.h) &&
           size_of(op, ra_int(op->layer, WIDTH), op->target.w, in.w, "width", &op->out_shape.w);
}

static const ra_op_kind resize_op = {
    .name = "bilinear_resize", .shape = op_shape, .forward = forward, .backward = backward};

static bool infer(resattn_layer *layer)
{
    layer->out_c = layer->in_c;
    return true;
}

const ra_layer_kind ra_kind_bilinear_resize = {.name = "bilinear_resize",
                                               .attributes = attributes,
                                               .attribute_count = RA_COUNT(attributes),
                                               .infer = infer,
                                               .op = &resize_op};

resattn_layer *resattn_bilinear_resize_new(resattn_builder *builder, const char *name, int32_t height, int32_t width)
{
    resattn_layer *layer = ra_layer_new(builder, &ra_kind_bilinear_resize, name);
    ra_layer_init_int(layer, HEIGHT, height);
    ra_layer_init_int(layer, WIDTH, width);
    return ra_layer_ready(layer);
}
