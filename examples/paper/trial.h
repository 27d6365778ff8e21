/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One run: a network is trained and measured.
 */
#ifndef EXAMPLES_PAPER_TRIAL_H
#define EXAMPLES_PAPER_TRIAL_H

#include "dataset.h"
#include "records.h"

/* Makes the run that record->run describes, on images and labels that belong to it, and fills in the rest. Returns 0, or -1 after
 * printing why not. */
int trial_run(resattn_context *context, struct record *record, const struct dataset *training,
              const struct dataset *test);

#endif
