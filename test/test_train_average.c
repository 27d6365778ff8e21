/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Moving averages of weights, against the formula in double precision.
 */
#include "train_common.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PARAMETERS = 8 };

typedef struct bench {
    resattn_context *context;
    resattn_network *network;
    resattn_session *session;
    resattn_optimizer *optimizer;
} bench;

static bench new_bench(void)
{
    bench b = {.context = resattn_context_new(2)};
    b.network = train_network(b.context);
    b.session = new_session(b.network, RESATTN_TRAINING, BATCH, SIZE);
    b.optimizer = resattn_sgd_new(b.network, 0.5);
    ck_assert_int_eq(resattn_network_parameter_count(b.network), PARAMETERS);
    return b;
}

static void free_bench(bench *b)
{
    resattn_optimizer_free(b->optimizer);
    resattn_session_free(b->session);
    resattn_network_unref(b->network);
    resattn_context_unref(b->context);
}

static void step(const bench *b)
{
    resattn_tensor *input = new_input(b->context, BATCH, 3, SIZE);
    train_step(b->session, input);
    ck_assert_int_eq(resattn_optimizer_step(b->optimizer), RESATTN_OK);
    resattn_tensor_unref(input);
}

static void follow_all(const bench *b, followed *parameters)
{
    for (int32_t p = 0; p < PARAMETERS; p++)
        follow(&parameters[p], resattn_network_parameter(b->network, p));
}

static void unfollow_all(followed *parameters)
{
    for (int32_t p = 0; p < PARAMETERS; p++)
        unfollow(&parameters[p]);
}

/* The network's values are those followed; statistics to the bit. */
static void compare_all(const bench *b, followed *parameters)
{
    for (int32_t p = 0; p < PARAMETERS; p++)
        compare(&parameters[p], resattn_network_parameter(b->network, p),
                resattn_network_parameter_name(b->network, p));
}

static void reference_update(const bench *b, followed *averages, double decay)
{
    for (int32_t p = 0; p < PARAMETERS; p++) {
        followed *f = &averages[p];
        double kept = resattn_network_parameter_kind(b->network, p) == RESATTN_PARAMETER_TRAINABLE ? decay : 0;
        resattn_tensor_read(resattn_network_parameter(b->network, p), RESATTN_CHANNELS_FIRST, f->buffer, f->count);
        for (int64_t i = 0; i < f->count; i++)
            f->value[i] = kept * f->value[i] + (1 - kept) * (double)f->buffer[i];
    }
}

START_TEST(average_follows_the_formula)
{
    static const double decays[] = {0, 0.5, 0.99};
    bench b = new_bench();
    resattn_ema *average = resattn_ema_new(b.network, decays[_i]);
    followed averages[PARAMETERS], own[PARAMETERS];
    follow_all(&b, averages);
    for (int i = 0; i < 5; i++) {
        step(&b);
        reference_update(&b, averages, decays[_i]);
        ck_assert_int_eq(resattn_ema_update(average), RESATTN_OK);
    }
    follow_all(&b, own);
    ck_assert_int_eq(resattn_ema_swap(average), RESATTN_OK);
    compare_all(&b, averages);
    expect_error(resattn_ema_update(average), RESATTN_WRONG_STATE, "swapped back first");
    ck_assert_int_eq(resattn_ema_swap(average), RESATTN_OK);
    compare_all(&b, own);
    ck_assert_int_eq(resattn_ema_update(average), RESATTN_OK);
    unfollow_all(own);
    unfollow_all(averages);
    free_bench(&b);
    resattn_ema_free(average); /* its share keeps the network alive */
}
END_TEST

/* An inference session sees a swap when it is refreshed. */
START_TEST(swaps_are_seen)
{
    bench b = new_bench();
    resattn_ema *average = resattn_ema_new(b.network, 0.9);
    resattn_session *session = new_session(b.network, RESATTN_INFERENCE, BATCH, SIZE);
    resattn_tensor *input = new_input(b.context, BATCH, 3, SIZE);
    float outputs[3][BATCH * 4];
    step(&b);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(resattn_session_refresh(session), RESATTN_OK);
        ck_assert_int_eq(resattn_session_forward(session, input), RESATTN_OK);
        const resattn_tensor *output = resattn_session_output(session, NULL);
        float *all = malloc(BATCH * OUTPUTS * sizeof(float));
        ck_assert_int_eq(resattn_tensor_read(output, RESATTN_CHANNELS_LAST, all, BATCH * OUTPUTS), RESATTN_OK);
        memcpy(outputs[i], all, sizeof outputs[i]);
        free(all);
        ck_assert_int_eq(resattn_ema_swap(average), RESATTN_OK);
    }
    ck_assert_mem_ne(outputs[0], outputs[1], sizeof outputs[0]);
    ck_assert_mem_eq(outputs[0], outputs[2], sizeof outputs[0]);
    resattn_tensor_unref(input);
    resattn_session_free(session);
    resattn_ema_free(average);
    free_bench(&b);
}
END_TEST

