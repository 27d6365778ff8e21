/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Losses on attention masks: values against the formulas in double precision, gradients against central differences of
 * those, and of the loss of a whole network.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "wrong.h"

enum { CROSS_ENTROPY = RESATTN_MASK_LOSS_CROSS_ENTROPY, SQUARED = RESATTN_MASK_LOSS_SQUARED };
enum { DICE = RESATTN_MASK_LOSS_DICE, MOST_PIXELS = 400 };

static resattn_context *context;

static void set_up(void)
{
    context = resattn_context_new(2);
}

static void tear_down(void)
{
    resattn_context_unref(context);
}

static double random_real(double low, double high)
{
    return low + (high - low) * (double)(test_random() >> 11) / (double)(UINT64_C(1) << 53);
}

static resattn_tensor *new_tensor(resattn_dtype dtype, const int64_t *shape, resattn_order order)
{
    resattn_tensor *tensor = resattn_tensor_new(context, dtype, 4, shape, order);
    ck_assert_ptr_nonnull(tensor);
    return tensor;
}

/* An F32 tensor of 1 x 1 x height x width. */
static resattn_tensor *map_of(int64_t height, int64_t width, const float *values)
{
    resattn_tensor *tensor = new_tensor(RESATTN_F32, (int64_t[]){1, 1, height, width}, RESATTN_CHANNELS_FIRST);
    ck_assert_int_eq(resattn_tensor_write(tensor, RESATTN_CHANNELS_FIRST, values, height * width), RESATTN_OK);
    return tensor;
}

/* A session whose output "mask" is its input. */
static resattn_session *pass_on(resattn_purpose purpose, const int64_t *shape)
{
    resattn_builder *b = resattn_builder_new(context);
    resattn_layer *net = sequence(b, NULL, resattn_scale_new(b, "mask", 1), resattn_global_average_pool_new(b, "pool"));
    resattn_network *network = resattn_network_new(b, net, (int32_t)shape[1]);
    resattn_builder_free(b);
    ck_assert_msg(network != NULL, "%s", resattn_last_error());
    resattn_plan *plan = resattn_plan_new(network, purpose, (int32_t)shape[0], (int32_t)shape[2], (int32_t)shape[3]);
    ck_assert_int_eq(resattn_plan_add_output(plan, "mask"), RESATTN_OK);
    if (purpose == RESATTN_TRAINING)
        ck_assert_int_eq(resattn_plan_set_input_gradient(plan, 1), RESATTN_OK);
    resattn_session *session = resattn_session_new(plan);
    resattn_plan_free(plan);
    resattn_network_unref(network);
    return session;
}

static resattn_mask_loss *new_loss(int kind, double weight)
{
    resattn_mask_loss *loss = resattn_mask_loss_new(context, (resattn_mask_loss_kind)kind);
    ck_assert_int_eq(resattn_mask_loss_set_real(loss, "weight", weight), RESATTN_OK);
    return loss;
}

static double apply(int kind, double weight, resattn_session *session, const resattn_tensor *targets,
                    const float *image_weights)
{
    double value = -1;
    resattn_mask_loss *loss = new_loss(kind, weight);
    ck_assert_msg(resattn_mask_loss_apply(loss, session, "mask", targets, image_weights, &value) == RESATTN_OK, "%s",
                  resattn_last_error());
    resattn_mask_loss_free(loss);
    return value;
}

static void read_gradient(resattn_session *session, float *gradient, int64_t count)
{
    ck_assert_int_eq(resattn_session_backward(session), RESATTN_OK);
    ck_assert_int_eq(
        resattn_tensor_read(resattn_session_input_gradient(session), RESATTN_CHANNELS_FIRST, gradient, count),
        RESATTN_OK);
}

/* ---- against the formulas ---- */

typedef struct mask_case {
    int64_t n, channels, height, width;
    int64_t target_channels, target_height, target_width;
    resattn_dtype dtype;
    int weighted;
    double weight;
} mask_case;

