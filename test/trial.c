/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Trials: see trial.h.
 */
#include "trial.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double unit = 1.0 / (1 << 24); /* half the distance from 1 to the next number in single precision */

int32_t pick(int32_t low, int32_t high)
{
    return low + (int32_t)(test_random() % (uint64_t)(high - low + 1));
}

double pick_real(double low, double high)
{
    return (double)(float)(low + (high - low) * ((double)(test_random() >> 11) / 9007199254740992.0));
}

ref_image image_shape(int32_t n, int32_t c, int32_t h, int32_t w)
{
    return (ref_image){.n = n, .c = c, .h = h, .w = w};
}

ref_image any_shape(void)
{
    return image_shape(pick(1, 3), pick(1, 9), pick(1, 9), pick(1, 9));
}

void set_int(resattn_layer *layer, const char *attribute, int64_t value)
{
    ck_assert_msg(resattn_layer_set_int(layer, attribute, value) == RESATTN_OK, "%s", resattn_last_error());
}

void fill_image(ref_image *image, double low, double high)
{
    for (int64_t i = 0; i < ref_image_count(image); i++) {
        image->value[i] = pick_real(low, high);
        image->magnitude[i] = fabs(image->value[i]);
    }
}

void write_values(resattn_tensor *tensor, const double *values)
{
    int64_t count = resattn_tensor_elements(tensor);
    float *buffer = malloc((size_t)count * sizeof *buffer);
    ck_assert_ptr_nonnull(buffer);
    for (int64_t i = 0; i < count; i++)
        buffer[i] = (float)values[i];
    resattn_status status = resattn_tensor_write(tensor, RESATTN_CHANNELS_FIRST, buffer, count);
    free(buffer);
    ck_assert_msg(status == RESATTN_OK, "%s", resattn_last_error());
}

float *read_values(const resattn_tensor *tensor)
{
    int64_t count = resattn_tensor_elements(tensor);
    float *buffer = malloc((size_t)count * sizeof *buffer);
    ck_assert_ptr_nonnull(buffer);
    ck_assert_msg(resattn_tensor_read(tensor, RESATTN_CHANNELS_FIRST, buffer, count) == RESATTN_OK, "%s",
                  resattn_last_error());
    return buffer;
}

static void free_memory(void *user, void *memory)
{
    (void)memory;
    free(user);
}

/* A tensor whose rows lie backwards in memory. */
static resattn_tensor *reversed_tensor(resattn_context *context, const int64_t *shape)
{
    int64_t strides[4] = {shape[1] * shape[2] * shape[3], shape[2] * shape[3], -shape[3], 1};
    float *memory = malloc((size_t)(shape[0] * strides[0]) * sizeof *memory);
    ck_assert_ptr_nonnull(memory);
    return resattn_tensor_wrap(context, RESATTN_F32, 4, shape, RESATTN_CHANNELS_FIRST, strides,
                               memory + (shape[2] - 1) * shape[3], free_memory, memory);
}

/* A part of a tensor that is otherwise NaN. */
static resattn_tensor *inner_tensor(resattn_context *context, const int64_t *shape, resattn_order order)
{
    int64_t begin[4], whole_shape[4];
    for (int32_t i = 0; i < 4; i++) {
        begin[i] = pick(0, 2);
        whole_shape[i] = begin[i] + shape[i] + pick(0, 2);
    }
    resattn_tensor *whole = resattn_tensor_new(context, RESATTN_F32, 4, whole_shape, order);
    resattn_tensor_fill(whole, NAN);
    resattn_tensor *part = resattn_tensor_view(whole, begin, shape);
    resattn_tensor_unref(whole);
    return part;
}

resattn_tensor *to_tensor(resattn_context *context, const ref_image *image)
{
    int64_t shape[4] = {image->n, image->c, image->h, image->w};
    resattn_order order = pick(0, 1) ? RESATTN_CHANNELS_FIRST : RESATTN_CHANNELS_LAST;
    int32_t layout = pick(0, 4);
    resattn_tensor *tensor = layout == 0   ? reversed_tensor(context, shape)
                             : layout == 1 ? inner_tensor(context, shape, order)
                                           : resattn_tensor_new(context, RESATTN_F32, 4, shape, order);
    ck_assert_msg(tensor != NULL, "%s", resattn_last_error());
    write_values(tensor, image->value);
    return tensor;
}

