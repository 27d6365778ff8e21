/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Run while the build is configured. With RA_PROBE_VERSION: prints BLIS's version. With RA_PROBE_FAMILY: prints the
 * value of BLIS_ARCH_TYPE that selects the family, and exits with 0, if this BLIS has it and, where this CPU can run
 * it, multiplies right with it. BLIS aborts when it was built without the family; that is an answer too.
 */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef RA_BLIS_IN_FOLDER
#include <blis/blis.h>
#else
#include <blis.h>
#endif

#ifdef RA_PROBE_VERSION

int main(void)
{
    puts(bli_info_get_version_str());
    return 0;
}

#else

#define SIZE 67 /* no multiple of any kernel's tile */

static int can_run(void)
{
#if (defined(__GNUC__) || defined(__clang__)) && defined(__x86_64__)
    __builtin_cpu_init();
    if (strcmp(RA_PROBE_FAMILY, "skx") != 0)
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512cd");
#else
    return 0;
#endif
}

/* Small integers: every order of summation gives the exact result. */
static int multiplies_right(void)
{
    static float a[SIZE * SIZE], b[SIZE * SIZE], c[SIZE * SIZE];
    float one = 1.0f, zero = 0.0f;
    for (int i = 0; i < SIZE * SIZE; i++) {
        a[i] = (float)(i % 7 - 3);
        b[i] = (float)(i % 5 - 2);
    }
    bli_sgemm(BLIS_NO_TRANSPOSE, BLIS_NO_TRANSPOSE, SIZE, SIZE, SIZE, &one, a, SIZE, 1, b, 1, SIZE, &zero, c, SIZE, 1);
    for (int i = 0; i < SIZE; i++) {
        for (int j = 0; j < SIZE; j++) {
            float sum = 0.0f;
            for (int l = 0; l < SIZE; l++)
                sum += a[i * SIZE + l] * b[j * SIZE + l];
            if (c[i * SIZE + j] != sum)
                return 0;
        }
    }
    return 1;
}

int main(void)
{
    int id = 0;
    char value[16];
    while (id < (int)BLIS_NUM_ARCHS && strcmp(bli_arch_string((arch_t)id), RA_PROBE_FAMILY) != 0)
        id++;
    if (id == (int)BLIS_NUM_ARCHS)
        return 2;
    snprintf(value, sizeof value, "%d", id);
    if (setenv("BLIS_ARCH_TYPE", value, 1) != 0)
        return 3;
    bli_init();
    if (strcmp(bli_arch_string(bli_arch_query_id()), RA_PROBE_FAMILY) != 0)
        return 4;
    if (can_run() && !multiplies_right())
        return 5;
    puts(value);
    return 0;
}

#endif
