/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Intersection over union.
 */
#include "overlap.h"

double overlap(const struct answers *answers, const struct cut *cut, const struct images *images, int32_t first,
               int32_t count)
{
    const struct module_masks *masks = &answers->masks[cut->module];
    double sum = 0;
    for (int32_t i = first; i < first + count; i++) {
        const float *mask = masks->values + (size_t)i * (size_t)masks->height * (size_t)masks->width;
        const uint8_t *coverage = image_coverage(images, i);
        int32_t both = 0, either = 0;
        for (int32_t p = 0; p < IMAGE_PIXELS; p++) {
            int32_t row = p / IMAGE_SIDE * masks->height / IMAGE_SIDE;
            int32_t column = p % IMAGE_SIDE * masks->width / IMAGE_SIDE;
            double value = (double)mask[row * masks->width + column];
            int found = cut->below ? value < cut->threshold : value > cut->threshold;
            int object = coverage[p] >= 128;
            both += found && object;
            either += found || object;
        }
        sum += either ? (double)both / either : 1;
    }
    return sum / count;
}

struct cut overlap_best(const struct answers *answers, const struct images *images, int32_t first, int32_t count)
{
    struct cut best = {0, 0, 0};
    double most = -1;
    for (int32_t module = 0; module < answers->modules; module++)
        for (int below = 0; below < 2; below++)
            for (int hundredths = 1; hundredths < 100; hundredths++) {
                struct cut cut = {module, below, hundredths / 100.0};
                double here = overlap(answers, &cut, images, first, count);
                if (here > most) {
                    most = here;
                    best = cut;
                }
            }
    return best;
}

double overlap_chosen(const struct answers *answers, const struct images *images, int32_t choosing, struct cut *cut)
{
    *cut = overlap_best(answers, images, 0, choosing);
    return overlap(answers, cut, images, choosing, answers->count - choosing);
}
