/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Layers of the host's own: what they compute, and that the same bits come out however they are run.
 */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "custom_common.h"

static resattn_context *context;
static custom_host host;

static void set_up(void)
{
    context = custom_begin(&host);
}

static void tear_down(void)
{
    custom_end(context, &host);
}

/* ---- gradients, against differences in double precision ---- */

enum { C = 4, SIDE = 3, N = 2, VALUES = N * C * SIDE * SIDE };

typedef struct problem {
    double x[VALUES], g[VALUES], scale[C], shift[C], beta;
} problem;

/* The sum of g times the network's output; x is n, c, y, x; g is of the image with one channel and twice the side. */
static double loss_of(const problem *p)
{
    double sum = 0;
    for (int i = 0; i < VALUES; i++) {
        int n = i / (C * SIDE * SIDE), c = i / (SIDE * SIDE) % C, y = i / SIDE % SIDE, x = i % SIDE;
        double u = p->scale[c] * p->x[i] + p->shift[c];
        int to = (n * 2 * SIDE + 2 * y + c / 2) * 2 * SIDE + 2 * x + c % 2;
        sum += p->g[to] * u / (1 + exp(-p->beta * u));
    }
    return sum;
}

static double slope_at(problem *p, double *value)
{
    const double step = 1e-5, before = *value;
    *value = before + step;
    double above = loss_of(p);
    *value = before - step;
    double below = loss_of(p);
    *value = before;
    return (above - below) / (2 * step);
}

static void read_doubles(const resattn_tensor *tensor, double *target)
{
    float values[VALUES];
    int64_t count = resattn_tensor_elements(tensor);
    ck_assert_int_eq(resattn_tensor_read(tensor, RESATTN_CHANNELS_FIRST, values, count), RESATTN_OK);
    for (int64_t i = 0; i < count; i++)
        target[i] = (double)values[i];
}

static void expect_slopes(const char *what, const resattn_tensor *gradient, problem *p, double *values, int32_t times)
{
    double found[VALUES];
    read_doubles(gradient, found);
    for (int64_t i = 0; i < resattn_tensor_elements(gradient); i++) {
        double expected = times * slope_at(p, &values[i]);
        ck_assert_msg(fabs(found[i] - expected) < 2e-5 * (1 + fabs(expected)), "%s %d: %g, expected %g", what, (int)i,
                      found[i], expected);
    }
}

static resattn_network *small_network(problem *p)
{
    resattn_builder *b = resattn_builder_new(context);
    resattn_layer *net = resattn_sequential_new(b, NULL);
    resattn_layer_add(net, custom_swish(b, &host, "swish", p->beta, "text"));
    resattn_layer_add(net, resattn_custom_layer_new(b, "x-test-depth-to-space", NULL, NULL));
    resattn_network *network = resattn_network_new(b, net, C);
    resattn_builder_free(b);
    ck_assert_msg(network != NULL, "%s", resattn_last_error());
    ck_assert_int_eq(resattn_network_out_channels(network), 1);
    for (int32_t i = 0; i < 2; i++) {
        custom_fill(resattn_network_parameter(network, i), 5 + (uint64_t)i);
        read_doubles(resattn_network_parameter(network, i), i == 0 ? p->scale : p->shift);
    }
    return network;
}