static const mask_case cases[] = {
    {2, 1, 4, 6, 1, 4, 6, RESATTN_F32, 0, 1},    {3, 3, 4, 4, 1, 8, 12, RESATTN_F32, 1, 0.5},
    {2, 4, 5, 3, 4, 7, 8, RESATTN_F32, 1, 2},    {2, 2, 7, 6, 1, 3, 4, RESATTN_U8, 0, 1},
    {3, 2, 3, 5, 2, 6, 5, RESATTN_U8, 1, 10},    {4, 5, 1, 1, 1, 9, 5, RESATTN_F32, 0, 1},
    {70, 2, 3, 2, 1, 4, 3, RESATTN_F32, 1, 0.3},
};

enum { CASES = sizeof cases / sizeof *cases };

/* Everything of a case as arrays in N, C, H, W. */
typedef struct data {
    const mask_case *c;
    double *mask, *target;
    float *weights, *gradient;
    resattn_tensor *input, *targets;
} data;

static int64_t mask_elements(const mask_case *c)
{
    return c->n * c->channels * c->height * c->width;
}

static void make_targets(data *d)
{
    const mask_case *c = d->c;
    int64_t count = c->n * c->target_channels * c->target_height * c->target_width;
    float *values = calloc((size_t)count, sizeof *values);
    uint8_t *bytes = calloc((size_t)count, 1);
    d->target = calloc((size_t)count, sizeof *d->target);
    for (int64_t i = 0; i < count; i++) {
        bytes[i] = (uint8_t)(test_random() % 256);
        values[i] = i % 3 ? (float)random_real(0, 1) : (float)(i % 2);
        d->target[i] = c->dtype == RESATTN_U8 ? bytes[i] / 255.0 : (double)values[i];
    }
    d->targets = new_tensor(c->dtype, (int64_t[]){c->n, c->target_channels, c->target_height, c->target_width},
                            test_random() % 2 ? RESATTN_CHANNELS_FIRST : RESATTN_CHANNELS_LAST);
    const void *buffer = c->dtype == RESATTN_U8 ? (const void *)bytes : values;
    ck_assert_int_eq(resattn_tensor_write(d->targets, RESATTN_CHANNELS_FIRST, buffer, count), RESATTN_OK);
    free(values);
    free(bytes);
}

static void make_data(data *d, const mask_case *c)
{
    int64_t count = mask_elements(c);
    *d = (data){.c = c};
    d->mask = calloc((size_t)count, sizeof *d->mask);
    d->gradient = calloc((size_t)count, sizeof *d->gradient);
    d->input = new_tensor(RESATTN_F32, (int64_t[]){c->n, c->channels, c->height, c->width}, RESATTN_CHANNELS_LAST);
    for (int64_t i = 0; i < count; i++) {
        d->gradient[i] = (float)random_real(0.05, 0.95);
        d->mask[i] = (double)d->gradient[i];
    }
    ck_assert_int_eq(resattn_tensor_write(d->input, RESATTN_CHANNELS_FIRST, d->gradient, count), RESATTN_OK);
    make_targets(d);
    d->weights = c->weighted ? calloc((size_t)c->n, sizeof *d->weights) : NULL;
    for (int64_t i = 0; c->weighted && i < c->n; i++)
        d->weights[i] = i == 1 ? 0 : (float)random_real(0.1, 3);
}

static void free_data(data *d)
{
    free(d->mask);
    free(d->target);
    free(d->weights);
    free(d->gradient);
    resattn_tensor_unref(d->input);
    resattn_tensor_unref(d->targets);
}

/* Both maps cut into so small pieces that each lies in one pixel of either: the mean over those of a pixel of the mask.
 */
static double mean_target(const mask_case *c, const double *map, int64_t y, int64_t x)
{
    double sum = 0;
    for (int64_t row = y * c->target_height; row < (y + 1) * c->target_height; row++)
        for (int64_t column = x * c->target_width; column < (x + 1) * c->target_width; column++)
            sum += map[row / c->height * c->target_width + column / c->width];
    return sum / (double)(c->target_height * c->target_width);
}

