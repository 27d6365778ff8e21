/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The gradient of convolution with respect to the filter: dfilter (out x taps * in) = dy^T (out x pixels) * patches. A
 * task computes a block of it over all pixels, segment by segment, so that no sums of several tasks meet. Only where
 * the whole filter is so small that its blocks would be slivers, the pixels are cut into a few parts, each with a
 * result of its own, which are added in order afterwards. Cuts depend on the shapes only.
 */
#include "kernels/conv_internal.h"
#include "kernels/outer.h"

#include <string.h>

enum {
    SMALL_FILTER = 1 << 16,      /* floats up to which pixels are cut, not the filter */
    SEGMENT_FLOATS = 160 * 1024, /* gathered at a time: well within an L2 cache of 1 MiB */
    SEGMENT_LEAST = 64,
    SEGMENT_MOST = 512,
    BLOCK = 256,        /* taps * channels of a block */
    BLOCK_ROWS = 512,   /* output channels of a block */
    PART_WORK = 500000, /* multiply-adds below which a part is not worth its start */
    REDUCE = 16384
};

typedef struct filter_plan {
    bool gathered;
    int32_t parts;          /* of the pixels */
    int32_t taps, channels; /* of a block's columns */
    int32_t rows;           /* of a block */
    int32_t tap_tiles, channel_tiles, row_tiles;
    int32_t segment; /* pixels gathered at a time */
} filter_plan;

typedef struct filter_job {
    const ra_conv *conv;
    ra_patches patches;
    filter_plan plan;
    int64_t pixels;
    const float *dy;
    bool accumulate;
    float *dfilter;
    float *parts, *scratch; /* in the work memory */
    int64_t floats;         /* of the filter */
} filter_job;

static int32_t pieces(int64_t whole, int32_t part)
{
    return (int32_t)ra_div_up(whole, part);
}

static int32_t blocks(const filter_plan *plan)
{
    return plan->tap_tiles * plan->channel_tiles * plan->row_tiles;
}

static void cut_filter(filter_plan *plan, int64_t taps, int32_t in_c, int32_t out_c, int32_t tap_limit,
                       int32_t column_limit, int32_t row_limit)
{
    plan->channels = ra_equal_part(in_c, column_limit);
    plan->taps = plan->channels < in_c ? 1 : ra_equal_part(taps, ra_max(1, ra_min(tap_limit, column_limit / in_c)));
    plan->rows = ra_equal_part(out_c, row_limit);
    plan->tap_tiles = pieces(taps, plan->taps);
    plan->channel_tiles = pieces(in_c, plan->channels);
    plan->row_tiles = pieces(out_c, plan->rows);
}

static int64_t most_segment(const filter_plan *plan)
{
    if (!plan->gathered)
        return INT64_C(8) * SEGMENT_MOST;
    int64_t most = SEGMENT_FLOATS / ((int64_t)plan->taps * plan->channels);
    return most < SEGMENT_LEAST ? SEGMENT_LEAST : most > SEGMENT_MOST ? SEGMENT_MOST : most;
}

static filter_plan make_filter_plan(const ra_conv *conv, int32_t n)
{
    ra_patches patches = ra_conv_patches(conv, NULL);
    int64_t taps = ra_conv_taps(conv), pixels = ra_conv_pixels(conv, n);
    int32_t in_c = conv->in_c / conv->groups, out_c = conv->out_c / conv->groups;
    filter_plan plan = {.gathered = !ra_patches_are_pixels(&patches), .parts = 1};
    if (ra_conv_filter_floats(conv) <= SMALL_FILTER) {
        int64_t worth = ra_times((int64_t)ra_conv_filter_floats(conv), pixels) / PART_WORK + 1;
        int64_t most = RA_TASKS_WANTED / conv->groups + 1;
        plan.parts = (int32_t)(worth < most ? worth : most);
        if (plan.parts > RA_TASKS_WANTED)
            plan.parts = RA_TASKS_WANTED;
        cut_filter(&plan, taps, in_c, out_c, INT32_MAX, INT32_MAX, INT32_MAX);
    } else {
        cut_filter(&plan, taps, in_c, out_c, INT32_MAX, plan.gathered ? BLOCK : BLOCK_ROWS, BLOCK_ROWS);
        if ((int64_t)blocks(&plan) * conv->groups < RA_TASKS_WANTED)
            cut_filter(&plan, taps, in_c, out_c, 1, BLOCK, BLOCK_ROWS);
        if ((int64_t)blocks(&plan) * conv->groups < RA_TASKS_WANTED)
            cut_filter(&plan, taps, in_c, out_c, 1, BLOCK / 2, BLOCK / 2);
    }
    plan.segment = ra_equal_part(ra_div_up(pixels, plan.parts), most_segment(&plan));
    return plan;
}

static size_t gathered_floats(const filter_plan *plan)
{
    if (!plan->gathered)
        return 0;
    return ra_line((size_t)plan->segment * (size_t)plan->taps * (size_t)plan->channels);
}

static size_t filter_scratch(const ra_conv *conv, const filter_plan *plan)
{
    return gathered_floats(plan) + ra_outer_scratch(plan->rows, conv->out_c);
}

static int64_t filter_tasks(const ra_conv *conv, const filter_plan *plan)
{
    return (int64_t)blocks(plan) * conv->groups * plan->parts;
}

