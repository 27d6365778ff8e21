/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The memory plan. Problem: every value, every gradient and every piece saved for backward is in use from one time to another
 * (graph.h says what time is); find a place for each in one arena so that no two in use at once overlap, in little memory.
 *
 * What backward reads is kept from the forward pass until then, unless it is cheap to make once more (batch norm, a third of all), or
 * the program is to recompute: then a few values are kept and what lies between them is made once more (recompute.c).
 *
 * First storages are made: what can be computed in place shares one. Then they are placed, largest first, each at the
 * lowest offset where it meets nothing placed before whose time overlaps. The answer depends on the program only.
 */
#include <stdlib.h>
#include <string.h>

#include "graph/graph.h"

/* Of the largest value of a slice. Measured: twice as much is slower on networks for 32 x 32, half as much on maps of some 128 pixels. */
#define SLICE_FLOATS (3 << 18)

/* Plans that are tried where the program is to recompute. */
#define LIMITS 8

typedef struct planner {
    ra_program *program;
    int32_t batch;
    int32_t *last_read;   /* of each value's data: the last time it is needed */
    int32_t *next_sharer; /* gradients that share a storage: a circular list of values */
    bool *dropped;        /* values that backward makes once more */
} planner;

/* A plan that was tried where the program is to recompute; number 0 is without. */
typedef struct trial {
    double limit;
    size_t bytes;
    int64_t products;
} trial;

static int32_t new_storage(ra_program *program, size_t bytes, int32_t first, int32_t last)
{
    if (!ra_grow(program->context, (void **)&program->storages, program->storage_count, &program->storage_capacity,
                 sizeof *program->storages))
        return -1;
    program->storages[program->storage_count] = (ra_storage){.bytes = bytes, .first = first, .last = last};
    return program->storage_count++;
}

static bool value_bytes(const planner *plan, int32_t value, size_t *bytes)
{
    ra_shape shape = plan->program->values[value].shape;
    *bytes = sizeof(float);
    if (ra_mul_size(*bytes, (size_t)plan->batch, bytes) && ra_mul_size(*bytes, (size_t)shape.c, bytes) &&
        ra_mul_size(*bytes, (size_t)shape.h, bytes) && ra_mul_size(*bytes, (size_t)shape.w, bytes))
        return true;
    int32_t producer = plan->program->values[value].producer;
    ra_fail(RESATTN_TOO_LARGE, "%s: %d images of %d channels, %dx%d, do not fit in memory",
            producer < 0 ? "input" : ra_layer_label(plan->program->nodes[producer].op.layer), plan->batch, shape.c,
            shape.h, shape.w);
    return false;
}

static void extend(ra_program *program, int32_t storage, int32_t last)
{
    if (program->storages[storage].last < last)
        program->storages[storage].last = last;
}

/* ---- data ---- */

/* In the forward pass; ra_schedule() adds what backward reads. */
static void find_last_reads(planner *plan)
{
    const ra_program *program = plan->program;
    for (int32_t v = 0; v < program->value_count; v++)
        plan->last_read[v] = program->values[v].kept ? RA_FOREVER : program->values[v].producer;
    for (int32_t i = 0; i < program->node_count; i++)
        for (int32_t k = 0; k < program->nodes[i].op.input_count; k++)
            if (plan->last_read[program->nodes[i].inputs[k]] < i)
                plan->last_read[program->nodes[i].inputs[k]] = i;
}

static bool appears_once(const ra_node *node, int32_t value)
{
    int32_t count = 0;
    for (int32_t k = 0; k < node->op.input_count; k++)
        count += node->inputs[k] == value;
    return count == 1;
}

/* In inference a convolution may add to what it is given to add, where that is not needed any more. */
static bool takes_place_of(const planner *plan, int32_t index, int32_t input)
{
    const ra_node *node = &plan->program->nodes[index];
    int32_t value = node->inputs[input];
    bool allowed = input == 0 ? node->op.kind->flags & RA_IN_PLACE : input == node->op.addend;
    return allowed && value != 0 && plan->last_read[value] == index && appears_once(node, value) &&
           plan->program->values[node->output].whole < 0 && plan->program->values[value].whole < 0;
}

