/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Winograd's minimal filtering for 3x3 kernels with stride 1: the image is cut into overlapping windows of `size` x
 * `size` pixels, window and filter are transformed, and each of the size^2 transformed values is a product over the
 * channels of its own; what comes back is a tile of (size - 2)^2 outputs. A task does some tiles for some output
 * channels, all in the L2 cache but for the filters.
 */
#include "kernels/conv_forms_internal.h"

#include <string.h>

enum {
    VALUES = RA_WINOGRAD_MOST * RA_WINOGRAD_MOST,
    BLOCK_FLOATS = 100 << 10, /* of transformed inputs, and again of transformed outputs, of a task */
    MOST_TILES = 56,
    FEW_TILES = 7,    /* of a task: fewer rows than the micro-kernels are made for take as long */
    FEW_COLUMNS = 64, /* of a task: below, transforming the inputs once for each part of the columns costs too much */
    TASKS = 8         /* wanted */
};

typedef struct winograd_plan {
    int32_t tile, size;     /* of the result, of the image's window */
    int64_t tiles;          /* of all images */
    int32_t block, columns; /* tiles and output channels of a task */
    int32_t blocks, column_parts;
} winograd_plan;

typedef struct winograd_job {
    const ra_conv *conv;
    const ra_conv_result *result;
    winograd_plan plan;
    const ra_micro *micro;
    const float *x, *packed;
    float *zeros, *scratch; /* in_c zeros, for pixels outside */
    size_t each;
} winograd_job;

static int64_t block_floats(const winograd_plan *plan, int32_t channels)
{
    return (int64_t)plan->size * plan->size * channels;
}

int64_t ra_winograd_tiles(const ra_conv *conv, int32_t tile, int32_t n)
{
    return n * ra_div_up(conv->out_h, tile) * ra_div_up(conv->out_w, tile);
}

static winograd_plan make_plan(const ra_conv *conv, ra_conv_form form, int32_t n)
{
    winograd_plan plan = {.tile = form == RA_CONV_WINOGRAD2 ? 2 : 4};
    plan.size = plan.tile + 2;
    plan.tiles = ra_winograd_tiles(conv, plan.tile, n);
    int64_t most = BLOCK_FLOATS / block_floats(&plan, conv->in_c);
    most = most < 1 ? 1 : ra_smaller(most, MOST_TILES);
    int64_t blocks = ra_div_up(plan.tiles, most);
    int64_t parts = ra_smaller(ra_div_up(TASKS, blocks), ra_div_up(conv->out_c, FEW_COLUMNS));
    int64_t wanted = ra_smaller(TASKS, plan.tiles / FEW_TILES);
    if (parts == 1 && blocks < wanted)
        blocks = wanted;
    plan.block = (int32_t)ra_div_up(plan.tiles, blocks);
    plan.blocks = (int32_t)ra_div_up(plan.tiles, plan.block);
    plan.columns = (int32_t)(ra_div_up(ra_div_up(conv->out_c, parts), RA_PANEL) * RA_PANEL);
    plan.columns = ra_min(plan.columns, conv->out_c);
    plan.column_parts = (int32_t)ra_div_up(conv->out_c, plan.columns);
    return plan;
}

/* Rows of the transformed input, apart from each other so that they do not compete for the same sets of the L1 cache.
 */
static int64_t input_row(const ra_conv *conv)
{
    return conv->in_c + (conv->in_c % 256 == 0 ? 16 : 0);
}

static size_t input_floats(const ra_conv *conv, const winograd_plan *plan)
{
    return ra_line((size_t)(plan->size * plan->size) * (size_t)plan->block * (size_t)input_row(conv));
}

static size_t output_floats(const winograd_plan *plan)
{
    return ra_line((size_t)(plan->size * plan->size) * (size_t)plan->block * (size_t)plan->columns);
}

/* Fewer images may have larger blocks or columns, up to these. */
bool ra_winograd_work(const ra_conv *conv, ra_conv_form form, int32_t n, int32_t workers, size_t *bytes)
{
    winograd_plan plan = make_plan(conv, form, n);
    int64_t most = BLOCK_FLOATS / block_floats(&plan, conv->in_c);
    plan.block = (int32_t)ra_smaller(most < 1 ? 1 : ra_smaller(most, MOST_TILES), plan.tiles);
    plan.columns = conv->out_c;
    return plan.tiles <= INT32_MAX / ra_div_up(conv->out_c, RA_PANEL) &&
           ra_conv_bytes(ra_line((size_t)conv->in_c), input_floats(conv, &plan) + output_floats(&plan), workers, bytes);
}

