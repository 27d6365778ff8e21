/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The reference: leaves. A layer that is linear in its input is written once, as the list of its products; forward and
 * backward are the two ways to read that list.
 */
#include "reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int64_t at(const ref_image *image, int32_t n, int32_t c, int32_t h, int32_t w)
{
    return (((int64_t)n * image->c + c) * image->h + h) * image->w + w;
}

void ref_add(ref_image *image, int64_t index, double value, double magnitude)
{
    image->value[index] += value;
    image->magnitude[index] += magnitude;
}

void ref_add_gradient(ref_param *param, int64_t index, double value, double magnitude)
{
    param->gradient[index] += value;
    param->magnitude[index] += magnitude;
}

/* out[o] has the term weight * in[i]; `size` is |weight|, or more where the weight itself is rounded. */
static void product(ref_node *node, bool back, int64_t o, int64_t i, double weight, double size)
{
    if (back)
        ref_add(&node->din, i, weight * node->dout.value[o], size * fabs(node->dout.value[o]));
    else
        ref_add(&node->out, o, weight * node->in.value[i], size * fabs(node->in.value[i]));
}

/* The same for weight number `w` of the layer. */
static void weight_product(ref_node *node, bool back, int64_t o, int64_t i, int64_t w)
{
    ref_param *weight = &node->params[REF_WEIGHT];
    product(node, back, o, i, weight->value[w], fabs(weight->value[w]));
    if (back) {
        double term = node->in.value[i] * node->dout.value[o];
        ref_add_gradient(weight, w, term, fabs(term));
    }
}

/* out[o] has the bias number `b` as a term. */
static void bias_term(ref_node *node, bool back, int64_t o, int64_t b)
{
    ref_param *bias = &node->params[REF_BIAS];
    if (bias->index >= 0 && back)
        ref_add_gradient(bias, b, node->dout.value[o], fabs(node->dout.value[o]));
    else if (bias->index >= 0)
        ref_add(&node->out, o, bias->value[b], fabs(bias->value[b]));
}

void ref_set_lengths(ref_node *node, bool back, double terms, double back_terms)
{
    if (!back) {
        node->out.length = terms;
        return;
    }
    node->din.length = back_terms;
    for (int32_t p = 0; p < REF_PARAMS; p++)
        node->params[p].length += (double)node->out.n * node->out.h * node->out.w;
}

/* ---- convolution ---- */

typedef struct window {
    int32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, top, left, bottom, right;
} window;

static window read_window(const ref_node *node, bool dilated)
{
    return (window){.kernel_h = ref_int(node, "kernel_h"),
                    .kernel_w = ref_int(node, "kernel_w"),
                    .stride_h = ref_int(node, "stride_h"),
                    .stride_w = ref_int(node, "stride_w"),
                    .dilation_h = dilated ? ref_int(node, "dilation_h") : 1,
                    .dilation_w = dilated ? ref_int(node, "dilation_w") : 1,
                    .top = ref_int(node, "pad_top"),
                    .left = ref_int(node, "pad_left"),
                    .bottom = ref_int(node, "pad_bottom"),
                    .right = ref_int(node, "pad_right")};
}

static bool inside(int32_t i, int32_t size)
{
    return i >= 0 && i < size;
}

/* All products of a convolution from `wide` (the image with padding) to `narrow`. Transposed: out is the wide one,
 * filters are IOHW; otherwise OIHW: either way the narrow side's channel comes first. */
