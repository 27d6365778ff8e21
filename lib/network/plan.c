/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Plans: what a session will compute, and the memory that it takes.
 */
#include <stdint.h>
#include <string.h>

#include "network/constants.h"
#include "network/session.h"

static bool is_good_request(const resattn_network *network, resattn_purpose purpose, int32_t batch, int32_t height,
                            int32_t width)
{
    resattn_status status = RESATTN_INVALID_ARGUMENT;
    if (!network)
        ra_fail(status, "plan: the network is NULL");
    else if (purpose != RESATTN_INFERENCE && purpose != RESATTN_TRAINING)
        ra_fail(status, "plan: the purpose is %d, expected inference (1) or training (2)", (int)purpose);
    else if (batch < 1 || batch > RA_MAX_DIM)
        ra_fail(status, "plan: a batch of %d images, expected 1 to %d", batch, RA_MAX_DIM);
    else if (height < 1 || width < 1 || height > RA_MAX_DIM || width > RA_MAX_DIM)
        ra_fail(status, "plan: images of %dx%d, expected 1 to %d each way", height, width, RA_MAX_DIM);
    else
        return true;
    return false;
}

static ra_program *lower(const resattn_plan *plan)
{
    return ra_program_new(plan->network->context, plan->network->root, plan->height, plan->width,
                          plan->purpose == RESATTN_TRAINING);
}

resattn_plan *resattn_plan_new(resattn_network *network, resattn_purpose purpose, int32_t batch, int32_t height,
                               int32_t width)
{
    if (!is_good_request(network, purpose, batch, height, width))
        return NULL;
    resattn_plan *plan = ra_alloc(network->context, 1, sizeof *plan);
    if (!plan)
        return NULL;
    *plan = (resattn_plan){.network = resattn_network_ref(network),
                           .purpose = purpose,
                           .batch = batch,
                           .height = height,
                           .width = width};
    plan->program = lower(plan);
    if (plan->program)
        return plan;
    resattn_plan_free(plan);
    return NULL;
}

void resattn_plan_free(resattn_plan *plan)
{
    if (!plan)
        return;
    resattn_network *network = plan->network;
    ra_program_free(plan->program);
    ra_free(network->context, plan->outputs);
    ra_free(network->context, plan);
    resattn_network_unref(network);
}

resattn_status resattn_plan_add_output(resattn_plan *plan, const char *name)
{
    if (!plan || !name)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "output: the %s is NULL", plan ? "name" : "plan");
    for (int32_t i = 0; i < plan->output_count; i++)
        if (!strcmp(plan->outputs[i].name, name))
            return ra_fail(RESATTN_DUPLICATE, "%.200s: asked for already", name);
    const ra_name *found = ra_program_find(plan->program, name);
    if (!found)
        return ra_fail(RESATTN_NOT_FOUND, "%.200s: the network has no layer, mask or trunk of this name", name);
    if (!ra_grow(plan->network->context, (void **)&plan->outputs, plan->output_count, &plan->output_capacity,
                 sizeof *plan->outputs))
        return resattn_last_status();
    plan->outputs[plan->output_count++] = *found;
    return RESATTN_OK;
}

/* Whether `on` may be set; otherwise the error. */
static resattn_status check_switch(const resattn_plan *plan, const char *what, int32_t on)
{
    if (!plan)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "%s: the plan is NULL", what);
    if (on != 0 && on != 1)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "%s is %d, expected 0 or 1", what, (int)on);
    if (plan->purpose != RESATTN_TRAINING)
        return ra_fail(RESATTN_WRONG_STATE, "%s: the plan is for inference", what);
    return RESATTN_OK;
}

resattn_status resattn_plan_set_input_gradient(resattn_plan *plan, int32_t on)
{
    resattn_status status = check_switch(plan, "input gradient", on);
    if (status == RESATTN_OK)
        plan->input_gradient = on;
    return status;
}

resattn_status resattn_plan_set_recomputation(resattn_plan *plan, int32_t on)
{
    resattn_status status = check_switch(plan, "recomputation", on);
    if (status == RESATTN_OK)
        plan->recompute = on;
    return status;
}

static bool add_output(const resattn_plan *plan, ra_shape shape, size_t *bytes)
{
    size_t output = sizeof(float);
    return ra_mul_size(output, (size_t)plan->batch, &output) && ra_mul_size(output, (size_t)shape.c, &output) &&
           ra_mul_size(output, (size_t)shape.h, &output) && ra_mul_size(output, (size_t)shape.w, &output) &&
           ra_add_size(output, RA_ALIGNMENT - 1, &output) &&
           ra_add_size(*bytes, output - output % RA_ALIGNMENT, bytes);
}

/* What a session of the program allocates; false with the error recorded where that does not fit. */
static bool session_bytes(const resattn_plan *plan, const ra_program *program, size_t *bytes)
{
    bool fits = ra_add_size(program->arena_bytes, program->work_bytes, bytes);
    if (fits && program->slice < plan->batch) {
        fits = add_output(plan, program->values[program->output].shape, bytes);
        for (int32_t i = 0; fits && i < plan->output_count; i++)
            fits = add_output(plan, program->values[plan->outputs[i].value].shape, bytes);
    }
    if (!fits || *bytes > PTRDIFF_MAX)
        ra_fail(RESATTN_TOO_LARGE, "the session's memory does not fit a size");
    return fits && *bytes <= PTRDIFF_MAX;
}

