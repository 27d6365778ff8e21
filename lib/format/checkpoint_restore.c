/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Restoring from a checkpoint into an optimizer and an average, where the chunks of the network are passed over with
 * their checksums compared; or loading them with the network, which makes them. All is read and checked before anything
 * is changed or made.
 */
#include <string.h>

#include "format/blob_read.h"
#include "format/checkpoint.h"

/* More steps would not be exact in a double. */
static const uint64_t most_steps = UINT64_C(1) << 53;

typedef struct restorer {
    resattn_context *context;
    ra_source *source;
    resattn_network *network;
    bool loads;                        /* or restores */
    bool wants_moments, wants_average; /* otherwise they are passed over */
    resattn_optimizer *optimizer;      /* restoring: to be changed; loading: what was made */
    resattn_ema *average;              /* the same; may be NULL */
    const ra_optimizer_kind *kind;     /* once there is a state */
    bool has_state, has_average, done;
    resattn_dtype storage;
    double settings[RA_MAX_SETTINGS];
    double norm, decay;
    ra_own *owns;   /* of each parameter */
    float **values; /* what came beside each parameter: of each of the optimizer's states, at last of the average */
    int32_t places; /* in `values` */
    ra_unpacker *unpacker;
} restorer;

static float **values_of(const restorer *r, int32_t state)
{
    return r->values + (size_t)state * (size_t)r->network->param_count;
}

/* ---- the state as a whole ---- */

static bool read_setting(restorer *r, ra_reader *reader, uint32_t *seen)
{
    const ra_optimizer_kind *kind = r->kind;
    const char *name = ra_read_text(reader, RA_MAX_NAME);
    double value = ra_read_f64(reader);
    if (reader->failed)
        return false;
    int32_t index = 0;
    while (index < kind->setting_count && strcmp(kind->settings[index].name, name) != 0)
        index++;
    if (index == kind->setting_count) {
        ra_fail(RESATTN_UNSUPPORTED, "the attribute '%.60s' of %s is unknown: made by a later version?", name,
                kind->name);
        return false;
    }
    if (!ra_optimizer_check(kind, index, value)) {
        ra_fail(RESATTN_BAD_FORMAT, "damaged: %s", resattn_last_error());
        return false;
    }
    if (*seen & UINT32_C(1) << index) {
        ra_fail(RESATTN_BAD_FORMAT, "damaged: the attribute '%s' is there twice", name);
        return false;
    }
    *seen |= UINT32_C(1) << index;
    r->settings[index] = value;
    return true;
}

/* What an earlier version did not know has its initial value. */
static bool read_settings(restorer *r, ra_reader *reader)
{
    const ra_optimizer_kind *kind = r->kind;
    for (int32_t i = 0; i < kind->setting_count; i++)
        r->settings[i] = kind->settings[i].initial;
    uint32_t count = ra_read_u32(reader), seen = 0;
    for (uint32_t i = 0; i < count; i++)
        if (!read_setting(r, reader, &seen))
            return false;
    return !reader->failed;
}

static bool read_own(const ra_param *param, ra_own *own, ra_reader *reader)
{
    uint64_t steps = ra_read_u64(reader);
    own->steps = (int64_t)steps;
    for (int32_t i = 0; i < RA_FACTORS; i++) {
        own->factors[i] = ra_read_f64(reader);
        own->path_lengths[i] = ra_read_u32(reader);
        if (!ra_within(own->factors[i], 0, RA_LARGEST_FACTOR)) {
            ra_fail(RESATTN_BAD_FORMAT, "damaged: a factor of %s is %g, expected 0 to %g", param->name, own->factors[i],
                    RA_LARGEST_FACTOR);
            return false;
        }
    }
    if (!reader->failed && steps <= most_steps)
        return true;
    if (!reader->failed)
        ra_fail(RESATTN_BAD_FORMAT, "damaged: %s after %llu steps, expected at most %llu", param->name,
                (unsigned long long)steps, (unsigned long long)most_steps);
    return false;
}

