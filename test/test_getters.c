/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What can be asked back: all that was given to plans, sessions, layers, networks and optimizers. NULL:
 * test_wrong_use.c.
 */
#include <math.h>
#include <string.h>

#include "small.h"
#include "wrong.h"

static resattn_context *context;
static resattn_network *network;

static void set_up(void)
{
    context = resattn_context_new(1);
    network = small_network(context);
    ck_assert_msg(network != NULL, "%s", resattn_last_error());
}

static void tear_down(void)
{
    resattn_network_unref(network);
    resattn_context_unref(context);
}

static void done(resattn_status status)
{
    ck_assert_msg(status == RESATTN_OK, "%s", resattn_last_error());
}

START_TEST(plans)
{
    resattn_plan *training = resattn_plan_new(network, RESATTN_TRAINING, 3, 30, 32);
    resattn_plan *inference = resattn_plan_new(network, RESATTN_INFERENCE, 2, 17, 16);
    ck_assert_ptr_eq(resattn_plan_network(training), network);
    ck_assert_int_eq(resattn_plan_purpose(training), RESATTN_TRAINING);
    ck_assert_int_eq(resattn_plan_purpose(inference), RESATTN_INFERENCE);
    ck_assert_int_eq(resattn_plan_batch(training), 3);
    ck_assert_int_eq(resattn_plan_height(training), 30);
    ck_assert_int_eq(resattn_plan_width(training), 32);
    for (int32_t on = 0; on < 2; on++) {
        ck_assert_int_eq(resattn_plan_recomputation(training), 0);
        ck_assert_int_eq(resattn_plan_input_gradient(training), on);
        done(resattn_plan_set_input_gradient(training, 1));
    }
    done(resattn_plan_set_recomputation(training, 1));
    ck_assert_int_eq(resattn_plan_recomputation(training), 1);
    ck_assert_int_eq(resattn_plan_convolution(training), RESATTN_CONVOLUTION_REFERENCE);
    ck_assert_int_eq(resattn_plan_convolution(inference), RESATTN_CONVOLUTION_FASTEST);
    for (int32_t way = RESATTN_CONVOLUTION_FASTEST; way <= RESATTN_CONVOLUTION_REFERENCE; way++) {
        done(resattn_plan_set_convolution(inference, (resattn_convolution)way));
        ck_assert_int_eq(resattn_plan_convolution(inference), way);
    }
    REFUSED(STATE, "for training", resattn_plan_set_convolution(training, RESATTN_CONVOLUTION_FASTEST));
    REFUSED(INVALID, "convolution is 0", resattn_plan_set_convolution(inference, RESATTN_CONVOLUTION_NONE));
    NOTHING(INVALID, "purpose is 0", resattn_plan_new(network, RESATTN_PURPOSE_NONE, 1, 30, 30));
    resattn_plan_free(inference);
    resattn_plan_free(training);
}
END_TEST

START_TEST(sessions)
{
    const resattn_purpose purpose = _i ? RESATTN_TRAINING : RESATTN_INFERENCE;
    resattn_plan *plan = resattn_plan_new(network, purpose, 3, 30, 32);
    done(resattn_plan_add_output(plan, "attention2.mask"));
    done(resattn_plan_add_output(plan, "attention1.trunk"));
    resattn_session *session = resattn_session_new(plan);
    ck_assert_int_eq(resattn_session_purpose(session), purpose);
    ck_assert_int_eq(resattn_session_batch(session), 3);
    ck_assert_int_eq(resattn_session_height(session), 30);
    ck_assert_int_eq(resattn_session_width(session), 32);
    ck_assert_int_eq(resattn_session_output_count(session), 3);
    ck_assert_ptr_null(resattn_session_output_name(session, -1));
    ck_assert_ptr_null(resattn_session_output_name(session, 0));
    ck_assert_str_eq(resattn_session_output_name(session, 1), "attention2.mask");
    ck_assert_str_eq(resattn_session_output_name(session, 2), "attention1.trunk");
    ck_assert_ptr_null(resattn_session_output_name(session, 3));
    for (int32_t on = 1; on >= 0; on--) {
        ck_assert_int_eq(resattn_session_accumulate(session), !on);
        ck_assert_int_eq(resattn_session_profiling(session), !on);
        done(resattn_session_set_accumulate(session, on));
        done(resattn_session_set_profiling(session, on));
        ck_assert_int_eq(resattn_session_accumulate(session), on);
        ck_assert_int_eq(resattn_session_profiling(session), on);
        done(resattn_session_set_accumulate(session, 1));
        done(resattn_session_set_profiling(session, 1));
    }
    resattn_session_free(session);
    resattn_plan_free(plan);
}
END_TEST

