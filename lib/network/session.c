/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sessions: memory for a program, and running it.
 */
#include "network/session.h"

#include <string.h>

#include "gemm/gemm.h"
#include "network/constants.h"

typedef enum session_state {
    READY,     /* nothing to show */
    FORWARDED, /* outputs are valid */
    BACKWARDED /* outputs and gradients are valid */
} session_state;

typedef struct session_output {
    const char *name; /* NULL: the network's output */
    int32_t value;
    resattn_tensor tensor;
    bool gradient_given;
} session_output;

struct resattn_session {
    resattn_network *network; /* a share */
    resattn_purpose purpose;
    ra_program *program;
    ra_constants *constants; /* inference */
    char *arena, *work;
    float *whole; /* outputs of the whole batch, where it is run in slices; else they are in the arena */
    int32_t batch, n;
    double *seconds; /* of each operation, where profiling is on */
    session_state state;
    bool accumulate;
    int64_t batches; /* in the mean of statistics, the last forward pass included; -1: running statistics */
    int64_t steps; /* forward passes done */
    uint64_t seed;
    uint64_t key; /* of the random bits of the last one, which backward draws again */
    session_output *outputs; /* the network's own first */
    int32_t output_count;
    resattn_tensor memory; /* where the outputs are, the arena or `whole`, as a tensor: to see overlap */
    resattn_tensor input_gradient;
};

/* ---- making ---- */

static void embed_value(resattn_session *session, resattn_tensor *tensor, int32_t value, float *data)
{
    ra_shape shape = session->program->values[value].shape;
    int64_t sizes[4] = {session->batch, shape.c, shape.h, shape.w};
    ra_tensor_embed(tensor, 4, sizes, RESATTN_CHANNELS_LAST, data);
    tensor->read_only = true;
}

static size_t output_floats(const resattn_session *session, int32_t value)
{
    ra_shape shape = session->program->values[value].shape;
    return (size_t)session->batch * (size_t)shape.c * (size_t)shape.h * (size_t)shape.w;
}

static bool is_sliced(const resattn_session *session) { return session->program->slice < session->batch; }

/* The plan has checked that its size fits. Each output begins on a boundary, as those in the arena do. */
static bool make_whole(resattn_session *session)
{
    size_t floats = 0;
    for (int32_t i = 0; i < session->output_count; i++)
        floats += ra_line(output_floats(session, session->outputs[i].value));
    session->whole = ra_alloc_raw(session->network->context, floats, sizeof(float));
    if (!session->whole)
        return false;
    int64_t elements = (int64_t)floats;
    ra_tensor_embed(&session->memory, 1, &elements, RESATTN_CHANNELS_LAST, session->whole);
    return true;
}

static bool make_outputs(resattn_session *session, const resattn_plan *plan)
{
    session->output_count = plan->output_count + 1;
    session->outputs = ra_alloc(session->network->context, (size_t)session->output_count, sizeof *session->outputs);
    if (!session->outputs)
        return false;
    for (int32_t i = 0; i < session->output_count; i++) {
        session_output *output = &session->outputs[i];
        output->name = i ? plan->outputs[i - 1].name : NULL;
        output->value = i ? plan->outputs[i - 1].value : session->program->output;
    }
    if (is_sliced(session) && !make_whole(session))
        return false;
    float *next = session->whole;
    for (int32_t i = 0; i < session->output_count; i++) {
        session_output *output = &session->outputs[i];
        float *data = next ? next : ra_value_data(session->program, session->arena, output->value);
        embed_value(session, &output->tensor, output->value, data);
        next = next ? next + ra_line(output_floats(session, output->value)) : NULL;
    }
    return true;
}

static bool take_constants(resattn_session *session)
{
    if (session->purpose != RESATTN_INFERENCE)
        return ra_network_need_gradients(session->network) == RESATTN_OK;
    ra_constants *constants = ra_constants_new(session->network);
    if (!constants || ra_constants_fill(constants, session->program) != RESATTN_OK) {
        ra_constants_unref(constants);
        return false;
    }
    ra_constants_bind(constants, session->program);
    ra_constants_unref(session->constants);
    session->constants = constants;
    return true;
}

static bool make_memory(resattn_session *session)
{
    ra_program *program = session->program;
    session->arena = ra_alloc_raw(program->context, program->arena_bytes, 1);
    session->work = ra_alloc_raw(program->context, program->work_bytes, 1);
    if (!session->arena || !session->work)
        return false;
    int64_t elements = (int64_t)(program->arena_bytes / sizeof(float));
    ra_tensor_embed(&session->memory, 1, &elements, RESATTN_CHANNELS_LAST, (float *)(void *)session->arena);
    ra_memory_bind(program, session->arena);
    if (program->input_gradient)
        embed_value(session, &session->input_gradient, 0, ra_value_gradient(program, session->arena, 0));
    return true;
}

