/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Naming the layers of a tree: paths, the names of attention outputs, and the search for duplicates.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layers/kinds.h"
#include "network/names.h"

/* How many unnamed leaves of each kind there were. */
typedef struct kind_count {
    const ra_layer_kind *kind;
    int32_t count;
} kind_count;

typedef struct kind_counts {
    kind_count *list;
    int32_t count, capacity;
} kind_counts;

/* The number of an unnamed leaf, from 1; 0 with the error recorded. */
static int32_t count_unnamed(resattn_context *context, kind_counts *counts, const ra_layer_kind *kind)
{
    for (int32_t i = 0; i < counts->count; i++)
        if (counts->list[i].kind == kind)
            return ++counts->list[i].count;
    if (!ra_grow(context, (void **)&counts->list, counts->count, &counts->capacity, sizeof *counts->list))
        return 0;
    counts->list[counts->count++] = (kind_count){kind, 1};
    return 1;
}

static char *join(resattn_context *context, const char *prefix, const char *name)
{
    const char *dot = prefix[0] && name[0] ? "." : "";
    size_t length = strlen(prefix) + strlen(dot) + strlen(name);
    if (length > RA_MAX_NAME)
        return ra_fail_null(RESATTN_INVALID_ARGUMENT, "%.80s...: the path has %zu bytes, expected at most %d", prefix,
                            length, RA_MAX_NAME);
    char *path = ra_alloc(context, length + 1, 1);
    if (path)
        snprintf(path, length + 1, "%s%s%s", prefix, dot, name);
    return path;
}

static bool name_layer(resattn_layer *layer, bool is_root, kind_counts *counts)
{
    const char *prefix = is_root || layer->absolute ? "" : layer->parent->path;
    char number[64];
    const char *name = layer->name;
    if (!name && layer->kind->max_children == 0) {
        int32_t count = count_unnamed(layer->context, counts, layer->kind);
        if (count == 0)
            return false;
        snprintf(number, sizeof number, "%s%d", layer->kind->name, count);
        name = number;
    }
    layer->path = join(layer->context, prefix, name ? name : "");
    if (!layer->path)
        return false;
    if (layer->kind != &ra_kind_attention)
        return true;
    layer->mask_name = join(layer->context, layer->path, "mask");
    layer->trunk_name = join(layer->context, layer->path, "trunk");
    return layer->mask_name && layer->trunk_name;
}

static bool depth_is_fine(const resattn_layer *root, const resattn_layer *layer)
{
    int32_t depth = 1;
    for (; layer != root && depth <= RA_MAX_DEPTH; layer = layer->parent)
        depth++;
    return depth <= RA_MAX_DEPTH;
}

static bool name_layers(resattn_layer *root, kind_counts *counts)
{
    for (resattn_layer *layer = root; layer; layer = ra_layer_next(root, layer)) {
        if (!depth_is_fine(root, layer)) {
            ra_fail(RESATTN_TOO_LARGE, "%s: more than %d containers inside each other", ra_layer_label(layer),
                    RA_MAX_DEPTH);
            return false;
        }
        if (!name_layer(layer, layer == root, counts))
            return false;
    }
    return true;
}

bool ra_name_layers(resattn_layer *root)
{
    kind_counts counts = {0};
    bool named = name_layers(root, &counts);
    ra_free(root->context, counts.list);
    return named;
}

void ra_unname_layers(resattn_layer *root)
{
    for (resattn_layer *layer = root; layer; layer = ra_layer_next(root, layer)) {
        for (int32_t i = 0; i < layer->param_count; i++)
            ra_free(layer->context, layer->params[i].name);
        ra_free(layer->context, layer->path);
        ra_free(layer->context, layer->mask_name);
        ra_free(layer->context, layer->trunk_name);
        layer->path = layer->mask_name = layer->trunk_name = NULL;
        layer->param_count = 0;
    }
}

static int compare_names(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static bool all_differ(const char **names, int32_t count, const char *what)
{
    qsort(names, (size_t)count, sizeof *names, compare_names);
    for (int32_t i = 1; i < count; i++)
        if (!strcmp(names[i - 1], names[i])) {
            ra_fail(RESATTN_DUPLICATE, "%s: two %s have this name", names[i], what);
            return false;
        }
    return true;
}

bool ra_names_differ(resattn_layer *root, int32_t layer_count)
{
    const char **names = ra_alloc(root->context, (size_t)layer_count, sizeof *names);
    if (!names)
        return false;
    int32_t paths = 0, masks = 0;
    for (resattn_layer *layer = root; layer; layer = ra_layer_next(root, layer))
        if (layer->name || layer->kind->max_children == 0)
            names[paths++] = layer->path;
    bool differ = all_differ(names, paths, "layers");
    for (resattn_layer *layer = root; layer; layer = ra_layer_next(root, layer))
        if (layer->mask_name)
            names[masks++] = layer->mask_name;
    differ = differ && all_differ(names, masks, "masks of attention modules");
    ra_free(root->context, (void *)names);
    return differ;
}
