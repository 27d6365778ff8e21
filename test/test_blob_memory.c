/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Blobs and memory: a hostile one costs no more than its size allows, and no lack of memory leaves anything behind.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "blob_common.h"

/* How many bytes of memory a byte of a blob can ask for: zeros are packed 1032 to 1, those of half precision become
 * floats, and the bytes themselves lie beside them while they are unpacked. */
#define MOST_FOR_A_BYTE 3096

/* An allocator that counts, and refuses on demand. */
static struct {
    size_t live, peak;
    int64_t calls, refuse; /* the call to refuse, -1: none */
} heap;

typedef union heap_block {
    size_t size;
    max_align_t align;
} heap_block;

static void *heap_alloc(void *user, size_t size)
{
    (void)user;
    if (heap.calls++ == heap.refuse)
        return NULL;
    heap_block *block = malloc(sizeof *block + size);
    if (!block)
        return NULL;
    block->size = size;
    heap.live += size;
    if (heap.live > heap.peak)
        heap.peak = heap.live;
    return block + 1;
}

static void heap_free(void *user, void *memory)
{
    (void)user;
    heap_block *block = (heap_block *)memory - 1;
    heap.live -= block->size;
    free(block);
}

static void count_heap(void)
{
    make_blob();
    resattn_context_unref(context);
    heap.refuse = -1;
    context = resattn_context_new_with_allocator(1, heap_alloc, heap_free, NULL);
}

static void check_heap(void)
{
    free_blob();
    ck_assert_uint_eq(heap.live, 0);
}

/* The tree that was made by hand in a blob of 1024 bytes, the rest of which is zeros or claims to be a chunk. */
static void check_cheap(const char *rest, uint64_t claim)
{
    unsigned char *bytes;
    size_t size;
    memcpy(sample->chunks[0].payload, tree_bytes, tree_size);
    sample->chunks[0].size = tree_size;
    sample->count = 1;
    bytes = blob_join(sample, &size);
    ck_assert_uint_le(size + 12, 1024);
    bytes = realloc(bytes, 1024);
    memset(bytes + size, 0, 1024 - size);
    memcpy(bytes + size, rest, 4);
    blob_store(bytes + size + 4, claim, 8);
    for (int way = 0; way < 2; way++) {
        pipe_end p = {.size = 1024, .fail_at = -1};
        memcpy(p.bytes, bytes, 1024);
        heap.peak = heap.live;
        resattn_network *network = way == 0 ? resattn_network_load_buffer(context, bytes, 1024)
                                            : resattn_network_load_stream(context, get, &p);
        ck_assert_ptr_null(network);
        ck_assert_msg(heap.peak < 1024 * MOST_FOR_A_BYTE, "%zu bytes before '%s'", heap.peak, resattn_last_error());
    }
    free(bytes);
}

START_TEST(small_files_are_cheap)
{
    const char *types[] = {"TENS", "NORM", "clas", "text", "abcd", "ABCD", "TREE"};
    for (int i = 0; i < 7; i++) {
        for (uint64_t claim = 1; claim < UINT64_MAX / 8; claim *= 5) {
            begin_tree(2);
            conv("conv", claim & 0xFFFFFF ? claim & 0xFFFFFF : 1, 3, 0);
            number(0, 4);
            check_cheap(types[i], claim);
        }
    }
    begin_tree(1 << 24);
    layer("relu", "", 0);
    number(0, 4);
    check_cheap("TENS", 8);
    begin_tree(1 << 24);
    conv("conv", 1 << 24, 1 << 24, 0);
    number(0, 4);
    check_cheap("TENS", 8);
    begin_tree(1);
    conv("conv", 400000, 1, 0); /* zeros of this number would just fit */
    number(0, 4);
    check_cheap("TENS", 8);
}
END_TEST

START_TEST(many_layers_are_cheap)
{
    begin_tree(1);
    layer("sum", "", 0);
    number(60, 4);
    for (int i = 0; i < 60; i++) {
        layer("relu", "", 0);
        number(0, 4);
    }
    check_cheap("TENS", 8);
}
END_TEST

START_TEST(every_refused_allocation)
{
    size_t size;
    unsigned char *bytes = blob_join(sample, &size);
    size_t live = heap.live;
    resattn_network *network = resattn_network_load_buffer(context, bytes, size);
    ck_assert_msg(network != NULL, "%s", resattn_last_error());
    for (int64_t i = 0;; i++) {
        size_t before = heap.live;
        heap.calls = 0;
        heap.refuse = i;
        pipe_end p = {.size = size, .fail_at = -1};
        memcpy(p.bytes, bytes, size);
        resattn_network *loaded = resattn_network_load_stream(context, get, &p);
        heap.refuse = -1;
        resattn_status status = resattn_last_status();
        resattn_network_unref(loaded);
        ck_assert_uint_eq(heap.live, before);
        if (loaded)
            break;
        ck_assert_msg(status == RESATTN_OUT_OF_MEMORY, "%lld: %d '%s'", (long long)i, status, resattn_last_error());
    }
    for (int64_t i = 0;; i++) {
        void *saved = &heap;
        size_t saved_size = 1, before = heap.live;
        heap.calls = 0;
        heap.refuse = i;
        resattn_status status = resattn_network_save_buffer(network, 6, &saved, &saved_size);
        heap.refuse = -1;
        resattn_buffer_free(saved);
        ck_assert_uint_eq(heap.live, before);
        if (status == RESATTN_OK)
            break;
        ck_assert_int_eq(status, RESATTN_OUT_OF_MEMORY);
        ck_assert_ptr_null(saved);
        ck_assert_uint_eq(saved_size, 0);
    }
    resattn_network_unref(network);
    ck_assert_uint_eq(heap.live, live);
    free(bytes);
}
END_TEST

/* Whatever is changed behind a right checksum: a network or an error, never more. */
START_TEST(random_damage_with_mended_checksums)
{
    blob whole = *sample;
    size_t before = heap.live;
    for (int round = 0; round < 6000; round++) {
        *sample = whole;
        for (int changes = 1 + (int)(test_random() % 3); changes > 0; changes--) {
            blob_chunk *c = &sample->chunks[test_random() % (round % 2 ? 1 : (uint64_t)sample->count)];
            if (c->size > 0)
                c->payload[test_random() % c->size] = (unsigned char)(test_random() >> test_random() % 8);
        }
        size_t size;
        unsigned char *bytes = blob_join(sample, &size);
        heap.peak = heap.live;
        resattn_network_unref(resattn_network_load_buffer(context, bytes, size));
        ck_assert_uint_eq(heap.live, before);
        ck_assert_uint_lt(heap.peak, size * MOST_FOR_A_BYTE + (1 << 20));
        free(bytes);
    }
}
END_TEST

static Suite *memory_suite(void)
{
    Suite *suite = suite_create("blob memory");
    TCase *memory = tcase_create("memory");
    tcase_set_timeout(memory, 240);
    tcase_add_checked_fixture(memory, count_heap, check_heap);
    tcase_add_test(memory, small_files_are_cheap);
    tcase_add_test(memory, many_layers_are_cheap);
    tcase_add_test(memory, every_refused_allocation);
    tcase_add_test(memory, random_damage_with_mended_checksums);
    suite_add_tcase(suite, memory);
    return suite;
}

int main(void)
{
    return test_run(memory_suite());
}
