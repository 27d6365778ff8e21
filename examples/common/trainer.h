/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Trains a network to classify images, in one call.
 */
#ifndef EXAMPLES_TRAINER_H
#define EXAMPLES_TRAINER_H

#include "training.h"

struct trainer {
    int32_t epochs, batch;
    int32_t side; /* of the network's input */
    double rate;  /* the largest learning rate */
    double weight_decay;
    uint64_t seed;      /* of the order of the images, and of augmentation */
    int augmented;      /* crop and mirror */
    double mask_weight; /* of the loss of each attention mask against the objects' coverage; 0: masks have no targets */
};

/* Trains by stochastic gradient descent with Nesterov's momentum in one cycle of the learning rate and shows the
 * progress. Returns 0, or -1 after printing why not. */
int trainer_run(resattn_network *network, const struct dataset *dataset, const struct trainer *trainer);

#endif
