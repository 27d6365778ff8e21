/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The gradient of a 3x3 convolution with respect to its filter by Winograd's minimal filtering. It is a correlation as
 * well, of windows of the image with tiles of the outputs' gradients, of which three taps each way come out:
 * F(3x3, tile x tile). Both are transformed, and each of the (tile + 2)^2 transformed values is a product of its own
 * whose depth are the tiles of all images; in the end the nine taps are made of these sums. A task does a block of
 * channels for a part of the tiles, with its sums in the L2 cache. Cuts depend on the shapes only.
 */
#include "kernels/conv_forms_internal.h"
#include "kernels/outer.h"

#include <string.h>

enum {
    CHANNELS2 = 128, /* of a block, at most, with tiles of 2 x 2 */
    CHANNELS4 = 64,
    SUM_FLOATS = 148 << 10,     /* of a block */
    SCRATCH_FLOATS = 148 << 10, /* of transformed tiles */
    MOST_TILES = 64             /* transformed at a time */
};

typedef struct filter_plan {
    int32_t tile, values;
    int64_t tiles;
    int32_t in_c, out_c; /* of a block */
    int32_t in_blocks, out_blocks, parts;
    int32_t segment; /* tiles transformed at a time */
} filter_plan;

typedef struct filter_job {
    const ra_conv *conv;
    filter_plan plan;
    const ra_micro *micro;
    const float *x, *dy;
    bool accumulate;
    float *dfilter;
    float *zeros, *sums, *scratch;
    size_t each;
} filter_job;

static int64_t most_segment(const filter_plan *plan)
{
    return ra_smaller(MOST_TILES, SCRATCH_FLOATS / plan->values / (plan->in_c + plan->out_c));
}

static filter_plan make_plan(const ra_conv *conv, ra_conv_form form, int32_t n)
{
    filter_plan plan = {.tile = form == RA_CONV_WINOGRAD2 ? 2 : 4};
    plan.values = (plan.tile + 2) * (plan.tile + 2);
    plan.tiles = ra_winograd_tiles(conv, plan.tile, n);
    int32_t most = plan.tile == 2 ? CHANNELS2 : CHANNELS4;
    plan.in_c = (int32_t)ra_round_up(ra_equal_part(conv->in_c, most), RA_WINOGRAD_UNIT);
    most = ra_min(most, SUM_FLOATS / plan.values / plan.in_c / RA_WINOGRAD_UNIT * RA_WINOGRAD_UNIT);
    plan.out_c = (int32_t)ra_round_up(ra_equal_part(conv->out_c, most), RA_WINOGRAD_UNIT);
    plan.in_blocks = (int32_t)ra_div_up(conv->in_c, plan.in_c);
    plan.out_blocks = (int32_t)ra_div_up(conv->out_c, plan.out_c);
    plan.parts = (int32_t)ra_div_up(RA_TASKS_WANTED, (int64_t)plan.in_blocks * plan.out_blocks);
    plan.segment = ra_equal_part(ra_div_up(plan.tiles, plan.parts), most_segment(&plan));
    return plan;
}

static int64_t block_floats(const filter_plan *plan)
{
    return (int64_t)plan->values * plan->in_c * plan->out_c;
}

static int64_t part_floats(const filter_plan *plan)
{
    return block_floats(plan) * plan->in_blocks * plan->out_blocks;
}

static size_t tile_floats(const filter_plan *plan, int64_t segment)
{
    return ra_line((size_t)(plan->values * segment * (plan->in_c + plan->out_c)));
}

static size_t worker_floats(const filter_plan *plan, int64_t segment)
{
    return tile_floats(plan, segment) + ra_outer_scratch(plan->out_c, plan->out_c);
}

bool ra_winograd_filter_work(const ra_conv *conv, ra_conv_form form, int32_t n, int32_t workers, size_t *bytes)
{
    filter_plan plan = make_plan(conv, form, n);
    size_t each = worker_floats(&plan, most_segment(&plan)), sums;
    return ra_mul_size((size_t)plan.parts, (size_t)part_floats(&plan), &sums) &&
           ra_conv_bytes(CHANNELS2 + sums, each, workers, bytes);
}

/* The outputs' gradients that tile `index` is made of, from channel `channel` on. */
static void gradient_pixels(const filter_job *job, int64_t index, int32_t channel, const float **pixels)
{
    const ra_conv *conv = job->conv;
    int32_t tile = job->plan.tile;
    ra_winograd_place place = ra_winograd_place_of(conv, tile, index);
    const float *image = job->dy + place.image * conv->out_h * conv->out_w * conv->out_c + channel;
    for (int32_t i = 0; i < tile * tile; i++) {
        int32_t row = place.y + i / tile, column = place.x + i % tile;
        bool inside = row < conv->out_h && column < conv->out_w;
        pixels[i] = inside ? image + ((int64_t)row * conv->out_w + column) * conv->out_c : job->zeros;
    }
}

