/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Many threads on one network: each with a session of its own, of several sizes, while another makes and frees
 * sessions.
 */
#include <pthread.h>

#include "common.h"
#include "small.h"

enum { THREADS = 8, RUNS = 8 };

typedef struct caller {
    resattn_network *network;
    int32_t side, batch;
    resattn_session *session;
    resattn_tensor *input;
    results expected;
    int wrong;
} caller;

static resattn_session *plain_session(resattn_network *network, int32_t batch, int32_t side)
{
    resattn_plan *plan = resattn_plan_new(network, RESATTN_INFERENCE, batch, side, side);
    resattn_session *session = plan == NULL ? NULL : resattn_session_new(plan);
    resattn_plan_free(plan);
    return session;
}

static void *call(void *user)
{
    caller *c = user;
    for (int32_t i = 0; i < RUNS; i++) {
        results r = {0};
        if (resattn_session_forward(c->session, c->input) != RESATTN_OK ||
            results_add(&r, resattn_session_output(c->session, NULL)) != RESATTN_OK ||
            !results_equal("a thread of many", &r, &c->expected))
            c->wrong++;
        results_free(&r);
    }
    return NULL;
}

typedef struct maker {
    resattn_network *network;
    atomic_int stop;
    int wrong;
} maker;

/* Sizes that others have, and sizes that call for constants of their own. */
static void *make_and_free(void *user)
{
    maker *m = user;
    for (int32_t i = 0; !atomic_load(&m->stop); i++) {
        resattn_session *session = plain_session(m->network, 1 + i % 2, 16 + 8 * (i % 4));
        m->wrong += session == NULL;
        resattn_session_free(session);
    }
    return NULL;
}

START_TEST(test_many_threads)
{
    static const int32_t sides[] = {32, 24, 40};
    resattn_context *context = resattn_context_new(2);
    resattn_builder *b = resattn_builder_new(context);
    resattn_network *network = resattn_network_new(b, resattn_model_new(b, "attention-56-cifar", 10), 3);
    ck_assert_msg(network != NULL, "%s", resattn_last_error());
    caller callers[THREADS];
    pthread_t threads[THREADS], maker_thread;
    maker m = {.network = network};
    for (int32_t i = 0; i < THREADS; i++) {
        caller *c = &callers[i];
        *c = (caller){.network = network, .side = sides[i % 3], .batch = 1 + i % 2};
        c->session = plain_session(network, c->batch, c->side);
        ck_assert_msg(c->session != NULL, "%s", resattn_last_error());
        c->input = small_input(context, c->batch, c->side, c->side, (uint64_t)i);
        ck_assert_int_eq(resattn_session_forward(c->session, c->input), RESATTN_OK);
        ck_assert_int_eq(results_add(&c->expected, resattn_session_output(c->session, NULL)), RESATTN_OK);
    }
    ck_assert_int_eq(pthread_create(&maker_thread, NULL, make_and_free, &m), 0);
    for (int32_t i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, call, &callers[i]), 0);
    for (int32_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        ck_assert_int_eq(callers[i].wrong, 0);
    }
    atomic_store(&m.stop, 1);
    pthread_join(maker_thread, NULL);
    ck_assert_int_eq(m.wrong, 0);
    for (int32_t i = 0; i < THREADS; i++) {
        resattn_session_free(callers[i].session);
        resattn_tensor_unref(callers[i].input);
        results_free(&callers[i].expected);
    }
    resattn_network_unref(network);
    resattn_builder_free(b);
    resattn_context_unref(context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("inference threads");
    TCase *tests = tcase_create("inference threads");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, test_many_threads);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
