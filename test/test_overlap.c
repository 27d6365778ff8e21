/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The cut that is best for masks, against one that tries every threshold.
 */
#include <math.h>
#include <stdlib.h>

#include <check.h>

#include "common.h"
#include "overlap.h"
#include "random.h"

enum { IMAGES = 6, MODULES = 2 };

/* Thresholds that float has exactly, values beyond all of them, and none. */
static const float special[] = {0.25f, 0.5f, 0.75f, 0, -0.0f, 1, -3, 7, 1e30f, NAN, INFINITY, -INFINITY};

/* Half of the objects' cells are above `level`, or below it where `level` is negative; a few values are special. */
static void fill(struct answers *answers, struct images *images, struct random *random, float level)
{
    for (int32_t i = 0; i < IMAGES * IMAGE_PIXELS; i++)
        images->coverage[i] = (uint8_t)(i % IMAGE_SIDE < 16 ? random_below(random, 256) : i / 1024 * 25);
    for (int32_t m = 0; m < MODULES; m++)
        for (int32_t i = 0; i < IMAGES * answers->masks[m].height * answers->masks[m].width; i++) {
            int32_t width = answers->masks[m].width;
            int is_left = i % width < width / 2;
            float value = random_between(random, 0, 1);
            if (is_left && random_below(random, 2))
                value = level > 0 ? level + (1 - level) * value : -level * value;
            if (random_below(random, 20) == 0)
                value = special[random_below(random, (int32_t)(sizeof special / sizeof *special))];
            answers->masks[m].values[i] = value;
        }
}

static struct cut best_of_all(const struct answers *answers, const struct images *images, int32_t first, int32_t count)
{
    struct cut best = {0};
    double most = -1;
    for (int32_t module = 0; module < MODULES; module++)
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

START_TEST(test_best)
{
    static const float levels[] = {0.7f, -0.2f, 0.01f, -0.99f, 0.25f, -0.75f, 0.5f, -0.5f};
    struct module_masks masks[MODULES] = {{8, 4, NULL}, {32, 32, NULL}};
    struct answers answers = {.count = IMAGES, .modules = MODULES, .masks = masks};
    struct images images;
    ck_assert_int_eq(images_init(&images, IMAGES, 1), 0);
    for (int32_t m = 0; m < MODULES; m++)
        ck_assert((masks[m].values = calloc((size_t)(IMAGES * masks[m].height * masks[m].width), sizeof(float))));
    int found[MODULES][2] = {{0}};
    for (uint64_t trial = 0; trial < 40; trial++) {
        struct random random = random_for(3, trial);
        fill(&answers, &images, &random, levels[trial % 8]);
        int32_t first = (int32_t)trial % 3, count = 1 + (int32_t)trial % (IMAGES - 2);
        struct cut cut = overlap_best(&answers, &images, first, count);
        struct cut expected = best_of_all(&answers, &images, first, count);
        ck_assert_int_eq(cut.module, expected.module);
        ck_assert_int_eq(cut.below, expected.below);
        ck_assert_double_eq(cut.threshold, expected.threshold);
        found[cut.module][cut.below]++;
    }
    ck_assert(found[0][0] + found[1][0] > 4 && found[0][1] + found[1][1] > 4);
    ck_assert(found[0][0] + found[0][1] > 4 && found[1][0] + found[1][1] > 4);
    for (int32_t m = 0; m < MODULES; m++)
        free(masks[m].values);
    images_free(&images);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("overlap");
    TCase *tests = tcase_create("overlap");
    tcase_add_test(tests, test_best);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
