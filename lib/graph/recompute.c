/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is kept from forward to backward where memory matters more than time (Chen et al., Training deep nets with
 * sublinear memory cost, 2016). Cuts divide the list of nodes into segments. Values that are read beyond the next cut
 * are kept, the others dropped, and backward makes those of a segment once more when it comes to it. The last segment
 * is kept, as backward begins there.
 *
 * While backward is in a segment, what was kept before it is there, and all that it makes once more. The cuts are those
 * which keep least of all that stay within a limit at every segment: a shortest path, whose nodes are the cuts.
 */
#include <math.h>

#include "graph/graph.h"

struct ra_choice {
    const ra_program *program;
    double *keep;      /* bytes of each node's output */
    double *make;      /* the same where it stays for backward once it is made again, else 0 */
    int32_t *last;     /* the last node that reads it, or reads cheap values made of it */
    double *kept;      /* of the cut before each node: the least that is kept there */
    int32_t *previous; /* the cut before that cut, where so little is kept */
};

void ra_choice_free(ra_choice *choice)
{
    if (!choice)
        return;
    resattn_context *context = choice->program->context;
    ra_free(context, choice->keep);
    ra_free(context, choice->make);
    ra_free(context, choice->last);
    ra_free(context, choice->kept);
    ra_free(context, choice->previous);
    ra_free(context, choice);
}

/* A value that may be dropped and is no cheap one. */
static bool is_choosable(const ra_program *program, int32_t value)
{
    return program->values[value].producer >= 0 && !program->values[value].kept && !ra_is_cheap(program, value);
}

static void weigh(ra_choice *choice, int32_t batch)
{
    const ra_program *program = choice->program;
    for (int32_t i = program->node_count - 1; i >= 0; i--) {
        const ra_node *node = &program->nodes[i];
        ra_shape shape = node->op.out_shape;
        int32_t last = ra_is_cheap(program, node->output) ? choice->last[i] : i;
        choice->keep[i] =
            is_choosable(program, node->output) ? (double)sizeof(float) * batch * shape.c * shape.h * shape.w : 0;
        if (node->op.kind->flags & RA_READS_OUTPUT)
            choice->make[i] = choice->keep[i];
        for (int32_t k = 0; k < node->op.input_count; k++) {
            int32_t producer = program->values[node->inputs[k]].producer;
            if (producer < 0)
                continue;
            choice->last[producer] = choice->last[producer] < last ? last : choice->last[producer];
            if (node->op.kind->flags & RA_READS_INPUTS)
                choice->make[producer] = 1; /* its size is known when its turn comes */
        }
        choice->make[i] = choice->make[i] > 0 ? choice->keep[i] : 0;
    }
}

ra_choice *ra_choice_new(const ra_program *program, int32_t batch)
{
    resattn_context *context = program->context;
    ra_choice *choice = ra_alloc(context, 1, sizeof *choice);
    if (!choice)
        return NULL;
    size_t count = (size_t)program->node_count;
    choice->program = program;
    choice->keep = ra_alloc(context, count, sizeof *choice->keep);
    choice->make = ra_alloc(context, count, sizeof *choice->make);
    choice->last = ra_alloc(context, count, sizeof *choice->last);
    choice->kept = ra_alloc(context, count + 1, sizeof *choice->kept);
    choice->previous = ra_alloc(context, count + 1, sizeof *choice->previous);
    if (!choice->keep || !choice->make || !choice->last || !choice->kept || !choice->previous) {
        ra_choice_free(choice);
        return NULL;
    }
    weigh(choice, batch);
    return choice;
}

/* The best cut before the one at `end`. */
static void find_previous(ra_choice *choice, int32_t end, double limit)
{
    double keep = 0, make = 0;
    choice->kept[end] = INFINITY;
    for (int32_t begin = end - 1; begin >= 0 && keep + make <= limit; begin--) {
        if (choice->last[begin] >= end)
            keep += choice->keep[begin];
        else
            make += choice->make[begin];
        double kept = choice->kept[begin] + keep;
        if (kept + make <= limit && kept < choice->kept[end]) {
            choice->kept[end] = kept;
            choice->previous[end] = begin;
        }
    }
}

/* Whether there are cuts within the limit. */
static bool find_cuts(ra_choice *choice, double limit)
{
    int32_t count = choice->program->node_count;
    choice->kept[0] = 0;
    for (int32_t end = 1; end <= count; end++)
        find_previous(choice, end, limit);
    return choice->kept[count] <= limit;
}

double ra_choice_least(ra_choice *choice)
{
    double low = 0, high = 0;
    for (int32_t i = 0; i < choice->program->node_count; i++)
        high += choice->keep[i];
    for (int32_t i = 0; i < 16; i++) {
        double middle = (low + high) / 2;
        if (find_cuts(choice, middle))
            high = middle;
        else
            low = middle;
    }
    return high;
}

void ra_choice_make(ra_choice *choice, double limit, bool *dropped)
{
    const ra_program *program = choice->program;
    find_cuts(choice, limit);
    for (int32_t v = 0; v < program->value_count; v++)
        dropped[v] = ra_is_cheap(program, v);
    for (int32_t end = choice->previous[program->node_count]; end > 0; end = choice->previous[end])
        for (int32_t i = choice->previous[end]; i < end; i++)
            if (choice->last[i] < end && is_choosable(program, program->nodes[i].output))
                dropped[program->nodes[i].output] = true;
}
