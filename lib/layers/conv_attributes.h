/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What convolution and transposed convolution have in common.
 */
#ifndef RA_CONV_ATTRIBUTES_H
#define RA_CONV_ATTRIBUTES_H

#include "kernels/conv.h"
#include "kernels/kernels.h"
#include "layers/kinds.h"

/* The first attributes of both. */
enum {
    OUT_CHANNELS,
    KERNEL_H,
    KERNEL_W,
    STRIDE_H,
    STRIDE_W,
    DILATION_H,
    DILATION_W,
    PAD_TOP,
    PAD_LEFT,
    PAD_BOTTOM,
    PAD_RIGHT,
    GROUPS,
    HAS_BIAS,
    CONV_ATTRIBUTES
};

#define RA_CONV_ATTRIBUTES                                                                                             \
    RA_INT("out_channels", 1, 1, RA_MAX_DIM), RA_INT("kernel_h", 1, 1, RA_MAX_DIM),                                    \
        RA_INT("kernel_w", 1, 1, RA_MAX_DIM), RA_INT("stride_h", 1, 1, RA_MAX_DIM),                                    \
        RA_INT("stride_w", 1, 1, RA_MAX_DIM), RA_INT("dilation_h", 1, 1, RA_MAX_DIM),                                  \
        RA_INT("dilation_w", 1, 1, RA_MAX_DIM), RA_INT("pad_top", 0, 0, RA_MAX_DIM),                                   \
        RA_INT("pad_left", 0, 0, RA_MAX_DIM), RA_INT("pad_bottom", 0, 0, RA_MAX_DIM),                                  \
        RA_INT("pad_right", 0, 0, RA_MAX_DIM), RA_INT("groups", 1, 1, RA_MAX_DIM), RA_INT("bias", 0, 0, 1)

/* Numbers of the parameters; the bias may be missing. */
enum { WEIGHT, BIAS };

/* Makes a layer of either kind with square kernel, stride and padding. */
static inline resattn_layer *ra_conv_layer_new(resattn_builder *builder, const ra_layer_kind *kind, const char *name,
                                               int32_t out_channels, int32_t kernel, int32_t stride, int32_t padding)
{
    const struct {
        int32_t index, value;
    } settings[] = {{OUT_CHANNELS, out_channels}, {KERNEL_H, kernel},    {KERNEL_W, kernel},
                    {STRIDE_H, stride},           {STRIDE_W, stride},    {PAD_TOP, padding},
                    {PAD_LEFT, padding},          {PAD_BOTTOM, padding}, {PAD_RIGHT, padding}};
    resattn_layer *layer = ra_layer_new(builder, kind, name);
    for (int32_t i = 0; layer != NULL && i < RA_COUNT(settings); i++) {
        ra_layer_init_int(layer, settings[i].index, settings[i].value);
        if (builder->status != RESATTN_OK)
            return NULL;
    }
    return layer;
}

/* Checks groups and the kernel's size, and sets out_c. */
static inline bool ra_conv_infer(resattn_layer *layer)
{
    int32_t groups = ra_int(layer, GROUPS), out_c = ra_int(layer, OUT_CHANNELS);
    int64_t taps = (int64_t)ra_int(layer, KERNEL_H) * ra_int(layer, KERNEL_W);
    if (layer->in_c % groups != 0 || out_c % groups != 0) {
        ra_fail(RESATTN_SHAPE_MISMATCH, "groups is %d, expected a divisor of %d input and %d output channels", groups,
                layer->in_c, out_c);
        return false;
    }
    if (taps > RA_MAX_DIM) {
        ra_fail(RESATTN_TOO_LARGE, "the kernel is %dx%d, expected at most %d taps", ra_int(layer, KERNEL_H),
                ra_int(layer, KERNEL_W), RA_MAX_DIM);
        return false;
    }
    layer->out_c = out_c;
    return true;
}

/* The pixels that the kernel reaches beyond the first, along dimension 0 (h) or 1 (w). */
static inline int64_t ra_conv_reach(const resattn_layer *layer, int32_t dimension)
{
    return (int64_t)ra_int(layer, DILATION_H + dimension) * (ra_int(layer, KERNEL_H + dimension) - 1);
}

/* The convolution of a layer between images of these shapes: `wide` is on the side of the padding. */
static inline ra_conv ra_conv_of(const resattn_layer *layer, ra_shape wide, ra_shape narrow)
{
    return (ra_conv){
        .in_c = wide.c,
        .in_h = wide.h,
        .in_w = wide.w,
        .out_c = narrow.c,
        .out_h = narrow.h,
        .out_w = narrow.w,
        .kernel_h = ra_int(layer, KERNEL_H),
        .kernel_w = ra_int(layer, KERNEL_W),
        .stride_h = ra_int(layer, STRIDE_H),
        .stride_w = ra_int(layer, STRIDE_W),
        .dilation_h = ra_int(layer, DILATION_H),
        .dilation_w = ra_int(layer, DILATION_W),
        .pad_top = ra_int(layer, PAD_TOP),
        .pad_left = ra_int(layer, PAD_LEFT),
        .groups = ra_int(layer, GROUPS),
    };
}

/* Products for `pixels` pixels of the side without padding. Shapes that a session can have do not overflow; others
 * saturate. */
static inline int64_t ra_conv_products(const resattn_layer *layer, int64_t pixels)
{
    int64_t group = (int64_t)layer->in_c / ra_int(layer, GROUPS) * layer->out_c, products;
    int64_t taps = (int64_t)ra_int(layer, KERNEL_H) * ra_int(layer, KERNEL_W);
    return ra_mul_i64(group, taps, &products) && ra_mul_i64(products, pixels, &products) ? products : INT64_MAX;
}

/* The forward pass with packed constants, and all that is fused into it. */
static inline void ra_conv_forward_packed(const ra_op *op, const ra_run *run, const ra_conv *conv)
{
    ra_conv_result result = {.y = run->out,
                             .y_row = run->out_row,
                             .bias = op->bias,
                             .addend = op->addend > 0 ? run->in[op->addend] : NULL,
                             .relu = op->fused_relu,
                             .sigmoid = op->fused_sigmoid,
                             .trunk = op->trunk > 0 ? run->in[op->trunk] : NULL,
                             .plus = op->plus,
                             .second = op->second ? op->second_in_place ? run->out : run->second : NULL,
                             .scale = op->scale,
                             .shift = op->shift,
                             .second_relu = op->second_relu};
    ra_conv_run(run->context, conv, op->form, run->n, run->in[0], op->weight, &result, run->work);
}

/* The larger of two byte counts, where both are known. */
static inline bool ra_conv_most(bool known, const size_t *bytes, size_t *most)
{
    if (known && *bytes > *most)
        *most = *bytes;
    return known;
}

#endif