static double reference_map(int kind, const double *m, const double *t, int64_t pixels)
{
    double sum = 0, both = 0, squares = 0;
    for (int64_t i = 0; i < pixels; i++) {
        sum += kind == SQUARED ? pow(m[i] - t[i], 2) : -t[i] * log(m[i]) - (1 - t[i]) * log(1 - m[i]);
        both += m[i] * t[i];
        squares += m[i] * m[i] + t[i] * t[i];
    }
    return kind == DICE ? 1 - (2 * both + 1) / (squares + 1) : sum / (double)pixels;
}

static double reference(int kind, const data *d)
{
    const mask_case *c = d->c;
    double total = 0, weights = 0, m[MOST_PIXELS], t[MOST_PIXELS];
    int64_t pixels = c->height * c->width, target_pixels = c->target_height * c->target_width;
    for (int64_t image = 0; image < c->n; image++) {
        double loss = 0, weight = d->weights ? (double)d->weights[image] : 1;
        for (int64_t map = 0; map < c->target_channels; map++) {
            int64_t first = c->target_channels == 1 ? 0 : map, count = c->target_channels == 1 ? c->channels : 1;
            for (int64_t i = 0; i < pixels; i++) {
                m[i] = 0;
                for (int64_t k = first; k < first + count; k++)
                    m[i] += d->mask[(image * c->channels + k) * pixels + i] / (double)count;
                t[i] = mean_target(c, d->target + (image * c->target_channels + map) * target_pixels, i / c->width,
                                   i % c->width);
            }
            loss += reference_map(kind, m, t, pixels) / (double)c->target_channels;
        }
        total += weight * loss;
        weights += weight;
    }
    return c->weight * total / weights;
}

START_TEST(values_and_gradients)
{
    const mask_case *c = &cases[_i / 3];
    int kind = _i % 3 + 1;
    data d;
    make_data(&d, c);
    resattn_session *session = pass_on(RESATTN_TRAINING, (int64_t[]){c->n, c->channels, c->height, c->width});
    ck_assert_int_eq(resattn_session_forward(session, d.input), RESATTN_OK);
    double value = apply(kind, c->weight, session, d.targets, d.weights), expected = reference(kind, &d);
    ck_assert_double_eq_tol(value, expected, 1e-12 * fabs(expected));
    read_gradient(session, d.gradient, mask_elements(c));
    for (int64_t i = 0; i < mask_elements(c); i++) {
        double kept = d.mask[i], h = 1e-6;
        d.mask[i] = kept + h;
        double above = reference(kind, &d);
        d.mask[i] = kept - h;
        double slope = (above - reference(kind, &d)) / (2 * h);
        d.mask[i] = kept;
        ck_assert_double_eq_tol((double)d.gradient[i], slope, 2e-7 * fabs(slope) + 3e-9 * c->weight);
    }
    resattn_session_free(session);
    session = pass_on(RESATTN_INFERENCE, (int64_t[]){c->n, c->channels, c->height, c->width});
    ck_assert_int_eq(resattn_session_forward(session, d.input), RESATTN_OK);
    ck_assert_double_eq(apply(kind, c->weight, session, d.targets, d.weights), value);
    resattn_session_free(session);
    free_data(&d);
}
END_TEST

START_TEST(threads_do_not_matter)
{
    const mask_case *c = &cases[CASES - 1]; /* of more images than are compared at once */
    data d;
    make_data(&d, c);
    size_t bytes = (size_t)mask_elements(c) * sizeof(float);
    float *first = malloc(bytes);
    double first_value = 0;
    for (int32_t threads = 1; threads <= 5; threads += 2) {
        resattn_context *usual = context;
        context = resattn_context_new(threads);
        resattn_session *session = pass_on(RESATTN_TRAINING, (int64_t[]){c->n, c->channels, c->height, c->width});
        ck_assert_int_eq(resattn_session_forward(session, d.input), RESATTN_OK);
        double value = apply(_i, 1, session, d.targets, d.weights);
        read_gradient(session, d.gradient, mask_elements(c));
        if (threads == 1) {
            memcpy(first, d.gradient, bytes);
            first_value = value;
        }
        ck_assert(memcmp(&value, &first_value, sizeof value) == 0);
        ck_assert(memcmp(d.gradient, first, bytes) == 0);
        resattn_session_free(session);
        resattn_context_unref(context);
        context = usual;
    }
    free(first);
    free_data(&d);
}
END_TEST

