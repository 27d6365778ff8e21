/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The bias: its gradient, and adding it where no product is at hand.
 */
#include "kernels/conv_internal.h"
#include "kernels/kernels.h"

#include <string.h>

enum {
    MOST_CHUNKS = 64,       /* of the pixels, each with sums of its own, added in order afterwards */
    CHUNK_ELEMENTS = 16384, /* at least, in a chunk */
    CHANNELS = 256          /* whose sums a task adds */
};

typedef struct bias_job {
    int64_t pixels, c, chunk_pixels, chunks;
    const float *dy, *bias;
    bool accumulate;
    float *result;
    double *sums;
} bias_job;

static int64_t least_chunk(int32_t c)
{
    return ra_div_up(CHUNK_ELEMENTS, c);
}

static bias_job make_bias_job(int64_t pixels, int32_t c)
{
    int64_t least = least_chunk(c), chunk = ra_div_up(pixels, MOST_CHUNKS);
    bias_job job = {.pixels = pixels, .c = c, .chunk_pixels = chunk < least ? least : chunk};
    job.chunks = ra_div_up(pixels, job.chunk_pixels);
    return job;
}

bool ra_conv_backward_bias_work(int64_t pixels, int32_t c, size_t *bytes)
{
    int64_t chunks = ra_div_up(pixels, least_chunk(c)); /* at most, for any smaller number of pixels too */
    return ra_mul_size((size_t)(chunks < MOST_CHUNKS ? chunks : MOST_CHUNKS) * sizeof(double), (size_t)c, bytes);
}

static void sum_chunk(void *context, int64_t begin, int64_t end)
{
    const bias_job *job = context;
    double *sums = job->sums + begin / job->chunk_pixels * job->c;
    memset(sums, 0, (size_t)job->c * sizeof *sums);
    ra_kernels()->sums(end - begin, job->c, job->c, job->dy + begin * job->c, sums);
}

static void add_chunks(void *context, int64_t begin, int64_t end)
{
    const bias_job *job = context;
    for (int64_t j = begin; j < end; j++) {
        double sum = job->accumulate ? (double)job->result[j] : 0.0;
        for (int64_t chunk = 0; chunk < job->chunks; chunk++)
            sum += job->sums[chunk * job->c + j];
        job->result[j] = (float)sum;
    }
}

void ra_conv_backward_bias(resattn_context *context, int64_t pixels, int32_t c, const float *dy, bool accumulate,
                           float *dbias, void *work)
{
    bias_job job = make_bias_job(pixels, c);
    job.dy = dy;
    job.accumulate = accumulate;
    job.result = dbias;
    job.sums = work;
    ra_parallel_ranges(context, sum_chunk, &job, pixels, job.chunk_pixels);
    ra_parallel_ranges(context, add_chunks, &job, c, CHANNELS);
}

static void add_bias(void *context, int64_t begin, int64_t end)
{
    const bias_job *job = context;
    ra_conv_finish(end - begin, (int32_t)job->c, job->bias, false, job->result + begin * job->c, job->c);
}

void ra_conv_add_bias(resattn_context *context, int64_t pixels, int32_t c, const float *bias, float *y)
{
    bias_job job = {.pixels = pixels, .c = c, .bias = bias, .result = y};
    ra_parallel_ranges(context, add_bias, &job, pixels, ra_range_step(c));
}
