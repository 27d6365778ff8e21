/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Residual attention networks (Wang et al., CVPR 2017) as in the authors' published graphs, whose layer names these
 * are, and everything that the paper varies about them.
 */
#include "models/attention.h"

#include <stdio.h>
#include <string.h>

enum { NAME_SIZE = 48, MAX_WIDTH = 65536, MAX_UNITS = 64, MAX_POOLINGS = 8 };

/* ---- networks ---- */

/*
 * The attention layer has no name of its own: then its outputs are called name.trunk and name.mask. For the same reason
 * the containers of the two branches have none.
 */
static void extend_module(ra_chain *at, const ra_design *design, const char *name, int32_t stage)
{
    char unit[NAME_SIZE];
    const ra_unit_kind *kind = ra_unit_kind_of(design);
    int32_t width = design->width[stage], channels = 4 * width;
    ra_chain module = ra_fork(at, name);
    for (int32_t i = 1; i <= design->p; i++) {
        snprintf(unit, sizeof unit, "trunk.res%d", (int)i);
        ra_extend_unit(&module, kind, unit, width, channels);
    }
    ra_chain trunk = ra_fork(&module, NULL), mask = ra_fork(&module, NULL);
    for (int32_t i = 1; i <= design->t; i++) {
        snprintf(unit, sizeof unit, "trunk.res%d", (int)(design->p + i));
        ra_extend_unit(&trunk, kind, unit, width, channels);
    }
    ra_extend_mask(&mask, design, stage);

    resattn_attention *attention = resattn_attention_new(at->builder, NULL);
    resattn_attention_set_learning(attention, (resattn_learning)design->learning);
    resattn_attention_set_activation(attention, (resattn_mask_activation)design->activation);
    resattn_attention_set_trunk(attention, trunk.layers);
    resattn_attention_set_mask(attention, mask.layers);
    ra_extend(&module, resattn_attention_layer(attention), "fusion");
    for (int32_t i = 1; i < design->p; i++) {
        snprintf(unit, sizeof unit, "fusion.res%d", (int)i);
        ra_extend_unit(&module, kind, unit, width, channels);
    }
    ra_extend_unit(&module, kind, NULL, width, channels);
    ra_extend(at, module.layers, name);
}

/* One stage: a unit with projection, then attention modules, then on small images another unit. */
static void extend_stage(ra_chain *at, const ra_design *design, int32_t stage)
{
    char name[NAME_SIZE];
    const ra_unit_kind *kind = ra_unit_kind_of(design);
    int32_t width = design->width[stage];
    snprintf(name, sizeof name, "pre_res_%d", (int)stage + 1);
    ra_extend_projection_unit(at, kind, name, width, 4 * width, stage == 0 ? 1 : 2);
    for (int32_t i = 1; i <= design->modules[stage]; i++) {
        snprintf(name, sizeof name, "Attention%c_%d", "ABC"[stage], (int)i);
        extend_module(at, design, name, stage);
    }
    if (design->stem == RESATTN_STEM_CIFAR) {
        snprintf(name, sizeof name, "post_res_%d", (int)stage + 1);
        ra_extend_unit(at, kind, name, width, 4 * width);
    }
}

/* The stage without modules. */
static void extend_last_stage(ra_chain *at, const ra_design *design)
{
    char name[NAME_SIZE];
    const ra_unit_kind *kind = ra_unit_kind_of(design);
    int32_t width = design->width[RA_STAGES];
    for (int32_t i = 1; i <= design->blocks; i++) {
        snprintf(name, sizeof name, "post_res_4_%d", (int)i);
        if (i == 1)
            ra_extend_projection_unit(at, kind, name, width, 4 * width, 2);
        else
            ra_extend_unit(at, kind, name, width, 4 * width);
    }
}

/* Without pooling, a pre-activated unit's own batch norm is the one after the convolution. */
static void extend_stem(ra_chain *at, const ra_design *design)
{
    bool is_large = design->stem == RESATTN_STEM_IMAGENET;
    ra_extend_conv(at, "conv1", design->width[0], is_large ? 7 : 3, is_large ? 2 : 1);
    if (is_large || ra_unit_kind_of(design)->post_activation)
        ra_extend_norm_relu(at);
    if (is_large)
        ra_extend(at, ra_attention_pool(at->builder, "pool1_3x3_s2"), "pool1_3x3_s2");
}

/* ---- which designs make sense ---- */

/* Fails the builder where one does not. */
static bool is_sound(resattn_builder *builder, const ra_model *model, const ra_design *design)
{
    int32_t step = ra_unit_kind_of(design)->step;
    int32_t widths = design->stem == RESATTN_STEM_CIFAR ? RA_STAGES : RA_WIDTHS;
    for (int32_t i = 0; i < widths; i++)
        if (design->width[i] % step != 0) {
            ra_model_refuse(builder, RESATTN_INVALID_ARGUMENT,
                            "%s: width%d is %d, expected a multiple of %d with %s units", model->name, (int)i + 1,
                            (int)design->width[i], (int)step,
                            design->unit == RESATTN_UNIT_RESNEXT ? "ResNeXt" : "Inception");
            return false;
        }
    if (design->mask == RESATTN_STRUCTURE_LOCAL && design->up_sampling != RESATTN_UP_BILINEAR) {
        ra_model_refuse(builder, RESATTN_INVALID_ARGUMENT,
                        "%s: up_sampling is %d (transposed convolution), expected %d: a local mask has no up-sampling",
                        model->name, (int)design->up_sampling, RESATTN_UP_BILINEAR);
        return false;
    }
    return true;
}

