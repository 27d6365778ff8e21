/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The product of micro-kernels: see test_kernels.h.
 */
#include "test_kernels.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST_SEGMENTS = 6, MOST_DEPTH = 300, MOST_ROWS = 40, MOST_COLUMNS = 100 };

/* Rows of floats with gaps between them. */
typedef struct rows {
    float *data;
    int64_t row;
    size_t floats;
} rows;

typedef enum addend_kind { NO_ADDEND, OTHER_ADDEND, SUM_ADDEND, ADDEND_KINDS } addend_kind; /* SUM: c itself */
typedef enum second_kind { NO_SECOND, OTHER_SECOND, SUM_SECOND, SECOND_KINDS } second_kind;

typedef struct problem {
    ra_product product; /* but for what each run has for itself: c and second */
    int64_t offsets[MOST_SEGMENTS];
    addend_kind addend_kind;
    second_kind second_kind;
    float *a, *panels, *bias, *scale, *shift;
    size_t a_floats, panel_floats;
    rows c, addend, second;
} problem;

static rows new_rows(const ra_product *p, bool random)
{
    rows r = {.row = p->columns + pick(0, 9)};
    r.floats = (size_t)((p->rows - 1) * r.row + p->columns);
    r.data = new_floats(r.floats, false);
    for (int64_t i = 0; random && i < p->rows; i++)
        for (int64_t j = 0; j < p->columns; j++)
            r.data[i * r.row + j] = pick_float();
    return r;
}

static int32_t segments(const ra_product *p)
{
    return p->segments > 0 ? p->segments : 1;
}

static float *left(const problem *p, int64_t row, int64_t l)
{
    const ra_product *product = &p->product;
    int64_t offset = product->segments > 0 ? p->offsets[l / product->depth] : 0;
    return p->a + offset + row * product->a_row + l % product->depth;
}

static float right(const problem *p, int64_t l, int64_t column)
{
    return p->panels[column / RA_PANEL * p->product.panel_step + l * RA_PANEL + column % RA_PANEL];
}

/* Segments overlap as those of windows do, or not; between them is NaN. */
static void make_left(problem *p)
{
    ra_product *product = &p->product;
    int64_t most = 0;
    product->segments = pick_bool() ? 0 : pick(1, MOST_SEGMENTS);
    product->depth = pick(1, pick_bool() ? 20 : MOST_DEPTH / segments(product));
    product->a_row = pick_bool() ? product->depth + pick(0, 20) : pick(1, (int32_t)product->depth);
    for (int32_t s = 0; s < product->segments; s++) {
        p->offsets[s] = pick(0, 500);
        most = p->offsets[s] > most ? p->offsets[s] : most;
    }
    product->offsets = product->segments > 0 ? p->offsets : NULL;
    p->a_floats = (size_t)(most + (product->rows - 1) * product->a_row + product->depth);
    p->a = new_floats(p->a_floats, false);
    for (int64_t i = 0; i < product->rows; i++)
        for (int64_t l = 0; l < segments(product) * product->depth; l++)
            *left(p, i, l) = pick_float();
    product->a = p->a;
}

static void make_panels(problem *p)
{
    ra_product *product = &p->product;
    int64_t depth = segments(product) * product->depth, panels = ra_div_up(product->columns, RA_PANEL);
    product->panel_step = depth * RA_PANEL + pick(0, 2) * 16;
    p->panel_floats = (size_t)((panels - 1) * product->panel_step + depth * RA_PANEL);
    p->panels = new_floats(p->panel_floats, false);
    for (int64_t column = 0; column < panels * RA_PANEL; column++)
        for (int64_t l = 0; l < depth; l++)
            p->panels[column / RA_PANEL * product->panel_step + l * RA_PANEL + column % RA_PANEL] =
                column < product->columns ? pick_float() : 0;
    product->panels = p->panels;
    product->next = pick_bool() ? p->panels : NULL;
}

static void make_result(problem *p)
{
    ra_product *product = &p->product;
    size_t columns = (size_t)product->columns;
    p->addend_kind = (addend_kind)pick(0, ADDEND_KINDS - 1);
    p->second_kind = (second_kind)pick(0, SECOND_KINDS - 1);
    product->add = pick_bool();
    product->relu = pick_bool();
    product->second_relu = pick_bool();
    p->c = new_rows(product, product->add || p->addend_kind == SUM_ADDEND);
    p->addend = new_rows(product, true);
    p->second = new_rows(product, false);
    p->bias = pick_bool() ? new_floats(columns, true) : NULL;
    p->scale = new_floats(columns, true);
    p->shift = new_floats(columns, true);
    product->c_row = p->c.row;
    product->bias = p->bias;
    product->addend = p->addend_kind == OTHER_ADDEND ? p->addend.data : NULL;
    product->addend_row = p->addend_kind == SUM_ADDEND ? p->c.row : p->addend.row;
    product->second_row = p->second_kind == SUM_SECOND ? p->c.row : p->second.row;
    product->scale = p->second_kind == NO_SECOND ? NULL : p->scale;
    product->shift = p->second_kind == NO_SECOND ? NULL : p->shift;
}

