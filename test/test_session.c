/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sessions: several at once, several sizes, smaller batches, 8-bit pixels, and which parameters an inference session
 * sees.
 */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common.h"
#include "small.h"

static resattn_context *context;
static resattn_network *network;

static void set_up(void)
{
    context = resattn_context_new(2);
    network = small_network(context);
    ck_assert_msg(network != NULL, "%s", resattn_last_error());
}

static void tear_down(void)
{
    resattn_network_unref(network);
    resattn_context_unref(context);
}

static resattn_session *infer_session(int32_t batch, int32_t height, int32_t width)
{
    resattn_session *session = small_session(network, RESATTN_INFERENCE, batch, height, width);
    ck_assert_msg(session != NULL, "%s", resattn_last_error());
    return session;
}

static results infer(resattn_session *session, const resattn_tensor *input)
{
    results r = {0};
    ck_assert_msg(resattn_session_forward(session, input) == RESATTN_OK, "%s", resattn_last_error());
    ck_assert_int_eq(results_add(&r, resattn_session_output(session, NULL)), RESATTN_OK);
    ck_assert_int_eq(results_add(&r, resattn_session_output(session, "attention1.mask")), RESATTN_OK);
    ck_assert_int_eq(results_add(&r, resattn_session_output(session, "attention2.mask")), RESATTN_OK);
    return r;
}

static int same_bits(results a, results b)
{
    int same = a.count == b.count && memcmp(a.values, b.values, (size_t)a.count * sizeof(float)) == 0;
    results_free(&a);
    results_free(&b);
    return same;
}

/* ---- in parallel ---- */

enum { THREADS = 4, INPUTS = 3 };

typedef struct caller {
    resattn_session *session;
    resattn_tensor **inputs;
    const results *expected;
    int wrong;
} caller;

static void *call(void *user)
{
    caller *c = user;
    for (int32_t i = 0; i < 12; i++) {
        results r = {0};
        if ((i == 6 && resattn_session_refresh(c->session) != RESATTN_OK) ||
            resattn_session_forward(c->session, c->inputs[i % INPUTS]) != RESATTN_OK ||
            results_add(&r, resattn_session_output(c->session, NULL)) != RESATTN_OK ||
            memcmp(r.values, c->expected[i % INPUTS].values, (size_t)r.count * sizeof(float)) != 0)
            c->wrong++;
        results_free(&r);
    }
    resattn_session_free(c->session);
    resattn_network_unref(network);
    return NULL;
}

START_TEST(test_parallel)
{
    resattn_tensor *inputs[INPUTS];
    results expected[INPUTS];
    caller callers[THREADS];
    pthread_t threads[THREADS];
    resattn_session *session = infer_session(2, SMALL_SIDE, SMALL_SIDE);
    for (int32_t i = 0; i < INPUTS; i++) {
        inputs[i] = small_input(context, 2, SMALL_SIDE, SMALL_SIDE, (uint64_t)i);
        expected[i] = infer(session, inputs[i]);
    }
    for (int32_t i = 0; i < THREADS; i++) {
        resattn_network_ref(network);
        callers[i] = (caller){infer_session(2, SMALL_SIDE, SMALL_SIDE), inputs, expected, 0};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, call, &callers[i]), 0);
    }
    for (int32_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        ck_assert_int_eq(callers[i].wrong, 0);
    }
    for (int32_t i = 0; i < INPUTS; i++) {
        resattn_tensor_unref(inputs[i]);
        results_free(&expected[i]);
    }
    resattn_session_free(session);
}
END_TEST

/* The last error is the thread's own. */
static void *fail_elsewhere(void *user)
{
    *(int *)user = resattn_last_status() == RESATTN_OK && resattn_last_error()[0] == '\0';
    resattn_network_touch(NULL);
    return NULL;
}

START_TEST(test_errors_of_threads)
{
    pthread_t thread;
    int fresh = 0;
    ck_assert_ptr_null(resattn_network_layer(network, "no.such"));
    ck_assert_int_eq(pthread_create(&thread, NULL, fail_elsewhere, &fresh), 0);
    pthread_join(thread, NULL);
    ck_assert_int_eq(fresh, 1);
    ck_assert_int_eq(resattn_last_status(), RESATTN_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(resattn_last_error(), "no.such"));
}
END_TEST

