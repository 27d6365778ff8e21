/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The operations of leaves that are made of numeric loops, driven without a network: gradients against finite
 * differences, adding to a gradient, in place, fused ReLU, the same bits for any number of threads.
 */
#include "common.h"

#include <math.h>
#include <stdlib.h>

#include "layers/kinds.h"

/* Several channel blocks, tasks and chunks of statistics. */
enum { BATCH = 2, CHANNELS = 70, HEIGHT = 21, WIDTH = 15, SAMPLES = 40 };

typedef struct setting {
    const char *attribute;
    double value;
} setting;

typedef struct op_case {
    const ra_layer_kind *kind;
    setting settings[8];
    int32_t target_h, target_w;
} op_case;

static const op_case cases[] = {
    {.kind = &ra_kind_batch_norm},
    {.kind = &ra_kind_batch_norm, .settings = {{"frozen", 1}}},
    {.kind = &ra_kind_relu},
    {.kind = &ra_kind_sigmoid},
    {.kind = &ra_kind_scale, .settings = {{"factor", -0.7}}},
    {.kind = &ra_kind_dropout, .settings = {{"probability", 0.3}}},
    {.kind = &ra_kind_softmax},
    {.kind = &ra_kind_channel_norm},
    {.kind = &ra_kind_instance_norm},
    {.kind = &ra_kind_max_pool,
     .settings =
         {{"kernel_h", 3}, {"kernel_w", 2}, {"stride_h", 2}, {"pad_top", 1}, {"pad_bottom", 2}, {"pad_left", 1}}},
    {.kind = &ra_kind_max_pool, .settings = {{"kernel_h", 2}, {"kernel_w", 2}, {"stride_w", 2}, {"ceil_mode", 1}}},
    {.kind = &ra_kind_average_pool,
     .settings =
         {{"kernel_h", 3}, {"kernel_w", 4}, {"stride_h", 2}, {"stride_w", 3}, {"pad_top", 1}, {"ceil_mode", 1}}},
    {.kind = &ra_kind_average_pool,
     .settings = {{"kernel_h", 2}, {"kernel_w", 2}, {"pad_left", 1}, {"pad_bottom", 1}, {"count_padding", 0}}},
    {.kind = &ra_kind_global_average_pool},
    {.kind = &ra_kind_bilinear_resize, .settings = {{"height", 30}, {"width", 7}}},
    {.kind = &ra_kind_bilinear_resize, .settings = {{"factor", 1.4}, {"align_corners", 0}}},
    {.kind = &ra_kind_bilinear_resize, .target_h = 1, .target_w = 40},
    {.kind = &ra_kind_subsample, .settings = {{"out_channels", 75}, {"stride", 2}}},
};

/* ---- one operation with all that it needs ---- */

typedef struct fixture {
    resattn_context *context;
    resattn_layer layer;
    ra_param params[RA_MAX_PARAMS];
    ra_shape in;
    ra_op op;
    ra_run run;
    int64_t in_count, out_count;
    float *x, *y, *dy, *dx;
    const float *ins[1];
    float *dins[1];
    bool accumulate[1];
} fixture;

static float uniform(float low, float high)
{
    return low + (high - low) * (float)(test_random() >> 40) * 0x1p-24f;
}

static float *random_array(int64_t count)
{
    float *array = malloc((size_t)count * sizeof *array);
    ck_assert_ptr_nonnull(array);
    for (int64_t i = 0; i < count; i++)
        array[i] = uniform(-1, 1);
    return array;
}

/* Values of a map are 0.01 apart, and no nearer to 0 than 0.003, so that small steps meet no tie and no kink. */
static void fill_input(fixture *f)
{
    for (int64_t i = 0; i < f->in_count; i++) {
        int64_t pixel = i / f->in.c, c = i % f->in.c;
        f->x[i] = 0.01f * (float)((pixel * 37 + c * 11) % 401 - 200) + 0.003f;
        /* a gradient along the input has all terms of a normalisation's */
        if (f->out_count == f->in_count)
            f->dy[i] += f->x[i] / 2;
    }
}

static void set_layer(fixture *f, const op_case *test)
{
    f->layer.kind = test->kind;
    for (int32_t i = 0; i < test->kind->attribute_count; i++) {
        const ra_attribute *attribute = &test->kind->attributes[i];
        double value = attribute->initial;
        for (const setting *s = test->settings; s->attribute != NULL; s++)
            if (strcmp(s->attribute, attribute->name) == 0)
                value = s->value;
        if (attribute->type == RESATTN_ATTRIBUTE_INT)
            f->layer.attributes[i].i = (int64_t)value;
        else
            f->layer.attributes[i].r = value;
    }
    f->layer.params = f->params;
    for (int32_t i = 0; i < 4 && test->kind == &ra_kind_batch_norm; i++) {
        f->params[i].value = random_array(f->in.c);
        f->params[i].gradient = random_array(f->in.c);
        for (int64_t c = 0; c < f->in.c && i == 3; c++)
            f->params[i].value[c] = uniform(0.5, 2);
    }
}

