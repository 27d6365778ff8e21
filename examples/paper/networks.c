/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Builds the networks.
 */
#include "networks.h"

#include <stdio.h>
#include <string.h>

#include "errors.h"
#include "images.h"
#include "small_net.h"

enum { EXPANSION = 4, UNITS_A_MODULE = 4, UNITS_BESIDE = 2 }; /* of the trunk: p + t + p; before and after modules */

/* Inside the bottlenecks of the attention networks; published are 16, 32 and 64. */
static const int32_t widths[PAPER_STAGES] = {4, 8, 16};
static const int32_t quickstart_channels[PAPER_STAGES] = {16, 32, 64};

#define ARL     RESATTN_LEARNING_RESIDUAL
#define NAL     RESATTN_LEARNING_NAIVE
#define DOWN_UP RESATTN_STRUCTURE_BOTTOM_UP_TOP_DOWN

static const struct paper_network networks[] = {
    {"residual-1", DESIGN_ATTENTION, 1, ARL, RESATTN_ACTIVATION_MIXED, DOWN_UP, 0},
    {"residual-2", DESIGN_ATTENTION, 2, ARL, RESATTN_ACTIVATION_MIXED, DOWN_UP, 0},
    {"residual-3", DESIGN_ATTENTION, 3, ARL, RESATTN_ACTIVATION_MIXED, DOWN_UP, 0},
    {"naive-1", DESIGN_ATTENTION, 1, NAL, RESATTN_ACTIVATION_MIXED, DOWN_UP, 0},
    {"naive-2", DESIGN_ATTENTION, 2, NAL, RESATTN_ACTIVATION_MIXED, DOWN_UP, 0},
    {"naive-3", DESIGN_ATTENTION, 3, NAL, RESATTN_ACTIVATION_MIXED, DOWN_UP, 0},
    {"channel-1", DESIGN_ATTENTION, 1, ARL, RESATTN_ACTIVATION_CHANNEL, DOWN_UP, 0},
    {"spatial-1", DESIGN_ATTENTION, 1, ARL, RESATTN_ACTIVATION_SPATIAL, DOWN_UP, 0},
    {"none-1", DESIGN_ATTENTION, 1, ARL, RESATTN_ACTIVATION_IDENTITY, DOWN_UP, 0},
    {"local-1", DESIGN_ATTENTION, 1, ARL, RESATTN_ACTIVATION_MIXED, RESATTN_STRUCTURE_LOCAL, 0},
    {"trunk-1", DESIGN_TRUNK, 1, ARL, RESATTN_ACTIVATION_MIXED, DOWN_UP, 0},
    {"resnet", DESIGN_RESNET, 1, ARL, RESATTN_ACTIVATION_MIXED, DOWN_UP, 0},
    {"quickstart", DESIGN_QUICKSTART, 1, ARL, RESATTN_ACTIVATION_MIXED, DOWN_UP, 0},
    {"quickstart-masks", DESIGN_QUICKSTART, 1, ARL, RESATTN_ACTIVATION_MIXED, DOWN_UP, 0.5},
};

const struct paper_network *paper_network_find(const char *name)
{
    for (size_t i = 0; i < sizeof networks / sizeof *networks; i++)
        if (strcmp(networks[i].name, name) == 0)
            return &networks[i];
    return NULL;
}

const char *paper_network_stage(const struct paper_network *paper, int32_t stage)
{
    static const char *const published[PAPER_STAGES] = {"post_res_1", "post_res_2", "post_res_3"};
    static const char *const own[PAPER_STAGES] = {"stage1", "stage2", "stage3"};
    return paper->design == DESIGN_ATTENTION ? published[stage] : own[stage];
}

/* ---- attention networks ---- */

/* A configuration has no setting for masks without activation; layers can still be changed before a network takes
 * them. */
static void set_activation(resattn_layer *layer, resattn_mask_activation activation)
{
    resattn_attention *attention = resattn_layer_attention(layer);
    if (attention)
        resattn_attention_set_activation(attention, activation);
    for (int32_t i = 0; i < resattn_layer_child_count(layer); i++)
        set_activation(resattn_layer_child(layer, i), activation);
}

static resattn_layer *attention_net(resattn_context *context, resattn_builder *b, const struct paper_network *paper)
{
    char name[16];
    resattn_layer *root = NULL;
    resattn_model_config *config = resattn_model_config_new(context, "attention-56-cifar");
    int failed = !config || resattn_model_config_set_int(config, "learning", (int32_t)paper->learning) ||
                 resattn_model_config_set_int(config, "mask", (int32_t)paper->mask);
    for (int32_t stage = 0; stage < PAPER_STAGES && !failed; stage++) {
        snprintf(name, sizeof name, "width%d", (int)stage + 1);
        failed = resattn_model_config_set_int(config, name, widths[stage]) != 0;
        snprintf(name, sizeof name, "modules%d", (int)stage + 1);
        failed = failed || resattn_model_config_set_int(config, name, paper->modules);
    }
    if (!failed)
        root = resattn_model_config_build(config, b, PAPER_CLASSES);
    resattn_model_config_free(config);
    if (root)
        set_activation(root, paper->activation);
    return root;
}

/* ---- ResNets: pre-activation units (He et al., ECCV 2016) ---- */