/* ---- sizes ---- */

START_TEST(test_two_sizes)
{
    resattn_session *first = infer_session(2, 18, 25), *second = infer_session(1, 40, 21);
    resattn_tensor *small = small_input(context, 2, 18, 25, 1), *large = small_input(context, 1, 40, 21, 2);
    results a = infer(first, small), b = infer(second, large);
    ck_assert(same_bits(infer(first, small), a));
    ck_assert(same_bits(infer(second, large), b));
    ck_assert_int_eq(resattn_tensor_size(resattn_session_output(second, "attention1.mask"), 2), 40);
    ck_assert_int_eq(resattn_tensor_size(resattn_session_output(second, "attention1.mask"), 3), 21);
    ck_assert_ptr_eq(resattn_session_network(first), network);
    resattn_tensor_unref(small);
    resattn_tensor_unref(large);
    resattn_session_free(first);
    resattn_session_free(second);
}
END_TEST

/* A batch that is not full gives what each image gives alone, but for the order of additions. */
START_TEST(test_smaller_batch)
{
    enum { BATCH = 5 };
    resattn_session *session = infer_session(BATCH, SMALL_SIDE, SMALL_SIDE);
    resattn_tensor *input = small_input(context, BATCH, SMALL_SIDE, SMALL_SIDE, 1);
    results whole = infer(session, input);
    int64_t shape[4] = {0, 3, SMALL_SIDE, SMALL_SIDE};
    for (shape[0] = 1; shape[0] < BATCH; shape[0]++) {
        int64_t begin[4] = {BATCH - shape[0], 0, 0, 0};
        resattn_tensor *part = resattn_tensor_view(input, begin, shape);
        results r = infer(session, part);
        const resattn_tensor *output = resattn_session_output(session, NULL);
        ck_assert_int_eq(resattn_tensor_size(output, 0), shape[0]);
        ck_assert_int_eq(resattn_tensor_size(output, 1), SMALL_CLASSES);
        for (int64_t i = 0; i < shape[0] * SMALL_CLASSES; i++)
            ck_assert_double_eq_tol((double)r.values[i], (double)whole.values[begin[0] * SMALL_CLASSES + i], 1e-4);
        results_free(&r);
        resattn_tensor_unref(part);
    }
    results_free(&whole);
    resattn_tensor_unref(input);
    resattn_session_free(session);
}
END_TEST

/* Training with a part of the batch is training with a session of that batch. */
START_TEST(test_smaller_training_batch)
{
    const int32_t labels[2] = {4, 7};
    results got[2] = {{0}, {0}};
    resattn_tensor *input = small_input(context, 2, SMALL_SIDE, SMALL_SIDE, 1);
    for (int32_t i = 0; i < 2; i++) {
        resattn_network *fresh = small_network(context);
        resattn_session *session = small_session(fresh, RESATTN_TRAINING, i ? 6 : 2, SMALL_SIDE, SMALL_SIDE);
        ck_assert_msg(session != NULL, "%s", resattn_last_error());
        ck_assert_int_eq(resattn_session_forward(session, input), RESATTN_OK);
        ck_assert_int_eq(resattn_softmax_cross_entropy(session, labels, 2, NULL, NULL), RESATTN_OK);
        ck_assert_int_eq(resattn_session_backward(session), RESATTN_OK);
        ck_assert_int_eq(resattn_tensor_size(resattn_session_input_gradient(session), 0), 2);
        results_add(&got[i], resattn_session_input_gradient(session));
        for (int32_t p = 0; p < resattn_network_parameter_count(fresh); p++)
            if (resattn_network_parameter_kind(fresh, p) == RESATTN_PARAMETER_TRAINABLE)
                results_add(&got[i], resattn_network_parameter_gradient(fresh, p));
        resattn_session_free(session);
        resattn_network_unref(fresh);
    }
    ck_assert(results_equal("a part of the batch", &got[1], &got[0]));
    results_free(&got[0]);
    results_free(&got[1]);
    resattn_tensor_unref(input);
}
END_TEST

