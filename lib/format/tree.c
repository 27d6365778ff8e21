/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The layer tree as bytes, parents before children:
 *     tree:  input channels (4), layer
 *     layer: kind, flags (1), name or nothing, attributes (4), attribute ..., children (4), layer ...
 *     attribute: name, type (1), value (8)
 * Only attributes that differ from their defaults are written.
 */
#include <string.h>

#include "format/format.h"

/* ---- writing ---- */

static bool is_default(const ra_attribute *attribute, ra_value value)
{
    return attribute->type == RESATTN_ATTRIBUTE_INT ? value.i == (int64_t)attribute->initial
                                                    : !(value.r < attribute->initial || value.r > attribute->initial);
}

static void write_attribute(const ra_attribute *attribute, ra_value value, ra_bytes *target)
{
    uint64_t bits = (uint64_t)value.i;
    if (attribute->type == RESATTN_ATTRIBUTE_REAL)
        memcpy(&bits, &value.r, sizeof bits);
    ra_bytes_put_text(target, attribute->name);
    ra_bytes_put_u8(target, attribute->type);
    ra_bytes_put_u64(target, bits);
}

static void write_attributes(const resattn_layer *layer, ra_bytes *target)
{
    const ra_layer_kind *kind = layer->kind;
    uint32_t count = 0;
    for (int32_t i = 0; i < kind->attribute_count; i++)
        count += !is_default(&kind->attributes[i], layer->attributes[i]);
    ra_bytes_put_u32(target, count);
    for (int32_t i = 0; i < kind->attribute_count; i++)
        if (!is_default(&kind->attributes[i], layer->attributes[i]))
            write_attribute(&kind->attributes[i], layer->attributes[i], target);
}

/* What could be built, but not read again. */
static bool refuse_layer(const resattn_layer *layer, int32_t number)
{
    if (number >= RA_MAX_LAYERS)
        ra_fail(RESATTN_TOO_LARGE, "%s: layer %d, a blob takes at most %d", ra_layer_label(layer), number + 1,
                RA_MAX_LAYERS);
    else if (layer->name && !ra_text_is_utf8(layer->name))
        ra_fail(RESATTN_INVALID_ARGUMENT, "%s: the name is not UTF-8", ra_layer_label(layer));
    else
        return false;
    return true;
}

bool ra_tree_write(const resattn_network *network, ra_bytes *target)
{
    ra_bytes_put_u32(target, (uint32_t)network->in_c);
    int32_t number = 0;
    for (const resattn_layer *layer = network->root; layer; layer = ra_layer_next(network->root, layer), number++) {
        if (refuse_layer(layer, number))
            return false;
        ra_bytes_put_text(target, layer->kind->name);
        ra_bytes_put_u8(target, layer->absolute ? RA_BLOB_WHOLE_PATH : 0);
        ra_bytes_put_text(target, layer->name);
        write_attributes(layer, target);
        ra_bytes_put_u32(target, (uint32_t)layer->child_count);
    }
    return !target->failed;
}

/* ---- reading ---- */

typedef struct parser {
    ra_reader *reader;
    resattn_builder *builder;
    int32_t layers;
} parser;

static bool read_attribute(parser *p, resattn_layer *layer, uint32_t *seen)
{
    const char *name = ra_read_text(p->reader, RA_MAX_NAME);
    uint32_t type = ra_read_u8(p->reader);
    uint64_t bits = ra_read_u64(p->reader);
    if (p->reader->failed)
        return false;
    int32_t index = ra_attribute_find(layer->kind, name);
    if (index < 0) {
        ra_fail(RESATTN_UNSUPPORTED, "%s: attribute '%.80s' of a %s is unknown: made by a later version?",
                ra_layer_label(layer), name, layer->kind->name);
        return false;
    }
    if (*seen >> index & 1) {
        ra_fail(RESATTN_BAD_FORMAT, "damaged: %s: attribute '%s' is there twice", ra_layer_label(layer), name);
        return false;
    }
    *seen |= (uint32_t)1 << index;
    ra_value value;
    if (type == RESATTN_ATTRIBUTE_REAL)
        memcpy(&value.r, &bits, sizeof bits);
    else
        memcpy(&value.i, &bits, sizeof bits);
    if (type == (uint32_t)layer->kind->attributes[index].type)
        return ra_layer_set(layer, index, (resattn_attribute_type)type, value) == RESATTN_OK;
    ra_fail(RESATTN_BAD_FORMAT, "damaged: %s: attribute '%s' is of type %u, expected %d", ra_layer_label(layer), name,
            (unsigned)type, (int)layer->kind->attributes[index].type);
    return false;
}

