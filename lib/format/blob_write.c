/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Saving: the chunks of a network in their order, each put together in memory before it is handed on.
 */
#include <string.h>

#include "format/format.h"

enum { BATCH_MOST = 256 };

/* The values of a parameter as a zlib stream. */
typedef struct item {
    size_t at, bound, size; /* where in the batch, how many bytes at the most, and how many it took */
    uint32_t crc;
} item;

typedef struct writer {
    resattn_network *network;
    int32_t level;
    resattn_write_fn write;
    void *user;
    bool own_sink; /* `write` is the library's own and records what went wrong */
    uint64_t total;
    ra_bytes chunk;
    ra_crew crew;
    ra_packer **packers; /* one for each lane */
    item *items;         /* of parameters first .. first + count - 1 */
    int32_t first, count;
    unsigned char *packed; /* their zlib streams */
    size_t packed_size;
} writer;

static bool put_out(writer *w, const void *bytes, size_t size)
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

static bool write_header(writer *w)
{
    unsigned char header[RA_BLOB_HEADER_SIZE] = {0};
    memcpy(header, RA_BLOB_MAGIC, RA_BLOB_MAGIC_SIZE);
    ra_store_u32(header + 8, RA_BLOB_VERSION);
    ra_store_u32(header + 20, (uint32_t)crc32(0, header, 20));
    return put_out(w, header, sizeof header);
}

static ra_bytes *begin_chunk(writer *w, const char *type)
{
    w->chunk.size = 0;
    ra_bytes_put(&w->chunk, type, 4);
    ra_bytes_put_u64(&w->chunk, 0);
    return &w->chunk;
}

/* crc32() takes an unsigned int for a size. */
static uint32_t crc_of(const unsigned char *bytes, size_t size)
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

static bool end_chunk(writer *w, size_t most)
{
    ra_bytes *chunk = &w->chunk;
    if (chunk->failed)
        return false;
    size_t payload = chunk->size - RA_CHUNK_HEAD_SIZE;
    if (payload > most) {
        ra_fail(RESATTN_TOO_LARGE, "chunk %.4s has %zu bytes, expected at most %zu", (const char *)chunk->data, payload,
                most);
        return false;
    }
    ra_store_u64(chunk->data + 4, payload);
    ra_bytes_put_u32(chunk, crc_of(chunk->data, chunk->size));
    return !chunk->failed && put_out(w, chunk->data, chunk->size);
}

static bool write_tree(writer *w)
{
    return ra_tree_write(w->network, begin_chunk(w, "TREE")) && end_chunk(w, RA_BLOB_MAX_CHUNK);
}

static bool write_normalization(writer *w)
{
    const resattn_network *network = w->network;
    ra_bytes *chunk = begin_chunk(w, "NORM");
    for (int32_t c = 0; c < network->in_c; c++) {
        ra_bytes_put_f32(chunk, network->mean[c]);
        ra_bytes_put_f32(chunk, network->deviation[c]);
    }
    return end_chunk(w, RA_BLOB_MAX_CHUNK);
}

static bool write_input_size(writer *w)
{
    if (w->network->input_h == 0)
        return true;
    ra_bytes *chunk = begin_chunk(w, "size");
    ra_bytes_put_u32(chunk, (uint32_t)w->network->input_h);
    ra_bytes_put_u32(chunk, (uint32_t)w->network->input_w);
    return end_chunk(w, RA_BLOB_MAX_CHUNK);
}

static bool check_text(const char *what, const char *text, size_t most)
{
    size_t length = strlen(text);
    if (length <= most)
        return true;
    ra_fail(RESATTN_TOO_LARGE, "%s '%.40s' has %zu bytes, a blob takes at most %zu", what, text, length, most);
    return false;
}

static bool write_classes(writer *w)
{
    const resattn_network *network = w->network;
    if (network->class_count == 0)
        return true;
    ra_bytes *chunk = begin_chunk(w, "clas");
    for (int32_t i = 0; i < network->class_count; i++) {
        if (!check_text("the class name", network->classes[i], RA_BLOB_MAX_TEXT))
            return false;
        ra_bytes_put_text(chunk, network->classes[i]);
    }
    return end_chunk(w, RA_BLOB_MAX_CHUNK);
}

