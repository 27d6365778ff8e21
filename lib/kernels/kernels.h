/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Numeric loops on plain pointers, single-threaded, over rows of dense channels-last images: the layers cut the work into tasks.
 * The same source (loops.c) is compiled once for each CPU level; ra_kernels() gives the table of the best one.
 * Uses: core.
 */
#ifndef RA_KERNELS_H
#define RA_KERNELS_H

#include "core/core.h"

/* The members are defined by what the layers need. */
#include "kernels/loops.h"

/* The table for ra_cpu(). Any thread, cheap. */
const ra_loops *ra_kernels(void);

/* A part of a job: the elements, pixels, ... begin .. end - 1. */
typedef void (*ra_range_fn)(void *job, int64_t begin, int64_t end);

/* Calls fn(job, begin, end) in parallel for the ranges of `step` (the last one shorter) that make up 0 .. count - 1. */
void ra_parallel_ranges(resattn_context *context, ra_range_fn fn, void *job, int64_t count, int64_t step);

/* A step for ra_parallel_ranges() over items of `size` elements each: large enough to be worth a task. */
int64_t ra_range_step(int64_t size);

#endif
