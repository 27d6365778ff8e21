/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Matrix products and convolution against plain loops in double precision; the same bits for any number of workers; no
 * allocation while they run.
 */
#include "kernel_common.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gemm/gemm.h"
#include "kernels/conv.h"

/* ---- counting what the C library hands out ---- */

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define COUNTS_ALLOCATIONS 1
static atomic_int allocations;

void *__libc_malloc(size_t size);
void *__libc_memalign(size_t alignment, size_t size);

void *malloc(size_t size)
{
    atomic_fetch_add(&allocations, 1);
    return __libc_malloc(size);
}

int posix_memalign(void **memory, size_t alignment, size_t size)
{
    atomic_fetch_add(&allocations, 1);
    *memory = __libc_memalign(alignment, size);
    return *memory == NULL ? ENOMEM : 0;
}
#else
#define COUNTS_ALLOCATIONS 0
static atomic_int allocations;
#endif

/* ---- contexts, and comparing ---- */

enum { WORKER_COUNTS = 3 };
static const int32_t worker_counts[WORKER_COUNTS] = {1, 2, 5};

static resattn_context *new_context(int32_t threads)
{
    resattn_context *context = resattn_context_new(threads);
    ck_assert_ptr_nonnull(context);
    ck_assert_int_eq(ra_context_open(context), RESATTN_OK);
    return context;
}

static void free_context(resattn_context *context)
{
    ra_context_close(context);
    resattn_context_unref(context);
}

/* A sum of products in single precision, in whatever order, is off by at most its length times the unit roundoff times
 * the sum of the products' magnitudes (Higham, Accuracy and Stability, 3.1). */
static void check_value(const char *what, size_t index, float value, double expected, double magnitude, double length)
{
    double bound = (length + 8.0) * 0x1p-24 * magnitude + 1e-30;
    if (!(fabs((double)value - expected) <= bound)) /* Check's own asserts write a record each */
        ck_abort_msg("%s [%zu]: %.9g, expected %.9g within %.3g", what, index, (double)value, expected, bound);
}

/* ---- products ---- */

typedef struct matrix {
    int64_t rows, columns, row, column;
    size_t floats;
    float *data;
} matrix;

static matrix new_matrix(int64_t rows, int64_t columns)
{
    int64_t gap = pick(1, 3), extra = pick(0, 5);
    matrix m = {.rows = rows, .columns = columns, .row = gap, .column = gap * rows + extra};
    if (pick(0, 1) == 0) {
        m.column = gap;
        m.row = gap * columns + extra;
    }
    m.floats = rows == 0 || columns == 0 ? 1 : (size_t)((rows - 1) * m.row + (columns - 1) * m.column + 1);
    m.data = new_floats(m.floats, true);
    return m;
}

static double at(const matrix *m, int64_t i, int64_t j)
{
    return (double)m->data[i * m->row + j * m->column];
}

static void check_product(int64_t m, int64_t n, int64_t k, bool accumulate)
{
    matrix a = new_matrix(m, k), b = new_matrix(k, n), c = new_matrix(m, n);
    matrix before = c;
    before.data = new_floats(c.floats, false);
    if (!accumulate)
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < n; j++)
                c.data[i * c.row + j * c.column] = NAN;
    memcpy(before.data, c.data, c.floats * sizeof(float));
    ra_gemm(m, n, k, a.data, a.row, a.column, b.data, b.row, b.column, accumulate ? 1.0f : 0.0f, c.data, c.row,
            c.column);
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            double sum = accumulate ? at(&before, i, j) : 0.0, magnitude = fabs(sum);
            for (int64_t l = 0; l < k; l++) {
                sum += at(&a, i, l) * at(&b, l, j);
                magnitude += fabs(at(&a, i, l) * at(&b, l, j));
            }
            check_value("product", (size_t)(i * n + j), (float)at(&c, i, j), sum, magnitude, (double)k);
            before.data[i * c.row + j * c.column] = c.data[i * c.row + j * c.column];
        }
    ck_assert_msg(memcmp(before.data, c.data, c.floats * sizeof(float)) == 0, "written between the elements");
    check_guards("product", c.data, c.floats);
    free_floats(a.data);
    free_floats(b.data);
    free_floats(c.data);
    free_floats(before.data);
}