/* ---- means over areas: with a mask of zeros the squared loss has the gradient -2 t / pixels ---- */

static void expect_means(int64_t height, int64_t width, const float *target, int64_t mask_height, int64_t mask_width,
                         const double *means)
{
    int64_t shape[4] = {1, 1, mask_height, mask_width}, pixels = mask_height * mask_width;
    float gradient[16];
    resattn_session *session = pass_on(RESATTN_TRAINING, shape);
    resattn_tensor *input = new_tensor(RESATTN_F32, shape, RESATTN_CHANNELS_LAST);
    resattn_tensor *targets = map_of(height, width, target);
    ck_assert_int_eq(resattn_session_forward(session, input), RESATTN_OK);
    apply(SQUARED, 1, session, targets, NULL);
    read_gradient(session, gradient, pixels);
    for (int64_t i = 0; i < pixels; i++)
        ck_assert_float_eq(gradient[i], (float)(-2 * means[i] / (double)pixels));
    resattn_tensor_unref(targets);
    resattn_tensor_unref(input);
    resattn_session_free(session);
}

START_TEST(means_over_areas)
{
    const float four[16] = {0, 1, 0, 0, 1, 0, 1, 1, 0.25F, 0, 1, 1, 0, 0, 1, 1}, two[4] = {0.5F, 1, 0, 0.25F};
    const float three[9] = {1, 0, 0, 0, 1, 0, 0, 0, 0.5F};
    const double doubled[8] = {0.5, 0.5, 1, 1, 0, 0, 0.25, 0.25};
    /* A pixel of the mask is 1.5 of the target's: whole corners, halves of edges, a quarter of the middle. */
    const double fractional[4] = {1.25 / 2.25, 0.25 / 2.25, 0.25 / 2.25, 0.75 / 2.25};
    const double thirds[3] = {(0.5 + 1.0 / 3) / (4.0 / 3), (2.0 / 3 + 0.25 * 2 / 3) / (4.0 / 3), 1};
    const float row[4] = {0.5F, 1, 0.25F, 1.25F}; /* squared differences take any number */
    expect_means(4, 4, four, 2, 2, (const double[]){0.5, 0.5, 0.0625, 1});
    expect_means(2, 2, two, 2, 4, doubled);
    expect_means(2, 2, two, 2, 2, (const double[]){0.5, 1, 0, 0.25});
    expect_means(3, 3, three, 2, 2, fractional);
    expect_means(1, 4, row, 1, 3, thirds);
}
END_TEST

/* ---- images without a target, edges ---- */

START_TEST(missing_targets)
{
    int64_t shape[4] = {2, 1, 2, 2};
    const float weights[2] = {0, 2}, none[2] = {0, 0};
    float values[8] = {NAN, 7, -1, INFINITY, 1, 0, 0, 1}, gradient[8];
    resattn_session *session = pass_on(RESATTN_TRAINING, shape);
    resattn_tensor *input = new_tensor(RESATTN_F32, shape, RESATTN_CHANNELS_LAST);
    resattn_tensor *targets = new_tensor(RESATTN_F32, shape, RESATTN_CHANNELS_LAST);
    resattn_tensor_write(targets, RESATTN_CHANNELS_FIRST, values, 8);
    resattn_tensor_fill(input, 0.5F);
    ck_assert_int_eq(resattn_session_forward(session, input), RESATTN_OK);
    ck_assert_double_eq_tol(apply(_i, 1, session, targets, weights),
                            _i == SQUARED ? 0.25
                            : _i == DICE  ? 0.25
                                          : log(2),
                            1e-15);
    read_gradient(session, gradient, 8);
    for (int i = 0; i < 8; i++)
        ck_assert(i < 4 ? gradient[i] == 0 : gradient[i] != 0);
    ck_assert_int_eq(resattn_session_forward(session, input), RESATTN_OK);
    ck_assert_double_eq(apply(_i, 1, session, targets, none), 0);
    read_gradient(session, gradient, 8); /* which has something to go back with: zeros */
    for (int i = 0; i < 8; i++)
        ck_assert_float_eq(gradient[i], 0);
    resattn_tensor_unref(targets);
    resattn_tensor_unref(input);
    resattn_session_free(session);
}
END_TEST

