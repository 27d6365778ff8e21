/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Networks whose files the corpora and mutate begin with.
 */
#ifndef FUZZ_SAMPLES_H
#define FUZZ_SAMPLES_H

#include "fuzz.h"

/* Few parameters: a convolution, a batch norm, dropout, a linear layer; 2 channels in, 3 classes. */
resattn_network *sample_trained_network(resattn_context *context);

/* Something of everything: attention, all containers, layers of the host, names with dots, class names, texts. */
resattn_network *sample_full_network(resattn_context *context);

/*
 * The checkpoint of a training of the small network after a step: with AdamW or SGD, with an average or without. The
 * bytes are malloc's; NULL after an error.
 */
uint8_t *sample_checkpoint(resattn_context *context, bool adamw, bool with_average, int32_t level, size_t *size);

#endif
