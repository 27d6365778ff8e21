/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Residual attention networks (Wang et al., CVPR 2017): what their parts share.
 */
#ifndef RA_ATTENTION_H
#define RA_ATTENTION_H

#include <stdbool.h>

#include "models/chain.h"
#include "models/models.h"

enum { RA_STAGES = 3, RA_WIDTHS = 4 };

/* The settings, in the order of the family's table; see resattn_model_config_new(). */
typedef struct ra_design {
    int32_t learning, activation, mask, up_sampling, unit, stem, p, t, r, bottom;
    int32_t modules[RA_STAGES], width[RA_WIDTHS], poolings[RA_STAGES], blocks;
} ra_design;

/* A kind of unit: `width` channels inside (or some multiple of that), `channels` outside. */
typedef struct ra_unit_kind {
    bool post_activation;  /* ReLU after the sum, where it is otherwise the first thing after batch norm in each unit */
    int32_t step;          /* widths are multiples of it */
    const char *down, *up; /* how the authors call the two halves of a mask made of such units */
    void (*extend_branch)(ra_chain *at, int32_t width, int32_t channels, int32_t stride);
    int64_t (*multiply_adds)(int64_t width, int64_t channels); /* for a pixel, at stride 1 */
} ra_unit_kind;

const ra_unit_kind *ra_unit_kind_of(const ra_design *design);

/* Appends a unit: the branch added to the input; or, where the shape changes, to a projection of the input. */
void ra_extend_unit(ra_chain *at, const ra_unit_kind *kind, const char *name, int32_t width, int32_t channels);
void ra_extend_projection_unit(ra_chain *at, const ra_unit_kind *kind, const char *name, int32_t width,
                               int32_t channels, int32_t stride);

/* Overlapping pooling that rounds sizes up, as Caffe does. */
resattn_layer *ra_attention_pool(resattn_builder *builder, const char *name);

/* Appends the mask branch of the modules of a stage (0: the one with the largest maps), up to its activation. */
void ra_extend_mask(ra_chain *at, const ra_design *design, int32_t stage);

#endif
