/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Attention modules (Wang et al., CVPR 2017): a trunk T and a mask M, combined as (1 + M) * T or M * T.
 */
#include "kernels/kernels.h"
#include "layers/kinds.h"

enum { LEARNING, ACTIVATION };

static const ra_attribute attributes[] = {
    RA_INT("learning", RESATTN_LEARNING_RESIDUAL, RESATTN_LEARNING_RESIDUAL, RESATTN_LEARNING_NAIVE),
    RA_INT("activation", RESATTN_ACTIVATION_MIXED, RESATTN_ACTIVATION_MIXED, RESATTN_ACTIVATION_IDENTITY),
};

/* ---- the operation: inputs are the trunk and the mask, which may have one channel for all ---- */

static bool op_shape(ra_op *op)
{
    ra_shape trunk = op->in_shape[0], mask = op->in_shape[1];
    op->out_shape = trunk;
    op->plus = ra_int(op->layer, LEARNING) == RESATTN_LEARNING_RESIDUAL ? 1.0f : 0.0f;
    if ((mask.c == trunk.c || mask.c == 1) && mask.h == trunk.h && mask.w == trunk.w)
        return true;
    ra_fail(RESATTN_SHAPE_MISMATCH, "the mask has %d channels, %dx%d, the trunk gives %d, %dx%d", mask.c, mask.h, mask.w,
            trunk.c, trunk.h, trunk.w);
    return false;
}

typedef struct apply_job {
    const ra_op *op;
    const ra_run *run;
} apply_job;

static void forward_range(void *data, int64_t begin, int64_t end)
{
    const apply_job *job = data;
    int32_t c = job->op->out_shape.c, mask_c = job->op->in_shape[1].c;
    ra_kernels()->gate(end - begin, c, mask_c, job->op->plus, job->run->in[0] + begin * c, job->run->in[1] + begin * mask_c,
                       false, job->run->out + begin * c);
}

/* The mask's gradient first, as the trunk's may be written over dout; but where trunk and mask are one value, it is the mask's that
 * is added. */
static void backward_range(void *data, int64_t begin, int64_t end)
{
    const apply_job *job = data;
    const ra_run *run = job->run;
    int32_t c = job->op->out_shape.c, mask_c = job->op->in_shape[1].c;
    const float *dout = run->dout + begin * c;
    bool one_value = run->din[0] == run->din[1];
    for (int32_t step = 0; step < 2; step++) {
        int32_t k = one_value ? step : 1 - step;
        if (run->din[k] && k == 1)
            ra_kernels()->gate_backward(end - begin, c, mask_c, run->in[0] + begin * c, dout, run->accumulate[1],
                                        run->din[1] + begin * mask_c);
        else if (run->din[k])
            ra_kernels()->gate(end - begin, c, mask_c, job->op->plus, dout, run->in[1] + begin * mask_c, run->accumulate[0],
                               run->din[0] + begin * c);
    }
}

static void over_pixels(const ra_op *op, const ra_run *run, ra_range_fn range)
{
    apply_job job = {.op = op, .run = run};
    int64_t pixels = (int64_t)run->n * op->out_shape.h * op->out_shape.w;
    ra_parallel_ranges(run->context, range, &job, pixels, ra_range_step(op->out_shape.c));
}

static void forward(const ra_op *op, const ra_run *run) { over_pixels(op, run, forward_range); }

static void backward(const ra_op *op, const ra_run *run) { over_pixels(op, run, backward_range); }

static const ra_op_kind apply_op = {.name = "apply_mask",
                                    .flags = RA_IS_GATE | RA_IN_PLACE | RA_IN_PLACE_BACKWARD | RA_READS_INPUTS,
                                    .shape = op_shape,
                                    .forward = forward,
                                    .backward = backward};

/* ---- the container: children are the trunk, then the mask ---- */

static bool infer(resattn_layer *layer)
{
    if (layer->child_count < 2)
        return ra_infer_fail(layer, RESATTN_INVALID_ARGUMENT, "the attention module has no %s",
                             resattn_attention_trunk((const resattn_attention *)layer) ? "mask" : "trunk");
    resattn_layer *trunk = layer->children[0], *mask = layer->children[1];
    if (!ra_infer(trunk, layer->in_c) || !ra_infer(mask, layer->in_c))
        return false;
    layer->out_c = trunk->out_c;
    if (mask->out_c == trunk->out_c || mask->out_c == 1)
        return true;
    return ra_infer_fail(layer, RESATTN_SHAPE_MISMATCH, "the mask has %d channels, the trunk gives %d", mask->out_c,
                         trunk->out_c);
}

/* Activations have no attributes that a module could set: they take these layers' defaults. */
static const resattn_layer sigmoid = {.kind = &ra_kind_sigmoid};
static const resattn_layer channel_norm = {.kind = &ra_kind_channel_norm, .attributes = {{.r = 1e-12}}};
static const resattn_layer instance_norm = {.kind = &ra_kind_instance_norm, .attributes = {{.r = 1e-5}}};

static int32_t activate(ra_lowering *lowering, const resattn_layer *activation, int32_t value)
{
    return value < 0 ? -1 : lowering->emit(lowering, activation->kind->op, activation, &value, 1, NULL);
}

