/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The named networks. Uses the public headers alone: what is done here, any host can do.
 */
#ifndef RA_MODELS_H
#define RA_MODELS_H

#include "resattn/models.h"

/*
 * Each builds the network `name`; classes >= 1. Errors are left in the builder, and then the result means nothing.
 * Names are the ones that published weights have.
 */
resattn_layer *ra_model_attention_56(resattn_builder *builder, int32_t classes);

#endif
