/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Attributes by name, driven by the table of the layer's kind.
 */
#include <stdio.h>
#include <string.h>

#include "layers/layer.h"

int32_t ra_attribute_find(const ra_layer_kind *kind, const char *name)
{
    for (int32_t i = 0; i < kind->attribute_count; i++)
        if (!strcmp(kind->attributes[i].name, name))
            return i;
    return -1;
}

static const char *type_name(resattn_attribute_type type)
{
    return type == RESATTN_ATTRIBUTE_INT ? "an integer" : "a real number";
}

static resattn_status check_range(const resattn_layer *layer, const ra_attribute *attribute, ra_value value)
{
    bool is_int = attribute->type == RESATTN_ATTRIBUTE_INT;
    double number = is_int ? (double)value.i : value.r;
    if (ra_within(number, attribute->smallest, attribute->largest))
        return RESATTN_OK;
    if (is_int)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "%s: %s is %lld, expected %.0f to %.0f", ra_layer_label(layer),
                       attribute->name, (long long)value.i, attribute->smallest, attribute->largest);
    return ra_fail(RESATTN_INVALID_ARGUMENT, "%s: %s is %g, expected %g to %g", ra_layer_label(layer), attribute->name,
                   value.r, attribute->smallest, attribute->largest);
}

resattn_status ra_layer_set(resattn_layer *layer, int32_t index, resattn_attribute_type type, ra_value value)
{
    const ra_attribute *attribute = &layer->kind->attributes[index];
    if (attribute->type != type)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "%s: %s is %s, not %s", ra_layer_label(layer), attribute->name,
                       type_name(attribute->type), type_name(type));
    resattn_status status = check_range(layer, attribute, value);
    if (status == RESATTN_OK)
        layer->attributes[index] = value;
    return status;
}

static void init(resattn_layer *layer, int32_t index, resattn_attribute_type type, ra_value value)
{
    if (layer && ra_layer_set(layer, index, type, value) != RESATTN_OK)
        ra_builder_remember(layer->builder);
}

void ra_layer_init_int(resattn_layer *layer, int32_t index, int64_t value)
{
    init(layer, index, RESATTN_ATTRIBUTE_INT, (ra_value){.i = value});
}

void ra_layer_init_real(resattn_layer *layer, int32_t index, double value)
{
    init(layer, index, RESATTN_ATTRIBUTE_REAL, (ra_value){.r = value});
}

resattn_layer *ra_layer_ready(resattn_layer *layer)
{
    if (!layer || layer->builder->status == RESATTN_OK)
        return layer;
    return ra_fail_null(layer->builder->status, "%s", layer->builder->error);
}

/* Records NOT_FOUND with the names that there are. */
static int32_t find_or_fail(const resattn_layer *layer, const char *name)
{
    int32_t index = ra_attribute_find(layer->kind, name);
    if (index >= 0)
        return index;
    char names[320] = "";
    size_t length = 0;
    for (int32_t i = 0; i < layer->kind->attribute_count && length < sizeof names; i++)
        length += (size_t)snprintf(names + length, sizeof names - length, "%s%s", i ? ", " : "",
                                   layer->kind->attributes[i].name);
    ra_fail(RESATTN_NOT_FOUND, "%s: a %s has no attribute '%.60s', but: %s", ra_layer_label(layer), layer->kind->name,
            name, names[0] ? names : "none");
    return -1;
}

static resattn_status set(resattn_layer *layer, const char *name, resattn_attribute_type type, ra_value value)
{
    if (!layer || !name)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "set attribute: the %s is NULL", layer ? "name" : "layer");
    int32_t index = find_or_fail(layer, name);
    if (index < 0)
        return ra_builder_remember(layer->builder);
    if (!layer->builder && !(layer->kind->attributes[index].flags & RA_ATTRIBUTE_MUTABLE))
        return ra_fail(RESATTN_WRONG_STATE, "%s: %s is fixed, the layer is part of a network", ra_layer_label(layer), name);
    if (ra_layer_set(layer, index, type, value) != RESATTN_OK)
        return ra_builder_remember(layer->builder);
    return RESATTN_OK;
}

resattn_status resattn_layer_set_int(resattn_layer *layer, const char *attribute, int64_t value)
{
    return set(layer, attribute, RESATTN_ATTRIBUTE_INT, (ra_value){.i = value});
}

resattn_status resattn_layer_set_real(resattn_layer *layer, const char *attribute, double value)
{
    return set(layer, attribute, RESATTN_ATTRIBUTE_REAL, (ra_value){.r = value});
}

static resattn_status get(const resattn_layer *layer, const char *name, resattn_attribute_type type, const void *target,
                          ra_value *value)
{
    if (!layer || !name || !target)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "get attribute: the %s is NULL",
                       !layer ? "layer" : !name ? "name" : "place for the value");
    int32_t index = find_or_fail(layer, name);
    if (index < 0)
        return resattn_last_status();
    if (layer->kind->attributes[index].type != type)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "%s: %s is %s, not %s", ra_layer_label(layer), name,
                       type_name(layer->kind->attributes[index].type), type_name(type));
    *value = layer->attributes[index];
    return RESATTN_OK;
}

resattn_status resattn_layer_get_int(const resattn_layer *layer, const char *attribute, int64_t *value)
{
    ra_value found = {0};
    resattn_status status = get(layer, attribute, RESATTN_ATTRIBUTE_INT, value, &found);
    if (status == RESATTN_OK)
        *value = found.i;
    return status;
}

resattn_status resattn_layer_get_real(const resattn_layer *layer, const char *attribute, double *value)
{
    ra_value found = {0};
    resattn_status status = get(layer, attribute, RESATTN_ATTRIBUTE_REAL, value, &found);
    if (status == RESATTN_OK)
        *value = found.r;
    return status;
}

int32_t resattn_layer_attribute_count(const resattn_layer *layer) { return layer ? layer->kind->attribute_count : 0; }

static const ra_attribute *attribute_at(const resattn_layer *layer, int32_t index)
{
    return index >= 0 && index < resattn_layer_attribute_count(layer) ? &layer->kind->attributes[index] : NULL;
}

const char *resattn_layer_attribute_name(const resattn_layer *layer, int32_t index)
{
    const ra_attribute *attribute = attribute_at(layer, index);
    return attribute ? attribute->name : NULL;
}

resattn_attribute_type resattn_layer_attribute_type(const resattn_layer *layer, int32_t index)
{
    const ra_attribute *attribute = attribute_at(layer, index);
    return attribute ? attribute->type : RESATTN_ATTRIBUTE_NONE;
}

int32_t resattn_layer_attribute_is_mutable(const resattn_layer *layer, int32_t index)
{
    const ra_attribute *attribute = attribute_at(layer, index);
    return attribute && attribute->flags & RA_ATTRIBUTE_MUTABLE;
}

resattn_status resattn_layer_attribute_range(const resattn_layer *layer, int32_t index, double *smallest,
                                             double *largest, double *initial)
{
    const ra_attribute *attribute = attribute_at(layer, index);
    if (!attribute)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "attribute range: %s, index %d",
                       layer ? ra_layer_label(layer) : "the layer is NULL", index);
    if (smallest)
        *smallest = attribute->smallest;
    if (largest)
        *largest = attribute->largest;
    if (initial)
        *initial = attribute->initial;
    return RESATTN_OK;
}
