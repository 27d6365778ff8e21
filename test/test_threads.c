/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The pool: every task once, workers apart, host's runners, busy pools, threads that cannot be started, fork().
 */
#include "common.h"

#include <fenv.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/core.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

enum { MOST_TASKS = 2000, MOST_WORKERS = 64 };

/* What the tasks of a job see. Failures are counted, as checks in other threads cannot end a test. */
typedef struct tally {
    int32_t workers;
    atomic_int ran[MOST_TASKS];
    atomic_int busy[MOST_WORKERS];
    atomic_int wrong;
    int spin;
} tally;

/* Whether arithmetic rounds to nearest. */
static bool mode_is_right(void)
{
    volatile float one = 1.0f, three = 3.0f;
    return one / three == 0x1.555556p-2f && -one / three == -0x1.555556p-2f;
}

static void count_task(void *job, int32_t index, int32_t worker)
{
    tally *t = job;
    if (index < 0 || index >= MOST_TASKS || worker < 0 || worker >= t->workers) {
        atomic_fetch_add(&t->wrong, 1);
        return;
    }
    if (atomic_fetch_add(&t->busy[worker], 1) != 0 || !mode_is_right())
        atomic_fetch_add(&t->wrong, 1);
    atomic_fetch_add(&t->ran[index], 1);
    for (volatile int i = 0; i < t->spin; i++)
        ;
    atomic_fetch_sub(&t->busy[worker], 1);
}

static void check_job(resattn_context *context, int32_t count, int spin)
{
    tally *t = calloc(1, sizeof *t);
    ck_assert_ptr_nonnull(t);
    t->workers = ra_workers(context);
    t->spin = spin;
    ra_parallel(context, count_task, t, count);
    ck_assert_int_eq(t->wrong, 0);
    for (int32_t i = 0; i < MOST_TASKS; i++)
        ck_assert_int_eq(t->ran[i], i < count ? 1 : 0);
    free(t);
}

START_TEST(every_task_runs_once)
{
    static const int32_t counts[] = {-1, 0, 1, 2, 3, 7, 64, 100, 1999};
    for (int32_t threads = 1; threads <= 9; threads += threads < 4 ? 1 : 5) {
        resattn_context *context = ra_context_create(threads, NULL, NULL, NULL);
        check_job(context, 5, 10);
        ck_assert_int_eq(ra_context_open(context), RESATTN_OK);
        ck_assert_int_eq(ra_workers(context), threads);
        for (int32_t i = 0; i < RA_COUNT(counts); i++)
            check_job(context, counts[i], 50);
        for (int i = 0; i < 60; i++) {
            check_job(context, (int32_t)(test_random() % 40), (int)(test_random() % 2000));
            if (i % 20 == 0)
                nanosleep(&(struct timespec){0, 2000000}, NULL);
        }
        ra_context_close(context);
        check_job(context, 10, 10);
        resattn_context_unref(context);
    }
}
END_TEST

/* Thousands of short jobs without a pause: late workers must never mix up two of them. */
START_TEST(short_jobs_do_not_mix)
{
    resattn_context *context = ra_context_create(4, NULL, NULL, NULL);
    tally *t = calloc(1, sizeof *t);
    t->workers = 4;
    ck_assert_int_eq(ra_context_open(context), RESATTN_OK);
    for (int32_t round = 1; round <= 3000; round++) {
        int32_t count = (int32_t)(test_random() % 6);
        ra_parallel(context, count_task, t, count);
        for (int32_t i = 0; i < 6; i++)
            ck_assert_int_eq(atomic_exchange(&t->ran[i], 0), i < count ? 1 : 0);
    }
    ck_assert_int_eq(t->wrong, 0);
    free(t);
    ra_context_close(context);
    resattn_context_unref(context);
}
END_TEST

