/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Threads, mutexes and conditions that the system refuses: fewer threads and the same bits, or an error and another
 * try. The program's own pthread functions stand before the C library's.
 */
#define _GNU_SOURCE /* RTLD_NEXT */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "fault_common.h"

enum { THREADS = 5 };

/* The call from which on, and until before which, one function fails; of the calls since refuse_calls(). */
typedef struct refusal {
    int calls, from, until;
} refusal;

static refusal creations, mutexes, conditions;

static int refuse(refusal *r)
{
    int call = ++r->calls;
    return call >= r->from && call < r->until;
}

static void refuse_calls(refusal *r, int from, int until)
{
    *r = (refusal){0, from, until};
}

typedef int (*create_fn)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
typedef int (*mutex_fn)(pthread_mutex_t *, const pthread_mutexattr_t *);
typedef int (*condition_fn)(pthread_cond_t *, const pthread_condattr_t *);

/* What comes after this program's function; as bytes, since ISO C has no such conversion. */
static void find(const char *name, void *function)
{
    void *next = dlsym(RTLD_NEXT, name);
    memcpy(function, &next, sizeof next);
}

TEST_INTERPOSED int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                                   void *argument)
{
    create_fn next;
    if (refuse(&creations))
        return EAGAIN;
    find("pthread_create", &next);
    return next(thread, attributes, run, argument);
}

TEST_INTERPOSED int pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attributes)
{
    mutex_fn next;
    if (refuse(&mutexes))
        return ENOMEM;
    find("pthread_mutex_init", &next);
    return next(mutex, attributes);
}

TEST_INTERPOSED int pthread_cond_init(pthread_cond_t *condition, const pthread_condattr_t *attributes)
{
    condition_fn next;
    if (refuse(&conditions))
        return ENOMEM;
    find("pthread_cond_init", &next);
    return next(condition, attributes);
}

/* Messages that say so. */
static void count_warning(void *user, resattn_log_level level, const char *message)
{
    if (level == RESATTN_LOG_WARNING && strstr(message, "instead of 5") != NULL)
        ++*(int *)user;
}

/* Inference and a step of training; 0 where the network or a session cannot be made. */
static uint64_t work(resattn_context *context)
{
    resattn_network *network = fault_network(context);
    if (network == NULL)
        return 0;
    resattn_tensor *input = fault_input(context, 3);
    resattn_session *inference = fault_session(network, RESATTN_INFERENCE, 0);
    uint64_t hash = 0;
    if (inference != NULL) {
        resattn_session *training = fault_session(network, RESATTN_TRAINING, 0);
        resattn_optimizer *sgd = resattn_sgd_new(network, 0.1);
        ck_assert_int_eq(fault_train(training, sgd, input), RESATTN_OK);
        hash = fault_infer(inference, input) ^ fault_hash_network(network);
        resattn_optimizer_free(sgd);
        resattn_session_free(training);
    }
    resattn_session_free(inference);
    resattn_tensor_unref(input);
    resattn_network_unref(network);
    return hash;
}

static uint64_t expected_work(void)
{
    resattn_context *context = resattn_context_new(1);
    uint64_t hash = work(context);
    resattn_context_unref(context);
    return hash;
}

/* The first `_i` threads are started, then one is refused, or all are. */
START_TEST(test_threads_refused)
{
    uint64_t expected = expected_work();
    for (int all = 0; all < 2; all++) {
        test_heap heap = {0};
        int warnings = 0;
        resattn_context *context = resattn_context_new_with_allocator(THREADS, test_heap_alloc, test_heap_free, &heap);
        ck_assert_int_eq(resattn_context_set_log(context, count_warning, &warnings, RESATTN_LOG_WARNING), RESATTN_OK);
        refuse_calls(&creations, _i + 1, _i + 2 + all * THREADS);
        ck_assert(work(context) == expected);
        ck_assert_int_eq(resattn_context_threads(context), _i + 1);
        ck_assert_int_eq(warnings, _i < THREADS - 1);
        refuse_calls(&creations, 0, 0);
        ck_assert(work(context) == expected);
        resattn_context_unref(context);
        ck_assert_int_eq(atomic_load(&heap.blocks), 0);
    }
}
END_TEST

/* Each mutex and condition of a context and of its first session is refused once. */
START_TEST(test_locks_refused)
{
    refusal *refused = _i ? &conditions : &mutexes;
    uint64_t expected = expected_work();
    int errors = 0;
    for (int nth = 1;; nth++) {
        test_heap heap = {0};
        refuse_calls(refused, nth, nth + 1);
        resattn_context *context = resattn_context_new_with_allocator(2, test_heap_alloc, test_heap_free, &heap);
        uint64_t got = context == NULL ? 0 : work(context);
        int reached = refused->calls >= nth;
        refuse_calls(refused, 0, 0);
        ck_assert(got == (reached ? 0 : expected));
        if (reached)
            test_expect_error(RESATTN_OUT_OF_MEMORY, "the system gave no mutex");
        errors += reached;
        ck_assert(context == NULL || work(context) == expected);
        resattn_context_unref(context);
        ck_assert_int_eq(atomic_load(&heap.blocks), 0);
        if (!reached)
            break;
    }
    ck_assert_int_ge(errors, _i ? 2 : 4); /* the context's, the network's, two of the pool */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fault threads");
    TCase *tests = tcase_create("threads");
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, test_threads_refused, 0, THREADS);
    tcase_add_loop_test(tests, test_locks_refused, 0, 2);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