static int32_t lower_mask(ra_lowering *lowering, const resattn_layer *layer, int32_t input)
{
    int32_t mask = lowering->layer(lowering, layer->children[1], input, NULL);
    switch (ra_int(layer, ACTIVATION)) {
    case RESATTN_ACTIVATION_MIXED:
        return activate(lowering, &sigmoid, mask);
    case RESATTN_ACTIVATION_CHANNEL:
        return activate(lowering, &channel_norm, mask);
    case RESATTN_ACTIVATION_SPATIAL:
        return activate(lowering, &sigmoid, activate(lowering, &instance_norm, mask));
    default:
        return mask;
    }
}

static int32_t lower(ra_lowering *lowering, const resattn_layer *layer, int32_t input, const ra_shape *target)
{
    (void)target;
    int32_t values[2];
    values[0] = lowering->layer(lowering, layer->children[0], input, NULL);
    if (values[0] < 0 || (values[1] = lower_mask(lowering, layer, input)) < 0 ||
        !lowering->name(lowering, layer->trunk_name, values[0]) ||
        !lowering->name(lowering, layer->mask_name, values[1]))
        return -1;
    return lowering->emit(lowering, &apply_op, layer, values, 2, NULL);
}

const ra_layer_kind ra_kind_attention = {.name = "attention",
                                         .attributes = attributes,
                                         .attribute_count = RA_COUNT(attributes),
                                                                                  .max_children = 2,
                                         .infer = infer,
                                         .lower = lower};

/* ---- the public face ---- */

resattn_attention *resattn_attention_new(resattn_builder *builder, const char *name)
{
    return (resattn_attention *)ra_layer_new(builder, &ra_kind_attention, name);
}

resattn_layer *resattn_attention_layer(resattn_attention *attention) { return attention ? &attention->layer : NULL; }

resattn_attention *resattn_layer_attention(resattn_layer *layer)
{
    return layer && layer->kind == &ra_kind_attention ? (resattn_attention *)layer : NULL;
}

/* Children are the trunk, then the mask, in whatever order they come. */
resattn_layer *resattn_attention_trunk(const resattn_attention *attention)
{
    return attention && attention->layer.child_count > attention->lacks_trunk ? attention->layer.children[0] : NULL;
}

resattn_layer *resattn_attention_mask(const resattn_attention *attention)
{
    int32_t count = attention ? attention->layer.child_count + attention->lacks_trunk : 0;
    return count == 2 ? attention->layer.children[attention->layer.child_count - 1] : NULL;
}

static resattn_status no_module(const char *what)
{
    return ra_fail(RESATTN_INVALID_ARGUMENT, "%s: the attention module is NULL", what);
}

static resattn_status set_branch(resattn_attention *attention, resattn_layer *branch, const char *what, bool is_set)
{
    resattn_layer *layer = &attention->layer;
    if (is_set && layer->builder) {
        ra_fail(RESATTN_DUPLICATE, "%s: the %s is set already", ra_layer_label(layer), what);
        return ra_builder_remember(layer->builder);
    }
    return ra_layer_adopt(layer, branch);
}

resattn_status resattn_attention_set_trunk(resattn_attention *attention, resattn_layer *trunk)
{
    if (!attention)
        return no_module("trunk");
    resattn_status status = set_branch(attention, trunk, "trunk", resattn_attention_trunk(attention) != NULL);
    if (status == RESATTN_OK && attention->lacks_trunk) {
        resattn_layer **children = attention->layer.children;
        children[1] = children[0];
        children[0] = trunk;
        children[0]->index = 0;
        children[1]->index = 1;
        attention->lacks_trunk = false;
    }
    return status;
}

resattn_status resattn_attention_set_mask(resattn_attention *attention, resattn_layer *mask)
{
    if (!attention)
        return no_module("mask");
    resattn_status status = set_branch(attention, mask, "mask", resattn_attention_mask(attention) != NULL);
    if (status == RESATTN_OK && attention->layer.child_count == 1)
        attention->lacks_trunk = true;
    return status;
}

resattn_status resattn_attention_set_learning(resattn_attention *attention, resattn_learning learning)
{
    return resattn_layer_set_int(resattn_attention_layer(attention), attributes[LEARNING].name, learning);
}

resattn_status resattn_attention_set_activation(resattn_attention *attention, resattn_mask_activation activation)
{
    return resattn_layer_set_int(resattn_attention_layer(attention), attributes[ACTIVATION].name, activation);
}

resattn_learning resattn_attention_learning(const resattn_attention *attention)
{
    return attention ? (resattn_learning)ra_int(&attention->layer, LEARNING) : RESATTN_LEARNING_NONE;
}

resattn_mask_activation resattn_attention_activation(const resattn_attention *attention)
{
    return attention ? (resattn_mask_activation)ra_int(&attention->layer, ACTIVATION) : RESATTN_ACTIVATION_NONE;
}

const char *resattn_attention_mask_name(const resattn_attention *attention)
{
    return attention ? attention->layer.mask_name : NULL;
}

const char *resattn_attention_trunk_name(const resattn_attention *attention)
{
    return attention ? attention->layer.trunk_name : NULL;
}
