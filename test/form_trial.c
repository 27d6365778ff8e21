/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Convolutions and what must come out of them: see form_trial.h.
 */
#include "form_trial.h"
#include "winograd_matrices.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static int32_t group_in(const ra_conv *c)
{
    return c->in_c / c->groups;
}

static int32_t group_out(const ra_conv *c)
{
    return c->out_c / c->groups;
}

double form_products(const ra_conv *c)
{
    if (c->out_h < 1 || c->out_w < 1)
        return 0;
    return (double)c->out_h * c->out_w * c->out_c * c->kernel_h * c->kernel_w * group_in(c);
}

/* ---- the sums ---- */

/* The filter in the order (group, tap, input channel, output channel), so that the innermost loop is contiguous. */
static double *reorder(const form_trial *t)
{
    const ra_conv *c = &t->conv;
    int32_t taps = c->kernel_h * c->kernel_w, in = group_in(c), out = group_out(c);
    double *weights = new_doubles((size_t)c->out_c * (size_t)(taps * in)), *next = weights;
    for (int32_t group = 0; group < c->groups; group++)
        for (int32_t l = 0; l < taps * in; l++)
            for (int32_t o = 0; o < out; o++)
                *next++ = (double)t->filter[(group * out + o) * taps * in + l];
    return weights;
}

/* The pixel of the image that a tap sees, or NULL. */
const float *pixel_at(const maps *images, int32_t image, int32_t y, int32_t x)
{
    bool inside = y >= 0 && y < images->h && x >= 0 && x < images->w;
    return inside ? images->data + (((int64_t)image * images->h + y) * images->w + x) * images->c : NULL;
}

static maps inputs_of(const form_trial *t)
{
    return (maps){t->x, t->conv.in_h, t->conv.in_w, t->conv.in_c};
}

static void add_tap(const ra_conv *c, const float *pixel, int32_t tap, const double *weights, double *value,
                    double *magnitude)
{
    int32_t taps = c->kernel_h * c->kernel_w, in = group_in(c), out = group_out(c);
    for (int32_t group = 0; group < c->groups; group++)
        for (int32_t i = 0; i < in; i++) {
            double x = (double)pixel[group * in + i];
            const double *row = weights + (size_t)((group * taps + tap) * in + i) * (size_t)out;
            for (int32_t o = 0; o < out; o++) {
                value[group * out + o] += x * row[o];
                magnitude[group * out + o] += fabs(x * row[o]);
            }
        }
}

static void sum_products(form_trial *t)
{
    const ra_conv *c = &t->conv;
    maps images = inputs_of(t);
    double *weights = reorder(t);
    for (size_t p = 0; p < t->pixels; p++) {
        int32_t row = (int32_t)(p / (size_t)c->out_w), ox = (int32_t)(p % (size_t)c->out_w);
        int32_t image = row / c->out_h, oy = row % c->out_h;
        for (int32_t tap = 0; tap < c->kernel_h * c->kernel_w; tap++) {
            const float *pixel =
                pixel_at(&images, image, oy * c->stride_h - c->pad_top + tap / c->kernel_w * c->dilation_h,
                         ox * c->stride_w - c->pad_left + tap % c->kernel_w * c->dilation_w);
            if (pixel != NULL)
                add_tap(c, pixel, tap, weights, t->value + p * (size_t)c->out_c, t->magnitude + p * (size_t)c->out_c);
        }
    }
    free(weights);
}

/* ---- the same with Winograd's matrices, all of absolute values ---- */

/* |G| |g| |G|^T for all channels, in the order (value, input channel, output channel). */
static double *filter_magnitudes(const form_trial *t, const winograd_matrices *w)
{
    int32_t in = t->conv.in_c, out = t->conv.out_c, values = w->size * w->size;
    double *u = new_doubles((size_t)values * (size_t)in * (size_t)out);
    for (int32_t v = 0; v < values; v++)
        for (int32_t tap = 0; tap < 9; tap++) {
            double factor = fabs(w->filter[v / w->size][tap / 3] * w->filter[v % w->size][tap % 3]);
            for (int32_t o = 0; factor > 0 && o < out; o++)
                for (int32_t i = 0; i < in; i++)
                    u[(size_t)(v * in + i) * (size_t)out + (size_t)o] +=
                        factor * fabs((double)t->filter[(o * 9 + tap) * in + i]);
        }
    return u;
}

