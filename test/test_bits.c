/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The same bits for any number of threads, on a host's threads, in any floating-point mode of the caller, which is
 * restored. With the argument --hash, prints a number that stands for all results: blis_threads.sh compares it between
 * variants of BLIS.
 */
#include <fenv.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

#include "common.h"
#include "small.h"

static results reference;

static results run(resattn_context *context, const hooks *h)
{
    results r = {0};
    resattn_status status = small_run(context, SMALL_SIDE, h, &r);
    ck_assert_msg(status == RESATTN_OK, "%s", resattn_last_error());
    resattn_context_unref(context);
    return r;
}

static void set_up(void)
{
    reference = run(resattn_context_new(1), NULL);
}

static void tear_down(void)
{
    results_free(&reference);
}

static void compare(const char *what, results r)
{
    int equal = results_equal(what, &r, &reference);
    results_free(&r);
    ck_assert_msg(equal, "%s: other bits than with one thread", what);
}

START_TEST(test_threads)
{
    static const int32_t threads[] = {1, 2, 5, 0};
    char what[32];
    snprintf(what, sizeof what, "%d threads", threads[_i]);
    compare(what, run(resattn_context_new(threads[_i]), NULL));
}
END_TEST

/* ---- the host's threads ---- */

enum { WORKERS = 4 };

typedef struct host_job {
    resattn_task_fn task;
    void *job;
    int32_t count;
    atomic_int next, worker;
} host_job;

static void *work(void *user)
{
    host_job *h = user;
    int32_t worker = atomic_fetch_add(&h->worker, 1), i;
    while ((i = atomic_fetch_add(&h->next, 1)) < h->count)
        h->task(h->job, i, worker);
    return NULL;
}

static void run_on_threads(void *user, resattn_task_fn task, void *job, int32_t count)
{
    pthread_t threads[WORKERS];
    host_job h = {.task = task, .job = job, .count = count};
    ++*(int32_t *)user;
    for (int32_t i = 0; i < WORKERS; i++)
        if (pthread_create(&threads[i], NULL, work, &h) != 0)
            abort();
    for (int32_t i = 0; i < WORKERS; i++)
        pthread_join(threads[i], NULL);
}

/* One after the other, the last first, each with another worker's number than the one before. */
static void run_backwards(void *user, resattn_task_fn task, void *job, int32_t count)
{
    ++*(int32_t *)user;
    for (int32_t i = count - 1; i >= 0; i--)
        task(job, i, i % WORKERS);
}

START_TEST(test_runners)
{
    int32_t calls = 0;
    resattn_context *context = resattn_context_new(2);
    ck_assert_int_eq(resattn_context_set_runner(context, _i ? run_backwards : run_on_threads, &calls, WORKERS),
                     RESATTN_OK);
    ck_assert_int_eq(resattn_context_threads(context), WORKERS);
    compare(_i ? "a runner that goes backwards" : "a runner of the host's", run(context, NULL));
    ck_assert_int_gt(calls, 0);
}
END_TEST

/* ---- the floating-point mode ---- */

static const int roundings[] = {FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};

static void round_otherwise(void *user)
{
    fesetround(*(const int *)user);
}

static void round_as_before(void *user)
{
    ck_assert_int_eq(fegetround(), *(const int *)user);
    fesetround(FE_TONEAREST);
}

START_TEST(test_rounding)
{
    int mode = roundings[_i];
    hooks h = {round_otherwise, round_as_before, &mode};
    compare("another rounding mode", run(resattn_context_new(2), &h));
}
END_TEST

/* Initial values are computed too. */
START_TEST(test_initialize_rounding)
{
    resattn_context *context = resattn_context_new(1);
    resattn_network *network = small_network(context);
    results expected = {0}, got = {0};
    for (int32_t i = 0; i < resattn_network_parameter_count(network); i++)
        results_add(&expected, resattn_network_parameter(network, i));
    fesetround(FE_UPWARD);
    resattn_status status = resattn_network_initialize(network, 0);
    fesetround(FE_TONEAREST);
    ck_assert_int_eq(status, RESATTN_OK);
    for (int32_t i = 0; i < resattn_network_parameter_count(network); i++)
        results_add(&got, resattn_network_parameter(network, i));
    ck_assert(results_equal("initial values", &got, &expected));
    results_free(&expected);
    results_free(&got);
    resattn_network_unref(network);
    resattn_context_unref(context);
}
END_TEST

