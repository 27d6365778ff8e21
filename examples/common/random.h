/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A small random number generator, so that every run of an example with the same seed does the same on every system:
 * splitmix64 (Steele, Lea and Flood, OOPSLA 2014).
 */
#ifndef EXAMPLES_RANDOM_H
#define EXAMPLES_RANDOM_H

#include <stdint.h>

struct random {
    uint64_t state;
};

static inline uint64_t random_bits(struct random *random)
{
    uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* A generator of its own for each pair of numbers. */
static inline struct random random_for(uint64_t seed, uint64_t stream)
{
    struct random mixer = {seed};
    mixer.state = random_bits(&mixer) ^ stream;
    return (struct random){random_bits(&mixer)};
}

/* low <= result < high, up to rounding */
static inline float random_between(struct random *random, float low, float high)
{
    return low + (high - low) * ((float)(random_bits(random) >> 40) * 0x1p-24f);
}

/* 0 <= result < count */
static inline int32_t random_below(struct random *random, int32_t count)
{
    return (int32_t)((random_bits(random) >> 32) * (uint64_t)count >> 32);
}

#endif
