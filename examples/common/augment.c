/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Crops, mirror images, colours.
 */
#include "augment.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "errors.h"

enum { COLOURS = 3, TRIES = 10, BORDER_SHARE = 8 };

enum { BRIGHTNESS, CONTRAST, SATURATION };

static const double slimmest = 3.0 / 4, widest = 4.0 / 3; /* width by height of a scaled crop */

int augmentation_check(const struct augmentation *augmentation)
{
    if (augmentation->crop_flip && augmentation->scale_crop)
        return complain("pictures are cropped either with a border or at random scales, not both");
    if (augmentation->scale_crop && !(augmentation->smallest_area > 0 && augmentation->smallest_area <= 1))
        return complain("the smallest area of a crop is %g, expected more than 0 and at most 1",
                        augmentation->smallest_area);
    if (!(augmentation->colour >= 0 && augmentation->colour <= 1))
        return complain("colours change by up to %g, expected 0 to 1", augmentation->colour);
    return 0;
}

/* ---- drawing ---- */

static double between(struct random *random, double low, double high)
{
    return low + (high - low) * ((double)(random_bits(random) >> 11) * 0x1p-53);
}

/* Area and the logarithm of the aspect are uniform. A shape that does not fit is drawn again a few times; then it is
 * the largest from the middle. */
static void draw_scaled(struct variant *variant, double smallest, struct random *random, double width, double height)
{
    for (int i = 0; i < TRIES; i++) {
        double area = width * height * between(random, smallest, 1);
        double aspect = exp(between(random, log(slimmest), log(widest)));
        double w = sqrt(area * aspect) / width, h = sqrt(area / aspect) / height;
        if (w <= 1 && h <= 1) {
            variant->x = between(random, 0, 1 - w);
            variant->y = between(random, 0, 1 - h);
            variant->width = w;
            variant->height = h;
            return;
        }
    }
    double aspect = fmin(fmax(width / height, slimmest), widest);
    variant->width = fmin(1, height * aspect / width);
    variant->height = fmin(1, width / aspect / height);
    variant->x = (1 - variant->width) / 2;
    variant->y = (1 - variant->height) / 2;
}

static void draw_colours(struct variant *variant, double colour, struct random *random)
{
    for (int i = 0; i < COLOURS; i++)
        variant->colour_factor[i] = (float)between(random, 1 - colour, 1 + colour);
    for (int i = COLOURS - 1; i > 0; i--) {
        int other = random_below(random, i + 1), kept = variant->colour_order[i];
        variant->colour_order[i] = variant->colour_order[other];
        variant->colour_order[other] = kept;
    }
}

struct variant variant_draw(const struct augmentation *augmentation, struct random *random, int32_t width,
                            int32_t height, int32_t side)
{
    struct variant variant = {.side = side, .colour_order = {BRIGHTNESS, CONTRAST, SATURATION}};
    for (int i = 0; i < COLOURS; i++)
        variant.colour_factor[i] = 1;
    if (augmentation->crop_flip) {
        int32_t border = side / BORDER_SHARE;
        variant.down = random_below(random, 2 * border + 1) - border;
        variant.right = random_below(random, 2 * border + 1) - border;
    }
    variant.scaled = augmentation->scale_crop;
    if (variant.scaled)
        draw_scaled(&variant, augmentation->smallest_area, random, width, height);
    if (augmentation->crop_flip || variant.scaled)
        variant.mirrored = random_below(random, 2);
    if (augmentation->colour > 0)
        draw_colours(&variant, augmentation->colour, random);
    return variant;
}

/* ---- places ---- */

/* The border repeats the picture, mirrored at its edge. */
static int32_t in_border(int32_t at, int32_t side)
{
    if (at < 0)
        return -at;
    return at < side ? at : 2 * (side - 1) - at;
}

static void move(const struct variant *variant, const uint8_t *source, uint8_t *target)
{
    int32_t side = variant->side;
    for (int32_t row = 0; row < side; row++) {
        const uint8_t *from = source + (size_t)in_border(row + variant->down, side) * (size_t)side * 3;
        for (int32_t column = 0; column < side; column++, target += 3) {
            int32_t at = (variant->mirrored ? side - 1 - column : column) + variant->right;
            memcpy(target, from + in_border(at, side) * 3, 3);
        }
    }
}

static int fit(const struct variant *variant, const struct bitmap *bitmap, int32_t short_side, uint8_t *target)
{
    double width = bitmap->width, height = bitmap->height;
    return variant->scaled ? bitmap_cut(bitmap, variant->x * width, variant->y * height, variant->width * width,
                                        variant->height * height, variant->side, target)
                           : bitmap_fit(bitmap, short_side, variant->side, target);
}

int variant_place(const struct variant *variant, const struct bitmap *bitmap, int32_t short_side, uint8_t *target)
{
    if (!variant->mirrored && !variant->down && !variant->right)
        return fit(variant, bitmap, short_side, target);
    uint8_t *fitted = malloc((size_t)variant->side * (size_t)variant->side * 3);
    if (!fitted)
        return complain("no memory for %d x %d pixels", (int)variant->side, (int)variant->side);
    int result = fit(variant, bitmap, short_side, fitted);
    if (!result)
        move(variant, fitted, target);
    free(fitted);
    return result;
}

/* ---- colours ---- */

/* Of luma (ITU-R BT.601). */
static float grey(const uint8_t *pixel)
{
    return 0.299f * (float)pixel[0] + 0.587f * (float)pixel[1] + 0.114f * (float)pixel[2];
}

static float mean_grey(const uint8_t *pixels, int32_t count)
{
    double sum = 0;
    for (int32_t i = 0; i < count; i++)
        sum += grey(pixels + (size_t)i * 3);
    return (float)(sum / count);
}

/* What `factor` 0 would leave: nothing, a grey area, a grey picture. */
static void change(int kind, float factor, uint8_t *pixels, int32_t count)
{
    float mean = kind == CONTRAST ? mean_grey(pixels, count) : 0;
    for (int32_t i = 0; i < count; i++) {
        uint8_t *pixel = pixels + (size_t)i * 3;
        float centre = kind == SATURATION ? grey(pixel) : mean;
        for (int c = 0; c < COLOURS; c++) {
            float value = centre + factor * ((float)pixel[c] - centre);
            pixel[c] = (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value + 0.5f);
        }
    }
}

void variant_colour(const struct variant *variant, uint8_t *pixels, int32_t count)
{
    for (int i = 0; i < COLOURS; i++) {
        int kind = variant->colour_order[i];
        if (variant->colour_factor[kind] != 1)
            change(kind, variant->colour_factor[kind], pixels, count);
    }
}
