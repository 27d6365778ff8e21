/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Cutting products into tiles, and computing one.
 */
#include "kernels/conv_internal.h"

enum {
    MOST_ROWS = 256,      /* of a tile whose rows are gathered: with STEP_DEPTH, half of an L2 cache of 1 MiB */
    MOST_PIXELS = 512,    /* of a tile whose rows lie in memory already */
    MOST_COLUMNS = 1024,  /* of a tile */
    STEP_DEPTH = 512,     /* taps * channels of a step */
    MOST_WHOLE = 1 << 20, /* floats that are gathered at once */
    TASK_WORK = 1000000,  /* multiply-adds below which a task is not worth its start */
    ROW_UNIT = 12,        /* tiles are multiples of the micro-tiles of BLIS's kernels, as far as there are */
    COLUMN_UNIT = 32,
    MOST_CACHED = 1 << 19, /* floats of weights that stay in a cache */
    GATHER_TASK = 1 << 15  /* floats */
};

/*
 * BLIS copies both operands of every product (packing): the weights once for each row of tiles, the pixels, which it
 * has to transpose, once for each column of tiles, and gathering copies them once more. Measured on Zen 5 with the
 * kernels for AVX-512, a pixel's float costs about twice as much as one of the weights, unless these come from memory.
 */
static int64_t copy_cost(int64_t rows, int64_t columns, bool gathered, bool cached)
{
    int64_t unit = INT64_C(1) << 40;
    return (gathered ? 3 : 2) * unit / columns + (cached ? 1 : 2) * unit / rows;
}

/* How many rows may be gathered at once. */
static int64_t most_whole_rows(const ra_extent *extent)
{
    if (!extent->gathered || extent->copies != 1)
        return 0;
    return MOST_WHOLE / ra_times(extent->depth, extent->taps); /* NOLINT(clang-analyzer-core.DivideZero): both > 0 */
}

/* What of the depth one step of a tile takes: all, where the rows lie in memory or `whole` gathers them at once. */
static void cut_depth(const ra_extent *extent, bool whole, ra_tiling *tiling)
{
    int32_t depth = extent->depth;
    tiling->channels = extent->gathered && !whole ? ra_equal_part(depth, STEP_DEPTH) : depth;
    tiling->taps = extent->one_tap || tiling->channels < depth ? 1
                   : whole                                     ? (int32_t)extent->taps
                                                               : ra_equal_part(extent->taps, STEP_DEPTH / depth);
}

/* Of the cuts that give enough tasks, the one with the least copying is taken. */
ra_tiling ra_tiling_choose(const ra_extent *extent)
{
    int64_t rows = extent->rows, taps = extent->taps, copies = extent->copies;
    int32_t columns = extent->columns, depth = extent->depth;
    bool gathered = extent->gathered;
    ra_tiling best = {.rows = 1, .columns = 1, .gathered = gathered};
    int64_t weights = ra_times(ra_times(columns, depth), taps);
    int64_t work = ra_times(ra_times(weights, rows), copies) / TASK_WORK;
    int64_t tasks = work < 1 ? 1 : work < RA_TASKS_WANTED ? work : RA_TASKS_WANTED;
    int64_t wanted = ra_div_up(tasks, copies), first = ra_div_up(columns, MOST_COLUMNS);
    bool few = rows <= most_whole_rows(extent);
    int64_t most = gathered && !few ? MOST_ROWS : MOST_PIXELS, least = INT64_MAX;
    for (int64_t cuts = first; cuts < first + RA_TASKS_WANTED; cuts++) {
        int64_t tile_columns = ra_smaller(columns, ra_round_up(ra_div_up(columns, cuts), COLUMN_UNIT));
        int64_t row_cuts = ra_div_up(wanted, ra_div_up(columns, tile_columns));
        int64_t tile_rows = ra_smaller(rows, ra_round_up(ra_div_up(rows, row_cuts), ROW_UNIT));
        tile_rows = ra_smaller(tile_rows, ra_equal_part(rows, most));
        int64_t cost = copy_cost(tile_rows, tile_columns, gathered && !few, weights <= MOST_CACHED);
        if (cost < least) {
            least = cost;
            best.columns = (int32_t)tile_columns;
            best.rows = (int32_t)tile_rows;
        }
    }
    best.row_tiles = ra_div_up(rows, best.rows);
    best.column_tiles = (int32_t)ra_div_up(columns, best.columns);
    best.whole = few && best.column_tiles > 1;
    cut_depth(extent, best.whole, &best);
    return best;
}

size_t ra_tiling_scratch(const ra_tiling *tiling)
{
    if (!tiling->gathered || tiling->whole)
        return 0;
    return ra_line((size_t)tiling->rows * (size_t)tiling->taps * (size_t)tiling->channels);
}

