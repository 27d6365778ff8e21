/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Layers that normalise without parameters: softmax and channel norm over the channels of each pixel, map norm over the
 * map of each channel.
 */
#include <math.h>

#include "kernels/kernels.h"
#include "layers/kinds.h"

enum { EPSILON };

static bool op_shape(ra_op *op)
{
    op->out_shape = op->in_shape[0];
    return true;
}

static bool infer(resattn_layer *layer)
{
    layer->out_c = layer->in_c;
    return true;
}

typedef struct norm_job {
    const ra_op *op;
    const ra_run *run;
    int64_t pixels, c; /* map norm: pixels of one image */
    int64_t blocks;    /* map norm: of channels in an image */
    double epsilon;
} norm_job;

static void over_pixels(const ra_op *op, const ra_run *run, ra_range_fn range, double epsilon)
{
    ra_shape shape = op->out_shape;
    norm_job job = {.op = op, .run = run, .c = shape.c, .epsilon = epsilon};
    ra_parallel_ranges(run->context, range, &job, (int64_t)run->n * shape.h * shape.w, ra_range_step(shape.c));
}

/* ---- softmax ---- */

static void softmax_pixels(void *data, int64_t begin, int64_t end)
{
    const norm_job *job = data;
    ra_kernels()->softmax(end - begin, job->c, job->run->in[0] + begin * job->c, job->run->out + begin * job->c);
}

static void softmax_forward(const ra_op *op, const ra_run *run)
{
    over_pixels(op, run, softmax_pixels, 0);
}

static void softmax_gradient_pixels(void *data, int64_t begin, int64_t end)
{
    const norm_job *job = data;
    const ra_run *run = job->run;
    int64_t first = begin * job->c;
    ra_kernels()->softmax_backward(end - begin, job->c, run->out + first, run->dout + first, run->accumulate[0],
                                   run->din[0] + first);
}

static void softmax_backward(const ra_op *op, const ra_run *run)
{
    if (run->din[0] != NULL)
        over_pixels(op, run, softmax_gradient_pixels, 0);
}

static const ra_op_kind softmax_op = {.name = "softmax",
                                      .flags = RA_IN_PLACE_BACKWARD | RA_READS_OUTPUT,
                                      .shape = op_shape,
                                      .forward = softmax_forward,
                                      .backward = softmax_backward};

const ra_layer_kind ra_kind_softmax = {.name = "softmax", .infer = infer, .op = &softmax_op};

resattn_layer *resattn_softmax_new(resattn_builder *builder, const char *name)
{
    return ra_layer_new(builder, &ra_kind_softmax, name);
}

/* ---- channel norm ---- */

static const ra_attribute channel_attributes[] = {RA_REAL("epsilon", 1e-12, 0, 1)};

static void channel_pixels(void *data, int64_t begin, int64_t end)
{
    const norm_job *job = data;
    ra_kernels()->channel_norm(end - begin, job->c, job->epsilon, job->run->in[0] + begin * job->c,
                               job->run->out + begin * job->c);
}

static void channel_forward(const ra_op *op, const ra_run *run)
{
    over_pixels(op, run, channel_pixels, ra_real(op->layer, EPSILON));
}

static void channel_gradient_pixels(void *data, int64_t begin, int64_t end)
{
    const norm_job *job = data;
    const ra_run *run = job->run;
    int64_t first = begin * job->c;
    ra_kernels()->channel_norm_backward(end - begin, job->c, job->epsilon, run->in[0] + first, run->dout + first,
                                        run->accumulate[0], run->din[0] + first);
}

static void channel_backward(const ra_op *op, const ra_run *run)
{
    if (run->din[0] != NULL)
        over_pixels(op, run, channel_gradient_pixels, ra_real(op->layer, EPSILON));
}

static const ra_op_kind channel_norm_op = {.name = "channel_norm",
                                           .flags = RA_IN_PLACE_BACKWARD | RA_READS_INPUTS,
                                           .shape = op_shape,
                                           .forward = channel_forward,
                                           .backward = channel_backward};

const ra_layer_kind ra_kind_channel_norm = {.name = "channel_norm",
                                            .attributes = channel_attributes,
                                            .attribute_count = RA_COUNT(channel_attributes),
                                            .infer = infer,
                                            .op = &channel_norm_op};

resattn_layer *resattn_channel_norm_new(resattn_builder *builder, const char *name)
{
    return ra_layer_new(builder, &ra_kind_channel_norm, name);
}

/* ---- map norm: blocks of channels of an image; keeps mean and 1 / deviation of each map ---- */

#define CHANNEL_BLOCK 64

static const ra_attribute map_attributes[] = {RA_REAL("epsilon", 1e-5, 0, 1)};

static void over_blocks(const ra_op *op, const ra_run *run, ra_range_fn range)
{
    ra_shape shape = op->out_shape;
    norm_job job = {.op = op,
                    .run = run,
                    .pixels = (int64_t)shape.h * shape.w,
                    .c = shape.c,
                    .blocks = ra_div_up(shape.c, CHANNEL_BLOCK),
                    .epsilon = ra_real(op->layer, EPSILON)};
    ra_parallel_ranges(run->context, range, &job, run->n * job.blocks, ra_range_step(job.pixels * CHANNEL_BLOCK));
}

