/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Micro-kernels, compiled once for each CPU level.
 */
#include "kernels/micro_levels.h"

/* ---- products ---- */

/* The micro-tile: so many rows by VECTORS vectors, whose sums fill the registers. */
#if RA_LANES == 16
enum { ROWS = 14, VECTORS = 2 };
#elif RA_LANES == 8
enum { ROWS = 6, VECTORS = 2 };
#elif defined(__aarch64__) && !defined(RA_PORTABLE)
enum { ROWS = 6, VECTORS = 4 };
#else
enum { ROWS = 4, VECTORS = 2 };
#endif
/* One pointer serves three rows, as processors add a multiple of a register to an address: more pointers do not fit the
 * registers. */
enum { WIDTH = VECTORS * RA_LANES, BASES = (ROWS + 2) / 3 };

/* The left operand of one micro-tile. */
typedef struct segments {
    const float *a;
    int64_t row, step, depth; /* floats to the next row, to the next step of the depth */
    int64_t panel_row;        /* the same step in the right operand */
    int32_t count;
    const int64_t *offsets;
} segments;

/* What follows the product, for the columns of one micro-tile. */
typedef struct finish {
    float *c;
    int64_t c_row;
    const float *bias, *addend;
    int64_t addend_row;
    bool add, relu, second_relu;
    float *second;
    int64_t second_row;
    const float *scale, *shift;
    /* Beside the products, a part of the next panel is fetched: so many floats further at each step of the depth. */
    const float *fetch;
    int64_t fetch_step;
} finish;

/* What follows the products of a micro-tile, in registers. */
RA_INLINE void finish_tile(int rows, int vectors, const finish *end, ra_vec (*sum)[VECTORS])
{
    float *c = end->c;
    if (end->add) {
        RA_UNROLL
        for (int i = 0; i < rows; i++) {
            RA_UNROLL
            for (int64_t j = 0; j < vectors; j++)
                sum[i][j] = ra_add(ra_load(c + i * end->c_row + j * RA_LANES), sum[i][j]);
        }
    }
    if (end->bias) {
        RA_UNROLL
        for (int64_t j = 0; j < vectors; j++) {
            ra_vec bias = ra_load(end->bias + j * RA_LANES);
            RA_UNROLL
            for (int i = 0; i < rows; i++)
                sum[i][j] = ra_add(sum[i][j], bias);
        }
    }
    if (end->addend) {
        RA_UNROLL
        for (int i = 0; i < rows; i++) {
            RA_UNROLL
            for (int64_t j = 0; j < vectors; j++)
                sum[i][j] = ra_add(sum[i][j], ra_load(end->addend + i * end->addend_row + j * RA_LANES));
        }
    }
    if (end->relu) {
        RA_UNROLL
        for (int i = 0; i < rows; i++) {
            RA_UNROLL
            for (int64_t j = 0; j < vectors; j++)
                sum[i][j] = ra_rectify(sum[i][j]);
        }
    }
    if (end->second != c) {
        RA_UNROLL
        for (int i = 0; i < rows; i++) {
            RA_UNROLL
            for (int64_t j = 0; j < vectors; j++)
                ra_store(c + i * end->c_row + j * RA_LANES, sum[i][j]);
        }
    }
    if (!end->second)
        return;
    RA_UNROLL
    for (int64_t j = 0; j < vectors; j++) {
        ra_vec scale = ra_load(end->scale + j * RA_LANES), shift = ra_load(end->shift + j * RA_LANES);
        RA_UNROLL
        for (int i = 0; i < rows; i++) {
            ra_vec second = ra_mul_add(shift, sum[i][j], scale);
            ra_store(end->second + i * end->second_row + j * RA_LANES, end->second_relu ? ra_rectify(second) : second);
        }
    }
}

