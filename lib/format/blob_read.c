/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Loading: nothing in the bytes is believed before it has been checked against what is there and against the limits.
 */
#include <string.h>

#include "format/blob_read.h"
#include "format/checkpoint.h"
#include "format/probe.h"

typedef struct loader {
    resattn_context *context;
    ra_source *source;
    resattn_probe *probe; /* NULL: all is to be loaded */
    const ra_more *more;  /* may be NULL */
    resattn_builder *builder;
    resattn_network *network;
    ra_tensor_loader tensors; /* once there is a network and it is known how to go on */
    ra_source rest;           /* what follows the tree, all in memory, where it is gone through twice */
    uint32_t features;
    bool has_normalization, has_size, has_classes, done;
} loader;

/* ---- the tree ---- */

static bool check_parameters(const loader *l, const resattn_layer *root)
{
    uint64_t tensors = 0, elements = 0;
    for (const resattn_layer *layer = root; layer; layer = ra_layer_next(root, layer)) {
        for (int32_t i = 0; i < layer->param_count; i++, tensors++) {
            uint64_t more = (uint64_t)layer->params[i].elements;
            if (!ra_limit_fits(l->context, RESATTN_LIMIT_ELEMENTS, more, ra_layer_label(layer)))
                return false;
            /* Each is at most 2^61, so the sum shows before it overflows. */
            elements += more;
            if (!ra_limit_fits(l->context, RESATTN_LIMIT_PARAMETERS,
                               elements > UINT64_MAX / sizeof(float) ? UINT64_MAX : elements * sizeof(float),
                               "the tree"))
                return false;
        }
    }
    return ra_limit_fits(l->context, RESATTN_LIMIT_TENSORS, tensors, "the tree");
}

static bool read_tree(loader *l, ra_reader *reader)
{
    int32_t in_c = 0;
    size_t least;
    l->builder = resattn_builder_new(l->context);
    resattn_layer *root = l->builder ? ra_tree_read(reader, l->builder, l->features, &in_c) : NULL;
    if (!root || !ra_infer(root, in_c) || !check_parameters(l, root) || !ra_tree_least_rest(root, &least))
        return false;
    /* A probe passes over the values; what stays is the normalization, of 8 bytes a channel. */
    if (l->probe)
        least = 8 * (size_t)in_c;
    /* Only what bytes that have arrived could fill gets memory. The payload may move: it has been read. */
    size_t payload = (size_t)(reader->end - l->source->data);
    if (!ra_source_need(l->source, payload + RA_CHUNK_CRC_SIZE + least, "what the tree declares"))
        return false;
    l->network = ra_network_new_empty(l->builder, root, in_c);
    return l->network != NULL;
}

/*
 * Behind the tree: memory for the parameters, if enough bytes have arrived for it. Where the file is smaller than that,
 * all of it is in memory now, and is checked to its last byte before they get any.
 */
static bool place_values(loader *l)
{
    uint64_t bytes = (uint64_t)l->network->padded * sizeof(float);
    uint64_t least = bytes / (uint64_t)ra_limit(l->context, RESATTN_LIMIT_INFLATION);
    bool failed = false;
    if (l->probe)
        return ra_tensors_begin(&l->tensors, RA_TENSORS_LEAVE, l->source, l->network);
    if (!ra_source_has(l->source, (size_t)least, &failed)) {
        uint64_t there = l->source->available > 0 ? l->source->available : 1;
        return !failed && ra_limit_fits(l->context, RESATTN_LIMIT_INFLATION, bytes / there + 1, "the tree");
    }
    if (ra_source_has(l->source, (size_t)(bytes / RA_INFLATE_TRUSTED), &failed))
        return ra_network_add_values(l->network) &&
               ra_tensors_begin(&l->tensors, RA_TENSORS_FILL, l->source, l->network);
    l->rest = *l->source;
    return !failed && ra_tensors_begin(&l->tensors, RA_TENSORS_COUNT, l->source, l->network);
}

/* Once more through what has been found in order. */
static bool fill_values(loader *l)
{
    if (!ra_network_add_values(l->network))
        return false;
    ra_tensors_restart(&l->tensors, &l->rest);
    while (l->rest.available > 0) {
        bool any;
        ra_chunk c;
        if (!ra_tensors_read_batch(&l->tensors, &any))
            return false;
        if (any)
            continue;
        if (!ra_chunk_begin(&l->rest, &c) || (strcmp(c.type, "TENS") == 0 && !ra_tensors_read(&l->tensors, &c)) ||
            !ra_chunk_end(&l->rest, &c))
            return false;
    }
    return true;
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
    if (!ra_limit_fits(l->context, RESATTN_LIMIT_CLASSES, (uint64_t)count, reader->what))
        return false;
    const char **names = ra_alloc(l->context, (size_t)count, sizeof *names);
    if (!names)
        return false;
    for (int32_t i = 0; i < count && !reader->failed; i++)
        names[i] = ra_read_text_within(reader, l->context, RESATTN_LIMIT_TEXT);
    bool ok = ra_read_all(reader) && resattn_network_set_classes(l->network, names, count) == RESATTN_OK;
    ra_free(l->context, (void *)names);
    return ok;
}

