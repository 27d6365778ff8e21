/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Layers of the host's own. A program gives a kind of layer by callbacks, under a name of its own; its layers then go
 * into trees, sessions, optimizers and files as the library's do. docs/custom.md has a whole program.
 *
 * Every callback is given `user`, the kind's, and the layer, whose attributes resattn_layer_get_int() and its
 * neighbours tell. It returns RESATTN_OK, or an error, with a text for resattn_last_error() by resattn_fail(); a number
 * that is no status counts as RESATTN_HOST_ERROR. The library adds the layer's path and hands the error to the caller.
 *
 * Threads: a callback is called by the thread that is in a call of the library, never by another, so it may belong to a
 * language with one thread. Several inference sessions of a network may be in forward at once, in different threads: a
 * host that runs them so writes to nothing there but what the run gives it.
 *
 * From inside a callback no function of the library may be called but resattn_fail(), those that read the layer, and
 * those below that are made for it.
 *
 * Results must depend on nothing but what the run gives: not on the time, on addresses, or on a worker's number. In
 * inference each image's depends on that image alone, as a large batch is run in slices. Denormals are flushed to zero
 * during forward and backward.
 */
#ifndef RESATTN_CUSTOM_H
#define RESATTN_CUSTOM_H

#include "resattn/blob.h"
#include "resattn/context.h"
#include "resattn/layer.h"
#include "resattn/network.h"

