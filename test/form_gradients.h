/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Gradients of convolutions by Winograd's tiles: `conv` is one that takes `form`.
 */
#ifndef TEST_FORM_GRADIENTS_H
#define TEST_FORM_GRADIENTS_H

#include "kernel_common.h"
#include "kernels/conv_forms.h"

/* That the filter turned round is packed as the convolution is that makes the input's gradient. */
void check_turned_packing(const ra_conv *conv, ra_conv_form form);

/* Of n images and of fewer, against loops in double precision; with the same bits in all contexts. */
void check_filter_gradient(resattn_context *const *contexts, int32_t count, const ra_conv *conv, ra_conv_form form,
                           int32_t n);

/* The three passes that training calls are those without packed weights, within what their rounding differs by, and the
 * filter's gradient is computed by Winograd's tiles or is not. */
void check_passes(resattn_context *context, const ra_conv *conv, int32_t n, bool winograd);

#endif
