/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the tests of faults share: a network with every kind of layer, and its results as one number.
 */
#ifndef TEST_FAULT_COMMON_H
#define TEST_FAULT_COMMON_H

#include "common.h"
#include "resattn/resattn.h"

enum { FAULT_BATCH = 3, FAULT_SIDE = 12, FAULT_CLASSES = 5 };

/* Every kind of layer of the library, every mask activation, both ways of learning. NULL with the library's error, as
 * for everything here. */
resattn_network *fault_network(resattn_context *context);

/* How many kinds of layers are in it. */
int32_t fault_kinds(resattn_network *network);

/* Images of noise that depends on `seed`, as many as a batch has. */
resattn_tensor *fault_input(resattn_context *context, uint64_t seed);

/* With a mask as a second output; of training with the input's gradient. */
resattn_session *fault_session(resattn_network *network, resattn_purpose purpose, int32_t recompute);

/* A status, or the last error's where a constructor gave nothing. */
resattn_status fault_made(const void *made);

/* FNV-1a of a tensor's bytes in logical order, from `hash` on. */
uint64_t fault_hash(uint64_t hash, const resattn_tensor *tensor);
/* Of all parameters and statistics. */
uint64_t fault_hash_network(resattn_network *network);
/* Of both outputs of a forward pass; fails the test where that fails. */
uint64_t fault_infer(resattn_session *session, const resattn_tensor *input);

/* Forward, cross entropy, backward, one step; the first error. `optimizer` may be NULL. */
resattn_status fault_train(resattn_session *session, resattn_optimizer *optimizer, const resattn_tensor *input);

/* Bytes of memory that the process has; 0 where the system does not tell. */
int64_t fault_resident(void);

#endif
