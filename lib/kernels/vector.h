/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Vectors of RA_LANES floats for the files that are compiled once for each CPU level. These files contract products and
 * sums to fused multiply-adds where the CPU has them. With RA_PORTABLE, or where the compiler has no vectors, it is all
 * plain C: what the others are checked against. Uses: nothing.
 */
#ifndef RA_VECTOR_H
#define RA_VECTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if !defined(__GNUC__) && !defined(RA_PORTABLE)
#define RA_PORTABLE
#endif

#if defined(__AVX512F__) && !defined(RA_PORTABLE)
#define RA_LANES 16
#elif defined(__AVX2__) && !defined(RA_PORTABLE)
#define RA_LANES 8
#else
#define RA_LANES 4
#endif

/* Loops over constant counts whose variables are to live in registers, and those that are to stay small. */
#if defined(RA_PORTABLE)
#define RA_UNROLL
#define RA_ROLL
#elif defined(__clang__)
#define RA_UNROLL _Pragma("clang loop unroll(full)")
#define RA_ROLL   _Pragma("clang loop unroll(disable)")
#else
#define RA_UNROLL _Pragma("GCC unroll 40")
#define RA_ROLL   _Pragma("GCC unroll 1")
#endif

#if !defined(RA_PORTABLE)
#define RA_INLINE static inline __attribute__((always_inline))

typedef float ra_vec __attribute__((vector_size(4 * RA_LANES)));
typedef float ra_vec_memory __attribute__((vector_size(4 * RA_LANES), aligned(4), may_alias));

RA_INLINE ra_vec ra_load(const float *x)
{
    return *(const ra_vec_memory *)(const void *)x;
}
RA_INLINE void ra_store(float *y, ra_vec x)
{
    *(ra_vec_memory *)(void *)y = x;
}
RA_INLINE ra_vec ra_splat(float x)
{
    return x - (ra_vec){0};
}
RA_INLINE ra_vec ra_add(ra_vec a, ra_vec b)
{
    return a + b;
}
RA_INLINE ra_vec ra_sub(ra_vec a, ra_vec b)
{
    return a - b;
}
RA_INLINE ra_vec ra_mul(ra_vec a, ra_vec b)
{
    return a * b;
}
/* a + x * y */
RA_INLINE ra_vec ra_mul_add(ra_vec a, ra_vec x, ra_vec y)
{
    return a + x * y;
}

#else
#define RA_INLINE static inline

typedef struct ra_vec {
    float lane[RA_LANES];
} ra_vec;

#define RA_EACH_LANE(value)                                                                                            \
    ra_vec y;                                                                                                          \
    for (int i = 0; i < RA_LANES; i++)                                                                                 \
        y.lane[i] = (value);                                                                                           \
    return y

RA_INLINE ra_vec ra_load(const float *x)
{
    RA_EACH_LANE(x[i]);
}
RA_INLINE void ra_store(float *y, ra_vec x)
{
    for (int i = 0; i < RA_LANES; i++)
        y[i] = x.lane[i];
}
RA_INLINE ra_vec ra_splat(float x)
{
    RA_EACH_LANE(x);
}
RA_INLINE ra_vec ra_add(ra_vec a, ra_vec b)
{
    RA_EACH_LANE(a.lane[i] + b.lane[i]);
}
RA_INLINE ra_vec ra_sub(ra_vec a, ra_vec b)
{
    RA_EACH_LANE(a.lane[i] - b.lane[i]);
}
RA_INLINE ra_vec ra_mul(ra_vec a, ra_vec b)
{
    RA_EACH_LANE(a.lane[i] * b.lane[i]);
}
RA_INLINE ra_vec ra_mul_add(ra_vec a, ra_vec x, ra_vec y)
{
    return ra_add(a, ra_mul(x, y));
}
#endif

/* Brings what will be read soon into the L2 cache. */
#if defined(__GNUC__)
#define RA_FETCH(address) __builtin_prefetch(address, 0, 2)
#else
#define RA_FETCH(address) ((void)(address))
#endif

/* x < 0 ? 0 : x: NaN stays. The second operand of the processors' maximum is what comes out where one is NaN. */
#if defined(RA_PORTABLE)
RA_INLINE ra_vec ra_rectify(ra_vec x)
{
    RA_EACH_LANE(x.lane[i] < 0 ? 0 : x.lane[i]);
}
#elif RA_LANES == 16
#include <immintrin.h>
RA_INLINE ra_vec ra_rectify(ra_vec x)
{
    return (ra_vec)_mm512_max_ps(_mm512_setzero_ps(), (__m512)x);
}
#elif RA_LANES == 8
#include <immintrin.h>
RA_INLINE ra_vec ra_rectify(ra_vec x)
{
    return (ra_vec)_mm256_max_ps(_mm256_setzero_ps(), (__m256)x);
}
#else
typedef int32_t ra_vec_bits __attribute__((vector_size(4 * RA_LANES)));
RA_INLINE ra_vec ra_rectify(ra_vec x)
{
    return (ra_vec)(~(x < 0) & (ra_vec_bits)x);
}
#endif

#endif
