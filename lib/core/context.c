/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The context: what everything made from it shares. Its public constructors are in gemm/process.c, as BLIS comes first.
 */
#if defined(__linux__)
#define _GNU_SOURCE /* sched_getaffinity() */
#endif
#include "core/core.h"

#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#define MAX_THREADS 1024

static void *default_alloc(void *user, size_t size)
{
    (void)user;
    return malloc(size);
}

static void default_free(void *user, void *memory)
{
    (void)user;
    free(memory);
}

int32_t ra_cpu_count(void)
{
    long count = 0;
#if defined(__linux__) && defined(CPU_COUNT_S)
    cpu_set_t sets[16]; /* 16384 CPUs */
    if (sched_getaffinity(0, sizeof sets, sets) == 0)
        count = CPU_COUNT_S(sizeof sets, sets);
#endif
#if defined(_SC_NPROCESSORS_ONLN)
    if (count < 1)
        count = sysconf(_SC_NPROCESSORS_ONLN);
#endif
    return count < 1 ? 1 : count > MAX_THREADS ? MAX_THREADS : (int32_t)count;
}

resattn_context *ra_context_create(int32_t threads, resattn_alloc_fn alloc, resattn_free_fn free_memory, void *user)
{
    if (threads < 0 || threads > MAX_THREADS)
        return ra_fail_null(RESATTN_INVALID_ARGUMENT, "threads is %d, expected 0 to %d", (int)threads, MAX_THREADS);
    if ((alloc == NULL) != (free_memory == NULL))
        return ra_fail_null(RESATTN_INVALID_ARGUMENT, "%s is NULL, expected both functions of the allocator",
                            alloc == NULL ? "alloc" : "free");
    if (alloc == NULL) {
        alloc = default_alloc;
        free_memory = default_free;
    }
    resattn_context *context = alloc(user, sizeof *context);
    if (context == NULL)
        return ra_fail_null(RESATTN_OUT_OF_MEMORY, "out of memory: %zu bytes were refused", sizeof *context);
    *context = (resattn_context){.alloc = alloc, .free = free_memory, .alloc_user = user};
    if (pthread_mutex_init(&context->lock, NULL) != 0) {
        free_memory(user, context);
        return ra_fail_null(RESATTN_OUT_OF_MEMORY, "out of memory: the system gave no mutex");
    }
    context->wanted_threads = threads == 0 ? ra_cpu_count() : threads;
    atomic_init(&context->references, 1);
    atomic_init(&context->sessions, 0);
    atomic_init(&context->used, 0);
    ra_limits_begin(context);
    atomic_init(&context->pool, NULL);
    return context;
}

resattn_context *resattn_context_ref(resattn_context *context)
{
    if (context != NULL)
        atomic_fetch_add_explicit(&context->references, 1, memory_order_relaxed);
    return context;
}

void resattn_context_unref(resattn_context *context)
{
    if (context == NULL || atomic_fetch_sub_explicit(&context->references, 1, memory_order_acq_rel) != 1)
        return;
    ra_pool_stop(context, atomic_load(&context->pool));
    while (context->customs != NULL) {
        ra_lasting *first = context->customs;
        context->customs = first->next;
        first->end(context, first);
    }
    pthread_mutex_destroy(&context->lock);
    context->free(context->alloc_user, context);
}

int32_t ra_workers(const resattn_context *context)
{
    if (context->runner != NULL)
        return context->runner_workers;
    const struct ra_pool *pool = atomic_load_explicit(&context->pool, memory_order_acquire);
    return pool != NULL ? ra_pool_workers(pool) : context->wanted_threads;
}

int32_t resattn_context_threads(const resattn_context *context)
{
    return context == NULL ? 0 : ra_workers(context);
}

resattn_status resattn_context_set_log(resattn_context *context, resattn_log_fn log, void *user,
                                       resattn_log_level level)
{
    if (context == NULL)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "context is NULL");
    if (level < RESATTN_LOG_ERROR || level > RESATTN_LOG_INFO)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "level is %d, expected %d to %d", (int)level, RESATTN_LOG_ERROR,
                       RESATTN_LOG_INFO);
    context->log = log;
    context->log_user = user;
    context->log_level = level;
    return RESATTN_OK;
}

void ra_log(resattn_context *context, resattn_log_level level, const char *format, ...)
{
    if (context->log == NULL || level > context->log_level)
        return;
    char message[512];
    va_list arguments;
    va_start(arguments, format);
    ra_format(message, sizeof message, format, arguments);
    va_end(arguments);
    context->log(context->log_user, level, message);
}

resattn_status resattn_context_set_runner(resattn_context *context, resattn_runner_fn runner, void *user,
                                          int32_t workers)
{
    if (context == NULL)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "context is NULL");
    if (runner != NULL && (workers < 1 || workers > MAX_THREADS))
        return ra_fail(RESATTN_INVALID_ARGUMENT, "workers is %d, expected 1 to %d", (int)workers, MAX_THREADS);
    pthread_mutex_lock(&context->lock);
    int sessions = atomic_load(&context->sessions);
    if (sessions == 0) {
        ra_pool_stop(context, atomic_exchange(&context->pool, NULL));
        context->runner = runner;
        context->runner_user = runner == NULL ? NULL : user;
        context->runner_workers = runner == NULL ? 0 : workers;
    }
    pthread_mutex_unlock(&context->lock);
    if (sessions != 0)
        return ra_fail(RESATTN_WRONG_STATE, "the context has %d sessions, expected none while its runner changes",
                       sessions);
    return RESATTN_OK;
}

resattn_status resattn_context_set_seed(resattn_context *context, uint64_t seed)
{
    if (context == NULL)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "context is NULL");
    context->seed = seed;
    return RESATTN_OK;
}

uint64_t resattn_context_seed(const resattn_context *context)
{
    return context == NULL ? 0 : context->seed;
}

resattn_status ra_context_check(const resattn_context *context)
{
    const struct ra_pool *pool = atomic_load_explicit(&context->pool, memory_order_acquire);
    if (pool != NULL && ra_pool_is_foreign(pool))
        return ra_fail(RESATTN_WRONG_STATE, "the context was made in another process, expected one of this process: "
                                            "threads do not survive fork()");
    return RESATTN_OK;
}

/* The pool's process is looked at before the lock, which a thread that does not exist here may hold after fork(). */
resattn_status ra_context_open(resattn_context *context)
{
    resattn_status status = ra_context_check(context);
    if (status != RESATTN_OK)
        return status;
    pthread_mutex_lock(&context->lock);
    if (atomic_load(&context->pool) == NULL && context->runner == NULL && context->wanted_threads > 1) {
        struct ra_pool *pool = ra_pool_start(context);
        if (pool == NULL)
            status = resattn_last_status();
        atomic_store_explicit(&context->pool, pool, memory_order_release);
    }
    if (status == RESATTN_OK)
        atomic_fetch_add(&context->sessions, 1);
    pthread_mutex_unlock(&context->lock);
    return status;
}

void ra_context_close(resattn_context *context)
{
    atomic_fetch_sub(&context->sessions, 1);
}
