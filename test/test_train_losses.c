/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Cross entropy with options, against the formulas in double precision.
 */
#include "train_common.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { IMAGES = 6, CLASSES = 5, VALUES = IMAGES * CLASSES };

static const int32_t labels[IMAGES] = {3, 0, 4, 4, 2, 1};

typedef struct loss_case {
    double smoothing, scale;
    int weighted;
} loss_case;

static const loss_case cases[] = {
    {0, 1, 0}, {0.1, 1, 0}, {1, 1, 0}, {0, 0.25, 0}, {0, 1, 1}, {0.2, 0.5, 1}, {0.5, 0, 1},
};

static const float class_weights[CLASSES] = {1, 0, 2.5F, 0.125F, 7};

/* Two means, of the losses and of those against the uniform distribution, as PyTorch's source has it. */
static double reference_value(const double *logits, const loss_case *c)
{
    double hard = 0, smooth = 0, total = 0;
    for (int32_t i = 0; i < IMAGES; i++) {
        const double *row = logits + i * CLASSES;
        double sum = 0;
        for (int32_t k = 0; k < CLASSES; k++)
            sum += exp(row[k]);
        for (int32_t k = 0; k < CLASSES; k++) {
            double weight = c->weighted ? (double)class_weights[k] : 1;
            smooth += weight * (log(sum) - row[k]) / CLASSES;
            hard += k == labels[i] ? weight * (log(sum) - row[k]) : 0;
            total += k == labels[i] ? weight : 0;
        }
    }
    return (1 - c->smoothing) * hard / total + c->smoothing * smooth / total;
}

typedef struct bench {
    resattn_context *context;
    resattn_network *network;
    resattn_session *session;
    resattn_tensor *input;
    resattn_cross_entropy *loss;
} bench;

static bench new_bench(void)
{
    bench b = {.context = resattn_context_new(1)};
    b.network = pass_on_network(b.context, CLASSES);
    b.session = new_session(b.network, RESATTN_TRAINING, IMAGES, 1);
    b.input = new_input(b.context, IMAGES, CLASSES, 1);
    b.loss = resattn_cross_entropy_new(b.context);
    ck_assert_ptr_nonnull(b.loss);
    ck_assert_int_eq(resattn_session_forward(b.session, b.input), RESATTN_OK);
    return b;
}

static void free_bench(bench *b)
{
    resattn_tensor_unref(b->input);
    resattn_session_free(b->session);
    resattn_network_unref(b->network);
    resattn_context_unref(b->context);
    resattn_cross_entropy_free(b->loss); /* its share keeps the context alive */
}

static void set(resattn_cross_entropy *loss, const char *attribute, double value)
{
    ck_assert_msg(resattn_cross_entropy_set_real(loss, attribute, value) == RESATTN_OK, "%s", resattn_last_error());
}

static void read_gradient(const bench *b, float *gradient)
{
    ck_assert_int_eq(resattn_session_backward(b->session), RESATTN_OK);
    const resattn_tensor *tensor = resattn_session_input_gradient(b->session);
    ck_assert_int_eq(resattn_tensor_read(tensor, RESATTN_CHANNELS_LAST, gradient, VALUES), RESATTN_OK);
}

/* The value by the formula, the gradient by differences of the formula. */
START_TEST(options_follow_the_formula)
{
    const loss_case *c = &cases[_i];
    bench b = new_bench();
    double logits[VALUES], value = -1;
    float gradient[VALUES];
    for (int i = 0; i < VALUES; i++)
        logits[i] = (double)((const float *)resattn_tensor_data(b.input))[i];
    set(b.loss, "label_smoothing", c->smoothing);
    set(b.loss, "gradient_scale", c->scale);
    if (c->weighted)
        ck_assert_int_eq(resattn_cross_entropy_set_class_weights(b.loss, class_weights, CLASSES), RESATTN_OK);
    int32_t correct = -1, plain_correct = -1;
    ck_assert_int_eq(resattn_softmax_cross_entropy(b.session, labels, IMAGES, NULL, &plain_correct), RESATTN_OK);
    ck_assert_int_eq(resattn_session_forward(b.session, b.input), RESATTN_OK); /* that loss's gradient is gone */
    ck_assert_int_eq(resattn_cross_entropy_apply(b.loss, b.session, NULL, labels, IMAGES, &value, &correct),
                     RESATTN_OK);
    ck_assert_int_eq(correct, plain_correct);
    ck_assert_double_eq_tol(value, reference_value(logits, c), 1e-12);
    read_gradient(&b, gradient);
    for (int i = 0; i < VALUES; i++) {
        const double kept = logits[i], h = 1e-4;
        logits[i] = kept + h;
        double above = reference_value(logits, c);
        logits[i] = kept - h;
        double below = reference_value(logits, c);
        logits[i] = kept;
        ck_assert_double_eq_tol((double)gradient[i], c->scale * (above - below) / (2 * h), 1e-7);
    }
    free_bench(&b);
}
END_TEST

