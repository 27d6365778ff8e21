/* SPDX-License-Identifier: BSD-3-Clause */
#include "kernels/outer.h"

#include <string.h>

#include "kernels/conv_forms_internal.h"

/*
 * So many rows of both operands are multiplied at a time: they stay in the L2 cache, and sums are short enough not to
 * round much. Where the rows of a micro-tile are near each other, both are read where they are: packing takes longer
 * than it saves. Rows that lie far apart meet in few sets of the L1 cache and are in a page each, so the operand with
 * the longer rows is copied.
 */
enum { DEPTH = 256, COLUMNS = 512, ROWS = 512, LONG_A = 256, LONG_B = 1024 };

/* From one copied row of a to the next: an odd number of cache lines. */
static int64_t copied_row(int64_t rows)
{
    int64_t lines = ra_div_up(rows, 16);
    return (lines + 1 - lines % 2) * 16;
}

size_t ra_outer_scratch(int64_t rows, int64_t a_row)
{
    size_t panel = (size_t)RA_PANEL * DEPTH;
    return a_row < LONG_A ? panel : panel + (size_t)copied_row(ra_smaller(rows, ROWS)) * DEPTH;
}

/* A panel of b; with zeros where it has fewer columns. */
static void copy_panel(int64_t columns, int64_t depth, const float *b, int64_t b_row, float *copy)
{
    for (int64_t l = 0; l < depth; l++, copy += RA_PANEL) {
        memcpy(copy, b + l * b_row, (size_t)columns * sizeof(float));
        memset(copy + columns, 0, (size_t)(RA_PANEL - columns) * sizeof(float));
    }
}

/* c (product->c) from rows of b, with the other operand as it is in `product`. */
static void multiply(ra_product product, int64_t columns, const float *b, int64_t b_row, bool copied, float *panel)
{
    const ra_micro *micro = ra_micro_kernels();
    float *c = product.c;
    int64_t whole = copied ? 0 : columns - columns % RA_PANEL;
    product.panel_row = b_row;
    product.panel_step = RA_PANEL;
    for (int64_t column = 0; column < whole; column += COLUMNS) {
        product.columns = (int32_t)ra_smaller(COLUMNS, whole - column);
        product.panels = b + column;
        product.c = c + column;
        micro->product(&product);
    }
    product.panel_row = RA_PANEL;
    product.panels = panel;
    for (int64_t column = whole; column < columns; column += RA_PANEL) {
        product.columns = (int32_t)ra_smaller(RA_PANEL, columns - column);
        product.c = c + column;
        copy_panel(product.columns, product.depth, b + column, b_row, panel);
        micro->product(&product);
    }
}

void ra_outer_product(int64_t rows, int64_t columns, int64_t depth, const float *a, int64_t a_row, const float *b,
                      int64_t b_row, float beta, float *c, int64_t c_row, float *scratch)
{
    bool copy_a = a_row >= LONG_A && a_row >= b_row, copy_b = !copy_a && b_row >= LONG_B;
    float *copy = scratch + (size_t)RA_PANEL * DEPTH;
    for (int64_t row = 0; row < rows; row += ROWS)
        for (int64_t l = 0; l < depth; l += DEPTH) {
            const float *source = a + l * a_row + row;
            ra_product product = {.rows = ra_smaller(ROWS, rows - row),
                                  .depth = ra_smaller(DEPTH, depth - l),
                                  .add = l > 0 || beta != 0,
                                  .a = source,
                                  .a_row = 1,
                                  .a_step = a_row,
                                  .c = c + row * c_row,
                                  .c_row = c_row};
            if (copy_a) {
                product.a = copy;
                product.a_step = copied_row(product.rows);
                for (int64_t k = 0; k < product.depth; k++)
                    memcpy(copy + k * product.a_step, source + k * a_row, (size_t)product.rows * sizeof(float));
            }
            multiply(product, columns, b + l * b_row, b_row, copy_b, scratch);
        }
}
