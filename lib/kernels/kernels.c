/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Picks the loops for this CPU, and cuts their work into tasks.
 */
#include "kernels/kernels.h"

/* A task of so many elements takes some microseconds, far more than it takes to hand it out. */
#define TASK_ELEMENTS 8192

const ra_loops *ra_kernels(void)
{
#if defined(__x86_64__)
    switch (ra_cpu()) {
    case RA_CPU_AVX512:
        return &ra_loops_avx512;
    case RA_CPU_AVX2:
        return &ra_loops_avx2;
    default:
        break;
    }
#endif
    return &ra_loops_plain;
}

typedef struct ranges {
    ra_range_fn fn;
    void *job;
    int64_t count, step;
} ranges;

static void run_range(void *job, int32_t index, int32_t worker)
{
    const ranges *r = job;
    int64_t begin = index * r->step;
    int64_t rest = r->count - begin;
    (void)worker;
    r->fn(r->job, begin, begin + (rest < r->step ? rest : r->step));
}

void ra_parallel_ranges(resattn_context *context, ra_range_fn fn, void *job, int64_t count, int64_t step)
{
    ranges r = {fn, job, count, step};
    ra_parallel(context, run_range, &r, (int32_t)ra_div_up(count, step));
}

int64_t ra_range_step(int64_t size)
{
    return size >= TASK_ELEMENTS ? 1 : TASK_ELEMENTS / size;
}