START_TEST(callers_mode_is_kept)
{
    resattn_context *context = ra_context_create(3, NULL, NULL, NULL);
    fesetround(FE_UPWARD);
    ck_assert_int_eq(ra_context_open(context), RESATTN_OK);
    check_job(context, 100, 500);
    ck_assert_int_eq(fegetround(), FE_UPWARD);
    check_job(context, 1, 10);
    ck_assert_int_eq(fegetround(), FE_UPWARD);
    fesetround(FE_TONEAREST);
    ra_context_close(context);
    resattn_context_unref(context);
}
END_TEST

/* ---- each worker once ---- */

typedef struct meeting {
    int32_t workers;
    atomic_int present, seen[MOST_WORKERS], wrong;
} meeting;

/* Waits until all workers are inside at once. */
static void meet(void *job, int32_t index, int32_t worker)
{
    meeting *m = job;
    if (index != worker || worker >= m->workers)
        atomic_fetch_add(&m->wrong, 1);
    atomic_fetch_add(&m->seen[worker], 1);
    atomic_fetch_add(&m->present, 1);
    while (atomic_load(&m->present) < m->workers)
        sched_yield();
}

START_TEST(each_worker_can_be_reached)
{
    for (int32_t threads = 1; threads <= 5; threads++) {
        resattn_context *context = ra_context_create(threads, NULL, NULL, NULL);
        ck_assert_int_eq(ra_context_open(context), RESATTN_OK);
        for (int i = 0; i < 20; i++) {
            meeting m = {.workers = threads};
            ra_parallel_workers(context, meet, &m);
            ck_assert_int_eq(m.wrong, 0);
            for (int32_t w = 0; w < threads; w++)
                ck_assert_int_eq(m.seen[w], 1);
            if (i % 5 == 0)
                nanosleep(&(struct timespec){0, 2000000}, NULL);
        }
        ra_context_close(context);
        resattn_context_unref(context);
    }
}
END_TEST

/* ---- several callers ---- */

typedef struct caller {
    resattn_context *context;
    int rounds;
    atomic_int *wrong;
} caller;

static void *call(void *argument)
{
    caller *self = argument;
    tally *t = calloc(1, sizeof *t);
    if (t == NULL || ra_context_open(self->context) != RESATTN_OK) {
        atomic_fetch_add(self->wrong, 1);
        free(t);
        return NULL;
    }
    t->workers = ra_workers(self->context);
    for (int r = 0; r < self->rounds; r++) {
        ra_parallel(self->context, count_task, t, 20);
        for (int i = 0; i < 20; i++)
            if (atomic_exchange(&t->ran[i], 0) != 1)
                atomic_fetch_add(self->wrong, 1);
        if (r % 50 == 0) {
            meeting m = {.workers = t->workers};
            ra_parallel_workers(self->context, meet, &m);
            atomic_fetch_add(self->wrong, m.wrong);
        }
    }
    atomic_fetch_add(self->wrong, t->wrong);
    free(t);
    ra_context_close(self->context);
    return NULL;
}

START_TEST(callers_share_a_pool)
{
    pthread_t threads[6];
    atomic_int wrong = 0;
    test_heap heap = {0};
    resattn_context *context = ra_context_create(3, test_heap_alloc, test_heap_free, &heap);
    caller self = {context, 200, &wrong};
    for (int i = 0; i < 6; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, call, &self), 0);
    for (int i = 0; i < 6; i++)
        pthread_join(threads[i], NULL);
    ck_assert_int_eq(wrong, 0);
    ck_assert_int_eq(context->sessions, 0);
    ck_assert_int_eq(heap.blocks, 2);
    resattn_context_unref(context);
    ck_assert_int_eq(heap.blocks, 0);
}
END_TEST

/* ---- a host's runner ---- */

typedef struct host {
    resattn_task_fn task;
    void *job;
    int32_t count, workers, calls;
    atomic_int next;
} host;

typedef struct host_thread {
    host *host;
    int32_t number;
} host_thread;

static void *run_host_thread(void *argument)
{
    host_thread *self = argument;
    fesetround(FE_DOWNWARD);
    for (int32_t i; (i = atomic_fetch_add(&self->host->next, 1)) < self->host->count;)
        self->host->task(self->host->job, i, self->number);
    return fegetround() == FE_DOWNWARD ? "kept" : NULL;
}

