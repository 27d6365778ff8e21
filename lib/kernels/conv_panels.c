/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Convolution by micro-kernels over packed panels. The left operand is read where it lies: BLIS would copy and
 * transpose it, and pack the constant weights anew, at every call.
 */
#include "kernels/conv_forms_internal.h"

#include <string.h>

enum {
    MOST_ROWS = 112, /* of a tile: with STEP_DEPTH, a quarter of an L2 cache of 1 MiB */
    ROW_UNIT = 14,
    STEP_DEPTH = 384,      /* so many rows of a panel stay in the L1 cache, or nearly */
    SHORT_DEPTH = 128,     /* with short sums */
    TASKS = 16,            /* wanted */
    TASK_WORK = 1 << 18,   /* multiply-adds below which a task is not worth its start */
    MOST_WHOLE = 1 << 20,  /* floats that are gathered at once */
    GATHER_TASK = 1 << 15, /* floats */
    PACK_BLOCK = 64,
    LONG_ROW = 1024, /* floats between rows, from where on more than a few compete for the same sets of the L1 cache */
    EVEN_ROW = 256,  /* rows of a multiple of so many floats do, a little */
    STAGGER = 16     /* floats between gathered rows against that */
};

/* How the work is cut: into tiles of the result, one a task, and within a tile into steps over the depth. */
typedef struct panel_plan {
    int32_t rows, columns; /* of a tile */
    int64_t row_tiles;
    int32_t column_tiles;
    int32_t taps, channels; /* of a step */
    bool gathered;          /* rows are copied together first, */
    bool whole;             /* and all of them at once, as several columns of tiles need them */
    bool by_columns;        /* neighbouring tasks share weights, not pixels: what is more */
} panel_plan;

typedef struct panel_job {
    const ra_conv *conv;
    const ra_conv_result *result;
    panel_plan plan;
    ra_patches patches;
    const ra_micro *micro;
    int64_t rows;
    const float *packed;
    float *whole, *scratch;
    size_t each; /* floats of scratch of a worker */
} panel_job;

/* Whether the rows of the left operand are the image's pixels, and can be read as they lie. */
static bool reads_pixels(const ra_conv *conv)
{
    ra_patches patches = ra_conv_patches(conv, NULL);
    return ra_patches_are_pixels(&patches) && conv->in_c < LONG_ROW;
}

static void cut_depth(const ra_conv *conv, int32_t most, panel_plan *plan)
{
    int32_t depth = conv->in_c / conv->groups;
    plan->channels = ra_equal_part(depth, most);
    plan->taps = plan->channels < depth ? 1 : ra_equal_part(ra_conv_taps(conv), most / depth);
}

static panel_plan make_plan(const ra_conv *conv, int32_t n, bool short_sums)
{
    int64_t rows = ra_conv_pixels(conv, n), depth = ra_conv_taps(conv) * (conv->in_c / conv->groups);
    int32_t columns = conv->out_c / conv->groups;
    panel_plan plan = {.gathered = !reads_pixels(conv)};
    int64_t work = ra_times(ra_times(rows, depth), columns) / TASK_WORK;
    int64_t wanted = ra_div_up(work < 1 ? 1 : ra_smaller(work, TASKS), conv->groups);
    plan.rows = (int32_t)ra_smaller(rows, ra_smaller(MOST_ROWS, ra_round_up(ra_equal_part(rows, MOST_ROWS), ROW_UNIT)));
    plan.row_tiles = ra_div_up(rows, plan.rows);
    int64_t parts = ra_smaller(ra_div_up(wanted, plan.row_tiles), ra_div_up(columns, RA_PANEL));
    plan.columns = (int32_t)ra_smaller(columns, ra_round_up(ra_div_up(columns, parts), RA_PANEL));
    plan.column_tiles = (int32_t)ra_div_up(columns, plan.columns);
    plan.whole = plan.gathered && plan.column_tiles > 1 && conv->groups == 1 && ra_times(rows, depth) <= MOST_WHOLE;
    plan.by_columns = ra_times(depth, columns) > ra_times(rows, (int64_t)conv->in_c + conv->out_c);
    cut_depth(conv, short_sums ? SHORT_DEPTH : STEP_DEPTH, &plan);
    return plan;
}