static bool read_owns(restorer *r, ra_reader *reader)
{
    const resattn_network *network = r->network;
    uint32_t count = ra_read_u32(reader), trained = 0;
    for (int32_t i = 0; i < network->param_count; i++)
        trained += network->params[i]->trained;
    if (!reader->failed && count != trained)
        ra_fail(RESATTN_SHAPE_MISMATCH, "the checkpoint is of %u trained parameters, the network has %u",
                (unsigned)count, (unsigned)trained);
    if (reader->failed || count != trained)
        return false;
    for (int32_t i = 0; i < network->param_count; i++)
        if (network->params[i]->trained && !read_own(network->params[i], &r->owns[i], reader))
            return false;
    return true;
}

static bool read_average(restorer *r, ra_reader *reader)
{
    uint32_t has = ra_read_u8(reader);
    r->decay = ra_read_f64(reader);
    r->has_average = has == 1;
    if (reader->failed)
        return false;
    if (has > 1 || !ra_within(r->decay, 0, 1) || r->decay == 1)
        ra_fail(RESATTN_BAD_FORMAT, "damaged: %u averages with the decay %g", (unsigned)has, r->decay);
    else if (!r->has_average && r->wants_average && !r->loads)
        ra_fail(RESATTN_NOT_FOUND, "the checkpoint holds no average of the weights, and one was given to restore");
    else
        return true;
    return false;
}

/* The optimizer's kind, and room for what lies beside the parameters, but not yet for values. */
static bool take_kind(restorer *r, const char *name)
{
    r->kind = r->loads ? ra_optimizer_kind_find(name) : r->optimizer->kind;
    if (!r->kind) {
        ra_fail(RESATTN_UNSUPPORTED, "the optimizer '%.60s' is unknown: made by a later version?", name);
        return false;
    }
    if (strcmp(name, r->kind->name) != 0) {
        ra_fail(RESATTN_INVALID_ARGUMENT, "the checkpoint is of a training with %.60s, the optimizer is %s", name,
                r->kind->name);
        return false;
    }
    size_t count = (size_t)r->network->param_count;
    r->places = r->network->param_count * (r->kind->states + 1);
    r->owns = ra_alloc(r->context, count, sizeof *r->owns);
    r->values = r->owns ? ra_alloc(r->context, count, (size_t)(r->kind->states + 1) * sizeof *r->values) : NULL;
    r->unpacker = r->values ? ra_unpacker_new(r->context) : NULL;
    return r->unpacker != NULL;
}

static bool read_state(restorer *r, ra_reader *reader)
{
    uint32_t version = ra_read_u32(reader);
    if (r->has_state) {
        ra_fail(RESATTN_BAD_FORMAT, "damaged: the state of the training twice");
        return false;
    }
    if (!reader->failed && version != RA_CHECKPOINT_VERSION) {
        ra_fail(RESATTN_UNSUPPORTED, "the state of a training in layout %u, this library reads %d", (unsigned)version,
                RA_CHECKPOINT_VERSION);
        return false;
    }
    const char *kind = ra_read_text(reader, RA_MAX_NAME);
    if (!kind || !take_kind(r, kind))
        return false;
    r->storage = (resattn_dtype)ra_read_u8(reader);
    if (!reader->failed && !ra_number_type_is_known(r->storage)) {
        ra_fail(RESATTN_BAD_FORMAT, "damaged: %s", resattn_last_error());
        return false;
    }
    r->norm = ra_read_f64(reader);
    r->has_state = read_average(r, reader) && read_settings(r, reader) && read_owns(r, reader) && ra_read_all(reader);
    return r->has_state;
}

/* ---- values beside a parameter ---- */

/* Where the values go: not yet any memory. NULL with the error recorded. */
static float **find_place(restorer *r, const ra_tensor_head *head, int32_t state)
{
    bool averages = state == r->kind->states;
    int32_t index = ra_network_find(r->network, head->name);
    if (index < 0 || (!averages && !r->network->params[index]->trained))
        return ra_fail_null(RESATTN_SHAPE_MISMATCH,
                            "the checkpoint is of a network with the parameter %s, this one has none", head->name);
    if (!ra_tensor_head_fits(head, r->network->params[index]))
        return ra_fail_null(RESATTN_SHAPE_MISMATCH, "%s", resattn_last_error());
    if (head->type != RESATTN_F32)
        return ra_fail_null(RESATTN_BAD_FORMAT, "damaged: the state of %s has the element type %d, expected %d",
                            head->name, (int)head->type, RESATTN_F32);
    float **place = &values_of(r, state)[index];
    if (*place)
        return ra_fail_null(RESATTN_BAD_FORMAT, "damaged: %s of %s twice", averages ? "the average" : "a state",
                            head->name);
    return place;
}

