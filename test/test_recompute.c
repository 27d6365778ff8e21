/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Training that makes values once more in backward gives the same bits as training that keeps them, in less memory.
 */
#include <stdio.h>
#include <string.h>

#include "common.h"
#include "small.h"

enum { BATCH = 3, STEPS = 2 };

/* ---- a deep network of all kinds of layers ---- */

enum { CHANNELS = 12, BLOCKS = 9 };

static resattn_layer *chain(resattn_builder *b, int32_t count, resattn_layer *const *layers)
{
    resattn_layer *layer = resattn_sequential_new(b, NULL);
    for (int32_t i = 0; i < count; i++)
        resattn_layer_add(layer, layers[i]);
    return layer;
}

#define CHAIN(...)                                                                                                     \
    chain(b, (int32_t)(sizeof((resattn_layer *[]){__VA_ARGS__}) / sizeof(resattn_layer *)),                            \
          (resattn_layer *[]){__VA_ARGS__})

static resattn_layer *conv(resattn_builder *b, int32_t kernel)
{
    return resattn_conv2d_new(b, NULL, CHANNELS, kernel, 1, kernel / 2);
}

static resattn_layer *branches(resattn_builder *b, resattn_layer *layer)
{
    resattn_layer_add(layer, CHAIN(conv(b, 1), resattn_dropout_new(b, NULL, 0.3), resattn_sigmoid_new(b, NULL)));
    resattn_layer_add(layer, CHAIN(resattn_batch_norm_new(b, NULL), resattn_relu_new(b, NULL), conv(b, 3)));
    resattn_layer_add(layer, CHAIN(resattn_scale_new(b, NULL, 0.5), resattn_relu_new(b, NULL)));
    resattn_layer_add(layer, resattn_average_pool_new(b, NULL, 3, 1, 1));
    return layer;
}

static resattn_layer *mask(resattn_builder *b)
{
    resattn_layer *inner = CHAIN(conv(b, 3), resattn_batch_norm_new(b, NULL), resattn_batch_norm_new(b, NULL));
    return CHAIN(resattn_down_up_new(b, NULL, resattn_max_pool_new(b, NULL, 3, 2, 1), inner,
                                     resattn_bilinear_resize_new(b, NULL, 0, 0)),
                 resattn_instance_norm_new(b, NULL), conv(b, 1));
}

static resattn_layer *attention(resattn_builder *b, const char *name)
{
    resattn_attention *module = resattn_attention_new(b, name);
    resattn_attention_set_trunk(module,
                                CHAIN(resattn_residual_new(b, NULL, CHAIN(conv(b, 3), resattn_relu_new(b, NULL)), NULL),
                                      resattn_channel_norm_new(b, NULL)));
    resattn_attention_set_mask(module, mask(b));
    return resattn_attention_layer(module);
}

static resattn_network *mixed_network(resattn_context *context)
{
    resattn_builder *b = resattn_builder_new(context);
    /* the first layers have nothing to train: no backward pass, but they are to be computed once more */
    resattn_layer *net = CHAIN(resattn_subsample_new(b, NULL, 2 * CHANNELS, 1), resattn_max_pool_new(b, NULL, 3, 1, 1),
                               resattn_instance_norm_new(b, NULL), resattn_max_pool_new(b, NULL, 3, 1, 1), conv(b, 3),
                               resattn_batch_norm_new(b, NULL));
    for (int32_t i = 0; i < BLOCKS; i++) {
        char name[16];
        snprintf(name, sizeof name, "block%d", (int)i);
        if (i % 3 == 0)
            resattn_layer_add(net,
                              CHAIN(branches(b, resattn_concat_new(b, NULL)), conv(b, 1), resattn_relu_new(b, name)));
        else if (i % 3 == 1)
            resattn_layer_add(net, branches(b, resattn_sum_new(b, name)));
        else
            resattn_layer_add(net, attention(b, name));
    }
    resattn_layer_add(net, resattn_global_average_pool_new(b, NULL));
    resattn_layer_add(net, resattn_linear_new(b, NULL, SMALL_CLASSES));
    resattn_network *network = resattn_network_new(b, net, 3);
    resattn_builder_free(b);
    return network;
}

static resattn_network *model(resattn_context *context, const char *name)
{
    resattn_builder *b = resattn_builder_new(context);
    resattn_network *network = resattn_network_new(b, resattn_model_new(b, name, SMALL_CLASSES), 3);
    resattn_builder_free(b);
    return network;
}

/* ---- runs ---- */

