/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Winograd's tiles for the gradients of a 3x3 convolution. That with respect to the input is a convolution, whose forms
 * have tests of their own: here that the filter is packed as it is for one, turned round. That with respect to the
 * filter is compared with loops in double precision.
 */
#include "form_gradients.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "form_trial.h"
#include "kernels/conv_forms_internal.h"
#include "winograd_matrices.h"

/* ---- packing ---- */

void check_turned_packing(const ra_conv *conv, ra_conv_form form)
{
    size_t in_c = (size_t)conv->in_c, out_c = (size_t)conv->out_c, floats;
    float *filter = new_floats(out_c * 9 * in_c, true), *turned = new_floats(in_c * 9 * out_c, false);
    for (size_t o = 0; o < out_c; o++)
        for (size_t tap = 0; tap < 9; tap++)
            for (size_t i = 0; i < in_c; i++)
                turned[(i * 9 + 8 - tap) * out_c + o] = filter[(o * 9 + tap) * in_c + i];
    ra_conv back = *conv;
    back.in_c = conv->out_c;
    back.out_c = conv->in_c;
    ck_assert(ra_conv_packed_floats(&back, form, &floats));
    float *expected = new_floats(floats, false), *packed = new_floats(floats, false);
    ra_conv_pack(&back, form, turned, expected);
    for (int32_t panel = ra_panel_count(&back) - 1; panel >= 0; panel--)
        ra_winograd_pack_turned(&back, form, filter, panel, packed);
    check_guards("turned filter", packed, floats);
    ck_assert_msg(memcmp(expected, packed, floats * sizeof(float)) == 0, "%d to %d channels: packed otherwise",
                  conv->in_c, conv->out_c);
    free_floats(filter);
    free_floats(turned);
    free_floats(expected);
    free_floats(packed);
}

/* ---- the filter's gradient ---- */

typedef struct gradient_trial {
    ra_conv conv;
    int32_t n;
    size_t floats; /* of the filter */
    float *x, *dy, *start;
    double *value, *magnitude;
    const winograd_matrices *matrices;
} gradient_trial;

static maps inputs_of(const gradient_trial *t)
{
    return (maps){t->x, t->conv.in_h, t->conv.in_w, t->conv.in_c};
}

static maps gradients_of(const gradient_trial *t)
{
    return (maps){t->dy, t->conv.out_h, t->conv.out_w, t->conv.out_c};
}

static void add_pixel(const gradient_trial *t, int32_t image, int32_t y, int32_t x)
{
    const ra_conv *c = &t->conv;
    maps inputs = inputs_of(t), gradients = gradients_of(t);
    const float *dy = pixel_at(&gradients, image, y, x);
    for (int32_t tap = 0; tap < 9; tap++) {
        const float *in = pixel_at(&inputs, image, y - c->pad_top + tap / 3, x - c->pad_left + tap % 3);
        for (int32_t o = 0; in && o < c->out_c; o++)
            for (int32_t i = 0; i < c->in_c; i++)
                t->value[(o * 9 + tap) * c->in_c + i] += (double)dy[o] * (double)in[i];
    }
}

/* The sum over all tiles of what Winograd's rounding errors follow. */
static void add_magnitudes(gradient_trial *t)
{
    const ra_conv *c = &t->conv;
    const winograd_matrices *w = t->matrices;
    maps inputs = inputs_of(t), gradients = gradients_of(t);
    int32_t values = w->size * w->size;
    size_t in_c = (size_t)c->in_c, out_c = (size_t)c->out_c;
    double *x = new_doubles((size_t)values * in_c), *dy = new_doubles((size_t)values * out_c);
    double *sums = new_doubles((size_t)values * out_c * in_c);
    for (int32_t image = 0; image < t->n; image++)
        for (int32_t row = 0; row < c->out_h; row += w->tile)
            for (int32_t column = 0; column < c->out_w; column += w->tile) {
                tile_magnitudes(w->input, w->size, w->size, &inputs, image, row - c->pad_top, column - c->pad_left, x);
                tile_magnitudes(w->gradient, w->size, w->tile, &gradients, image, row, column, dy);
                for (size_t vo = 0; vo < (size_t)values * out_c; vo++)
                    for (size_t i = 0; i < in_c; i++)
                        sums[vo * in_c + i] += dy[vo] * x[vo / out_c * in_c + i];
            }
    for (size_t at = 0; at < t->floats; at++) {
        size_t i = at % in_c, tap = at / in_c % 9, o = at / in_c / 9;
        for (int32_t v = 0; v < values; v++)
            t->magnitude[at] += fabs(w->taps[tap / 3][v / w->size] * w->taps[tap % 3][v % w->size]) *
                                sums[((size_t)v * out_c + o) * in_c + i];
    }
    free(x);
    free(dy);
    free(sums);
}

