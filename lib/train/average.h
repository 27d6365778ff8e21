/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What an average of weights is made of, for the checkpoint that holds it. Uses: core, network.
 */
#ifndef RA_AVERAGE_H
#define RA_AVERAGE_H

#include "resattn/train.h"
#include "train/pieces.h"

struct resattn_ema {
    resattn_network *network; /* a share */
    double decay;
    ra_piece *pieces; /* of statistics too */
    int32_t piece_count;
    float *values; /* of all parameters in their order */
    bool swapped;  /* `values` are the network's own */
};

#endif
