/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every stride-th pixel, with channels of zeros around: ResNet's shortcut A (He et al., CVPR 2016).
 */
#include "kernels/kernels.h"
#include "layers/kinds.h"

enum { OUT_CHANNELS, STRIDE };

static const ra_attribute attributes[] = {
    RA_INT("out_channels", 1, 1, RA_MAX_DIM),
    RA_INT("stride", 1, 1, RA_MAX_DIM),
};

typedef struct subsample_job {
    const ra_op *op;
    const ra_run *run;
} subsample_job;

/* Rows of the output's images. */
static void forward_rows(void *data, int64_t begin, int64_t end)
{
    const subsample_job *job = data;
    ra_shape in = job->op->in_shape[0], out = job->op->out_shape;
    int64_t stride = ra_int(job->op->layer, STRIDE), before = (out.c - in.c) / 2;
    for (int64_t row = begin; row < end; row++) {
        const float *x = job->run->in[0] + (row / out.h * in.h + row % out.h * stride) * in.w * in.c;
        float *y = job->run->out + row * out.w * out.c;
        memset(y, 0, (size_t)out.w * (size_t)out.c * sizeof *y);
        for (int64_t i = 0; i < out.w; i++)
            memcpy(y + i * out.c + before, x + i * stride * in.c, (size_t)in.c * sizeof *y);
    }
}

static void forward(const ra_op *op, const ra_run *run)
{
    subsample_job job = {.op = op, .run = run};
    int64_t row = (int64_t)op->out_shape.w * op->out_shape.c;
    ra_parallel_ranges(run->context, forward_rows, &job, (int64_t)run->n * op->out_shape.h, ra_range_step(row));
}

/* Rows of the input's images. */
static void backward_rows(void *data, int64_t begin, int64_t end)
{
    const subsample_job *job = data;
    const ra_loops *loops = ra_kernels();
    ra_shape in = job->op->in_shape[0], out = job->op->out_shape;
    int64_t stride = ra_int(job->op->layer, STRIDE), before = (out.c - in.c) / 2;
    for (int64_t row = begin; row < end; row++) {
        int64_t h = row % in.h;
        float *dx = job->run->din[0] + row * in.w * in.c;
        if (!job->run->accumulate[0])
            memset(dx, 0, (size_t)in.w * (size_t)in.c * sizeof *dx);
        if (h % stride != 0)
            continue;
        const float *dy = job->run->dout + (row / in.h * out.h + h / stride) * out.w * out.c + before;
        for (int64_t i = 0; i < out.w; i++)
            loops->scale(in.c, 1, dy + i * out.c, true, dx + i * stride * in.c);
    }
}

static void backward(const ra_op *op, const ra_run *run)
{
    if (run->din[0] == NULL)
        return;
    subsample_job job = {.op = op, .run = run};
    ra_shape in = op->in_shape[0];
    ra_parallel_ranges(run->context, backward_rows, &job, (int64_t)run->n * in.h, ra_range_step((int64_t)in.w * in.c));
}

static bool op_shape(ra_op *op)
{
    int32_t stride = ra_int(op->layer, STRIDE);
    ra_shape in = op->in_shape[0];
    op->out_shape = (ra_shape){ra_int(op->layer, OUT_CHANNELS), (in.h - 1) / stride + 1, (in.w - 1) / stride + 1};
    return true;
}

static const ra_op_kind subsample_op = {
    .name = "subsample", .shape = op_shape, .forward = forward, .backward = backward};

static bool infer(resattn_layer *layer)
{
    layer->out_c = ra_int(layer, OUT_CHANNELS);
    if (layer->out_c >= layer->in_c)
        return true;
    ra_fail(RESATTN_SHAPE_MISMATCH, "out_channels is %d, expected at least the %d of the input", layer->out_c,
            layer->in_c);
    return false;
}

const ra_layer_kind ra_kind_subsample = {.name = "subsample",
                                         .attributes = attributes,
                                         .attribute_count = RA_COUNT(attributes),
                                         .infer = infer,
                                         .op = &subsample_op};

resattn_layer *resattn_subsample_new(resattn_builder *builder, const char *name, int32_t out_channels, int32_t stride)
{
    resattn_layer *layer = ra_layer_new(builder, &ra_kind_subsample, name);
    ra_layer_init_int(layer, OUT_CHANNELS, out_channels);
    ra_layer_init_int(layer, STRIDE, stride);
    return ra_layer_ready(layer);
}