static void run_host(void *user, resattn_task_fn task, void *job, int32_t count)
{
    host *self = user;
    pthread_t threads[MOST_WORKERS];
    host_thread arguments[MOST_WORKERS];
    self->task = task;
    self->job = job;
    self->count = count;
    self->calls++;
    atomic_store(&self->next, 0);
    for (int32_t i = 0; i < self->workers; i++) {
        arguments[i] = (host_thread){self, i};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, run_host_thread, &arguments[i]), 0);
    }
    for (int32_t i = 0; i < self->workers; i++) {
        void *kept;
        pthread_join(threads[i], &kept);
        ck_assert_ptr_nonnull(kept);
    }
}

START_TEST(hosts_can_run_the_work)
{
    test_heap heap = {0};
    host own = {.workers = 3};
    resattn_context *context = ra_context_create(4, test_heap_alloc, test_heap_free, &heap);
    ck_assert_int_eq(resattn_context_set_runner(context, run_host, &own, 0), RESATTN_INVALID_ARGUMENT);
    ck_assert_int_eq(resattn_context_set_runner(context, run_host, &own, 1025), RESATTN_INVALID_ARGUMENT);
    ck_assert_str_eq(resattn_last_error(), "workers is 1025, expected 1 to 1024");
    ck_assert_int_eq(ra_context_open(context), RESATTN_OK);
    ck_assert_int_eq(resattn_context_set_runner(context, run_host, &own, 3), RESATTN_WRONG_STATE);
    check_job(context, 20, 100);
    ra_context_close(context);
    ck_assert_int_eq(resattn_context_set_runner(context, run_host, &own, 3), RESATTN_OK);
    ck_assert_int_eq(heap.blocks, 1); /* the pool has gone */
    ck_assert_int_eq(resattn_context_threads(context), 3);
    ck_assert_int_eq(ra_context_open(context), RESATTN_OK);
    ck_assert_int_eq(heap.blocks, 1);
    check_job(context, 50, 100);
    check_job(context, 2, 100);
    ck_assert_int_eq(own.calls, 2);
    check_job(context, 1, 100);
    ck_assert_int_eq(own.calls, 2);
    tally *t = calloc(1, sizeof *t);
    t->workers = 3;
    ra_parallel_workers(context, count_task, t);
    ck_assert(t->wrong == 0 && t->ran[0] == 1 && t->ran[1] == 1 && t->ran[2] == 1 && t->ran[3] == 0);
    free(t);
    ra_context_close(context);
    ck_assert_int_eq(resattn_context_set_runner(context, NULL, NULL, 0), RESATTN_OK);
    ck_assert_int_eq(resattn_context_threads(context), 4);
    ck_assert_int_eq(ra_context_open(context), RESATTN_OK);
    check_job(context, 50, 100);
    ra_context_close(context);
    resattn_context_unref(context);
    ck_assert_int_eq(heap.blocks, 0);
}
END_TEST

/* ---- what goes wrong ---- */

START_TEST(memory_for_the_pool_may_be_refused)
{
    test_heap heap = {.fail_at = 2};
    resattn_context *context = ra_context_create(2, test_heap_alloc, test_heap_free, &heap);
    ck_assert_int_eq(ra_context_open(context), RESATTN_OUT_OF_MEMORY);
    ck_assert_int_eq(context->sessions, 0);
    ck_assert_int_eq(ra_context_open(context), RESATTN_OK);
    check_job(context, 10, 10);
    ra_context_close(context);
    resattn_context_unref(context);
    ck_assert_int_eq(heap.blocks, 0);
}
END_TEST

static void count_message(void *user, resattn_log_level level, const char *message)
{
    if (level == RESATTN_LOG_WARNING && strstr(message, "threads instead of 64") != NULL)
        ++*(int *)user;
}