static void *bytes_of(const fixture *f, bool ok, size_t bytes)
{
    ck_assert(ok);
    char *memory = ra_alloc_raw(f->context, bytes, 1);
    ck_assert_ptr_nonnull(memory);
    memset(memory, 0x7f, bytes);
    return memory;
}

static void set_up(fixture *f, const op_case *test, int32_t threads, bool fused_relu)
{
    *f = (fixture){.context = resattn_context_new(threads), .in = {CHANNELS, HEIGHT, WIDTH}};
    ck_assert_ptr_nonnull(f->context);
    ck_assert_int_eq(ra_context_open(f->context), RESATTN_OK);
    set_layer(f, test);
    const ra_op_kind *kind = test->kind->op;
    f->op = (ra_op){.kind = kind,
                    .layer = &f->layer,
                    .in_shape = &f->in,
                    .input_count = 1,
                    .target = {0, test->target_h, test->target_w},
                    .fused_relu = fused_relu};
    ck_assert(kind->shape(&f->op));
    f->in_count = (int64_t)BATCH * f->in.c * f->in.h * f->in.w;
    f->out_count = (int64_t)BATCH * f->op.out_shape.c * f->op.out_shape.h * f->op.out_shape.w;
    f->x = random_array(f->in_count);
    f->dx = random_array(f->in_count);
    f->y = random_array(f->out_count);
    f->dy = random_array(f->out_count);
    fill_input(f);
    f->ins[0] = f->x;
    f->dins[0] = f->dx;
    f->run = (ra_run){.context = f->context,
                      .n = BATCH,
                      .workers = ra_workers(f->context),
                      .training = true,
                      .in = f->ins,
                      .out = f->y,
                      .dout = f->dy,
                      .din = f->dins,
                      .accumulate = f->accumulate,
                      .key = 5};
    size_t bytes = 0;
    bool ok = kind->saved == NULL || kind->saved(&f->op, BATCH, &bytes);
    f->run.saved = bytes_of(f, ok, bytes);
    bytes = 0;
    ok = kind->work == NULL || kind->work(&f->op, BATCH, f->run.workers, true, &bytes);
    f->run.work = bytes_of(f, ok, bytes);
}

static void tear_down(fixture *f)
{
    for (int32_t i = 0; i < RA_MAX_PARAMS; i++) {
        free(f->params[i].value);
        free(f->params[i].gradient);
    }
    ra_free(f->context, f->run.saved);
    ra_free(f->context, f->run.work);
    free(f->x);
    free(f->y);
    free(f->dx);
    free(f->dy);
    ra_context_close(f->context);
    resattn_context_unref(f->context);
}

/* ---- gradients ---- */

static double loss(fixture *f)
{
    double sum = 0;
    f->op.kind->forward(&f->op, &f->run);
    for (int64_t i = 0; i < f->out_count; i++)
        sum += (double)f->y[i] * (double)f->dy[i];
    return sum;
}

static void check_gradient(fixture *f, float *value, const float *gradient, int64_t count, const char *what)
{
    bool kinks = f->layer.kind == &ra_kind_relu || f->layer.kind == &ra_kind_max_pool;
    const float step = kinks ? 0.002f : 0.02f;
    for (int32_t k = 0; k < SAMPLES; k++) {
        int64_t i = (int64_t)(test_random() % (uint64_t)count);
        float before = value[i];
        value[i] = before + step;
        double above = loss(f);
        value[i] = before - step;
        double slope = (above - loss(f)) / (2 * (double)step);
        value[i] = before;
        ck_assert_msg(fabs(slope - (double)gradient[i]) <= 0.005 + 0.005 * fabs(slope), "%s: %s %d: %g, expected %g",
                      f->op.kind->name, what, (int)i, (double)gradient[i], slope);
    }
}

START_TEST(test_gradient)
{
    fixture f;
    set_up(&f, &cases[_i], 1, false);
    loss(&f);
    f.op.kind->backward(&f.op, &f.run);
    check_gradient(&f, f.x, f.dx, f.in_count, "input");
    for (int32_t i = 0; i < 2 && f.params[0].value != NULL; i++)
        check_gradient(&f, f.params[i].value, f.params[i].gradient, f.in.c, "parameter");
    tear_down(&f);
}
END_TEST

