/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Transposed convolution: the input gradient of the convolution that leads from its output (the wide side) to its input
 * (the narrow side); its own input gradient is that convolution's forward pass.
 */
#include "layers/conv_attributes.h"

enum { OUTPUT_PAD_H = CONV_ATTRIBUTES, OUTPUT_PAD_W, BILINEAR };

static const ra_attribute attributes[] = {
    RA_CONV_ATTRIBUTES,
    RA_INT("output_pad_h", 0, 0, RA_MAX_DIM),
    RA_INT("output_pad_w", 0, 0, RA_MAX_DIM),
    RA_INT("bilinear", 0, 0, 1),
};

/* ---- sizes ---- */

/* The output's size without output padding. */
static int64_t natural_size(const resattn_layer *layer, int32_t dimension, int32_t in)
{
    return (int64_t)(in - 1) * ra_int(layer, STRIDE_H + dimension) - ra_int(layer, PAD_TOP + dimension) -
           ra_int(layer, PAD_BOTTOM + dimension) + ra_conv_reach(layer, dimension) + 1;
}

/* How much of the output is computed: where a container asks for more than an output padding of stride - 1 reaches,
 * there are zeros beyond; where it asks for less, the rest is cut. */
static int32_t computed_size(const resattn_layer *layer, int32_t dimension, int32_t in, int32_t out)
{
    int64_t reached = natural_size(layer, dimension, in) + ra_int(layer, STRIDE_H + dimension) - 1;
    return reached < out ? (int32_t)reached : out;
}

static bool output_size(const ra_op *op, int32_t dimension, int32_t in, int32_t target, int32_t *out)
{
    const resattn_layer *layer = op->layer;
    const char *what = dimension == 0 ? "height" : "width";
    int32_t stride = ra_int(layer, STRIDE_H + dimension), extra = ra_int(layer, OUTPUT_PAD_H + dimension);
    int64_t natural = natural_size(layer, dimension, in);
    int64_t size = target != 0 ? target : natural + extra;
    if (extra >= stride) {
        ra_fail(RESATTN_INVALID_ARGUMENT, "the output padding of the %s is %d, expected less than the stride %d", what,
                extra, stride);
        return false;
    }
    if (size < 1 || natural + stride - 1 < 1) {
        ra_fail(RESATTN_SHAPE_MISMATCH,
                "the %s is %d, which with kernel %d, stride %d and padding %d + %d gives an output of %lld", what, in,
                ra_int(layer, KERNEL_H + dimension), stride, ra_int(layer, PAD_TOP + dimension),
                ra_int(layer, PAD_BOTTOM + dimension), (long long)natural);
        return false;
    }
    if (size > RA_MAX_DIM) {
        ra_fail(RESATTN_TOO_LARGE, "the output's %s is %lld, expected at most %d", what, (long long)size, RA_MAX_DIM);
        return false;
    }
    *out = (int32_t)size;
    return true;
}

static bool shape(ra_op *op)
{
    op->out_shape.c = op->layer->out_c;
    return output_size(op, 0, op->in_shape[0].h, op->target.h, &op->out_shape.h) &&
           output_size(op, 1, op->in_shape[0].w, op->target.w, &op->out_shape.w);
}

/* The part of the output that is computed. */
static ra_shape computed_shape(const ra_op *op)
{
    return (ra_shape){op->out_shape.c, computed_size(op->layer, 0, op->in_shape[0].h, op->out_shape.h),
                      computed_size(op->layer, 1, op->in_shape[0].w, op->out_shape.w)};
}

static bool is_extended(const ra_op *op, ra_shape part)
{
    return part.h < op->out_shape.h || part.w < op->out_shape.w;
}

/* ---- work: the computed part, where it is not the whole output, then what the kernels need ---- */

static bool part_bytes(const ra_op *op, ra_shape part, int32_t n, size_t *bytes)
{
    *bytes = 0;
    if (!is_extended(op, part))
        return true;
    size_t pixels = (size_t)part.h * (size_t)part.w;
    if (!ra_mul_size(pixels, (size_t)n, &pixels) || !ra_mul_size(pixels, (size_t)part.c * sizeof(float), bytes) ||
        !ra_add_size(*bytes, RA_ALIGNMENT - 1, bytes))
        return false;
    *bytes -= *bytes % RA_ALIGNMENT;
    return true;
}

static bool work(const ra_op *op, int32_t n, int32_t workers, bool training, size_t *bytes)
{
    ra_shape part = computed_shape(op);
    ra_conv conv = ra_conv_of(op->layer, part, op->in_shape[0]);
    size_t one = 0, most = 0, copy = 0;
    if (!part_bytes(op, part, n, &copy) ||
        !ra_conv_most(ra_conv_backward_input_work(&conv, n, workers, &one), &one, &most))
        return false;
    if (training &&
        !(ra_conv_most(ra_conv_forward_work(&conv, n, workers, false, &one), &one, &most) &&
          ra_conv_most(ra_conv_backward_filter_work(&conv, n, workers, &one), &one, &most) &&
          ra_conv_most(ra_conv_backward_bias_work((int64_t)n * part.h * part.w, part.c, &one), &one, &most)))
        return false;
    return ra_add_size(copy, most, bytes);
}

/* ---- passes ---- */

typedef struct copy_job {
    ra_shape part, whole;
    const float *source;
    float *target;
} copy_job;

