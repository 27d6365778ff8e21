/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The values of a tensor into a zlib stream of planes of bytes.
 */
#include <string.h>

#include "format/format.h"

/*
 * Weights are noise whose exponents are not evenly spread: an entropy code alone packs them better and many times
 * faster than one that also looks for matches (Z_RLE, which finds the zeros that there may be). Only the highest levels
 * try both.
 */
enum { THOROUGH = 7, MEMORY_LEVEL = 8 };

struct ra_packer {
    resattn_context *context;
    bool thorough;
    z_stream runs, matches;
};

static voidpf zlib_alloc(voidpf context, uInt items, uInt size)
{
    return ra_alloc(context, items, size);
}

static void zlib_free(voidpf context, voidpf memory)
{
    ra_free(context, memory);
}

static bool begin_deflate(resattn_context *context, z_stream *z, int32_t level, int strategy)
{
    z->zalloc = zlib_alloc;
    z->zfree = zlib_free;
    z->opaque = context;
    int code = deflateInit2(z, level, Z_DEFLATED, MAX_WBITS, MEMORY_LEVEL, strategy);
    if (code == Z_MEM_ERROR)
        ra_fail_within("zlib"); /* ra_alloc() has recorded what was missing */
    else if (code != Z_OK)
        ra_fail(RESATTN_INTERNAL, "zlib answered %d ('%s')", code, z->msg ? z->msg : "no message");
    return code == Z_OK;
}

ra_packer *ra_packer_new(resattn_context *context, int32_t level)
{
    ra_packer *packer = ra_alloc(context, 1, sizeof *packer);
    if (!packer)
        return NULL;
    packer->context = context;
    if (begin_deflate(context, &packer->runs, level, Z_RLE)) {
        packer->thorough = level >= THOROUGH;
        if (!packer->thorough || begin_deflate(context, &packer->matches, level, Z_DEFAULT_STRATEGY))
            return packer;
        deflateEnd(&packer->runs);
    }
    ra_free(context, packer);
    return NULL;
}

void ra_packer_free(ra_packer *packer)
{
    if (!packer)
        return;
    deflateEnd(&packer->runs);
    if (packer->thorough)
        deflateEnd(&packer->matches);
    ra_free(packer->context, packer);
}

/* What one stream may need: zlib's own bound is for input that comes at once, ours comes in blocks. */
static bool bound_of_one(ra_packer *packer, const resattn_tensor *tensor, int32_t type, size_t *bytes)
{
    size_t raw, margin;
    if (!ra_mul_size((size_t)resattn_tensor_elements(tensor), ra_number_size(type), &raw) || raw > SIZE_MAX / 4) {
        ra_fail(RESATTN_TOO_LARGE, "a tensor has %lld elements", (long long)resattn_tensor_elements(tensor));
        return false;
    }
    margin = raw / 1024 + 64;
    *bytes = (size_t)deflateBound(&packer->runs, (uLong)raw) + margin;
    return true;
}

bool ra_pack_bound(ra_packer *packer, const resattn_tensor *tensor, int32_t type, size_t *bytes)
{
    if (!bound_of_one(packer, tensor, type, bytes))
        return false;
    if (packer->thorough)
        *bytes *= 2;
    return true;
}

/* A block of a plane. */
static void gather(const resattn_tensor *tensor, int32_t type, size_t plane, int64_t first, int64_t count,
                   unsigned char *target)
{
    uint32_t bits[RA_BLOCK];
    unsigned char bytes[4 * RA_BLOCK];
    size_t size = ra_number_size(type);
    ra_order_get(tensor, first, count, bits);
    ra_numbers_narrow(type, bits, count, bytes);
    for (int64_t i = 0; i < count; i++)
        target[i] = bytes[(size_t)i * size + plane];
}

/* Compresses a block, and all that zlib holds back if `flush` is Z_FINISH. */
static bool deflate_block(z_stream *z, const unsigned char *block, size_t size, int flush, size_t *left)
{
    z->next_in = block;
    z->avail_in = (uInt)size;
    for (;;) {
        uInt room = *left < UINT32_C(1) << 30 ? (uInt)*left : (uInt)1 << 30;
        z->avail_out = room;
        int code = deflate(z, flush);
        *left -= room - z->avail_out;
        if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR)
            return false;
        if (flush == Z_FINISH ? code == Z_STREAM_END : z->avail_in == 0 && z->avail_out > 0)
            return true;
        if (*left == 0)
            return false;
    }
}

static size_t pack_with(z_stream *z, const resattn_tensor *tensor, int32_t type, unsigned char *target, size_t bound)
{
    int64_t elements = resattn_tensor_elements(tensor);
    size_t left = bound, planes = ra_number_size(type);
    if (deflateReset(z) != Z_OK)
        return 0;
    z->next_out = target;
    for (size_t plane = 0; plane < planes; plane++) {
        for (int64_t first = 0; first < elements; first += RA_BLOCK) {
            unsigned char block[RA_BLOCK];
            int64_t count = elements - first < RA_BLOCK ? elements - first : RA_BLOCK;
            gather(tensor, type, plane, first, count, block);
            bool last = plane == planes - 1 && first + count == elements;
            if (!deflate_block(z, block, (size_t)count, last ? Z_FINISH : Z_NO_FLUSH, &left))
                return 0;
        }
    }
    return bound - left;
}

size_t ra_pack(ra_packer *packer, const resattn_tensor *tensor, int32_t type, unsigned char *target, size_t bound)
{
    if (!packer->thorough)
        return pack_with(&packer->runs, tensor, type, target, bound);
    size_t first = pack_with(&packer->runs, tensor, type, target, bound / 2);
    size_t second = pack_with(&packer->matches, tensor, type, target + bound / 2, bound - bound / 2);
    if (first == 0 || second == 0 || second >= first)
        return second == 0 ? 0 : first;
    memmove(target, target + bound / 2, second);
    return second;
}
