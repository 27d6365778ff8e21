/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Filling BLIS's pools ahead. BLIS takes the memory into which it packs operands from pools that grow whenever more
 * products run at the same time than ever before, and it aborts when there is none to be had; so the growth is made to
 * happen when a session is made. That takes products of all workers at one time. BLIS has no means to reserve memory,
 * so they are started together until the clock says that they overlapped, and no more than some times: where workers
 * outnumber the CPUs the last buffers may be left to the first runs.
 */
#include "gemm/gemm.h"

#include <sched.h>
#include <time.h>

/* At least BLIS's cache blocks in every dimension, so that the buffers get their full size. */
enum { ROWS = 512, COLUMNS = 1024, DEPTH = 512 };

enum {
    ROUNDS = 10,
    PATIENCE = 200000000,   /* nanoseconds to wait for the other workers */
    HOST_PATIENCE = 1000000 /* the same on a host's threads, which need not be there all at once */
};

typedef struct span {
    int64_t begin, end; /* of a worker's product, in nanoseconds */
} span;

typedef struct warm_up {
    const float *a, *b;
    float *c;    /* one for each worker */
    span *spans; /* likewise */
    int32_t workers;
    int64_t patience;
    atomic_int ready;
} warm_up;

static void run_products(void *job, int32_t index, int32_t worker)
{
    warm_up *w = job;
    (void)index;
    float *c = w->c + (size_t)worker * ROWS * COLUMNS;
    atomic_fetch_add(&w->ready, 1);
    int64_t begin = ra_nanoseconds(), limit = begin + w->patience;
    for (; atomic_load(&w->ready) < w->workers && begin < limit; begin = ra_nanoseconds())
        sched_yield();
    ra_gemm(ROWS, COLUMNS, DEPTH, w->a, DEPTH, 1, w->b, 1, DEPTH, 0.0f, c, COLUMNS, 1);
    w->spans[worker] = (span){begin, ra_nanoseconds()};
    ra_gemm(12, 12, 12, w->a, DEPTH, 1, w->b, 1, DEPTH, 1.0f, c, COLUMNS, 1);
}

/* Whether all products were under way at some time, and not at their ends only. */
static bool overlapped(const warm_up *w)
{
    int64_t last_begin = INT64_MIN, first_end = INT64_MAX, shortest = INT64_MAX;
    for (int32_t i = 0; i < w->workers; i++) {
        const span *s = &w->spans[i];
        last_begin = s->begin > last_begin ? s->begin : last_begin;
        first_end = s->end < first_end ? s->end : first_end;
        shortest = s->end - s->begin < shortest ? s->end - s->begin : shortest;
    }
    return first_end - last_begin > shortest / 4;
}

static void warn_if_slow(resattn_context *context)
{
    if (ra_gemm_family_is_slow())
        ra_log(context, RESATTN_LOG_WARNING, "BLIS %s uses its slow family \"generic\" on this CPU (%s): %s",
               ra_gemm_version(), ra_cpu_name(), ra_gemm_reason());
}

resattn_status ra_gemm_warm_up(resattn_context *context)
{
    ra_gemm_init(RESATTN_PROCESS_DEFAULT, false);
    int workers = ra_workers(context), done = atomic_load(&context->warm_workers);
    if (done >= workers)
        return RESATTN_OK;
    warm_up job = {.workers = workers, .patience = context->runner == NULL ? PATIENCE : HOST_PATIENCE};
    float *a = ra_alloc(context, (size_t)ROWS * DEPTH, sizeof(float));
    float *b = ra_alloc(context, (size_t)COLUMNS * DEPTH, sizeof(float));
    job.a = a;
    job.b = b;
    job.c = ra_alloc(context, (size_t)workers * ROWS * COLUMNS, sizeof(float));
    job.spans = ra_alloc(context, (size_t)workers, sizeof(span));
    bool ready = a != NULL && b != NULL && job.c != NULL && job.spans != NULL;
    if (ready) {
        int32_t round = 0;
        do {
            atomic_init(&job.ready, 0);
            ra_parallel_workers(context, run_products, &job);
        } while (!overlapped(&job) && ++round < ROUNDS);
        if (atomic_exchange(&context->warm_workers, workers) == 0)
            warn_if_slow(context);
    }
    ra_free(context, a);
    ra_free(context, b);
    ra_free(context, job.c);
    ra_free(context, job.spans);
    return ready ? RESATTN_OK : resattn_last_status();
}
