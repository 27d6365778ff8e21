/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Kinds of layers of the host's own: their operations.
 */
#include "kernels/kernels.h"
#include "layers/custom.h"

#include <string.h>

struct resattn_custom_run {
    const ra_op *op;
    const ra_run *run;
    resattn_custom_phase phase;
};

/* ---- plans ---- */

bool ra_custom_shape(ra_op *op)
{
    const resattn_custom *custom = ra_custom_of(op->layer);
    ra_shape in = op->in_shape[0];
    op->out_shape = (ra_shape){op->layer->out_c, in.h, in.w};
    if (!custom->size)
        return true;
    uint32_t failures = ra_failures();
    resattn_status answer = custom->size(custom->user, op->layer, &op->out_shape.h, &op->out_shape.w);
    if (ra_custom_answer(custom, "size", failures, answer) != RESATTN_OK)
        return false;
    ra_shape out = op->out_shape;
    if (out.h >= 1 && out.w >= 1 && out.h <= RA_MAX_DIM && out.w <= RA_MAX_DIM)
        return true;
    ra_fail(RESATTN_INVALID_ARGUMENT, "the size callback of %s makes %dx%d of %dx%d, expected 1 to %d each way",
            custom->name, (int)out.h, (int)out.w, (int)in.h, (int)in.w, RA_MAX_DIM);
    return false;
}

/* Both sizes are non-negative numbers that fit. */
static bool measure(const ra_op *op, int32_t n, int32_t workers, bool training, size_t *saved, size_t *work)
{
    const resattn_custom *custom = ra_custom_of(op->layer);
    int64_t bytes[2] = {0, 0};
    ra_shape in = op->in_shape[0];
    const int32_t shape[4] = {n, in.c, in.h, in.w};
    uint32_t failures = ra_failures();
    if (custom->memory) {
        resattn_status answer = custom->memory(custom->user, op->layer, shape, training, workers, &bytes[0], &bytes[1]);
        if (ra_custom_answer(custom, "memory", failures, answer) != RESATTN_OK)
            return false;
    }
    for (int32_t i = 0; i < 2; i++)
        if (bytes[i] < 0 || (uint64_t)bytes[i] > PTRDIFF_MAX) {
            ra_fail(bytes[i] < 0 ? RESATTN_INVALID_ARGUMENT : RESATTN_TOO_LARGE,
                    "the memory callback of %s asks for %lld bytes of %s", custom->name, (long long)bytes[i],
                    i == 0 ? "what is saved" : "work memory");
            return false;
        }
    *saved = (size_t)bytes[0];
    *work = (size_t)bytes[1];
    return true;
}

bool ra_custom_saved(const ra_op *op, int32_t n, size_t *bytes)
{
    size_t work;
    return measure(op, n, ra_workers(op->layer->context), true, bytes, &work);
}

bool ra_custom_work(const ra_op *op, int32_t n, int32_t workers, bool training, size_t *bytes)
{
    size_t saved;
    return measure(op, n, workers, training, &saved, bytes);
}

/* ---- running ---- */

static void call(const ra_op *op, const ra_run *run, resattn_custom_phase phase)
{
    const resattn_custom *custom = ra_custom_of(op->layer);
    bool back = phase == RESATTN_PHASE_BACKWARD;
    resattn_custom_run custom_run = {op, run, phase};
    uint32_t failures = ra_failures();
    resattn_status answer = (back ? custom->backward : custom->forward)(custom->user, op->layer, &custom_run);
    *run->status = ra_custom_answer(custom, back ? "backward" : "forward", failures, answer);
    if (*run->status != RESATTN_OK)
        ra_fail_within(ra_layer_label(op->layer));
}

void ra_custom_forward(const ra_op *op, const ra_run *run)
{
    call(op, run, run->again ? RESATTN_PHASE_AGAIN : run->training ? RESATTN_PHASE_TRAINING : RESATTN_PHASE_INFERENCE);
}

static void clear_range(void *data, int64_t begin, int64_t end)
{
    memset((float *)data + begin, 0, (size_t)(end - begin) * sizeof(float));
}

static void clear(const ra_run *run, float *floats, int64_t count)
{
    ra_parallel_ranges(run->context, clear_range, floats, count, ra_range_step(1));
}

