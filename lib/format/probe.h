/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Probes: what was found in a file.
 */
#ifndef RA_PROBE_H
#define RA_PROBE_H

#include "format/safetensors.h"
#include "resattn/probe.h"

struct resattn_probe {
    resattn_context *context; /* a share */
    resattn_file_format format;
    uint64_t bytes; /* of the file */
    /* Of a blob. */
    int32_t version;
    resattn_network *network; /* without values */
    resattn_dtype storage;
    bool has_average;
    char optimizer[RA_MAX_NAME + 1];
    /* Of a safetensors file. */
    ra_safetensors file;
};

/* Reads a blob to its end and fills what belongs to one (blob_read.c). False with the error recorded. */
bool ra_blob_probe(resattn_probe *probe, ra_source *source);

#endif