void compare(const char *what, const char *part, const resattn_tensor *tensor, const double *value,
             const double *magnitude, double length, double roundings)
{
    ck_assert_msg(tensor != NULL, "%s: %s: %s", what, part, resattn_last_error());
    int64_t count = resattn_tensor_elements(tensor);
    float *got = read_values(tensor);
    double largest = 0;
    for (int64_t i = 0; i < count; i++)
        largest = fmax(largest, magnitude[i]);
    for (int64_t i = 0; i < count; i++) {
        double bound = length == 0 ? 0 : (length + 4) * unit * magnitude[i] + 1e-37;
        if (roundings > 0)
            bound = roundings * unit * largest;
        if (fabs((double)got[i] - value[i]) <= bound)
            continue;
        double wrong = (double)got[i];
        free(got);
        ck_abort_msg("%s: %s: element %lld of %lld is %.9g, expected %.9g +- %.3g (terms: %g, magnitude %g)", what,
                     part, (long long)i, (long long)count, wrong, value[i], bound, length, magnitude[i]);
    }
    free(got);
}

static void compare_image(const trial *t, const char *part, const resattn_tensor *tensor, const ref_image *image)
{
    ck_assert_msg(tensor != NULL, "%s: %s: %s", t->what, part, resattn_last_error());
    const int32_t shape[4] = {image->n, image->c, image->h, image->w};
    for (int32_t i = 0; i < 4; i++)
        ck_assert_msg(resattn_tensor_size(tensor, i) == shape[i], "%s: %s: size %d is %lld, expected %d", t->what, part,
                      i, (long long)resattn_tensor_size(tensor, i), shape[i]);
    compare(t->what, part, tensor, image->value, image->magnitude, image->length, t->roundings);
}

/* ---- begin and end ---- */

static void randomize(resattn_network *network)
{
    for (int32_t i = 0; i < resattn_network_parameter_count(network); i++) {
        resattn_tensor *tensor = resattn_network_parameter(network, i);
        int64_t count = resattn_tensor_elements(tensor);
        bool variance = strstr(resattn_network_parameter_name(network, i), "running_var") != NULL;
        double *values = malloc((size_t)count * sizeof *values);
        ck_assert_ptr_nonnull(values);
        /* filters such that a value stays about as large from layer to layer */
        double size =
            resattn_tensor_rank(tensor) > 1 ? 1.7 / sqrt((double)count / (double)resattn_tensor_size(tensor, 0)) : 1;
        for (int64_t j = 0; j < count; j++)
            values[j] = variance ? pick_real(0.5, 2) : pick_real(-size, size);
        write_values(tensor, values);
        free(values);
    }
}

void trial_begin(trial *t, resattn_context *context, const char *what, make_fn make)
{
    *t = (trial){.what = what, .context = context};
    t->builder = resattn_builder_new(context);
    ref_image shape = {0};
    resattn_layer *root = make(t->builder, &shape);
    ck_assert_msg(root != NULL, "%s: %s", what, resattn_builder_error(t->builder));
    t->network = resattn_network_new(t->builder, root, shape.c);
    ck_assert_msg(t->network != NULL, "%s: %s", what, resattn_last_error());
    t->in = ref_image_new(shape.n, shape.c, shape.h, shape.w);
    fill_image(&t->in, -2, 2);
    t->batch = shape.n + (pick(0, 1) ? pick(0, 8) : 0);
    randomize(t->network);
    t->ref = ref_new(t->network);
}

void trial_end(trial *t)
{
    ref_free(t->ref);
    ref_image_free(&t->in);
    resattn_network_unref(t->network);
    resattn_builder_free(t->builder);
}

/* ---- the library against the reference ---- */

static resattn_session *new_session(const trial *t, resattn_purpose purpose)
{
    resattn_plan *plan = resattn_plan_new(t->network, purpose, t->batch, t->in.h, t->in.w);
    ck_assert_msg(plan != NULL, "%s: %s", t->what, resattn_last_error());
    for (int32_t i = 0; i < t->name_count; i++)
        ck_assert_msg(resattn_plan_add_output(plan, t->names[i]) == RESATTN_OK, "%s: %s", t->what,
                      resattn_last_error());
    if (purpose == RESATTN_TRAINING)
        ck_assert_int_eq(resattn_plan_set_input_gradient(plan, 1), RESATTN_OK);
    resattn_session *session = resattn_session_new(plan);
    ck_assert_msg(session != NULL, "%s: %s", t->what, resattn_last_error());
    resattn_plan_free(plan);
    return session;
}