START_TEST(products_with_any_strides)
{
    ra_gemm_init(RESATTN_PROCESS_DEFAULT, false);
    for (int round = 0; round < 150; round++) {
        int32_t most = pick(0, 3) == 0 ? 130 : 20;
        check_product(pick(0, most), pick(0, most), pick(0, most), pick(0, 1) == 1);
    }
    for (int64_t m = 1; m <= 2; m++)
        for (int64_t n = 1; n <= 2; n++)
            for (int64_t k = 0; k <= 2; k++)
                check_product(m, n, k, pick(0, 1) == 1);
}
END_TEST

/* ---- convolution ---- */

typedef struct trial {
    ra_conv conv;
    int32_t n;
    size_t x_floats, y_floats, filter_floats;
    float *x, *dy, *filter, *bias;
} trial;

static int32_t output_size(int32_t in, int32_t before, int32_t after, int32_t kernel, int32_t stride, int32_t dilation)
{
    int32_t span = in + before + after - dilation * (kernel - 1) - 1;
    return span < 0 ? 0 : span / stride + 1;
}

static bool pick_geometry(ra_conv *c, int32_t *n)
{
    static const int32_t groups[] = {1, 1, 1, 2, 3, 4, 7};
    static const int32_t widths[] = {1, 2, 3, 4, 5, 8, 9, 16, 33};
    c->groups = groups[pick(0, RA_COUNT(groups) - 1)];
    c->in_c = c->groups * widths[pick(0, RA_COUNT(widths) - 1)];
    c->out_c = c->groups * widths[pick(0, RA_COUNT(widths) - 1)];
    c->in_h = pick(1, 14);
    c->in_w = pick(1, 14);
    c->kernel_h = pick(1, 4);
    c->kernel_w = pick(0, 1) == 0 ? c->kernel_h : pick(1, 5);
    c->stride_h = pick(1, 3);
    c->stride_w = pick(0, 1) == 0 ? c->stride_h : pick(1, 4);
    c->dilation_h = pick(0, 2) == 0 ? pick(1, 4) : 1;
    c->dilation_w = pick(0, 2) == 0 ? pick(1, 4) : 1;
    c->pad_top = pick(0, 1) == 0 ? 0 : pick(0, 4);
    c->pad_left = pick(0, 1) == 0 ? c->pad_top : pick(0, 4);
    c->out_h = output_size(c->in_h, c->pad_top, pick(0, 3), c->kernel_h, c->stride_h, c->dilation_h);
    c->out_w = output_size(c->in_w, c->pad_left, pick(0, 3), c->kernel_w, c->stride_w, c->dilation_w);
    *n = pick(1, 3);
    return c->out_h > 0 && c->out_w > 0;
}

static void trial_begin(trial *t, const ra_conv *conv, int32_t n)
{
    *t = (trial){.conv = *conv, .n = n};
    t->x_floats = (size_t)n * (size_t)conv->in_h * (size_t)conv->in_w * (size_t)conv->in_c;
    t->y_floats = (size_t)n * (size_t)conv->out_h * (size_t)conv->out_w * (size_t)conv->out_c;
    t->filter_floats =
        (size_t)conv->out_c * (size_t)conv->kernel_h * (size_t)conv->kernel_w * (size_t)(conv->in_c / conv->groups);
    t->x = new_floats(t->x_floats, true);
    t->dy = new_floats(t->y_floats, true);
    t->filter = new_floats(t->filter_floats, true);
    t->bias = new_floats((size_t)conv->out_c, true);
}

static void trial_end(trial *t)
{
    free_floats(t->x);
    free_floats(t->dy);
    free_floats(t->filter);
    free_floats(t->bias);
}

