/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Convolution with weights that change at every step: they are packed for each call, for the same micro-kernels that
 * inference uses. The gradient with respect to the input, where the stride is 1, is such a convolution too: of dy, with
 * the filter turned round and its input and output channels exchanged. Both gradients of 3x3 kernels take Winograd's
 * tiles where these pay.
 */
#include "kernels/conv_forms_internal.h"

#include <string.h>

enum {
    LEAST_PIXELS = 64, /* from where on packing the filter costs little beside the products */
    /* From where on Winograd's tiles pay for gradients. */
    LEAST_CHANNELS = 64,
    LEAST_MAP2 = 14,
    LEAST_MAP4 = 20
};

/* How the gradients of a convolution are computed; conv: it, or the convolution that makes dx of dy. The forward pass
 * has every product of the definition: what rounding adds there decides which of ReLU's inputs are positive. */
static ra_conv_form gradient_form(const ra_conv *conv)
{
    int32_t map = ra_min(conv->out_h, conv->out_w);
    if (!ra_conv_takes_form(conv, RA_CONV_WINOGRAD4) || ra_min(conv->in_c, conv->out_c) < LEAST_CHANNELS ||
        map < LEAST_MAP2)
        return RA_CONV_PANELS;
    return map < LEAST_MAP4 ? RA_CONV_WINOGRAD2 : RA_CONV_WINOGRAD4;
}

static bool is_worth_packing(const ra_conv *conv, int32_t n)
{
    return ra_conv_takes_form(conv, RA_CONV_PANELS) && ra_conv_pixels(conv, n) >= LEAST_PIXELS;
}

/* ---- packing with all workers ---- */

typedef struct pack_job {
    const ra_conv *conv;
    ra_conv_form form;
    bool turned;
    const float *filter;
    float *packed;
} pack_job;

/* Panel `panel` of the convolution `back` that gives dx: row (tap from last to first, output channel), column the input
 * channel; and zeros. filter: (out, tap, in). */
static void pack_turned(const ra_conv *back, const float *filter, int32_t panel, float *packed)
{
    int64_t panels = ra_div_up(back->out_c / back->groups, RA_PANEL);
    int64_t in_c = back->out_c / back->groups, out_c = back->in_c / back->groups, taps = ra_conv_taps(back);
    int64_t first = panel % panels * RA_PANEL, group = panel / panels;
    size_t count = (size_t)(in_c - first < RA_PANEL ? in_c - first : RA_PANEL);
    const float *source = filter + group * out_c * taps * in_c + first;
    packed += panel * taps * out_c * RA_PANEL;
    for (int64_t tap = taps - 1; tap >= 0; tap--)
        for (int64_t o = 0; o < out_c; o++, packed += RA_PANEL) {
            memcpy(packed, source + (o * taps + tap) * in_c, count * sizeof(float));
            memset(packed + count, 0, (RA_PANEL - count) * sizeof(float));
        }
}

static void pack_task(void *data, int32_t index, int32_t worker)
{
    const pack_job *job = data;
    (void)worker;
    if (job->form == RA_CONV_PANELS)
        (job->turned ? pack_turned : ra_panels_pack_one)(job->conv, job->filter, index, job->packed);
    else
        (job->turned ? ra_winograd_pack_turned : ra_winograd_pack_one)(job->conv, job->form, job->filter, index,
                                                                       job->packed);
}

/* ---- running ---- */

static bool fresh_work(const ra_conv *conv, ra_conv_form form, int32_t n, int32_t workers, size_t *bytes)
{
    size_t floats, packed;
    return ra_conv_packed_floats(conv, form, &floats) && ra_mul_size(ra_line(floats), sizeof(float), &packed) &&
           ra_conv_run_work(conv, form, n, workers, bytes) && ra_add_size(*bytes, packed, bytes);
}

static void run_fresh(resattn_context *context, pack_job *job, int32_t n, const float *x, const ra_conv_result *result,
                      float *work)
{
    size_t floats;
    if (!ra_conv_packed_floats(job->conv, job->form, &floats))
        return; /* the plan was refused */
    job->packed = work;
    ra_parallel(context, pack_task, job, ra_panel_count(job->conv));
    ra_conv_run(context, job->conv, job->form, n, x, work, result, work + ra_line(floats));
}