static void expect_gradient(gradient_trial *t)
{
    memset(t->value, 0, t->floats * sizeof(double));
    memset(t->magnitude, 0, t->floats * sizeof(double));
    for (int32_t image = 0; image < t->n; image++)
        for (int32_t y = 0; y < t->conv.out_h; y++)
            for (int32_t x = 0; x < t->conv.out_w; x++)
                add_pixel(t, image, y, x);
    add_magnitudes(t);
}

/* The work memory is for `most` images. */
static float *run(resattn_context *context, const gradient_trial *t, ra_conv_form form, int32_t most, bool accumulate)
{
    size_t bytes;
    ck_assert(ra_winograd_filter_work(&t->conv, form, most, ra_workers(context), &bytes));
    ck_assert(bytes % sizeof(float) == 0);
    float *work = new_floats(bytes / sizeof(float), false), *result = copy_floats(t->start, t->floats);
    ra_winograd_backward_filter(context, &t->conv, form, t->n, t->x, t->dy, accumulate, result, work);
    check_guards("work memory", work, bytes / sizeof(float));
    check_guards("filter's gradient", result, t->floats);
    free_floats(work);
    return result;
}

/* A tile's two transforms, its product, the sum over all tiles, that of the parts, the taps, and what was there. */
static void compare(const gradient_trial *t, const float *got, bool accumulate)
{
    const ra_conv *c = &t->conv;
    int32_t tile = t->matrices->tile;
    double tiles = (double)t->n * (double)ra_div_up(c->out_h, tile) * (double)ra_div_up(c->out_w, tile);
    char what[200];
    snprintf(what, sizeof what, "F(3x3, %dx%d) at %s, n %d, %dx%d to %dx%d, %d to %d channels, pad %d %d%s", tile, tile,
             ra_cpu_level_name(ra_cpu()), t->n, c->in_h, c->in_w, c->out_h, c->out_w, c->in_c, c->out_c, c->pad_top,
             c->pad_left, accumulate ? ", accumulate" : "");
    for (size_t i = 0; i < t->floats; i++) {
        double more = accumulate ? (double)t->start[i] : 0;
        check_estimate(what, (int64_t)i, got[i],
                       estimate_sum(t->value[i] + more, t->magnitude[i] + fabs(more), tiles + 40));
    }
}

void check_filter_gradient(resattn_context *const *contexts, int32_t count, const ra_conv *conv, ra_conv_form form,
                           int32_t n)
{
    gradient_trial t = {.conv = *conv, .n = n, .matrices = form == RA_CONV_WINOGRAD2 ? &winograd2 : &winograd4};
    t.floats = (size_t)conv->out_c * 9 * (size_t)conv->in_c;
    t.x = new_floats((size_t)n * (size_t)conv->in_h * (size_t)conv->in_w * (size_t)conv->in_c, true);
    t.dy = new_floats((size_t)n * (size_t)conv->out_h * (size_t)conv->out_w * (size_t)conv->out_c, true);
    t.start = new_floats(t.floats, true);
    t.value = new_doubles(t.floats);
    t.magnitude = new_doubles(t.floats);
    bool accumulate = pick_bool();
    expect_gradient(&t);
    float *first = run(contexts[0], &t, form, n, accumulate);
    compare(&t, first, accumulate);
    for (int32_t i = 1; i < count; i++) {
        float *other = run(contexts[i], &t, form, n, accumulate);
        ck_assert_msg(memcmp(first, other, t.floats * sizeof(float)) == 0, "%d workers give other bits",
                      ra_workers(contexts[i]));
        free_floats(other);
    }
    if (n > 1) {
        t.n = pick(1, n - 1);
        expect_gradient(&t);
        float *part = run(contexts[pick(0, count - 1)], &t, form, n, accumulate);
        compare(&t, part, accumulate);
        free_floats(part);
    }
    free_floats(first);
    free_floats(t.x);
    free_floats(t.dy);
    free_floats(t.start);
    free(t.value);
    free(t.magnitude);
}

