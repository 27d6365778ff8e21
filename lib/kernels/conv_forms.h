/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Convolution with constant weights, for inference: the weights are packed once in the order of the fastest way to
 * compute, and what follows the convolution is done while its result is in the cache. Uses: core, gemm.
 */
#ifndef RA_CONV_FORMS_H
#define RA_CONV_FORMS_H

#include "kernels/conv.h"

/* The ways to compute. BLIS works for everything; it stands for the loops of conv_direct.c too. */
typedef enum ra_conv_form {
    RA_CONV_BLIS,
    RA_CONV_PANELS, /* micro-kernels over packed panels: 1x1 directly, others strip by strip or over im2col segments */
    RA_CONV_LANES,  /* groups of fewer channels than a vector has lanes */
    RA_CONV_WINOGRAD2, /* F(2x2, 3x3) */
    RA_CONV_WINOGRAD4, /* F(4x4, 3x3) */
    RA_CONV_FORMS
} ra_conv_form;

/* What limits the choice. */
typedef enum ra_conv_mode { RA_CONV_FASTEST, RA_CONV_NO_WINOGRAD, RA_CONV_BLIS_ONLY } ra_conv_mode;

/* The best form for these shapes on this CPU. */
ra_conv_form ra_conv_choose(const ra_conv *conv, ra_conv_mode mode);
/* Whether a form can compute this convolution at all: that depends on the filter and the CPU, not on the map. */
bool ra_conv_takes_form(const ra_conv *conv, ra_conv_form form);
bool ra_conv_allows(ra_conv_mode mode, ra_conv_form form);
const char *ra_conv_form_name(const ra_conv *conv, ra_conv_form form);

/* Floats of the packed filter. False if that does not fit. The layout depends on the form, the channels, the groups and
 * the kernel's size only. */
bool ra_conv_packed_floats(const ra_conv *conv, ra_conv_form form, size_t *floats);
/* Packs a filter (out, kernel h, kernel w, in / groups); `packed` is aligned to RA_ALIGNMENT. */
void ra_conv_pack(const ra_conv *conv, ra_conv_form form, const float *filter, float *packed);

/*
 * What becomes of the products: y = products + bias + addend, then max(0, y) if relu, then 1 / (1 + exp(-y)) if
 * sigmoid, then trunk * (plus + y) if there is a trunk; then second = y * scale + shift, and max(0, second) if
 * second_relu. NULL: left out. Images are dense but for y, whose pixels are y_row floats apart (out_c with BLIS);
 * second may be y, and addend too.
 */
typedef struct ra_conv_result {
    float *y;
    int64_t y_row;
    const float *bias, *addend;
    bool relu, sigmoid;
    const float *trunk;
    float plus;
    float *second;
    const float *scale, *shift;
    bool second_relu;
    /* Fewer products are summed at a time before the sum goes into the result: less rounding, some percent slower. For
     * training, whose gradients are sensitive to which of ReLU's inputs rounding makes positive. Winograd does not look
     * at it. */
    bool short_sums;
} ra_conv_result;

/* Bytes of scratch for up to n images. False if that does not fit a size. */
bool ra_conv_run_work(const ra_conv *conv, ra_conv_form form, int32_t n, int32_t workers, size_t *bytes);

/* The same bits for any number of workers. */
void ra_conv_run(resattn_context *context, const ra_conv *conv, ra_conv_form form, int32_t n, const float *x,
                 const float *packed, const ra_conv_result *result, void *work);

/*
 * With weights that change at every step: the filter as it is, packed for each call where that pays (conv_fresh.c). The
 * same bits for any number of workers. Fewer images than the work memory is for may be run.
 */
bool ra_conv_fresh_forward_work(const ra_conv *conv, int32_t n, int32_t workers, size_t *bytes);
void ra_conv_fresh_forward(resattn_context *context, const ra_conv *conv, int32_t n, const float *x,
                           const float *filter, const float *bias, float *y, void *work);
bool ra_conv_fresh_backward_input_work(const ra_conv *conv, int32_t n, int32_t workers, size_t *bytes);
void ra_conv_fresh_backward_input(resattn_context *context, const ra_conv *conv, int32_t n, const float *dy,
                                  const float *filter, bool accumulate, float *dx, void *work);
bool ra_conv_fresh_backward_filter_work(const ra_conv *conv, int32_t n, int32_t workers, size_t *bytes);
void ra_conv_fresh_backward_filter(resattn_context *context, const ra_conv *conv, int32_t n, const float *x,
                                   const float *dy, bool accumulate, float *dfilter, void *work);

/* Multiply-adds a second of the fastest micro-kernel with all workers of an open context (peak.c); -1 with the error
 * recorded. */
double ra_micro_peak(resattn_context *context);

#endif
