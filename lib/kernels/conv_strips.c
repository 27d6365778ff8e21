/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Convolution strip by strip: a task computes some rows of the output. It first copies the rows of the image that these
 * need, with zeros around, unless there is no padding; then a row of outputs is a product whose left operand is made of
 * segments of the strip, one for each tap or, where a row of the kernel is contiguous, for each row of the kernel.
 * Nothing is gathered.
 */
#include "kernels/conv_forms_internal.h"

#include <string.h>

enum {
    MOST_TAPS = 64,
    LEAST_WIDTH = 12, /* of the output, but in groups */
    STRIP_FLOATS = 48 << 10,
    STEP_DEPTH = 768,  /* of the products between two visits to the result, */
    SHORT_DEPTH = 128, /* with short sums */
    TASKS = 16,        /* wanted */
    LONG_PIXEL = 512,  /* floats between pixels, from where on they compete for the same sets of the L1 cache */
    STAGGER = 16,
    PART_UNIT = 64 /* channels: whole vectors at every level, and long enough to copy */
};

typedef struct strip_plan {
    bool copied;
    bool joined;           /* a row of the kernel is one segment */
    int32_t lines;         /* output rows of a task */
    int32_t blocks;        /* of such rows in an image */
    int32_t parts;         /* of the groups: a task has one part of them, and copies no other channels */
    int32_t channels;      /* of the image that a task reads */
    int32_t rows, columns; /* of a copied strip, in pixels */
    int64_t pixel, line;   /* floats from one pixel to the next, from one line to the next, of the strip or the image */
} strip_plan;

typedef struct strip_job {
    const ra_conv *conv;
    const ra_conv_result *result;
    ra_conv_form form;
    strip_plan plan;
    const ra_micro *micro;
    const float *x, *packed;
    float *scratch;
    size_t each;
    int64_t offsets[MOST_TAPS];
} strip_job;

static int32_t reach(int32_t dilation, int32_t kernel)
{
    return dilation * (kernel - 1) + 1;
}

/* Whether windows lie inside the image. */
static bool is_inside(const ra_conv *conv)
{
    return conv->pad_top == 0 && conv->pad_left == 0 &&
           (conv->out_h - 1) * (int64_t)conv->stride_h + reach(conv->dilation_h, conv->kernel_h) <= conv->in_h &&
           (conv->out_w - 1) * (int64_t)conv->stride_w + reach(conv->dilation_w, conv->kernel_w) <= conv->in_w;
}

static bool competes(int64_t floats)
{
    return floats >= LONG_PIXEL && floats % 256 == 0;
}

bool ra_conv_fits_strips(const ra_conv *conv)
{
    ra_patches patches = ra_conv_patches(conv, NULL);
    int64_t width = (int64_t)conv->out_w * conv->stride_w + reach(conv->dilation_w, conv->kernel_w);
    return ra_conv_taps(conv) <= MOST_TAPS && (conv->groups > 1 || conv->out_w >= LEAST_WIDTH) &&
           !ra_patches_are_pixels(&patches) &&
           ra_times(ra_times(width, reach(conv->dilation_h, conv->kernel_h)), conv->in_c) <= INT64_C(4) * STRIP_FLOATS;
}

static int32_t rows_of_strip(const ra_conv *conv, int32_t lines)
{
    return (lines - 1) * conv->stride_h + reach(conv->dilation_h, conv->kernel_h);
}

static void set_lines(const ra_conv *conv, strip_plan *plan, int64_t lines)
{
    plan->blocks = (int32_t)ra_div_up(conv->out_h, lines < 1 ? 1 : lines);
    plan->lines = (int32_t)ra_div_up(conv->out_h, plan->blocks);
    plan->blocks = (int32_t)ra_div_up(conv->out_h, plan->lines);
}

/* The strip's layout and as many lines as it may have. */
static void plan_part(const ra_conv *conv, strip_plan *plan)
{
    plan->channels = conv->in_c / plan->parts;
    plan->pixel = conv->in_c;
    plan->line = (int64_t)conv->in_w * conv->in_c;
    plan->copied = !is_inside(conv) || competes(plan->pixel * conv->stride_w);
    if (plan->copied) {
        plan->pixel = plan->channels + (competes((int64_t)plan->channels * conv->stride_w) ? STAGGER : 0);
        plan->line = plan->columns * plan->pixel;
    }
    set_lines(conv, plan, STRIP_FLOATS / (plan->columns * plan->pixel * conv->stride_h));
}

/* Parts hold whole groups, and whole vectors of channels. */
static bool may_halve(const ra_conv *conv, const strip_plan *plan)
{
    int32_t parts = 2 * plan->parts;
    return conv->groups % parts == 0 && conv->in_c % (parts * PART_UNIT) == 0 && conv->out_c % (parts * PART_UNIT) == 0;
}