START_TEST(gradients)
{
    problem p = {.beta = 1.25};
    resattn_network *network = small_network(&p);
    resattn_plan *plan = resattn_plan_new(network, RESATTN_TRAINING, N, SIDE, SIDE);
    resattn_plan_set_input_gradient(plan, 1);
    ck_assert_int_eq(resattn_plan_multiply_adds(plan), C * SIDE * SIDE);
    resattn_session *session = resattn_session_new(plan);
    resattn_tensor *input = custom_input(context, N, C, SIDE, 3), *gradient = custom_input(context, N, 1, 2 * SIDE, 4);
    read_doubles(input, p.x);
    read_doubles(gradient, p.g);
    for (int32_t times = 1; times <= 3; times++) {
        resattn_session_set_accumulate(session, times > 1);
        ck_assert_msg(resattn_session_forward(session, input) == RESATTN_OK, "%s", resattn_last_error());
        const resattn_tensor *output = resattn_session_output(session, NULL);
        double y[VALUES], sum = 0;
        ck_assert_int_eq(resattn_tensor_size(output, 2), 2 * SIDE);
        read_doubles(output, y);
        for (int i = 0; i < VALUES; i++)
            sum += y[i] * p.g[i];
        ck_assert_double_eq_tol(sum, loss_of(&p), 1e-4);
        ck_assert_int_eq(resattn_session_set_output_gradient(session, NULL, gradient), RESATTN_OK);
        ck_assert_msg(resattn_session_backward(session) == RESATTN_OK, "%s", resattn_last_error());
        expect_slopes("x", resattn_session_input_gradient(session), &p, p.x, 1);
        expect_slopes("scale", resattn_network_parameter_gradient(network, 0), &p, p.scale, times);
        expect_slopes("shift", resattn_network_parameter_gradient(network, 1), &p, p.shift, times);
    }
    double seen;
    read_doubles(resattn_network_parameter(network, 2), &seen);
    ck_assert(seen == 3);
    /* an attribute that may be changed in a network, and one that may not */
    ck_assert_int_eq(resattn_layer_set_int(resattn_network_layer(network, "swish"), "frozen", 1), RESATTN_WRONG_STATE);
    ck_assert_int_eq(resattn_layer_set_real(resattn_network_layer(network, "swish"), "beta", 0.5), RESATTN_OK);
    resattn_session *inference = custom_session(network, RESATTN_INFERENCE, N, SIDE, false);
    p.beta = 0.5;
    ck_assert_int_eq(resattn_session_forward(inference, input), RESATTN_OK);
    double y[VALUES], sum = 0;
    read_doubles(resattn_session_output(inference, NULL), y);
    for (int i = 0; i < VALUES; i++)
        sum += y[i] * p.g[i];
    ck_assert_double_eq_tol(sum, loss_of(&p), 1e-4);
    resattn_session_free(inference);
    resattn_tensor_unref(gradient);
    resattn_tensor_unref(input);
    resattn_session_free(session);
    resattn_plan_free(plan);
    resattn_network_unref(network);
}
END_TEST

/* exp, whose backward pass reads its output only. */
static resattn_status run_exp(void *user, const resattn_layer *layer, resattn_custom_run *run)
{
    int32_t shape[4];
    bool back = resattn_custom_run_phase(run) == RESATTN_PHASE_BACKWARD;
    const float *x = resattn_custom_run_data(run, RESATTN_DATA_INPUT, 0);
    const float *dy = resattn_custom_run_data(run, RESATTN_DATA_OUTPUT_GRADIENT, 0);
    float *y = resattn_custom_run_data(run, RESATTN_DATA_OUTPUT, 0);
    float *dx = resattn_custom_run_data(run, RESATTN_DATA_INPUT_GRADIENT, 0);
    (void)layer;
    ((custom_host *)user)->faults += y == NULL || (x == NULL) != back || (dy != NULL) != back;
    resattn_status status = resattn_custom_run_shape(run, 0, shape);
    for (int64_t i = 0; i < (int64_t)shape[0] * shape[1] * shape[2] * shape[3]; i++)
        if (back)
            dx[i] += dy[i] * y[i];
        else
            y[i] = expf(x[i]);
    return status;
}

