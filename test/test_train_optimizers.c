/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What optimisers have in common, and AdamW, against the formulas in double precision.
 */
#include "train_common.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { PARAMETERS = 8 };

/* A network that has gone forward and backward once. */
typedef struct trained {
    resattn_context *context;
    resattn_network *network;
    resattn_session *session;
} trained;

static void step_back(trained *t)
{
    resattn_tensor *input = new_input(t->context, BATCH, 3, SIZE);
    train_step(t->session, input);
    resattn_tensor_unref(input);
}

static trained train_once(int32_t threads)
{
    trained t = {.context = resattn_context_new(threads)};
    t.network = train_network(t.context);
    t.session = new_session(t.network, RESATTN_TRAINING, BATCH, SIZE);
    ck_assert_int_eq(resattn_network_parameter_count(t.network), PARAMETERS);
    step_back(&t);
    return t;
}

static void free_trained(trained *t)
{
    resattn_session_free(t->session);
    resattn_network_unref(t->network);
    resattn_context_unref(t->context);
}

static bool is_trained(const trained *t, int32_t p)
{
    return resattn_network_parameter_kind(t->network, p) == RESATTN_PARAMETER_TRAINABLE;
}

static void follow_all(const trained *t, followed *parameters)
{
    for (int32_t p = 0; p < PARAMETERS; p++)
        follow(&parameters[p], resattn_network_parameter(t->network, p));
}

static void unfollow_all(followed *parameters)
{
    for (int32_t p = 0; p < PARAMETERS; p++)
        unfollow(&parameters[p]);
}

static void set(resattn_optimizer *optimizer, const char *attribute, double value)
{
    ck_assert_msg(resattn_optimizer_set_real(optimizer, attribute, value) == RESATTN_OK, "%s", resattn_last_error());
}

/* ---- clipping ---- */

static double reference_norm(const trained *t, followed *parameters)
{
    double squares = 0;
    for (int32_t p = 0; p < PARAMETERS; p++) {
        followed *f = &parameters[p];
        if (!is_trained(t, p))
            continue;
        resattn_tensor_read(resattn_network_parameter_gradient(t->network, p), RESATTN_CHANNELS_FIRST, f->buffer,
                            f->count);
        for (int64_t i = 0; i < f->count; i++)
            squares += (double)f->buffer[i] * (double)f->buffer[i];
    }
    return sqrt(squares);
}

/* With shares of the norm that clip, and that do not. */
START_TEST(clipping_scales_all_gradients)
{
    static const double shares[] = {0.25, 0.999, 1.001, 0};
    trained t = train_once(2);
    followed parameters[PARAMETERS];
    follow_all(&t, parameters);
    resattn_optimizer *optimizer = resattn_sgd_new(t.network, 0.5);
    set(optimizer, "momentum", 0);
    ck_assert(isnan(resattn_optimizer_gradient_norm(optimizer)));
    double norm = reference_norm(&t, parameters), share = shares[_i];
    double scale = share > 0 && share < 1 ? share : 1;
    set(optimizer, "clip_norm", norm * share);
    ck_assert_int_eq(resattn_optimizer_step(optimizer), RESATTN_OK);
    ck_assert_double_eq_tol(resattn_optimizer_gradient_norm(optimizer), norm, 1e-12 * norm);
    ck_assert_double_eq(reference_norm(&t, parameters), norm); /* the gradients are as they were */
    for (int32_t p = 0; p < PARAMETERS; p++) {
        followed *f = &parameters[p];
        if (!is_trained(&t, p))
            continue;
        resattn_tensor_read(resattn_network_parameter_gradient(t.network, p), RESATTN_CHANNELS_FIRST, f->buffer,
                            f->count);
        for (int64_t i = 0; i < f->count; i++)
            f->value[i] -= 0.5 * scale * (double)f->buffer[i];
        compare(f, resattn_network_parameter(t.network, p), resattn_network_parameter_name(t.network, p));
    }
    unfollow_all(parameters);
    resattn_optimizer_free(optimizer);
    free_trained(&t);
}
END_TEST

