/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the tests of the named networks do with each of them.
 */
#ifndef TEST_MODELS_H
#define TEST_MODELS_H

#include "common.h"
#include "resattn/resattn.h"

/* A named network; the network of a configuration. The test fails where there is none. */
resattn_network *models_new(resattn_context *context, const char *name, int32_t classes);
resattn_network *models_built(resattn_context *context, const resattn_model_config *config, int32_t classes);

/* A configuration with settings changed: pairs of texts and values, up to the first without a text. */
typedef struct models_change {
    const char *setting;
    int32_t value;
} models_change;
resattn_model_config *models_config(resattn_context *context, const char *name, const models_change *changes);

/* The outputs for images of reproducible noise, to be freed; all are finite. */
float *models_logits(resattn_network *network, int32_t batch, int32_t size);
float *models_logits_by(resattn_network *network, int32_t batch, int32_t size, resattn_convolution convolution);

/* Forward and backward on such images, and a step of the optimizer; all gradients are finite, and some not 0. */
void models_train(resattn_network *network, int32_t batch, int32_t size);

/* Saves the network, loads it, and compares all parameters and the outputs, to the bit. */
void models_reload(resattn_network *network, int32_t level, int32_t batch, int32_t size);

#endif
