/* SPDX-License-Identifier: BSD-3-Clause */
/* Random calls: plans and sessions. */
#include "calls.h"

#include <string.h>

#define COUNT(array) (uint32_t)(sizeof(array) / sizeof *(array))

static void plan_shape(calls *c, int32_t shape[3])
{
    bool odd = fuzz_chance(&c->in, 16);
    for (int i = 0; i < 3; i++)
        shape[i] = odd ? fuzz_int(&c->in) : fuzz_range(&c->in, 1, i ? 12 : MOST_BATCH);
}

static void new_plan(calls *c)
{
    resattn_network *network = PICK(c, networks);
    int32_t shape[3];
    plan_shape(c, shape);
    KEEP(c, plans, resattn_plan_free,
         resattn_plan_new(network, (resattn_purpose)fuzz_range(&c->in, 1, fuzz_chance(&c->in, 8) ? 3 : 2), shape[0],
                          shape[1], shape[2]));
}

static void change_plan(calls *c)
{
    resattn_plan *plan = PICK(c, plans);
    switch (fuzz_range(&c->in, 0, 3)) {
    case 0:
        fuzz_ok(resattn_plan_add_output(plan, pick_path(c, PICK(c, networks))));
        break;
    case 1:
        fuzz_ok(resattn_plan_set_input_gradient(plan, fuzz_range(&c->in, 0, 2)));
        break;
    case 2:
        fuzz_ok(resattn_plan_set_recomputation(plan, fuzz_range(&c->in, 0, 2)));
        break;
    default:
        fuzz_ok(resattn_plan_set_convolution(plan, (resattn_convolution)fuzz_range(&c->in, 0, 4)));
        break;
    }
}

static void ask_plan(calls *c)
{
    resattn_plan *plan = PICK(c, plans);
    const resattn_layer *layer = fuzz_chance(&c->in, 200) ? resattn_network_root(PICK(c, networks)) : PICK(c, layers);
    int32_t height, width;
    fuzz_ok(resattn_plan_layer_size(plan, layer, fuzz_chance(&c->in, 64) ? NULL : &height, &width));
    (void)resattn_plan_layer_multiply_adds(plan, layer);
    (void)resattn_plan_memory(plan);
    (void)resattn_plan_multiply_adds(plan);
}

static void free_plan(calls *c)
{
    uint32_t slot = fuzz_byte(&c->in) % SLOTS;
    resattn_plan_free(c->plans[slot]);
    c->plans[slot] = NULL;
}

/* A session, with the outputs that a name stands for, and its shape. Large ones are not made. */
static void new_session(calls *c)
{
    resattn_network *network = PICK(c, networks);
    int32_t shape[3];
    plan_shape(c, shape);
    uint32_t options = fuzz_byte(&c->in), slot = fuzz_byte(&c->in) % SLOTS;
    resattn_plan *plan = fuzz_made(
        resattn_plan_new(network, options & 1 ? RESATTN_TRAINING : RESATTN_INFERENCE, shape[0], shape[1], shape[2]));
    for (uint32_t i = 0; i < (options >> 1 & 3); i++)
        fuzz_ok(resattn_plan_add_output(plan, pick_path(c, network)));
    if (options & 8)
        fuzz_ok(options & 1 ? resattn_plan_set_input_gradient(plan, 1)
                            : resattn_plan_set_convolution(plan, (resattn_convolution)(1 + options % 3)));
    if (options & 16)
        fuzz_ok(resattn_plan_set_recomputation(plan, 1));
    resattn_session *session = plan && fuzz_is_small(plan, shape[0]) ? fuzz_made(resattn_session_new(plan)) : NULL;
    resattn_plan_free(plan);
    if (!session)
        return;
    resattn_session_free(c->sessions[slot]);
    c->sessions[slot] = session;
    const int64_t sizes[] = {shape[0], resattn_network_in_channels(network), shape[1], shape[2]};
    memcpy(c->shapes[slot], sizes, sizeof sizes);
}

