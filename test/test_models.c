/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The named networks: what they are made of, and that they can be planned and trained.
 */
#include "common.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "resattn/resattn.h"

/* Facts of a network with 1000 classes. */
typedef struct facts {
    const char *name;
    int32_t size, trained, statistics, attentions;
    int64_t trained_values, multiply_adds;
} facts;

static const facts known[] = {
    {"attention-56", 224, 326, 214, 3, 31810728, 6270836736},
};

static resattn_network *new_network(resattn_context *context, const char *name, int32_t classes)
{
    resattn_builder *builder = resattn_builder_new(context);
    resattn_network *network = resattn_network_new(builder, resattn_model_new(builder, name, classes), 3);
    ck_assert_msg(network != NULL, "%s: %s", name, resattn_last_error());
    resattn_builder_free(builder);
    return network;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void check_names_are_unique(const resattn_network *network)
{
    int32_t count = resattn_network_parameter_count(network);
    const char **names = malloc((size_t)count * sizeof *names);
    for (int32_t i = 0; i < count; i++) {
        names[i] = resattn_network_parameter_name(network, i);
        ck_assert_int_eq(resattn_network_find_parameter(network, names[i]), i);
    }
    qsort(names, (size_t)count, sizeof *names, compare_texts);
    for (int32_t i = 1; i < count; i++)
        ck_assert_str_ne(names[i - 1], names[i]);
    free(names);
}

START_TEST(every_model_builds)
{
    static const int32_t classes[] = {10, 1000};
    resattn_context *context = resattn_context_new(1);
    ck_assert_int_gt(resattn_model_count(), 0);
    for (int32_t m = 0; m < resattn_model_count(); m++) {
        const char *name = resattn_model_name(m);
        ck_assert_int_gt(resattn_model_input_size(name), 0);
        for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
            resattn_network *network = new_network(context, name, classes[i]);
            ck_assert_int_eq(resattn_network_in_channels(network), 3);
            ck_assert_int_eq(resattn_network_out_channels(network), classes[i]);
            check_names_are_unique(network);
            resattn_network_unref(network);
        }
    }
    resattn_context_unref(context);
}
END_TEST

START_TEST(facts_are_right)
{
    const facts *expected = &known[_i];
    resattn_context *context = resattn_context_new(1);
    resattn_network *network = new_network(context, expected->name, 1000);
    int32_t trained = 0, statistics = 0;
    for (int32_t i = 0; i < resattn_network_parameter_count(network); i++) {
        if (resattn_network_parameter_kind(network, i) == RESATTN_PARAMETER_TRAINED)
            trained++;
        else
            statistics++;
    }
    ck_assert_int_eq(trained, expected->trained);
    ck_assert_int_eq(statistics, expected->statistics);
    ck_assert_int_eq(resattn_network_attention_count(network), expected->attentions);
    ck_assert_int_eq(resattn_network_trained_values(network), expected->trained_values);
    ck_assert_int_eq(resattn_model_input_size(expected->name), expected->size);
    resattn_plan *plan = resattn_plan_new(network, RESATTN_INFERENCE, 1, 224, 224);
    ck_assert_int_eq(resattn_plan_multiply_adds(plan), expected->multiply_adds);
    resattn_plan_free(plan);
    resattn_network_unref(network);
    resattn_context_unref(context);
}
END_TEST

