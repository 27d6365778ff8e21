/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From the tree of layers to a flat list of operations.
 */
#include <string.h>

#include "graph/graph.h"

typedef struct tree_lowering {
    ra_lowering base; /* first: layers see this part only */
    ra_program *program;
} tree_lowering;

static int32_t new_value(ra_program *program, ra_shape shape, int32_t producer)
{
    if (!ra_grow(program->context, (void **)&program->values, program->value_count, &program->value_capacity,
                 sizeof *program->values))
        return -1;
    program->values[program->value_count] =
        (ra_node_value){
        .shape = shape, .producer = producer, .whole = -1, .row = shape.c, .storage = -1, .gradient_storage = -1};
    return program->value_count++;
}

void ra_node_free(resattn_context *context, ra_node *node)
{
    ra_free(context, node->inputs);
    ra_free(context, (void *)node->op.in_shape);
    ra_free(context, node->accumulate);
    ra_free(context, (void *)node->in);
    ra_free(context, (void *)node->backward_in);
    ra_free(context, node->din);
}

static bool fill_node(tree_lowering *lowering, ra_node *node, const int32_t *inputs)
{
    ra_program *program = lowering->program;
    size_t count = (size_t)node->op.input_count, room = count + RA_FUSED_INPUTS;
    node->inputs = ra_alloc(program->context, room, sizeof *node->inputs);
    ra_shape *shapes = ra_alloc(program->context, room, sizeof *shapes);
    node->op.in_shape = shapes;
    node->accumulate = ra_alloc(program->context, room, sizeof *node->accumulate);
    node->in = ra_alloc(program->context, room, sizeof *node->in);
    node->backward_in = ra_alloc(program->context, room, sizeof *node->backward_in);
    node->din = ra_alloc(program->context, room, sizeof *node->din);
    if (!node->inputs || !shapes || !node->accumulate || !node->in || !node->backward_in || !node->din)
        return false;
    for (size_t i = 0; i < count; i++) {
        node->inputs[i] = inputs[i];
        shapes[i] = program->values[inputs[i]].shape;
    }
    if (!node->op.kind->shape(&node->op)) {
        ra_fail_within(ra_layer_label(node->op.layer));
        return false;
    }
    return true;
}

static int32_t emit(ra_lowering *base, const ra_op_kind *kind, const resattn_layer *layer, const int32_t *inputs,
                    int32_t input_count, const ra_shape *target)
{
    tree_lowering *lowering = (tree_lowering *)base;
    ra_program *program = lowering->program;
    if (!ra_grow(program->context, (void **)&program->nodes, program->node_count, &program->node_capacity,
                 sizeof *program->nodes))
        return -1;
    ra_node node = {
        .op = {.kind = kind, .layer = layer, .input_count = input_count}, .factor = 1, .second = -1, .backward = -1, .saved = -1};
    if (target)
        node.op.target = *target;
    if (!fill_node(lowering, &node, inputs) ||
        (node.output = new_value(program, node.op.out_shape, program->node_count)) < 0) {
        ra_node_free(program->context, &node);
        return -1;
    }
    program->nodes[program->node_count++] = node;
    return node.output;
}

static bool name_value(ra_lowering *base, const char *name, int32_t value)
{
    ra_program *program = ((tree_lowering *)base)->program;
    if (!ra_grow(program->context, (void **)&program->names, program->name_count, &program->name_capacity,
                 sizeof *program->names))
        return false;
    program->names[program->name_count++] = (ra_name){name, value};
    return true;
}

static bool place_layer(ra_program *program, ra_place place)
{
    if (!ra_grow(program->context, (void **)&program->places, program->place_count, &program->place_capacity,
                 sizeof *program->places))
        return false;
    program->places[program->place_count++] = place;
    return true;
}

static int32_t lower_layer(ra_lowering *base, const resattn_layer *layer, int32_t input, const ra_shape *target)
{
    const ra_layer_kind *kind = layer->kind;
    ra_program *program = ((tree_lowering *)base)->program;
    int32_t first = program->node_count;
    int32_t value = kind->lower ? kind->lower(base, layer, input, target)
                                : base->emit(base, kind->op, layer, &input, 1, target);
    if (value < 0 || !place_layer(program, (ra_place){layer, value, first, program->node_count}))
        return -1;
    bool has_path = layer->name || kind->max_children == 0;
    return has_path && !name_value(base, layer->path, value) ? -1 : value;
}

static ra_shape value_shape(const ra_lowering *base, int32_t value)
{
    return ((const tree_lowering *)base)->program->values[value].shape;
}

ra_program *ra_program_new(resattn_context *context, const resattn_layer *root, int32_t height, int32_t width,
                           bool training)
{
    ra_program *program = ra_alloc(context, 1, sizeof *program);
    if (!program)
        return NULL;
    program->context = context;
    program->training = training;
    tree_lowering lowering = {
        .base = {.emit = emit, .layer = lower_layer, .shape = value_shape, .name = name_value}, .program = program};
    int32_t input = new_value(program, (ra_shape){root->in_c, height, width}, -1);
    program->output = input < 0 ? -1 : lower_layer(&lowering.base, root, input, NULL);
    if (program->output < 0) {
        ra_program_free(program);
        return NULL;
    }
    program->values[program->output].kept = true;
    return program;
}

void ra_program_free(ra_program *program)
{
    if (!program)
        return;
    resattn_context *context = program->context;
    for (int32_t i = 0; i < program->node_count; i++)
        ra_node_free(context, &program->nodes[i]);
    ra_free(context, program->nodes);
    ra_free(context, program->values);
    ra_free(context, program->names);
    ra_free(context, program->places);
    ra_free(context, program->storages);
    ra_free(context, program->steps);
    ra_free(context, program);
}

const ra_name *ra_program_find(const ra_program *program, const char *name)
{
    /* backwards: an attention module names its activated mask after its mask branch has named its own output */
    for (int32_t i = program->name_count - 1; i >= 0; i--)
        if (!strcmp(program->names[i].name, name))
            return &program->names[i];
    return NULL;
}

const char *ra_program_name(const ra_program *program, int32_t value)
{
    for (int32_t i = program->name_count - 1; i >= 0; i--)
        if (program->names[i].value == value)
            return program->names[i].name;
    return NULL;
}

const ra_place *ra_program_place(const ra_program *program, const resattn_layer *layer)
{
    for (int32_t i = 0; i < program->place_count; i++)
        if (program->places[i].layer == layer)
            return &program->places[i];
    return NULL;
}

int64_t ra_program_multiply_adds(const ra_program *program, int32_t first, int32_t end)
{
    int64_t total = 0;
    for (int32_t i = first; i < end; i++) {
        const ra_op *op = &program->nodes[i].op;
        if (op->layer->kind->multiply_adds && op->layer->kind->op == op->kind)
            total += op->layer->kind->multiply_adds(op->layer, op->in_shape[0], op->out_shape);
    }
    return total;
}
