/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Batch normalisation (Ioffe and Szegedy, ICML 2015). Every pass over the pixels is limited by memory: training reads
 * the input twice and writes once forward, and reads input and gradient twice and writes once backward.
 */
#include <math.h>

#include "kernels/kernels.h"
#include "layers/kinds.h"

enum { EPSILON, MOMENTUM, FROZEN };
enum { WEIGHT, BIAS, MEAN, VARIANCE };

static const ra_attribute attributes[] = {
    RA_REAL("epsilon", 1e-5, 0, 1),
    {"momentum", RESATTN_ATTRIBUTE_REAL, 0.1, 0, 1, RA_ATTRIBUTE_MUTABLE},
    {"frozen", RESATTN_ATTRIBUTE_INT, 0, 0, 1, RA_ATTRIBUTE_MUTABLE},
};

/* ---- sums over chunks of pixels ---- */

/* Sums are made in so many parts at most, each of enough pixels that writing its result is nothing beside reading them.
 */
#define MAX_CHUNKS     64
#define CHUNK_PIXELS   32
#define CHUNK_ELEMENTS 16384
/* Channels whose parts one task adds up. */
#define CHANNEL_STEP 256

typedef struct norm_job {
    const ra_op *op;
    const ra_run *run;
    int64_t pixels, c;
    int64_t chunk_pixels, chunks;
    const double *mean, *inverse; /* of the standard deviation; these three are what is saved */
    bool frozen;
    double *parts; /* of each chunk, c sums and c sums of squares or products */
    float *scale, *shift, *center, *slope, *offset;
} norm_job;

static int64_t pixels_of(const ra_op *op, int32_t n)
{
    return (int64_t)n * op->out_shape.h * op->out_shape.w;
}

static int64_t smallest_chunk(int64_t c)
{
    int64_t pixels = ra_div_up(CHUNK_ELEMENTS, c);
    return pixels > CHUNK_PIXELS ? pixels : CHUNK_PIXELS;
}

static int64_t most_chunks(int64_t pixels, int64_t c)
{
    int64_t chunks = ra_div_up(pixels, smallest_chunk(c));
    return chunks < MAX_CHUNKS ? chunks : MAX_CHUNKS;
}

static bool op_saved(const ra_op *op, int32_t n, size_t *bytes)
{
    (void)n;
    *bytes = (2 * (size_t)op->out_shape.c + 1) * sizeof(double);
    return true;
}

static bool op_work(const ra_op *op, int32_t n, int32_t workers, bool training, size_t *bytes)
{
    (void)workers;
    size_t c = (size_t)op->out_shape.c;
    size_t chunks = (size_t)most_chunks(pixels_of(op, n), op->out_shape.c);
    *bytes = 0;
    return !training || ra_mul_size(c, 2 * chunks * sizeof(double) + 5 * sizeof(float), bytes);
}

static norm_job training_job(const ra_op *op, const ra_run *run)
{
    int64_t pixels = pixels_of(op, run->n), c = op->out_shape.c;
    int64_t chunk = ra_div_up(pixels, MAX_CHUNKS);
    if (chunk < smallest_chunk(c))
        chunk = smallest_chunk(c);
    const double *saved = run->saved;
    double *parts = run->work;
    void *rest = parts + 2 * c * most_chunks(pixels, c);
    float *vectors = rest;
    return (norm_job){.op = op,
                      .run = run,
                      .pixels = pixels,
                      .c = c,
                      .chunk_pixels = chunk,
                      .chunks = ra_div_up(pixels, chunk),
                      .mean = saved,
                      .inverse = saved + c,
                      .frozen = saved[2 * c] != 0,
                      .parts = parts,
                      .scale = vectors,
                      .shift = vectors + c,
                      .center = vectors + 2 * c,
                      .slope = vectors + 3 * c,
                      .offset = vectors + 4 * c};
}

/* Adds up the parts of the channels begin .. end - 1, in the order of the chunks; the result is in the first part. */
static void add_parts(const norm_job *job, int64_t begin, int64_t end)
{
    for (int64_t i = 2; i < 2 * job->chunks; i++) {
        double *total = job->parts + (i % 2) * job->c;
        const double *part = job->parts + i * job->c;
        for (int64_t j = begin; j < end; j++)
            total[j] += part[j];
    }
}

/* y = x * scale + shift, from mean and inverse deviation: the same in forward and backward. */
static void set_affine(const norm_job *job, int64_t j)
{
    const ra_param *params = job->op->layer->params;
    double scale = (double)params[WEIGHT].value[j] * job->inverse[j];
    job->scale[j] = (float)scale;
    job->shift[j] = (float)((double)params[BIAS].value[j] - job->mean[j] * scale);
}

