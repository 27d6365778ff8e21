/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Everything at once from one context: threads that make, run and free sessions, beside others that load, save, copy
 * and plan. The results are those of one thread, to the bit, and all memory is given back. And many runs one after the
 * other take no more memory than a few.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "fault_common.h"

enum { RUNNERS = 4, OTHERS = 3, ROUNDS = 12 };

/* Bytes that the C library's allocator may keep for itself; the address sanitizer keeps whatever is freed for long. */
#if defined(__SANITIZE_ADDRESS__)
enum { MOST_GROWTH = 1 << 30 };
#else
enum { MOST_GROWTH = 4 << 20 };
#endif

typedef struct storm {
    resattn_context *context;
    resattn_network *network;
    void *bytes;
    size_t size;
    uint64_t values, served;
    atomic_int wrong, messages;
} storm;

static void note(void *user, resattn_log_level level, const char *message)
{
    (void)level;
    (void)message;
    atomic_fetch_add(&((storm *)user)->messages, 1);
}

static void *run_sessions(void *user)
{
    storm *s = user;
    for (int round = 0; round < ROUNDS; round++) {
        resattn_tensor *input = fault_input(s->context, 5);
        resattn_session *session = fault_session(s->network, RESATTN_INFERENCE, 0);
        for (int run = 0; session != NULL && run < 3; run++)
            atomic_fetch_add(&s->wrong, fault_infer(session, input) != s->served);
        atomic_fetch_add(&s->wrong, session == NULL);
        resattn_session_free(session);
        resattn_tensor_unref(input);
    }
    return NULL;
}

/* A network of its own: probed, loaded, copied, trained, saved. */
static void *use_others(void *user)
{
    storm *s = user;
    for (int round = 0; round < ROUNDS; round++) {
        void *bytes = NULL;
        size_t size = 0;
        resattn_probe *probe = resattn_probe_new_buffer(s->context, s->bytes, s->size);
        atomic_fetch_add(&s->wrong, resattn_probe_format(probe) != RESATTN_FORMAT_BLOB ||
                                        resattn_probe_number(probe, RESATTN_PROBE_FILE_BYTES) != (int64_t)s->size);
        resattn_probe_free(probe);
        resattn_network *loaded = resattn_network_load_buffer(s->context, s->bytes, s->size);
        resattn_network *copy = resattn_network_copy(s->network);
        atomic_fetch_add(&s->wrong, loaded == NULL || copy == NULL || fault_hash_network(copy) != s->values);
        atomic_fetch_add(&s->wrong, resattn_network_save_buffer(loaded, 6, &bytes, &size) != RESATTN_OK ||
                                        size != s->size || memcmp(bytes, s->bytes, size) != 0);
        resattn_buffer_free(bytes);
        resattn_tensor *input = fault_input(s->context, 6);
        resattn_session *session = fault_session(copy, RESATTN_TRAINING, round % 2);
        resattn_optimizer *sgd = resattn_sgd_new(copy, 0.1);
        atomic_fetch_add(&s->wrong, fault_train(session, sgd, input) != RESATTN_OK);
        resattn_optimizer_free(sgd);
        resattn_session_free(session);
        resattn_tensor_unref(input);
        resattn_network_unref(copy);
        resattn_network_unref(loaded);
    }
    return NULL;
}

START_TEST(test_storm)
{
    test_heap heap = {0};
    storm s = {.context = resattn_context_new_with_allocator(_i, test_heap_alloc, test_heap_free, &heap)};
    ck_assert_int_eq(resattn_context_set_log(s.context, note, &s, RESATTN_LOG_INFO), RESATTN_OK);
    s.network = fault_network(s.context);
    resattn_context *alone = resattn_context_new(1);
    resattn_network *same = fault_network(alone);
    resattn_tensor *input = fault_input(alone, 5);
    resattn_session *session = fault_session(same, RESATTN_INFERENCE, 0);
    s.served = fault_infer(session, input);
    s.values = fault_hash_network(same);
    ck_assert_int_eq(resattn_network_save_buffer(same, 6, &s.bytes, &s.size), RESATTN_OK);
    pthread_t threads[RUNNERS + OTHERS];
    for (int i = 0; i < RUNNERS + OTHERS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, i < RUNNERS ? run_sessions : use_others, &s), 0);
    for (int i = 0; i < RUNNERS + OTHERS; i++)
        pthread_join(threads[i], NULL);
    ck_assert_int_eq(atomic_load(&s.wrong), 0);
    resattn_buffer_free(s.bytes);
    resattn_session_free(session);
    resattn_tensor_unref(input);
    resattn_network_unref(same);
    resattn_context_unref(alone);
    resattn_network_unref(s.network);
    resattn_context_unref(s.context);
    ck_assert_int_eq(atomic_load(&heap.blocks), 0);
}
END_TEST

/* Long or short: `inferences` and a fifth as many steps, with sessions made anew now and then. */
static int inferences = 500;

START_TEST(test_soak)
{
    test_heap heap = {0};
    resattn_context *context = resattn_context_new_with_allocator(2, test_heap_alloc, test_heap_free, &heap);
    resattn_network *network = fault_network(context), *trained = resattn_network_copy(network);
    resattn_tensor *input = fault_input(context, 5);
    resattn_session *training = fault_session(trained, RESATTN_TRAINING, 0);
    resattn_optimizer *adamw = resattn_adamw_new(trained, 0.001);
    resattn_session *session = fault_session(network, RESATTN_INFERENCE, 0);
    uint64_t expected = fault_infer(session, input);
    int blocks = atomic_load(&heap.blocks);
    int64_t resident = 0;
    for (int i = 1; i <= inferences; i++) {
        ck_assert(fault_infer(session, input) == expected);
        if (i % 5 == 0)
            ck_assert_int_eq(fault_train(training, adamw, input), RESATTN_OK);
        if (i % 100 == 0) {
            resattn_session_free(session);
            session = fault_session(network, RESATTN_INFERENCE, 0);
        }
        ck_assert_int_eq(atomic_load(&heap.blocks), blocks);
        if (i == inferences / 5)
            resident = fault_resident();
    }
    ck_assert_int_le(fault_resident() - resident, MOST_GROWTH);
    resattn_session_free(session);
    resattn_optimizer_free(adamw);
    resattn_session_free(training);
    resattn_tensor_unref(input);
    resattn_network_unref(trained);
    resattn_network_unref(network);
    resattn_context_unref(context);
    ck_assert_int_eq(atomic_load(&heap.blocks), 0);
}
END_TEST

int main(int argc, char **argv)
{
    Suite *suite = suite_create("fault storm");
    TCase *tests = tcase_create("storm");
    tcase_set_timeout(tests, 280);
    if (argc > 1 && strcmp(argv[1], "long") == 0)
        inferences = 10000;
    else
        tcase_add_loop_test(tests, test_storm, 1, 4);
    tcase_add_test(tests, test_soak);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
