/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory: running allocates nothing, everything is given back, and a failure at any allocation is an error and nothing
 * worse.
 */
#define _GNU_SOURCE /* dladdr() */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common.h"
#include "small.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SANITIZED
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED
#endif

/* ---- every allocator of the C library, counted by who calls it ---- */

#if defined(__GLIBC__) && !defined(SANITIZED)
#define COUNTED

static atomic_int counting;
static atomic_long calls;  /* of the library */
static atomic_long living; /* blocks that others took while it ran, and have not given back */

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *memory);
void *memalign(size_t alignment, size_t size);

/* `more` blocks for the code at an address. BLIS's variants with threads take some memory for every product and give it
 * back, which the library cannot keep them from. */
static void count_call(const void *caller, long more)
{
    Dl_info object;
    if (!atomic_load(&counting))
        return;
    if (dladdr(caller, &object) != 0 && strstr(object.dli_fname, "libresattn") != NULL)
        atomic_fetch_add(&calls, 1);
    else
        atomic_fetch_add(&living, more);
}

TEST_INTERPOSED void *malloc(size_t size)
{
    count_call(__builtin_return_address(0), 1);
    return __libc_malloc(size);
}

TEST_INTERPOSED void *calloc(size_t count, size_t size)
{
    count_call(__builtin_return_address(0), 1);
    return __libc_calloc(count, size);
}

TEST_INTERPOSED void *realloc(void *memory, size_t size)
{
    count_call(__builtin_return_address(0), memory == NULL);
    return __libc_realloc(memory, size);
}

TEST_INTERPOSED void free(void *memory)
{
    if (memory != NULL)
        count_call(__builtin_return_address(0), -1);
    __libc_free(memory);
}

TEST_INTERPOSED void *memalign(size_t alignment, size_t size)
{
    count_call(__builtin_return_address(0), 1);
    return __libc_memalign(alignment, size);
}

TEST_INTERPOSED void *aligned_alloc(size_t alignment, size_t size)
{
    count_call(__builtin_return_address(0), 1);
    return __libc_memalign(alignment, size);
}

TEST_INTERPOSED int posix_memalign(void **memory, size_t alignment, size_t size)
{
    count_call(__builtin_return_address(0), 1);
    void *given = __libc_memalign(alignment, size);
    if (given == NULL)
        return ENOMEM;
    *memory = given;
    return 0;
}

START_TEST(test_runs_allocate_nothing)
{
    const int32_t labels[SMALL_BATCH] = {1, 2, 3};
    resattn_context *context = resattn_context_new(_i);
    resattn_network *network = small_network(context);
    resattn_tensor *input = small_input(context, SMALL_BATCH, SMALL_SIDE, SMALL_SIDE, 1);
    int64_t shape[4] = {SMALL_BATCH, 3, SMALL_SIDE, SMALL_SIDE};
    resattn_tensor *planar = resattn_tensor_new(context, RESATTN_F32, 4, shape, RESATTN_CHANNELS_FIRST);
    resattn_session *training = small_session(network, RESATTN_TRAINING, SMALL_BATCH, SMALL_SIDE, SMALL_SIDE);
    resattn_session *inference = small_session(network, RESATTN_INFERENCE, SMALL_BATCH, SMALL_SIDE, SMALL_SIDE);
    resattn_optimizer *sgd = resattn_sgd_new(network, 0.01), *adamw = resattn_adamw_new(network, 0.001);
    resattn_ema *average = resattn_ema_new(network, 0.9);
    resattn_cross_entropy *loss = resattn_cross_entropy_new(context);
    resattn_status status = resattn_optimizer_set_real(sgd, "clip_norm", 0.1);
    for (int32_t i = 0; i < 12; i++) {
        if (i == 2) /* the runs before warmed everything up */
            atomic_store(&counting, 1);
        status |= resattn_session_forward(inference, i % 2 ? planar : input);
        status |= resattn_session_output(inference, "attention1.mask") == NULL;
        status |= resattn_session_forward(training, i % 2 ? planar : input);
        status |= resattn_softmax_cross_entropy(training, labels, SMALL_BATCH, NULL, NULL);
        status |= resattn_session_backward(training);
        status |= resattn_optimizer_step(sgd);
        status |= resattn_session_forward(training, i % 2 ? planar : input);
        status |= resattn_cross_entropy_apply(loss, training, NULL, labels, SMALL_BATCH, NULL, NULL);
        status |= resattn_session_backward(training);
        status |= resattn_optimizer_set_factor(adamw, "head.fc", "rate", i % 2);
        status |= resattn_optimizer_step(adamw);
        status |= resattn_ema_update(average);
        status |= resattn_ema_swap(average);
        status |= resattn_ema_swap(average);
    }
    atomic_store(&counting, 0);
    ck_assert_int_eq(status, RESATTN_OK);
    ck_assert_msg(atomic_load(&calls) == 0, "%ld calls of the allocator in ten runs", atomic_load(&calls));
    ck_assert_msg(atomic_load(&living) == 0, "%ld blocks of BLIS's are left of ten runs", atomic_load(&living));
    atomic_store(&counting, 1); /* the library's are counted */
    resattn_tensor_unref(resattn_tensor_view(input, NULL, (int64_t[4]){1, 1, 1, 1}));
    atomic_store(&counting, 0);
    ck_assert_int_ge(atomic_load(&calls), 2);
    resattn_cross_entropy_free(loss);
    resattn_ema_free(average);
    resattn_optimizer_free(adamw);
    resattn_optimizer_free(sgd);
    resattn_session_free(training);
    resattn_session_free(inference);
    resattn_tensor_unref(planar);
    resattn_tensor_unref(input);
    resattn_network_unref(network);
    resattn_context_unref(context);
}
END_TEST
#endif

