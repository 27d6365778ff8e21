/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the tests of kernels need: random numbers, memory between guards, and numbers that know how far a computation in
 * single precision may be from them.
 */
#ifndef TEST_KERNEL_COMMON_H
#define TEST_KERNEL_COMMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common.h"

/* low .. high, both included */
int32_t pick(int32_t low, int32_t high);
bool pick_bool(void);
float pick_float(void); /* -1 .. 1 */

/* Memory aligned as the library's, with NaN before and behind it and, unless `random`, in it. */
float *new_floats(size_t count, bool random);
float *copy_floats(const float *floats, size_t count);
void free_floats(float *floats);   /* accepts NULL */
double *new_doubles(size_t count); /* zeros; free() frees them */
/* That nothing was written outside. */
void check_guards(const char *what, const float *floats, size_t count);
/* That `after` differs from `before` at most in `rows` rows of `columns` floats, `row` floats apart, and the guards. */
void check_gaps(const char *what, const float *before, const float *after, size_t count, int64_t rows, int64_t columns,
                int64_t row);

#define UNIT_ROUNDOFF 0x1p-24

/* A value, and a bound for the error of a float that was computed for it. The error of what is not finite is 0. */
typedef struct estimate {
    double value, error;
} estimate;

/*
 * A sum of `length` products in single precision, in whatever order, fused or not, to which a few more terms are added:
 * each product passes through its own rounding and at most length + 3 sums, so the result is off by less than length +
 * 8 unit roundoffs of the sum of the terms' magnitudes (Higham, Accuracy and Stability of Numerical Algorithms, 3.1).
 */
estimate estimate_sum(double value, double magnitude, double length);
/* max(0, x) does not move two numbers away from each other. */
estimate estimate_relu(estimate x);
/* x * scale + shift: what x is off by, scaled, and two roundings of the result's terms. */
estimate estimate_affine(estimate x, float scale, float shift);

/* That a float is what was estimated: within the error, or also NaN, or also infinite. */
void check_estimate(const char *what, int64_t index, float value, estimate expected);
/* That two floats that were computed for the same value are: they differ by at most twice the error. */
void check_both(const char *what, int64_t index, float value, float other, estimate expected);

#endif
