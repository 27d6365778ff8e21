/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Products of transposed matrices (kernels/outer.h), of which the one with rows far apart is copied: see
 * test_kernels.h.
 */
#include "test_kernels.h"

#include <math.h>
#include <stdio.h>

#include "kernels/outer.h"

/* A random matrix whose rows have gaps of NaN. */
static float *new_matrix(int64_t rows, int64_t columns, int64_t row)
{
    float *data = new_floats((size_t)((rows - 1) * row + columns), false);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++)
            data[i * row + j] = pick_float();
    return data;
}

void check_outer(bool special)
{
    int32_t rows = pick(1, pick_bool() ? 60 : 1100), columns = pick(1, pick_bool() ? 90 : 1200),
            depth = pick(1, pick_bool() ? 40 : 600);
    int32_t a_row = rows + pick(0, pick_bool() ? 9 : 400), b_row = columns + pick(0, pick_bool() ? 9 : 1300),
            c_row = columns + pick(0, 9);
    float beta = (float)pick(0, 1);
    float *a = new_matrix(depth, rows, a_row), *b = new_matrix(depth, columns, b_row);
    float *c = new_matrix(rows, columns, c_row);
    size_t c_floats = (size_t)((rows - 1) * c_row + columns), scratch_floats = ra_outer_scratch(rows, a_row);
    if (special)
        a[pick(0, depth - 1) * a_row + pick(0, rows - 1)] = pick_special();
    float *before = copy_floats(c, c_floats), *scratch = new_floats(scratch_floats, false);
    char what[160];
    snprintf(what, sizeof what, "outer product at %s, %d x %d, depth %d, beta %g", ra_cpu_level_name(ra_cpu()),
             (int)rows, (int)columns, (int)depth, (double)beta);
    ra_outer_product(rows, columns, depth, a, a_row, b, b_row, beta, c, c_row, scratch);
    check_guards(what, scratch, scratch_floats);
    check_gaps(what, before, c, c_floats, rows, columns, c_row);
    for (int round = 0; round < 200; round++) {
        int32_t i = pick(0, rows - 1), j = pick(0, columns - 1);
        double sum = beta > 0 ? (double)before[i * c_row + j] : 0, magnitude = fabs(sum);
        for (int32_t l = 0; l < depth; l++) {
            double product = (double)a[l * a_row + i] * (double)b[l * b_row + j];
            sum += product;
            magnitude += fabs(product);
        }
        check_estimate(what, i * c_row + j, c[i * c_row + j], estimate_sum(sum, magnitude, depth));
    }
    free_floats(a);
    free_floats(b);
    free_floats(c);
    free_floats(before);
    free_floats(scratch);
}
