/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Configurations of the named networks: their settings, and every combination of the paper's choices.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models.h"
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

static const models_change none[] = {{NULL, 0}};

static int64_t multiply_adds(resattn_network *network, int32_t size)
{
    resattn_plan *plan = resattn_plan_new(network, RESATTN_INFERENCE, 1, size, size);
    int64_t result = resattn_plan_multiply_adds(plan);
    resattn_plan_free(plan);
    return result;
}

/* ---- settings ---- */

START_TEST(settings_are_listed)
{
    static const struct {
        const char *name, *settings;
    } expected[] = {
        {"attention-92", "learning activation mask up_sampling unit stem p t r bottom modules1 modules2 modules3 "
                         "width1 width2 width3 width4 poolings1 poolings2 poolings3 blocks "},
        {"resnet-56-cifar", "shortcut "},
        {"resnet-152", ""},
    };
    for (size_t m = 0; m < sizeof expected / sizeof *expected; m++) {
        char list[512] = "";
        resattn_model_config *config = models_config(context, expected[m].name, none);
        int32_t count = resattn_model_config_setting_count(config);
        for (int32_t i = 0; i < count; i++) {
            const char *name = resattn_model_config_setting_name(config, i);
            int64_t smallest = 1, largest = 0, value = -1;
            strcat(strcat(list, name), " ");
            ck_assert_int_eq(resattn_model_config_setting_range(config, i, &smallest, &largest), RESATTN_OK);
            ck_assert_int_eq(resattn_model_config_get_int(config, name, &value), RESATTN_OK);
            ck_assert(smallest <= value && value <= largest);
            REFUSED(INVALID, name, resattn_model_config_set_int(config, name, smallest - 1));
            REFUSED(INVALID, name, resattn_model_config_set_int(config, name, largest + 1));
            ck_assert_int_eq(resattn_model_config_set_int(config, name, largest), RESATTN_OK);
            ck_assert_int_eq(resattn_model_config_get_int(config, name, &value), RESATTN_OK);
            ck_assert_int_eq(value, largest);
        }
        ck_assert_str_eq(list, expected[m].settings);
        ck_assert_ptr_null(resattn_model_config_setting_name(config, -1));
        ck_assert_ptr_null(resattn_model_config_setting_name(config, count));
        resattn_model_config_free(config);
    }
}
END_TEST

START_TEST(settings_are_refused)
{
    resattn_model_config *config = models_config(context, "resnet-20-cifar", none);
    int64_t value = 0;
    REFUSED(ABSENT, "resnet-20-cifar: no setting \"unit\", there are: shortcut",
            resattn_model_config_set_int(config, "unit", 1));
    REFUSED(ABSENT, "there are: shortcut", resattn_model_config_get_int(config, "", &value));
    REFUSED(INVALID, "resnet-20-cifar: shortcut is 3, expected 1 to 2",
            resattn_model_config_set_int(config, "shortcut", 3));
    resattn_model_config_free(config);
    config = models_config(context, "resnet-152", none);
    REFUSED(ABSENT, "there are: none", resattn_model_config_set_int(config, "shortcut", 1));
    REFUSED(INVALID, "resnet-152: setting 0", resattn_model_config_setting_range(config, 0, &value, &value));
    resattn_model_config_free(config);
}
END_TEST

START_TEST(memory_is_the_contexts)
{
    for (int fail_at = 0; fail_at < 20; fail_at++) {
        test_heap heap = {.fail_at = 0};
        resattn_context *own = resattn_context_new_with_allocator(1, test_heap_alloc, test_heap_free, &heap);
        atomic_store(&heap.calls, 0);
        heap.fail_at = fail_at;
        resattn_model_config *config = resattn_model_config_new(own, "attention-56");
        ck_assert_int_gt(heap.calls, 0);
        if (config == NULL)
            test_expect_error(RESATTN_OUT_OF_MEMORY, "out of memory");
        else if (resattn_model_config_set_int(config, "p", 0) != INVALID)
            test_expect_error(RESATTN_OUT_OF_MEMORY, "out of memory");
        ck_assert(config == NULL ? fail_at > 0 : fail_at == 0 || heap.calls > 0);
        resattn_context_unref(own); /* the configuration holds a share */
        resattn_model_config_free(config);
        ck_assert_int_eq(heap.blocks, 0);
    }
}
END_TEST