RA_INLINE void tile(int rows, int vectors, const segments *left, const float *w, const finish *end)
{
    const int64_t depth = left->depth, a_row = left->row, a_step = left->step, panel_row = left->panel_row;
    ra_vec sum[ROWS][VECTORS];
    RA_UNROLL
    for (int i = 0; i < rows; i++) {
        RA_UNROLL
        for (int64_t j = 0; j < vectors; j++)
            sum[i][j] = ra_splat(0);
    }
    const float *fetch = end->fetch;
    const int64_t fetch_step = end->fetch_step;
    for (int32_t s = 0; s < left->count; s++) {
        const float *a[BASES];
        RA_UNROLL
        for (int64_t i = 0; i < (rows + 2) / 3; i++)
            a[i] = left->a + left->offsets[s] + 3 * i * a_row;
        for (int64_t l = 0; l < depth; l++, w += panel_row, fetch += fetch_step) {
            RA_FETCH(fetch);
            ra_vec right[VECTORS];
            RA_UNROLL
            for (int64_t j = 0; j < vectors; j++)
                right[j] = ra_load(w + j * RA_LANES);
            RA_UNROLL
            for (int i = 0; i < rows; i++) {
                ra_vec value = ra_splat(a[i / 3][i % 3 * a_row]);
                RA_UNROLL
                for (int64_t j = 0; j < vectors; j++)
                    sum[i][j] = ra_mul_add(sum[i][j], value, right[j]);
            }
            RA_UNROLL
            for (int64_t i = 0; i < (rows + 2) / 3; i++)
                a[i] += a_step;
        }
    }
    finish_tile(rows, vectors, end, sum);
}

#define TILE(rows)                                                                                                     \
    static void tile_##rows(int vectors, const segments *left, const float *w, const finish *end)                      \
    {                                                                                                                  \
        if (vectors == VECTORS)                                                                                        \
            tile(rows, VECTORS, left, w, end);                                                                         \
        else                                                                                                           \
            tile(rows, 1, left, w, end);                                                                               \
    }
TILE(1)
TILE(2)
TILE(3)
TILE(4)
#if RA_LANES == 8 || (RA_LANES == 4 && defined(__aarch64__) && !defined(RA_PORTABLE))
TILE(5)
TILE(6)
#endif
#if RA_LANES == 16
TILE(6)
TILE(7)
TILE(8)
TILE(10)
TILE(12)
TILE(13)
TILE(14)

/* Heights that maps seldom need are made of two, which saves code. */
#define SPLIT_TILE(rows, most)                                                                                         \
    static void tile_##rows(int vectors, const segments *left, const float *w, const finish *end)                      \
    {                                                                                                                  \
        segments below = *left;                                                                                        \
        finish rest = *end;                                                                                            \
        below.a += (most)*below.row;                                                                                   \
        rest.c += (most)*rest.c_row;                                                                                   \
        rest.addend = rest.addend ? rest.addend + (most)*rest.addend_row : NULL;                                       \
        rest.second = rest.second ? rest.second + (most)*rest.second_row : NULL;                                       \
        tile_##most(vectors, left, w, end);                                                                            \
        tile_1(vectors, &below, w, &rest);                                                                             \
    }
SPLIT_TILE(5, 4)
SPLIT_TILE(9, 8)
SPLIT_TILE(11, 10)
#endif

typedef void tile_fn(int vectors, const segments *left, const float *w, const finish *end);
static tile_fn *const tiles[ROWS + 1] = {
    NULL,   tile_1, tile_2, tile_3,  tile_4,
#if RA_LANES > 4 || (defined(__aarch64__) && !defined(RA_PORTABLE))
    tile_5, tile_6,
#endif
#if RA_LANES == 16
    tile_7, tile_8, tile_9, tile_10, tile_11, tile_12, tile_13, tile_14,
#endif
};

/* Fewer columns than vectors hold: through a tile of their own. */
static void narrow_tile(int rows, int32_t columns, const segments *left, const float *w, const finish *end)
{
    float part[ROWS * RA_LANES];
    finish raw = {.c = part, .c_row = RA_LANES, .fetch = end->fetch, .fetch_step = end->fetch_step};
    tiles[rows](1, left, w, &raw);
    for (int i = 0; i < rows; i++)
        for (int32_t j = 0; j < columns; j++) {
            /* cppcheck-suppress uninitvar; the tile has filled it */
            float *c = end->c + i * end->c_row + j, sum = part[i * RA_LANES + j];
            sum = end->add ? *c + sum : sum;
            sum = end->bias ? sum + end->bias[j] : sum;
            sum = end->addend ? sum + end->addend[i * end->addend_row + j] : sum;
            *c = sum = end->relu && sum < 0 ? 0 : sum;
            if (!end->second)
                continue;
            float second = sum * end->scale[j] + end->shift[j];
            end->second[i * end->second_row + j] = end->second_relu && second < 0 ? 0 : second;
        }
}