START_TEST(test_accumulate_and_in_place)
{
    fixture f;
    set_up(&f, &cases[_i], 1, false);
    loss(&f);
    f.op.kind->backward(&f.op, &f.run);
    float *first = malloc((size_t)f.in_count * sizeof *first);
    ck_assert_ptr_nonnull(first);
    memcpy(first, f.dx, (size_t)f.in_count * sizeof *first);
    f.accumulate[0] = true;
    f.op.kind->backward(&f.op, &f.run);
    bool twice = true;
    for (int64_t i = 0; i < f.in_count; i++)
        twice = twice && fabs((double)f.dx[i] - 2 * (double)first[i]) <= 1e-5 * (1 + fabs((double)first[i]));
    ck_assert(twice);
    f.accumulate[0] = false;
    if (f.op.kind->flags & RA_IN_PLACE_BACKWARD) {
        f.dins[0] = f.dy;
        f.op.kind->backward(&f.op, &f.run);
        ck_assert(memcmp(first, f.dy, (size_t)f.in_count * sizeof *first) == 0);
    }
    f.dins[0] = NULL;
    f.op.kind->backward(&f.op, &f.run);
    free(first);
    tear_down(&f);
}
END_TEST

START_TEST(test_threads)
{
    fixture one, three;
    set_up(&one, &cases[_i], 1, false);
    set_up(&three, &cases[_i], 3, false);
    memcpy(three.dy, one.dy, (size_t)one.out_count * sizeof *one.dy);
    for (int32_t i = 0; i < 4 && one.params[0].value != NULL; i++)
        memcpy(three.params[i].value, one.params[i].value, (size_t)one.in.c * sizeof(float));
    ck_assert(loss(&one) == loss(&three));
    one.op.kind->backward(&one.op, &one.run);
    three.op.kind->backward(&three.op, &three.run);
    ck_assert(memcmp(one.y, three.y, (size_t)one.out_count * sizeof *one.y) == 0);
    ck_assert(memcmp(one.dx, three.dx, (size_t)one.in_count * sizeof *one.dx) == 0);
    for (int32_t i = 0; i < 2 && one.params[0].value != NULL; i++)
        ck_assert(memcmp(one.params[i].gradient, three.params[i].gradient,
                         (size_t)one.in.c * sizeof(float)) == 0);
    tear_down(&one);
    tear_down(&three);
}
END_TEST

/* ---- batch norm ---- */

START_TEST(test_fused_relu)
{
    fixture fused, apart;
    set_up(&fused, &cases[0], 1, true);
    set_up(&apart, &cases[0], 1, false);
    for (int32_t i = 0; i < 4; i++)
        memcpy(apart.params[i].value, fused.params[i].value, (size_t)fused.in.c * sizeof(float));
    loss(&fused);
    loss(&apart);
    for (int64_t i = 0; i < fused.out_count; i++) {
        ck_assert(fused.y[i] == (apart.y[i] < 0 ? 0 : apart.y[i]));
        apart.dy[i] = apart.y[i] > 0 ? fused.dy[i] : 0;
    }
    fused.op.kind->backward(&fused.op, &fused.run);
    apart.op.kind->backward(&apart.op, &apart.run);
    ck_assert(memcmp(fused.dx, apart.dx, (size_t)fused.in_count * sizeof *fused.dx) == 0);
    tear_down(&fused);
    tear_down(&apart);
}
END_TEST

/* Far from zero, where squares about zero would have no digit of the variance left. */
START_TEST(test_statistics)
{
    fixture f;
    set_up(&f, &cases[0], 1, false);
    float *running_mean = f.params[2].value, *running_var = f.params[3].value;
    for (int64_t i = 0; i < f.in_count; i++)
        f.x[i] += 30000;
    memset(running_mean, 0, (size_t)f.in.c * sizeof(float));
    memset(running_var, 0, (size_t)f.in.c * sizeof(float));
    loss(&f);
    int64_t pixels = f.in_count / f.in.c;
    for (int64_t c = 0; c < f.in.c; c++) {
        double mean = 0, squares = 0;
        for (int64_t p = 0; p < pixels; p++)
            mean += (double)f.x[p * f.in.c + c] / (double)pixels;
        for (int64_t p = 0; p < pixels; p++)
            squares += ((double)f.x[p * f.in.c + c] - mean) * ((double)f.x[p * f.in.c + c] - mean);
        ck_assert(fabs((double)running_mean[c] - 0.1 * mean) <= 1e-7 * fabs(mean));
        ck_assert(fabs((double)running_var[c] - 0.1 * squares / (double)(pixels - 1)) <= 1e-6 * squares);
    }
    tear_down(&f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("leaf_ops");
    TCase *gradients = tcase_create("gradients"), *norm = tcase_create("batch norm");
    tcase_set_timeout(gradients, 120);
    tcase_add_loop_test(gradients, test_gradient, 0, RA_COUNT(cases));
    tcase_add_loop_test(gradients, test_accumulate_and_in_place, 0, RA_COUNT(cases));
    tcase_add_loop_test(gradients, test_threads, 0, RA_COUNT(cases));
    suite_add_tcase(suite, gradients);
    tcase_add_test(norm, test_fused_relu);
    tcase_add_test(norm, test_statistics);
    suite_add_tcase(suite, norm);
    return test_run(suite);
}