bool ra_conv_backward_filter_work(const ra_conv *conv, int32_t n, int32_t workers, size_t *bytes)
{
    if (ra_conv_is_direct(conv))
        return ra_direct_work(conv, n, RA_DIRECT_PARTS, bytes);
    filter_plan plan = make_filter_plan(conv, n);
    int64_t pixels = ra_conv_pixels(conv, n), segment = most_segment(&plan);
    plan.segment = (int32_t)(segment < pixels ? segment : pixels); /* fewer images may be cut into larger segments */
    size_t parts = plan.parts > 1 ? (size_t)plan.parts * ra_line(ra_conv_filter_floats(conv)) : 0;
    return filter_tasks(conv, &plan) <= INT32_MAX && ra_conv_bytes(parts, filter_scratch(conv, &plan), workers, bytes);
}

/* A block of the filter's gradient over pixels begin .. end - 1. */
static void filter_block(const filter_job *job, int32_t group, int32_t block, int64_t begin, int64_t end, float beta,
                         float *result, float *scratch)
{
    const ra_conv *conv = job->conv;
    const filter_plan *plan = &job->plan;
    int32_t in_c = conv->in_c / conv->groups, out_c = conv->out_c / conv->groups;
    int64_t all_taps = ra_conv_taps(conv), filter_row = all_taps * in_c;
    int32_t channel = block % plan->channel_tiles * plan->channels, rest = block / plan->channel_tiles;
    int32_t tap = rest % plan->tap_tiles * plan->taps, row = rest / plan->tap_tiles * plan->rows;
    int32_t channels = ra_min(plan->channels, in_c - channel), taps = ra_min(plan->taps, (int32_t)all_taps - tap);
    int32_t rows = ra_min(plan->rows, out_c - row);
    int64_t columns = (int64_t)taps * channels;
    size_t gathered = gathered_floats(plan);
    int32_t first_channel = group * in_c + channel, first_row = group * out_c + row; /* of all groups' */
    float *c = result + first_row * filter_row + (int64_t)tap * in_c + channel;
    for (int64_t pixel = begin; pixel < end; pixel += plan->segment) {
        int64_t count = end - pixel < plan->segment ? end - pixel : plan->segment;
        const float *dy = job->dy + pixel * conv->out_c + first_row;
        const float *x = job->patches.image + pixel * conv->in_c + first_channel;
        int64_t x_row = conv->in_c;
        if (plan->gathered) {
            ra_patches_gather(&job->patches, pixel, count, tap, taps, first_channel, channels, scratch,
                              (int64_t)taps * channels);
            x = scratch;
            x_row = columns;
        }
        ra_outer_product(rows, columns, count, dy, conv->out_c, x, x_row, beta, c, filter_row, scratch + gathered);
        beta = 1.0f;
    }
}

static void filter_task(void *context, int32_t index, int32_t worker)
{
    const filter_job *job = context;
    const filter_plan *plan = &job->plan;
    int32_t block = index % blocks(plan), rest = index / blocks(plan);
    int32_t group = rest % job->conv->groups, part = rest / job->conv->groups;
    int64_t begin = job->pixels * part / plan->parts, end = job->pixels * (part + 1) / plan->parts;
    float *scratch = job->scratch + (size_t)worker * filter_scratch(job->conv, plan);
    if (plan->parts == 1)
        filter_block(job, group, block, begin, end, job->accumulate ? 1.0f : 0.0f, job->dfilter, scratch);
    else
        filter_block(job, group, block, begin, end, 0.0f, job->parts + part * (int64_t)ra_line((size_t)job->floats),
                     scratch);
}

static void reduce_task(void *context, int32_t index, int32_t worker)
{
    const filter_job *job = context;
    int64_t begin = (int64_t)index * REDUCE, end = begin + REDUCE < job->floats ? begin + REDUCE : job->floats;
    (void)worker;
    if (!job->accumulate)
        memset(job->dfilter + begin, 0, (size_t)(end - begin) * sizeof(float));
    for (int32_t part = 0; part < job->plan.parts; part++) {
        const float *source = job->parts + part * (int64_t)ra_line((size_t)job->floats);
        for (int64_t i = begin; i < end; i++)
            job->dfilter[i] += source[i];
    }
}

void ra_conv_backward_filter(resattn_context *context, const ra_conv *conv, int32_t n, const float *x, const float *dy,
                             bool accumulate, float *dfilter, void *work)
{
    if (ra_conv_is_direct(conv)) {
        ra_direct_backward_filter(context, conv, n, x, dy, accumulate, dfilter, work);
        return;
    }
    filter_job job = {
        .conv = conv,
        .patches = ra_conv_patches(conv, x),
        .plan = make_filter_plan(conv, n),
        .pixels = ra_conv_pixels(conv, n),
        .dy = dy,
        .accumulate = accumulate,
        .dfilter = dfilter,
        .parts = work,
        .scratch = work,
        .floats = (int64_t)ra_conv_filter_floats(conv),
    };
    if (job.plan.parts > 1)
        job.scratch += (size_t)job.plan.parts * ra_line((size_t)job.floats);
    ra_parallel(context, filter_task, &job, (int32_t)filter_tasks(conv, &job.plan));
    if (job.plan.parts > 1)
        ra_parallel(context, reduce_task, &job, (int32_t)ra_div_up(job.floats, REDUCE));
}
