/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Checksums of damaged blobs, so that the damage gets past them. docs/format.md describes the bytes.
 */
#include "fuzz.h"

#include <string.h>
#include <zlib.h>

enum { HEADER = 24, CHUNK_HEAD = 12, CHUNK_CRC = 4 };

static uint64_t load(const uint8_t *bytes, int count)
{
    uint64_t value = 0;
    for (int i = 0; i < count; i++)
        value |= (uint64_t)bytes[i] << (8 * i);
    return value;
}

static void store(uint8_t *bytes, uint64_t value, int count)
{
    for (int i = 0; i < count; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
}

/* Unpacks the stream to find out which check value it should end with. */
static void mend_zlib(uint8_t *bytes, size_t size)
{
    static uint8_t out[1 << 16];
    enum { MOST_ROUNDS = 64 };
    z_stream z = {.next_in = bytes, .avail_in = (uInt)size};
    if (inflateInit(&z) != Z_OK)
        return;
    int result = Z_OK;
    for (int round = 0; result == Z_OK && round < MOST_ROUNDS; round++) {
        z.next_out = out;
        z.avail_out = sizeof out;
        result = inflate(&z, Z_NO_FLUSH);
    }
    if (result == Z_DATA_ERROR && z.msg && strcmp(z.msg, "incorrect data check") == 0) {
        uint8_t *check = (uint8_t *)z.next_in - 4;
        for (int i = 0; i < 4; i++)
            check[i] = (uint8_t)(z.adler >> (24 - 8 * i));
    }
    inflateEnd(&z);
}

/* The payload of a tensor: a head, a name, a zlib stream. */
static void mend_tensor(uint8_t *at, uint8_t *end)
{
    if (end - at < 4 || end - at < 4 + 8 * at[2])
        return;
    at += 4 + 8 * at[2];
    uint8_t *name_end = memchr(at, 0, (size_t)(end - at));
    if (name_end)
        mend_zlib(name_end + 1, (size_t)(end - name_end - 1));
}

static void mend_payload(const uint8_t *type, uint8_t *payload, uint64_t length, uint64_t end)
{
    if (memcmp(type, "TENS", 4) == 0 || memcmp(type, "aver", 4) == 0)
        mend_tensor(payload, payload + length);
    else if (memcmp(type, "mome", 4) == 0 && length > 0)
        mend_tensor(payload + 1, payload + length);
    else if (memcmp(type, "DONE", 4) == 0 && length == 8)
        store(payload, end, 8);
}

void fuzz_mend_blob(uint8_t *bytes, size_t size)
{
    if (size < HEADER)
        return;
    store(bytes + 20, crc32(0, bytes, 20), 4);
    for (size_t at = HEADER; size - at >= CHUNK_HEAD + CHUNK_CRC;) {
        uint8_t *chunk = bytes + at;
        uint64_t length = load(chunk + 4, 8), most = size - at - CHUNK_HEAD - CHUNK_CRC;
        if (length > most)
            store(chunk + 4, length = most, 8);
        at += CHUNK_HEAD + (size_t)length + CHUNK_CRC;
        mend_payload(chunk, chunk + CHUNK_HEAD, length, at);
        store(chunk + CHUNK_HEAD + length, crc32(0, chunk, (uInt)(CHUNK_HEAD + length)), 4);
    }
}

uint8_t *fuzz_own_blob(const uint8_t *bytes, size_t size, bool mended)
{
    uint8_t *own = malloc(size ? size : 1);
    FUZZ_CHECK(own != NULL, "no memory");
    memcpy(own, bytes, size);
    if (mended)
        fuzz_mend_blob(own, size);
    return own;
}
