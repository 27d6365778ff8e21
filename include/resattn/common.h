/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Types and rules that every other header of libresattn uses.
 *
 * Handles are opaque. What is shared (context, tensor, network) is counted: `_ref` adds an owner, `_unref` takes one
 * away, both safe from any thread. What has one owner (builder, plan, session, loss, optimizer, schedule, average) ends with `_free`.
 * `_unref` and `_free` accept NULL and do nothing. A pointer called *borrowed* belongs to somebody else: the comment says
 * how long it is valid, and the caller does not free it.
 *
 * A function that can fail returns a resattn_status; a constructor returns its handle, or NULL. In both cases
 * resattn_last_status() and resattn_last_error() then say what happened, for the calling thread. A call that succeeds
 * leaves both as they were. A failed call changes nothing that the caller can see, unless its comment says otherwise.
 *
 * Strings are UTF-8, end with a NUL byte and are copied when given. Sizes of images are given as height, width.
 *
 * Bytes of a buffer are counted by a size_t; elements of tensors, values, steps and multiply-adds by an int64_t, and so are bytes
 * where a negative number has a meaning. Switches (0 or 1), indices of lists, and sizes of images and batches are an int32_t.
 *
 * Callbacks. Every function of the host that the library calls must return to it: no longjmp(), no C++ exception and no error of
 * a scripting language may pass through the library, which would be left half-way. What goes wrong inside is told by the
 * callback's result, and remembered by the host, or for resattn_last_error() by resattn_fail(). The functions that allocate, free,
 * log, read, write and release are called in the thread that called the library, never on the library's own threads or a
 * host's runner's.
 *
 * Unless a comment says otherwise, a handle may be used by one thread at a time and different handles by different
 * threads at once.
 *
 * Preprocessed with -DRESATTN_FFI, these headers include no system header and use no attribute, so that an FFI parser can
 * read the output as it stands.
 */
#ifndef RESATTN_COMMON_H
#define RESATTN_COMMON_H

#ifndef RESATTN_FFI
#include <stddef.h>
#include <stdint.h>
#endif

/* Marks the functions that the library exports. */
#if defined(RESATTN_FFI) || !(defined(__GNUC__) || defined(__clang__))
#define RESATTN_API
#else
#define RESATTN_API __attribute__((visibility("default")))
#endif

