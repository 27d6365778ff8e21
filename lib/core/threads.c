/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The pool of worker threads, and running a job on it or on the host's own.
 *
 * Each worker has a share of the job's tasks, those that follow each other: neighbouring tasks read and write neighbouring
 * memory, and the next job's share is the same part of it, so that it stays in the caches of one CPU. Whoever has done his
 * own takes from the end of another's.
 *
 * A share is published as one word, `claim`: the job's number and the range of tasks that nobody has claimed. Whoever takes
 * one away from the word owns a task; the number keeps a late worker from taking one of the next job with the word of
 * the job before. The job's description is read only by owners of tasks, and is written only when all tasks have been
 * reported in `unfinished`, so it needs no lock, and the caller never waits for a worker that is asleep.
 */
#include "core/core.h"

#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#define STACK_BYTES ((size_t)1 << 20)

/* How long to look for work, or for the end of it, before sleeping: longer than the serial code between two jobs of a
 * small network, or an operation that is too small to share; waking up costs some ten microseconds. Next to nothing where threads outnumber CPUs. */
#define SPIN_NANOSECONDS         100000
#define SPIN_NANOSECONDS_CROWDED 1000
#define PAUSES_PER_CLOCK         16

/* A word of `claim`: the number, the first task, the one after the last, in claims of pool->each tasks. */
#define CLAIM_BITS 18
#define CLAIM_MASK (((uint64_t)1 << CLAIM_BITS) - 1)

typedef struct worker {
    _Alignas(RA_ALIGNMENT) _Atomic uint64_t claim; /* in a cache line of its own */
    struct ra_pool *pool;
    int32_t number;
    pthread_t thread; /* not the caller's, number 0 */
} worker;

struct ra_pool {
    ra_origin origin;
    int32_t workers; /* with the caller, which is number 0 */
    int64_t spin;
    pthread_mutex_t busy; /* held by the thread whose job this is */
    pthread_mutex_t lock; /* for sleeping only */
    pthread_cond_t wake, finished;
    atomic_bool stop;
    /* the job */
    resattn_task_fn task;
    void *job;
    int32_t count, each;
    uint32_t number;
    _Alignas(RA_ALIGNMENT) atomic_int unfinished;
    _Alignas(RA_ALIGNMENT) atomic_int sleepers;
    atomic_bool caller_sleeps;
    worker threads[];
};

static void pause_cpu(void)
{
#if defined(__GNUC__) && (defined(__x86_64__) || defined(__i386__))
    __builtin_ia32_pause();
#elif defined(__GNUC__) && defined(__aarch64__)
    __asm__ __volatile__("isb" ::: "memory");
#else
    atomic_signal_fence(memory_order_seq_cst);
#endif
}

int64_t ra_nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static uint64_t first_claim(uint64_t claim)
{
    return claim >> CLAIM_BITS & CLAIM_MASK;
}

static uint64_t end_claim(uint64_t claim)
{
    return claim & CLAIM_MASK;
}

/* Whether the worker has a task to claim, or none ever again. */
static bool worker_is_needed(const worker *self)
{
    uint64_t claim = atomic_load(&self->claim);
    return first_claim(claim) < end_claim(claim) || atomic_load(&self->pool->stop);
}

static bool job_is_finished(const worker *caller)
{
    return atomic_load(&caller->pool->unfinished) == 0;
}

/* Waits for a condition for a short time without sleeping; whether it came true. */
static bool spin_until(const worker *self, bool (*condition)(const worker *self))
{
    if (condition(self))
        return true;
    int64_t end = ra_nanoseconds() + self->pool->spin;
    do {
        for (int32_t i = 0; i < PAUSES_PER_CLOCK; i++) {
            pause_cpu();
            if (condition(self))
                return true;
        }
    } while (ra_nanoseconds() < end);
    return false;
}