static void add_step(resattn_builder *b, resattn_layer *branch, int32_t channels, int32_t kernel, int32_t stride)
{
    resattn_layer_add(branch, resattn_batch_norm_new(b, NULL));
    resattn_layer_add(branch, resattn_relu_new(b, NULL));
    resattn_layer_add(branch, resattn_conv2d_new(b, NULL, channels, kernel, stride, kernel / 2));
}

/* The first unit of a stage changes the channels and, but for the first stage, halves the map. */
static resattn_layer *bottleneck(resattn_builder *b, const char *name, int32_t stage, int is_first)
{
    int32_t width = widths[stage], channels = EXPANSION * width, stride = is_first && stage > 0 ? 2 : 1;
    resattn_layer *branch = resattn_sequential_new(b, "branch");
    add_step(b, branch, width, 1, 1);
    add_step(b, branch, width, 3, stride);
    add_step(b, branch, channels, 1, 1);
    return resattn_residual_new(b, name, branch,
                                is_first ? resattn_conv2d_new(b, "projection", channels, 1, stride, 0) : NULL);
}

/* The same of two 3x3 convolutions, as the quickstart's network has it. */
static resattn_layer *basic_unit(resattn_builder *b, const char *name, int32_t stage, int is_first)
{
    int32_t channels = quickstart_channels[stage], stride = is_first && stage > 0 ? 2 : 1;
    resattn_layer *branch = resattn_sequential_new(b, "branch");
    add_step(b, branch, channels, 3, stride);
    add_step(b, branch, channels, 3, 1);
    return resattn_residual_new(b, name, branch, stride > 1 ? resattn_subsample_new(b, NULL, channels, stride) : NULL);
}

/* Units are dealt out to the stages in turn. */
static resattn_layer *plain_net(resattn_builder *b, const struct paper_network *paper, int32_t units)
{
    char name[16];
    int is_basic = paper->design == DESIGN_RESNET;
    resattn_layer *net = resattn_sequential_new(b, NULL);
    resattn_layer_add(net, resattn_conv2d_new(b, "conv1", is_basic ? quickstart_channels[0] : widths[0], 3, 1, 1));
    for (int32_t stage = 0; stage < PAPER_STAGES; stage++) {
        int32_t count = (units + PAPER_STAGES - 1 - stage) / PAPER_STAGES;
        resattn_layer *layers = resattn_sequential_new(b, paper_network_stage(paper, stage));
        for (int32_t i = 0; i < count; i++) {
            snprintf(name, sizeof name, "unit%d", (int)i + 1);
            resattn_layer_add(layers,
                              is_basic ? basic_unit(b, name, stage, i == 0) : bottleneck(b, name, stage, i == 0));
        }
        resattn_layer_add(net, layers);
    }
    resattn_layer_add(net, resattn_batch_norm_new(b, "bn"));
    resattn_layer_add(net, resattn_relu_new(b, NULL));
    resattn_layer_add(net, resattn_global_average_pool_new(b, NULL));
    resattn_layer_add(net, resattn_linear_new(b, "linear", PAPER_CLASSES));
    return net;
}

/* ---- any of them ---- */

enum values { VALUES_RANDOM, VALUES_ZERO };

static resattn_network *build(resattn_context *context, const struct paper_network *paper, int32_t units,
                              enum values values)
{
    resattn_builder *b = resattn_builder_new(context);
    resattn_layer *root = NULL;
    if (b && paper->design == DESIGN_ATTENTION)
        root = attention_net(context, b, paper);
    else if (b)
        root = paper->design == DESIGN_QUICKSTART ? small_net_new(b, PAPER_CLASSES) : plain_net(b, paper, units);
    resattn_network *network =
        values == VALUES_ZERO ? resattn_network_new_zeroed(b, root, 3) : resattn_network_new(b, root, 3);
    if (!network)
        complain_library();
    resattn_builder_free(b);
    return network;
}

int64_t paper_network_cost(resattn_network *network)
{
    resattn_plan *plan = resattn_plan_new(network, RESATTN_INFERENCE, 1, IMAGE_SIDE, IMAGE_SIDE);
    int64_t cost = plan ? resattn_plan_multiply_adds(plan) : -1;
    if (cost < 0)
        complain_library();
    resattn_plan_free(plan);
    return cost;
}

static int64_t cost_of(resattn_context *context, const struct paper_network *paper, int32_t units)
{
    resattn_network *network = build(context, paper, units, VALUES_ZERO);
    int64_t cost = network ? paper_network_cost(network) : -1;
    resattn_network_unref(network);
    return cost;
}

/* How many units cost most nearly what the quickstart's network does; 0 after printing what went wrong. */
static int32_t equal_units(resattn_context *context, const struct paper_network *paper)
{
    struct paper_network attention = *paper;
    attention.design = DESIGN_QUICKSTART;
    int64_t target = cost_of(context, &attention, 0), below = 0;
    for (int32_t units = PAPER_STAGES; target > 0; units++) {
        int64_t cost = cost_of(context, paper, units);
        if (cost < 0)
            return 0;
        if (cost >= target)
            return target - below < cost - target ? units - 1 : units;
        below = cost;
    }
    return 0;
}

resattn_network *paper_network_new(resattn_context *context, const struct paper_network *paper)
{
    int32_t units = PAPER_STAGES * (UNITS_A_MODULE * paper->modules + UNITS_BESIDE);
    if (paper->design == DESIGN_RESNET)
        units = equal_units(context, paper);
    return units > 0 ? build(context, paper, units, VALUES_RANDOM) : NULL;
}
