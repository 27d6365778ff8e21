/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A small network with two attention modules that several tests run, and a fixed sequence of runs whose results are
 * compared to the bit.
 */
#ifndef TEST_SMALL_H
#define TEST_SMALL_H

#include <stdint.h>

#include "resattn/resattn.h"

enum { SMALL_BATCH = 3, SMALL_SIDE = 30, SMALL_CLASSES = 10 };

/* NULL with the library's error where something fails, as for everything here. Parameters follow from the context's
 * seed. */
resattn_network *small_network(resattn_context *context);

/* n images of fixed noise that depends on `seed`. */
resattn_tensor *small_input(resattn_context *context, int32_t n, int32_t height, int32_t width, uint64_t seed);

/* A session with the modules' masks as outputs. */
resattn_session *small_session(resattn_network *network, resattn_purpose purpose, int32_t batch, int32_t height,
                               int32_t width);

/* Results: a buffer that grows. */
typedef struct results {
    float *values;
    int64_t count;
} results;

void results_free(results *r);
/* Appends a tensor's elements; the status. */
resattn_status results_add(results *r, const resattn_tensor *tensor);
/* FNV-1a of the bytes */
uint64_t results_hash(const results *r);
/* Whether both have the same bits; prints the first difference. */
int results_equal(const char *what, const results *a, const results *b);

/* Called around every computing call of small_run(), where not NULL. */
typedef struct hooks {
    void (*before)(void *user);
    void (*after)(void *user);
    void *user;
} hooks;

/*
 * Trains a fresh network for two steps on images of side x side, then infers; appends all outputs, masks, gradients,
 * statistics and parameters. The first error, or RESATTN_OK.
 */
resattn_status small_run(resattn_context *context, int32_t side, const hooks *h, results *target);

#endif