/* Every parameter belongs to one layer, in the order of the tree. */
START_TEST(parameters_of_layers)
{
    int32_t next = 0;
    resattn_layer *layer = resattn_network_root(network);
    ck_assert_ptr_null(resattn_layer_parent(layer));
    while (layer) {
        for (int32_t i = 0; i < resattn_layer_parameter_count(layer); i++) {
            int32_t index = resattn_layer_parameter(layer, i);
            ck_assert_int_eq(index, next++);
            const char *path = resattn_layer_path(layer), *name = resattn_network_parameter_name(network, index);
            ck_assert(strncmp(name, path, strlen(path)) == 0 && strchr(name + strlen(path) + 1, '.') == NULL);
        }
        ck_assert_int_eq(resattn_layer_parameter(layer, -1), -1);
        ck_assert_int_eq(resattn_layer_parameter(layer, resattn_layer_parameter_count(layer)), -1);
        /* the next one: the first child, or the next child of a parent */
        resattn_layer *child = resattn_layer_child(layer, 0), *parent = resattn_layer_parent(layer);
        while (!child && parent) {
            int32_t index = 0;
            while (resattn_layer_child(parent, index) != layer)
                index++;
            child = resattn_layer_child(parent, index + 1);
            layer = parent;
            parent = resattn_layer_parent(layer);
        }
        layer = child;
    }
    ck_assert_int_eq(next, resattn_network_parameter_count(network));
}
END_TEST

START_TEST(layers_of_a_builder)
{
    resattn_builder *builder = resattn_builder_new(context);
    ck_assert_ptr_eq(resattn_builder_context(builder), context);
    for (int32_t order = 0; order < 2; order++) {
        resattn_attention *module = resattn_attention_new(builder, NULL);
        resattn_layer *trunk = conv(builder, NULL, 4), *mask = conv(builder, NULL, 4);
        ck_assert_ptr_null(resattn_layer_parent(trunk));
        ck_assert_int_eq(resattn_layer_parameter_count(trunk), 0);
        ck_assert_int_eq(resattn_layer_parameter(trunk, 0), -1);
        ck_assert_ptr_null(resattn_attention_trunk(module));
        ck_assert_ptr_null(resattn_attention_mask(module));
        if (order == 0) {
            done(resattn_attention_set_trunk(module, trunk));
            ck_assert_ptr_null(resattn_attention_mask(module));
            done(resattn_attention_set_mask(module, mask));
        } else {
            done(resattn_attention_set_mask(module, mask));
            ck_assert_ptr_null(resattn_attention_trunk(module));
            ck_assert_ptr_eq(resattn_attention_mask(module), mask);
            done(resattn_attention_set_trunk(module, trunk));
        }
        ck_assert_ptr_eq(resattn_attention_trunk(module), trunk);
        ck_assert_ptr_eq(resattn_attention_mask(module), mask);
        ck_assert_ptr_eq(resattn_layer_parent(mask), resattn_attention_layer(module));
    }
    resattn_builder_free(builder);
}
END_TEST

/* A blob has the branches, but not how they were set. */
START_TEST(branches_of_a_blob)
{
    void *bytes;
    size_t size;
    done(resattn_network_save_buffer(network, 0, &bytes, &size));
    resattn_network *again = resattn_network_load_buffer(context, bytes, size);
    resattn_attention *module = resattn_network_attention(again, 0);
    resattn_layer *layer = resattn_attention_layer(module);
    ck_assert_ptr_eq(resattn_attention_trunk(module), resattn_layer_child(layer, 0));
    ck_assert_ptr_eq(resattn_attention_mask(module), resattn_layer_child(layer, 1));
    resattn_buffer_free(bytes);
    resattn_network_unref(again);
}
END_TEST

