/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The filter as the right operand of the forward pass. BLIS packs that in panels of output channels, several times
 * faster where these are contiguous than out of (out, tap, in), where they are the most distant.
 */
#include "kernels/conv_internal.h"

enum { BLOCK = 16 };

size_t ra_conv_filter_floats(const ra_conv *conv)
{
    return (size_t)conv->out_c * (size_t)ra_conv_taps(conv) * (size_t)(conv->in_c / conv->groups);
}

/* target (columns x rows, row stride target_row) = transposed source (rows x columns, row stride columns), in blocks
 * that stay in the L1 cache. */
static void transpose(const float *source, int64_t rows, int64_t columns, float *target, int64_t target_row)
{
    for (int64_t j0 = 0; j0 < columns; j0 += BLOCK)
        for (int64_t i0 = 0; i0 < rows; i0 += BLOCK) {
            int64_t j1 = j0 + BLOCK < columns ? j0 + BLOCK : columns, i1 = i0 + BLOCK < rows ? i0 + BLOCK : rows;
            for (int64_t j = j0; j < j1; j++)
                for (int64_t i = i0; i < i1; i++)
                    target[j * target_row + i] = source[i * columns + j];
        }
}

typedef struct prepare_job {
    const float *filter;
    int32_t out_c, groups; /* out_c: of a group */
    int64_t depth;         /* taps * channels */
    float *prepared;
} prepare_job;

/* Some output channels of one group. */
static void prepare_task(void *context, int32_t index, int32_t worker)
{
    const prepare_job *job = context;
    int32_t tiles = (int32_t)ra_div_up(job->out_c, BLOCK), group = index / tiles, first = index % tiles * BLOCK;
    int32_t count = ra_min(BLOCK, job->out_c - first);
    const float *source = job->filter + ((int64_t)group * job->out_c + first) * job->depth;
    (void)worker;
    transpose(source, count, job->depth, job->prepared + group * job->depth * job->out_c + first, job->out_c);
}

static int32_t prepare_tasks(const prepare_job *job)
{
    return (int32_t)ra_div_up(job->out_c, BLOCK) * job->groups;
}

static prepare_job make_job(const float *filter, int32_t out_c, int64_t taps, int32_t group_in_c, int32_t groups,
                            float *prepared)
{
    bool depthwise = out_c == groups && group_in_c == 1; /* all at once: (tap, channel) */
    return (prepare_job){filter, depthwise ? out_c : out_c / groups, depthwise ? 1 : groups, taps * group_in_c,
                         prepared};
}

void ra_conv_prepare_filter(const float *filter, int32_t out_c, int64_t taps, int32_t group_in_c, int32_t groups,
                            float *prepared)
{
    prepare_job job = make_job(filter, out_c, taps, group_in_c, groups, prepared);
    for (int32_t i = 0; i < prepare_tasks(&job); i++)
        prepare_task(&job, i, 0);
}

void ra_conv_prepare(resattn_context *context, const ra_conv *conv, const float *filter, float *prepared)
{
    prepare_job job =
        make_job(filter, conv->out_c, ra_conv_taps(conv), conv->in_c / conv->groups, conv->groups, prepared);
    ra_parallel(context, prepare_task, &job, prepare_tasks(&job));
}