static double at_edge(int kind, const float *mask, const float *target, float *gradient)
{
    resattn_session *session = pass_on(RESATTN_TRAINING, (int64_t[]){1, 1, 1, 2});
    resattn_tensor *input = map_of(1, 2, mask), *targets = map_of(1, 2, target);
    ck_assert_int_eq(resattn_session_forward(session, input), RESATTN_OK);
    double value = apply(kind, 1, session, targets, NULL);
    read_gradient(session, gradient, 2);
    resattn_tensor_unref(targets);
    resattn_tensor_unref(input);
    resattn_session_free(session);
    return value;
}

START_TEST(edges)
{
    const float empty[2] = {0, 0}, full[2] = {1, 1}, half[2] = {0, 1}, outside[2] = {-2, 3};
    float gradient[2];
    /* Cross entropy: as far wrong as it can be, then right; values beyond 0 and 1 count as these. */
    ck_assert_double_eq_tol(at_edge(CROSS_ENTROPY, empty, full, gradient), -log(1e-6), 1e-9);
    ck_assert_double_eq_tol((double)gradient[0], -0.5e6, 1);
    ck_assert_double_eq_tol(at_edge(CROSS_ENTROPY, full, empty, gradient), -log(1e-6), 1e-9);
    ck_assert_double_eq_tol((double)gradient[1], 0.5e6, 1);
    ck_assert_double_eq_tol(at_edge(CROSS_ENTROPY, half, half, gradient), 1e-6, 1e-11);
    ck_assert_double_eq_tol((double)gradient[0], 0.5, 1e-5);
    ck_assert_double_eq_tol((double)gradient[1], -0.5, 1e-5);
    ck_assert_double_eq_tol(at_edge(CROSS_ENTROPY, outside, half, gradient), 1e-6, 1e-11);
    ck_assert_double_eq(at_edge(SQUARED, full, full, gradient), 0);
    ck_assert_double_eq(at_edge(SQUARED, empty, full, gradient), 1);
    ck_assert_double_eq(at_edge(DICE, empty, empty, gradient), 0);
    ck_assert_float_eq(gradient[0], 0);
    ck_assert_double_eq(at_edge(DICE, half, half, gradient), 0);
    ck_assert_float_eq(gradient[1], 0);
    ck_assert_double_eq_tol(at_edge(DICE, full, empty, gradient), 2.0 / 3, 1e-15);
    ck_assert_double_eq_tol(at_edge(DICE, empty, full, gradient), 2.0 / 3, 1e-15);
    ck_assert_double_eq_tol((double)gradient[0], -2.0 / 3, 1e-7);
}
END_TEST