/* The norm and the weights have the same bits for any number of threads. */
START_TEST(clipping_with_threads)
{
    enum { VALUES = 40 * 1000 };
    float *weights[2];
    double norms[2];
    uint64_t seed = test_random();
    for (int32_t i = 0; i < 2; i++) {
        trained t = {.context = resattn_context_new(1 + 3 * i)};
        t.network = train_network(t.context);
        t.session = new_session(t.network, RESATTN_TRAINING, BATCH, SIZE);
        resattn_tensor *input = new_input(t.context, BATCH, 3, SIZE);
        float *values = resattn_tensor_mutable_data(input);
        for (int64_t j = 0; j < resattn_tensor_elements(input); j++)
            values[j] = (float)((seed >> (j % 40)) % 1000) / 500 - 1;
        train_step(t.session, input);
        resattn_optimizer *optimizer = resattn_sgd_new(t.network, 0.5);
        set(optimizer, "clip_norm", 0.01);
        ck_assert_int_eq(resattn_optimizer_step(optimizer), RESATTN_OK);
        norms[i] = resattn_optimizer_gradient_norm(optimizer);
        weights[i] = malloc(VALUES * sizeof(float));
        resattn_tensor *matrix =
            resattn_network_parameter(t.network, resattn_network_find_parameter(t.network, "linear.weight"));
        ck_assert_int_eq(resattn_tensor_read(matrix, RESATTN_CHANNELS_FIRST, weights[i], VALUES), RESATTN_OK);
        resattn_optimizer_free(optimizer);
        resattn_tensor_unref(input);
        free_trained(&t);
    }
    ck_assert_double_gt(norms[0], 0.01);
    ck_assert_mem_eq(&norms[0], &norms[1], sizeof(double));
    ck_assert_mem_eq(weights[0], weights[1], VALUES * sizeof(float));
    free(weights[0]);
    free(weights[1]);
}
END_TEST

static float first_weight(const trained *t, const char *name)
{
    int32_t index = resattn_network_find_parameter(t->network, name);
    return ((const float *)resattn_tensor_data(resattn_network_parameter(t->network, index)))[0];
}

/* A gradient that is not a number spoils what the comment in train.h says. */
START_TEST(norms_that_are_not_finite)
{
    const float wrong = _i < 2 ? NAN : INFINITY;
    const bool clips = _i % 2;
    trained t = train_once(1);
    resattn_optimizer *optimizer = resattn_sgd_new(t.network, 0.1);
    set(optimizer, "clip_norm", clips ? 1 : 0);
    int32_t index = resattn_network_find_parameter(t.network, "conv.weight");
    ((float *)resattn_tensor_mutable_data(resattn_network_parameter_gradient(t.network, index)))[5] = wrong;
    float before = first_weight(&t, "linear.weight");
    ck_assert_int_eq(resattn_optimizer_step(optimizer), RESATTN_OK);
    double norm = resattn_optimizer_gradient_norm(optimizer);
    float after = first_weight(&t, "linear.weight");
    ck_assert(_i < 2 ? isnan(norm) : isinf(norm));
    if (!clips)
        ck_assert(isfinite(after));
    else if (_i < 2)
        ck_assert(isnan(after));
    else
        ck_assert_float_eq(after, before);
    resattn_optimizer_free(optimizer);
    free_trained(&t);
}
END_TEST

/* ---- AdamW ---- */

typedef struct adamw_case {
    double rate, beta1, beta2, epsilon, decay, decay_vectors, clip;
} adamw_case;

static const adamw_case adamw_cases[] = {
    {1e-3, 0.9, 0.999, 1e-8, 0.01, 1, 0}, {1e-2, 0.9, 0.99, 1e-6, 0.3, 0, 0}, {1e-3, 0, 0, 1e-4, 0, 1, 0},
    {1e-3, 0.5, 0.9999, 1e-3, 0.1, 1, 0}, {1e-2, 0.9, 0.95, 1e-2, 0, 1, 0.3},
};

/* The formula of the comment in train.h. */
static void adamw_step(followed *f, const adamw_case *c, resattn_tensor *gradient, double scale, int step)
{
    bool decays = c->decay_vectors > 0 || resattn_tensor_rank(gradient) > 1;
    resattn_tensor_read(gradient, RESATTN_CHANNELS_FIRST, f->buffer, f->count);
    for (int64_t i = 0; i < f->count; i++) {
        double g = scale * (double)f->buffer[i], *m = &f->state[0][i], *v = &f->state[1][i];
        f->value[i] -= decays ? c->rate * c->decay * f->value[i] : 0;
        *m = c->beta1 * *m + (1 - c->beta1) * g;
        *v = c->beta2 * *v + (1 - c->beta2) * g * g;
        f->value[i] -= c->rate * (*m / (1 - pow(c->beta1, step))) / (sqrt(*v / (1 - pow(c->beta2, step))) + c->epsilon);
    }
}

