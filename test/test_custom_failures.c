/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Layers of the host's own that fail, run out of memory, are trained, stopped and gone on with.
 */
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

/* ---- callbacks that fail ---- */

/* What a callback answers, with a text or without; what the library makes of it. */
static const struct {
    int32_t answer;
    const char *text;
    resattn_status status;
    const char *words;
} answers[] = {
    {RESATTN_UNSUPPORTED, "no such day", RESATTN_UNSUPPORTED, "no such day"},
    {RESATTN_OUT_OF_MEMORY, NULL, RESATTN_OUT_OF_MEMORY, "callback of x-test-swish answered -1"},
    {RESATTN_HOST_ERROR, "no such luck", RESATTN_HOST_ERROR, "no such luck"},
    {7, NULL, RESATTN_HOST_ERROR, "callback of x-test-swish answered 7"},
    {-1000, NULL, RESATTN_HOST_ERROR, "callback of x-test-swish answered -1000"},
};
enum { ANSWERS = sizeof answers / sizeof answers[0] };

static void expect_answer(int i, const char *path, resattn_status status)
{
    char words[100];
    snprintf(words, sizeof words, "%s: ", path);
    ck_assert_int_eq(status, answers[i].status);
    test_expect_error(answers[i].status, words);
    test_expect_error(answers[i].status, answers[i].words);
    host.text = NULL;
}

static resattn_status last(const void *made)
{
    return made == NULL ? resattn_last_status() : RESATTN_OK;
}

START_TEST(making_fails)
{
    for (int i = 0; i < ANSWERS; i++) {
        host.text = answers[i].text;
        host.channels = answers[i].answer;
        resattn_network *network = custom_network(context, &host);
        expect_answer(i, "swish1", last(network));
        ck_assert_int_eq(host.instances, 0);
        host.channels = 0;
        network = custom_network(context, &host);
        host.text = answers[i].text;
        host.size = answers[i].answer;
        expect_answer(i, "swish1", last(resattn_plan_new(network, RESATTN_INFERENCE, 1, 8, 8)));
        host.size = 0;
        for (int32_t purpose = RESATTN_INFERENCE; purpose <= RESATTN_TRAINING; purpose++) {
            resattn_plan *plan = resattn_plan_new(network, (resattn_purpose)purpose, 1, 8, 8);
            host.text = answers[i].text;
            host.memory = answers[i].answer;
            ck_assert_int_eq(resattn_plan_memory(plan), -1);
            expect_answer(i, "swish1", resattn_last_status());
            host.text = answers[i].text;
            expect_answer(i, "swish1", last(resattn_session_new(plan)));
            host.memory = 0;
            ck_assert_int_gt(resattn_plan_memory(plan), 0);
            resattn_plan_free(plan);
        }
        resattn_network_unref(network);
    }
}
END_TEST

START_TEST(inference_fails)
{
    resattn_network *network = custom_network(context, &host);
    resattn_session *session = custom_session(network, RESATTN_INFERENCE, 1, CUSTOM_SIDE, false);
    resattn_tensor *input = custom_input(context, 1, 3, CUSTOM_SIDE, 1);
    ck_assert_int_eq(resattn_session_forward(session, input), RESATTN_OK);
    uint64_t expected = custom_hash(resattn_session_output(session, NULL), 1);
    for (int i = 0; i < ANSWERS; i++) {
        host.text = answers[i].text;
        host.forward = answers[i].answer;
        expect_answer(i, "swish1", resattn_session_forward(session, input));
        ck_assert_ptr_null(resattn_session_output(session, NULL));
        test_expect_error(RESATTN_WRONG_STATE, "forward");
        host.forward = 0;
        ck_assert_int_eq(resattn_session_forward(session, input), RESATTN_OK);
        ck_assert(custom_hash(resattn_session_output(session, NULL), 1) == expected);
    }
    resattn_tensor_unref(input);
    resattn_session_free(session);
    resattn_network_unref(network);
}
END_TEST

/* A step that failed in forward or in backward is done again; but for statistics that moved before the failure, nothing
 * shows. */
