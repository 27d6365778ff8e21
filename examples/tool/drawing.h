/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Texts in pictures, and pictures in files, by cairo.
 */
#ifndef EXAMPLES_DRAWING_H
#define EXAMPLES_DRAWING_H

#include <cairo.h>

enum { DRAWN_TEXT = 256 }; /* bytes; longer texts are cut */

enum weight { PLAIN, BOLD };
enum place { LEFT, MIDDLE, RIGHT };

/* Writes on the base line y, in `width` from x on. */
void draw_text(cairo_t *cairo, const char *text, double x, double y, double width, double size, enum weight weight,
               enum place place);

/* Ends a drawing and writes its surface as a PNG file; both are gone afterwards. Of a file that could not be written
 * nothing stays. Returns 0, or -1 after printing why not. */
int drawing_save(cairo_t *cairo, cairo_surface_t *surface, const char *path);

#endif