/* To the bit, so that it does not matter which of the two a program calls. */
START_TEST(without_options_as_the_function)
{
    bench b = new_bench();
    double values[2];
    float gradients[2][VALUES];
    ck_assert_int_eq(resattn_softmax_cross_entropy(b.session, labels, IMAGES, &values[0], NULL), RESATTN_OK);
    read_gradient(&b, gradients[0]);
    ck_assert_int_eq(resattn_session_forward(b.session, b.input), RESATTN_OK);
    ck_assert_int_eq(resattn_cross_entropy_set_class_weights(b.loss, class_weights, CLASSES), RESATTN_OK);
    ck_assert_int_eq(resattn_cross_entropy_set_class_weights(b.loss, NULL, 0), RESATTN_OK);
    ck_assert_int_eq(resattn_cross_entropy_apply(b.loss, b.session, NULL, labels, IMAGES, &values[1], NULL),
                     RESATTN_OK);
    read_gradient(&b, gradients[1]);
    ck_assert_mem_eq(&values[0], &values[1], sizeof(double));
    ck_assert_mem_eq(gradients[0], gradients[1], sizeof gradients[0]);
    free_bench(&b);
}
END_TEST

/* Micro-batches of a third each give a parameter the gradient of the whole batch. */
START_TEST(micro_batches_add_up)
{
    enum { PARTS = 3, BIASES = OUTPUTS };
    static const int32_t classes[2 * PARTS] = {5, 17, 999, 0, 5, 3};
    resattn_context *context = resattn_context_new(1);
    resattn_builder *builder = resattn_builder_new(context);
    resattn_network *network = resattn_network_new(builder, resattn_linear_new(builder, "linear", BIASES), 4);
    resattn_builder_free(builder);
    resattn_session *session = new_session(network, RESATTN_TRAINING, 2 * PARTS, 1);
    resattn_tensor *input = new_input(context, 2 * PARTS, 4, 1);
    resattn_cross_entropy *loss = resattn_cross_entropy_new(context);
    resattn_tensor *tensor;
    float whole[BIASES], added[BIASES];
    ck_assert_int_eq(resattn_session_forward(session, input), RESATTN_OK);
    ck_assert_int_eq(resattn_cross_entropy_apply(loss, session, NULL, classes, 2 * PARTS, NULL, NULL), RESATTN_OK);
    ck_assert_int_eq(resattn_session_backward(session), RESATTN_OK);
    tensor = resattn_network_parameter_gradient(network, resattn_network_find_parameter(network, "linear.bias"));
    ck_assert_int_eq(resattn_tensor_read(tensor, RESATTN_CHANNELS_FIRST, whole, BIASES), RESATTN_OK);
    set(loss, "gradient_scale", 1.0 / PARTS);
    for (int64_t part = 0; part < PARTS; part++) {
        resattn_tensor *view = resattn_tensor_view(input, (int64_t[]){2 * part, 0, 0, 0}, (int64_t[]){2, 4, 1, 1});
        ck_assert_int_eq(resattn_session_set_accumulate(session, part > 0), RESATTN_OK);
        ck_assert_int_eq(resattn_session_forward(session, view), RESATTN_OK);
        ck_assert_int_eq(resattn_cross_entropy_apply(loss, session, NULL, classes + 2 * part, 2, NULL, NULL),
                         RESATTN_OK);
        ck_assert_int_eq(resattn_session_backward(session), RESATTN_OK);
        resattn_tensor_unref(view);
    }
    ck_assert_int_eq(resattn_tensor_read(tensor, RESATTN_CHANNELS_FIRST, added, BIASES), RESATTN_OK);
    for (int i = 0; i < BIASES; i++)
        ck_assert_double_eq_tol((double)added[i], (double)whole[i], 1e-7);
    resattn_cross_entropy_free(loss);
    resattn_tensor_unref(input);
    resattn_session_free(session);
    resattn_network_unref(network);
    resattn_context_unref(context);
}
END_TEST

