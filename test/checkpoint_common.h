/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the tests of checkpoints share: a training that can be stopped and gone on with, and its state as bytes.
 */
#ifndef TEST_CHECKPOINT_COMMON_H
#define TEST_CHECKPOINT_COMMON_H

#include "common.h"
#include "resattn/resattn.h"

enum { IMAGES = 4, SIDE = 5, CLASSES = 3 };

typedef struct training {
    resattn_context *context;
    resattn_network *network;
    resattn_session *session;
    resattn_optimizer *optimizer;
    resattn_ema *average; /* or NULL */
} training;

/* A kind of training: its number, 0 to KINDS - 1, says optimizer, settings and whether there is an average. */
enum { KINDS = 8 };

/* A new training; or one of a network that was loaded, with the optimizer as it is when it is new. It takes context and
 * network over. */
training new_training(int32_t kind);
training training_of(resattn_context *context, resattn_network *network, int32_t kind);
void free_training(training *t);
resattn_session *training_session(resattn_network *network);

/* Forward, loss, backward, step, average: the `index`th step of any training sees the same images. */
void do_step(const training *t, int32_t index);
void do_steps(const training *t, int32_t first, int32_t last);

/* Bytes that grow. */
typedef struct bytes {
    unsigned char *data;
    size_t size, at; /* `at`: how far they have been read */
} bytes;

int32_t put_bytes(void *user, const void *from, size_t size);
int64_t get_bytes(void *user, void *to, size_t size);

/* A checkpoint of it. */
bytes checkpoint_of(const training *t);
/* Restores from bytes. */
resattn_status restore_bytes(const training *t, const void *data, size_t size);
/* Loads network, optimizer and average from bytes, in the training's context. */
resattn_status load_bytes(training *t, const void *data, size_t size);
void expect_same(const bytes *a, const bytes *b);

#endif