/* Sharing keeps training away while the parameters are copied; training sessions must have the network to themselves. */
static bool set_up(resattn_session *session, const resattn_plan *plan)
{
    session->program = ra_plan_program(plan);
    if (!session->program || !make_memory(session) || !make_outputs(session, plan))
        return false;
    bool training = session->purpose == RESATTN_TRAINING;
    if (!(training ? ra_network_take : ra_network_share)(session->network, "making a session"))
        return false;
    bool taken = take_constants(session);
    (training ? ra_network_give : ra_network_unshare)(session->network);
    return taken;
}

resattn_session *resattn_session_new(const resattn_plan *plan)
{
    if (!plan)
        return ra_fail_null(RESATTN_INVALID_ARGUMENT, "session: the plan is NULL");
    resattn_network *network = plan->network;
    if (ra_context_open(network->context) != RESATTN_OK)
        return NULL;
    resattn_session *session = ra_alloc(network->context, 1, sizeof *session);
    if (!session) {
        ra_context_close(network->context);
        return NULL;
    }
    session->network = resattn_network_ref(network);
    session->purpose = plan->purpose;
    session->batch = plan->batch;
    session->batches = -1;
    session->seed = network->context->seed;
    if (set_up(session, plan) && ra_gemm_warm_up(network->context) == RESATTN_OK)
        return session;
    resattn_session_free(session);
    return NULL;
}

void resattn_session_free(resattn_session *session)
{
    if (!session)
        return;
    resattn_network *network = session->network;
    resattn_context *context = network->context;
    ra_constants_unref(session->constants);
    ra_program_free(session->program);
    ra_free(context, session->seconds);
    ra_free(context, session->whole);
    ra_free(context, session->arena);
    ra_free(context, session->work);
    ra_free(context, session->outputs);
    ra_free(context, session);
    ra_context_close(context);
    resattn_network_unref(network);
}

ra_program *ra_session_program(const resattn_session *session) { return session->program; }

double **ra_session_seconds(resattn_session *session) { return &session->seconds; }

resattn_status resattn_session_set_statistics(resattn_session *session, resattn_statistics statistics)
{
    if (!session)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "set statistics: the session is NULL");
    if (statistics != RESATTN_STATISTICS_RUNNING && statistics != RESATTN_STATISTICS_MEAN)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "set statistics: %d, expected running (1) or mean (2)", (int)statistics);
    if (session->purpose != RESATTN_TRAINING)
        return ra_fail(RESATTN_WRONG_STATE, "set statistics: the session is for inference, it changes none");
    session->batches = statistics == RESATTN_STATISTICS_MEAN ? 0 : -1;
    return RESATTN_OK;
}

/* More would not be exact in a double, and leave no room to count on. */
static const int64_t most_steps = INT64_C(1) << 53;

int64_t resattn_session_step_count(const resattn_session *session) { return session ? session->steps : -1; }

resattn_status resattn_session_set_step_count(resattn_session *session, int64_t step)
{
    if (!session)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "set step: the session is NULL");
    if (session->purpose != RESATTN_TRAINING)
        return ra_fail(RESATTN_WRONG_STATE, "set step: the session is for inference, nothing depends on its step");
    if (step < 0 || step > most_steps)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "set step: the step is %lld, expected 0 to %lld", (long long)step,
                       (long long)most_steps);
    session->steps = step;
    return RESATTN_OK;
}

uint64_t resattn_session_seed(const resattn_session *session) { return session ? session->seed : 0; }

resattn_status resattn_session_set_seed(resattn_session *session, uint64_t seed)
{
    if (!session)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "set seed: the session is NULL");
    if (session->purpose != RESATTN_TRAINING)
        return ra_fail(RESATTN_WRONG_STATE, "set seed: the session is for inference, nothing depends on its seed");
    session->seed = seed;
    return RESATTN_OK;
}

resattn_network *resattn_session_network(const resattn_session *session) { return session ? session->network : NULL; }

resattn_purpose resattn_session_purpose(const resattn_session *session)
{
    return session ? session->purpose : RESATTN_PURPOSE_NONE;
}

int32_t resattn_session_batch(const resattn_session *session) { return session ? session->batch : 0; }