START_TEST(attention_56_names)
{
    static const char *const names[] = {
        "conv1.weight",
        "conv1.bn.running_mean",
        "pool1_3x3_s2.bn.weight",
        "pre_res_1.branch2.conv1_1x1.weight",
        "pre_res_1.bn.bias",
        "AttentionA_1.trunk.res1.branch1.conv1_1x1.weight",
        "AttentionA_1.trunk.res1.bn.running_var",
        "AttentionA_1.trunk.res3.branch1.conv2_3x3.bn.weight",
        "AttentionA_1.mask.down_sample.pool1_3x3_s2.bn.weight",
        "AttentionA_1.mask.down_sample.res3_2.branch1.conv3_1x1.weight",
        "AttentionA_1.mask.skip.res2.branch1.conv1_1x1.weight",
        "AttentionA_1.mask.down_sample.res2_1.bn.weight",
        "AttentionA_1.mask.up_sample2.bn.weight",
        "AttentionA_1.mask.up_sample.res1_1.branch1.conv1_1x1.bn.weight",
        "AttentionA_1.mask.up_sample.interp_1.bn.weight",
        "AttentionA_1.mask.linear_1.bn.bias",
        "AttentionA_1.mask.linear_2.weight",
        "AttentionA_1.fusion.bn.weight",
        "AttentionA_1.branch1.conv1_1x1.weight",
        "AttentionA_1.bn.weight",
        "AttentionC_1.branch1.conv2_3x3.bn.running_var",
        "post_res_4_3.bn.weight",
        "classifier.weight",
        "classifier.bias",
    };
    resattn_context *context = resattn_context_new(1);
    resattn_network *network = new_network(context, "attention-56", 1000);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        ck_assert_msg(resattn_network_find_parameter(network, names[i]) >= 0, "%s", names[i]);
    resattn_plan *plan = resattn_plan_new(network, RESATTN_INFERENCE, 1, 224, 224);
    for (int32_t i = 0; i < 3; i++) {
        char mask[32], trunk[32];
        snprintf(mask, sizeof mask, "Attention%c_1.mask", 'A' + i);
        snprintf(trunk, sizeof trunk, "Attention%c_1.trunk", 'A' + i);
        const resattn_attention *attention = resattn_network_attention(network, i);
        ck_assert_str_eq(resattn_attention_mask_name(attention), mask);
        ck_assert_str_eq(resattn_attention_trunk_name(attention), trunk);
        ck_assert_int_eq(resattn_plan_add_output(plan, mask), RESATTN_OK);
    }
    ck_assert_int_eq(resattn_plan_add_output(plan, "AttentionA_1.mask.down_sample.res1_1"), RESATTN_OK);
    ck_assert_int_gt(resattn_plan_memory(plan), 0);
    resattn_plan_free(plan);
    resattn_network_unref(network);
    resattn_context_unref(context);
}
END_TEST

START_TEST(attention_56_sizes)
{
    static const int32_t sizes[] = {64, 224, 299};
    resattn_context *context = resattn_context_new(1);
    resattn_network *network = new_network(context, "attention-56", 10);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int purpose = RESATTN_INFERENCE; purpose <= RESATTN_TRAINING; purpose++) {
            resattn_plan *plan = resattn_plan_new(network, (resattn_purpose)purpose, 2, sizes[i], sizes[i]);
            ck_assert_msg(plan != NULL, "%d: %s", sizes[i], resattn_last_error());
            ck_assert_int_gt(resattn_plan_memory(plan), 0);
            resattn_plan_free(plan);
        }
    resattn_network_unref(network);
    resattn_context_unref(context);
}
END_TEST

enum { STEPS = 4, BATCH = 4, SIZE = 64 };

/* Some steps on one batch of noise; the losses before each of them. */
static void train(int32_t threads, double *losses)
{
    static const int32_t labels[BATCH] = {3, 0, 7, 4};
    resattn_context *context = resattn_context_new(threads);
    resattn_network *network = new_network(context, "attention-56", 10);
    resattn_tensor *input =
        resattn_tensor_new(context, RESATTN_F32, 4, (int64_t[]){BATCH, 3, SIZE, SIZE}, RESATTN_CHANNELS_LAST);
    float *values = resattn_tensor_data(input);
    for (int64_t i = 0; i < resattn_tensor_elements(input); i++)
        values[i] = (float)((i * 7919) % 1009) / 504.5f - 1;
    resattn_plan *plan = resattn_plan_new(network, RESATTN_TRAINING, BATCH, SIZE, SIZE);
    resattn_session *session = resattn_session_new(plan);
    ck_assert_msg(session != NULL, "%s", resattn_last_error());
    resattn_plan_free(plan);
    resattn_optimizer *optimizer = resattn_sgd_new(network, 0.01);
    for (int step = 0; step < STEPS; step++) {
        ck_assert_int_eq(resattn_session_forward(session, input), RESATTN_OK);
        ck_assert_int_eq(resattn_softmax_cross_entropy(session, labels, BATCH, &losses[step], NULL), RESATTN_OK);
        ck_assert_int_eq(resattn_session_backward(session), RESATTN_OK);
        ck_assert_int_eq(resattn_optimizer_step(optimizer), RESATTN_OK);
    }
    resattn_optimizer_free(optimizer);
    resattn_session_free(session);
    resattn_tensor_unref(input);
    resattn_network_unref(network);
    resattn_context_unref(context);
}