/* sums[value][output channel][input channel] of a block begin with, or get to it, what `tiles` tiles from `first` on
 * give. */
static void add_tiles(const filter_job *job, int64_t first, int64_t tiles, int32_t in, int32_t out, bool add,
                      float *sums, float *scratch)
{
    const filter_plan *plan = &job->plan;
    int64_t in_c = ra_min(plan->in_c, job->conv->in_c - in), out_c = ra_min(plan->out_c, job->conv->out_c - out);
    float *x = scratch, *dy = x + plan->values * tiles * in_c, *outer = scratch + tile_floats(plan, plan->segment);
    const float *pixels[RA_WINOGRAD_MOST * RA_WINOGRAD_MOST];
    for (int64_t i = 0; i < tiles; i++) {
        ra_winograd_window(job->conv, plan->tile, first + i, job->x + in, job->zeros, pixels);
        job->micro->winograd[plan->tile == 4].input((int32_t)in_c, pixels, x + i * in_c, tiles * in_c);
        gradient_pixels(job, first + i, out, pixels);
        job->micro->winograd[plan->tile == 4].gradient((int32_t)out_c, pixels, dy + i * out_c, tiles * out_c);
    }
    for (int64_t i = 0; i < plan->values; i++)
        ra_outer_product(out_c, in_c, tiles, dy + i * tiles * out_c, out_c, x + i * tiles * in_c, in_c, add ? 1 : 0,
                         sums + i * plan->in_c * plan->out_c, plan->in_c, outer);
}

static void block_task(void *data, int32_t index, int32_t worker)
{
    const filter_job *job = data;
    const filter_plan *plan = &job->plan;
    int32_t blocks = plan->in_blocks * plan->out_blocks, block = index % blocks, part = index / blocks;
    int32_t in = block % plan->in_blocks * plan->in_c, out = block / plan->in_blocks * plan->out_c;
    int64_t begin = plan->tiles * part / plan->parts, end = plan->tiles * (part + 1) / plan->parts;
    float *sums = job->sums + part * part_floats(plan) + block * block_floats(plan);
    if (begin == end)
        memset(sums, 0, (size_t)block_floats(plan) * sizeof(float));
    for (int64_t first = begin; first < end; first += plan->segment)
        add_tiles(job, first, ra_smaller(plan->segment, end - first), in, out, first > begin, sums,
                  job->scratch + (size_t)worker * job->each);
}

static void taps_task(void *data, int32_t index, int32_t worker)
{
    const filter_job *job = data;
    const filter_plan *plan = &job->plan;
    int64_t in_c = job->conv->in_c;
    (void)worker;
    for (int32_t block = 0; block < plan->in_blocks; block++) {
        int32_t in = block * plan->in_c;
        const float *sums = job->sums + (index / plan->out_c * plan->in_blocks + block) * block_floats(plan) +
                            (int64_t)(index % plan->out_c) * plan->in_c;
        job->micro->winograd[plan->tile == 4].taps(
            ra_min(plan->in_c, job->conv->in_c - in), sums, (int64_t)plan->in_c * plan->out_c, plan->parts,
            part_floats(plan), job->accumulate, job->dfilter + (int64_t)index * 9 * in_c + in, in_c);
    }
}

void ra_winograd_backward_filter(resattn_context *context, const ra_conv *conv, ra_conv_form form, int32_t n,
                                 const float *x, const float *dy, bool accumulate, float *dfilter, void *work)
{
    filter_job job = {.conv = conv,
                      .plan = make_plan(conv, form, n),
                      .micro = ra_micro_kernels(),
                      .x = x,
                      .dy = dy,
                      .accumulate = accumulate,
                      .dfilter = dfilter,
                      .zeros = work};
    job.sums = job.zeros + CHANNELS2;
    job.scratch = job.sums + job.plan.parts * part_floats(&job.plan);
    job.each = worker_floats(&job.plan, job.plan.segment);
    memset(job.zeros, 0, CHANNELS2 * sizeof(float));
    ra_parallel(context, block_task, &job, job.plan.in_blocks * job.plan.out_blocks * job.plan.parts);
    ra_parallel(context, taps_task, &job, conv->out_c);
}
