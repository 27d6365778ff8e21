/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Saving: the chunks of a network in their order, each put together in memory before it is handed on.
 */
#include <string.h>

#include "format/blob_write.h"

bool ra_write_out(ra_writer *w, const void *bytes, size_t size)
{
    int32_t code = w->write(w->user, bytes, size);
    if (code != 0) {
        if (!w->own_sink)
            ra_fail(RESATTN_IO_ERROR, "the write callback failed with %d at byte %llu", (int)code,
                    (unsigned long long)w->total);
        return false;
    }
    w->total += size;
    return true;
}

static bool write_header(ra_writer *w, uint32_t features)
{
    unsigned char header[RA_BLOB_HEADER_SIZE] = {0};
    memcpy(header, RA_BLOB_MAGIC, RA_BLOB_MAGIC_SIZE);
    ra_store_u32(header + 8, RA_BLOB_VERSION);
    ra_store_u32(header + 16, features);
    ra_store_u32(header + 20, (uint32_t)crc32(0, header, 20));
    return ra_write_out(w, header, sizeof header);
}

ra_bytes *ra_write_begin(ra_writer *w, const char *type)
{
    w->chunk.size = 0;
    ra_bytes_put(&w->chunk, type, 4);
    ra_bytes_put_u64(&w->chunk, 0);
    return &w->chunk;
}

/* crc32() takes an unsigned int for a size. */
uint32_t ra_write_crc(const unsigned char *bytes, size_t size)
{
    uLong crc = 0;
    while (size > 0) {
        uInt piece = size < UINT32_C(1) << 30 ? (uInt)size : (uInt)1 << 30;
        crc = crc32(crc, bytes, piece);
        bytes += piece;
        size -= piece;
    }
    return (uint32_t)crc;
}

bool ra_write_end(ra_writer *w)
{
    ra_bytes *chunk = &w->chunk;
    if (chunk->failed)
        return false;
    size_t payload = chunk->size - RA_CHUNK_HEAD_SIZE;
    if (payload > RA_MAX_CHUNK) {
        ra_fail(RESATTN_TOO_LARGE, "chunk %.4s has %zu bytes, expected at most %d", (const char *)chunk->data, payload,
                RA_MAX_CHUNK);
        return false;
    }
    ra_store_u64(chunk->data + 4, payload);
    ra_bytes_put_u32(chunk, ra_write_crc(chunk->data, chunk->size));
    return !chunk->failed && ra_write_out(w, chunk->data, chunk->size);
}

/* The tree is put together first, as it says which features the header names. */
static bool write_header_and_tree(ra_writer *w)
{
    uint32_t features = 0;
    return ra_tree_write(w->network, ra_write_begin(w, "TREE"), &features) && write_header(w, features) &&
           ra_write_end(w);
}

static bool write_normalization(ra_writer *w)
{
    const resattn_network *network = w->network;
    ra_bytes *chunk = ra_write_begin(w, "NORM");
    for (int32_t c = 0; c < network->in_c; c++) {
        ra_bytes_put_f32(chunk, network->mean[c]);
        ra_bytes_put_f32(chunk, network->deviation[c]);
    }
    return ra_write_end(w);
}

static bool write_input_size(ra_writer *w)
{
    if (w->network->input_h == 0)
        return true;
    ra_bytes *chunk = ra_write_begin(w, "size");
    ra_bytes_put_u32(chunk, (uint32_t)w->network->input_h);
    ra_bytes_put_u32(chunk, (uint32_t)w->network->input_w);
    return ra_write_end(w);
}

static bool check_text(const char *what, const char *text, size_t most)
{
    size_t length = strlen(text);
    if (length <= most)
        return true;
    ra_fail(RESATTN_TOO_LARGE, "%s '%.40s' has %zu bytes, a blob takes at most %zu", what, text, length, most);
    return false;
}

static bool write_classes(ra_writer *w)
{
    const resattn_network *network = w->network;
    if (network->class_count == 0)
        return true;
    ra_bytes *chunk = ra_write_begin(w, "clas");
    for (int32_t i = 0; i < network->class_count; i++) {
        if (!check_text("the class name", network->classes[i], RA_MAX_TEXT))
            return false;
        ra_bytes_put_text(chunk, network->classes[i]);
    }
    return ra_write_end(w);
}

static bool write_texts(ra_writer *w)
{
    const resattn_network *network = w->network;
    if (network->text_count > RA_MAX_TEXTS) {
        ra_fail(RESATTN_TOO_LARGE, "%d texts, a blob takes at most %d", (int)network->text_count, RA_MAX_TEXTS);
        return false;
    }
    for (int32_t i = 0; i < network->text_count; i++) {
        const ra_text *text = &network->texts[i];
        if (!check_text("the key", text->key, RA_MAX_NAME) || !check_text("the text", text->value, RA_MAX_TEXT))
            return false;
        ra_bytes *chunk = ra_write_begin(w, "text");
        ra_bytes_put_text(chunk, text->key);
        ra_bytes_put_text(chunk, text->value);
        if (!ra_write_end(w))
            return false;
    }
    return true;
}

