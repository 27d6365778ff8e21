/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The mask branches of attention modules: bottom-up top-down, and local ones of about the same cost.
 */
#include "models/attention.h"

#include <stdio.h>

enum { NAME_SIZE = 64, LOCAL_UNITS = 3 };

/* What a mask is made of, and how wide its units are. */
typedef struct mask {
    const ra_design *design;
    const ra_unit_kind *kind;
    int32_t depth; /* poolings */
    int32_t width, channels;
} mask;

resattn_layer *ra_attention_pool(resattn_builder *builder, const char *name)
{
    resattn_layer *layer = resattn_max_pool_new(builder, name, 3, 2, 0);
    resattn_layer_set_int(layer, "ceil_mode", 1);
    return layer;
}

static int32_t bottom_units(const ra_design *design)
{
    return design->bottom > 0 ? design->bottom : 2 * design->r;
}

/* ---- bottom-up top-down ---- */

/* The units of one half of the mask that work at one level. */
static void extend_units(ra_chain *at, const mask *m, const char *half, int32_t level, int32_t count)
{
    char name[NAME_SIZE];
    for (int32_t i = 1; i <= count; i++) {
        snprintf(name, sizeof name, "mask.%s.res%d_%d", half, (int)level, (int)i);
        ra_extend_unit(at, m->kind, name, m->width, m->channels);
    }
}

/* Learned up-sampling starts as interpolation, each channel by itself (Long et al., CVPR 2015). */
static resattn_layer *up_layer(resattn_builder *builder, const mask *m, const char *name)
{
    if (m->design->up_sampling == RESATTN_UP_BILINEAR)
        return resattn_bilinear_resize_new(builder, name, 0, 0);
    resattn_layer *layer = resattn_conv_transpose2d_new(builder, name, m->channels, 4, 2, 1);
    resattn_layer_set_int(layer, "groups", m->channels);
    resattn_layer_set_int(layer, "bilinear", 1);
    return layer;
}

/*
 * The mask between one pooling and its interpolation, which work at `level` (1: the largest map): units, the next level
 * inside with a skip unit around it, units.
 */
static void extend_down_up(ra_chain *at, const mask *m, int32_t level)
{
    char down[NAME_SIZE], up[NAME_SIZE], skip[NAME_SIZE], sum[NAME_SIZE];
    snprintf(down, sizeof down, "mask.%s.pool%d_3x3_s2", m->kind->down, (int)level);
    snprintf(up, sizeof up, "mask.%s.interp_%d", m->kind->up, (int)level);
    snprintf(skip, sizeof skip, "mask.skip.res%d", (int)level);
    snprintf(sum, sizeof sum, "mask.%s%d", m->kind->up, (int)level);

    ra_chain inner = ra_fork(at, NULL);
    ra_join(inner.value, inner.scope, down);
    if (level == m->depth) {
        extend_units(&inner, m, m->kind->down, level, bottom_units(m->design));
    } else {
        extend_units(&inner, m, m->kind->down, level, m->design->r);
        ra_chain deeper = ra_fork(&inner, NULL), skipped = ra_fork(&inner, NULL);
        extend_down_up(&deeper, m, level + 1);
        ra_extend_unit(&skipped, m->kind, skip, m->width, m->channels);
        ra_extend(&inner, resattn_residual_new(at->builder, NULL, deeper.layers, skipped.layers), sum);
        extend_units(&inner, m, m->kind->up, level, m->design->r);
    }
    resattn_layer *pool = ra_attention_pool(at->builder, down);
    ra_extend(at, resattn_down_up_new(at->builder, NULL, pool, inner.layers, up_layer(at->builder, m, up)), up);
}

/* ---- local ---- */

/* The multiply-adds of a bottom-up top-down mask's units, with the module's map `side` pixels wide; the largest values
 * of all settings give less than 2^63. */
static int64_t down_up_multiply_adds(const mask *m, int64_t side)
{
    int64_t units = 0; /* times pixels */
    for (int32_t level = 1; level <= m->depth; level++) {
        side = side > 2 ? side / 2 : 1;
        units += side * side * (level == m->depth ? bottom_units(m->design) : 2 * m->design->r + 1);
    }
    return units * m->kind->multiply_adds(m->width, m->channels);
}

/* The width with which LOCAL_UNITS units at full resolution cost most nearly what the bottom-up top-down mask costs, at
 * the image size that the stem is for. */
static int32_t local_width(const mask *m, int32_t stage)
{
    int64_t side = (m->design->stem == RESATTN_STEM_IMAGENET ? 56 : 32) >> stage, below = 0;
    int64_t target = down_up_multiply_adds(m, side);
    for (int32_t width = m->kind->step;; width += m->kind->step) {
        int64_t cost = LOCAL_UNITS * side * side * m->kind->multiply_adds(width, m->channels);
        if (cost >= target)
            return width > m->kind->step && target - below < cost - target ? width - m->kind->step : width;
        below = cost;
    }
}

static void extend_local(ra_chain *at, const mask *m, int32_t stage)
{
    char name[NAME_SIZE];
    int32_t width = local_width(m, stage);
    ra_join(at->value, at->scope, "mask.local"); /* the trunk has the batch norm that is called after the input */
    for (int32_t i = 1; i <= LOCAL_UNITS; i++) {
        snprintf(name, sizeof name, "mask.local.res%d", (int)i);
        ra_extend_unit(at, m->kind, name, width, m->channels);
    }
}

/* ---- the branch ---- */

void ra_extend_mask(ra_chain *at, const ra_design *design, int32_t stage)
{
    int32_t width = design->width[stage];
    mask m = {.design = design,
              .kind = ra_unit_kind_of(design),
              .depth = design->poolings[stage],
              .width = width,
              .channels = 4 * width};
    if (design->mask == RESATTN_STRUCTURE_LOCAL)
        extend_local(at, &m, stage);
    else
        extend_down_up(at, &m, 1);
    if (!m.kind->post_activation)
        ra_extend_norm_relu(at);
    ra_extend_conv(at, "mask.linear_1", m.channels, 1, 1);
    ra_extend_norm_relu(at);
    ra_extend_conv(at, "mask.linear_2", m.channels, 1, 1);
}
