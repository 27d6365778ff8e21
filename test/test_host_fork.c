/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A host that forks: its children get an error where they would compute with the parent's threads, and may do what they
 * like with contexts of their own.
 */
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common.h"
#include "small.h"

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RACES_ARE_WATCHED
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define RACES_ARE_WATCHED
#endif

/* What the parent made. */
typedef struct family {
    resattn_network *network;
    resattn_plan *plan;
    resattn_session *session, *training;
    resattn_optimizer *sgd;
    resattn_tensor *input;
} family;

static family make_family(void)
{
    resattn_context *context = resattn_context_new(3);
    family f = {.network = small_network(context)};
    f.plan = resattn_plan_new(f.network, RESATTN_INFERENCE, SMALL_BATCH, SMALL_SIDE, SMALL_SIDE);
    f.session = resattn_session_new(f.plan);
    f.training = small_session(f.network, RESATTN_TRAINING, SMALL_BATCH, SMALL_SIDE, SMALL_SIDE);
    f.sgd = resattn_sgd_new(f.network, 0.1);
    f.input = small_input(context, SMALL_BATCH, SMALL_SIDE, SMALL_SIDE, 1);
    resattn_context_unref(context);
    const int32_t labels[SMALL_BATCH] = {1, 2, 3};
    ck_assert_int_eq(resattn_session_forward(f.training, f.input), RESATTN_OK);
    ck_assert_int_eq(resattn_softmax_cross_entropy(f.training, labels, SMALL_BATCH, NULL, NULL), RESATTN_OK);
    ck_assert_msg(resattn_session_forward(f.session, f.input) == RESATTN_OK, "%s", resattn_last_error());
    return f;
}

static void free_family(family *f)
{
    resattn_tensor_unref(f->input);
    resattn_optimizer_free(f->sgd);
    resattn_session_free(f->training);
    resattn_session_free(f->session);
    resattn_plan_free(f->plan);
    resattn_network_unref(f->network);
}

static bool is_refused(resattn_status status)
{
    return status == RESATTN_WRONG_STATE && resattn_last_status() == status &&
           strstr(resattn_last_error(), "another process") != NULL;
}

/* Runs `body` in a child process, and waits for it: it has a minute, and answers whether all was well. */
static void in_child(bool (*body)(void *argument), void *argument)
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        alarm(60);
        _exit(body(argument) ? 0 : 1);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the child ended with %#x", (unsigned)status);
}

static bool use_and_free(void *argument)
{
    family *f = argument;
    void *bytes = NULL;
    size_t size = 0;
    bool good = is_refused(resattn_session_forward(f->session, f->input)) &&
                is_refused(resattn_session_forward(f->training, f->input)) &&
                is_refused(resattn_session_backward(f->training)) && is_refused(resattn_optimizer_step(f->sgd)) &&
                is_refused(resattn_session_refresh(f->session)) && resattn_session_new(f->plan) == NULL &&
                is_refused(resattn_last_status());
    good = good && resattn_network_save_buffer(f->network, 1, &bytes, &size) == RESATTN_OK && size > 0;
    free_family(f);
    return good;
}

START_TEST(test_parents_context)
{
    family f = make_family();
    in_child(use_and_free, &f);
    ck_assert_int_eq(resattn_session_forward(f.session, f.input), RESATTN_OK);
    free_family(&f);
}
END_TEST

static bool run_alone(void *argument)
{
    results r = {0};
    resattn_context *context = resattn_context_new(3);
    bool good = small_run(context, SMALL_SIDE, NULL, &r) == RESATTN_OK && results_equal("a child", &r, argument);
    resattn_context_unref(context);
    results_free(&r);
    return good;
}

START_TEST(test_own_context)
{
    family f = make_family();
    results expected = {0};
    resattn_context *context = resattn_context_new(2);
    ck_assert_int_eq(small_run(context, SMALL_SIDE, NULL, &expected), RESATTN_OK);
    in_child(run_alone, &expected);
    resattn_context_unref(context);
    results_free(&expected);
    free_family(&f);
}
END_TEST

/* ---- while another thread computes ---- */

typedef struct busy {
    family *family;
    atomic_bool stop;
    atomic_int rounds;
} busy;

static void *keep_busy(void *argument)
{
    busy *self = argument;
    while (!atomic_load(&self->stop) &&
           resattn_session_forward(self->family->session, self->family->input) == RESATTN_OK)
        atomic_fetch_add(&self->rounds, 1);
    return NULL;
}

static bool use(void *argument)
{
    resattn_session *other = argument;
    resattn_tensor *input =
        small_input(resattn_network_context(resattn_session_network(other)), 1, SMALL_SIDE, SMALL_SIDE, 1);
    return is_refused(resattn_session_forward(other, input)) && is_refused(resattn_session_refresh(other));
}

START_TEST(test_busy_parent)
{
    family f = make_family();
    busy b = {.family = &f};
    resattn_session *other = resattn_session_new(f.plan);
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, keep_busy, &b), 0);
    while (atomic_load(&b.rounds) == 0)
        sched_yield();
    for (int i = 0; i < 20; i++)
        in_child(use, other);
    atomic_store(&b.stop, true);
    pthread_join(thread, NULL);
    ck_assert_int_eq(resattn_session_forward(f.session, f.input), RESATTN_OK);
    resattn_session_free(other);
    free_family(&f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("host_fork");
    TCase *tests = tcase_create("host_fork");
    tcase_set_timeout(tests, 120);
#if !defined(RACES_ARE_WATCHED) /* its own threads do not survive fork() either */
    tcase_add_test(tests, test_parents_context);
    tcase_add_test(tests, test_own_context);
    tcase_add_test(tests, test_busy_parent);
#else
    (void)test_parents_context, (void)test_own_context, (void)test_busy_parent;
#endif
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
