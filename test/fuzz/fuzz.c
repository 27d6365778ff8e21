/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Choices, bounded memory, and what every failure must come with.
 */
#include "fuzz.h"

#include <math.h>
#include <string.h>

/* ---- choices ---- */

uint32_t fuzz_byte(fuzz_input *in)
{
    return in->at < in->end ? *in->at++ : 0;
}

uint32_t fuzz_u32(fuzz_input *in)
{
    uint32_t value = 0;
    for (int i = 0; i < 4; i++)
        value |= fuzz_byte(in) << (8 * i);
    return value;
}

int32_t fuzz_range(fuzz_input *in, int32_t low, int32_t high)
{
    uint32_t count = (uint32_t)high - (uint32_t)low + 1;
    uint32_t number = count > 0 && count <= 256 ? fuzz_byte(in) : fuzz_u32(in);
    return (int32_t)((int64_t)low + (count ? number % count : number));
}

int32_t fuzz_int(fuzz_input *in)
{
    static const int32_t extreme[] = {-1,    INT32_MAX, INT32_MIN,     1 << 24, (1 << 24) + 1, 1 << 30,
                                      65536, 46341,     INT32_MAX - 1, 1024,    4095,          32769,
                                      99999, -2,        1000003,       255};
    uint32_t kind = fuzz_byte(in);
    if (kind < 240)
        return (int32_t)(kind % 24);
    return extreme[kind - 240];
}

double fuzz_real(fuzz_input *in)
{
    static const double some[] = {0,  1,   0.5,   2,     0.25,     0.9,       1e-5, 0.1,
                                  -1, 1e6, 1e-30, 1e300, INFINITY, -INFINITY, NAN,  -0.0};
    uint32_t kind = fuzz_byte(in);
    if (kind < 200)
        return some[kind % 10];
    if (kind < 240)
        return (double)fuzz_int(in) / 8;
    return some[kind - 240];
}

bool fuzz_chance(fuzz_input *in, uint32_t of_256)
{
    /* An input that has ended chooses what is usual. */
    return in->at < in->end && fuzz_byte(in) < of_256;
}

float fuzz_value(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (float)((int32_t)(*state >> 40) - (1 << 23)) / (float)(1 << 23);
}

/* ---- memory ---- */

/* Before each block, as long as malloc aligns. */
typedef union header {
    size_t size;
    max_align_t align;
} header;

static void *heap_alloc(void *user, size_t size)
{
    fuzz_heap *heap = user;
    FUZZ_CHECK(size > 0, "an allocation of 0 bytes");
    if (++heap->calls == heap->fail_at || size > heap->limit || heap->now > heap->limit - size)
        return NULL;
    header *block = malloc(sizeof *block + size);
    if (!block)
        return NULL;
    block->size = size;
    heap->blocks++;
    heap->now += size;
    if (heap->now > heap->most)
        heap->most = heap->now;
    return block + 1;
}

static void heap_free(void *user, void *memory)
{
    fuzz_heap *heap = user;
    FUZZ_CHECK(memory != NULL, "NULL is freed");
    header *block = (header *)memory - 1;
    heap->blocks--;
    heap->now -= block->size;
    free(block);
}

resattn_context *fuzz_context_new(fuzz_heap *heap, int32_t threads)
{
    resattn_context *context = resattn_context_new_with_allocator(threads, heap_alloc, heap_free, heap);
    if (fuzz_made(context))
        fuzz_define_custom(context);
    return context;
}

void fuzz_context_end(fuzz_heap *heap, resattn_context *context)
{
    resattn_context_unref(context);
    FUZZ_CHECK(heap->blocks == 0 && heap->now == 0, "%lld blocks, %zu bytes are left", (long long)heap->blocks,
               heap->now);
}

/* ---- failures ---- */

void fuzz_check_failure(resattn_status status)
{
    FUZZ_CHECK(status < RESATTN_OK && status != RESATTN_INTERNAL, "a failure with status %d", (int)status);
    FUZZ_CHECK(resattn_last_status() == status, "status %d, and the last one is %d", (int)status,
               (int)resattn_last_status());
    FUZZ_CHECK(strlen(resattn_last_error()) > 5, "status %d without a message", (int)status);
}

bool fuzz_ok(resattn_status status)
{
    if (status != RESATTN_OK)
        fuzz_check_failure(status);
    return status == RESATTN_OK;
}

void *fuzz_made(void *handle)
{
    if (!handle)
        fuzz_check_failure(resattn_last_status());
    return handle;
}

/* ---- streams ---- */

int64_t fuzz_stream_read(void *user, void *bytes, size_t size)
{
    fuzz_stream *stream = user;
    size_t count = stream->size - stream->at;
    if (count > size)
        count = size;
    if (stream->piece && count > stream->piece)
        count = stream->piece;
    if (count)
        memcpy(bytes, stream->bytes + stream->at, count);
    stream->at += count;
    return (int64_t)count;
}

int32_t fuzz_sink_write(void *user, const void *bytes, size_t size)
{
    fuzz_sink *sink = user;
    if (size > sink->capacity - sink->size) {
        size_t capacity = 2 * sink->capacity + size;
        uint8_t *larger = realloc(sink->bytes, capacity);
        if (!larger)
            return 1;
        sink->bytes = larger;
        sink->capacity = capacity;
    }
    memcpy(sink->bytes + sink->size, bytes, size);
    sink->size += size;
    return 0;
}
