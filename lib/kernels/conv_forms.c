/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The choice among the forms of convolution, and what they have in common.
 */
#include "kernels/conv_forms_internal.h"

/*
 * Winograd's tiles reach over the border of small maps, its filters are many times as large, and it takes more passes:
 * it pays from so many pixels each way on and from so many channels. Filters up to LIGHT weights stay in a cache, so it
 * pays earlier.
 */
enum {
    LIGHT = 128 * 128,
    LEAST_MAP4 = 20,
    LEAST_MAP2 = 10,
    LIGHT_MAP4 = 15,
    LIGHT_MAP2 = 7,
    LEAST_CHANNELS4 = 16,
    LEAST_CHANNELS2 = 32
};

const ra_micro *ra_micro_kernels(void)
{
#if defined(__x86_64__)
    switch (ra_cpu()) {
    case RA_CPU_AVX512:
        return &ra_micro_avx512;
    case RA_CPU_AVX2:
        return &ra_micro_avx2;
    default:
        break;
    }
#endif
    return &ra_micro_plain;
}

bool ra_conv_takes_form(const ra_conv *conv, ra_conv_form form)
{
    bool three = conv->kernel_h == 3 && conv->kernel_w == 3 && conv->stride_h == 1 && conv->stride_w == 1 &&
                 conv->dilation_h == 1 && conv->dilation_w == 1 && conv->groups == 1;
    switch (form) {
    case RA_CONV_WINOGRAD2:
    case RA_CONV_WINOGRAD4:
        return three && conv->in_c % RA_WINOGRAD_UNIT == 0 && conv->out_c % RA_WINOGRAD_UNIT == 0;
    case RA_CONV_LANES:
        return ra_conv_fits_lanes(conv);
    case RA_CONV_PANELS:
        return !ra_conv_is_direct(conv);
    default:
        return true;
    }
}

bool ra_conv_allows(ra_conv_mode mode, ra_conv_form form)
{
    bool winograd = form == RA_CONV_WINOGRAD2 || form == RA_CONV_WINOGRAD4;
    return mode == RA_CONV_FASTEST || (mode == RA_CONV_NO_WINOGRAD ? !winograd : form == RA_CONV_BLIS);
}

ra_conv_form ra_conv_choose(const ra_conv *conv, ra_conv_mode mode)
{
    int32_t map = ra_min(conv->out_h, conv->out_w), channels = ra_min(conv->in_c, conv->out_c);
    if (ra_conv_allows(mode, RA_CONV_LANES) && ra_conv_takes_form(conv, RA_CONV_LANES))
        return RA_CONV_LANES;
    if (!ra_conv_allows(mode, RA_CONV_PANELS) || !ra_conv_takes_form(conv, RA_CONV_PANELS))
        return RA_CONV_BLIS;
    if (!ra_conv_allows(mode, RA_CONV_WINOGRAD4) || !ra_conv_takes_form(conv, RA_CONV_WINOGRAD4))
        return RA_CONV_PANELS;
    bool light = (int64_t)conv->in_c * conv->out_c <= LIGHT;
    if (map >= (light ? LIGHT_MAP4 : LEAST_MAP4) && channels >= LEAST_CHANNELS4)
        return RA_CONV_WINOGRAD4;
    return map >= (light ? LIGHT_MAP2 : LEAST_MAP2) && channels >= LEAST_CHANNELS2 ? RA_CONV_WINOGRAD2 : RA_CONV_PANELS;
}

const char *ra_conv_form_name(const ra_conv *conv, ra_conv_form form)
{
    static const char *const names[RA_CONV_FORMS] = {"blis", "panels", "lanes", "winograd 2x2", "winograd 4x4"};
    if (form == RA_CONV_BLIS && ra_conv_is_direct(conv))
        return "direct";
    return form == RA_CONV_PANELS && ra_conv_fits_strips(conv) ? "strips" : names[form];
}

bool ra_conv_packed_floats(const ra_conv *conv, ra_conv_form form, size_t *floats)
{
    size_t panels = (size_t)ra_panel_count(conv);
    size_t depth = (size_t)(conv->in_c / conv->groups);
    switch (form) {
    case RA_CONV_PANELS:
        depth *= (size_t)ra_conv_taps(conv);
        break;
    case RA_CONV_WINOGRAD2:
        depth *= 16;
        break;
    case RA_CONV_WINOGRAD4:
        depth *= 36;
        break;
    default:
        *floats = ra_conv_filter_floats(conv);
        return true;
    }
    return ra_mul_size(panels, depth, floats) && ra_mul_size(*floats, RA_PANEL, floats);
}

