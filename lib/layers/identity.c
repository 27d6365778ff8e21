/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The identity: a place with a name, no operation.
 */
#include "layers/kinds.h"

static bool infer(resattn_layer *layer)
{
    layer->out_c = layer->in_c;
    return true;
}

static int32_t lower(ra_lowering *lowering, const resattn_layer *layer, int32_t input, const ra_shape *target)
{
    (void)lowering;
    (void)layer;
    (void)target;
    return input;
}

const ra_layer_kind ra_kind_identity = {.name = "identity", .infer = infer, .lower = lower};

resattn_layer *resattn_identity_new(resattn_builder *builder, const char *name)
{
    return ra_layer_new(builder, &ra_kind_identity, name);
}