START_TEST(losses_add_up)
{
    const float mask[2] = {0.25F, 0.5F}, target[2] = {0, 1}, given[2] = {3, -1};
    float first[2], second[2], sum[2];
    at_edge(SQUARED, mask, target, first);
    at_edge(DICE, mask, target, second);
    resattn_session *session = pass_on(RESATTN_TRAINING, (int64_t[]){1, 1, 1, 2});
    resattn_tensor *input = map_of(1, 2, mask), *targets = map_of(1, 2, target), *gradient = map_of(1, 2, given);
    for (int round = 0; round < 2; round++) { /* a new forward pass begins with nothing */
        ck_assert_int_eq(resattn_session_forward(session, input), RESATTN_OK);
        apply(SQUARED, 1, session, targets, NULL);
        apply(DICE, 1, session, targets, NULL);
        read_gradient(session, sum, 2);
        for (int i = 0; i < 2; i++)
            ck_assert_float_eq(sum[i], first[i] + second[i]);
    }
    ck_assert_int_eq(resattn_session_forward(session, input), RESATTN_OK);
    apply(SQUARED, 1, session, targets, NULL);
    ck_assert_int_eq(resattn_session_set_output_gradient(session, "mask", gradient), RESATTN_OK);
    apply(DICE, 1, session, targets, NULL);
    read_gradient(session, sum, 2);
    for (int i = 0; i < 2; i++)
        ck_assert_float_eq(sum[i], given[i] + second[i]);
    resattn_tensor_unref(gradient);
    resattn_tensor_unref(targets);
    resattn_tensor_unref(input);
    resattn_session_free(session);
}
END_TEST

/* ---- a whole network: smooth, so that differences can be trusted ---- */

enum { BATCH = 4, SIDE = 8, CLASSES = 3 };

typedef struct whole {
    resattn_network *network;
    resattn_session *session;
    resattn_tensor *input, *targets;
    resattn_mask_loss *loss;
    const char *mask;
} whole;

static resattn_network *smooth_network(void)
{
    resattn_builder *b = resattn_builder_new(context);
    resattn_layer *trunk =
        sequence(b, "trunk_branch", resattn_conv2d_new(b, "conv", 6, 3, 1, 1), resattn_sigmoid_new(b, NULL));
    resattn_layer *mask =
        sequence(b, "mask_branch", sequence(b, NULL, resattn_batch_norm_new(b, "bn"), resattn_sigmoid_new(b, NULL)),
                 resattn_conv2d_new(b, "conv", 6, 3, 1, 1));
    resattn_layer *body =
        sequence(b, NULL, resattn_conv2d_new(b, "conv", 6, 3, 2, 1), attention(b, "attention", trunk, mask));
    resattn_layer *head =
        sequence(b, NULL, resattn_global_average_pool_new(b, NULL), resattn_linear_new(b, "linear", CLASSES));
    resattn_network *network = resattn_network_new(b, sequence(b, NULL, body, head), 3);
    ck_assert_msg(network != NULL, "%s", resattn_last_error());
    resattn_builder_free(b);
    return network;
}

static void open_whole(whole *w, int kind)
{
    w->network = smooth_network();
    w->mask = resattn_attention_mask_name(resattn_network_attention(w->network, 0));
    resattn_plan *plan = resattn_plan_new(w->network, RESATTN_TRAINING, BATCH, SIDE, SIDE);
    ck_assert_int_eq(resattn_plan_add_output(plan, w->mask), RESATTN_OK);
    w->session = resattn_session_new(plan);
    resattn_plan_free(plan);
    w->input = new_tensor(RESATTN_F32, (int64_t[]){BATCH, 3, SIDE, SIDE}, RESATTN_CHANNELS_LAST);
    w->targets = new_tensor(RESATTN_F32, (int64_t[]){BATCH, 1, SIDE, SIDE}, RESATTN_CHANNELS_LAST);
    float *pixel = resattn_tensor_mutable_data(w->input), *target = resattn_tensor_mutable_data(w->targets);
    for (int i = 0; i < BATCH * 3 * SIDE * SIDE; i++)
        pixel[i] = (float)random_real(-1, 1);
    for (int i = 0; i < BATCH * SIDE * SIDE; i++)
        target[i] = (float)random_real(0, 1);
    w->loss = new_loss(kind, 1.5);
}

static void close_whole(whole *w)
{
    resattn_mask_loss_free(w->loss);
    resattn_tensor_unref(w->input);
    resattn_tensor_unref(w->targets);
    resattn_session_free(w->session);
    resattn_network_unref(w->network);
}

