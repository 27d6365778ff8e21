/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a training is tuned with: statistics of batch norms as plain means, their momentum, freezing, warming up.
 */
#include "train_common.h"

#include <math.h>
#include <string.h>

enum { PIXELS = SIZE * SIZE, COLOURS = 3, BATCHES = 3 };

/* A batch norm by itself, whose statistics are those of the images. */
typedef struct bench {
    resattn_context *context;
    resattn_network *network;
    resattn_session *session;
    resattn_layer *norm;
} bench;

static bench new_bench(void)
{
    bench b = {.context = resattn_context_new(1)};
    resattn_builder *builder = resattn_builder_new(b.context);
    b.network = resattn_network_new(builder, resattn_batch_norm_new(builder, "bn"), COLOURS);
    resattn_builder_free(builder);
    b.session = new_session(b.network, RESATTN_TRAINING, BATCH, SIZE);
    b.norm = resattn_network_layer(b.network, "bn");
    return b;
}

static void free_bench(bench *b)
{
    resattn_session_free(b->session);
    resattn_network_unref(b->network);
    resattn_context_unref(b->context);
}

typedef struct statistics {
    double mean[COLOURS], variance[COLOURS];
} statistics;

/* Of the images themselves: two passes in double. */
static statistics statistics_of(const resattn_tensor *images)
{
    statistics s = {0};
    float values[BATCH * COLOURS * PIXELS];
    int64_t n = resattn_tensor_size(images, 0), count = n * PIXELS;
    resattn_tensor_read(images, RESATTN_CHANNELS_LAST, values, count * COLOURS);
    for (int64_t i = 0; i < count * COLOURS; i++)
        s.mean[i % COLOURS] += (double)values[i] / (double)count;
    for (int64_t i = 0; i < count * COLOURS; i++)
        s.variance[i % COLOURS] += pow((double)values[i] - s.mean[i % COLOURS], 2) / (double)(count - 1);
    return s;
}

static void move(statistics *s, const statistics *batch, double step)
{
    for (int c = 0; c < COLOURS; c++) {
        s->mean[c] += step * (batch->mean[c] - s->mean[c]);
        s->variance[c] += step * (batch->variance[c] - s->variance[c]);
    }
}

static void expect_statistics(const bench *b, const statistics *expected)
{
    float mean[COLOURS], variance[COLOURS];
    resattn_tensor_read(resattn_network_parameter(b->network, 2), RESATTN_CHANNELS_FIRST, mean, COLOURS);
    resattn_tensor_read(resattn_network_parameter(b->network, 3), RESATTN_CHANNELS_FIRST, variance, COLOURS);
    for (int c = 0; c < COLOURS; c++) {
        ck_assert_double_eq_tol((double)mean[c], expected->mean[c], 1e-6);
        ck_assert_double_eq_tol((double)variance[c], expected->variance[c], 1e-5);
    }
}

/* Batches of several sizes count alike. */
static void pass(const bench *b, int64_t n, statistics *batch)
{
    resattn_tensor *images = new_input(b->context, n, COLOURS, SIZE);
    ck_assert_int_eq(resattn_session_forward(b->session, images), RESATTN_OK);
    *batch = statistics_of(images);
    resattn_tensor_unref(images);
}

