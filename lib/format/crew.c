/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Several threads on one file.
 */
#include "format/format.h"

/* Fewer bytes than this are done before a thread has started; more threads than this wait for memory. */
enum { WORTH_THREADS = 1 << 20, MOST_LANES = 16 };

bool ra_crew_begin(ra_crew *crew, resattn_context *context, uint64_t bytes)
{
    *crew = (ra_crew){.context = context, .lanes = 1};
    struct ra_pool *pool = atomic_load_explicit(&context->pool, memory_order_acquire);
    /* After fork() the threads are gone, files can be read all the same. */
    if (bytes < WORTH_THREADS || (pool && ra_pool_is_foreign(pool)))
        return true;
    if (ra_context_open(context) != RESATTN_OK)
        return false;
    crew->open = true;
    crew->lanes = ra_max(1, ra_min(ra_workers(context), MOST_LANES));
    return true;
}

typedef struct lanes_job {
    resattn_task_fn task;
    void *job;
    int32_t count;
    atomic_int next;
} lanes_job;

static void run_lane(void *argument, int32_t lane, int32_t worker)
{
    lanes_job *lanes = argument;
    (void)worker;
    for (int32_t i = atomic_fetch_add(&lanes->next, 1); i < lanes->count; i = atomic_fetch_add(&lanes->next, 1))
        lanes->task(lanes->job, i, lane);
}

void ra_crew_run(ra_crew *crew, resattn_task_fn task, void *job, int32_t count)
{
    lanes_job lanes = {.task = task, .job = job, .count = count};
    atomic_init(&lanes.next, 0);
    if (crew->lanes > 1)
        ra_parallel(crew->context, run_lane, &lanes, ra_min(crew->lanes, count));
    else
        run_lane(&lanes, 0, 0);
}

void ra_crew_end(ra_crew *crew)
{
    if (crew->open)
        ra_context_close(crew->context);
    crew->open = false;
}