/* Memory for them only when bytes have arrived that could fill it. */
static bool make_room(restorer *r, const ra_chunk *c, const ra_param *param, float **place)
{
    uint64_t bytes = (uint64_t)param->elements * sizeof(float), least = bytes / RA_INFLATE_MOST;
    if (c->left >= least && c->left < bytes / (uint64_t)ra_limit(r->context, RESATTN_LIMIT_INFLATION))
        return ra_limit_fits(r->context, RESATTN_LIMIT_INFLATION, bytes / (c->left + 1) + 1, param->name);
    if (c->left < least) {
        ra_fail(RESATTN_BAD_FORMAT, "%s: damaged: fewer values than the shape has elements", param->name);
        return false;
    }
    if (!ra_source_need(r->source, (size_t)least, "what a tensor declares"))
        return false;
    *place = ra_alloc(r->context, (size_t)param->elements, sizeof **place);
    return *place != NULL;
}

static bool unpack(restorer *r, ra_chunk *c, const ra_param *param, float *values)
{
    resattn_tensor tensor;
    ra_tensor_embed(&tensor, param->rank, param->shape, RESATTN_CHANNELS_LAST, values);
    bool ok = ra_unpack_begin(r->unpacker, &tensor, RESATTN_F32);
    while (ok && c->left > 0) {
        size_t size = ra_chunk_look(r->source, c);
        if (size == 0)
            return false;
        ok = ra_unpack(r->unpacker, r->source->data, size);
        ra_chunk_take(r->source, c, size);
    }
    return (ok && ra_unpack_end(r->unpacker)) || (ra_fail_within(param->name), false);
}

static bool read_values(restorer *r, ra_chunk *c)
{
    bool moments = strcmp(c->type, RA_CHUNK_MOMENT) == 0;
    int32_t states = r->has_state ? r->kind->states : 0, state = states;
    size_t most = RA_TENSOR_MOST_HEAD + 1, size = c->left < most ? (size_t)c->left : most;
    if (!ra_source_need(r->source, size, c->type))
        return false;
    ra_reader reader = {r->source->data, r->source->data + size, "the head of a tensor", false};
    if (moments)
        state = (int32_t)ra_read_u8(&reader);
    ra_tensor_head head;
    if (!ra_tensor_head_read(&reader, &head))
        return false;
    if (!r->has_state || (moments ? state >= states : !r->has_average)) {
        ra_fail(RESATTN_BAD_FORMAT, "damaged: %s of %s, which the state of the training does not tell of",
                moments ? "a state" : "the average", head.name);
        return false;
    }
    float **place = find_place(r, &head, state);
    if (!place)
        return false;
    const ra_param *param = r->network->params[place - values_of(r, state)];
    ra_chunk_take(r->source, c, (size_t)(reader.at - r->source->data));
    return make_room(r, c, param, place) && unpack(r, c, param, *place);
}

/* ---- all of it ---- */

/* The paths that factors were given for end where a component of the name does. */
static bool check_paths(const restorer *r)
{
    for (int32_t i = 0; i < r->network->param_count; i++) {
        const char *name = r->network->params[i]->name;
        for (int32_t factor = 0; factor < RA_FACTORS; factor++) {
            size_t length = r->owns[i].path_lengths[factor];
            if (length <= strlen(name) && ra_name_is_below(name, name, length))
                continue;
            ra_fail(RESATTN_BAD_FORMAT, "damaged: a factor of %s was given for a path of %zu bytes", name, length);
            return false;
        }
    }
    return true;
}

static bool nothing_is_missing(const restorer *r)
{
    if (!r->has_state) {
        ra_fail(RESATTN_NOT_FOUND, "the blob holds no state of a training: it is a network and no checkpoint");
        return false;
    }
    int32_t states = r->kind->states, end = states + (r->wants_average && r->has_average);
    for (int32_t state = r->wants_moments ? 0 : states; state < end; state++) {
        for (int32_t i = 0; i < r->network->param_count; i++) {
            const ra_param *param = r->network->params[i];
            if (values_of(r, state)[i] || (state < states && !param->trained))
                continue;
            ra_fail(RESATTN_SHAPE_MISMATCH, "the network has the parameter %s, the checkpoint holds no %s of it",
                    param->name, state < states ? "state" : "average");
            return false;
        }
    }
    return check_paths(r);
}

