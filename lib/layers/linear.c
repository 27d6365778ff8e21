/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A matrix times the vector of channels: a 1x1 convolution of a map of one pixel.
 */
#include "layers/conv_attributes.h"

enum { OUT_FEATURES, WITH_BIAS };

static const ra_attribute attributes[] = {
    RA_INT("out_features", 1, 1, RA_MAX_DIM),
    RA_INT("bias", 1, 0, 1),
};

static ra_conv conv_of(const ra_op *op)
{
    const resattn_layer *layer = op->layer;
    return (ra_conv){
        .in_c = layer->in_c,
        .in_h = 1,
        .in_w = 1,
        .out_c = layer->out_c,
        .out_h = 1,
        .out_w = 1,
        .kernel_h = 1,
        .kernel_w = 1,
        .stride_h = 1,
        .stride_w = 1,
        .dilation_h = 1,
        .dilation_w = 1,
        .groups = 1,
    };
}

static bool shape(ra_op *op)
{
    ra_shape in = op->in_shape[0];
    if (in.h != 1 || in.w != 1) {
        ra_fail(RESATTN_SHAPE_MISMATCH, "the map is %dx%d, expected 1x1: put a global pool before it", in.h, in.w);
        return false;
    }
    op->out_shape = (ra_shape){op->layer->out_c, 1, 1};
    return true;
}

static bool work(const ra_op *op, int32_t n, int32_t workers, bool training, size_t *bytes)
{
    ra_conv conv = conv_of(op);
    size_t one = 0;
    if (op->packed)
        return ra_conv_run_work(&conv, op->form, n, workers, bytes);
    if (!ra_conv_fresh_forward_work(&conv, n, workers, bytes))
        return false;
    if (!training)
        return true;
    bool known = ra_conv_fresh_backward_input_work(&conv, n, workers, &one);
    *bytes = one > *bytes ? one : *bytes;
    known = known && ra_conv_backward_filter_work(&conv, n, workers, &one);
    *bytes = one > *bytes ? one : *bytes;
    known = known && ra_conv_backward_bias_work(n, conv.out_c, &one);
    *bytes = one > *bytes ? one : *bytes;
    return known;
}

static void forward(const ra_op *op, const ra_run *run)
{
    ra_conv conv = conv_of(op);
    const ra_param *params = op->layer->params;
    if (op->packed)
        ra_conv_forward_packed(op, run, &conv);
    else
        ra_conv_fresh_forward(run->context, &conv, run->n, run->in[0], params[WEIGHT].value,
                              ra_int(op->layer, WITH_BIAS) ? params[BIAS].value : NULL, run->out, run->work);
}

/* Training fuses no ReLU here either, see conv2d.c. */
static void backward(const ra_op *op, const ra_run *run)
{
    ra_conv conv = conv_of(op);
    const ra_param *params = op->layer->params;
    if (ra_int(op->layer, WITH_BIAS))
        ra_conv_backward_bias(run->context, run->n, conv.out_c, run->dout, run->accumulate_params,
                              params[BIAS].gradient, run->work);
    ra_conv_backward_filter(run->context, &conv, run->n, run->in[0], run->dout, run->accumulate_params,
                            params[WEIGHT].gradient, run->work);
    if (run->din[0] != NULL)
        ra_conv_fresh_backward_input(run->context, &conv, run->n, run->dout, params[WEIGHT].value, run->accumulate[0],
                               run->din[0], run->work);
}

static const ra_op_kind linear_op = {
    .name = "linear",
    .flags = RA_IS_CONV | RA_CAN_FUSE_RELU | RA_READS_INPUTS,
    .shape = shape,
    .work = work,
    .forward = forward,
    .backward = backward,
    .convolution = conv_of,
};

static bool infer(resattn_layer *layer)
{
    int64_t matrix[2] = {ra_int(layer, OUT_FEATURES), layer->in_c}, bias[1] = {ra_int(layer, OUT_FEATURES)};
    layer->out_c = ra_int(layer, OUT_FEATURES);
    if (!ra_declare(layer, "weight", true, RA_INIT_LINEAR, layer->in_c, 2, matrix))
        return false;
    return !ra_int(layer, WITH_BIAS) || ra_declare(layer, "bias", true, RA_INIT_ZERO, 1, 1, bias);
}

static int64_t multiply_adds(const resattn_layer *layer, ra_shape in, ra_shape out)
{
    (void)in;
    (void)out;
    return (int64_t)layer->in_c * layer->out_c;
}

const ra_layer_kind ra_kind_linear = {
    .name = "linear",
    .attributes = attributes,
    .attribute_count = RA_COUNT(attributes),
    .infer = infer,
    .op = &linear_op,
    .multiply_adds = multiply_adds,
};

resattn_layer *resattn_linear_new(resattn_builder *builder, const char *name, int32_t out_features)
{
    resattn_layer *layer = ra_layer_new(builder, &ra_kind_linear, name);
    ra_layer_init_int(layer, OUT_FEATURES, out_features);
    return ra_layer_ready(layer);
}