START_TEST(images_without_weight)
{
    bench b = new_bench();
    const int32_t unweighted[IMAGES] = {1, 1, 1, 1, 1, 1};
    double value = -1;
    float gradient[VALUES];
    ck_assert_int_eq(resattn_cross_entropy_set_class_weights(b.loss, class_weights, CLASSES), RESATTN_OK);
    ck_assert_int_eq(resattn_cross_entropy_apply(b.loss, b.session, NULL, unweighted, IMAGES, &value, NULL),
                     RESATTN_OK);
    ck_assert_double_eq(value, 0);
    read_gradient(&b, gradient);
    for (int i = 0; i < VALUES; i++)
        ck_assert_float_eq(gradient[i], 0);
    free_bench(&b);
}
END_TEST

/* ---- several losses ---- */

/* The same loss twice, and what the host adds: exact sums. What the host sets replaces them. */
START_TEST(losses_add_up)
{
    bench b = new_bench();
    float once[VALUES], got[VALUES], values[VALUES];
    resattn_tensor *given =
        resattn_tensor_new(b.context, RESATTN_F32, 4, (int64_t[]){IMAGES, CLASSES, 1, 1}, RESATTN_CHANNELS_FIRST);
    for (int i = 0; i < VALUES; i++)
        values[i] = (float)random_real(-1, 1);
    ck_assert_int_eq(resattn_tensor_write(given, RESATTN_CHANNELS_FIRST, values, VALUES), RESATTN_OK);
    ck_assert_int_eq(resattn_softmax_cross_entropy(b.session, labels, IMAGES, NULL, NULL), RESATTN_OK);
    read_gradient(&b, once);
    for (int round = 0; round < 2; round++) { /* a new forward pass begins with nothing */
        ck_assert_int_eq(resattn_session_forward(b.session, b.input), RESATTN_OK);
        ck_assert_int_eq(resattn_softmax_cross_entropy(b.session, labels, IMAGES, NULL, NULL), RESATTN_OK);
        ck_assert_int_eq(resattn_session_add_output_gradient(b.session, NULL, given), RESATTN_OK);
        ck_assert_int_eq(resattn_cross_entropy_apply(b.loss, b.session, NULL, labels, IMAGES, NULL, NULL), RESATTN_OK);
        read_gradient(&b, got);
        for (int i = 0; i < VALUES; i++)
            ck_assert_float_eq(got[i], once[i] + values[i] + once[i]);
    }
    ck_assert_int_eq(resattn_session_forward(b.session, b.input), RESATTN_OK);
    ck_assert_int_eq(resattn_session_add_output_gradient(b.session, NULL, given), RESATTN_OK); /* to nothing */
    ck_assert_int_eq(resattn_session_add_output_gradient(b.session, NULL, given), RESATTN_OK);
    read_gradient(&b, got);
    for (int i = 0; i < VALUES; i++)
        ck_assert_float_eq(got[i], 2 * values[i]);
    ck_assert_int_eq(resattn_session_forward(b.session, b.input), RESATTN_OK);
    ck_assert_int_eq(resattn_softmax_cross_entropy(b.session, labels, IMAGES, NULL, NULL), RESATTN_OK);
    ck_assert_int_eq(resattn_session_set_output_gradient(b.session, NULL, given), RESATTN_OK);
    read_gradient(&b, got);
    ck_assert_mem_eq(got, values, sizeof values);
    resattn_tensor_unref(given);
    free_bench(&b);
}
END_TEST