static int64_t staggered(int64_t row)
{
    return row + (row % EVEN_ROW == 0 ? STAGGER : 0);
}

static int64_t scratch_row(const panel_plan *plan)
{
    return staggered((int64_t)plan->taps * plan->channels);
}

static int64_t whole_row(const ra_conv *conv)
{
    return staggered(ra_conv_taps(conv) * conv->in_c);
}

static int64_t task_count(const ra_conv *conv, const panel_plan *plan)
{
    return plan->row_tiles * plan->column_tiles * conv->groups;
}

/* Fewer images may be gathered whole where more are not, so there is room for both. */
bool ra_panels_work(const ra_conv *conv, int32_t n, int32_t workers, size_t *bytes)
{
    panel_plan plan = make_plan(conv, n, false); /* whose steps are the longer ones */
    *bytes = 0;
    if (task_count(conv, &plan) > INT32_MAX)
        return false;
    if (!plan.gathered)
        return true;
    int64_t depth = ra_conv_taps(conv) * conv->in_c;
    int64_t most =
        ra_smaller(MOST_WHOLE / depth, ra_conv_pixels(conv, n)); /* NOLINT(clang-analyzer-core.DivideZero): depth > 0 */
    size_t whole = conv->groups == 1 ? ra_line((size_t)(most * whole_row(conv))) : 0;
    return ra_conv_bytes(whole, ra_line(MOST_ROWS * (size_t)scratch_row(&plan)), workers, bytes);
}

/* Panel p of a group, row (tap, channel), column j: the weight of output channel 32 p + j. In blocks that stay in the
 * L1 cache. */
void ra_panels_pack_one(const ra_conv *conv, const float *filter, int32_t panel, float *packed)
{
    int64_t depth = ra_conv_taps(conv) * (conv->in_c / conv->groups);
    int32_t columns = conv->out_c / conv->groups, panels = (int32_t)ra_div_up(columns, RA_PANEL);
    int32_t first = panel % panels * RA_PANEL, count = ra_min(RA_PANEL, columns - first);
    const float *source = filter + ((int64_t)(panel / panels) * columns + first) * depth;
    packed += panel * depth * RA_PANEL;
    for (int64_t block = 0; block < depth; block += PACK_BLOCK) {
        int64_t end = ra_smaller(depth, block + PACK_BLOCK);
        for (int32_t j = 0; j < RA_PANEL; j++)
            for (int64_t l = block; l < end; l++)
                packed[l * RA_PANEL + j] = j < count ? source[j * depth + l] : 0;
    }
}

void ra_panels_pack(const ra_conv *conv, const float *filter, float *packed)
{
    for (int32_t panel = 0; panel < ra_panel_count(conv); panel++)
        ra_panels_pack_one(conv, filter, panel, packed);
}

static void gather_range(void *data, int64_t begin, int64_t end)
{
    const panel_job *job = data;
    int64_t row = whole_row(job->conv);
    ra_patches_gather(&job->patches, begin, end - begin, 0, (int32_t)ra_conv_taps(job->conv), 0, job->conv->in_c,
                      job->whole + begin * row, row);
}

/* The left operand of one step, rows a_row floats apart. */
static const float *left_operand(const panel_job *job, int64_t row, int64_t rows, int32_t tap, int32_t taps,
                                 int32_t channel, int32_t channels, float *scratch, int64_t *a_row)
{
    if (!job->plan.gathered) {
        *a_row = job->conv->in_c;
        return job->patches.image + row * *a_row + channel;
    }
    if (job->plan.whole) {
        *a_row = whole_row(job->conv);
        return job->whole + row * *a_row + (int64_t)tap * job->conv->in_c + channel;
    }
    *a_row = scratch_row(&job->plan);
    ra_patches_gather(&job->patches, row, rows, tap, taps, channel, channels, scratch, *a_row);
    return scratch;
}

