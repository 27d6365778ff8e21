/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What all layers have in common: walking the tree, inferring channels, declaring parameters.
 */
#include <stdio.h>
#include <string.h>

#include "layers/layer.h"

void ra_layer_free(resattn_layer *layer)
{
    resattn_context *context = layer->context;
    if (layer->kind->end)
        layer->kind->end(layer);
    for (int32_t i = 0; i < layer->param_count; i++)
        ra_free(context, layer->params[i].name);
    ra_free(context, layer->name);
    ra_free(context, layer->path);
    ra_free(context, layer->mask_name);
    ra_free(context, layer->trunk_name);
    ra_free(context, layer->params);
    ra_free(context, layer->children);
    ra_free(context, layer);
}

resattn_layer *ra_layer_next(const resattn_layer *root, const resattn_layer *layer)
{
    if (layer->child_count > 0)
        return layer->children[0];
    while (layer != root) {
        const resattn_layer *parent = layer->parent;
        if (layer->index + 1 < parent->child_count)
            return parent->children[layer->index + 1];
        layer = parent;
    }
    return NULL;
}

const char *ra_layer_label(const resattn_layer *layer)
{
    if (layer->path && layer->path[0])
        return layer->path;
    return layer->name ? layer->name : layer->kind->name;
}

bool ra_infer_fail(const resattn_layer *layer, resattn_status status, const char *format, ...)
{
    char message[400];
    va_list arguments;
    va_start(arguments, format);
    ra_format(message, sizeof message, format, arguments);
    va_end(arguments);
    ra_fail(status, "%s: %s", ra_layer_label(layer), message);
    return false;
}

bool ra_infer(resattn_layer *layer, int32_t in_c)
{
    const ra_layer_kind *kind = layer->kind;
    layer->in_c = in_c;
    layer->param_count = 0;
    if (layer->child_count < kind->min_children)
        return ra_infer_fail(layer, RESATTN_INVALID_ARGUMENT, "a %s with %d children, expected %d at least", kind->name,
                             layer->child_count, kind->min_children);
    if (kind->infer(layer))
        return true;
    if (kind->max_children == 0)
        ra_fail_within(ra_layer_label(layer));
    return false;
}

bool ra_declare(resattn_layer *layer, const char *suffix, bool trained, ra_init init, int64_t fan_in, int32_t rank,
                const int64_t *shape)
{
    if (layer->param_count == RA_MAX_PARAMS) {
        ra_fail(RESATTN_TOO_LARGE, "%s is parameter %d, expected at most %d", suffix, RA_MAX_PARAMS + 1, RA_MAX_PARAMS);
        return false;
    }
    if (!layer->params && !(layer->params = ra_alloc(layer->context, RA_MAX_PARAMS, sizeof *layer->params)))
        return false;
    ra_param *param = &layer->params[layer->param_count];
    *param = (ra_param){.rank = rank, .elements = 1, .trained = trained, .init = init, .fan_in = fan_in};
    snprintf(param->suffix, sizeof param->suffix, "%s", suffix);
    for (int32_t i = 0; i < rank; i++) {
        param->shape[i] = shape[i];
        if (!ra_mul_i64(param->elements, shape[i], &param->elements) ||
            param->elements > INT64_MAX / (int64_t)sizeof(float)) {
            ra_fail(RESATTN_TOO_LARGE, "%s has more elements than fit a size", suffix);
            return false;
        }
    }
    layer->param_count++;
    return true;
}

const char *resattn_layer_kind(const resattn_layer *layer) { return layer ? layer->kind->name : NULL; }

const char *resattn_layer_name(const resattn_layer *layer) { return layer ? layer->name : NULL; }

const char *resattn_layer_path(const resattn_layer *layer) { return layer ? layer->path : NULL; }

int32_t resattn_layer_in_channels(const resattn_layer *layer) { return layer && layer->path ? layer->in_c : 0; }

int32_t resattn_layer_out_channels(const resattn_layer *layer) { return layer && layer->path ? layer->out_c : 0; }

int32_t resattn_layer_child_count(const resattn_layer *layer) { return layer ? layer->child_count : 0; }

resattn_layer *resattn_layer_child(const resattn_layer *layer, int32_t index)
{
    return layer && index >= 0 && index < layer->child_count ? layer->children[index] : NULL;
}

resattn_layer *resattn_layer_parent(const resattn_layer *layer) { return layer ? layer->parent : NULL; }

int32_t resattn_layer_parameter_count(const resattn_layer *layer)
{
    return layer && layer->path ? layer->param_count : 0;
}

int32_t resattn_layer_parameter(const resattn_layer *layer, int32_t index)
{
    return index >= 0 && index < resattn_layer_parameter_count(layer) ? layer->params[index].index : -1;
}
