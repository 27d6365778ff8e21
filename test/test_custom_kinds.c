/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Layers of the host's own: defining kinds, their attributes and parameters.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "custom_common.h"

static resattn_context *context;
static custom_host host;

static void set_up(void)
{
    context = custom_begin(&host);
}

static void tear_down(void)
{
    custom_end(context, &host);
}

START_TEST(names_of_kinds)
{
    static const char *const bad[] = {
        "swish", "x-",         "x_swish", "x-Swish", "x-a.b",
        "x- ",   "x-\xC3\xA4", "relu",    "",        "x-0123456789012345678901234567890123456789"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ck_assert_ptr_null(resattn_custom_new(context, bad[i], custom_nothing, NULL, NULL));
        test_expect_error(RESATTN_INVALID_ARGUMENT, bad[i]);
    }
    ck_assert_ptr_nonnull(
        resattn_custom_new(context, "x-01234567890123456789012345678901234567", custom_nothing, NULL, NULL));
    ck_assert_ptr_null(resattn_custom_new(context, "x-test-swish", custom_nothing, &host, NULL));
    test_expect_error(RESATTN_DUPLICATE, "x-test-swish");
    resattn_context *other = resattn_context_new(1);
    ck_assert_ptr_nonnull(resattn_custom_new(other, "x-test-swish", custom_nothing, &host, NULL));
    resattn_context_unref(other);
}
END_TEST

START_TEST(attributes_of_kinds)
{
    const resattn_attribute_type type = RESATTN_ATTRIBUTE_INT;
    resattn_custom *kind = resattn_custom_new(context, "x-many", custom_nothing, NULL, NULL);
    ck_assert_int_eq(resattn_custom_add_attribute(kind, "a b", type, 0, 0, 1, 0), RESATTN_INVALID_ARGUMENT);
    ck_assert_int_eq(resattn_custom_add_attribute(kind, "a", (resattn_attribute_type)3, 0, 0, 1, 0),
                     RESATTN_INVALID_ARGUMENT);
    ck_assert_int_eq(resattn_custom_add_attribute(kind, "a", type, 2, 0, 1, 0), RESATTN_INVALID_ARGUMENT);
    ck_assert_int_eq(resattn_custom_add_attribute(kind, "a", type, 0.5, 0, 1, 0), RESATTN_INVALID_ARGUMENT);
    ck_assert_int_eq(resattn_custom_add_attribute(kind, "a", type, 0, 0, 1e17, 0), RESATTN_INVALID_ARGUMENT);
    ck_assert_int_eq(resattn_custom_add_attribute(kind, "a", RESATTN_ATTRIBUTE_REAL, NAN, 0, 1, 0),
                     RESATTN_INVALID_ARGUMENT);
    ck_assert_int_eq(resattn_custom_add_attribute(kind, "a", type, 0, 0, 1, 2), RESATTN_INVALID_ARGUMENT);
    test_expect_error(RESATTN_INVALID_ARGUMENT, "is_mutable is 2");
    for (int i = 0; i < 24; i++) {
        char name[8];
        snprintf(name, sizeof name, "a%d", i);
        ck_assert_int_eq(resattn_custom_add_attribute(kind, name, type, i, 0, 100, 0), RESATTN_OK);
        ck_assert_int_eq(resattn_custom_add_attribute(kind, name, type, i, 0, 100, 0), RESATTN_DUPLICATE);
    }
    ck_assert_int_eq(resattn_custom_add_attribute(kind, "a24", type, 0, 0, 1, 0), RESATTN_TOO_LARGE);
    resattn_builder *b = resattn_builder_new(context);
    resattn_layer *layer = resattn_custom_layer_new(b, "x-many", "many", NULL);
    int64_t value = 0;
    double smallest, largest, initial;
    ck_assert_int_eq(resattn_layer_attribute_count(layer), 24);
    ck_assert_str_eq(resattn_layer_kind(layer), "x-many");
    ck_assert_str_eq(resattn_layer_attribute_name(layer, 23), "a23");
    ck_assert_int_eq(resattn_layer_get_int(layer, "a17", &value), RESATTN_OK);
    ck_assert_int_eq(value, 17);
    ck_assert_int_eq(resattn_layer_attribute_range(layer, 5, &smallest, &largest, &initial), RESATTN_OK);
    ck_assert(smallest == 0 && largest == 100 && initial == 5);
    ck_assert_int_eq(resattn_layer_set_int(layer, "a17", 101), RESATTN_INVALID_ARGUMENT);
    /* the kind is fixed now */
    ck_assert_int_eq(resattn_custom_add_attribute(kind, "b", type, 0, 0, 1, 0), RESATTN_WRONG_STATE);
    ck_assert_int_eq(resattn_custom_set_backward(kind, custom_nothing, 0), RESATTN_WRONG_STATE);
    ck_assert_int_eq(resattn_custom_set_shape(kind, NULL, NULL), RESATTN_WRONG_STATE);
    ck_assert_int_eq(resattn_custom_set_cost(kind, NULL, NULL), RESATTN_WRONG_STATE);
    ck_assert_int_eq(resattn_custom_set_instance(kind, NULL, NULL, NULL), RESATTN_WRONG_STATE);
    test_expect_error(RESATTN_WRONG_STATE, "x-many");
    resattn_builder_free(b);
}
END_TEST