static void run_forward(const trial *t, resattn_session *session)
{
    resattn_tensor *input = to_tensor(t->context, &t->in);
    ck_assert_msg(resattn_session_forward(session, input) == RESATTN_OK, "%s: %s", t->what, resattn_last_error());
    resattn_tensor_unref(input);
}

/* The library's pattern of dropped elements. */
static void read_kept(trial *t, resattn_session *session)
{
    if (strcmp(t->ref->kind, "dropout") != 0)
        return;
    float *out = read_values(resattn_session_output(session, NULL));
    free(t->ref->kept);
    t->ref->kept = calloc((size_t)ref_image_count(&t->in), sizeof(double));
    ck_assert_ptr_nonnull(t->ref->kept);
    for (int64_t i = 0; i < ref_image_count(&t->in); i++)
        t->ref->kept[i] = out[i] != 0 ? 1 : 0;
    free(out);
}

static void compare_outputs(trial *t, resattn_session *session, const char *part)
{
    compare_image(t, part, resattn_session_output(session, NULL), &t->ref->out);
    for (int32_t i = 0; i < t->name_count; i++) {
        ref_node *node = ref_find(t->ref, t->names[i]);
        ck_assert_msg(node != NULL, "%s: the reference has no %s", t->what, t->names[i]);
        compare_image(t, t->names[i], resattn_session_output(session, t->names[i]), &node->out);
    }
}

static void compare_gradient(void *user, ref_param *param)
{
    trial *t = user;
    if (resattn_network_parameter_kind(t->network, param->index) == RESATTN_PARAMETER_TRAINABLE)
        compare(t->what, resattn_network_parameter_name(t->network, param->index),
                resattn_network_parameter_gradient(t->network, param->index), param->gradient, param->magnitude,
                param->length, t->roundings);
}

static void compare_statistic(void *user, ref_param *param)
{
    trial *t = user;
    if (resattn_network_parameter_kind(t->network, param->index) != RESATTN_PARAMETER_STATISTIC)
        return;
    /* a mean or variance over a channel, accumulated in double: of the size of the values squared */
    double *magnitude = malloc((size_t)param->count * sizeof *magnitude);
    ck_assert_ptr_nonnull(magnitude);
    for (int64_t i = 0; i < param->count; i++)
        magnitude[i] = 4 + fabs(param->value[i]);
    compare(t->what, resattn_network_parameter_name(t->network, param->index),
            resattn_network_parameter(t->network, param->index), param->value, magnitude, 8, t->roundings);
    free(magnitude);
}

static void give_gradient(trial *t, resattn_session *session, const char *name, ref_image *image)
{
    fill_image(image, -1, 1);
    resattn_tensor *tensor = to_tensor(t->context, image);
    ck_assert_msg(resattn_session_set_output_gradient(session, name, tensor) == RESATTN_OK, "%s: %s", t->what,
                  resattn_last_error());
    resattn_tensor_unref(tensor);
}

static void check_training_step(trial *t, resattn_session *session, const char *part)
{
    run_forward(t, session);
    read_kept(t, session);
    ref_forward(t->ref, &t->in, true);
    compare_outputs(t, session, part);
    ref_each_param(t->ref, compare_statistic, t);
    ref_image dout = ref_image_copy(&t->ref->out);
    give_gradient(t, session, NULL, &dout);
    for (int32_t i = 0; i < t->name_count; i++) {
        ref_node *node = ref_find(t->ref, t->names[i]);
        ref_image_free(&node->wanted);
        if (pick(0, 2) == 0)
            continue; /* the gradient of that output is 0 */
        node->wanted = ref_image_copy(&node->out);
        give_gradient(t, session, t->names[i], &node->wanted);
    }
    ck_assert_msg(resattn_session_backward(session) == RESATTN_OK, "%s: %s", t->what, resattn_last_error());
    ref_backward(t->ref, &dout);
    ref_image_free(&dout);
    compare_image(t, "the input's gradient", resattn_session_input_gradient(session), &t->ref->din);
    ref_each_param(t->ref, compare_gradient, t);
}

/* Draws the input anew while it is close to where a derivative jumps: there single precision may be on the other side.
 * Some parameters leave no place far enough away: they are drawn anew too. */
static void keep_away(trial *t, bool training, double margin)
{
    for (int32_t tries = 1; ref_forward(t->ref, &t->in, training), ref_margin(t->ref) <= margin; tries++) {
        ck_assert_msg(tries < 2000, "%s: no input is far enough from where derivatives jump", t->what);
        fill_image(&t->in, -2, 2);
        if (tries % 50 == 0)
            randomize(t->network);
        ref_load(t->ref, t->network);
    }
    ref_load(t->ref, t->network);
}