#if defined(__cplusplus) && !defined(RESATTN_FFI)
extern "C" {
#endif

/* ---- a kind of layer ---- */

/* Computes: see resattn_custom_run_data(). */
typedef resattn_status (*resattn_custom_run_fn)(void *user, const resattn_layer *layer, resattn_custom_run *run);

/* A network of it is made: *channels holds the input's channels and becomes the output's, and parameters are declared
 * by resattn_custom_add_parameter(). Called more than once for a layer, with the same answer each time. */
typedef resattn_status (*resattn_custom_channels_fn)(void *user, resattn_layer *layer, int32_t *channels);

/* A plan is made: *height and *width hold the input's and become the output's. */
typedef resattn_status (*resattn_custom_size_fn)(void *user, const resattn_layer *layer, int32_t *height,
                                                 int32_t *width);

/*
 * Bytes for up to n inputs of n, channels, height, width (`shape`): *saved are kept from forward to backward, *work is
 * scratch for one call. Both are 0 before. `training` is 0 or 1; without it nothing is saved. `workers`: how many
 * different numbers resattn_custom_run_parallel() gives to tasks.
 */
typedef resattn_status (*resattn_custom_memory_fn)(void *user, const resattn_layer *layer, const int32_t *shape,
                                                   int32_t training, int32_t workers, int64_t *saved, int64_t *work);

/* Multiply-adds for one image of height x width: for resattn_plan_multiply_adds(), and for the choice of what
 * recomputation makes once more. */
typedef int64_t (*resattn_custom_multiply_adds_fn)(void *user, const resattn_layer *layer, int32_t height,
                                                   int32_t width);

/* Writes what a layer's instance is (there is one), by any number of write(write_user, bytes, size), which answers 0,
 * or anything else for failure: then it returns any error at once. 2^24 bytes at most; the same instance gives the same
 * bytes. */
typedef resattn_status (*resattn_custom_save_fn)(void *user, const resattn_layer *layer, resattn_write_fn write,
                                                 void *write_user);

/* Makes the instance of a layer that is being loaded, whose attributes are set: the bytes that were saved, 0 of them if
 * none were. They have passed the file's checksum and no other test: believe nothing in them. *instance is NULL before
 * and may stay so. To the caller of the loading function INVALID_ARGUMENT and the like are BAD_FORMAT. */
typedef resattn_status (*resattn_custom_load_fn)(void *user, const resattn_layer *layer, const void *bytes, size_t size,
                                                 void **instance);

/* Frees an instance (never NULL) with its layer; frees `user` with the context. */
typedef void (*resattn_custom_free_fn)(void *user, void *instance);
typedef void (*resattn_custom_release_fn)(void *user);

/*
 * Defines a kind of layer for everything made with the context: builders, and blobs that hold such layers, which are
 * refused with UNSUPPORTED where the kind is not defined. `name` is "x-" and 1 to 38 of a-z, 0-9, - and _; a program
 * puts its own name into it ("x-acme-swish"), as blobs are exchanged. `release` (may be NULL) is called with `user`
 * when the context ends.
 *
 * The kind may be completed by the functions below until the first layer of it is made or loaded; after that they
 * answer WRONG_STATE. Only forward must be there.
 *
 * Returns the kind, borrowed from the context, which keeps it to its end; or NULL, and then `release` is not called:
 * INVALID_ARGUMENT, DUPLICATE if the context has it, OUT_OF_MEMORY. Any thread. Since 0.9.
 */
RESATTN_API resattn_custom *resattn_custom_new(resattn_context *context, const char *name,
                                               resattn_custom_run_fn forward, void *user,
                                               resattn_custom_release_fn release);

/* What backward reads beside the output's gradient and the parameters: what it does not read need not be kept until
 * then. */
typedef enum resattn_custom_reads {
    RESATTN_CUSTOM_READS_NOTHING = 0,
    RESATTN_CUSTOM_READS_INPUT = 1,
    RESATTN_CUSTOM_READS_OUTPUT = 2
} resattn_custom_reads;

/*
 * How gradients pass through the layer; `reads` is a sum of resattn_custom_reads. Without it, training sessions are
 * refused with UNSUPPORTED where a gradient has to: for a layer that has trained parameters, or lies behind one that
 * has. Errors: INVALID_ARGUMENT, WRONG_STATE. Since 0.9.
 */
RESATTN_API resattn_status resattn_custom_set_backward(resattn_custom *custom, resattn_custom_run_fn backward,
                                                       int32_t reads);

/* Channels and parameters, height and width. NULL, as at first: as the input, without parameters. Errors:
 * INVALID_ARGUMENT, WRONG_STATE. Since 0.9. */
RESATTN_API resattn_status resattn_custom_set_shape(resattn_custom *custom, resattn_custom_channels_fn channels,
                                                    resattn_custom_size_fn size);

/* Memory and multiply-adds. NULL, as at first: 0. Errors: INVALID_ARGUMENT, WRONG_STATE. Since 0.9. */
RESATTN_API resattn_status resattn_custom_set_cost(resattn_custom *custom, resattn_custom_memory_fn memory,
                                                   resattn_custom_multiply_adds_fn multiply_adds);

/*
 * What becomes of the layers' instances (resattn_custom_layer_new()). Any may be NULL, as at first: instances are not
 * freed; a network with a layer that has one is not saved (UNSUPPORTED); loaded layers have none, and bytes for one are
 * refused (UNSUPPORTED). Errors: INVALID_ARGUMENT, WRONG_STATE. Since 0.9.
 */
RESATTN_API resattn_status resattn_custom_set_instance(resattn_custom *custom, resattn_custom_free_fn free_instance,
                                                       resattn_custom_save_fn save, resattn_custom_load_fn load);

/*
 * Adds an attribute, at most 24, which every layer of the kind has: set and read as the library's own, and kept in
 * blobs, by name and where it is not `initial`. So a later version of the kind may add some, but changes no name and no
 * initial value. `name` is 1 to 31 of a-z, 0-9 and _. Numbers of an integer are whole and within 2^53. `is_mutable` (0
 * or 1): it may be changed in a network. Errors: INVALID_ARGUMENT, DUPLICATE, TOO_LARGE, WRONG_STATE. Since 0.9.
 */
RESATTN_API resattn_status resattn_custom_add_attribute(resattn_custom *custom, const char *name,
                                                        resattn_attribute_type type, double initial, double smallest,
                                                        double largest, int32_t is_mutable);

/* ---- its layers ---- */

/*
 * A layer of the kind called `kind`; otherwise as the constructors in layer.h. It has one input. `instance` (may be
 * NULL) is anything of the host's that belongs to this layer alone; the layer takes it over only on success, and gives
 * it to free_instance in the end. NULL: also NOT_FOUND for a kind that the builder's context does not have. Since 0.9.
 */
RESATTN_API resattn_layer *resattn_custom_layer_new(resattn_builder *builder, const char *kind, const char *name,
                                                    void *instance);

/* The instance, borrowed from the layer; NULL for NULL and layers that have none. Since 0.9. */
RESATTN_API void *resattn_layer_instance(const resattn_layer *layer);

/* What resattn_network_initialize() makes of a parameter; fan_in is the product of all sizes but the first. */
typedef enum resattn_init {
    RESATTN_INIT_ZEROS = 1,
    RESATTN_INIT_ONES = 2,
    RESATTN_INIT_HE = 3,    /* normal, variance 2 / fan_in (He et al., ICCV 2015) */
    RESATTN_INIT_LINEAR = 4 /* normal, variance 1 / fan_in */
} resattn_init;

/*
 * In a channels callback: declares the layer's next parameter, number 0, 1, ... up to 7. It is called path, dot,
 * suffix; the suffix is 1 to 31 of a-z, 0-9 and _. `shape` has `rank` (1 to 4) sizes. Its values lie in the order of
 * the sizes, the last one varying fastest, but for rank 4, whose second size varies fastest: filters (out, in, height,
 * width) are channels-last. Errors: INVALID_ARGUMENT, DUPLICATE, TOO_LARGE, OUT_OF_MEMORY, WRONG_STATE outside of that
 * callback. Since 0.9.
 */
RESATTN_API resattn_status resattn_custom_add_parameter(resattn_layer *layer, const char *suffix,
                                                        resattn_parameter_kind kind, resattn_init init, int32_t rank,
                                                        const int64_t *shape);

/* ---- a run: one call of forward or backward, and borrowed for it ---- */

/* What a run is part of. */
typedef enum resattn_custom_phase {
    RESATTN_PHASE_NONE = 0,
    RESATTN_PHASE_INFERENCE = 1,
    RESATTN_PHASE_TRAINING = 2, /* forward in a training session */
    RESATTN_PHASE_AGAIN =
        3, /* forward of the same step once more, as its output was not kept: the same bits, no statistic changes */
    RESATTN_PHASE_BACKWARD = 4
} resattn_custom_phase;

/* Why the callback is called; NONE for NULL. Since 0.9. */
RESATTN_API resattn_custom_phase resattn_custom_run_phase(const resattn_custom_run *run);

/* Fills shape[0..3] with n, channels, height and width of input `input`, or with -1 of the output. Errors:
 * INVALID_ARGUMENT. Since 0.9. */
RESATTN_API resattn_status resattn_custom_run_shape(const resattn_custom_run *run, int32_t input, int32_t *shape);

/* A number for random numbers to be made of, where the layer needs any: another one for each layer and step, the same
 * in training, again and backward of one step, and in every run of a program. 0 for NULL. Since 0.9. */
RESATTN_API uint64_t resattn_custom_run_key(const resattn_custom_run *run);

/* Images are floats in the order n, height, width, channels, without gaps. */
typedef enum resattn_custom_data {
    RESATTN_DATA_INPUT = 1,           /* read; backward: where the kind says that it reads it */
    RESATTN_DATA_OUTPUT = 2,          /* forward: written whole; backward: read, where the kind says that it reads it */
    RESATTN_DATA_OUTPUT_GRADIENT = 3, /* backward: read */
    RESATTN_DATA_INPUT_GRADIENT = 4,  /* backward: added to; NULL where nobody wants it */
    RESATTN_DATA_PARAMETER = 5,       /* read; in RESATTN_PHASE_TRAINING a statistic may be written */
    RESATTN_DATA_PARAMETER_GRADIENT = 6, /* backward: added to; NULL for a statistic */
    RESATTN_DATA_SAVED =
        7, /* the bytes that the memory callback asked for: written in training, read again and backward */
    RESATTN_DATA_WORK = 8 /* scratch, anything in it */
} resattn_custom_data;

/*
 * Where some numbers are: of input `index` (0, as there is one), of parameter `index`, of the rest with index 0. All
 * but inputs begin on a boundary of 64 bytes; inputs are aligned as floats are. NULL where there are none at this time,
 * or no such. Since 0.9.
 */
RESATTN_API void *resattn_custom_run_data(const resattn_custom_run *run, resattn_custom_data data, int32_t index);

/*
 * Calls task(job, i, worker) once for each i in 0 .. count - 1 on the context's threads, or its runner's, in any order;
 * returns when all have ended. At most one thread at a time has a given `worker`. Which of them does what is not the
 * same each time, so tasks write to places that differ by i, and sums over tasks are made in the order of i afterwards.
 * Not from within a task. Errors: INVALID_ARGUMENT. Since 0.9.
 */
RESATTN_API resattn_status resattn_custom_run_parallel(const resattn_custom_run *run, resattn_task_fn task, void *job,
                                                       int32_t count);

#if defined(__cplusplus) && !defined(RESATTN_FFI)
}
#endif
#endif
