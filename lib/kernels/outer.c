/* SPDX-License-Identifier: BSD-3-Clause */
#include "kernels/outer.h"

#include <string.h>

#include "kernels/conv_forms_internal.h"

/* So many rows of both operands are multiplied at a time: they stay in the L2 cache, and sums are short enough not to
 * round much. Both are read where they are, row by row: with whole rows of a micro-tile in few cache lines, packing
 * them takes longer than it saves. */
enum { DEPTH = 256, COLUMNS = 512 };

size_t ra_outer_scratch(void)
{
    return (size_t)RA_PANEL * DEPTH;
}

/* The last columns, fewer than a panel's, with zeros. */
static void pack_rest(int64_t columns, int64_t depth, const float *b, int64_t b_row, float *packed)
{
    for (int64_t l = 0; l < depth; l++, packed += RA_PANEL) {
        memcpy(packed, b + l * b_row, (size_t)columns * sizeof(float));
        memset(packed + columns, 0, (size_t)(RA_PANEL - columns) * sizeof(float));
    }
}

void ra_outer_product(int64_t rows, int64_t columns, int64_t depth, const float *a, int64_t a_row, const float *b,
                      int64_t b_row, float beta, float *c, int64_t c_row, float *scratch)
{
    const ra_micro *micro = ra_micro_kernels();
    int64_t rest = columns % RA_PANEL, whole = columns - rest;
    for (int64_t l = 0; l < depth; l += DEPTH) {
        ra_product product = {.rows = rows,
                              .depth = ra_smaller(DEPTH, depth - l),
                              .add = l > 0 || beta != 0,
                              .a = a + l * a_row,
                              .a_row = 1,
                              .a_step = a_row,
                              .panel_row = b_row,
                              .panel_step = RA_PANEL,
                              .c_row = c_row};
        for (int64_t column = 0; column < whole; column += COLUMNS) {
            product.columns = (int32_t)ra_smaller(COLUMNS, whole - column);
            product.panels = b + l * b_row + column;
            product.c = c + column;
            micro->product(&product);
        }
        if (rest == 0)
            continue;
        pack_rest(rest, product.depth, b + l * b_row + whole, b_row, scratch);
        product.columns = (int32_t)rest;
        product.panels = scratch;
        product.panel_row = RA_PANEL;
        product.c = c + whole;
        micro->product(&product);
    }
}
