/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table of layer kinds.
 */
#include "layers/kinds.h"

static const ra_layer_kind *const kinds[] = {
    /* containers */
    &ra_kind_sequential,
    &ra_kind_sum,
    &ra_kind_concat,
    &ra_kind_residual,
    &ra_kind_down_up,
    &ra_kind_attention,
    /* leaves */
    &ra_kind_conv2d,
    &ra_kind_conv_transpose2d,
    &ra_kind_linear,
    &ra_kind_batch_norm,
    &ra_kind_relu,
    &ra_kind_sigmoid,
    &ra_kind_softmax,
    &ra_kind_identity,
    &ra_kind_max_pool,
    &ra_kind_average_pool,
    &ra_kind_global_average_pool,
    &ra_kind_bilinear_resize,
    &ra_kind_dropout,
    &ra_kind_subsample,
    &ra_kind_channel_norm,
    &ra_kind_instance_norm,
    &ra_kind_scale,
};

const ra_layer_kind *ra_layer_kind_find(resattn_context *context, const char *name)
{
    for (int32_t i = 0; i < RA_COUNT(kinds); i++)
        if (!strcmp(kinds[i]->name, name))
            return kinds[i];
    return ra_custom_find(context, name);
}
