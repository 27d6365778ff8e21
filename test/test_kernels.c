/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every micro-kernel of every table that this CPU can run, against the same source as plain C and against loops in
 * double precision, on random problems whose surroundings and gaps are NaN. With --bench: how fast they are.
 */
#include "test_kernels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 1000, SPECIAL_ROUNDS = 400, OUTER_ROUNDS = 40 };

int32_t table_count(void)
{
#if defined(__x86_64__)
    return ra_cpu() == RA_CPU_AVX512 ? 3 : ra_cpu() == RA_CPU_AVX2 ? 2 : 1;
#else
    return 1;
#endif
}

const ra_micro *table(int32_t index)
{
#if defined(__x86_64__)
    static const ra_micro *const all[] = {&ra_micro_plain, &ra_micro_avx2, &ra_micro_avx512};
    return all[index];
#else
    (void)index;
    return &ra_micro_plain;
#endif
}

float pick_special(void)
{
    const float all[] = {NAN, INFINITY, -INFINITY};
    return all[pick(0, RA_COUNT(all) - 1)];
}

static void repeat(void (*check)(bool special))
{
    for (int32_t round = 0; round < ROUNDS; round++)
        check(false);
    for (int32_t round = 0; round < SPECIAL_ROUNDS; round++)
        check(true);
}

START_TEST(products)
{
    repeat(check_product);
}
END_TEST

START_TEST(lane_groups)
{
    repeat(check_lanes);
}
END_TEST

START_TEST(winograd_inputs)
{
    repeat(check_winograd_input);
}
END_TEST

START_TEST(winograd_outputs)
{
    repeat(check_winograd_output);
}
END_TEST

START_TEST(winograd_of_training)
{
    repeat(check_winograd_training);
}
END_TEST

/* At every level: what is chosen by the CPU has no table to ask for. */
START_TEST(outer_products)
{
    static const ra_cpu_level levels[] = {RA_CPU_NEON, RA_CPU_AVX512, RA_CPU_AVX2, RA_CPU_PLAIN};
    for (int32_t i = 0; i < RA_COUNT(levels); i++) {
        ra_cpu_cap(levels[i]);
        for (int32_t round = 0; round < OUTER_ROUNDS; round++)
            check_outer(round % 4 == 0);
    }
}
END_TEST

START_TEST(tables_have_names_and_lanes)
{
    for (int32_t i = 0; i < table_count(); i++) {
        ck_assert_str_ne(table(i)->name, "");
        ck_assert_int_eq(RA_PANEL % table(i)->lanes, 0);
        ck_assert_int_eq(RA_WINOGRAD_UNIT % table(i)->lanes, 0);
    }
    ck_assert_str_eq(ra_micro_portable.name, "portable");
}
END_TEST

int main(int count, char **arguments)
{
    if (count == 2 && strcmp(arguments[1], "--bench") == 0) {
        bench_kernels();
        return EXIT_SUCCESS;
    }
    Suite *suite = suite_create("kernels");
    TCase *kernels = tcase_create("kernels");
    tcase_set_timeout(kernels, 120);
    tcase_add_test(kernels, tables_have_names_and_lanes);
    tcase_add_test(kernels, products);
    tcase_add_test(kernels, outer_products);
    tcase_add_test(kernels, lane_groups);
    tcase_add_test(kernels, winograd_inputs);
    tcase_add_test(kernels, winograd_outputs);
    tcase_add_test(kernels, winograd_of_training);
    suite_add_tcase(suite, kernels);
    return test_run(suite);
}