static double whole_loss(const whole *w)
{
    const int32_t labels[BATCH] = {0, 2, 1, 2};
    const float weights[BATCH] = {1, 0, 2, 0.5F};
    double of_class, of_mask;
    ck_assert_int_eq(resattn_session_forward(w->session, w->input), RESATTN_OK);
    ck_assert_int_eq(resattn_softmax_cross_entropy(w->session, labels, BATCH, &of_class, NULL), RESATTN_OK);
    ck_assert_int_eq(resattn_mask_loss_apply(w->loss, w->session, w->mask, w->targets, weights, &of_mask), RESATTN_OK);
    return of_class + of_mask;
}

/* The loss with parameter `p` moved by `step` along a direction. */
static double moved_loss(const whole *w, int32_t p, const float *direction, double step)
{
    resattn_tensor *parameter = resattn_network_parameter(w->network, p);
    int64_t count = resattn_tensor_elements(parameter);
    float *kept = calloc((size_t)count, sizeof *kept), *moved = calloc((size_t)count, sizeof *moved);
    resattn_tensor_read(parameter, RESATTN_CHANNELS_FIRST, kept, count);
    for (int64_t i = 0; i < count; i++)
        moved[i] = (float)((double)kept[i] + step * (double)direction[i]);
    resattn_tensor_write(parameter, RESATTN_CHANNELS_FIRST, moved, count);
    double loss = whole_loss(w);
    resattn_tensor_write(parameter, RESATTN_CHANNELS_FIRST, kept, count);
    free(kept);
    free(moved);
    return loss;
}

/* Along its own gradient, scaled to length 1, a parameter's slope is the gradient's length. */
static void check_parameter(const whole *w, int32_t p)
{
    resattn_tensor *gradient = resattn_network_parameter_gradient(w->network, p);
    int64_t count = resattn_tensor_elements(gradient);
    float *direction = calloc((size_t)count, sizeof *direction);
    double length = 0, h = 5e-3;
    whole_loss(w);
    ck_assert_int_eq(resattn_session_backward(w->session), RESATTN_OK);
    resattn_tensor_read(gradient, RESATTN_CHANNELS_FIRST, direction, count);
    for (int64_t i = 0; i < count; i++)
        length += (double)direction[i] * (double)direction[i];
    length = sqrt(length);
    ck_assert_double_gt(length, 1e-5);
    for (int64_t i = 0; i < count; i++)
        direction[i] = (float)((double)direction[i] / length);
    double slope = (moved_loss(w, p, direction, h) - moved_loss(w, p, direction, -h)) / (2 * h);
    ck_assert_msg(fabs(slope - length) <= 2e-3 * length + 1e-5, "%s: slope %.9g, gradient %.9g",
                  resattn_network_parameter_name(w->network, p), slope, length);
    free(direction);
}

START_TEST(whole_network)
{
    whole w;
    open_whole(&w, _i);
    int checked = 0;
    for (int32_t p = 0; p < resattn_network_parameter_count(w.network); p++)
        if (resattn_network_parameter_kind(w.network, p) == RESATTN_PARAMETER_TRAINABLE) {
            check_parameter(&w, p);
            checked++;
        }
    ck_assert_int_ge(checked, 6);
    close_whole(&w);
}
END_TEST

/* ---- what is refused ---- */