/* ---- forward ---- */

static void moments_of_chunk(void *data, int64_t begin, int64_t end)
{
    const norm_job *job = data;
    double *part = job->parts + 2 * job->c * (begin / job->chunk_pixels);
    const float *x = job->run->in[0];
    memset(part, 0, 2 * (size_t)job->c * sizeof *part);
    /* about the first pixel: squares about zero would lose the variance of channels far from it */
    ra_kernels()->moments(end - begin, job->c, job->c, x + begin * job->c, x, part, part + job->c);
}

static void statistics_of_channels(void *data, int64_t begin, int64_t end)
{
    const norm_job *job = data;
    const resattn_layer *layer = job->op->layer;
    double count = (double)job->pixels, step = job->run->statistics_step;
    double momentum = step > 0 ? step : ra_real(layer, MOMENTUM);
    double *mean = (double *)job->run->saved, *inverse = mean + job->c;
    add_parts(job, begin, end);
    for (int64_t j = begin; j < end; j++) {
        double sum = job->parts[j], squares = job->parts[job->c + j] - sum * (sum / count);
        squares = squares < 0 ? 0 : squares;
        mean[j] = (double)job->run->in[0][j] + sum / count;
        inverse[j] = 1 / sqrt(squares / count + ra_real(layer, EPSILON));
        set_affine(job, j);
        float *running_mean = &layer->params[MEAN].value[j], *running_var = &layer->params[VARIANCE].value[j];
        *running_mean = (float)((1 - momentum) * (double)*running_mean + momentum * mean[j]);
        *running_var = (float)((1 - momentum) * (double)*running_var + momentum * (squares / (count - 1)));
    }
}

static void running_statistics(const norm_job *job)
{
    const resattn_layer *layer = job->op->layer;
    double *mean = (double *)job->run->saved, *inverse = mean + job->c;
    for (int64_t j = 0; j < job->c; j++) {
        mean[j] = (double)layer->params[MEAN].value[j];
        inverse[j] = 1 / sqrt((double)layer->params[VARIANCE].value[j] + ra_real(layer, EPSILON));
        set_affine(job, j);
    }
}

typedef struct affine_job {
    const ra_run *run;
    int64_t c;
    const float *weight, *bias;
    bool relu;
} affine_job;

static void affine_range(void *data, int64_t begin, int64_t end)
{
    const affine_job *job = data;
    int64_t first = begin * job->c;
    ra_kernels()->affine(end - begin, job->c, job->c, job->run->in[0] + first, job->weight, job->bias, job->relu,
                         job->run->out + first);
}

static void forward(const ra_op *op, const ra_run *run)
{
    affine_job affine = {
        .run = run, .c = op->out_shape.c, .weight = op->weight, .bias = op->bias, .relu = op->fused_relu};
    if (op->weight == NULL) {
        ((double *)run->saved)[2 * affine.c] = ra_int(op->layer, FROZEN);
        norm_job job = training_job(op, run);
        if (job.frozen) {
            running_statistics(&job);
        } else {
            ra_parallel_ranges(run->context, moments_of_chunk, &job, job.pixels, job.chunk_pixels);
            ra_parallel_ranges(run->context, statistics_of_channels, &job, job.c, CHANNEL_STEP);
        }
        affine.weight = job.scale;
        affine.bias = job.shift;
    }
    ra_parallel_ranges(run->context, affine_range, &affine, pixels_of(op, run->n), ra_range_step(affine.c));
}

static void recompute(const ra_op *op, const ra_run *run)
{
    norm_job job = training_job(op, run);
    for (int64_t j = 0; j < job.c; j++)
        set_affine(&job, j);
    affine_job affine = {.run = run, .c = job.c, .weight = job.scale, .bias = job.shift, .relu = op->fused_relu};
    ra_parallel_ranges(run->context, affine_range, &affine, job.pixels, ra_range_step(affine.c));
}

/* ---- backward ---- */

static void products_of_chunk(void *data, int64_t begin, int64_t end)
{
    const norm_job *job = data;
    double *part = job->parts + 2 * job->c * (begin / job->chunk_pixels);
    int64_t first = begin * job->c;
    memset(part, 0, 2 * (size_t)job->c * sizeof *part);
    ra_kernels()->norm_sums(end - begin, job->c, job->c, job->run->in[0] + first, job->run->dout + first, job->scale,
                            job->op->fused_relu ? job->shift : NULL, job->mean, part, part + job->c);
}