/* A map is added where it belongs, whatever the order of its memory. */
START_TEST(maps_are_added)
{
    enum { SIDE = 3, ALL = 2 * CLASSES * SIDE * SIDE };
    resattn_context *context = resattn_context_new(1);
    resattn_network *network = pass_on_network(context, CLASSES);
    resattn_session *session = new_session(network, RESATTN_TRAINING, 2, SIDE);
    resattn_tensor *input = new_input(context, 2, CLASSES, SIDE), *other = new_input(context, 2, CLASSES, SIDE);
    resattn_tensor *turned =
        resattn_tensor_new(context, RESATTN_F32, 4, (int64_t[]){2, CLASSES, SIDE, SIDE}, RESATTN_CHANNELS_FIRST);
    float first[ALL], second[ALL], got[ALL];
    ck_assert_int_eq(resattn_tensor_copy(turned, other), RESATTN_OK);
    ck_assert_int_eq(resattn_tensor_read(input, RESATTN_CHANNELS_LAST, first, ALL), RESATTN_OK);
    ck_assert_int_eq(resattn_tensor_read(other, RESATTN_CHANNELS_LAST, second, ALL), RESATTN_OK);
    ck_assert_int_eq(resattn_session_forward(session, input), RESATTN_OK);
    ck_assert_int_eq(resattn_session_add_output_gradient(session, NULL, input), RESATTN_OK);
    ck_assert_int_eq(resattn_session_add_output_gradient(session, NULL, turned), RESATTN_OK);
    ck_assert_int_eq(resattn_session_backward(session), RESATTN_OK);
    const resattn_tensor *gradient = resattn_session_input_gradient(session);
    ck_assert_int_eq(resattn_tensor_read(gradient, RESATTN_CHANNELS_LAST, got, ALL), RESATTN_OK);
    for (int i = 0; i < ALL; i++)
        ck_assert_float_eq(got[i], first[i] + second[i]);
    resattn_tensor_unref(turned);
    resattn_tensor_unref(other);
    resattn_tensor_unref(input);
    resattn_session_free(session);
    resattn_network_unref(network);
    resattn_context_unref(context);
}
END_TEST

/* A network with a head on the way to its output: both are linear layers, with a sigmoid between them. */
enum { HEAD = CLASSES, FINAL = 4 };
static const double head_scale = 0.3;
static const int32_t final_labels[IMAGES] = {3, 0, 1, 2, 0, 3};

static resattn_network *two_heads(resattn_context *context)
{
    resattn_builder *builder = resattn_builder_new(context);
    resattn_layer *net = resattn_sequential_new(builder, NULL);
    resattn_layer_add(net, resattn_linear_new(builder, "head", HEAD));
    resattn_layer_add(net, resattn_sigmoid_new(builder, NULL));
    resattn_layer_add(net, resattn_linear_new(builder, "final", FINAL));
    resattn_network *network = resattn_network_new(builder, net, CLASSES);
    resattn_builder_free(builder);
    return network;
}

static resattn_session *session_of_heads(resattn_network *network, resattn_purpose purpose, int32_t size)
{
    resattn_plan *plan = resattn_plan_new(network, purpose, IMAGES, size, size);
    ck_assert_int_eq(resattn_plan_add_output(plan, "head"), RESATTN_OK);
    if (purpose == RESATTN_TRAINING)
        ck_assert_int_eq(resattn_plan_set_input_gradient(plan, 1), RESATTN_OK);
    resattn_session *session = resattn_session_new(plan);
    ck_assert_ptr_nonnull(session);
    resattn_plan_free(plan);
    return session;
}

static void linear(resattn_network *network, int32_t first, int32_t in, int32_t out, const double *x, double *y)
{
    float weight[CLASSES * CLASSES], bias[CLASSES];
    resattn_tensor_read(resattn_network_parameter(network, first), RESATTN_CHANNELS_FIRST, weight, (int64_t)in * out);
    resattn_tensor_read(resattn_network_parameter(network, first + 1), RESATTN_CHANNELS_FIRST, bias, out);
    for (int32_t o = 0; o < out; o++) {
        y[o] = (double)bias[o];
        for (int32_t i = 0; i < in; i++)
            y[o] += (double)weight[o * in + i] * x[i];
    }
}

static double plain_loss(const double *logits, int32_t classes, int32_t label)
{
    double sum = 0;
    for (int32_t k = 0; k < classes; k++)
        sum += exp(logits[k]);
    return log(sum) - logits[label];
}

/* The two losses of all images; what they come to together is the first and head_scale times the second. */
static double sum_of_heads(resattn_network *network, const double *input, double *of_final, double *of_head)
{
    *of_final = *of_head = 0;
    for (int32_t i = 0; i < IMAGES; i++) {
        double head[HEAD], squashed[HEAD], logits[FINAL];
        linear(network, 0, CLASSES, HEAD, input + i * CLASSES, head);
        for (int32_t k = 0; k < HEAD; k++)
            squashed[k] = 1 / (1 + exp(-head[k]));
        linear(network, 2, HEAD, FINAL, squashed, logits);
        *of_final += plain_loss(logits, FINAL, final_labels[i]) / IMAGES;
        *of_head += plain_loss(head, HEAD, labels[i]) / IMAGES;
    }
    return *of_final + head_scale * *of_head;
}