void trial_check(trial *t)
{
    if (t->roundings > 0)
        keep_away(t, true, 2e-5);
    resattn_session *session = new_session(t, RESATTN_TRAINING);
    ref_clear_gradients(t->ref);
    check_training_step(t, session, "training");
    ref_clear_gradients(t->ref);
    check_training_step(t, session, "a second step");
    ck_assert_int_eq(resattn_session_set_accumulate(session, 1), RESATTN_OK);
    check_training_step(t, session, "an accumulating step");
    resattn_session_free(session);

    ref_load(t->ref, t->network);
    if (t->roundings > 0)
        keep_away(t, false, 2e-5);
    session = new_session(t, RESATTN_INFERENCE);
    ref_forward(t->ref, &t->in, false);
    for (int32_t i = 0; i < 2; i++) {
        run_forward(t, session);
        compare_outputs(t, session, "inference");
    }
    resattn_session_free(session);
}

/* ---- the reference against differences ---- */

static double dot(const double *a, const double *b, int64_t count)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += a[i] * b[i];
    return sum;
}

static double loss(trial *t, const ref_image *in, const ref_image *dout)
{
    ref_forward(t->ref, in, true);
    double sum = dot(dout->value, t->ref->out.value, ref_image_count(dout));
    for (int32_t i = 0; i < t->name_count; i++) {
        const ref_node *node = ref_find(t->ref, t->names[i]);
        if (node->wanted.value != NULL)
            sum += dot(node->wanted.value, node->out.value, ref_image_count(&node->out));
    }
    return sum;
}

typedef struct move {
    trial *t;
    const double *din;         /* the gradient of the input at the start */
    double length, derivative; /* of the step, and along it */
    uint64_t seed;
} move;

static double direction(move *m)
{
    m->seed = m->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double)(m->seed >> 11) / 4503599627370496.0 - 1;
}

static void move_param(void *user, ref_param *param)
{
    move *m = user;
    if (resattn_network_parameter_kind(m->t->network, param->index) != RESATTN_PARAMETER_TRAINABLE)
        return;
    for (int64_t i = 0; i < param->count; i++) {
        double step = direction(m);
        param->value[i] += m->length * step;
        m->derivative += step * param->gradient[i];
    }
}

/* Input and parameters by `length` along the direction of the seed. */
static void move_all(move *m, uint64_t seed, double length, ref_image *in)
{
    m->seed = seed;
    m->length = length;
    m->derivative = 0;
    for (int64_t i = 0; i < ref_image_count(in); i++) {
        double step = direction(m);
        in->value[i] += length * step;
        m->derivative += step * m->din[i];
    }
    ref_each_param(m->t->ref, move_param, m);
}

static void check_direction(trial *t, const ref_image *dout, uint64_t seed)
{
    const double step = 1e-7;
    ref_clear_gradients(t->ref);
    loss(t, &t->in, dout);
    ref_backward(t->ref, dout);
    ref_image in = ref_image_copy(&t->in), din = ref_image_copy(&t->ref->din);
    move m = {.t = t, .din = din.value};
    double size = sqrt(dot(din.value, din.value, ref_image_count(&din))) + 1;
    move_all(&m, seed, step, &in);
    double expected = m.derivative;
    double above = loss(t, &in, dout);
    move_all(&m, seed, -2 * step, &in);
    double below = loss(t, &in, dout);
    move_all(&m, seed, step, &in);
    double measured = (above - below) / (2 * step);
    ck_assert_msg(fabs(measured - expected) <= 1e-5 * (fabs(expected) + size),
                  "%s: the reference's gradient along a direction is %.12g, expected %.12g", t->what, expected,
                  measured);
    ref_image_free(&in);
    ref_image_free(&din);
}

void trial_check_reference(trial *t)
{
    keep_away(t, true, 2e-5);
    ref_image dout = ref_image_copy(&t->ref->out);
    fill_image(&dout, -1, 1);
    for (int32_t i = 0; i < t->name_count; i++) {
        ref_node *node = ref_find(t->ref, t->names[i]);
        ck_assert_msg(node != NULL, "%s: the reference has no %s", t->what, t->names[i]);
        ref_image_free(&node->wanted);
        node->wanted = ref_image_copy(&node->out);
        fill_image(&node->wanted, -1, 1);
    }
    for (uint64_t i = 0; i < 4; i++)
        check_direction(t, &dout, test_random());
    ref_image_free(&dout);
}
