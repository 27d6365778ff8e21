/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The product itself.
 */
#include "gemm/blis_header.h"

static void clear(int64_t m, int64_t n, float *c, int64_t c_row, int64_t c_col)
{
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++)
            c[i * c_row + j * c_col] = 0.0f;
}

/* The stride along a dimension of 1 means nothing, but BLIS aborts unless it is larger than the other dimension's
 * extent. */
static void settle_strides(int64_t rows, int64_t columns, int64_t *row, int64_t *column)
{
    if (rows == 1 && columns == 1)
        *row = *column = 1;
    else if (rows == 1)
        *row = columns * *column;
    else if (columns == 1)
        *column = rows * *row;
}

void ra_gemm(int64_t m, int64_t n, int64_t k, const float *a, int64_t a_row, int64_t a_col, const float *b,
             int64_t b_row, int64_t b_col, float beta, float *c, int64_t c_row, int64_t c_col)
{
    if (m <= 0 || n <= 0)
        return;
    if (k <= 0) {
        if (beta == 0.0f)
            clear(m, n, c, c_row, c_col);
        return;
    }
    settle_strides(m, k, &a_row, &a_col);
    settle_strides(k, n, &b_row, &b_col);
    settle_strides(m, n, &c_row, &c_col);
    float one = 1.0f;
    float *left = (float *)a, *right = (float *)b; /* BLIS up to 0.9 does not say const, but writes to C only */
    if (!ra_blis_is_as_built()) {
        bli_sgemm(BLIS_NO_TRANSPOSE, BLIS_NO_TRANSPOSE, m, n, k, &one, left, a_row, a_col, right, b_row, b_col, &beta,
                  c, c_row, c_col);
        return;
    }
    rntm_t threads;
    bli_rntm_init(&threads);
    bli_rntm_set_num_threads(1, &threads);
    bli_sgemm_ex(BLIS_NO_TRANSPOSE, BLIS_NO_TRANSPOSE, m, n, k, &one, left, a_row, a_col, right, b_row, b_col, &beta, c,
                 c_row, c_col, NULL, &threads);
}
