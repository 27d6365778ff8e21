/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The steps of the backward pass. Nodes go backward in reverse order. Before each comes what must be made once more for
 * it: the values that it reads and that were dropped, and what these are made of as far as that was dropped too.
 *
 * A value that was made once more is there until the last step that reads it: nothing is made twice, except for cheap
 * values, which are dropped again where only other values were made of them.
 */
#include "graph/graph.h"

/* Where a value is now: made by a step, or one of these. */
enum { KEPT = -1, DROPPED = -2 };

typedef struct scheduler {
    ra_program *program;
    int32_t *last_read;
    int32_t *place;          /* of each value */
    bool *needed;            /* nodes whose output is to be made before the next backward pass */
    int32_t lowest, highest; /* of these */
} scheduler;

bool ra_is_cheap(const ra_program *program, int32_t value)
{
    const ra_node_value *v = &program->values[value];
    return program->training && v->producer >= 0 && !v->kept && program->nodes[v->producer].op.kind->recompute;
}

int32_t ra_step_time(const ra_program *program, int32_t step)
{
    return program->node_count + 1 + step;
}

/* ---- which nodes go backward ---- */

static bool has_trained(const resattn_layer *layer)
{
    for (int32_t i = 0; i < layer->param_count; i++)
        if (layer->params[i].trained)
            return true;
    return false;
}

static void find_wanted_gradients(ra_program *program)
{
    program->values[0].wants_gradient = program->input_gradient;
    for (int32_t i = 0; i < program->node_count; i++) {
        const ra_node *node = &program->nodes[i];
        bool wanted = has_trained(node->op.layer);
        for (int32_t k = 0; k < node->op.input_count; k++)
            wanted |= program->values[node->inputs[k]].wants_gradient;
        program->values[node->output].wants_gradient = wanted;
    }
}

/* Marks the nodes with a gradient to pass on, with a time that is set later. False with the error recorded. */
static bool find_backward_nodes(scheduler *s)
{
    ra_program *program = s->program;
    bool *used = s->needed; /* for now: nodes that an output depends on */
    for (int32_t i = program->node_count - 1; i >= 0; i--) {
        ra_node *node = &program->nodes[i];
        const ra_node_value *output = &program->values[node->output];
        used[i] |= output->kept;
        for (int32_t k = 0; used[i] && k < node->op.input_count; k++)
            if (program->values[node->inputs[k]].producer >= 0)
                used[program->values[node->inputs[k]].producer] = true;
        node->backward = used[i] && output->wants_gradient ? 0 : -1;
        node->last = i;
        used[i] = false;
        if (node->backward == 0 && !node->op.kind->backward) {
            ra_fail(RESATTN_UNSUPPORTED, "%s: a %s has no backward pass, so nothing in it or before it can be trained",
                    ra_layer_label(node->op.layer), node->op.kind->name);
            return false;
        }
    }
    return true;
}

/* ---- steps ---- */

static bool append(scheduler *s, int32_t node, bool again)
{
    ra_program *program = s->program;
    if (!ra_grow(program->context, (void **)&program->steps, program->step_count, &program->step_capacity,
                 sizeof *program->steps))
        return false;
    int32_t time = ra_step_time(program, program->step_count);
    program->steps[program->step_count++] =
        (ra_step){.node = node, .again = again, .source = -1, .last = time, .storage = -1};
    program->nodes[node].last = time;
    return true;
}

/* The newest step reads a value. */
static void use(scheduler *s, int32_t value)
{
    ra_program *program = s->program;
    int32_t place = s->place[value], time = ra_step_time(program, program->step_count - 1);
    int32_t *last = place == KEPT ? &s->last_read[value] : &program->steps[place].last;
    if (*last < time)
        *last = time;
}

static void need(scheduler *s, int32_t value)
{
    if (s->place[value] != DROPPED)
        return;
    int32_t producer = s->program->values[value].producer;
    s->needed[producer] = true;
    s->lowest = producer < s->lowest ? producer : s->lowest;
    s->highest = producer > s->highest ? producer : s->highest;
}

static bool make_needed(scheduler *s)
{
    ra_program *program = s->program;
    for (int32_t i = s->highest; i >= s->lowest; i--)
        for (int32_t k = 0; s->needed[i] && k < program->nodes[i].op.input_count; k++)
            need(s, program->nodes[i].inputs[k]);
    for (int32_t i = s->lowest; i <= s->highest; i++) {
        const ra_node *node = &program->nodes[i];
        if (!s->needed[i])
            continue;
        s->needed[i] = false;
        if (!append(s, i, true))
            return false;
        for (int32_t k = 0; k < node->op.input_count; k++)
            use(s, node->inputs[k]);
        int32_t source = s->place[node->inputs[0]];
        program->steps[program->step_count - 1].source = source < 0 ? -1 : source;
        s->place[node->output] = program->step_count - 1;
    }
    return true;
}

/* Cheap values that were made since step `first`, but not for the newest step. */
static void drop_cheap(scheduler *s, int32_t first)
{
    const ra_program *program = s->program;
    int32_t time = ra_step_time(program, program->step_count - 1);
    for (int32_t i = first; i < program->step_count - 1; i++) {
        int32_t value = program->nodes[program->steps[i].node].output;
        if (ra_is_cheap(program, value) && program->steps[i].last < time)
            s->place[value] = DROPPED;
    }
}

static bool schedule_node(scheduler *s, int32_t index)
{
    ra_program *program = s->program;
    ra_node *node = &program->nodes[index];
    int32_t flags = node->op.kind->flags, first = program->step_count;
    int32_t reads = flags & RA_READS_INPUTS ? node->op.input_count : 0;
    s->lowest = program->node_count;
    s->highest = -1;
    for (int32_t k = 0; k < reads; k++)
        need(s, node->inputs[k]);
    if (flags & RA_READS_OUTPUT)
        need(s, node->output);
    if (!make_needed(s) || !append(s, index, false))
        return false;
    node->backward = ra_step_time(program, program->step_count - 1);
    for (int32_t k = 0; k < reads; k++)
        use(s, node->inputs[k]);
    if (flags & RA_READS_OUTPUT)
        use(s, node->output);
    drop_cheap(s, first);
    return true;
}

bool ra_schedule(ra_program *program, const bool *dropped, int32_t *last_read)
{
    scheduler s = {.program = program, .last_read = last_read};
    s.place = ra_alloc(program->context, (size_t)program->value_count, sizeof *s.place);
    s.needed = ra_alloc(program->context, (size_t)program->node_count, sizeof *s.needed);
    bool done = s.place && s.needed;
    if (done) {
        for (int32_t v = 0; v < program->value_count; v++)
            s.place[v] = dropped[v] ? DROPPED : KEPT;
        find_wanted_gradients(program);
        done = find_backward_nodes(&s);
    }
    for (int32_t i = program->node_count - 1; done && i >= 0; i--)
        done = program->nodes[i].backward < 0 || schedule_node(&s, i);
    ra_free(program->context, s.needed);
    ra_free(program->context, s.place);
    return done;
}