START_TEST(training_fails)
{
    for (int recompute = 0; recompute < 2; recompute++) {
        uint64_t expected = 0;
        for (int fail = 0; fail < 2; fail++) {
            resattn_network *network = custom_network(context, &host);
            for (int i = 1; i <= 3; i += 2)
                resattn_layer_set_int(resattn_network_layer(network, i == 1 ? "bn1" : "bn3"), "frozen", 1);
            resattn_session *session = custom_session(network, RESATTN_TRAINING, CUSTOM_BATCH, CUSTOM_SIDE, recompute);
            resattn_optimizer *adamw = resattn_adamw_new(network, 0.01);
            ck_assert_int_eq(custom_train(session, adamw, 0, 1), RESATTN_OK);
            for (int i = 0; i < ANSWERS && fail; i++) {
                host.text = answers[i].text;
                host.forward = answers[i].answer;
                expect_answer(i, "swish1", custom_train(session, adamw, 1, 2));
                ck_assert_int_eq(resattn_session_step_count(session), 1);
                ck_assert_int_eq(resattn_session_backward(session), RESATTN_WRONG_STATE);
                host.forward = 0;
                host.text = answers[i].text;
                host.backward = answers[i].answer;
                expect_answer(i, "swish3", custom_train(session, adamw, 1, 2));
                host.backward = 0;
                ck_assert_int_eq(resattn_session_backward(session), RESATTN_WRONG_STATE);
                ck_assert_int_eq(resattn_optimizer_step(adamw), RESATTN_WRONG_STATE);
                ck_assert_int_eq(resattn_session_set_step_count(session, 1), RESATTN_OK);
            }
            ck_assert_msg(custom_train(session, adamw, 1, 3) == RESATTN_OK, "%s", resattn_last_error());
            for (int32_t i = 0; i < resattn_network_parameter_count(network); i++)
                if (strstr(resattn_network_parameter_name(network, i), "seen") != NULL)
                    resattn_tensor_fill(resattn_network_parameter(network, i), 0);
            if (fail)
                ck_assert(custom_hash_network(network) == expected);
            expected = custom_hash_network(network);
            resattn_optimizer_free(adamw);
            resattn_session_free(session);
            resattn_network_unref(network);
        }
    }
}
END_TEST

static resattn_status wrong_channels(void *user, resattn_layer *layer, int32_t *channels)
{
    (void)layer;
    *channels = *(const int32_t *)user;
    return RESATTN_OK;
}

static resattn_status wrong_size(void *user, const resattn_layer *layer, int32_t *height, int32_t *width)
{
    (void)layer;
    *height = *width + *(const int32_t *)user;
    return RESATTN_OK;
}

static resattn_status wrong_memory(void *user, const resattn_layer *layer, const int32_t *shape, int32_t training,
                                   int32_t workers, int64_t *saved, int64_t *work)
{
    const int32_t *which = user;
    (void)layer;
    (void)shape;
    (void)training;
    (void)workers;
    *(*which < 0 ? saved : work) = *which == -5 || *which == 5 ? INT64_MAX : -9;
    return RESATTN_OK;
}

static resattn_status run_nothing(void *user, const resattn_layer *layer, resattn_custom_run *run)
{
    (void)user;
    (void)layer;
    (void)run;
    return RESATTN_OK;
}

/* A kind that gives numbers out of range, in a network of its own. The first error on the way to a session. */
static resattn_status try_numbers(int which, int32_t number)
{
    resattn_context *c = resattn_context_new(1);
    resattn_custom *kind = resattn_custom_new(c, "x-odd", run_nothing, &number, NULL);
    resattn_custom_set_backward(kind, run_nothing, 3);
    resattn_custom_set_shape(kind, which == 0 ? wrong_channels : NULL, which == 1 ? wrong_size : NULL);
    resattn_custom_set_cost(kind, which == 2 ? wrong_memory : NULL, NULL);
    resattn_builder *b = resattn_builder_new(c);
    resattn_network *network = resattn_network_new(b, resattn_custom_layer_new(b, "x-odd", "odd", NULL), 3);
    resattn_plan *plan = network == NULL ? NULL : resattn_plan_new(network, RESATTN_TRAINING, 1, 4, 4);
    if (plan != NULL)
        resattn_plan_set_input_gradient(plan, 1);
    resattn_session *session = plan == NULL ? NULL : resattn_session_new(plan);
    resattn_status status = last(session);
    resattn_session_free(session);
    resattn_plan_free(plan);
    resattn_network_unref(network);
    resattn_builder_free(b);
    resattn_context_unref(c);
    return status;
}