/* ---- which parameters are seen ---- */

static void double_bias(int through_memory)
{
    resattn_tensor *bias = resattn_network_parameter(network, resattn_network_find_parameter(network, "head.fc.bias"));
    float values[SMALL_CLASSES];
    resattn_tensor_read(bias, RESATTN_CHANNELS_FIRST, values, SMALL_CLASSES);
    for (int32_t i = 0; i < SMALL_CLASSES; i++)
        values[i] = 2 * values[i] + 1;
    if (!through_memory) {
        ck_assert_int_eq(resattn_tensor_write(bias, RESATTN_CHANNELS_FIRST, values, SMALL_CLASSES), RESATTN_OK);
        return;
    }
    memcpy(resattn_tensor_mutable_data(bias), values, sizeof values);
    ck_assert_int_eq(resattn_network_touch(network), RESATTN_OK);
}

START_TEST(test_refresh)
{
    resattn_tensor *input = small_input(context, 1, SMALL_SIDE, SMALL_SIDE, 1);
    resattn_session *old = infer_session(1, SMALL_SIDE, SMALL_SIDE);
    results before = infer(old, input);
    double_bias(_i);
    results kept = infer(old, input);
    ck_assert(results_equal("before refresh", &kept, &before));
    resattn_session *new = infer_session(1, SMALL_SIDE, SMALL_SIDE);
    results after = infer(new, input), still = infer(old, input);
    ck_assert(results_equal("before refresh, with a newer session", &still, &before));
    for (int32_t i = 0; i < SMALL_CLASSES; i++)
        ck_assert_double_eq_tol((double)after.values[i], (double)before.values[i] + 1, 1e-5); /* biases begin as 0 */
    ck_assert_int_eq(resattn_session_refresh(old), RESATTN_OK);
    ck_assert(same_bits(infer(old, input), infer(new, input)));
    resattn_session_free(new);
    results refreshed = infer(old, input); /* what they share lives on */
    ck_assert(results_equal("refreshed", &refreshed, &after));
    results_free(&before);
    results_free(&kept);
    results_free(&still);
    results_free(&after);
    results_free(&refreshed);
    resattn_session_free(old);
    resattn_tensor_unref(input);
}
END_TEST

/* Training changes weights, and statistics in forward already: an inference session sees neither before its refresh. */
START_TEST(test_training_beside)
{
    const int32_t labels[2] = {4, 7};
    resattn_tensor *input = small_input(context, 2, SMALL_SIDE, SMALL_SIDE, 1);
    resattn_session *inference = infer_session(2, SMALL_SIDE, SMALL_SIDE);
    resattn_session *training = small_session(network, RESATTN_TRAINING, 2, SMALL_SIDE, SMALL_SIDE);
    resattn_optimizer *sgd = resattn_sgd_new(network, 0.1);
    results before = infer(inference, input), last = infer(inference, input);
    for (int32_t i = 0; i < 3; i++) {
        ck_assert_int_eq(resattn_session_forward(training, input), RESATTN_OK);
        if (i > 0) {
            ck_assert_int_eq(resattn_softmax_cross_entropy(training, labels, 2, NULL, NULL), RESATTN_OK);
            ck_assert_int_eq(resattn_session_backward(training), RESATTN_OK);
            ck_assert_int_eq(resattn_optimizer_step(sgd), RESATTN_OK);
        }
        results same = infer(inference, input);
        ck_assert(results_equal("before refresh", &same, &last));
        results_free(&same);
        ck_assert_int_eq(resattn_session_refresh(inference), RESATTN_OK);
        results_free(&last);
        last = infer(inference, input);
        ck_assert(memcmp(last.values, before.values, SMALL_CLASSES * sizeof(float)) != 0);
    }
    results_free(&before);
    results_free(&last);
    resattn_optimizer_free(sgd);
    resattn_session_free(training);
    resattn_session_free(inference);
    resattn_tensor_unref(input);
}
END_TEST

/* ---- pixels ---- */

static const float mean[3] = {0.485F, 0.456F, 0.406F}, deviation[3] = {0.229F, 0.224F, 0.225F};

