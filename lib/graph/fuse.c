/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rewriting a program: an operation whose result only the next one reads takes that one over.
 */
#include "graph/graph.h"

/* For each value: the node that reads it if exactly one does, else -1. */
static int32_t only_reader(const ra_program *program, int32_t value)
{
    int32_t reader = -1;
    for (int32_t i = program->values[value].producer + 1; i < program->node_count; i++)
        for (int32_t k = 0; k < program->nodes[i].op.input_count; k++)
            if (program->nodes[i].inputs[k] == value) {
                if (reader >= 0)
                    return -1;
                reader = i;
            }
    return reader;
}

static bool can_take(const ra_program *program, const ra_node *node, const ra_node *next)
{
    int32_t flags = node->op.kind->flags, next_flags = next->op.kind->flags;
    if (node->op.fused_relu)
        return false;
    if (next_flags & RA_IS_RELU)
        return (flags & RA_CAN_FUSE_RELU) && (!program->training || (flags & RA_IS_BATCH_NORM));
    return !program->training && (flags & RA_IS_CONV) && (next_flags & RA_IS_BATCH_NORM) && !node->norm;
}

/* Marks a node as gone; compact() takes it out. */
static void drop(ra_program *program, int32_t index) { program->nodes[index].output = -1; }

static void compact(ra_program *program)
{
    int32_t count = 0;
    for (int32_t i = 0; i < program->node_count; i++) {
        ra_node *node = &program->nodes[i];
        if (node->output < 0) {
            ra_node_free(program->context, node);
            continue;
        }
        program->values[node->output].producer = count;
        program->nodes[count++] = *node;
    }
    program->node_count = count;
}

void ra_program_fuse(ra_program *program)
{
    for (int32_t i = 0; i < program->node_count; i++) {
        ra_node *node = &program->nodes[i];
        while (node->output >= 0 && !program->values[node->output].kept) {
            int32_t reader = only_reader(program, node->output);
            if (reader < 0 || !can_take(program, node, &program->nodes[reader]))
                break;
            ra_node *next = &program->nodes[reader];
            if (next->op.kind->flags & RA_IS_RELU)
                node->op.fused_relu = true;
            else
                node->norm = next->op.layer;
            node->output = next->output;
            program->values[node->output].producer = i;
            drop(program, reader);
        }
    }
    compact(program);
    for (int32_t i = 0; i < program->node_count && !program->training; i++)
        program->nodes[i].op.prepared = program->nodes[i].op.kind->prepare != NULL;
}
