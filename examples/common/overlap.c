/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Intersection over union.
 */
#include "overlap.h"

/* The mask's value for each pixel of an image. */
static double value_at(const struct module_masks *masks, int32_t image, int32_t pixel)
{
    const float *mask = masks->values + (size_t)image * (size_t)masks->height * (size_t)masks->width;
    int32_t row = pixel / IMAGE_SIDE * masks->height / IMAGE_SIDE;
    int32_t column = pixel % IMAGE_SIDE * masks->width / IMAGE_SIDE;
    return (double)mask[row * masks->width + column];
}

static int is_object(uint8_t coverage)
{
    return coverage >= 128;
}

static double share_of(int32_t both, int32_t either)
{
    return either ? (double)both / either : 1;
}

double overlap(const struct answers *answers, const struct cut *cut, const struct images *images, int32_t first,
               int32_t count)
{
    double sum = 0;
    for (int32_t i = first; i < first + count; i++) {
        const uint8_t *coverage = image_coverage(images, i);
        int32_t both = 0, either = 0;
        for (int32_t p = 0; p < IMAGE_PIXELS; p++) {
            double value = value_at(&answers->masks[cut->module], i, p);
            int found = cut->below ? value < cut->threshold : value > cut->threshold;
            int object = is_object(coverage[p]);
            both += found && object;
            either += found || object;
        }
        sum += share_of(both, either);
    }
    return sum / count;
}

/* ---- the best cut ---- */

enum { CUTS = 99 };

/* The thresholds that are tried, by their numbers from 1 to CUTS. */
static double threshold_of(int32_t number)
{
    return number / 100.0;
}

/* How many thresholds the value is above. */
static int32_t count_exceeded(double value)
{
    int32_t count = value > 0 ? value < 1 ? (int32_t)(value * 100) : CUTS : 0;
    while (count < CUTS && value > threshold_of(count + 1))
        count++;
    while (count > 0 && !(value > threshold_of(count)))
        count--;
    return count;
}

/* Pixels without and with the object, by how many thresholds their values are above, and by how many they are not
 * below. */
struct histogram {
    int32_t above[2][CUTS + 1], reached[2][CUTS + 1];
};

static void count_pixels(struct histogram *histogram, const struct module_masks *masks, const struct images *images,
                         int32_t image)
{
    const uint8_t *coverage = image_coverage(images, image);
    *histogram = (struct histogram){0};
    for (int32_t p = 0; p < IMAGE_PIXELS; p++) {
        double value = value_at(masks, image, p);
        int32_t above = count_exceeded(value), reached = above;
        while (reached < CUTS && !(value < threshold_of(reached + 1)))
            reached++;
        int object = is_object(coverage[p]);
        histogram->above[object][above]++;
        histogram->reached[object][reached]++;
    }
}

/* Adds what overlap() has for this image and each threshold to sums[below][number]. */
static void add_overlaps(double sums[2][CUTS + 1], const struct histogram *histogram)
{
    int32_t objects = 0, above[2] = {0}, below[2] = {0};
    for (int32_t number = 0; number <= CUTS; number++)
        objects += histogram->above[1][number];
    for (int32_t number = CUTS; number > 0; number--) {
        for (int object = 0; object < 2; object++)
            above[object] += histogram->above[object][number];
        sums[0][number] += share_of(above[1], objects + above[0]);
    }
    for (int32_t number = 1; number <= CUTS; number++) {
        for (int object = 0; object < 2; object++)
            below[object] += histogram->reached[object][number - 1];
        sums[1][number] += share_of(below[1], objects + below[0]);
    }
}

struct cut overlap_best(const struct answers *answers, const struct images *images, int32_t first, int32_t count)
{
    struct cut best = {0, 0, 0};
    double most = -1;
    for (int32_t module = 0; module < answers->modules; module++) {
        double sums[2][CUTS + 1] = {{0}};
        for (int32_t i = first; i < first + count; i++) {
            struct histogram histogram;
            count_pixels(&histogram, &answers->masks[module], images, i);
            add_overlaps(sums, &histogram);
        }
        for (int below = 0; below < 2; below++)
            for (int32_t number = 1; number <= CUTS; number++)
                if (sums[below][number] / count > most) {
                    most = sums[below][number] / count;
                    best = (struct cut){module, below, threshold_of(number)};
                }
    }
    return best;
}

double overlap_chosen(const struct answers *answers, const struct images *images, int32_t choosing, struct cut *cut)
{
    *cut = overlap_best(answers, images, 0, choosing);
    return overlap(answers, cut, images, choosing, answers->count - choosing);
}