/* Pixels of a format in rows with a pitch: red, green, blue of each are written by hand. */
static uint8_t *make_pixels(resattn_pixel_format format, int64_t pitch, int32_t side, float *planar)
{
    int32_t bytes = format == RESATTN_PIXEL_RGBA ? 4 : 3;
    int64_t length = pitch < 0 ? -pitch : pitch;
    uint8_t *memory = malloc((size_t)(length * side));
    ck_assert_ptr_nonnull(memory);
    memset(memory, 0xee, (size_t)(length * side));
    for (int32_t y = 0; y < side; y++)
        for (int32_t x = 0; x < side; x++)
            for (int32_t c = 0; c < 3; c++) {
                uint8_t value = (uint8_t)test_random();
                int64_t row = pitch < 0 ? side - 1 - y : y;
                memory[row * length + x * bytes + (format == RESATTN_PIXEL_BGR ? 2 - c : c)] = value;
                planar[(c * side + y) * side + x] = ((float)value / 255 - mean[c]) / deviation[c];
            }
    return memory;
}

static void release(void *user, void *memory)
{
    (void)memory;
    ++*(int32_t *)user;
}

static void check_pixels(resattn_pixel_format format, int64_t pitch)
{
    enum { SIDE = 17 };
    float planar[3 * SIDE * SIDE];
    int32_t released = 0;
    uint8_t *memory = make_pixels(format, pitch, SIDE, planar);
    uint8_t *top = pitch < 0 ? memory - pitch * (SIDE - 1) : memory;
    int64_t shape[4] = {1, 3, SIDE, SIDE};
    resattn_tensor *bytes = resattn_tensor_wrap_pixels(context, format, SIDE, SIDE, pitch, top, release, &released);
    resattn_tensor *floats = resattn_tensor_new(context, RESATTN_F32, 4, shape, RESATTN_CHANNELS_FIRST);
    resattn_tensor *converted = resattn_tensor_new(context, RESATTN_F32, 4, shape, RESATTN_CHANNELS_LAST);
    ck_assert_msg(bytes != NULL, "%s", resattn_last_error());
    resattn_tensor_write(floats, RESATTN_CHANNELS_FIRST, planar, 3 * SIDE * SIDE);
    ck_assert_int_eq(resattn_tensor_set_pixels(converted, 0, format, SIDE, SIDE, pitch, top, mean, deviation),
                     RESATTN_OK);
    for (int32_t purpose = RESATTN_INFERENCE; purpose <= RESATTN_TRAINING; purpose++) {
        resattn_builder *builder = resattn_builder_new(context);
        resattn_network *same = resattn_network_new(builder, resattn_identity_new(builder, NULL), 3);
        ck_assert_int_eq(resattn_network_set_normalization(same, mean, deviation, 3), RESATTN_OK);
        resattn_plan *plan = resattn_plan_new(same, (resattn_purpose)purpose, 2, SIDE, SIDE);
        resattn_session *session = resattn_session_new(plan);
        resattn_tensor *inputs[3] = {bytes, floats, converted};
        results r[3] = {{0}, {0}, {0}};
        for (int32_t i = 0; i < 3; i++) {
            ck_assert_msg(resattn_session_forward(session, inputs[i]) == RESATTN_OK, "%s", resattn_last_error());
            results_add(&r[i], resattn_session_output(session, NULL));
        }
        ck_assert(results_equal("set_pixels", &r[2], &r[0]));
        for (int64_t i = 0; i < r[0].count; i++) /* values up to 3, a few roundings of 2^-24 */
            ck_assert_double_eq_tol((double)r[0].values[i], (double)r[1].values[i], 2e-6);
        for (int32_t i = 0; i < 3; i++)
            results_free(&r[i]);
        resattn_session_free(session);
        resattn_plan_free(plan);
        resattn_network_unref(same);
        resattn_builder_free(builder);
    }
    resattn_tensor_unref(bytes);
    ck_assert_int_eq(released, 1);
    resattn_tensor_unref(floats);
    resattn_tensor_unref(converted);
    free(memory);
}

