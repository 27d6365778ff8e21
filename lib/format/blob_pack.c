/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Saving: values, packed by all threads, a batch at a time.
 */
#include "format/blob_write.h"

enum { BATCH_MOST = 256 };

/* Values as a zlib stream. */
typedef struct item {
    resattn_tensor tensor;
    size_t at, bound, size; /* where in the batch, how many bytes at the most, and how many it took */
    uint32_t crc;
} item;

typedef struct packing {
    ra_writer *writer;
    resattn_context *context;
    const ra_stored *stored;
    int32_t stored_count;
    ra_crew crew;
    ra_packer **packers; /* one for each lane */
    item *items;         /* of stored[first] and those behind it */
    int32_t first, count;
    unsigned char *packed; /* their zlib streams */
    size_t packed_size;
} packing;

/* Adds values from `first` on, while they fit: at least those of one. */
static bool plan_batch(packing *p, int32_t first)
{
    size_t raw = 0, total = 0;
    p->first = first;
    p->count = 0;
    while (p->count < BATCH_MOST && first + p->count < p->stored_count) {
        const ra_stored *stored = &p->stored[first + p->count];
        const ra_param *param = stored->param;
        item *it = &p->items[p->count];
        raw += (size_t)param->elements * sizeof(float);
        if (p->count > 0 && raw > RA_BATCH_BYTES)
            break;
        ra_tensor_embed(&it->tensor, param->rank, param->shape, RESATTN_CHANNELS_LAST, stored->values);
        it->at = total;
        if (!ra_pack_bound(p->packers[0], &it->tensor, stored->type, &it->bound) ||
            !ra_add_size(total, it->bound, &total))
            return false;
        p->count++;
    }
    if (total <= p->packed_size)
        return true;
    ra_free(p->context, p->packed);
    p->packed_size = 0;
    p->packed = ra_alloc_raw(p->context, total, 1);
    if (p->packed)
        p->packed_size = total;
    return p->packed != NULL;
}

static void pack_item(void *job, int32_t index, int32_t lane)
{
    packing *p = job;
    item *it = &p->items[index];
    int32_t type = p->stored[p->first + index].type;
    it->size = ra_pack(p->packers[lane], &it->tensor, type, p->packed + it->at, it->bound);
    it->crc = ra_write_crc(p->packed + it->at, it->size);
}

static bool write_item(const packing *p, const item *it, const ra_stored *stored)
{
    ra_writer *w = p->writer;
    const ra_param *param = stored->param;
    if (it->size == 0) {
        ra_fail(RESATTN_INTERNAL, "%s: zlib failed to pack it", param->name);
        return false;
    }
    ra_bytes *chunk = ra_write_begin(w, stored->chunk);
    if (stored->state >= 0)
        ra_bytes_put_u8(chunk, (uint32_t)stored->state);
    ra_bytes_put_u8(chunk, (uint32_t)stored->type);
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
    ra_store_u32(crc, (uint32_t)crc32_combine(ra_write_crc(chunk->data, chunk->size), it->crc, (z_off_t)it->size));
    return ra_write_out(w, chunk->data, chunk->size) && ra_write_out(w, p->packed + it->at, it->size) &&
           ra_write_out(w, crc, sizeof crc);
}

static bool write_batches(packing *p)
{
    for (int32_t first = 0; first < p->stored_count; first += p->count) {
        if (!plan_batch(p, first))
            return false;
        ra_crew_run(&p->crew, pack_item, p, p->count);
        for (int32_t i = 0; i < p->count; i++)
            if (!write_item(p, &p->items[i], &p->stored[first + i]))
                return false;
    }
    return true;
}

static bool begin_packing(packing *p)
{
    uint64_t bytes = 0;
    for (int32_t i = 0; i < p->stored_count; i++)
        bytes += (uint64_t)p->stored[i].param->elements * sizeof(float);
    p->items = ra_alloc(p->context, BATCH_MOST, sizeof *p->items);
    if (!p->items || !ra_crew_begin(&p->crew, p->context, bytes))
        return false;
    p->packers = ra_alloc(p->context, (size_t)p->crew.lanes, sizeof *p->packers);
    for (int32_t i = 0; p->packers && i < p->crew.lanes; i++) {
        p->packers[i] = ra_packer_new(p->context, p->writer->level);
        if (!p->packers[i])
            return false;
    }
    return p->packers != NULL;
}

bool ra_write_stored(ra_writer *writer, const ra_stored *stored, int32_t count)
{
    packing p = {.writer = writer, .context = writer->network->context, .stored = stored, .stored_count = count};
    bool ok = begin_packing(&p) && write_batches(&p);
    for (int32_t i = 0; p.packers && i < p.crew.lanes; i++)
        ra_packer_free(p.packers[i]);
    ra_free(p.context, p.packers);
    ra_free(p.context, p.items);
    ra_free(p.context, p.packed);
    ra_crew_end(&p.crew);
    return ok;
}
