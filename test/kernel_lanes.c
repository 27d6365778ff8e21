/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Convolution in groups of few channels: see test_kernels.h.
 */
#include "test_kernels.h"

#include <math.h>
#include <stdio.h>

enum { MOST_TAPS = 12, CHANNEL_UNIT = 16 };

typedef struct problem {
    ra_lanes lanes; /* but for the weights, whose order depends on the table, and y */
    int64_t offsets[MOST_TAPS];
    float *x, *weights, *bias, *y; /* weights: (channel, tap, input channel of the group) */
    size_t x_floats, y_floats;
} problem;

static float *input(const problem *p, int64_t pixel, int32_t tap, int64_t channel)
{
    return p->x + pixel * p->lanes.x_row + p->offsets[tap] + channel;
}

static problem new_problem(bool special)
{
    problem p = {.lanes = {.pixels = pick(1, 40),
                           .channels = CHANNEL_UNIT * pick(1, 5),
                           .group = 1 << pick(0, 3),
                           .taps = pick(1, MOST_TAPS),
                           .relu = pick_bool()}};
    ra_lanes *l = &p.lanes;
    int64_t most = 0;
    l->x_row = pick_bool() ? l->channels + pick(0, 20) : pick(1, l->channels);
    l->y_row = l->channels + pick(0, 9);
    for (int32_t t = 0; t < l->taps; t++) {
        p.offsets[t] = pick(0, 600);
        most = p.offsets[t] > most ? p.offsets[t] : most;
    }
    p.x_floats = (size_t)(most + (l->pixels - 1) * l->x_row + l->channels);
    p.y_floats = (size_t)((l->pixels - 1) * l->y_row + l->channels);
    p.x = new_floats(p.x_floats, false);
    for (int64_t i = 0; i < l->pixels; i++)
        for (int32_t t = 0; t < l->taps; t++)
            for (int32_t c = 0; c < l->channels; c++)
                *input(&p, i, t, c) = pick_float();
    p.weights = new_floats((size_t)l->channels * (size_t)l->taps * (size_t)l->group, true);
    p.bias = pick_bool() ? new_floats((size_t)l->channels, true) : NULL;
    p.y = new_floats(p.y_floats, false);
    if (special)
        *input(&p, pick(0, l->pixels - 1), pick(0, l->taps - 1), pick(0, l->channels - 1)) = pick_special();
    l->bias = p.bias;
    return p;
}

static void free_problem(problem *p)
{
    float *all[] = {p->x, p->weights, p->bias, p->y};
    for (int32_t i = 0; i < RA_COUNT(all); i++)
        free_floats(all[i]);
}

/* y of one table. */
static float *run(const problem *p, const ra_micro *micro)
{
    ra_lanes lanes = p->lanes;
    int64_t taps = lanes.taps, group = lanes.group, vector = micro->lanes, count = lanes.channels * taps * group;
    float *packed = new_floats((size_t)count, false), *y = copy_floats(p->y, p->y_floats);
    for (int64_t c = 0; c < lanes.channels; c++)
        for (int64_t t = 0; t < taps; t++)
            for (int64_t i = 0; i < group; i++)
                packed[((c / vector * taps + t) * group + i) * vector + c % vector] =
                    p->weights[(c * taps + t) * group + i];
    lanes.x = p->x;
    lanes.offsets = p->offsets;
    lanes.weights = packed;
    lanes.y = y;
    micro->lane_groups(&lanes);
    check_gaps(micro->name, p->y, y, p->y_floats, lanes.pixels, lanes.channels, lanes.y_row);
    free_floats(packed);
    return y;
}

static estimate expect(const problem *p, int64_t pixel, int32_t channel)
{
    const ra_lanes *l = &p->lanes;
    double value = l->bias ? (double)l->bias[channel] : 0, magnitude = fabs(value);
    for (int32_t t = 0; t < l->taps; t++)
        for (int32_t i = 0; i < l->group; i++) {
            double product = (double)*input(p, pixel, t, channel - channel % l->group + i) *
                             (double)p->weights[(channel * l->taps + t) * l->group + i];
            value += product;
            magnitude += fabs(product);
        }
    estimate result = estimate_sum(value, magnitude, l->taps * l->group);
    return l->relu ? estimate_relu(result) : result;
}

static void compare(const problem *p, const ra_micro *micro, const float *got, const float *portable)
{
    const ra_lanes *l = &p->lanes;
    char what[200];
    snprintf(what, sizeof what, "%s lanes, %d pixels %lld apart, %d channels in groups of %d, %d taps%s%s", micro->name,
             l->pixels, (long long)l->x_row, l->channels, l->group, l->taps, l->bias ? ", bias" : "",
             l->relu ? ", relu" : "");
    for (int64_t i = 0; i < l->pixels; i++)
        for (int32_t c = 0; c < l->channels; c++) {
            int64_t place = i * l->y_row + c;
            if (portable)
                check_both(what, place, got[place], portable[place], expect(p, i, c));
            else
                check_estimate(what, place, got[place], expect(p, i, c));
        }
}

/* Plain C has vectors of four, so larger groups are checked against the loops only. */
void check_lanes(bool special)
{
    problem p = new_problem(special);
    float *portable = p.lanes.group <= ra_micro_portable.lanes ? run(&p, &ra_micro_portable) : NULL;
    for (int32_t i = 0; i < table_count(); i++) {
        if (p.lanes.group > table(i)->lanes)
            continue;
        float *got = run(&p, table(i));
        compare(&p, table(i), got, portable);
        free_floats(got);
    }
    free_floats(portable);
    free_problem(&p);
}
