/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Convolution in many groups of few channels (ResNeXt's 32 x 4, depthwise): as matrices these are slivers, so they have
 * loops of their own. Filters are in the order (group, tap, from, to), `from` and `to` being the channels of a group
 * that are read and written; depthwise ones, of one channel each, in the order (tap, channel), so that the loop over
 * channels is contiguous.
 */
#include "kernels/conv_internal.h"

#include <string.h>

enum {
    FEW = 8,            /* channels of a group */
    TASK_WORK = 100000, /* multiply-adds of a task */
    LIST = 64           /* taps at a time */
};

bool ra_conv_is_direct(const ra_conv *conv)
{
    return conv->groups > 1 && conv->in_c / conv->groups <= FEW && conv->out_c / conv->groups <= FEW;
}

typedef struct direct_job {
    const ra_conv *conv;
    int32_t n;
    int32_t lines; /* image rows of a task */
    const float *x, *dy, *filter, *weights, *bias;
    bool relu, accumulate;
    float *result;
    float *work; /* the reordered filter, or the parts of the filter's gradient */
} direct_job;

bool ra_direct_work(const ra_conv *conv, int32_t n, int32_t copies, size_t *bytes)
{
    int64_t lines = (int64_t)n * (conv->in_h > conv->out_h ? conv->in_h : conv->out_h);
    return lines <= INT32_MAX && ra_conv_bytes(0, ra_line(ra_conv_filter_floats(conv)), copies, bytes);
}

static bool is_depthwise(const ra_conv *conv)
{
    return conv->in_c == conv->groups && conv->out_c == conv->groups;
}

/* How many image rows of `width` pixels a task takes. */
static int32_t lines_of_task(const ra_conv *conv, int32_t width)
{
    int64_t line = ra_times(width, (int64_t)ra_conv_filter_floats(conv));
    return line >= TASK_WORK ? 1 : (int32_t)(TASK_WORK / line) + 1; /* NOLINT(clang-analyzer-core.DivideZero): >= 1 */
}

/* ---- a pixel ---- */

/* The taps that reach one pixel of the result, and the pixels that they come from. */
typedef struct tap_list {
    int32_t count;
    int64_t tap[LIST];
    const float *source[LIST];
} tap_list;

static inline void multiply_groups(const tap_list *list, int32_t groups, int64_t taps, int32_t from, int32_t to,
                                   const float *weights, float *target)
{
    for (int64_t g = 0; g < groups; g++, weights += taps * from * to, target += to) {
        float sum[FEW];
        for (int32_t j = 0; j < to; j++)
            sum[j] = target[j];
        for (int32_t t = 0; t < list->count; t++) {
            const float *source = list->source[t] + g * from, *w = weights + list->tap[t] * from * to;
            for (int32_t i = 0; i < from; i++)
                for (int32_t j = 0; j < to; j++)
                    sum[j] += source[i] * w[i * to + j];
        }
        for (int32_t j = 0; j < to; j++)
            target[j] = sum[j];
    }
}

/* The usual sizes as constants, so that the compiler can unroll. */
static void multiply(const tap_list *list, int32_t groups, int64_t taps, int32_t from, int32_t to, const float *weights,
                     float *target)
{
    if (from == 1 && to == 1) {
        for (int32_t t = 0; t < list->count; t++) {
            const float *source = list->source[t], *w = weights + list->tap[t] * groups;
            for (int32_t c = 0; c < groups; c++)
                target[c] += source[c] * w[c];
        }
    } else if (from == 4 && to == 4) {
        multiply_groups(list, groups, taps, 4, 4, weights, target);
    } else if (from == 8 && to == 8) {
        multiply_groups(list, groups, taps, 8, 8, weights, target);
    } else {
        multiply_groups(list, groups, taps, from, to, weights, target);
    }
}

/* ---- forward ---- */

static void forward_line(const direct_job *job, int64_t line)
{
    const ra_conv *conv = job->conv;
    int32_t in_c = conv->in_c / conv->groups, out_c = conv->out_c / conv->groups;
    int64_t image = line / conv->out_h, top = line % conv->out_h * conv->stride_h - conv->pad_top;
    int64_t taps = ra_conv_taps(conv);
    for (int64_t ox = 0; ox < conv->out_w; ox++) {
        float *y = job->result + (line * conv->out_w + ox) * conv->out_c;
        int64_t left = ox * conv->stride_w - conv->pad_left;
        tap_list list = {.count = 0};
        if (!job->accumulate)
            memset(y, 0, (size_t)conv->out_c * sizeof(float));
        for (int64_t tap = 0; tap < taps; tap++) {
            int64_t iy = top + tap / conv->kernel_w * conv->dilation_h,
                    ix = left + tap % conv->kernel_w * conv->dilation_w;
            if (iy < 0 || iy >= conv->in_h || ix < 0 || ix >= conv->in_w)
                continue;
            if (list.count == LIST) {
                multiply(&list, conv->groups, taps, in_c, out_c, job->weights, y);
                list.count = 0;
            }
            list.tap[list.count] = tap;
            list.source[list.count++] = job->x + ((image * conv->in_h + iy) * conv->in_w + ix) * conv->in_c;
        }
        multiply(&list, conv->groups, taps, in_c, out_c, job->weights, y);
        ra_conv_finish(1, conv->out_c, job->bias, job->relu, y, 0);
    }
}

static void forward_task(void *context, int32_t index, int32_t worker)
{
    const direct_job *job = context;
    int64_t all = (int64_t)job->n * job->conv->out_h, begin = (int64_t)index * job->lines, end = begin + job->lines;
    (void)worker;
    for (int64_t line = begin; line < end && line < all; line++)
        forward_line(job, line);
}

void ra_direct_forward(resattn_context *context, const ra_conv *conv, int32_t n, const float *x, const float *prepared,
                       const float *bias, bool relu, bool accumulate, float *y)
{
    direct_job job = {
        .conv = conv,
        .n = n,
        .lines = lines_of_task(conv, conv->out_w),
        .x = x,
        .weights = prepared,
        .bias = bias,
        .relu = relu,
        .accumulate = accumulate,
        .result = y,
    };
    ra_parallel(context, forward_task, &job, (int32_t)ra_div_up((int64_t)n * conv->out_h, job.lines));
}

/* ---- gradient with respect to the input ---- */

/* One group's filter (out, tap, in) as (tap, out, in). */
static void reorder_task(void *context, int32_t group, int32_t worker)
{
    const direct_job *job = context;
    const ra_conv *conv = job->conv;
    int64_t taps = ra_conv_taps(conv), in_c = conv->in_c / conv->groups, out_c = conv->out_c / conv->groups;
    (void)worker;
    for (int64_t o = 0; o < out_c; o++)
        for (int64_t tap = 0; tap < taps; tap++)
            memcpy(job->work + ((group * taps + tap) * out_c + o) * in_c,
                   job->filter + ((group * out_c + o) * taps + tap) * in_c, (size_t)in_c * sizeof(float));
}

/* The taps of one dimension at which a position of the input meets one of the output: first, first + step, ... last. */
typedef struct meetings {
    int64_t first, last, step;
} meetings;

/* Input position i meets output position o at tap k where o * stride = i + pad - k * dilation: whatever the sizes, only
 * such taps are looked at. */
static meetings find_meetings(int64_t i, int32_t pad, int32_t kernel, int32_t dilation, int32_t stride, int32_t size)
{
    int64_t reach = i + pad, beyond = reach - (size - INT64_C(1)) * stride;
    int64_t least = beyond > 0 ? ra_div_up(beyond, dilation) : 0;
    meetings taps = {.last = reach < 0 ? -1 : ra_smaller(reach / dilation, kernel - 1)};
    taps.first = ra_first_tap(reach, stride, dilation, &taps.step);
    if (taps.first < 0)
        taps.last = -2; /* none: before the first */
    else if (taps.first < least)
        taps.first += ra_round_up(least - taps.first, taps.step);
    return taps;
}

static void input_pixel(const direct_job *job, int64_t image, int64_t iy, const meetings *y, int64_t ix, float *dx)
{
    const ra_conv *conv = job->conv;
    int32_t in_c = conv->in_c / conv->groups, out_c = conv->out_c / conv->groups;
    int64_t taps = ra_conv_taps(conv);
    meetings x = find_meetings(ix, conv->pad_left, conv->kernel_w, conv->dilation_w, conv->stride_w, conv->out_w);
    tap_list list = {.count = 0};
    for (int64_t ky = y->first; ky <= y->last; ky += y->step)
        for (int64_t kx = x.first; kx <= x.last; kx += x.step) {
            int64_t oy = (iy + conv->pad_top - ky * conv->dilation_h) / conv->stride_h;
            int64_t ox = (ix + conv->pad_left - kx * conv->dilation_w) / conv->stride_w;
            if (list.count == LIST) {
                multiply(&list, conv->groups, taps, out_c, in_c, job->weights, dx);
                list.count = 0;
            }
            list.tap[list.count] = ky * conv->kernel_w + kx;
            list.source[list.count++] = job->dy + ((image * conv->out_h + oy) * conv->out_w + ox) * conv->out_c;
        }
    multiply(&list, conv->groups, taps, out_c, in_c, job->weights, dx);
}

static void input_line(const direct_job *job, int64_t line)
{
    const ra_conv *conv = job->conv;
    int64_t iy = line % conv->in_h;
    meetings y = find_meetings(iy, conv->pad_top, conv->kernel_h, conv->dilation_h, conv->stride_h, conv->out_h);
    for (int64_t ix = 0; ix < conv->in_w; ix++) {
        float *dx = job->result + (line * conv->in_w + ix) * conv->in_c;
        if (!job->accumulate)
            memset(dx, 0, (size_t)conv->in_c * sizeof(float));
        input_pixel(job, line / conv->in_h, iy, &y, ix, dx);
    }
}

static void input_task(void *context, int32_t index, int32_t worker)
{
    const direct_job *job = context;
    int64_t all = (int64_t)job->n * job->conv->in_h, begin = (int64_t)index * job->lines, end = begin + job->lines;
    (void)worker;
    for (int64_t line = begin; line < end && line < all; line++)
        input_line(job, line);
}

void ra_direct_backward_input(resattn_context *context, const ra_conv *conv, int32_t n, const float *dy,
                              const float *filter, bool accumulate, float *dx, float *work)
{
    direct_job job = {
        .conv = conv,
        .n = n,
        .lines = lines_of_task(conv, conv->in_w),
        .dy = dy,
        .filter = filter,
        .weights = work,
        .accumulate = accumulate,
        .result = dx,
        .work = work,
    };
    if (is_depthwise(conv))
        ra_conv_prepare(context, conv, filter, work);
    else
        ra_parallel(context, reorder_task, &job, conv->groups);
    ra_parallel(context, input_task, &job, (int32_t)ra_div_up((int64_t)n * conv->in_h, job.lines));
}

/* ---- gradient of the filter ---- */

/* What one tap gets from `count` pixels in a row, for each group: sums (from, to) += x (from) * dy (to). */
static inline void outer_groups(const ra_conv *conv, int64_t count, int32_t from, int32_t to, const float *x,
                                int64_t x_step, const float *dy, float *sums)
{
    const int32_t pairs = from * to;
    int64_t next = ra_conv_taps(conv) * pairs;
    for (int32_t g = 0; g < conv->groups; g++, x += from, dy += to, sums += next) {
        float sum[FEW * FEW];
        memset(sum, 0, (size_t)pairs * sizeof *sum);
        for (int64_t p = 0; p < count; p++)
            for (int32_t i = 0; i < from; i++)
                for (int32_t j = 0; j < to; j++)
                    sum[i * to + j] += x[p * x_step + i] * dy[p * conv->out_c + j];
        for (int32_t i = 0; i < pairs; i++)
            sums[i] += sum[i];
    }
}

static void outer(const ra_conv *conv, int64_t count, const float *x, int64_t x_step, const float *dy, int64_t tap,
                  float *sums)
{
    int32_t in_c = conv->in_c / conv->groups, out_c = conv->out_c / conv->groups;
    if (is_depthwise(conv)) {
        sums += tap * conv->groups;
        for (int64_t p = 0; p < count; p++, x += x_step, dy += conv->out_c)
            for (int32_t c = 0; c < conv->groups; c++)
                sums[c] += x[c] * dy[c];
        return;
    }
    sums += tap * in_c * out_c;
    if (in_c == 4 && out_c == 4)
        outer_groups(conv, count, 4, 4, x, x_step, dy, sums);
    else if (in_c == 8 && out_c == 8)
        outer_groups(conv, count, 8, 8, x, x_step, dy, sums);
    else
        outer_groups(conv, count, in_c, out_c, x, x_step, dy, sums);
}

/* Adds what one line of the output gives. */
static void filter_line(const direct_job *job, int64_t line, float *sums)
{
    const ra_conv *conv = job->conv;
    int64_t image = line / conv->out_h, top = line % conv->out_h * conv->stride_h - conv->pad_top;
    int64_t x_step = (int64_t)conv->stride_w * conv->in_c;
    for (int64_t tap = 0; tap < ra_conv_taps(conv); tap++) {
        int64_t iy = top + tap / conv->kernel_w * conv->dilation_h;
        int64_t left = tap % conv->kernel_w * conv->dilation_w - conv->pad_left;
        int64_t first = left < 0 ? ra_div_up(-left, conv->stride_w) : 0;
        int64_t last = left < conv->in_w ? ra_div_up(conv->in_w - left, conv->stride_w) : 0;
        if (last > conv->out_w)
            last = conv->out_w;
        if (iy < 0 || iy >= conv->in_h || first >= last)
            continue;
        const float *x = job->x + ((image * conv->in_h + iy) * conv->in_w + left + first * conv->stride_w) * conv->in_c;
        outer(conv, last - first, x, x_step, job->dy + (line * conv->out_w + first) * conv->out_c, tap, sums);
    }
}

/* One part of the output's lines. */
static void filter_task(void *context, int32_t index, int32_t worker)
{
    const direct_job *job = context;
    size_t floats = ra_conv_filter_floats(job->conv);
    int64_t all = (int64_t)job->n * job->conv->out_h;
    float *sums = job->work + (size_t)index * ra_line(floats);
    (void)worker;
    memset(sums, 0, floats * sizeof(float));
    for (int64_t line = all * index / RA_DIRECT_PARTS; line < all * (index + 1) / RA_DIRECT_PARTS; line++)
        filter_line(job, line, sums);
}

/* Adds the parts of one group in order and brings them into the filter's order. */
static void reduce_task(void *context, int32_t group, int32_t worker)
{
    const direct_job *job = context;
    const ra_conv *conv = job->conv;
    int64_t taps = ra_conv_taps(conv), in_c = conv->in_c / conv->groups, out_c = conv->out_c / conv->groups;
    size_t part_floats = ra_line(ra_conv_filter_floats(conv));
    (void)worker;
    for (int64_t tap = 0; tap < taps; tap++)
        for (int64_t i = 0; i < in_c; i++)
            for (int64_t o = 0; o < out_c; o++) {
                int64_t at = ((group * taps + tap) * in_c + i) * out_c + o;
                const float *source = job->work + (is_depthwise(conv) ? tap * conv->groups + group : at);
                float *target = job->result + ((group * out_c + o) * taps + tap) * in_c + i;
                float sum = job->accumulate ? *target : 0.0f;
                for (size_t part = 0; part < RA_DIRECT_PARTS; part++)
                    sum += source[part * part_floats];
                *target = sum;
            }
}

void ra_direct_backward_filter(resattn_context *context, const ra_conv *conv, int32_t n, const float *x,
                               const float *dy, bool accumulate, float *dfilter, float *work)
{
    direct_job job = {
        .conv = conv, .n = n, .x = x, .dy = dy, .accumulate = accumulate, .result = dfilter, .work = work};
    ra_parallel(context, filter_task, &job, RA_DIRECT_PARTS);
    ra_parallel(context, reduce_task, &job, conv->groups);
}