bool ra_conv_fresh_forward_work(const ra_conv *conv, int32_t n, int32_t workers, size_t *bytes)
{
    size_t fewer;
    if (!ra_conv_forward_work(conv, n, workers, false, bytes))
        return false;
    if (!is_worth_packing(conv, n))
        return true;
    if (!fresh_work(conv, RA_CONV_PANELS, n, workers, &fewer))
        return false;
    *bytes = fewer > *bytes ? fewer : *bytes;
    return true;
}

void ra_conv_fresh_forward(resattn_context *context, const ra_conv *conv, int32_t n, const float *x,
                           const float *filter, const float *bias, float *y, void *work)
{
    if (!is_worth_packing(conv, n)) {
        ra_conv_forward(context, conv, n, x, filter, false, bias, false, false, y, work);
        return;
    }
    pack_job job = {.conv = conv, .form = RA_CONV_PANELS, .filter = filter};
    ra_conv_result result = {.y = y, .y_row = conv->out_c, .bias = bias, .short_sums = true};
    run_fresh(context, &job, n, x, &result, work);
}

/* The convolution that makes dx of dy; false where it is none, or computes far more products than there are. */
static bool turn_round(const ra_conv *conv, ra_conv *back)
{
    *back = *conv;
    back->in_c = conv->out_c;
    back->in_h = conv->out_h;
    back->in_w = conv->out_w;
    back->out_c = conv->in_c;
    back->out_h = conv->in_h;
    back->out_w = conv->in_w;
    back->pad_top = conv->dilation_h * (conv->kernel_h - 1) - conv->pad_top;
    back->pad_left = conv->dilation_w * (conv->kernel_w - 1) - conv->pad_left;
    return conv->stride_h == 1 && conv->stride_w == 1 && back->pad_top >= 0 && back->pad_left >= 0 &&
           !ra_conv_is_narrow(conv);
}

bool ra_conv_fresh_backward_input_work(const ra_conv *conv, int32_t n, int32_t workers, size_t *bytes)
{
    ra_conv back;
    size_t fewer;
    if (!ra_conv_backward_input_work(conv, n, workers, bytes))
        return false;
    if (!turn_round(conv, &back) || !is_worth_packing(&back, n))
        return true;
    if (!fresh_work(&back, gradient_form(&back), n, workers, &fewer))
        return false;
    *bytes = fewer > *bytes ? fewer : *bytes;
    return true;
}

void ra_conv_fresh_backward_input(resattn_context *context, const ra_conv *conv, int32_t n, const float *dy,
                                  const float *filter, bool accumulate, float *dx, void *work)
{
    ra_conv back;
    if (!turn_round(conv, &back) || !is_worth_packing(&back, n)) {
        ra_conv_backward_input(context, conv, n, dy, filter, accumulate, dx, work);
        return;
    }
    pack_job job = {.conv = &back, .form = gradient_form(&back), .turned = true, .filter = filter};
    ra_conv_result result = {.y = dx, .y_row = back.out_c, .addend = accumulate ? dx : NULL, .short_sums = true};
    run_fresh(context, &job, n, dy, &result, work);
}

bool ra_conv_fresh_backward_filter_work(const ra_conv *conv, int32_t n, int32_t workers, size_t *bytes)
{
    ra_conv_form form = gradient_form(conv);
    return form == RA_CONV_PANELS ? ra_conv_backward_filter_work(conv, n, workers, bytes)
                                  : ra_winograd_filter_work(conv, form, n, workers, bytes);
}

void ra_conv_fresh_backward_filter(resattn_context *context, const ra_conv *conv, int32_t n, const float *x,
                                   const float *dy, bool accumulate, float *dfilter, void *work)
{
    ra_conv_form form = gradient_form(conv);
    if (form == RA_CONV_PANELS)
        ra_conv_backward_filter(context, conv, n, x, dy, accumulate, dfilter, work);
    else
        ra_winograd_backward_filter(context, conv, form, n, x, dy, accumulate, dfilter, work);
}