typedef enum pass { FORWARD, INPUT, FILTER } pass;

typedef struct sums {
    const trial *t;
    pass pass;
    double *value, *magnitude, *length;
} sums;

/* Adds the products of one pixel of one filter's taps: `count` channels from those elements of x and filter on. */
static void add_products(const sums *s, size_t y, size_t x, size_t filter, int32_t count)
{
    const float *first = s->pass == FORWARD || s->pass == FILTER ? s->t->x + x : s->t->filter + filter;
    const float *second = s->pass == FORWARD ? s->t->filter + filter : s->t->dy + y;
    size_t target = s->pass == FORWARD ? y : s->pass == INPUT ? x : filter;
    int32_t second_step = s->pass == FORWARD, step = s->pass != FORWARD;
    for (int32_t i = 0; i < count; i++) {
        double product = (double)first[i] * (double)second[i * second_step];
        s->value[target + (size_t)(i * step)] += product;
        s->magnitude[target + (size_t)(i * step)] += fabs(product);
        s->length[target + (size_t)(i * step)] += 1.0;
    }
}

static void visit_pixel(const sums *s, size_t image, int32_t oy, int32_t ox)
{
    const ra_conv *c = &s->t->conv;
    int32_t in_c = c->in_c / c->groups, out_c = c->out_c / c->groups;
    for (int32_t ky = 0; ky < c->kernel_h; ky++)
        for (int32_t kx = 0; kx < c->kernel_w; kx++) {
            int32_t iy = oy * c->stride_h - c->pad_top + ky * c->dilation_h;
            int32_t ix = ox * c->stride_w - c->pad_left + kx * c->dilation_w;
            if (iy < 0 || iy >= c->in_h || ix < 0 || ix >= c->in_w)
                continue;
            size_t y = ((image * (size_t)c->out_h + (size_t)oy) * (size_t)c->out_w + (size_t)ox) * (size_t)c->out_c;
            size_t x = ((image * (size_t)c->in_h + (size_t)iy) * (size_t)c->in_w + (size_t)ix) * (size_t)c->in_c;
            for (int32_t o = 0; o < c->out_c; o++)
                add_products(s, y + (size_t)o, x + (size_t)(o / out_c * in_c),
                             ((size_t)(o * c->kernel_h + ky) * (size_t)c->kernel_w + (size_t)kx) * (size_t)in_c, in_c);
        }
}

typedef struct options {
    pass pass;
    bool accumulate, bias, relu, prepared;
} options;

static size_t result_floats(const trial *t, pass p)
{
    return p == FORWARD ? t->y_floats : p == INPUT ? t->x_floats : t->filter_floats;
}

static const char *describe(const trial *t, const options *o)
{
    static char text[400];
    static const char *const passes[] = {"forward", "input gradient", "filter gradient"};
    const ra_conv *c = &t->conv;
    snprintf(
        text, sizeof text,
        "%s, n %d, in %dx%dx%d, out %dx%dx%d, kernel %dx%d, stride %dx%d, dilation %dx%d, pad %d %d, groups %d%s%s%s",
        passes[o->pass], t->n, c->in_c, c->in_h, c->in_w, c->out_c, c->out_h, c->out_w, c->kernel_h, c->kernel_w,
        c->stride_h, c->stride_w, c->dilation_h, c->dilation_w, c->pad_top, c->pad_left, c->groups,
        o->accumulate ? ", accumulate" : "", o->bias ? ", bias" : "", o->relu ? ", relu" : "");
    return text;
}

