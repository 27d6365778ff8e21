/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Losses, optimisers and schedules, against the formulas in double precision.
 */
#include "train_common.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

/* ---- cross entropy: the network hands its input on ---- */

enum { IMAGES = 5, CLASSES = 7 };

static double reference_loss(const double *logits, const int32_t *labels, int32_t images, int32_t classes,
                             double *gradient)
{
    double loss = 0;
    for (int32_t i = 0; i < images; i++) {
        const double *row = logits + i * classes;
        double most = row[0], sum = 0;
        for (int32_t c = 1; c < classes; c++)
            most = fmax(most, row[c]);
        for (int32_t c = 0; c < classes; c++)
            sum += exp(row[c] - most);
        loss += (log(sum) + most - row[labels[i]]) / images;
        for (int32_t c = 0; gradient && c < classes; c++)
            gradient[i * classes + c] = (exp(row[c] - most) / sum - (c == labels[i])) / images;
    }
    return loss;
}

START_TEST(cross_entropy_value_and_gradient)
{
    resattn_context *context = resattn_context_new(2);
    resattn_network *network = pass_on_network(context, CLASSES);
    resattn_session *session = new_session(network, RESATTN_TRAINING, IMAGES, 1);
    resattn_tensor *input = new_input(context, IMAGES, CLASSES, 1);
    const int32_t labels[IMAGES] = {3, 0, 6, 6, 2};
    float *logits = resattn_tensor_mutable_data(input);
    logits[0] = 5000; /* exp() of it overflows even a double */
    logits[8] = -5000;
    double exact[IMAGES * CLASSES], expected[IMAGES * CLASSES], loss;
    for (int i = 0; i < IMAGES * CLASSES; i++)
        exact[i] = (double)logits[i];
    double expected_loss = reference_loss(exact, labels, IMAGES, CLASSES, expected);
    int32_t correct, expected_correct = 0;
    for (int i = 0; i < IMAGES; i++) {
        int best = 0;
        for (int c = 1; c < CLASSES; c++)
            if (logits[i * CLASSES + c] > logits[i * CLASSES + best])
                best = c;
        expected_correct += best == labels[i];
    }

    ck_assert_int_eq(resattn_session_forward(session, input), RESATTN_OK);
    ck_assert_int_eq(resattn_softmax_cross_entropy(session, labels, IMAGES, &loss, &correct), RESATTN_OK);
    ck_assert_double_eq_tol(loss, expected_loss, 1e-12 * expected_loss);
    ck_assert_int_eq(correct, expected_correct);
    ck_assert_int_eq(resattn_session_backward(session), RESATTN_OK);
    float gradient[IMAGES * CLASSES];
    ck_assert_int_eq(
        resattn_tensor_read(resattn_session_input_gradient(session), RESATTN_CHANNELS_LAST, gradient, IMAGES * CLASSES),
        RESATTN_OK);
    for (int i = 0; i < IMAGES * CLASSES; i++)
        ck_assert_double_eq_tol((double)gradient[i], expected[i], 1e-7 * fabs(expected[i]) + 1e-37);

    for (int i = 14; i < IMAGES * CLASSES; i++) {
        double kept = exact[i], h = 1e-4;
        exact[i] = kept + h;
        double above = reference_loss(exact, labels, IMAGES, CLASSES, NULL);
        exact[i] = kept - h;
        double below = reference_loss(exact, labels, IMAGES, CLASSES, NULL);
        exact[i] = kept;
        /* The loss itself is 1000 and more because of the huge logits, which costs digits of the difference. */
        ck_assert_double_eq_tol((double)gradient[i], (above - below) / (2 * h), 1e-7);
    }
    resattn_tensor_unref(input);
    resattn_session_free(session);
    resattn_network_unref(network);
    resattn_context_unref(context);
}
END_TEST