typedef struct trial {
    const char *name; /* of a model; NULL: the mixed network */
    int32_t side;
    const char *outputs[3]; /* also asked for, and with gradients of their own */
    double share;           /* of the memory that may remain */
    int input_gradient;
} trial;

static const trial trials[] = {
    {NULL, 13, {NULL}, 0.75, 0},
    {NULL, 13, {"block2.mask", "block4", "block8.trunk"}, 0.8, 1},
    {"attention-56-cifar", 32, {NULL}, 0.5, 1},
    {"attention-92-cifar", 32, {"AttentionA_1.mask", "AttentionB_2.mask", "AttentionC_2.trunk"}, 0.5, 1},
    {"resnet-20-cifar", 32, {NULL}, 0.8, 1},
    {"resnet-110-cifar", 32, {NULL}, 0.4, 0},
    {"attentionnext-56", 64, {NULL}, 0.8, 1},
    {"attentioninception-56", 64, {NULL}, 0.8, 1},
    {"inception-resnet-v1", 75, {NULL}, 0.8, 0},
};

static resattn_plan *new_plan(const trial *t, resattn_network *network, int recompute)
{
    resattn_plan *plan = resattn_plan_new(network, RESATTN_TRAINING, BATCH, t->side, t->side);
    ck_assert_msg(plan != NULL, "%s", resattn_last_error());
    for (int32_t i = 0; i < 3 && t->outputs[i]; i++)
        ck_assert_msg(resattn_plan_add_output(plan, t->outputs[i]) == RESATTN_OK, "%s", resattn_last_error());
    if (t->input_gradient)
        ck_assert_int_eq(resattn_plan_set_input_gradient(plan, 1), RESATTN_OK);
    ck_assert_int_eq(resattn_plan_set_recomputation(plan, recompute), RESATTN_OK);
    return plan;
}

static void give_gradient(resattn_session *session, const char *name, resattn_context *context, results *r)
{
    const resattn_tensor *output = resattn_session_output(session, name);
    ck_assert_int_eq(results_add(r, output), RESATTN_OK);
    int64_t shape[4];
    for (int32_t i = 0; i < 4; i++)
        shape[i] = resattn_tensor_size(output, i);
    resattn_tensor *gradient = resattn_tensor_new(context, RESATTN_F32, 4, shape, RESATTN_CHANNELS_LAST);
    ck_assert_int_eq(resattn_tensor_fill(gradient, 1e-3F), RESATTN_OK);
    ck_assert_int_eq(resattn_session_set_output_gradient(session, name, gradient), RESATTN_OK);
    resattn_tensor_unref(gradient);
}

static void add_network(resattn_network *network, results *r)
{
    for (int32_t i = 0; i < resattn_network_parameter_count(network); i++) {
        ck_assert_int_eq(results_add(r, resattn_network_parameter(network, i)), RESATTN_OK);
        if (resattn_network_parameter_kind(network, i) == RESATTN_PARAMETER_TRAINABLE)
            ck_assert_int_eq(results_add(r, resattn_network_parameter_gradient(network, i)), RESATTN_OK);
    }
}

/* One step, the second one of fewer images, with gradients added to the first one's. */
static void train(const trial *t, resattn_session *session, resattn_context *context, int32_t step, results *r)
{
    const int32_t labels[BATCH] = {3, 0, 9};
    resattn_network *network = resattn_session_network(session);
    resattn_tensor *input = small_input(context, BATCH - step, t->side, t->side, (uint64_t)step);
    ck_assert_int_eq(resattn_session_set_accumulate(session, step > 0), RESATTN_OK);
    ck_assert_msg(resattn_session_forward(session, input) == RESATTN_OK, "%s", resattn_last_error());
    ck_assert_int_eq(results_add(r, resattn_session_output(session, NULL)), RESATTN_OK);
    ck_assert_int_eq(resattn_softmax_cross_entropy(session, labels, BATCH - step, NULL, NULL), RESATTN_OK);
    for (int32_t i = 0; i < 3 && t->outputs[i]; i++)
        give_gradient(session, t->outputs[i], context, r);
    ck_assert_int_eq(resattn_session_backward(session), RESATTN_OK);
    if (t->input_gradient)
        ck_assert_int_eq(results_add(r, resattn_session_input_gradient(session)), RESATTN_OK);
    add_network(network, r);
    resattn_tensor_unref(input);
}