/*
 * With m values in a channel, g the gradient and xhat = (x - mean) * inverse: dbias = sum of g, dweight = sum of g *
 * xhat, dx = weight * inverse * (g - dbias / m - xhat * dweight / m), where frozen statistics do not depend on x:
 * without the last two.
 */
static void gradients_of_channels(void *data, int64_t begin, int64_t end)
{
    const norm_job *job = data;
    const ra_param *params = job->op->layer->params;
    bool add = job->run->accumulate_params;
    add_parts(job, begin, end);
    for (int64_t j = begin; j < end; j++) {
        double dbias = job->parts[j], dweight = job->parts[job->c + j] * job->inverse[j];
        double factor = job->frozen ? 0 : -(double)params[WEIGHT].value[j] * job->inverse[j] / (double)job->pixels;
        double slope = factor * job->inverse[j] * dweight;
        job->center[j] = (float)job->mean[j];
        job->slope[j] = (float)slope;
        job->offset[j] = (float)(factor * dbias + slope * ((double)job->center[j] - job->mean[j]));
        float *weight = &params[WEIGHT].gradient[j], *bias = &params[BIAS].gradient[j];
        *weight = (add ? *weight : 0) + (float)dweight;
        *bias = (add ? *bias : 0) + (float)dbias;
    }
}

static void input_gradient_range(void *data, int64_t begin, int64_t end)
{
    const norm_job *job = data;
    const ra_run *run = job->run;
    int64_t first = begin * job->c;
    ra_norm_terms terms = {.scale = job->scale,
                           .shift = job->op->fused_relu ? job->shift : NULL,
                           .mean = job->center,
                           .slope = job->slope,
                           .offset = job->offset};
    ra_kernels()->norm_backward(end - begin, job->c, job->c, run->in[0] + first, run->dout + first, &terms,
                                run->accumulate[0], run->din[0] + first);
}

static void backward(const ra_op *op, const ra_run *run)
{
    norm_job job = training_job(op, run);
    for (int64_t j = 0; j < job.c; j++)
        set_affine(&job, j);
    ra_parallel_ranges(run->context, products_of_chunk, &job, job.pixels, job.chunk_pixels);
    ra_parallel_ranges(run->context, gradients_of_channels, &job, job.c, CHANNEL_STEP);
    if (run->din[0] != NULL)
        ra_parallel_ranges(run->context, input_gradient_range, &job, job.pixels, ra_range_step(job.c));
}

/* ---- the layer ---- */

static bool op_shape(ra_op *op)
{
    op->out_shape = op->in_shape[0];
    return true;
}

static bool op_check(const ra_op *op, int32_t n, bool training)
{
    if (!training || ra_int(op->layer, FROZEN) || pixels_of(op, n) > 1)
        return true;
    ra_fail(RESATTN_INVALID_ARGUMENT,
            "batch norm: one value per channel (batch 1, map 1x1), training needs at least 2");
    return false;
}

static const ra_op_kind batch_norm_op = {.name = "batch_norm",
                                         .flags = RA_CAN_FUSE_RELU | RA_IS_BATCH_NORM | RA_IN_PLACE | RA_READS_INPUTS |
                                                  RA_IN_PLACE_BACKWARD,
                                         .shape = op_shape,
                                         .saved = op_saved,
                                         .work = op_work,
                                         .check = op_check,
                                         .forward = forward,
                                         .recompute = recompute,
                                         .backward = backward};

static bool infer(resattn_layer *layer)
{
    int64_t shape[1] = {layer->in_c};
    layer->out_c = layer->in_c;
    return ra_declare(layer, "weight", true, RA_INIT_ONE, 1, 1, shape) &&
           ra_declare(layer, "bias", true, RA_INIT_ZERO, 1, 1, shape) &&
           ra_declare(layer, "running_mean", false, RA_INIT_ZERO, 1, 1, shape) &&
           ra_declare(layer, "running_var", false, RA_INIT_ONE, 1, 1, shape);
}

const ra_layer_kind ra_kind_batch_norm = {.name = "batch_norm",
                                          .attributes = attributes,
                                          .attribute_count = RA_COUNT(attributes),
                                          .infer = infer,
                                          .op = &batch_norm_op};

resattn_layer *resattn_batch_norm_new(resattn_builder *builder, const char *name)
{
    return ra_layer_new(builder, &ra_kind_batch_norm, name);
}