int32_t resattn_session_height(const resattn_session *session)
{
    return session ? session->program->values[0].shape.h : 0;
}

int32_t resattn_session_width(const resattn_session *session)
{
    return session ? session->program->values[0].shape.w : 0;
}

int32_t resattn_session_output_count(const resattn_session *session) { return session ? session->output_count : 0; }

const char *resattn_session_output_name(const resattn_session *session, int32_t index)
{
    return index >= 0 && index < resattn_session_output_count(session) ? session->outputs[index].name : NULL;
}

int32_t resattn_session_accumulate(const resattn_session *session) { return session ? session->accumulate : 0; }

int32_t resattn_session_profiling(const resattn_session *session) { return session ? session->seconds != NULL : 0; }

/* ---- forward ---- */

static bool is_good_input(const resattn_session *session, const resattn_tensor *input)
{
    ra_shape shape = session->program->values[0].shape;
    if (ra_tensor_check_read(input, "forward: the input") != RESATTN_OK) {
        return false;
    } else if (input->rank != 4 || input->shape[1] != shape.c || input->shape[2] != shape.h ||
               input->shape[3] != shape.w) {
        char text[100];
        ra_tensor_describe(input, text, sizeof text);
        ra_fail(RESATTN_SHAPE_MISMATCH, "forward: the input is %s, expected n x %d x %d x %d", text, shape.c, shape.h,
                shape.w);
    } else if (input->shape[0] > session->batch) {
        ra_fail(RESATTN_SHAPE_MISMATCH, "forward: %lld images, the session takes at most %d",
                (long long)input->shape[0], session->batch);
    } else if (ra_tensor_overlap(input, &session->memory)) {
        ra_fail(RESATTN_INVALID_ARGUMENT, "forward: the input is an output of the same session, copy it");
    } else {
        return true;
    }
    return false;
}

static ra_execution new_execution(resattn_session *session)
{
    return (ra_execution){.program = session->program,
                          .work = session->work,
                          .n = session->n,
                          .key = session->key,
                          .input = ra_value_data(session->program, session->arena, 0),
                          .accumulate_params = session->accumulate,
                          .statistics_step = session->batches > 0 ? 1 / (double)session->batches : 0,
                          .seconds = session->seconds};
}

/* Inference reads dense input where it is, unless it is an output too; training keeps a copy for backward. */
static resattn_status run_forward(resattn_session *session, const resattn_tensor *input)
{
    ra_fpmode mode;
    ra_fpmode_enter(&mode);
    ra_execution execution = new_execution(session);
    execution.n = (int32_t)input->shape[0];
    bool copies = session->purpose == RESATTN_TRAINING || session->program->values[0].kept;
    if (!copies && ra_tensor_is_dense(input))
        execution.input = input->data;
    else
        ra_tensor_to_dense(input, session->network->mean, session->network->deviation,
                           ra_value_data(session->program, session->arena, 0));
    resattn_status status = ra_program_forward(&execution);
    ra_fpmode_leave(&mode);
    return status;
}

/* The outputs of the images from `first` on go to the whole batch's. */
static void keep_outputs(const resattn_session *session, int32_t first, int32_t n)
{
    for (int32_t i = 0; i < session->output_count; i++) {
        const session_output *output = &session->outputs[i];
        size_t image = output_floats(session, output->value) / (size_t)session->batch;
        memcpy((float *)output->tensor.data + (size_t)first * image,
               ra_value_data(session->program, session->arena, output->value), (size_t)n * image * sizeof(float));
    }
}

static resattn_status run_slices(resattn_session *session, const resattn_tensor *input)
{
    resattn_status status = RESATTN_OK;
    for (int32_t first = 0; first < session->n && status == RESATTN_OK; first += session->program->slice) {
        resattn_tensor images = *input;
        images.shape[0] = ra_min(session->program->slice, session->n - first);
        images.data = (char *)input->data + first * input->stride[0] * (int64_t)ra_element_size(input->dtype);
        status = run_forward(session, &images);
        if (status == RESATTN_OK)
            keep_outputs(session, first, (int32_t)images.shape[0]);
    }
    return status;
}

/* A pass that failed does not count: the next one is what it would have been. */
static void forget_pass(resattn_session *session)
{
    session->state = READY;
    session->steps--;
    session->batches -= session->batches > 0;
}