void tile_magnitudes(const double (*rows)[6], int32_t out, int32_t in, const maps *images, int32_t image, int32_t y,
                     int32_t x, double *sums)
{
    memset(sums, 0, (size_t)(out * out * images->c) * sizeof(double));
    for (int32_t d = 0; d < in * in; d++) {
        const float *pixel = pixel_at(images, image, y + d / in, x + d % in);
        for (int32_t v = 0; pixel != NULL && v < out * out; v++) {
            double factor = fabs(rows[v / out][d / in] * rows[v % out][d % in]);
            for (int32_t c = 0; factor > 0 && c < images->c; c++)
                sums[v * images->c + c] += factor * fabs((double)pixel[c]);
        }
    }
}

static void add_tile(const form_trial *t, const winograd_matrices *w, int32_t image, int32_t y, int32_t x,
                     const double *products, double *magnitude)
{
    const ra_conv *c = &t->conv;
    int32_t size = w->size;
    for (int32_t i = 0; i < w->tile && y + i < c->out_h; i++)
        for (int32_t j = 0; j < w->tile && x + j < c->out_w; j++) {
            size_t pixel = (size_t)(image * c->out_h + y + i) * (size_t)c->out_w + (size_t)(x + j);
            double *target = magnitude + pixel * (size_t)c->out_c;
            for (int32_t v = 0; v < size * size; v++) {
                double factor = fabs(w->output[i][v / size] * w->output[j][v % size]);
                for (int32_t o = 0; factor > 0 && o < c->out_c; o++)
                    target[o] += factor * products[v * c->out_c + o];
            }
        }
}

static double *winograd_magnitudes(const form_trial *t, const winograd_matrices *w)
{
    const ra_conv *c = &t->conv;
    maps images = inputs_of(t);
    int32_t values = w->size * w->size, in = c->in_c, out = c->out_c;
    double *magnitude = new_doubles(t->outputs), *u = filter_magnitudes(t, w);
    double *v = new_doubles((size_t)(values * in)), *products = new_doubles((size_t)(values * out));
    for (int32_t image = 0; image < t->n; image++)
        for (int32_t y = 0; y < c->out_h; y += w->tile)
            for (int32_t x = 0; x < c->out_w; x += w->tile) {
                tile_magnitudes(w->input, w->size, w->size, &images, image, y - c->pad_top, x - c->pad_left, v);
                for (int32_t i = 0; i < values * out; i++)
                    products[i] = 0;
                for (int32_t i = 0; i < values * in; i++)
                    for (int32_t o = 0; o < out; o++)
                        products[i / in * out + o] += v[i] * u[(size_t)i * (size_t)out + (size_t)o];
                add_tile(t, w, image, y, x, products, magnitude);
            }
    free(u);
    free(v);
    free(products);
    return magnitude;
}

/* ---- trials ---- */

/* The outputs are about as large as the inputs, so that sigmoids are not saturated. */
static float *new_filter(const ra_conv *c)
{
    size_t depth = (size_t)(c->kernel_h * c->kernel_w * group_in(c)), count = (size_t)c->out_c * depth;
    float *filter = new_floats(count, true), factor = (float)(3 / sqrt((double)depth));
    for (size_t i = 0; i < count; i++)
        filter[i] *= factor;
    return filter;
}

void form_trial_begin(form_trial *t, const ra_conv *conv, int32_t n)
{
    size_t channels = (size_t)conv->out_c;
    *t = (form_trial){.conv = *conv, .n = n, .pixels = (size_t)n * (size_t)conv->out_h * (size_t)conv->out_w};
    t->outputs = t->pixels * channels;
    t->x = new_floats((size_t)n * (size_t)conv->in_h * (size_t)conv->in_w * (size_t)conv->in_c, true);
    t->filter = new_filter(conv);
    t->bias = new_floats(channels, true);
    t->addend = new_floats(t->outputs, true);
    t->trunk = new_floats(t->outputs, true);
    t->scale = new_floats(channels, true);
    t->shift = new_floats(channels, true);
    t->value = new_doubles(t->outputs);
    t->magnitude = new_doubles(t->outputs);
    sum_products(t);
    if (ra_conv_takes_form(conv, RA_CONV_WINOGRAD2))
        t->winograd2 = winograd_magnitudes(t, &winograd2);
    if (ra_conv_takes_form(conv, RA_CONV_WINOGRAD4))
        t->winograd4 = winograd_magnitudes(t, &winograd4);
}

void form_trial_end(form_trial *t)
{
    float *floats[] = {t->x, t->filter, t->bias, t->addend, t->trunk, t->scale, t->shift};
    double *doubles[] = {t->value, t->magnitude, t->winograd2, t->winograd4};
    for (int32_t i = 0; i < RA_COUNT(floats); i++)
        free_floats(floats[i]);
    for (int32_t i = 0; i < RA_COUNT(doubles); i++)
        free(doubles[i]);
}