static void put_special(problem *p)
{
    const ra_product *product = &p->product;
    int64_t row = pick(0, (int32_t)product->rows - 1), column = pick(0, product->columns - 1);
    int32_t depth = segments(product) * (int32_t)product->depth;
    switch (pick(0, 3)) {
    case 0:
        if (product->add || p->addend_kind == SUM_ADDEND) {
            p->c.data[row * p->c.row + column] = pick_special();
            break;
        }
        /* fall through */
    case 1:
        if (p->addend_kind == OTHER_ADDEND) {
            p->addend.data[row * p->addend.row + column] = pick_special();
            break;
        }
        /* fall through */
    case 2:
        if (p->bias) {
            p->bias[column] = pick_special();
            break;
        }
        /* fall through */
    default:
        *left(p, row, pick(0, depth - 1)) = pick_special();
    }
}

static void free_problem(problem *p)
{
    float *all[] = {p->a, p->panels, p->bias, p->scale, p->shift, p->c.data, p->addend.data, p->second.data};
    for (int32_t i = 0; i < RA_COUNT(all); i++)
        free_floats(all[i]);
}

static const char *describe(const problem *p, const char *name)
{
    static const char *const addends[] = {"", ", addend", ", addend c"};
    static const char *const seconds[] = {"", ", second", ", second c"};
    static char text[300];
    const ra_product *product = &p->product;
    snprintf(text, sizeof text, "%s product, %lld x %d, %d segments of %lld, a_row %lld%s%s%s%s%s%s", name,
             (long long)product->rows, product->columns, product->segments, (long long)product->depth,
             (long long)product->a_row, product->add ? ", add" : "", product->bias ? ", bias" : "",
             addends[p->addend_kind], product->relu ? ", relu" : "", seconds[p->second_kind],
             product->second_relu ? ", second_relu" : "");
    return text;
}

/* What c and second were when this began is in the problem. */
static void run(const problem *p, const ra_micro *micro, float *c, float *second)
{
    ra_product product = p->product;
    const char *what = describe(p, micro->name);
    product.c = c;
    if (p->addend_kind == SUM_ADDEND)
        product.addend = c;
    product.second = p->second_kind == NO_SECOND ? NULL : p->second_kind == SUM_SECOND ? c : second;
    micro->product(&product);
    check_gaps(what, p->c.data, c, p->c.floats, product.rows, product.columns, p->c.row);
    int64_t written = p->second_kind == OTHER_SECOND ? product.rows : 0;
    check_gaps(what, p->second.data, second, p->second.floats, written, product.columns, p->second.row);
}

static void add_term(double term, double *value, double *magnitude)
{
    *value += term;
    *magnitude += fabs(term);
}

static estimate expect(const problem *p, int64_t row, int64_t column)
{
    const ra_product *product = &p->product;
    int64_t depth = segments(product) * product->depth;
    double value = 0, magnitude = 0, c = (double)p->c.data[row * p->c.row + column];
    for (int64_t l = 0; l < depth; l++)
        add_term((double)*left(p, row, l) * (double)right(p, l, column), &value, &magnitude);
    if (product->add)
        add_term(c, &value, &magnitude);
    if (product->bias)
        add_term((double)product->bias[column], &value, &magnitude);
    if (p->addend_kind != NO_ADDEND)
        add_term(p->addend_kind == SUM_ADDEND ? c : (double)p->addend.data[row * p->addend.row + column], &value,
                 &magnitude);
    estimate result = estimate_sum(value, magnitude, (double)depth);
    return product->relu ? estimate_relu(result) : result;
}

typedef struct outcome {
    float *c, *second;
} outcome;

static outcome new_outcome(const problem *p, const ra_micro *micro)
{
    outcome result = {copy_floats(p->c.data, p->c.floats), copy_floats(p->second.data, p->second.floats)};
    run(p, micro, result.c, result.second);
    return result;
}

static void free_outcome(outcome *result)
{
    free_floats(result->c);
    free_floats(result->second);
}

static void compare(const problem *p, const char *name, const outcome *got, const outcome *portable)
{
    const char *what = describe(p, name);
    for (int64_t i = 0; i < p->product.rows; i++)
        for (int64_t j = 0; j < p->product.columns; j++) {
            int64_t c = i * p->c.row + j, second = i * p->second.row + j, index = i * p->product.columns + j;
            estimate expected = expect(p, i, j);
            if (p->second_kind != SUM_SECOND)
                check_both(what, index, got->c[c], portable->c[c], expected);
            if (p->second_kind == NO_SECOND)
                continue;
            expected = estimate_affine(expected, p->scale[j], p->shift[j]);
            if (p->product.second_relu)
                expected = estimate_relu(expected);
            if (p->second_kind == SUM_SECOND)
                check_both(what, index, got->c[c], portable->c[c], expected);
            else
                check_both(what, index, got->second[second], portable->second[second], expected);
        }
}

void check_product(bool special)
{
    problem p = {.product = {.rows = pick(1, MOST_ROWS), .columns = pick(1, pick_bool() ? 33 : MOST_COLUMNS)}};
    make_left(&p);
    make_panels(&p);
    make_result(&p);
    if (special)
        put_special(&p);
    outcome portable = new_outcome(&p, &ra_micro_portable);
    for (int32_t i = 0; i < table_count(); i++) {
        outcome got = new_outcome(&p, table(i));
        compare(&p, table(i)->name, &got, &portable);
        free_outcome(&got);
    }
    free_outcome(&portable);
    free_problem(&p);
}
