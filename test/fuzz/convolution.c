/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Convolutions and transposed convolutions with random parameters. Forward, in inference and in training, is compared
 * with the definition in double precision. Backward belongs to forward, which is linear: for a gradient G of the output
 * y, and y without its bias, the sums of G * y, of dx * x and of dw * w are the same.
 */
#include "fuzz.h"

#include <math.h>
#include <string.h>

/* The definition computes them one by one. */
enum { LIMIT = 64 << 20, MOST_MULTIPLY_ADDS = 400000 };

typedef struct shape {
    bool transposed, bias;
    int32_t n, in_c, out_c, groups, h, w, out_h, out_w;
    int32_t kernel[2], stride[2], dilation[2], pad[4]; /* top, left, bottom, right */
    int32_t convolution;                               /* which kernels */
} shape;

static void choose(fuzz_input *in, shape *s)
{
    uint32_t options = fuzz_byte(in);
    *s = (shape){.transposed = options & 1, .bias = options & 2, .n = 1 + (int32_t)(options >> 2 & 1)};
    s->convolution = 1 + (int32_t)(options >> 3 & 3) % 3;
    s->groups = options & 32 ? fuzz_range(in, 1, 6) : 1;
    int32_t wide = options & 64 ? 70 : 12;
    s->in_c = s->groups * (fuzz_range(in, 0, wide) / s->groups + 1);
    s->out_c = s->groups * (fuzz_range(in, 0, wide) / s->groups + 1);
    s->h = fuzz_range(in, 1, 30);
    s->w = fuzz_range(in, 1, 30);
    for (int i = 0; i < 2; i++) {
        s->kernel[i] = options & 128 ? 3 : fuzz_range(in, 1, 7);
        s->stride[i] = fuzz_chance(in, 96) ? fuzz_range(in, 1, 4) : 1;
        s->dilation[i] = fuzz_chance(in, 48) ? fuzz_range(in, 1, 4) : 1;
    }
    for (int i = 0; i < 4; i++)
        s->pad[i] = options & 128 && !fuzz_chance(in, 64) ? 1 : fuzz_range(in, 0, 7);
}

static resattn_network *build(resattn_context *context, const shape *s)
{
    static const char *const names[] = {"kernel_h",   "kernel_w", "stride_h", "stride_w",   "dilation_h",
                                        "dilation_w", "pad_top",  "pad_left", "pad_bottom", "pad_right"};
    const int32_t values[] = {s->kernel[0],   s->kernel[1], s->stride[0], s->stride[1], s->dilation[0],
                              s->dilation[1], s->pad[0],    s->pad[1],    s->pad[2],    s->pad[3]};
    resattn_builder *b = resattn_builder_new(context);
    resattn_layer *layer = s->transposed ? resattn_conv_transpose2d_new(b, "c", s->out_c, 1, 1, 0)
                                         : resattn_conv2d_new(b, "c", s->out_c, 1, 1, 0);
    for (int i = 0; i < 10; i++)
        fuzz_ok(resattn_layer_set_int(layer, names[i], values[i]));
    fuzz_ok(resattn_layer_set_int(layer, "groups", s->groups));
    fuzz_ok(resattn_layer_set_int(layer, "bias", s->bias));
    resattn_network *network = fuzz_made(resattn_network_new(b, layer, s->in_c));
    resattn_builder_free(b);
    return network;
}

/* ---- the definition ---- */

typedef struct sums {
    double value, magnitude;
} sums;

static void add(sums *sum, const shape *s, const float *x, const float *w, const int32_t at[4], const int32_t from[4])
{
    double product = (double)x[((from[0] * s->in_c + from[1]) * s->h + from[2]) * s->w + from[3]];
    int32_t in_group = s->in_c / s->groups, out_group = s->out_c / s->groups, taps = s->kernel[0] * s->kernel[1];
    int32_t row = s->transposed ? from[1] * out_group + at[0] % out_group : at[0] * in_group + from[1] % in_group;
    product *= (double)w[row * taps + at[1] * s->kernel[1] + at[2]];
    sum->value += product;
    sum->magnitude += fabs(product);
}

