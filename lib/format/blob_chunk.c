/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The chunks of a blob that is being read.
 */
#include <string.h>

#include "format/blob_read.h"

bool ra_chunk_begin(ra_source *source, ra_chunk *chunk)
{
    if (!ra_source_need(source, RA_CHUNK_HEAD_SIZE, "a chunk"))
        return false;
    *chunk = (ra_chunk){.at = source->position, .left = ra_load_u64(source->data + 4)};
    memcpy(chunk->type, source->data, 4);
    for (int i = 0; i < 4; i++) {
        if ((chunk->type[i] | 0x20) < 'a' || (chunk->type[i] | 0x20) > 'z') {
            ra_fail(RESATTN_BAD_FORMAT, "damaged: no chunk at byte %llu", (unsigned long long)chunk->at);
            return false;
        }
    }
    chunk->crc = crc32(0, source->data, RA_CHUNK_HEAD_SIZE);
    ra_source_skip(source, RA_CHUNK_HEAD_SIZE);
    return true;
}

void ra_chunk_take(ra_source *source, ra_chunk *chunk, size_t size)
{
    chunk->crc = crc32(chunk->crc, source->data, (uInt)size);
    chunk->left -= size;
    ra_source_skip(source, size);
}

size_t ra_chunk_look(ra_source *source, const ra_chunk *chunk)
{
    char what[16] = "chunk ";
    memcpy(what + 6, chunk->type, 5);
    if (!ra_source_need(source, 1, what))
        return 0;
    size_t most = source->available < (size_t)1 << 30 ? source->available : (size_t)1 << 30;
    return chunk->left < most ? (size_t)chunk->left : most;
}

bool ra_chunk_end(ra_source *source, ra_chunk *chunk)
{
    while (chunk->left > 0) {
        size_t size = ra_chunk_look(source, chunk);
        if (size == 0)
            return false;
        ra_chunk_take(source, chunk, size);
    }
    if (!ra_source_need(source, RA_CHUNK_CRC_SIZE, "a checksum"))
        return false;
    if (ra_load_u32(source->data) != (uint32_t)chunk->crc) {
        ra_fail(RESATTN_BAD_FORMAT, "damaged: checksum of chunk %s at byte %llu", chunk->type,
                (unsigned long long)chunk->at);
        return false;
    }
    ra_source_skip(source, RA_CHUNK_CRC_SIZE);
    return true;
}

bool ra_chunk_refuse(ra_source *source, ra_chunk *chunk)
{
    resattn_status status = resattn_last_status();
    if (status == RESATTN_OUT_OF_MEMORY || status == RESATTN_IO_ERROR)
        return false;
    if (ra_chunk_end(source, chunk) && status != RESATTN_TOO_LARGE && status != RESATTN_UNSUPPORTED &&
        status != RESATTN_BAD_FORMAT)
        ra_fail(RESATTN_BAD_FORMAT, "damaged: %s", resattn_last_error());
    return false;
}