/* ---- named networks are configurations ---- */

static void check_same(resattn_network *a, resattn_network *b)
{
    ck_assert_int_eq(resattn_network_trainable_values(a), resattn_network_trainable_values(b));
    ck_assert_int_eq(resattn_network_parameter_count(a), resattn_network_parameter_count(b));
    for (int32_t i = 0; i < resattn_network_parameter_count(a); i++)
        ck_assert_str_eq(resattn_network_parameter_name(a, i), resattn_network_parameter_name(b, i));
    ck_assert_int_eq(multiply_adds(a, 64), multiply_adds(b, 64));
}

/* What a network becomes with a few settings is another named network. */
static const struct {
    const char *name, *from;
    models_change changes[8];
} equal[] = {
    {"attention-56", "attention-56", {{NULL, 0}}},
    {"attentionnext-56", "attention-56", {{"unit", RESATTN_UNIT_RESNEXT}, {NULL, 0}}},
    {"attentioninception-56", "attention-56", {{"unit", RESATTN_UNIT_INCEPTION}, {NULL, 0}}},
    {"attention-56", "attention-92", {{"modules2", 1}, {"modules3", 1}, {NULL, 0}}},
    {"attention-56-cifar",
     "attention-56",
     {{"stem", RESATTN_STEM_CIFAR}, {"width1", 16}, {"width2", 32}, {"width3", 64}, {NULL, 0}}},
    {"attention-56-cifar", "attention-56-cifar", {{"bottom", 2}, {"width4", 5}, {"blocks", 1}, {NULL, 0}}},
    {"attention-452-cifar", "attention-236-cifar", {{"p", 2}, {"t", 4}, {"r", 3}, {"bottom", 3}, {NULL, 0}}},
    {"resnet-20-cifar", "resnet-20-cifar", {{NULL, 0}}},
};

START_TEST(named_networks_are_configurations)
{
    resattn_model_config *config = models_config(context, equal[_i].from, equal[_i].changes);
    resattn_network *named = models_new(context, equal[_i].name, 10), *built = models_built(context, config, 10);
    check_same(named, built);
    resattn_network_unref(built);
    resattn_network_unref(named);
    resattn_model_config_free(config);
}
END_TEST

START_TEST(shortcut_b_has_parameters)
{
    static const models_change b[] = {{"shortcut", RESATTN_SHORTCUT_PROJECTION}, {NULL, 0}};
    resattn_model_config *config = models_config(context, "resnet-20-cifar", b);
    resattn_network *network = models_built(context, config, 10);
    ck_assert_int_eq(resattn_network_trainable_values(network), 269722 + (16 * 32 + 64) + (32 * 64 + 128));
    ck_assert_int_ge(resattn_network_find_parameter(network, "layer2.0.shortcut.0.weight"), 0);
    ck_assert_int_ge(resattn_network_find_parameter(network, "layer3.0.shortcut.1.running_mean"), 0);
    models_train(network, 2, 32);
    resattn_network *again = models_built(context, config, 10);
    check_same(network, again);
    resattn_network_unref(again);
    resattn_network_unref(network);
    resattn_model_config_free(config);
}
END_TEST

/* ---- the paper's choices ---- */

enum { LEARNINGS = 2, ACTIVATIONS = 3, MASKS = 2, UP_SAMPLINGS = 2, UNITS = 3 };

static void check_combination(int32_t learning, int32_t activation, int32_t mask, int32_t up_sampling, int32_t unit)
{
    const models_change changes[] = {{"learning", learning},
                                     {"activation", activation},
                                     {"mask", mask},
                                     {"up_sampling", up_sampling},
                                     {"unit", unit},
                                     {"width1", 16},
                                     {"width2", 16},
                                     {"width3", 32},
                                     {NULL, 0}};
    resattn_model_config *config = models_config(context, "attention-56-cifar", changes);
    if (mask == RESATTN_STRUCTURE_LOCAL && up_sampling == RESATTN_UP_TRANSPOSED) {
        UNMADE(INVALID, "a local mask has no up-sampling", resattn_model_config_build(config, b, 10));
    } else {
        resattn_network *network = models_built(context, config, 10);
        const resattn_attention *module = resattn_network_attention(network, 0);
        ck_assert_int_eq((int32_t)resattn_attention_learning(module), learning);
        ck_assert_int_eq((int32_t)resattn_attention_activation(module), activation);
        models_train(network, 2, 16);
        models_reload(network, 1, 1, 16);
        resattn_network_unref(network);
    }
    resattn_model_config_free(config);
}

