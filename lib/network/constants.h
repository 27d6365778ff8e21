/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Constants of inference: a snapshot of the parameters with batch norms folded in, shared by all sessions that see the same
 * values.
 * Uses: core, layers, graph.
 */
#ifndef RA_CONSTANTS_H
#define RA_CONSTANTS_H

#include "graph/graph.h"
#include "network/network.h"

typedef struct ra_constants ra_constants;

/* The snapshot of the network's present values, a new one where these have changed; owned. NULL with the error recorded. */
ra_constants *ra_constants_new(resattn_network *network);
void ra_constants_unref(ra_constants *constants);

/* Makes sure that the snapshot has what the program's operations need. The network must be shared. */
resattn_status ra_constants_fill(ra_constants *constants, const ra_program *program);

/* Points the operations to the snapshot's values, which must be there. */
void ra_constants_bind(const ra_constants *constants, ra_program *program);

#endif
