/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An allocator for contexts that counts bytes.
 */
#ifndef TEST_COUNTED_HEAP_H
#define TEST_COUNTED_HEAP_H

#include <stddef.h>

#include "resattn/resattn.h"

typedef struct counted_heap {
    size_t live, peak; /* peak: the most since it was set to live */
} counted_heap;

void *counted_alloc(void *heap, size_t size);
void counted_free(void *heap, void *memory);

/* A context of one thread that takes its memory from the heap, in which nothing was counted before. */
resattn_context *counted_context(counted_heap *heap);

#endif
