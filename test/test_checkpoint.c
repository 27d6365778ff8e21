/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Checkpoints: a training that was stopped goes on as if it had not been, to the bit; and what is refused.
 */
#include "checkpoint_common.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Another process would do this: everything new but for the bytes. */
static training go_on(int32_t kind, const bytes *saved, int64_t step)
{
    resattn_context *context = resattn_context_new(1);
    resattn_network *network = resattn_network_load_buffer(context, saved->data, saved->size);
    ck_assert_msg(network != NULL, "%s", resattn_last_error());
    training t = training_of(context, network, kind);
    ck_assert_msg(restore_bytes(&t, saved->data, saved->size) == RESATTN_OK, "%s", resattn_last_error());
    ck_assert_int_eq(resattn_session_set_step(t.session, step), RESATTN_OK);
    return t;
}

static void add_values(const training *t, bytes *all)
{
    for (int32_t p = 0; p < resattn_network_parameter_count(t->network); p++) {
        resattn_tensor *tensor = resattn_network_parameter(t->network, p);
        put_bytes(all, resattn_tensor_data(tensor), (size_t)resattn_tensor_elements(tensor) * sizeof(float));
    }
}

/* The values of the network, and then those of the average. */
static bytes values_of(const training *t)
{
    bytes all = {0};
    add_values(t, &all);
    if (t->average) {
        ck_assert_int_eq(resattn_average_swap(t->average), RESATTN_OK);
        add_values(t, &all);
        ck_assert_int_eq(resattn_average_swap(t->average), RESATTN_OK);
    }
    return all;
}

static void check_going_on(int32_t kind, int32_t before, int32_t after)
{
    training t = new_training(kind);
    do_steps(&t, 0, before);
    bytes saved = checkpoint_of(&t);
    do_steps(&t, before, before + after);
    bytes expected = values_of(&t), expected_state = checkpoint_of(&t);
    double norm = resattn_optimizer_gradient_norm(t.optimizer);
    ck_assert_int_eq(resattn_session_step(t.session), before + after);
    free_training(&t);
    training again = go_on(kind, &saved, before);
    bytes at_once = checkpoint_of(&again);
    expect_same(&at_once, &saved);
    do_steps(&again, before, before + after);
    bytes got = values_of(&again), got_state = checkpoint_of(&again);
    expect_same(&got, &expected);
    expect_same(&got_state, &expected_state);
    double got_norm = resattn_optimizer_gradient_norm(again.optimizer);
    ck_assert_mem_eq(&got_norm, &norm, sizeof norm);
    free_training(&again);
    bytes *all[] = {&saved, &expected, &expected_state, &at_once, &got, &got_state};
    for (int i = 0; i < 6; i++)
        free(all[i]->data);
}

START_TEST(going_on_to_the_bit)
{
    check_going_on(_i, 3, 4);
    check_going_on(_i, 0, 2); /* before the first step, with a norm that is NaN */
    check_going_on(_i, 2, 0);
}
END_TEST

/* What the dropout drops depends on the session's step: without it the training is another one. */
START_TEST(the_step_of_a_session_counts)
{
    training t = new_training(0);
    do_steps(&t, 0, 3);
    bytes saved = checkpoint_of(&t);
    do_step(&t, 3);
    bytes expected = values_of(&t);
    free_training(&t);
    for (int64_t step = 2; step <= 3; step++) {
        training again = go_on(0, &saved, step);
        do_step(&again, 3);
        bytes got = values_of(&again);
        ck_assert_int_eq(memcmp(got.data, expected.data, got.size) == 0, step == 3);
        ck_assert_int_eq(resattn_session_step(again.session), step + 1);
        free(got.data);
        free_training(&again);
    }
    free(saved.data);
    free(expected.data);
}
END_TEST

static Suite *checkpoint_suite(void)
{
    Suite *suite = suite_create("checkpoint");
    TCase *whole = tcase_create("whole");
    tcase_set_timeout(whole, 120);
    tcase_add_loop_test(whole, going_on_to_the_bit, 0, KINDS);
    tcase_add_test(whole, the_step_of_a_session_counts);
    suite_add_tcase(suite, whole);
    return suite;
}

int main(void)
{
    return test_run(checkpoint_suite());
}
