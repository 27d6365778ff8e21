/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every form of convolution with constant weights, at every CPU level, with everything that may follow it, against
 * loops in double precision; the same bits for any number of workers; and how a form is chosen.
 */
#include "form_gradients.h"
#include "form_trial.h"
#include "gemm/gemm.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WORKER_COUNTS = 3 };
static const int32_t worker_counts[WORKER_COUNTS] = {1, 2, 5};

/* ---- CPU levels ---- */

static int32_t level_count(void)
{
#if defined(__x86_64__)
    ra_cpu_cap(RA_CPU_NEON);
    return (int32_t)ra_cpu() + 1;
#else
    return 1;
#endif
}

static void set_level(int32_t level)
{
#if defined(__x86_64__)
    ra_cpu_cap((ra_cpu_level)level);
#else
    (void)level;
#endif
}

/* ---- contexts ---- */

static void open_contexts(resattn_context **contexts)
{
    for (int i = 0; i < WORKER_COUNTS; i++) {
        contexts[i] = resattn_context_new(worker_counts[i]);
        ck_assert_ptr_nonnull(contexts[i]);
        ck_assert_int_eq(ra_context_open(contexts[i]), RESATTN_OK);
        ck_assert_int_eq(ra_gemm_warm_up(contexts[i]), RESATTN_OK);
    }
}

static void close_contexts(resattn_context **contexts)
{
    for (int i = 0; i < WORKER_COUNTS; i++) {
        ra_context_close(contexts[i]);
        resattn_context_unref(contexts[i]);
    }
}

/* ---- running a form ---- */

static float *pack(const form_trial *t, ra_conv_form form, size_t *floats)
{
    ck_assert(ra_conv_packed_floats(&t->conv, form, floats));
    float *packed = new_floats(*floats, false);
    ra_conv_pack(&t->conv, form, t->filter, packed);
    check_guards("packed weights", packed, *floats);
    return packed;
}

typedef struct outcome {
    float *y, *second;
    size_t y_floats;
} outcome;

static void free_outcome(outcome *result)
{
    free_floats(result->y);
    free_floats(result->second);
}

/* y and second before the run: NaN, or the addend. */
static outcome new_outcome(const form_trial *t, const form_options *o)
{
    size_t channels = (size_t)t->conv.out_c, row = channels + (size_t)o->gap;
    outcome result = {.y_floats = (t->pixels - 1) * row + channels};
    result.y = new_floats(result.y_floats, false);
    result.second = new_floats(t->outputs, false);
    for (size_t i = 0; o->addend == ADDEND_Y && i < t->pixels; i++)
        memcpy(result.y + i * row, t->addend + i * channels, channels * sizeof(float));
    return result;
}

/* The first `n` images of a trial, with the work memory for all. */
static outcome run(resattn_context *context, const form_trial *t, ra_conv_form form, const form_options *o,
                   const float *packed, int32_t n)
{
    const ra_conv *c = &t->conv;
    const char *what = form_describe(t, form, o);
    outcome before = new_outcome(t, o), after = new_outcome(t, o);
    size_t bytes;
    ck_assert(ra_conv_run_work(c, form, t->n, ra_workers(context), &bytes) && bytes % sizeof(float) == 0);
    float *work = new_floats(bytes / sizeof(float), false);
    ra_conv_result result = {
        .y = after.y,
        .y_row = c->out_c + o->gap,
        .bias = o->bias ? t->bias : NULL,
        .addend = o->addend == NO_ADDEND  ? NULL
                  : o->addend == ADDEND_Y ? after.y
                                          : t->addend,
        .relu = o->relu,
        .sigmoid = o->sigmoid,
        .trunk = o->trunk ? t->trunk : NULL,
        .plus = o->plus,
        .second = o->second == NO_SECOND  ? NULL
                  : o->second == SECOND_Y ? after.y
                                          : after.second,
        .scale = o->second == NO_SECOND ? NULL : t->scale,
        .shift = o->second == NO_SECOND ? NULL : t->shift,
        .second_relu = o->second_relu,
        .short_sums = o->short_sums,
    };
    ra_conv_run(context, c, form, n, t->x, packed, &result, work);
    int64_t pixels = (int64_t)n * c->out_h * c->out_w, second = o->second == OTHER_SECOND ? pixels : 0;
    check_guards(what, work, bytes / sizeof(float));
    check_gaps(what, before.y, after.y, after.y_floats, pixels, c->out_c, result.y_row);
    check_gaps(what, before.second, after.second, t->outputs, second, c->out_c, c->out_c);
    free_floats(work);
    free_outcome(&before);
    return after;
}