size_t ra_tiling_shared(const ra_tiling *tiling, int64_t rows, int64_t depth)
{
    return tiling->whole ? ra_line((size_t)rows * (size_t)depth) : 0;
}

ra_tiling_bounds ra_tiling_most(const ra_extent *extent)
{
    int64_t few = ra_smaller(extent->rows, most_whole_rows(extent));
    int64_t many = ra_smaller(extent->rows, extent->gathered ? MOST_ROWS : MOST_PIXELS);
    int64_t rows = few < many ? many : ra_smaller(few, MOST_PIXELS);
    ra_tiling_bounds most = {.tile = rows * ra_smaller(extent->columns, MOST_COLUMNS)};
    if (!extent->gathered)
        return most;
    ra_tiling largest = {.rows = (int32_t)rows, .gathered = true};
    cut_depth(extent, false, &largest);
    most.scratch = ra_tiling_scratch(&largest);
    most.whole_rows = extent->columns > COLUMN_UNIT ? few : 0; /* else there is one column of tiles */
    return most;
}

typedef struct gather_job {
    const ra_patches *patches;
    int64_t rows, step;
    float *target;
} gather_job;

static void gather_task(void *context, int32_t index, int32_t worker)
{
    const gather_job *job = context;
    const ra_patches *p = job->patches;
    int64_t row = index * job->step, depth = (int64_t)p->taps_h * p->taps_w * p->c;
    (void)worker;
    ra_patches_gather(p, row, ra_smaller(job->step, job->rows - row), 0, p->taps_h * p->taps_w, 0, p->c,
                      job->target + row * depth, depth);
}

const float *ra_gather_whole(resattn_context *context, const ra_patches *patches, const ra_tiling *tiling, int64_t rows,
                             float *shared)
{
    if (!tiling->whole)
        return NULL;
    int64_t depth = (int64_t)patches->taps_h * patches->taps_w * patches->c;
    gather_job job = {patches, rows, ra_div_up(GATHER_TASK, depth), shared};
    ra_parallel(context, gather_task, &job, (int32_t)ra_div_up(rows, job.step));
    return shared;
}

void ra_product_tile(const ra_patches *patches, int64_t row, int32_t rows, int32_t channel, int32_t depth,
                     const ra_weights *weights, int32_t columns, const ra_tiling *tiling, const float *whole,
                     float beta, float *c, int64_t c_row, float *scratch)
{
    if (ra_patches_are_pixels(patches)) {
        ra_gemm(rows, columns, depth, patches->image + row * patches->c + channel, patches->c, 1, weights->data,
                weights->row, weights->column, beta, c, c_row, 1);
        return;
    }
    int32_t all_taps = patches->taps_h * patches->taps_w;
    for (int32_t tap = 0; tap < all_taps; tap += tiling->taps) {
        int32_t taps = ra_min(tiling->taps, all_taps - tap);
        const float *tap_weights =
            weights->data + tap / patches->taps_w * weights->tap_h + tap % patches->taps_w * weights->tap_w;
        for (int32_t l = 0; l < depth; l += tiling->channels) {
            int32_t channels = ra_min(tiling->channels, depth - l);
            int64_t k = (int64_t)taps * channels, a_row = k;
            const float *a = scratch;
            if (whole != NULL) {
                a_row = (int64_t)all_taps * depth;
                a = whole + row * a_row + (int64_t)tap * depth + l;
            } else {
                ra_patches_gather(patches, row, rows, tap, taps, channel + l, channels, scratch, k);
            }
            ra_gemm(rows, columns, k, a, a_row, 1, tap_weights + l * weights->row, weights->row, weights->column, beta,
                    c, c_row, 1);
            beta = 1.0f;
        }
    }
}

void ra_conv_finish(int64_t rows, int32_t columns, const float *bias, bool relu, float *y, int64_t y_row)
{
    if (bias == NULL && !relu)
        return;
    for (int64_t i = 0; i < rows; i++, y += y_row) {
        if (bias != NULL)
            for (int32_t j = 0; j < columns; j++)
                y[j] += bias[j];
        if (relu)
            for (int32_t j = 0; j < columns; j++)
                y[j] = y[j] < 0.0f ? 0.0f : y[j];
    }
}

bool ra_conv_bytes(size_t shared, size_t each, int32_t workers, size_t *bytes)
{
    size_t floats;
    return ra_mul_size(each, (size_t)workers, &floats) && ra_add_size(floats, shared, &floats) &&
           ra_mul_size(floats, sizeof(float), bytes);
}
