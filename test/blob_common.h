/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the tests of blobs share: a small network with something of everything, comparing networks, blobs as lists of
 * chunks.
 */
#ifndef TEST_BLOB_COMMON_H
#define TEST_BLOB_COMMON_H

#include <stdbool.h>

#include "common.h"
#include "resattn/resattn.h"

/* The context of the test that runs. */
extern resattn_context *context;
void blob_set_up(void);
void blob_tear_down(void);

resattn_network *small_network(resattn_context *c);
/* The same with metadata. */
resattn_network *full_network(resattn_context *c);
/* Fails the test unless everything is the same, values to the bit. */
void check_same(resattn_network *a, resattn_network *b);
/* Fails the test unless loading fails with this status and a message that has these words. */
void check_refused(const void *bytes, size_t size, resattn_status status, const char *words);
void save(resattn_network *network, int32_t level, void **bytes, size_t *size);

/* Callbacks over a buffer. */
typedef struct pipe_end {
    unsigned char bytes[8192];
    size_t size, at, piece;
    int64_t calls, fail_at; /* the call that fails, -1: none */
} pipe_end;

int32_t put(void *user, const void *bytes, size_t size);
int64_t get(void *user, void *bytes, size_t size);

/* A blob as a list of chunks, to be changed and put together again with checksums and total mended. */
enum { HEADER = 24, MOST_CHUNKS = 60, MOST_PAYLOAD = 8192 };
#define KEEP_TOTAL UINT64_C(0xFFFFFFFF00000001) /* in DONE: stays as it is */

typedef struct blob_chunk {
    char type[5];
    size_t size;
    unsigned char payload[MOST_PAYLOAD];
} blob_chunk;

typedef struct blob {
    unsigned char header[HEADER];
    int count;
    blob_chunk chunks[MOST_CHUNKS];
} blob;

void blob_store(unsigned char *bytes, uint64_t value, int count); /* little-endian */
void blob_split(blob *b, const void *bytes, size_t size);
int blob_find(const blob *b, const char *type);
void blob_insert(blob *b, int index, const char *type, const void *payload, size_t size);
void blob_remove(blob *b, int index);
unsigned char *blob_join(const blob *b, size_t *size); /* freed with free() */
void blob_refused(const blob *b, resattn_status status, const char *words);

/* A blob of full_network() as chunks, for tests to change: fixtures in the place of blob_set_up() and blob_tear_down().
 */
extern blob *sample;
void make_blob(void);
void free_blob(void);

/* A tree's payload, written by hand. */
extern unsigned char tree_bytes[MOST_PAYLOAD];
extern size_t tree_size;
void number(uint64_t value, int count);
void text(const char *word);
void begin_tree(uint32_t channels);
void layer(const char *kind, const char *name,
           uint32_t attributes); /* the attributes and the number of children follow */
void attribute(const char *name, int type, uint64_t value);
void conv(const char *name, uint64_t out, uint64_t kernel,
          int more); /* `more` attributes and the number of children follow */

#endif