START_TEST(backward_reads_the_output)
{
    resattn_custom *kind = resattn_custom_new(context, "x-exp", run_exp, &host, NULL);
    ck_assert_int_eq(resattn_custom_set_backward(kind, run_exp, RESATTN_CUSTOM_READS_OUTPUT), RESATTN_OK);
    resattn_builder *b = resattn_builder_new(context);
    resattn_layer *net = resattn_sequential_new(b, NULL);
    for (int i = 0; i < 3; i++) {
        resattn_layer_add(net, resattn_scale_new(b, NULL, 0.25));
        resattn_layer_add(net, resattn_custom_layer_new(b, "x-exp", NULL, NULL));
    }
    resattn_network *network = resattn_network_new(b, net, C);
    resattn_builder_free(b);
    resattn_tensor *input = custom_input(context, N, C, SIDE, 3), *gradient = custom_input(context, N, C, SIDE, 4);
    double x[VALUES], g[VALUES], found[VALUES];
    read_doubles(input, x);
    read_doubles(gradient, g);
    for (int32_t recompute = 0; recompute < 2; recompute++) {
        resattn_plan *plan = resattn_plan_new(network, RESATTN_TRAINING, N, SIDE, SIDE);
        resattn_plan_set_input_gradient(plan, 1);
        resattn_plan_set_recomputation(plan, recompute);
        resattn_session *session = resattn_session_new(plan);
        resattn_plan_free(plan);
        ck_assert_int_eq(resattn_session_forward(session, input), RESATTN_OK);
        ck_assert_int_eq(resattn_session_set_output_gradient(session, NULL, gradient), RESATTN_OK);
        ck_assert_int_eq(resattn_session_backward(session), RESATTN_OK);
        read_doubles(resattn_session_input_gradient(session), found);
        for (int i = 0; i < VALUES; i++) {
            double one = exp(x[i] / 4), two = exp(one / 4), three = exp(two / 4);
            ck_assert_double_eq_tol(found[i], g[i] * one * two * three / 64, 1e-5);
        }
        resattn_session_free(session);
    }
    resattn_tensor_unref(gradient);
    resattn_tensor_unref(input);
    resattn_network_unref(network);
}
END_TEST

/* The loss of one step, whose random numbers are the same each time: the sum of the outputs times fixed numbers. */
static double forward_loss(resattn_session *session, const resattn_tensor *input, const resattn_tensor *weights)
{
    float y[2 * CUSTOM_CLASSES], w[2 * CUSTOM_CLASSES];
    double sum = 0;
    ck_assert_int_eq(resattn_session_set_step_count(session, 5), RESATTN_OK);
    ck_assert_msg(resattn_session_forward(session, input) == RESATTN_OK, "%s", resattn_last_error());
    resattn_tensor_read(resattn_session_output(session, NULL), RESATTN_CHANNELS_FIRST, y, 2 * CUSTOM_CLASSES);
    resattn_tensor_read(weights, RESATTN_CHANNELS_FIRST, w, 2 * CUSTOM_CLASSES);
    for (int i = 0; i < 2 * CUSTOM_CLASSES; i++)
        sum += (double)y[i] * (double)w[i];
    return sum;
}

/* Adds `factor` times the gradients that `direction` holds to all trained parameters. */
static void move(resattn_network *network, float *const *direction, float factor)
{
    for (int32_t i = 0; i < resattn_network_parameter_count(network); i++) {
        float *values = resattn_tensor_mutable_data(resattn_network_parameter(network, i));
        for (int64_t k = 0; direction[i] && k < resattn_tensor_elements(resattn_network_parameter(network, i)); k++)
            values[k] += factor * direction[i][k];
    }
    resattn_network_touch(network);
}