START_TEST(test_pixels)
{
    check_pixels(RESATTN_PIXEL_RGB, 51);
    check_pixels(RESATTN_PIXEL_BGR, 64);
    check_pixels(RESATTN_PIXEL_BGR, -64);
    check_pixels(RESATTN_PIXEL_RGBA, 71);
}
END_TEST

/* Asks for the outputs of all leaves under a layer; checks that containers cost what their children do. Returns how
 * much. */
static int64_t ask_for_leaves(resattn_plan *plan, const resattn_layer *layer)
{
    int64_t total = 0;
    for (int32_t i = 0; i < resattn_layer_child_count(layer); i++)
        total += ask_for_leaves(plan, resattn_layer_child(layer, i));
    if (resattn_layer_child_count(layer) > 0)
        ck_assert_int_eq(resattn_plan_layer_multiply_adds(plan, layer), total);
    else
        ck_assert_int_eq(resattn_plan_add_output(plan, resattn_layer_path(layer)), RESATTN_OK);
    return resattn_plan_layer_multiply_adds(plan, layer);
}

/* Checks what the plan says about the leaves under a layer against what they gave. */
static void check_sizes(resattn_plan *plan, resattn_session *session, const resattn_layer *layer)
{
    int32_t height = 0, width = 0;
    ck_assert_int_eq(resattn_plan_layer_size(plan, layer, &height, NULL), RESATTN_OK);
    ck_assert_int_eq(resattn_plan_layer_size(plan, layer, NULL, &width), RESATTN_OK);
    if (resattn_layer_child_count(layer) == 0) {
        const resattn_tensor *output = resattn_session_output(session, resattn_layer_path(layer));
        ck_assert_int_eq(resattn_tensor_size(output, 1), resattn_layer_out_channels(layer));
        ck_assert_int_eq(resattn_tensor_size(output, 2), height);
        ck_assert_int_eq(resattn_tensor_size(output, 3), width);
    }
    for (int32_t i = 0; i < resattn_layer_child_count(layer); i++)
        check_sizes(plan, session, resattn_layer_child(layer, i));
}

START_TEST(test_layers_of_a_plan)
{
    const int32_t height = SMALL_SIDE, width = SMALL_SIDE + 5;
    const resattn_layer *root = resattn_network_root(network);
    resattn_plan *plan = resattn_plan_new(network, RESATTN_INFERENCE, 1, height, width);
    int64_t total = ask_for_leaves(plan, root);
    ck_assert_int_gt(total, 0);
    ck_assert_int_eq(total, resattn_plan_multiply_adds(plan));
    resattn_session *session = resattn_session_new(plan);
    resattn_tensor *input = small_input(context, 1, height, width, 1);
    ck_assert_int_eq(resattn_session_forward(session, input), RESATTN_OK);
    check_sizes(plan, session, root);
    resattn_tensor_unref(input);
    resattn_session_free(session);
    resattn_plan_free(plan);
}
END_TEST

/* A session needs no plan, an output no builder; the network outlives its last owner while a session has it. */
START_TEST(test_lives_on)
{
    resattn_session *session = infer_session(1, SMALL_SIDE, SMALL_SIDE);
    resattn_tensor *input = small_input(context, 1, SMALL_SIDE, SMALL_SIDE, 1);
    results before = infer(session, input);
    resattn_network_unref(network);
    resattn_context_unref(context);
    ck_assert(same_bits(infer(session, input), before));
    context = resattn_context_ref(resattn_network_context(resattn_session_network(session)));
    network = resattn_network_ref(resattn_session_network(session));
    resattn_tensor_unref(input);
    resattn_session_free(session);
}
END_TEST

static results parameters(resattn_network *of)
{
    results r = {0};
    for (int32_t i = 0; i < resattn_network_parameter_count(of); i++)
        ck_assert_int_eq(results_add(&r, resattn_network_parameter(of, i)), RESATTN_OK);
    return r;
}

static resattn_layer *conv_and_norm(resattn_builder *builder)
{
    resattn_layer *root = resattn_sequential_new(builder, NULL);
    resattn_layer_add(root, resattn_conv2d_new(builder, "conv", 4, 3, 1, 1));
    resattn_layer_add(root, resattn_batch_norm_new(builder, "bn"));
    return root;
}

