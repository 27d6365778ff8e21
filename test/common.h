/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What several tests need: a seeded generator, and running a suite.
 */
#ifndef TEST_COMMON_H
#define TEST_COMMON_H

#include <check.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "resattn/common.h"

/* Before a test program's function that stands in for one of the C library's: the shared library is to find it too. */
#define TEST_INTERPOSED __attribute__((visibility("default")))

/* The seed of this run: the environment variable RESATTN_TEST_SEED, or a fixed one. Printed at its first use. */
uint64_t test_seed(void);

/* The next number of a generator that starts from test_seed(). Not for several threads. */
uint64_t test_random(void);

/* An allocator for a context that counts: `blocks` are out, `calls` were made, the one numbered `fail_at` (from 1; 0:
 * none) gets nothing. */
typedef struct test_heap {
    atomic_int blocks, calls;
    int fail_at;
} test_heap;
void *test_heap_alloc(void *heap, size_t size);
void test_heap_free(void *heap, void *memory);

/* Checks that the last error of this thread has a status, and `part` in its message. */
void test_expect_error(resattn_status status, const char *part);

/* Whether a text is well-formed UTF-8 of 1 to 4 bytes a character. */
bool test_is_utf8(const char *text);

/* Runs the suite; returns the program's exit code. */
int test_run(Suite *suite);

#endif
