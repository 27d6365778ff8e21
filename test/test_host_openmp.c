/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A host with an OpenMP run-time of its own: parallel regions before, around and between calls of the library change
 * nothing in its results, and the host's settings stay. The argument is test_bits.
 */
#include <omp.h>
#include <stdbool.h>

#include "host_alone.h"

enum { THREADS = 4, LENGTH = 100000 };

static const char *program;

/* A parallel region with a known result. */
static void check_region(void)
{
    static double values[LENGTH];
    double sum = 0;
    int threads = 0;
#pragma omp parallel
    {
#pragma omp single
        threads = omp_get_num_threads();
#pragma omp for reduction(+ : sum)
        for (int i = 0; i < LENGTH; i++) {
            values[i] = i % 8;
            sum += values[i];
        }
    }
    ck_assert_int_eq(threads, THREADS);
    ck_assert(sum == LENGTH / 8 * 28.0);
}

static void set_up(void)
{
    omp_set_dynamic(0);
    omp_set_num_threads(THREADS);
}

/* The process has threads then, so the host says itself that the environment may be used. */
START_TEST(test_before_and_between)
{
    check_region();
    ck_assert_int_eq(resattn_process_init(RESATTN_PROCESS_DEFAULT), RESATTN_OK);
    uint64_t expected = hash_alone(program);
    for (int i = 0; i < 3; i++) {
        ck_assert(hash_here(1 + i) == expected);
        check_region();
        ck_assert_int_eq(omp_get_max_threads(), THREADS);
    }
}
END_TEST

START_TEST(test_around)
{
    uint64_t expected = hash_alone(program);
    int wrong = 0, ran = 0;
    ck_assert_int_eq(resattn_process_init(RESATTN_PROCESS_DEFAULT), RESATTN_OK);
#pragma omp parallel for reduction(+ : wrong, ran)
    for (int i = 0; i < 2 * THREADS; i++) {
        wrong += hash_here(1 + i % 3) != expected;
        ran++;
    }
    ck_assert_int_eq(ran, 2 * THREADS);
    ck_assert_int_eq(wrong, 0);
    check_region();
}
END_TEST

/* The library's work as the host's region: a runner by OpenMP. */
static void run_region(void *user, resattn_task_fn task, void *job, int32_t count)
{
    ++*(int *)user;
#pragma omp parallel for schedule(dynamic)
    for (int32_t i = 0; i < count; i++)
        task(job, i, omp_get_thread_num());
}

START_TEST(test_runner)
{
    uint64_t expected = hash_alone(program);
    int jobs = 0;
    results r = {0};
    resattn_context *context = resattn_context_new(1);
    ck_assert_int_eq(resattn_context_set_runner(context, run_region, &jobs, THREADS), RESATTN_OK);
    ck_assert_msg(small_run(context, SMALL_SIDE, NULL, &r) == RESATTN_OK, "%s", resattn_last_error());
    ck_assert(results_hash(&r) == expected);
    ck_assert_int_gt(jobs, 0);
    results_free(&r);
    resattn_context_unref(context);
    check_region();
}
END_TEST

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: test_host_openmp TEST_BITS\n");
        return EXIT_FAILURE;
    }
    program = argv[1];
    Suite *suite = suite_create("host_openmp");
    TCase *tests = tcase_create("host_openmp");
    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, set_up, NULL);
    tcase_add_test(tests, test_before_and_between);
    tcase_add_test(tests, test_around);
    tcase_add_test(tests, test_runner);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
