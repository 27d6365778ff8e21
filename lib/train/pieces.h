/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The parameters of a network cut into pieces, the tasks of everything that goes over all of them.
 * Uses: core, network.
 */
#ifndef RA_PIECES_H
#define RA_PIECES_H

#include "network/network.h"

/* A task's share of the work: a part of one parameter, and where it lies among the elements of all that were cut. */
typedef struct ra_piece {
    const ra_param *param;
    int32_t index; /* of the parameter in the network */
    int64_t begin, count;
    int64_t offset;
} ra_piece;

/*
 * Cuts the trained parameters, with `statistics` all of them, in the network's order; the cuts depend on shapes only.
 * Owned (ra_free), or NULL with the error recorded: TOO_LARGE (names `what`), OUT_OF_MEMORY.
 */
ra_piece *ra_pieces_new(const resattn_network *network, bool statistics, const char *what, int32_t *count);

#endif