static void compare(const form_trial *t, ra_conv_form form, const form_options *o, const outcome *result, int32_t n)
{
    const char *what = form_describe(t, form, o);
    size_t channels = (size_t)t->conv.out_c, outputs = t->outputs / (size_t)t->n * (size_t)n;
    for (size_t i = 0; i < outputs; i++) {
        estimate y, second;
        form_expect(t, form, o, i, &y, &second);
        float got = result->y[i / channels * (channels + (size_t)o->gap) + i % channels];
        check_estimate(what, (int64_t)i, got, o->second == SECOND_Y ? second : y);
        if (o->second == OTHER_SECOND)
            check_estimate(what, (int64_t)i, result->second[i], second);
    }
}

static void check_form(resattn_context *const *contexts, const form_trial *t, ra_conv_form form)
{
    form_options o = pick_options(form);
    size_t floats;
    float *packed = pack(t, form, &floats);
    outcome first = run(contexts[0], t, form, &o, packed, t->n);
    compare(t, form, &o, &first, t->n);
    for (int i = 1; i < WORKER_COUNTS; i++) {
        outcome other = run(contexts[i], t, form, &o, packed, t->n);
        if (memcmp(first.y, other.y, first.y_floats * sizeof(float)) != 0 ||
            memcmp(first.second, other.second, t->outputs * sizeof(float)) != 0)
            ck_abort_msg("%s: %d workers give other bits", form_describe(t, form, &o), worker_counts[i]);
        free_outcome(&other);
    }
    int32_t fewer = pick(1, t->n);
    outcome part = run(contexts[pick(0, WORKER_COUNTS - 1)], t, form, &o, packed, fewer);
    compare(t, form, &o, &part, fewer);
    free_outcome(&part);
    free_outcome(&first);
    free_floats(packed);
}

static void check_conv(resattn_context *const *contexts, const ra_conv *conv, int32_t n)
{
    form_trial t;
    form_trial_begin(&t, conv, n);
    for (int32_t level = 0, count = level_count(); level < count; level++) {
        set_level(level);
        for (int form = 0; form < RA_CONV_FORMS; form++)
            if (ra_conv_takes_form(conv, (ra_conv_form)form))
                check_form(contexts, &t, (ra_conv_form)form);
    }
    form_trial_end(&t);
}

/* ---- shapes ---- */

static int32_t output_size(int32_t in, int32_t before, int32_t after, int32_t kernel, int32_t stride, int32_t dilation)
{
    int32_t span = in + before + after - dilation * (kernel - 1) - 1;
    return span < 0 ? 0 : span / stride + 1;
}

static void pick_channels(ra_conv *c)
{
    static const int32_t dense[] = {1, 3, 5, 16, 16, 24, 32, 33, 48, 64, 64, 80, 100, 160};
    static const int32_t groups[] = {2, 3, 4, 8, 16, 32};
    static const int32_t few[] = {1, 1, 2, 4, 4, 8, 3, 16, 20, 40};
    c->groups = 1;
    c->in_c = dense[pick(0, RA_COUNT(dense) - 1)];
    c->out_c = dense[pick(0, RA_COUNT(dense) - 1)];
    if (pick(0, 2) > 0)
        return;
    int32_t in = few[pick(0, RA_COUNT(few) - 1)];
    c->groups = groups[pick(0, RA_COUNT(groups) - 1)];
    c->in_c = c->groups * in;
    c->out_c = c->groups * (pick_bool() ? in : few[pick(0, RA_COUNT(few) - 1)]);
}

