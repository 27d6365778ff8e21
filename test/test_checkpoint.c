/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Checkpoints: a training that was stopped goes on as if it had not been, to the bit; and what is refused.
 */
#include "checkpoint_common.h"

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
    ck_assert_int_eq(resattn_session_set_step_count(t.session, step), RESATTN_OK);
    return t;
}

/* The same at once. */
static training load_and_go_on(int32_t kind, const bytes *saved, int64_t step)
{
    training t = {.context = resattn_context_new(1), .average = (resattn_ema *)&t};
    ck_assert_msg(load_bytes(&t, saved->data, saved->size) == RESATTN_OK, "%s", resattn_last_error());
    ck_assert_str_eq(resattn_optimizer_kind(t.optimizer), kind & 1 ? "adamw" : "sgd");
    ck_assert_ptr_eq(resattn_optimizer_network(t.optimizer), t.network);
    ck_assert_int_eq(t.average != NULL, (kind & 2) != 0);
    ck_assert(!t.average || resattn_ema_network(t.average) == t.network);
    t.session = training_session(t.network);
    ck_assert_int_eq(resattn_session_set_step_count(t.session, step), RESATTN_OK);
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
        ck_assert_int_eq(resattn_ema_swap(t->average), RESATTN_OK);
        add_values(t, &all);
        ck_assert_int_eq(resattn_ema_swap(t->average), RESATTN_OK);
    }
    return all;
}

static void check_going_on(int32_t kind, int32_t before, int32_t after,
                           training (*begin)(int32_t kind, const bytes *saved, int64_t step))
{
    training t = new_training(kind);
    do_steps(&t, 0, before);
    bytes saved = checkpoint_of(&t);
    do_steps(&t, before, before + after);
    bytes expected = values_of(&t), expected_state = checkpoint_of(&t);
    double norm = resattn_optimizer_gradient_norm(t.optimizer);
    ck_assert_int_eq(resattn_session_step_count(t.session), before + after);
    free_training(&t);
    training again = begin(kind, &saved, before);
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
    for (int way = 0; way < 2; way++) {
        check_going_on(_i, 3, 4, way ? load_and_go_on : go_on);
        check_going_on(_i, 0, 2, way ? load_and_go_on : go_on); /* before the first step, with a norm that is NaN */
        check_going_on(_i, 2, 0, way ? load_and_go_on : go_on);
    }
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
        ck_assert_int_eq(resattn_session_step_count(again.session), step + 1);
        free(got.data);
        free_training(&again);
    }
    free(saved.data);
    free(expected.data);
}
END_TEST

/* As a file: restored from it, and the network loaded from it as any. What was there is replaced only by a whole one.
 */
START_TEST(files)
{
    char path[] = "/tmp/resattn-checkpoint-XXXXXX";
    int descriptor = mkstemp(path);
    ck_assert_int_ge(descriptor, 0);
    close(descriptor);
    training t = new_training(7), other = new_training(7);
    do_steps(&t, 0, 2);
    ck_assert_int_eq(resattn_checkpoint_save(t.optimizer, t.average, path, RESATTN_DEFAULT_LEVEL), RESATTN_OK);
    ck_assert_int_eq(resattn_checkpoint_save(t.optimizer, other.average, path, 6), RESATTN_INVALID_ARGUMENT);
    resattn_network *network = resattn_network_load(other.context, path);
    ck_assert_msg(network != NULL, "%s", resattn_last_error());
    training again = training_of(resattn_context_ref(other.context), network, 7);
    ck_assert_int_eq(resattn_checkpoint_restore(again.optimizer, again.average, path), RESATTN_OK);
    bytes a = checkpoint_of(&t), b = checkpoint_of(&again);
    expect_same(&a, &b);
    FILE *file = fopen(path, "r+b");
    ck_assert_int_eq(fseek(file, (long)a.size - 30, SEEK_SET), 0);
    fputc(a.data[a.size - 30] ^ 1, file);
    fclose(file);
    ck_assert_int_eq(resattn_checkpoint_restore(again.optimizer, again.average, path), RESATTN_BAD_FORMAT);
    test_expect_error(RESATTN_BAD_FORMAT, path);
    free(a.data);
    free(b.data);
    free_training(&again);
    free_training(&other);
    free_training(&t);
    unlink(path);
}
END_TEST

