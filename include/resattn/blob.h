/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Blobs: a network in one compressed, checksummed stream of bytes: the tree of layers, parameters, statistics, class names,
 * input size, mean and deviation, texts. docs/format.md describes the bytes.
 *
 * Loading believes nothing: whatever the bytes, it gives a whole network or a clear error. It takes memory only as bytes
 * arrive that could fill it, and looks through the whole of a blob first that is as small as one of zeros. Limits of the context
 * (resattn_context_set_limit()) say what may be asked for at all; resattn/probe.h looks at a blob without loading it.
 */
#ifndef RESATTN_BLOB_H
#define RESATTN_BLOB_H

#include "resattn/network.h"

#if defined(__cplusplus) && !defined(RESATTN_FFI)
extern "C" {
#endif

/* Takes `size` bytes; returns 0, or anything else for failure. Not called again after a failure. */
typedef int32_t (*resattn_write_fn)(void *user, const void *bytes, size_t size);

/* Gives up to `size` bytes; returns how many, 0 at the end, or a negative number for failure. */
typedef int64_t (*resattn_read_fn)(void *user, void *bytes, size_t size);

/*
 * Saves a network, compressed at `level` (0: not at all, 9: most; from 7 on it takes ten times as long, for little). The same
 * network and level give the same bytes, for one version of zlib. To a file: written beside `path`, flushed to the disk and
 * renamed over it, so that at every moment `path` is the old file or the whole new one. To a buffer: `*bytes` is owned by the
 * caller, freed with resattn_buffer_free(), and NULL, `*size` 0, after every failure. To a callback: in order, in pieces of any size.
 * Errors: INVALID_ARGUMENT, OUT_OF_MEMORY, IO_ERROR with the system's reason, BUSY while the network is being trained, TOO_LARGE
 * for more layers or texts, or longer ones, than a blob takes (docs/format.md).
 * Since 0.9.
 */
RESATTN_API resattn_status resattn_network_save(resattn_network *network, const char *path, int32_t level);
RESATTN_API resattn_status resattn_network_save_buffer(resattn_network *network, int32_t level, void **bytes,
                                                       size_t *size);
RESATTN_API resattn_status resattn_network_save_stream(resattn_network *network, int32_t level, resattn_write_fn write,
                                                       void *user);

/*
 * Frees the bytes that resattn_network_save_buffer() gave, the address as it was; NULL is accepted. They hold a share of the
 * network's context until then. Any thread. Since 0.9.
 */
RESATTN_API void resattn_buffer_free(void *bytes);

/*
 * Loads a network from a file, from a buffer (which must hold the blob and nothing more) or from a callback, which is read up
 * to its end. Returns an owned network, or NULL: INVALID_ARGUMENT, NOT_FOUND (no such file), IO_ERROR, BAD_FORMAT for what is
 * no blob or a damaged one, UNSUPPORTED for one of a later version or with layers that neither this library knows nor the
 * context (custom.h), TOO_LARGE over a limit, OUT_OF_MEMORY. A load callback may answer otherwise. Since 0.9.
 */
RESATTN_API resattn_network *resattn_network_load(resattn_context *context, const char *path);
RESATTN_API resattn_network *resattn_network_load_buffer(resattn_context *context, const void *bytes, size_t size);
RESATTN_API resattn_network *resattn_network_load_stream(resattn_context *context, resattn_read_fn read, void *user);

#if defined(__cplusplus) && !defined(RESATTN_FFI)
}
#endif
#endif