/* Runs one pass on a context; returns the result, begun with `start`. */
static float *run(resattn_context *context, const trial *t, const options *o, const float *start)
{
    size_t floats = result_floats(t, o->pass), bytes = 0;
    float *result = new_floats(floats, false);
    if (o->accumulate)
        memcpy(result, start, floats * sizeof(float));
    int32_t workers = ra_workers(context);
    bool known = o->pass == FORWARD ? ra_conv_forward_work(&t->conv, t->n, workers, o->prepared, &bytes)
                 : o->pass == INPUT ? ra_conv_backward_input_work(&t->conv, t->n, workers, &bytes)
                                    : ra_conv_backward_filter_work(&t->conv, t->n, workers, &bytes);
    ck_assert(known && bytes % sizeof(float) == 0);
    float *work = new_floats(bytes / sizeof(float), false);
    float *prepared = new_floats(t->filter_floats, false);
    ra_conv_prepare_filter(t->filter, t->conv.out_c, (int64_t)t->conv.kernel_h * t->conv.kernel_w,
                           t->conv.in_c / t->conv.groups, t->conv.groups, prepared);
    check_guards("prepared filter", prepared, t->filter_floats);
    int before = atomic_load(&allocations);
    if (o->pass == FORWARD)
        ra_conv_forward(context, &t->conv, t->n, t->x, o->prepared ? prepared : t->filter, o->prepared,
                        o->bias ? t->bias : NULL, o->relu, o->accumulate, result, work);
    else if (o->pass == INPUT)
        ra_conv_backward_input(context, &t->conv, t->n, t->dy, t->filter, o->accumulate, result, work);
    else
        ra_conv_backward_filter(context, &t->conv, t->n, t->x, t->dy, o->accumulate, result, work);
    int after = atomic_load(&allocations);
    if (workers <= 2)
        ck_assert_int_eq(after, before);
    const char *what = describe(t, o);
    check_guards(what, result, floats);
    check_guards("work", work, bytes / sizeof(float));
    free_floats(work);
    free_floats(prepared);
    return result;
}

static void compare_to_loops(const trial *t, const options *o, const float *start, const float *result)
{
    size_t floats = result_floats(t, o->pass);
    sums s = {t, o->pass, calloc(floats, sizeof(double)), calloc(floats, sizeof(double)),
              calloc(floats, sizeof(double))};
    ck_assert(s.value != NULL && s.magnitude != NULL && s.length != NULL);
    for (int32_t image = 0; image < t->n; image++)
        for (int32_t y = 0; y < t->conv.out_h; y++)
            for (int32_t x = 0; x < t->conv.out_w; x++)
                visit_pixel(&s, (size_t)image, y, x);
    const char *what = describe(t, o);
    for (size_t i = 0; i < floats; i++) {
        double extra = o->accumulate ? (double)start[i] : 0.0, value, magnitude;
        if (o->bias)
            extra += (double)t->bias[i % (size_t)t->conv.out_c];
        value = s.value[i] + extra;
        magnitude = s.magnitude[i] + (o->accumulate ? fabs((double)start[i]) : 0.0) + (o->bias ? 1.0 : 0.0);
        check_value(what, i, result[i], o->relu && value < 0.0 ? 0.0 : value, magnitude, s.length[i]);
    }
    free(s.value);
    free(s.magnitude);
    free(s.length);
}

static void check_pass(resattn_context *const *contexts, const trial *t, pass p)
{
    options o = {.pass = p, .accumulate = pick(0, 1) == 1};
    if (p == FORWARD) {
        o.bias = pick(0, 1) == 1;
        o.relu = pick(0, 1) == 1;
        o.prepared = pick(0, 1) == 1;
    }
    size_t floats = result_floats(t, p);
    float *start = new_floats(floats, true);
    float *first = run(contexts[0], t, &o, start);
    compare_to_loops(t, &o, start, first);
    for (int i = 1; i < WORKER_COUNTS; i++) {
        float *other = run(contexts[i], t, &o, start);
        ck_assert_msg(memcmp(first, other, floats * sizeof(float)) == 0, "%s: %d workers give other bits",
                      describe(t, &o), worker_counts[i]);
        free_floats(other);
    }
    free_floats(first);
    free_floats(start);
}