/* The host always adds. */
void ra_custom_backward(const ra_op *op, const ra_run *run)
{
    ra_shape in = op->in_shape[0];
    if (run->din[0] && !run->accumulate[0])
        clear(run, run->din[0], (int64_t)run->n * in.c * in.h * in.w);
    for (int32_t i = 0; i < op->layer->param_count && !run->accumulate_params; i++) {
        const ra_param *param = &op->layer->params[i];
        if (param->trained)
            clear(run, param->gradient, param->elements);
    }
    call(op, run, RESATTN_PHASE_BACKWARD);
}

/* ---- what the host asks ---- */

resattn_custom_phase resattn_custom_run_phase(const resattn_custom_run *run)
{
    return run ? run->phase : RESATTN_PHASE_NONE;
}

resattn_status resattn_custom_run_shape(const resattn_custom_run *run, int32_t input, int32_t *shape)
{
    if (!run || !shape)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "shape: the %s is NULL", run ? "place for it" : "run");
    if (input < -1 || input >= run->op->input_count)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "shape: input %d, expected -1 to %d", (int)input,
                       (int)run->op->input_count - 1);
    ra_shape of = input < 0 ? run->op->out_shape : run->op->in_shape[input];
    shape[0] = run->run->n;
    shape[1] = of.c;
    shape[2] = of.h;
    shape[3] = of.w;
    return RESATTN_OK;
}

uint64_t resattn_custom_run_key(const resattn_custom_run *run)
{
    return run ? run->run->key : 0;
}

/* Inference reads the snapshot of its session. */
static float *values_of(const ra_op *op, int32_t index)
{
    const float *values = op->weight;
    if (!values)
        return op->layer->params[index].value;
    for (int32_t i = 0; i < index; i++)
        values += ra_line((size_t)op->layer->params[i].elements);
    return (float *)values;
}

static float *image_data(const resattn_custom_run *run, resattn_custom_data data, int32_t index)
{
    bool back = run->phase == RESATTN_PHASE_BACKWARD;
    int32_t flags = run->op->kind->flags;
    if (data == RESATTN_DATA_INPUT && index < run->op->input_count)
        return !back || (flags & RA_READS_INPUTS) ? (float *)run->run->in[index] : NULL;
    if (data == RESATTN_DATA_OUTPUT && index == 0)
        return !back || (flags & RA_READS_OUTPUT) ? run->run->out : NULL;
    if (data == RESATTN_DATA_OUTPUT_GRADIENT && index == 0)
        return back ? (float *)run->run->dout : NULL;
    if (data == RESATTN_DATA_INPUT_GRADIENT && index < run->op->input_count)
        return back ? run->run->din[index] : NULL;
    return NULL;
}

static float *parameter_data(const resattn_custom_run *run, resattn_custom_data data, int32_t index)
{
    if (index >= run->op->layer->param_count)
        return NULL;
    if (data == RESATTN_DATA_PARAMETER)
        return values_of(run->op, index);
    return run->phase == RESATTN_PHASE_BACKWARD ? run->op->layer->params[index].gradient : NULL;
}

void *resattn_custom_run_data(const resattn_custom_run *run, resattn_custom_data data, int32_t index)
{
    if (!run || index < 0)
        return NULL;
    switch (data) {
    case RESATTN_DATA_INPUT:
    case RESATTN_DATA_OUTPUT:
    case RESATTN_DATA_OUTPUT_GRADIENT:
    case RESATTN_DATA_INPUT_GRADIENT:
        return image_data(run, data, index);
    case RESATTN_DATA_PARAMETER:
    case RESATTN_DATA_PARAMETER_GRADIENT:
        return parameter_data(run, data, index);
    case RESATTN_DATA_SAVED:
        return index == 0 ? run->run->saved : NULL;
    case RESATTN_DATA_WORK:
        return index == 0 ? run->run->work : NULL;
    }
    return NULL;
}

resattn_status resattn_custom_run_parallel(const resattn_custom_run *run, resattn_task_fn task, void *job,
                                           int32_t count)
{
    if (!run || !task)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "parallel: the %s is NULL", run ? "task" : "run");
    if (count < 0)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "parallel: %d tasks, expected at least 0", (int)count);
    if (count > 0)
        ra_parallel(run->run->context, task, job, count);
    return RESATTN_OK;
}