START_TEST(statistics_as_plain_means)
{
    bench b = new_bench();
    statistics batches[BATCHES], expected = {0}, batch;
    for (int round = 0; round < 2; round++) {
        ck_assert_int_eq(resattn_session_set_statistics(b.session, RESATTN_STATISTICS_MEAN), RESATTN_OK);
        memset(&expected, 0, sizeof expected);
        for (int i = 0; i < BATCHES; i++)
            pass(&b, BATCH - i, &batches[i]);
        for (int i = 0; i < BATCHES; i++)
            for (int c = 0; c < COLOURS; c++) {
                expected.mean[c] += batches[i].mean[c] / BATCHES;
                expected.variance[c] += batches[i].variance[c] / BATCHES;
            }
        expect_statistics(&b, &expected);
    }
    ck_assert_int_eq(resattn_session_set_statistics(b.session, RESATTN_STATISTICS_RUNNING), RESATTN_OK);
    pass(&b, BATCH, &batch);
    move(&expected, &batch, 0.1);
    expect_statistics(&b, &expected);
    ck_assert_int_eq(resattn_layer_set_real(b.norm, "momentum", 0.75), RESATTN_OK);
    pass(&b, BATCH, &batch);
    move(&expected, &batch, 0.75);
    expect_statistics(&b, &expected);
    ck_assert_int_eq(resattn_layer_set_int(b.norm, "frozen", 1), RESATTN_OK);
    ck_assert_int_eq(resattn_session_set_statistics(b.session, RESATTN_STATISTICS_MEAN), RESATTN_OK);
    pass(&b, BATCH, &batch);
    expect_statistics(&b, &expected);
    expect_error(resattn_layer_set_real(b.norm, "momentum", 1.5), RESATTN_INVALID_ARGUMENT, "momentum is 1.5");
    expect_error(resattn_session_set_statistics(b.session, (resattn_statistics)3), RESATTN_INVALID_ARGUMENT,
                 "3, expected running (1) or mean (2)");
    resattn_session *inference = new_session(b.network, RESATTN_INFERENCE, 1, SIZE);
    expect_error(resattn_session_set_statistics(inference, RESATTN_STATISTICS_MEAN), RESATTN_WRONG_STATE, "inference");
    expect_error(resattn_session_set_step_count(inference, 1), RESATTN_WRONG_STATE, "inference");
    expect_error(resattn_session_set_seed(inference, 1), RESATTN_WRONG_STATE, "inference");
    resattn_session_free(inference);
    free_bench(&b);
}
END_TEST

START_TEST(steps_of_sessions)
{
    bench b = new_bench();
    statistics batch;
    pass(&b, 1, &batch);
    pass(&b, 1, &batch);
    ck_assert_int_eq(resattn_session_step_count(b.session), 2);
    expect_error(resattn_session_set_step_count(b.session, -1), RESATTN_INVALID_ARGUMENT, "-1");
    expect_error(resattn_session_set_step_count(b.session, INT64_MAX), RESATTN_INVALID_ARGUMENT, "9007199254740992");
    ck_assert_int_eq(resattn_session_step_count(b.session), 2);
    ck_assert_int_eq(resattn_session_set_step_count(b.session, INT64_C(1) << 53), RESATTN_OK);
    pass(&b, 1, &batch);
    ck_assert_int_eq(resattn_session_step_count(b.session), (INT64_C(1) << 53) + 1);
    free_bench(&b);
}
END_TEST

static resattn_network *dropout_network(resattn_context *context)
{
    resattn_builder *builder = resattn_builder_new(context);
    resattn_network *network = resattn_network_new(builder, resattn_dropout_new(builder, "dropout", 0.5), COLOURS);
    resattn_builder_free(builder);
    return network;
}

/* What the next forward pass of a session of dropout_network() drops, as bits. */
static uint32_t dropped(resattn_session *session, const resattn_tensor *input)
{
    float out[BATCH * COLOURS * PIXELS];
    uint32_t bits = 0;
    ck_assert_int_eq(resattn_session_forward(session, input), RESATTN_OK);
    resattn_tensor_read(resattn_session_output(session, NULL), RESATTN_CHANNELS_FIRST, out, BATCH * COLOURS * PIXELS);
    for (int i = 0; i < 32 && i < BATCH * COLOURS * PIXELS; i++)
        bits |= (uint32_t)(out[i] == 0) << i;
    return bits;
}

