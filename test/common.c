/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What several tests need: a seeded generator, and running a suite.
 */
#include "common.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t test_seed(void)
{
    static bool known;
    static uint64_t seed = 20170726;
    if (!known) {
        const char *text = getenv("RESATTN_TEST_SEED");
        if (text != NULL && *text != '\0')
            seed = strtoull(text, NULL, 0);
        known = true;
        printf("RESATTN_TEST_SEED=%" PRIu64 "\n", seed);
        fflush(stdout);
    }
    return seed;
}

/* splitmix64 (Steele, Lea and Flood, 2014) */
uint64_t test_random(void)
{
    static bool started;
    static uint64_t state;
    if (!started) {
        state = test_seed();
        started = true;
    }
    state += UINT64_C(0x9E3779B97F4A7C15);
    uint64_t z = state;
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

void *test_heap_alloc(void *heap, size_t size)
{
    test_heap *self = heap;
    if (atomic_fetch_add(&self->calls, 1) + 1 == self->fail_at)
        return NULL;
    void *memory = malloc(size);
    if (memory != NULL)
        atomic_fetch_add(&self->blocks, 1);
    return memory;
}

void test_heap_free(void *heap, void *memory)
{
    test_heap *self = heap;
    atomic_fetch_sub(&self->blocks, 1);
    free(memory);
}

void test_expect_error(resattn_status status, const char *part)
{
    ck_assert_int_eq(resattn_last_status(), status);
    ck_assert_msg(strstr(resattn_last_error(), part) != NULL, "\"%s\" is not in \"%s\"", part, resattn_last_error());
}

bool test_is_utf8(const char *text)
{
    for (const unsigned char *c = (const unsigned char *)text; *c != 0; c++) {
        int more = *c >= 0xF0 ? 3 : *c >= 0xE0 ? 2 : *c >= 0xC0 ? 1 : 0;
        if (more == 0 && *c >= 0x80)
            return false;
        for (; more > 0; more--)
            if ((*++c & 0xC0) != 0x80)
                return false;
    }
    return true;
}

int test_run(Suite *suite)
{
    test_seed();
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
