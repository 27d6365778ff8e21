/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ResNets of basic blocks for images of 32x32 (He et al., CVPR 2016, section 4.2): three stages of 16, 32 and 64
 * channels, 6 n + 2 layers. ResNet-164, which has bottlenecks, is in resnet.c.
 */
#include "models/models.h"

#include <stdio.h>

enum { SHORTCUT, SETTINGS };

static const ra_setting settings[SETTINGS] = {
    [SHORTCUT] = {"shortcut", RESATTN_SHORTCUT_SUBSAMPLE, RESATTN_SHORTCUT_PROJECTION},
};

/* Where the map gets smaller and the channels more. */
static resattn_layer *shortcut(resattn_builder *builder, int32_t kind, int32_t channels)
{
    if (kind == RESATTN_SHORTCUT_SUBSAMPLE)
        return resattn_subsample_new(builder, "shortcut", channels, 2);
    resattn_layer *projection = resattn_sequential_new(builder, "shortcut");
    ra_append_conv(builder, projection, "0", channels, 1, 2);
    resattn_layer_add(projection, resattn_batch_norm_new(builder, "1"));
    return projection;
}

static void add_block(resattn_builder *builder, resattn_layer *at, int32_t kind, int32_t channels, int32_t stride)
{
    resattn_layer *branch = resattn_sequential_new(builder, NULL);
    ra_append_conv(builder, branch, "conv1", channels, 3, stride);
    ra_append_norm_relu(builder, branch, "bn1");
    ra_append_conv(builder, branch, "conv2", channels, 3, 1);
    resattn_layer_add(branch, resattn_batch_norm_new(builder, "bn2"));
    resattn_layer *around = stride > 1 ? shortcut(builder, kind, channels) : NULL;
    resattn_layer_add(at, resattn_residual_new(builder, NULL, branch, around));
    resattn_layer_add(at, resattn_relu_new(builder, NULL));
}

static resattn_layer *build(resattn_builder *builder, const ra_model *model, const int32_t *values, int32_t classes)
{
    int32_t blocks = *(const int32_t *)model->facts;
    char name[24];
    resattn_layer *root = resattn_sequential_new(builder, NULL);
    ra_append_conv(builder, root, "conv1", 16, 3, 1);
    ra_append_norm_relu(builder, root, "bn1");
    for (int32_t stage = 0; stage < 3; stage++) {
        snprintf(name, sizeof name, "layer%d", (int)stage + 1);
        resattn_layer *layer = resattn_sequential_new(builder, name);
        for (int32_t i = 0; i < blocks; i++) {
            snprintf(name, sizeof name, "%d", (int)i);
            resattn_layer *block = resattn_sequential_new(builder, name);
            add_block(builder, block, values[SHORTCUT], 16 << stage, stage > 0 && i == 0 ? 2 : 1);
            resattn_layer_add(layer, block);
        }
        resattn_layer_add(root, layer);
    }
    ra_append_classifier(builder, root, "linear", classes);
    return root;
}

/* Blocks of a stage. */
static const int32_t blocks_20 = 3, blocks_32 = 5, blocks_44 = 7, blocks_56 = 9, blocks_110 = 18;

static const ra_model models[] = {
    {"resnet-20-cifar", 32, {[SHORTCUT] = RESATTN_SHORTCUT_SUBSAMPLE}, &blocks_20},
    {"resnet-32-cifar", 32, {[SHORTCUT] = RESATTN_SHORTCUT_SUBSAMPLE}, &blocks_32},
    {"resnet-44-cifar", 32, {[SHORTCUT] = RESATTN_SHORTCUT_SUBSAMPLE}, &blocks_44},
    {"resnet-56-cifar", 32, {[SHORTCUT] = RESATTN_SHORTCUT_SUBSAMPLE}, &blocks_56},
    {"resnet-110-cifar", 32, {[SHORTCUT] = RESATTN_SHORTCUT_SUBSAMPLE}, &blocks_110},
};

const ra_family ra_cifar_resnet_family = {.models = models,
                                          .model_count = RA_LENGTH(models),
                                          .settings = settings,
                                          .setting_count = SETTINGS,
                                          .build = build};
