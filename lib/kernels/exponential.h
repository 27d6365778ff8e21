/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The exponential function for loops that compilers vectorise. Uses: nothing.
 */
#ifndef RA_EXPONENTIAL_H
#define RA_EXPONENTIAL_H

#include <stdint.h>
#include <string.h>

/* The iterations of the next loop do not depend on each other, even where pointers are the same. */
#if defined(__clang__)
#define RA_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#elif defined(__GNUC__)
#define RA_INDEPENDENT _Pragma("GCC ivdep")
#else
#define RA_INDEPENDENT
#endif

static inline uint32_t ra_bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float ra_float_of(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/*
 * e^x with an error of at most 1 ulp (found by trying every float), 0 for -inf, inf for inf, NaN for NaN. x = n ln 2 +
 * r with |r| <= ln 2 / 2; e^r by a polynomial that minimises the relative error (Remez), 3e-9 before rounding.
 */
static inline float ra_exponential(float x)
{
    const float rounder = 12582912.0f; /* 1.5 * 2^23: a sum with it is rounded to an integer */
    x = x < -104.0f ? -104.0f : x;
    x = x > 89.0f ? 89.0f : x;
    float shifted = x * 1.44269504f + rounder;
    float n = shifted - rounder;
    float r = (x - n * 0.693359375f) - n * -2.12194440e-4f; /* ln 2 in two parts: n times the first one is exact */
    float p = 0.00138145990f;
    p = p * r + 0.00836871689f;
    p = p * r + 0.0416683880f;
    p = p * r + 0.166665206f;
    p = p * r + 0.499999934f;
    p = (p * (r * r) + r) + 1.0f;
    /* 2^n in two factors, as n = -150 .. 129 is more than an exponent holds; unsigned, so that NaN's junk does no harm.
     */
    uint32_t whole = ra_bits_of(shifted) - ra_bits_of(rounder) + 300u;
    uint32_t half = whole >> 1;
    return p * ra_float_of((half - 23u) << 23) * ra_float_of((whole - half - 23u) << 23);
}

#endif
