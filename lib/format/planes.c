/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The values of a tensor as a zlib stream of four planes of bytes.
 */
#include <string.h>

#include "format/format.h"

enum { WINDOW = 1 << 14, PLANES = 4 };

/* ---- elements in logical order ---- */

/* Dimensions of one element are left out, and those that lie behind each other with one stride are one. */
typedef struct walk {
    int32_t rank;
    int64_t count[RA_MAX_RANK], stride[RA_MAX_RANK], index[RA_MAX_RANK];
    int64_t offset; /* of the next element */
    int64_t elements;
} walk;

static walk walk_begin(const resattn_tensor *tensor)
{
    walk w = {.rank = 0, .elements = 1};
    for (int32_t i = 0; i < tensor->rank; i++) {
        int64_t count = tensor->shape[i], stride = tensor->stride[i];
        w.elements *= count;
        if (count == 1)
            continue;
        if (w.rank > 0 && w.stride[w.rank - 1] == count * stride) {
            w.count[w.rank - 1] *= count;
            w.stride[w.rank - 1] = stride;
            continue;
        }
        w.count[w.rank] = count;
        w.stride[w.rank++] = stride;
    }
    if (w.rank == 0) {
        w.count[0] = w.stride[0] = 1;
        w.rank = 1;
    }
    return w;
}

/* Takes up to `most` elements that follow each other with one stride: returns how many, and where the first is. */
static int64_t walk_run(walk *w, int64_t most, int64_t *first)
{
    int32_t last = w->rank - 1;
    int64_t run = w->count[last] - w->index[last];
    if (run > most)
        run = most;
    *first = w->offset;
    w->index[last] += run;
    w->offset += run * w->stride[last];
    for (int32_t i = last; i > 0 && w->index[i] == w->count[i]; i--) {
        w->offset += w->stride[i - 1] - w->count[i] * w->stride[i];
        w->index[i] = 0;
        w->index[i - 1]++;
    }
    return run;
}

/* Where in the host's float lies the byte that is number `plane` from the least significant. */
static int64_t byte_of_plane(int32_t plane)
{
    const uint32_t one = 1;
    unsigned char first;
    memcpy(&first, &one, 1);
    return first == 1 ? plane : PLANES - 1 - plane;
}

static void gather(walk *w, const resattn_tensor *tensor, int32_t plane, unsigned char *target, int64_t count)
{
    const unsigned char *bytes = (const unsigned char *)tensor->data + byte_of_plane(plane);
    int64_t step = w->stride[w->rank - 1] * PLANES;
    while (count > 0) {
        int64_t first, run = walk_run(w, count, &first);
        const unsigned char *from = bytes + first * PLANES;
        for (int64_t i = 0; i < run; i++)
            *target++ = from[i * step];
        count -= run;
    }
}

static void scatter(walk *w, const resattn_tensor *tensor, int32_t plane, const unsigned char *from, int64_t count)
{
    unsigned char *bytes = (unsigned char *)tensor->data + byte_of_plane(plane);
    int64_t step = w->stride[w->rank - 1] * PLANES;
    while (count > 0) {
        int64_t first, run = walk_run(w, count, &first);
        unsigned char *target = bytes + first * PLANES;
        for (int64_t i = 0; i < run; i++)
            target[i * step] = *from++;
        count -= run;
    }
}

/* ---- zlib with the context's memory ---- */

static voidpf zlib_alloc(voidpf context, uInt items, uInt size)
{
    return ra_alloc(context, items, size);
}

static void zlib_free(voidpf context, voidpf memory)
{
    ra_free(context, memory);
}

/* Records what zlib said; false. zlib's own words are static texts. */
static bool zlib_fail(const z_stream *z, int code)
{
    if (code == Z_MEM_ERROR)
        ra_fail(RESATTN_OUT_OF_MEMORY, "out of memory: zlib was refused its own");
    else if (code == Z_DATA_ERROR || code == Z_NEED_DICT)
        ra_fail(RESATTN_BAD_FORMAT, "damaged: zlib says '%s'", z->msg ? z->msg : "dictionary needed");
    else
        ra_fail(RESATTN_INTERNAL, "zlib answered %d ('%s')", code, z->msg ? z->msg : "no message");
    return false;
}

/* ---- packing ---- */

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
    unsigned char window[WINDOW];
};

