/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Residual attention networks of pre-activation units (Wang et al., CVPR 2017), as in the authors' published graphs,
 * whose layer names these are.
 *
 * The authors call the batch norm and ReLU in front of a unit after the value that they read ("pre_res_1.bn" is the
 * first layer of the unit that follows pre_res_1). So a network is written as chains that know the path of the value at
 * their end.
 */
#include "models/models.h"

#include <stdio.h>

#define PATH_SIZE 128
#define NAME_SIZE 48

/* What distinguishes the networks of the family. */
typedef struct attention_config {
    int32_t modules[3]; /* attention modules in each stage */
    int32_t p;          /* units before the branches split, and after they are fused */
    int32_t t;          /* units in the trunk branch */
    int32_t r;          /* units between two poolings of the mask branch; twice as many at its bottom */
} attention_config;

/* A sequential that is being written. */
typedef struct chain {
    resattn_builder *builder;
    resattn_layer *layers;
    char scope[PATH_SIZE]; /* the path of the containers around its layers */
    char value[PATH_SIZE]; /* the path of the value at its end */
} chain;

/* target = scope.name; a scope of "" and a name of NULL add nothing. What does not fit becomes "", which no builder
 * accepts. */
static void join(char *target, const char *scope, const char *name)
{
    int length = snprintf(target, PATH_SIZE, "%s%s%s", scope, *scope && name ? "." : "", name ? name : "");
    if (length < 0 || length >= PATH_SIZE)
        target[0] = '\0';
}

/* A new chain that starts with the value at the end of `from`. */
static chain fork_chain(const chain *from, const char *name)
{
    chain fork = *from;
    fork.layers = resattn_sequential_new(from->builder, name);
    join(fork.scope, from->scope, name);
    return fork;
}

/* Appends a layer whose output is called `name`; without a name, it has that of the container around it. */
static void extend(chain *at, resattn_layer *layer, const char *name)
{
    resattn_add(at->layers, layer);
    join(at->value, at->scope, name);
}

static void add_conv(chain *at, const char *name, int32_t channels, int32_t kernel, int32_t stride)
{
    extend(at, resattn_conv2d_new(at->builder, name, channels, kernel, stride, kernel / 2), name);
}

static void add_bn_relu(chain *at)
{
    char path[PATH_SIZE];
    join(path, at->value, "bn");
    resattn_layer *bn = resattn_batch_norm_new(at->builder, NULL);
    resattn_layer_set_path(bn, path);
    resattn_add(at->layers, bn);
    resattn_add(at->layers, resattn_relu_new(at->builder, NULL));
}

/* Overlapping pooling that rounds sizes up, as Caffe does. */
static resattn_layer *pool(resattn_builder *builder, const char *name)
{
    resattn_layer *layer = resattn_max_pool_new(builder, name, 3, 2, 0);
    resattn_layer_set_int(layer, "ceil_mode", 1);
    return layer;
}

static void add_bottleneck(chain *at, int32_t width, int32_t stride)
{
    add_conv(at, "branch1.conv1_1x1", width, 1, 1);
    add_bn_relu(at);
    add_conv(at, "branch1.conv2_3x3", width, 3, stride);
    add_bn_relu(at);
    add_conv(at, "branch1.conv3_1x1", 4 * width, 1, 1);
}

/* x + branch(x) */
static void add_unit(chain *at, const char *name, int32_t width)
{
    chain branch = fork_chain(at, NULL);
    join(branch.scope, at->scope, name);
    add_bn_relu(&branch);
    add_bottleneck(&branch, width, 1);
    extend(at, resattn_residual_new(at->builder, name, branch.layers, NULL), name);
}

/* y = ReLU(BN(x)); projection(y) + branch(y) */
static void add_projection_unit(chain *at, const char *name, int32_t width, int32_t stride)
{
    chain unit = fork_chain(at, name);
    add_bn_relu(&unit);
    chain branch = fork_chain(&unit, NULL);
    add_bottleneck(&branch, width, stride);
    resattn_layer *projection = resattn_conv2d_new(at->builder, "branch2.conv1_1x1", 4 * width, 1, stride, 0);
    extend(&unit, resattn_residual_new(at->builder, NULL, branch.layers, projection), NULL);
    extend(at, unit.layers, name);
}

/* The units of a part of the mask that work at one level. */
static void add_mask_units(chain *at, const char *part, int32_t level, int32_t count, int32_t width)
{
    char name[NAME_SIZE];
    for (int32_t i = 1; i <= count; i++) {
        snprintf(name, sizeof name, "mask.%s.res%d_%d", part, level, i);
        add_unit(at, name, width);
    }
}

/*
 * The soft mask between one pooling and its interpolation, which work at `level` (1: the largest map) of `depth`:
 * units, the next level inside with a skip unit around it, units.
 */
