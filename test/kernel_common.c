/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the tests of kernels need.
 */
#include "kernel_common.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { GUARD = 64, ALIGNMENT = 64 };

int32_t pick(int32_t low, int32_t high)
{
    return low + (int32_t)(test_random() % (uint64_t)(high - low + 1));
}

bool pick_bool(void)
{
    return pick(0, 1) == 1;
}

float pick_float(void)
{
    return (float)((double)(test_random() >> 40) / (double)(1 << 23) - 1.0);
}

float *new_floats(size_t count, bool random)
{
    size_t bytes = (count + 2 * GUARD) * sizeof(float);
    float *all = aligned_alloc(ALIGNMENT, (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
    if (all == NULL)
        ck_abort_msg("no memory for %zu floats", count);
    for (size_t i = 0; i < count + 2 * GUARD; i++)
        all[i] = random && i >= GUARD && i < count + GUARD ? pick_float() : NAN;
    return all + GUARD;
}

double *new_doubles(size_t count)
{
    double *doubles = calloc(count, sizeof *doubles);
    if (doubles == NULL)
        ck_abort_msg("no memory for %zu doubles", count);
    return doubles;
}

float *copy_floats(const float *floats, size_t count)
{
    float *copy = new_floats(count, false);
    memcpy(copy, floats, count * sizeof(float));
    return copy;
}

void free_floats(float *floats)
{
    if (floats != NULL)
        free(floats - GUARD);
}

void check_guards(const char *what, const float *floats, size_t count)
{
    for (size_t i = 0; i < GUARD; i++)
        if (!isnan(floats[(ptrdiff_t)i - GUARD]) || !isnan(floats[count + i]))
            ck_abort_msg("%s: written outside", what);
}

void check_gaps(const char *what, const float *before, const float *after, size_t count, int64_t rows, int64_t columns,
                int64_t row)
{
    check_guards(what, after, count);
    for (size_t i = 0; i < count; i++) {
        int64_t place = (int64_t)i;
        bool inside = place / row < rows && place % row < columns;
        if (!inside && memcmp(before + i, after + i, sizeof(float)) != 0)
            ck_abort_msg("%s: written between the rows, at %zu", what, i);
    }
}

/* ---- estimates ---- */

estimate estimate_sum(double value, double magnitude, double length)
{
    return (estimate){value, isfinite(value) ? (length + 8) * UNIT_ROUNDOFF * magnitude + 1e-30 : 0};
}

estimate estimate_relu(estimate x)
{
    return (estimate){x.value < 0 ? 0 : x.value, x.error};
}

estimate estimate_affine(estimate x, float scale, float shift)
{
    double factor = fabs((double)scale), value = x.value * (double)scale + (double)shift;
    double error = factor * x.error;
    error += 3 * UNIT_ROUNDOFF * (factor * (fabs(x.value) + x.error) + fabs((double)shift)) + 1e-30;
    return (estimate){value, isfinite(value) ? error : 0};
}

static bool is_within(double value, double expected, double error)
{
    if (isnan(expected))
        return isnan(value);
    return isinf(expected) ? value == expected : fabs(value - expected) <= error;
}

void check_estimate(const char *what, int64_t index, float value, estimate expected)
{
    if (!is_within((double)value, expected.value, expected.error))
        ck_abort_msg("%s [%lld]: %.9g, expected %.9g within %.3g", what, (long long)index, (double)value,
                     expected.value, expected.error);
}

void check_both(const char *what, int64_t index, float value, float other, estimate expected)
{
    check_estimate(what, index, other, expected);
    if (!is_within((double)value, (double)other, 2 * expected.error))
        ck_abort_msg("%s [%lld]: %.9g, in plain C %.9g, expected to differ by at most %.3g", what, (long long)index,
                     (double)value, (double)other, 2 * expected.error);
}