/* All three kinds among the library's layers: how the loss changes along the gradient is the gradient's square. */
START_TEST(gradients_in_a_network)
{
    resattn_network *network = custom_network(context, &host);
    resattn_layer_set_int(resattn_network_layer(network, "bn1"), "frozen", 1);
    resattn_layer_set_int(resattn_network_layer(network, "bn3"), "frozen", 1);
    resattn_session *session = custom_session(network, RESATTN_TRAINING, 2, CUSTOM_SIDE, _i);
    const int64_t shape[4] = {2, CUSTOM_CLASSES, 1, 1};
    resattn_tensor *input = custom_input(context, 2, 3, CUSTOM_SIDE, 8);
    resattn_tensor *weights = resattn_tensor_new(context, RESATTN_F32, 4, shape, RESATTN_CHANNELS_FIRST);
    custom_fill(weights, 9);
    forward_loss(session, input, weights);
    ck_assert_int_eq(resattn_session_set_output_gradient(session, NULL, weights), RESATTN_OK);
    ck_assert_int_eq(resattn_session_backward(session), RESATTN_OK);
    float *direction[64] = {NULL};
    double square = 0;
    for (int32_t i = 0; i < resattn_network_parameter_count(network); i++) {
        if (resattn_network_parameter_kind(network, i) != RESATTN_PARAMETER_TRAINABLE)
            continue;
        resattn_tensor *gradient = resattn_network_parameter_gradient(network, i);
        int64_t count = resattn_tensor_elements(gradient);
        direction[i] = calloc((size_t)count, sizeof *direction[i]);
        memcpy(direction[i], resattn_tensor_data(gradient), (size_t)count * sizeof *direction[i]);
        double own = 0;
        for (int64_t k = 0; k < count; k++)
            own += (double)direction[i][k] * (double)direction[i][k];
        ck_assert_msg(own > 0, "%s has no gradient", resattn_network_parameter_name(network, i));
        square += own;
    }
    const double step = 1e-3 / sqrt(square);
    move(network, direction, (float)step);
    double above = forward_loss(session, input, weights);
    move(network, direction, (float)(-2 * step));
    double below = forward_loss(session, input, weights);
    ck_assert_double_eq_tol((above - below) / (2 * step) / square, 1, 1e-2);
    for (int32_t i = 0; i < 64; i++)
        free(direction[i]);
    resattn_tensor_unref(weights);
    resattn_tensor_unref(input);
    resattn_session_free(session);
    resattn_network_unref(network);
}
END_TEST

/* ---- the same bits ---- */

/* Trains a new network, then infers. */
static uint64_t run_all(int32_t threads, bool recompute, int32_t *again)
{
    custom_host own = {0};
    resattn_context *c = resattn_context_new(threads);
    ck_assert(custom_define(c, &own));
    resattn_network *network = custom_network(c, &own);
    ck_assert_msg(network != NULL, "%s", resattn_last_error());
    resattn_session *session = custom_session(network, RESATTN_TRAINING, CUSTOM_BATCH, CUSTOM_SIDE, recompute);
    resattn_optimizer *sgd = resattn_sgd_new(network, 0.05);
    ck_assert_msg(custom_train(session, sgd, 0, 3) == RESATTN_OK, "%s", resattn_last_error());
    uint64_t hash = custom_hash_network(network);
    resattn_session *inference = custom_session(network, RESATTN_INFERENCE, 2, CUSTOM_SIDE, false);
    resattn_tensor *input = custom_input(c, 2, 3, CUSTOM_SIDE, 99);
    ck_assert_int_eq(resattn_session_forward(inference, input), RESATTN_OK);
    hash = custom_hash(resattn_session_output(inference, NULL), hash);
    int32_t seen = resattn_network_find_parameter(network, "swish3.seen");
    float value = 0;
    ck_assert_int_eq(resattn_tensor_read(resattn_network_parameter(network, seen), RESATTN_CHANNELS_FIRST, &value, 1),
                     0);
    ck_assert(value == 3); /* once for each step, however often it was computed */
    *again = own.calls[RESATTN_PHASE_AGAIN];
    ck_assert_int_eq(own.calls[RESATTN_PHASE_TRAINING], 9);
    ck_assert_int_eq(own.calls[RESATTN_PHASE_BACKWARD], 9);
    ck_assert_int_eq(own.calls[RESATTN_PHASE_INFERENCE], 3);
    ck_assert_int_eq(own.faults, 0);
    resattn_tensor_unref(input);
    resattn_session_free(inference);
    resattn_optimizer_free(sgd);
    resattn_session_free(session);
    resattn_network_unref(network);
    resattn_context_unref(c);
    ck_assert_int_eq(own.instances, 0);
    return hash;
}