static void convolve(ref_node *node, bool back, const window *k, bool transposed)
{
    const ref_image *wide = transposed ? &node->out : &node->in, *narrow = transposed ? &node->in : &node->out;
    int32_t groups = ref_int(node, "groups");
    int32_t wide_c = wide->c / groups, narrow_c = narrow->c / groups;
    for (int32_t n = 0; n < wide->n; n++)
        for (int32_t c = 0; c < narrow->c; c++)
            for (int32_t h = 0; h < narrow->h; h++)
                for (int32_t w = 0; w < narrow->w; w++)
                    for (int32_t j = 0; j < wide_c; j++)
                        for (int32_t y = 0; y < k->kernel_h; y++)
                            for (int32_t x = 0; x < k->kernel_w; x++) {
                                int32_t wh = h * k->stride_h - k->top + y * k->dilation_h;
                                int32_t ww = w * k->stride_w - k->left + x * k->dilation_w;
                                if (!inside(wh, wide->h) || !inside(ww, wide->w))
                                    continue;
                                int64_t a = at(narrow, n, c, h, w);
                                int64_t b = at(wide, n, c / narrow_c * wide_c + j, wh, ww);
                                int64_t i = (((int64_t)c * wide_c + j) * k->kernel_h + y) * k->kernel_w + x;
                                weight_product(node, back, transposed ? b : a, transposed ? a : b, i);
                            }
    double area = (double)k->kernel_h * k->kernel_w;
    double to_narrow = area * wide_c + 1, to_wide = area * narrow_c + 1;
    ref_set_lengths(node, back, transposed ? to_wide : to_narrow, transposed ? to_narrow : to_wide);
    if (transposed)
        node->params[REF_WEIGHT].length =
            fmax(node->params[REF_WEIGHT].length, (double)narrow->n * narrow->h * narrow->w);
}

static void conv2d(ref_node *node, bool back)
{
    window k = read_window(node, true);
    const ref_image *in = &node->in;
    if (!back)
        node->out = ref_image_new(in->n, ref_int(node, "out_channels"),
                                  (in->h + k.top + k.bottom - k.dilation_h * (k.kernel_h - 1) - 1) / k.stride_h + 1,
                                  (in->w + k.left + k.right - k.dilation_w * (k.kernel_w - 1) - 1) / k.stride_w + 1);
    convolve(node, back, &k, false);
    for (int64_t o = 0; o < ref_image_count(&node->out); o++)
        bias_term(node, back, o, o / ((int64_t)node->out.h * node->out.w) % node->out.c);
}

/* The natural size without output padding, and how much of the output is computed where a container asks for a size. */
static int32_t transposed_size(int32_t in, int32_t stride, int32_t pads, int32_t reach, int32_t output_pad,
                               int32_t target)
{
    int32_t natural = (in - 1) * stride - pads + reach + 1;
    if (target == 0)
        return natural + output_pad;
    return target < natural + stride - 1 ? target : natural + stride - 1;
}

static void conv_transpose2d(ref_node *node, bool back)
{
    window k = read_window(node, true);
    const ref_image *in = &node->in;
    int32_t h = transposed_size(in->h, k.stride_h, k.top + k.bottom, k.dilation_h * (k.kernel_h - 1),
                                ref_int(node, "output_pad_h"), node->target_h);
    int32_t w = transposed_size(in->w, k.stride_w, k.left + k.right, k.dilation_w * (k.kernel_w - 1),
                                ref_int(node, "output_pad_w"), node->target_w);
    int32_t full_h = node->target_h != 0 ? node->target_h : h, full_w = node->target_w != 0 ? node->target_w : w;
    ref_image whole = {0};
    if (!back)
        whole = ref_image_new(in->n, ref_int(node, "out_channels"), full_h, full_w);
    else
        whole = node->out;
    /* beyond h x w there are zeros: the products are those of an image that ends there */
    ref_image part = ref_image_new(whole.n, whole.c, h, w), dout = ref_image_new(whole.n, whole.c, h, w);
    ref_image whole_dout = node->dout;
    for (int64_t i = 0; back && i < ref_image_count(&dout); i++) {
        int64_t row = i / w, y = row % h, map = row / h;
        dout.value[i] = whole_dout.value[(map * full_h + y) * full_w + i % w];
    }
    node->out = part;
    node->dout = dout;
    convolve(node, back, &k, true);
    for (int64_t o = 0; o < ref_image_count(&part); o++)
        bias_term(node, back, o, o / ((int64_t)h * w) % whole.c);
    part = node->out;
    for (int64_t i = 0; !back && i < ref_image_count(&part); i++) {
        int64_t row = i / w, y = row % h, map = row / h;
        whole.value[(map * full_h + y) * full_w + i % w] = part.value[i];
        whole.magnitude[(map * full_h + y) * full_w + i % w] = part.magnitude[i];
    }
    if (!back)
        whole.length = part.length;
    ref_image_free(&part);
    ref_image_free(&dout);
    node->out = whole;
    node->dout = whole_dout;
}