static bool plan_value(planner *plan, int32_t index, int32_t value)
{
    ra_program *program = plan->program;
    ra_node_value *output = &program->values[value];
    int32_t whole = output->whole < 0 ? value : output->whole;
    size_t bytes;
    if (program->values[whole].storage < 0) {
        if (!value_bytes(plan, whole, &bytes) ||
            (program->values[whole].storage = new_storage(program, bytes, index, plan->last_read[whole])) < 0)
            return false;
    }
    output->storage = program->values[whole].storage;
    return true;
}

static bool plan_values(planner *plan)
{
    ra_program *program = plan->program;
    size_t bytes;
    if (!value_bytes(plan, 0, &bytes) || (program->values[0].storage = new_storage(program, bytes, -1, plan->last_read[0])) < 0)
        return false;
    for (int32_t i = 0; i < program->node_count; i++) {
        ra_node *node = &program->nodes[i];
        int32_t input = node->op.addend;
        if (takes_place_of(plan, i, input)) {
            ra_node_value *output = &program->values[node->output];
            output->storage = program->values[node->inputs[input]].storage;
            extend(program, output->storage, plan->last_read[node->output]);
        } else if (!plan_value(plan, i, node->output)) {
            return false;
        }
        if (node->second >= 0 && !plan_value(plan, i, node->second))
            return false;
    }
    return true;
}

/* What is made once more takes the place of what it is made of, where it may and that is not needed any more. */
static bool plan_again(planner *plan)
{
    ra_program *program = plan->program;
    for (int32_t s = 0; s < program->step_count; s++) {
        ra_step *step = &program->steps[s];
        const ra_node *node = &program->nodes[step->node];
        const ra_step *source = step->source < 0 ? NULL : &program->steps[step->source];
        int32_t time = ra_step_time(program, s);
        size_t bytes;
        if (!step->again)
            continue;
        if (source && source->last == time && (node->op.kind->flags & RA_IN_PLACE) && appears_once(node, node->inputs[0])) {
            step->storage = source->storage;
            extend(program, step->storage, step->last);
        } else if (!value_bytes(plan, node->output, &bytes) ||
                   (step->storage = new_storage(program, bytes, time, step->last)) < 0) {
            return false;
        }
    }
    return true;
}

/* ---- gradients ---- */

/* When the gradient of a value is read for the last time. */
static int32_t gradient_last(const ra_program *program, int32_t value)
{
    int32_t producer = program->values[value].producer;
    return producer < 0 ? RA_FOREVER : program->nodes[producer].backward;
}

/* The next time after node `index`'s backward pass that something is added to the gradient of a value. */
static int32_t next_contribution(const ra_program *program, int32_t value, int32_t index)
{
    for (int32_t i = index - 1; i > program->values[value].producer; i--)
        for (int32_t k = 0; k < program->nodes[i].op.input_count; k++)
            if (program->nodes[i].inputs[k] == value && program->nodes[i].backward >= 0)
                return program->nodes[i].backward;
    return RA_FOREVER;
}

/*
 * May the gradient of `value`, whose first part is what lies in the storage of `from`'s gradient at the backward time of node
 * `index`, share that storage? Every sharer that is still to be read must be read before any other is changed.
 * With `overwritten`, the node changes the storage itself.
 */
static bool may_share(const planner *plan, int32_t value, int32_t from, int32_t index, bool overwritten)
{
    const ra_program *program = plan->program;
    int32_t now = program->nodes[index].backward, last = gradient_last(program, value);
    int32_t next = next_contribution(program, value, index);
    for (int32_t other = plan->next_sharer[from]; other != from; other = plan->next_sharer[other]) {
        int32_t other_last = gradient_last(program, other);
        if (other_last <= now)
            continue;
        if (overwritten || next <= other_last || next_contribution(program, other, index) <= last)
            return false;
    }
    return true;
}

