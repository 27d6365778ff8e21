/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sequential: the children one after the other. Also resattn_layer_add(), which the open containers share.
 */
#include "layers/kinds.h"

static bool infer(resattn_layer *layer)
{
    int32_t channels = layer->in_c;
    for (int32_t i = 0; i < layer->child_count; i++) {
        if (!ra_infer(layer->children[i], channels))
            return false;
        channels = layer->children[i]->out_c;
    }
    layer->out_c = channels;
    return true;
}

static int32_t lower(ra_lowering *lowering, const resattn_layer *layer, int32_t input, const ra_shape *target)
{
    for (int32_t i = 0; i < layer->child_count && input >= 0; i++)
        input = lowering->layer(lowering, layer->children[i], input, i + 1 == layer->child_count ? target : NULL);
    return input;
}

const ra_layer_kind ra_kind_sequential = {
    .name = "sequential", .min_children = 1, .max_children = INT32_MAX, .infer = infer, .lower = lower};

resattn_layer *resattn_sequential_new(resattn_builder *builder, const char *name)
{
    return ra_layer_new(builder, &ra_kind_sequential, name);
}

resattn_status resattn_layer_add(resattn_layer *container, resattn_layer *child)
{
    if (!container)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "add: the container is NULL");
    if (container->kind->max_children != INT32_MAX) {
        ra_fail(RESATTN_INVALID_ARGUMENT, "%s: a %s takes no children by resattn_layer_add()",
                ra_layer_label(container), container->kind->name);
        return ra_builder_remember(container->builder);
    }
    return ra_layer_adopt(container, child);
}
