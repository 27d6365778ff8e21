/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of the forms share.
 */
#ifndef RA_CONV_FORMS_INTERNAL_H
#define RA_CONV_FORMS_INTERNAL_H

#include "kernels/conv_forms.h"
#include "kernels/conv_internal.h"
#include "kernels/kernels.h"
#include "kernels/micro.h"

/* The micro-kernels for ra_cpu(). */
const ra_micro *ra_micro_kernels(void);

/* Of all groups. */
static inline int32_t ra_panel_count(const ra_conv *conv)
{
    return (int32_t)ra_div_up(conv->out_c / conv->groups, RA_PANEL) * conv->groups;
}

/* All panels, and panel `panel` of those of all groups; packed: where the first begins. */
void ra_panels_pack(const ra_conv *conv, const float *filter, float *packed);
void ra_panels_pack_one(const ra_conv *conv, const float *filter, int32_t panel, float *packed);
bool ra_panels_work(const ra_conv *conv, int32_t n, int32_t workers, size_t *bytes);
void ra_panels_run(resattn_context *context, const ra_conv *conv, int32_t n, const float *x, const float *packed,
                   const ra_conv_result *result, void *work);

/* Strips (conv_strips.c): another way through panels, and the way of lanes, which takes bias and ReLU but no addend. */
bool ra_conv_fits_strips(const ra_conv *conv);
bool ra_strips_work(const ra_conv *conv, int32_t n, int32_t workers, size_t *bytes);
void ra_strips_run(resattn_context *context, const ra_conv *conv, ra_conv_form form, int32_t n, const float *x,
                   const float *packed, const ra_conv_result *result, void *work);
bool ra_conv_fits_lanes(const ra_conv *conv);
void ra_lanes_pack(const ra_conv *conv, const float *filter, float *packed);

void ra_winograd_pack(const ra_conv *conv, ra_conv_form form, const float *filter, float *packed);
void ra_winograd_pack_one(const ra_conv *conv, ra_conv_form form, const float *filter, int32_t panel, float *packed);
void ra_winograd_pack_turned(const ra_conv *conv, ra_conv_form form, const float *filter, int32_t panel, float *packed);
bool ra_winograd_work(const ra_conv *conv, ra_conv_form form, int32_t n, int32_t workers, size_t *bytes);
void ra_winograd_run(resattn_context *context, const ra_conv *conv, ra_conv_form form, int32_t n, const float *x,
                     const float *packed, const ra_conv_result *result, void *work);

/* Winograd's tiles of n images, where tile `index` begins among the outputs, and the (tile + 2)^2 input pixels of it, or
 * `zeros` (in_c floats) outside. */
typedef struct ra_winograd_place {
    int64_t image;
    int32_t y, x;
} ra_winograd_place;
int64_t ra_winograd_tiles(const ra_conv *conv, int32_t tile, int32_t n);
ra_winograd_place ra_winograd_place_of(const ra_conv *conv, int32_t tile, int64_t index);
void ra_winograd_window(const ra_conv *conv, int32_t tile, int64_t index, const float *x, const float *zeros,
                        const float **pixels);

/* The gradient with respect to the filter by Winograd's tiles (conv_winograd_filter.c). */
bool ra_winograd_filter_work(const ra_conv *conv, ra_conv_form form, int32_t n, int32_t workers, size_t *bytes);
void ra_winograd_backward_filter(resattn_context *context, const ra_conv *conv, ra_conv_form form, int32_t n,
                                 const float *x, const float *dy, bool accumulate, float *dfilter, void *work);

/* Whether anything follows bias, addend and ReLU, and whether that begins with a sigmoid or a gate. */
bool ra_conv_has_more(const ra_conv_result *result);
bool ra_conv_has_activation(const ra_conv_result *result);
/* Does all of it for `rows` pixels from `row` on, `columns` channels from `channel` on. */
void ra_conv_finish_more(const ra_conv *conv, const ra_conv_result *result, int64_t row, int64_t rows, int32_t channel,
                         int32_t columns);

#endif
