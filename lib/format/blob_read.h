/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Loading a blob: what its parts share.
 */
#ifndef RA_BLOB_READ_H
#define RA_BLOB_READ_H

#include "format/format.h"

/* ---- networks (blob_read.c) ---- */

struct ra_chunk;

/* Who reads what a checkpoint holds beside its network. Both are false with the error recorded. */
typedef struct ra_more {
    /* Reads and ends a chunk that comes behind the tree and is not the network's, if it is one of its own: `*known`. */
    bool (*chunk)(void *user, ra_source *source, resattn_network *network, struct ra_chunk *chunk, bool *known);
    /* When all is there. */
    bool (*finish)(void *user, resattn_network *network);
    void *user;
} ra_more;

/* The network, owned; `more` may be NULL. NULL with the error recorded. */
resattn_network *ra_blob_load(resattn_context *context, const ra_input *input, const ra_more *more);

/* ---- chunks (blob_chunk.c) ---- */

typedef struct ra_chunk {
    char type[5];
    uint64_t at, left; /* where it begins; bytes of the payload that have not been taken */
    uLong crc;
} ra_chunk;

/* Takes the header of a blob, and its incompatible features. All of these: false with the error recorded. */
bool ra_header_read(ra_source *source, uint32_t *features);
/* Takes the head of the next chunk. */
bool ra_chunk_begin(ra_source *source, ra_chunk *chunk);
/* Takes bytes of the payload that are available. */
void ra_chunk_take(ra_source *source, ra_chunk *chunk, size_t size);
/* How much of the payload can be looked at now: at least a byte if any is left. 0 after an error. */
size_t ra_chunk_look(ra_source *source, const ra_chunk *chunk);
/* Takes the rest of the payload and compares the checksum. */
bool ra_chunk_end(ra_source *source, ra_chunk *chunk);
/* Shows the payload of a chunk that is read as a whole, and whether its checksum is right; ra_chunk_end() or
 * ra_chunk_refuse() ends it. */
bool ra_chunk_whole(ra_source *source, ra_chunk *chunk, const char *what, ra_reader *reader, bool *intact);
/* Ends a chunk whose content was refused. True where its checksum is right: the error that was recorded stays. */
bool ra_chunk_pass(ra_source *source, ra_chunk *chunk);
/*
 * Ends a chunk whose content was refused; always false. If the checksum is wrong too, then that is the reason to tell;
 * otherwise the error that was recorded stays, as what the builder and the setters call an argument is damage here.
 */
bool ra_chunk_refuse(ra_source *source, ra_chunk *chunk);

/* Goes over the rest of a chunk unread: its checksum is not compared. */
bool ra_chunk_leave(ra_source *source, ra_chunk *chunk);

/* What the last chunk says, with the source where its payload begins. */
bool ra_done_read(const ra_source *source, ra_reader *reader);

/* ---- tensors (blob_tensors.c) ---- */

/* What a tensor's payload begins with. */
typedef struct ra_tensor_head {
    int32_t type, rank;
    int64_t shape[RA_MAX_RANK];
    const char *name; /* in the payload */
} ra_tensor_head;

enum { RA_TENSOR_MOST_HEAD = RA_CHUNK_TENSOR_FIXED + 8 * RA_MAX_RANK + RA_TENSOR_MAX_NAME + 1 };

/* False with the error recorded. */
bool ra_tensor_head_read(ra_reader *reader, ra_tensor_head *head);
bool ra_tensor_head_fits(const ra_tensor_head *head, const ra_param *param);

/* A parameter of the network, and whether its tensor has been read. */
typedef struct ra_slot {
    ra_param *param;
    bool filled;
} ra_slot;

typedef enum ra_tensor_mode {
    RA_TENSORS_FILL,  /* the network's values are replaced */
    RA_TENSORS_COUNT, /* they are unpacked and forgotten: the network has no memory for them */
    RA_TENSORS_LEAVE  /* only what stands before them is looked at */
} ra_tensor_mode;

typedef struct ra_tensor_loader {
    ra_tensor_mode mode;
    resattn_context *context;
    ra_source *source;
    resattn_network *network;
    ra_slot *slots; /* one for each parameter */
    ra_crew crew;
    ra_unpacker **unpackers; /* one for each lane */
    struct ra_batch *batch;
    unsigned char *planes; /* of a batch */
    size_t planes_size;
    int32_t storage; /* the type of the trained parameters; 0 before the first, -1 if they differ */
} ra_tensor_loader;

/* Once there is a network. False with the error recorded. */
bool ra_tensors_begin(ra_tensor_loader *loader, ra_tensor_mode mode, ra_source *source, resattn_network *network);
/* After all were counted: from here on they fill the network's values, read once more from `source`. */
void ra_tensors_restart(ra_tensor_loader *loader, ra_source *source);
/*
 * Where the network has memory for values: reads as many tensors as follow each other and fit into a batch, by all
 * threads. `*any`: whether there were any, otherwise the next chunk is another one, or too large for a batch, or not in
 * order. False with the error recorded.
 */
bool ra_tensors_read_batch(ra_tensor_loader *loader, bool *any);
/* Reads the payload of a chunk of any size; the caller ends the chunk, or leaves it. */
bool ra_tensors_read(ra_tensor_loader *loader, ra_chunk *chunk);
/* Whether none is missing; then the network knows how it was stored. */
bool ra_tensors_finish(ra_tensor_loader *loader);
void ra_tensors_end(ra_tensor_loader *loader);

#endif