static bool write_texts(writer *w)
{
    const resattn_network *network = w->network;
    if (network->text_count > RA_BLOB_MAX_TEXTS) {
        ra_fail(RESATTN_TOO_LARGE, "%d texts, a blob takes at most %d", (int)network->text_count, RA_BLOB_MAX_TEXTS);
        return false;
    }
    for (int32_t i = 0; i < network->text_count; i++) {
        const ra_text *text = &network->texts[i];
        if (!check_text("the key", text->key, RA_MAX_NAME) || !check_text("the text", text->value, RA_BLOB_MAX_TEXT))
            return false;
        ra_bytes *chunk = begin_chunk(w, "text");
        ra_bytes_put_text(chunk, text->key);
        ra_bytes_put_text(chunk, text->value);
        if (!end_chunk(w, RA_BLOB_MAX_CHUNK))
            return false;
    }
    return true;
}

/* ---- tensors: packed by all threads, a batch at a time; their bytes do not depend on how many threads there are ----
 */

static int32_t type_of(const writer *w, const ra_param *param)
{
    return param->trained ? (int32_t)w->network->storage : RESATTN_NUMBER_F32;
}

/* Adds parameters from `first` on, while they fit: at least one. */
static bool plan_batch(writer *w, int32_t first)
{
    size_t raw = 0, total = 0;
    w->first = first;
    w->count = 0;
    while (w->count < BATCH_MOST && first + w->count < w->network->param_count) {
        const ra_param *param = w->network->params[first + w->count];
        item *it = &w->items[w->count];
        raw += (size_t)param->elements * sizeof(float);
        if (w->count > 0 && raw > RA_BATCH_BYTES)
            break;
        it->at = total;
        if (!ra_pack_bound(w->packers[0], &param->value_tensor, type_of(w, param), &it->bound) ||
            !ra_add_size(total, it->bound, &total))
            return false;
        w->count++;
    }
    if (total <= w->packed_size)
        return true;
    ra_free(w->network->context, w->packed);
    w->packed_size = 0;
    w->packed = ra_alloc_raw(w->network->context, total, 1);
    if (w->packed)
        w->packed_size = total;
    return w->packed != NULL;
}

static void pack_item(void *job, int32_t index, int32_t lane)
{
    writer *w = job;
    item *it = &w->items[index];
    const ra_param *param = w->network->params[w->first + index];
    it->size = ra_pack(w->packers[lane], &param->value_tensor, type_of(w, param), w->packed + it->at, it->bound);
    it->crc = crc_of(w->packed + it->at, it->size);
}

static bool write_item(writer *w, const item *it, const ra_param *param)
{
    if (it->size == 0) {
        ra_fail(RESATTN_INTERNAL, "%s: zlib failed to pack it", param->name);
        return false;
    }
    ra_bytes *chunk = begin_chunk(w, "TENS");
    ra_bytes_put_u8(chunk, (uint32_t)type_of(w, param));
    ra_bytes_put_u8(chunk, RA_BLOB_PLANES);
    ra_bytes_put_u8(chunk, (uint32_t)param->rank);
    ra_bytes_put_u8(chunk, 0);
    for (int32_t i = 0; i < param->rank; i++)
        ra_bytes_put_u64(chunk, (uint64_t)param->shape[i]);
    ra_bytes_put_text(chunk, param->name);
    if (chunk->failed)
        return false;
    ra_store_u64(chunk->data + 4, chunk->size - RA_CHUNK_HEAD_SIZE + it->size);
    unsigned char crc[RA_CHUNK_CRC_SIZE];
    ra_store_u32(crc, (uint32_t)crc32_combine(crc_of(chunk->data, chunk->size), it->crc, (z_off_t)it->size));
    return put_out(w, chunk->data, chunk->size) && put_out(w, w->packed + it->at, it->size) &&
           put_out(w, crc, sizeof crc);
}

static bool write_batches(writer *w)
{
    for (int32_t first = 0; first < w->network->param_count; first += w->count) {
        if (!plan_batch(w, first))
            return false;
        ra_crew_run(&w->crew, pack_item, w, w->count);
        for (int32_t i = 0; i < w->count; i++)
            if (!write_item(w, &w->items[i], w->network->params[first + i]))
                return false;
    }
    return true;
}