/* Runs the tasks of one claim; returns how many. */
static int32_t run_claim(const struct ra_pool *pool, uint64_t claimed, int32_t number)
{
    int32_t first = (int32_t)claimed * pool->each, end = ra_min(pool->count - first, pool->each) + first;
    for (int32_t i = first; i < end; i++)
        pool->task(pool->job, i, number);
    return end - first;
}

/* Claims and runs tasks of the owner's share until there are none; returns how many. Others take from the end. */
static int32_t run_share(worker *owner, int32_t number)
{
    int32_t done = 0;
    uint64_t claim = atomic_load(&owner->claim);
    while (first_claim(claim) < end_claim(claim)) {
        bool own = owner->number == number;
        if (!atomic_compare_exchange_weak(&owner->claim, &claim, own ? claim + CLAIM_MASK + 1 : claim - 1))
            continue;
        done += run_claim(owner->pool, own ? first_claim(claim) : end_claim(claim) - 1, number);
        claim = atomic_load(&owner->claim);
    }
    return done;
}

/* All tasks that are run are of one job, which cannot end before they are reported. */
static int32_t run_tasks(struct ra_pool *pool, int32_t number)
{
    int32_t done = run_share(&pool->threads[number], number);
    for (int32_t i = 1; i < pool->workers; i++)
        done += run_share(&pool->threads[(number + i) % pool->workers], number);
    return done;
}

/* After it, whoever meant to sleep before this call is asleep or has seen what was stored before this call. Waking
 * without the lock spares the woken a second wait. */
static void pass_lock(struct ra_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pthread_mutex_unlock(&pool->lock);
}

static void report(struct ra_pool *pool, int32_t done)
{
    if (done == 0 || atomic_fetch_sub(&pool->unfinished, done) != done)
        return;
    if (atomic_load(&pool->caller_sleeps)) {
        pass_lock(pool);
        pthread_cond_signal(&pool->finished);
    }
}

static void *run_worker(void *argument)
{
    worker *self = argument;
    struct ra_pool *pool = self->pool;
    ra_fpmode mode;
    ra_fpmode_enter(&mode);
    while (!atomic_load(&pool->stop)) {
        if (!spin_until(self, worker_is_needed)) {
            pthread_mutex_lock(&pool->lock);
            atomic_fetch_add(&pool->sleepers, 1);
            while (!worker_is_needed(self))
                pthread_cond_wait(&pool->wake, &pool->lock);
            atomic_fetch_sub(&pool->sleepers, 1);
            pthread_mutex_unlock(&pool->lock);
        }
        report(pool, run_tasks(pool, self->number));
    }
    return NULL;
}

/* A sleeper is counted before it looks at `claim` for the last time, and `claim` is written before sleepers are counted
 * here. */
static void wake_sleepers(struct ra_pool *pool)
{
    if (atomic_load(&pool->sleepers) == 0)
        return;
    pass_lock(pool);
    pthread_cond_broadcast(&pool->wake);
}

/* The first of the workers get equal shares; claims that are few go to as many workers. */
static void publish(struct ra_pool *pool)
{
    uint64_t claims = (uint64_t)ra_div_up(pool->count, pool->each), number = (uint64_t)++pool->number;
    uint64_t sharers = claims < (uint64_t)pool->workers ? claims : (uint64_t)pool->workers;
    for (uint64_t i = 0; i < sharers; i++) {
        uint64_t first = claims * i / sharers, end = claims * (i + 1) / sharers;
        atomic_store(&pool->threads[i].claim, number << 2 * CLAIM_BITS | first << CLAIM_BITS | end);
    }
}

