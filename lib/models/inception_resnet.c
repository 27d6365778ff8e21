/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Inception-ResNet-v1 and v2 (Szegedy et al., AAAI 2017), v2 in the layout that published weights have, whose names
 * these are. A network is a table of steps.
 */
#include "models/models.h"

#include <stdbool.h>
#include <stdio.h>

/* With batch norm and ReLU. A stride of 2 goes without padding; the others keep the size, but for the stem's that
 * shrink. */
typedef struct conv {
    int32_t channels, kernel_h, kernel_w, stride;
    bool shrinks;
} conv;

typedef enum pooling { NO_POOL, MAX_POOL, AVERAGE_POOL } pooling;

enum { MAX_CONVS = 3, MAX_BRANCHES = 4 };

typedef struct branch {
    pooling pool;          /* comes first */
    conv convs[MAX_CONVS]; /* up to the first without channels */
} branch;

typedef struct mixed {
    branch branches[MAX_BRANCHES];
    int32_t count;
} mixed;

/* A convolution; maximum pooling, where that has no channels; concatenated branches; or residual blocks of such
 * branches, a convolution back to the input's channels and a scale. */
typedef struct step {
    const char *name;
    conv conv;
    const mixed *branches;
    int32_t channels; /* of residual blocks */
    int32_t repeats;  /* 0: one block called `name`, the last of the network, without a ReLU */
    double scale;
} step;

/* ---- parts ---- */

static resattn_layer *conv_block(resattn_builder *builder, const char *name, const conv *c)
{
    resattn_layer *block = resattn_sequential_new(builder, name);
    resattn_layer *layer = resattn_conv2d_new(builder, "conv", c->channels, 1, c->stride, 0);
    bool pads = c->stride == 1 && !c->shrinks;
    resattn_layer_set_int(layer, "kernel_h", c->kernel_h);
    resattn_layer_set_int(layer, "kernel_w", c->kernel_w);
    resattn_layer_set_int(layer, "pad_top", pads ? c->kernel_h / 2 : 0);
    resattn_layer_set_int(layer, "pad_bottom", pads ? c->kernel_h / 2 : 0);
    resattn_layer_set_int(layer, "pad_left", pads ? c->kernel_w / 2 : 0);
    resattn_layer_set_int(layer, "pad_right", pads ? c->kernel_w / 2 : 0);
    resattn_layer_add(block, layer);
    resattn_layer *norm = resattn_batch_norm_new(builder, "bn");
    resattn_layer_set_real(norm, "epsilon", 1e-3);
    resattn_layer_add(block, norm);
    resattn_layer_add(block, resattn_relu_new(builder, NULL));
    return block;
}

/* A smaller map, or an average of each pixel's surroundings that does not count the padding. */
static resattn_layer *pool(resattn_builder *builder, const char *name, pooling kind)
{
    if (kind == MAX_POOL)
        return resattn_max_pool_new(builder, name, 3, 2, 0);
    resattn_layer *layer = resattn_average_pool_new(builder, name, 3, 1, 1);
    resattn_layer_set_int(layer, "count_padding", 0);
    return layer;
}

/* One part is the branch itself, several are numbered. */
static resattn_layer *branch_layers(resattn_builder *builder, const char *name, const branch *from)
{
    int32_t count = 0, number = 0;
    while (count < MAX_CONVS && from->convs[count].channels > 0)
        count++;
    if (from->pool == NO_POOL && count == 1)
        return conv_block(builder, name, &from->convs[0]);
    if (count == 0)
        return pool(builder, name, from->pool);
    resattn_layer *layers = resattn_sequential_new(builder, name);
    char part[24];
    if (from->pool != NO_POOL) {
        resattn_layer_add(layers, pool(builder, "0", from->pool));
        number = 1;
    }
    for (int32_t i = 0; i < count; i++) {
        snprintf(part, sizeof part, "%d", (int)(number + i));
        resattn_layer_add(layers, conv_block(builder, part, &from->convs[i]));
    }
    return layers;
}