static void check_geometry(resattn_context *const *contexts, const ra_conv *conv, int32_t n)
{
    trial t;
    trial_begin(&t, conv, n);
    for (int p = FORWARD; p <= FILTER; p++)
        check_pass(contexts, &t, (pass)p);
    trial_end(&t);
}

static void open_contexts(resattn_context **contexts)
{
    for (int i = 0; i < WORKER_COUNTS; i++) {
        contexts[i] = new_context(worker_counts[i]);
        ck_assert_int_eq(ra_gemm_warm_up(contexts[i]), RESATTN_OK);
    }
}

static void close_contexts(resattn_context **contexts)
{
    for (int i = 0; i < WORKER_COUNTS; i++)
        free_context(contexts[i]);
}

START_TEST(random_geometries)
{
    resattn_context *contexts[WORKER_COUNTS];
    open_contexts(contexts);
    for (int done = 0; done < 150;) {
        ra_conv conv;
        int32_t n;
        if (!pick_geometry(&conv, &n))
            continue;
        check_geometry(contexts, &conv, n);
        done++;
    }
    close_contexts(contexts);
}
END_TEST

/* Those that reach every way of cutting: many channels, filters too large for parts, several tiles of rows, odd phases.
 */
START_TEST(chosen_geometries)
{
    static const struct {
        int32_t in_c, out_c, size, kernel, stride, dilation, pad, groups, n;
    } list[] = {
        {3, 64, 23, 7, 2, 1, 3, 1, 1},
        {16, 16, 32, 3, 1, 1, 1, 1, 2},
        {96, 96, 9, 3, 1, 1, 1, 1, 1},
        {40, 200, 8, 3, 1, 1, 1, 1, 1},
        {130, 210, 7, 3, 2, 1, 1, 1, 1},
        {600, 40, 6, 3, 1, 1, 1, 1, 1},
        {40, 600, 6, 3, 2, 1, 1, 1, 1},
        {300, 300, 7, 1, 1, 1, 0, 1, 2},
        {1100, 70, 5, 1, 1, 1, 0, 1, 1},
        {70, 1100, 5, 1, 1, 1, 0, 1, 1},
        {64, 32, 28, 1, 2, 1, 0, 1, 2},
        {8, 24, 33, 1, 1, 1, 0, 1, 2},
        {32, 32, 15, 3, 1, 1, 1, 32, 2},
        {32, 32, 15, 3, 2, 1, 1, 8, 2},
        {64, 64, 9, 3, 1, 2, 2, 4, 1},
        {20, 20, 11, 4, 4, 1, 0, 1, 2},
        {12, 12, 9, 2, 3, 1, 0, 1, 1},
        {6, 10, 9, 3, 2, 2, 2, 1, 1},
        {1, 1, 1, 1, 1, 1, 0, 1, 1},
        {5, 7, 1, 3, 2, 1, 1, 1, 9},
        {64, 256, 24, 1, 1, 1, 0, 1, 3},
        {5, 7, 19, 18, 1, 1, 0, 1, 2},
        {6, 4, 40, 17, 2, 2, 0, 2, 1},
        {1100, 3, 9, 8, 1, 1, 0, 1, 1},
        {1, 1, 68, 36, 1, 1, 0, 1, 1},
        {16, 16, 21, 5, 4, 3, 2, 16, 2},
        {16, 16, 21, 5, 3, 4, 8, 8, 1},
        {16, 16, 25, 5, 4, 6, 3, 8, 1},
        {8, 8, 20, 19, 1, 1, 0, 4, 1},
        {3, 2, 400, 200, 200, 1, 0, 1, 1},
        {1023, 70, 4, 3, 1, 1, 1, 1, 1},
        {4, 4, 12, 9, 1, 1, 4, 2, 1},
        {5, 7, 19, 22, 1, 1, 2, 1, 1},
        /* If every pixel asked for every tap, these would take minutes. */
        {2, 2, 502, 501, 1, 1, 0, 1, 1},
        {4, 4, 502, 501, 1, 1, 0, 4, 1},
    };
    resattn_context *contexts[WORKER_COUNTS];
    open_contexts(contexts);
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        int32_t out =
            output_size(list[i].size, list[i].pad, list[i].pad, list[i].kernel, list[i].stride, list[i].dilation);
        ra_conv conv = {
            .in_c = list[i].in_c,
            .in_h = list[i].size,
            .in_w = list[i].size,
            .out_c = list[i].out_c,
            .out_h = out,
            .out_w = out,
            .kernel_h = list[i].kernel,
            .kernel_w = list[i].kernel,
            .stride_h = list[i].stride,
            .stride_w = list[i].stride,
            .dilation_h = list[i].dilation,
            .dilation_w = list[i].dilation,
            .pad_top = list[i].pad,
            .pad_left = list[i].pad,
            .groups = list[i].groups,
        };
        check_geometry(contexts, &conv, list[i].n);
    }
    close_contexts(contexts);
}
END_TEST