START_TEST(cross_entropy_without_gradient_and_results)
{
    resattn_context *context = resattn_context_new(1);
    resattn_network *network = pass_on_network(context, CLASSES);
    resattn_session *session = new_session(network, RESATTN_INFERENCE, IMAGES, 1);
    resattn_tensor *input = new_input(context, 2, CLASSES, 1);
    const int32_t labels[2] = {1, 4};
    double exact[2 * CLASSES], loss = 0;
    for (int i = 0; i < 2 * CLASSES; i++)
        exact[i] = (double)((const float *)resattn_tensor_data(input))[i];
    ck_assert_int_eq(resattn_session_forward(session, input), RESATTN_OK);
    ck_assert_int_eq(resattn_softmax_cross_entropy(session, labels, 2, &loss, NULL), RESATTN_OK);
    ck_assert_double_eq_tol(loss, reference_loss(exact, labels, 2, CLASSES, NULL), 1e-12);
    ck_assert_int_eq(resattn_softmax_cross_entropy(session, labels, 2, NULL, NULL), RESATTN_OK);
    ck_assert_int_eq(resattn_last_status(), RESATTN_OK); /* what succeeds leaves no error behind */
    resattn_tensor_unref(input);
    resattn_session_free(session);
    resattn_network_unref(network);
    resattn_context_unref(context);
}
END_TEST

START_TEST(cross_entropy_refuses)
{
    resattn_context *context = resattn_context_new(1);
    resattn_network *network = pass_on_network(context, 10);
    resattn_session *session = new_session(network, RESATTN_TRAINING, IMAGES, 1);
    resattn_tensor *input = new_input(context, IMAGES, 10, 1);
    int32_t labels[IMAGES + 1] = {0, 1, 2, 12, 9, 0};
    double loss = -1;
    int32_t correct = -1;
    ck_assert_int_eq(resattn_softmax_cross_entropy(session, labels, IMAGES, &loss, &correct), RESATTN_WRONG_STATE);
    ck_assert_int_eq(resattn_session_forward(session, input), RESATTN_OK);
    expect_error(resattn_softmax_cross_entropy(session, labels, IMAGES, &loss, &correct), RESATTN_INVALID_ARGUMENT,
                 "label 12 of image 3, expected 0 to 9");
    labels[3] = -1;
    expect_error(resattn_softmax_cross_entropy(session, labels, IMAGES, &loss, &correct), RESATTN_INVALID_ARGUMENT,
                 "label -1 of image 3, expected 0 to 9");
    labels[3] = 9;
    expect_error(resattn_softmax_cross_entropy(session, labels, IMAGES + 1, &loss, &correct), RESATTN_SHAPE_MISMATCH,
                 "6 labels, expected 5");
    expect_error(resattn_softmax_cross_entropy(NULL, labels, IMAGES, &loss, &correct), RESATTN_INVALID_ARGUMENT,
                 "session is NULL");
    expect_error(resattn_softmax_cross_entropy(session, NULL, IMAGES, &loss, &correct), RESATTN_INVALID_ARGUMENT,
                 "labels is NULL");
    ck_assert_double_eq(loss, -1);
    ck_assert_int_eq(correct, -1);
    /* Nothing of that counted as a gradient. */
    ck_assert_int_eq(resattn_session_backward(session), RESATTN_WRONG_STATE);
    ck_assert_int_eq(resattn_softmax_cross_entropy(session, labels, IMAGES, &loss, &correct), RESATTN_OK);
    ck_assert_int_eq(resattn_session_backward(session), RESATTN_OK);
    expect_error(resattn_softmax_cross_entropy(session, labels, IMAGES, &loss, &correct), RESATTN_WRONG_STATE,
                 "call forward first");
    resattn_tensor_unref(input);
    resattn_session_free(session);

    session = new_session(network, RESATTN_TRAINING, IMAGES, 2);
    input = new_input(context, IMAGES, 10, 2);
    ck_assert_int_eq(resattn_session_forward(session, input), RESATTN_OK);
    expect_error(resattn_softmax_cross_entropy(session, labels, IMAGES, &loss, &correct), RESATTN_SHAPE_MISMATCH,
                 "map of 2 x 2, expected one pixel");
    resattn_tensor_unref(input);
    resattn_session_free(session);
    resattn_network_unref(network);
    resattn_context_unref(context);
}
END_TEST