static void free_session(calls *c)
{
    uint32_t slot = fuzz_byte(&c->in) % SLOTS;
    resattn_session_free(c->sessions[slot]);
    c->sessions[slot] = NULL;
}

/* With an input that fits, of any type and order. */
static void forward(calls *c)
{
    uint32_t slot = fuzz_byte(&c->in) % SLOTS, options = fuzz_byte(&c->in);
    int64_t shape[4];
    memcpy(shape, c->shapes[slot], sizeof shape);
    if (options & 4)
        shape[0] = fuzz_range(&c->in, 1, MOST_BATCH);
    resattn_tensor *input = fuzz_made(resattn_tensor_new(c->context, options & 1 ? RESATTN_F32 : RESATTN_U8, 4, shape,
                                                         options & 2 ? RESATTN_CHANNELS_LAST : RESATTN_CHANNELS_FIRST));
    uint8_t *data = resattn_tensor_mutable_data(input);
    for (int i = 0; data && options & 1 && i < 4; i++)
        data[i] = (uint8_t)fuzz_byte(&c->in);
    fuzz_ok(resattn_session_forward(c->sessions[slot], input));
    resattn_tensor_unref(input);
}

static void forward_anything(calls *c)
{
    fuzz_ok(resattn_session_forward(PICK(c, sessions), pick_source(c)));
}

static void set_gradient(calls *c)
{
    resattn_session *session = PICK(c, sessions);
    const char *name = fuzz_chance(&c->in, 64) ? pick_path(c, resattn_session_network(session)) : NULL;
    const resattn_tensor *gradient = fuzz_chance(&c->in, 64) ? pick_source(c) : resattn_session_output(session, name);
    if (fuzz_chance(&c->in, 64))
        fuzz_ok(resattn_session_add_output_gradient(session, name, gradient));
    else
        fuzz_ok(resattn_session_set_output_gradient(session, name, gradient));
}

static void backward(calls *c)
{
    resattn_session *session = PICK(c, sessions);
    fuzz_ok(resattn_session_backward(session));
    (void)resattn_session_input_gradient(session);
}

static void change_session(calls *c)
{
    resattn_session *session = PICK(c, sessions);
    switch (fuzz_range(&c->in, 0, 4)) {
    case 0:
        fuzz_ok(resattn_session_set_accumulate(session, fuzz_range(&c->in, 0, 2)));
        break;
    case 1:
        fuzz_ok(resattn_session_set_statistics(session, (resattn_statistics)fuzz_range(&c->in, 0, 3)));
        break;
    case 2:
        fuzz_ok(resattn_session_set_step_count(session, fuzz_int(&c->in)));
        break;
    case 3:
        fuzz_ok(resattn_session_set_profiling(session, fuzz_range(&c->in, 0, 2)));
        break;
    default:
        fuzz_ok(resattn_session_refresh(session));
        break;
    }
    fuzz_ok(resattn_session_set_seed(session, fuzz_byte(&c->in)));
    (void)resattn_session_step_count(session);
}

static void ask_session(calls *c)
{
    const resattn_session *session = PICK(c, sessions);
    int32_t index = fuzz_range(&c->in, -1, resattn_session_operation_count(session));
    (void)resattn_session_operation_name(session, index);
    (void)resattn_session_operation_kind(session, index);
    (void)resattn_session_operation_kernel(session, index);
    (void)resattn_session_operation_multiply_adds(session, index);
    (void)resattn_session_operation_seconds(session, index);
    (void)resattn_session_output_name(session, index);
    (void)resattn_session_output_count(session);
    (void)resattn_session_profiling(session);
}

const call_fn run_calls[] = {new_plan,     change_plan, ask_plan,       free_plan,  new_session,      new_session,
                             free_session, forward,     forward,        forward,    forward_anything, set_gradient,
                             backward,     backward,    change_session, ask_session};
const uint32_t run_call_count = COUNT(run_calls);