/* What is called mutable is what a network lets one set. */
START_TEST(mutable_attributes)
{
    resattn_builder *builder = resattn_builder_new(context);
    resattn_layer *first = sequence(builder, NULL, conv(builder, "conv", 4), resattn_batch_norm_new(builder, "bn"));
    resattn_network *own =
        resattn_network_new(builder, sequence(builder, NULL, first, resattn_dropout_new(builder, "drop", 0.5)), 3);
    resattn_builder_free(builder);
    int32_t count = 0;
    for (int32_t l = 0; l < 3; l++) {
        resattn_layer *layer = resattn_network_layer(own, l == 0 ? "conv" : l == 1 ? "bn" : "drop");
        for (int32_t i = 0; i < resattn_layer_attribute_count(layer); i++) {
            const char *name = resattn_layer_attribute_name(layer, i);
            int64_t whole = 0;
            double real = 0;
            resattn_status status =
                resattn_layer_attribute_type(layer, i) == RESATTN_ATTRIBUTE_INT
                    ? (resattn_layer_get_int(layer, name, &whole), resattn_layer_set_int(layer, name, whole))
                    : (resattn_layer_get_real(layer, name, &real), resattn_layer_set_real(layer, name, real));
            int32_t is_mutable = resattn_layer_attribute_is_mutable(layer, i);
            ck_assert_int_eq(status, is_mutable ? RESATTN_OK : RESATTN_WRONG_STATE);
            count += is_mutable;
        }
        ck_assert_int_eq(resattn_layer_attribute_is_mutable(layer, -1), 0);
        ck_assert_int_eq(resattn_layer_attribute_is_mutable(layer, resattn_layer_attribute_count(layer)), 0);
    }
    ck_assert_int_eq(count, 3); /* momentum, frozen, probability */
    resattn_network_unref(own);
}
END_TEST

START_TEST(names_and_texts)
{
    static const char *const names[SMALL_CLASSES] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"};
    ck_assert_int_eq(resattn_network_class_count(network), 0);
    done(resattn_network_set_classes(network, names, SMALL_CLASSES));
    ck_assert_int_eq(resattn_network_class_count(network), SMALL_CLASSES);
    done(resattn_network_set_classes(network, NULL, 0));
    ck_assert_int_eq(resattn_network_class_count(network), 0);
    int32_t before = resattn_network_text_count(network);
    done(resattn_network_set_text(network, "one", "1"));
    done(resattn_network_set_text(network, "two", "2"));
    done(resattn_network_set_text(network, "one", "I"));
    ck_assert_int_eq(resattn_network_text_count(network), before + 2);
    ck_assert_str_eq(resattn_network_text_key(network, before + 1), "two");
    done(resattn_network_set_text(network, "one", NULL));
    ck_assert_int_eq(resattn_network_text_count(network), before + 1);
}
END_TEST

/* ---- training ---- */

/* Every attribute takes its default, both ends of its range, and nothing beyond. */
START_TEST(attributes_of_optimizers)
{
    resattn_optimizer *optimizer = (_i ? resattn_adamw_new : resattn_sgd_new)(network, 0.125);
    ck_assert_str_eq(resattn_optimizer_kind(optimizer), _i ? "adamw" : "sgd");
    ck_assert_ptr_eq(resattn_optimizer_network(optimizer), network);
    int32_t count = resattn_optimizer_attribute_count(optimizer);
    ck_assert_int_eq(count, _i ? 7 : 6);
    for (int32_t i = 0; i < count; i++) {
        const char *name = resattn_optimizer_attribute_name(optimizer, i);
        double smallest, largest, initial, value;
        done(resattn_optimizer_attribute_range(optimizer, i, NULL, NULL, NULL));
        done(resattn_optimizer_attribute_range(optimizer, i, &smallest, &largest, &initial));
        done(resattn_optimizer_get_real(optimizer, name, &value));
        ck_assert_double_eq(value, strcmp(name, "rate") == 0 ? 0.125 : initial);
        done(resattn_optimizer_set_real(optimizer, name, smallest));
        done(resattn_optimizer_set_real(optimizer, name, largest));
        REFUSED(INVALID, name, resattn_optimizer_set_real(optimizer, name, nextafter(smallest, -1)));
        REFUSED(INVALID, name, resattn_optimizer_set_real(optimizer, name, nextafter(largest, INFINITY)));
    }
    for (int32_t i = -1; i <= count; i += count + 1) {
        ck_assert_ptr_null(resattn_optimizer_attribute_name(optimizer, i));
        REFUSED(INVALID, resattn_optimizer_kind(optimizer),
                resattn_optimizer_attribute_range(optimizer, i, NULL, NULL, NULL));
    }
    resattn_optimizer_free(optimizer);
}
END_TEST

static double factor_of(const resattn_optimizer *optimizer, int32_t parameter, const char *attribute)
{
    double factor = -1;
    done(resattn_optimizer_get_factor(optimizer, parameter, attribute, &factor));
    return factor;
}

