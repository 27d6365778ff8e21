/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is wrong because of the other layers of a tree, and builders that remember it.
 */
#include <limits.h>
#include <string.h>

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

static resattn_layer *used_twice(resattn_builder *b)
{
    resattn_layer *layer = conv(b, "twice", 3);
    return sequence(b, "net", layer, layer);
}

static resattn_layer *inside_itself(resattn_builder *b)
{
    resattn_layer *outer = resattn_sequential_new(b, "outer"), *inner = resattn_sequential_new(b, "inner");
    resattn_layer_add(outer, inner);
    resattn_layer_add(inner, outer);
    return outer;
}

static resattn_layer *in_use(resattn_builder *b)
{
    resattn_layer *inner = conv(b, "inner", 3);
    sequence(b, "outer", inner, conv(b, "other", 3));
    return inner;
}

static resattn_layer *branch_twice(resattn_builder *b)
{
    resattn_attention *module = resattn_attention_new(b, "module");
    resattn_attention_set_trunk(module, conv(b, "x", 3));
    resattn_attention_set_trunk(module, conv(b, "y", 3));
    return resattn_attention_layer(module);
}

static resattn_layer *of_another(resattn_builder *b)
{
    resattn_builder *other = resattn_builder_new(context);
    resattn_layer *net = sequence(b, "net", conv(b, "a", 3), conv(other, "stranger", 3));
    resattn_builder_free(other);
    return net;
}

static resattn_layer *added_to_leaf(resattn_builder *b)
{
    resattn_layer *leaf = resattn_relu_new(b, "leaf");
    resattn_layer_add(leaf, resattn_relu_new(b, "other"));
    return leaf;
}

static resattn_layer *added_to_residual(resattn_builder *b)
{
    resattn_layer *unit = resattn_residual_new(b, "unit", conv(b, "x", 3), NULL);
    resattn_layer_add(unit, resattn_relu_new(b, "other"));
    return unit;
}

static resattn_layer *grouped(resattn_builder *b, int32_t out, int32_t groups)
{
    resattn_layer *layer = conv(b, "c", out);
    resattn_layer_set_int(layer, "groups", groups);
    return layer;
}

static resattn_layer *with_path(resattn_layer *layer, const char *path)
{
    resattn_layer_set_path(layer, path);
    return layer;
}

START_TEST(test_trees)
{
    UNBUILDABLE(INVALID, "NULL", 3, (resattn_layer *)NULL);
    UNBUILDABLE(INVALID, "0 input channels", 0, conv(b, "c", 3));
    UNBUILDABLE(INVALID, "-4 input channels", -4, conv(b, "c", 3));
    UNBUILDABLE(INVALID, "2147483647 input channels", INT_MAX, conv(b, "c", 3));
    UNBUILDABLE(RESATTN_DUPLICATE, "net: twice", 3, used_twice(b));
    UNBUILDABLE(RESATTN_DUPLICATE, "inner: outer", 3, inside_itself(b));
    UNBUILDABLE(INVALID, "inner", 3, in_use(b));
    UNBUILDABLE(RESATTN_DUPLICATE, "module: the trunk", 3, branch_twice(b));
    UNBUILDABLE(INVALID, "net: stranger", 3, of_another(b));
    UNBUILDABLE(INVALID, "leaf", 3, added_to_leaf(b));
    UNBUILDABLE(INVALID, "unit", 3, added_to_residual(b));
    UNBUILDABLE(INVALID, "net: child 2 is NULL", 3, sequence(b, "net", conv(b, "a", 3), NULL));
    UNBUILDABLE(RESATTN_DUPLICATE, "net.same", 3, sequence(b, "net", conv(b, "same", 3), conv(b, "same", 3)));
    UNBUILDABLE(RESATTN_DUPLICATE, "net.r", 3, sequence(b, "net", resattn_relu_new(b, "r"), resattn_relu_new(b, "r")));
    UNBUILDABLE(RESATTN_DUPLICATE, "net.a", 3,
                sequence(b, "net", conv(b, "a", 3), with_path(conv(b, "x", 3), "net.a")));
    UNBUILDABLE(INVALID, "net", 3, resattn_sequential_new(b, "net"));
    UNBUILDABLE(INVALID, "empty", 3, sequence(b, NULL, conv(b, "a", 3), resattn_sum_new(b, "empty")));
    UNBUILDABLE(INVALID, "net.empty", 3, sequence(b, "net", conv(b, "a", 3), resattn_concat_new(b, "empty")));
    UNBUILDABLE(INVALID, "module", 3, attention(b, "module", NULL, NULL));
    UNBUILDABLE(INVALID, "module", 3, attention(b, "module", conv(b, "x", 3), NULL));
    UNBUILDABLE(INVALID, "module", 3, attention(b, "module", NULL, conv(b, "x", 3)));
    UNBUILDABLE(INVALID, "unit", 3, resattn_residual_new(b, "unit", NULL, conv(b, "x", 3)));
}
END_TEST