/* ---- BLIS's pools ---- */

#if COUNTS_ALLOCATIONS
typedef struct products {
    const float *a, *b;
    float *c;
} products;

static void run_products(void *job, int32_t index, int32_t worker)
{
    static const int64_t sizes[][3] = {{512, 1024, 512}, {3, 5, 7},      {256, 64, 576}, {1024, 256, 64},
                                       {64, 512, 1024},  {49, 512, 900}, {1, 1000, 400}, {240, 240, 1},
                                       {32, 32, 32},     {512, 512, 512}};
    products *p = job;
    const int64_t *size = sizes[index % RA_COUNT(sizes)];
    ra_gemm(size[0], size[1], size[2], p->a, size[2], 1, p->b, 1, size[2], 0.0f, p->c + (size_t)worker * 1024 * 1024,
            size[1], 1);
}

START_TEST(nothing_is_allocated_after_the_warm_up)
{
    resattn_context *context = new_context(2);
    ck_assert_int_eq(ra_gemm_warm_up(context), RESATTN_OK);
    products p = {calloc(1024 * 1024, sizeof(float)), calloc(1024 * 1024, sizeof(float)),
                  calloc(2 * 1024 * 1024, sizeof(float))};
    int before = atomic_load(&allocations);
    ra_parallel(context, run_products, &p, 60);
    resattn_status again = ra_gemm_warm_up(context); /* does nothing */
    int after = atomic_load(&allocations);           /* before Check allocates */
    ck_assert_int_eq(again, RESATTN_OK);
    ck_assert_int_eq(after, before);
    free((void *)p.a);
    free((void *)p.b);
    free(p.c);
    free_context(context);
}
END_TEST
#endif

START_TEST(facts_about_blis)
{
    bool chosen = getenv("BLIS_ARCH_TYPE") != NULL;
    ck_assert_str_ne(ra_gemm_version(), "");
    ck_assert_str_ne(ra_gemm_family(), "");
    ck_assert_str_ne(ra_gemm_reason(), "");
    printf("BLIS %s (%s), family %s: %s\n", ra_gemm_version(), ra_gemm_variant(), ra_gemm_family(), ra_gemm_reason());
    ck_assert_msg(chosen == (getenv("BLIS_ARCH_TYPE") != NULL), "the environment is not as it was");
    ck_assert_int_eq(resattn_process_init(2), RESATTN_INVALID_ARGUMENT);
    ck_assert_int_eq(resattn_process_init(RESATTN_PROCESS_LEAVE_BLIS), RESATTN_OK);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("conv");
    TCase *tests = tcase_create("conv");
    tcase_set_timeout(tests, 240);
    tcase_add_test(tests, facts_about_blis);
    tcase_add_test(tests, products_with_any_strides);
    tcase_add_test(tests, random_geometries);
    tcase_add_test(tests, chosen_geometries);
#if COUNTS_ALLOCATIONS
    tcase_add_test(tests, nothing_is_allocated_after_the_warm_up);
#endif
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