static void linear(ref_node *node, bool back)
{
    int32_t in = node->in.c, out = ref_int(node, "out_features");
    if (!back)
        node->out = ref_image_new(node->in.n, out, 1, 1);
    for (int32_t n = 0; n < node->in.n; n++)
        for (int32_t o = 0; o < out; o++) {
            for (int32_t i = 0; i < in; i++)
                weight_product(node, back, (int64_t)n * out + o, (int64_t)n * in + i, (int64_t)o * in + i);
            bias_term(node, back, (int64_t)n * out + o, o);
        }
    ref_set_lengths(node, back, in + 1, out);
}

/* ---- pooling ---- */

static int32_t pooled_size(int32_t in, int32_t before, int32_t after, int32_t kernel, int32_t stride, bool ceiling)
{
    int32_t room = in + before + after - kernel;
    int32_t out = (ceiling ? (room + stride - 1) / stride : room / stride) + 1;
    /* as in Caffe and PyTorch: no window begins beyond the input and the padding before it */
    if (ceiling && (out - 1) * stride >= in + before)
        out--;
    return out;
}

static void new_pooled(ref_node *node, const window *k)
{
    bool ceiling = ref_int(node, "ceil_mode") != 0;
    node->out = ref_image_new(node->in.n, node->in.c,
                              pooled_size(node->in.h, k->top, k->bottom, k->kernel_h, k->stride_h, ceiling),
                              pooled_size(node->in.w, k->left, k->right, k->kernel_w, k->stride_w, ceiling));
}

/* The input positions of window `o` along one dimension: first, and one past the last. */
static int32_t window_begin(int32_t o, int32_t stride, int32_t before)
{
    return o * stride - before > 0 ? o * stride - before : 0;
}
static int32_t window_end(int32_t o, int32_t stride, int32_t before, int32_t kernel, int32_t size)
{
    int32_t end = o * stride - before + kernel;
    return end < size ? end : size;
}

static void max_pool_window(ref_node *node, const window *k, int32_t map, int32_t h, int32_t w, int64_t o)
{
    double best = -INFINITY;
    int64_t winner = -1;
    for (int32_t y = window_begin(h, k->stride_h, k->top);
         y < window_end(h, k->stride_h, k->top, k->kernel_h, node->in.h); y++)
        for (int32_t x = window_begin(w, k->stride_w, k->left);
             x < window_end(w, k->stride_w, k->left, k->kernel_w, node->in.w); x++) {
            int64_t i = ((int64_t)map * node->in.h + y) * node->in.w + x;
            if (winner >= 0)
                node->margin = fmin(node->margin, fabs(node->in.value[i] - best));
            if (node->in.value[i] > best) {
                best = node->in.value[i];
                winner = i;
            }
        }
    node->winners[o] = winner;
}

static void max_pool(ref_node *node, bool back)
{
    window k = read_window(node, false);
    if (!back) {
        new_pooled(node, &k);
        node->winners = calloc((size_t)ref_image_count(&node->out) + 1, sizeof(int64_t));
        if (node->winners == NULL)
            abort();
    }
    for (int64_t o = 0; o < ref_image_count(&node->out); o++) {
        int64_t map = o / node->out.w / node->out.h;
        if (!back)
            max_pool_window(node, &k, (int32_t)map, (int32_t)(o / node->out.w % node->out.h),
                            (int32_t)(o % node->out.w), o);
        product(node, back, o, node->winners[o], 1, 1);
    }
    ref_set_lengths(node, back, 0, (double)k.kernel_h * k.kernel_w);
}