/* ---- SGD ---- */

typedef struct sgd_case {
    double rate, momentum, weight_decay;
    bool nesterov, decay_vectors;
} sgd_case;

static const sgd_case sgd_cases[] = {
    {0.1, 0, 0, false, true},      {0.1, 0.9, 0, false, true},   {0.05, 0.9, 1e-2, false, true},
    {0.05, 0.9, 1e-2, true, true}, {0.1, 0.5, 0.1, true, false}, {0.1, 0, 0.1, false, false},
};

static void follow_step(followed *f, const sgd_case *c, resattn_tensor *gradient)
{
    double decay = c->decay_vectors || resattn_tensor_rank(gradient) > 1 ? c->weight_decay : 0;
    resattn_tensor_read(gradient, RESATTN_CHANNELS_FIRST, f->buffer, f->count);
    for (int64_t i = 0; i < f->count; i++) {
        double g = (double)f->buffer[i] + decay * f->value[i];
        f->state[0][i] = c->momentum * f->state[0][i] + g;
        f->value[i] -= c->rate * (c->nesterov ? g + c->momentum * f->state[0][i] : f->state[0][i]);
    }
}

static resattn_optimizer *new_optimizer(resattn_network *network, const sgd_case *c)
{
    resattn_optimizer *optimizer = resattn_sgd_new(network, c->rate);
    ck_assert_ptr_nonnull(optimizer);
    ck_assert_int_eq(resattn_optimizer_set_real(optimizer, "momentum", c->momentum), RESATTN_OK);
    ck_assert_int_eq(resattn_optimizer_set_real(optimizer, "weight_decay", c->weight_decay), RESATTN_OK);
    ck_assert_int_eq(resattn_optimizer_set_real(optimizer, "nesterov", c->nesterov), RESATTN_OK);
    ck_assert_int_eq(resattn_optimizer_set_real(optimizer, "decay_vectors", c->decay_vectors), RESATTN_OK);
    return optimizer;
}

START_TEST(sgd_follows_the_formula)
{
    const sgd_case *c = &sgd_cases[_i];
    resattn_context *context = resattn_context_new(2);
    resattn_network *network = train_network(context);
    resattn_session *session = new_session(network, RESATTN_TRAINING, BATCH, SIZE);
    resattn_optimizer *optimizer = new_optimizer(network, c);
    followed parameters[8];
    int32_t count = resattn_network_parameter_count(network);
    ck_assert_int_eq(count, 8);
    for (int32_t p = 0; p < count; p++)
        follow(&parameters[p], resattn_network_parameter(network, p));

    for (int step = 0; step < STEPS; step++) {
        resattn_tensor *input = new_input(context, BATCH, 3, SIZE);
        train_step(session, input);
        resattn_tensor_unref(input);
        for (int32_t p = 0; p < count; p++) {
            if (resattn_network_parameter_kind(network, p) == RESATTN_PARAMETER_TRAINABLE) {
                follow_step(&parameters[p], c, resattn_network_parameter_gradient(network, p));
            } else { /* a step leaves it as the forward pass made it */
                unfollow(&parameters[p]);
                follow(&parameters[p], resattn_network_parameter(network, p));
            }
        }
        ck_assert_int_eq(resattn_optimizer_step(optimizer), RESATTN_OK);
        for (int32_t p = 0; p < count; p++)
            compare(&parameters[p], resattn_network_parameter(network, p), resattn_network_parameter_name(network, p));
    }
    for (int32_t p = 0; p < count; p++)
        unfollow(&parameters[p]);
    resattn_session_free(session);
    resattn_network_unref(network);
    resattn_context_unref(context);
    resattn_optimizer_free(optimizer); /* its share keeps the network alive */
}
END_TEST