START_TEST(bits)
{
    int32_t again, expected_again;
    uint64_t plain = run_all(1, false, &again);
    ck_assert_int_eq(again, 0);
    ck_assert(run_all(2, false, &again) == plain);
    ck_assert(run_all(5, false, &again) == plain);
    ck_assert(run_all(1, true, &expected_again) == plain);
    ck_assert_int_gt(expected_again, 0);
    ck_assert(run_all(5, true, &again) == plain);
    ck_assert_int_eq(again, expected_again);
}
END_TEST

/* A batch that is run in slices, and image by image. */
START_TEST(slices)
{
    enum { MANY = 13, LARGE = 96, CHANNELS = 32 };
    resattn_builder *b = resattn_builder_new(context);
    resattn_network *network = resattn_network_new(b, custom_swish(b, &host, "swish", 1, "one"), CHANNELS);
    resattn_builder_free(b);
    custom_fill(resattn_network_parameter(network, 0), 1);
    resattn_session *batch = custom_session(network, RESATTN_INFERENCE, MANY, LARGE, false);
    resattn_session *single = custom_session(network, RESATTN_INFERENCE, 1, LARGE, false);
    resattn_tensor *input = custom_input(context, MANY, CHANNELS, LARGE, 7);
    ck_assert_int_eq(resattn_session_forward(batch, input), RESATTN_OK);
    ck_assert_int_gt(host.calls[RESATTN_PHASE_INFERENCE], 2);
    const int64_t one[4] = {1, CHANNELS, LARGE, LARGE}, floats = CHANNELS * LARGE * LARGE;
    float *all = calloc((size_t)(MANY * floats), sizeof *all), *part = calloc((size_t)floats, sizeof *part);
    resattn_tensor_read(resattn_session_output(batch, NULL), RESATTN_CHANNELS_FIRST, all, MANY * floats);
    for (int64_t i = 0; i < MANY; i++) {
        const int64_t begin[4] = {i, 0, 0, 0};
        resattn_tensor *image = resattn_tensor_view(input, begin, one);
        ck_assert_int_eq(resattn_session_forward(single, image), RESATTN_OK);
        ck_assert_int_eq(
            resattn_tensor_read(resattn_session_output(single, NULL), RESATTN_CHANNELS_FIRST, part, floats),
            RESATTN_OK);
        ck_assert(memcmp(part, all + i * floats, (size_t)floats * sizeof *part) == 0);
        resattn_tensor_unref(image);
    }
    free(part);
    free(all);
    /* a failure in the middle of a batch */
    host.forward = RESATTN_UNSUPPORTED;
    ck_assert_int_eq(resattn_session_forward(batch, input), RESATTN_UNSUPPORTED);
    ck_assert_ptr_null(resattn_session_output(batch, NULL));
    test_expect_error(RESATTN_WRONG_STATE, "");
    host.forward = 0;
    ck_assert_int_eq(resattn_session_forward(batch, input), RESATTN_OK);
    resattn_tensor_unref(input);
    resattn_session_free(single);
    resattn_session_free(batch);
    resattn_network_unref(network);
}
END_TEST

typedef struct runner {
    pthread_t thread;
    resattn_network *network;
    int number;
    uint64_t expected;
    int wrong;
} runner;