/* A session keeps the seed that the context had when it was made, until it is given another. */
START_TEST(seeds_of_sessions)
{
    resattn_context *context = resattn_context_new(1);
    resattn_network *network = dropout_network(context);
    resattn_tensor *input = new_input(context, BATCH, COLOURS, SIZE);
    resattn_tensor_fill(input, 1);
    ck_assert_int_eq(resattn_context_set_seed(context, 5), RESATTN_OK);
    resattn_session *a = new_session(network, RESATTN_TRAINING, BATCH, SIZE);
    resattn_session *b = new_session(network, RESATTN_TRAINING, BATCH, SIZE);
    ck_assert_int_eq(resattn_context_set_seed(context, 6), RESATTN_OK);
    ck_assert_uint_eq(resattn_context_seed(context), 6);
    resattn_session *c = new_session(network, RESATTN_TRAINING, BATCH, SIZE);
    ck_assert_uint_eq(resattn_session_seed(a), 5);
    ck_assert_uint_eq(resattn_session_seed(c), 6);
    uint32_t fives = dropped(a, input);
    ck_assert_uint_eq(dropped(b, input), fives);
    uint32_t sixes = dropped(c, input);
    ck_assert_uint_ne(sixes, fives);
    ck_assert_int_eq(resattn_session_set_seed(b, 6), RESATTN_OK);
    ck_assert_uint_eq(resattn_session_seed(b), 6);
    ck_assert_int_eq(resattn_session_set_step_count(b, 0), RESATTN_OK);
    ck_assert_uint_eq(dropped(b, input), sixes);
    ck_assert_uint_eq(dropped(a, input), (resattn_session_set_seed(c, 5), dropped(c, input)));
    resattn_session_free(a);
    resattn_session_free(b);
    resattn_session_free(c);
    resattn_tensor_unref(input);
    resattn_network_unref(network);
    resattn_context_unref(context);
}
END_TEST

/* Backward drops what forward dropped, though step and seed were set in between. */
START_TEST(backward_goes_by_its_forward)
{
    resattn_context *context = resattn_context_new(1);
    resattn_network *network = dropout_network(context);
    resattn_session *session = new_session(network, RESATTN_TRAINING, BATCH, SIZE);
    resattn_tensor *input = new_input(context, BATCH, COLOURS, SIZE);
    ck_assert_int_eq(resattn_session_forward(session, input), RESATTN_OK);
    ck_assert_int_eq(resattn_session_set_output_gradient(session, NULL, input), RESATTN_OK);
    float out[BATCH * COLOURS * PIXELS], gradient[BATCH * COLOURS * PIXELS];
    resattn_tensor_read(resattn_session_output(session, NULL), RESATTN_CHANNELS_FIRST, out, BATCH * COLOURS * PIXELS);
    ck_assert_int_eq(resattn_session_set_step_count(session, 77), RESATTN_OK);
    ck_assert_int_eq(resattn_session_set_seed(session, 77), RESATTN_OK);
    ck_assert_int_eq(resattn_session_backward(session), RESATTN_OK);
    resattn_tensor_read(resattn_session_input_gradient(session), RESATTN_CHANNELS_FIRST, gradient,
                        BATCH * COLOURS * PIXELS);
    ck_assert_mem_eq(out, gradient, sizeof out);
    resattn_tensor_unref(input);
    resattn_session_free(session);
    resattn_network_unref(network);
    resattn_context_unref(context);
}
END_TEST

/* Of each parameter of train_network(): conv.weight, conv.bias, bn's four, linear.weight, linear.bias. */
static void expect_changes(resattn_network *network, const char *freeze[], const int32_t frozen[], const char *changes)
{
    resattn_context *context = resattn_network_context(network);
    resattn_optimizer *optimizer = resattn_sgd_new(network, 0.5);
    for (int i = 0; freeze[i]; i++)
        ck_assert_int_eq(resattn_optimizer_freeze(optimizer, freeze[i], frozen[i]), RESATTN_OK);
    resattn_session *session = new_session(network, RESATTN_TRAINING, BATCH, SIZE);
    resattn_tensor *input = new_input(context, BATCH, 3, SIZE);
    float before[8][CHANNELS], after[8][CHANNELS];
    for (int32_t p = 0; p < 8; p++)
        memcpy(before[p], resattn_tensor_data(resattn_network_parameter(network, p)), sizeof before[p]);
    for (int i = 0; i < 3; i++) {
        train_step(session, input);
        ck_assert_int_eq(resattn_optimizer_step(optimizer), RESATTN_OK);
    }
    for (int32_t p = 0; p < 8; p++) {
        memcpy(after[p], resattn_tensor_data(resattn_network_parameter(network, p)), sizeof after[p]);
        ck_assert_msg((memcmp(before[p], after[p], sizeof after[p]) != 0) == (changes[p] == '1'), "%s",
                      resattn_network_parameter_name(network, p));
    }
    resattn_tensor_unref(input);
    resattn_session_free(session);
    resattn_optimizer_free(optimizer);
}