START_TEST(factors)
{
    resattn_builder *builder = resattn_builder_new(context);
    resattn_network *own = resattn_network_new(
        builder, sequence(builder, NULL, conv(builder, "conv", 4), resattn_batch_norm_new(builder, "bn")), 3);
    resattn_builder_free(builder);
    resattn_optimizer *optimizer = resattn_sgd_new(own, 0.1);
    int32_t weight = resattn_network_find_parameter(own, "conv.weight");
    int32_t scale = resattn_network_find_parameter(own, "bn.weight");
    int32_t mean = resattn_network_find_parameter(own, "bn.running_mean");
    double factor = 7;
    ck_assert_double_eq(factor_of(optimizer, weight, "rate"), 1);
    done(resattn_optimizer_set_factor(optimizer, "bn.weight", "weight_decay", 0.5));
    done(resattn_optimizer_set_factor(optimizer, "", "weight_decay", 3)); /* the longer path counts */
    ck_assert_double_eq(factor_of(optimizer, weight, "weight_decay"), 3);
    ck_assert_double_eq(factor_of(optimizer, scale, "weight_decay"), 0.5);
    ck_assert_double_eq(factor_of(optimizer, scale, "rate"), 1);
    done(resattn_optimizer_freeze(optimizer, "bn", 1));
    ck_assert_double_eq(factor_of(optimizer, scale, "rate"), 0);
    ck_assert_int_eq(resattn_optimizer_is_frozen(optimizer, weight), 0);
    ck_assert_int_eq(resattn_optimizer_is_frozen(optimizer, scale), 1);
    ck_assert_int_eq(resattn_optimizer_is_frozen(optimizer, mean), 0);
    ck_assert_int_eq(resattn_optimizer_is_frozen(optimizer, -1), 0);
    ck_assert_int_eq(resattn_optimizer_is_frozen(optimizer, resattn_network_parameter_count(own)), 0);
    REFUSED(INVALID, "bn.running_mean is a statistic", resattn_optimizer_get_factor(optimizer, mean, "rate", &factor));
    REFUSED(INVALID, "parameter -1, expected 0 to 4", resattn_optimizer_get_factor(optimizer, -1, "rate", &factor));
    REFUSED(INVALID, "parameter 5, expected 0 to 4", resattn_optimizer_get_factor(optimizer, 5, "rate", &factor));
    REFUSED(ABSENT, "\"momentum\"", resattn_optimizer_get_factor(optimizer, weight, "momentum", &factor));
    REFUSED(INVALID, "attribute is NULL", resattn_optimizer_get_factor(optimizer, weight, NULL, &factor));
    REFUSED(INVALID, "factor is NULL", resattn_optimizer_get_factor(optimizer, weight, "rate", NULL));
    ck_assert_double_eq(factor, 7);
    resattn_optimizer_free(optimizer);
    resattn_network_unref(own);
}
END_TEST

START_TEST(losses_and_averages)
{
    double value = -1;
    resattn_cross_entropy *loss = resattn_cross_entropy_new(context);
    done(resattn_cross_entropy_get_real(loss, "label_smoothing", &value));
    ck_assert_double_eq(value, 0);
    done(resattn_cross_entropy_get_real(loss, "gradient_scale", &value));
    ck_assert_double_eq(value, 1);
    done(resattn_cross_entropy_set_real(loss, "label_smoothing", 0.1));
    done(resattn_cross_entropy_set_real(loss, "gradient_scale", 0.25));
    done(resattn_cross_entropy_get_real(loss, "label_smoothing", &value));
    ck_assert_double_eq(value, 0.1);
    done(resattn_cross_entropy_get_real(loss, "gradient_scale", &value));
    ck_assert_double_eq(value, 0.25);
    REFUSED(ABSENT, "\"weight\"", resattn_cross_entropy_get_real(loss, "weight", &value));
    REFUSED(INVALID, "value is NULL", resattn_cross_entropy_get_real(loss, "gradient_scale", NULL));
    resattn_cross_entropy_free(loss);
    for (int32_t kind = RESATTN_MASK_LOSS_CROSS_ENTROPY; kind <= RESATTN_MASK_LOSS_DICE; kind++) {
        resattn_mask_loss *masks = resattn_mask_loss_new(context, (resattn_mask_loss_kind)kind);
        ck_assert_int_eq(resattn_mask_loss_get_kind(masks), kind);
        resattn_mask_loss_free(masks);
    }
    resattn_ema *average = resattn_ema_new(network, 0.75);
    ck_assert_ptr_eq(resattn_ema_network(average), network);
    ck_assert_double_eq(resattn_ema_decay(average), 0.75);
    resattn_ema_free(average);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("getters");
    TCase *tests = tcase_create("getters");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, plans);
    tcase_add_loop_test(tests, sessions, 0, 2);
    tcase_add_test(tests, parameters_of_layers);
    tcase_add_test(tests, layers_of_a_builder);
    tcase_add_test(tests, branches_of_a_blob);
    tcase_add_test(tests, mutable_attributes);
    tcase_add_test(tests, names_and_texts);
    tcase_add_loop_test(tests, attributes_of_optimizers, 0, 2);
    tcase_add_test(tests, factors);
    tcase_add_test(tests, losses_and_averages);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