static resattn_optimizer *adamw_of(resattn_network *network, const adamw_case *c)
{
    resattn_optimizer *optimizer = resattn_adamw_new(network, c->rate);
    set(optimizer, "beta1", c->beta1);
    set(optimizer, "beta2", c->beta2);
    set(optimizer, "epsilon", c->epsilon);
    set(optimizer, "weight_decay", c->decay);
    set(optimizer, "decay_vectors", c->decay_vectors);
    set(optimizer, "clip_norm", c->clip);
    return optimizer;
}

/* The network's statistics are no part of a step: those followed stay as they were. */
START_TEST(adamw_follows_the_formula)
{
    const adamw_case *c = &adamw_cases[_i];
    trained t = train_once(2);
    followed parameters[PARAMETERS];
    follow_all(&t, parameters);
    resattn_optimizer *optimizer = adamw_of(t.network, c);
    for (int step = 1; step <= STEPS; step++) {
        if (step > 1)
            step_back(&t);
        double norm = reference_norm(&t, parameters), scale = c->clip > 0 && norm > c->clip ? c->clip / norm : 1;
        for (int32_t p = 0; p < PARAMETERS; p++)
            if (is_trained(&t, p))
                adamw_step(&parameters[p], c, resattn_network_parameter_gradient(t.network, p), scale, step);
        ck_assert_int_eq(resattn_optimizer_step(optimizer), RESATTN_OK);
        for (int32_t p = 0; p < PARAMETERS; p++)
            if (is_trained(&t, p))
                compare(&parameters[p], resattn_network_parameter(t.network, p),
                        resattn_network_parameter_name(t.network, p));
    }
    unfollow_all(parameters);
    resattn_optimizer_free(optimizer);
    free_trained(&t);
}
END_TEST

START_TEST(adamw_refuses)
{
    static const struct {
        const char *name;
        double initial, good, bad;
        const char *part;
    } attributes[] = {
        {"rate", 0.1, 0, -1, "adamw: rate is -1, expected 0 to 1e+06"},
        {"beta1", 0.9, 0, 1, "adamw: beta1 is 1, expected at least 0 and less than 1"},
        {"beta2", 0.999, 0.5, 1, "adamw: beta2 is 1, expected at least 0 and less than 1"},
        {"epsilon", 1e-8, 1, 1.5, "adamw: epsilon is 1.5, expected 0 to 1"},
        {"weight_decay", 0.01, 0, -0.5, "adamw: weight_decay is -0.5, expected 0 to 1e+06"},
        {"decay_vectors", 1, 0, 0.5, "adamw: decay_vectors is 0.5, expected 0 or 1"},
        {"clip_norm", 0, 5, -5, "adamw: clip_norm is -5, expected 0 to 1e+30"},
    };
    resattn_context *context = resattn_context_new(1);
    resattn_network *network = train_network(context);
    ck_assert_ptr_null(resattn_adamw_new(network, NAN));
    resattn_optimizer *optimizer = resattn_adamw_new(network, 0.1);
    double value = -1;
    for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++) {
        const char *name = attributes[i].name;
        ck_assert_int_eq(resattn_optimizer_get_real(optimizer, name, &value), RESATTN_OK);
        ck_assert_double_eq(value, attributes[i].initial);
        expect_error(resattn_optimizer_set_real(optimizer, name, attributes[i].bad), RESATTN_INVALID_ARGUMENT,
                     attributes[i].part);
        expect_error(resattn_optimizer_set_real(optimizer, name, NAN), RESATTN_INVALID_ARGUMENT, name);
        set(optimizer, name, attributes[i].good);
        ck_assert_int_eq(resattn_optimizer_get_real(optimizer, name, &value), RESATTN_OK);
        ck_assert_double_eq(value, attributes[i].good);
    }
    expect_error(
        resattn_optimizer_set_real(optimizer, "momentum", 0.9), RESATTN_NOT_FOUND,
        "adamw: no attribute is called \"momentum\", expected rate, weight_decay, decay_vectors, clip_norm, beta1, "
        "beta2 or epsilon");
    expect_error(resattn_optimizer_step(optimizer), RESATTN_WRONG_STATE, "adamw: step before the first backward pass");
    resattn_optimizer_free(optimizer);
    resattn_network_unref(network);
    resattn_context_unref(context);
}
END_TEST