static void average_pool(ref_node *node, bool back)
{
    window k = read_window(node, false);
    const ref_image *in = &node->in;
    bool count_padding = ref_int(node, "count_padding") != 0;
    if (!back)
        new_pooled(node, &k);
    for (int64_t o = 0; o < ref_image_count(&node->out); o++) {
        int32_t w = (int32_t)(o % node->out.w), h = (int32_t)(o / node->out.w % node->out.h);
        int32_t y0 = window_begin(h, k.stride_h, k.top), y1 = window_end(h, k.stride_h, k.top, k.kernel_h, in->h);
        int32_t x0 = window_begin(w, k.stride_w, k.left), x1 = window_end(w, k.stride_w, k.left, k.kernel_w, in->w);
        int32_t rows = y1 - y0, columns = x1 - x0;
        if (count_padding) { /* what a last window has beyond the padding is not padding */
            rows = window_end(h, k.stride_h, k.top, k.kernel_h, in->h + k.bottom) - (h * k.stride_h - k.top);
            columns = window_end(w, k.stride_w, k.left, k.kernel_w, in->w + k.right) - (w * k.stride_w - k.left);
        }
        double weight = 1.0 / ((double)rows * columns);
        for (int32_t y = y0; y < y1; y++)
            for (int32_t x = x0; x < x1; x++)
                product(node, back, o, (o / node->out.w / node->out.h * in->h + y) * in->w + x, weight, weight);
    }
    ref_set_lengths(node, back, (double)k.kernel_h * k.kernel_w, (double)k.kernel_h * k.kernel_w);
}

static void global_average_pool(ref_node *node, bool back)
{
    int64_t map = (int64_t)node->in.h * node->in.w;
    if (!back)
        node->out = ref_image_new(node->in.n, node->in.c, 1, 1);
    for (int64_t i = 0; i < ref_image_count(&node->in); i++)
        product(node, back, i / map, i, 1.0 / (double)map, 1.0 / (double)map);
    ref_set_lengths(node, back, (double)map, 1);
}

/* ---- places ---- */

static int32_t resized(int32_t in, int32_t fixed, double factor, int32_t target)
{
    if (fixed > 0)
        return fixed;
    if (target > 0)
        return target;
    return (int32_t)floor(in * factor);
}

static double source(int32_t i, int32_t in, int32_t out, bool corners)
{
    if (corners)
        return out == 1 ? 0 : (double)i * (in - 1) / (out - 1);
    return fmax((i + 0.5) * in / out - 0.5, 0);
}

static void bilinear_resize(ref_node *node, bool back)
{
    const ref_image *in = &node->in;
    double factor = ref_real(node, "factor", 0);
    bool corners = ref_int(node, "align_corners") != 0;
    if (!back)
        node->out = ref_image_new(in->n, in->c, resized(in->h, ref_int(node, "height"), factor, node->target_h),
                                  resized(in->w, ref_int(node, "width"), factor, node->target_w));
    for (int64_t o = 0; o < ref_image_count(&node->out); o++) {
        double y = source((int32_t)(o / node->out.w % node->out.h), in->h, node->out.h, corners);
        double x = source((int32_t)(o % node->out.w), in->w, node->out.w, corners);
        for (int32_t tap = 0; tap < 4; tap++) {
            double fy = y - floor(y), fx = x - floor(x);
            double weight = (tap / 2 ? fy : 1 - fy) * (tap % 2 ? fx : 1 - fx);
            int32_t iy = (int32_t)floor(y) + tap / 2, ix = (int32_t)floor(x) + tap % 2;
            iy = iy < in->h ? iy : in->h - 1;
            ix = ix < in->w ? ix : in->w - 1;
            /* the fractions may come from coordinates in single precision */
            product(node, back, o, (o / node->out.w / node->out.h * in->h + iy) * in->w + ix, weight, weight + y + x);
        }
    }
    double each = ceil((double)node->out.h / in->h + 2) * ceil((double)node->out.w / in->w + 2);
    ref_set_lengths(node, back, 8, 4 * each);
}