/* ---- the filter ---- */

/* For each transformed value a set of panels as for a 1x1 convolution: panel p, row `channel`, column j. */
void ra_winograd_pack_one(const ra_conv *conv, ra_conv_form form, const float *filter, int32_t panel, float *packed)
{
    ra_winograd_filter *transform = ra_micro_kernels()->winograd[form == RA_CONV_WINOGRAD4].filter;
    int32_t values = form == RA_CONV_WINOGRAD2 ? 16 : VALUES;
    int64_t in_c = conv->in_c, set = ra_div_up(conv->out_c, RA_PANEL) * in_c * RA_PANEL;
    float u[VALUES * RA_WINOGRAD_UNIT];
    packed += panel * in_c * RA_PANEL;
    for (int64_t j = 0; j < RA_PANEL; j++)
        for (int64_t c = 0, o = panel * (int64_t)RA_PANEL + j; c < in_c; c += RA_WINOGRAD_UNIT) {
            if (o < conv->out_c)
                transform(RA_WINOGRAD_UNIT, filter + o * 9 * in_c + c, in_c, u, RA_WINOGRAD_UNIT);
            else
                memset(u, 0, sizeof u);
            for (int64_t i = 0; i < values; i++)
                for (int64_t k = 0; k < RA_WINOGRAD_UNIT; k++)
                    packed[i * set + (c + k) * RA_PANEL + j] = u[i * RA_WINOGRAD_UNIT + k];
        }
}

/* The same of the filter turned round, its channels exchanged: conv is the convolution that makes dx of dy, filter (its
 * input channel, tap, its output channel). */
void ra_winograd_pack_turned(const ra_conv *conv, ra_conv_form form, const float *filter, int32_t panel, float *packed)
{
    ra_winograd_filter *transform = ra_micro_kernels()->winograd[form == RA_CONV_WINOGRAD4].filter;
    int32_t values = form == RA_CONV_WINOGRAD2 ? 16 : VALUES, first = panel * RA_PANEL;
    int64_t in_c = conv->in_c, out_c = conv->out_c, set = ra_div_up(out_c, RA_PANEL) * in_c * RA_PANEL;
    int32_t columns = ra_min(RA_PANEL, conv->out_c - first);
    for (int64_t c = 0; c < in_c; c++) {
        float *target = packed + (panel * in_c + c) * RA_PANEL;
        transform(columns, filter + (c * 9 + 8) * out_c + first, -out_c, target, set);
        for (int32_t i = 0; i < values; i++)
            memset(target + i * set + columns, 0, (size_t)(RA_PANEL - columns) * sizeof(float));
    }
}

void ra_winograd_pack(const ra_conv *conv, ra_conv_form form, const float *filter, float *packed)
{
    for (int32_t panel = 0; panel < ra_panel_count(conv); panel++)
        ra_winograd_pack_one(conv, form, filter, panel, packed);
}

/* ---- the tiles ---- */

ra_winograd_place ra_winograd_place_of(const ra_conv *conv, int32_t tile, int64_t index)
{
    int64_t tiles_w = ra_div_up(conv->out_w, tile), tiles_h = ra_div_up(conv->out_h, tile), line = index / tiles_w;
    return (ra_winograd_place){line / tiles_h, (int32_t)(line % tiles_h) * tile, (int32_t)(index % tiles_w) * tile};
}

void ra_winograd_window(const ra_conv *conv, int32_t tile, int64_t index, const float *x, const float *zeros,
                        const float **pixels)
{
    int32_t size = tile + 2;
    ra_winograd_place place = ra_winograd_place_of(conv, tile, index);
    const float *image = x + place.image * conv->in_h * conv->in_w * conv->in_c;
    for (int32_t i = 0; i < size; i++)
        for (int32_t j = 0; j < size; j++) {
            int32_t row = place.y - conv->pad_top + i, column = place.x - conv->pad_left + j;
            bool inside = row >= 0 && row < conv->in_h && column >= 0 && column < conv->in_w;
            pixels[i * size + j] = inside ? image + ((int64_t)row * conv->in_w + column) * conv->in_c : zeros;
        }
}

