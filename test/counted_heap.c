/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An allocator for contexts that counts bytes.
 */
#include "counted_heap.h"

#include <stdlib.h>

typedef union block {
    size_t size;
    max_align_t align;
} block;

void *counted_alloc(void *user, size_t size)
{
    counted_heap *heap = user;
    block *memory = malloc(sizeof *memory + size);
    if (!memory)
        return NULL;
    memory->size = size;
    heap->live += size;
    if (heap->live > heap->peak)
        heap->peak = heap->live;
    return memory + 1;
}

void counted_free(void *user, void *memory)
{
    counted_heap *heap = user;
    block *whole = (block *)memory - 1;
    heap->live -= whole->size;
    free(whole);
}

resattn_context *counted_context(counted_heap *heap)
{
    *heap = (counted_heap){0};
    return resattn_context_new_with_allocator(1, counted_alloc, counted_free, heap);
}
