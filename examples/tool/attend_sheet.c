/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * resattn attend: the sheet, drawn by cairo. At the left the picture; beside it a column for each attention module and
 * a row for each of its maps. More modules than COLUMNS go on below.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attend.h"
#include "colour_map.h"
#include "drawing.h"
#include "errors.h"

enum { COLUMNS = 6, MARGIN = 28, GAP = 20, HEADER = 58, CAPTION = 40, BAR = 40, FOOTER = 24, MOST = 32767 };

/* ---- pictures ---- */

static uint32_t *surface_row(cairo_surface_t *surface, int32_t y)
{
    return (uint32_t *)(void *)(cairo_image_surface_get_data(surface) +
                                (size_t)y * (size_t)cairo_image_surface_get_stride(surface));
}

static uint32_t packed(double red, double green, double blue)
{
    return (uint32_t)lrint(red * 255) << 16 | (uint32_t)lrint(green * 255) << 8 | (uint32_t)lrint(blue * 255);
}

/* Puts a surface of tile x tile, which it frees, on the sheet. */
static void place_tile(cairo_t *cairo, cairo_surface_t *surface, double x, double y, double alpha)
{
    cairo_surface_mark_dirty(surface);
    cairo_set_source_surface(cairo, surface, x, y);
    cairo_paint_with_alpha(cairo, alpha);
    cairo_set_source_rgb(cairo, 1, 1, 1); /* lets go of the surface */
    cairo_surface_destroy(surface);
}

static void draw_picture(cairo_t *cairo, const struct sheet *sheet, double x, double y, int grey)
{
    cairo_surface_t *surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, sheet->tile, sheet->tile);
    const uint8_t *pixel = sheet->picture;
    for (int32_t row = 0; row < sheet->tile && !cairo_surface_status(surface); row++) {
        uint32_t *target = surface_row(surface, row);
        for (int32_t column = 0; column < sheet->tile; column++, pixel += 3) {
            double rgb[3] = {pixel[0] / 255.0, pixel[1] / 255.0, pixel[2] / 255.0};
            double luma = 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2];
            target[column] = grey ? packed(luma, luma, luma) : packed(rgb[0], rgb[1], rgb[2]);
        }
    }
    place_tile(cairo, surface, x, y, 1);
}

/* For a place of `size` tile pixels the two values of the map around it, and how much the second counts. */
static void between(int32_t at, int32_t size, int32_t values, int32_t *first, int32_t *second, double *share)
{
    double place = (at + 0.5) * values / size - 0.5;
    place = fmin(fmax(place, 0), values - 1);
    *first = (int32_t)place;
    *second = *first + 1 < values ? *first + 1 : *first;
    *share = place - *first;
}

/* The values, not the colours, are interpolated, so that every colour is one of the legend's. */
static void draw_heat(cairo_t *cairo, const struct sheet *sheet, const struct module_maps *module,
                      const struct mask_map *map, const double range[2], double x, double y)
{
    cairo_surface_t *surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, sheet->tile, sheet->tile);
    double span = range[1] > range[0] ? range[1] - range[0] : 1;
    for (int32_t row = 0; row < sheet->tile && !cairo_surface_status(surface); row++) {
        uint32_t *target = surface_row(surface, row);
        int32_t above, below, left, right;
        double down, across, rgb[3];
        between(row, sheet->tile, module->height, &above, &below, &down);
        const float *upper = map->values + (size_t)above * (size_t)module->width;
        const float *lower = map->values + (size_t)below * (size_t)module->width;
        for (int32_t column = 0; column < sheet->tile; column++) {
            between(column, sheet->tile, module->width, &left, &right, &across);
            double one = upper[left] + ((double)upper[right] - upper[left]) * across;
            double other = lower[left] + ((double)lower[right] - lower[left]) * across;
            colour_map((one + (other - one) * down - range[0]) / span, rgb);
            target[column] = packed(rgb[0], rgb[1], rgb[2]);
        }
    }
    place_tile(cairo, surface, x, y, sheet->alpha);
}

/* The colours with the values that they stand for, as wide as a tile. */
static void draw_bar(cairo_t *cairo, const struct sheet *sheet, const double range[2], double x, double y)
{
    static const enum place places[] = {LEFT, MIDDLE, RIGHT};
    cairo_pattern_t *colours = cairo_pattern_create_linear(x, 0, x + sheet->tile, 0);
    for (int i = 0; i <= 36; i++) {
        double rgb[3];
        colour_map(i / 36.0, rgb);
        cairo_pattern_add_color_stop_rgb(colours, i / 36.0, rgb[0], rgb[1], rgb[2]);
    }
    cairo_rectangle(cairo, x, y + 8, sheet->tile, 8);
    cairo_set_source(cairo, colours);
    cairo_fill(cairo);
    cairo_pattern_destroy(colours);
    for (int i = 0; i < 3; i++) {
        char number[32];
        double value = range[0] + (range[1] - range[0]) * i / 2;
        /* 1e-14 is no more than 0 where the colours go to 1. */
        snprintf(number, sizeof number, "%.4g", fabs(value) < 1e-5 * (range[1] - range[0]) ? 0 : value);
        draw_text(cairo, number, x, y + 29, sheet->tile, 11, PLAIN, places[i]);
    }
}

/* ---- parts ---- */

