/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a network should know about the pictures that it is trained on; it is saved with the network.
 */
#ifndef EXAMPLES_METADATA_H
#define EXAMPLES_METADATA_H

#include <resattn/resattn.h>

#include "dataset.h"

/* Sets class names, input size, and how bytes become numbers with mean 0 and deviation 1. Returns 0, or -1 after
 * printing why not. */
int metadata_set(resattn_network *network, const struct dataset *dataset, int32_t side);

#endif