/* A session made after a step sees the new weights, one made before it sees them when it is refreshed. */
START_TEST(sgd_step_is_seen)
{
    resattn_context *context = resattn_context_new(1);
    resattn_network *network = train_network(context);
    resattn_session *session = new_session(network, RESATTN_TRAINING, BATCH, SIZE);
    resattn_session *before = new_session(network, RESATTN_INFERENCE, BATCH, SIZE);
    resattn_optimizer *optimizer = resattn_sgd_new(network, 0.5);
    resattn_tensor *input = new_input(context, BATCH, 3, SIZE);
    float *outputs[3];
    train_step(session, input);
    for (int i = 0; i < 3; i++) {
        if (i == 1)
            ck_assert_int_eq(resattn_optimizer_step(optimizer), RESATTN_OK);
        if (i == 2)
            ck_assert_int_eq(resattn_session_refresh(before), RESATTN_OK);
        ck_assert_int_eq(resattn_session_forward(before, input), RESATTN_OK);
        outputs[i] = malloc(BATCH * OUTPUTS * sizeof(float));
        resattn_tensor_read(resattn_session_output(before, NULL), RESATTN_CHANNELS_LAST, outputs[i], BATCH * OUTPUTS);
    }
    ck_assert_mem_eq(outputs[0], outputs[1], BATCH * OUTPUTS * sizeof(float));
    ck_assert_mem_ne(outputs[0], outputs[2], BATCH * OUTPUTS * sizeof(float));
    for (int i = 0; i < 3; i++)
        free(outputs[i]);
    resattn_tensor_unref(input);
    resattn_optimizer_free(optimizer);
    resattn_session_free(before);
    resattn_session_free(session);
    resattn_network_unref(network);
    resattn_context_unref(context);
}
END_TEST

START_TEST(sgd_refuses)
{
    static const struct {
        const char *name;
        double initial, good, bad;
    } attributes[] = {
        {"rate", 0.1, 0, -1e-9},          {"momentum", 0.9, 1, 1.001}, {"nesterov", 0, 1, 0.5},
        {"weight_decay", 0, 1e-4, -1e-4}, {"decay_vectors", 1, 0, 2},
    };
    resattn_context *context = resattn_context_new(1);
    resattn_network *network = train_network(context);
    ck_assert_ptr_null(resattn_sgd_new(NULL, 0.1));
    ck_assert_ptr_null(resattn_sgd_new(network, NAN));
    ck_assert_ptr_null(resattn_sgd_new(network, -1));
    expect_error(resattn_last_status(), RESATTN_INVALID_ARGUMENT, "rate is -1, expected 0 to 1e+06");
    resattn_optimizer *optimizer = resattn_sgd_new(network, 0.1);
    double value = -1;
    for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++) {
        const char *name = attributes[i].name;
        ck_assert_int_eq(resattn_optimizer_get_real(optimizer, name, &value), RESATTN_OK);
        ck_assert_double_eq(value, attributes[i].initial);
        expect_error(resattn_optimizer_set_real(optimizer, name, attributes[i].bad), RESATTN_INVALID_ARGUMENT, name);
        expect_error(resattn_optimizer_set_real(optimizer, name, NAN), RESATTN_INVALID_ARGUMENT, name);
        ck_assert_int_eq(resattn_optimizer_set_real(optimizer, name, attributes[i].good), RESATTN_OK);
        ck_assert_int_eq(resattn_optimizer_get_real(optimizer, name, &value), RESATTN_OK);
        ck_assert_double_eq(value, attributes[i].good);
    }
    expect_error(resattn_optimizer_set_real(optimizer, "beta", 1), RESATTN_NOT_FOUND, "\"beta\"");
    expect_error(resattn_optimizer_get_real(optimizer, "beta", &value), RESATTN_NOT_FOUND, "\"beta\"");
    expect_error(resattn_optimizer_get_real(optimizer, "rate", NULL), RESATTN_INVALID_ARGUMENT, "value is NULL");
    expect_error(resattn_optimizer_set_real(NULL, "rate", 1), RESATTN_INVALID_ARGUMENT, "optimizer is NULL");
    expect_error(resattn_optimizer_set_real(optimizer, NULL, 1), RESATTN_INVALID_ARGUMENT, "attribute is NULL");
    expect_error(resattn_optimizer_step(NULL), RESATTN_INVALID_ARGUMENT, "optimizer is NULL");
    expect_error(resattn_optimizer_step(optimizer), RESATTN_WRONG_STATE, "before the first backward pass");
    resattn_optimizer_free(optimizer);
    resattn_optimizer_free(NULL);
    resattn_network_unref(network);
    resattn_context_unref(context);
}
END_TEST

