/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which runs answer which question, and the tables of what they came to.
 */
#ifndef EXAMPLES_PAPER_EXPERIMENTS_H
#define EXAMPLES_PAPER_EXPERIMENTS_H

#include "records.h"

struct experiment_row {
    const char *title, *network;
    int32_t noise;
};

enum { EXPERIMENT_SEEDS = 100 }; /* at most */

enum columns { COLUMNS_ERROR, COLUMNS_RESPONSE, COLUMNS_OVERLAP };

struct experiment {
    const char *name, *title;
    enum columns columns;
    int32_t longer; /* trains so many times as long as the others */
    int32_t count;
    const struct experiment_row *rows;
};

/* The experiments by number; NULL outside. */
const struct experiment *experiment_at(int32_t index);

/* The run of a row; `like` says what it has in common with the others. */
struct run experiment_run(const struct experiment *experiment, int32_t row, const struct run *like, int32_t seed);

/* Prints an experiment's table as Markdown: mean and standard deviation (of the sample) over seeds 1 to `seeds` of the
 * runs that are like `run` in what they have in common. */
void experiment_print(const struct experiment *experiment, const struct records *records, const struct run *run,
                      int32_t seeds);

#endif
