/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Winograd's transforms: see test_kernels.h. In each dimension every term of a sum is scaled, by a power of two or by
 * five, and added at most twice: three roundings, six in both. The powers of two are exact. With bias and addend that
 * is at most eight roundings of the magnitudes that the matrices' absolute values give.
 */
#include "test_kernels.h"
#include "winograd_matrices.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { VALUES = RA_WINOGRAD_MOST * RA_WINOGRAD_MOST };

static void add_term(double term, double *value, double *magnitude)
{
    *value += term;
    *magnitude += fabs(term);
}

/* One element of L x L^T, from rows `first` and `second` of L; x has size x size elements. Zeros of the matrix do not
 * see x. */
static void transform(const double *first, const double *second, int32_t size, const double *x, double *value,
                      double *magnitude)
{
    for (int32_t i = 0; i < size; i++)
        for (int32_t j = 0; j < size; j++) {
            double factor = first[i] * second[j];
            if (factor != 0)
                add_term(factor * x[i * size + j], value, magnitude);
        }
}

/* ---- input ---- */

typedef struct input_problem {
    const winograd_matrices *matrices;
    int32_t channels;
    float *image, *v;
    const float *x[VALUES];
    int64_t v_step;
    size_t v_floats;
} input_problem;

static ra_winograd_input *input_of(const ra_micro *micro, const winograd_matrices *matrices)
{
    return micro->winograd[matrices->tile == 4].input;
}

static ra_winograd_output *output_of(const ra_micro *micro, const winograd_matrices *matrices)
{
    return micro->winograd[matrices->tile == 4].output;
}

/* Pixels in any order with gaps; some are the same, as the zeros outside an image are. */
static input_problem new_input(bool special)
{
    input_problem p = {.matrices = pick_bool() ? &winograd2 : &winograd4, .channels = RA_WINOGRAD_UNIT * pick(1, 6)};
    int32_t values = p.matrices->size * p.matrices->size, row = p.channels + pick(0, 9);
    p.image = new_floats((size_t)(values * row), false);
    for (int32_t i = 0; i < values; i++)
        for (int32_t c = 0; c < p.channels; c++)
            p.image[i * row + c] = pick_float();
    bool outside = !special && pick_bool();
    for (int32_t i = 0; i < values; i++)
        p.x[i] = p.image + (outside && pick(0, 2) == 0 ? 0 : (values - 1 - i) * row);
    if (special)
        p.image[pick(0, values - 1) * row + pick(0, p.channels - 1)] = pick_special();
    p.v_step = p.channels + pick(0, 9);
    p.v_floats = (size_t)((values - 1) * p.v_step + p.channels);
    p.v = new_floats(p.v_floats, false);
    return p;
}

static float *run_input(const input_problem *p, const ra_micro *micro)
{
    float *v = copy_floats(p->v, p->v_floats);
    input_of(micro, p->matrices)(p->channels, p->x, v, p->v_step);
    check_gaps(micro->name, p->v, v, p->v_floats, p->matrices->size * p->matrices->size, p->channels, p->v_step);
    return v;
}

static void compare_input(const input_problem *p, const ra_micro *micro, const float *got, const float *portable)
{
    const winograd_matrices *matrices = p->matrices;
    int32_t size = matrices->size;
    char what[100];
    snprintf(what, sizeof what, "%s Winograd input %d, %d channels", micro->name, matrices->tile, p->channels);
    for (int32_t c = 0; c < p->channels; c++) {
        double x[VALUES];
        for (int32_t i = 0; i < size * size; i++)
            x[i] = (double)p->x[i][c];
        for (int32_t i = 0; i < size * size; i++) {
            double value = 0, magnitude = 0;
            transform(matrices->input[i / size], matrices->input[i % size], size, x, &value, &magnitude);
            int64_t place = i * p->v_step + c;
            check_both(what, place, got[place], portable[place], estimate_sum(value, magnitude, 0));
        }
    }
}

void check_winograd_input(bool special)
{
    input_problem p = new_input(special);
    float *portable = run_input(&p, &ra_micro_portable);
    for (int32_t i = 0; i < table_count(); i++) {
        float *got = run_input(&p, table(i));
        compare_input(&p, table(i), got, portable);
        free_floats(got);
    }
    free_floats(portable);
    free_floats(p.image);
    free_floats(p.v);
}

/* ---- output ---- */

typedef struct output_problem {
    const winograd_matrices *matrices;
    int32_t channels;
    bool relu, addend, in_place; /* in_place: the addends are y */
    bool outside[16];
    float *m, *bias, *addends, *y;
    int64_t m_step, y_step;
    size_t y_floats;
} output_problem;

