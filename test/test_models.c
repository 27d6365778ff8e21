/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The named networks: what they are made of, and that they can be planned and trained.
 */
#include "models.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Facts of a network with `classes` outputs, the multiply-adds at `at` pixels; some of its parameters' names. */
typedef struct facts {
    const char *name;
    int32_t size, attentions, classes, at;
    int64_t trained_values, multiply_adds;
    const char *names[8];
} facts;

static const facts known[] = {
    {"attention-56", 224, 3, 1000, 224, 31810728, 6270836736, {"pool1_3x3_s2.bn.weight", "classifier.bias"}},
    {"attention-92",
     320,
     6,
     1000,
     224,
     52466344,
     10533789696,
     {"AttentionB_1.bn.weight", "AttentionB_2.mask.up_sample1.bn.weight", "AttentionC_3.branch1.conv3_1x1.weight"}},
    {"attentionnext-56",
     224,
     3,
     1000,
     224,
     31318824,
     6419106816,
     {"conv1.bn.weight", "pre_res_1.branch2.conv1_1x1.bn.bias", "AttentionA_1.trunk.res1.branch1.conv2_3x3.weight",
      "AttentionA_1.mask.down.res3_2.branch1.conv3_1x1.bn.running_mean",
      "AttentionA_1.mask.skip.res2.branch1.conv1_1x1.weight", "AttentionA_1.mask.up.res1_1.branch1.conv1_1x1.weight",
      "AttentionC_1.mask.linear_1.bn.weight", "post_res_4_3.branch1.conv3_1x1.bn.weight"}},
    {"attentionnext-92",
     224,
     6,
     1000,
     224,
     52102952,
     10704337920,
     {"AttentionC_3.mask.down.res1_2.branch1.conv1_1x1.weight"}},
    {"attentioninception-56",
     299,
     3,
     1000,
     224,
     31829168,
     6232188672,
     {"pre_res_1.branch1.a.conv1_1x1.weight", "pre_res_1.branch1.c.conv3_3x3.weight", "pre_res_1.branch1.bn.weight",
      "AttentionA_1.mask.down_sample.res1_1.branch1.conv_1x1.weight", "AttentionA_1.branch1.b.conv1_1x1.bn.weight"}},
    {"attention-56-cifar",
     32,
     3,
     10,
     32,
     1030362,
     122825216,
     {"conv1.bn.weight", "post_res_1.branch1.conv1_1x1.weight"}},
    {"attention-92-cifar", 32, 6, 10, 32, 1841242, 211913216, {"AttentionA_2.mask.linear_2.weight"}},
    {"attention-128-cifar", 32, 9, 10, 32, 2652122, 301001216, {"AttentionC_3.fusion.bn.weight"}},
    {"attention-164-cifar", 32, 12, 10, 32, 3463002, 390089216, {"AttentionB_4.bn.weight"}},
    {"attention-236-cifar", 32, 18, 10, 32, 5084762, 568265216, {"AttentionB_6.bn.weight"}},
    {"attention-452-cifar",
     32,
     18,
     10,
     32,
     8511962,
     958065152,
     {"AttentionA_6.trunk.res6.branch1.conv1_1x1.weight", "AttentionA_1.fusion.res1.branch1.conv1_1x1.weight",
      "AttentionA_1.mask.down_sample.res3_3.branch1.conv1_1x1.weight"}},
    {"resnet-50", 224, 0, 1000, 224, 25557032, 4089184256, {"layer4.2.conv3.weight"}},
    {"resnet-101", 224, 0, 1000, 224, 44549160, 7801405440, {"layer3.22.bn3.running_var"}},
    {"resnet-152",
     224,
     0,
     1000,
     224,
     60192808,
     11513626624,
     {"conv1.weight", "bn1.running_mean", "layer1.0.conv1.weight", "layer1.0.downsample.0.weight",
      "layer1.0.downsample.1.running_var", "layer3.35.bn3.bias", "fc.weight", "fc.bias"}},
    {"resnet-152-v1", 224, 0, 1000, 224, 60192808, 11282415616, {"layer3.35.conv2.weight"}},
    {"resnext-101",
     224,
     0,
     1000,
     224,
     44177704,
     7969996800,
     {"layer1.0.conv2.weight", "layer3.22.conv3.weight", "fc.bias"}},
    {"resnet-200",
     320,
     0,
     1000,
     224,
     64666280,
     15007481856,
     {"bn1.weight", "layer1.0.bn1.weight", "bn.weight", "fc.bias"}},
    {"resnet-164-cifar",
     32,
     0,
     10,
     32,
     1703258,
     247646720,
     {"layer1.0.bn1.weight", "layer3.17.conv3.weight", "linear.bias"}},
    {"resnet-20-cifar",
     32,
     0,
     10,
     32,
     269722,
     40551040,
     {"conv1.weight", "bn1.bias", "layer2.0.conv1.weight", "linear.weight"}},
    {"resnet-32-cifar", 32, 0, 10, 32, 464154, 68862592, {"layer3.4.bn2.weight"}},
    {"resnet-44-cifar", 32, 0, 10, 32, 658586, 97174144, {"layer3.6.bn2.weight"}},
    {"resnet-56-cifar", 32, 0, 10, 32, 853018, 125485696, {"layer3.8.bn2.weight"}},
    {"resnet-110-cifar", 32, 0, 10, 32, 1727962, 252887680, {"layer3.17.bn2.weight"}},
    {"inception-resnet-v1",
     299,
     0,
     1000,
     299,
     22756328,
     6206361696,
     {"conv2d_4b.conv.weight", "repeat.4.branch2.2.bn.weight", "mixed_6a.branch1.2.conv.weight",
      "repeat_1.9.conv2d.bias", "mixed_7a.branch2.0.bn.bias", "repeat_2.4.branch0.conv.weight", "classif.weight"}},
    {"inception-resnet-v2",
     299,
     0,
     1000,
     299,
     55843464,
     13155794016,
     {"conv2d_1a.bn.running_mean", "mixed_5b.branch3.1.conv.weight", "repeat.0.branch0.conv.weight",
      "repeat_1.19.conv2d.bias", "mixed_7a.branch0.1.conv.weight", "block8.branch1.2.conv.weight",
      "conv2d_7b.conv.weight", "classif.bias"}},
};

