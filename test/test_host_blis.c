/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A host that uses BLIS itself, before, between and beside the library's calls: the library's results are those that it
 * has alone with the same kernels, the host's products stay right, and BLIS's settings are the host's. And a host that
 * chooses BLIS's kernels by BLIS_ARCH_TYPE. The argument is test_bits.
 */
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef RA_BLIS_IN_FOLDER
#include <blis/blis.h>
#else
#include <blis.h>
#endif

#include "host_alone.h"

enum { SIZE = 150, BLIS_THREADS = 3 };

static const char *program;

/* ---- the host's own products ---- */

/* Through BLIS's own interface, or through CBLAS where the build of BLIS has it. */
static void multiply_by(bool cblas, float *a, float *b, float *c)
{
    float one = 1, zero = 0;
#ifdef BLIS_ENABLE_CBLAS
    if (cblas) {
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, SIZE, SIZE, SIZE, one, a, SIZE, b, SIZE, zero, c, SIZE);
        return;
    }
#endif
    (void)cblas;
    bli_sgemm(BLIS_NO_TRANSPOSE, BLIS_NO_TRANSPOSE, SIZE, SIZE, SIZE, &one, a, SIZE, 1, b, SIZE, 1, &zero, c, SIZE, 1);
}

/* Of small whole numbers, which are exact in any order of summation. */
static bool is_product(const float *a, const float *b, const float *c)
{
    for (int i = 0; i < SIZE * SIZE; i += 37) {
        float sum = 0;
        for (int k = 0; k < SIZE; k++)
            sum += a[i / SIZE * SIZE + k] * b[k * SIZE + i % SIZE];
        if (c[i] != sum)
            return false;
    }
    return true;
}

/* Returns whether the products are right. */
static bool multiply(void)
{
    float *a = malloc(3 * SIZE * SIZE * sizeof *a), *b = a + SIZE * SIZE, *c = b + SIZE * SIZE;
    bool right = a != NULL;
    for (int i = 0; i < SIZE * SIZE && right; i++) {
        a[i] = (float)(i % 7 - 3);
        b[i] = (float)(i % 5 - 2);
    }
    for (int cblas = 0; cblas < 2 && right; cblas++) {
        memset(c, 0, SIZE * SIZE * sizeof *c);
        multiply_by(cblas != 0, a, b, c);
        right = is_product(a, b, c);
    }
    free(a);
    return right;
}

/* What a program reads of BLIS's settings. */
typedef struct settings {
    int64_t threads, jc, pc, ic, jr, ir;
    int family;
} settings;

static settings read_settings(void)
{
    return (settings){.threads = bli_thread_get_num_threads(),
                      .jc = bli_thread_get_jc_nt(),
                      .pc = bli_thread_get_pc_nt(),
                      .ic = bli_thread_get_ic_nt(),
                      .jr = bli_thread_get_jr_nt(),
                      .ir = bli_thread_get_ir_nt(),
                      .family = (int)bli_arch_query_id()};
}

static void check_settings(const settings *expected)
{
    settings now = read_settings();
    ck_assert_int_eq(now.threads, expected->threads);
    ck_assert(now.jc == expected->jc && now.pc == expected->pc && now.ic == expected->ic && now.jr == expected->jr &&
              now.ir == expected->ir);
    ck_assert_int_eq(now.family, expected->family);
    ck_assert_ptr_null(getenv("BLIS_ARCH_TYPE"));
}

/* What the library computes alone with the family that BLIS uses here. */
static uint64_t hash_with_family(int family)
{
    char value[16];
    snprintf(value, sizeof value, "%d", family);
    setenv("BLIS_ARCH_TYPE", value, 1);
    uint64_t hash = hash_alone(program);
    unsetenv("BLIS_ARCH_TYPE");
    return hash;
}

static void *multiply_on(void *argument)
{
    atomic_int *stop = argument;
    while (!atomic_load(stop))
        if (!multiply())
            return NULL;
    return argument;
}

/* 0: the host's BLIS comes first, 1: the library's first context. */
START_TEST(test_own_products)
{
    unsetenv("BLIS_ARCH_TYPE");
    resattn_context *context = _i ? resattn_context_new(1) : NULL;
    ck_assert(multiply());
    bli_thread_set_num_threads(BLIS_THREADS);
    settings before = read_settings();
    ck_assert_int_eq(before.threads, BLIS_THREADS);
    uint64_t expected = hash_with_family(before.family);
    for (int32_t threads = 1; threads <= 3; threads++) {
        ck_assert(hash_here(threads) == expected);
        check_settings(&before);
        ck_assert(multiply());
    }
    resattn_context_unref(context);
    check_settings(&before);
}
END_TEST

START_TEST(test_products_beside)
{
    unsetenv("BLIS_ARCH_TYPE");
    atomic_int stop = 0;
    pthread_t threads[2];
    ck_assert(multiply());
    settings before = read_settings();
    uint64_t expected = hash_with_family(before.family);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, multiply_on, &stop), 0);
    for (int i = 0; i < 3; i++)
        ck_assert(hash_here(2) == expected);
    atomic_store(&stop, 1);
    for (int i = 0; i < 2; i++) {
        void *right;
        pthread_join(threads[i], &right);
        ck_assert_ptr_nonnull(right);
    }
    check_settings(&before);
}
END_TEST

/* ---- BLIS_ARCH_TYPE ---- */

/* What BLIS takes by itself, found in a child process as it chooses once in each. */
static int own_choice(void)
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        bli_init();
        _exit((int)bli_arch_query_id());
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* Another one that works here; NULL where none is known to. */
static const char *other_choice(void)
{
#if defined(RA_BLIS_HASWELL) && defined(__x86_64__) && defined(__GNUC__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return RA_BLIS_HASWELL;
#endif
    return NULL;
}

/* 0: BLIS's own choice, which the library would correct on some CPUs, 1: another. */
START_TEST(test_family_of_the_host)
{
    char own[16];
    unsetenv("BLIS_ARCH_TYPE");
    snprintf(own, sizeof own, "%d", own_choice());
    const char *value = _i ? other_choice() : own;
    if (value == NULL)
        return;
    setenv("BLIS_ARCH_TYPE", value, 1);
    resattn_context *context = resattn_context_new(2);
    ck_assert_ptr_nonnull(context);
    ck_assert_str_eq(getenv("BLIS_ARCH_TYPE"), value);
    ck_assert_int_eq((int)bli_arch_query_id(), atoi(value));
    ck_assert_str_eq(resattn_info("blis.family"), bli_arch_string((arch_t)atoi(value)));
    ck_assert_str_eq(resattn_info("blis.reason"), "the environment variable BLIS_ARCH_TYPE says so");
    ck_assert(hash_here(2) == hash_alone(program));
    ck_assert_str_eq(getenv("BLIS_ARCH_TYPE"), value);
    resattn_context_unref(context);
}
END_TEST

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: test_host_blis TEST_BITS\n");
        return EXIT_FAILURE;
    }
    program = argv[1];
    Suite *suite = suite_create("host_blis");
    TCase *tests = tcase_create("host_blis");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, test_own_products, 0, 2);
    tcase_add_test(tests, test_products_beside);
    tcase_add_loop_test(tests, test_family_of_the_host, 0, 2);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