/* The first two blocks of rows fetch one half of the next panel each; a single block every other line of it, as caches
 * fetch lines in pairs. */
static void set_fetch(finish *end, const float *next, int64_t depth, int64_t block, int64_t blocks)
{
    end->fetch = end->c;
    if (!next || block > 1)
        return;
    end->fetch = next + block * depth * (RA_PANEL / 2);
    end->fetch_step = blocks > 1 ? RA_PANEL / 2 : RA_PANEL;
}

/* The columns from `column` on that one call computes, for all rows. */
static int32_t column_of_tiles(const ra_product *p, int32_t column)
{
    static const int64_t zero = 0;
    const float *w = p->panels + column / RA_PANEL * p->panel_step + column % RA_PANEL;
    int32_t rest = p->columns - column, width = rest >= WIDTH ? WIDTH : rest >= RA_LANES ? RA_LANES : rest;
    int64_t blocks = (p->rows + ROWS - 1) / ROWS, row = 0;
    bool last = column + width >= p->columns;
    const float *next = last ? p->next : w - column % RA_PANEL + p->panel_step;
    for (int64_t block = 0; block < blocks; block++) {
        int64_t left_blocks = blocks - block;
        int rows = (int)((p->rows - row + left_blocks - 1) / left_blocks); /* the most equal blocks */
        finish end = {.c = p->c + row * p->c_row + column,
                      .c_row = p->c_row,
                      .bias = p->bias ? p->bias + column : NULL,
                      .addend = p->addend ? p->addend + row * p->addend_row + column : NULL,
                      .addend_row = p->addend_row,
                      .add = p->add,
                      .relu = p->relu,
                      .second_relu = p->second_relu,
                      .second = p->second ? p->second + row * p->second_row + column : NULL,
                      .second_row = p->second_row,
                      .scale = p->second ? p->scale + column : NULL,
                      .shift = p->second ? p->shift + column : NULL};
        segments left = {.a = p->a + row * p->a_row,
                         .row = p->a_row,
                         .step = p->a_step > 0 ? p->a_step : 1,
                         .depth = p->depth,
                         .panel_row = p->panel_row > 0 ? p->panel_row : RA_PANEL,
                         .count = p->segments > 0 ? p->segments : 1,
                         .offsets = p->segments > 0 ? p->offsets : &zero};
        set_fetch(&end, next, left.count * p->depth, block, blocks);
        if (width < RA_LANES)
            narrow_tile(rows, width, &left, w, &end);
        else
            tiles[rows](width / RA_LANES, &left, w, &end);
        row += rows;
    }
    return width;
}

static void product(const ra_product *p)
{
    for (int32_t column = 0; column < p->columns;)
        column += column_of_tiles(p, column);
}

#define RA_TEXT(level)       #level
#define RA_LEVEL_TEXT(level) RA_TEXT(level)

const ra_micro RA_LEVELED(ra_micro) = {
    .name = RA_LEVEL_TEXT(RA_LEVEL),
    .product = product,
    .finish = RA_LEVELED(ra_finish),
    .lanes = RA_LANES,
    .lane_groups = RA_LEVELED(ra_lane_groups),
    .winograd = {{RA_LEVELED(ra_winograd2_input), RA_LEVELED(ra_winograd2_output), RA_LEVELED(ra_winograd2_filter),
                  RA_LEVELED(ra_winograd2_gradient), RA_LEVELED(ra_winograd2_taps)},
                 {RA_LEVELED(ra_winograd4_input), RA_LEVELED(ra_winograd4_output), RA_LEVELED(ra_winograd4_filter),
                  RA_LEVELED(ra_winograd4_gradient), RA_LEVELED(ra_winograd4_taps)}},
};