static void apply_heads(resattn_session *session, const resattn_cross_entropy *loss, int head_first, double *of_final,
                        double *of_head)
{
    for (int turn = 0; turn < 2; turn++) {
        resattn_status status = turn == head_first
                                    ? resattn_softmax_cross_entropy(session, final_labels, IMAGES, of_final, NULL)
                                    : resattn_cross_entropy_apply(loss, session, "head", labels, IMAGES, of_head, NULL);
        ck_assert_msg(status == RESATTN_OK, "%s", resattn_last_error());
    }
}

START_TEST(auxiliary_head)
{
    resattn_context *context = resattn_context_new(1);
    resattn_network *network = two_heads(context);
    resattn_session *session = session_of_heads(network, RESATTN_TRAINING, 1);
    resattn_session *inference = session_of_heads(network, RESATTN_INFERENCE, 1);
    resattn_tensor *input = new_input(context, IMAGES, CLASSES, 1);
    resattn_cross_entropy *loss = resattn_cross_entropy_new(context);
    set(loss, "gradient_scale", head_scale);
    float gradients[2][VALUES];
    double exact[VALUES], of_final, of_head, expected_final, expected_head;
    for (int i = 0; i < VALUES; i++)
        exact[i] = (double)((float *)resattn_tensor_data(input))[i];
    sum_of_heads(network, exact, &expected_final, &expected_head);
    for (int order = 0; order < 2; order++) {
        ck_assert_int_eq(resattn_session_forward(session, input), RESATTN_OK);
        apply_heads(session, loss, order, &of_final, &of_head);
        ck_assert_double_eq_tol(of_final, expected_final, 1e-6);
        ck_assert_double_eq_tol(of_head, expected_head, 1e-6);
        ck_assert_int_eq(resattn_session_backward(session), RESATTN_OK);
        const resattn_tensor *gradient = resattn_session_input_gradient(session);
        ck_assert_int_eq(resattn_tensor_read(gradient, RESATTN_CHANNELS_LAST, gradients[order], VALUES), RESATTN_OK);
    }
    for (int i = 0; i < VALUES; i++) {
        const double kept = exact[i], h = 1e-4;
        exact[i] = kept + h;
        double above = sum_of_heads(network, exact, &of_final, &of_head);
        exact[i] = kept - h;
        double below = sum_of_heads(network, exact, &of_final, &of_head);
        exact[i] = kept;
        ck_assert_double_eq_tol((double)gradients[0][i], (above - below) / (2 * h), 1e-6);
        ck_assert_double_eq_tol((double)gradients[1][i], (double)gradients[0][i], 1e-7);
    }
    ck_assert_int_eq(resattn_session_forward(inference, input), RESATTN_OK);
    apply_heads(inference, loss, 0, &of_final, &of_head);
    ck_assert_double_eq_tol(of_head, expected_head, 1e-6);
    resattn_cross_entropy_free(loss);
    resattn_tensor_unref(input);
    resattn_session_free(inference);
    resattn_session_free(session);
    resattn_network_unref(network);
    resattn_context_unref(context);
}
END_TEST

START_TEST(outputs_refused)
{
    resattn_context *context = resattn_context_new(1);
    resattn_builder *builder = resattn_builder_new(context);
    resattn_layer *net = resattn_sequential_new(builder, NULL);
    resattn_layer_add(net, resattn_conv2d_new(builder, "head", HEAD, 1, 1, 0));
    resattn_layer_add(net, resattn_global_average_pool_new(builder, "pool"));
    resattn_network *network = resattn_network_new(builder, net, CLASSES);
    resattn_session *session = session_of_heads(network, RESATTN_TRAINING, 2);
    resattn_tensor *input = new_input(context, IMAGES, CLASSES, 2);
    resattn_cross_entropy *loss = resattn_cross_entropy_new(context);
    ck_assert_int_eq(resattn_session_forward(session, input), RESATTN_OK);
    expect_error(resattn_cross_entropy_apply(loss, session, "head", labels, IMAGES, NULL, NULL), RESATTN_SHAPE_MISMATCH,
                 "cross entropy: head is a map of 2 x 2, expected one pixel");
    expect_error(resattn_cross_entropy_apply(loss, session, "pool", labels, IMAGES, NULL, NULL), RESATTN_NOT_FOUND,
                 "pool: the session's plan did not ask for this output");
    ck_assert_int_eq(resattn_session_backward(session), RESATTN_WRONG_STATE); /* nothing counted as a gradient */
    resattn_cross_entropy_free(loss);
    resattn_tensor_unref(input);
    resattn_session_free(session);
    resattn_network_unref(network);
    resattn_builder_free(builder);
    resattn_context_unref(context);
}
END_TEST