/* Through a file, memory and a callback; without what nobody asks for. */
START_TEST(all_forms)
{
    char path[] = "/tmp/resattn-checkpoint-XXXXXX";
    close(mkstemp(path));
    training t = new_training(7), again = {.context = t.context};
    do_steps(&t, 0, 2);
    bytes streamed = checkpoint_of(&t);
    void *whole;
    size_t size;
    ck_assert_int_eq(resattn_checkpoint_save_buffer(t.optimizer, t.average, 6, &whole, &size), RESATTN_OK);
    ck_assert_uint_eq(size, streamed.size);
    ck_assert_mem_eq(whole, streamed.data, size);
    ck_assert_int_eq(resattn_checkpoint_save(t.optimizer, t.average, path, 6), RESATTN_OK);
    do_step(&t, 2);
    ck_assert_int_eq(resattn_checkpoint_restore_buffer(t.optimizer, t.average, whole, size), RESATTN_OK);
    for (int form = 0; form < 3; form++) {
        streamed.at = 0;
        resattn_status status =
            form == 0   ? resattn_checkpoint_load(t.context, path, &again.network, &again.optimizer, &again.average)
            : form == 1 ? resattn_checkpoint_load_buffer(t.context, whole, size, &again.network, &again.optimizer,
                                                         &again.average)
                        : resattn_checkpoint_load_stream(t.context, get_bytes, &streamed, &again.network,
                                                         &again.optimizer, &again.average);
        ck_assert_msg(status == RESATTN_OK, "%s", resattn_last_error());
        bytes same = checkpoint_of(&again);
        expect_same(&same, &streamed);
        free(same.data);
        resattn_ema_free(again.average);
        resattn_optimizer_free(again.optimizer);
        resattn_network_unref(again.network);
    }
    for (int places = 0; places < 8; places++) {
        resattn_network *network = NULL;
        resattn_optimizer *optimizer = NULL;
        resattn_ema *average = NULL;
        ck_assert_int_eq(resattn_checkpoint_load_buffer(t.context, whole, size, places & 1 ? &network : NULL,
                                                        places & 2 ? &optimizer : NULL, places & 4 ? &average : NULL),
                         RESATTN_OK);
        ck_assert_int_eq(network != NULL, (places & 1) != 0);
        ck_assert_int_eq(optimizer != NULL, (places & 2) != 0);
        ck_assert_int_eq(average != NULL, (places & 4) != 0);
        resattn_network_unref(network);
        if (average)
            ck_assert_double_eq(resattn_ema_decay(average), 0.75);
        if (optimizer) /* its share keeps the network */
            ck_assert_str_eq(resattn_network_parameter_name(resattn_optimizer_network(optimizer), 0), "stem.weight");
        resattn_optimizer_free(optimizer);
        resattn_ema_free(average);
    }
    resattn_buffer_free(whole);
    free(streamed.data);
    free_training(&t);
    unlink(path);
}
END_TEST

/* Half precision is for models: a checkpoint keeps every bit, and what the network was told. */
START_TEST(storage_does_not_count)
{
    training t = new_training(3);
    do_steps(&t, 0, 2);
    ck_assert_int_eq(resattn_network_set_storage(t.network, RESATTN_BF16), RESATTN_OK);
    bytes saved = checkpoint_of(&t), values = values_of(&t);
    resattn_network *network = resattn_network_load_buffer(t.context, saved.data, saved.size);
    training again = training_of(resattn_context_ref(t.context), network, 3);
    ck_assert_int_eq(restore_bytes(&again, saved.data, saved.size), RESATTN_OK);
    bytes got = values_of(&again);
    expect_same(&got, &values);
    ck_assert_int_eq(resattn_network_storage(again.network), RESATTN_BF16);
    free(got.data);
    free(values.data);
    free(saved.data);
    free_training(&again);
    free_training(&t);
}
END_TEST