#if defined(__cplusplus) && !defined(RESATTN_FFI)
extern "C" {
#endif

/*
 * What a call can answer. In this and every other enum the values never change and new ones may be added: a program passes over
 * what it does not know. Every enum is 32 bits wide.
 */
typedef enum resattn_status {
    RESATTN_OK = 0,
    RESATTN_OUT_OF_MEMORY = -1,    /* the context's allocator, or the system, gave nothing */
    RESATTN_INVALID_ARGUMENT = -2, /* a NULL handle, a value out of its range, an unknown enumerator */
    RESATTN_SHAPE_MISMATCH = -3,   /* shapes, channels or element types that do not go together */
    RESATTN_TOO_LARGE = -4,        /* a size that does not fit its type, or exceeds a limit */
    RESATTN_WRONG_STATE = -5,      /* not now: backward before forward, changing a layer that is frozen */
    RESATTN_BUSY = -6,             /* another thread is using the network in a way that excludes this */
    RESATTN_NOT_FOUND = -7,        /* no layer, parameter, attribute or file of that name */
    RESATTN_DUPLICATE = -8,        /* a name or a layer used twice */
    RESATTN_IO_ERROR = -9,         /* a file or a callback failed to read or write */
    RESATTN_BAD_FORMAT = -10,      /* not a blob, or a damaged one */
    RESATTN_UNSUPPORTED = -11,     /* not in this build, or of a later version */
    RESATTN_INTERNAL = -12,        /* a fault in the library itself; please report it */
    RESATTN_HOST_ERROR = -13       /* a callback of the host's failed for a reason of its own */
} resattn_status;

typedef struct resattn_context resattn_context;             /* threads, memory, messages and seed (context.h) */
typedef struct resattn_tensor resattn_tensor;               /* numbers with a shape, over memory of its own or the host's (tensor.h) */
typedef struct resattn_builder resattn_builder;             /* owns layers while a network is put together (layer.h) */
typedef struct resattn_layer resattn_layer;                 /* a layer or a container of layers (layer.h) */
typedef struct resattn_attention resattn_attention;         /* an attention module: trunk and mask branches (layer.h) */
typedef struct resattn_network resattn_network;             /* a frozen tree of layers with its parameters (network.h) */
typedef struct resattn_plan resattn_plan;                   /* what a session will compute, and what that takes (session.h) */
typedef struct resattn_session resattn_session;             /* a network bound to a batch, an image size and a purpose (session.h) */
typedef struct resattn_cross_entropy resattn_cross_entropy; /* the class loss with options (train.h) */
typedef struct resattn_optimizer resattn_optimizer;         /* changes parameters by their gradients (train.h) */
typedef struct resattn_schedule resattn_schedule;           /* learning rates by steps (train.h) */
typedef struct resattn_ema resattn_ema;                     /* an exponential moving average of a network's values (train.h) */
typedef struct resattn_mask_loss resattn_mask_loss;         /* the loss of an attention mask against a target (train.h) */
typedef struct resattn_model_config resattn_model_config;   /* a named network with settings (models.h) */
typedef struct resattn_custom resattn_custom;               /* a kind of layer of the host's own (custom.h) */
typedef struct resattn_custom_run resattn_custom_run;       /* one call of such a layer (custom.h) */

/*
 * The version of the headers. A program runs with every library of the same major number
 * (while that is 0, the same minor number too) that is not older than its headers. Since 0.9.
 */
#define RESATTN_VERSION_MAJOR 0
#define RESATTN_VERSION_MINOR 9
#define RESATTN_VERSION_PATCH 0

#ifdef RESATTN_FFI
enum { RESATTN_VERSION = 900, RESATTN_DEFAULT_LEVEL = 6 }; /* for parsers of declarations, which know no macros */
#else
/* The three as one number, in the form of resattn_version(). Since 0.9. */
#define RESATTN_VERSION (RESATTN_VERSION_MAJOR * 10000 + RESATTN_VERSION_MINOR * 100 + RESATTN_VERSION_PATCH)
/* The compression level that most programs want (blob.h). Since 0.9. */
#define RESATTN_DEFAULT_LEVEL 6
#endif

/* The version of the library that is running, as major * 10000 + minor * 100 + patch. Any thread. Since 0.9. */
RESATTN_API int32_t resattn_version(void);

/* The status of the last call that failed in this thread; RESATTN_OK if none has. Since 0.9. */
RESATTN_API resattn_status resattn_last_status(void);

/*
 * What went wrong in the last call that failed in this thread, in English: it names the thing, the value and what was
 * expected. Never NULL, empty if nothing has failed. Borrowed, valid until this thread's next failing call. Since 0.9.
 */
RESATTN_API const char *resattn_last_error(void);

/* Forgets this thread's error: resattn_last_status() is RESATTN_OK again and resattn_last_error() empty. Since 0.9. */
RESATTN_API void resattn_clear_error(void);

/*
 * Records an error of this thread as the library's own functions do, for what a host builds on top of the library and for its
 * callbacks: `message` is copied, cut where it is longer than 500 bytes, and shown on one line; it may be resattn_last_error().
 * Returns `status`; INVALID_ARGUMENT, recorded as well, for RESATTN_OK, a status that this library does not know, and a message
 * that is NULL. Since 0.9.
 */
RESATTN_API resattn_status resattn_fail(resattn_status status, const char *message);

/* A status as a short English text, never NULL, static. Any thread. Since 0.9. */
RESATTN_API const char *resattn_status_text(resattn_status status);

#if defined(__cplusplus) && !defined(RESATTN_FFI)
}
#endif
#endif