START_TEST(numbers_out_of_range)
{
    ck_assert_int_eq(try_numbers(0, 5), RESATTN_OK);
    ck_assert_int_eq(try_numbers(0, 0), RESATTN_INVALID_ARGUMENT);
    test_expect_error(RESATTN_INVALID_ARGUMENT, "odd: the channels callback of x-odd gave 0 channels");
    ck_assert_int_eq(try_numbers(0, (1 << 24) + 1), RESATTN_INVALID_ARGUMENT);
    ck_assert_int_eq(try_numbers(1, 3), RESATTN_OK);
    ck_assert_int_eq(try_numbers(1, -4), RESATTN_INVALID_ARGUMENT);
    test_expect_error(RESATTN_INVALID_ARGUMENT, "odd: the size callback of x-odd makes 0x4 of 4x4");
    ck_assert_int_eq(try_numbers(1, 1 << 24), RESATTN_INVALID_ARGUMENT);
    ck_assert_int_eq(try_numbers(2, -1), RESATTN_INVALID_ARGUMENT);
    test_expect_error(RESATTN_INVALID_ARGUMENT, "odd: the memory callback of x-odd asks for -9 bytes of what is saved");
    ck_assert_int_eq(try_numbers(2, 1), RESATTN_INVALID_ARGUMENT);
    test_expect_error(RESATTN_INVALID_ARGUMENT, "-9 bytes of work memory");
    ck_assert_int_eq(try_numbers(2, -5), RESATTN_TOO_LARGE);
    ck_assert_int_eq(try_numbers(2, 5), RESATTN_TOO_LARGE);
}
END_TEST

/* ---- memory ---- */

typedef struct sink {
    unsigned char bytes[1 << 16];
    size_t size, at;
} sink;

static int32_t put(void *user, const void *bytes, size_t size)
{
    sink *target = user;
    if (size > sizeof target->bytes - target->size)
        return 1;
    memcpy(target->bytes + target->size, bytes, size);
    target->size += size;
    return 0;
}

static int64_t get(void *user, void *bytes, size_t size)
{
    sink *source = user;
    size_t left = source->size - source->at, count = size < left ? size : left;
    memcpy(bytes, source->bytes + source->at, count);
    source->at += count;
    return (int64_t)count;
}

/* Everything that a program does with such layers. */
static resattn_status use_all(resattn_context *c, custom_host *own)
{
    sink file = {.size = 0};
    resattn_network *network = custom_define(c, own) ? custom_network(c, own) : NULL, *loaded = NULL;
    resattn_plan *plan = network == NULL ? NULL : resattn_plan_new(network, RESATTN_TRAINING, CUSTOM_BATCH, 12, 12);
    if (plan != NULL)
        resattn_plan_set_recomputation(plan, 1);
    resattn_session *session = plan == NULL ? NULL : resattn_session_new(plan), *inference = NULL;
    resattn_optimizer *sgd = session == NULL ? NULL : resattn_sgd_new(network, 0.1);
    resattn_plan_free(plan);
    plan = NULL;
    resattn_status status = sgd == NULL ? resattn_last_status() : custom_train(session, sgd, 0, 1);
    resattn_network *copy = status == RESATTN_OK ? resattn_network_copy(network) : NULL;
    if (status == RESATTN_OK)
        status = copy == NULL ? resattn_last_status() : resattn_network_save_stream(copy, 1, put, &file);
    resattn_network_unref(copy);
    if (status == RESATTN_OK && (loaded = resattn_network_load_stream(c, get, &file)) != NULL &&
        (plan = resattn_plan_new(loaded, RESATTN_INFERENCE, 1, 12, 12)) != NULL)
        inference = resattn_session_new(plan);
    if (status == RESATTN_OK && inference == NULL)
        status = resattn_last_status();
    resattn_session_free(inference);
    resattn_plan_free(plan);
    resattn_network_unref(loaded);
    resattn_optimizer_free(sgd);
    resattn_session_free(session);
    resattn_network_unref(network);
    return status;
}

START_TEST(every_allocation_fails)
{
    int fail_at = 0;
    resattn_status status;
    do {
        test_heap heap = {.fail_at = ++fail_at};
        custom_host own = {0};
        resattn_context *c = resattn_context_new_with_allocator(1, test_heap_alloc, test_heap_free, &heap);
        status = c == NULL ? resattn_last_status() : use_all(c, &own);
        resattn_context_unref(c);
        ck_assert_msg(status == RESATTN_OK || status == RESATTN_OUT_OF_MEMORY, "allocation %d: %s", fail_at,
                      resattn_last_error());
        ck_assert_msg(heap.blocks == 0 && own.instances == 0 && own.faults == 0,
                      "allocation %d: %d blocks, %d instances", fail_at, heap.blocks, own.instances);
        ck_assert(status == RESATTN_OUT_OF_MEMORY || heap.calls < fail_at);
    } while (status != RESATTN_OK);
    ck_assert_int_gt(fail_at, 200);
}
END_TEST