static void share(planner *plan, int32_t value, int32_t from)
{
    ra_program *program = plan->program;
    program->values[value].gradient_storage = program->values[from].gradient_storage;
    plan->next_sharer[value] = plan->next_sharer[from];
    plan->next_sharer[from] = value;
    extend(program, program->values[value].gradient_storage, gradient_last(program, value));
}

static bool new_gradient(planner *plan, int32_t value, int32_t first)
{
    ra_program *program = plan->program;
    size_t bytes;
    if (!value_bytes(plan, value, &bytes))
        return false;
    plan->next_sharer[value] = value;
    program->values[value].gradient_storage = new_storage(program, bytes, first, gradient_last(program, value));
    return program->values[value].gradient_storage >= 0;
}

static bool plan_input_gradient(planner *plan, int32_t index, int32_t k)
{
    ra_program *program = plan->program;
    ra_node *node = &program->nodes[index];
    int32_t value = node->inputs[k];
    ra_node_value *input = &program->values[value];
    node->accumulate[k] = input->gradient_storage >= 0;
    if (!input->wants_gradient || node->accumulate[k])
        return true;
    int32_t flags = node->op.kind->flags;
    bool passes = flags & RA_PASSES_GRADIENT && !node->op.fused_relu;
    bool in_place = passes || (k == 0 && (flags & RA_IN_PLACE_BACKWARD));
    if (in_place && appears_once(node, value) && may_share(plan, value, node->output, index, !passes)) {
        share(plan, value, node->output);
        return true;
    }
    return new_gradient(plan, value, node->backward);
}

static bool plan_gradients(planner *plan)
{
    ra_program *program = plan->program;
    for (int32_t v = 0; v < program->value_count; v++)
        if (program->values[v].kept && program->values[v].wants_gradient && !new_gradient(plan, v, program->node_count))
            return false;
    for (int32_t i = program->node_count - 1; i >= 0; i--) {
        ra_node *node = &program->nodes[i];
        if (program->values[node->output].gradient_storage < 0)
            continue; /* nothing after it has a gradient */
        for (int32_t k = 0; k < node->op.input_count; k++)
            if (!plan_input_gradient(plan, i, k))
                return false;
    }
    return true;
}

/* ---- saved pieces and scratch ---- */

/* What an operation's memory callback answered: it has recorded the error itself, or else it is this. */
static bool refuse_memory(const ra_op *op, uint32_t failures, const char *what)
{
    if (ra_failures() != failures)
        ra_fail_within(ra_layer_label(op->layer));
    else
        ra_fail(RESATTN_TOO_LARGE, "%s: %s", ra_layer_label(op->layer), what);
    return false;
}

static bool plan_saved(planner *plan, int32_t workers)
{
    ra_program *program = plan->program;
    for (int32_t i = 0; i < program->node_count; i++) {
        ra_node *node = &program->nodes[i];
        const ra_op_kind *kind = node->op.kind;
        uint32_t failures = ra_failures();
        size_t bytes = 0;
        if (program->training && kind->saved) {
            if (!kind->saved(&node->op, plan->batch, &bytes))
                return refuse_memory(&node->op, failures, "what backward needs does not fit in memory");
            if (bytes && (node->saved = new_storage(program, bytes, i, node->last)) < 0)
                return false;
        }
        bytes = 0;
        if (kind->work && !kind->work(&node->op, plan->batch, workers, program->training, &bytes))
            return refuse_memory(&node->op, failures, "its work memory does not fit a size");
        if (program->work_bytes < bytes)
            program->work_bytes = bytes;
    }
    return true;
}

/* ---- placing ---- */

static int larger_first(const void *a, const void *b)
{
    const ra_storage *x = *(ra_storage *const *)a, *y = *(ra_storage *const *)b;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? 1 : -1;
    return x < y ? -1 : x > y;
}