static resattn_layer *branches(resattn_builder *builder, const char *name, const mixed *from)
{
    char part[24];
    resattn_layer *concat = resattn_concat_new(builder, name);
    for (int32_t i = 0; i < from->count; i++) {
        snprintf(part, sizeof part, "branch%d", (int)i);
        resattn_layer_add(concat, branch_layers(builder, part, &from->branches[i]));
    }
    return concat;
}

/* ReLU(x + scale * expand(branches)) */
static resattn_layer *residual_block(resattn_builder *builder, const char *name, const step *from)
{
    resattn_layer *block = resattn_sequential_new(builder, name), *inside = resattn_sequential_new(builder, NULL);
    resattn_layer_add(inside, branches(builder, NULL, from->branches));
    resattn_layer *expand = resattn_conv2d_new(builder, "conv2d", from->channels, 1, 1, 0);
    resattn_layer_set_int(expand, "bias", 1);
    resattn_layer_add(inside, expand);
    if (from->scale < 1)
        resattn_layer_add(inside, resattn_scale_new(builder, NULL, from->scale));
    resattn_layer_add(block, resattn_residual_new(builder, NULL, inside, NULL));
    if (from->repeats > 0)
        resattn_layer_add(block, resattn_relu_new(builder, NULL));
    return block;
}

static resattn_layer *step_layer(resattn_builder *builder, const step *from)
{
    if (!from->branches)
        return from->conv.channels > 0 ? conv_block(builder, from->name, &from->conv)
                                       : pool(builder, from->name, MAX_POOL);
    if (from->channels == 0)
        return branches(builder, from->name, from->branches);
    if (from->repeats == 0)
        return residual_block(builder, from->name, from);
    resattn_layer *blocks = resattn_sequential_new(builder, from->name);
    char part[24];
    for (int32_t i = 0; i < from->repeats; i++) {
        snprintf(part, sizeof part, "%d", (int)i);
        resattn_layer_add(blocks, residual_block(builder, part, from));
    }
    return blocks;
}

/* ---- networks ---- */

#define CONV(channels, kernel)                                                                                         \
    {                                                                                                                  \
        channels, kernel, kernel, 1, false                                                                             \
    }
#define DOWN(channels)                                                                                                 \
    {                                                                                                                  \
        channels, 3, 3, 2, false                                                                                       \
    }
#define ROW(channels, width)                                                                                           \
    {                                                                                                                  \
        channels, 1, width, 1, false                                                                                   \
    }
#define COLUMN(channels, height)                                                                                       \
    {                                                                                                                  \
        channels, height, 1, 1, false                                                                                  \
    }
#define SHRINK(channels)                                                                                               \
    {                                                                                                                  \
        channels, 3, 3, 1, true                                                                                        \
    }

static const mixed v1_a = {{{NO_POOL, {CONV(32, 1)}},
                            {NO_POOL, {CONV(32, 1), CONV(32, 3)}},
                            {NO_POOL, {CONV(32, 1), CONV(32, 3), CONV(32, 3)}}},
                           3};
static const mixed v1_reduction_a = {
    {{NO_POOL, {DOWN(384)}}, {NO_POOL, {CONV(192, 1), CONV(192, 3), DOWN(256)}}, {MAX_POOL, {{0}}}}, 3};
static const mixed v1_b = {{{NO_POOL, {CONV(128, 1)}}, {NO_POOL, {CONV(128, 1), ROW(128, 7), COLUMN(128, 7)}}}, 2};
static const mixed v1_reduction_b = {{{NO_POOL, {CONV(256, 1), DOWN(384)}},
                                      {NO_POOL, {CONV(256, 1), DOWN(256)}},
                                      {NO_POOL, {CONV(256, 1), CONV(256, 3), DOWN(256)}},
                                      {MAX_POOL, {{0}}}},
                                     4};
static const mixed v1_c = {{{NO_POOL, {CONV(192, 1)}}, {NO_POOL, {CONV(192, 1), ROW(192, 3), COLUMN(192, 3)}}}, 2};