static bool read_done(restorer *r, ra_reader *reader)
{
    r->done = ra_done_read(r->source, reader) && nothing_is_missing(r);
    return r->done;
}

/* A file that contradicts itself is damaged; one that contradicts what is to be restored is another one. */
static bool refuse(const restorer *r, ra_chunk *c)
{
    if (r->loads)
        ra_chunk_refuse(r->source, c);
    else
        ra_chunk_pass(r->source, c);
    return false;
}

static bool read_whole(restorer *r, ra_chunk *c, const char *what, bool (*read)(restorer *r, ra_reader *reader))
{
    ra_reader reader;
    bool intact;
    if (!ra_chunk_whole(r->source, c, what, &reader, &intact))
        return false;
    return intact && !read(r, &reader) ? refuse(r, c) : ra_chunk_end(r->source, c);
}

/* Reads a chunk of the training, unless it is not wanted: `*known`. */
static bool read_training(restorer *r, ra_chunk *c, bool *known)
{
    bool state = strcmp(c->type, RA_CHUNK_STATE) == 0;
    *known = state || (r->wants_moments && strcmp(c->type, RA_CHUNK_MOMENT) == 0) ||
             (r->wants_average && strcmp(c->type, RA_CHUNK_AVERAGE) == 0);
    if (state)
        return read_whole(r, c, "the state of the training", read_state);
    if (!*known)
        return true;
    return read_values(r, c) ? ra_chunk_end(r->source, c) : refuse(r, c);
}

static bool is_of_network(const char *type)
{
    return strcmp(type, "TREE") == 0 || strcmp(type, "NORM") == 0 || strcmp(type, "TENS") == 0;
}

static bool read_chunk(restorer *r)
{
    ra_chunk c;
    bool known;
    if (!ra_chunk_begin(r->source, &c))
        return false;
    if (strcmp(c.type, "DONE") == 0)
        return read_whole(r, &c, "the end", read_done);
    if (!read_training(r, &c, &known))
        return false;
    if (known)
        return true;
    if (c.type[0] & 0x20 || is_of_network(c.type))
        return ra_chunk_end(r->source, &c);
    ra_fail(RESATTN_UNSUPPORTED, "chunk %s at byte %llu is unknown: made by a later version?", c.type,
            (unsigned long long)c.at);
    return refuse(r, &c);
}

static void copy_values(const restorer *r, int32_t state, float *to)
{
    for (int32_t i = 0; i < r->network->param_count; i++) {
        const float *values = values_of(r, state)[i];
        size_t count = values ? (size_t)r->network->params[i]->elements : 0;
        if (count > 0)
            memcpy(to, values, count * sizeof *to);
        to += count;
    }
}

/* Nothing fails from here on. */
static void take_over(const restorer *r)
{
    resattn_optimizer *optimizer = r->optimizer;
    for (int32_t state = 0; optimizer && state < r->kind->states; state++)
        copy_values(r, state, optimizer->states + state * optimizer->elements);
    if (optimizer) {
        memcpy(optimizer->values, r->settings, sizeof optimizer->values);
        memcpy(optimizer->owns, r->owns, (size_t)r->network->param_count * sizeof *r->owns);
        optimizer->norm = r->norm;
    }
    if (r->average) {
        copy_values(r, r->kind->states, r->average->values);
        r->average->decay = r->decay;
    }
    r->network->storage = r->storage;
}

/* Of a load that failed, the network is gone by now. */
static void end(restorer *r)
{
    for (int32_t i = 0; r->values && i < r->places; i++)
        ra_free(r->context, r->values[i]);
    ra_unpacker_free(r->unpacker);
    ra_free(r->context, r->values);
    ra_free(r->context, r->owns);
}

/* ---- restoring ---- */

static bool restore_from(restorer *r, ra_source *source)
{
    if (!ra_network_read(r->network, "restoring from a checkpoint"))
        return false;
    r->source = source;
    uint32_t features;
    bool ok = ra_header_read(source, &features);
    while (ok && !r->done)
        ok = read_chunk(r);
    ok = ok && ra_source_at_end(source);
    if (ok)
        take_over(r);
    end(r);
    ra_network_unshare(r->network);
    return ok;
}