static void subsample(ref_node *node, bool back)
{
    int32_t stride = ref_int(node, "stride"), before = (ref_int(node, "out_channels") - node->in.c) / 2;
    if (!back)
        node->out = ref_image_new(node->in.n, ref_int(node, "out_channels"), (node->in.h + stride - 1) / stride,
                                  (node->in.w + stride - 1) / stride);
    for (int32_t n = 0; n < node->in.n; n++)
        for (int32_t c = 0; c < node->in.c; c++)
            for (int32_t h = 0; h < node->out.h; h++)
                for (int32_t w = 0; w < node->out.w; w++)
                    product(node, back, at(&node->out, n, c + before, h, w),
                            at(&node->in, n, c, h * stride, w * stride), 1, 1);
    ref_set_lengths(node, back, 0, 0);
}

/* ---- one element at a time ---- */

static void elementwise(ref_node *node, bool back)
{
    bool relu = strcmp(node->kind, "relu") == 0, sigmoid = strcmp(node->kind, "sigmoid") == 0;
    bool dropout = strcmp(node->kind, "dropout") == 0 && node->training && node->kept != NULL;
    double factor = strcmp(node->kind, "scale") == 0 ? ref_real(node, "factor", 1) : 1;
    double share = dropout ? 1 - ref_real(node, "probability", 0) : 1;
    if (!back)
        node->out = ref_image_new(node->in.n, node->in.c, node->in.h, node->in.w);
    for (int64_t i = 0; i < ref_image_count(&node->in); i++) {
        double x = node->in.value[i];
        if (relu)
            node->margin = fmin(node->margin, fabs(x));
        if (sigmoid) {
            double y = 1 / (1 + exp(-x)), slope = y * (1 - y);
            if (back)
                ref_add(&node->din, i, slope * node->dout.value[i], (1 + fabs(x)) * y * fabs(node->dout.value[i]));
            else
                ref_add(&node->out, i, y, (1 + fabs(x)) * y);
            continue;
        }
        double weight = relu ? (x > 0 ? 1 : 0) : dropout ? node->kept[i] / share : factor;
        product(node, back, i, i, weight, fabs(weight));
    }
    ref_set_lengths(node, back, 8, 8);
}

/* ---- the table ---- */

static const struct {
    const char *kind;
    void (*run)(ref_node *node, bool back);
} leaves[] = {
    {"average_pool", average_pool},
    {"batch_norm", ref_batch_norm},
    {"bilinear_resize", bilinear_resize},
    {"channel_norm", ref_channel_norm},
    {"conv2d", conv2d},
    {"conv_transpose2d", conv_transpose2d},
    {"dropout", elementwise},
    {"global_average_pool", global_average_pool},
    {"identity", elementwise},
    {"linear", linear},
    {"instance_norm", ref_instance_norm},
    {"max_pool", max_pool},
    {"relu", elementwise},
    {"scale", elementwise},
    {"sigmoid", elementwise},
    {"softmax", ref_softmax},
    {"subsample", subsample},
};

static bool run_leaf(ref_node *node, bool back)
{
    for (size_t i = 0; i < sizeof leaves / sizeof *leaves; i++)
        if (strcmp(leaves[i].kind, node->kind) == 0) {
            leaves[i].run(node, back);
            return true;
        }
    return false;
}

bool ref_leaf_forward(ref_node *node)
{
    return run_leaf(node, false);
}

bool ref_leaf_backward(ref_node *node)
{
    return run_leaf(node, true);
}