static resattn_layer *down_up(resattn_builder *b, resattn_layer *up)
{
    return resattn_down_up_new(b, "du", resattn_max_pool_new(b, "down", 2, 2, 0), resattn_identity_new(b, "in"), up);
}

START_TEST(test_channels)
{
    UNBUILDABLE(MISMATCH, "s2.module: the mask has 4 channels, the trunk gives 8", 3,
                sequence(b, "s2", conv(b, "c", 5), attention(b, "module", conv(b, "t", 8), conv(b, "m", 4))));
    UNBUILDABLE(MISMATCH, "unit", 3, resattn_residual_new(b, "unit", conv(b, "x", 4), NULL));
    UNBUILDABLE(MISMATCH, "unit", 3, resattn_residual_new(b, "unit", conv(b, "x", 4), conv(b, "y", 5)));
    UNBUILDABLE(MISMATCH, "c", 3, grouped(b, 4, 2));
    UNBUILDABLE(MISMATCH, "c", 4, grouped(b, 3, 2));
    UNBUILDABLE(MISMATCH, "s", 8, resattn_subsample_new(b, "s", 4, 2));
    UNBUILDABLE(INVALID, "p: pad_top is 2, expected less than kernel_h", 3, resattn_max_pool_new(b, "p", 2, 2, 2));
    UNBUILDABLE(INVALID, "du", 3, down_up(b, resattn_relu_new(b, "up")));
    UNBUILDABLE(INVALID, "up", 3, down_up(b, resattn_bilinear_resize_new(b, "up", 7, 7)));
    UNBUILDABLE(RESATTN_OUT_OF_MEMORY, "bytes", 1 << 24, conv(b, "c", 1 << 24)); /* 2^50 of them */
    UNBUILDABLE(LARGE, "c", 1 << 24, resattn_conv2d_new(b, "c", 1 << 24, 1 << 24, 1, 0));
}
END_TEST

/* A container's message about its children is cut between characters, wherever a name's end lies. */
START_TEST(test_long_names)
{
    for (size_t shift = 0; shift < 2; shift++) {
        char name[601] = "x";
        for (size_t used = shift; used + 2 < sizeof name; used += 2)
            memcpy(name + used, "\xC3\xA9", 3);
        resattn_builder *b = resattn_builder_new(context);
        resattn_layer *sum = resattn_sum_new(b, NULL);
        resattn_layer_add(sum, conv(b, "first", 4));
        resattn_layer_add(sum, conv(b, name, 5));
        NOTHING(MISMATCH, "sum: ", resattn_network_new(b, sum, 3));
        ck_assert(test_is_utf8(resattn_last_error()));
        resattn_builder_free(b);
    }
}
END_TEST

/* The first error is kept, later calls do nothing, and nothing leaks. */
START_TEST(test_builder_remembers)
{
    resattn_builder *b = resattn_builder_new(context);
    ck_assert_int_eq(resattn_builder_status(b), RESATTN_OK);
    ck_assert_str_eq(resattn_builder_error(b), "");
    resattn_layer *net = resattn_sequential_new(b, "net"), *before = conv(b, "before", 4);
    ck_assert_int_eq(resattn_layer_add(net, before), RESATTN_OK);
    NOTHING(INVALID, "first: stride_h is -2", resattn_conv2d_new(b, "first", 4, 3, -2, 1));
    NOTHING(INVALID, "first", conv(b, "later", 4));
    NOTHING(INVALID, "first", resattn_conv2d_new(b, "second", 4, -3, 1, 1));
    ck_assert_int_ne(resattn_layer_add(net, NULL), RESATTN_OK);
    ck_assert_int_ne(resattn_layer_set_int(before, "colour", 1), RESATTN_OK);
    ck_assert_int_eq(resattn_builder_status(b), INVALID);
    ck_assert_ptr_nonnull(strstr(resattn_builder_error(b), "first: stride_h is -2"));
    NOTHING(INVALID, "first: stride_h is -2", resattn_network_new(b, net, 3));
    ck_assert_int_eq(resattn_layer_child_count(net), 1);
    resattn_builder_free(b);
}
END_TEST