static bool begin_deflate(resattn_context *context, z_stream *z, int32_t level, int strategy)
{
    z->zalloc = zlib_alloc;
    z->zfree = zlib_free;
    z->opaque = context;
    int code = deflateInit2(z, level, Z_DEFLATED, MAX_WBITS, MEMORY_LEVEL, strategy);
    return code == Z_OK || zlib_fail(z, code);
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

/* Compresses what is in the window, and all that zlib holds back if `flush` is Z_FINISH. */
static bool deflate_window(z_stream *z, const unsigned char *window, size_t size, int flush, ra_bytes *target)
{
    z->next_in = window;
    z->avail_in = (uInt)size;
    do {
        z->next_out = ra_bytes_room(target, WINDOW);
        z->avail_out = WINDOW;
        if (!z->next_out)
            return false;
        int code = deflate(z, flush);
        if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR)
            return zlib_fail(z, code);
        target->size += WINDOW - z->avail_out;
    } while (z->avail_out == 0);
    return true;
}

static bool pack_with(ra_packer *packer, z_stream *z, const resattn_tensor *tensor, ra_bytes *target)
{
    int code = deflateReset(z);
    if (code != Z_OK)
        return zlib_fail(z, code);
    for (int32_t plane = 0; plane < PLANES; plane++) {
        walk w = walk_begin(tensor);
        for (int64_t left = w.elements; left > 0;) {
            int64_t count = left < WINDOW ? left : WINDOW;
            gather(&w, tensor, plane, packer->window, count);
            left -= count;
            int flush = plane == PLANES - 1 && left == 0 ? Z_FINISH : Z_NO_FLUSH;
            if (!deflate_window(z, packer->window, (size_t)count, flush, target))
                return false;
        }
    }
    return true;
}

bool ra_pack(ra_packer *packer, const resattn_tensor *tensor, ra_bytes *target)
{
    size_t begin = target->size;
    if (!pack_with(packer, &packer->runs, tensor, target))
        return false;
    size_t middle = target->size;
    if (!packer->thorough)
        return true;
    if (!pack_with(packer, &packer->matches, tensor, target))
        return false;
    size_t second = target->size - middle;
    target->size = middle;
    if (second < middle - begin) {
        memmove(target->data + begin, target->data + middle, second);
        target->size = begin + second;
    }
    return true;
}

/* ---- unpacking ---- */

struct ra_unpacker {
    resattn_context *context;
    z_stream z;
    resattn_tensor *tensor;
    walk walk;
    int32_t plane;
    int64_t left; /* elements of this plane */
    bool ended;   /* the zlib stream */
    unsigned char window[WINDOW];
};

ra_unpacker *ra_unpacker_new(resattn_context *context)
{
    ra_unpacker *unpacker = ra_alloc(context, 1, sizeof *unpacker);
    if (!unpacker)
        return NULL;
    unpacker->context = context;
    unpacker->z.zalloc = zlib_alloc;
    unpacker->z.zfree = zlib_free;
    unpacker->z.opaque = context;
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

bool ra_unpack_begin(ra_unpacker *unpacker, resattn_tensor *tensor)
{
    unpacker->tensor = tensor;
    unpacker->walk = walk_begin(tensor);
    unpacker->plane = 0;
    unpacker->left = unpacker->walk.elements;
    unpacker->ended = false;
    int code = inflateReset(&unpacker->z);
    return code == Z_OK || zlib_fail(&unpacker->z, code);
}

static bool take_window(ra_unpacker *unpacker, int64_t size)
{
    const unsigned char *from = unpacker->window;
    while (size > 0) {
        if (unpacker->left == 0) {
            ra_fail(RESATTN_BAD_FORMAT, "damaged: more values than the shape has elements");
            return false;
        }
        int64_t count = size < unpacker->left ? size : unpacker->left;
        scatter(&unpacker->walk, unpacker->tensor, unpacker->plane, from, count);
        from += count;
        size -= count;
        unpacker->left -= count;
        if (unpacker->left == 0 && unpacker->plane < PLANES - 1) {
            unpacker->plane++;
            unpacker->walk = walk_begin(unpacker->tensor);
            unpacker->left = unpacker->walk.elements;
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
        z->avail_out = WINDOW;
        int code = inflate(z, Z_NO_FLUSH);
        if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR)
            return zlib_fail(z, code);
        unpacker->ended = code == Z_STREAM_END;
        if (!take_window(unpacker, WINDOW - (int64_t)z->avail_out))
            return false;
    } while (z->avail_in > 0 || z->avail_out == 0);
    return true;
}

bool ra_unpack_end(ra_unpacker *unpacker)
{
    if (unpacker->ended && unpacker->left == 0 && unpacker->plane == PLANES - 1)
        return true;
    ra_fail(RESATTN_BAD_FORMAT, "damaged: fewer values than the shape has elements");
    return false;
}