/* With pool->busy held. */
static void run_on_pool(struct ra_pool *pool, resattn_task_fn task, void *job, int32_t count)
{
    pool->task = task;
    pool->job = job;
    pool->count = count;
    pool->each = (int32_t)ra_div_up(count, (int64_t)CLAIM_MASK);
    atomic_store(&pool->unfinished, count);
    publish(pool);
    wake_sleepers(pool);
    report(pool, run_tasks(pool, 0));
    const worker *caller = &pool->threads[0];
    if (spin_until(caller, job_is_finished))
        return;
    pthread_mutex_lock(&pool->lock);
    atomic_store(&pool->caller_sleeps, true);
    while (!job_is_finished(caller))
        pthread_cond_wait(&pool->finished, &pool->lock);
    atomic_store(&pool->caller_sleeps, false);
    pthread_mutex_unlock(&pool->lock);
}

/* The context's pool if it has threads in this process. */
static struct ra_pool *usable_pool(resattn_context *context)
{
    struct ra_pool *pool = atomic_load_explicit(&context->pool, memory_order_acquire);
    return pool != NULL && pool->workers > 1 && !ra_pool_is_foreign(pool) ? pool : NULL;
}

/* A job on the host's threads, which have the host's floating-point mode. */
typedef struct hosted_job {
    resattn_task_fn task;
    void *job;
} hosted_job;

static void run_hosted_task(void *argument, int32_t index, int32_t number)
{
    const hosted_job *hosted = argument;
    ra_fpmode mode;
    ra_fpmode_enter(&mode);
    hosted->task(hosted->job, index, number);
    ra_fpmode_leave(&mode);
}

static void run_on_host(resattn_context *context, resattn_task_fn task, void *job, int32_t count)
{
    hosted_job hosted = {task, job};
    context->runner(context->runner_user, run_hosted_task, &hosted, count);
}

void ra_parallel(resattn_context *context, resattn_task_fn task, void *job, int32_t count)
{
    if (count > 1 && context->runner != NULL && context->runner_workers > 1) {
        run_on_host(context, task, job, count);
        return;
    }
    ra_fpmode mode;
    ra_fpmode_enter(&mode);
    struct ra_pool *pool = count > 1 ? usable_pool(context) : NULL;
    if (pool != NULL && pthread_mutex_trylock(&pool->busy) == 0) {
        run_on_pool(pool, task, job, count);
        pthread_mutex_unlock(&pool->busy);
    } else {
        for (int32_t i = 0; i < count; i++)
            task(job, i, 0);
    }
    ra_fpmode_leave(&mode);
}

/* A job whose every task waits until all have been claimed, so that each worker has one. */
typedef struct gathering {
    resattn_task_fn task;
    void *job;
    int32_t workers;
    atomic_int arrived;
} gathering;

static void run_gathered_task(void *argument, int32_t index, int32_t number)
{
    gathering *all = argument;
    (void)index;
    atomic_fetch_add(&all->arrived, 1);
    while (atomic_load(&all->arrived) < all->workers)
        sched_yield();
    all->task(all->job, number, number);
}

void ra_parallel_workers(resattn_context *context, resattn_task_fn task, void *job)
{
    if (context->runner != NULL && context->runner_workers > 1) {
        run_on_host(context, task, job, context->runner_workers);
        return;
    }
    ra_fpmode mode;
    ra_fpmode_enter(&mode);
    struct ra_pool *pool = context->runner == NULL ? usable_pool(context) : NULL;
    if (pool != NULL) {
        gathering all = {.task = task, .job = job, .workers = pool->workers};
        atomic_init(&all.arrived, 0);
        pthread_mutex_lock(&pool->busy);
        run_on_pool(pool, run_gathered_task, &all, pool->workers);
        pthread_mutex_unlock(&pool->busy);
    } else {
        task(job, 0, 0);
    }
    ra_fpmode_leave(&mode);
}

/* Starts up to `wanted` threads, with all signals blocked: the host's handlers are for the host's threads. Returns 0 or
 * why it were fewer. */
