/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The best of a network's answers.
 */
#ifndef EXAMPLES_TOP_H
#define EXAMPLES_TOP_H

#include <stdint.h>

/* Writes the `k` classes of the largest values to `top`, the largest first, the lower class first where two are equal.
 * k <= classes. */
void top_classes(const float *values, int32_t classes, int32_t k, int32_t *top);

/* Whether fewer than `k` classes come before `label` in that order. */
int is_in_top(const float *values, int32_t classes, int32_t k, int32_t label);

#endif
