/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Files: the blob's constants and limits, and the parts that reading and writing share. docs/format.md describes the
 * blob's bytes. Uses: core, tensor, layers, network, train, zlib, and in the safetensors_*.c jansson.
 */
#ifndef RA_FORMAT_H
#define RA_FORMAT_H

#define ZLIB_CONST
#include <zlib.h>

#include "core/core.h"
#include "layers/layer.h"
#include "network/network.h"
#include "resattn/blob.h"

/* ---- constants ---- */

#define RA_BLOB_VERSION 1
#define RA_BLOB_MAGIC   "\x89RAN\r\n\x1A\n" /* 8 bytes; shows what PNG's shows: 7-bit channels, changed line ends */

enum {
    RA_BLOB_MAGIC_SIZE = 8,
    RA_BLOB_HEADER_SIZE = 24,
    RA_CHUNK_HEAD_SIZE = 12, /* type, length */
    RA_CHUNK_CRC_SIZE = 4,
    RA_CHUNK_DONE_SIZE = RA_CHUNK_HEAD_SIZE + 8 + RA_CHUNK_CRC_SIZE,
    RA_CHUNK_TENSOR_FIXED = 4, /* element type, encoding, rank, 0 */
    RA_BLOB_PLANES = 1,        /* the encoding: planes of bytes, zlib */
    RA_BLOB_WHOLE_PATH = 1,    /* flag of a layer: its name is its whole path */
    RA_BLOB_INSTANCE = 2,      /* flag of a layer: bytes of the host's own follow its attributes */
    RA_BLOB_HAS_INSTANCES = 1, /* incompatible feature: there are such layers */
    RA_LAYER_LEAST_SIZE = 14   /* bytes of the smallest layer: kind of 3 letters, flags, no name, two counts */
};

#define RA_TENSOR_MAX_NAME   (RA_MAX_NAME + 64) /* a path and what a parameter is called */
#define RA_BLOB_MAX_INSTANCE (1 << 24)          /* bytes of the host's own that a layer has */

/* Memory of more than this for each byte that is there is only for values that have been unpacked once: trained weights
 * need a hundredth of it, and what a file that is refused can ask for is bounded by it. */
#define RA_INFLATE_TRUSTED 256

/* How many bytes of tensors, packed and unpacked, are in memory at a time to be worked on in parallel. A larger tensor
 * is taken by itself, in pieces. */
#define RA_BATCH_BYTES ((size_t)32 << 20)

/* ---- bytes to write (bytes.c) ---- */

/* A growing array. After a failed allocation (recorded) it stays as it is and `failed` is set: look once, at the end.
 */
typedef struct ra_bytes {
    resattn_context *context;
    unsigned char *data;
    size_t size, capacity;
    bool failed;
} ra_bytes;

/* Makes room for `size` more bytes; returns where they go (the caller adds to `size`), NULL after a failure. */
unsigned char *ra_bytes_room(ra_bytes *bytes, size_t size);
void ra_bytes_put(ra_bytes *bytes, const void *data, size_t size);
void ra_bytes_put_u8(ra_bytes *bytes, uint32_t value);
void ra_bytes_put_u32(ra_bytes *bytes, uint32_t value);
void ra_bytes_put_u64(ra_bytes *bytes, uint64_t value);
void ra_bytes_put_f32(ra_bytes *bytes, float value);
void ra_bytes_put_f64(ra_bytes *bytes, double value);
void ra_bytes_put_text(ra_bytes *bytes, const char *text); /* with its zero byte; NULL: the empty text */

void ra_store_u32(unsigned char *target, uint32_t value);
void ra_store_u64(unsigned char *target, uint64_t value);
uint32_t ra_load_u32(const unsigned char *bytes);
uint64_t ra_load_u64(const unsigned char *bytes);

/* ---- bytes that were read (bytes.c) ---- */

/* Takes values from a range. Past its end it gives zeros, records "damaged: `what` ends too early" and sets `failed`.
 */
typedef struct ra_reader {
    const unsigned char *at, *end;
    const char *what;
    bool failed;
} ra_reader;