/* ---- the host's allocator ---- */

typedef struct host {
    int64_t given, living, bytes; /* how many, how many are not taken back yet, the bytes of these */
    int64_t fails_from, fails_until;
    pthread_t thread;
    int foreign; /* calls from other threads than the one that calls the library */
} host;

typedef union header {
    size_t size;
    max_align_t align;
} header;

static void *give(void *user, size_t size)
{
    host *h = user;
    h->foreign += !pthread_equal(h->thread, pthread_self());
    if (h->given >= h->fails_from && h->given < h->fails_until) {
        h->given++;
        return NULL;
    }
    h->given++;
    header *memory = malloc(sizeof *memory + size);
    if (memory == NULL)
        return NULL;
    memory->size = size;
    memset(memory + 1, 0xff, size); /* NaN for whoever reads before writing */
    h->living++;
    h->bytes += (int64_t)size;
    return memory + 1;
}

static void take(void *user, void *memory)
{
    host *h = user;
    header *begin = (header *)memory - 1;
    h->foreign += !pthread_equal(h->thread, pthread_self());
    h->living--;
    h->bytes -= (int64_t)begin->size;
    memset(memory, 0xff, begin->size);
    free(begin);
}

static host new_host(void)
{
    return (host){.fails_from = INT64_MAX, .fails_until = INT64_MAX, .thread = pthread_self()};
}

/* A plan that makes values once more in backward. */
static resattn_status plan_recomputed(resattn_network *network, int32_t side)
{
    resattn_plan *plan = resattn_plan_new(network, RESATTN_TRAINING, SMALL_BATCH, side, side);
    resattn_status status = plan == NULL ? resattn_last_status() : resattn_plan_set_recomputation(plan, 1);
    if (status == RESATTN_OK && resattn_plan_memory(plan) < 0)
        status = resattn_last_status();
    resattn_plan_free(plan);
    return status;
}

/* Everything that a program does with a network. */
static resattn_status use_all(resattn_context *context, int32_t side, results *r)
{
    void *bytes = NULL;
    size_t size = 0;
    resattn_status status = small_run(context, side, NULL, r);
    if (status != RESATTN_OK)
        return status;
    resattn_network *network = small_network(context), *loaded = NULL;
    if (network == NULL || resattn_network_set_text(network, "name", "small") != RESATTN_OK ||
        resattn_network_save_buffer(network, 1, &bytes, &size) != RESATTN_OK ||
        (loaded = resattn_network_load_buffer(context, bytes, size)) == NULL ||
        plan_recomputed(loaded, side) != RESATTN_OK)
        status = resattn_last_status();
    resattn_buffer_free(bytes);
    resattn_network_unref(loaded);
    resattn_network_unref(network);
    return status;
}