/* Bytes of address space in use; 0 where the system does not tell. */
static rlim_t address_space(void)
{
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file != NULL) {
        if (fscanf(file, "%lu", &pages) != 1)
            pages = 0;
        fclose(file);
    }
    return (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE);
}

/* In a process of its own that may take another 20 MiB, not all of 64 threads start. Sanitizers need more. */
START_TEST(fewer_threads_do_as_well)
{
    rlim_t used = address_space();
    if (SANITIZED || used == 0)
        return;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        int warnings = 0;
        struct rlimit limit = {used + (20 << 20), used + (20 << 20)};
        resattn_context *context = ra_context_create(64, NULL, NULL, NULL);
        resattn_context_set_log(context, count_message, &warnings, RESATTN_LOG_INFO);
        setrlimit(RLIMIT_AS, &limit);
        bool good = ra_context_open(context) == RESATTN_OK;
        good = good && ra_workers(context) < 64 && ra_context_open(context) == RESATTN_OK && warnings == 1;
        check_job(context, 100, 10);
        ra_context_close(context);
        ra_context_close(context);
        resattn_context_unref(context);
        _exit(good ? 0 : 1);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}
END_TEST

START_TEST(children_get_an_error_and_do_not_hang)
{
#if defined(__SANITIZE_THREAD__)
    return;
#endif
    resattn_context *context = ra_context_create(3, NULL, NULL, NULL);
    ck_assert_int_eq(ra_context_open(context), RESATTN_OK);
    check_job(context, 100, 10);
    /* A thread that is still starting may hold locks of the address sanitizer, which its child processes never get. */
    meeting all = {.workers = 3};
    ra_parallel_workers(context, meet, &all);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        alarm(20);
        bool good =
            ra_context_open(context) == RESATTN_WRONG_STATE && strstr(resattn_last_error(), "another process") != NULL;
        check_job(context, 100, 10);
        meeting m = {.workers = 1};
        ra_parallel_workers(context, meet, &m);
        good = good && m.wrong == 0 && m.seen[0] == 1;
        ra_context_close(context);
        resattn_context_unref(context);
        context = ra_context_create(3, NULL, NULL, NULL);
        good = good && ra_context_open(context) == RESATTN_OK;
        check_job(context, 100, 10);
        ra_context_close(context);
        resattn_context_unref(context);
        _exit(good ? 0 : 1);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    check_job(context, 100, 10);
    ra_context_close(context);
    resattn_context_unref(context);
}
END_TEST

/* ---- signals ---- */

static void look_at_signals(void *job, int32_t index, int32_t worker)
{
    (void)index;
    sigset_t blocked;
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    bool is_blocked = sigismember(&blocked, SIGTERM) == 1 && sigismember(&blocked, SIGUSR1) == 1;
    if (is_blocked != (worker != 0))
        atomic_fetch_add((atomic_int *)job, 1);
}

START_TEST(workers_take_no_signals)
{
    atomic_int wrong = 0;
    resattn_context *context = ra_context_create(3, NULL, NULL, NULL);
    ck_assert_int_eq(ra_context_open(context), RESATTN_OK);
    ra_parallel_workers(context, look_at_signals, &wrong);
    ck_assert_int_eq(wrong, 0);
    ra_context_close(context);
    resattn_context_unref(context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("threads");
    TCase *test = tcase_create("threads");
    tcase_set_timeout(test, 120);
    tcase_add_test(test, every_task_runs_once);
    tcase_add_test(test, short_jobs_do_not_mix);
    tcase_add_test(test, callers_mode_is_kept);
    tcase_add_test(test, each_worker_can_be_reached);
    tcase_add_test(test, callers_share_a_pool);
    tcase_add_test(test, hosts_can_run_the_work);
    tcase_add_test(test, memory_for_the_pool_may_be_refused);
    tcase_add_test(test, fewer_threads_do_as_well);
    tcase_add_test(test, children_get_an_error_and_do_not_hang);
    tcase_add_test(test, workers_take_no_signals);
    suite_add_tcase(suite, test);
    return test_run(suite);
}