static void pick_kernel(ra_conv *c)
{
    static const int32_t kernels[][2] = {{1, 1}, {3, 3}, {3, 3}, {3, 3}, {5, 5}, {7, 7}, {1, 7}, {7, 1}, {2, 4}};
    bool plain = pick_bool();
    const int32_t *kernel = kernels[pick(0, RA_COUNT(kernels) - 1)];
    c->kernel_h = kernel[0];
    c->kernel_w = kernel[1];
    c->stride_h = plain ? 1 : pick(1, 3);
    c->stride_w = plain ? 1 : pick(1, 3);
    c->dilation_h = plain ? 1 : pick(1, 3);
    c->dilation_w = plain ? 1 : pick(1, 3);
}

static void pick_map(ra_conv *c)
{
    int32_t most = pick_bool() ? 40 : 12, reach_h = c->dilation_h * c->kernel_h, reach_w = c->dilation_w * c->kernel_w;
    c->in_h = pick(1, most);
    c->in_w = pick_bool() ? c->in_h : pick(1, most);
    c->pad_top = pick_bool() ? c->kernel_h / 2 : pick(0, reach_h);
    c->pad_left = pick_bool() ? c->kernel_w / 2 : pick(0, reach_w);
    int32_t bottom = pick_bool() ? c->pad_top : pick(0, reach_h), right = pick_bool() ? c->pad_left : pick(0, reach_w);
    c->out_h = output_size(c->in_h, c->pad_top, bottom, c->kernel_h, c->stride_h, c->dilation_h);
    c->out_w = output_size(c->in_w, c->pad_left, right, c->kernel_w, c->stride_w, c->dilation_w);
}

/* A convolution of at most so many multiply-adds an image. */
static ra_conv pick_conv(double most)
{
    ra_conv conv;
    do {
        conv = (ra_conv){0};
        pick_channels(&conv);
        pick_kernel(&conv);
        pick_map(&conv);
    } while (form_products(&conv) == 0 || form_products(&conv) > most);
    return conv;
}

/* ---- tests ---- */

enum { RANDOM_CONVS = 120, MOST_PRODUCTS = 4000000 };

START_TEST(random_convolutions)
{
    resattn_context *contexts[WORKER_COUNTS];
    open_contexts(contexts);
    for (int done = 0; done < RANDOM_CONVS; done++) {
        ra_conv conv = pick_conv(MOST_PRODUCTS);
        bool small = form_products(&conv) < MOST_PRODUCTS / 20;
        check_conv(contexts, &conv, pick(1, small ? 12 : 3));
    }
    close_contexts(contexts);
}
END_TEST

static ra_conv square_conv(int32_t in_c, int32_t out_c, int32_t size, int32_t kernel, int32_t stride, int32_t groups)
{
    int32_t out = output_size(size, kernel / 2, kernel / 2, kernel, stride, 1);
    return (ra_conv){.in_c = in_c,
                     .in_h = size,
                     .in_w = size,
                     .out_c = out_c,
                     .out_h = out,
                     .out_w = out,
                     .kernel_h = kernel,
                     .kernel_w = kernel,
                     .stride_h = stride,
                     .stride_w = stride,
                     .dilation_h = 1,
                     .dilation_w = 1,
                     .pad_top = kernel / 2,
                     .pad_left = kernel / 2,
                     .groups = groups};
}

/* Those that reach every way of cutting the work: rows so long that they are staggered, several steps over the depth,
 * all rows gathered at once, several columns of tiles, several blocks of Winograd's tiles. */