START_TEST(test_balance)
{
    host h = new_host();
    results r = {0}, expected = {0};
    resattn_context *plain = resattn_context_new(2);
    ck_assert_int_eq(use_all(plain, SMALL_SIDE, &expected), RESATTN_OK);
    resattn_context_unref(plain);
    resattn_context *context = resattn_context_new_with_allocator(2, give, take, &h);
    ck_assert_msg(use_all(context, SMALL_SIDE, &r) == RESATTN_OK, "%s", resattn_last_error());
    ck_assert(results_equal("memory that is not zero at first", &r, &expected));
    resattn_context_unref(context);
    ck_assert_int_gt(h.given, 100);
    ck_assert_int_eq(h.living, 0);
    ck_assert_int_eq(h.bytes, 0);
    ck_assert_int_eq(h.foreign, 0);
    results_free(&r);
    results_free(&expected);
}
END_TEST

/* The plan tells before what a session takes. */
START_TEST(test_plan_memory)
{
    host h = new_host();
    resattn_context *context = resattn_context_new_with_allocator(2, give, take, &h);
    resattn_network *network = small_network(context);
    for (int32_t purpose = RESATTN_INFERENCE; purpose <= RESATTN_TRAINING; purpose++) {
        resattn_plan *plan = resattn_plan_new(network, (resattn_purpose)purpose, SMALL_BATCH, SMALL_SIDE, SMALL_SIDE);
        int64_t expected = resattn_plan_memory(plan);
        ck_assert_int_gt(expected, 0);
        int64_t before = h.bytes;
        resattn_session *session = resattn_session_new(plan);
        ck_assert_msg(session != NULL, "%s", resattn_last_error());
        /* beside it: gradients or the copy of the parameters, and the objects themselves */
        int64_t parameters = resattn_network_trainable_values(network) * (int64_t)sizeof(float);
        ck_assert_int_ge(h.bytes - before, expected);
        ck_assert_int_le(h.bytes - before, expected + 2 * parameters + (1 << 18));
        resattn_session_free(session);
        resattn_plan_free(plan);
    }
    resattn_network_unref(network);
    resattn_context_unref(context);
    ck_assert_int_eq(h.living, 0);
}
END_TEST

/* The allocation number `first` and `count - 1` more fail. Whether the whole succeeded. */
static int use_with_failures(int64_t first, int64_t count)
{
    host h = new_host();
    h.fails_from = first;
    h.fails_until = first + count;
    results r = {0};
    resattn_context *context = resattn_context_new_with_allocator(1, give, take, &h);
    resattn_status status = context == NULL ? resattn_last_status() : use_all(context, 9, &r);
    resattn_context_unref(context);
    results_free(&r);
    ck_assert_msg(h.living == 0, "allocation %lld failed: %lld blocks leak", (long long)first, (long long)h.living);
    ck_assert_msg(status == RESATTN_OK || status == RESATTN_OUT_OF_MEMORY, "allocation %lld failed: %s",
                  (long long)first, resattn_last_error());
    if (h.given > first)
        ck_assert_msg(status == RESATTN_OUT_OF_MEMORY, "allocation %lld failed, but not the call", (long long)first);
    return h.given <= first;
}

/* Every single allocation, and every fifth one with all that follow; under a sanitizer, which is slow, some of them. */
START_TEST(test_out_of_memory)
{
#if defined(SANITIZED)
    int64_t step = 23;
#else
    int64_t step = _i ? 5 : 1;
#endif
    int64_t first = (int64_t)(test_random() % (uint64_t)step);
    while (!use_with_failures(first, _i ? INT64_MAX / 2 : 1))
        first += step;
    ck_assert_int_gt(first, 100);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("memory");
    TCase *tests = tcase_create("memory");
    tcase_set_timeout(tests, 240);
#if defined(COUNTED)
    tcase_add_loop_test(tests, test_runs_allocate_nothing, 1, 4);
#endif
    tcase_add_test(tests, test_balance);
    tcase_add_test(tests, test_plan_memory);
    tcase_add_loop_test(tests, test_out_of_memory, 0, 2);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
