/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Layers and numbers in words.
 */
#ifndef EXAMPLES_LAYER_TEXT_H
#define EXAMPLES_LAYER_TEXT_H

#include <resattn/resattn.h>

/* Writes a layer's settings as in "7x7, stride 2, pad 3": without those that are the default and without the channels,
 * which the shape of its output tells; cut off at `size` bytes. */
void layer_settings(const resattn_layer *layer, char *text, size_t size);

/* The number of trained values of a layer and all that is inside. */
int64_t layer_parameters(resattn_network *network, const resattn_layer *layer);

int layer_is(const resattn_layer *layer, const char *kind);

/* 31810728 as 31,810,728. Returns `text`. */
enum { GROUPED_BYTES = 32 };
char *grouped(int64_t number, char text[GROUPED_BYTES]);

#endif
