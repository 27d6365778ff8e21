/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The gradient with respect to the input where the output has far fewer pixels, as of a kernel nearly as large as the
 * input, or a transposed one with a kernel larger than its input: asking every pixel of the input for all its taps
 * would find most of them outside. Here each pixel of the output is multiplied with the filter once, and what comes out
 * is added to the input's rows, each by one task, in a fixed order.
 */
#include "kernels/conv_internal.h"

#include <string.h>

enum {
    FEWER = 4,          /* times fewer pixels: below that, gathering wastes less than scattering costs */
    MOST_PIXELS = 32,   /* of the output, in a product */
    MOST_COLUMNS = 1024 /* taps * channels of a product */
};

bool ra_conv_is_narrow(const ra_conv *conv)
{
    int64_t strides = (int64_t)conv->stride_h * conv->stride_w, out = (int64_t)conv->out_h * conv->out_w;
    return (int64_t)conv->in_h * conv->in_w > ra_times(ra_times(out, strides), FEWER);
}

typedef struct narrow_job {
    const ra_conv *conv;
    const float *dy, *filter;
    bool accumulate;
    float *dx, *work;
    int32_t pixels, taps, channels; /* of a product */
} narrow_job;

/* What a product takes: several taps only with all their channels, which are one matrix then. */
static void cut(const ra_conv *conv, narrow_job *job)
{
    int32_t in_c = conv->in_c / conv->groups;
    job->pixels = ra_min(conv->out_w, MOST_PIXELS);
    job->channels = ra_min(in_c, MOST_COLUMNS);
    job->taps = ra_min(conv->kernel_w, MOST_COLUMNS / job->channels);
}

static size_t scratch_floats(const narrow_job *job)
{
    return ra_line((size_t)job->pixels * (size_t)job->taps * (size_t)job->channels);
}

static int64_t task_count(const ra_conv *conv, int32_t n)
{
    return ra_times(ra_times(n, conv->in_h), conv->groups);
}

bool ra_narrow_work(const ra_conv *conv, int32_t n, int32_t workers, size_t *bytes)
{
    narrow_job job;
    cut(conv, &job);
    return task_count(conv, n) <= INT32_MAX && ra_conv_bytes(0, scratch_floats(&job), workers, bytes);
}

/* Adds products (pixels x (taps * channels)), of output pixels from `ox` and taps from `tap` on, to a row of dx. */
static void add_products(const narrow_job *job, const float *product, int32_t ox, int32_t pixels, int32_t tap,
                         int32_t taps, int32_t channels, float *row)
{
    const ra_conv *conv = job->conv;
    for (int32_t p = 0; p < pixels; p++)
        for (int32_t t = 0; t < taps; t++, product += channels) {
            int64_t x = (int64_t)(ox + p) * conv->stride_w + (int64_t)(tap + t) * conv->dilation_w - conv->pad_left;
            if (x < 0 || x >= conv->in_w)
                continue;
            float *target = row + x * conv->in_c;
            for (int32_t c = 0; c < channels; c++)
                target[c] += product[c];
        }
}

/* What output row `oy` of an image and a group adds to a row of dx by row `ky` of the kernel. */
static void add_line(const narrow_job *job, const float *dy, int32_t group, int32_t ky, float *row, float *product)
{
    const ra_conv *conv = job->conv;
    int32_t in_c = conv->in_c / conv->groups, out_c = conv->out_c / conv->groups;
    int64_t depth = ra_conv_taps(conv) * in_c;
    const float *filter = job->filter + (int64_t)group * out_c * depth + (int64_t)ky * conv->kernel_w * in_c;
    for (int32_t tap = 0; tap < conv->kernel_w; tap += job->taps)
        for (int32_t c = 0; c < in_c; c += job->channels)
            for (int32_t ox = 0; ox < conv->out_w; ox += job->pixels) {
                int32_t pixels = ra_min(job->pixels, conv->out_w - ox), taps = ra_min(job->taps, conv->kernel_w - tap);
                int32_t channels = ra_min(job->channels, in_c - c), columns = taps * channels;
                ra_gemm(pixels, columns, out_c, dy + (int64_t)ox * conv->out_c, conv->out_c, 1,
                        filter + (int64_t)tap * in_c + c, depth, 1, 0.0f, product, columns, 1);
                add_products(job, product, ox, pixels, tap, taps, channels, row + c);
            }
}

/* A row of dx, the channels of one group. */
static void row_task(void *context, int32_t index, int32_t worker)
{
    const narrow_job *job = context;
    const ra_conv *conv = job->conv;
    int32_t in_c = conv->in_c / conv->groups, group = index % conv->groups, line = index / conv->groups;
    int32_t image = line / conv->in_h, y = line % conv->in_h;
    float *row = job->dx + (int64_t)line * conv->in_w * conv->in_c + (int64_t)group * in_c;
    if (!job->accumulate)
        for (int32_t x = 0; x < conv->in_w; x++)
            memset(row + (int64_t)x * conv->in_c, 0, (size_t)in_c * sizeof(float));
    for (int32_t oy = 0; oy < conv->out_h; oy++) {
        int64_t reach = (int64_t)y + conv->pad_top - (int64_t)oy * conv->stride_h, ky = reach / conv->dilation_h;
        if (reach < 0 || reach % conv->dilation_h != 0 || ky >= conv->kernel_h)
            continue;
        const float *dy = job->dy + ((int64_t)image * conv->out_h + oy) * conv->out_w * conv->out_c +
                          (int64_t)group * (conv->out_c / conv->groups);
        add_line(job, dy, group, (int32_t)ky, row, job->work + (size_t)worker * scratch_floats(job));
    }
}

void ra_narrow_backward_input(resattn_context *context, const ra_conv *conv, int32_t n, const float *dy,
                              const float *filter, bool accumulate, float *dx, void *work)
{
    narrow_job job = {
        .conv = conv,
        .dy = dy,
        .filter = filter,
        .accumulate = accumulate,
        .dx = dx,
        .work = work,
    };
    cut(conv, &job);
    ra_parallel(context, row_task, &job, (int32_t)task_count(conv, n));
}
