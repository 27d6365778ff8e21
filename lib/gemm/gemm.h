/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Matrix products on BLIS: the one place that includes blis.h.
 * Uses: core.
 */
#ifndef RA_GEMM_H
#define RA_GEMM_H

#include "core/core.h"

/*
 * C (m x n) = beta * C + A (m x k) * B (k x n), with general strides in elements: a[i * a_row + l * a_col] and so on.
 * beta is 0 (C is not read: NaN in it does no harm) or 1. k = 0 gives beta * C; m or n of 0 does nothing. Runs on the
 * calling thread alone, unless the BLIS at run time is not the version that the build saw: then it takes as many
 * threads as BLIS_NUM_THREADS says. May be called by any number of threads. After ra_gemm_warm_up() it
 * takes no memory that it does not give back at once: BLIS's variants with threads do so for each product (docs/reliability.md).
 */
void ra_gemm(int64_t m, int64_t n, int64_t k, const float *a, int64_t a_row, int64_t a_col, const float *b,
             int64_t b_row, int64_t b_col, float beta, float *c, int64_t c_row, int64_t c_col);

/* Starts BLIS, and chooses its family of kernels where resattn_process_init() says so; the first call does the work.
 * `by_host`: the host vouches that no other thread uses the environment now. */
void ra_gemm_init(int32_t flags, bool by_host);

/* Makes BLIS allocate its packing buffers for all workers of the context, and logs a warning if its family is slow;
 * once for a context and a number of workers. Errors: OUT_OF_MEMORY, of the library's own; BLIS aborts when it gets
 * none. */
resattn_status ra_gemm_warm_up(resattn_context *context);

/* Facts for resattn_info(): static strings. */
const char *ra_gemm_version(void);
const char *ra_gemm_variant(void); /* "openmp", "pthread" or "serial" */
const char *ra_gemm_family(void);
const char *ra_gemm_reason(void);
bool ra_gemm_family_is_slow(void);

#endif
