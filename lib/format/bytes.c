/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Little-endian values, written to a growing array and read from a range.
 */
#include <string.h>

#include "format/format.h"

unsigned char *ra_bytes_room(ra_bytes *bytes, size_t size)
{
    size_t needed;
    if (bytes->failed)
        return NULL;
    if (!ra_add_size(bytes->size, size, &needed)) {
        ra_fail(RESATTN_TOO_LARGE, "a blob of %zu bytes cannot grow by %zu", bytes->size, size);
        bytes->failed = true;
        return NULL;
    }
    if (needed > bytes->capacity || !bytes->data) {
        size_t larger = bytes->capacity > SIZE_MAX / 2 ? needed : bytes->capacity * 2;
        if (larger < needed)
            larger = needed < 256 ? 256 : needed;
        unsigned char *data = ra_alloc_raw(bytes->context, larger, 1);
        if (!data) {
            bytes->failed = true;
            return NULL;
        }
        if (bytes->data)
            memcpy(data, bytes->data, bytes->size);
        ra_free(bytes->context, bytes->data);
        bytes->data = data;
        bytes->capacity = larger;
    }
    return bytes->data + bytes->size;
}

void ra_bytes_put(ra_bytes *bytes, const void *data, size_t size)
{
    unsigned char *room = ra_bytes_room(bytes, size);
    if (!room)
        return;
    memcpy(room, data, size);
    bytes->size += size;
}

void ra_store_u32(unsigned char *target, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        target[i] = (unsigned char)(value >> (8 * i));
}

void ra_store_u64(unsigned char *target, uint64_t value)
{
    for (int i = 0; i < 8; i++)
        target[i] = (unsigned char)(value >> (8 * i));
}

uint32_t ra_load_u32(const unsigned char *bytes)
{
    uint32_t value = 0;
    for (int i = 0; i < 4; i++)
        value |= (uint32_t)bytes[i] << (8 * i);
    return value;
}

uint64_t ra_load_u64(const unsigned char *bytes)
{
    return ra_load_u32(bytes) | (uint64_t)ra_load_u32(bytes + 4) << 32;
}

void ra_bytes_put_u8(ra_bytes *bytes, uint32_t value)
{
    unsigned char byte = (unsigned char)value;
    ra_bytes_put(bytes, &byte, 1);
}

void ra_bytes_put_u32(ra_bytes *bytes, uint32_t value)
{
    unsigned char stored[4];
    ra_store_u32(stored, value);
    ra_bytes_put(bytes, stored, sizeof stored);
}

void ra_bytes_put_u64(ra_bytes *bytes, uint64_t value)
{
    unsigned char stored[8];
    ra_store_u64(stored, value);
    ra_bytes_put(bytes, stored, sizeof stored);
}

void ra_bytes_put_f32(ra_bytes *bytes, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    ra_bytes_put_u32(bytes, bits);
}

void ra_bytes_put_f64(ra_bytes *bytes, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    ra_bytes_put_u64(bytes, bits);
}

void ra_bytes_put_text(ra_bytes *bytes, const char *text)
{
    if (text)
        ra_bytes_put(bytes, text, strlen(text) + 1);
    else
        ra_bytes_put_u8(bytes, 0);
}

/* The next `size` bytes, NULL where there are fewer. */
static const unsigned char *take(ra_reader *reader, size_t size)
{
    if (reader->failed)
        return NULL;
    if ((size_t)(reader->end - reader->at) < size) {
        ra_fail(RESATTN_BAD_FORMAT, "damaged: %s ends too early", reader->what);
        reader->failed = true;
        return NULL;
    }
    const unsigned char *bytes = reader->at;
    reader->at += size;
    return bytes;
}

const void *ra_read_bytes(ra_reader *reader, size_t size)
{
    return take(reader, size);
}

uint32_t ra_read_u8(ra_reader *reader)
{
    const unsigned char *bytes = take(reader, 1);
    return bytes ? bytes[0] : 0;
}

uint32_t ra_read_u32(ra_reader *reader)
{
    const unsigned char *bytes = take(reader, 4);
    return bytes ? ra_load_u32(bytes) : 0;
}

uint64_t ra_read_u64(ra_reader *reader)
{
    const unsigned char *bytes = take(reader, 8);
    return bytes ? ra_load_u64(bytes) : 0;
}

float ra_read_f32(ra_reader *reader)
{
    uint32_t bits = ra_read_u32(reader);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

double ra_read_f64(ra_reader *reader)
{
    uint64_t bits = ra_read_u64(reader);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

const char *ra_read_text(ra_reader *reader, size_t most)
{
    if (reader->failed)
        return NULL;
    size_t left = (size_t)(reader->end - reader->at);
    const char *text = (const char *)reader->at;
    const unsigned char *zero = left > 0 ? memchr(reader->at, 0, left) : NULL;
    if (!zero)
        ra_fail(RESATTN_BAD_FORMAT, "damaged: %s ends within a text", reader->what);
    else if ((size_t)(zero - reader->at) > most)
        ra_fail(RESATTN_TOO_LARGE, "%s: a text of %zu bytes, expected at most %zu", reader->what,
                (size_t)(zero - reader->at), most);
    else if (!ra_text_is_utf8(text))
        ra_fail(RESATTN_BAD_FORMAT, "damaged: %s has a text that is not UTF-8", reader->what);
    else {
        reader->at = zero + 1;
        return text;
    }
    reader->failed = true;
    return NULL;
}

const char *ra_read_text_within(ra_reader *reader, const resattn_context *context, resattn_limit limit)
{
    const unsigned char *zero =
        reader->failed || reader->at == reader->end ? NULL : memchr(reader->at, 0, (size_t)(reader->end - reader->at));
    if (!zero || ra_limit_fits(context, limit, (uint64_t)(zero - reader->at), reader->what))
        return ra_read_text(reader, SIZE_MAX);
    reader->failed = true;
    return NULL;
}

bool ra_read_all(ra_reader *reader)
{
    if (!reader->failed && reader->at != reader->end) {
        ra_fail(RESATTN_BAD_FORMAT, "damaged: %s is followed by %zu bytes that belong to nothing", reader->what,
                (size_t)(reader->end - reader->at));
        reader->failed = true;
    }
    return !reader->failed;
}