static resattn_layer *build(resattn_builder *builder, const ra_model *model, const int32_t *settings, int32_t classes)
{
    ra_design design;
    memcpy(&design, settings, sizeof design);
    if (!is_sound(builder, model, &design))
        return NULL;
    ra_chain network = {.builder = builder, .layers = resattn_sequential_new(builder, NULL)};
    extend_stem(&network, &design);
    for (int32_t stage = 0; stage < RA_STAGES; stage++)
        extend_stage(&network, &design, stage);
    if (design.stem == RESATTN_STEM_IMAGENET)
        extend_last_stage(&network, &design);
    if (!ra_unit_kind_of(&design)->post_activation)
        ra_extend_norm_relu(&network);
    resattn_layer_add(network.layers, resattn_global_average_pool_new(builder, "ave_pool"));
    resattn_layer_add(network.layers, resattn_linear_new(builder, "classifier", classes));
    return network.layers;
}

/* ---- tables ---- */

static const ra_setting settings_table[] = {
    {"learning", RESATTN_LEARNING_RESIDUAL, RESATTN_LEARNING_NAIVE},
    {"activation", RESATTN_ACTIVATION_MIXED, RESATTN_ACTIVATION_SPATIAL},
    {"mask", RESATTN_STRUCTURE_BOTTOM_UP_TOP_DOWN, RESATTN_STRUCTURE_LOCAL},
    {"up_sampling", RESATTN_UP_BILINEAR, RESATTN_UP_TRANSPOSED},
    {"unit", RESATTN_UNIT_RESIDUAL, RESATTN_UNIT_INCEPTION},
    {"stem", RESATTN_STEM_IMAGENET, RESATTN_STEM_CIFAR},
    {"p", 1, MAX_UNITS},
    {"t", 1, MAX_UNITS},
    {"r", 1, MAX_UNITS},
    {"bottom", 0, MAX_UNITS},
    {"modules1", 0, MAX_UNITS},
    {"modules2", 0, MAX_UNITS},
    {"modules3", 0, MAX_UNITS},
    {"width1", 1, MAX_WIDTH},
    {"width2", 1, MAX_WIDTH},
    {"width3", 1, MAX_WIDTH},
    {"width4", 1, MAX_WIDTH},
    {"poolings1", 1, MAX_POOLINGS},
    {"poolings2", 1, MAX_POOLINGS},
    {"poolings3", 1, MAX_POOLINGS},
    {"blocks", 1, MAX_UNITS},
};

_Static_assert(sizeof settings_table / sizeof *settings_table == sizeof(ra_design) / sizeof(int32_t) &&
                   sizeof(ra_design) <= sizeof((ra_model){0}.settings),
               "a setting of the table is one of the design");

/* As in the paper: residual learning, mixed activation, bottom-up top-down, bilinear. */
#define PAPER                                                                                                          \
    RESATTN_LEARNING_RESIDUAL, RESATTN_ACTIVATION_MIXED, RESATTN_STRUCTURE_BOTTOM_UP_TOP_DOWN, RESATTN_UP_BILINEAR
#define IMAGENET(unit, modules1, modules2, modules3)                                                                   \
    {                                                                                                                  \
        PAPER, unit, RESATTN_STEM_IMAGENET, 1, 2, 1, 0, modules1, modules2, modules3, 64, 128, 256, 512, 3, 2, 1, 3    \
    }
#define CIFAR(p, t, r, bottom, modules)                                                                                \
    {                                                                                                                  \
        PAPER, RESATTN_UNIT_RESIDUAL, RESATTN_STEM_CIFAR, p, t, r, bottom, modules, modules, modules, 16, 32, 64, 128, \
            3, 2, 1, 3                                                                                                 \
    }

static const ra_model models[] = {
    {"attention-56", 224, IMAGENET(RESATTN_UNIT_RESIDUAL, 1, 1, 1), NULL},
    {"attention-92", 320, IMAGENET(RESATTN_UNIT_RESIDUAL, 1, 2, 3), NULL},
    {"attentionnext-56", 224, IMAGENET(RESATTN_UNIT_RESNEXT, 1, 1, 1), NULL},
    {"attentionnext-92", 224, IMAGENET(RESATTN_UNIT_RESNEXT, 1, 2, 3), NULL},
    {"attentioninception-56", 299, IMAGENET(RESATTN_UNIT_INCEPTION, 1, 1, 1), NULL},
    {"attention-56-cifar", 32, CIFAR(1, 2, 1, 0, 1), NULL},
    {"attention-92-cifar", 32, CIFAR(1, 2, 1, 0, 2), NULL},
    {"attention-128-cifar", 32, CIFAR(1, 2, 1, 0, 3), NULL},
    {"attention-164-cifar", 32, CIFAR(1, 2, 1, 0, 4), NULL},
    {"attention-236-cifar", 32, CIFAR(1, 2, 1, 0, 6), NULL},
    {"attention-452-cifar", 32, CIFAR(2, 4, 3, 3, 6), NULL},
};

const ra_family ra_attention_family = {.models = models,
                                       .model_count = RA_LENGTH(models),
                                       .settings = settings_table,
                                       .setting_count = RA_LENGTH(settings_table),
                                       .build = build};
