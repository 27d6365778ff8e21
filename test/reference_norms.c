/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The reference: leaves that normalise.
 */
#include "reference.h"

#include <math.h>

/* Sets of elements that are normalised together. */

/* The elements of a set: `count` of them, number j at first + j / inner * outer_step + j % inner * inner_step. */
typedef struct set {
    int64_t first, count, inner, outer_step, inner_step;
} set;

static int64_t member(const set *s, int64_t j)
{
    return s->first + j / s->inner * s->outer_step + j % s->inner * s->inner_step;
}

static set channel_set(const ref_image *image, int64_t c)
{
    int64_t map = (int64_t)image->h * image->w;
    return (set){c * map, image->n * map, map, image->c * map, 1};
}

static set map_set(const ref_image *image, int64_t i)
{
    int64_t map = (int64_t)image->h * image->w;
    return (set){i * map, map, map, 0, 1};
}

/* The channels of one position of one image. */
static set position_set(const ref_image *image, int64_t i)
{
    int64_t map = (int64_t)image->h * image->w;
    return (set){i / map * image->c * map + i % map, image->c, image->c, 0, map};
}

static double set_mean(const set *s, const double *value)
{
    double sum = 0;
    for (int64_t j = 0; j < s->count; j++)
        sum += value[member(s, j)];
    return sum / (double)s->count;
}

static double set_variance(const set *s, const double *value, double mean)
{
    double sum = 0;
    for (int64_t j = 0; j < s->count; j++)
        sum += (value[member(s, j)] - mean) * (value[member(s, j)] - mean);
    return sum / (double)s->count;
}

/* y = scale * (x - mean) / deviation + shift; `live`: mean and deviation depend on x. Backward also gives the gradients
 * of scale and shift, of magnitude `sizes`. */
typedef struct affine {
    double mean, deviation, scale, shift;
    bool live;
    double gradients[2], sizes[2];
} affine;

static void normalize(ref_node *node, bool back, const set *s, affine *f)
{
    const double *x = node->in.value, *dy = node->dout.value;
    double largest = 0;
    for (int64_t j = 0; j < s->count; j++)
        largest = fmax(largest, fabs(x[member(s, j)]) + fabs(f->mean));
    for (int64_t j = 0; j < s->count && !back; j++)
        ref_add(&node->out, member(s, j), f->scale * (x[member(s, j)] - f->mean) / f->deviation + f->shift,
                fabs(f->scale) * largest / f->deviation + fabs(f->shift));
    for (int64_t j = 0; j < s->count && back; j++) {
        int64_t i = member(s, j);
        f->gradients[0] += dy[i] * (x[i] - f->mean) / f->deviation;
        f->gradients[1] += dy[i];
        f->sizes[0] += fabs(dy[i]) * largest / f->deviation;
        f->sizes[1] += fabs(dy[i]);
    }
    for (int64_t j = 0; j < s->count && back; j++) {
        int64_t i = member(s, j);
        double normal = (x[i] - f->mean) / f->deviation, size = largest / f->deviation, count = (double)s->count;
        double through = f->live ? (f->gradients[1] + normal * f->gradients[0]) / count : 0;
        double through_size = f->live ? (f->sizes[1] + size * f->sizes[0]) / count : 0;
        ref_add(&node->din, i, f->scale / f->deviation * (dy[i] - through),
                fabs(f->scale) / f->deviation * (fabs(dy[i]) + through_size));
    }
}

