/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the parts of make_golden share.
 */
#ifndef MAKE_GOLDEN_H
#define MAKE_GOLDEN_H

#include "blob_common.h"
#include "golden_common.h"

/* Ends the program where something that cannot fail has failed. */
#define NEED(condition) make_golden_need((condition), #condition, __FILE__, __LINE__)
void make_golden_need(bool holds, const char *what, const char *file, int line);

/*
 * Writes a file if it is not there yet; a file that is stays as it is. Then loads it, sees that it loads or is refused
 * as it should, and prints its line of the list.
 */
void put_good(const char *name, const void *bytes, size_t size);
void put_bad(const char *name, const void *bytes, size_t size, resattn_status status, const char *words);
void put_bad_blob(const char *name, const blob *b, resattn_status status, const char *words);

/* Numbers that are the same everywhere: variances above 0. */
void fill_network(resattn_network *network);
/* Takes the builder over. */
resattn_network *finish_network(resattn_builder *builder, resattn_layer *root, int32_t channels);
/* Where the zlib stream of a TENS begins in its payload. */
size_t stream_of(const blob_chunk *tensor);
/* A checkpoint after two steps: of a linear layer, behind a batch norm if there is one. AdamW has an average too. */
void *make_checkpoint(bool adamw, bool has_norm, size_t *size);

void make_good(void);
void make_bad(void);
void make_bad_trees(void);

#endif
