/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Builders: owners of layers, with a memory for the first error.
 */
#include <stdio.h>
#include <string.h>

#include "layers/layer.h"

resattn_builder *resattn_builder_new(resattn_context *context)
{
    if (!context)
        return ra_fail_null(RESATTN_INVALID_ARGUMENT, "builder: the context is NULL");
    resattn_builder *builder = ra_alloc(context, 1, sizeof *builder);
    if (builder)
        builder->context = resattn_context_ref(context);
    return builder;
}

void resattn_builder_free(resattn_builder *builder)
{
    if (!builder)
        return;
    resattn_context *context = builder->context;
    while (builder->layers) {
        resattn_layer *layer = builder->layers;
        builder->layers = layer->next;
        ra_layer_free(layer);
    }
    ra_free(context, builder);
    resattn_context_unref(context);
}

resattn_context *resattn_builder_context(const resattn_builder *builder)
{
    return builder ? builder->context : NULL;
}

resattn_status resattn_builder_status(const resattn_builder *builder)
{
    return builder ? builder->status : RESATTN_INVALID_ARGUMENT;
}

const char *resattn_builder_error(const resattn_builder *builder)
{
    return builder ? builder->error : "the builder is NULL";
}

resattn_status ra_builder_remember(resattn_builder *builder)
{
    if (builder && builder->status == RESATTN_OK) {
        builder->status = resattn_last_status();
        snprintf(builder->error, sizeof builder->error, "%s", resattn_last_error());
    }
    return resattn_last_status();
}

resattn_status resattn_builder_fail(resattn_builder *builder, resattn_status status, const char *message)
{
    if (!builder || !message)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "builder fail: the %s is NULL", builder ? "message" : "builder");
    if (status >= RESATTN_OK || status < RESATTN_HOST_ERROR)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "builder fail: the status is %d, expected %d to -1", (int)status,
                       RESATTN_HOST_ERROR);
    ra_fail(status, "%s", message);
    ra_builder_remember(builder);
    return ra_fail(builder->status, "%s", builder->error);
}

/* A name is made of parts with dots between them: no part is empty, nothing in it would garble a listing. */
static bool is_good_name(const char *name)
{
    size_t length = strlen(name);
    if (length == 0 || length > RA_MAX_NAME || name[0] == '.' || name[length - 1] == '.' || strstr(name, ".."))
        return false;
    for (const char *c = name; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            return false;
    return true;
}

static bool set_name(resattn_layer *layer, const char *name)
{
    if (!is_good_name(name)) {
        ra_fail(RESATTN_INVALID_ARGUMENT,
                "%s: the name '%.80s' is not a chain of 1 to %d bytes of parts with single dots between them",
                layer->kind->name, name, RA_MAX_NAME);
        return false;
    }
    char *copy = ra_strdup(layer->context, name);
    if (!copy)
        return false;
    ra_free(layer->context, layer->name);
    layer->name = copy;
    return true;
}

resattn_layer *ra_layer_new(resattn_builder *builder, const ra_layer_kind *kind, const char *name)
{
    if (!builder)
        return ra_fail_null(RESATTN_INVALID_ARGUMENT, "%s: the builder is NULL", kind->name);
    if (builder->status != RESATTN_OK)
        return ra_fail_null(builder->status, "%s", builder->error);
    resattn_layer *layer = ra_alloc(builder->context, 1, sizeof(resattn_attention));
    if (!layer) {
        ra_builder_remember(builder);
        return NULL;
    }
    layer->kind = kind;
    layer->context = builder->context;
    for (int32_t i = 0; i < kind->attribute_count; i++) {
        const ra_attribute *attribute = &kind->attributes[i];
        if (attribute->type == RESATTN_ATTRIBUTE_INT)
            layer->attributes[i].i = (int64_t)attribute->initial;
        else
            layer->attributes[i].r = attribute->initial;
    }
    if (name && !set_name(layer, name)) {
        ra_builder_remember(builder);
        ra_layer_free(layer);
        return NULL;
    }
    layer->builder = builder;
    layer->next = builder->layers;
    if (layer->next)
        layer->next->previous = layer;
    builder->layers = layer;
    return layer;
}

static resattn_status refuse_adoption(resattn_layer *container, const resattn_layer *child)
{
    const char *label = ra_layer_label(container);
    int32_t most = container->kind->max_children;
    if (!container->builder)
        return ra_fail(RESATTN_WRONG_STATE, "%s: part of a network, it takes no more children", label);
    if (container->builder->status != RESATTN_OK)
        return ra_fail(container->builder->status, "%s", container->builder->error);
    if (!child)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "%s: child %d is NULL", label, container->child_count + 1);
    if (container->child_count >= most)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "%s: a %s takes %d children, %s is one too many", label,
                       container->kind->name, most, ra_layer_label(child));
    if (child->builder != container->builder)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "%s: %s is of another builder or a network", label,
                       ra_layer_label(child));
    if (child->parent)
        return ra_fail(RESATTN_DUPLICATE, "%s: %s is used twice, it is in %s already", label, ra_layer_label(child),
                       ra_layer_label(child->parent));
    for (const resattn_layer *layer = container; layer; layer = layer->parent)
        if (layer == child)
            return ra_fail(RESATTN_DUPLICATE, "%s: %s cannot contain itself", label, ra_layer_label(child));
    return RESATTN_OK;
}

resattn_status ra_layer_adopt(resattn_layer *container, resattn_layer *child)
{
    if (refuse_adoption(container, child) != RESATTN_OK ||
        !ra_grow(container->context, (void **)&container->children, container->child_count, &container->child_capacity,
                 sizeof *container->children))
        return ra_builder_remember(container->builder);
    child->parent = container;
    child->index = container->child_count;
    container->children[container->child_count++] = child;
    return RESATTN_OK;
}

resattn_status resattn_layer_set_path(resattn_layer *layer, const char *path)
{
    if (!layer)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "path: the layer is NULL");
    if (!layer->builder)
        return ra_fail(RESATTN_WRONG_STATE, "%s: part of a network, its path is fixed", layer->path);
    if (!path) {
        ra_fail(RESATTN_INVALID_ARGUMENT, "%s: the path is NULL", ra_layer_label(layer));
        return ra_builder_remember(layer->builder);
    }
    if (!set_name(layer, path))
        return ra_builder_remember(layer->builder);
    layer->absolute = true;
    return RESATTN_OK;
}