START_TEST(chosen_convolutions)
{
    static const struct {
        int32_t in_c, out_c, size, kernel, stride, groups, n;
    } list[] = {
        {512, 64, 7, 1, 1, 1, 3},    {1024, 40, 5, 1, 1, 1, 2},   {1024, 96, 3, 3, 1, 1, 1},
        {512, 48, 14, 3, 1, 1, 1},   {512, 16, 14, 1, 2, 1, 2},   {64, 512, 7, 1, 1, 1, 3},
        {256, 256, 7, 3, 1, 1, 2},   {64, 64, 28, 3, 1, 1, 3},    {16, 16, 40, 3, 1, 1, 3},
        {32, 144, 12, 3, 1, 1, 2},   {3, 64, 39, 7, 2, 1, 2},     {1024, 32, 14, 3, 1, 32, 1},
        {128, 128, 28, 3, 1, 32, 2}, {128, 128, 13, 3, 1, 16, 3}, {64, 64, 30, 3, 2, 32, 2},
        {96, 96, 14, 7, 1, 96, 2},   {32, 32, 16, 9, 1, 1, 1},    {600, 40, 6, 3, 1, 1, 3},
        {96, 320, 4, 3, 1, 1, 3},    {256, 32, 16, 5, 1, 1, 1},
    };
    resattn_context *contexts[WORKER_COUNTS];
    open_contexts(contexts);
    for (int32_t i = 0; i < RA_COUNT(list); i++) {
        ra_conv conv =
            square_conv(list[i].in_c, list[i].out_c, list[i].size, list[i].kernel, list[i].stride, list[i].groups);
        check_conv(contexts, &conv, list[i].n);
    }
    close_contexts(contexts);
}
END_TEST

/* ---- gradients ---- */

static void check_gradients(resattn_context *const *contexts, const ra_conv *conv, int32_t n)
{
    for (int32_t level = 0, count = level_count(); level < count; level++) {
        set_level(level);
        for (int form = RA_CONV_WINOGRAD2; form <= RA_CONV_WINOGRAD4; form++) {
            check_turned_packing(conv, (ra_conv_form)form);
            check_filter_gradient(contexts, WORKER_COUNTS, conv, (ra_conv_form)form, n);
        }
    }
}

enum { GRADIENTS = 12, GRADIENT_PRODUCTS = 3000000 };

START_TEST(gradients_by_winograd)
{
    static const int32_t channels[] = {16, 32, 48, 64, 80, 144};
    resattn_context *contexts[WORKER_COUNTS];
    open_contexts(contexts);
    for (int done = 0; done < GRADIENTS;) {
        int32_t in_c = channels[pick(0, RA_COUNT(channels) - 1)], out_c = channels[pick(0, RA_COUNT(channels) - 1)];
        ra_conv conv = square_conv(in_c, out_c, 1, 3, 1, 1);
        pick_map(&conv);
        if (form_products(&conv) == 0 || form_products(&conv) > GRADIENT_PRODUCTS)
            continue;
        check_gradients(contexts, &conv, pick(1, 3));
        done++;
    }
    /* Several blocks both ways, the last one smaller; more tiles than are transformed at a time; fewer than parts. */
    static const int32_t chosen[][4] = {{144, 272, 6, 2}, {16, 16, 46, 3}, {64, 64, 1, 1}};
    for (int32_t i = 0; i < RA_COUNT(chosen); i++) {
        ra_conv conv = square_conv(chosen[i][0], chosen[i][1], chosen[i][2], 3, 1, 1);
        check_gradients(contexts, &conv, chosen[i][3]);
    }
    close_contexts(contexts);
}
END_TEST

/* Where Winograd's tiles begin to pay, and just before. */
START_TEST(passes_of_training)
{
    static const struct {
        int32_t channels, size;
        bool winograd;
    } list[] = {{64, 13, false}, {48, 14, false}, {64, 14, true}, {80, 19, true}, {64, 20, true}, {96, 21, true}};
    resattn_context *contexts[WORKER_COUNTS];
    open_contexts(contexts);
    for (int32_t i = 0; i < RA_COUNT(list); i++) {
        ra_conv conv = square_conv(list[i].channels, list[i].channels + 16, list[i].size, 3, 1, 1);
        for (int32_t w = 0; w < WORKER_COUNTS; w++)
            check_passes(contexts[w], &conv, 2, list[i].winograd);
    }
    close_contexts(contexts);
}
END_TEST

/* ---- the choice ---- */

static bool is_winograd(ra_conv_form form)
{
    return form == RA_CONV_WINOGRAD2 || form == RA_CONV_WINOGRAD4;
}