static void add_down_up(chain *at, const attention_config *config, int32_t level, int32_t depth, int32_t width)
{
    char down[NAME_SIZE], up[NAME_SIZE], skip[NAME_SIZE], sum[NAME_SIZE];
    snprintf(down, sizeof down, "mask.down_sample.pool%d_3x3_s2", level);
    snprintf(up, sizeof up, "mask.up_sample.interp_%d", level);
    snprintf(skip, sizeof skip, "mask.skip.res%d", level);
    snprintf(sum, sizeof sum, "mask.up_sample%d", level);

    chain inner = fork_chain(at, NULL);
    join(inner.value, inner.scope, down);
    if (level == depth) {
        add_mask_units(&inner, "down_sample", level, 2 * config->r, width);
    } else {
        add_mask_units(&inner, "down_sample", level, config->r, width);
        chain deeper = fork_chain(&inner, NULL), skipped = fork_chain(&inner, NULL);
        add_down_up(&deeper, config, level + 1, depth, width);
        add_unit(&skipped, skip, width);
        extend(&inner, resattn_residual_new(at->builder, NULL, deeper.layers, skipped.layers), sum);
        add_mask_units(&inner, "up_sample", level, config->r, width);
    }
    extend(at,
           resattn_down_up_new(at->builder, NULL, pool(at->builder, down), inner.layers,
                               resattn_bilinear_resize_new(at->builder, up, 0, 0)),
           up);
}

static void add_mask_head(chain *at, int32_t channels)
{
    add_bn_relu(at);
    add_conv(at, "mask.linear_1", channels, 1, 1);
    add_bn_relu(at);
    add_conv(at, "mask.linear_2", channels, 1, 1);
}

/*
 * The attention layer has no name of its own: then its outputs are called name.trunk and name.mask. For the same reason
 * the containers of the two branches have none.
 */
static void add_module(chain *at, const attention_config *config, const char *name, int32_t depth, int32_t width)
{
    char unit[NAME_SIZE];
    chain module = fork_chain(at, name);
    for (int32_t i = 1; i <= config->p; i++) {
        snprintf(unit, sizeof unit, "trunk.res%d", i);
        add_unit(&module, unit, width);
    }
    chain trunk = fork_chain(&module, NULL), mask = fork_chain(&module, NULL);
    for (int32_t i = 1; i <= config->t; i++) {
        snprintf(unit, sizeof unit, "trunk.res%d", config->p + i);
        add_unit(&trunk, unit, width);
    }
    add_down_up(&mask, config, 1, depth, width);
    add_mask_head(&mask, 4 * width);

    resattn_attention *attention = resattn_attention_new(at->builder, NULL);
    resattn_attention_set_trunk(attention, trunk.layers);
    resattn_attention_set_mask(attention, mask.layers);
    extend(&module, resattn_attention_layer(attention), "fusion");
    for (int32_t i = 1; i < config->p; i++) {
        snprintf(unit, sizeof unit, "fusion.res%d", i);
        add_unit(&module, unit, width);
    }
    add_unit(&module, NULL, width);
    extend(at, module.layers, name);
}

/* One stage: a unit with projection, then attention modules; the first stage has the largest maps and the deepest
 * masks. */
static void add_stage(chain *at, const attention_config *config, int32_t stage)
{
    char name[NAME_SIZE];
    int32_t width = 64 << stage;
    snprintf(name, sizeof name, "pre_res_%d", stage + 1);
    add_projection_unit(at, name, width, stage == 0 ? 1 : 2);
    for (int32_t i = 1; i <= config->modules[stage]; i++) {
        snprintf(name, sizeof name, "Attention%c_%d", "ABC"[stage], i);
        add_module(at, config, name, 3 - stage, width);
    }
}

static resattn_layer *attention_network(resattn_builder *builder, const attention_config *config, int32_t classes)
{
    chain network = {.builder = builder, .layers = resattn_sequential_new(builder, NULL)};
    add_conv(&network, "conv1", 64, 7, 2);
    add_bn_relu(&network);
    extend(&network, pool(builder, "pool1_3x3_s2"), "pool1_3x3_s2");
    for (int32_t stage = 0; stage < 3; stage++)
        add_stage(&network, config, stage);
    add_projection_unit(&network, "post_res_4_1", 512, 2);
    add_unit(&network, "post_res_4_2", 512);
    add_unit(&network, "post_res_4_3", 512);
    add_bn_relu(&network);
    resattn_add(network.layers, resattn_global_average_pool_new(builder, "ave_pool"));
    resattn_add(network.layers, resattn_linear_new(builder, "classifier", classes));
    return network.layers;
}

resattn_layer *ra_model_attention_56(resattn_builder *builder, int32_t classes)
{
    static const attention_config config = {.modules = {1, 1, 1}, .p = 1, .t = 2, .r = 1};
    return attention_network(builder, &config, classes);
}