/* Of which some tables once had room for 64. */
START_TEST(a_hundred_kinds)
{
    resattn_builder *b = resattn_builder_new(context);
    resattn_layer *net = resattn_sequential_new(b, NULL);
    for (int i = 0; i < 200; i++) {
        char name[32];
        snprintf(name, sizeof name, "x-kind%d-", i % 100);
        if (i < 100)
            ck_assert_ptr_nonnull(resattn_custom_new(context, name, custom_nothing, NULL, NULL));
        resattn_layer_add(net, resattn_custom_layer_new(b, name, NULL, NULL));
    }
    resattn_network *network = resattn_network_new(b, net, 3);
    ck_assert_msg(network != NULL, "%s", resattn_last_error());
    ck_assert_str_eq(resattn_layer_path(resattn_layer_child(net, 77)), "x-kind77-1");
    ck_assert_str_eq(resattn_layer_path(resattn_layer_child(net, 177)), "x-kind77-2");
    resattn_network_unref(network);
    resattn_builder_free(b);
}
END_TEST

typedef struct wanted {
    const char *suffix;
    resattn_parameter_kind kind;
    resattn_init init;
    int32_t rank, count; /* count: with numbers behind the suffix; below 0, without */
    int64_t shape[4];
} wanted;

static resattn_status declare(void *user, resattn_layer *layer, int32_t *channels)
{
    const wanted *w = user;
    resattn_status status = RESATTN_OK;
    (void)channels;
    for (int32_t i = 0; i < abs(w->count) && status == RESATTN_OK; i++) {
        char suffix[16];
        snprintf(suffix, sizeof suffix, "%s%d", w->suffix, (int)i);
        status =
            resattn_custom_add_parameter(layer, w->count > 1 ? suffix : w->suffix, w->kind, w->init, w->rank, w->shape);
    }
    return status;
}

START_TEST(parameters_of_layers)
{
    static const struct {
        wanted want;
        resattn_status status;
        const char *text;
    } cases[] = {
        {{"good_1", 1, 3, 4, 1, {2, 3, 4, 5}}, RESATTN_OK, ""},
        {{"Bad", 1, 1, 1, 1, {2}}, RESATTN_INVALID_ARGUMENT, "'Bad'"},
        {{"a.b", 1, 1, 1, 1, {2}}, RESATTN_INVALID_ARGUMENT, "a.b"},
        {{"a", 3, 1, 1, 1, {2}}, RESATTN_INVALID_ARGUMENT, "kind of parameter is 3"},
        {{"a", 1, 0, 1, 1, {2}}, RESATTN_INVALID_ARGUMENT, "init is 0"},
        {{"a", 1, 5, 1, 1, {2}}, RESATTN_INVALID_ARGUMENT, "init is 5"},
        {{"a", 1, 1, 5, 1, {2}}, RESATTN_INVALID_ARGUMENT, "rank is 5"},
        {{"a", 1, 1, 2, 1, {2, 0}}, RESATTN_INVALID_ARGUMENT, "size 1 is 0"},
        {{"a", 1, 1, 2, 1, {INT64_MAX, 3}}, RESATTN_TOO_LARGE, "elements"},
        {{"a", 1, 1, 1, 9, {2}}, RESATTN_TOO_LARGE, "a8 is parameter 9, expected at most 8"},
        {{"a", 1, 1, 1, 8, {2}}, RESATTN_OK, ""},
        {{"a", 1, 1, 1, -2, {2}}, RESATTN_DUPLICATE, "a: the layer has this parameter already"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        wanted want = cases[i].want;
        resattn_context *own = resattn_context_new(1);
        resattn_custom *kind = resattn_custom_new(own, "x-declares", custom_nothing, &want, NULL);
        resattn_custom_set_shape(kind, declare, NULL);
        resattn_builder *b = resattn_builder_new(own);
        resattn_layer *layer = resattn_custom_layer_new(b, "x-declares", "one", NULL);
        resattn_network *network = resattn_network_new(b, layer, 3);
        ck_assert_int_eq(network != NULL, cases[i].status == RESATTN_OK);
        if (network == NULL) {
            test_expect_error(cases[i].status, cases[i].text);
            test_expect_error(cases[i].status, "one: ");
        } else {
            ck_assert_int_eq(resattn_network_parameter_count(network), want.count);
            ck_assert_int_ge(resattn_network_find_parameter(network, want.count > 1 ? "one.a7" : "one.good_1"), 0);
        }
        resattn_network_unref(network);
        resattn_builder_free(b);
        resattn_context_unref(own);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("custom kinds");
    TCase *tests = tcase_create("custom kinds");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, names_of_kinds);
    tcase_add_test(tests, attributes_of_kinds);
    tcase_add_test(tests, a_hundred_kinds);
    tcase_add_test(tests, parameters_of_layers);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