static strip_plan make_plan(const ra_conv *conv, int32_t n)
{
    strip_plan plan = {.parts = 1};
    plan.columns = (conv->out_w - 1) * conv->stride_w + reach(conv->dilation_w, conv->kernel_w);
    plan_part(conv, &plan);
    while ((int64_t)plan.parts * plan.blocks * n < TASKS && may_halve(conv, &plan)) {
        plan.parts *= 2;
        plan_part(conv, &plan);
    }
    if ((int64_t)plan.parts * plan.blocks * n < TASKS)
        set_lines(conv, &plan, conv->out_h / ra_div_up(TASKS, (int64_t)n * plan.parts));
    plan.joined = conv->groups == 1 && conv->dilation_w == 1 && plan.pixel == conv->in_c;
    plan.rows = rows_of_strip(conv, plan.lines);
    return plan;
}

static size_t strip_floats(const strip_plan *plan)
{
    return plan->copied ? ra_line((size_t)plan->rows * (size_t)plan->line) : 0;
}

/* Fewer images may be cut into more parts, whose strips have more rows. */
bool ra_strips_work(const ra_conv *conv, int32_t n, int32_t workers, size_t *bytes)
{
    strip_plan plan = make_plan(conv, n), any = {.parts = 1, .columns = plan.columns};
    size_t most = 0;
    for (;; any.parts *= 2) {
        plan_part(conv, &any);
        any.rows = rows_of_strip(conv, any.lines);
        most = strip_floats(&any) > most ? strip_floats(&any) : most;
        if (!may_halve(conv, &any))
            break;
    }
    return (int64_t)plan.blocks * plan.parts * n <= INT32_MAX && ra_conv_bytes(0, most, workers, bytes);
}

/* ---- weights of groups of few channels ---- */

bool ra_conv_fits_lanes(const ra_conv *conv)
{
    int32_t group = conv->in_c / conv->groups, lanes = ra_micro_kernels()->lanes;
    return conv->groups > 1 && conv->out_c == conv->in_c && (group == 1 || group == 2 || group == 4 || group == 8) &&
           group <= lanes && conv->in_c % lanes == 0 && ra_conv_taps(conv) <= MOST_TAPS;
}

/* In the order of ra_lanes. */
void ra_lanes_pack(const ra_conv *conv, const float *filter, float *packed)
{
    int32_t group = conv->in_c / conv->groups, lanes = ra_micro_kernels()->lanes;
    int64_t taps = ra_conv_taps(conv);
    for (int64_t c = 0; c < conv->out_c; c++)
        for (int64_t t = 0; t < taps; t++)
            for (int64_t i = 0; i < group; i++)
                packed[((c / lanes * taps + t) * group + i) * lanes + c % lanes] = filter[(c * taps + t) * group + i];
}

/* ---- a strip ---- */

static void copy_strip(const strip_job *job, int64_t image, int32_t first_line, int64_t part, float *strip)
{
    const ra_conv *conv = job->conv;
    const strip_plan *plan = &job->plan;
    size_t pixel = (size_t)plan->channels * sizeof(float);
    for (int32_t i = 0; i < plan->rows; i++, strip += plan->line) {
        int64_t y = (int64_t)first_line * conv->stride_h - conv->pad_top + i;
        int32_t before = y < 0 || y >= conv->in_h ? plan->columns : ra_min(conv->pad_left, plan->columns);
        int32_t inside = ra_min(plan->columns - before, conv->in_w);
        const float *source = job->x + ((image * conv->in_h + y) * conv->in_w) * conv->in_c + part * plan->channels;
        memset(strip, 0, (size_t)(before * plan->pixel) * sizeof(float));
        float *target = strip + before * plan->pixel;
        if (plan->pixel == conv->in_c && inside > 0)
            memcpy(target, source, (size_t)inside * pixel);
        else
            for (int32_t j = 0; j < inside; j++)
                memcpy(target + j * plan->pixel, source + (int64_t)j * conv->in_c, pixel);
        target += inside * plan->pixel;
        memset(target, 0, (size_t)((plan->columns - before - inside) * plan->pixel) * sizeof(float));
    }
}