/* A network made without values is like another one once it has them. */
static void check_place(const resattn_tensor *tensor)
{
    ck_assert_msg(tensor != NULL, "%s", resattn_last_error());
    ck_assert_uint_eq((uintptr_t)resattn_tensor_data(tensor) % 64, 0);
    for (int32_t d = 0; d < resattn_tensor_rank(tensor); d++) {
        ck_assert_int_eq(resattn_tensor_shape(tensor)[d], resattn_tensor_size(tensor, d));
        ck_assert_int_eq(resattn_tensor_strides(tensor)[d], resattn_tensor_stride(tensor, d));
    }
}

/* Whatever the network and the session hold begins where a vector does. */
START_TEST(test_places)
{
    const int32_t labels[SMALL_BATCH] = {0, 1, 2};
    resattn_plan *plan = resattn_plan_new(network, RESATTN_TRAINING, SMALL_BATCH, SMALL_SIDE, SMALL_SIDE);
    ck_assert_int_eq(resattn_plan_set_input_gradient(plan, 1), RESATTN_OK);
    resattn_session *session = resattn_session_new(plan);
    ck_assert_msg(session != NULL, "%s", resattn_last_error());
    for (int32_t n = SMALL_BATCH; n > 0; n--) {
        resattn_tensor *input = small_input(context, n, SMALL_SIDE, SMALL_SIDE, 1);
        ck_assert_int_eq(resattn_session_forward(session, input), RESATTN_OK);
        const int64_t *shape = resattn_tensor_shape(resattn_session_output(session, NULL));
        ck_assert_int_eq(shape[0], n);
        ck_assert_int_eq(resattn_softmax_cross_entropy(session, labels, n, NULL, NULL), RESATTN_OK);
        ck_assert_int_eq(resattn_session_backward(session), RESATTN_OK);
        check_place(resattn_session_output(session, NULL));
        check_place(resattn_session_input_gradient(session));
        ck_assert_int_eq(resattn_tensor_shape(resattn_session_input_gradient(session))[0], n);
        resattn_tensor_unref(input);
    }
    for (int32_t i = 0; i < resattn_network_parameter_count(network); i++) {
        check_place(resattn_network_parameter(network, i));
        if (resattn_network_parameter_kind(network, i) == RESATTN_PARAMETER_TRAINABLE)
            check_place(resattn_network_parameter_gradient(network, i));
    }
    resattn_session_free(session);
    resattn_plan_free(plan);
}
END_TEST

START_TEST(test_zeroed)
{
    resattn_builder *builder = resattn_builder_new(context);
    resattn_network *zeroed = resattn_network_new_zeroed(builder, conv_and_norm(builder), 3);
    resattn_network *random = resattn_network_new(builder, conv_and_norm(builder), 3);
    ck_assert_msg(zeroed != NULL && random != NULL, "%s", resattn_last_error());
    ck_assert_int_eq(resattn_network_trainable_values(zeroed), resattn_network_trainable_values(random));
    results none = parameters(zeroed);
    ck_assert(none.count > 0);
    for (int64_t i = 0; i < none.count; i++)
        ck_assert(none.values[i] == 0.0F);
    results_free(&none);
    ck_assert_int_eq(resattn_network_initialize(zeroed, 0), RESATTN_OK);
    ck_assert(same_bits(parameters(zeroed), parameters(random)));
    resattn_network_unref(zeroed);
    resattn_network_unref(random);
    resattn_builder_free(builder);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("session");
    TCase *tests = tcase_create("session");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, test_parallel);
    tcase_add_test(tests, test_errors_of_threads);
    tcase_add_test(tests, test_two_sizes);
    tcase_add_test(tests, test_smaller_batch);
    tcase_add_test(tests, test_smaller_training_batch);
    tcase_add_loop_test(tests, test_refresh, 0, 2);
    tcase_add_test(tests, test_training_beside);
    tcase_add_test(tests, test_pixels);
    tcase_add_test(tests, test_layers_of_a_plan);
    tcase_add_test(tests, test_lives_on);
    tcase_add_test(tests, test_places);
    tcase_add_test(tests, test_zeroed);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
