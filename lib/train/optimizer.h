/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What optimisers share: settings, state beside each weight, clipping, the parallel step. An optimiser is its own file
 * with a table of settings, an update of one piece and a constructor. Uses: core, network.
 */
#ifndef RA_OPTIMIZER_H
#define RA_OPTIMIZER_H

#include "resattn/train.h"
#include "train/pieces.h"

/* The first settings of every optimiser; its own follow. */
enum { RA_RATE, RA_WEIGHT_DECAY, RA_DECAY_VECTORS, RA_CLIP_NORM, RA_OWN_SETTINGS, RA_MAX_SETTINGS = 12 };

/* One line a setting. */
typedef struct ra_setting {
    const char *name;
    double initial, largest; /* the smallest value is 0 */
    enum { RA_UP_TO, RA_BELOW, RA_WHOLE } range;
} ra_setting;

enum { RA_MAX_STATES = 2 };

/* What one task changes. */
typedef struct ra_update {
    int64_t count;
    float rate, decay;
    float scale; /* of the gradient, below 1 where it is clipped */
    const float *gradient;
    float *weight;
    float *states[RA_MAX_STATES];
    int64_t steps; /* of this parameter, this one included */
} ra_update;

typedef struct ra_optimizer_kind {
    const char *name;
    const ra_setting *settings;
    int32_t setting_count;
    int32_t states; /* numbers beside each weight, 0 at first */
    void (*update)(const double *values, const ra_update *update);
} ra_optimizer_kind;

/* What a path can change for the parameters below it. */
enum { RA_RATE_FACTOR, RA_DECAY_FACTOR, RA_FACTORS };

#define RA_LARGEST_FACTOR 1e6

/* What belongs to one parameter. */
typedef struct ra_own {
    int64_t steps;
    double factors[RA_FACTORS];
    size_t path_lengths[RA_FACTORS]; /* of the path that a factor was given for: a beginning of the name */
} ra_own;

/* A checkpoint holds all of it that a later step depends on (format/checkpoint_save.c). */
struct resattn_optimizer {
    const ra_optimizer_kind *kind;
    resattn_network *network; /* a share */
    double values[RA_MAX_SETTINGS];
    ra_piece *pieces;
    int32_t piece_count;
    double *squares; /* of each piece's gradient: its sum of squares */
    double norm;     /* of the last step's gradients */
    float scale;     /* of gradients in this step */
    ra_own *owns;    /* of each parameter */
    int64_t elements;
    float *states; /* one after the other, `elements` each, those of the parameters in their order */
};

extern const ra_optimizer_kind ra_sgd, ra_adamw;

/* The kind of a name, NULL if there is none (no error recorded). */
const ra_optimizer_kind *ra_optimizer_kind_find(const char *name);

/* Whether a setting may have the value, with the error recorded if not. */
bool ra_optimizer_check(const ra_optimizer_kind *kind, int32_t index, double value);

/* Whether a parameter is at or below the path of the `length` bytes at `path`. */
bool ra_name_is_below(const char *name, const char *path, size_t length);

/* NULL with the error recorded. */
resattn_optimizer *ra_optimizer_new(const ra_optimizer_kind *kind, resattn_network *network, double rate);

#endif
