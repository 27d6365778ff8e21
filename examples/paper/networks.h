/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The networks that the paper's claims are tried with: attention networks for 32 x 32 images as the library builds
 * them, a quarter as wide, and what they are compared with.
 */
#ifndef EXAMPLES_PAPER_NETWORKS_H
#define EXAMPLES_PAPER_NETWORKS_H

#include <resattn/resattn.h>

enum { PAPER_STAGES = 3, PAPER_CLASSES = 10 };

enum design {
    DESIGN_ATTENTION,
    DESIGN_TRUNK, /* the same without mask branches: a ResNet */
    DESIGN_QUICKSTART,
    DESIGN_RESNET /* of the quickstart's units, as many as cost its multiply-adds as nearly as may be */
};

struct paper_network {
    const char *name;
    enum design design;
    int32_t modules; /* of a stage */
    resattn_learning learning;
    resattn_mask_activation activation;
    resattn_mask_structure mask;
    double mask_weight; /* of the loss of each mask against where the object is; 0: masks have no targets */
};

/* NULL for a name that there is not. */
const struct paper_network *paper_network_find(const char *name);

/* Builds the network with random weights from the context's seed. Owned; NULL after printing why not. */
resattn_network *paper_network_new(resattn_context *context, const struct paper_network *paper);

/* Multiply-adds of the forward pass of one image; -1 after printing why not. */
int64_t paper_network_cost(resattn_network *network);

/* The path of the layer that a stage ends with, from 0 on. */
const char *paper_network_stage(const struct paper_network *paper, int32_t stage);

#endif
