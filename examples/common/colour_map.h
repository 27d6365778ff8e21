/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Numbers as colours.
 */
#ifndef EXAMPLES_COLOUR_MAP_H
#define EXAMPLES_COLOUR_MAP_H

/* The colour of a share from 0 (dark violet) to 1 (yellow) in viridis; shares outside become the nearer end, and what
 * is not a number becomes 0. Red, green and blue from 0 to 1. */
void colour_map(double share, double rgb[3]);

#endif
