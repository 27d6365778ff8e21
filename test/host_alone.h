/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a host's results are compared with: those of a process that does nothing else. `program` is test_bits, which
 * prints a number that stands for all results of small_run().
 */
#ifndef TEST_HOST_ALONE_H
#define TEST_HOST_ALONE_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common.h"
#include "small.h"

/* The number, with the environment that this process has at the moment. */
static inline uint64_t hash_alone(const char *program)
{
    char command[4200];
    uint64_t hash = 0;
    int length = snprintf(command, sizeof command, "'%s' --hash", program);
    ck_assert(length > 0 && (size_t)length < sizeof command);
    FILE *pipe = popen(command, "r");
    ck_assert_ptr_nonnull(pipe);
    ck_assert_int_eq(fscanf(pipe, "%*s %*s %" SCNx64, &hash), 1);
    ck_assert_int_eq(pclose(pipe), 0);
    return hash;
}

/* The same number of a run here, 0 after an error, which is printed. Any thread. */
static inline uint64_t hash_here(int32_t threads)
{
    results r = {0};
    resattn_context *context = resattn_context_new(threads);
    resattn_status status = small_run(context, SMALL_SIDE, NULL, &r);
    uint64_t hash = status == RESATTN_OK ? results_hash(&r) : 0;
    if (status != RESATTN_OK)
        printf("%s\n", resattn_last_error());
    results_free(&r);
    resattn_context_unref(context);
    return hash;
}

#endif
