/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Checkpoints: a network with the state of its training, so that a training that was stopped goes on as if it had not been, to
 * the bit. docs/format.md describes the bytes, docs/training.md the way to use them.
 */
#ifndef RESATTN_CHECKPOINT_H
#define RESATTN_CHECKPOINT_H

#include "resattn/blob.h"
#include "resattn/train.h"

#if defined(__cplusplus) && !defined(RESATTN_FFI)
extern "C" {
#endif

/*
 * Saves the optimizer's network as a blob that also holds the state of its training: the optimizer's attributes, the factors by
 * path, what it keeps beside each weight and each parameter's step number, the norm of its last gradients, and the average
 * with its decay (NULL: none). A checkpoint is an ordinary blob too: resattn_network_load() reads the network and passes over the
 * rest. All numbers are stored as they are, the network's too: what resattn_network_set_storage() says does not count
 * here, but is remembered and restored.
 *
 * Not part of it are gradients (save after a step, not between micro-batches) and what belongs to the host: schedules, losses, the
 * session's seed and step (resattn_session_seed(), resattn_session_step_count()), which images come next. The network's texts are a place for
 * such things (resattn_network_set_text()).
 *
 * `level`, files, buffers and callbacks are as in resattn_network_save() and its other forms. Errors: those, and
 * INVALID_ARGUMENT where the average is another network's, WRONG_STATE while its values are in the network (swap them back first).
 * Since 0.9.
 */
RESATTN_API resattn_status resattn_checkpoint_save(resattn_optimizer *optimizer, const resattn_ema *average,
                                                   const char *path, int32_t level);
RESATTN_API resattn_status resattn_checkpoint_save_buffer(resattn_optimizer *optimizer, const resattn_ema *average,
                                                          int32_t level, void **bytes, size_t *size);
RESATTN_API resattn_status resattn_checkpoint_save_stream(resattn_optimizer *optimizer, const resattn_ema *average,
                                                          int32_t level, resattn_write_fn write, void *user);

/*
 * Reads a whole checkpoint at once: the network, the optimizer (of the kind that the checkpoint says, whatever its kind) and the
 * average; each is owned by the caller. `*average` becomes NULL where the checkpoint has none. Any of the three places may be NULL:
 * what it would get is not made, but for the network, which the optimizer and the average hold a share of. After a failure all are
 * NULL. Errors: as resattn_network_load(), and NOT_FOUND for a blob that holds no state of a training. Since 0.9.
 */
RESATTN_API resattn_status resattn_checkpoint_load(resattn_context *context, const char *path,
                                                   resattn_network **network, resattn_optimizer **optimizer,
                                                   resattn_ema **average);
RESATTN_API resattn_status resattn_checkpoint_load_buffer(resattn_context *context, const void *bytes, size_t size,
                                                          resattn_network **network, resattn_optimizer **optimizer,
                                                          resattn_ema **average);
RESATTN_API resattn_status resattn_checkpoint_load_stream(resattn_context *context, resattn_read_fn read, void *user,
                                                          resattn_network **network, resattn_optimizer **optimizer,
                                                          resattn_ema **average);

/*
 * For a training that exists: reads its state back into an optimizer of the same kind, and an average, that were made for the network that
 * resattn_network_load() gave from the same checkpoint; the network's values are not read again. With `average` NULL, one in the
 * checkpoint is left alone. An error changes nothing.
 * Errors: as resattn_network_load(), and INVALID_ARGUMENT (an optimizer of another kind, the average of another network),
 * SHAPE_MISMATCH (a network with other parameters), NOT_FOUND (the blob holds no state of a training; or no average, and one was
 * given), WRONG_STATE (the average's values are in the network; the network is sealed), BUSY. Since 0.9.
 */
RESATTN_API resattn_status resattn_checkpoint_restore(resattn_optimizer *optimizer, resattn_ema *average,
                                                      const char *path);
RESATTN_API resattn_status resattn_checkpoint_restore_buffer(resattn_optimizer *optimizer, resattn_ema *average,
                                                             const void *bytes, size_t size);
RESATTN_API resattn_status resattn_checkpoint_restore_stream(resattn_optimizer *optimizer, resattn_ema *average,
                                                             resattn_read_fn read, void *user);

#if defined(__cplusplus) && !defined(RESATTN_FFI)
}
#endif
#endif