static void draw_map(cairo_t *cairo, const struct sheet *sheet, const struct module_maps *module,
                     const struct mask_map *map, double x, double y)
{
    char what[DRAWN_TEXT];
    double range[2] = {sheet->low, sheet->high};
    if (sheet->own_range) {
        range[0] = (double)map->numbers.smallest;
        range[1] = (double)map->numbers.largest;
    }
    if (map->channel != MASK_MEAN)
        snprintf(what, sizeof what, "%d x %d, channel %d of %d, \xC2\xB1%.3g", (int)module->height, (int)module->width,
                 (int)map->channel, (int)module->channels, map->numbers.deviation);
    else if (module->channels > 1)
        snprintf(what, sizeof what, "%d x %d, mean of %d channels", (int)module->height, (int)module->width,
                 (int)module->channels);
    else
        snprintf(what, sizeof what, "%d x %d, one channel", (int)module->height, (int)module->width);
    draw_text(cairo, module->name, x, y + 14, sheet->tile, 13, BOLD, LEFT);
    draw_text(cairo, what, x, y + 31, sheet->tile, 11, PLAIN, LEFT);
    draw_picture(cairo, sheet, x, y + CAPTION, 1);
    draw_heat(cairo, sheet, module, map, range, x, y + CAPTION);
    draw_bar(cairo, sheet, range, x, y + CAPTION + sheet->tile);
}

static void draw_header(cairo_t *cairo, const struct sheet *sheet, double width)
{
    char line[2 * DRAWN_TEXT];
    const char *slash = strrchr(sheet->file, '/');
    const char *network = strrchr(sheet->network, '/');
    snprintf(line, sizeof line, "%.200s, %.1f %%", sheet->answer, 100 * sheet->probability);
    draw_text(cairo, line, MARGIN, MARGIN + 16, width - 2 * MARGIN, 20, BOLD, LEFT);
    snprintf(line, sizeof line, "%.200s, as seen by %.200s", slash ? slash + 1 : sheet->file,
             network ? network + 1 : sheet->network);
    draw_text(cairo, line, MARGIN, MARGIN + 38, width - 2 * MARGIN, 12, PLAIN, LEFT);
}

static void draw_input(cairo_t *cairo, const struct sheet *sheet)
{
    char what[DRAWN_TEXT];
    double x = MARGIN, y = MARGIN + HEADER;
    snprintf(what, sizeof what, "%d x %d pixels", (int)sheet->side, (int)sheet->side);
    draw_text(cairo, "input", x, y + 14, sheet->tile, 13, BOLD, LEFT);
    draw_text(cairo, what, x, y + 31, sheet->tile, 11, PLAIN, LEFT);
    draw_picture(cairo, sheet, x, y + CAPTION, 0);
}

static void draw_footer(cairo_t *cairo, const struct sheet *sheet, double width, double y)
{
    char line[DRAWN_TEXT];
    const char *spread =
        sheet->maps->modules[0].maps[0].channel == MASK_MEAN ? "" : " \xC2\xB1: standard deviation over the map.";
    if (sheet->own_range)
        snprintf(line, sizeof line,
                 "Colours: of each map from its own smallest value (violet) to its own largest (yellow).%s", spread);
    else
        snprintf(line, sizeof line, "Colours: of all maps from %.4g (violet) to %.4g (yellow).%s", sheet->low,
                 sheet->high, spread);
    draw_text(cairo, line, MARGIN, y + 14, width - 2 * MARGIN, 11, PLAIN, LEFT);
}

/* ---- the sheet ---- */

/* How many maps there are below each other in the block of columns that begins with module `first`. */
static int32_t rows_of(const struct mask_maps *maps, int32_t first)
{
    int32_t rows = 0;
    for (int32_t i = first; i < maps->count && i < first + COLUMNS; i++)
        rows = maps->modules[i].count > rows ? maps->modules[i].count : rows;
    return rows;
}

static void draw_sheet(cairo_t *cairo, const struct sheet *sheet, int32_t width, int32_t height)
{
    const struct mask_maps *maps = sheet->maps;
    int32_t y = MARGIN + HEADER, cell = CAPTION + sheet->tile + BAR;
    cairo_set_source_rgb(cairo, 1, 1, 1);
    cairo_paint(cairo);
    draw_header(cairo, sheet, width);
    draw_input(cairo, sheet);
    for (int32_t first = 0; first < maps->count; first += COLUMNS) {
        for (int32_t i = first; i < maps->count && i < first + COLUMNS; i++) {
            const struct module_maps *module = &maps->modules[i];
            int32_t x = MARGIN + (i - first + 1) * (sheet->tile + GAP);
            for (int32_t k = 0; k < module->count; k++)
                draw_map(cairo, sheet, module, &module->maps[k], x, y + k * cell);
        }
        y += rows_of(maps, first) * cell;
    }
    draw_footer(cairo, sheet, width, height - MARGIN - FOOTER);
}

int sheet_write(const struct sheet *sheet, const char *path)
{
    const struct mask_maps *maps = sheet->maps;
    int32_t columns = maps->count < COLUMNS ? maps->count : COLUMNS;
    int32_t width = 2 * MARGIN + sheet->tile + columns * (sheet->tile + GAP);
    int64_t height = 2 * MARGIN + HEADER + FOOTER;
    for (int32_t first = 0; first < maps->count; first += COLUMNS)
        height += (int64_t)rows_of(maps, first) * (CAPTION + sheet->tile + BAR);
    if (height > MOST)
        return complain("%s: a sheet of %d x %lld, expected a height of at most %d: fewer channels by --top, smaller "
                        "pictures by --side",
                        path, (int)width, (long long)height, (int)MOST);
    cairo_surface_t *surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, width, (int)height);
    cairo_t *cairo = cairo_create(surface);
    draw_sheet(cairo, sheet, width, (int32_t)height);
    return drawing_save(cairo, surface, path);
}