/* ---- schedules ---- */

START_TEST(step_schedule)
{
    const int64_t milestones[] = {64000, 96000};
    resattn_context *context = resattn_context_new(1);
    resattn_schedule *schedule = resattn_step_schedule_new(context, 0.1, 0.1, milestones, 2);
    ck_assert_double_eq(resattn_schedule_rate(schedule, 0), 0.1);
    ck_assert_double_eq(resattn_schedule_rate(schedule, 63999), 0.1);
    ck_assert_double_eq_tol(resattn_schedule_rate(schedule, 64000), 0.01, 1e-17);
    ck_assert_double_eq_tol(resattn_schedule_rate(schedule, 95999), 0.01, 1e-17);
    ck_assert_double_eq_tol(resattn_schedule_rate(schedule, 96000), 0.001, 1e-18);
    ck_assert_double_eq_tol(resattn_schedule_rate(schedule, INT64_MAX), 0.001, 1e-18);
    ck_assert(isnan(resattn_schedule_rate(schedule, -1)));
    ck_assert(isnan(resattn_schedule_rate(NULL, 0)));
    resattn_schedule_free(schedule);
    schedule = resattn_step_schedule_new(context, 0.3, 0.1, NULL, 0);
    ck_assert_double_eq(resattn_schedule_rate(schedule, 1000000), 0.3);
    resattn_schedule_free(schedule);

    const int64_t wrong[] = {10, 10}, negative[] = {-1};
    ck_assert_ptr_null(resattn_step_schedule_new(NULL, 0.1, 0.1, milestones, 2));
    ck_assert_ptr_null(resattn_step_schedule_new(context, 0.1, 0.1, NULL, 2));
    ck_assert_ptr_null(resattn_step_schedule_new(context, 0.1, 0.1, milestones, -1));
    ck_assert_ptr_null(resattn_step_schedule_new(context, NAN, 0.1, milestones, 2));
    ck_assert_ptr_null(resattn_step_schedule_new(context, 0.1, -0.1, milestones, 2));
    ck_assert_ptr_null(resattn_step_schedule_new(context, 0.1, 0.1, negative, 1));
    ck_assert_ptr_null(resattn_step_schedule_new(context, 0.1, 0.1, wrong, 2));
    expect_error(resattn_last_status(), RESATTN_INVALID_ARGUMENT, "milestone 1 is 10, expected more than");
    resattn_schedule_free(NULL);
    resattn_context_unref(context);
}
END_TEST

START_TEST(cosine_schedule)
{
    const double pi = acos(-1);
    resattn_context *context = resattn_context_new(1);
    resattn_schedule *schedule = resattn_cosine_schedule_new(context, 0.4, 0.01, 10, 110);
    for (int64_t step = 0; step < 10; step++)
        ck_assert_double_eq_tol(resattn_schedule_rate(schedule, step), 0.04 * (double)step, 1e-15);
    for (int64_t step = 10; step <= 110; step++)
        ck_assert_double_eq_tol(resattn_schedule_rate(schedule, step),
                                0.01 + 0.39 / 2 * (1 + cos(pi * (double)(step - 10) / 100)), 1e-15);
    ck_assert_double_eq(resattn_schedule_rate(schedule, 10), 0.4);
    ck_assert_double_eq_tol(resattn_schedule_rate(schedule, 60), 0.205, 1e-15);
    ck_assert_double_eq(resattn_schedule_rate(schedule, 110), 0.01);
    ck_assert_double_eq(resattn_schedule_rate(schedule, INT64_MAX), 0.01);
    resattn_schedule_free(schedule);
    schedule = resattn_cosine_schedule_new(context, 0.4, 0, 0, 1);
    ck_assert_double_eq(resattn_schedule_rate(schedule, 0), 0.4);
    resattn_schedule_free(schedule);
    ck_assert_ptr_null(resattn_cosine_schedule_new(NULL, 0.4, 0, 0, 1));
    ck_assert_ptr_null(resattn_cosine_schedule_new(context, 0.4, 0.5, 0, 1));
    ck_assert_ptr_null(resattn_cosine_schedule_new(context, 0.4, 0, 0, 0));
    ck_assert_ptr_null(resattn_cosine_schedule_new(context, 0.4, 0, 10, 10));
    expect_error(resattn_last_status(), RESATTN_INVALID_ARGUMENT, "warm_up is 10, expected 0 to 9");
    resattn_context_unref(context);
}
END_TEST