uint32_t ra_read_u8(ra_reader *reader);
uint32_t ra_read_u32(ra_reader *reader);
uint64_t ra_read_u64(ra_reader *reader);
/* `size` bytes that lie in the range; NULL after a failure. */
const void *ra_read_bytes(ra_reader *reader, size_t size);
float ra_read_f32(ra_reader *reader);
double ra_read_f64(ra_reader *reader);
/* A text that lies in the range: UTF-8 of at most `most` bytes, with its zero byte. NULL after a failure. */
const char *ra_read_text(ra_reader *reader, size_t most);
/* The same with a limit of the context's in the place of `most`. */
const char *ra_read_text_within(ra_reader *reader, const resattn_context *context, resattn_limit limit);
/* Whether all was read and nothing failed; records what was left over. */
bool ra_read_all(ra_reader *reader);

/* ---- where a blob comes from (source.c) ---- */

/* What a public function was given to read from: a file, a buffer or a callback. */
typedef struct ra_input {
    const char *form; /* "path", "buffer", "callback": which of these it is */
    const char *path;
    const void *bytes;
    size_t size;
    resattn_read_fn read;
    void *user;
} ra_input;

/* Bytes of a buffer of the caller's, or those that `read` gives, read ahead as far as somebody needs them. */
typedef struct ra_source {
    resattn_context *context;
    const char *path; /* NULL: no file */
    int descriptor;
    resattn_read_fn read; /* NULL: the caller's buffer */
    /* Goes on by up to `size` bytes without reading them: by how many. NULL: cannot. */
    uint64_t (*skip)(void *user, uint64_t size);
    void *user;
    unsigned char *memory; /* read ahead, `capacity` bytes */
    size_t capacity;
    const unsigned char *data; /* the next bytes, `available` of them */
    size_t available;
    uint64_t position; /* of data[0] in the blob */
    bool ended;        /* `read` has nothing more */
} ra_source;

/* False with the error recorded, which begins with `what` where an argument is NULL. The source must stay where it is.
 */
bool ra_source_open(ra_source *source, resattn_context *context, const ra_input *input, const char *what);
/* Frees what it holds, and puts the file's name before the error where something failed; returns `ok`. */
bool ra_source_close(ra_source *source, bool ok);
/* Sees to it that `size` bytes are available at once. Memory grows only as bytes arrive. False with the error recorded;
 * what `what` was about to be read is named where the source ends before. */
bool ra_source_need(ra_source *source, size_t size, const char *what);
void ra_source_skip(ra_source *source, size_t size);
/* Whether `size` bytes are there, once as many were read as can be. Too few are no error; `*failed`: an error recorded.
 */
bool ra_source_has(ra_source *source, size_t size, bool *failed);
/* Skips bytes that need not be available, unread where the source allows that. False with the error recorded. */
bool ra_source_pass(ra_source *source, uint64_t size, const char *what);
/* The same up to the end. */
bool ra_source_pass_all(ra_source *source);
/* Whether nothing is left: false with the error recorded otherwise. */
bool ra_source_at_end(ra_source *source);

/* ---- files (file.c) ---- */

/* A resattn_read_fn and resattn_write_fn on the descriptor that `user` points to. They record errors. */
int64_t ra_file_read(void *user, void *bytes, size_t size);
/* For ra_source.skip: 0 for a pipe. */
uint64_t ra_file_skip(void *user, uint64_t size);
int32_t ra_file_write(void *user, const void *bytes, size_t size);
/* Opens for reading; -1 with the error recorded. */
int ra_file_open(const char *path);
/* The size of a file, which must not be a pipe: false with the error recorded. */
bool ra_file_size(int descriptor, uint64_t *size);
/* Reads `size` bytes at `offset`: 0, an errno, or -1 where the file ends before. Records nothing: see ra_file_fail().
 */
int ra_file_read_at(int descriptor, uint64_t offset, void *bytes, size_t size);
/* Records what ra_file_read_at() answered. */
resattn_status ra_file_fail(int answer);
void ra_file_close(int descriptor);

/* Replaces the file at `path` by what `produce` writes to the descriptor: all or nothing. */
typedef resattn_status (*ra_produce_fn)(void *user, int *descriptor);
resattn_status ra_file_replace(resattn_context *context, const char *path, ra_produce_fn produce, void *user);

/* ---- types of numbers (numbers.c) ---- */

/* A resattn_dtype, whose values are also the blob's element types, or this one, which is only read. */
enum { RA_NUMBER_F64 = 4 };

/* Bytes of a number. */
size_t ra_number_size(int32_t type);

/*
 * Between numbers of a type, little-endian and not aligned, and the bits of floats. Wider to narrower rounds to
 * nearest, ties to even; what is too large becomes infinite, a NaN keeps its sign and the upper bits of its payload.
 * Integer arithmetic throughout: the floating-point mode does not matter.
 */