/* All steps of a tile; group_channel: of the image, the group's first. */
static void multiply_tile(const panel_job *job, int64_t row, int32_t group, ra_product product, float *scratch)
{
    const panel_plan *plan = &job->plan;
    int32_t all_taps = (int32_t)ra_conv_taps(job->conv), depth = job->conv->in_c / job->conv->groups;
    const float *panels = product.panels, *bias = product.bias, *addend = product.addend;
    float *second = product.second;
    bool relu = product.relu, in_place = job->result->addend == job->result->y;
    for (int32_t tap = 0; tap < all_taps; tap += plan->taps)
        for (int32_t channel = 0; channel < depth; channel += plan->channels) {
            int32_t taps = ra_min(plan->taps, all_taps - tap), channels = ra_min(plan->channels, depth - channel);
            bool last = tap + taps == all_taps && channel + channels == depth;
            product.a = left_operand(job, row, product.rows, tap, taps, group * depth + channel, channels, scratch,
                                     &product.a_row);
            product.depth = (int64_t)taps * channels;
            product.panels = panels + ((int64_t)tap * depth + channel) * RA_PANEL;
            product.next = last ? NULL : product.panels + product.depth * RA_PANEL;
            product.add = in_place || tap + channel > 0;
            product.bias = last ? bias : NULL;
            product.addend = last && !in_place ? addend : NULL;
            product.relu = last && relu;
            product.second = last ? second : NULL;
            job->micro->product(&product);
        }
}

static void run_tile(void *data, int32_t index, int32_t worker)
{
    const panel_job *job = data;
    const ra_conv *conv = job->conv;
    const panel_plan *plan = &job->plan;
    const ra_conv_result *result = job->result;
    int32_t out_c = conv->out_c / conv->groups;
    int64_t panel = ra_conv_taps(conv) * (conv->in_c / conv->groups) * RA_PANEL;
    int32_t row_tiles = (int32_t)plan->row_tiles, column_tiles = plan->column_tiles * conv->groups;
    int32_t tile = plan->by_columns ? index / row_tiles : index % column_tiles;
    int64_t row = (int64_t)(plan->by_columns ? index % row_tiles : index / column_tiles) * plan->rows;
    int32_t column = tile % plan->column_tiles * plan->columns, group = tile / plan->column_tiles;
    int32_t channel = group * out_c + column;
    ra_product product = {.rows = ra_smaller(plan->rows, job->rows - row),
                          .columns = ra_min(plan->columns, out_c - column),
                          .panels = job->packed + (group * ra_div_up(out_c, RA_PANEL) + column / RA_PANEL) * panel,
                          .panel_step = panel,
                          .c = result->y + row * result->y_row + channel,
                          .c_row = result->y_row,
                          .bias = result->bias ? result->bias + channel : NULL,
                          .addend = result->addend ? result->addend + row * conv->out_c + channel : NULL,
                          .addend_row = conv->out_c,
                          .relu = result->relu};
    if (result->second && !ra_conv_has_activation(result)) {
        bool in_place = result->second == result->y;
        product.second = in_place ? product.c : result->second + row * conv->out_c + channel;
        product.second_row = in_place ? product.c_row : conv->out_c;
        product.scale = result->scale + channel;
        product.shift = result->shift + channel;
        product.second_relu = result->second_relu;
    }
    multiply_tile(job, row, group, product, job->scratch + (size_t)worker * job->each);
    if (ra_conv_has_activation(result))
        ra_conv_finish_more(conv, result, row, product.rows, channel, product.columns);
}

void ra_panels_run(resattn_context *context, const ra_conv *conv, int32_t n, const float *x, const float *packed,
                   const ra_conv_result *result, void *work)
{
    panel_job job = {.conv = conv,
                     .result = result,
                     .plan = make_plan(conv, n, result->short_sums),
                     .patches = ra_conv_patches(conv, x),
                     .micro = ra_micro_kernels(),
                     .rows = ra_conv_pixels(conv, n),
                     .packed = packed,
                     .whole = work,
                     .scratch = work};
    job.each = ra_line(MOST_ROWS * (size_t)scratch_row(&job.plan));
    if (job.plan.whole)
        ra_parallel_ranges(context, gather_range, &job, job.rows, ra_div_up(GATHER_TASK, whole_row(conv)));
    ra_parallel(context, run_tile, &job, (int32_t)task_count(conv, &job.plan));
}
