/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rewriting a program for inference: convolutions do what follows them while their result is in the cache.
 */
#include "graph/graph.h"

/* The node that makes a value and could do more with it, as node `reader` alone reads the value; NULL if there is none. */
static ra_node *finisher(const ra_program *program, int32_t value, int32_t reader)
{
    int32_t producer = program->values[value].producer;
    if (producer < 0 || program->values[value].kept || ra_only_reader(program, value) != reader)
        return NULL;
    ra_node *node = &program->nodes[producer];
    bool free = node->op.packed && (node->op.kind->flags & RA_CAN_FINISH) && !node->op.trunk && !node->op.second;
    return free && node->output == value ? node : NULL;
}

/* Another input of a node, computed before it; its number, or 0 if it is not. */
static int32_t add_input(const ra_program *program, ra_node *node, int32_t value)
{
    if (program->values[value].producer >= program->values[node->output].producer)
        return 0;
    int32_t number = node->op.input_count++;
    node->inputs[number] = value;
    ((ra_shape *)node->op.in_shape)[number] = program->values[value].shape;
    return number;
}

static void fuse_sum(ra_program *program, int32_t index)
{
    ra_node *sum = &program->nodes[index];
    for (int32_t k = 0; k < 2 && sum->op.input_count == 2; k++) {
        ra_node *node = finisher(program, sum->inputs[k], index);
        if (!node || node->op.fused_relu || node->op.fused_sigmoid || node->op.addend || node->op.form == RA_CONV_LANES)
            continue;
        node->op.addend = add_input(program, node, sum->inputs[1 - k]);
        if (!node->op.addend)
            continue;
        node->op.fused_relu = sum->op.fused_relu;
        ra_node_take_over(program, node, index);
        return;
    }
}

static void fuse_sigmoid(ra_program *program, int32_t index)
{
    ra_node *node = finisher(program, program->nodes[index].inputs[0], index);
    if (!node || node->op.fused_sigmoid)
        return;
    node->op.fused_sigmoid = true;
    ra_node_take_over(program, node, index);
}

static void fuse_gate(ra_program *program, int32_t index)
{
    ra_node *gate = &program->nodes[index];
    ra_node *node = finisher(program, gate->inputs[1], index);
    if (!node || gate->op.in_shape[0].c != gate->op.in_shape[1].c)
        return;
    node->op.trunk = add_input(program, node, gate->inputs[0]);
    if (!node->op.trunk)
        return;
    node->op.plus = gate->op.plus;
    ra_node_take_over(program, node, index);
}

/* A batch norm that is left has a convolution before it only if others read the convolution too, or a sum lies between. */
static void fuse_norm(ra_program *program, int32_t index)
{
    ra_node *norm = &program->nodes[index];
    int32_t value = norm->inputs[0], producer = program->values[value].producer;
    if (producer < 0)
        return;
    ra_node *node = &program->nodes[producer];
    if (!node->op.packed || !(node->op.kind->flags & RA_CAN_FINISH) || node->op.second)
        return;
    node->op.second = true;
    node->op.second_relu = norm->op.fused_relu;
    node->second_norm = norm->op.layer;
    if (ra_only_reader(program, value) == index && !program->values[value].kept) {
        node->op.second_in_place = true;
        ra_node_take_over(program, node, index);
        return;
    }
    node->second = norm->output;
    program->values[node->second].producer = producer;
    ra_node_drop(program, index);
}

/* Convolutions that only a concatenation reads write into it. */
static void fuse_concat(ra_program *program, int32_t index)
{
    const ra_node *concat = &program->nodes[index];
    int32_t channel = 0;
    for (int32_t k = 0; k < concat->op.input_count; k++) {
        ra_node_value *value = &program->values[concat->inputs[k]];
        const ra_node *node = value->producer < 0 ? NULL : &program->nodes[value->producer];
        if (node && node->op.packed && node->op.form != RA_CONV_BLIS && node->output == concat->inputs[k] && !value->kept &&
            ra_only_reader(program, concat->inputs[k]) == index) {
            value->whole = concat->output;
            value->channel = channel;
            value->row = concat->op.out_shape.c;
        }
        channel += value->shape.c;
    }
}

void ra_program_finish(ra_program *program)
{
    static const struct {
        int32_t flag;
        void (*fuse)(ra_program *program, int32_t index);
    } steps[] = {{RA_IS_SUM, fuse_sum},
                 {RA_IS_SIGMOID, fuse_sigmoid},
                 {RA_IS_GATE, fuse_gate},
                 {RA_IS_BATCH_NORM, fuse_norm},
                 {RA_IS_CONCAT, fuse_concat}};
    for (int32_t i = 0; i < program->node_count; i++) {
        ra_op *op = &program->nodes[i].op;
        op->packed = (op->kind->flags & RA_IS_CONV) && op->kind->convolution;
        if (op->packed) {
            ra_conv conv = op->kind->convolution(op);
            op->form = program->choose(program->choose_data, &program->nodes[i], &conv, program->mode);
        }
    }
    for (int32_t step = 0; step < RA_COUNT(steps); step++)
        for (int32_t i = 0; i < program->node_count; i++)
            if (program->nodes[i].output >= 0 && (program->nodes[i].op.kind->flags & steps[step].flag))
                steps[step].fuse(program, i);
}