/* Rows of the whole output: the part, and zeros beyond. */
static void extend_rows(void *data, int64_t begin, int64_t end)
{
    const copy_job *job = data;
    size_t inside = (size_t)job->part.w * (size_t)job->part.c, all = (size_t)job->whole.w * (size_t)job->part.c;
    for (int64_t row = begin; row < end; row++) {
        int64_t image = row / job->whole.h, y = row % job->whole.h;
        float *target = job->target + (size_t)row * all;
        size_t known = y < job->part.h ? inside : 0;
        if (known > 0)
            memcpy(target, job->source + (size_t)(image * job->part.h + y) * inside, known * sizeof(float));
        memset(target + known, 0, (all - known) * sizeof(float));
    }
}

/* Rows of the part. */
static void crop_rows(void *data, int64_t begin, int64_t end)
{
    const copy_job *job = data;
    size_t inside = (size_t)job->part.w * (size_t)job->part.c, all = (size_t)job->whole.w * (size_t)job->part.c;
    for (int64_t row = begin; row < end; row++) {
        int64_t image = row / job->part.h, y = row % job->part.h;
        memcpy(job->target + (size_t)row * inside, job->source + (size_t)(image * job->whole.h + y) * all,
               inside * sizeof(float));
    }
}

static void *after_part(const ra_op *op, const ra_run *run, ra_shape part)
{
    size_t bytes;
    return part_bytes(op, part, run->n, &bytes) ? (char *)run->work + bytes : NULL;
}

static void forward(const ra_op *op, const ra_run *run)
{
    const ra_param *params = op->layer->params;
    ra_shape part = computed_shape(op);
    ra_conv conv = ra_conv_of(op->layer, part, op->in_shape[0]);
    bool extended = is_extended(op, part);
    float *out = extended ? run->work : run->out;
    const float *weight = op->weight, *bias = op->bias;
    if (weight == NULL) {
        weight = params[WEIGHT].value;
        bias = ra_int(op->layer, HAS_BIAS) ? params[BIAS].value : NULL;
    }
    ra_conv_backward_input(run->context, &conv, run->n, run->in[0], weight, false, out, after_part(op, run, part));
    if (bias != NULL)
        ra_conv_add_bias(run->context, (int64_t)run->n * part.h * part.w, part.c, bias, out);
    if (extended) {
        copy_job job = {part, op->out_shape, out, run->out};
        ra_parallel_ranges(run->context, extend_rows, &job, (int64_t)run->n * op->out_shape.h,
                           ra_range_step((int64_t)op->out_shape.w * part.c));
    }
}

static void backward(const ra_op *op, const ra_run *run)
{
    const ra_param *params = op->layer->params;
    ra_shape part = computed_shape(op);
    ra_conv conv = ra_conv_of(op->layer, part, op->in_shape[0]);
    void *scratch = after_part(op, run, part);
    const float *dout = run->dout;
    if (is_extended(op, part)) {
        copy_job job = {part, op->out_shape, dout, run->work};
        ra_parallel_ranges(run->context, crop_rows, &job, (int64_t)run->n * part.h,
                           ra_range_step((int64_t)part.w * part.c));
        dout = run->work;
    }
    if (ra_int(op->layer, HAS_BIAS))
        ra_conv_backward_bias(run->context, (int64_t)run->n * part.h * part.w, part.c, dout, run->accumulate_params,
                              params[BIAS].gradient, scratch);
    ra_conv_backward_filter(run->context, &conv, run->n, dout, run->in[0], run->accumulate_params,
                            params[WEIGHT].gradient, scratch);
    if (run->din[0] != NULL)
        ra_conv_forward(run->context, &conv, run->n, dout, params[WEIGHT].value, false, NULL, false, run->accumulate[0],
                        run->din[0], scratch);
}

/* ---- the layer ---- */

static const ra_op_kind conv_transpose2d_op = {
    .name = "conv_transpose2d",
    .flags = RA_READS_INPUTS,
    .shape = shape,
    .work = work,
    .forward = forward,
    .backward = backward,
};

static bool infer(resattn_layer *layer)
{
    if (!ra_conv_infer(layer))
        return false;
    int32_t groups = ra_int(layer, GROUPS);
    int64_t filter[4] = {layer->in_c, layer->out_c / groups, ra_int(layer, KERNEL_H), ra_int(layer, KERNEL_W)};
    int64_t bias[1] = {layer->out_c};
    /* how many products an output pixel is the sum of, on average */
    int64_t fan_in = ra_div_up(filter[0] / groups * filter[2] * filter[3],
                               (int64_t)ra_int(layer, STRIDE_H) * ra_int(layer, STRIDE_W));
    ra_init init = ra_int(layer, BILINEAR) ? RA_INIT_BILINEAR : RA_INIT_HE;
    if (!ra_declare(layer, "weight", true, init, fan_in, 4, filter))
        return false;
    return !ra_int(layer, HAS_BIAS) || ra_declare(layer, "bias", true, RA_INIT_ZERO, 1, 1, bias);
}

static int64_t multiply_adds(const resattn_layer *layer, ra_shape in, ra_shape out)
{
    (void)out;
    return ra_conv_products(layer, (int64_t)in.h * in.w);
}

const ra_layer_kind ra_kind_conv_transpose2d = {
    .name = "conv_transpose2d",
    .attributes = attributes,
    .attribute_count = RA_COUNT(attributes),
    .infer = infer,
    .op = &conv_transpose2d_op,
    .multiply_adds = multiply_adds,
};

resattn_layer *resattn_conv_transpose2d_new(resattn_builder *builder, const char *name, int32_t out_channels,
                                            int32_t kernel, int32_t stride, int32_t padding)
{
    return ra_conv_layer_new(builder, &ra_kind_conv_transpose2d, name, out_channels, kernel, stride, padding);
}