static bool read_text(loader *l, ra_reader *reader)
{
    const char *key = ra_read_text_within(reader, l->context, RESATTN_LIMIT_NAME);
    const char *value = ra_read_text_within(reader, l->context, RESATTN_LIMIT_TEXT);
    if (!ra_read_all(reader) ||
        !ra_limit_fits(l->context, RESATTN_LIMIT_TEXTS, (uint64_t)l->network->text_count + 1, "the network"))
        return false;
    if (resattn_network_text(l->network, key))
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

/* Of a checkpoint, for a probe. A later layout is left to who restores from it. */
static bool read_training(loader *l, ra_reader *reader)
{
    resattn_probe *probe = l->probe;
    probe->format = RESATTN_FORMAT_CHECKPOINT;
    if (ra_read_u32(reader) != RA_CHECKPOINT_VERSION)
        return !reader->failed;
    const char *optimizer = ra_read_text(reader, sizeof probe->optimizer - 1);
    uint32_t storage = ra_read_u8(reader);
    ra_read_f64(reader); /* the norm of the gradients */
    probe->has_average = ra_read_u8(reader) == 1;
    if (reader->failed)
        return false;
    memcpy(probe->optimizer, optimizer, strlen(optimizer) + 1);
    probe->storage = (resattn_dtype)storage;
    return ra_number_type_is_known(probe->storage);
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

static const chunk_kind training = {RA_CHUNK_STATE, "the state of the training", read_training};

static const chunk_kind *find_kind(const loader *l, const char *type)
{
    if (l->probe && strcmp(type, training.type) == 0)
        return &training;
    for (int32_t i = 0; i < RA_COUNT(kinds); i++)
        if (strcmp(type, kinds[i].type) == 0)
            return &kinds[i];
    return NULL;
}

/* Goes over the rest of a chunk, which a probe leaves unread. */
static bool end_chunk(const loader *l, ra_chunk *c)
{
    return l->probe ? ra_chunk_leave(l->source, c) : ra_chunk_end(l->source, c);
}

static bool read_chunk(loader *l)
{
    ra_chunk c;
    if (!ra_chunk_begin(l->source, &c))
        return false;
    const chunk_kind *kind = find_kind(l, c.type);
    unsigned long long at = c.at;
    bool known = false;
    if (!kind && l->network && l->more && !l->more->chunk(l->more->user, l->source, l->network, &c, &known))
        return false;
    if (known)
        return true;
    if (!kind && (c.type[0] & 0x20))
        return end_chunk(l, &c);
    if (!kind)
        ra_fail(RESATTN_UNSUPPORTED, "chunk %s at byte %llu is unknown: made by a later version?", c.type, at);
    else if ((l->network == NULL) != (kind == &kinds[0]))
        ra_fail(RESATTN_BAD_FORMAT, "damaged: chunk %s at byte %llu %s", c.type, at,
                l->network ? "is a second tree" : "comes before the tree");
    else if (kind->read)
        return read_whole(l, &c, kind);
    else if (ra_tensors_read(&l->tensors, &c))
        return end_chunk(l, &c);
    return ra_chunk_refuse(l->source, &c);
}

static bool read_next(loader *l)
{
    bool any = false;
    if (l->network && !l->tensors.network && !place_values(l))
        return false;
    if (l->network && l->tensors.mode == RA_TENSORS_FILL && !ra_tensors_read_batch(&l->tensors, &any))
        return false;
    return any || read_chunk(l);
}

static bool read_blob(loader *l)
{
    bool ok = ra_header_read(l->source, &l->features);
    while (ok && !l->done)
        ok = read_next(l);
    ok = ok && ra_source_at_end(l->source) && (l->tensors.mode != RA_TENSORS_COUNT || fill_values(l)) &&
         (!l->more || l->more->finish(l->more->user, l->network));
    if (ok)
        atomic_fetch_add(&l->network->version, 1);
    ra_tensors_end(&l->tensors);
    resattn_builder_free(l->builder);
    return ok;
}

resattn_network *ra_blob_load(resattn_context *context, const ra_input *input, const ra_more *more)
{
    ra_source source;
    if (!ra_source_open(&source, context, input, "load"))
        return NULL;
    loader l = {.context = context, .source = &source, .more = more};
    if (ra_source_close(&source, read_blob(&l)))
        return l.network;
    resattn_network_unref(l.network);
    return NULL;
}

bool ra_blob_probe(resattn_probe *probe, ra_source *source)
{
    loader l = {.context = source->context, .source = source, .probe = probe};
    probe->format = RESATTN_FORMAT_BLOB;
    probe->version = RA_BLOB_VERSION;
    bool ok = read_blob(&l);
    probe->network = l.network;
    if (ok && probe->format == RESATTN_FORMAT_BLOB)
        probe->storage = probe->network->storage;
    return ok;
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