/* A network that could not be made leaves the layers as they were: corrected, they make one. */
START_TEST(test_builder_after_failure)
{
    resattn_builder *b = resattn_builder_new(context), *other = resattn_builder_new(context);
    resattn_layer *net = sequence(b, "net", grouped(b, 4, 4), conv(b, "a", 4));
    NOTHING(INVALID, "0 input channels", resattn_network_new(b, net, 0));
    NOTHING(INVALID, "builder", resattn_network_new(other, net, 4));
    NOTHING(INVALID, "inside", resattn_network_new(b, resattn_layer_child(net, 1), 4));
    NOTHING(MISMATCH, "net.c", resattn_network_new(b, net, 3));
    ck_assert_ptr_null(resattn_layer_path(net));
    ck_assert_int_eq(resattn_builder_status(b), RESATTN_OK);
    resattn_network *made = resattn_network_new(b, net, 4);
    ck_assert_msg(made != NULL, "%s", resattn_last_error());
    NOTHING(INVALID, "net", resattn_network_new(b, net, 3));
    ck_assert_int_eq(resattn_layer_add(net, resattn_relu_new(b, NULL)), STATE);
    resattn_builder_free(b);
    resattn_builder_free(other);
    ck_assert_str_eq(resattn_layer_path(resattn_layer_child(net, 1)), "net.a");
    resattn_network_unref(made);
}
END_TEST

/* The order of a container's children is the one that the headers tell, whichever was given first. */
START_TEST(test_order_of_children)
{
    resattn_builder *b = resattn_builder_new(context);
    resattn_layer *x = conv(b, "x", 3), *y = conv(b, "y", 3), *mask = conv(b, "mask", 3), *trunk = conv(b, "trunk", 3);
    resattn_layer *down = resattn_max_pool_new(b, "down", 2, 2, 0), *inner = conv(b, "inner", 3);
    resattn_layer *up = resattn_bilinear_resize_new(b, "up", 0, 0);
    resattn_layer *residual = resattn_residual_new(b, "residual", x, y);
    resattn_layer *hourglass = resattn_down_up_new(b, "hourglass", down, inner, up);
    resattn_attention *module = resattn_attention_new(b, "module");
    ck_assert_int_eq(resattn_attention_set_mask(module, mask), RESATTN_OK);
    ck_assert_int_eq(resattn_attention_set_trunk(module, trunk), RESATTN_OK);
    resattn_layer *const children[] = {x, y, down, inner, up, trunk, mask};
    resattn_layer *const containers[] = {residual, hourglass, resattn_attention_layer(module)};
    for (int32_t i = 0, k = 0; i < 3; i++)
        for (int32_t j = 0; j < resattn_layer_child_count(containers[i]); j++)
            ck_assert_ptr_eq(resattn_layer_child(containers[i], j), children[k++]);
    ck_assert_int_eq(resattn_layer_child_count(residual), 2);
    ck_assert_int_eq(resattn_layer_child_count(hourglass), 3);
    resattn_builder_free(b);
}
END_TEST