/* ---- paths ---- */

static void set_path(resattn_optimizer *optimizer, const char *path, const char *attribute, double factor)
{
    ck_assert_msg(resattn_optimizer_set_factor(optimizer, path, attribute, factor) == RESATTN_OK, "%s",
                  resattn_last_error());
}

typedef struct path_case {
    const char *name;
    double rate, decay;
} path_case;

/* What the paths of the test below come to: longer paths win, given before or after. */
static const path_case path_cases[] = {
    {"conv.weight", 0.5, 0}, {"conv.bias", 3, 0},        {"bn.weight", 2, 0},
    {"bn.bias", 2, 1},       {"linear.weight", 0.25, 2}, {"linear.bias", 0, 2},
};

static void give_paths(resattn_optimizer *optimizer)
{
    set_path(optimizer, "conv.bias", "rate", 3);
    set_path(optimizer, "", "rate", 7);
    set_path(optimizer, "conv", "rate", 0.5);
    set_path(optimizer, "", "rate", 2);
    set_path(optimizer, "linear", "rate", 0.25);
    set_path(optimizer, "linear.bias", "rate", 0);
    set_path(optimizer, "conv", "weight_decay", 0);
    set_path(optimizer, "bn.weight", "weight_decay", 0);
    set_path(optimizer, "linear", "weight_decay", 2);
}

START_TEST(paths_change_rate_and_decay)
{
    trained t = train_once(2);
    resattn_optimizer *optimizer = resattn_sgd_new(t.network, 0.1);
    set(optimizer, "momentum", 0);
    set(optimizer, "weight_decay", 0.2);
    give_paths(optimizer);
    followed parameters[PARAMETERS];
    follow_all(&t, parameters);
    double squares = 0;
    for (size_t i = 0; i < sizeof path_cases / sizeof *path_cases; i++) {
        const path_case *c = &path_cases[i];
        int32_t p = resattn_network_find_parameter(t.network, c->name);
        followed *f = &parameters[p];
        resattn_tensor_read(resattn_network_parameter_gradient(t.network, p), RESATTN_CHANNELS_FIRST, f->buffer,
                            f->count);
        for (int64_t j = 0; j < f->count; j++) {
            squares += c->rate > 0 ? (double)f->buffer[j] * (double)f->buffer[j] : 0;
            f->value[j] -= 0.1 * c->rate * ((double)f->buffer[j] + 0.2 * c->decay * f->value[j]);
        }
    }
    ck_assert_int_eq(resattn_optimizer_step(optimizer), RESATTN_OK);
    for (int32_t p = 0; p < PARAMETERS; p++)
        if (is_trained(&t, p))
            compare(&parameters[p], resattn_network_parameter(t.network, p),
                    resattn_network_parameter_name(t.network, p));
    ck_assert_double_eq_tol(resattn_optimizer_gradient_norm(optimizer), sqrt(squares), 1e-12);
    unfollow_all(parameters);
    resattn_optimizer_free(optimizer);
    free_trained(&t);
}
END_TEST

/* A gradient that is not a number does not reach frozen weights; thawed, AdamW starts with them as at its first step.
 */
START_TEST(frozen_parameters_stay)
{
    trained t = train_once(1);
    resattn_optimizer *optimizer = resattn_adamw_new(t.network, 0.01);
    set(optimizer, "weight_decay", 0);
    set_path(optimizer, "linear", "rate", 0);
    resattn_tensor *gradient =
        resattn_network_parameter_gradient(t.network, resattn_network_find_parameter(t.network, "linear.weight"));
    float before = first_weight(&t, "linear.weight"), conv = first_weight(&t, "conv.weight");
    ck_assert_int_eq(resattn_tensor_fill(gradient, NAN), RESATTN_OK);
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(resattn_optimizer_step(optimizer), RESATTN_OK);
    ck_assert(isfinite(resattn_optimizer_gradient_norm(optimizer)));
    ck_assert_float_eq(first_weight(&t, "linear.weight"), before);
    ck_assert_float_ne(first_weight(&t, "conv.weight"), conv);
    set_path(optimizer, "linear", "rate", 1);
    ck_assert_int_eq(resattn_tensor_fill(gradient, 0.5F), RESATTN_OK);
    ck_assert_int_eq(resattn_optimizer_step(optimizer), RESATTN_OK);
    ck_assert_double_eq_tol((double)first_weight(&t, "linear.weight"), (double)before - 0.01, 1e-7);
    resattn_optimizer_free(optimizer);
    free_trained(&t);
}
END_TEST