START_TEST(freezing)
{
    resattn_context *context = resattn_context_new(1);
    resattn_network *network = train_network(context);
    static const int32_t on[] = {1, 1}, on_off[] = {1, 0}, off_on[] = {0, 1};
    expect_changes(network, (const char *[]){"bn", NULL}, on, "11000011");
    expect_changes(network, (const char *[]){"", "linear", NULL}, on_off, "00000011");
    expect_changes(network, (const char *[]){"", NULL}, (const int32_t[]){0}, "11111111");
    expect_changes(network, (const char *[]){"linear", "", NULL}, off_on, "00000011");
    expect_changes(network, (const char *[]){"bn", "", NULL}, off_on, "00111100");
    expect_changes(network, (const char *[]){"bn.weight", NULL}, on, "11011111");
    resattn_optimizer *optimizer = resattn_sgd_new(network, 0.5);
    expect_error(resattn_optimizer_freeze(optimizer, "line", 1), RESATTN_NOT_FOUND, "line");
    expect_error(resattn_optimizer_freeze(optimizer, NULL, 1), RESATTN_INVALID_ARGUMENT, "path is NULL");
    expect_error(resattn_optimizer_freeze(optimizer, "bn", -1), RESATTN_INVALID_ARGUMENT, "frozen is -1");
    resattn_optimizer_free(optimizer);
    resattn_network_unref(network);
    resattn_context_unref(context);
}
END_TEST

START_TEST(warming_up)
{
    static const int64_t milestones[] = {2, 8};
    resattn_context *context = resattn_context_new(1);
    resattn_schedule *schedules[] = {resattn_step_schedule_new(context, 0.8, 0.5, milestones, 2),
                                     resattn_one_cycle_schedule_new(context, 0.8, 0.5, 20),
                                     resattn_cosine_schedule_new(context, 0.8, 0, 0, 20)};
    for (int i = 0; i < 3; i++) {
        double plain[31];
        for (int64_t step = 0; step <= 30; step++)
            plain[step] = resattn_schedule_rate(schedules[i], step);
        ck_assert_int_eq(resattn_schedule_set_warm_up(schedules[i], 4), RESATTN_OK);
        for (int64_t step = 0; step <= 30; step++)
            ck_assert_double_eq(resattn_schedule_rate(schedules[i], step),
                                plain[step] * (step < 4 ? (double)step / 4 : 1));
        ck_assert_int_eq(resattn_schedule_set_warm_up(schedules[i], 0), RESATTN_OK);
        for (int64_t step = 0; step <= 30; step++)
            ck_assert_double_eq(resattn_schedule_rate(schedules[i], step), plain[step]);
    }
    ck_assert_int_eq(resattn_schedule_set_warm_up(schedules[0], 4), RESATTN_OK);
    static const double rates[] = {0, 0.2, 0.2, 0.3, 0.4, 0.4, 0.4, 0.4, 0.2};
    for (int64_t step = 0; step < 9; step++)
        ck_assert_double_eq_tol(resattn_schedule_rate(schedules[0], step), rates[step], 1e-15);
    for (int i = 0; i < 3; i++)
        resattn_schedule_free(schedules[i]);
    resattn_context_unref(context);
}
END_TEST

static Suite *tuning_suite(void)
{
    Suite *suite = suite_create("tuning");
    TCase *all = tcase_create("all");
    tcase_add_test(all, statistics_as_plain_means);
    tcase_add_test(all, steps_of_sessions);
    tcase_add_test(all, seeds_of_sessions);
    tcase_add_test(all, backward_goes_by_its_forward);
    tcase_add_test(all, freezing);
    tcase_add_test(all, warming_up);
    suite_add_tcase(suite, all);
    return suite;
}

int main(void)
{
    return test_run(tuning_suite());
}
