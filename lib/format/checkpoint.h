/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Checkpoints: what saving and restoring share.
 */
#ifndef RA_CHECKPOINT_H
#define RA_CHECKPOINT_H

#include "format/format.h"
#include "resattn/checkpoint.h"
#include "train/average.h"
#include "train/optimizer.h"

/* Of the layout of `trai`; a reader refuses a later one. */
#define RA_CHECKPOINT_VERSION 1

#define RA_CHUNK_STATE   "trai" /* the state as a whole, before the two others */
#define RA_CHUNK_MOMENT  "mome" /* what the optimizer keeps beside the weights of a parameter */
#define RA_CHUNK_AVERAGE "aver" /* of a parameter or statistic */

/* Whether optimizer and average (which may be NULL) can be saved or restored together; false with the error recorded.
 */
bool ra_checkpoint_check(const resattn_optimizer *optimizer, const resattn_ema *average, const char *what);

#endif