static void check_choice(const ra_conv *conv)
{
    ra_conv_form fastest = ra_conv_choose(conv, RA_CONV_FASTEST), direct = ra_conv_choose(conv, RA_CONV_NO_WINOGRAD);
    ck_assert_int_eq(ra_conv_choose(conv, RA_CONV_BLIS_ONLY), RA_CONV_BLIS);
    ck_assert(ra_conv_takes_form(conv, RA_CONV_BLIS));
    ck_assert(ra_conv_takes_form(conv, fastest) && ra_conv_takes_form(conv, direct) && !is_winograd(direct));
    /* a limit that excludes nothing changes nothing */
    ck_assert(is_winograd(fastest) || direct == fastest);
    ck_assert_str_ne(ra_conv_form_name(conv, fastest), "");
}

START_TEST(choices_keep_to_the_mode)
{
    for (int32_t level = 0, count = level_count(); level < count; level++) {
        set_level(level);
        for (int32_t i = 0; i < 2000; i++) {
            ra_conv conv = pick_conv(INFINITY);
            check_choice(&conv);
        }
        /* What the forms are for: large maps, groups of few channels, 1x1. */
        ra_conv large = square_conv(64, 64, 56, 3, 1, 1), groups = square_conv(128, 128, 56, 3, 1, 32);
        ra_conv pointwise = square_conv(256, 64, 56, 1, 1, 1);
        ck_assert(is_winograd(ra_conv_choose(&large, RA_CONV_FASTEST)));
        ck_assert_int_eq(ra_conv_choose(&large, RA_CONV_NO_WINOGRAD), RA_CONV_PANELS);
        ck_assert_int_eq(ra_conv_choose(&groups, RA_CONV_NO_WINOGRAD), RA_CONV_LANES);
        ck_assert_int_eq(ra_conv_choose(&pointwise, RA_CONV_FASTEST), RA_CONV_PANELS);
    }
}
END_TEST

/* The layout of packed weights depends on the form, the channels, the groups and the kernel's size only. */
static void check_layout(const form_trial *t, ra_conv_form form)
{
    form_trial other = *t;
    size_t floats, others;
    ra_conv *c = &other.conv;
    c->in_h = c->out_h = pick(1, 40);
    c->in_w = c->out_w = pick(1, 40);
    c->pad_top = c->dilation_h * (c->kernel_h - 1) / 2;
    c->pad_left = c->dilation_w * (c->kernel_w - 1) / 2;
    c->stride_h = c->stride_w = 1;
    if (!ra_conv_takes_form(c, form))
        return;
    float *packed = pack(t, form, &floats), *again = pack(&other, form, &others);
    ck_assert_uint_eq(floats, others);
    ck_assert_msg(memcmp(packed, again, floats * sizeof(float)) == 0, "form %d: the map changes the layout", (int)form);
    free_floats(packed);
    free_floats(again);
}

START_TEST(layouts_do_not_depend_on_the_map)
{
    for (int32_t level = 0, count = level_count(); level < count; level++) {
        set_level(level);
        for (int32_t i = 0; i < 40; i++) {
            ra_conv conv = pick_conv(MOST_PRODUCTS / 20);
            form_trial t;
            form_trial_begin(&t, &conv, 1);
            for (int form = 0; form < RA_CONV_FORMS; form++)
                if (ra_conv_takes_form(&conv, (ra_conv_form)form))
                    check_layout(&t, (ra_conv_form)form);
            form_trial_end(&t);
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("forms");
    TCase *forms = tcase_create("forms");
    tcase_set_timeout(forms, 240);
    tcase_add_test(forms, choices_keep_to_the_mode);
    tcase_add_test(forms, layouts_do_not_depend_on_the_map);
    tcase_add_test(forms, random_convolutions);
    tcase_add_test(forms, chosen_convolutions);
    tcase_add_test(forms, gradients_by_winograd);
    tcase_add_test(forms, passes_of_training);
    suite_add_tcase(suite, forms);
    return test_run(suite);
}
