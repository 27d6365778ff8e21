/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Concat: the children's outputs for the same input, one after the other along the channels.
 */
#include "kernels/kernels.h"
#include "layers/kinds.h"

static bool op_shape(ra_op *op)
{
    ra_shape first = op->in_shape[0];
    int64_t channels = 0;
    for (int32_t i = 0; i < op->input_count; i++) {
        ra_shape other = op->in_shape[i];
        if (other.h != first.h || other.w != first.w) {
            ra_fail(RESATTN_SHAPE_MISMATCH, "input %d of the concatenation has a map of %dx%d, the first of %dx%d", i + 1,
                    other.h, other.w, first.h, first.w);
            return false;
        }
        channels += other.c;
    }
    op->out_shape = (ra_shape){(int32_t)channels, first.h, first.w};
    return true;
}

typedef struct concat_job {
    const ra_op *op;
    const ra_run *run;
} concat_job;

static void forward_range(void *data, int64_t begin, int64_t end)
{
    const concat_job *job = data;
    int32_t all = job->op->out_shape.c, offset = 0;
    for (int32_t i = 0; i < job->op->input_count; i++) {
        int32_t c = job->op->in_shape[i].c;
        for (int64_t p = begin; p < end && job->run->in[i] != job->run->out + offset; p++)
            memcpy(job->run->out + p * all + offset, job->run->in[i] + p * c, (size_t)c * sizeof(float));
        offset += c;
    }
}

static void backward_range(void *data, int64_t begin, int64_t end)
{
    const concat_job *job = data;
    const ra_loops *loops = ra_kernels();
    int32_t all = job->op->out_shape.c, offset = 0;
    for (int32_t i = 0; i < job->op->input_count; i++) {
        int32_t c = job->op->in_shape[i].c;
        float *din = job->run->din[i];
        for (int64_t p = begin; din && p < end; p++) {
            const float *part = job->run->dout + p * all + offset;
            if (job->run->accumulate[i])
                loops->add(c, din + p * c, part, false, din + p * c);
            else
                memcpy(din + p * c, part, (size_t)c * sizeof(float));
        }
        offset += c;
    }
}

static void over_pixels(const ra_op *op, const ra_run *run, ra_range_fn range)
{
    concat_job job = {op, run};
    int64_t pixels = (int64_t)run->n * op->out_shape.h * op->out_shape.w;
    ra_parallel_ranges(run->context, range, &job, pixels, ra_range_step(op->out_shape.c));
}

static void forward(const ra_op *op, const ra_run *run) { over_pixels(op, run, forward_range); }

static void backward(const ra_op *op, const ra_run *run) { over_pixels(op, run, backward_range); }

static const ra_op_kind concat_op = {
    .name = "concat", .flags = RA_IS_CONCAT, .shape = op_shape, .forward = forward, .backward = backward};

static bool infer(resattn_layer *layer)
{
    int64_t channels = 0;
    for (int32_t i = 0; i < layer->child_count; i++) {
        if (!ra_infer(layer->children[i], layer->in_c))
            return false;
        channels += layer->children[i]->out_c;
    }
    if (channels > RA_MAX_DIM)
        return ra_infer_fail(layer, RESATTN_TOO_LARGE, "%lld channels together, expected at most %d",
                             (long long)channels, RA_MAX_DIM);
    layer->out_c = (int32_t)channels;
    return true;
}

static int32_t lower(ra_lowering *lowering, const resattn_layer *layer, int32_t input, const ra_shape *target)
{
    (void)target;
    int32_t *values = ra_alloc(layer->context, (size_t)layer->child_count, sizeof *values);
    int32_t result = values && ra_lower_children(lowering, layer, input, values)
                         ? lowering->emit(lowering, &concat_op, layer, values, layer->child_count, NULL)
                         : -1;
    ra_free(layer->context, values);
    return result;
}

const ra_layer_kind ra_kind_concat = {
    .name = "concat", .min_children = 1, .max_children = INT32_MAX, .infer = infer, .lower = lower};

resattn_layer *resattn_concat_new(resattn_builder *builder, const char *name)
{
    return ra_layer_new(builder, &ra_kind_concat, name);
}