ra_program *ra_plan_program(const resattn_plan *plan)
{
    ra_program *program = lower(plan);
    if (!program)
        return NULL;
    for (int32_t i = 0; i < plan->output_count; i++)
        program->values[plan->outputs[i].value].kept = true;
    program->input_gradient = plan->input_gradient;
    program->recompute = plan->recompute;
    program->mode = plan->mode;
    program->choose = ra_constants_choose;
    program->choose_data = plan->network;
    ra_program_fuse(program);
    size_t bytes;
    if (ra_memory_plan(program, plan->batch, ra_workers(program->context)) == RESATTN_OK &&
        session_bytes(plan, program, &bytes))
        return program;
    ra_program_free(program);
    return NULL;
}

resattn_status resattn_plan_set_convolution(resattn_plan *plan, resattn_convolution convolution)
{
    if (!plan)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "convolution: the plan is NULL");
    if (plan->purpose != RESATTN_INFERENCE)
        return ra_fail(RESATTN_WRONG_STATE, "convolution: the plan is for training");
    switch (convolution) {
    case RESATTN_CONVOLUTION_FASTEST:
        plan->mode = RA_CONV_FASTEST;
        return RESATTN_OK;
    case RESATTN_CONVOLUTION_NO_WINOGRAD:
        plan->mode = RA_CONV_NO_WINOGRAD;
        return RESATTN_OK;
    case RESATTN_CONVOLUTION_REFERENCE:
        plan->mode = RA_CONV_BLIS_ONLY;
        return RESATTN_OK;
    case RESATTN_CONVOLUTION_NONE:
        break;
    }
    return ra_fail(RESATTN_INVALID_ARGUMENT, "convolution is %d, expected 1 to 3", (int)convolution);
}

resattn_convolution resattn_plan_convolution(const resattn_plan *plan)
{
    static const resattn_convolution convolutions[] = {
        [RA_CONV_FASTEST] = RESATTN_CONVOLUTION_FASTEST,
        [RA_CONV_NO_WINOGRAD] = RESATTN_CONVOLUTION_NO_WINOGRAD,
        [RA_CONV_BLIS_ONLY] = RESATTN_CONVOLUTION_REFERENCE,
    };
    if (!plan)
        return RESATTN_CONVOLUTION_NONE;
    return convolutions[plan->purpose == RESATTN_INFERENCE ? plan->mode : RA_CONV_BLIS_ONLY];
}

resattn_network *resattn_plan_network(const resattn_plan *plan) { return plan ? plan->network : NULL; }

resattn_purpose resattn_plan_purpose(const resattn_plan *plan) { return plan ? plan->purpose : RESATTN_PURPOSE_NONE; }

int32_t resattn_plan_batch(const resattn_plan *plan) { return plan ? plan->batch : 0; }

int32_t resattn_plan_height(const resattn_plan *plan) { return plan ? plan->height : 0; }

int32_t resattn_plan_width(const resattn_plan *plan) { return plan ? plan->width : 0; }

int32_t resattn_plan_input_gradient(const resattn_plan *plan) { return plan ? plan->input_gradient : 0; }

int32_t resattn_plan_recomputation(const resattn_plan *plan) { return plan ? plan->recompute : 0; }

int64_t resattn_plan_memory(const resattn_plan *plan)
{
    if (!plan)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "memory: the plan is NULL"), -1;
    ra_program *program = ra_plan_program(plan);
    if (!program)
        return -1;
    size_t bytes = 0;
    session_bytes(plan, program, &bytes);
    ra_program_free(program);
    return (int64_t)bytes;
}

int64_t resattn_plan_multiply_adds(const resattn_plan *plan)
{
    if (!plan)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "multiply-adds: the plan is NULL"), -1;
    return ra_program_multiply_adds(plan->program, 0, plan->program->node_count);
}

static const ra_place *find_place(const resattn_plan *plan, const resattn_layer *layer, const char *what)
{
    const ra_place *place = NULL;
    if (!plan || !layer)
        ra_fail(RESATTN_INVALID_ARGUMENT, "%s: the %s is NULL", what, plan ? "layer" : "plan");
    else if (!(place = ra_program_place(plan->program, layer)))
        ra_fail(RESATTN_NOT_FOUND, "%s: the layer is not in the plan's network", what);
    return place;
}

resattn_status resattn_plan_layer_size(const resattn_plan *plan, const resattn_layer *layer, int32_t *height, int32_t *width)
{
    const ra_place *place = find_place(plan, layer, "size of a layer's output");
    if (!place)
        return resattn_last_status();
    const ra_shape *shape = &plan->program->values[place->value].shape;
    if (height)
        *height = shape->h;
    if (width)
        *width = shape->w;
    return RESATTN_OK;
}

int64_t resattn_plan_layer_multiply_adds(const resattn_plan *plan, const resattn_layer *layer)
{
    const ra_place *place = find_place(plan, layer, "multiply-adds of a layer");
    return place ? ra_program_multiply_adds(plan->program, place->first, place->end) : -1;
}