/* As train.h says: forward passes while swapped in change the average's statistics, not the network's own. */
START_TEST(statistics_estimated_again)
{
    enum { PASSES = 120 };
    bench b = new_bench();
    resattn_ema *average = resattn_ema_new(b.network, 0.9);
    followed own[PARAMETERS], estimated[PARAMETERS];
    step(&b);
    ck_assert_int_eq(resattn_ema_update(average), RESATTN_OK);
    follow_all(&b, own);
    int32_t mean = resattn_network_find_parameter(b.network, "bn.running_mean");
    ck_assert_int_eq(resattn_ema_swap(average), RESATTN_OK);
    resattn_tensor *input = new_input(b.context, BATCH, 3, SIZE);
    for (int i = 0; i < PASSES; i++)
        ck_assert_int_eq(resattn_session_forward(b.session, input), RESATTN_OK);
    follow_all(&b, estimated);
    ck_assert_int_eq(resattn_session_forward(b.session, input), RESATTN_OK); /* it has converged to the batch's */
    compare(&estimated[mean], resattn_network_parameter(b.network, mean), "bn.running_mean");
    ck_assert_int_eq(resattn_ema_swap(average), RESATTN_OK);
    compare_all(&b, own);
    ck_assert_int_eq(resattn_ema_swap(average), RESATTN_OK);
    compare_all(&b, estimated);
    ck_assert_double_ne(estimated[mean].value[0], own[mean].value[0]);
    resattn_tensor_unref(input);
    unfollow_all(own);
    unfollow_all(estimated);
    resattn_ema_free(average);
    free_bench(&b);
}
END_TEST

START_TEST(average_refuses)
{
    bench b = new_bench();
    static const double wrong[] = {-0.1, 1, NAN, INFINITY};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ck_assert_ptr_null(resattn_ema_new(b.network, wrong[i]));
        expect_error(resattn_last_status(), RESATTN_INVALID_ARGUMENT, "expected at least 0 and less than 1");
    }
    resattn_ema *average = resattn_ema_new(b.network, 0.9);
    resattn_session *session = new_session(b.network, RESATTN_INFERENCE, BATCH, SIZE);
    ck_assert_int_eq(resattn_network_seal(b.network), RESATTN_OK);
    expect_error(resattn_ema_update(average), RESATTN_WRONG_STATE, "updating an average: the network is sealed");
    expect_error(resattn_ema_swap(average), RESATTN_WRONG_STATE, "swapping in an average: the network is sealed");
    ck_assert_ptr_null(resattn_ema_new(b.network, 0.9));
    expect_error(resattn_last_status(), RESATTN_WRONG_STATE, "making an average: the network is sealed");
    resattn_session_free(session);
    resattn_ema_free(average);
    free_bench(&b);
}
END_TEST

/* A runner in whose tasks the average is asked for. */
typedef struct intruder {
    resattn_ema *average;
    resattn_network *network;
    resattn_status update, swap, made;
} intruder;

static void run_and_intrude(void *user, resattn_task_fn task, void *job, int32_t count)
{
    intruder *i = user;
    if (i->average) {
        i->update = resattn_ema_update(i->average);
        i->swap = resattn_ema_swap(i->average);
        i->made = resattn_ema_new(i->network, 0.5) ? RESATTN_OK : resattn_last_status();
        i->average = NULL;
    }
    for (int32_t t = 0; t < count; t++)
        task(job, t, 0);
}

START_TEST(average_of_a_busy_network)
{
    intruder i = {0};
    resattn_context *context = resattn_context_new(1);
    ck_assert_int_eq(resattn_context_set_runner(context, run_and_intrude, &i, 2), RESATTN_OK);
    resattn_network *network = train_network(context);
    resattn_session *session = new_session(network, RESATTN_TRAINING, BATCH, SIZE);
    resattn_ema *average = resattn_ema_new(network, 0.9);
    resattn_tensor *input = new_input(context, BATCH, 3, SIZE);
    i.network = network;
    i.average = average;
    ck_assert_int_eq(resattn_session_forward(session, input), RESATTN_OK);
    ck_assert_ptr_null(i.average); /* it was asked */
    ck_assert_int_eq(i.update, RESATTN_BUSY);
    ck_assert_int_eq(i.swap, RESATTN_BUSY);
    ck_assert_int_eq(i.made, RESATTN_BUSY);
    resattn_tensor_unref(input);
    resattn_ema_free(average);
    resattn_session_free(session);
    resattn_network_unref(network);
    resattn_context_unref(context);
}
END_TEST

START_TEST(average_without_memory)
{
    host h = {.left = INT32_MAX};
    resattn_context *context = resattn_context_new_with_allocator(1, give, take, &h);
    resattn_network *network = train_network(context);
    int32_t before = h.living, failures = 0;
    resattn_ema *average = NULL;
    for (; !average && failures < 100; failures++) {
        h.left = failures;
        average = resattn_ema_new(network, 0.5);
        if (!average) {
            ck_assert_int_eq(resattn_last_status(), RESATTN_OUT_OF_MEMORY);
            ck_assert_int_eq(h.living, before);
        }
    }
    ck_assert_int_eq(failures, 4);
    resattn_ema_free(average);
    resattn_network_unref(network);
    resattn_context_unref(context);
    ck_assert_int_eq(h.living, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("average");
    TCase *tests = tcase_create("average");
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, average_follows_the_formula, 0, 3);
    tcase_add_test(tests, swaps_are_seen);
    tcase_add_test(tests, statistics_estimated_again);
    tcase_add_test(tests, average_refuses);
    tcase_add_test(tests, average_of_a_busy_network);
    tcase_add_test(tests, average_without_memory);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