resattn_status resattn_session_forward(resattn_session *session, const resattn_tensor *input)
{
    if (!session)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "forward: the session is NULL");
    if (!is_good_input(session, input) || !ra_program_check(session->program, (int32_t)input->shape[0]) ||
        ra_context_check(session->network->context) != RESATTN_OK)
        return resattn_last_status();
    bool training = session->purpose == RESATTN_TRAINING;
    if (!(training ? ra_network_take : ra_network_share)(session->network, training ? "training" : "inference"))
        return resattn_last_status();
    session->n = (int32_t)input->shape[0];
    session->batches += session->batches >= 0;
    session->key = ra_random_bits(session->seed, (uint64_t)++session->steps);
    if (session->seconds)
        memset(session->seconds, 0, (size_t)session->program->node_count * sizeof *session->seconds);
    resattn_status status = (is_sliced(session) ? run_slices : run_forward)(session, input);
    if (training)
        atomic_fetch_add(&session->network->version, 1);
    (training ? ra_network_give : ra_network_unshare)(session->network);
    if (status != RESATTN_OK) {
        forget_pass(session);
        return status;
    }
    session->state = FORWARDED;
    for (int32_t i = 0; i < session->output_count; i++) {
        session->outputs[i].tensor.shape[0] = session->n;
        session->outputs[i].gradient_given = false;
    }
    return RESATTN_OK;
}

static session_output *find_output(resattn_session *session, const char *name)
{
    for (int32_t i = 0; i < session->output_count; i++)
        if (name ? i > 0 && !strcmp(session->outputs[i].name, name) : i == 0)
            return &session->outputs[i];
    return ra_fail_null(RESATTN_NOT_FOUND, "%.200s: the session's plan did not ask for this output", name);
}

const resattn_tensor *resattn_session_output(resattn_session *session, const char *name)
{
    if (!session)
        return ra_fail_null(RESATTN_INVALID_ARGUMENT, "output: the session is NULL");
    const session_output *output = find_output(session, name);
    if (output && session->state == READY)
        return ra_fail_null(RESATTN_WRONG_STATE, "output: nothing has run yet, call forward first");
    return output ? &output->tensor : NULL;
}

/* ---- backward ---- */

static bool may_take_gradient(const resattn_session *session, const char *what)
{
    if (session->purpose != RESATTN_TRAINING)
        ra_fail(RESATTN_WRONG_STATE, "%s: the session is for inference", what);
    else if (session->state != FORWARDED)
        ra_fail(RESATTN_WRONG_STATE, "%s: call forward first, once for each backward", what);
    else
        return true;
    return false;
}

static float *gradient_of(const resattn_session *session, const session_output *output)
{
    return ra_value_gradient(session->program, session->arena, output->value);
}

/* The output that takes this gradient of the host's; NULL with the error recorded. */
static session_output *output_for(resattn_session *session, const char *name, const resattn_tensor *gradient,
                                  const char *what)
{
    if (!session)
        return ra_fail_null(RESATTN_INVALID_ARGUMENT, "%s: the session is NULL", what);
    if (ra_tensor_check_read(gradient, "gradient") != RESATTN_OK)
        return NULL;
    session_output *output = find_output(session, name);
    if (!output || !may_take_gradient(session, what))
        return NULL;
    const resattn_tensor *tensor = &output->tensor;
    if (gradient->dtype != RESATTN_F32 || gradient->rank != 4 ||
        memcmp(gradient->shape, tensor->shape, sizeof tensor->shape) != 0) {
        char text[100], expected[100];
        ra_tensor_describe(gradient, text, sizeof text);
        ra_tensor_describe(tensor, expected, sizeof expected);
        return ra_fail_null(RESATTN_SHAPE_MISMATCH, "%s: the gradient is %s, the output is %s", what, text, expected);
    }
    if (ra_tensor_overlap(gradient, &session->memory))
        return ra_fail_null(RESATTN_INVALID_ARGUMENT, "%s: the gradient is an output of the same session, copy it", what);
    return output;
}

resattn_status resattn_session_set_output_gradient(resattn_session *session, const char *name, const resattn_tensor *gradient)
{
    session_output *output = output_for(session, name, gradient, "set gradient");
    if (!output)
        return resattn_last_status();
    float *target = gradient_of(session, output);
    if (target) /* else nothing trained lies before this output */
        ra_tensor_to_dense(gradient, NULL, NULL, target);
    output->gradient_given = true;
    return RESATTN_OK;
}

/* Outputs may name the same value: their gradients are the same memory, given once or not at all. */
static bool is_given(const resattn_session *session, int32_t value)
{
    for (int32_t i = 0; i < session->output_count; i++)
        if (session->outputs[i].value == value && session->outputs[i].gradient_given)
            return true;
    return false;
}

