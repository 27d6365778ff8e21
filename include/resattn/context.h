/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The context: threads, memory, messages and the seed that everything made from it shares.
 */
#ifndef RESATTN_CONTEXT_H
#define RESATTN_CONTEXT_H

#include "resattn/common.h"

#if defined(__cplusplus) && !defined(RESATTN_FFI)
extern "C" {
#endif

/*
 * Gives at least `size` bytes (never 0) aligned as malloc aligns, or NULL. May be called from any thread that calls the
 * library, never by the library's own threads.
 */
typedef void *(*resattn_alloc_fn)(void *user, size_t size);

/* Takes back what the alloc function gave; never called with NULL. */
typedef void (*resattn_free_fn)(void *user, void *memory);

/* How much a message matters. */
typedef enum resattn_log_level {
    RESATTN_LOG_ERROR = 1,
    RESATTN_LOG_WARNING = 2,
    RESATTN_LOG_INFO = 3
} resattn_log_level;

/* Receives a message: one line, no newline, borrowed for the call. Must not call back into the library. */
typedef void (*resattn_log_fn)(void *user, resattn_log_level level, const char *message);

/* One piece of a parallel job: piece `index`, run by the worker numbered `worker`. */
typedef void (*resattn_task_fn)(void *job, int32_t index, int32_t worker);

/*
 * A host's thread pool. Must call task(job, i, w) exactly once for each i in 0 .. count-1, in any order, on any threads,
 * and return when all have ended. Two calls that run at the same time within one job must have different w, and
 * 0 <= w < the number of workers given to resattn_context_set_runner(). May be called by several threads at once if
 * several threads run sessions of the context.
 */
typedef void (*resattn_runner_fn)(void *user, resattn_task_fn task, void *job, int32_t count);

/* What resattn_process_init() may do. */
typedef enum resattn_process_flag {
    RESATTN_PROCESS_DEFAULT = 0,
    RESATTN_PROCESS_LEAVE_BLIS = 1 /* never choose BLIS's kernels, take what BLIS chooses */
} resattn_process_flag;

/*
 * Prepares the process, once; later calls have no effect. Optional. BLIS fixes its choice of kernels at its first use,
 * and some versions do not know recent CPUs and fall back to slow ones. The library can correct that only by setting the
 * environment variable BLIS_ARCH_TYPE for a moment (never if it is set already). The first resattn_context_new() does so
 * by itself where the C library says that the process has only one thread. A host that has already started threads calls
 * this at a time when no other thread reads or writes the environment.
 * flags: a sum of resattn_process_flag. Errors: INVALID_ARGUMENT. Since 0.9.
 */
RESATTN_API resattn_status resattn_process_init(int32_t flags);

/*
 * Facts about the library and this machine, as text: "version", "cpu", "cpu.features", "cpu.level", "blis.version",
 * "blis.variant", "blis.family", "blis.reason" (why this family is in use), "zlib.version".
 * Returns a borrowed static string, or NULL for an unknown key. Uses BLIS, so see resattn_process_init(). Any thread.
 * Since 0.9.
 */
RESATTN_API const char *resattn_info(const char *key);

/*
 * Makes a context with `threads` threads including the caller's (1 to 1024); 0 takes as many as this process may use
 * CPUs. Results do not depend on the number, to the bit. Fewer are used if the system cannot start them.
 * Threads do not survive fork(): in a child process, making a session of the parent's context, going forward or backward and an
 * optimizer's step answer WRONG_STATE, where the parent has started threads (with the first session); freeing, saving and loading
 * work. A child makes a context of its own.
 * Returns an owned context, or NULL: OUT_OF_MEMORY, INVALID_ARGUMENT. Since 0.9.
 */
RESATTN_API resattn_context *resattn_context_new(int32_t threads);

/*
 * The same with the host's allocator for all memory of the context and of everything made from it, except what BLIS and
 * the C library take for themselves. The functions and `user` must stay valid until the last object is gone. Since 0.9.
 */
RESATTN_API resattn_context *resattn_context_new_with_allocator(int32_t threads, resattn_alloc_fn alloc,
                                                                resattn_free_fn free, void *user);

/* Adds an owner; returns its argument. Any thread. Since 0.9. */
RESATTN_API resattn_context *resattn_context_ref(resattn_context *context);

/* Takes an owner away. What was made from the context keeps it alive. Any thread. Since 0.9. */
RESATTN_API void resattn_context_unref(resattn_context *context);

/* How many workers share the work. Since 0.9. */
RESATTN_API int32_t resattn_context_threads(const resattn_context *context);

/*
 * Sends messages of `level` and more important ones to `log`; NULL silences them, as is the default. Call before the
 * context is shared. Errors: INVALID_ARGUMENT. Since 0.9.
 */
RESATTN_API resattn_status resattn_context_set_log(resattn_context *context, resattn_log_fn log, void *user,
                                                   resattn_log_level level);

/*
 * Runs all work on the host's threads, at most `workers` at a time (1 to 1024), instead of the context's own; NULL goes
 * back to those. Errors: INVALID_ARGUMENT; WRONG_STATE while a session of the context exists. Since 0.9.
 */
RESATTN_API resattn_status resattn_context_set_runner(resattn_context *context, resattn_runner_fn runner, void *user,
                                                      int32_t workers);

/*
 * The seed of everything random made from the context from now on: networks take it for their initial weights and sessions for
 * dropout when they are made, and keep it (resattn_session_set_seed()). 0 at first, so that two runs of a program agree. Not while
 * another thread makes a network or a session of the context. Errors: INVALID_ARGUMENT. Since 0.9.
 */
RESATTN_API resattn_status resattn_context_set_seed(resattn_context *context, uint64_t seed);

/* What it is, 0 for NULL. Since 0.9. */
RESATTN_API uint64_t resattn_context_seed(const resattn_context *context);

/*
 * Multiply-adds a second that the library's fastest kernel reaches on this machine with all the context's threads and all data in
 * the nearest cache: what a layer's rate (resattn_session_operation_seconds()) is to be compared with. Measured at each call, for
 * some milliseconds. -1 after an error: INVALID_ARGUMENT, OUT_OF_MEMORY, WRONG_STATE after fork(). Since 0.9.
 */
RESATTN_API double resattn_context_peak(resattn_context *context);

/*
 * What the context refuses with TOO_LARGE, in a message that names the limit, its value and what was asked for: memory of
 * everything made from it, and what files may hold (blobs, checkpoints, safetensors). docs/security.md has the table of
 * initial and largest values; the initial ones are made for files of strangers.
 */
typedef enum resattn_limit {
    RESATTN_LIMIT_NONE = 0,
    RESATTN_LIMIT_MEMORY = 1,     /* bytes that the allocator has given for the context at any time; at first none */
    RESATTN_LIMIT_PARAMETERS = 2, /* bytes of all parameters of a file, as float32 */
    RESATTN_LIMIT_TENSORS = 3,    /* of a file */
    RESATTN_LIMIT_ELEMENTS = 4,   /* of a tensor */
    RESATTN_LIMIT_RANK = 5,       /* dimensions of a tensor of a safetensors file */
    RESATTN_LIMIT_NAME = 6,       /* bytes of a layer's name, a text's key, a safetensors name */
    RESATTN_LIMIT_DEPTH = 7,      /* layers inside each other */
    RESATTN_LIMIT_LAYERS = 8,     /* of a tree */
    RESATTN_LIMIT_TEXTS = 9,      /* beside a network */
    RESATTN_LIMIT_TEXT = 10,      /* bytes of a text's value, of a class name */
    RESATTN_LIMIT_CLASSES = 11,   /* names of classes */
    RESATTN_LIMIT_CHUNK = 12,     /* bytes of a blob's chunk that is no tensor: tree, class names, state of a training */
    RESATTN_LIMIT_HEADER = 13,    /* bytes of a safetensors file's header */
    RESATTN_LIMIT_INFLATION = 14  /* bytes of parameters, as float32, for each byte that follows the tree of a blob */
} resattn_limit;

/*
 * Sets a limit; 0 goes back to the initial value. What was made before stays, above a new limit too. Call before the context
 * is shared. Errors: INVALID_ARGUMENT for an unknown limit, a negative value, and one above the largest. Since 0.9.
 */
RESATTN_API resattn_status resattn_context_set_limit(resattn_context *context, resattn_limit limit, int64_t value);

/* The value of a limit; 0 for NULL and an unknown one. Since 0.9. */
RESATTN_API int64_t resattn_context_limit(const resattn_context *context, resattn_limit limit);

#if defined(__cplusplus) && !defined(RESATTN_FFI)
}
#endif
#endif
