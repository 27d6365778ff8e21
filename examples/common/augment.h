/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The usual augmentation of CIFAR-10 (He et al., CVPR 2016): a border of 4 pixels, a random crop, a random mirror
 * image.
 */
#ifndef EXAMPLES_AUGMENT_H
#define EXAMPLES_AUGMENT_H

#include <stdint.h>

/* Writes a variant of the 32x32 image `source` to `target`. `seed` and `stream` alone decide which. */
void augment(uint8_t *target, const uint8_t *source, uint64_t seed, uint64_t stream);

#endif