enum { KNOWN = sizeof known / sizeof *known };

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

START_TEST(all_are_known)
{
    ck_assert_int_eq(resattn_model_count(), KNOWN);
    for (int32_t m = 0; m < KNOWN; m++) {
        ck_assert_str_eq(resattn_model_name(m), known[m].name);
        ck_assert_int_eq(resattn_model_input_size(known[m].name), known[m].size);
    }
}
END_TEST

START_TEST(facts_are_right)
{
    const facts *expected = &known[_i];
    resattn_context *context = resattn_context_new(1);
    resattn_network *network = models_new(context, expected->name, expected->classes);
    ck_assert_int_eq(resattn_network_in_channels(network), 3);
    ck_assert_int_eq(resattn_network_out_channels(network), expected->classes);
    check_names_are_unique(network);
    for (size_t i = 0; i < sizeof expected->names / sizeof *expected->names && expected->names[i]; i++)
        ck_assert_msg(resattn_network_find_parameter(network, expected->names[i]) >= 0, "%s", expected->names[i]);
    ck_assert_int_eq(resattn_network_attention_count(network), expected->attentions);
    ck_assert_int_eq(resattn_network_trainable_values(network), expected->trained_values);
    resattn_plan *plan = resattn_plan_new(network, RESATTN_INFERENCE, 1, expected->at, expected->at);
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
    resattn_network *network = models_new(context, "attention-56", 1000);
    int32_t trained = 0;
    for (int32_t i = 0; i < resattn_network_parameter_count(network); i++)
        trained += resattn_network_parameter_kind(network, i) == RESATTN_PARAMETER_TRAINABLE;
    ck_assert_int_eq(trained, 326);
    ck_assert_int_eq(resattn_network_parameter_count(network) - trained, 214);
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
    resattn_network *network = models_new(context, "attention-56", 10);
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

enum { STEPS = 6, BATCH = 4, SIZE = 64 };

/* Some steps on one batch of noise; the losses before each of them. */
static void train(int32_t threads, double *losses)
{
    static const int32_t labels[BATCH] = {3, 0, 7, 4};
    resattn_context *context = resattn_context_new(threads);
    resattn_network *network = models_new(context, "attention-56", 10);
    resattn_tensor *input =
        resattn_tensor_new(context, RESATTN_F32, 4, (int64_t[]){BATCH, 3, SIZE, SIZE}, RESATTN_CHANNELS_LAST);
    float *values = resattn_tensor_mutable_data(input);
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
    ck_assert_int_eq(resattn_builder_fail(builder, (resattn_status)-14, "x"), RESATTN_INVALID_ARGUMENT);
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
    tcase_add_test(made, all_are_known);
    tcase_add_loop_test(made, facts_are_right, 0, KNOWN);
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