static resattn_status restore(resattn_optimizer *optimizer, resattn_ema *average, const ra_input *input)
{
    if (!ra_checkpoint_check(optimizer, average, "restore"))
        return resattn_last_status();
    resattn_network *network = optimizer->network;
    ra_source source;
    restorer r = {.context = network->context,
                  .network = network,
                  .wants_moments = true,
                  .wants_average = average != NULL,
                  .optimizer = optimizer,
                  .average = average};
    bool ok = ra_source_open(&source, network->context, input, "restore") &&
              ra_source_close(&source, restore_from(&r, &source));
    return ok ? RESATTN_OK : resattn_last_status();
}

resattn_status resattn_checkpoint_restore(resattn_optimizer *optimizer, resattn_ema *average, const char *path)
{
    return restore(optimizer, average, &(ra_input){.form = "path", .path = path});
}

resattn_status resattn_checkpoint_restore_buffer(resattn_optimizer *optimizer, resattn_ema *average, const void *bytes,
                                                 size_t size)
{
    return restore(optimizer, average, &(ra_input){.form = "buffer", .bytes = bytes, .size = size});
}

resattn_status resattn_checkpoint_restore_stream(resattn_optimizer *optimizer, resattn_ema *average,
                                                 resattn_read_fn read, void *user)
{
    return restore(optimizer, average, &(ra_input){.form = "callback", .read = read, .user = user});
}

/* ---- loading ---- */

static bool load_chunk(void *user, ra_source *source, resattn_network *network, ra_chunk *chunk, bool *known)
{
    restorer *r = user;
    r->source = source;
    r->network = network;
    return read_training(r, chunk, known);
}

static void free_made(restorer *r)
{
    resattn_optimizer_free(r->optimizer);
    resattn_ema_free(r->average);
}

static bool finish_loading(void *user, resattn_network *network)
{
    restorer *r = user;
    if (!nothing_is_missing(r)) {
        if (resattn_last_status() == RESATTN_SHAPE_MISMATCH)
            ra_fail(RESATTN_BAD_FORMAT, "damaged: %s", resattn_last_error());
        return false;
    }
    bool averages = r->wants_average && r->has_average;
    r->optimizer = r->wants_moments ? ra_optimizer_new(r->kind, network, r->settings[RA_RATE]) : NULL;
    r->average = averages ? resattn_ema_new(network, r->decay) : NULL;
    if ((r->wants_moments && !r->optimizer) || (averages && !r->average)) {
        free_made(r);
        return false;
    }
    take_over(r);
    return true;
}

static resattn_status load(resattn_context *context, const ra_input *input, resattn_network **network,
                           resattn_optimizer **optimizer, resattn_ema **average)
{
    restorer r = {
        .context = context, .loads = true, .wants_moments = optimizer != NULL, .wants_average = average != NULL};
    resattn_network *loaded = ra_blob_load(context, input, &(ra_more){load_chunk, finish_loading, &r});
    end(&r);
    if (network)
        *network = loaded;
    else
        resattn_network_unref(loaded);
    if (optimizer)
        *optimizer = loaded ? r.optimizer : NULL;
    if (average)
        *average = loaded ? r.average : NULL;
    return loaded ? RESATTN_OK : resattn_last_status();
}

resattn_status resattn_checkpoint_load(resattn_context *context, const char *path, resattn_network **network,
                                       resattn_optimizer **optimizer, resattn_ema **average)
{
    return load(context, &(ra_input){.form = "path", .path = path}, network, optimizer, average);
}

resattn_status resattn_checkpoint_load_buffer(resattn_context *context, const void *bytes, size_t size,
                                              resattn_network **network, resattn_optimizer **optimizer,
                                              resattn_ema **average)
{
    return load(context, &(ra_input){.form = "buffer", .bytes = bytes, .size = size}, network, optimizer, average);
}

resattn_status resattn_checkpoint_load_stream(resattn_context *context, resattn_read_fn read, void *user,
                                              resattn_network **network, resattn_optimizer **optimizer,
                                              resattn_ema **average)
{
    return load(context, &(ra_input){.form = "callback", .read = read, .user = user}, network, optimizer, average);
}