static bool begin_packing(writer *w)
{
    resattn_context *context = w->network->context;
    uint64_t bytes = 0;
    for (int32_t i = 0; i < w->network->param_count; i++)
        bytes += (uint64_t)w->network->params[i]->elements * sizeof(float);
    w->items = ra_alloc(context, BATCH_MOST, sizeof *w->items);
    if (!w->items || !ra_crew_begin(&w->crew, context, bytes))
        return false;
    w->packers = ra_alloc(context, (size_t)w->crew.lanes, sizeof *w->packers);
    for (int32_t i = 0; w->packers && i < w->crew.lanes; i++) {
        w->packers[i] = ra_packer_new(context, w->level);
        if (!w->packers[i])
            return false;
    }
    return w->packers != NULL;
}

static bool write_tensors(writer *w)
{
    bool ok = begin_packing(w) && write_batches(w);
    for (int32_t i = 0; w->packers && i < w->crew.lanes; i++)
        ra_packer_free(w->packers[i]);
    ra_free(w->network->context, w->packers);
    ra_free(w->network->context, w->items);
    ra_free(w->network->context, w->packed);
    ra_crew_end(&w->crew);
    return ok;
}

static bool write_done(writer *w)
{
    ra_bytes_put_u64(begin_chunk(w, "DONE"), w->total + RA_CHUNK_DONE_SIZE);
    return end_chunk(w, RA_BLOB_MAX_CHUNK);
}

static resattn_status write_blob(writer *w)
{
    resattn_context *context = w->network->context;
    w->chunk.context = context;
    bool ok = write_header(w) && write_tree(w) && write_normalization(w) && write_input_size(w) && write_classes(w) &&
              write_texts(w) && write_tensors(w) && write_done(w);
    ra_free(context, w->chunk.data);
    return ok ? RESATTN_OK : resattn_last_status();
}

/* ---- the three ways out ---- */

static bool refuse(const resattn_network *network, int32_t level, bool complete)
{
    if (!network || !complete)
        ra_fail(RESATTN_INVALID_ARGUMENT, "save: %s is NULL", network ? "where to" : "the network");
    else if (level < 0 || level > 9)
        ra_fail(RESATTN_INVALID_ARGUMENT, "save: the level is %d, expected 0 to 9", (int)level);
    else
        return false;
    return true;
}

static resattn_status write_to_file(void *user, int *descriptor)
{
    writer *w = user;
    w->user = descriptor;
    return write_blob(w);
}

resattn_status resattn_network_save(resattn_network *network, const char *path, int32_t level)
{
    if (refuse(network, level, path != NULL) || !ra_network_read(network, "saving"))
        return resattn_last_status();
    writer w = {.network = network, .level = level, .write = ra_file_write, .own_sink = true};
    resattn_status status = ra_file_replace(network->context, path, write_to_file, &w);
    ra_network_unshare(network);
    return status == RESATTN_OK ? RESATTN_OK : ra_fail_within(path);
}

static int32_t write_to_bytes(void *user, const void *bytes, size_t size)
{
    ra_bytes *target = user;
    ra_bytes_put(target, bytes, size);
    return target->failed;
}

resattn_status resattn_network_save_buffer(resattn_network *network, int32_t level, void **bytes, size_t *size)
{
    if (refuse(network, level, bytes && size) || !ra_network_read(network, "saving"))
        return resattn_last_status();
    ra_bytes target = {.context = network->context};
    writer w = {.network = network, .level = level, .write = write_to_bytes, .user = &target, .own_sink = true};
    resattn_status status = write_blob(&w);
    ra_network_unshare(network);
    if (status != RESATTN_OK) {
        ra_free(network->context, target.data);
        return status;
    }
    *bytes = target.data;
    *size = target.size;
    return RESATTN_OK;
}

resattn_status resattn_network_save_stream(resattn_network *network, int32_t level, resattn_write_fn write, void *user)
{
    if (refuse(network, level, write != NULL) || !ra_network_read(network, "saving"))
        return resattn_last_status();
    writer w = {.network = network, .level = level, .write = write, .user = user};
    resattn_status status = write_blob(&w);
    ra_network_unshare(network);
    return status;
}

void resattn_buffer_free(resattn_context *context, void *bytes)
{
    if (context)
        ra_free(context, bytes);
}
