/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the runs came to: a file of comma-separated values, a row for each run, which is only ever added to.
 */
#ifndef EXAMPLES_PAPER_RECORDS_H
#define EXAMPLES_PAPER_RECORDS_H

#include <stdint.h>

#include "networks.h"

/* What a run is: two with the same are the same to the bit on one machine. */
struct run {
    char network[32], data[16];
    int32_t noise; /* percent of the training labels that are wrong */
    int32_t seed;
    int32_t images, tests, epochs;
};

struct record {
    struct run run;
    int64_t parameters, multiply_adds;
    double error; /* percent of the test images */
    double response[PAPER_STAGES];
    double overlap; /* of masks and objects; negative where it was not measured */
    char cut[32];   /* how masks were read for that */
};

struct records {
    const char *path;
    int32_t count, capacity;
    struct record *rows;
};

/* Reads the file; one that does not exist has no rows. Returns 0, or -1 after printing why not. */
int records_open(struct records *records, const char *path);

void records_close(struct records *records);

/* Whether they are the same run. */
int run_equal(const struct run *a, const struct run *b);

/* NULL if the run has not been made. */
const struct record *records_find(const struct records *records, const struct run *run);

/* Adds a row to the file. Returns 0, or -1 after printing why not. */
int records_add(struct records *records, const struct record *record);

#endif