/* Where the tap `k` of the output's pixel `o` reads, along dimension `d`; -1 for outside. */
static int32_t source(const shape *s, int d, int32_t o, int32_t k)
{
    int32_t size = d ? s->w : s->h;
    int32_t at = s->transposed ? o + s->pad[d] - k * s->dilation[d] : o * s->stride[d] - s->pad[d] + k * s->dilation[d];
    if (s->transposed && (at < 0 || at % s->stride[d]))
        return -1;
    at = s->transposed ? at / s->stride[d] : at;
    return at >= 0 && at < size ? at : -1;
}

static sums define(const shape *s, const float *x, const float *w, int32_t n, int32_t o, int32_t y_at, int32_t x_at)
{
    sums sum = {0, 0};
    int32_t in_group = s->in_c / s->groups, group = o / (s->out_c / s->groups);
    for (int32_t kh = 0; kh < s->kernel[0]; kh++)
        for (int32_t kw = 0; kw < s->kernel[1]; kw++) {
            int32_t h_at = source(s, 0, y_at, kh), w_at = source(s, 1, x_at, kw);
            if (h_at < 0 || w_at < 0)
                continue;
            for (int32_t c = group * in_group; c < (group + 1) * in_group; c++)
                add(&sum, s, x, w, (const int32_t[]){o, kh, kw, 0}, (const int32_t[]){n, c, h_at, w_at});
        }
    return sum;
}

/* ---- values, channels first ---- */

static float *read_tensor(const resattn_tensor *tensor)
{
    int64_t count = resattn_tensor_elements(tensor);
    float *values = malloc((size_t)count * sizeof *values);
    FUZZ_CHECK(values && resattn_tensor_read(tensor, RESATTN_CHANNELS_FIRST, values, count) == RESATTN_OK, "a tensor");
    return values;
}

static float *random_tensor(resattn_tensor *tensor, uint64_t seed)
{
    int64_t count = resattn_tensor_elements(tensor);
    float *values = malloc((size_t)count * sizeof *values);
    FUZZ_CHECK(values != NULL, "no memory");
    for (int64_t i = 0; i < count; i++)
        values[i] = fuzz_value(&seed);
    FUZZ_CHECK(resattn_tensor_write(tensor, RESATTN_CHANNELS_FIRST, values, count) == RESATTN_OK, "a tensor");
    return values;
}

/* The sum of products, and of their magnitudes. */
static sums dot(const float *a, const float *b, int64_t count)
{
    sums sum = {0, 0};
    for (int64_t i = 0; i < count; i++) {
        sum.value += (double)a[i] * (double)b[i];
        sum.magnitude += fabs((double)a[i] * (double)b[i]);
    }
    return sum;
}

/* ---- comparing ---- */

typedef struct values {
    resattn_tensor *image;
    float *x, *w, *bias;
} values;

static void check_forward(const shape *s, const values *v, const float *y)
{
    for (int32_t i = 0; i < s->n * s->out_c * s->out_h * s->out_w; i++) {
        int32_t column = i % s->out_w, row = i / s->out_w % s->out_h, o = i / s->out_w / s->out_h % s->out_c;
        sums sum = define(s, v->x, v->w, i / s->out_w / s->out_h / s->out_c, o, row, column);
        double expected = sum.value + (v->bias ? (double)v->bias[o] : 0);
        FUZZ_CHECK(fabs((double)y[i] - expected) <= 1e-5 * sum.magnitude + 1e-4, "%s %g, expected %g at %d, %d, %d, %d",
                   s->transposed ? "transposed" : "plain", (double)y[i], expected,
                   (int)(i / s->out_w / s->out_h / s->out_c), (int)o, (int)row, (int)column);
    }
}

