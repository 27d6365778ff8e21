/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Loading: nothing in the bytes is believed before it has been checked against what is there and against the limits.
 */
#include <string.h>

#include "format/blob_read.h"

typedef struct loader {
    resattn_context *context;
    ra_source *source;
    const ra_more *more; /* may be NULL */
    resattn_builder *builder;
    resattn_network *network;
    ra_tensor_loader tensors; /* once there is a network */
    uint32_t features;
    bool has_normalization, has_size, has_classes, done;
} loader;

/* ---- the tree ---- */

static bool read_tree(loader *l, ra_reader *reader)
{
    int32_t in_c = 0;
    size_t least;
    l->builder = resattn_builder_new(l->context);
    resattn_layer *root = l->builder ? ra_tree_read(reader, l->builder, l->features, &in_c) : NULL;
    if (!root || !ra_infer(root, in_c) || !ra_tree_least_rest(root, &least))
        return false;
    /* Parameters get memory only when bytes have arrived that could fill them. The payload may move: it has been read.
     */
    size_t payload = (size_t)(reader->end - l->source->data);
    if (!ra_source_need(l->source, payload + RA_CHUNK_CRC_SIZE + least, "what the tree declares"))
        return false;
    l->network = resattn_network_new_zeroed(l->builder, root, in_c);
    return l->network && ra_tensors_begin(&l->tensors, l->context, l->source, l->network);
}

/* ---- metadata ---- */

static bool set_normalization(loader *l, ra_reader *reader, float *mean, float *deviation)
{
    for (int32_t c = 0; c < l->network->in_c; c++) {
        mean[c] = ra_read_f32(reader);
        deviation[c] = ra_read_f32(reader);
    }
    return ra_read_all(reader) &&
           resattn_network_set_normalization(l->network, mean, deviation, l->network->in_c) == RESATTN_OK;
}

static bool read_normalization(loader *l, ra_reader *reader)
{
    size_t count = (size_t)l->network->in_c;
    if (l->has_normalization || (size_t)(reader->end - reader->at) != 8 * count) {
        ra_fail(RESATTN_BAD_FORMAT, "damaged: normalization %s",
                l->has_normalization ? "twice" : "for another number of channels than the input has");
        return false;
    }
    l->has_normalization = true;
    float *values = ra_alloc(l->context, 2 * count, sizeof *values);
    bool ok = values && set_normalization(l, reader, values, values + count);
    ra_free(l->context, values);
    return ok;
}

static bool read_input_size(loader *l, ra_reader *reader)
{
    uint32_t height = ra_read_u32(reader), width = ra_read_u32(reader);
    if (!ra_read_all(reader))
        return false;
    if (l->has_size || height < 1 || width < 1 || height > RA_MAX_DIM || width > RA_MAX_DIM) {
        ra_fail(RESATTN_BAD_FORMAT, "damaged: input size %u x %u%s", (unsigned)height, (unsigned)width,
                l->has_size ? ", the second one" : "");
        return false;
    }
    l->has_size = true;
    return resattn_network_set_input_size(l->network, (int32_t)height, (int32_t)width) == RESATTN_OK;
}

static bool read_classes(loader *l, ra_reader *reader)
{
    int32_t count = resattn_network_out_channels(l->network);
    if (l->has_classes || reader->end - reader->at < count) {
        ra_fail(RESATTN_BAD_FORMAT, "damaged: %s", l->has_classes ? "class names twice" : "too few class names");
        return false;
    }
    l->has_classes = true;
    const char **names = ra_alloc(l->context, (size_t)count, sizeof *names);
    if (!names)
        return false;
    for (int32_t i = 0; i < count && !reader->failed; i++)
        names[i] = ra_read_text(reader, RA_BLOB_MAX_TEXT);
    bool ok = ra_read_all(reader) && resattn_network_set_classes(l->network, names, count) == RESATTN_OK;
    ra_free(l->context, (void *)names);
    return ok;
}

static bool read_text(loader *l, ra_reader *reader)
{
    const char *key = ra_read_text(reader, RA_MAX_NAME);
    const char *value = ra_read_text(reader, RA_BLOB_MAX_TEXT);
    if (!ra_read_all(reader))
        return false;
    if (l->network->text_count >= RA_BLOB_MAX_TEXTS)
        ra_fail(RESATTN_TOO_LARGE, "more than %d texts", RA_BLOB_MAX_TEXTS);
    else if (resattn_network_text(l->network, key))
        ra_fail(RESATTN_BAD_FORMAT, "damaged: text '%.80s' twice", key);
    else
        return resattn_network_set_text(l->network, key, value) == RESATTN_OK;
    return false;
}