void ref_batch_norm(ref_node *node, bool back)
{
    double epsilon = ref_real(node, "epsilon", 0), momentum = ref_real(node, "momentum", 0);
    ref_param *p = node->params;
    if (!back)
        node->out = ref_image_new(node->in.n, node->in.c, node->in.h, node->in.w);
    for (int32_t c = 0; c < node->in.c; c++) {
        set s = channel_set(&node->in, c);
        affine f = {.live = node->training && ref_int(node, "frozen") == 0};
        f.mean = f.live ? set_mean(&s, node->in.value) : p[REF_MEAN].value[c];
        double variance = f.live ? set_variance(&s, node->in.value, f.mean) : p[REF_VARIANCE].value[c];
        f.deviation = sqrt(variance + epsilon);
        f.scale = p[REF_WEIGHT].value[c];
        f.shift = p[REF_BIAS].value[c];
        normalize(node, back, &s, &f);
        ref_add_gradient(&p[REF_WEIGHT], c, f.gradients[0], f.sizes[0]);
        ref_add_gradient(&p[REF_BIAS], c, f.gradients[1], f.sizes[1]);
        if (f.live && !back) {
            double count = (double)s.count;
            p[REF_MEAN].value[c] = (1 - momentum) * p[REF_MEAN].value[c] + momentum * f.mean;
            p[REF_VARIANCE].value[c] =
                (1 - momentum) * p[REF_VARIANCE].value[c] + momentum * variance * count / (count - 1);
        }
    }
    ref_set_lengths(node, back, 8, (double)node->in.n * node->in.h * node->in.w);
}

void ref_instance_norm(ref_node *node, bool back)
{
    if (!back)
        node->out = ref_image_new(node->in.n, node->in.c, node->in.h, node->in.w);
    for (int64_t i = 0; i < (int64_t)node->in.n * node->in.c; i++) {
        set s = map_set(&node->in, i);
        affine f = {.live = true, .scale = 1};
        f.mean = set_mean(&s, node->in.value);
        f.deviation = sqrt(set_variance(&s, node->in.value, f.mean) + ref_real(node, "epsilon", 1e-5));
        normalize(node, back, &s, &f);
    }
    double map = (double)node->in.h * node->in.w;
    ref_set_lengths(node, back, map, map);
}

void ref_channel_norm(ref_node *node, bool back)
{
    if (!back)
        node->out = ref_image_new(node->in.n, node->in.c, node->in.h, node->in.w);
    const double *x = node->in.value, *dy = node->dout.value;
    for (int64_t i = 0; i < (int64_t)node->in.n * node->in.h * node->in.w; i++) {
        set s = position_set(&node->in, i);
        double square = ref_real(node, "epsilon", 1e-12), dot = 0, size = 0;
        for (int64_t j = 0; j < s.count; j++) {
            int64_t m = member(&s, j);
            square += x[m] * x[m];
            if (back) {
                dot += x[m] * dy[m];
                size += fabs(x[m] * dy[m]);
            }
        }
        double root = sqrt(square);
        for (int64_t j = 0; j < s.count; j++) {
            int64_t m = member(&s, j);
            if (back)
                ref_add(&node->din, m, (dy[m] - x[m] * dot / square) / root,
                        (fabs(dy[m]) + fabs(x[m]) * size / square) / root);
            else
                ref_add(&node->out, m, x[m] / root, fabs(x[m]) / root);
        }
    }
    ref_set_lengths(node, back, node->in.c, node->in.c);
}

void ref_softmax(ref_node *node, bool back)
{
    if (!back)
        node->out = ref_image_new(node->in.n, node->in.c, node->in.h, node->in.w);
    const double *x = node->in.value, *dy = node->dout.value;
    for (int64_t i = 0; i < (int64_t)node->in.n * node->in.h * node->in.w; i++) {
        set s = position_set(&node->in, i);
        double sum = 0, dot = 0, size = 0, largest = 0;
        for (int64_t j = 0; j < s.count; j++) {
            sum += exp(x[member(&s, j)]);
            largest = fmax(largest, fabs(x[member(&s, j)]));
        }
        for (int64_t j = 0; j < s.count && back; j++) {
            dot += dy[member(&s, j)] * exp(x[member(&s, j)]) / sum;
            size += fabs(dy[member(&s, j)]) * exp(x[member(&s, j)]) / sum;
        }
        /* the error of an exponential is relative to its argument's size, at most 2 * largest */
        for (int64_t j = 0; j < s.count; j++) {
            int64_t m = member(&s, j);
            double y = exp(x[m]) / sum, factor = 1 + 2 * largest;
            if (back)
                ref_add(&node->din, m, y * (dy[m] - dot), y * factor * (fabs(dy[m]) + size));
            else
                ref_add(&node->out, m, y, y * factor);
        }
    }
    ref_set_lengths(node, back, node->in.c, node->in.c);
}