static void check_backward(const shape *s, resattn_session *session, const values *v, float *y)
{
    resattn_network *network = resattn_session_network(session);
    const resattn_tensor *output = resattn_session_output(session, NULL);
    int64_t count = resattn_tensor_elements(output), plane = (int64_t)s->out_h * s->out_w;
    const int64_t sizes[] = {s->n, s->out_c, s->out_h, s->out_w};
    resattn_tensor *g =
        resattn_tensor_new(resattn_network_context(network), RESATTN_F32, 4, sizes, RESATTN_CHANNELS_FIRST);
    float *gradient = random_tensor(g, 99);
    if (fuzz_ok(resattn_session_set_output_gradient(session, NULL, g)) && fuzz_ok(resattn_session_backward(session))) {
        for (int64_t i = 0; i < count && v->bias; i++)
            y[i] -= v->bias[i / plane % s->out_c];
        const resattn_tensor *dx = resattn_session_input_gradient(session);
        resattn_tensor *dw = resattn_network_parameter_gradient(network, 0);
        float *dx_values = read_tensor(dx), *dw_values = read_tensor(dw);
        sums by_y = dot(gradient, y, count), by_x = dot(dx_values, v->x, resattn_tensor_elements(dx));
        sums by_w = dot(dw_values, v->w, resattn_tensor_elements(dw));
        double most = 1e-5 * (by_y.magnitude + by_x.magnitude + by_w.magnitude) + 1e-4;
        FUZZ_CHECK(fabs(by_y.value - by_x.value) <= most, "G * y is %g, dx * x %g", by_y.value, by_x.value);
        FUZZ_CHECK(fabs(by_y.value - by_w.value) <= most, "G * y is %g, dw * w %g", by_y.value, by_w.value);
        free(dx_values);
        free(dw_values);
    }
    free(gradient);
    resattn_tensor_unref(g);
}

static void run(shape *s, resattn_network *network, const values *v, bool training)
{
    resattn_purpose purpose = training ? RESATTN_TRAINING : RESATTN_INFERENCE;
    resattn_plan *plan = fuzz_made(resattn_plan_new(network, purpose, s->n, s->h, s->w));
    if (plan && !training)
        fuzz_ok(resattn_plan_set_convolution(plan, (resattn_convolution)s->convolution));
    if (plan && training)
        fuzz_ok(resattn_plan_set_input_gradient(plan, 1));
    resattn_session *session =
        plan && resattn_plan_multiply_adds(plan) <= MOST_MULTIPLY_ADDS ? fuzz_made(resattn_session_new(plan)) : NULL;
    if (session && fuzz_ok(resattn_session_forward(session, v->image))) {
        fuzz_ok(resattn_plan_layer_size(plan, resattn_network_root(network), &s->out_h, &s->out_w));
        float *y = read_tensor(resattn_session_output(session, NULL));
        check_forward(s, v, y);
        if (training)
            check_backward(s, session, v, y);
        free(y);
    }
    resattn_session_free(session);
    resattn_plan_free(plan);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    fuzz_input in = {bytes, bytes + size};
    fuzz_heap heap = {.limit = LIMIT};
    shape s;
    choose(&in, &s);
    resattn_context *context = fuzz_context_new(&heap, fuzz_range(&in, 1, 2));
    const int64_t sizes[] = {s.n, s.in_c, s.h, s.w};
    resattn_network *network = build(context, &s);
    values v = {.image = resattn_tensor_new(context, RESATTN_F32, 4, sizes, RESATTN_CHANNELS_LAST)};
    if (network && v.image) {
        v.x = random_tensor(v.image, 1);
        v.w = random_tensor(resattn_network_parameter(network, 0), 2);
        v.bias = s.bias ? random_tensor(resattn_network_parameter(network, 1), 3) : NULL;
        run(&s, network, &v, false);
        run(&s, network, &v, true);
    }
    free(v.x);
    free(v.w);
    free(v.bias);
    resattn_tensor_unref(v.image);
    resattn_network_unref(network);
    fuzz_context_end(&heap, context);
    return 0;
}