static bool read_attributes(parser *p, resattn_layer *layer)
{
    uint32_t count = ra_read_u32(p->reader), seen = 0;
    for (uint32_t i = 0; i < count; i++)
        if (!read_attribute(p, layer, &seen))
            return false;
    return !p->reader->failed;
}

/* One layer without its children; their number goes to `children`. */
static resattn_layer *read_layer(parser *p, int32_t *children)
{
    const char *kind_name = ra_read_text(p->reader, RA_MAX_NAME);
    uint32_t flags = ra_read_u8(p->reader);
    const char *name = ra_read_text_within(p->reader, p->builder->context, RESATTN_LIMIT_NAME);
    if (p->reader->failed)
        return NULL;
    const ra_layer_kind *kind = ra_layer_kind_find(kind_name);
    if (!kind)
        return ra_fail_null(RESATTN_UNSUPPORTED, "%s%slayer kind '%.80s' is unknown", name, *name ? ": " : "",
                            kind_name);
    if (flags > RA_BLOB_WHOLE_PATH || (flags == RA_BLOB_WHOLE_PATH && !*name))
        return ra_fail_null(RESATTN_BAD_FORMAT, "damaged: a %s has flags %u", kind->name, (unsigned)flags);
    if (!ra_limit_fits(p->builder->context, RESATTN_LIMIT_LAYERS, (uint64_t)++p->layers, "the tree"))
        return NULL;
    resattn_layer *layer = ra_layer_new(p->builder, kind, flags || !*name ? NULL : name);
    if (!layer || (flags && resattn_layer_set_path(layer, name) != RESATTN_OK) || !read_attributes(p, layer))
        return NULL;
    uint32_t count = ra_read_u32(p->reader);
    if (p->reader->failed)
        return NULL;
    if (count > (size_t)(p->reader->end - p->reader->at) / RA_LAYER_LEAST_SIZE)
        return ra_fail_null(RESATTN_BAD_FORMAT, "damaged: %s has %u children, more than bytes are left for",
                            ra_layer_label(layer), (unsigned)count);
    *children = (int32_t)count;
    return layer;
}

static resattn_layer *read_layers(parser *p)
{
    resattn_layer *stack[RA_MAX_DEPTH];
    int32_t missing[RA_MAX_DEPTH], depth = 0; /* children of stack[i] that are still to come */
    do {
        if (!ra_limit_fits(p->builder->context, RESATTN_LIMIT_DEPTH, (uint64_t)depth + 1, "the tree"))
            return NULL;
        resattn_layer *layer = read_layer(p, &missing[depth]);
        if (!layer || (depth > 0 && ra_layer_adopt(stack[depth - 1], layer) != RESATTN_OK))
            return NULL;
        if (depth > 0)
            missing[depth - 1]--;
        stack[depth++] = layer;
        while (depth > 0 && missing[depth - 1] == 0)
            depth--;
    } while (depth > 0);
    return stack[0];
}

resattn_layer *ra_tree_read(ra_reader *reader, resattn_builder *builder, int32_t *in_channels)
{
    parser p = {reader, builder, 0};
    uint32_t channels = ra_read_u32(reader);
    if (reader->failed)
        return NULL;
    if (channels < 1 || channels > RA_MAX_DIM)
        return ra_fail_null(RESATTN_BAD_FORMAT, "damaged: the tree has %u input channels, expected 1 to %d",
                            (unsigned)channels, RA_MAX_DIM);
    *in_channels = (int32_t)channels;
    resattn_layer *root = read_layers(&p);
    return root && ra_read_all(reader) ? root : NULL;
}

bool ra_tree_least_rest(const resattn_layer *root, size_t *bytes)
{
    *bytes = RA_CHUNK_DONE_SIZE + RA_CHUNK_HEAD_SIZE + 8 * (size_t)root->in_c + RA_CHUNK_CRC_SIZE;
    for (const resattn_layer *layer = root; layer; layer = ra_layer_next(root, layer)) {
        for (int32_t i = 0; i < layer->param_count; i++) {
            const ra_param *param = &layer->params[i];
            size_t head = RA_CHUNK_HEAD_SIZE + RA_CHUNK_TENSOR_FIXED + 8 * (size_t)param->rank + strlen(param->suffix) +
                          1 + RA_CHUNK_CRC_SIZE;
            uint64_t size = ra_number_size(param->trained ? RESATTN_F16 : RESATTN_F32);
            uint64_t packed = (uint64_t)param->elements * size / RA_INFLATE_MOST;
            if (packed > SIZE_MAX || !ra_add_size(*bytes, head, bytes) || !ra_add_size(*bytes, (size_t)packed, bytes)) {
                ra_fail(RESATTN_TOO_LARGE, "%s: %s has %lld elements", ra_layer_label(layer), param->suffix,
                        (long long)param->elements);
                return false;
            }
        }
    }
    return true;
}
