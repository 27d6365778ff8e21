/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Area under the ROC curve, with weights.
 */
#include "roc.h"

#include <stdlib.h>

#include "errors.h"

/* A cell of a mask, and how many object and other pixels it covers. */
struct cell {
    float score;
    double object, other;
};

static int by_score(const void *a, const void *b)
{
    float first = ((const struct cell *)a)->score, second = ((const struct cell *)b)->score;
    return (first > second) - (first < second);
}

static void fill_cells(struct cell *cells, const struct module_masks *masks, const float *mask, const uint8_t *coverage)
{
    int32_t count = masks->height * masks->width;
    for (int32_t i = 0; i < count; i++)
        cells[i] = (struct cell){mask[i], 0, 0};
    for (int32_t i = 0; i < IMAGE_PIXELS; i++) {
        int32_t row = i / IMAGE_SIDE * masks->height / IMAGE_SIDE;
        int32_t column = i % IMAGE_SIDE * masks->width / IMAGE_SIDE;
        double share = coverage[i] / 255.0;
        cells[row * masks->width + column].object += share;
        cells[row * masks->width + column].other += 1 - share;
    }
}

/* The probability that a random object pixel has a larger score than a random other one; equal scores count half. */
static double area(struct cell *cells, int32_t count)
{
    double objects = 0, others = 0, wins = 0;
    qsort(cells, (size_t)count, sizeof *cells, by_score);
    for (int32_t i = 0; i < count;) {
        double equal_objects = 0, equal_others = 0;
        for (float score = cells[i].score; i < count && cells[i].score == score; i++) {
            equal_objects += cells[i].object;
            equal_others += cells[i].other;
        }
        wins += equal_objects * (others + 0.5 * equal_others);
        objects += equal_objects;
        others += equal_others;
    }
    return objects > 0 && others > 0 ? wins / (objects * others) : 0.5;
}

double roc_area(const struct answers *answers, int32_t module, const struct images *images)
{
    const struct module_masks *masks = &answers->masks[module];
    int32_t count = masks->height * masks->width;
    struct cell *cells = calloc((size_t)count, sizeof *cells);
    if (!cells)
        return complain("no memory for %d cells", (int)count);
    double sum = 0;
    for (int32_t i = 0; i < answers->count; i++) {
        fill_cells(cells, masks, masks->values + (size_t)i * (size_t)count, image_coverage(images, i));
        sum += area(cells, count);
    }
    free(cells);
    return sum / answers->count;
}
