/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * All kinds of layers, by symbol.
 */
#ifndef RA_KINDS_H
#define RA_KINDS_H

#include <string.h>

#include "layers/layer.h"

extern const ra_layer_kind ra_kind_sequential, ra_kind_sum, ra_kind_residual, ra_kind_concat, ra_kind_down_up,
    ra_kind_attention;
extern const ra_layer_kind ra_kind_conv2d, ra_kind_conv_transpose2d, ra_kind_linear;
extern const ra_layer_kind ra_kind_batch_norm, ra_kind_relu, ra_kind_sigmoid, ra_kind_softmax, ra_kind_scale,
    ra_kind_dropout, ra_kind_identity;
extern const ra_layer_kind ra_kind_max_pool, ra_kind_average_pool, ra_kind_global_average_pool, ra_kind_bilinear_resize,
    ra_kind_subsample, ra_kind_channel_norm, ra_kind_instance_norm;

/* Lowers all children for the same input; their values go to `values`. False after an error. */
static inline bool ra_lower_children(ra_lowering *lowering, const resattn_layer *layer, int32_t input, int32_t *values)
{
    for (int32_t i = 0; i < layer->child_count; i++)
        if ((values[i] = lowering->layer(lowering, layer->children[i], input, NULL)) < 0)
            return false;
    return true;
}

#endif
