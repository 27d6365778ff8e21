/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the tests of weights share: safetensors files by hand, in a folder of their own.
 */
#ifndef TEST_WEIGHTS_COMMON_H
#define TEST_WEIGHTS_COMMON_H

#include "blob_common.h"

/* Fixtures: a context, and an empty folder that is the working directory. Files that a test leaves are removed. */
void weights_set_up(void);
void weights_tear_down(void);
int files_here(void);

/* The file that is put together. */
typedef struct st_file {
    char header[1 << 16];
    unsigned char values[1 << 20];
    size_t length, size;
} st_file;
extern st_file st;

void st_begin(void);
/* Adds a tensor of `bytes` bytes, with a comma where needed. `shape`: as JSON. */
void st_add(const char *name, const char *dtype, const char *shape, const void *values, size_t bytes);
/* The same from floats: converted here, by the definitions of the types. F32, F64, F16, BF16. */
void st_add_floats(const char *name, const char *dtype, const char *shape, const float *values, size_t count);
/* Writes the file as `path`, with the header closed. */
void st_end(const char *path);

/* Writes a file from a header as it stands and a number of bytes of values, all zeros. */
void st_raw(const char *path, const char *header, size_t values);
/* Any bytes. */
void write_bytes(const char *path, const void *bytes, size_t size);
/* All bytes of a file, to be freed. */
unsigned char *read_bytes(const char *path, size_t *size);

/* Adds every parameter of a network, with "prefix" before the names and values that tell where they are. `skip`: a
 * parameter that is left out, or -1. */
void st_add_network(resattn_network *network, const char *prefix, const char *dtype, int32_t skip);
/* What st_add_network() gives parameter `index` at `element`: exact in all types. */
float st_value(int32_t index, int64_t element);
/* Fails the test unless the parameter has those values. */
void check_loaded(resattn_network *network, int32_t index);

/* The values of all parameters, to be freed; and whether they are still the same to the bit. */
float *keep_values(resattn_network *network);
void check_kept(resattn_network *network, const float *kept);

#endif
