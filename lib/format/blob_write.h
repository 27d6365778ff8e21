/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Saving a blob: what its parts share.
 */
#ifndef RA_BLOB_WRITE_H
#define RA_BLOB_WRITE_H

#include "format/format.h"

/* Values that go into a chunk of their own, under the name of a parameter and with its shape. */
typedef struct ra_stored {
    const char *chunk; /* its type */
    const ra_param *param;
    float *values; /* in the order of the parameter's */
    int32_t type;  /* of numbers in the file */
    int32_t state; /* in front of the rest of the payload; -1: none */
} ra_stored;

/* What a public function was given to write to: a file that is replaced, memory that the caller will own, a callback.
 */
typedef struct ra_target {
    const char *form; /* "path", "buffer", "callback": which of these it is */
    const char *path;
    void **bytes;
    size_t *size;
    resattn_write_fn write;
    void *user;
} ra_target;

typedef struct ra_writer ra_writer;
struct ra_writer {
    resattn_network *network;
    int32_t level;
    /* Writes everything: ra_write_blob(), or of a file of weights. */
    resattn_status (*produce)(ra_writer *writer);
    resattn_write_fn write;
    void *user;
    bool own_sink; /* `write` is the library's own and records what went wrong */
    bool exact;    /* all numbers as F32, whatever the network's storage says */
    /* What follows the network's own chunks, or NULL; its user is `more_user`. */
    bool (*more)(ra_writer *writer);
    const void *more_user;
    uint64_t total;
    ra_bytes chunk;
};

/* A chunk that is put together in memory. False with the error recorded. */
ra_bytes *ra_write_begin(ra_writer *writer, const char *type);
bool ra_write_end(ra_writer *writer);
/* Hands bytes on. */
bool ra_write_out(ra_writer *writer, const void *bytes, size_t size);
uint32_t ra_write_crc(const unsigned char *bytes, size_t size);

/* Packs values by all threads, a batch at a time, and writes their chunks (blob_pack.c). The bytes do not depend on how
 * many threads there are. */
bool ra_write_stored(ra_writer *writer, const ra_stored *stored, int32_t count);

/* The whole blob to writer->write: for `produce`. */
resattn_status ra_write_blob(ra_writer *writer);

/* Whether network, level and target are good, with the error recorded if not, which begins with `what`. */
bool ra_may_write(const char *what, const resattn_network *network, int32_t level, const ra_target *target);
/* Produces all to the target, with the network shared for reading; `what` is refused where that cannot be. */
resattn_status ra_write(ra_writer *writer, const ra_target *target, const char *what);

#endif
