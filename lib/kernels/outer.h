/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The product of a transposed matrix and another, both in few columns and many rows: what the gradient of a filter is.
 * Uses: core.
 */
#ifndef RA_OUTER_H
#define RA_OUTER_H

#include "core/core.h"

/* Floats of scratch for up to so many rows, and any columns: the last block of a filter may be no multiple of a panel
 * where the others are. */
size_t ra_outer_scratch(int64_t rows, int64_t a_row);

/* c (rows x columns, row stride c_row) = beta * c + transposed a (depth x rows, row stride a_row) * b (depth x columns,
 * row stride b_row); beta is 0 or 1. Single-threaded. */
void ra_outer_product(int64_t rows, int64_t columns, int64_t depth, const float *a, int64_t a_row, const float *b,
                      int64_t b_row, float beta, float *c, int64_t c_row, float *scratch);

#endif
