/* SPDX-License-Identifier: BSD-3-Clause */
#include "kernels/outer.h"

#include <string.h>

#include "kernels/conv_forms_internal.h"

/* So many rows of both operands are packed and multiplied at a time: they stay in the L2 cache, and sums are short
 * enough not to round much. */
enum { DEPTH = 256, COLUMNS = 512 };

static size_t left_floats(int64_t rows)
{
    int32_t unit = ra_micro_kernels()->rows;
    return ra_line((size_t)(ra_div_up(rows, unit) * unit * DEPTH));
}

size_t ra_outer_scratch(int64_t rows, int64_t columns)
{
    int64_t panels = ra_div_up(ra_smaller(columns, COLUMNS), RA_PANEL);
    return left_floats(rows) + (size_t)(panels * RA_PANEL * DEPTH);
}

/* Row by row, as the rows may come from memory. */
static void pack_panels(int64_t columns, int64_t depth, const float *b, int64_t b_row, float *packed)
{
    for (int64_t l = 0; l < depth; l++) {
        const float *from = b + l * b_row;
        float *to = packed + l * RA_PANEL;
        for (int64_t column = 0; column < columns; column += RA_PANEL, to += depth * RA_PANEL) {
            size_t count = (size_t)ra_smaller(RA_PANEL, columns - column);
            if (count == RA_PANEL) {
                memcpy(to, from + column, RA_PANEL * sizeof(float));
                continue;
            }
            memcpy(to, from + column, count * sizeof(float));
            memset(to + count, 0, (RA_PANEL - count) * sizeof(float));
        }
    }
}

void ra_outer_product(int64_t rows, int64_t columns, int64_t depth, const float *a, int64_t a_row, const float *b,
                      int64_t b_row, float beta, float *c, int64_t c_row, float *scratch)
{
    const ra_micro *micro = ra_micro_kernels();
    float *left = scratch, *panels = scratch + left_floats(rows);
    for (int64_t l = 0; l < depth; l += DEPTH) {
        int64_t count = ra_smaller(DEPTH, depth - l);
        micro->pack_transposed(rows, count, a + l * a_row, a_row, left);
        for (int64_t column = 0; column < columns; column += COLUMNS) {
            int64_t part = ra_smaller(COLUMNS, columns - column);
            pack_panels(part, count, b + l * b_row + column, b_row, panels);
            ra_product product = {.rows = rows,
                                  .depth = count,
                                  .columns = (int32_t)part,
                                  .add = l > 0 || beta != 0,
                                  .a = left,
                                  .blocked = true,
                                  .panels = panels,
                                  .panel_step = count * RA_PANEL,
                                  .c = c + column,
                                  .c_row = c_row};
            micro->product(&product);
        }
    }
}
