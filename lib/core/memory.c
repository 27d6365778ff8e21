/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Aligned memory from the context's allocator, counted. Before each block lies what the allocator gave: where, how much.
 */
#if defined(__linux__)
#define _DEFAULT_SOURCE /* madvise */
#endif

#include "core/core.h"

#include <string.h>

#if defined(__linux__)
#include <sys/mman.h>
#endif

typedef struct given {
    void *memory;
    size_t size;
} given;

#define OVERHEAD (sizeof(given) + RA_ALIGNMENT - 1)

/* From this size on, memory is worth the system's large pages. */
#define LARGE_BYTES ((size_t)8 << 20)
#define PAGE_BYTES ((uintptr_t)2 << 20)

/* Large pages, where the system gives them when asked: the first use of a session's memory otherwise takes longer than
 * a whole run, by its page faults. Only a hint. */
static void ask_for_large_pages(char *memory, size_t bytes)
{
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    uintptr_t first = ((uintptr_t)memory + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
    uintptr_t end = ((uintptr_t)memory + bytes) / PAGE_BYTES * PAGE_BYTES;
    if (bytes >= LARGE_BYTES && first < end)
        (void)madvise(memory + (first - (uintptr_t)memory), end - first, MADV_HUGEPAGE);
#else
    (void)memory;
    (void)bytes;
#endif
}

/* From the allocator, if the limit allows. The bytes are counted before they are there, so that no two threads exceed it
 * together. */
static void *take(resattn_context *context, size_t size)
{
    uint64_t limit = (uint64_t)ra_limit(context, RESATTN_LIMIT_MEMORY);
    size_t before = atomic_fetch_add_explicit(&context->used, size, memory_order_relaxed);
    void *memory = NULL;
    if (size > limit || before > limit - size)
        ra_fail(RESATTN_TOO_LARGE, "%zu bytes of memory beside %zu in use, the limit 'memory' is %llu", size, before,
                (unsigned long long)limit);
    else if ((memory = context->alloc(context->alloc_user, size)) == NULL)
        ra_fail(RESATTN_OUT_OF_MEMORY, "out of memory: %zu bytes were refused", size);
    if (memory == NULL)
        atomic_fetch_sub_explicit(&context->used, size, memory_order_relaxed);
    return memory;
}

static void *allocate(resattn_context *context, size_t count, size_t size, bool zeroed)
{
    size_t bytes, total;
    if (!ra_mul_size(count, size, &bytes) || !ra_add_size(bytes == 0 ? 1 : bytes, OVERHEAD, &total))
        return ra_fail_null(RESATTN_TOO_LARGE, "%zu elements of %zu bytes do not fit into the address space", count,
                            size);
    char *memory = take(context, total);
    if (memory == NULL)
        return NULL;
    given whole = {memory, total};
    size_t past = (size_t)((uintptr_t)(memory + OVERHEAD) % RA_ALIGNMENT);
    char *aligned = memory + OVERHEAD - past;
    memcpy(aligned - sizeof whole, &whole, sizeof whole);
    ask_for_large_pages(aligned, bytes);
    if (zeroed)
        memset(aligned, 0, bytes);
    return aligned;
}

void *ra_alloc_raw(resattn_context *context, size_t count, size_t size)
{
    return allocate(context, count, size, false);
}

void *ra_alloc(resattn_context *context, size_t count, size_t size)
{
    return allocate(context, count, size, true);
}

void ra_free(resattn_context *context, void *memory)
{
    if (memory == NULL)
        return;
    given whole;
    memcpy(&whole, (char *)memory - sizeof whole, sizeof whole);
    context->free(context->alloc_user, whole.memory);
    atomic_fetch_sub_explicit(&context->used, whole.size, memory_order_relaxed);
}

char *ra_strdup(resattn_context *context, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = ra_alloc_raw(context, size, 1);
    if (copy != NULL)
        memcpy(copy, text, size);
    return copy;
}

/* `array` is in truth the address of some other pointer type: it is read and written as bytes. */
bool ra_grow(resattn_context *context, void **array, int32_t count, int32_t *capacity, size_t size)
{
    if (count < *capacity)
        return true;
    if (*capacity > INT32_MAX / 2) {
        ra_fail(RESATTN_TOO_LARGE, "a list has %d entries, expected at most %d", (int)count, (int)(INT32_MAX / 2));
        return false;
    }
    int32_t larger = *capacity == 0 ? 8 : *capacity * 2;
    void *old, *fresh = ra_alloc(context, (size_t)larger, size);
    if (fresh == NULL)
        return false;
    memcpy(&old, (const void *)array, sizeof old);
    if (count > 0)
        memcpy(fresh, old, (size_t)count * size);
    ra_free(context, old);
    memcpy((void *)array, &fresh, sizeof fresh);
    *capacity = larger;
    return true;
}
