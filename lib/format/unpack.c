/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The values of a tensor out of a zlib stream of planes of bytes: piece by piece, or at once where all of it is in
 * memory, which is faster and can be done by several threads.
 */
#include <string.h>

#include "format/format.h"

struct ra_unpacker {
    resattn_context *context;
    bool refuse_memory;
    z_stream z;
    resattn_tensor *tensor; /* NULL: the values are only counted */
    int64_t elements;
    int32_t type;
    size_t plane;
    int64_t at; /* the element of this plane that comes next */
    bool ended; /* the zlib stream */
    unsigned char window[RA_BLOCK];
};

/* ---- zlib with the context's memory ---- */

/*
 * zlib takes memory for its window when it is first needed, which is never if a stream is unpacked in one call. Where
 * that may be on one of the context's threads, which must not use the host's allocator, a damaged stream gets none.
 */
static voidpf zlib_alloc(voidpf user, uInt items, uInt size)
{
    ra_unpacker *unpacker = user;
    return unpacker->refuse_memory ? NULL : ra_alloc(unpacker->context, items, size);
}

static void zlib_free(voidpf user, voidpf memory)
{
    ra_unpacker *unpacker = user;
    ra_free(unpacker->context, memory);
}

/* Records what zlib said; false. zlib's own words are static texts. */
static bool zlib_fail(const z_stream *z, int code)
{
    if (code == Z_MEM_ERROR)
        ra_fail_within("zlib"); /* ra_alloc() has recorded what was missing */
    else if (code == Z_DATA_ERROR || code == Z_NEED_DICT)
        ra_fail(RESATTN_BAD_FORMAT, "damaged: zlib says '%s'", z->msg ? z->msg : "dictionary needed");
    else
        ra_fail(RESATTN_INTERNAL, "zlib answered %d ('%s')", code, z->msg ? z->msg : "no message");
    return false;
}

ra_unpacker *ra_unpacker_new(resattn_context *context)
{
    ra_unpacker *unpacker = ra_alloc(context, 1, sizeof *unpacker);
    if (!unpacker)
        return NULL;
    unpacker->context = context;
    unpacker->z.zalloc = zlib_alloc;
    unpacker->z.zfree = zlib_free;
    unpacker->z.opaque = unpacker;
    int code = inflateInit(&unpacker->z);
    if (code == Z_OK)
        return unpacker;
    zlib_fail(&unpacker->z, code);
    ra_free(context, unpacker);
    return NULL;
}

void ra_unpacker_free(ra_unpacker *unpacker)
{
    if (!unpacker)
        return;
    inflateEnd(&unpacker->z);
    ra_free(unpacker->context, unpacker);
}

/* ---- piece by piece ---- */

static bool begin(ra_unpacker *unpacker, resattn_tensor *tensor, int64_t elements, int32_t type)
{
    unpacker->refuse_memory = false;
    unpacker->tensor = tensor;
    unpacker->elements = elements;
    unpacker->type = type;
    unpacker->plane = 0;
    unpacker->at = 0;
    unpacker->ended = false;
    int code = inflateReset(&unpacker->z);
    return code == Z_OK || zlib_fail(&unpacker->z, code);
}

bool ra_unpack_begin(ra_unpacker *unpacker, resattn_tensor *tensor, int32_t type)
{
    return begin(unpacker, tensor, resattn_tensor_elements(tensor), type);
}

bool ra_unpack_begin_count(ra_unpacker *unpacker, int64_t elements, int32_t type)
{
    return begin(unpacker, NULL, elements, type);
}

/* Adds a block of a plane to the elements, which hold the planes before it; after the last one they become floats. */
static void add_block(ra_unpacker *unpacker, const unsigned char *from, int64_t count)
{
    uint32_t bits[RA_BLOCK];
    unsigned char bytes[4 * RA_BLOCK];
    size_t plane = unpacker->plane, size = ra_number_size(unpacker->type);
    ra_order_get(unpacker->tensor, unpacker->at, count, bits);
    for (int64_t i = 0; i < count; i++)
        bits[i] |= (uint32_t)from[i] << (8 * plane);
    if (plane == size - 1) {
        for (int64_t i = 0; i < count; i++)
            for (size_t j = 0; j < size; j++)
                bytes[(size_t)i * size + j] = (unsigned char)(bits[i] >> (8 * j));
        ra_numbers_widen(unpacker->type, bytes, count, bits);
    }
    ra_order_put(unpacker->tensor, unpacker->at, count, bits);
}

