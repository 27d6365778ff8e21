/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Random numbers as pure functions of a key and a counter.
 */
#include "core/core.h"

#include <math.h>

/* Fowler, Noll and Vo's hash, variant 1a, 64 bits. */
uint64_t ra_hash_text(const char *text)
{
    uint64_t hash = UINT64_C(0xCBF29CE484222325);
    for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++)
        hash = (hash ^ *c) * UINT64_C(0x100000001B3);
    return hash;
}

/* Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014. */
uint64_t ra_random_bits(uint64_t key, uint64_t counter)
{
    uint64_t z = key + (counter + 1) * UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

double ra_random_uniform(uint64_t key, uint64_t counter)
{
    return (double)(ra_random_bits(key, counter) >> 11) * 0x1p-53;
}

/* Box and Muller, 1958. The radius takes 1 - u, which is never 0. */
double ra_random_normal(uint64_t key, uint64_t counter)
{
    const double two_pi = 6.283185307179586476925286766559;
    double radius = sqrt(-2.0 * log(1.0 - ra_random_uniform(key, 2 * counter)));
    return radius * cos(two_pi * ra_random_uniform(key, 2 * counter + 1));
}