/* ---- training: averages, frozen parts, checkpoints ---- */

START_TEST(averages_and_frozen_parts)
{
    resattn_network *network = custom_network(context, &host);
    resattn_session *session = custom_session(network, RESATTN_TRAINING, CUSTOM_BATCH, CUSTOM_SIDE, false);
    resattn_optimizer *sgd = resattn_sgd_new(network, 0.1);
    resattn_ema *average = resattn_ema_new(network, 0.5);
    /* an attribute that is called as the batch norms' is the host's all the same; so is a layer without any */
    ck_assert_int_eq(resattn_optimizer_freeze(sgd, "swish1", 1), RESATTN_OK);
    ck_assert_int_eq(resattn_optimizer_freeze(sgd, "branch", 1), RESATTN_OK);
    int64_t frozen = 0;
    ck_assert_int_eq(resattn_layer_get_int(resattn_network_layer(network, "swish1"), "frozen", &frozen), RESATTN_OK);
    ck_assert_int_eq(frozen, 7);
    int32_t scale1 = resattn_network_find_parameter(network, "swish1.scale");
    int32_t scale3 = resattn_network_find_parameter(network, "swish3.scale");
    uint64_t before1 = custom_hash(resattn_network_parameter(network, scale1), 1);
    uint64_t before3 = custom_hash(resattn_network_parameter(network, scale3), 1);
    ck_assert_int_eq(custom_train(session, sgd, 0, 2), RESATTN_OK);
    ck_assert_int_eq(resattn_ema_update(average), RESATTN_OK);
    uint64_t after3 = custom_hash(resattn_network_parameter(network, scale3), 1);
    ck_assert(custom_hash(resattn_network_parameter(network, scale1), 1) == before1);
    ck_assert(after3 != before3);
    ck_assert_int_eq(resattn_ema_swap(average), RESATTN_OK);
    ck_assert(custom_hash(resattn_network_parameter(network, scale3), 1) != after3);
    ck_assert_int_eq(resattn_ema_swap(average), RESATTN_OK);
    resattn_ema_free(average);
    resattn_optimizer_free(sgd);
    resattn_session_free(session);
    resattn_network_unref(network);
}
END_TEST

/* Four steps, or two, a checkpoint, and two more in a network that was loaded from it. */
START_TEST(checkpoints)
{
    static sink file;
    resattn_network *network = custom_network(context, &host);
    resattn_session *session = custom_session(network, RESATTN_TRAINING, CUSTOM_BATCH, CUSTOM_SIDE, false);
    resattn_optimizer *adamw = resattn_adamw_new(network, 0.01);
    ck_assert_int_eq(custom_train(session, adamw, 0, 2), RESATTN_OK);
    ck_assert_int_eq(resattn_checkpoint_save_stream(adamw, NULL, 1, put, &file), RESATTN_OK);
    ck_assert_int_eq(custom_train(session, adamw, 2, 4), RESATTN_OK);
    uint64_t expected = custom_hash_network(network);
    resattn_optimizer_free(adamw);
    resattn_session_free(session);
    resattn_network_unref(network);
    network = resattn_network_load_stream(context, get, &file);
    ck_assert_msg(network != NULL, "%s", resattn_last_error());
    adamw = resattn_adamw_new(network, 0.5);
    file.at = 0;
    ck_assert_msg(resattn_checkpoint_restore_stream(adamw, NULL, get, &file) == RESATTN_OK, "%s", resattn_last_error());
    session = custom_session(network, RESATTN_TRAINING, CUSTOM_BATCH, CUSTOM_SIDE, true);
    ck_assert_int_eq(resattn_session_set_step_count(session, 2), RESATTN_OK);
    ck_assert_int_eq(custom_train(session, adamw, 2, 4), RESATTN_OK);
    ck_assert(custom_hash_network(network) == expected);
    resattn_optimizer_free(adamw);
    resattn_session_free(session);
    resattn_network_unref(network);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("custom failures");
    TCase *tests = tcase_create("custom failures");
    tcase_set_timeout(tests, 240);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, making_fails);
    tcase_add_test(tests, inference_fails);
    tcase_add_test(tests, training_fails);
    tcase_add_test(tests, numbers_out_of_range);
    tcase_add_test(tests, every_allocation_fails);
    tcase_add_test(tests, averages_and_frozen_parts);
    tcase_add_test(tests, checkpoints);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