static const step v1[] = {
    {"conv2d_1a", .conv = DOWN(32)},
    {"conv2d_2a", .conv = SHRINK(32)},
    {"conv2d_2b", .conv = CONV(64, 3)},
    {.name = "maxpool_3a"},
    {"conv2d_3b", .conv = CONV(80, 1)},
    {"conv2d_4a", .conv = SHRINK(192)},
    {"conv2d_4b", .conv = DOWN(256)},
    {"repeat", .branches = &v1_a, .channels = 256, .repeats = 5, .scale = 0.17},
    {"mixed_6a", .branches = &v1_reduction_a},
    {"repeat_1", .branches = &v1_b, .channels = 896, .repeats = 10, .scale = 0.10},
    {"mixed_7a", .branches = &v1_reduction_b},
    {"repeat_2", .branches = &v1_c, .channels = 1792, .repeats = 5, .scale = 0.20},
    {.name = NULL},
};

static const mixed v2_first = {{{NO_POOL, {CONV(96, 1)}},
                                {NO_POOL, {CONV(48, 1), CONV(64, 5)}},
                                {NO_POOL, {CONV(64, 1), CONV(96, 3), CONV(96, 3)}},
                                {AVERAGE_POOL, {CONV(64, 1)}}},
                               4};
static const mixed v2_a = {{{NO_POOL, {CONV(32, 1)}},
                            {NO_POOL, {CONV(32, 1), CONV(32, 3)}},
                            {NO_POOL, {CONV(32, 1), CONV(48, 3), CONV(64, 3)}}},
                           3};
static const mixed v2_reduction_a = {
    {{NO_POOL, {DOWN(384)}}, {NO_POOL, {CONV(256, 1), CONV(256, 3), DOWN(384)}}, {MAX_POOL, {{0}}}}, 3};
static const mixed v2_b = {{{NO_POOL, {CONV(192, 1)}}, {NO_POOL, {CONV(128, 1), ROW(160, 7), COLUMN(192, 7)}}}, 2};
static const mixed v2_reduction_b = {{{NO_POOL, {CONV(256, 1), DOWN(384)}},
                                      {NO_POOL, {CONV(256, 1), DOWN(288)}},
                                      {NO_POOL, {CONV(256, 1), CONV(288, 3), DOWN(320)}},
                                      {MAX_POOL, {{0}}}},
                                     4};
static const mixed v2_c = {{{NO_POOL, {CONV(192, 1)}}, {NO_POOL, {CONV(192, 1), ROW(224, 3), COLUMN(256, 3)}}}, 2};

static const step v2[] = {
    {"conv2d_1a", .conv = DOWN(32)},
    {"conv2d_2a", .conv = SHRINK(32)},
    {"conv2d_2b", .conv = CONV(64, 3)},
    {.name = "maxpool_3a"},
    {"conv2d_3b", .conv = CONV(80, 1)},
    {"conv2d_4a", .conv = SHRINK(192)},
    {.name = "maxpool_5a"},
    {"mixed_5b", .branches = &v2_first},
    {"repeat", .branches = &v2_a, .channels = 320, .repeats = 10, .scale = 0.17},
    {"mixed_6a", .branches = &v2_reduction_a},
    {"repeat_1", .branches = &v2_b, .channels = 1088, .repeats = 20, .scale = 0.10},
    {"mixed_7a", .branches = &v2_reduction_b},
    {"repeat_2", .branches = &v2_c, .channels = 2080, .repeats = 9, .scale = 0.20},
    {"block8", .branches = &v2_c, .channels = 2080, .repeats = 0, .scale = 1},
    {"conv2d_7b", .conv = CONV(1536, 1)},
    {.name = NULL},
};

static resattn_layer *build(resattn_builder *builder, const ra_model *model, const int32_t *settings, int32_t classes)
{
    (void)settings;
    resattn_layer *root = resattn_sequential_new(builder, NULL);
    for (const step *at = model->facts; at->name; at++)
        resattn_layer_add(root, step_layer(builder, at));
    resattn_layer_add(root, resattn_global_average_pool_new(builder, NULL));
    resattn_layer_add(root, resattn_dropout_new(builder, "dropout", 0.2));
    resattn_layer_add(root, resattn_linear_new(builder, "classif", classes));
    return root;
}

static const ra_model models[] = {
    {"inception-resnet-v1", 299, {0}, v1},
    {"inception-resnet-v2", 299, {0}, v2},
};

const ra_family ra_inception_resnet_family = {.models = models, .model_count = RA_LENGTH(models), .build = build};
