/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the fuzz targets share. Each target is a file with LLVMFuzzerTestOneInput(); README.md says how they are run.
 * A target ends the process (FUZZ_CHECK) where the library does what it says it never does.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <resattn/resattn.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

#define FUZZ_CHECK(condition, ...)                                                                                     \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #condition);                                            \
            fprintf(stderr, __VA_ARGS__);                                                                              \
            fprintf(stderr, " [last error: %s]\n", resattn_last_error());                                              \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

/* ---- choices: the bytes of an input, one after the other; zeros when there are no more ---- */

typedef struct fuzz_input {
    const uint8_t *at, *end;
} fuzz_input;

uint32_t fuzz_byte(fuzz_input *in);
uint32_t fuzz_u32(fuzz_input *in);
/* low to high, both included; one byte where that is enough. */
int32_t fuzz_range(fuzz_input *in, int32_t low, int32_t high);
/* Mostly small numbers, now and then one of the extreme ones. */
int32_t fuzz_int(fuzz_input *in);
double fuzz_real(fuzz_input *in);
bool fuzz_chance(fuzz_input *in, uint32_t of_256);

/* A number of a sequence that depends on *state only, -1 to 1: values of parameters and images. */
float fuzz_value(uint64_t *state);

/* ---- memory: contexts whose allocator gives no more than `limit` bytes ---- */

typedef struct fuzz_heap {
    size_t limit, now, most;        /* bytes: the bound, what is out, the most that ever was */
    int64_t blocks, calls, fail_at; /* fail_at: the call that gets nothing, from 1; 0: none */
} fuzz_heap;

/*
 * A share of a context, of 1 or 2 threads, that all inputs use, as a new one takes long to make its first session. What
 * is made from it until the next call counts for `heap`.
 */
resattn_context *fuzz_context_new(fuzz_heap *heap, int32_t threads);
/* A new one, for `*heap`; NULL where that gives nothing. */
resattn_context *fuzz_fresh_context(fuzz_heap **heap, int32_t threads);
/* Takes the share of a context away: nothing may be left of what was made. */
void fuzz_context_end(fuzz_heap *heap, resattn_context *context);

/* A failure must have a status other than INTERNAL, and a message. */
void fuzz_check_failure(resattn_status status);
/* A status that came back. True for OK. */
bool fuzz_ok(resattn_status status);
/* A handle that came back. Returns it. */
void *fuzz_made(void *handle);

/* ---- a kind of layer of the host's (custom.c) ---- */

/* Makes "x-fuzz" known to the context: contexts of fuzz_context_new() have it. */
void fuzz_define_custom(resattn_context *context);
/* Such a layer, which a constructor's errors may keep from being made. */
resattn_layer *fuzz_custom_layer(resattn_builder *builder, const char *name, bool with_instance);

/* ---- blobs (mend.c) ---- */

/* Makes the checksums and lengths of a blob right, wherever there is enough left of it to say which they are. */
void fuzz_mend_blob(uint8_t *bytes, size_t size);
/* A copy in a block of its own, so that a checker sees a read beyond the end, mended or not; freed with free(). */
uint8_t *fuzz_own_blob(const uint8_t *bytes, size_t size, bool mended);

/* A stream of bytes for the library's callbacks. */
typedef struct fuzz_stream {
    const uint8_t *bytes;
    size_t size, at, piece; /* gives at most `piece` bytes at a time, 0: all */
} fuzz_stream;
int64_t fuzz_stream_read(void *stream, void *bytes, size_t size);

typedef struct fuzz_sink {
    uint8_t *bytes;
    size_t size, capacity;
} fuzz_sink;
int32_t fuzz_sink_write(void *sink, const void *bytes, size_t size);

/* ---- networks (use.c, grow.c) ---- */

/* Reads all that can be asked of a network, and runs it where that costs little: forward, and with `train` a step. */
void fuzz_use(resattn_network *network, fuzz_input *in, bool train);
/* Saves and loads; what comes back must save to the same bytes. */
void fuzz_save_and_load(resattn_network *network, int32_t level);
/* The same layers, names, attributes, parameters (to the bit, unless `rounded`), texts. */
void fuzz_check_same(resattn_network *a, resattn_network *b, bool rounded);
/* Whether a session of the plan is small: no more than this is run. */
bool fuzz_is_small(const resattn_plan *plan, int32_t batch);

/* A random tree of layers that fit together, most of the time; NULL after an error. */
resattn_layer *fuzz_grow(fuzz_input *in, resattn_builder *builder, int32_t in_channels);
/* A name for a layer or a text: one of a few, bytes of the input, NULL. Borrowed until the next four calls. */
const char *fuzz_name(fuzz_input *in);

/* ---- files (file.c) ---- */

/* Writes the bytes to a file of this process and returns its path, the same each time. */
const char *fuzz_file(const void *bytes, size_t size);

#endif