START_TEST(options_refused)
{
    bench b = new_bench();
    const float wrong[][2] = {{1, -1}, {1, NAN}, {1, INFINITY}};
    double value = -1;
    expect_error(resattn_cross_entropy_set_real(b.loss, "smoothing", 0), RESATTN_NOT_FOUND,
                 "cross entropy: no attribute is called \"smoothing\", expected label_smoothing or gradient_scale");
    expect_error(resattn_cross_entropy_set_real(b.loss, NULL, 0), RESATTN_INVALID_ARGUMENT, "attribute is NULL");
    expect_error(resattn_cross_entropy_set_real(b.loss, "label_smoothing", 1.5), RESATTN_INVALID_ARGUMENT,
                 "cross entropy: label_smoothing is 1.5, expected 0 to 1");
    expect_error(resattn_cross_entropy_set_real(b.loss, "label_smoothing", NAN), RESATTN_INVALID_ARGUMENT, "nan");
    expect_error(resattn_cross_entropy_set_real(b.loss, "gradient_scale", -1), RESATTN_INVALID_ARGUMENT,
                 "cross entropy: gradient_scale is -1, expected 0 to 1e+06");
    for (int i = 0; i < 3; i++)
        expect_error(resattn_cross_entropy_set_class_weights(b.loss, wrong[i], 2), RESATTN_INVALID_ARGUMENT,
                     "cross entropy: the weight of class 1 is");
    expect_error(resattn_cross_entropy_set_class_weights(b.loss, NULL, 2), RESATTN_INVALID_ARGUMENT, "weights is NULL");
    expect_error(resattn_cross_entropy_set_class_weights(b.loss, class_weights, -1), RESATTN_INVALID_ARGUMENT, "-1");
    ck_assert_int_eq(resattn_cross_entropy_set_class_weights(b.loss, class_weights, CLASSES - 1), RESATTN_OK);
    expect_error(resattn_cross_entropy_apply(b.loss, b.session, NULL, labels, IMAGES, &value, NULL),
                 RESATTN_SHAPE_MISMATCH, "cross entropy: 4 class weights, the output has 5 classes");
    ck_assert_double_eq(value, -1);
    ck_assert_int_eq(resattn_session_backward(b.session), RESATTN_WRONG_STATE); /* nothing counted as a gradient */
    free_bench(&b);
}
END_TEST

/* A failed call leaves the weights as they were. */
START_TEST(losses_without_memory)
{
    host h = {.left = INT32_MAX};
    resattn_context *context = resattn_context_new_with_allocator(1, give, take, &h);
    int32_t before = h.living;
    h.left = 0;
    ck_assert_ptr_null(resattn_cross_entropy_new(context));
    ck_assert_int_eq(resattn_last_status(), RESATTN_OUT_OF_MEMORY);
    ck_assert_int_eq(h.living, before);
    h.left = INT32_MAX;
    resattn_cross_entropy *loss = resattn_cross_entropy_new(context);
    ck_assert_int_eq(resattn_cross_entropy_set_class_weights(loss, class_weights, CLASSES), RESATTN_OK);
    int32_t living = h.living;
    h.left = 0;
    ck_assert_int_eq(resattn_cross_entropy_set_class_weights(loss, class_weights, 3), RESATTN_OUT_OF_MEMORY);
    ck_assert_int_eq(h.living, living);
    resattn_cross_entropy_free(loss);
    resattn_context_unref(context);
    ck_assert_int_eq(h.living, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("losses");
    TCase *tests = tcase_create("cross entropy");
    tcase_add_loop_test(tests, options_follow_the_formula, 0, (int)(sizeof cases / sizeof *cases));
    tcase_add_test(tests, without_options_as_the_function);
    tcase_add_test(tests, micro_batches_add_up);
    tcase_add_test(tests, images_without_weight);
    tcase_add_test(tests, losses_add_up);
    tcase_add_test(tests, maps_are_added);
    tcase_add_test(tests, auxiliary_head);
    tcase_add_test(tests, outputs_refused);
    tcase_add_test(tests, options_refused);
    tcase_add_test(tests, losses_without_memory);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
