/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Plans and sessions.
 * Uses: core, tensor, gemm, layers, graph, network.
 */
#ifndef RA_SESSION_H
#define RA_SESSION_H

#include "graph/graph.h"
#include "network/network.h"
#include "resattn/session.h"

struct resattn_plan {
    resattn_network *network; /* a share */
    resattn_purpose purpose;
    int32_t batch, height, width;
    ra_program *program; /* as lowered: to look up names and shapes, never run */
    ra_name *outputs;    /* asked for; the names are the layers' own */
    int32_t output_count, output_capacity;
    bool input_gradient, recompute;
    ra_conv_mode mode; /* inference */
};

/* A program of its own for one session, rewritten and with its memory planned; owned. NULL with the error recorded. */
ra_program *ra_plan_program(const resattn_plan *plan);

/* What runs, and the times of its nodes (NULL: profiling is off). */
ra_program *ra_session_program(const resattn_session *session);
double **ra_session_seconds(resattn_session *session);

/*
 * For losses. Training: *buffer is the dense buffer (n, h, w, c) of the gradient of the output `name` (NULL: the network's), marked
 * as given for the next backward pass, to be added to by the caller: what the output was given since the last forward pass, else
 * zeros. NULL where nothing trained lies before the output. Inference: *buffer is NULL. False with the error recorded: WRONG_STATE
 * where there is no forward pass to go back over, NOT_FOUND for an output that the plan did not ask for.
 */
bool ra_session_gradient_sum(resattn_session *session, const char *name, float **buffer);

#endif