/* The panel of columns from `column` on, for all lines of the strip, in steps over the segments. */
static void multiply_panel(const strip_job *job, const float *strip, int64_t first_pixel, int32_t lines, int32_t group,
                           int32_t column)
{
    const ra_conv *conv = job->conv;
    const ra_conv_result *result = job->result;
    int32_t in_c = conv->in_c / conv->groups, out_c = conv->out_c / conv->groups, channel = group * out_c + column;
    int64_t first_channel = (int64_t)(group % (conv->groups / job->plan.parts)) * in_c;
    int64_t depth = job->plan.joined ? (int64_t)conv->kernel_w * in_c : in_c;
    int32_t all = (int32_t)(ra_conv_taps(conv) * in_c / depth);
    int32_t most = result->short_sums ? SHORT_DEPTH : STEP_DEPTH, step = depth < most ? (int32_t)(most / depth) : 1;
    int64_t panel = ra_conv_taps(conv) * in_c * RA_PANEL;
    const float *weights = job->packed + (group * ra_div_up(out_c, RA_PANEL) + column / RA_PANEL) * panel;
    bool in_place = result->addend == result->y, finished = result->second && !ra_conv_has_activation(result);
    ra_product p = {.rows = conv->out_w,
                    .columns = ra_min(RA_PANEL, out_c - column),
                    .a_row = conv->stride_w * job->plan.pixel,
                    .panel_step = panel,
                    .depth = depth,
                    .c_row = result->y_row,
                    .addend_row = conv->out_c,
                    .second_row = result->second == result->y ? result->y_row : conv->out_c,
                    .second_relu = result->second_relu};
    for (int32_t s = 0; s < all; s += step) {
        bool last = s + step >= all;
        p.segments = ra_min(step, all - s);
        p.offsets = job->offsets + s;
        p.panels = weights + s * depth * RA_PANEL;
        p.add = s > 0 || in_place;
        p.bias = last && result->bias ? result->bias + channel : NULL;
        p.relu = last && result->relu;
        for (int64_t line = 0; line < lines; line++) {
            int64_t pixel = first_pixel + line * conv->out_w, place = pixel * conv->out_c + channel;
            p.a = strip + line * conv->stride_h * job->plan.line + first_channel;
            p.c = result->y + pixel * result->y_row + channel;
            p.addend = last && result->addend && !in_place ? result->addend + place : NULL;
            p.next = line + 1 < lines ? NULL : p.panels + p.segments * depth * RA_PANEL;
            if (last && finished) {
                p.second = result->second == result->y ? p.c : result->second + place;
                p.scale = result->scale + channel;
                p.shift = result->shift + channel;
            }
            job->micro->product(&p);
        }
    }
}

static void multiply_lanes(const strip_job *job, const float *strip, int64_t first_pixel, int32_t lines, int64_t part)
{
    const ra_conv *conv = job->conv;
    const ra_conv_result *result = job->result;
    int64_t channel = part * job->plan.channels;
    int32_t group = conv->in_c / conv->groups;
    for (int64_t line = 0; line < lines; line++) {
        int64_t pixel = first_pixel + line * conv->out_w;
        ra_lanes lanes = {.pixels = conv->out_w,
                          .channels = job->plan.channels,
                          .group = group,
                          .taps = (int32_t)ra_conv_taps(conv),
                          .x = strip + line * conv->stride_h * job->plan.line,
                          .x_row = conv->stride_w * job->plan.pixel,
                          .offsets = job->offsets,
                          .weights = job->packed + channel * ra_conv_taps(conv) * group,
                          .bias = result->bias ? result->bias + channel : NULL,
                          .relu = result->relu,
                          .y = result->y + pixel * result->y_row + channel,
                          .y_row = result->y_row};
        job->micro->lane_groups(&lanes);
    }
}

static void run_strip(void *data, int32_t index, int32_t worker)
{
    const strip_job *job = data;
    const ra_conv *conv = job->conv;
    const strip_plan *plan = &job->plan;
    int32_t part = index % plan->parts, block = index / plan->parts % plan->blocks;
    int64_t image = index / plan->parts / plan->blocks;
    int32_t first = block * plan->lines, lines = ra_min(plan->lines, conv->out_h - first);
    int64_t pixel = (image * conv->out_h + first) * conv->out_w;
    float *scratch = job->scratch + (size_t)worker * job->each;
    const float *strip = scratch;
    if (plan->copied)
        copy_strip(job, image, first, part, scratch);
    else
        strip = job->x + (image * conv->in_h + (int64_t)first * conv->stride_h) * plan->line +
                (int64_t)part * plan->channels;
    if (job->form == RA_CONV_LANES) {
        multiply_lanes(job, strip, pixel, lines, part);
    } else {
        int32_t out_c = conv->out_c / conv->groups, groups = conv->groups / plan->parts;
        for (int32_t group = part * groups; group < (part + 1) * groups; group++)
            for (int32_t column = 0; column < out_c; column += RA_PANEL)
                multiply_panel(job, strip, pixel, lines, group, column);
    }
    bool done = job->form == RA_CONV_PANELS && !ra_conv_has_activation(job->result);
    if (!done && ra_conv_has_more(job->result))
        ra_conv_finish_more(conv, job->result, pixel, (int64_t)lines * conv->out_w, part * (conv->out_c / plan->parts),
                            conv->out_c / plan->parts);
}

static void set_offsets(strip_job *job)
{
    const ra_conv *conv = job->conv;
    int32_t taps_w = job->plan.joined ? 1 : conv->kernel_w, count = 0;
    for (int64_t i = 0; i < conv->kernel_h; i++)
        for (int64_t j = 0; j < taps_w; j++)
            job->offsets[count++] = i * conv->dilation_h * job->plan.line + j * conv->dilation_w * job->plan.pixel;
}

void ra_strips_run(resattn_context *context, const ra_conv *conv, ra_conv_form form, int32_t n, const float *x,
                   const float *packed, const ra_conv_result *result, void *work)
{
    strip_job job = {.conv = conv,
                     .result = result,
                     .form = form,
                     .plan = make_plan(conv, n),
                     .micro = ra_micro_kernels(),
                     .x = x,
                     .packed = packed,
                     .scratch = work};
    job.each = strip_floats(&job.plan);
    set_offsets(&job);
    ra_parallel(context, run_strip, &job, n * job.plan.blocks * job.plan.parts);
}
