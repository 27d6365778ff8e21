/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Numbers as colours.
 */
#include "colour_map.h"

/*
 * Viridis by Nathaniel Smith and Stefan van der Walt, made for matplotlib and given away under CC0
 * (https://bids.github.io/colormap): equal steps look equal, in grey and to the colour-blind too. Ten of its colours at
 * equal distances; what lies between them is interpolated.
 */
static const unsigned char viridis[][3] = {
    {0x44, 0x01, 0x54}, {0x48, 0x28, 0x78}, {0x3E, 0x4A, 0x89}, {0x31, 0x68, 0x8E}, {0x26, 0x82, 0x8E},
    {0x1F, 0x9E, 0x89}, {0x35, 0xB7, 0x79}, {0x6D, 0xCD, 0x59}, {0xB4, 0xDE, 0x2C}, {0xFD, 0xE7, 0x25}};

void colour_map(double share, double rgb[3])
{
    const int pieces = (int)(sizeof viridis / sizeof viridis[0]) - 1;
    double at = share > 0 ? (share < 1 ? share : 1) * pieces : 0; /* not a number is not greater */
    int piece = at < pieces ? (int)at : pieces - 1;
    for (int c = 0; c < 3; c++)
        rgb[c] = (viridis[piece][c] + (viridis[piece + 1][c] - viridis[piece][c]) * (at - piece)) / 255;
}