static void transform_input(const winograd_job *job, int64_t index, float *v, int64_t v_step)
{
    const float *pixels[VALUES];
    ra_winograd_window(job->conv, job->plan.tile, index, job->x, job->zeros, pixels);
    job->micro->winograd[job->plan.tile == 4].input(job->conv->in_c, pixels, v, v_step);
}

static void transform_output(const winograd_job *job, int64_t index, const float *m, int64_t m_step, int32_t channel,
                             int32_t columns)
{
    const ra_conv *conv = job->conv;
    const ra_conv_result *result = job->result;
    int32_t tile = job->plan.tile;
    ra_winograd_place place = ra_winograd_place_of(conv, tile, index);
    int64_t image = place.image * conv->out_h * conv->out_w;
    int64_t addend_row = result->addend == result->y ? result->y_row : conv->out_c;
    float *y[VALUES];
    const float *addend[VALUES];
    for (int32_t i = 0; i < tile * tile; i++) {
        int32_t row = place.y + i / tile, column = place.x + i % tile;
        int64_t pixel = image + (int64_t)row * conv->out_w + column;
        bool inside = row < conv->out_h && column < conv->out_w;
        y[i] = inside ? result->y + pixel * result->y_row + channel : NULL;
        addend[i] = inside && result->addend ? result->addend + pixel * addend_row + channel : NULL;
    }
    job->micro->winograd[tile == 4].output(columns, m, m_step, result->bias ? result->bias + channel : NULL,
                                           result->addend ? addend : NULL, result->relu, y);
    if (!ra_conv_has_more(result))
        return;
    int32_t width = ra_min(tile, conv->out_w - place.x);
    for (int32_t i = 0; i < tile && place.y + i < conv->out_h; i++)
        ra_conv_finish_more(conv, result, image + (int64_t)(place.y + i) * conv->out_w + place.x, width, channel,
                            columns);
}

static void run_block(void *data, int32_t index, int32_t worker)
{
    const winograd_job *job = data;
    const winograd_plan *plan = &job->plan;
    int32_t channel = index % plan->column_parts * plan->columns, values = plan->size * plan->size;
    int32_t columns = ra_min(plan->columns, job->conv->out_c - channel);
    int64_t first = (int64_t)(index / plan->column_parts) * plan->block;
    int64_t tiles = ra_smaller(plan->block, plan->tiles - first), in_c = job->conv->in_c, row = input_row(job->conv);
    int64_t v_step = plan->block * row, m_step = (int64_t)plan->block * plan->columns;
    int64_t panel = in_c * RA_PANEL, set = ra_div_up(job->conv->out_c, RA_PANEL) * panel;
    float *v = job->scratch + (size_t)worker * job->each, *m = v + input_floats(job->conv, plan);
    for (int64_t i = 0; i < tiles; i++)
        transform_input(job, first + i, v + i * row, v_step);
    for (int32_t i = 0; i < values; i++) {
        ra_product product = {.rows = tiles,
                              .depth = in_c,
                              .columns = columns,
                              .a = v + i * v_step,
                              .a_row = row,
                              .panels = job->packed + i * set + channel / RA_PANEL * panel,
                              .panel_step = panel,
                              .next = i + 1 < values ? job->packed + (i + 1) * set + channel / RA_PANEL * panel : NULL,
                              .c = m + i * m_step,
                              .c_row = plan->columns};
        job->micro->product(&product);
    }
    for (int64_t i = 0; i < tiles; i++)
        transform_output(job, first + i, m + i * plan->columns, m_step, channel, columns);
}

void ra_winograd_run(resattn_context *context, const ra_conv *conv, ra_conv_form form, int32_t n, const float *x,
                     const float *packed, const ra_conv_result *result, void *work)
{
    winograd_job job = {.conv = conv,
                        .result = result,
                        .plan = make_plan(conv, form, n),
                        .micro = ra_micro_kernels(),
                        .x = x,
                        .packed = packed,
                        .zeros = work};
    job.scratch = job.zeros + ra_line((size_t)conv->in_c);
    job.each = input_floats(conv, &job.plan) + output_floats(&job.plan);
    memset(job.zeros, 0, (size_t)conv->in_c * sizeof(float));
    ra_parallel(context, run_block, &job, job.plan.blocks * job.plan.column_parts);
}
