/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A trial: a network, its reference, an input; what the tests of layers do with them.
 */
#ifndef TEST_TRIAL_H
#define TEST_TRIAL_H

#include "common.h"
#include "reference.h"

/* low .. high, both included */
int32_t pick(int32_t low, int32_t high);
/* A number of single precision in low .. high. */
double pick_real(double low, double high);
ref_image image_shape(int32_t n, int32_t c, int32_t h, int32_t w); /* no values */
ref_image any_shape(void);
void fill_image(ref_image *image, double low, double high);

/* An F32 tensor with the image's values in a random memory layout: either order, a part of a larger tensor, reversed.
 */
resattn_tensor *to_tensor(resattn_context *context, const ref_image *image);
/* The elements in NCHW order, to be freed. */
float *read_values(const resattn_tensor *tensor);
/* The same, a value per element that resattn_tensor_write() may take. */
void write_values(resattn_tensor *tensor, const double *values);

void set_int(resattn_layer *layer, const char *attribute, int64_t value);

/* Chooses a shape for the input and makes a layer for it; the trial's root. */
typedef resattn_layer *(*make_fn)(resattn_builder *builder, ref_image *shape);

typedef struct trial {
    const char *what;
    resattn_context *context; /* borrowed */
    resattn_builder *builder;
    resattn_network *network;
    ref_node *ref;
    ref_image in;
    int32_t batch;      /* at least in.n */
    double roundings;   /* 0: the bound of each element follows from its terms; otherwise see compare() */
    const char **names; /* of outputs that are looked at too */
    int32_t name_count;
} trial;

/* Makes the network with random parameters and a random input. */
void trial_begin(trial *t, resattn_context *context, const char *what, make_fn make);
void trial_end(trial *t);

/* Training and inference sessions against the reference. */
void trial_check(trial *t);

/* The reference's gradients against differences of the reference's outputs. */
void trial_check_reference(trial *t);

/* The tensor's elements against `count` expected ones: each within (length + 4) * 2^-24 * its magnitude (exact for
 * length 0) or, where roundings are given, within roundings * 2^-24 * the largest magnitude. */
void compare(const char *what, const char *part, const resattn_tensor *tensor, const double *value,
             const double *magnitude, double length, double roundings);

#endif
