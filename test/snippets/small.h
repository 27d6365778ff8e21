/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the guides' blocks find around them: the shipped network, images, an end for whatever fails.
 */
#ifndef SNIPPETS_SMALL_H
#define SNIPPETS_SMALL_H

#include <resattn/resattn.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SMALL_SIDE = 32, SMALL_BATCH = 4 };

/* Ends the program with the library's message where `good` is 0. */
static inline void must(int good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "%s: %s\n", what, resattn_last_error());
    exit(EXIT_FAILURE);
}

#define MUST(good) must((good) != 0, #good)

static inline resattn_network *shipped_network(resattn_context *context)
{
    resattn_network *network = resattn_network_load(context, "examples/models/quickstart.resattn");
    MUST(network);
    return network;
}

static inline resattn_session *session_of(resattn_network *network, resattn_purpose purpose, int32_t batch)
{
    resattn_plan *plan = resattn_plan_new(network, purpose, batch, SMALL_SIDE, SMALL_SIDE);
    resattn_session *session = resattn_session_new(plan);
    MUST(session);
    resattn_plan_free(plan);
    return session;
}

static inline resattn_tensor *some_images(resattn_context *context, int64_t count)
{
    const int64_t shape[] = {count, 3, SMALL_SIDE, SMALL_SIDE};
    resattn_tensor *images = resattn_tensor_new(context, RESATTN_F32, 4, shape, RESATTN_CHANNELS_LAST);
    MUST(images);
    float *values = resattn_tensor_mutable_data(images);
    for (int64_t i = 0; i < count * 3 * SMALL_SIDE * SMALL_SIDE; i++)
        values[i] = (float)(i * 7919 % 1009) / 504.5f - 1;
    return images;
}

/* One step of training. */
static inline void one_step(resattn_session *session, resattn_optimizer *optimizer, const resattn_tensor *images)
{
    const int32_t labels[SMALL_BATCH] = {0, 1, 2, 3};
    MUST(!resattn_session_forward(session, images));
    MUST(!resattn_softmax_cross_entropy(session, labels, SMALL_BATCH, NULL, NULL));
    MUST(!resattn_session_backward(session));
    MUST(!resattn_optimizer_step(optimizer));
}

#endif
