/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Running a program.
 */
#include "graph/graph.h"

/* Random numbers of one node in one step. */
static uint64_t node_key(uint64_t key, int32_t index) { return ra_random_bits(key, (uint64_t)index); }

static ra_run prepare(const ra_execution *execution, int32_t index)
{
    const ra_program *program = execution->program;
    const ra_node *node = &program->nodes[index];
    return (ra_run){.context = program->context,
                    .n = execution->n,
                    .workers = ra_workers(program->context),
                    .training = program->training,
                    .in = node->in,
                    .out = node->out,
                    .out_row = program->values[node->output].row,
                    .second = node->second_out,
                    .dout = node->dout,
                    .din = node->din,
                    .accumulate = node->accumulate,
                    .accumulate_params = execution->accumulate_params,
                    .statistics_step = execution->statistics_step,
                    .saved = node->saved_memory,
                    .work = execution->work,
                    .key = node_key(execution->key, index)};
}

bool ra_program_check(const ra_program *program, int32_t n)
{
    for (int32_t i = 0; i < program->node_count; i++) {
        const ra_op *op = &program->nodes[i].op;
        if (op->kind->check && !op->kind->check(op, n, program->training)) {
            ra_fail_within(ra_layer_label(op->layer));
            return false;
        }
    }
    return true;
}

void ra_program_forward(const ra_execution *execution)
{
    ra_program *program = execution->program;
    for (int32_t i = 0; i < program->node_count; i++) {
        ra_node *node = &program->nodes[i];
        for (int32_t k = 0; k < node->op.input_count; k++)
            if (node->inputs[k] == 0)
                node->in[k] = execution->input;
        ra_run run = prepare(execution, i);
        int64_t begin = execution->seconds ? ra_nanoseconds() : 0;
        node->op.kind->forward(&node->op, &run);
        if (execution->seconds)
            execution->seconds[i] += 1e-9 * (double)(ra_nanoseconds() - begin);
    }
}

/* The producer's own input is kept. */
static void recompute(const ra_execution *execution, int32_t value, const float *target)
{
    int32_t producer = execution->program->values[value].producer;
    const ra_node *node = &execution->program->nodes[producer];
    ra_run run = prepare(execution, producer);
    run.out = (float *)target;
    node->op.kind->recompute(&node->op, &run);
}

void ra_program_backward(const ra_execution *execution)
{
    const ra_program *program = execution->program;
    for (int32_t i = program->node_count - 1; i >= 0; i--) {
        const ra_node *node = &program->nodes[i];
        if (!node->dout || !program->values[node->output].wants_gradient)
            continue;
        for (int32_t k = 0; k < node->op.input_count; k++)
            if (program->values[node->inputs[k]].redo == i)
                recompute(execution, node->inputs[k], node->backward_in[k]);
        ra_run run = prepare(execution, i);
        run.in = node->backward_in;
        node->op.kind->backward(&node->op, &run);
    }
}
