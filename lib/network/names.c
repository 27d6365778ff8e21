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

static int32_t count_unnamed(kind_count *counts, const ra_layer_kind *kind)
{
    while (counts->kind && counts->kind != kind)
        counts++;
    counts->kind = kind;
    return ++counts->count;
}

static char *join(resattn_context *context, const char *prefix, const char *name)
{
    size_t size = strlen(prefix) + strlen(name) + 2;
    if (size > RA_MAX_NAME + 1)
        return ra_fail_null(RESATTN_INVALID_ARGUMENT, "%.80s...: the path has %zu bytes, expected at most %d", prefix,
                            size - 1, RA_MAX_NAME);
    char *path = ra_alloc(context, size, 1);
    if (path)
        snprintf(path, size, "%s%s%s", prefix, prefix[0] && name[0] ? "." : "", name);
    return path;
}

static bool name_layer(resattn_layer *layer, bool is_root, kind_count *counts)
{
    const char *prefix = is_root || layer->absolute ? "" : layer->parent->path;
    char number[64];
    const char *name = layer->name;
    if (!name && layer->kind->max_children == 0) {
        snprintf(number, sizeof number, "%s%d", layer->kind->name, count_unnamed(counts, layer->kind));
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

bool ra_name_layers(resattn_layer *root)
{
    kind_count counts[64] = {{0}};
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
