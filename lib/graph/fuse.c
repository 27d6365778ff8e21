/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rewriting a program: an operation whose result only the next one reads takes that one over.
 */
#include "graph/graph.h"

int32_t ra_only_reader(const ra_program *program, int32_t value)
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
    if (program->training || !(flags & RA_IS_CONV) || node->factor != 1)
        return false;
    return (next_flags & RA_IS_SCALE) || ((next_flags & RA_IS_BATCH_NORM) && !node->norm);
}

static void take(ra_node *node, const ra_node *next)
{
    const resattn_layer *layer = next->op.layer;
    if (next->op.kind->flags & RA_IS_RELU)
        node->op.fused_relu = true;
    else if (next->op.kind->flags & RA_IS_SCALE)
        node->factor = ra_real(layer, ra_attribute_find(layer->kind, "factor"));
    else
        node->norm = layer;
}

/* compact() takes it out. */
void ra_node_drop(ra_program *program, int32_t index) { program->nodes[index].output = -1; }

void ra_node_take_over(ra_program *program, ra_node *node, int32_t index)
{
    int32_t producer = program->values[node->output].producer;
    node->output = program->nodes[index].output;
    program->values[node->output].producer = producer;
    ra_node_drop(program, index);
}

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
        if (node->second >= 0)
            program->values[node->second].producer = count;
        program->nodes[count++] = *node;
    }
    program->node_count = count;
}

void ra_program_fuse(ra_program *program)
{
    for (int32_t i = 0; i < program->node_count; i++) {
        ra_node *node = &program->nodes[i];
        while (node->output >= 0 && !program->values[node->output].kept) {
            int32_t reader = ra_only_reader(program, node->output);
            if (reader < 0 || !can_take(program, node, &program->nodes[reader]))
                break;
            take(node, &program->nodes[reader]);
            ra_node_take_over(program, node, reader);
        }
    }
    if (!program->training)
        ra_program_finish(program);
    compact(program);
}
