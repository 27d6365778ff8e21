/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The tensors of a blob that is being read. Those that follow each other are read ahead into memory, up to a limit,
 * and then checked and unpacked by all threads; a tensor that is larger than the limit is unpacked while it arrives.
 *
 * The threads only find out whether a tensor is in order. One that is not is gone through once more, in pieces, by the
 * calling thread, which can record what is wrong with it.
 */
#include <string.h>

#include "format/blob_read.h"

enum { BATCH_MOST = 256 };

/* ---- the head of a tensor ---- */

bool ra_tensor_head_read(ra_reader *reader, ra_tensor_head *head)
{
    uint32_t number = ra_read_u8(reader), encoding = ra_read_u8(reader), rank = ra_read_u8(reader);
    uint32_t reserved = ra_read_u8(reader);
    if (!reader->failed && (rank < 1 || rank > RA_MAX_RANK)) {
        ra_fail(RESATTN_BAD_FORMAT, "damaged: a tensor of rank %u, expected 1 to %d", (unsigned)rank, RA_MAX_RANK);
        return false;
    }
    *head = (ra_tensor_head){.type = (int32_t)number, .rank = (int32_t)rank};
    for (uint32_t i = 0; i < rank && !reader->failed; i++) {
        uint64_t size = ra_read_u64(reader);
        head->shape[i] = size > INT64_MAX ? INT64_MAX : (int64_t)size;
    }
    head->name = ra_read_text(reader, RA_TENSOR_MAX_NAME);
    if (!head->name)
        return false;
    if (number >= RESATTN_F32 && number <= RESATTN_BF16 && encoding == RA_BLOB_PLANES && reserved == 0)
        return true;
    ra_fail(RESATTN_UNSUPPORTED, "tensor %s: element type %u, encoding %u.%u: made by a later version?", head->name,
            (unsigned)number, (unsigned)encoding, (unsigned)reserved);
    return false;
}

bool ra_tensor_head_fits(const ra_tensor_head *head, const ra_param *param)
{
    if (head->rank == param->rank && memcmp(head->shape, param->shape, (size_t)head->rank * sizeof *head->shape) == 0)
        return true;
    char there[96], here[96];
    ra_print_shape(there, sizeof there, head->rank, head->shape);
    ra_print_shape(here, sizeof here, param->rank, param->shape);
    ra_fail(RESATTN_BAD_FORMAT, "tensor %s: shape %s in the file, %s in the tree", param->name, there, here);
    return false;
}

static ra_slot *find_slot(ra_tensor_loader *l, const char *name, int32_t type)
{
    int32_t index = ra_network_find(l->network, name);
    if (index < 0)
        return ra_fail_null(RESATTN_BAD_FORMAT, "tensor %s: the tree has no such parameter", name);
    ra_slot *found = &l->slots[index];
    if (found->filled)
        return ra_fail_null(RESATTN_BAD_FORMAT, "damaged: tensor %s twice", name);
    if (!found->param->trained && type != RESATTN_F32)
        return ra_fail_null(RESATTN_BAD_FORMAT, "tensor %s: element type %d, expected %d as it is a statistic", name,
                            (int)type, RESATTN_F32);
    return found;
}

/* Finds the parameter that a tensor is for, and the type of its numbers. */
static ra_slot *read_head(ra_tensor_loader *l, ra_reader *reader, int32_t *type)
{
    ra_tensor_head head;
    if (!ra_tensor_head_read(reader, &head))
        return NULL;
    ra_slot *slot = find_slot(l, head.name, head.type);
    *type = head.type;
    return slot && ra_tensor_head_fits(&head, slot->param) ? slot : NULL;
}

static void fill_slot(ra_tensor_loader *l, ra_slot *slot, int32_t type)
{
    slot->filled = true;
    if (slot->param->trained)
        l->storage = l->storage == 0 || l->storage == type ? type : -1;
}

/* ---- one tensor, in pieces ---- */

static bool read_values(ra_tensor_loader *l, ra_chunk *c, ra_slot *slot, int32_t type)
{
    ra_unpacker *unpacker = l->unpackers[0];
    bool ok = l->mode == RA_TENSORS_FILL ? ra_unpack_begin(unpacker, &slot->param->value_tensor, type)
                                         : ra_unpack_begin_count(unpacker, slot->param->elements, type);
    while (ok && c->left > 0) {
        size_t size = ra_chunk_look(l->source, c);
        if (size == 0)
            return false;
        ok = ra_unpack(unpacker, l->source->data, size);
        ra_chunk_take(l->source, c, size);
    }
    fill_slot(l, slot, type);
    return (ok && ra_unpack_end(unpacker)) || (ra_fail_within(slot->param->name), false);
}

