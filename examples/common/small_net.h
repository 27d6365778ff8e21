/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A small residual attention network for 32x32 images: three stages, one attention module each.
 */
#ifndef EXAMPLES_SMALL_NET_H
#define EXAMPLES_SMALL_NET_H

#include <resattn/resattn.h>

/* Builds it. Returns the root, borrowed from the builder; after an error NULL, and resattn_network_new() will say
 * which. */
resattn_layer *small_net_new(resattn_builder *builder, int32_t classes);

/* A network of one linear layer on the pixels, to see what attention and depth are good for. */
resattn_layer *linear_net_new(resattn_builder *builder, int32_t classes);

#endif