form_options pick_options(ra_conv_form form)
{
    return (form_options){
        .bias = pick_bool(),
        .relu = pick_bool(),
        .sigmoid = pick(0, 2) == 0,
        .trunk = pick(0, 2) == 0,
        .second_relu = pick_bool(),
        .short_sums = pick_bool(),
        .plus = (float)pick(0, 1),
        .addend = form == RA_CONV_LANES ? NO_ADDEND : (addend_kind)pick(0, ADDEND_KINDS - 1),
        .second = (second_kind)pick(0, SECOND_KINDS - 1),
        .gap = form == RA_CONV_BLIS || pick_bool() ? 0 : pick(1, 40),
    };
}

const char *form_describe(const form_trial *t, ra_conv_form form, const form_options *o)
{
    static const char *const addends[] = {"", ", addend", ", addend y"};
    static const char *const seconds[] = {"", ", second", ", second y"};
    static char text[500];
    const ra_conv *c = &t->conv;
    snprintf(
        text, sizeof text,
        "%s at %s, n %d, in %dx%dx%d, out %dx%dx%d, kernel %dx%d, stride %dx%d, dilation %dx%d, pad %d %d, groups %d"
        "%s%s%s%s%s%s%s%s, y_row + %d",
        ra_conv_form_name(c, form), ra_cpu_level_name(ra_cpu()), t->n, c->in_c, c->in_h, c->in_w, c->out_c, c->out_h,
        c->out_w, c->kernel_h, c->kernel_w, c->stride_h, c->stride_w, c->dilation_h, c->dilation_w, c->pad_top,
        c->pad_left, c->groups, o->bias ? ", bias" : "", addends[o->addend], o->relu ? ", relu" : "",
        o->sigmoid ? ", sigmoid" : "", o->trunk ? ", trunk" : "", seconds[o->second],
        o->second_relu ? ", second_relu" : "", o->short_sums ? ", short sums" : "", o->gap);
    return text;
}

/* ---- what must come out ---- */

/*
 * Winograd: a weight passes at most four roundings in each dimension and an input three (kernel_winograd.c), their
 * product and its sum over the channels in_c + 1, and that again three in each dimension; bias and addend add two. All
 * in all at most in_c + 23 of the sum that the matrices' and the data's absolute values give, as no step makes an
 * intermediate term larger than the term that it stands for there; in_c + 40 leaves room for the products of roundings.
 */
static estimate expect_sum(const form_trial *t, ra_conv_form form, size_t index, double more, double more_magnitude)
{
    const ra_conv *c = &t->conv;
    double magnitude = t->magnitude[index], length = (double)c->kernel_h * c->kernel_w * group_in(c);
    if (form == RA_CONV_WINOGRAD2 || form == RA_CONV_WINOGRAD4) {
        magnitude = (form == RA_CONV_WINOGRAD2 ? t->winograd2 : t->winograd4)[index];
        length = c->in_c + 32;
    }
    return estimate_sum(t->value[index] + more, magnitude + more_magnitude, length);
}

/* The slope is at most 1/4. The exponential is within two unit roundoffs (test_loops.c), sum and quotient add one each.
 */
static estimate expect_sigmoid(estimate x)
{
    double y = 1 / (1 + exp(-x.value));
    return (estimate){y, x.error / 4 + 8 * UNIT_ROUNDOFF * y};
}

/* A sum and a product: two roundings. */
static estimate expect_gate(estimate x, float trunk, float plus)
{
    double factor = fabs((double)trunk), terms = fabs((double)plus) + fabs(x.value) + x.error;
    return (estimate){(double)trunk * ((double)plus + x.value), factor * (x.error + 3 * UNIT_ROUNDOFF * terms) + 1e-30};
}

void form_expect(const form_trial *t, ra_conv_form form, const form_options *o, size_t index, estimate *y,
                 estimate *second)
{
    size_t channel = index % (size_t)t->conv.out_c;
    double bias = o->bias ? (double)t->bias[channel] : 0;
    double addend = o->addend == NO_ADDEND ? 0 : (double)t->addend[index];
    *y = expect_sum(t, form, index, bias + addend, fabs(bias) + fabs(addend));
    if (o->relu)
        *y = estimate_relu(*y);
    if (o->sigmoid)
        *y = expect_sigmoid(*y);
    if (o->trunk)
        *y = expect_gate(*y, t->trunk[index], o->plus);
    *second = estimate_affine(*y, t->scale[channel], t->shift[channel]);
    if (o->second_relu)
        *second = estimate_relu(*second);
}