/* Every thread has its session; one defines kinds meanwhile. */
static void *run_many(void *data)
{
    runner *self = data;
    resattn_plan *plan = resattn_plan_new(self->network, RESATTN_INFERENCE, 2, CUSTOM_SIDE, CUSTOM_SIDE);
    resattn_session *session = resattn_session_new(plan);
    resattn_tensor *input = custom_input(context, 2, 3, CUSTOM_SIDE, 8);
    for (int i = 0; i < 20; i++) {
        char name[32];
        snprintf(name, sizeof name, "x-of-thread-%d-%d", self->number, i);
        self->wrong += resattn_custom_new(context, name, custom_nothing, NULL, NULL) == NULL;
        self->wrong += resattn_session_forward(session, input) != RESATTN_OK;
        self->wrong += custom_hash(resattn_session_output(session, NULL), 1) != self->expected;
    }
    resattn_tensor_unref(input);
    resattn_session_free(session);
    resattn_plan_free(plan);
    return NULL;
}

START_TEST(threads_at_once)
{
    runner runners[4];
    resattn_network *network = custom_network(context, &host);
    resattn_session *session = custom_session(network, RESATTN_INFERENCE, 2, CUSTOM_SIDE, false);
    resattn_tensor *input = custom_input(context, 2, 3, CUSTOM_SIDE, 8);
    ck_assert_int_eq(resattn_session_forward(session, input), RESATTN_OK);
    uint64_t expected = custom_hash(resattn_session_output(session, NULL), 1);
    for (int i = 0; i < 4; i++) {
        runners[i] = (runner){.network = network, .number = i, .expected = expected};
        ck_assert_int_eq(pthread_create(&runners[i].thread, NULL, run_many, &runners[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(runners[i].thread, NULL);
        ck_assert_int_eq(runners[i].wrong, 0);
    }
    resattn_tensor_unref(input);
    resattn_session_free(session);
    resattn_network_unref(network);
}
END_TEST

/* ---- beside other layers ---- */

/* What the library's layers become, with the host's between them; and that nothing but rounding changes. */
START_TEST(neighbours_are_fused)
{
    static const char *const kinds[] = {
        "conv2d", "x-test-swish",          "x-test-noise",  "conv2d",       "x-test-swish",
        "sum",    "x-test-depth-to-space", "conv2d + relu", "x-test-swish", "global_average_pool",
        "linear"};
    resattn_network *network = custom_network(context, &host);
    resattn_session *session = custom_session(network, RESATTN_INFERENCE, 2, CUSTOM_SIDE, false);
    ck_assert_int_eq(resattn_session_operation_count(session), 11);
    for (int32_t i = 0; i < 11; i++)
        ck_assert_str_eq(resattn_session_operation_kind(session, i), kinds[i]);
    ck_assert_str_eq(resattn_session_operation_name(session, 1), "swish1");
    ck_assert_str_eq(resattn_session_operation_name(session, 4), "branch.x-test-swish1");
    /* the noise is none in inference; training with running statistics computes the same without it */
    static const char *const fixed[] = {"bn1", "bn3"};
    for (int32_t i = 0; i < 2; i++)
        ck_assert_int_eq(resattn_layer_set_int(resattn_network_layer(network, fixed[i]), "frozen", 1), RESATTN_OK);
    int32_t weight = resattn_network_find_parameter(network, "branch.x-test-noise1.weight");
    resattn_tensor_fill(resattn_network_parameter(network, weight), 0);
    ck_assert_int_eq(resattn_session_refresh(session), RESATTN_OK);
    resattn_session *training = custom_session(network, RESATTN_TRAINING, 2, CUSTOM_SIDE, false);
    resattn_tensor *input = custom_input(context, 2, 3, CUSTOM_SIDE, 8);
    float a[2 * CUSTOM_CLASSES], b[2 * CUSTOM_CLASSES];
    ck_assert_int_eq(resattn_session_forward(session, input), RESATTN_OK);
    ck_assert_int_eq(resattn_session_forward(training, input), RESATTN_OK);
    resattn_tensor_read(resattn_session_output(session, NULL), RESATTN_CHANNELS_FIRST, a, 2 * CUSTOM_CLASSES);
    resattn_tensor_read(resattn_session_output(training, NULL), RESATTN_CHANNELS_FIRST, b, 2 * CUSTOM_CLASSES);
    for (int i = 0; i < 2 * CUSTOM_CLASSES; i++)
        ck_assert_float_eq_tol(a[i], b[i], 1e-5f);
    resattn_tensor_unref(input);
    resattn_session_free(training);
    resattn_session_free(session);
    resattn_network_unref(network);
}
END_TEST

START_TEST(sealing)
{
    resattn_network *network = custom_network(context, &host);
    for (int32_t i = 0; i < resattn_network_parameter_count(network); i++)
        if (strstr(resattn_network_parameter_name(network, i), "swish") != NULL)
            custom_fill(resattn_network_parameter(network, i), 40 + (uint64_t)i);
    resattn_session *session = custom_session(network, RESATTN_INFERENCE, 2, CUSTOM_SIDE, false);
    resattn_tensor *input = custom_input(context, 2, 3, CUSTOM_SIDE, 8);
    ck_assert_int_eq(resattn_session_forward(session, input), RESATTN_OK);
    uint64_t before = custom_hash(resattn_session_output(session, NULL), 1);
    ck_assert_msg(resattn_network_seal(network) == RESATTN_OK, "%s", resattn_last_error());
    for (int32_t i = 0; i < 2; i++) {
        ck_assert_int_eq(resattn_session_forward(session, input), RESATTN_OK);
        ck_assert(custom_hash(resattn_session_output(session, NULL), 1) == before);
        resattn_session_free(session);
        session = custom_session(network, RESATTN_INFERENCE, 2, CUSTOM_SIDE, false);
    }
    resattn_session_free(session);
    session = custom_session(network, RESATTN_INFERENCE, 1, 2 * CUSTOM_SIDE, false);
    resattn_session_free(session);
    resattn_tensor_unref(input);
    resattn_network_unref(network);
}
END_TEST

/* Without backward: only where nothing trained lies before it, nor in it. */
START_TEST(training_without_backward)
{
    for (int32_t behind = 0; behind < 2; behind++) {
        resattn_context *c = resattn_context_new(1);
        resattn_custom_new(c, "x-one-way", custom_nothing, NULL, NULL);
        resattn_builder *b = resattn_builder_new(c);
        resattn_layer *net = resattn_sequential_new(b, NULL),
                      *own = resattn_custom_layer_new(b, "x-one-way", "own", NULL);
        resattn_layer *layer = resattn_conv2d_new(b, "conv", 4, 1, 1, 0);
        resattn_layer_add(net, behind ? layer : own);
        resattn_layer_add(net, behind ? own : layer);
        resattn_network *network = resattn_network_new(b, net, 3);
        resattn_builder_free(b);
        resattn_plan *plan = resattn_plan_new(network, RESATTN_TRAINING, 1, 4, 4);
        resattn_session *session = resattn_session_new(plan);
        ck_assert_int_eq(session != NULL, !behind);
        if (behind)
            test_expect_error(RESATTN_UNSUPPORTED, "own: a x-one-way has no backward pass");
        resattn_session_free(session);
        resattn_plan_set_input_gradient(plan, 1);
        ck_assert_int_eq(resattn_plan_memory(plan), -1);
        test_expect_error(RESATTN_UNSUPPORTED, "own: a x-one-way has no backward pass");
        resattn_plan_free(plan);
        resattn_network_unref(network);
        resattn_context_unref(c);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("custom");
    TCase *tests = tcase_create("custom");
    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, gradients);
    tcase_add_test(tests, backward_reads_the_output);
    tcase_add_loop_test(tests, gradients_in_a_network, 0, 2);
    tcase_add_test(tests, bits);
    tcase_add_test(tests, threads_at_once);
    tcase_add_test(tests, slices);
    tcase_add_test(tests, neighbours_are_fused);
    tcase_add_test(tests, sealing);
    tcase_add_test(tests, training_without_backward);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
