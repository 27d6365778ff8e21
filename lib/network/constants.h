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
/* Another share of the snapshot of the present values, NULL if there is none (no error recorded). */
ra_constants *ra_constants_newest(resattn_network *network);
void ra_constants_unref(ra_constants *constants);

/* For ra_program.choose: of a sealed network a form that it has, if the best one is not among them; else the best one. */
ra_conv_form ra_constants_choose(void *network, const ra_node *node, const ra_conv *conv, ra_conv_mode mode);

/* Makes sure that the snapshot has what the program's operations need. The network must be shared. */
resattn_status ra_constants_fill(ra_constants *constants, const ra_program *program);

/* Points the operations to the snapshot's values, which must be there. */
void ra_constants_bind(const ra_constants *constants, ra_program *program);

#endif
