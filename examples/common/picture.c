/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Heat maps, in PNG by libpng's simple interface.
 */
#include "picture.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>

#include "errors.h"

enum { COLUMNS = 3, SCALE = 3, TILE = IMAGE_SIDE * SCALE, GAP = 4, GROUP_GAP = 18, COLOURS = 256 };

struct sheet {
    int32_t width, height;
    uint8_t *pixels;
    uint8_t colours[COLOURS][3];
};

/* ---- colours ---- */

/*
 * Oklab (Ottosson, 2020), a space in which equal steps look equal, to sRGB.
 */
static void oklab_to_srgb(const double lab[3], uint8_t rgb[3])
{
    double l = lab[0] + 0.3963377774 * lab[1] + 0.2158037573 * lab[2];
    double m = lab[0] - 0.1055613458 * lab[1] - 0.0638541728 * lab[2];
    double s = lab[0] - 0.0894841775 * lab[1] - 1.2914855480 * lab[2];
    l = l * l * l;
    m = m * m * m;
    s = s * s * s;
    double linear[] = {4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
                       -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
                       -0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s};
    for (int c = 0; c < 3; c++) {
        double value = fmin(fmax(linear[c], 0), 1);
        value = value <= 0.0031308 ? 12.92 * value : 1.055 * pow(value, 1 / 2.4) - 0.055;
        rgb[c] = (uint8_t)lrint(value * 255);
    }
}

/* Lightness rises evenly from black-blue to pale yellow while the hue turns through purple and orange. */
static void fill_colours(uint8_t colours[COLOURS][3])
{
    static const double points[][3] = {/* lightness, chroma, hue in degrees */
                                       {0.14, 0.05, -80},
                                       {0.34, 0.14, -60},
                                       {0.54, 0.19, 0},
                                       {0.74, 0.16, 55},
                                       {0.94, 0.11, 105}};
    const int pieces = (int)(sizeof points / sizeof points[0]) - 1;
    for (int i = 0; i < COLOURS; i++) {
        double at = (double)i * pieces / (COLOURS - 1);
        int piece = at < pieces ? (int)at : pieces - 1;
        double share = at - piece, mixed[3];
        for (int k = 0; k < 3; k++)
            mixed[k] = points[piece][k] + (points[piece + 1][k] - points[piece][k]) * share;
        double hue = mixed[2] * 3.14159265358979 / 180;
        double lab[] = {mixed[0], mixed[1] * cos(hue), mixed[1] * sin(hue)};
        oklab_to_srgb(lab, colours[i]);
    }
}

/* ---- tiles ---- */

static uint8_t *sheet_row(struct sheet *sheet, int32_t x, int32_t y)
{
    return sheet->pixels + ((size_t)y * (size_t)sheet->width + (size_t)x) * 3;
}

static void draw_image(struct sheet *sheet, int32_t x, int32_t y, const uint8_t *pixels)
{
    for (int32_t row = 0; row < TILE; row++)
        for (int32_t column = 0; column < TILE; column++)
            memcpy(sheet_row(sheet, x + column, y + row), pixels + (row / SCALE * IMAGE_SIDE + column / SCALE) * 3, 3);
}

static void draw_mask(struct sheet *sheet, int32_t x, int32_t y, const struct module_masks *masks, const float *mask)
{
    float smallest = mask[0], largest = mask[0];
    for (int32_t i = 1; i < masks->height * masks->width; i++) {
        smallest = fminf(smallest, mask[i]);
        largest = fmaxf(largest, mask[i]);
    }
    float range = largest > smallest ? largest - smallest : 1;
    for (int32_t row = 0; row < TILE; row++) {
        for (int32_t column = 0; column < TILE; column++) {
            float value = mask[row * masks->height / TILE * masks->width + column * masks->width / TILE];
            int32_t colour = (int32_t)lrintf((value - smallest) / range * (COLOURS - 1));
            memcpy(sheet_row(sheet, x + column, y + row), sheet->colours[colour], 3);
        }
    }
}

static int write_png(const char *path, int32_t width, int32_t height, const uint8_t *pixels)
{
    png_image png;
    memset(&png, 0, sizeof png);
    png.version = PNG_IMAGE_VERSION;
    png.width = (png_uint_32)width;
    png.height = (png_uint_32)height;
    png.format = PNG_FORMAT_RGB;
    return png_image_write_to_file(&png, path, 0, pixels, 0, NULL) ? 0 : complain("%s: %s", path, png.message);
}

int picture_write_image(const char *path, const uint8_t *pixels)
{
    return write_png(path, IMAGE_SIDE, IMAGE_SIDE, pixels);
}

int picture_write(const char *path, const struct images *images, const struct answers *answers, int32_t count)
{
    if (count > answers->count)
        count = answers->count;
    int32_t rows = (count + COLUMNS - 1) / COLUMNS;
    int32_t group = (answers->modules + 1) * (TILE + GAP) - GAP;
    struct sheet sheet = {
        COLUMNS * (group + GROUP_GAP) + GROUP_GAP, rows * (TILE + GROUP_GAP) + GROUP_GAP, NULL, {{0}}};
    size_t bytes = (size_t)sheet.width * (size_t)sheet.height * 3;
    sheet.pixels = malloc(bytes);
    if (!sheet.pixels)
        return complain("no memory for a picture of %d x %d", (int)sheet.width, (int)sheet.height);
    memset(sheet.pixels, 255, bytes);
    fill_colours(sheet.colours);
    for (int32_t i = 0; i < count; i++) {
        int32_t x = GROUP_GAP + i % COLUMNS * (group + GROUP_GAP);
        int32_t y = GROUP_GAP + i / COLUMNS * (TILE + GROUP_GAP);
        draw_image(&sheet, x, y, image_pixels(images, i));
        for (int32_t module = 0; module < answers->modules; module++) {
            const struct module_masks *masks = &answers->masks[module];
            size_t map = (size_t)masks->height * (size_t)masks->width;
            x += TILE + GAP;
            draw_mask(&sheet, x, y, masks, masks->values + (size_t)i * map);
        }
    }
    int result = write_png(path, sheet.width, sheet.height, sheet.pixels);
    free(sheet.pixels);
    return result;
}