/* One of the choices of learning, activation and unit, with all of the others. */
START_TEST(combinations_work)
{
    for (int32_t mask = 1; mask <= MASKS; mask++)
        for (int32_t up_sampling = 1; up_sampling <= UP_SAMPLINGS; up_sampling++)
            check_combination(1 + _i % LEARNINGS, 1 + _i / LEARNINGS % ACTIVATIONS, mask, up_sampling,
                              1 + _i / LEARNINGS / ACTIVATIONS);
}
END_TEST

/* Numbers of everything, on both stems. */
static const struct {
    int32_t size;
    models_change changes[16];
    const char *present[4], *absent[4];
} shapes[] = {
    {32,
     {{"p", 2}, {"t", 1}, {"r", 2}, {"modules1", 2}, {"modules2", 0}, {"poolings1", 2}, {NULL, 0}},
     {"AttentionA_2.mask.down_sample.res2_4.branch1.conv1_1x1", "AttentionA_2.fusion.res1.branch1.conv1_1x1",
      "AttentionC_1.mask.down_sample.res1_4.branch1.conv1_1x1", "post_res_3.branch1.conv1_1x1"},
     {"AttentionB_1.fusion.bn", "AttentionA_1.mask.down_sample.pool3_3x3_s2", "post_res_4_1",
      "AttentionA_1.trunk.res4"}},
    {128,
     {{"stem", RESATTN_STEM_IMAGENET},
      {"bottom", 1},
      {"blocks", 1},
      {"width4", 24},
      {"t", 3},
      {"poolings3", 2},
      {NULL, 0}},
     {"post_res_4_1.branch1.conv1_1x1", "AttentionC_1.mask.skip.res1.branch1.conv1_1x1",
      "AttentionA_1.mask.down_sample.res3_1.branch1.conv1_1x1", "AttentionB_1.trunk.res4.branch1.conv1_1x1"},
     {"post_res_4_2", "post_res_1", "AttentionA_1.mask.down_sample.res3_2", "AttentionA_1.trunk.res5"}},
    {16,
     {{"modules1", 0}, {"modules2", 0}, {"modules3", 0}, {"width2", 20}, {NULL, 0}},
     {"pre_res_3.branch2.conv1_1x1", "post_res_3.branch1.conv3_1x1", "classifier", "post_res_1.bn"},
     {"AttentionA_1", "AttentionB_1", "AttentionC_1", "post_res_4_1"}},
};

START_TEST(shapes_work)
{
    resattn_model_config *config = models_config(context, "attention-56-cifar", shapes[_i].changes);
    resattn_network *network = models_built(context, config, 10);
    for (int i = 0; i < 4; i++) {
        ck_assert_msg(resattn_network_layer(network, shapes[_i].present[i]) != NULL, "%s", shapes[_i].present[i]);
        ck_assert_msg(resattn_network_layer(network, shapes[_i].absent[i]) == NULL, "%s", shapes[_i].absent[i]);
    }
    models_train(network, 4, shapes[_i].size);
    models_reload(network, 1, 1, shapes[_i].size);
    resattn_network_unref(network);
    resattn_model_config_free(config);
}
END_TEST

