/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Numbers that any program can reproduce, so that two programs can run one network without a file of weights.
 *
 * Value i of the tensor NAME is lo + (hi - lo) * u(NAME, i), where u is the top 24 bits of splitmix64's output function
 * of fnv1a64(NAME) + (i + 1) * 0x9E3779B97F4A7C15, divided by 2^24. NAME is a seed and what the tensor is called.
 */
#ifndef TEST_REPRODUCIBLE_H
#define TEST_REPRODUCIBLE_H

#include <stdbool.h>
#include <stdint.h>

#include "resattn/resattn.h"

/* The hash of three texts one after the other; u of such a key. */
uint64_t reproducible_key(const char *prefix, const char *name, const char *suffix);
double reproducible_uniform(uint64_t key, int64_t index);

/* Fill a tensor; an input, called "data"; all parameters and statistics of a network, and take dropout away. False with
 * the library's error set. */
bool reproducible_fill(resattn_tensor *tensor, const char *seed, const char *name, double low, double high);
bool reproducible_input(resattn_tensor *tensor, const char *seed);
bool reproducible_network(resattn_network *network, const char *seed);

#endif
