/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Probes: what a blob, a checkpoint or a safetensors file holds, and what it would need, without loading it.
 *
 * A probe believes as little as loading does, and gives the same errors. It reads the tree, the metadata and what stands before
 * the values of each tensor, and passes over the values: they get no memory, and their checksums are not compared. So a file that is
 * probed with success can still be damaged where its values are.
 */
#ifndef RESATTN_PROBE_H
#define RESATTN_PROBE_H

#include "resattn/blob.h"

#if defined(__cplusplus) && !defined(RESATTN_FFI)
extern "C" {
#endif

/* What a file says of itself. */
typedef struct resattn_probe resattn_probe;

/* What a file is, by its first bytes. */
typedef enum resattn_file_format {
    RESATTN_FORMAT_NONE = 0,
    RESATTN_FORMAT_BLOB = 1,       /* resattn_network_load() */
    RESATTN_FORMAT_CHECKPOINT = 2, /* also a blob; resattn_checkpoint_restore() has the rest */
    RESATTN_FORMAT_SAFETENSORS = 3 /* resattn_network_load_weights(): values without a network */
} resattn_file_format;

/* What resattn_probe_number() knows. */
typedef enum resattn_probe_fact {
    RESATTN_PROBE_NONE = 0,
    RESATTN_PROBE_VERSION = 1,    /* of the blob format */
    RESATTN_PROBE_FILE_BYTES = 2, /* of the whole file */
    RESATTN_PROBE_MEMORY = 3,     /* bytes that loading takes at the most, beside what the caller holds; an estimate from above */
    RESATTN_PROBE_TENSORS = 4,    /* parameters and statistics */
    RESATTN_PROBE_VALUES = 5,     /* numbers in all of them */
    RESATTN_PROBE_TRAINABLE_VALUES = 6,
    RESATTN_PROBE_LAYERS = 7,
    RESATTN_PROBE_ATTENTIONS = 8, /* attention modules */
    RESATTN_PROBE_IN_CHANNELS = 9,
    RESATTN_PROBE_OUT_CHANNELS = 10,
    RESATTN_PROBE_INPUT_HEIGHT = 11, /* 0 where the file does not say */
    RESATTN_PROBE_INPUT_WIDTH = 12,
    RESATTN_PROBE_CLASSES = 13, /* that have names */
    RESATTN_PROBE_STORAGE = 14, /* a resattn_dtype: how the network is stored, or is to be where the file is a checkpoint */
    RESATTN_PROBE_AVERAGE = 15  /* 1 for a checkpoint with an average of the weights */
} resattn_probe_fact;

/*
 * Looks at a file, at a buffer (which must hold the file and nothing more), or at what a callback gives, which is read up to its end.
 * A regular file is read in parts. A build without a JSON library answers UNSUPPORTED for safetensors files.
 * Returns an owned probe, or NULL: the errors of resattn_network_load() and, for safetensors, of resattn_network_load_weights().
 * Since 0.9.
 */
RESATTN_API resattn_probe *resattn_probe_new(resattn_context *context, const char *path);
RESATTN_API resattn_probe *resattn_probe_new_buffer(resattn_context *context, const void *bytes, size_t size);
RESATTN_API resattn_probe *resattn_probe_new_stream(resattn_context *context, resattn_read_fn read, void *user);

/* Frees the probe. Since 0.9. */
RESATTN_API void resattn_probe_free(resattn_probe *probe);

/* What kind of file it is; NONE for NULL. Since 0.9. */
RESATTN_API resattn_file_format resattn_probe_format(const resattn_probe *probe);

/* A fact; 0 where the file has none, for NULL and for an unknown fact. Since 0.9. */
RESATTN_API int64_t resattn_probe_number(const resattn_probe *probe, resattn_probe_fact fact);

/* The optimizer whose state a checkpoint holds: "sgd", "adamw"; NULL for other files, and where a later version wrote it in a way
 * that this one cannot read. Borrowed from the probe, as all texts below. Since 0.9. */
RESATTN_API const char *resattn_probe_optimizer(const resattn_probe *probe);

/* Texts by key, keys and class names by number: as resattn_network_text(), resattn_network_text_key() and
 * resattn_network_class_name() give them. NULL where there is none. Since 0.9. */
RESATTN_API const char *resattn_probe_text(const resattn_probe *probe, const char *key);
RESATTN_API const char *resattn_probe_text_key(const resattn_probe *probe, int32_t index);
RESATTN_API const char *resattn_probe_class_name(const resattn_probe *probe, int32_t index);

/* The tensors, in the order of the network's parameters or of the safetensors file's header: name, rank, and the size of a dimension
 * (from 0). NULL or 0 outside; a safetensors file may have sizes of 0 and tensors of rank 0. Since 0.9. */
RESATTN_API const char *resattn_probe_tensor_name(const resattn_probe *probe, int32_t index);
RESATTN_API int32_t resattn_probe_tensor_rank(const resattn_probe *probe, int32_t index);
RESATTN_API int64_t resattn_probe_tensor_size(const resattn_probe *probe, int32_t index, int32_t dimension);

#if defined(__cplusplus) && !defined(RESATTN_FFI)
}
#endif
#endif
