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
    return resattn_network_parameter_kind(t->network, p) == RESATTN_PARAMETER_TRAINED;
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
        resattn_tensor_read(resattn_network_gradient(t->network, p), RESATTN_CHANNELS_FIRST, f->buffer, f->count);
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
        resattn_tensor_read(resattn_network_gradient(t.network, p), RESATTN_CHANNELS_FIRST, f->buffer, f->count);
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
        float *values = resattn_tensor_data(input);
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
    ((float *)resattn_tensor_data(resattn_network_gradient(t.network, index)))[5] = wrong;
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

/* ---- memory ---- */

typedef struct host {
    int32_t left, living; /* allocations until one fails, blocks not given back */
} host;

static void *give(void *user, size_t size)
{
    host *h = user;
    if (h->left-- == 0)
        return NULL;
    void *memory = malloc(size);
    h->living += memory != NULL;
    return memory;
}

static void take(void *user, void *memory)
{
    host *h = user;
    h->living--;
    free(memory);
}

static resattn_optimizer *new_sgd(resattn_network *network)
{
    return resattn_sgd_new(network, 0.1);
}

static resattn_optimizer *(*const constructors[])(resattn_network *) = {new_sgd};

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
    TCase *clipping = tcase_create("clipping"), *memory = tcase_create("memory");
    tcase_set_timeout(clipping, 60);
    tcase_add_loop_test(clipping, clipping_scales_all_gradients, 0, 4);
    tcase_add_test(clipping, clipping_with_threads);
    tcase_add_loop_test(clipping, norms_that_are_not_finite, 0, 4);
    tcase_add_loop_test(memory, optimizers_without_memory, 0, (int)(sizeof constructors / sizeof *constructors));
    suite_add_tcase(suite, clipping);
    suite_add_tcase(suite, memory);
    return test_run(suite);
}