bool ra_tensors_read(ra_tensor_loader *l, ra_chunk *c)
{
    size_t head = c->left < RA_TENSOR_MOST_HEAD ? (size_t)c->left : RA_TENSOR_MOST_HEAD;
    if (!ra_source_need(l->source, head, "chunk TENS"))
        return false;
    int32_t type;
    ra_reader reader = {l->source->data, l->source->data + head, "the head of a tensor", false};
    ra_slot *slot = read_head(l, &reader, &type);
    if (!slot)
        return false;
    ra_chunk_take(l->source, c, (size_t)(reader.at - l->source->data));
    if (l->mode != RA_TENSORS_LEAVE)
        return read_values(l, c, slot, type);
    fill_slot(l, slot, type);
    return true;
}

/* ---- a batch ---- */

/* A tensor's chunk, all of which is in memory. */
typedef struct item {
    size_t at, size;    /* the chunk, from where the source is */
    size_t head;        /* its bytes before the values */
    size_t raw, planes; /* bytes of the values, and where they go while they are unpacked */
    int32_t type;
    ra_slot *slot;
    bool fine;
} item;

typedef struct ra_batch {
    ra_tensor_loader *loader;
    int32_t count;
    size_t packed, raw;
    item items[BATCH_MOST];
    int32_t order[BATCH_MOST]; /* the largest first, so that no thread is left with it at the end */
} ra_batch;

/* Adds the chunk at b->packed, which is in memory, if its head is in order and there is room. */
static bool add_item(ra_batch *b, size_t size)
{
    ra_tensor_loader *l = b->loader;
    const unsigned char *chunk = l->source->data + b->packed;
    ra_reader reader = {chunk + RA_CHUNK_HEAD_SIZE, chunk + size - RA_CHUNK_CRC_SIZE, "the head of a tensor", false};
    item added = {.at = b->packed, .size = size, .planes = b->raw};
    added.slot = read_head(l, &reader, &added.type);
    if (!added.slot)
        return false;
    uint64_t raw = (uint64_t)added.slot->param->elements * ra_number_size(added.type);
    size_t packed = (size_t)(reader.end - reader.at);
    /* Memory for planes, too, is only for what the bytes that are there can fill; zeros are unpacked in pieces. */
    if (raw > RA_BATCH_BYTES - b->raw || raw / RA_INFLATE_TRUSTED > packed)
        return false;
    added.head = (size_t)(reader.at - chunk);
    added.raw = (size_t)raw;
    b->packed += size;
    b->raw += added.raw;
    b->items[b->count++] = added;
    fill_slot(l, added.slot, added.type);
    return true;
}

/* Whether `size` bytes from the batch's beginning on are there. Too few are no failure yet: whoever takes them tells.
 */
static bool look_ahead(ra_source *source, size_t size, bool *failed)
{
    if (ra_source_need(source, size, "chunk TENS"))
        return true;
    *failed = resattn_last_status() != RESATTN_BAD_FORMAT;
    return false;
}

static bool gather(ra_batch *b)
{
    ra_source *source = b->loader->source;
    bool failed = false;
    while (b->count < BATCH_MOST && look_ahead(source, b->packed + RA_CHUNK_HEAD_SIZE, &failed)) {
        const unsigned char *head = source->data + b->packed;
        uint64_t length = ra_load_u64(head + 4);
        if (memcmp(head, "TENS", 4) != 0 || length > RA_BATCH_BYTES || b->packed + length > RA_BATCH_BYTES)
            break;
        size_t size = RA_CHUNK_HEAD_SIZE + (size_t)length + RA_CHUNK_CRC_SIZE;
        if (!look_ahead(source, b->packed + size, &failed) || !add_item(b, size))
            break;
    }
    return !failed;
}

static void unpack_item(void *job, int32_t index, int32_t lane)
{
    ra_batch *b = job;
    ra_tensor_loader *l = b->loader;
    item *it = &b->items[b->order[index]];
    const unsigned char *chunk = l->source->data + it->at, *end = chunk + it->size - RA_CHUNK_CRC_SIZE;
    it->fine = ra_load_u32(end) == (uint32_t)crc32(0, chunk, (uInt)(end - chunk)) &&
               ra_unpack_whole(l->unpackers[lane], &it->slot->param->value_tensor, it->type, chunk + it->head,
                               it->size - RA_CHUNK_CRC_SIZE - it->head, l->planes + it->planes);
}

