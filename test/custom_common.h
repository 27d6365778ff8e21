/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the tests of a host's own layers share: three kinds of layers, and a network that has them among the library's.
 */
#ifndef TEST_CUSTOM_COMMON_H
#define TEST_CUSTOM_COMMON_H

#include <stdatomic.h>
#include <stdbool.h>

#include "common.h"
#include "resattn/resattn.h"

/* The kinds' user: what their callbacks have seen, and what they are to do. */
typedef struct custom_host {
    atomic_int calls[RESATTN_PHASE_BACKWARD + 1]; /* of x-test-swish, by phase */
    atomic_int instances;                         /* alive */
    atomic_int released;                          /* kinds */
    atomic_int faults;                            /* callbacks that did not get what they were promised */
    /* Which callback answers what, where it is not 0. `text`: it records this as its error. */
    int32_t channels, size, memory, forward, backward, save, load;
    const char *text;
} custom_host;

/*
 * x-test-swish: u = scale * x + shift for each channel, y = u * sigmoid(beta * u). Parameters scale, shift, and a
 * statistic `seen`: how many training passes there were. Attributes beta (real, 1, may be changed), frozen (integer,
 * means nothing). Keeps the sigmoids, works in parallel. Its instance is a text.
 *
 * x-test-depth-to-space: (c, h, w) to (c / b^2, h * b, w * b), attribute block (integer, 2).
 *
 * x-test-noise: y = x * weight * (0 or 2 at random in training, else 1), parameter weight for each channel.
 *
 * False where the library fails.
 */
bool custom_define(resattn_context *context, custom_host *host);

/* A context of two threads with these kinds, and a host that has seen nothing. */
resattn_context *custom_begin(custom_host *host);
/* Takes the context away: all of the host's must have been given back, and no callback been surprised. */
void custom_end(resattn_context *context, custom_host *host);

/* A callback that has nothing to do. */
resattn_status custom_nothing(void *user, const resattn_layer *layer, resattn_custom_run *run);

/* A layer of x-test-swish with an instance; NULL after an error. */
resattn_layer *custom_swish(resattn_builder *b, custom_host *host, const char *name, double beta, const char *text);

/* Images of 3 channels, side 4k, to 5 numbers, with all three kinds; NULL with the library's error. */
resattn_network *custom_network(resattn_context *context, custom_host *host);

/* Fills with numbers that depend on `seed` only, from -2 to 2. */
void custom_fill(resattn_tensor *tensor, uint64_t seed);
resattn_tensor *custom_input(resattn_context *context, int32_t n, int32_t c, int32_t side, uint64_t seed);

/* A session; fails the test where there is none. */
resattn_session *custom_session(resattn_network *network, resattn_purpose purpose, int32_t batch, int32_t side,
                                bool recompute);

/* FNV-1a of a tensor's numbers in logical order, from `hash` on. */
uint64_t custom_hash(const resattn_tensor *tensor, uint64_t hash);
/* Of all parameters and statistics. */
uint64_t custom_hash_network(resattn_network *network);

/* Steps first .. last - 1 of a training with SGD; the first error. */
resattn_status custom_train(resattn_session *session, resattn_optimizer *optimizer, int32_t first, int32_t last);

enum { CUSTOM_BATCH = 3, CUSTOM_SIDE = 12, CUSTOM_CLASSES = 5 };

#endif
