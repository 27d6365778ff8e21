/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * resattn train: loss and accuracy over the epochs as a picture, drawn by cairo.
 */
#include <math.h>
#include <stdio.h>

#include "drawing.h"
#include "errors.h"
#include "train.h"

enum { WIDTH = 1040, HEIGHT = 460, MARGIN = 28, HEADER = 66, FOOTER = 52, LABELS = 54, GAP = 40, TICKS = 6 };

static const double training_colour[3] = {0.13, 0.40, 0.67}, validation_colour[3] = {0.84, 0.37, 0.05};

/* A panel: its place on the picture and what its axes show. */
struct panel {
    double x, y, width, height;
    double left, right, low, high, step_x, step_y;
};

/* The smallest of 1, 2, 5 times a power of ten that gives at most TICKS steps over `span`. */
static double nice_step(double span)
{
    double power = pow(10, floor(log10(span / TICKS)));
    double share = span / TICKS / power;
    return power * (share <= 1 ? 1 : share <= 2 ? 2 : share <= 5 ? 5 : 10);
}

static double value_of(const struct train_epoch *epoch, int accuracy, int validation)
{
    if (accuracy)
        return 100 * (validation ? epoch->validation_accuracy : epoch->accuracy);
    return validation ? epoch->validation_loss : epoch->loss;
}

static int has_validation(const struct train_history *history)
{
    return history->count > 0 && history->epochs[0].validation_accuracy >= 0;
}

/* Chooses round ends of the axes around the values. Losses begin at 0. */
static void scale(struct panel *panel, const struct train_history *history, int accuracy)
{
    double low = accuracy ? 100 : 0, high = 0;
    for (int32_t i = 0; i < history->count; i++) {
        for (int validation = 0; validation <= has_validation(history); validation++) {
            double value = value_of(&history->epochs[i], accuracy, validation);
            low = fmin(low, value);
            high = fmax(high, value);
        }
    }
    if (!(high - low > 1e-6))
        high = low + 1;
    panel->step_y = nice_step(high - low);
    panel->low = floor(low / panel->step_y) * panel->step_y;
    panel->high = ceil(high / panel->step_y) * panel->step_y;
    if (accuracy)
        panel->high = fmin(panel->high, 100);
    panel->left = 1;
    panel->right = history->count > 1 ? history->count : 2;
    panel->step_x = fmax(1, nice_step(panel->right - panel->left));
}

static double place_x(const struct panel *panel, double epoch)
{
    return panel->x + (epoch - panel->left) / (panel->right - panel->left) * panel->width;
}

static double place_y(const struct panel *panel, double value)
{
    return panel->y + (panel->high - value) / (panel->high - panel->low) * panel->height;
}

static void draw_line(cairo_t *cairo, double x0, double y0, double x1, double y1, double grey)
{
    cairo_set_source_rgb(cairo, grey, grey, grey);
    cairo_set_line_width(cairo, 1);
    cairo_move_to(cairo, floor(x0) + 0.5, floor(y0) + 0.5);
    cairo_line_to(cairo, floor(x1) + 0.5, floor(y1) + 0.5);
    cairo_stroke(cairo);
}

static void draw_axes(cairo_t *cairo, const struct panel *panel, const char *title)
{
    char number[32];
    double right = panel->x + panel->width, bottom = panel->y + panel->height;
    int steps = (int)floor((panel->high - panel->low) / panel->step_y + 0.5);
    for (int i = 0; i <= steps; i++) {
        double value = panel->low + i * panel->step_y, y = place_y(panel, value);
        draw_line(cairo, panel->x, y, right, y, 0.88);
        snprintf(number, sizeof number, "%.6g", fabs(value) < 1e-9 ? 0 : value);
        draw_text(cairo, number, panel->x - LABELS, y + 4, LABELS - 8, 11, PLAIN, RIGHT);
    }
    for (double epoch = panel->left; epoch <= panel->right + 1e-9;
         epoch = floor(epoch / panel->step_x + 1) * panel->step_x) {
        double x = place_x(panel, epoch);
        draw_line(cairo, x, bottom, x, bottom + 4, 0.4);
        snprintf(number, sizeof number, "%.0f", epoch);
        draw_text(cairo, number, x - 30, bottom + 18, 60, 11, PLAIN, MIDDLE);
    }
    draw_line(cairo, panel->x, bottom, right, bottom, 0.4);
    draw_text(cairo, title, panel->x, panel->y - 14, panel->width, 13, BOLD, LEFT);
    draw_text(cairo, "epoch", panel->x, bottom + 36, panel->width, 11, PLAIN, MIDDLE);
}

