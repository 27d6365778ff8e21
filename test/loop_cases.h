/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every numeric loop with the same in plain C and double, for test_loops.c.
 */
#ifndef LOOP_CASES_H
#define LOOP_CASES_H

#include "kernels/kernels.h"

#define MOST 4096 /* elements of a problem */

typedef struct problem {
    int64_t pixels, c, stride, elements; /* elements: of pixels * stride */
    bool accumulate, flag;
    float factor;
    float x[MOST], y[MOST], initial[MOST]; /* y: a gradient or a second operand */
    float a[MOST], b[MOST], m[MOST];       /* for each channel, or pixel */
} problem;

void make_problem(problem *p, bool strided);

/* One loop: what it does to `out`, which begins as p->initial, and the same in double. */
typedef struct loop_case {
    const char *name;
    bool strided;
    double tolerance; /* relative to 1 + |expected| */
    void (*run)(const ra_loops *loops, const problem *p, float *out);
    void (*expect)(const problem *p, double *out);
} loop_case;

extern const loop_case loop_cases[];
extern const int32_t loop_case_count;

#endif