/* Factors by path keep the lengths of their paths: a shorter path still does not undo a longer one. */
START_TEST(paths_are_remembered)
{
    training t = new_training(4);
    bytes saved = checkpoint_of(&t);
    training again = go_on(4, &saved, 0);
    for (int i = 0; i < 2; i++) {
        training *one = i ? &again : &t;
        ck_assert_int_eq(resattn_optimizer_set_factor(one->optimizer, "", "rate", 0.25), RESATTN_OK);
        ck_assert_int_eq(resattn_optimizer_set_factor(one->optimizer, "bn", "rate", 3), RESATTN_OK);
        do_steps(one, 0, 2);
    }
    bytes a = checkpoint_of(&t), b = checkpoint_of(&again);
    expect_same(&a, &b);
    free(a.data);
    free(b.data);
    free(saved.data);
    free_training(&again);
    free_training(&t);
}
END_TEST

/* Refuses one allocation after the other, until all goes well. */
START_TEST(every_refused_allocation)
{
    training t = new_training(7);
    do_steps(&t, 0, 2);
    bytes saved = checkpoint_of(&t);
    free_training(&t);
    test_heap heap = {0};
    resattn_context *context = resattn_context_new_with_allocator(1, test_heap_alloc, test_heap_free, &heap);
    resattn_network *network = resattn_network_load_buffer(context, saved.data, saved.size);
    t = training_of(context, network, 7);
    bytes fresh = checkpoint_of(&t);
    for (int way = 0; way < 4; way++) {
        for (int i = 1;; i++) {
            int blocks = atomic_load(&heap.blocks);
            bytes out = {0};
            void *whole = NULL;
            size_t size;
            training loaded = {.context = resattn_context_ref(context)};
            heap.fail_at = atomic_load(&heap.calls) + i;
            resattn_status status =
                way == 0   ? resattn_checkpoint_save_stream(t.optimizer, t.average, 6, put_bytes, &out)
                : way == 1 ? restore_bytes(&t, saved.data, saved.size)
                : way == 2 ? resattn_checkpoint_save_buffer(t.optimizer, t.average, 6, &whole, &size)
                           : load_bytes(&loaded, saved.data, saved.size);
            heap.fail_at = 0;
            resattn_buffer_free(whole);
            ck_assert(status == RESATTN_OK || (!loaded.network && !loaded.optimizer && !loaded.average));
            free_training(&loaded);
            ck_assert_int_eq(atomic_load(&heap.blocks), blocks);
            free(out.data);
            if (status == RESATTN_OK)
                break;
            ck_assert_int_eq(status, RESATTN_OUT_OF_MEMORY);
            bytes still = checkpoint_of(&t);
            expect_same(&still, way < 2 ? &fresh : &saved);
            free(still.data);
        }
    }
    bytes restored = checkpoint_of(&t);
    expect_same(&restored, &saved);
    free(restored.data);
    free(fresh.data);
    free(saved.data);
    free_training(&t);
    ck_assert_int_eq(atomic_load(&heap.blocks), 0);
}
END_TEST

static Suite *checkpoint_suite(void)
{
    Suite *suite = suite_create("checkpoint");
    TCase *whole = tcase_create("whole");
    tcase_set_timeout(whole, 120);
    tcase_add_loop_test(whole, going_on_to_the_bit, 0, KINDS);
    tcase_add_test(whole, the_step_of_a_session_counts);
    tcase_add_test(whole, files);
    tcase_add_test(whole, all_forms);
    tcase_add_test(whole, storage_does_not_count);
    tcase_add_test(whole, paths_are_remembered);
    tcase_add_test(whole, every_refused_allocation);
    suite_add_tcase(suite, whole);
    return suite;
}

int main(void)
{
    return test_run(checkpoint_suite());
}
