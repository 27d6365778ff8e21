/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Networks of bottlenecks: ResNets (He et al., CVPR 2016), ResNeXts (Xie et al., CVPR 2017) and ResNets with
 * pre-activation (He et al., ECCV 2016). Layers are called as in torchvision.
 */
#include "models/models.h"

#include <stdbool.h>
#include <stdio.h>

typedef struct resnet {
    bool pre_activation;
    bool stride_first; /* the stride is the first 1x1 convolution's, otherwise the 3x3's */
    bool cifar;        /* small images: a 3x3 convolution as the stem, and narrow */
    int32_t groups;    /* of the 3x3 convolutions */
    int32_t
        group_width; /* a group's channels in the first stage; 0: together they are as wide as the first convolution */
    int32_t blocks[4]; /* in each stage */
} resnet;

/* ---- bottlenecks: width channels inside, 4 * planes outside ---- */

typedef struct bottleneck {
    const resnet *network;
    int32_t planes, width, stride;
    bool projects; /* the shortcut is a convolution */
} bottleneck;

static resattn_layer *grouped_conv(resattn_builder *builder, const bottleneck *unit, const char *name)
{
    int32_t stride = unit->network->stride_first ? 1 : unit->stride;
    resattn_layer *conv = resattn_conv2d_new(builder, name, unit->width, 3, stride, 1);
    resattn_layer_set_int(conv, "groups", unit->network->groups);
    return conv;
}

static resattn_layer *projection(resattn_builder *builder, const bottleneck *unit)
{
    if (!unit->projects)
        return NULL;
    resattn_layer *shortcut = resattn_sequential_new(builder, unit->network->cifar ? "shortcut" : "downsample");
    ra_append_conv(builder, shortcut, "0", 4 * unit->planes, 1, unit->stride);
    if (!unit->network->pre_activation)
        resattn_layer_add(shortcut, resattn_batch_norm_new(builder, "1"));
    return shortcut;
}

static void add_post_activation(resattn_builder *builder, resattn_layer *at, const bottleneck *unit)
{
    resattn_layer *branch = resattn_sequential_new(builder, NULL);
    ra_append_conv(builder, branch, "conv1", unit->width, 1, unit->network->stride_first ? unit->stride : 1);
    ra_append_norm_relu(builder, branch, "bn1");
    resattn_layer_add(branch, grouped_conv(builder, unit, "conv2"));
    ra_append_norm_relu(builder, branch, "bn2");
    ra_append_conv(builder, branch, "conv3", 4 * unit->planes, 1, 1);
    resattn_layer_add(branch, resattn_batch_norm_new(builder, "bn3"));
    resattn_layer_add(at, resattn_residual_new(builder, NULL, branch, projection(builder, unit)));
    resattn_layer_add(at, resattn_relu_new(builder, NULL));
}

/* A projection reads what the branch reads after its first batch norm and ReLU; otherwise the shortcut is the input. */
static void add_pre_activation(resattn_builder *builder, resattn_layer *at, const bottleneck *unit)
{
    resattn_layer *branch = resattn_sequential_new(builder, NULL);
    ra_append_norm_relu(builder, unit->projects ? at : branch, "bn1");
    ra_append_conv(builder, branch, "conv1", unit->width, 1, unit->network->stride_first ? unit->stride : 1);
    ra_append_norm_relu(builder, branch, "bn2");
    resattn_layer_add(branch, grouped_conv(builder, unit, "conv2"));
    ra_append_norm_relu(builder, branch, "bn3");
    ra_append_conv(builder, branch, "conv3", 4 * unit->planes, 1, 1);
    resattn_layer_add(at, resattn_residual_new(builder, NULL, branch, projection(builder, unit)));
}

/* ---- networks ---- */

static resattn_layer *stage(resattn_builder *builder, const resnet *network, int32_t index)
{
    char name[24];
    snprintf(name, sizeof name, "layer%d", (int)index + 1);
    resattn_layer *blocks = resattn_sequential_new(builder, name);
    bottleneck unit = {.network = network, .planes = (network->cifar ? 16 : 64) << index};
    unit.width = network->group_width ? network->groups * network->group_width << index : unit.planes;
    for (int32_t i = 0; i < network->blocks[index]; i++) {
        snprintf(name, sizeof name, "%d", (int)i);
        resattn_layer *block = resattn_sequential_new(builder, name);
        unit.projects = i == 0;
        unit.stride = i == 0 && index > 0 ? 2 : 1;
        if (network->pre_activation)
            add_pre_activation(builder, block, &unit);
        else
            add_post_activation(builder, block, &unit);
        resattn_layer_add(blocks, block);
    }
    return blocks;
}

/* The first unit of a network with pre-activation begins with a batch norm of its own; on large images, another one
 * comes before the pooling. */
static void add_stem(resattn_builder *builder, resattn_layer *root, const resnet *network)
{
    if (network->cifar) {
        ra_append_conv(builder, root, "conv1", 16, 3, 1);
        return;
    }
    ra_append_conv(builder, root, "conv1", 64, 7, 2);
    ra_append_norm_relu(builder, root, "bn1");
    resattn_layer_add(root, resattn_max_pool_new(builder, "maxpool", 3, 2, 1));
}

static resattn_layer *build(resattn_builder *builder, const ra_model *model, const int32_t *settings, int32_t classes)
{
    (void)settings;
    const resnet *network = model->facts;
    resattn_layer *root = resattn_sequential_new(builder, NULL);
    add_stem(builder, root, network);
    for (int32_t i = 0; i < 4 && network->blocks[i] > 0; i++)
        resattn_layer_add(root, stage(builder, network, i));
    if (network->pre_activation)
        ra_append_norm_relu(builder, root, "bn");
    ra_append_classifier(builder, root, network->cifar ? "linear" : "fc", classes);
    return root;
}

static const resnet resnet_50 = {.groups = 1, .blocks = {3, 4, 6, 3}};
static const resnet resnet_101 = {.groups = 1, .blocks = {3, 4, 23, 3}};
static const resnet resnet_152 = {.groups = 1, .blocks = {3, 8, 36, 3}};
static const resnet resnet_152_v1 = {.groups = 1, .blocks = {3, 8, 36, 3}, .stride_first = true};
static const resnet resnext_101 = {.groups = 32, .group_width = 4, .blocks = {3, 4, 23, 3}};
static const resnet resnet_200 = {.groups = 1, .blocks = {3, 24, 36, 3}, .pre_activation = true};
static const resnet resnet_164_cifar = {.groups = 1, .blocks = {18, 18, 18}, .pre_activation = true, .cifar = true};

static const ra_model models[] = {
    {"resnet-50", 224, {0}, &resnet_50},
    {"resnet-101", 224, {0}, &resnet_101},
    {"resnet-152", 224, {0}, &resnet_152},
    {"resnet-152-v1", 224, {0}, &resnet_152_v1},
    {"resnext-101", 224, {0}, &resnext_101},
    {"resnet-200", 320, {0}, &resnet_200},
    {"resnet-164-cifar", 32, {0}, &resnet_164_cifar},
};

const ra_family ra_resnet_family = {.models = models, .model_count = RA_LENGTH(models), .build = build};
