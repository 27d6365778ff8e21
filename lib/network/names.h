/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Naming the layers of a tree.
 * Uses: core, layers.
 */
#ifndef RA_NAMES_H
#define RA_NAMES_H

#include "layers/layer.h"

/* Gives every layer its path and every attention module its outputs' names. False with the error recorded. */
bool ra_name_layers(resattn_layer *root);

/* Takes paths, names of outputs and parameters away again. */
void ra_unname_layers(resattn_layer *root);

/* Whether no path and no mask's name occurs twice; else false with DUPLICATE recorded. */
bool ra_names_differ(resattn_layer *root, int32_t layer_count);

#endif