/* Finds room for order[index] among those before it; `placed` holds these by offset. */
static bool place(ra_storage **placed, int32_t count, ra_storage *storage)
{
    size_t offset = 0;
    int32_t position = count;
    for (int32_t i = 0; i < count; i++) {
        const ra_storage *other = placed[i];
        if (other->first > storage->last || other->last < storage->first)
            continue;
        if (other->offset >= offset && other->offset - offset >= storage->bytes)
            break;
        size_t end = other->offset + other->bytes;
        offset = offset < end ? end : offset;
    }
    size_t end;
    if (!ra_add_size(offset, storage->bytes, &end) || end > PTRDIFF_MAX) {
        ra_fail(RESATTN_TOO_LARGE, "the session's memory does not fit a size");
        return false;
    }
    storage->offset = offset;
    while (position > 0 && placed[position - 1]->offset > offset) {
        placed[position] = placed[position - 1];
        position--;
    }
    placed[position] = storage;
    return true;
}

static bool place_all(ra_program *program)
{
    size_t count = (size_t)program->storage_count;
    ra_storage **order = ra_alloc(program->context, count, 2 * sizeof(ra_storage *));
    if (!order)
        return false;
    ra_storage **placed = order + count;
    for (size_t i = 0; i < count; i++) {
        order[i] = &program->storages[i];
        if (!ra_add_size(order[i]->bytes, RA_ALIGNMENT - 1, &order[i]->bytes))
            order[i]->bytes = SIZE_MAX - RA_ALIGNMENT + 1;
        order[i]->bytes -= order[i]->bytes % RA_ALIGNMENT;
    }
    qsort(order, count, sizeof *order, larger_first);
    bool fits = true;
    for (size_t i = 0; i < count && fits; i++) {
        fits = place(placed, (int32_t)i, order[i]);
        if (program->arena_bytes < order[i]->offset + order[i]->bytes)
            program->arena_bytes = order[i]->offset + order[i]->bytes;
    }
    ra_free(program->context, order);
    return fits;
}

/*
 * Values of all images of a large batch would go through memory from one operation to the next. The weights that are read again
 * for every slice cost less.
 */
static int32_t inference_slice(const ra_program *program, int32_t batch)
{
    int64_t most = batch;
    for (int32_t v = 0; v < program->value_count; v++) {
        ra_shape shape = program->values[v].shape;
        int64_t line = (int64_t)shape.c * shape.w, lines = SLICE_FLOATS / line;
        most = lines / shape.h < most ? lines / shape.h : most;
    }
    return most < 1 ? 1 : (int32_t)most;
}

static void forget(ra_program *program)
{
    program->storage_count = program->step_count = 0;
    program->arena_bytes = 0;
    for (int32_t v = 0; v < program->value_count; v++)
        program->values[v].storage = program->values[v].gradient_storage = -1;
    for (int32_t i = 0; i < program->node_count; i++)
        program->nodes[i].saved = -1;
}

static bool plan_once(planner *plan, int32_t workers)
{
    ra_program *program = plan->program;
    forget(program);
    find_last_reads(plan);
    if (program->training && !ra_schedule(program, plan->dropped, plan->last_read))
        return false;
    return plan_values(plan) && (!program->training || (plan_again(plan) && plan_gradients(plan))) &&
           plan_saved(plan, workers) && place_all(program);
}

static void keep_all_but_cheap(planner *plan)
{
    for (int32_t v = 0; v < plan->program->value_count; v++)
        plan->dropped[v] = ra_is_cheap(plan->program, v);
}

/* Multiply-adds that backward does once more, of one image. */
static int64_t repeated(const ra_program *program)
{
    int64_t total = 0;
    for (int32_t s = 0; s < program->step_count; s++)
        if (program->steps[s].again)
            total += ra_program_multiply_adds(program, program->steps[s].node, program->steps[s].node + 1);
    return total;
}

