/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Shows how a long run goes, on standard error: a bar on a terminal, otherwise a line now and then.
 */
#ifndef EXAMPLES_PROGRESS_H
#define EXAMPLES_PROGRESS_H

#include <stdint.h>

struct progress {
    int32_t epochs;
    int64_t images_an_epoch;
    int terminal;
    double started, shown; /* seconds */
    /* sums over the epoch so far */
    double loss;
    int64_t images, correct;
};

/* Seconds of a clock that never goes back. */
double seconds_now(void);

void progress_start(struct progress *progress, int32_t epochs, int64_t images_an_epoch);

/* Before each epoch. */
void progress_epoch(struct progress *progress);

/* After each step: `loss` is the mean over the step's images. `epoch` counts from 0. */
void progress_step(struct progress *progress, int32_t epoch, int32_t images, double loss, int32_t correct);

#endif