bool ra_session_gradient_sum(resattn_session *session, const char *name, float **buffer)
{
    *buffer = NULL;
    session_output *output = find_output(session, name);
    if (!output)
        return false;
    if (session->purpose != RESATTN_TRAINING)
        return true;
    if (!may_take_gradient(session, "gradient"))
        return false;
    *buffer = gradient_of(session, output);
    if (*buffer && !is_given(session, output->value))
        memset(*buffer, 0, (size_t)resattn_tensor_elements(&output->tensor) * sizeof **buffer);
    output->gradient_given = true;
    return true;
}

static void add_gradient(const resattn_tensor *gradient, float *sum)
{
    const int64_t *size = gradient->shape, *stride = gradient->stride;
    for (int64_t n = 0; n < size[0]; n++)
        for (int64_t y = 0; y < size[2]; y++)
            for (int64_t x = 0; x < size[3]; x++)
                for (int64_t c = 0; c < size[1]; c++)
                    *sum++ += ((const float *)gradient->data)[n * stride[0] + c * stride[1] + y * stride[2] + x * stride[3]];
}

resattn_status resattn_session_add_output_gradient(resattn_session *session, const char *name, const resattn_tensor *gradient)
{
    float *sum;
    if (!output_for(session, name, gradient, "add gradient") || !ra_session_gradient_sum(session, name, &sum))
        return resattn_last_status();
    ra_fpmode mode;
    ra_fpmode_enter(&mode);
    if (sum) /* else nothing trained lies before this output */
        add_gradient(gradient, sum);
    ra_fpmode_leave(&mode);
    return RESATTN_OK;
}

static void clear_missing_gradients(const resattn_session *session)
{
    for (int32_t i = 0; i < session->output_count; i++) {
        const session_output *output = &session->outputs[i];
        float *gradient = gradient_of(session, output);
        if (gradient && !is_given(session, output->value))
            memset(gradient, 0, (size_t)resattn_tensor_elements(&output->tensor) * sizeof *gradient);
    }
}

resattn_status resattn_session_backward(resattn_session *session)
{
    if (!session)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "backward: the session is NULL");
    if (!may_take_gradient(session, "backward"))
        return resattn_last_status();
    bool any = false;
    for (int32_t i = 0; i < session->output_count; i++)
        any |= session->outputs[i].gradient_given;
    if (!any)
        return ra_fail(RESATTN_WRONG_STATE, "backward: no output was given a gradient");
    if (ra_context_check(session->network->context) != RESATTN_OK || !ra_network_take(session->network, "training"))
        return resattn_last_status();
    ra_fpmode mode;
    ra_fpmode_enter(&mode);
    clear_missing_gradients(session);
    ra_execution execution = new_execution(session);
    resattn_status status = ra_program_backward(&execution);
    ra_fpmode_leave(&mode);
    atomic_store(&session->network->backward_done, status == RESATTN_OK);
    ra_network_give(session->network);
    session->state = status == RESATTN_OK ? BACKWARDED : READY;
    return status;
}

resattn_status resattn_session_set_accumulate(resattn_session *session, int32_t accumulate)
{
    if (!session || (accumulate != 0 && accumulate != 1))
        return ra_fail(RESATTN_INVALID_ARGUMENT, session ? "accumulate is %d, expected 0 or 1" : "the session is NULL",
                       accumulate);
    session->accumulate = accumulate;
    return RESATTN_OK;
}

const resattn_tensor *resattn_session_input_gradient(resattn_session *session)
{
    if (!session)
        return ra_fail_null(RESATTN_INVALID_ARGUMENT, "input gradient: the session is NULL");
    if (!session->program->input_gradient)
        return ra_fail_null(RESATTN_WRONG_STATE, "input gradient: the session's plan did not ask for it");
    if (session->state != BACKWARDED)
        return ra_fail_null(RESATTN_WRONG_STATE, "input gradient: call backward first");
    session->input_gradient.shape[0] = session->n;
    return &session->input_gradient;
}

resattn_status resattn_session_refresh(resattn_session *session)
{
    if (!session)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "refresh: the session is NULL");
    if (session->purpose != RESATTN_INFERENCE)
        return ra_fail(RESATTN_WRONG_STATE, "refresh: a training session sees all changes at once");
    if (ra_context_check(session->network->context) != RESATTN_OK || !ra_network_share(session->network, "refresh"))
        return resattn_last_status();
    bool taken = take_constants(session);
    ra_network_unshare(session->network);
    return taken ? RESATTN_OK : resattn_last_status();
}
