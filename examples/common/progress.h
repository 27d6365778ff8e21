/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Shows how a long run goes, on standard error: a bar on a terminal, otherwise a line now and then.
 */
#ifndef EXAMPLES_PROGRESS_H
#define EXAMPLES_PROGRESS_H

#include <stdint.h>

struct training_result;

struct progress {
    int32_t epochs;
    int64_t images_an_epoch;
    int64_t done, before; /* images, in all, and by an earlier run */
    int terminal;
    double started, shown; /* seconds */
    /* sums over the epoch so far */
    double loss;
    int64_t images, correct;
    double rate; /* of learning */
};

/* Seconds of a clock that never goes back. */
double seconds_now(void);

/* `done`: the images that an earlier run has gone through. Its sums over a begun epoch may be put in afterwards. */
void progress_start(struct progress *progress, int32_t epochs, int64_t images_an_epoch, int64_t done);

/* After each step. */
void progress_step(struct progress *progress, const struct training_result *step);

/* Ends an unfinished line, so that another message can be printed. */
void progress_pause(struct progress *progress);

#endif
