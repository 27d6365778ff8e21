/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every numeric loop, at every level that this CPU has, against plain C in double, on random sizes with poisoned
 * surroundings; all levels must give the same bits.
 */
#include "common.h"
#include "loop_cases.h"

/* A copy of our own, to reach the exponential. */
#define RA_LOOPS_TABLE loops_copy
#include "kernels/loops.c"

#include <float.h>

#define GUARD  64
#define POISON 0x7fbadbad /* a NaN */

static int32_t level_count(void)
{
#if defined(__x86_64__)
    return ra_cpu() == RA_CPU_AVX512 ? 3 : ra_cpu() == RA_CPU_AVX2 ? 2 : 1;
#else
    return 1;
#endif
}

static const ra_loops *level(int32_t index)
{
#if defined(__x86_64__)
    const ra_loops *all[] = {&ra_loops_plain, &ra_loops_avx2, &ra_loops_avx512};
    return all[index];
#else
    (void)index;
    return &ra_loops_plain;
#endif
}

/* Runs a case at a level into a buffer between poison, at any alignment of a float. */
static void run_guarded(const loop_case *test, int32_t index, const problem *p, float *result)
{
    static float buffer[MOST + 2 * GUARD];
    for (int64_t i = 0; i < RA_COUNT(buffer); i++)
        buffer[i] = ra_float_of(POISON);
    float *out = buffer + GUARD - p->elements % 16;
    memcpy(out, p->initial, sizeof p->initial);
    test->run(level(index), p, out);
    int32_t spoilt = 0;
    for (const float *guard = buffer; guard < buffer + RA_COUNT(buffer); guard++)
        spoilt += (guard < out || guard >= out + MOST) && ra_bits_of(*guard) != POISON;
    ck_assert_int_eq(spoilt, 0);
    memcpy(result, out, sizeof p->initial);
}

START_TEST(test_case)
{
    static problem p;
    static float first[MOST], other[MOST];
    static double expected[MOST];
    const loop_case *test = &loop_cases[_i];
    for (int32_t round = 0; round < 60; round++) {
        make_problem(&p, test->strided);
        for (int64_t i = 0; i < MOST; i++)
            expected[i] = (double)p.initial[i];
        test->expect(&p, expected);
        run_guarded(test, 0, &p, first);
        for (int64_t i = 0; i < MOST; i++)
            if (!(fabs((double)first[i] - expected[i]) <= test->tolerance * (1 + fabs(expected[i]))))
                ck_abort_msg("%s: element %d is %.9g, expected %.9g (%d pixels, %d channels, stride %d)", test->name,
                             (int)i, (double)first[i], expected[i], (int)p.pixels, (int)p.c, (int)p.stride);
        for (int32_t k = 1; k < level_count(); k++) {
            run_guarded(test, k, &p, other);
            ck_assert_msg(memcmp(first, other, sizeof first) == 0, "%s: level %d differs", test->name, (int)k);
        }
    }
}
END_TEST

/* ---- limits ---- */

/* Within a unit in the last place; below FLT_MIN, of FLT_MIN's place. */
static bool is_exponential(float x, float y)
{
    double expected = exp((double)x);
    int exponent;
    if (isnan(x))
        return isnan(y);
    if (expected > (double)FLT_MAX)
        return y == INFINITY;
    frexp(expected, &exponent);
    return fabs((double)y - expected) <= ldexp(1, exponent > -125 ? exponent - 24 : -149);
}

START_TEST(test_exponential)
{
    for (uint64_t bits = test_random() % 997; bits <= UINT32_MAX; bits += 997) {
        float x = ra_float_of((uint32_t)bits);
        if (!is_exponential(x, ra_exponential(x)))
            ck_abort_msg("exp(%a) is %a", (double)x, (double)ra_exponential(x));
    }
    ck_assert(ra_exponential(0) == 1 && ra_exponential(-INFINITY) == 0 && ra_exponential(INFINITY) == INFINITY);
}
END_TEST

/* 40 elements, so that vectors of every width and what is left over are tried. */
START_TEST(test_special_values)
{
    enum { count = 40 };
    float x[count], y[count];
    const ra_loops *l = level(_i);
    const float special[] = {NAN, INFINITY, -INFINITY, -0.0f, 1e30f, -1e30f, FLT_MIN, -200};
    const float rectified[] = {NAN, INFINITY, 0, 0, 1e30f, 0, FLT_MIN, 0};
    const float squashed[] = {NAN, 1, 0, 0.5f, 1, 0, 0.5f, 0};
    for (int32_t i = 0; i < count; i++)
        x[i] = special[i % 8];
    l->relu(count, x, y);
    for (int32_t i = 0; i < count; i++)
        ck_assert(i % 8 ? y[i] == rectified[i % 8] : isnan(y[i]));
    l->sigmoid(count, x, y);
    for (int32_t i = 0; i < count; i++)
        ck_assert(i % 8 ? y[i] == squashed[i % 8] : isnan(y[i]));
    l->softmax(1, count, x, y);
    for (int32_t i = 0; i < count; i++)
        ck_assert(isnan(y[i]));
    for (int32_t i = 0; i < count; i++)
        x[i] = i == 3 ? 3e38f : -3e38f;
    l->softmax(1, count, x, y);
    for (int32_t i = 0; i < count; i++)
        ck_assert(y[i] == (i == 3));
    float windows[3 * count];
    for (int32_t i = 0; i < 3 * count; i++)
        windows[i] = i / count == i % count % 3 ? NAN : (float)i;
    ra_window window = {windows, 3 * count, count, 1, 3, 0, 3};
    l->max_pool(&window, count, y, NULL);
    for (int32_t i = 0; i < count; i++)
        ck_assert(isnan(y[i]));
}
END_TEST

START_TEST(test_in_place)
{
    static problem p;
    static float y[MOST], z[MOST];
    const ra_loops *l = level(_i);
    ra_norm_terms terms = {p.a, p.b, p.m, p.m + 256, p.m + 512};
    for (int32_t round = 0; round < 20; round++) {
        make_problem(&p, false);
        l->affine(p.pixels, p.c, p.c, p.x, p.a, p.b, true, y);
        memcpy(z, p.x, sizeof z);
        l->affine(p.pixels, p.c, p.c, z, p.a, p.b, true, z);
        ck_assert(memcmp(y, z, (size_t)p.elements * sizeof *y) == 0);
        l->norm_backward(p.pixels, p.c, p.c, p.x, p.y, &terms, false, y);
        memcpy(z, p.y, sizeof z);
        l->norm_backward(p.pixels, p.c, p.c, p.x, z, &terms, false, z);
        ck_assert(memcmp(y, z, (size_t)p.elements * sizeof *y) == 0);
        l->softmax_backward(p.pixels, p.c, p.x, p.y, false, y);
        memcpy(z, p.y, sizeof z);
        l->softmax_backward(p.pixels, p.c, p.x, z, false, z);
        ck_assert(memcmp(y, z, (size_t)p.elements * sizeof *y) == 0);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("loops");
    TCase *loops = tcase_create("loops");
    tcase_set_timeout(loops, 120);
    tcase_add_loop_test(loops, test_case, 0, loop_case_count);
    tcase_add_test(loops, test_exponential);
    tcase_add_loop_test(loops, test_special_values, 0, level_count());
    tcase_add_loop_test(loops, test_in_place, 0, level_count());
    suite_add_tcase(suite, loops);
    return test_run(suite);
}
