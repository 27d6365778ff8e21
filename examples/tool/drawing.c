/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Texts in pictures, and pictures in files, by cairo.
 */
#include "drawing.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "errors.h"
#include "json.h"

static const double ink[3] = {0.12, 0.13, 0.16}, faint[3] = {0.42, 0.44, 0.48};

/* Copies a text, with '?' for what cairo would refuse, which is what is not UTF-8, and for control characters. */
static void copy_text(char target[DRAWN_TEXT], const char *text)
{
    size_t used = 0;
    for (const unsigned char *at = (const unsigned char *)text; *at;) {
        int bytes = utf8_character(at);
        if (used + (bytes > 0 ? (size_t)bytes : 1) >= DRAWN_TEXT)
            break;
        if (bytes == 0 || *at < ' ')
            target[used++] = '?';
        for (int i = 0; i < bytes && *at >= ' '; i++)
            target[used++] = (char)at[i];
        at += bytes > 0 ? bytes : 1;
    }
    target[used] = '\0';
}

static double width_of(cairo_t *cairo, const char *text)
{
    cairo_text_extents_t extents;
    cairo_text_extents(cairo, text, &extents);
    return extents.x_advance;
}

/* Takes characters off the end until the text, with dots in their place, is narrow enough. */
static void fit_text(cairo_t *cairo, char text[DRAWN_TEXT + 4], double width)
{
    static const char dots[] = "\xE2\x80\xA6";
    size_t length = strlen(text);
    while (length > 0 && width_of(cairo, text) > width) {
        do
            length--;
        while (length > 0 && ((unsigned char)text[length] & 0xC0) == 0x80);
        memcpy(text + length, dots, sizeof dots);
    }
}

void draw_text(cairo_t *cairo, const char *text, double x, double y, double width, double size, enum weight weight,
               enum place place)
{
    char line[DRAWN_TEXT + 4];
    const double *colour = weight == BOLD ? ink : faint;
    copy_text(line, text);
    cairo_select_font_face(cairo, "sans-serif", CAIRO_FONT_SLANT_NORMAL,
                           weight == BOLD ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(cairo, size);
    cairo_set_source_rgb(cairo, colour[0], colour[1], colour[2]);
    fit_text(cairo, line, width);
    double shift = place == LEFT ? 0 : (width - width_of(cairo, line)) * (place == RIGHT ? 1 : 0.5);
    cairo_move_to(cairo, x + shift, y);
    cairo_show_text(cairo, line);
}

static int write_png(cairo_surface_t *surface, const char *path)
{
    struct stat file;
    errno = 0;
    cairo_status_t status = cairo_surface_write_to_png(surface, path);
    if (status == CAIRO_STATUS_SUCCESS)
        return 0;
    complain("%s: %s%s%s", path, cairo_status_to_string(status), errno ? ": " : "", errno ? strerror(errno) : "");
    if (status == CAIRO_STATUS_WRITE_ERROR && stat(path, &file) == 0 && S_ISREG(file.st_mode))
        remove(path);
    return -1;
}

int drawing_save(cairo_t *cairo, cairo_surface_t *surface, const char *path)
{
    cairo_status_t status = cairo_status(cairo);
    cairo_destroy(cairo);
    int result =
        status ? complain("%s: cannot be drawn: %s", path, cairo_status_to_string(status)) : write_png(surface, path);
    cairo_surface_destroy(surface);
    return result;
}
