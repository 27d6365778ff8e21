/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Running a program.
 */
#include "graph/graph.h"

/* Random numbers of one node in one step. */
static uint64_t node_key(uint64_t key, int32_t index) { return ra_random_bits(key, (uint64_t)index); }

static ra_run prepare(const ra_execution *execution, int32_t index, resattn_status *status)
{
    const ra_program *program = execution->program;
    const ra_node *node = &program->nodes[index];
    return (ra_run){.context = program->context,
                    .n = execution->n,
                    .workers = ra_workers(program->context),
                    .training = program->training,
                    .status = status,
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

resattn_status ra_program_forward(const ra_execution *execution)
{
    ra_program *program = execution->program;
    resattn_status status = RESATTN_OK;
    for (int32_t i = 0; i < program->node_count && status == RESATTN_OK; i++) {
        ra_node *node = &program->nodes[i];
        for (int32_t k = 0; k < node->op.input_count; k++)
            if (node->inputs[k] == 0)
                node->in[k] = execution->input;
        ra_run run = prepare(execution, i, &status);
        int64_t begin = execution->seconds ? ra_nanoseconds() : 0;
        node->op.kind->forward(&node->op, &run);
        if (execution->seconds)
            execution->seconds[i] += 1e-9 * (double)(ra_nanoseconds() - begin);
    }
    return status;
}

/* Where forward left the values. */
static void find_values(const ra_execution *execution)
{
    ra_program *program = execution->program;
    program->values[0].now = (float *)execution->input;
    for (int32_t i = 0; i < program->node_count; i++)
        program->values[program->nodes[i].output].now = program->nodes[i].out;
}

/* Batch norms have statistics that must not change once more; what else there is in forward leaves the same bits. */
static void make_again(const ra_node *node, ra_run *run)
{
    run->again = true;
    (node->op.kind->recompute ? node->op.kind->recompute : node->op.kind->forward)(&node->op, run);
}

resattn_status ra_program_backward(const ra_execution *execution)
{
    ra_program *program = execution->program;
    resattn_status status = RESATTN_OK;
    find_values(execution);
    for (int32_t s = 0; s < program->step_count && status == RESATTN_OK; s++) {
        const ra_step *step = &program->steps[s];
        const ra_node *node = &program->nodes[step->node];
        for (int32_t k = 0; k < node->op.input_count; k++)
            node->backward_in[k] = program->values[node->inputs[k]].now;
        if (step->again)
            program->values[node->output].now = step->out;
        ra_run run = prepare(execution, step->node, &status);
        run.in = node->backward_in;
        run.out = program->values[node->output].now;
        if (step->again)
            make_again(node, &run);
        else
            node->op.kind->backward(&node->op, &run);
    }
    return status;
}
