/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Plans and sessions: a network bound to a largest batch, an image size and a purpose.
 *
 * A plan says what will be computed and how much memory that takes; a session owns the memory and runs. Once a session exists,
 * running it allocates nothing (what BLIS does: docs/reliability.md). Any number of inference sessions of one network may run at the same time, each in a thread of its
 * own. Training needs the network alone: while a training call runs, every other run on the network is refused with BUSY,
 * and the other way round.
 */
#ifndef RESATTN_SESSION_H
#define RESATTN_SESSION_H

#include "resattn/network.h"

#if defined(__cplusplus) && !defined(RESATTN_FFI)
extern "C" {
#endif

/* What a session is for. */
typedef enum resattn_purpose {
    RESATTN_PURPOSE_NONE = 0,
    RESATTN_INFERENCE = 1, /* forward only, with batch norm by running statistics and without dropout */
    RESATTN_TRAINING = 2   /* forward and backward */
} resattn_purpose;

/*
 * Plans a session for batches of up to `batch` images of height x width. The plan holds a share of the network.
 * Returns an owned plan, or NULL: INVALID_ARGUMENT, SHAPE_MISMATCH with the path of the layer that cannot take the size,
 * TOO_LARGE, OUT_OF_MEMORY. Since 0.9.
 */
RESATTN_API resattn_plan *resattn_plan_new(resattn_network *network, resattn_purpose purpose, int32_t batch,
                                           int32_t height, int32_t width);

/* Frees the plan. Sessions made from it live on. Since 0.9. */
RESATTN_API void resattn_plan_free(resattn_plan *plan);

/*
 * Asks for the output of the layer with the path `name`, or for an attention module's mask or trunk
 * (resattn_attention_mask_name()). What is not asked for may be fused away. The network's own output is always there.
 * Errors: INVALID_ARGUMENT, NOT_FOUND, DUPLICATE, OUT_OF_MEMORY. Since 0.9.
 */
RESATTN_API resattn_status resattn_plan_add_output(resattn_plan *plan, const char *name);

/* Training: with 1 (0 at first) a session computes the gradient of its input too. Errors: INVALID_ARGUMENT, WRONG_STATE for
 * inference. Since 0.9. */
RESATTN_API resattn_status resattn_plan_set_input_gradient(resattn_plan *plan, int32_t on);

/*
 * Training: with 1 (0 at first) a session takes less memory and more time. Forward keeps a few values only, and backward computes
 * what lies between them once more when it comes to it (Chen et al., Training deep nets with sublinear memory cost, 2016):
 * no convolution more than once more, so that a step takes a third longer at most. Results are the same bits.
 * resattn_plan_memory() tells what that saves. Errors: INVALID_ARGUMENT, WRONG_STATE for inference. Since 0.9.
 */
RESATTN_API resattn_status resattn_plan_set_recomputation(resattn_plan *plan, int32_t on);

/* How an inference session computes convolutions. The choice among kernels depends on the shapes, the CPU and this only. */
typedef enum resattn_convolution {
    RESATTN_CONVOLUTION_NONE = 0,
    RESATTN_CONVOLUTION_FASTEST = 1,     /* at first: Winograd's minimal filtering where it pays */
    RESATTN_CONVOLUTION_NO_WINOGRAD = 2, /* every product and sum of the definition */
    RESATTN_CONVOLUTION_REFERENCE = 3    /* the plain path, which training takes forward */
} resattn_convolution;

/* Changes it. Errors: INVALID_ARGUMENT, WRONG_STATE for training. Since 0.9. */
RESATTN_API resattn_status resattn_plan_set_convolution(resattn_plan *plan, resattn_convolution convolution);

/* What was planned: the network (borrowed), and what was given or set. Of a training plan the convolution is
 * RESATTN_CONVOLUTION_REFERENCE: outputs come from every product of the definition, as rounding decides which of ReLU's inputs are
 * positive; gradients of 3x3 convolutions take minimal filtering where it pays. NULL or 0 for NULL. Since 0.9. */
RESATTN_API resattn_network *resattn_plan_network(const resattn_plan *plan);
RESATTN_API resattn_purpose resattn_plan_purpose(const resattn_plan *plan);
RESATTN_API int32_t resattn_plan_batch(const resattn_plan *plan);
RESATTN_API int32_t resattn_plan_height(const resattn_plan *plan);
RESATTN_API int32_t resattn_plan_width(const resattn_plan *plan);
RESATTN_API int32_t resattn_plan_input_gradient(const resattn_plan *plan);
RESATTN_API int32_t resattn_plan_recomputation(const resattn_plan *plan);
RESATTN_API resattn_convolution resattn_plan_convolution(const resattn_plan *plan);

/* Bytes of work memory that a session of this plan allocates; -1 after an error. Each call plans the session anew, which takes most of
 * the time that making one takes: a host that needs the number again keeps it. Beside it there are the network's parameters,
 * and for training as much again for their gradients, for inference for the copy that its sessions share. Since 0.9. */
RESATTN_API int64_t resattn_plan_memory(const resattn_plan *plan);

/* Multiply-adds of convolutions and linear layers for the forward pass of one image; -1 after an error. Since 0.9. */
RESATTN_API int64_t resattn_plan_multiply_adds(const resattn_plan *plan);

/*
 * What a layer of the network (resattn_network_root(), resattn_layer_child(), resattn_network_layer()) does with one image: the
 * height and width of its output, whose channels are resattn_layer_out_channels() (either pointer may be NULL); and its own
 * multiply-adds with those of all layers inside it, -1 after an error. Errors: INVALID_ARGUMENT for NULL, NOT_FOUND for a layer that
 * is not the network's. Since 0.9.
 */
RESATTN_API resattn_status resattn_plan_layer_size(const resattn_plan *plan, const resattn_layer *layer, int32_t *height,
                                                   int32_t *width);
RESATTN_API int64_t resattn_plan_layer_multiply_adds(const resattn_plan *plan, const resattn_layer *layer);

/*
 * Makes a session. It holds a share of the network. An inference session takes a copy of the parameters as they are now, which
 * all sessions that see the same values share. Returns an owned session, or NULL: INVALID_ARGUMENT, TOO_LARGE, OUT_OF_MEMORY,
 * BUSY while the network is being trained, and for training also while it runs; WRONG_STATE in a process that fork() made from the one
 * that started the context's threads, for training on a sealed network, and for inference on a sealed network that lacks a constant
 * that the plan needs (an output or a way of computing convolutions that no session had before). Since 0.9.
 */
RESATTN_API resattn_session *resattn_session_new(const resattn_plan *plan);

/* Frees the session. Its outputs end with it. Since 0.9. */
RESATTN_API void resattn_session_free(resattn_session *session);

/* The network of the session, borrowed. Since 0.9. */
RESATTN_API resattn_network *resattn_session_network(const resattn_session *session);

/* The plan's purpose, batch and size of images. 0 for NULL. Since 0.9. */
RESATTN_API resattn_purpose resattn_session_purpose(const resattn_session *session);
RESATTN_API int32_t resattn_session_batch(const resattn_session *session);
RESATTN_API int32_t resattn_session_height(const resattn_session *session);
RESATTN_API int32_t resattn_session_width(const resattn_session *session);

/* The outputs: number 0 is the network's own, the others are those that the plan asked for, in that order. How many (0 for NULL),
 * and the name of each, as for resattn_session_output(): NULL for number 0, and outside. Borrowed from the network. Since 0.9. */
RESATTN_API int32_t resattn_session_output_count(const resattn_session *session);
RESATTN_API const char *resattn_session_output_name(const resattn_session *session, int32_t index);

/*
 * Runs the network on `input`: n, channels, height, width with 1 <= n <= the batch, F32 or U8, any strides. Channels-last
 * F32 input is read in place by inference sessions, during the call only; after it the host may change or free the input.
 * Training: batch statistics and dropout; remembers what backward needs.
 * Errors: INVALID_ARGUMENT, SHAPE_MISMATCH, BUSY, and what a layer of the host's own answers (custom.h): then there are no outputs,
 * and the pass does not count. Since 0.9.
 */
RESATTN_API resattn_status resattn_session_forward(resattn_session *session, const resattn_tensor *input);

/*
 * An output of the last forward pass: n, channels, height, width. NULL is the network's output, otherwise a name that the plan
 * asked for. Borrowed from the session, the contents valid until its next run; a host that keeps them copies them. The tensor
 * is read-only, and has no other owners: resattn_tensor_ref() and views are refused. NULL and NOT_FOUND, or WRONG_STATE before a forward pass. Since 0.9.
 */
RESATTN_API const resattn_tensor *resattn_session_output(resattn_session *session, const char *name);

/*
 * Training: gives the gradient of the loss with respect to an output (as in resattn_session_output()) for the next backward
 * pass; it replaces an earlier one for that output. Copied. Outputs without one count as zero. Names of one and the same value
 * (a sequential and its last layer) are one output here.
 * Errors: INVALID_ARGUMENT, NOT_FOUND, SHAPE_MISMATCH, WRONG_STATE before forward or in inference. Since 0.9.
 */
RESATTN_API resattn_status resattn_session_set_output_gradient(resattn_session *session, const char *name,
                                                        const resattn_tensor *gradient);

/*
 * The same, but added to what the output has been given since the forward pass, by losses (train.h) too; nothing counts as zeros.
 * Since 0.9.
 */
RESATTN_API resattn_status resattn_session_add_output_gradient(resattn_session *session, const char *name,
                                                        const resattn_tensor *gradient);

/*
 * Training: computes all parameters' gradients (resattn_network_parameter_gradient()) from the gradients of the outputs, once for each
 * forward pass. They replace the ones before, or are added to them where resattn_session_set_accumulate() says so.
 * Errors: INVALID_ARGUMENT, WRONG_STATE (before forward, twice, no gradient given, inference), BUSY, and what a layer of the host's
 * own answers (custom.h): then the gradients are worth nothing, and forward comes next. Since 0.9.
 */
RESATTN_API resattn_status resattn_session_backward(resattn_session *session);

/* Training: 1 adds to the parameters' gradients, 0 (at first) replaces them. Errors: INVALID_ARGUMENT. The getter answers 0 for
 * NULL. Since 0.9. */
RESATTN_API resattn_status resattn_session_set_accumulate(resattn_session *session, int32_t accumulate);
RESATTN_API int32_t resattn_session_accumulate(const resattn_session *session);

/* What forward passes in training do with the running statistics of batch norms that are not frozen. */
typedef enum resattn_statistics {
    RESATTN_STATISTICS_RUNNING = 1, /* at first: a step towards the batch's, as large as the batch norm's momentum */
    RESATTN_STATISTICS_MEAN = 2     /* the plain mean over the batches since this was set; the momentum does not matter */
} resattn_statistics;

/*
 * Training: changes it. RESATTN_STATISTICS_MEAN, also where it was set before, begins a new mean: the first forward pass replaces the
 * statistics by its batch's, the k-th one moves them by 1/k towards its batch's. Errors: INVALID_ARGUMENT, WRONG_STATE in inference. Since
 * 0.9.
 */
RESATTN_API resattn_status resattn_session_set_statistics(resattn_session *session, resattn_statistics statistics);

/*
 * How many forward passes a session has done, of inference too, where nothing depends on it; -1 for NULL. What dropout drops
 * depends on this number, the session's seed, the dropout's place among the plan's operations and nothing else, so a training that goes on from a checkpoint
 * (checkpoint.h) sets it: then the next pass draws what it would have drawn. It may be set at any time, between forward and
 * backward too: backward belongs to the forward pass that was done.
 * Errors: INVALID_ARGUMENT (a step outside 0 to 2^53), WRONG_STATE in inference. Since 0.9.
 */
RESATTN_API int64_t resattn_session_step_count(const resattn_session *session);
RESATTN_API resattn_status resattn_session_set_step_count(resattn_session *session, int64_t step);

/*
 * The seed of a session, at first the context's of the time when the session was made; 0 for NULL. Training: setting it, at any
 * time, changes what dropout drops from the next forward pass on. Errors: INVALID_ARGUMENT, WRONG_STATE in inference. Since 0.9.
 */
RESATTN_API uint64_t resattn_session_seed(const resattn_session *session);
RESATTN_API resattn_status resattn_session_set_seed(resattn_session *session, uint64_t seed);

/* Training: the gradient with respect to the input after backward, where the plan wants it. Borrowed, valid until the next
 * run; NULL and WRONG_STATE otherwise. Since 0.9. */
RESATTN_API const resattn_tensor *resattn_session_input_gradient(resattn_session *session);

/* Inference: takes the parameters as they are now. Errors: INVALID_ARGUMENT, OUT_OF_MEMORY (the session keeps the old ones),
 * BUSY, WRONG_STATE in training. Since 0.9. */
RESATTN_API resattn_status resattn_session_refresh(resattn_session *session);

/*
 * Where the time goes. With profiling on (1; 0 at first), every forward pass notes how long each of the session's operations
 * took. An operation is a layer, or several that are computed together: their names are then those of the first.
 * Errors: INVALID_ARGUMENT, OUT_OF_MEMORY. The getter answers 0 for NULL. Since 0.9.
 */
RESATTN_API resattn_status resattn_session_set_profiling(resattn_session *session, int32_t on);
RESATTN_API int32_t resattn_session_profiling(const resattn_session *session);

/* How many operations a forward pass has, in the order in which they run; 0 for NULL. Since 0.9. */
RESATTN_API int32_t resattn_session_operation_count(const resattn_session *session);

/* Of operation `index`: the layer's path (for the activation of an attention module's mask the mask's name), its kind with what is
 * computed along with it ("conv2d + sum + relu"), and for convolutions the kernel that computes it, else "". Borrowed from the
 * session; NULL and INVALID_ARGUMENT for an index that is not there. Since 0.9. */
RESATTN_API const char *resattn_session_operation_name(const resattn_session *session, int32_t index);
RESATTN_API const char *resattn_session_operation_kind(const resattn_session *session, int32_t index);
RESATTN_API const char *resattn_session_operation_kernel(const resattn_session *session, int32_t index);

/* Multiply-adds for one image, as the direct definition counts them; -1 for an index that is not there. Since 0.9. */
RESATTN_API int64_t resattn_session_operation_multiply_adds(const resattn_session *session, int32_t index);

/* Seconds of the last forward pass with profiling on, 0 before one; -1 for an index that is not there. Since 0.9. */
RESATTN_API double resattn_session_operation_seconds(const resattn_session *session, int32_t index);

#if defined(__cplusplus) && !defined(RESATTN_FFI)
}
#endif
#endif