START_TEST(paths_refused)
{
    static const char *const unknown[] = {"con", "conv.",       "conv.weight.x", "relu1", "bn.running_mean",
                                          ".",   "linear.weigh"};
    resattn_context *context = resattn_context_new(1);
    resattn_network *network = train_network(context);
    resattn_optimizer *optimizer = resattn_sgd_new(network, 0.1);
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
        expect_error(resattn_optimizer_set_factor(optimizer, unknown[i], "rate", 1), RESATTN_NOT_FOUND, unknown[i]);
    expect_error(resattn_optimizer_set_factor(optimizer, "conv", "momentum", 1), RESATTN_NOT_FOUND,
                 "sgd: no attribute by path is called \"momentum\", expected rate or weight_decay");
    expect_error(resattn_optimizer_set_factor(optimizer, "conv", "rate", -1), RESATTN_INVALID_ARGUMENT,
                 "sgd: the factor on rate of \"conv\" is -1, expected 0 to 1e+06");
    expect_error(resattn_optimizer_set_factor(optimizer, "conv", "rate", NAN), RESATTN_INVALID_ARGUMENT, "nan");
    expect_error(resattn_optimizer_set_factor(optimizer, NULL, "rate", 1), RESATTN_INVALID_ARGUMENT, "path is NULL");
    expect_error(resattn_optimizer_set_factor(optimizer, "conv", NULL, 1), RESATTN_INVALID_ARGUMENT,
                 "attribute is NULL");
    resattn_optimizer_free(optimizer);
    resattn_network_unref(network);
    resattn_context_unref(context);
}
END_TEST

/* ---- memory ---- */

static resattn_optimizer *new_sgd(resattn_network *network)
{
    return resattn_sgd_new(network, 0.1);
}

static resattn_optimizer *new_adamw(resattn_network *network)
{
    return resattn_adamw_new(network, 0.1);
}

static resattn_optimizer *(*const constructors[])(resattn_network *) = {new_sgd, new_adamw};

/* Whichever allocation fails, there is no optimiser and nothing leaks. */
START_TEST(optimizers_without_memory)
{
    host h = {.left = INT32_MAX};
    resattn_context *context = resattn_context_new_with_allocator(1, give, take, &h);
    resattn_network *network = train_network(context);
    int32_t before = h.living, failures = 0;
    resattn_optimizer *optimizer = NULL;
    for (; !optimizer && failures < 100; failures++) {
        h.left = failures;
        optimizer = constructors[_i](network);
        if (!optimizer) {
            ck_assert_int_eq(resattn_last_status(), RESATTN_OUT_OF_MEMORY);
            ck_assert_int_eq(h.living, before);
        }
    }
    ck_assert_int_gt(failures, 4);
    ck_assert_ptr_nonnull(optimizer);
    resattn_optimizer_free(optimizer);
    resattn_network_unref(network);
    resattn_context_unref(context);
    ck_assert_int_eq(h.living, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("optimizers");
    TCase *clipping = tcase_create("clipping"), *adamw = tcase_create("adamw"), *paths = tcase_create("paths"),
          *memory = tcase_create("memory");
    tcase_set_timeout(clipping, 60);
    tcase_add_loop_test(clipping, clipping_scales_all_gradients, 0, 4);
    tcase_add_test(clipping, clipping_with_threads);
    tcase_add_loop_test(clipping, norms_that_are_not_finite, 0, 4);
    tcase_set_timeout(adamw, 60);
    tcase_add_loop_test(adamw, adamw_follows_the_formula, 0, (int)(sizeof adamw_cases / sizeof *adamw_cases));
    tcase_add_test(adamw, adamw_refuses);
    tcase_add_test(paths, paths_change_rate_and_decay);
    tcase_add_test(paths, frozen_parameters_stay);
    tcase_add_test(paths, paths_refused);
    tcase_add_loop_test(memory, optimizers_without_memory, 0, (int)(sizeof constructors / sizeof *constructors));
    suite_add_tcase(suite, clipping);
    suite_add_tcase(suite, adamw);
    suite_add_tcase(suite, paths);
    suite_add_tcase(suite, memory);
    return test_run(suite);
}