static output_problem new_output(bool special)
{
    output_problem p = {.matrices = pick_bool() ? &winograd2 : &winograd4,
                        .channels = RA_WINOGRAD_UNIT * pick(1, 6),
                        .relu = pick_bool(),
                        .addend = pick_bool(),
                        .in_place = pick_bool()};
    int32_t values = p.matrices->size * p.matrices->size, tile = p.matrices->tile, height = tile, width = tile;
    p.m_step = p.channels + pick(0, 9);
    p.m = new_floats((size_t)((values - 1) * p.m_step + p.channels), false);
    for (int32_t i = 0; i < values; i++)
        for (int32_t c = 0; c < p.channels; c++)
            p.m[i * p.m_step + c] = pick_float();
    if (special)
        p.m[pick(0, values - 1) * p.m_step + pick(0, p.channels - 1)] = pick_special();
    if (pick_bool()) {
        height = pick(1, tile);
        width = pick(1, tile);
    }
    for (int32_t i = 0; i < tile * tile; i++)
        p.outside[i] = i / tile >= height || i % tile >= width;
    p.bias = pick_bool() ? new_floats((size_t)p.channels, true) : NULL;
    p.y_step = p.channels + pick(0, 9);
    p.y_floats = (size_t)((tile * tile - 1) * p.y_step + p.channels);
    p.y = new_floats(p.y_floats, p.addend && p.in_place);
    p.addends = new_floats(p.y_floats, true);
    return p;
}

static float *run_output(const output_problem *p, const ra_micro *micro)
{
    int32_t pixels = p->matrices->tile * p->matrices->tile;
    float *all = copy_floats(p->y, p->y_floats), *y[16];
    const float *addend[16];
    for (int32_t i = 0; i < pixels; i++) {
        y[i] = p->outside[i] ? NULL : all + i * p->y_step;
        addend[i] = p->outside[i] ? NULL : p->in_place ? y[i] : p->addends + i * p->y_step;
    }
    output_of(micro, p->matrices)(p->channels, p->m, p->m_step, p->bias, p->addend ? addend : NULL, p->relu, y);
    check_gaps(micro->name, p->y, all, p->y_floats, pixels, p->channels, p->y_step);
    return all;
}

static void compare_pixel(const output_problem *p, int32_t pixel, const char *what, const float *got,
                          const float *portable)
{
    const winograd_matrices *matrices = p->matrices;
    int32_t size = matrices->size, tile = matrices->tile;
    for (int32_t c = 0; c < p->channels; c++) {
        double m[VALUES], value = 0, magnitude = 0;
        int64_t place = pixel * p->y_step + c;
        for (int32_t i = 0; i < size * size; i++)
            m[i] = (double)p->m[i * p->m_step + c];
        transform(matrices->output[pixel / tile], matrices->output[pixel % tile], size, m, &value, &magnitude);
        if (p->bias)
            add_term((double)p->bias[c], &value, &magnitude);
        if (p->addend)
            add_term((double)(p->in_place ? p->y : p->addends)[place], &value, &magnitude);
        estimate expected = estimate_sum(value, magnitude, 1);
        check_both(what, place, got[place], portable[place], p->relu ? estimate_relu(expected) : expected);
    }
}

static void compare_output(const output_problem *p, const ra_micro *micro, const float *got, const float *portable)
{
    char what[200];
    snprintf(what, sizeof what, "%s Winograd output %d, %d channels%s%s%s", micro->name, p->matrices->tile, p->channels,
             p->bias ? ", bias" : "",
             !p->addend    ? ""
             : p->in_place ? ", addend y"
                           : ", addend",
             p->relu ? ", relu" : "");
    for (int32_t i = 0; i < p->matrices->tile * p->matrices->tile; i++) {
        size_t place = (size_t)(i * p->y_step);
        if (!p->outside[i])
            compare_pixel(p, i, what, got, portable);
        else if (memcmp(got + place, p->y + place, (size_t)p->channels * sizeof(float)) != 0)
            ck_abort_msg("%s: pixel %d is outside and was written", what, i);
    }
}

void check_winograd_output(bool special)
{
    output_problem p = new_output(special);
    float *portable = run_output(&p, &ra_micro_portable);
    for (int32_t i = 0; i < table_count(); i++) {
        float *got = run_output(&p, table(i));
        compare_output(&p, table(i), got, portable);
        free_floats(got);
    }
    free_floats(portable);
    free_floats(p.m);
    free_floats(p.bias);
    free_floats(p.addends);
    free_floats(p.y);
}

/* ---- of training ---- */