START_TEST(test_attributes)
{
    int64_t value = 77;
    double real = 77;
    resattn_builder *b = resattn_builder_new(context);
    resattn_layer *bn = resattn_batch_norm_new(b, "bn"), *drop = resattn_dropout_new(b, "drop", 0.5);
    resattn_layer *net = sequence(b, "net", bn, drop);
    REFUSED(ABSENT, "colour", resattn_layer_get_int(bn, "colour", &value));
    REFUSED(INVALID, "epsilon", resattn_layer_get_int(bn, "epsilon", &value));
    REFUSED(INVALID, "frozen", resattn_layer_get_real(bn, "frozen", &real));
    REFUSED(INVALID, "NULL", resattn_layer_get_int(bn, NULL, &value));
    REFUSED(INVALID, "NULL", resattn_layer_get_real(bn, "epsilon", NULL));
    ck_assert(value == 77 && real == 77);
    ck_assert_ptr_null(resattn_layer_attribute_name(bn, 3));
    ck_assert_int_eq((int)resattn_layer_attribute_type(bn, -1), 0);
    REFUSED(INVALID, "3", resattn_layer_attribute_range(bn, 3, &real, &real, &real));
    resattn_network *made = resattn_network_new(b, net, 3);
    ck_assert_msg(made != NULL, "%s", resattn_last_error());
    REFUSED(STATE, "epsilon", resattn_layer_set_real(bn, "epsilon", 1e-3));
    REFUSED(INVALID, "net.bn: frozen is 2", resattn_layer_set_int(bn, "frozen", 2));
    REFUSED(INVALID, "frozen", resattn_layer_set_real(bn, "frozen", 1));
    REFUSED(INVALID, "net.drop: probability is 1", resattn_layer_set_real(drop, "probability", 1));
    REFUSED(ABSENT, "colour", resattn_layer_set_int(bn, "colour", 1));
    REFUSED(STATE, "net.bn", resattn_layer_set_path(bn, "other"));
    resattn_network_unref(made);
    resattn_builder_free(b);
}
END_TEST

static void expect_unset(resattn_status expected, const char *text, resattn_status (*set)(resattn_layer *layer))
{
    resattn_builder *b = resattn_builder_new(context);
    resattn_layer *layer = resattn_conv2d_new(b, "c", 4, 3, 1, 1);
    wrong_before();
    wrong_status(set(layer), expected, text, text);
    ck_assert_int_eq(resattn_builder_status(b), expected);
    NOTHING(expected, text, resattn_network_new(b, layer, 3));
    resattn_builder_free(b);
}

static resattn_status set_unknown(resattn_layer *layer)
{
    return resattn_layer_set_int(layer, "colour", 1);
}
static resattn_status set_real(resattn_layer *layer)
{
    return resattn_layer_set_real(layer, "stride_h", 1);
}
static resattn_status set_wide(resattn_layer *layer)
{
    return resattn_layer_set_int(layer, "bias", 2);
}
static resattn_status set_huge(resattn_layer *layer)
{
    return resattn_layer_set_int(layer, "dilation_w", INT64_MAX);
}
static resattn_status set_nothing(resattn_layer *layer)
{
    return resattn_layer_set_int(layer, NULL, 1);
}

START_TEST(test_attributes_of_builder)
{
    expect_unset(ABSENT, "c: a conv2d has no attribute 'colour', but: ", set_unknown);
    expect_unset(ABSENT, "dilation_h", set_unknown); /* the message lists what there is */
    expect_unset(INVALID, "c: stride_h is an integer", set_real);
    expect_unset(INVALID, "c: bias is 2, expected 0 to 1", set_wide);
    expect_unset(INVALID, "c: dilation_w is 9223372036854775807", set_huge);
    wrong_before();
    resattn_builder *b = resattn_builder_new(context);
    ck_assert_int_eq(set_nothing(conv(b, "c", 1)), INVALID);
    resattn_attention *module = resattn_attention_new(b, "module");
    REFUSED(INVALID, "module: learning is 3", resattn_attention_set_learning(module, (resattn_learning)3));
    resattn_builder_free(b);
    b = resattn_builder_new(context);
    module = resattn_attention_new(b, "module");
    REFUSED(INVALID, "module: activation is 0", resattn_attention_set_activation(module, (resattn_mask_activation)0));
    resattn_builder_free(b);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("wrong trees");
    TCase *tests = tcase_create("wrong trees");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, test_trees);
    tcase_add_test(tests, test_channels);
    tcase_add_test(tests, test_long_names);
    tcase_add_test(tests, test_builder_remembers);
    tcase_add_test(tests, test_builder_after_failure);
    tcase_add_test(tests, test_order_of_children);
    tcase_add_test(tests, test_attributes);
    tcase_add_test(tests, test_attributes_of_builder);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
