/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where a session's time goes.
 */
#include <string.h>

#include "network/session.h"

resattn_status resattn_session_set_profiling(resattn_session *session, int32_t on)
{
    if (!session || (on != 0 && on != 1))
        return ra_fail(RESATTN_INVALID_ARGUMENT, session ? "profiling is %d, expected 0 or 1" : "the session is NULL",
                       on);
    double **seconds = ra_session_seconds(session);
    resattn_context *context = resattn_session_network(session)->context;
    if (!on) {
        ra_free(context, *seconds);
        *seconds = NULL;
    } else if (!*seconds) {
        *seconds = ra_alloc(context, (size_t)ra_session_program(session)->node_count, sizeof **seconds);
        return *seconds ? RESATTN_OK : resattn_last_status();
    }
    return RESATTN_OK;
}

int32_t resattn_session_operation_count(const resattn_session *session)
{
    return session ? ra_session_program(session)->node_count : 0;
}

static const ra_node *node_of(const resattn_session *session, int32_t index)
{
    if (!session)
        return ra_fail_null(RESATTN_INVALID_ARGUMENT, "operation: the session is NULL");
    const ra_program *program = ra_session_program(session);
    if (index < 0 || index >= program->node_count)
        return ra_fail_null(RESATTN_INVALID_ARGUMENT, "operation %d: the session has %d", index, program->node_count);
    return &program->nodes[index];
}

/* The activation of a mask is no layer: it is called as the mask is, whose value it or the next operation gives. */
const char *resattn_session_operation_name(const resattn_session *session, int32_t index)
{
    const ra_node *node = node_of(session, index);
    const char *name = node ? node->op.layer->path : NULL;
    for (int32_t i = index; node && !name && i < ra_session_program(session)->node_count; i++)
        name = ra_program_name(ra_session_program(session), ra_session_program(session)->nodes[i].output);
    return name;
}

/* The texts of all combinations, so that they need no memory: what follows is a sum, ReLU, a mask's activation and use, a batch
 * norm. */
const char *resattn_session_operation_kind(const resattn_session *session, int32_t index)
{
    static const char *const kinds[] = {
        "conv2d",
        "conv2d + sum",
        "conv2d + relu",
        "conv2d + sum + relu",
        "conv2d + mask",
        "conv2d + sum + mask",
        "conv2d + relu + mask",
        "conv2d + sum + relu + mask",
        "conv2d + batch_norm",
        "conv2d + sum + batch_norm",
        "conv2d + relu + batch_norm",
        "conv2d + sum + relu + batch_norm",
        "conv2d + mask + batch_norm",
        "conv2d + sum + mask + batch_norm",
        "conv2d + relu + mask + batch_norm",
        "conv2d + sum + relu + mask + batch_norm",
    };
    const ra_node *node = node_of(session, index);
    if (!node)
        return NULL;
    const ra_op *op = &node->op;
    if (!(op->kind->flags & RA_CAN_FINISH))
        return op->kind->name;
    bool mask = op->fused_sigmoid || op->trunk;
    return kinds[(op->addend ? 1 : 0) + (op->fused_relu ? 2 : 0) + (mask ? 4 : 0) + (op->second ? 8 : 0)];
}

const char *resattn_session_operation_kernel(const resattn_session *session, int32_t index)
{
    const ra_node *node = node_of(session, index);
    if (!node || !node->op.packed)
        return node ? "" : NULL;
    ra_conv conv = node->op.kind->convolution(&node->op);
    return ra_conv_form_name(&conv, node->op.form);
}

int64_t resattn_session_operation_multiply_adds(const resattn_session *session, int32_t index)
{
    return node_of(session, index) ? ra_program_multiply_adds(ra_session_program(session), index, index + 1) : -1;
}

double resattn_session_operation_seconds(const resattn_session *session, int32_t index)
{
    if (!node_of(session, index))
        return -1;
    const double *seconds = *ra_session_seconds((resattn_session *)session);
    return seconds ? seconds[index] : 0;
}

double resattn_context_peak(resattn_context *context)
{
    if (!context)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "peak: the context is NULL"), -1;
    if (ra_context_open(context) != RESATTN_OK)
        return -1;
    double rate = ra_micro_peak(context);
    ra_context_close(context);
    return rate;
}