/* The transforms of filters, of the outputs' gradients, and of what becomes the taps: all from a matrix of their own. A
 * factor is rounded, then its product, and there are two sums at most: with the parts' sums and what is there already,
 * eight roundings and parts. */
typedef enum training_kind { FILTER, GRADIENT, TAPS, TRAINING_KINDS } training_kind;

typedef struct training_problem {
    training_kind kind;
    const winograd_matrices *matrices;
    const double (*rows)[6];
    int32_t in, out; /* elements of a side */
    int32_t channels, parts;
    bool add;
    float *x, *y;
    int64_t x_step, part_step, y_step;
    size_t y_floats;
} training_problem;

static training_problem new_training(bool special)
{
    training_problem p = {.kind = (training_kind)pick(0, TRAINING_KINDS - 1),
                          .matrices = pick_bool() ? &winograd2 : &winograd4,
                          .channels = RA_WINOGRAD_UNIT * pick(1, 6),
                          .parts = 1};
    int32_t size = p.matrices->size;
    p.rows = p.kind == FILTER ? p.matrices->filter : p.kind == GRADIENT ? p.matrices->gradient : p.matrices->taps;
    p.in = p.kind == FILTER ? 3 : p.kind == GRADIENT ? p.matrices->tile : size;
    p.out = p.kind == TAPS ? 3 : size;
    if (p.kind == TAPS) {
        p.parts = pick(1, 5);
        p.add = pick_bool();
    }
    p.x_step = p.channels + pick(0, 9);
    p.part_step = p.in * p.in * p.x_step + pick(0, 9);
    p.x = new_floats((size_t)(p.parts * p.part_step), false);
    for (int32_t part = 0; part < p.parts; part++)
        for (int32_t i = 0; i < p.in * p.in; i++)
            for (int32_t c = 0; c < p.channels; c++)
                p.x[part * p.part_step + i * p.x_step + c] = pick_float();
    if (special)
        p.x[pick(0, p.parts - 1) * p.part_step + pick(0, p.in * p.in - 1) * p.x_step + pick(0, p.channels - 1)] =
            pick_special();
    p.y_step = p.channels + pick(0, 9);
    p.y_floats = (size_t)((p.out * p.out - 1) * p.y_step + p.channels);
    p.y = new_floats(p.y_floats, p.add);
    return p;
}

static float *run_training(const training_problem *p, const ra_micro *micro)
{
    bool four = p->matrices->tile == 4;
    float *y = copy_floats(p->y, p->y_floats);
    const float *pixels[VALUES];
    for (int32_t i = 0; i < p->in * p->in; i++)
        pixels[i] = p->x + i * p->x_step;
    if (p->kind == FILTER)
        micro->winograd[four].filter(p->channels, p->x, p->x_step, y, p->y_step);
    else if (p->kind == GRADIENT)
        micro->winograd[four].gradient(p->channels, pixels, y, p->y_step);
    else
        micro->winograd[four].taps(p->channels, p->x, p->x_step, p->parts, p->part_step, p->add, y, p->y_step);
    check_gaps(micro->name, p->y, y, p->y_floats, p->out * p->out, p->channels, p->y_step);
    return y;
}

static void compare_training(const training_problem *p, const ra_micro *micro, const float *got, const float *portable)
{
    static const char *const names[TRAINING_KINDS] = {"filter", "gradient", "taps"};
    char what[200];
    snprintf(what, sizeof what, "%s Winograd %s %d, %d channels, %d parts%s", micro->name, names[p->kind],
             p->matrices->tile, p->channels, p->parts, p->add ? ", add" : "");
    for (int32_t c = 0; c < p->channels; c++)
        for (int32_t i = 0; i < p->out * p->out; i++) {
            int64_t place = i * p->y_step + c;
            double x[VALUES], value = 0, magnitude = 0;
            for (int32_t part = 0; part < p->parts; part++) {
                for (int32_t k = 0; k < p->in * p->in; k++)
                    x[k] = (double)p->x[part * p->part_step + k * p->x_step + c];
                transform(p->rows[i / p->out], p->rows[i % p->out], p->in, x, &value, &magnitude);
            }
            if (p->add)
                add_term((double)p->y[place], &value, &magnitude);
            check_both(what, place, got[place], portable[place], estimate_sum(value, magnitude, p->parts));
        }
}

void check_winograd_training(bool special)
{
    training_problem p = new_training(special);
    float *portable = run_training(&p, &ra_micro_portable);
    for (int32_t i = 0; i < table_count(); i++) {
        float *got = run_training(&p, table(i));
        compare_training(&p, table(i), got, portable);
        free_floats(got);
    }
    free_floats(portable);
    free_floats(p.x);
    free_floats(p.y);
}