/* In the order of the blob, so that the first tensor that is not in order is the one that is told of. */
static bool take_items(ra_batch *b)
{
    ra_tensor_loader *l = b->loader;
    for (int32_t i = 0; i < b->count; i++) {
        if (b->items[i].fine) {
            ra_source_skip(l->source, b->items[i].size);
            continue;
        }
        ra_chunk chunk;
        b->items[i].slot->filled = false;
        if (!ra_chunk_begin(l->source, &chunk))
            return false;
        if (!ra_tensors_read(l, &chunk))
            return ra_chunk_refuse(l->source, &chunk);
        if (!ra_chunk_end(l->source, &chunk))
            return false;
    }
    return true;
}

static void sort_items(ra_batch *b)
{
    for (int32_t i = 0; i < b->count; i++) {
        int32_t at = i;
        for (; at > 0 && b->items[b->order[at - 1]].raw < b->items[i].raw; at--)
            b->order[at] = b->order[at - 1];
        b->order[at] = i;
    }
}

static bool make_planes(ra_tensor_loader *l, size_t size)
{
    if (size <= l->planes_size)
        return true;
    ra_free(l->context, l->planes);
    l->planes_size = 0;
    l->planes = ra_alloc_raw(l->context, size, 1);
    if (l->planes)
        l->planes_size = size;
    return l->planes != NULL;
}

static bool read_batch(ra_batch *b)
{
    if (!gather(b))
        return false;
    if (b->count == 0)
        return true;
    if (!make_planes(b->loader, b->raw))
        return false;
    sort_items(b);
    ra_crew_run(&b->loader->crew, unpack_item, b, b->count);
    return take_items(b);
}

bool ra_tensors_read_batch(ra_tensor_loader *l, bool *any)
{
    ra_batch *b = l->batch;
    b->count = 0;
    b->packed = b->raw = 0;
    bool ok = read_batch(b);
    *any = b->count > 0;
    return ok;
}

/* ---- all of them ---- */

bool ra_tensors_begin(ra_tensor_loader *l, ra_tensor_mode mode, ra_source *source, resattn_network *network)
{
    size_t count = (size_t)network->param_count;
    resattn_context *context = network->context;
    *l = (ra_tensor_loader){.mode = mode, .context = context, .source = source, .network = network};
    l->slots = ra_alloc(context, count, sizeof *l->slots);
    l->batch = l->slots ? ra_alloc(context, 1, sizeof *l->batch) : NULL;
    if (!l->batch)
        return false;
    l->batch->loader = l;
    for (size_t i = 0; i < count; i++)
        l->slots[i].param = network->params[i];
    /* Threads, too, are only for bytes that are there. */
    if (!ra_crew_begin(&l->crew, context, mode == RA_TENSORS_FILL ? (uint64_t)network->padded * sizeof(float) : 0))
        return false;
    l->unpackers = ra_alloc(context, (size_t)l->crew.lanes, sizeof *l->unpackers);
    for (int32_t i = 0; l->unpackers && i < l->crew.lanes; i++) {
        l->unpackers[i] = ra_unpacker_new(context);
        if (!l->unpackers[i])
            return false;
    }
    return l->unpackers != NULL;
}

void ra_tensors_restart(ra_tensor_loader *l, ra_source *source)
{
    for (int32_t i = 0; i < l->network->param_count; i++)
        l->slots[i].filled = false;
    l->source = source;
    l->mode = RA_TENSORS_FILL;
}

bool ra_tensors_finish(ra_tensor_loader *l)
{
    for (int32_t i = 0; i < l->network->param_count; i++) {
        const ra_param_name *next = &l->network->param_names[i];
        if (!l->slots[next->index].filled) {
            ra_fail(RESATTN_BAD_FORMAT, "damaged: tensor %s is missing", next->name);
            return false;
        }
    }
    if (l->storage > 0)
        l->network->storage = (resattn_dtype)l->storage;
    return true;
}

void ra_tensors_end(ra_tensor_loader *l)
{
    for (int32_t i = 0; l->unpackers && i < l->crew.lanes; i++)
        ra_unpacker_free(l->unpackers[i]);
    ra_free(l->context, l->unpackers);
    ra_free(l->context, l->planes);
    ra_free(l->context, l->batch);
    ra_free(l->context, l->slots);
    ra_crew_end(&l->crew);
}