static results run(const trial *t, int32_t threads, int recompute)
{
    results r = {0};
    resattn_context *context = resattn_context_new(threads);
    resattn_network *network = t->name ? model(context, t->name) : mixed_network(context);
    ck_assert_msg(network != NULL, "%s", resattn_last_error());
    resattn_plan *plan = new_plan(t, network, recompute);
    resattn_session *session = resattn_session_new(plan);
    resattn_optimizer *sgd = resattn_sgd_new(network, 0.01);
    ck_assert_msg(session != NULL && sgd != NULL, "%s", resattn_last_error());
    for (int32_t step = 0; step < STEPS; step++) {
        train(t, session, context, step, &r);
        ck_assert_int_eq(resattn_optimizer_step(sgd), RESATTN_OK);
    }
    resattn_optimizer_free(sgd);
    resattn_session_free(session);
    resattn_plan_free(plan);
    resattn_network_unref(network);
    resattn_context_unref(context);
    return r;
}

START_TEST(test_same_bits)
{
    const trial *t = &trials[_i];
    results expected = run(t, 1, 0);
    for (int32_t threads = 1; threads <= 3; threads++) {
        results r = run(t, threads, 1);
        char what[80];
        snprintf(what, sizeof what, "%s, %d threads", t->name ? t->name : "mixed network", (int)threads);
        ck_assert(results_equal(what, &r, &expected));
        results_free(&r);
    }
    results_free(&expected);
}
END_TEST

START_TEST(test_less_memory)
{
    const trial *t = &trials[_i];
    resattn_context *context = resattn_context_new(1);
    resattn_network *network = t->name ? model(context, t->name) : mixed_network(context);
    resattn_plan *plan = new_plan(t, network, 0);
    int64_t all = resattn_plan_memory(plan);
    ck_assert_int_eq(resattn_plan_set_recomputation(plan, 1), RESATTN_OK);
    int64_t some = resattn_plan_memory(plan);
    ck_assert_int_gt(some, 0);
    ck_assert_msg((double)some <= t->share * (double)all, "%s: %lld bytes instead of %lld",
                  t->name ? t->name : "mixed network", (long long)some, (long long)all);
    ck_assert_int_eq(resattn_plan_set_recomputation(plan, 0), RESATTN_OK);
    ck_assert_int_eq(resattn_plan_memory(plan), all);
    resattn_plan_free(plan);
    resattn_network_unref(network);
    resattn_context_unref(context);
}
END_TEST

/* What is kept grows more slowly than the network: with the square root of its depth, and fixed parts. */
START_TEST(test_deep)
{
    static const char *const names[] = {"resnet-20-cifar", "resnet-110-cifar"};
    int64_t all[2], some[2];
    resattn_context *context = resattn_context_new(1);
    for (int32_t i = 0; i < 2; i++) {
        resattn_network *network = model(context, names[i]);
        resattn_plan *plan = resattn_plan_new(network, RESATTN_TRAINING, 32, 32, 32);
        all[i] = resattn_plan_memory(plan);
        resattn_plan_set_recomputation(plan, 1);
        some[i] = resattn_plan_memory(plan);
        resattn_plan_free(plan);
        resattn_network_unref(network);
    }
    resattn_context_unref(context);
    ck_assert_msg(all[1] > 4 * all[0], "%lld and %lld bytes", (long long)all[0], (long long)all[1]);
    ck_assert_msg(some[1] < 3 * some[0], "%lld and %lld bytes", (long long)some[0], (long long)some[1]);
}
END_TEST

START_TEST(test_refused)
{
    resattn_context *context = resattn_context_new(1);
    resattn_network *network = small_network(context);
    resattn_plan *inference = resattn_plan_new(network, RESATTN_INFERENCE, 1, SMALL_SIDE, SMALL_SIDE);
    resattn_plan *training = resattn_plan_new(network, RESATTN_TRAINING, 1, SMALL_SIDE, SMALL_SIDE);
    ck_assert_int_eq(resattn_plan_set_recomputation(inference, 1), RESATTN_WRONG_STATE);
    test_expect_error(RESATTN_WRONG_STATE, "recomputation: the plan is for inference");
    ck_assert_int_eq(resattn_plan_set_recomputation(training, 2), RESATTN_INVALID_ARGUMENT);
    test_expect_error(RESATTN_INVALID_ARGUMENT, "recomputation is 2, expected 0 or 1");
    resattn_plan_free(training);
    resattn_plan_free(inference);
    resattn_network_unref(network);
    resattn_context_unref(context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("recompute");
    TCase *tests = tcase_create("recompute");
    int count = (int)(sizeof trials / sizeof *trials);
    tcase_set_timeout(tests, 240);
    tcase_add_loop_test(tests, test_same_bits, 0, count);
    tcase_add_loop_test(tests, test_less_memory, 0, count);
    tcase_add_test(tests, test_deep);
    tcase_add_test(tests, test_refused);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
