/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * safetensors files: the length of a header as a u64, the header, which is a JSON object of tensors by name, and the
 * values of the tensors. docs/weights.md says how they become a network's.
 */
#ifndef RA_SAFETENSORS_H
#define RA_SAFETENSORS_H

#include "format/blob_write.h"
#include "resattn/weights.h"

/* Bytes of memory that the JSON library may need for a byte of a header, and for the first ones. A header as it should
 * be takes half of that; one of nothing but empty lists would take more. */
#define RA_JSON_MOST  40
#define RA_JSON_FIXED (1 << 16)

/* ---- reading a header (safetensors_header.c) ---- */

typedef struct ra_safetensor {
    const char *name;  /* in the file */
    const char *dtype; /* as the file calls it */
    int32_t type;      /* of numbers that can be converted, 0 for others */
    bool integer;
    int32_t rank;
    const int64_t *shape;
    int64_t elements;
    uint64_t begin, end; /* of its values, from the end of the header on */
} ra_safetensor;

typedef struct ra_safetensors {
    resattn_context *context;
    const unsigned char *bytes; /* the whole file in memory, or NULL: */
    int descriptor;             /* -1: none */
    uint64_t size;            /* of all */
    uint64_t data, data_size; /* where the values begin in the file, how many bytes they have */
    void *json;               /* owns the names */
    ra_safetensor *tensors;   /* in the header's order */
    int32_t count;
    int64_t *sizes; /* all shapes */
} ra_safetensors;

/*
 * Opens a file and reads its header. Every tensor's values then are bytes of the file, as many as its shape and dtype
 * need, and of no other tensor. False with the error recorded.
 */
bool ra_safetensors_open(ra_safetensors *file, resattn_context *context, const ra_input *input);
/* The same for a file that a source gives, whose values are passed over. `file` has a context and no descriptor. */
bool ra_safetensors_read(ra_safetensors *file, ra_source *source);
/* As ra_file_read_at(), for any thread. */
int ra_safetensors_read_at(const ra_safetensors *file, uint64_t offset, void *bytes, size_t size);
void ra_safetensors_close(ra_safetensors *file);

/* ---- lists of differences (weights_report.c) ---- */

resattn_weights_report *ra_report_new(resattn_context *context);
/* Adds a difference, whose text is the name and what the format gives. `fatal`: loading fails because of it. False with
 * the error recorded. */
bool ra_report_add(resattn_weights_report *report, resattn_weights_problem problem, bool fatal, const char *name,
                   const char *format, ...) RA_PRINTF(5, 6);
/* Records an error that sums up the fatal differences. OK if there are none. */
resattn_status ra_report_fail(const resattn_weights_report *report);

/* ---- what weights.c calls after it has looked at the arguments (safetensors_load.c, _save.c, or _none.c) ---- */

/* With the network taken; from a file or a buffer. `*report` is always set: NULL unless the file could be compared with
 * the network. */
resattn_status ra_safetensors_load(resattn_network *network, const ra_input *input, const char *prefix, int32_t flags,
                                   resattn_weights_report **report);
/* Errors of a file begin with its path. */
resattn_status ra_safetensors_save(resattn_network *network, resattn_dtype type, const ra_target *target);

#endif
