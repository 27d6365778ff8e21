/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Networks by name, built with the public layer functions alone.
 */
#ifndef RESATTN_MODELS_H
#define RESATTN_MODELS_H

#include "resattn/layer.h"

#if defined(__cplusplus) && !defined(RESATTN_FFI)
extern "C" {
#endif

/*
 * Builds a named network for images of 3 channels with `classes` outputs (logits: no softmax at the end). Returns the root,
 * borrowed from the builder, for resattn_network_new(); NULL: NOT_FOUND for an unknown name, INVALID_ARGUMENT, OUT_OF_MEMORY,
 * or the builder's earlier error. Since 0.9.
 */
RESATTN_API resattn_layer *resattn_model_new(resattn_builder *builder, const char *name, int32_t classes);

/* The names that there are: how many, and number `index`, a static string, NULL outside. Any thread. Since 0.9. */
RESATTN_API int32_t resattn_model_count(void);
RESATTN_API const char *resattn_model_name(int32_t index);

/* The side of the square images that the named network was published with; 0 for an unknown name. Any thread. Since 0.9. */
RESATTN_API int32_t resattn_model_input_size(const char *name);

#if defined(__cplusplus) && !defined(RESATTN_FFI)
}
#endif
#endif
