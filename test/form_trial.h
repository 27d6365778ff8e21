/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A convolution with all that may follow it, and what must come out: loops in double precision.
 */
#ifndef TEST_FORM_TRIAL_H
#define TEST_FORM_TRIAL_H

#include "kernel_common.h"
#include "kernels/conv_forms.h"

/* Images, channels last; a pixel of them, NULL outside. */
typedef struct maps {
    const float *data;
    int32_t h, w, c;
} maps;
const float *pixel_at(const maps *images, int32_t image, int32_t y, int32_t x);

/* |M| |d| |M|^T for the in x in pixels d from (y, x) on, M of out x in elements: sums[value][channel], out x out
 * values. */
void tile_magnitudes(const double (*rows)[6], int32_t out, int32_t in, const maps *images, int32_t image, int32_t y,
                     int32_t x, double *sums);

/* A convolution, data for it, and the sums of its products. */
typedef struct form_trial {
    ra_conv conv;
    int32_t n;
    size_t pixels, outputs; /* pixels: of all output images; outputs: with their channels */
    float *x, *filter, *bias, *addend, *trunk, *scale, *shift;
    double *value, *magnitude; /* of each output: the sum of the products, and of their magnitudes */
    double *winograd2,
        *winograd4; /* the magnitudes that Winograd's rounding errors follow; NULL where it is not used */
} form_trial;

typedef enum addend_kind { NO_ADDEND, OTHER_ADDEND, ADDEND_Y, ADDEND_KINDS } addend_kind;
typedef enum second_kind { NO_SECOND, OTHER_SECOND, SECOND_Y, SECOND_KINDS } second_kind;

/* What follows the convolution. */
typedef struct form_options {
    bool bias, relu, sigmoid, trunk, second_relu, short_sums;
    float plus;
    addend_kind addend; /* ADDEND_Y: y, which begins as the trial's addend */
    second_kind second;
    int32_t gap; /* y_row - out_c */
} form_options;

/* The multiply-adds of an image, or 0 if the convolution has no output. */
double form_products(const ra_conv *conv);
void form_trial_begin(form_trial *t, const ra_conv *conv, int32_t n);
void form_trial_end(form_trial *t);
/* Options that a form takes. */
form_options pick_options(ra_conv_form form);
/* For messages; valid until the next call. */
const char *form_describe(const form_trial *t, ra_conv_form form, const form_options *o);

/* What y (before `second`, where that is kept apart) and second must be at output `index`. */
void form_expect(const form_trial *t, ra_conv_form form, const form_options *o, size_t index, estimate *y,
                 estimate *second);

#endif
