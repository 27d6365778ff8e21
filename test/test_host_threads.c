/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A host with many threads: calls from eight at once, and threads whose stacks are small.
 */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common.h"
#include "small.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define STACK_FACTOR 8 /* their frames are larger */
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STACK_FACTOR 8
#endif
#ifndef STACK_FACTOR
#define STACK_FACTOR 1
#endif

enum { THREADS = 8, STACK_BYTES = (256 << 10) * STACK_FACTOR, PAINT = 0xA5 };

/* ---- eight threads ---- */

typedef struct caller {
    resattn_context *context; /* NULL: makes its own */
    const results *expected;
    bool good;
    char error[300];
} caller;

/* Everything from a context to an optimizer, and an error, whose message must be this thread's own. */
static void *call(void *argument)
{
    caller *self = argument;
    results r = {0};
    resattn_context *context = self->context ? resattn_context_ref(self->context) : resattn_context_new(2);
    resattn_builder *b = resattn_builder_new(context);
    char name[40], expected[80];
    snprintf(name, sizeof name, "no-network-%p", (void *)self);
    snprintf(expected, sizeof expected, "%s", name);
    bool named = resattn_model_new(b, name, 10) == NULL && strstr(resattn_last_error(), expected) != NULL;
    if (!named)
        snprintf(self->error, sizeof self->error, "another's error: %s", resattn_last_error());
    if (small_run(context, SMALL_SIDE, NULL, &r) != RESATTN_OK)
        snprintf(self->error, sizeof self->error, "%s", resattn_last_error());
    else
        self->good = named && strstr(resattn_last_error(), expected) != NULL &&
                     results_equal("one of eight threads", &r, self->expected);
    resattn_builder_free(b);
    resattn_context_unref(context);
    results_free(&r);
    return NULL;
}

/* 0: contexts of their own, 1: one for all. */
START_TEST(test_eight)
{
    results expected = {0};
    resattn_context *context = resattn_context_new(3);
    ck_assert_int_eq(small_run(context, SMALL_SIDE, NULL, &expected), RESATTN_OK);
    caller callers[THREADS];
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        callers[i] = (caller){.context = _i ? context : NULL, .expected = &expected};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, call, &callers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < THREADS; i++)
        ck_assert_msg(callers[i].good, "thread %d: %s", i, callers[i].error);
    results_free(&expected);
    resattn_context_unref(context);
}
END_TEST

/* ---- small stacks ---- */

typedef struct work {
    const char *model;
    int32_t side, batch;
    char folder[64];
    bool good;
} work;

static resattn_session *open_session(resattn_network *network, resattn_purpose purpose, const work *w)
{
    resattn_plan *plan = network ? resattn_plan_new(network, purpose, w->batch, w->side, w->side) : NULL;
    resattn_session *session = plan ? resattn_session_new(plan) : NULL;
    resattn_plan_free(plan);
    return session;
}

static bool train(resattn_network *network, const resattn_tensor *images, const work *w, const char *path)
{
    const int32_t labels[] = {1, 0, 3, 2};
    resattn_session *session = open_session(network, RESATTN_TRAINING, w);
    resattn_optimizer *optimizer = session ? resattn_adamw_new(network, 0.01) : NULL;
    bool good = optimizer && !resattn_session_forward(session, images) &&
                !resattn_softmax_cross_entropy(session, labels, w->batch, NULL, NULL) &&
                !resattn_session_backward(session) && !resattn_optimizer_step(optimizer) &&
                !resattn_checkpoint_save(optimizer, NULL, path, 1) &&
                !resattn_checkpoint_restore(optimizer, NULL, path);
    resattn_optimizer_free(optimizer);
    resattn_session_free(session);
    return good;
}

static bool infer(resattn_network *network, const resattn_tensor *images, const work *w)
{
    resattn_session *session = open_session(network, RESATTN_INFERENCE, w);
    bool good = session && !resattn_session_forward(session, images);
    resattn_session_free(session);
    return good;
}

static bool save_weights(resattn_network *network, const char *path)
{
    resattn_status status = resattn_network_save_weights(network, path, RESATTN_F16);
    if (status == RESATTN_OK)
        status = resattn_network_load_weights(network, path, NULL, RESATTN_WEIGHTS_STRICT, NULL);
    return status == RESATTN_OK || status == RESATTN_UNSUPPORTED; /* a build without JSON */
}

static bool work_through(resattn_context *context, const work *w)
{
    char path[100], state[100];
    snprintf(path, sizeof path, "%s/net", w->folder);
    snprintf(state, sizeof state, "%s/state", w->folder);
    resattn_tensor *images = small_input(context, w->batch, w->side, w->side, 1);
    resattn_builder *b = resattn_builder_new(context);
    resattn_network *network = resattn_network_new(b, resattn_model_new(b, w->model, 10), 3), *loaded = NULL;
    resattn_builder_free(b);
    bool good = network && train(network, images, w, state) && infer(network, images, w) &&
                !resattn_network_save(network, path, RESATTN_DEFAULT_LEVEL) &&
                (loaded = resattn_network_load(context, path)) && infer(loaded, images, w) &&
                save_weights(loaded, path);
    if (!good)
        printf("%s: %s\n", w->model, resattn_last_error());
    unlink(path);
    unlink(state);
    resattn_network_unref(loaded);
    resattn_network_unref(network);
    resattn_tensor_unref(images);
    return good;
}

/* The context too is made and freed on the small stack. */
static void *work_on_small_stack(void *argument)
{
    work *w = argument;
    resattn_context *context = resattn_context_new(2);
    w->good = context && work_through(context, w);
    resattn_context_unref(context);
    return NULL;
}

/* Runs on a stack of STACK_BYTES between pages that nobody may touch; returns how much of it was used. */
static size_t run_on_small_stack(void *(*body)(void *argument), void *argument)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    unsigned char *memory = mmap(NULL, STACK_BYTES + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(memory, MAP_FAILED);
    unsigned char *stack = memory + page;
    ck_assert_int_eq(mprotect(stack, STACK_BYTES, PROT_READ | PROT_WRITE), 0);
    memset(stack, PAINT, STACK_BYTES);
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    ck_assert_int_eq(pthread_attr_setstack(&attributes, stack, STACK_BYTES), 0);
    ck_assert_int_eq(pthread_create(&thread, &attributes, body, argument), 0);
    pthread_join(thread, NULL);
    pthread_attr_destroy(&attributes);
    size_t untouched = 0;
    while (untouched < STACK_BYTES && stack[untouched] == PAINT)
        untouched++;
    munmap(memory, STACK_BYTES + 2 * page);
    return STACK_BYTES - untouched;
}

START_TEST(test_small_stack)
{
    static const work works[] = {
        {.model = "attention-56-cifar", .side = 32, .batch = 2},
        {.model = "resnet-50", .side = 96, .batch = 2},
        {.model = "attentioninception-56", .side = 75, .batch = 2},
    };
    work w = works[_i];
    snprintf(w.folder, sizeof w.folder, "/tmp/resattn-host-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(w.folder));
    size_t used = run_on_small_stack(work_on_small_stack, &w);
    rmdir(w.folder);
    printf("%s: %zu bytes of stack\n", w.model, used);
    ck_assert(w.good);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("host_threads");
    TCase *tests = tcase_create("host_threads");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, test_eight, 0, 2);
    tcase_add_loop_test(tests, test_small_stack, 0, 3);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
