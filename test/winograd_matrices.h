/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The matrices of Winograd's minimal filtering F(2x2, 3x3) and F(4x4, 3x3), as in Lavin and Gray, Fast Algorithms for
 * Convolutional Neural Networks (CVPR 2016): y = A^T [(G g G^T) . (B^T d B)] A. For the filter's gradient those of
 * F(3x3, 2x2) and F(3x3, 4x4), with the same points and B: dw = T [(P dy P^T) . (B^T d B)] T^T, where P has the powers
 * of the points, and T the powers times the weights that G has in it.
 */
#ifndef TEST_WINOGRAD_MATRICES_H
#define TEST_WINOGRAD_MATRICES_H

#include <stdint.h>

/* Rows of B^T, G, A^T, P and T for tiles of `tile` outputs each way. */
typedef struct winograd_matrices {
    int32_t tile, size; /* size: tile + 2 */
    double input[6][6], filter[6][6], output[6][6], gradient[6][6], taps[6][6];
} winograd_matrices;

static const winograd_matrices winograd2 = {
    .tile = 2,
    .size = 4,
    .input = {{1, 0, -1, 0}, {0, 1, 1, 0}, {0, -1, 1, 0}, {0, 1, 0, -1}},
    .filter = {{1, 0, 0}, {0.5, 0.5, 0.5}, {0.5, -0.5, 0.5}, {0, 0, 1}},
    .output = {{1, 1, 1, 0}, {0, 1, -1, -1}},
    .gradient = {{1, 0}, {1, 1}, {1, -1}, {0, 1}},
    .taps = {{1, 0.5, 0.5, 0}, {0, 0.5, -0.5, 0}, {0, 0.5, 0.5, -1}},
};

static const winograd_matrices winograd4 = {
    .tile = 4,
    .size = 6,
    .input = {{4, 0, -5, 0, 1, 0},
              {0, -4, -4, 1, 1, 0},
              {0, 4, -4, -1, 1, 0},
              {0, -2, -1, 2, 1, 0},
              {0, 2, -1, -2, 1, 0},
              {0, 4, 0, -5, 0, 1}},
    .filter = {{1.0 / 4, 0, 0},
               {-1.0 / 6, -1.0 / 6, -1.0 / 6},
               {-1.0 / 6, 1.0 / 6, -1.0 / 6},
               {1.0 / 24, 1.0 / 12, 1.0 / 6},
               {1.0 / 24, -1.0 / 12, 1.0 / 6},
               {0, 0, 1}},
    .output = {{1, 1, 1, 1, 1, 0}, {0, 1, -1, 2, -2, 0}, {0, 1, 1, 4, 4, 0}, {0, 1, -1, 8, -8, 1}},
    .gradient = {{1, 0, 0, 0}, {1, 1, 1, 1}, {1, -1, 1, -1}, {1, 2, 4, 8}, {1, -2, 4, -8}, {0, 0, 0, 1}},
    .taps = {{1.0 / 4, -1.0 / 6, -1.0 / 6, 1.0 / 24, 1.0 / 24, 0},
             {0, -1.0 / 6, 1.0 / 6, 1.0 / 12, -1.0 / 12, 0},
             {0, -1.0 / 6, -1.0 / 6, 1.0 / 6, 1.0 / 6, 1}},
};

#endif