/* The network's own parameters. */
static bool write_tensors(ra_writer *w)
{
    const resattn_network *network = w->network;
    ra_stored *stored = ra_alloc(network->context, (size_t)network->param_count, sizeof *stored);
    if (!stored)
        return false;
    for (int32_t i = 0; i < network->param_count; i++) {
        const ra_param *param = network->params[i];
        bool exact = w->exact || !param->trained;
        stored[i] = (ra_stored){.chunk = "TENS",
                                .param = param,
                                .values = param->value,
                                .type = exact ? RESATTN_F32 : (int32_t)network->storage,
                                .state = -1};
    }
    bool ok = ra_write_stored(w, stored, network->param_count);
    ra_free(network->context, stored);
    return ok;
}

static bool write_done(ra_writer *w)
{
    ra_bytes_put_u64(ra_write_begin(w, "DONE"), w->total + RA_CHUNK_DONE_SIZE);
    return ra_write_end(w);
}

resattn_status ra_write_blob(ra_writer *w)
{
    resattn_context *context = w->network->context;
    w->chunk.context = context;
    bool ok = write_header_and_tree(w) && write_normalization(w) && write_input_size(w) && write_classes(w) &&
              write_texts(w) && write_tensors(w) && (!w->more || w->more(w)) && write_done(w);
    ra_free(context, w->chunk.data);
    return ok ? RESATTN_OK : resattn_last_status();
}

/* ---- the three ways out ---- */

bool ra_may_write(const char *what, const resattn_network *network, int32_t level, const ra_target *target)
{
    if (target->bytes)
        *target->bytes = NULL;
    if (target->size)
        *target->size = 0;
    bool complete = target->path || (target->bytes && target->size) || target->write;
    if (!network || !complete)
        ra_fail(RESATTN_INVALID_ARGUMENT, "%s: the %s is NULL", what, network ? target->form : "network");
    else if (level < 0 || level > 9)
        ra_fail(RESATTN_INVALID_ARGUMENT, "%s: the level is %d, expected 0 to 9", what, (int)level);
    else
        return true;
    return false;
}

static resattn_status write_to_descriptor(void *user, int *descriptor)
{
    ra_writer *w = user;
    w->user = descriptor;
    return w->produce(w);
}

static resattn_status write_to_file(ra_writer *w, const char *path)
{
    w->write = ra_file_write;
    w->own_sink = true;
    resattn_status status = ra_file_replace(w->network->context, path, write_to_descriptor, w);
    return status == RESATTN_OK ? RESATTN_OK : ra_fail_within(path);
}

static int32_t add_bytes(void *user, const void *bytes, size_t size)
{
    ra_bytes *target = user;
    ra_bytes_put(target, bytes, size);
    return target->failed;
}

/* What lies before the bytes that a host gets, so that they can be freed without the context; it keeps their alignment. */
typedef union buffer_head {
    resattn_context *context; /* a share */
    unsigned char bytes[RA_ALIGNMENT];
} buffer_head;

/* Writes to memory, behind a head. */
static resattn_status write_to_buffer(ra_writer *w, void **bytes, size_t *size)
{
    resattn_context *context = w->network->context;
    const buffer_head head = {.context = context};
    ra_bytes target = {.context = context};
    ra_bytes_put(&target, &head, sizeof head);
    w->write = add_bytes;
    w->user = &target;
    w->own_sink = true;
    resattn_status status = target.failed ? resattn_last_status() : w->produce(w);
    w->user = NULL;
    if (status != RESATTN_OK) {
        ra_free(context, target.data);
        return status;
    }
    resattn_context_ref(context);
    *bytes = target.data + sizeof(buffer_head);
    *size = target.size - sizeof(buffer_head);
    return RESATTN_OK;
}

static resattn_status write_to_callback(ra_writer *w, resattn_write_fn write, void *user)
{
    w->write = write;
    w->user = user;
    return w->produce(w);
}

resattn_status ra_write(ra_writer *w, const ra_target *target, const char *what)
{
    if (!ra_network_read(w->network, what))
        return resattn_last_status();
    resattn_status status = target->path    ? write_to_file(w, target->path)
                            : target->bytes ? write_to_buffer(w, target->bytes, target->size)
                                            : write_to_callback(w, target->write, target->user);
    ra_network_unshare(w->network);
    return status;
}

static resattn_status save(resattn_network *network, int32_t level, const ra_target *target)
{
    ra_writer w = {.network = network, .level = level, .produce = ra_write_blob};
    return ra_may_write("save", network, level, target) ? ra_write(&w, target, "saving") : resattn_last_status();
}

resattn_status resattn_network_save(resattn_network *network, const char *path, int32_t level)
{
    return save(network, level, &(ra_target){.form = "path", .path = path});
}

resattn_status resattn_network_save_buffer(resattn_network *network, int32_t level, void **bytes, size_t *size)
{
    return save(network, level, &(ra_target){.form = "buffer", .bytes = bytes, .size = size});
}

resattn_status resattn_network_save_stream(resattn_network *network, int32_t level, resattn_write_fn write, void *user)
{
    return save(network, level, &(ra_target){.form = "callback", .write = write, .user = user});
}

void resattn_buffer_free(void *bytes)
{
    if (!bytes)
        return;
    buffer_head *head = (buffer_head *)bytes - 1;
    resattn_context *context = head->context;
    ra_free(context, head);
    resattn_context_unref(context);
}