void ra_numbers_widen(int32_t type, const unsigned char *bytes, int64_t count, uint32_t *bits);
void ra_numbers_narrow(int32_t type, const uint32_t *bits, int64_t count, unsigned char *bytes);

/* ---- elements in logical order (order.c) ---- */

/*
 * Elements first .. first + count - 1 of a parameter in row-major order of its logical shape, to and from a network's
 * memory, which is channels-last without gaps.
 */
void ra_order_get(const resattn_tensor *tensor, int64_t first, int64_t count, uint32_t *bits);
void ra_order_put(resattn_tensor *tensor, int64_t first, int64_t count, const uint32_t *bits);

/* "64x3x7x7" */
void ra_print_shape(char *text, size_t size, int32_t rank, const int64_t *shape);

/* How many elements are converted and put in order at a time: they stay in the innermost cache. */
#define RA_BLOCK 2048

/* ---- threads (crew.c) ---- */

/*
 * The context's threads, for as long as a file is read or written. Work is cut into tasks by the file alone; a lane is
 * a thread at work, with buffers and zlib streams of its own.
 */
typedef struct ra_crew {
    resattn_context *context;
    int32_t lanes; /* 1 or more */
    bool open;
} ra_crew;

/* `bytes`: how many there are to work on; few are not worth starting threads. False with the error recorded. */
bool ra_crew_begin(ra_crew *crew, resattn_context *context, uint64_t bytes);
/* Calls task(job, index, lane) once for each index 0 .. count-1, started in this order. */
void ra_crew_run(ra_crew *crew, resattn_task_fn task, void *job, int32_t count);
/* Accepts a crew of zeros. */
void ra_crew_end(ra_crew *crew);

/* ---- the values of a tensor (pack.c, unpack.c) ---- */

/*
 * The bytes of each number, in planes: first the least significant bytes of all elements in logical order (row-major),
 * then the next ones. The bytes of a plane are alike, so zlib finds more in them. All planes together are one zlib
 * stream.
 */
typedef struct ra_packer ra_packer;
ra_packer *ra_packer_new(resattn_context *context, int32_t level);
/* The most bytes that ra_pack() needs for a tensor of a type. False if too large, recorded. */
bool ra_pack_bound(ra_packer *packer, const resattn_tensor *tensor, int32_t type, size_t *bytes);
/* Packs into `target`, `bound` bytes; how many of them it took, or 0 if zlib failed. Allocates and records nothing. */
size_t ra_pack(ra_packer *packer, const resattn_tensor *tensor, int32_t type, unsigned char *target, size_t bound);
void ra_packer_free(ra_packer *packer);

typedef struct ra_unpacker ra_unpacker;
ra_unpacker *ra_unpacker_new(resattn_context *context);
/* Begin, any number of pieces, end: for values that are not all in memory. The tensor is 0 before. False with the error
 * recorded. */
bool ra_unpack_begin(ra_unpacker *unpacker, resattn_tensor *tensor, int32_t type);
/* The same for values that are only counted, not kept. */
bool ra_unpack_begin_count(ra_unpacker *unpacker, int64_t elements, int32_t type);
bool ra_unpack(ra_unpacker *unpacker, const unsigned char *bytes, size_t size);
bool ra_unpack_end(ra_unpacker *unpacker);
/*
 * All at once, with memory for the planes (element size times elements, less than 2^30 bytes). Allocates and records
 * nothing; false, and the tensor unchanged, unless all was in order.
 */
bool ra_unpack_whole(ra_unpacker *unpacker, resattn_tensor *tensor, int32_t type, const unsigned char *bytes,
                     size_t size, unsigned char *planes);
void ra_unpacker_free(ra_unpacker *unpacker);

/* ---- the layer tree (tree.c) ---- */

/* `features`: the blob's incompatible features that the tree asks for. */
bool ra_tree_write(const resattn_network *network, ra_bytes *target, uint32_t *features);
/* Builds the tree in `builder`; returns the root, or NULL with the error recorded. `features` are the header's. */
resattn_layer *ra_tree_read(ra_reader *reader, resattn_builder *builder, uint32_t features, int32_t *in_channels);
/*
 * The least number of bytes that must follow a tree: its normalization, all its tensors, the end. Call after
 * ra_infer(). It bounds what a tree can make us allocate by bytes that are there. False with the error recorded.
 */
bool ra_tree_least_rest(const resattn_layer *root, size_t *bytes);

#endif
