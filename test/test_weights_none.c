/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Weights in a build without a JSON library: the functions are there, and say so.
 */
#include <stdlib.h>

#include "weights_common.h"

START_TEST(unsupported)
{
    resattn_network *network = full_network(context);
    resattn_weights_report *report = (resattn_weights_report *)network;
    float *kept = keep_values(network);
    ck_assert_int_eq(resattn_network_save_weights(network, "new", RESATTN_F32), RESATTN_UNSUPPORTED);
    test_expect_error(RESATTN_UNSUPPORTED, "new: this build of the library has no JSON library");
    ck_assert_int_eq(files_here(), 0);
    ck_assert_int_eq(resattn_network_load_weights(network, "new", NULL, 0, &report), RESATTN_UNSUPPORTED);
    ck_assert_ptr_null(report);
    ck_assert_int_eq(resattn_network_load_weights(network, "new", NULL, 4, NULL), RESATTN_INVALID_ARGUMENT);
    ck_assert_int_eq(resattn_network_save_weights(network, "new", (resattn_dtype)9), RESATTN_INVALID_ARGUMENT);
    void *bytes = NULL;
    size_t size = 0;
    ck_assert_int_eq(resattn_network_save_weights_buffer(network, RESATTN_F32, &bytes, &size), RESATTN_UNSUPPORTED);
    ck_assert_int_eq(resattn_network_save_weights_stream(network, RESATTN_F32, put, NULL), RESATTN_UNSUPPORTED);
    report = (resattn_weights_report *)network;
    ck_assert_int_eq(resattn_network_load_weights_buffer(network, &size, sizeof size, NULL, 0, &report),
                     RESATTN_UNSUPPORTED);
    test_expect_error(RESATTN_UNSUPPORTED, "this build of the library has no JSON library");
    ck_assert(!report && !bytes && size == 0);
    check_kept(network, kept);
    free(kept);
    resattn_network_unref(network);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("no weights");
    TCase *tests = tcase_create("no weights");
    tcase_add_checked_fixture(tests, weights_set_up, weights_tear_down);
    tcase_add_test(tests, unsupported);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
