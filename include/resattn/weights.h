/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Weights to and from other programs, as safetensors files or the bytes of such: parameters and statistics by name. What else belongs to a model (its
 * layers, class names, normalisation) is in blobs only (blob.h).
 *
 * A build without a JSON library has these functions too; they answer UNSUPPORTED. That library takes its memory from malloc(),
 * not from the context's allocator, while a file's header is read.
 */
#ifndef RESATTN_WEIGHTS_H
#define RESATTN_WEIGHTS_H

#include "resattn/blob.h"

#if defined(__cplusplus) && !defined(RESATTN_FFI)
extern "C" {
#endif

/* What loading weights lets pass; a sum of these. */
typedef enum resattn_weights_flag {
    RESATTN_WEIGHTS_STRICT = 0,  /* every parameter and statistic exactly once, nothing else */
    RESATTN_WEIGHTS_LENIENT = 1, /* parameters that are missing keep their values, tensors that nobody wants are passed over */
    RESATTN_WEIGHTS_NEW_HEAD = 2 /* parameters of the last layer that has any keep their values where the shapes differ */
} resattn_weights_flag;

/* What differed between a file and a network. */
typedef enum resattn_weights_problem {
    RESATTN_WEIGHTS_NONE = 0,
    RESATTN_WEIGHTS_MISSING = 1,    /* a parameter that the file does not have */
    RESATTN_WEIGHTS_UNEXPECTED = 2, /* a tensor that the network does not have */
    RESATTN_WEIGHTS_WRONG_SHAPE = 3
} resattn_weights_problem;

/* A list of what differed. */
typedef struct resattn_weights_report resattn_weights_report;

/*
 * Loads a safetensors file's F32, F64, F16 and BF16 tensors into the parameters and statistics of the same names. Tensors called
 * `num_batches_tracked` of integer type are passed over. `prefix` (may be NULL) is taken off the front of the file's names where they have it.
 * flags: a sum of resattn_weights_flag. Where `report` is not NULL, `*report` gets a list of all that differed, owned by the
 * caller, also when loading fails because of that (NULL when it fails for another reason).
 * All or nothing: after a failure the network is as it was. Errors: INVALID_ARGUMENT, NOT_FOUND (no such file), IO_ERROR, BAD_FORMAT,
 * SHAPE_MISMATCH for what the flags do not let pass, BUSY, TOO_LARGE, OUT_OF_MEMORY, UNSUPPORTED. Since 0.9.
 */
RESATTN_API resattn_status resattn_network_load_weights(resattn_network *network, const char *path, const char *prefix,
                                                        int32_t flags, resattn_weights_report **report);

/* The same from memory that holds such a file and nothing more. Since 0.9. */
RESATTN_API resattn_status resattn_network_load_weights_buffer(resattn_network *network, const void *bytes, size_t size,
                                                               const char *prefix, int32_t flags,
                                                               resattn_weights_report **report);

/*
 * Saves all parameters and statistics to a safetensors file, as whole as resattn_network_save() does; the trained parameters as
 * numbers of `type`, statistics always as F32. Errors: INVALID_ARGUMENT, OUT_OF_MEMORY, IO_ERROR, BUSY, TOO_LARGE (names that make a
 * header of more than 100 MB), UNSUPPORTED. Since 0.9.
 */
RESATTN_API resattn_status resattn_network_save_weights(resattn_network *network, const char *path,
                                                        resattn_dtype type);

/* The same bytes to memory, which the caller owns, or to a callback in order, as resattn_network_save_buffer() and
 * resattn_network_save_stream() do with a blob. Since 0.9. */
RESATTN_API resattn_status resattn_network_save_weights_buffer(resattn_network *network, resattn_dtype type,
                                                               void **bytes, size_t *size);
RESATTN_API resattn_status resattn_network_save_weights_stream(resattn_network *network, resattn_dtype type,
                                                               resattn_write_fn write, void *user);

/* How many differences, and of each: what it is, the name, and a sentence. NULL or 0 outside; borrowed from the report. Since 0.9. */
RESATTN_API int32_t resattn_weights_report_count(const resattn_weights_report *report);
RESATTN_API resattn_weights_problem resattn_weights_report_problem(const resattn_weights_report *report, int32_t index);
RESATTN_API const char *resattn_weights_report_name(const resattn_weights_report *report, int32_t index);
RESATTN_API const char *resattn_weights_report_text(const resattn_weights_report *report, int32_t index);

/* Frees the report. Since 0.9. */
RESATTN_API void resattn_weights_report_free(resattn_weights_report *report);

#if defined(__cplusplus) && !defined(RESATTN_FFI)
}
#endif
#endif