/* A block's channels, and where it begins: in an image's first pixel and among the maps. */
typedef struct map_block {
    int64_t count, pixel, map;
} map_block;

static map_block block_at(const norm_job *job, int64_t index)
{
    int64_t image = index / job->blocks, first = index % job->blocks * CHANNEL_BLOCK;
    return (map_block){.count = job->c - first < CHANNEL_BLOCK ? job->c - first : CHANNEL_BLOCK,
                       .pixel = image * job->pixels * job->c + first,
                       .map = image * job->c + first};
}

static bool map_saved(const ra_op *op, int32_t n, size_t *bytes)
{
    return ra_mul_size((size_t)op->out_shape.c * 2 * sizeof(double), (size_t)n, bytes);
}

static void map_blocks(void *data, int64_t begin, int64_t end)
{
    const norm_job *job = data;
    const ra_run *run = job->run;
    double count = (double)job->pixels;
    for (int64_t index = begin; index < end; index++) {
        map_block b = block_at(job, index);
        const float *x = run->in[0] + b.pixel;
        double sum[CHANNEL_BLOCK] = {0}, square[CHANNEL_BLOCK] = {0};
        float scale[CHANNEL_BLOCK], shift[CHANNEL_BLOCK];
        ra_kernels()->moments(job->pixels, b.count, job->c, x, x, sum, square);
        for (int64_t i = 0; i < b.count; i++) {
            double squares = square[i] - sum[i] * (sum[i] / count);
            double mean = (double)x[i] + sum[i] / count;
            double inverse = 1 / sqrt((squares < 0 ? 0 : squares) / count + job->epsilon);
            scale[i] = (float)inverse;
            shift[i] = (float)(-mean * inverse);
            if (run->training) {
                double *saved = (double *)run->saved + 2 * (b.map + i);
                saved[0] = mean;
                saved[1] = inverse;
            }
        }
        ra_kernels()->affine(job->pixels, b.count, job->c, x, scale, shift, false, run->out + b.pixel);
    }
}

static void map_forward(const ra_op *op, const ra_run *run)
{
    over_blocks(op, run, map_blocks);
}

/* As batch norm's, with weight 1 and the statistics of one map. */
static void map_gradient_blocks(void *data, int64_t begin, int64_t end)
{
    const norm_job *job = data;
    const ra_run *run = job->run;
    for (int64_t index = begin; index < end; index++) {
        map_block b = block_at(job, index);
        const float *x = run->in[0] + b.pixel, *dy = run->dout + b.pixel;
        const double *saved = (const double *)run->saved + 2 * b.map;
        double mean[CHANNEL_BLOCK], sum[CHANNEL_BLOCK] = {0}, dot[CHANNEL_BLOCK] = {0};
        float scale[CHANNEL_BLOCK], center[CHANNEL_BLOCK], slope[CHANNEL_BLOCK], offset[CHANNEL_BLOCK];
        for (int64_t i = 0; i < b.count; i++) {
            mean[i] = saved[2 * i];
            scale[i] = (float)saved[2 * i + 1];
        }
        ra_kernels()->norm_sums(job->pixels, b.count, job->c, x, dy, scale, NULL, mean, sum, dot);
        for (int64_t i = 0; i < b.count; i++) {
            double inverse = saved[2 * i + 1], factor = -inverse / (double)job->pixels;
            double rise = factor * inverse * inverse * dot[i];
            center[i] = (float)mean[i];
            slope[i] = (float)rise;
            offset[i] = (float)(factor * sum[i] + rise * ((double)center[i] - mean[i]));
        }
        ra_norm_terms terms = {.scale = scale, .mean = center, .slope = slope, .offset = offset};
        ra_kernels()->norm_backward(job->pixels, b.count, job->c, x, dy, &terms, run->accumulate[0],
                                    run->din[0] + b.pixel);
    }
}

static void map_backward(const ra_op *op, const ra_run *run)
{
    if (run->din[0] != NULL)
        over_blocks(op, run, map_gradient_blocks);
}

static const ra_op_kind instance_norm_op = {.name = "instance_norm",
                                            .flags = RA_IN_PLACE_BACKWARD | RA_READS_INPUTS,
                                            .shape = op_shape,
                                            .saved = map_saved,
                                            .forward = map_forward,
                                            .backward = map_backward};

const ra_layer_kind ra_kind_instance_norm = {.name = "instance_norm",
                                             .attributes = map_attributes,
                                             .attribute_count = RA_COUNT(map_attributes),
                                             .infer = infer,
                                             .op = &instance_norm_op};

resattn_layer *resattn_instance_norm_new(resattn_builder *builder, const char *name)
{
    return ra_layer_new(builder, &ra_kind_instance_norm, name);
}
