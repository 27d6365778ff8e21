/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The layer tree as bytes, parents before children:
 *     tree:  input channels (4), layer
 *     layer: kind, flags (1), name or nothing, attributes (4), attribute ..., bytes of the host's own where a flag says
 * so, children (4), layer ... attribute: name, type (1), value (8) Only attributes that differ from their defaults are
 * written.
 */
#include <string.h>

#include "format/format.h"

/* ---- writing ---- */

/* To the bit: a layer of the host's may tell -0 from 0. */
static bool is_default(const ra_attribute *attribute, ra_value value)
{
    ra_value initial = {0};
    if (attribute->type == RESATTN_ATTRIBUTE_INT)
        initial.i = (int64_t)attribute->initial;
    else
        initial.r = attribute->initial;
    return value.i == initial.i;
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

static int32_t write_instance(void *user, const void *bytes, size_t size)
{
    ra_bytes *target = user;
    ra_bytes_put(target, bytes, size);
    return target->failed;
}

/* The bytes of the host's own, if the layer has any. */
static bool save_instance(const resattn_layer *layer, ra_bytes *bytes)
{
    bool saved = !layer->kind->save || layer->kind->save(layer, write_instance, bytes);
    if (bytes->failed) /* whatever the callback made of that */
        ra_fail(RESATTN_OUT_OF_MEMORY, "%s: out of memory for what a %s saves", ra_layer_label(layer),
                layer->kind->name);
    else if (!saved)
        ra_fail_within(ra_layer_label(layer));
    else if (bytes->size > RA_BLOB_MAX_INSTANCE)
        ra_fail(RESATTN_TOO_LARGE, "%s: a %s saves %zu bytes, a blob takes at most %d", ra_layer_label(layer),
                layer->kind->name, bytes->size, RA_BLOB_MAX_INSTANCE);
    else
        return true;
    return false;
}

static void write_layer(const resattn_layer *layer, const ra_bytes *instance, ra_bytes *target)
{
    uint32_t flags = layer->absolute ? RA_BLOB_WHOLE_PATH : 0;
    flags |= instance->size > 0 ? RA_BLOB_INSTANCE : 0;
    ra_bytes_put_text(target, layer->kind->name);
    ra_bytes_put_u8(target, flags);
    ra_bytes_put_text(target, layer->name);
    write_attributes(layer, target);
    if (instance->size > 0) {
        ra_bytes_put_u32(target, (uint32_t)instance->size);
        ra_bytes_put(target, instance->data, instance->size);
    }
    ra_bytes_put_u32(target, (uint32_t)layer->child_count);
}

bool ra_tree_write(const resattn_network *network, ra_bytes *target, uint32_t *features)
{
    ra_bytes_put_u32(target, (uint32_t)network->in_c);
    int32_t number = 0;
    ra_bytes instance = {.context = network->context};
    bool ok = true;
    for (const resattn_layer *layer = network->root; ok && layer; layer = ra_layer_next(network->root, layer)) {
        instance.size = 0;
        ok = !refuse_layer(layer, number++) && save_instance(layer, &instance);
        if (ok)
            write_layer(layer, &instance, target);
        *features |= instance.size > 0 ? RA_BLOB_HAS_INSTANCES : 0;
    }
    ra_free(network->context, instance.data);
    return ok && !target->failed;
}

/* ---- reading ---- */

typedef struct parser {
    ra_reader *reader;
    resattn_builder *builder;
    uint32_t features;
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

/* Whether the flags are those of a layer of this kind. */
static bool check_flags(const parser *p, const ra_layer_kind *kind, uint32_t flags, bool has_name)
{
    bool has_instance = flags & RA_BLOB_INSTANCE;
    if (flags > RA_BLOB_WHOLE_PATH + RA_BLOB_INSTANCE || ((flags & RA_BLOB_WHOLE_PATH) && !has_name) ||
        (has_instance && !kind->load)) {
        ra_fail(RESATTN_BAD_FORMAT, "damaged: a %s has flags %u", kind->name, (unsigned)flags);
        return false;
    }
    if (has_instance && !(p->features & RA_BLOB_HAS_INSTANCES)) {
        ra_fail(RESATTN_BAD_FORMAT, "damaged: a %s has bytes of its own, which the header denies", kind->name);
        return false;
    }
    return true;
}

/* The bytes of the host's own, none where the flags say so. */
static bool read_instance(parser *p, resattn_layer *layer, uint32_t flags)
{
    uint32_t size = flags & RA_BLOB_INSTANCE ? ra_read_u32(p->reader) : 0;
    if (size == 0 && (flags & RA_BLOB_INSTANCE)) {
        ra_fail(RESATTN_BAD_FORMAT, "damaged: %s has an instance of 0 bytes", ra_layer_label(layer));
        return false;
    }
    if (size > RA_BLOB_MAX_INSTANCE) {
        ra_fail(RESATTN_TOO_LARGE, "%s: a %s of %u bytes, expected at most %d", ra_layer_label(layer),
                layer->kind->name, (unsigned)size, RA_BLOB_MAX_INSTANCE);
        return false;
    }
    const void *bytes = ra_read_bytes(p->reader, size);
    if (p->reader->failed)
        return false;
    if (!layer->kind->load || layer->kind->load(layer, bytes, size))
        return true;
    ra_fail_within(ra_layer_label(layer));
    return false;
}

static void *refuse_kind(const char *name, const char *kind)
{
    bool is_custom = strncmp(kind, "x-", 2) == 0;
    return ra_fail_null(RESATTN_UNSUPPORTED, "%s%slayer kind '%.80s' is unknown%s", name, *name ? ": " : "", kind,
                        is_custom ? ": it is a host program's own, which must define it first" : "");
}

/* One layer without its children; their number goes to `children`. */
static resattn_layer *read_layer(parser *p, int32_t *children)
{
    *children = 0;
    const char *kind_name = ra_read_text(p->reader, RA_MAX_NAME);
    uint32_t flags = ra_read_u8(p->reader);
    const char *name = ra_read_text_within(p->reader, p->builder->context, RESATTN_LIMIT_NAME);
    if (p->reader->failed)
        return NULL;
    const ra_layer_kind *kind = ra_layer_kind_find(p->builder->context, kind_name);
    if (!kind)
        return refuse_kind(name, kind_name);
    if (!check_flags(p, kind, flags, *name) ||
        !ra_limit_fits(p->builder->context, RESATTN_LIMIT_LAYERS, (uint64_t)++p->layers, "the tree"))
        return NULL;
    bool is_path = flags & RA_BLOB_WHOLE_PATH;
    resattn_layer *layer = ra_layer_new(p->builder, kind, is_path || !*name ? NULL : name);
    if (!layer || (is_path && resattn_layer_set_path(layer, name) != RESATTN_OK) || !read_attributes(p, layer) ||
        !read_instance(p, layer, flags))
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

resattn_layer *ra_tree_read(ra_reader *reader, resattn_builder *builder, uint32_t features, int32_t *in_channels)
{
    parser p = {.reader = reader, .builder = builder, .features = features};
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
