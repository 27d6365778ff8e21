/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sizes that a plan refuses: maps that do not fit each other, and results that are nothing or too large.
 */
#include "wrong.h"

static resattn_context *context;

static void set_up(void)
{
    context = resattn_context_new(1);
}

static void tear_down(void)
{
    resattn_context_unref(context);
}

/* A network of `root` for one channel refuses images of height x width. */
static void refuse(resattn_builder *b, resattn_layer *root, int32_t height, int32_t width, resattn_status expected,
                   const char *text)
{
    resattn_network *network = resattn_network_new_zeroed(b, root, 1);
    ck_assert_msg(network != NULL, "%s", resattn_last_error());
    NOTHING(expected, text, resattn_plan_new(network, RESATTN_INFERENCE, 1, height, width));
    resattn_network_unref(network);
    resattn_builder_free(b);
}

static resattn_layer *with(resattn_layer *layer, const char *attribute, int64_t value)
{
    ck_assert_msg(resattn_layer_set_int(layer, attribute, value) == RESATTN_OK, "%s", resattn_last_error());
    return layer;
}

START_TEST(convolutions)
{
    resattn_builder *b = resattn_builder_new(context);
    refuse(b, with(resattn_conv2d_new(b, "wide", 1, 1, 1, 0), "pad_right", 1 << 24), 1, 1, LARGE,
           "wide: the output's width is 16777217, expected at most 16777216");
    b = resattn_builder_new(context);
    refuse(b, with(resattn_conv2d_new(b, "tall", 1, 1, 1, 0), "pad_bottom", 1 << 24), 1, 1, LARGE,
           "tall: the output's height is 16777217, expected at most 16777216");
}
END_TEST

START_TEST(transposed_convolutions)
{
    resattn_builder *b = resattn_builder_new(context);
    refuse(b, with(resattn_conv_transpose2d_new(b, "up", 1, 2, 2, 0), "output_pad_h", 2), 3, 3, INVALID,
           "up: the output padding of the height is 2, expected less than the stride 2");
    b = resattn_builder_new(context);
    refuse(b, with(resattn_conv_transpose2d_new(b, "up", 1, 2, 2, 0), "output_pad_w", 3), 3, 3, INVALID,
           "up: the output padding of the width is 3, expected less than the stride 2");
    b = resattn_builder_new(context);
    refuse(b, resattn_conv_transpose2d_new(b, "none", 1, 3, 1, 2), 2, 2, MISMATCH,
           "none: the height is 2, which with kernel 3, stride 1 and padding 2 + 2 gives an output of 0");
    b = resattn_builder_new(context);
    refuse(b, with(resattn_conv_transpose2d_new(b, "wide", 1, 1, 1, 0), "stride_w", 1 << 24), 1, 3, LARGE,
           "wide: the output's width is 33554433, expected at most 16777216");
}
END_TEST

START_TEST(concatenations)
{
    resattn_builder *b = resattn_builder_new(context);
    resattn_layer *concat = resattn_concat_new(b, "both");
    resattn_layer_add(concat, resattn_identity_new(b, NULL));
    resattn_layer_add(concat, resattn_max_pool_new(b, NULL, 2, 2, 0));
    refuse(b, concat, 8, 6, MISMATCH, "both: input 2 of the concatenation has a map of 4x3, the first of 8x6");
    b = resattn_builder_new(context);
    concat = resattn_concat_new(b, "many");
    resattn_layer_add(concat, resattn_conv2d_new(b, "half", 1 << 23, 1, 1, 0));
    resattn_layer_add(concat, resattn_conv2d_new(b, "more", (1 << 23) + 1, 1, 1, 0));
    NOTHING(LARGE, "many: 16777217 channels together, expected at most 16777216", resattn_network_new(b, concat, 1));
    resattn_builder_free(b);
}
END_TEST

/* More bytes than a size can tell, from sizes that are each allowed. */
START_TEST(bytes)
{
    resattn_builder *b = resattn_builder_new(context);
    resattn_network *network = resattn_network_new_zeroed(b, resattn_conv2d_new(b, "many", 1 << 16, 1, 1, 0), 1);
    wrong_memory(network, 1 << 20);
    resattn_network_unref(network);
    resattn_builder_free(b);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("wrong size");
    TCase *tests = tcase_create("plans");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, convolutions);
    tcase_add_test(tests, transposed_convolutions);
    tcase_add_test(tests, concatenations);
    tcase_add_test(tests, bytes);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
