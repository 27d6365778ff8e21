/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Layers that treat every element by itself: ReLU, sigmoid, multiplication by a number.
 */
#include <float.h>

#include "kernels/kernels.h"
#include "layers/kinds.h"

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

typedef struct element_job {
    const ra_run *run;
    float factor;
} element_job;

static void over_elements(const ra_op *op, const ra_run *run, ra_range_fn range, float factor)
{
    element_job job = {.run = run, .factor = factor};
    int64_t elements = (int64_t)run->n * op->out_shape.c * op->out_shape.h * op->out_shape.w;
    ra_parallel_ranges(run->context, range, &job, elements, ra_range_step(1));
}

/* ---- ReLU ---- */

static void relu_range(void *data, int64_t begin, int64_t end)
{
    const ra_run *run = ((const element_job *)data)->run;
    ra_kernels()->relu(end - begin, run->in[0] + begin, run->out + begin);
}

static void relu_forward(const ra_op *op, const ra_run *run)
{
    over_elements(op, run, relu_range, 0);
}

static void relu_gradient_range(void *data, int64_t begin, int64_t end)
{
    const ra_run *run = ((const element_job *)data)->run;
    ra_kernels()->relu_backward(end - begin, run->out + begin, run->dout + begin, run->accumulate[0],
                                run->din[0] + begin);
}

static void relu_backward(const ra_op *op, const ra_run *run)
{
    if (run->din[0] != NULL)
        over_elements(op, run, relu_gradient_range, 0);
}

static const ra_op_kind relu_op = {.name = "relu",
                                   .flags = RA_IS_RELU | RA_IN_PLACE | RA_IN_PLACE_BACKWARD | RA_READS_OUTPUT,
                                   .shape = op_shape,
                                   .forward = relu_forward,
                                   .backward = relu_backward};

const ra_layer_kind ra_kind_relu = {.name = "relu", .infer = infer, .op = &relu_op};

resattn_layer *resattn_relu_new(resattn_builder *builder, const char *name)
{
    return ra_layer_new(builder, &ra_kind_relu, name);
}

/* ---- sigmoid ---- */

static void sigmoid_range(void *data, int64_t begin, int64_t end)
{
    const ra_run *run = ((const element_job *)data)->run;
    ra_kernels()->sigmoid(end - begin, run->in[0] + begin, run->out + begin);
}

static void sigmoid_forward(const ra_op *op, const ra_run *run)
{
    over_elements(op, run, sigmoid_range, 0);
}

static void sigmoid_gradient_range(void *data, int64_t begin, int64_t end)
{
    const ra_run *run = ((const element_job *)data)->run;
    ra_kernels()->sigmoid_backward(end - begin, run->out + begin, run->dout + begin, run->accumulate[0],
                                   run->din[0] + begin);
}

static void sigmoid_backward(const ra_op *op, const ra_run *run)
{
    if (run->din[0] != NULL)
        over_elements(op, run, sigmoid_gradient_range, 0);
}

static const ra_op_kind sigmoid_op = {.name = "sigmoid",
                                      .flags = RA_IS_SIGMOID | RA_IN_PLACE | RA_IN_PLACE_BACKWARD | RA_READS_OUTPUT,
                                      .shape = op_shape,
                                      .forward = sigmoid_forward,
                                      .backward = sigmoid_backward};

const ra_layer_kind ra_kind_sigmoid = {.name = "sigmoid", .infer = infer, .op = &sigmoid_op};

resattn_layer *resattn_sigmoid_new(resattn_builder *builder, const char *name)
{
    return ra_layer_new(builder, &ra_kind_sigmoid, name);
}

/* ---- scale ---- */

enum { FACTOR };

static const ra_attribute scale_attributes[] = {RA_REAL("factor", 1, -FLT_MAX, FLT_MAX)};

static void scale_range(void *data, int64_t begin, int64_t end)
{
    const element_job *job = data;
    ra_kernels()->scale(end - begin, job->factor, job->run->in[0] + begin, false, job->run->out + begin);
}

static void scale_forward(const ra_op *op, const ra_run *run)
{
    over_elements(op, run, scale_range, (float)ra_real(op->layer, FACTOR));
}

static void scale_gradient_range(void *data, int64_t begin, int64_t end)
{
    const element_job *job = data;
    ra_kernels()->scale(end - begin, job->factor, job->run->dout + begin, job->run->accumulate[0],
                        job->run->din[0] + begin);
}

static void scale_backward(const ra_op *op, const ra_run *run)
{
    if (run->din[0] != NULL)
        over_elements(op, run, scale_gradient_range, (float)ra_real(op->layer, FACTOR));
}

static const ra_op_kind scale_op = {.name = "scale",
                                    .flags = RA_IS_SCALE | RA_IN_PLACE | RA_IN_PLACE_BACKWARD,
                                    .shape = op_shape,
                                    .forward = scale_forward,
                                    .backward = scale_backward};

const ra_layer_kind ra_kind_scale = {.name = "scale",
                                     .attributes = scale_attributes,
                                     .attribute_count = RA_COUNT(scale_attributes),
                                     .infer = infer,
                                     .op = &scale_op};

resattn_layer *resattn_scale_new(resattn_builder *builder, const char *name, double factor)
{
    resattn_layer *layer = ra_layer_new(builder, &ra_kind_scale, name);
    ra_layer_init_real(layer, FACTOR, factor);
    return ra_layer_ready(layer);
}
