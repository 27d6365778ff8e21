/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sum and residual: the sum of the children's outputs for the same input.
 */
#include "kernels/kernels.h"
#include "layers/kinds.h"

/* ---- the operation ---- */

static bool op_shape(ra_op *op)
{
    ra_shape first = op->in_shape[0];
    for (int32_t i = 1; i < op->input_count; i++) {
        ra_shape other = op->in_shape[i];
        if (other.c != first.c || other.h != first.h || other.w != first.w) {
            ra_fail(RESATTN_SHAPE_MISMATCH, "input %d of the sum has %d channels, %dx%d, the first has %d, %dx%d", i + 1,
                    other.c, other.h, other.w, first.c, first.h, first.w);
            return false;
        }
    }
    op->out_shape = first;
    return true;
}

typedef struct sum_job {
    const ra_op *op;
    const ra_run *run;
    int32_t input; /* backward: whose gradient */
} sum_job;

static int64_t elements(const ra_op *op, const ra_run *run)
{
    return (int64_t)run->n * op->out_shape.c * op->out_shape.h * op->out_shape.w;
}

static void forward_range(void *data, int64_t begin, int64_t end)
{
    const sum_job *job = data;
    const float *const *in = job->run->in;
    float *out = job->run->out + begin;
    int32_t count = job->op->input_count;
    for (int32_t i = 1; i < count; i++)
        ra_kernels()->add(end - begin, i == 1 ? in[0] + begin : out, in[i] + begin,
                          job->op->fused_relu && i + 1 == count, out);
}

static void forward(const ra_op *op, const ra_run *run)
{
    sum_job job = {.op = op, .run = run};
    ra_parallel_ranges(run->context, forward_range, &job, elements(op, run), ra_range_step(1));
}

static void backward_range(void *data, int64_t begin, int64_t end)
{
    const sum_job *job = data;
    float *din = job->run->din[job->input] + begin;
    const float *dout = job->run->dout + begin;
    if (job->run->accumulate[job->input])
        ra_kernels()->add(end - begin, din, dout, false, din);
    else
        memcpy(din, dout, (size_t)(end - begin) * sizeof *din);
}

static void backward(const ra_op *op, const ra_run *run)
{
    for (int32_t i = 0; i < op->input_count; i++) {
        if (!run->din[i] || (run->din[i] == run->dout && !run->accumulate[i]))
            continue;
        sum_job job = {.op = op, .run = run, .input = i};
        ra_parallel_ranges(run->context, backward_range, &job, elements(op, run), ra_range_step(1));
    }
}

static const ra_op_kind sum_op = {.name = "sum",
                                  .flags = RA_IS_SUM | RA_IN_PLACE | RA_PASSES_GRADIENT | RA_CAN_FUSE_RELU,
                                  .shape = op_shape,
                                  .forward = forward,
                                  .backward = backward};

/* ---- the containers ---- */

static bool infer(resattn_layer *layer)
{
    for (int32_t i = 0; i < layer->child_count; i++) {
        const resattn_layer *child = layer->children[i], *first = layer->children[0];
        if (!ra_infer(layer->children[i], layer->in_c))
            return false;
        if (child->out_c != first->out_c)
            return ra_infer_fail(layer, RESATTN_SHAPE_MISMATCH, "%s gives %d channels, %s gives %d",
                                 ra_layer_label(child), child->out_c, ra_layer_label(first), first->out_c);
    }
    layer->out_c = layer->children[0]->out_c;
    return true;
}

static int32_t sum_of(ra_lowering *lowering, const resattn_layer *layer, const int32_t *values, int32_t count)
{
    return count == 1 ? values[0] : lowering->emit(lowering, &sum_op, layer, values, count, NULL);
}

static int32_t lower(ra_lowering *lowering, const resattn_layer *layer, int32_t input, const ra_shape *target)
{
    (void)target;
    int32_t *values = ra_alloc(layer->context, (size_t)layer->child_count, sizeof *values);
    int32_t result = values && ra_lower_children(lowering, layer, input, values)
                         ? sum_of(lowering, layer, values, layer->child_count)
                         : -1;
    ra_free(layer->context, values);
    return result;
}

const ra_layer_kind ra_kind_sum = {
    .name = "sum", .min_children = 1, .max_children = INT32_MAX, .infer = infer, .lower = lower};

resattn_layer *resattn_sum_new(resattn_builder *builder, const char *name)
{
    return ra_layer_new(builder, &ra_kind_sum, name);
}

static bool infer_residual(resattn_layer *layer)
{
    if (!infer(layer))
        return false;
    const resattn_layer *branch = layer->children[0];
    if (layer->child_count == 1 && branch->out_c != layer->in_c)
        return ra_infer_fail(layer, RESATTN_SHAPE_MISMATCH, "%s gives %d channels, the input added to it has %d",
                             ra_layer_label(branch), branch->out_c, layer->in_c);
    return true;
}

static int32_t lower_residual(ra_lowering *lowering, const resattn_layer *layer, int32_t input, const ra_shape *target)
{
    (void)target;
    int32_t values[2] = {-1, input};
    return ra_lower_children(lowering, layer, input, values) ? sum_of(lowering, layer, values, 2) : -1;
}

const ra_layer_kind ra_kind_residual = {
    .name = "residual", .min_children = 1, .max_children = 2, .infer = infer_residual, .lower = lower_residual};

resattn_layer *resattn_residual_new(resattn_builder *builder, const char *name, resattn_layer *branch,
                                    resattn_layer *shortcut)
{
    resattn_layer *layer = ra_layer_new(builder, &ra_kind_residual, name);
    if (!layer || ra_layer_adopt(layer, branch) != RESATTN_OK)
        return NULL;
    return shortcut && ra_layer_adopt(layer, shortcut) != RESATTN_OK ? NULL : layer;
}
