/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Convolution.
 */
#include "layers/conv_attributes.h"

static const ra_attribute attributes[] = {RA_CONV_ATTRIBUTES};

static ra_conv conv_of(const ra_op *op)
{
    return ra_conv_of(op->layer, op->in_shape[0], op->out_shape);
}

static int64_t pixels_of(const ra_op *op, int32_t n)
{
    return (int64_t)n * op->out_shape.h * op->out_shape.w;
}

static bool output_size(const ra_op *op, int32_t dimension, int32_t in, int32_t *out)
{
    const resattn_layer *layer = op->layer;
    int64_t before = ra_int(layer, PAD_TOP + dimension), after = ra_int(layer, PAD_BOTTOM + dimension);
    int64_t room = in + before + after - ra_conv_reach(layer, dimension) - 1;
    if (room < 0) {
        ra_fail(RESATTN_SHAPE_MISMATCH,
                "the %s is %d, with padding %lld + %lld too small for kernel %d, dilation %d, stride %d: expected %lld "
                "at least",
                dimension == 0 ? "height" : "width", in, (long long)before, (long long)after,
                ra_int(layer, KERNEL_H + dimension), ra_int(layer, DILATION_H + dimension),
                ra_int(layer, STRIDE_H + dimension), (long long)(in - room));
        return false;
    }
    int64_t size = room / ra_int(layer, STRIDE_H + dimension) + 1;
    if (size > RA_MAX_DIM) {
        ra_fail(RESATTN_TOO_LARGE, "the output's %s is %lld, expected at most %d", dimension == 0 ? "height" : "width",
                (long long)size, RA_MAX_DIM);
        return false;
    }
    *out = (int32_t)size;
    return true;
}

static bool shape(ra_op *op)
{
    op->out_shape.c = op->layer->out_c;
    return output_size(op, 0, op->in_shape[0].h, &op->out_shape.h) &&
           output_size(op, 1, op->in_shape[0].w, &op->out_shape.w);
}

static bool work(const ra_op *op, int32_t n, int32_t workers, bool training, size_t *bytes)
{
    ra_conv conv = conv_of(op);
    size_t one = 0;
    *bytes = 0;
    if (op->packed)
        return ra_conv_run_work(&conv, op->form, n, workers, bytes);
    if (!ra_conv_most(ra_conv_fresh_forward_work(&conv, n, workers, &one), &one, bytes))
        return false;
    return !training ||
           (ra_conv_most(ra_conv_fresh_backward_input_work(&conv, n, workers, &one), &one, bytes) &&
            ra_conv_most(ra_conv_fresh_backward_filter_work(&conv, n, workers, &one), &one, bytes) &&
            ra_conv_most(ra_conv_backward_bias_work(pixels_of(op, n), op->out_shape.c, &one), &one, bytes));
}

static void forward(const ra_op *op, const ra_run *run)
{
    ra_conv conv = conv_of(op);
    const ra_param *params = op->layer->params;
    if (op->packed)
        ra_conv_forward_packed(op, run, &conv);
    else
        ra_conv_fresh_forward(run->context, &conv, run->n, run->in[0], params[WEIGHT].value,
                              ra_int(op->layer, HAS_BIAS) ? params[BIAS].value : NULL, run->out, run->work);
}

/* Training fuses no ReLU into a convolution, so that dout is the gradient of the products. */
static void backward(const ra_op *op, const ra_run *run)
{
    ra_conv conv = conv_of(op);
    const ra_param *params = op->layer->params;
    if (ra_int(op->layer, HAS_BIAS))
        ra_conv_backward_bias(run->context, pixels_of(op, run->n), conv.out_c, run->dout, run->accumulate_params,
                              params[BIAS].gradient, run->work);
    ra_conv_fresh_backward_filter(run->context, &conv, run->n, run->in[0], run->dout, run->accumulate_params,
                                  params[WEIGHT].gradient, run->work);
    if (run->din[0] != NULL)
        ra_conv_fresh_backward_input(run->context, &conv, run->n, run->dout, params[WEIGHT].value, run->accumulate[0],
                                     run->din[0], run->work);
}

static const ra_op_kind conv2d_op = {
    .name = "conv2d",
    .flags = RA_IS_CONV | RA_CAN_FINISH | RA_CAN_FUSE_RELU | RA_READS_INPUTS,
    .shape = shape,
    .work = work,
    .forward = forward,
    .backward = backward,
    .convolution = conv_of,
};

static bool infer(resattn_layer *layer)
{
    if (!ra_conv_infer(layer))
        return false;
    int64_t filter[4] = {layer->out_c, layer->in_c / ra_int(layer, GROUPS), ra_int(layer, KERNEL_H),
                         ra_int(layer, KERNEL_W)};
    int64_t bias[1] = {layer->out_c};
    if (!ra_declare(layer, "weight", true, RA_INIT_HE, filter[1] * filter[2] * filter[3], 4, filter))
        return false;
    return !ra_int(layer, HAS_BIAS) || ra_declare(layer, "bias", true, RA_INIT_ZERO, 1, 1, bias);
}

static int64_t multiply_adds(const resattn_layer *layer, ra_shape in, ra_shape out)
{
    (void)in;
    return ra_conv_products(layer, (int64_t)out.h * out.w);
}

const ra_layer_kind ra_kind_conv2d = {
    .name = "conv2d",
    .attributes = attributes,
    .attribute_count = RA_COUNT(attributes),
    .infer = infer,
    .op = &conv2d_op,
    .multiply_adds = multiply_adds,
};

resattn_layer *resattn_conv2d_new(resattn_builder *builder, const char *name, int32_t out_channels, int32_t kernel,
                                  int32_t stride, int32_t padding)
{
    return ra_conv_layer_new(builder, &ra_kind_conv2d, name, out_channels, kernel, stride, padding);
}
