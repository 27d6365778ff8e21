/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Copies of networks: the same to the bit, and on their own from then on.
 */
#include <stdlib.h>
#include <string.h>

#include "blob_common.h"
#include "network/network.h"

/* Also what was changed after the network was made; and the copy outlives it. */
START_TEST(the_same)
{
    resattn_network *network = full_network(context);
    ck_assert_int_eq(resattn_network_set_storage(network, RESATTN_BF16), RESATTN_OK);
    ck_assert_int_eq(resattn_layer_set_real(resattn_network_layer(network, "drop"), "probability", 0.75), RESATTN_OK);
    ck_assert_int_eq(resattn_tensor_fill(resattn_network_parameter(network, 3), -0.0), RESATTN_OK);
    resattn_network *copy = resattn_network_copy(network);
    check_same(network, copy);
    ck_assert_int_eq(resattn_network_storage(copy), RESATTN_BF16);
    ck_assert_ptr_eq(resattn_network_context(copy), context);
    ck_assert_str_eq(resattn_attention_mask_name(resattn_network_attention(copy, 0)),
                     resattn_attention_mask_name(resattn_network_attention(network, 0)));
    void *bytes[2];
    size_t size[2];
    save(network, 6, &bytes[0], &size[0]);
    resattn_network_unref(network);
    save(copy, 6, &bytes[1], &size[1]);
    ck_assert_uint_eq(size[0], size[1]);
    ck_assert_mem_eq(bytes[0], bytes[1], size[0]);
    resattn_network *again = resattn_network_copy(copy); /* of a copy, too */
    check_same(copy, again);
    resattn_network_unref(again);
    resattn_network_unref(copy);
    for (int i = 0; i < 2; i++)
        resattn_buffer_free(bytes[i]);
}
END_TEST

static resattn_session *session_of(resattn_network *network, resattn_purpose purpose)
{
    resattn_plan *plan = resattn_plan_new(network, purpose, 2, 17, 19);
    resattn_session *session = resattn_session_new(plan);
    ck_assert_msg(session != NULL, "%s", resattn_last_error());
    resattn_plan_free(plan);
    return session;
}

/* A training step changes the copy only; what neither has to do with the other's sessions. */
START_TEST(on_its_own)
{
    const int32_t labels[2] = {0, 2};
    resattn_network *network = full_network(context), *kept = full_network(context);
    resattn_network *copy = resattn_network_copy(network);
    resattn_tensor *input =
        resattn_tensor_new(context, RESATTN_F32, 4, (int64_t[]){2, 2, 17, 19}, RESATTN_CHANNELS_LAST);
    ck_assert_int_eq(resattn_tensor_fill(input, 0.5), RESATTN_OK);
    resattn_session *serving = session_of(network, RESATTN_INFERENCE), *training = session_of(copy, RESATTN_TRAINING);
    resattn_optimizer *optimizer = resattn_sgd_new(copy, 0.5);
    ck_assert_int_eq(resattn_session_forward(training, input), RESATTN_OK);
    ck_assert_int_eq(resattn_softmax_cross_entropy(training, labels, 2, NULL, NULL), RESATTN_OK);
    ck_assert_int_eq(resattn_session_backward(training), RESATTN_OK);
    ck_assert(ra_network_take(copy, "a step")); /* the other one is not busy */
    ck_assert_int_eq(resattn_session_forward(serving, input), RESATTN_OK);
    ra_network_give(copy);
    ck_assert_int_eq(resattn_optimizer_step(optimizer), RESATTN_OK);
    ck_assert_int_eq(resattn_network_set_text(copy, "name", "other"), RESATTN_OK);
    check_same(kept, network);
    resattn_optimizer_free(optimizer);
    resattn_session_free(training);
    resattn_session_free(serving);
    resattn_tensor_unref(input);
    resattn_network_unref(copy);
    resattn_network_unref(kept);
    resattn_network_unref(network);
}
END_TEST

/* Parts that a copy must have room for: the deepest tree that there can be. */
START_TEST(deep)
{
    resattn_builder *b = resattn_builder_new(context);
    resattn_layer *root = resattn_linear_new(b, "fc", 3);
    for (int i = 1; i < 200; i++) {
        resattn_layer *around = resattn_sequential_new(b, NULL);
        resattn_layer_add(around, root);
        root = around;
    }
    resattn_network *network = resattn_network_new(b, root, 2);
    ck_assert_msg(network != NULL, "%s", resattn_last_error());
    resattn_builder_free(b);
    resattn_network *copy = resattn_network_copy(network);
    check_same(network, copy);
    resattn_network_unref(copy);
    resattn_network_unref(network);
}
END_TEST

START_TEST(refused)
{
    resattn_network *network = full_network(context);
    ck_assert(ra_network_take(network, "a step"));
    ck_assert_ptr_null(resattn_network_copy(network));
    test_expect_error(RESATTN_BUSY, "copying: the network is being trained");
    ra_network_give(network);
    ck_assert(ra_network_share(network, "a run"));
    resattn_network *copy = resattn_network_copy(network);
    check_same(network, copy);
    ra_network_unshare(network);
    resattn_session *session = session_of(network, RESATTN_INFERENCE);
    ck_assert_int_eq(resattn_network_seal(network), RESATTN_OK);
    ck_assert_ptr_null(resattn_network_copy(network));
    test_expect_error(RESATTN_WRONG_STATE, "copying: the network is sealed");
    ck_assert(ra_network_share(network, "a run")); /* nothing was left taken */
    ra_network_unshare(network);
    resattn_session_free(session);
    resattn_network_unref(copy);
    resattn_network_unref(network);
}
END_TEST

START_TEST(every_refused_allocation)
{
    test_heap heap = {0};
    resattn_context *counted = resattn_context_new_with_allocator(1, test_heap_alloc, test_heap_free, &heap);
    resattn_network *network = full_network(counted), *copy = NULL;
    for (int i = 1; !copy; i++) {
        int blocks = atomic_load(&heap.blocks);
        heap.fail_at = atomic_load(&heap.calls) + i;
        copy = resattn_network_copy(network);
        heap.fail_at = 0;
        if (!copy) {
            test_expect_error(RESATTN_OUT_OF_MEMORY, "");
            ck_assert_int_eq(atomic_load(&heap.blocks), blocks);
        }
    }
    check_same(network, copy);
    resattn_network_unref(copy);
    resattn_network_unref(network);
    resattn_context_unref(counted);
    ck_assert_int_eq(atomic_load(&heap.blocks), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("copy");
    TCase *tests = tcase_create("copy");
    tcase_add_checked_fixture(tests, blob_set_up, blob_tear_down);
    tcase_add_test(tests, the_same);
    tcase_add_test(tests, on_its_own);
    tcase_add_test(tests, deep);
    tcase_add_test(tests, refused);
    tcase_add_test(tests, every_refused_allocation);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