START_TEST(attention_56_learns)
{
    double one[STEPS], two[STEPS];
    train(1, one);
    train(2, two);
    ck_assert_double_lt(one[1], one[0]);
    ck_assert_double_lt(one[STEPS - 1], one[0] / 2);
    ck_assert_mem_eq(one, two, sizeof one); /* to the bit */
}
END_TEST

START_TEST(models_refuse)
{
    static const struct {
        const char *name;
        int32_t classes;
        resattn_status status;
        const char *part;
    } cases[] = {
        {"attention-57", 10, RESATTN_NOT_FOUND, "\"attention-57\""},
        {NULL, 10, RESATTN_INVALID_ARGUMENT, "the name is NULL"},
        {"attention-56", 0, RESATTN_INVALID_ARGUMENT, "0 classes, expected at least 1"},
        {"attention-56", INT32_MAX, RESATTN_INVALID_ARGUMENT, "2147483647, expected 1 to 16777216"},
    };
    resattn_context *context = resattn_context_new(1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        resattn_builder *builder = resattn_builder_new(context);
        ck_assert_ptr_null(resattn_model_new(builder, cases[i].name, cases[i].classes));
        ck_assert_int_eq(resattn_last_status(), cases[i].status);
        ck_assert_ptr_nonnull(strstr(resattn_last_error(), cases[i].part));
        ck_assert_int_eq(resattn_builder_status(builder), cases[i].status);
        ck_assert_ptr_null(resattn_model_new(builder, "attention-56", 10));
        ck_assert_ptr_nonnull(strstr(resattn_last_error(), cases[i].part));
        resattn_builder_free(builder);
    }
    ck_assert_ptr_null(resattn_model_new(NULL, "attention-56", 10));
    ck_assert_int_eq(resattn_last_status(), RESATTN_INVALID_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(resattn_last_error(), "builder is NULL"));
    ck_assert_ptr_null(resattn_model_name(-1));
    ck_assert_ptr_null(resattn_model_name(resattn_model_count()));
    ck_assert_int_eq(resattn_model_input_size("attention-57"), 0);
    ck_assert_int_eq(resattn_model_input_size(NULL), 0);
    resattn_context_unref(context);
}
END_TEST

START_TEST(builder_fails_on_request)
{
    resattn_context *context = resattn_context_new(1);
    resattn_builder *builder = resattn_builder_new(context);
    ck_assert_int_eq(resattn_builder_fail(NULL, RESATTN_NOT_FOUND, "x"), RESATTN_INVALID_ARGUMENT);
    ck_assert_int_eq(resattn_builder_fail(builder, RESATTN_NOT_FOUND, NULL), RESATTN_INVALID_ARGUMENT);
    ck_assert_int_eq(resattn_builder_fail(builder, RESATTN_OK, "x"), RESATTN_INVALID_ARGUMENT);
    ck_assert_int_eq(resattn_builder_fail(builder, (resattn_status)-13, "x"), RESATTN_INVALID_ARGUMENT);
    ck_assert_int_eq(resattn_builder_status(builder), RESATTN_OK);
    ck_assert_int_eq(resattn_builder_fail(builder, RESATTN_NOT_FOUND, "first"), RESATTN_NOT_FOUND);
    ck_assert_int_eq(resattn_builder_fail(builder, RESATTN_TOO_LARGE, "second"), RESATTN_NOT_FOUND);
    ck_assert_str_eq(resattn_builder_error(builder), "first");
    ck_assert_str_eq(resattn_last_error(), "first");
    ck_assert_ptr_null(resattn_relu_new(builder, NULL));
    resattn_builder_free(builder);
    resattn_context_unref(context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("models");
    TCase *made = tcase_create("structure"), *trained = tcase_create("training");
    tcase_set_timeout(made, 120);
    tcase_add_test(made, every_model_builds);
    tcase_add_loop_test(made, facts_are_right, 0, (int)(sizeof known / sizeof *known));
    tcase_add_test(made, attention_56_names);
    tcase_add_test(made, attention_56_sizes);
    tcase_add_test(made, models_refuse);
    tcase_add_test(made, builder_fails_on_request);
    tcase_set_timeout(trained, 240);
    tcase_add_test(trained, attention_56_learns);
    suite_add_tcase(suite, made);
    suite_add_tcase(suite, trained);
    return test_run(suite);
}
