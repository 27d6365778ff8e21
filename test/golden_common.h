/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the test of the golden files and the program that made them share: the host's own kind of layer that some of the
 * files hold, and what the list says of a file that loads.
 */
#ifndef TEST_GOLDEN_COMMON_H
#define TEST_GOLDEN_COMMON_H

#include <stdbool.h>

#include "resattn/resattn.h"

enum { GOLDEN_LINE = 2048 };

/* Files whose names begin so are loaded as checkpoints. */
#define GOLDEN_CHECKPOINT "checkpoint-"

/*
 * Defines x-golden-gain: y = gain[c] * x. Parameters `gain`, and a statistic `seen` of one number; attribute `sides`
 * (integer, 1); its instance is a text of up to 63 bytes. False where the library fails.
 */
bool golden_define(resattn_context *context);
/* Such a layer; `text` may be NULL. */
resattn_layer *golden_layer(resattn_builder *builder, const char *name, const char *text);

/* A status as the list calls it, such as BAD_FORMAT. */
const char *golden_status(resattn_status status);

/*
 * What the list says of a network: its layers, its parameters with the statistics, the CRC-32 of their values, as
 * little-endian f32 in the order of the network and in logical order, and of its texts and other metadata.
 */
bool golden_describe(resattn_network *network, char line[GOLDEN_LINE]);

/* The same and the state of the training: kind, attributes and factors that are not as at first, steps, norm, decay,
 * and the CRC-32 of what a checkpoint of it holds beside the weights. */
bool golden_describe_training(resattn_optimizer *optimizer, const resattn_ema *average, char line[GOLDEN_LINE]);

#endif