/* Of some plans the fastest of those that need little more memory than the one that needs the least. */
static int32_t best_trial(const trial *trials, int32_t count)
{
    size_t least = SIZE_MAX;
    int32_t best = 0;
    for (int32_t i = 0; i < count; i++)
        least = trials[i].bytes < least ? trials[i].bytes : least;
    for (int32_t i = 1; i < count; i++) {
        bool fits = trials[i].bytes <= least + least / 8, best_fits = trials[best].bytes <= least + least / 8;
        if (fits && (!best_fits || trials[i].products < trials[best].products))
            best = i;
    }
    return best;
}

/* The choice knows nothing of gradients and of how well the arena is filled: several limits are tried. */
static bool plan_recomputed(planner *plan, int32_t workers, ra_choice *choice)
{
    const ra_program *program = plan->program;
    double least = ra_choice_least(choice);
    trial trials[LIMITS + 1] = {{.bytes = program->arena_bytes}};
    for (int32_t i = 1; i <= LIMITS; i++) {
        trials[i].limit = least * (1 + (double)(i - 1) / 8);
        ra_choice_make(choice, trials[i].limit, plan->dropped);
        if (!plan_once(plan, workers))
            return false;
        trials[i].bytes = program->arena_bytes;
        trials[i].products = repeated(program);
    }
    int32_t best = best_trial(trials, LIMITS + 1);
    if (best == 0)
        keep_all_but_cheap(plan);
    else
        ra_choice_make(choice, trials[best].limit, plan->dropped);
    return plan_once(plan, workers);
}

static bool plan_all(planner *plan, int32_t workers)
{
    const ra_program *program = plan->program;
    keep_all_but_cheap(plan);
    if (!plan_once(plan, workers))
        return false;
    if (!program->training || !program->recompute)
        return true;
    ra_choice *choice = ra_choice_new(program, plan->batch);
    bool fits = choice && plan_recomputed(plan, workers, choice);
    ra_choice_free(choice);
    return fits;
}

resattn_status ra_memory_plan(ra_program *program, int32_t batch, int32_t workers)
{
    size_t count = (size_t)program->value_count;
    int32_t *numbers = ra_alloc(program->context, count, 2 * sizeof *numbers);
    bool *dropped = ra_alloc(program->context, count, sizeof *dropped);
    program->slice = program->training ? batch : inference_slice(program, batch);
    planner plan = {.program = program, .batch = program->slice, .last_read = numbers, .dropped = dropped};
    if (numbers)
        plan.next_sharer = numbers + count;
    bool fits = numbers && dropped && plan_all(&plan, workers);
    ra_free(program->context, dropped);
    ra_free(program->context, numbers);
    return fits ? RESATTN_OK : resattn_last_status();
}

float *ra_value_data(const ra_program *program, char *arena, int32_t value)
{
    int32_t storage = program->values[value].storage;
    return storage < 0 ? NULL
                       : (float *)(void *)(arena + program->storages[storage].offset) + program->values[value].channel;
}

float *ra_value_gradient(const ra_program *program, char *arena, int32_t value)
{
    int32_t storage = program->values[value].gradient_storage;
    return storage < 0 ? NULL : (float *)(void *)(arena + program->storages[storage].offset);
}

void ra_memory_bind(ra_program *program, char *arena)
{
    for (int32_t i = 0; i < program->node_count; i++) {
        ra_node *node = &program->nodes[i];
        for (int32_t k = 0; k < node->op.input_count; k++) {
            node->in[k] = ra_value_data(program, arena, node->inputs[k]);
            node->din[k] = program->values[node->inputs[k]].wants_gradient
                               ? ra_value_gradient(program, arena, node->inputs[k])
                               : NULL;
        }
        node->out = ra_value_data(program, arena, node->output);
        node->second_out = node->second < 0 ? NULL : ra_value_data(program, arena, node->second);
        node->dout = ra_value_gradient(program, arena, node->output);
        node->saved_memory = node->saved < 0 ? NULL : arena + program->storages[node->saved].offset;
    }
    for (int32_t s = 0; s < program->step_count; s++) {
        ra_step *step = &program->steps[s];
        step->out = step->again ? (float *)(void *)(arena + program->storages[step->storage].offset) : NULL;
    }
}