START_TEST(one_cycle_schedule)
{
    const double pi = acos(-1), low = 0.5 / 25, end = 0.5 / 250000;
    resattn_context *context = resattn_context_new(1);
    resattn_schedule *schedule = resattn_one_cycle_schedule_new(context, 0.5, 0.3, 100);
    for (int64_t step = 0; step <= 30; step++)
        ck_assert_double_eq_tol(resattn_schedule_rate(schedule, step),
                                low + (0.5 - low) / 2 * (1 - cos(pi * (double)step / 30)), 1e-15);
    for (int64_t step = 30; step <= 100; step++)
        ck_assert_double_eq_tol(resattn_schedule_rate(schedule, step),
                                end + (0.5 - end) / 2 * (1 + cos(pi * (double)(step - 30) / 70)), 1e-15);
    ck_assert_double_eq(resattn_schedule_rate(schedule, 0), 0.5 / 25);
    ck_assert_double_eq(resattn_schedule_rate(schedule, 1000), 0.5 / 250000);
    resattn_schedule_free(schedule);
    schedule = resattn_one_cycle_schedule_new(context, 0.5, 0, 10);
    ck_assert_double_eq(resattn_schedule_rate(schedule, 0), 0.5);
    resattn_schedule_free(schedule);
    schedule = resattn_one_cycle_schedule_new(context, 0.5, 1, 10);
    ck_assert_double_eq(resattn_schedule_rate(schedule, 10), 0.5);
    resattn_schedule_free(schedule);
    ck_assert_ptr_null(resattn_one_cycle_schedule_new(NULL, 0.5, 0.3, 10));
    ck_assert_ptr_null(resattn_one_cycle_schedule_new(context, INFINITY, 0.3, 10));
    ck_assert_ptr_null(resattn_one_cycle_schedule_new(context, 0.5, 0.3, 0));
    ck_assert_ptr_null(resattn_one_cycle_schedule_new(context, 0.5, 1.5, 10));
    expect_error(resattn_last_status(), RESATTN_INVALID_ARGUMENT, "rise is 1.5, expected 0 to 1");
    resattn_context_unref(context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("train");
    TCase *loss = tcase_create("cross entropy"), *sgd = tcase_create("sgd"), *schedules = tcase_create("schedules");
    tcase_add_test(loss, cross_entropy_value_and_gradient);
    tcase_add_test(loss, cross_entropy_without_gradient_and_results);
    tcase_add_test(loss, cross_entropy_refuses);
    tcase_set_timeout(sgd, 60);
    tcase_add_loop_test(sgd, sgd_follows_the_formula, 0, (int)(sizeof sgd_cases / sizeof *sgd_cases));
    tcase_add_test(sgd, sgd_step_is_seen);
    tcase_add_test(sgd, sgd_refuses);
    tcase_add_test(schedules, step_schedule);
    tcase_add_test(schedules, cosine_schedule);
    tcase_add_test(schedules, one_cycle_schedule);
    suite_add_tcase(suite, loss);
    suite_add_tcase(suite, sgd);
    suite_add_tcase(suite, schedules);
    return test_run(suite);
}