static int start_threads(struct ra_pool *pool, int32_t wanted)
{
    pthread_attr_t attributes;
    int error = pthread_attr_init(&attributes);
    if (error != 0)
        return error;
    size_t smallest = (size_t)PTHREAD_STACK_MIN;
    error = pthread_attr_setstacksize(&attributes, smallest > STACK_BYTES ? smallest : STACK_BYTES);
    sigset_t blocked, before;
    sigfillset(&blocked);
    if (error == 0)
        error = pthread_sigmask(SIG_SETMASK, &blocked, &before);
    if (error == 0) {
        while (error == 0 && pool->workers <= wanted) {
            worker *next = &pool->threads[pool->workers];
            next->number = pool->workers;
            error = pthread_create(&next->thread, &attributes, run_worker, next);
            if (error == 0)
                pool->workers++;
        }
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    pthread_attr_destroy(&attributes);
    return error;
}

static bool init_locks(struct ra_pool *pool)
{
    if (pthread_mutex_init(&pool->busy, NULL) != 0)
        return false;
    if (pthread_mutex_init(&pool->lock, NULL) != 0)
        goto no_lock;
    if (pthread_cond_init(&pool->wake, NULL) != 0)
        goto no_wake;
    if (pthread_cond_init(&pool->finished, NULL) == 0)
        return true;
    pthread_cond_destroy(&pool->wake);
no_wake:
    pthread_mutex_destroy(&pool->lock);
no_lock:
    pthread_mutex_destroy(&pool->busy);
    return false;
}

struct ra_pool *ra_pool_start(resattn_context *context)
{
    size_t bytes = sizeof(struct ra_pool) + (size_t)context->wanted_threads * sizeof(worker);
    struct ra_pool *pool = ra_alloc(context, 1, bytes);
    if (pool == NULL)
        return NULL;
    if (!init_locks(pool)) {
        ra_free(context, pool);
        return ra_fail_null(RESATTN_OUT_OF_MEMORY, "out of memory: the system gave no mutex");
    }
    ra_origin_begin(&pool->origin);
    pool->workers = 1;
    pool->spin = context->wanted_threads > ra_cpu_count() ? SPIN_NANOSECONDS_CROWDED : SPIN_NANOSECONDS;
    atomic_init(&pool->stop, false);
    for (int32_t i = 0; i < context->wanted_threads; i++) {
        atomic_init(&pool->threads[i].claim, 0);
        pool->threads[i].pool = pool;
    }
    atomic_init(&pool->unfinished, 0);
    atomic_init(&pool->sleepers, 0);
    atomic_init(&pool->caller_sleeps, false);
    int error = start_threads(pool, context->wanted_threads - 1);
    if (error != 0) {
        char reason[128];
        ra_system_reason(error, reason, sizeof reason);
        ra_log(context, RESATTN_LOG_WARNING, "working with %d threads instead of %d, the system started no more: %s",
               (int)pool->workers, (int)context->wanted_threads, reason);
    }
    return pool;
}

void ra_pool_stop(resattn_context *context, struct ra_pool *pool)
{
    if (pool == NULL)
        return;
    /* In a child process the locks may be held for ever by threads that are not there: their memory is all there is to
     * give back. */
    if (!ra_pool_is_foreign(pool)) {
        pthread_mutex_lock(&pool->lock);
        atomic_store(&pool->stop, true);
        pthread_cond_broadcast(&pool->wake);
        pthread_mutex_unlock(&pool->lock);
        for (int32_t i = 1; i < pool->workers; i++)
            pthread_join(pool->threads[i].thread, NULL);
        pthread_cond_destroy(&pool->finished);
        pthread_cond_destroy(&pool->wake);
        pthread_mutex_destroy(&pool->lock);
        pthread_mutex_destroy(&pool->busy);
    }
    ra_origin_end(&pool->origin);
    ra_free(context, pool);
}

int32_t ra_pool_workers(const struct ra_pool *pool)
{
    return pool->workers;
}

bool ra_pool_is_foreign(const struct ra_pool *pool)
{
    return !ra_origin_is_here(&pool->origin);
}