void ra_conv_pack(const ra_conv *conv, ra_conv_form form, const float *filter, float *packed)
{
    switch (form) {
    case RA_CONV_PANELS:
        ra_panels_pack(conv, filter, packed);
        break;
    case RA_CONV_LANES:
        ra_lanes_pack(conv, filter, packed);
        break;
    case RA_CONV_WINOGRAD2:
    case RA_CONV_WINOGRAD4:
        ra_winograd_pack(conv, form, filter, packed);
        break;
    default:
        ra_conv_prepare_filter(filter, conv->out_c, ra_conv_taps(conv), conv->in_c / conv->groups, conv->groups,
                               packed);
    }
}

bool ra_conv_run_work(const ra_conv *conv, ra_conv_form form, int32_t n, int32_t workers, size_t *bytes)
{
    switch (form) {
    case RA_CONV_PANELS:
        return (ra_conv_fits_strips(conv) ? ra_strips_work : ra_panels_work)(conv, n, workers, bytes);
    case RA_CONV_LANES:
        return ra_strips_work(conv, n, workers, bytes);
    case RA_CONV_WINOGRAD2:
    case RA_CONV_WINOGRAD4:
        return ra_winograd_work(conv, form, n, workers, bytes);
    default:
        return ra_conv_forward_work(conv, n, workers, true, bytes);
    }
}

/* ---- after the products ---- */

bool ra_conv_has_activation(const ra_conv_result *result)
{
    return result->sigmoid || result->trunk;
}

bool ra_conv_has_more(const ra_conv_result *result)
{
    return ra_conv_has_activation(result) || result->second;
}

void ra_conv_finish_more(const ra_conv *conv, const ra_conv_result *result, int64_t row, int64_t rows, int32_t channel,
                         int32_t columns)
{
    bool in_place = result->second == result->y;
    int64_t place = row * conv->out_c + channel;
    ra_finishing finishing = {.rows = rows,
                              .columns = columns,
                              .sigmoid = result->sigmoid,
                              .second_relu = result->second_relu,
                              .plus = result->plus,
                              .y = result->y + row * result->y_row + channel,
                              .y_row = result->y_row,
                              .trunk = result->trunk ? result->trunk + place : NULL,
                              .trunk_row = conv->out_c,
                              .scale = result->second ? result->scale + channel : NULL,
                              .shift = result->second ? result->shift + channel : NULL,
                              .second_row = in_place ? result->y_row : conv->out_c};
    if (result->second)
        finishing.second = in_place ? finishing.y : result->second + place;
    ra_micro_kernels()->finish(&finishing);
}

typedef struct finish_job {
    const ra_conv *conv;
    const ra_conv_result *result;
} finish_job;

static void finish_range(void *data, int64_t begin, int64_t end)
{
    const finish_job *job = data;
    const ra_conv *conv = job->conv;
    const ra_conv_result *result = job->result;
    for (int64_t i = begin; i < end; i++) {
        float *y = result->y + i * result->y_row;
        if (result->addend && result->addend != result->y)
            ra_kernels()->add(conv->out_c, y, result->addend + i * conv->out_c, result->relu, y);
    }
    ra_conv_finish_more(conv, result, begin, end - begin, 0, conv->out_c);
}

static void finish_apart(resattn_context *context, const ra_conv *conv, int32_t n, const ra_conv_result *result)
{
    finish_job job = {conv, result};
    ra_parallel_ranges(context, finish_range, &job, ra_conv_pixels(conv, n), ra_range_step(conv->out_c));
}

static void run_blis(resattn_context *context, const ra_conv *conv, int32_t n, const float *x, const float *packed,
                     const ra_conv_result *result, void *work)
{
    bool in_place = result->addend == result->y, apart = result->addend && !in_place;
    ra_conv_forward(context, conv, n, x, packed, true, result->bias, result->relu && !apart, in_place, result->y, work);
    if (apart || ra_conv_has_more(result))
        finish_apart(context, conv, n, result);
}

void ra_conv_run(resattn_context *context, const ra_conv *conv, ra_conv_form form, int32_t n, const float *x,
                 const float *packed, const ra_conv_result *result, void *work)
{
    switch (form) {
    case RA_CONV_PANELS:
        if (ra_conv_fits_strips(conv))
            ra_strips_run(context, conv, form, n, x, packed, result, work);
        else
            ra_panels_run(context, conv, n, x, packed, result, work);
        break;
    case RA_CONV_LANES:
        ra_strips_run(context, conv, form, n, x, packed, result, work);
        break;
    case RA_CONV_WINOGRAD2:
    case RA_CONV_WINOGRAD4:
        ra_winograd_run(context, conv, form, n, x, packed, result, work);
        break;
    default:
        run_blis(context, conv, n, x, packed, result, work);
    }
}
