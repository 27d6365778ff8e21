/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The header and the chunks of a blob that is being read.
 */
#include <string.h>

#include "format/blob_read.h"

static bool read_magic(ra_source *source)
{
    bool whole = ra_source_need(source, RA_BLOB_MAGIC_SIZE, "the header");
    if (!whole && resattn_last_status() != RESATTN_BAD_FORMAT)
        return false;
    size_t seen = whole ? RA_BLOB_MAGIC_SIZE : source->available;
    if (seen > 0 && memcmp(source->data, RA_BLOB_MAGIC, seen) != 0) {
        bool altered = seen >= 4 && memcmp(source->data, RA_BLOB_MAGIC, 4) == 0;
        ra_fail(RESATTN_BAD_FORMAT, "%s",
                altered ? "damaged: its line ends were changed, as if it were a text" : "not a libresattn blob");
        return false;
    }
    return whole;
}

bool ra_header_read(ra_source *source, uint32_t *features)
{
    if (!read_magic(source) || !ra_source_need(source, RA_BLOB_HEADER_SIZE, "the header"))
        return false;
    const unsigned char *header = source->data;
    uint32_t version = ra_load_u32(header + 8), needed = ra_load_u32(header + 16);
    if (ra_load_u32(header + 20) != (uint32_t)crc32(0, header, 20))
        ra_fail(RESATTN_BAD_FORMAT, "damaged: checksum of the header");
    else if (version > RA_BLOB_VERSION)
        ra_fail(RESATTN_UNSUPPORTED, "made by a later version (format %u, this library reads %d)", (unsigned)version,
                RA_BLOB_VERSION);
    else if (version < RA_BLOB_VERSION)
        ra_fail(RESATTN_BAD_FORMAT, "damaged: format %u, the first is %d", (unsigned)version, RA_BLOB_VERSION);
    else if (needed & ~(uint32_t)RA_BLOB_HAS_INSTANCES)
        ra_fail(RESATTN_UNSUPPORTED, "made by a later version (with features 0x%08x)", (unsigned)needed);
    else {
        *features = needed;
        ra_source_skip(source, RA_BLOB_HEADER_SIZE);
        return true;
    }
    return false;
}

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

bool ra_chunk_whole(ra_source *source, ra_chunk *chunk, const char *what, ra_reader *reader, bool *intact)
{
    if (!ra_limit_fits(source->context, RESATTN_LIMIT_CHUNK, chunk->left, what))
        return ra_chunk_refuse(source, chunk);
    size_t size = (size_t)chunk->left;
    if (!ra_source_need(source, size + RA_CHUNK_CRC_SIZE, what))
        return false;
    const unsigned char *payload = source->data;
    *reader = (ra_reader){payload, payload + size, what, false};
    *intact = ra_load_u32(payload + size) == (uint32_t)crc32(chunk->crc, payload, (uInt)size);
    return true;
}

bool ra_chunk_pass(ra_source *source, ra_chunk *chunk)
{
    resattn_status status = resattn_last_status();
    return status != RESATTN_OUT_OF_MEMORY && status != RESATTN_IO_ERROR && ra_chunk_end(source, chunk);
}

bool ra_chunk_refuse(ra_source *source, ra_chunk *chunk)
{
    resattn_status status = resattn_last_status();
    if (ra_chunk_pass(source, chunk) && status != RESATTN_TOO_LARGE && status != RESATTN_UNSUPPORTED &&
        status != RESATTN_BAD_FORMAT && status != RESATTN_HOST_ERROR)
        ra_fail(RESATTN_BAD_FORMAT, "damaged: %s", resattn_last_error());
    return false;
}

bool ra_chunk_leave(ra_source *source, ra_chunk *chunk)
{
    char what[16] = "chunk ";
    memcpy(what + 6, chunk->type, 5);
    return ra_source_pass(source, chunk->left, what) && ra_source_pass(source, RA_CHUNK_CRC_SIZE, "a checksum");
}

bool ra_done_read(const ra_source *source, ra_reader *reader)
{
    uint64_t total = ra_read_u64(reader), here = source->position + 8 + RA_CHUNK_CRC_SIZE;
    if (!ra_read_all(reader))
        return false;
    if (total == here)
        return true;
    ra_fail(RESATTN_BAD_FORMAT, "damaged: it says that it has %llu bytes, it ends after %llu",
            (unsigned long long)total, (unsigned long long)here);
    return false;
}