#if defined(__SSE2__)
/* Denormals flushed or not, exceptions masked or not, flags raised or not. */
static const unsigned modes[] = {0x1f80, 0x9fc0, 0x1fbf, 0x7fff, 0x1000};

static void set_mode(void *user)
{
    _mm_setcsr(*(const unsigned *)user);
}

static void check_mode(void *user)
{
    unsigned mode = _mm_getcsr();
    _mm_setcsr(0x1f80);
    ck_assert_msg(mode == *(const unsigned *)user, "MXCSR is %#x after a call, was %#x", mode, *(const unsigned *)user);
}

START_TEST(test_mode)
{
    unsigned mode = modes[_i];
    hooks h = {set_mode, check_mode, &mode};
    compare("another floating-point mode", run(resattn_context_new(2), &h));
}
END_TEST

/* The threads of a host have modes of their own. */
static void *work_otherwise(void *user)
{
    _mm_setcsr(0x7fc0);
    work(user);
    if (_mm_getcsr() != 0x7fc0)
        abort();
    return NULL;
}

static void run_otherwise(void *user, resattn_task_fn task, void *job, int32_t count)
{
    pthread_t thread;
    host_job h = {.task = task, .job = job, .count = count};
    ++*(int32_t *)user;
    if (pthread_create(&thread, NULL, work_otherwise, &h) != 0)
        abort();
    pthread_join(thread, NULL);
}

START_TEST(test_mode_of_threads)
{
    int32_t calls = 0;
    resattn_context *context = resattn_context_new(1);
    ck_assert_int_eq(resattn_context_set_runner(context, run_otherwise, &calls, 2), RESATTN_OK);
    compare("threads in another floating-point mode", run(context, NULL));
    ck_assert_int_gt(calls, 0);
}
END_TEST
#endif

/* Another seed gives other results: the comparisons above compare something. */
START_TEST(test_seed_matters)
{
    resattn_context *context = resattn_context_new(1);
    ck_assert_int_eq(resattn_context_set_seed(context, 1), RESATTN_OK);
    results r = run(context, NULL);
    ck_assert_int_eq(r.count, reference.count);
    ck_assert(results_hash(&r) != results_hash(&reference));
    for (int64_t i = 0; i < r.count; i++)
        ck_assert_msg(r.values[i] - r.values[i] == 0, "value %lld is not finite", (long long)i);
    results_free(&r);
}
END_TEST

static int print_hash(void)
{
    results r = {0};
    resattn_context *context = resattn_context_new(2);
    if (small_run(context, SMALL_SIDE, NULL, &r) != RESATTN_OK) {
        fprintf(stderr, "%s\n", resattn_last_error());
        return EXIT_FAILURE;
    }
    printf("%s %s %016" PRIx64 "\n", resattn_info("blis.version"), resattn_info("blis.family"), results_hash(&r));
    fprintf(stderr, "%s\n", resattn_info("blis.variant"));
    results_free(&r);
    resattn_context_unref(context);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--hash") == 0)
        return print_hash();
    Suite *suite = suite_create("bits");
    TCase *tests = tcase_create("bits");
    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_loop_test(tests, test_threads, 0, 4);
    tcase_add_loop_test(tests, test_runners, 0, 2);
    tcase_add_loop_test(tests, test_rounding, 0, 3);
    tcase_add_test(tests, test_initialize_rounding);
#if defined(__SSE2__)
    tcase_add_loop_test(tests, test_mode, 0, (int)(sizeof modes / sizeof *modes));
    tcase_add_test(tests, test_mode_of_threads);
#endif
    tcase_add_test(tests, test_seed_matters);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
