/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the tests of losses, optimisers and averages share: a network, its steps, and its parameters followed in double
 * precision.
 */
#ifndef TEST_TRAIN_COMMON_H
#define TEST_TRAIN_COMMON_H

#include "common.h"
#include "resattn/resattn.h"

enum { BATCH = 4, SIZE = 5, STEPS = 4, CHANNELS = 40, OUTPUTS = 1000 };

double random_real(double low, double high);
/* The status is the expected one, the thread's last error too, and its message has `part` in it. */
void expect_error(resattn_status got, resattn_status expected, const char *part);
resattn_session *new_session(resattn_network *network, resattn_purpose purpose, int32_t batch, int32_t size);
resattn_tensor *new_input(resattn_context *context, int64_t n, int64_t channels, int64_t size);

/* Its output is its input. */
resattn_network *pass_on_network(resattn_context *context, int32_t channels);

/* The matrix of its linear layer is larger than what one task of a step works on. */
resattn_network *train_network(resattn_context *context);
/* Forward, cross entropy, backward. */
void train_step(resattn_session *session, resattn_tensor *input);

/* Values of one parameter and what an optimiser keeps beside them, in double. */
typedef struct followed {
    int64_t count;
    double *value, *state[2];
    float *buffer;
} followed;

void follow(followed *f, resattn_tensor *tensor);
void unfollow(followed *f);
/* The tensor's values are those followed. */
void compare(followed *f, resattn_tensor *tensor, const char *name);

/* An allocator that fails when it likes. */
typedef struct host {
    int32_t left, living; /* allocations until one fails, blocks not given back */
} host;

void *give(void *user, size_t size);
void take(void *user, void *memory);

#endif