/* A curve, with points where there are few. */
static void draw_curve(cairo_t *cairo, const struct panel *panel, const struct train_history *history, int accuracy,
                       int validation)
{
    const double *colour = validation ? validation_colour : training_colour;
    cairo_set_source_rgb(cairo, colour[0], colour[1], colour[2]);
    cairo_set_line_width(cairo, 2);
    cairo_set_line_join(cairo, CAIRO_LINE_JOIN_ROUND);
    cairo_new_path(cairo); /* a text has left its end as the current point */
    for (int32_t i = 0; i < history->count; i++)
        cairo_line_to(cairo, place_x(panel, i + 1),
                      place_y(panel, value_of(&history->epochs[i], accuracy, validation)));
    cairo_stroke(cairo);
    for (int32_t i = 0; i < history->count && history->count <= 40; i++) {
        cairo_arc(cairo, place_x(panel, i + 1), place_y(panel, value_of(&history->epochs[i], accuracy, validation)), 3,
                  0, 2 * acos(-1));
        cairo_fill(cairo);
    }
}

static double draw_key(cairo_t *cairo, const char *text, const double colour[3], double x, double y)
{
    cairo_set_source_rgb(cairo, colour[0], colour[1], colour[2]);
    cairo_rectangle(cairo, x, y - 8, 20, 4);
    cairo_fill(cairo);
    draw_text(cairo, text, x + 26, y, 100, 12, PLAIN, LEFT);
    return x + 120;
}

static void draw(cairo_t *cairo, const struct train_history *history, int32_t epochs, const char *title)
{
    char line[DRAWN_TEXT];
    double width = (WIDTH - 2 * MARGIN - GAP) / 2.0 - LABELS;
    cairo_set_source_rgb(cairo, 1, 1, 1);
    cairo_paint(cairo);
    draw_text(cairo, title, MARGIN, MARGIN + 8, WIDTH - 2 * MARGIN - 420, 16, BOLD, LEFT);
    const struct train_epoch *last = &history->epochs[history->count - 1];
    snprintf(line, sizeof line, "%d of %d epochs", (int)history->count, (int)epochs);
    double x = draw_key(cairo, "training", training_colour, WIDTH - MARGIN - 400, MARGIN + 8);
    if (has_validation(history))
        x = draw_key(cairo, "validation", validation_colour, x, MARGIN + 8);
    draw_text(cairo, line, x, MARGIN + 8, WIDTH - MARGIN - x, 12, PLAIN, RIGHT);
    for (int accuracy = 0; accuracy <= 1; accuracy++) {
        struct panel panel = {.x = MARGIN + LABELS + accuracy * (width + LABELS + GAP),
                              .y = MARGIN + HEADER,
                              .width = width,
                              .height = HEIGHT - 2 * MARGIN - HEADER - FOOTER + 24};
        scale(&panel, history, accuracy);
        int used = snprintf(line, sizeof line, accuracy ? "accuracy, %%: %.4g" : "loss, nats: %.4g",
                            value_of(last, accuracy, 0));
        if (has_validation(history))
            snprintf(line + used, sizeof line - (size_t)used, " in training, %.4g in validation",
                     value_of(last, accuracy, 1));
        draw_axes(cairo, &panel, line);
        for (int validation = 0; validation <= has_validation(history); validation++)
            draw_curve(cairo, &panel, history, accuracy, validation);
    }
}

int train_curves_possible(void)
{
    return 0;
}

int train_curves_write(const char *path, const struct train_history *history, int32_t epochs, const char *title)
{
    cairo_surface_t *surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, WIDTH, HEIGHT);
    cairo_t *cairo = cairo_create(surface);
    if (history->count > 0)
        draw(cairo, history, epochs, title);
    return drawing_save(cairo, surface, path);
}