static bool planes_are_full(const ra_unpacker *unpacker)
{
    return unpacker->plane == ra_number_size(unpacker->type);
}

static bool take_window(ra_unpacker *unpacker, int64_t size)
{
    const unsigned char *from = unpacker->window;
    int64_t elements = unpacker->elements;
    while (size > 0) {
        if (planes_are_full(unpacker)) {
            ra_fail(RESATTN_BAD_FORMAT, "damaged: more values than the shape has elements");
            return false;
        }
        int64_t left = elements - unpacker->at, count = size < left ? size : left;
        if (unpacker->tensor)
            add_block(unpacker, from, count);
        from += count;
        size -= count;
        unpacker->at += count;
        if (unpacker->at == elements) {
            unpacker->plane++;
            unpacker->at = 0;
        }
    }
    return true;
}

bool ra_unpack(ra_unpacker *unpacker, const unsigned char *bytes, size_t size)
{
    z_stream *z = &unpacker->z;
    z->next_in = bytes;
    z->avail_in = (uInt)size;
    do {
        if (unpacker->ended) {
            if (z->avail_in == 0)
                return true;
            ra_fail(RESATTN_BAD_FORMAT, "damaged: %zu bytes follow the values", (size_t)z->avail_in);
            return false;
        }
        z->next_out = unpacker->window;
        z->avail_out = RA_BLOCK;
        int code = inflate(z, Z_NO_FLUSH);
        if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR)
            return zlib_fail(z, code);
        unpacker->ended = code == Z_STREAM_END;
        if (!take_window(unpacker, RA_BLOCK - (int64_t)z->avail_out))
            return false;
    } while (z->avail_in > 0 || z->avail_out == 0);
    return true;
}

bool ra_unpack_end(ra_unpacker *unpacker)
{
    if (unpacker->ended && planes_are_full(unpacker))
        return true;
    ra_fail(RESATTN_BAD_FORMAT, "damaged: fewer values than the shape has elements");
    return false;
}

/* ---- at once ---- */

/* The bytes of `count` numbers beside each other. */
static void interleave(size_t size, const unsigned char *planes, int64_t elements, int64_t count, unsigned char *bytes)
{
    const unsigned char *a = planes, *b = a + elements;
    if (size == 2) {
        for (int64_t i = 0; i < count; i++) {
            bytes[2 * i] = a[i];
            bytes[2 * i + 1] = b[i];
        }
        return;
    }
    const unsigned char *c = b + elements, *d = c + elements;
    for (int64_t i = 0; i < count; i++) {
        bytes[4 * i] = a[i];
        bytes[4 * i + 1] = b[i];
        bytes[4 * i + 2] = c[i];
        bytes[4 * i + 3] = d[i];
    }
}

static bool inflate_whole(ra_unpacker *unpacker, const unsigned char *bytes, size_t size, unsigned char *target,
                          size_t target_size)
{
    z_stream *z = &unpacker->z;
    if (inflateReset(z) != Z_OK)
        return false;
    unpacker->refuse_memory = true;
    z->next_in = bytes;
    z->avail_in = (uInt)size;
    z->next_out = target;
    z->avail_out = (uInt)target_size;
    return inflate(z, Z_FINISH) == Z_STREAM_END && z->avail_in == 0 && z->avail_out == 0;
}

bool ra_unpack_whole(ra_unpacker *unpacker, resattn_tensor *tensor, int32_t type, const unsigned char *bytes,
                     size_t size, unsigned char *planes)
{
    int64_t elements = resattn_tensor_elements(tensor);
    size_t number = ra_number_size(type);
    if (!inflate_whole(unpacker, bytes, size, planes, (size_t)elements * number))
        return false;
    for (int64_t first = 0; first < elements; first += RA_BLOCK) {
        uint32_t bits[RA_BLOCK];
        unsigned char numbers[4 * RA_BLOCK];
        int64_t count = elements - first < RA_BLOCK ? elements - first : RA_BLOCK;
        interleave(number, planes + first, elements, count, numbers);
        ra_numbers_widen(type, numbers, count, bits);
        ra_order_put(tensor, first, count, bits);
    }
    return true;
}