/* ---- what training calls ---- */

static void check_close(const char *what, const float *got, const float *expected, size_t count)
{
    double largest = 0, error = 0;
    for (size_t i = 0; i < count; i++) {
        double difference = fabs((double)got[i] - (double)expected[i]);
        largest = fmax(largest, fabs((double)expected[i]));
        error = difference <= error ? error : difference; /* NaN too */
    }
    ck_assert_msg(error <= 1e-4 * largest, "%s: off by %g, the largest is %g", what, error, largest);
}

void check_passes(resattn_context *context, const ra_conv *conv, int32_t n, bool winograd)
{
    size_t filter_floats = (size_t)conv->out_c * 9 * (size_t)conv->in_c, bytes[6], most = 0;
    size_t x_floats = (size_t)n * (size_t)conv->in_h * (size_t)conv->in_w * (size_t)conv->in_c;
    size_t y_floats = (size_t)n * (size_t)conv->out_h * (size_t)conv->out_w * (size_t)conv->out_c;
    int32_t workers = ra_workers(context);
    ck_assert(ra_conv_forward_work(conv, n, workers, false, &bytes[0]) &&
              ra_conv_backward_input_work(conv, n, workers, &bytes[1]) &&
              ra_conv_backward_filter_work(conv, n, workers, &bytes[2]) &&
              ra_conv_fresh_forward_work(conv, n, workers, &bytes[3]) &&
              ra_conv_fresh_backward_input_work(conv, n, workers, &bytes[4]) &&
              ra_conv_fresh_backward_filter_work(conv, n, workers, &bytes[5]));
    for (int i = 0; i < 6; i++)
        most = bytes[i] > most ? bytes[i] : most;
    float *x = new_floats(x_floats, true), *dy = new_floats(y_floats, true), *filter = new_floats(filter_floats, true);
    float *y = new_floats(y_floats, false), *plain_y = new_floats(y_floats, false);
    float *dx = new_floats(x_floats, true), *plain_dx = copy_floats(dx, x_floats);
    float *dfilter = new_floats(filter_floats, true), *plain_dfilter = copy_floats(dfilter, filter_floats);
    float *work = new_floats(most / sizeof(float), false);
    bool accumulate = pick_bool();
    ra_conv_forward(context, conv, n, x, filter, false, NULL, false, false, plain_y, work);
    ra_conv_backward_input(context, conv, n, dy, filter, accumulate, plain_dx, work);
    ra_conv_backward_filter(context, conv, n, x, dy, accumulate, plain_dfilter, work);
    free_floats(work);
    for (int pass = 0; pass < 3; pass++) {
        work = new_floats(bytes[3 + pass] / sizeof(float), false);
        if (pass == 0)
            ra_conv_fresh_forward(context, conv, n, x, filter, NULL, y, work);
        else if (pass == 1)
            ra_conv_fresh_backward_input(context, conv, n, dy, filter, accumulate, dx, work);
        else
            ra_conv_fresh_backward_filter(context, conv, n, x, dy, accumulate, dfilter, work);
        check_guards("work memory", work, bytes[3 + pass] / sizeof(float));
        free_floats(work);
    }
    check_close("forward", y, plain_y, y_floats);
    check_close("input gradient", dx, plain_dx, x_floats);
    check_close("filter gradient", dfilter, plain_dfilter, filter_floats);
    ck_assert_msg((memcmp(dfilter, plain_dfilter, filter_floats * sizeof(float)) != 0) == winograd,
                  "%d channels, %d pixels: %s by Winograd's tiles", conv->in_c, conv->in_h, winograd ? "not" : "done");
    float *all[] = {x, dy, filter, y, plain_y, dx, plain_dx, dfilter, plain_dfilter};
    for (int32_t i = 0; i < RA_COUNT(all); i++)
        free_floats(all[i]);
}