START_TEST(nonsense_is_refused)
{
    static const struct {
        const char *name, *message;
        models_change changes[4];
    } cases[] = {
        {"attention-56",
         "attention-56: up_sampling is 2 (transposed convolution), expected 1: a local mask has no up-sampling",
         {{"mask", RESATTN_STRUCTURE_LOCAL}, {"up_sampling", RESATTN_UP_TRANSPOSED}, {NULL, 0}}},
        {"attentionnext-56",
         "attentionnext-56: width2 is 130, expected a multiple of 16 with ResNeXt units",
         {{"width2", 130}, {NULL, 0}}},
        {"attention-56-cifar",
         "attention-56-cifar: width1 is 8, expected a multiple of 16 with Inception units",
         {{"unit", RESATTN_UNIT_INCEPTION}, {"width1", 8}, {NULL, 0}}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        resattn_model_config *config = models_config(context, cases[i].name, cases[i].changes);
        UNMADE(INVALID, cases[i].message, resattn_model_config_build(config, b, 10));
        resattn_model_config_free(config);
    }
    resattn_model_config *config = models_config(context, "attention-56", none);
    UNMADE(INVALID, "attention-56: 0 classes, expected at least 1", resattn_model_config_build(config, b, 0));
    UNMADE(INVALID, "NULL", resattn_model_config_build(NULL, b, 10));
    NOTHING(INVALID, "builder", resattn_model_config_build(config, NULL, 10));
    resattn_model_config_free(config);
}
END_TEST

/* ---- local masks cost what they replace ---- */

static const struct {
    const char *name;
    int32_t size;
    models_change change;
    double tolerance; /* of all multiply-adds; widths of other units than bottlenecks come in steps of 16 */
} costs[] = {
    {"attention-56", 224, {NULL, 0}, 0.002},         {"attention-92", 224, {NULL, 0}, 0.002},
    {"attention-56", 224, {"r", 4}, 0.002},          {"attention-56-cifar", 32, {NULL, 0}, 0.02},
    {"attention-452-cifar", 32, {NULL, 0}, 0.02},    {"attentionnext-56", 224, {NULL, 0}, 0.03},
    {"attentioninception-56", 224, {NULL, 0}, 0.03},
};

START_TEST(local_masks_cost_the_same)
{
    models_change changes[] = {costs[_i].change, {NULL, 0}};
    resattn_model_config *config = models_config(context, costs[_i].name, changes);
    resattn_network *network = models_built(context, config, 10);
    double whole = (double)multiply_adds(network, costs[_i].size);
    resattn_network_unref(network);
    ck_assert_int_eq(resattn_model_config_set_int(config, "mask", RESATTN_STRUCTURE_LOCAL), RESATTN_OK);
    network = models_built(context, config, 10);
    double local = (double)multiply_adds(network, costs[_i].size);
    ck_assert_ptr_nonnull(resattn_network_layer(network, "AttentionA_1.mask.local.res3"));
    ck_assert_ptr_null(resattn_network_layer(network, "AttentionA_1.mask.local.res4"));
    ck_assert_double_eq_tol(local / whole, 1, costs[_i].tolerance);
    resattn_network_unref(network);
    resattn_model_config_free(config);
}
END_TEST

/* ---- learned up-sampling begins as interpolation ---- */

START_TEST(up_sampling_begins_bilinear)
{
    static const models_change changes[] = {{"up_sampling", RESATTN_UP_TRANSPOSED}, {NULL, 0}};
    static const float line[] = {0.25f, 0.75f, 0.75f, 0.25f};
    resattn_model_config *config = models_config(context, "attention-56-cifar", changes);
    resattn_network *network = models_built(context, config, 10);
    int32_t index = resattn_network_find_parameter(network, "AttentionA_1.mask.up_sample.interp_2.weight");
    resattn_tensor *weight = resattn_network_parameter(network, index);
    float values[64 * 16];
    ck_assert_int_eq(resattn_tensor_elements(weight), 64 * 16);
    ck_assert_int_eq(resattn_tensor_read(weight, RESATTN_CHANNELS_FIRST, values, 64 * 16), RESATTN_OK);
    for (int i = 0; i < 64 * 16; i++)
        ck_assert_float_eq_tol(values[i], line[i / 4 % 4] * line[i % 4], 1e-7f);
    resattn_network_unref(network);
    resattn_model_config_free(config);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("configurations of the models");
    TCase *tests = tcase_create("configurations");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, settings_are_listed);
    tcase_add_test(tests, settings_are_refused);
    tcase_add_test(tests, memory_is_the_contexts);
    tcase_add_loop_test(tests, named_networks_are_configurations, 0, (int)(sizeof equal / sizeof *equal));
    tcase_add_test(tests, shortcut_b_has_parameters);
    tcase_add_loop_test(tests, combinations_work, 0, LEARNINGS * ACTIVATIONS * UNITS);
    tcase_add_loop_test(tests, shapes_work, 0, (int)(sizeof shapes / sizeof *shapes));
    tcase_add_test(tests, nonsense_is_refused);
    tcase_add_loop_test(tests, local_masks_cost_the_same, 0, (int)(sizeof costs / sizeof *costs));
    tcase_add_test(tests, up_sampling_begins_bilinear);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
