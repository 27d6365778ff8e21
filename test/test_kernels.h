/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The parts of test_kernels.
 */
#ifndef TEST_KERNELS_H
#define TEST_KERNELS_H

#include "core/core.h"
#include "kernel_common.h"
#include "kernels/micro.h"

/* The same source as plain C: what the other tables are checked against. */
extern const ra_micro ra_micro_portable;

/* The tables that this CPU can run. */
int32_t table_count(void);
const ra_micro *table(int32_t index);

/* NaN or an infinity. */
float pick_special(void);

/* A random problem, with NaN or an infinity somewhere if `special`: each table against plain C, and that against loops
 * in double precision. */
void check_product(bool special);
void check_outer(bool special);
void check_lanes(bool special);
void check_winograd_input(bool special);
void check_winograd_output(bool special);
void check_winograd_training(bool special);

/* Prints how fast each kernel of each table is. */
void bench_kernels(void);

#endif