static bool read_done(loader *l, ra_reader *reader)
{
    if (!ra_done_read(l->source, reader))
        return false;
    if (!l->has_normalization) {
        ra_fail(RESATTN_BAD_FORMAT, "damaged: the normalization is missing");
        return false;
    }
    l->done = ra_tensors_finish(&l->tensors);
    return l->done;
}

/* ---- all of it ---- */

typedef struct chunk_kind {
    const char *type, *what;
    bool (*read)(loader *l, ra_reader *reader);
} chunk_kind;

static const chunk_kind kinds[] = {
    {"TREE", "the tree", read_tree}, /* the first one */
    {"TENS", "a tensor", NULL},      /* not read as a whole */
    {"NORM", "the normalization", read_normalization},
    {"size", "the input size", read_input_size},
    {"clas", "the class names", read_classes},
    {"text", "a text", read_text},
    {"DONE", "the end", read_done},
};

/* A chunk that is read as a whole: its checksum is compared first. */
static bool read_whole(loader *l, ra_chunk *c, const chunk_kind *kind)
{
    ra_reader reader;
    bool intact;
    if (!ra_chunk_whole(l->source, c, kind->what, &reader, &intact))
        return false;
    if (intact && !kind->read(l, &reader))
        return ra_chunk_refuse(l->source, c);
    return ra_chunk_end(l->source, c);
}

static const chunk_kind *find_kind(const char *type)
{
    for (int32_t i = 0; i < RA_COUNT(kinds); i++)
        if (strcmp(type, kinds[i].type) == 0)
            return &kinds[i];
    return NULL;
}

static bool read_chunk(loader *l)
{
    ra_chunk c;
    if (!ra_chunk_begin(l->source, &c))
        return false;
    const chunk_kind *kind = find_kind(c.type);
    unsigned long long at = c.at;
    bool known = false;
    if (!kind && l->network && l->more && !l->more->chunk(l->more->user, l->source, l->network, &c, &known))
        return false;
    if (known)
        return true;
    if (!kind && (c.type[0] & 0x20))
        return ra_chunk_end(l->source, &c);
    if (!kind)
        ra_fail(RESATTN_UNSUPPORTED, "chunk %s at byte %llu is unknown: made by a later version?", c.type, at);
    else if ((l->network == NULL) != (kind == &kinds[0]))
        ra_fail(RESATTN_BAD_FORMAT, "damaged: chunk %s at byte %llu %s", c.type, at,
                l->network ? "is a second tree" : "comes before the tree");
    else if (kind->read)
        return read_whole(l, &c, kind);
    else if (ra_tensors_read(&l->tensors, &c))
        return ra_chunk_end(l->source, &c);
    return ra_chunk_refuse(l->source, &c);
}

static bool read_next(loader *l)
{
    bool any = false;
    if (l->network && !ra_tensors_read_batch(&l->tensors, &any))
        return false;
    return any || read_chunk(l);
}

resattn_network *ra_blob_load(resattn_context *context, const ra_input *input, const ra_more *more)
{
    ra_source source;
    if (!ra_source_open(&source, context, input, "load"))
        return NULL;
    loader l = {.context = context, .source = &source, .more = more};
    bool ok = ra_header_read(&source, &l.features);
    while (ok && !l.done)
        ok = read_next(&l);
    ok = ok && ra_source_at_end(&source) && (!more || more->finish(more->user, l.network));
    if (ok)
        atomic_fetch_add(&l.network->version, 1);
    ra_tensors_end(&l.tensors);
    resattn_builder_free(l.builder);
    if (ra_source_close(&source, ok))
        return l.network;
    resattn_network_unref(l.network);
    return NULL;
}

/* ---- the three ways in ---- */

resattn_network *resattn_network_load(resattn_context *context, const char *path)
{
    return ra_blob_load(context, &(ra_input){.form = "path", .path = path}, NULL);
}

resattn_network *resattn_network_load_buffer(resattn_context *context, const void *bytes, size_t size)
{
    return ra_blob_load(context, &(ra_input){.form = "buffer", .bytes = bytes, .size = size}, NULL);
}

resattn_network *resattn_network_load_stream(resattn_context *context, resattn_read_fn read, void *user)
{
    return ra_blob_load(context, &(ra_input){.form = "callback", .read = read, .user = user}, NULL);
}