START_TEST(refused)
{
    int64_t shape[4] = {2, 3, 4, 4};
    const float negative[2] = {1, -1}, infinite[2] = {INFINITY, 1}, nan[2] = {NAN, 1};
    double value = -1;
    resattn_session *session = pass_on(RESATTN_TRAINING, shape);
    resattn_tensor *input = new_tensor(RESATTN_F32, shape, RESATTN_CHANNELS_LAST);
    resattn_tensor *good = new_tensor(RESATTN_F32, (int64_t[]){2, 1, 5, 5}, RESATTN_CHANNELS_LAST);
    resattn_tensor *few = new_tensor(RESATTN_F32, (int64_t[]){1, 1, 4, 4}, RESATTN_CHANNELS_LAST);
    resattn_tensor *two = new_tensor(RESATTN_F32, (int64_t[]){2, 2, 4, 4}, RESATTN_CHANNELS_LAST);
    resattn_tensor *flat = resattn_tensor_new(context, RESATTN_F32, 2, (int64_t[]){2, 16}, RESATTN_CHANNELS_LAST);
    resattn_mask_loss *loss = new_loss(CROSS_ENTROPY, 1), *squares = new_loss(SQUARED, 1);
    resattn_tensor_fill(input, 0.5F);
    REFUSED(STATE, "call forward first", resattn_mask_loss_apply(loss, session, "mask", good, NULL, &value));
    ck_assert_int_eq(resattn_session_forward(session, input), RESATTN_OK);
    REFUSED(INVALID, "loss is NULL", resattn_mask_loss_apply(NULL, session, "mask", good, NULL, &value));
    REFUSED(INVALID, "session is NULL", resattn_mask_loss_apply(loss, NULL, "mask", good, NULL, &value));
    REFUSED(INVALID, "name is NULL", resattn_mask_loss_apply(loss, session, NULL, good, NULL, &value));
    REFUSED(INVALID, "targets is NULL", resattn_mask_loss_apply(loss, session, "mask", NULL, NULL, &value));
    REFUSED(ABSENT, "pool", resattn_mask_loss_apply(loss, session, "pool", good, NULL, &value));
    REFUSED(MISMATCH, "1 x 1 x 4 x 4 F32, expected 2 x 1 or 3",
            resattn_mask_loss_apply(loss, session, "mask", few, NULL, &value));
    REFUSED(MISMATCH, "2 x 2 x 4 x 4", resattn_mask_loss_apply(loss, session, "mask", two, NULL, &value));
    REFUSED(MISMATCH, "2 x 16", resattn_mask_loss_apply(loss, session, "mask", flat, NULL, &value));
    REFUSED(INVALID, "image 1 is -1", resattn_mask_loss_apply(loss, session, "mask", good, negative, &value));
    REFUSED(INVALID, "image 0 is inf", resattn_mask_loss_apply(loss, session, "mask", good, infinite, &value));
    REFUSED(INVALID, "image 0 is nan", resattn_mask_loss_apply(loss, session, "mask", good, nan, &value));
    ((float *)resattn_tensor_mutable_data(good))[25 + 7] = 1.5F;
    REFUSED(INVALID, "image 1 has 1.5 in row 1, column 2, expected 0 to 1",
            resattn_mask_loss_apply(loss, session, "mask", good, NULL, &value));
    ((float *)resattn_tensor_mutable_data(good))[25 + 7] = NAN;
    REFUSED(INVALID, "finite", resattn_mask_loss_apply(squares, session, "mask", good, NULL, &value));
    ck_assert_double_eq(value, -1);
    REFUSED(STATE, "no output was given a gradient", resattn_session_backward(session)); /* none of that counted */

    ((float *)resattn_tensor_mutable_data(good))[25 + 7] = 1;
    ck_assert_int_eq(resattn_mask_loss_apply(loss, session, "mask", good, NULL, NULL), RESATTN_OK);
    ck_assert_int_eq(resattn_session_backward(session), RESATTN_OK);
    REFUSED(STATE, "once for each", resattn_mask_loss_apply(loss, session, "mask", good, NULL, &value));
    resattn_mask_loss_free(loss);
    resattn_mask_loss_free(squares);
    for (int i = 0; i < 5; i++)
        resattn_tensor_unref((resattn_tensor *[]){input, good, few, two, flat}[i]);
    resattn_session_free(session);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("mask loss");
    TCase *tests = tcase_create("mask loss");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_loop_test(tests, values_and_gradients, 0, CASES * 3);
    tcase_add_loop_test(tests, threads_do_not_matter, 1, 4);
    tcase_add_test(tests, means_over_areas);
    tcase_add_loop_test(tests, missing_targets, 1, 4);
    tcase_add_test(tests, edges);
    tcase_add_test(tests, losses_add_up);
    tcase_add_loop_test(tests, whole_network, 1, 4);
    tcase_add_test(tests, refused);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
