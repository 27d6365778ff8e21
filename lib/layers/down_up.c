/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Down-up: up(inner(down(x))), back at the size of x.
 */
#include "layers/kinds.h"

/* The attributes of a resize that say to which size. */
static const char *const sizes[] = {"height", "width", "factor"};

static bool resize_has(const resattn_layer *resize, const char *attribute)
{
    int32_t index = ra_attribute_find(resize->kind, attribute);
    ra_value value = resize->attributes[index];
    return resize->kind->attributes[index].type == RESATTN_ATTRIBUTE_INT ? value.i != 0 : value.r != 0;
}

static bool infer(resattn_layer *layer)
{
    const resattn_layer *up = layer->children[2];
    if (up->kind != &ra_kind_bilinear_resize && up->kind != &ra_kind_conv_transpose2d)
        return ra_infer_fail(layer, RESATTN_INVALID_ARGUMENT,
                             "%s is a %s, expected a bilinear_resize or a conv_transpose2d to come back up",
                             ra_layer_label(up), up->kind->name);
    for (int32_t i = 0; up->kind == &ra_kind_bilinear_resize && i < RA_COUNT(sizes); i++)
        if (resize_has(up, sizes[i]))
            return ra_infer_fail(layer, RESATTN_INVALID_ARGUMENT,
                                 "%s has a %s of its own, expected none: it comes back to the container's size",
                                 ra_layer_label(up), sizes[i]);
    return ra_kind_sequential.infer(layer);
}

static int32_t lower(ra_lowering *lowering, const resattn_layer *layer, int32_t input, const ra_shape *target)
{
    (void)target;
    ra_shape size = lowering->shape(lowering, input);
    return ra_kind_sequential.lower(lowering, layer, input, &size);
}

const ra_layer_kind ra_kind_down_up = {
    .name = "down_up", .min_children = 3, .max_children = 3, .infer = infer, .lower = lower};

resattn_layer *resattn_down_up_new(resattn_builder *builder, const char *name, resattn_layer *down, resattn_layer *inner,
                                   resattn_layer *up)
{
    resattn_layer *layer = ra_layer_new(builder, &ra_kind_down_up, name);
    if (!layer || ra_layer_adopt(layer, down) != RESATTN_OK || ra_layer_adopt(layer, inner) != RESATTN_OK ||
        ra_layer_adopt(layer, up) != RESATTN_OK)
        return NULL;
    return layer;
}
