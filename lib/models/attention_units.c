/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The units of residual attention networks. A pre-activated unit begins with batch norm and ReLU and leaves a raw sum,
 * a post-activated one leaves a ReLU after its sum.
 */
#include "models/attention.h"

#include <stdio.h>

/* ---- residual: a bottleneck ---- */

static void residual_branch(ra_chain *at, int32_t width, int32_t channels, int32_t stride)
{
    ra_extend_conv(at, "branch1.conv1_1x1", width, 1, 1);
    ra_extend_norm_relu(at);
    ra_extend_conv(at, "branch1.conv2_3x3", width, 3, stride);
    ra_extend_norm_relu(at);
    ra_extend_conv(at, "branch1.conv3_1x1", channels, 1, 1);
}

static int64_t residual_multiply_adds(int64_t width, int64_t channels)
{
    return 2 * channels * width + 9 * width * width;
}

/* ---- ResNeXt: a bottleneck of twice the width, in 32 groups ---- */

enum { GROUPS = 32 };

static void resnext_branch(ra_chain *at, int32_t width, int32_t channels, int32_t stride)
{
    ra_extend_conv(at, "branch1.conv1_1x1", 2 * width, 1, 1);
    ra_extend_norm_relu(at);
    resattn_layer *grouped = resattn_conv2d_new(at->builder, "branch1.conv2_3x3", 2 * width, 3, stride, 1);
    resattn_layer_set_int(grouped, "groups", GROUPS);
    ra_extend(at, grouped, "branch1.conv2_3x3");
    ra_extend_norm_relu(at);
    ra_extend_conv(at, "branch1.conv3_1x1", channels, 1, 1);
    ra_extend_norm(at);
}

static int64_t resnext_multiply_adds(int64_t width, int64_t channels)
{
    return 4 * channels * width + 36 * width * width / GROUPS;
}

/* ---- Inception: three branches ---- */

/* A 1x1 convolution to `reduced` channels, then `count` of 3x3 to `width`. The first of those has the stride, if there
 * is one. */
static resattn_layer *inception_path(const ra_chain *from, char letter, int32_t reduced, int32_t width, int32_t count,
                                     int32_t stride)
{
    char name[32];
    ra_chain path = ra_fork_into(from, "branch1");
    snprintf(name, sizeof name, "%c.conv1_1x1", letter);
    ra_extend_conv(&path, name, reduced, 1, count > 0 ? 1 : stride);
    for (int32_t i = 1; i <= count; i++) {
        snprintf(name, sizeof name, "%c.conv%d_3x3", letter, (int)i + 1);
        ra_extend_norm_relu(&path);
        ra_extend_conv(&path, name, width, 3, i == 1 ? stride : 1);
    }
    return path.layers;
}

static void inception_branch(ra_chain *at, int32_t width, int32_t channels, int32_t stride)
{
    int32_t half = width / 2;
    resattn_layer *concat = resattn_concat_new(at->builder, "branch1");
    resattn_layer_add(concat, inception_path(at, 'a', half, half, 0, stride));
    resattn_layer_add(concat, inception_path(at, 'b', half, half, 1, stride));
    resattn_layer_add(concat, inception_path(at, 'c', width / 16 * 5, half, 2, stride));
    ra_extend(at, concat, "branch1");
    ra_extend_norm_relu(at);
    ra_extend_conv(at, "branch1.conv_1x1", channels, 1, 1);
}

static int64_t inception_multiply_adds(int64_t width, int64_t channels)
{
    int64_t half = width / 2, reduced = width / 16 * 5;
    int64_t reductions = channels * (half + half + reduced), spatial = 9 * (half * half + reduced * half + half * half);
    return reductions + spatial + 3 * half * channels;
}

/* ---- all kinds ---- */

const ra_unit_kind *ra_unit_kind_of(const ra_design *design)
{
    static const ra_unit_kind kinds[] = {
        [RESATTN_UNIT_RESIDUAL] = {false, 1, "down_sample", "up_sample", residual_branch, residual_multiply_adds},
        [RESATTN_UNIT_RESNEXT] = {true, 16, "down", "up", resnext_branch, resnext_multiply_adds},
        [RESATTN_UNIT_INCEPTION] = {false, 16, "down_sample", "up_sample", inception_branch, inception_multiply_adds},
    };
    return &kinds[design->unit];
}

void ra_extend_unit(ra_chain *at, const ra_unit_kind *kind, const char *name, int32_t width, int32_t channels)
{
    ra_chain branch = ra_fork_into(at, name);
    if (!kind->post_activation)
        ra_extend_norm_relu(&branch);
    kind->extend_branch(&branch, width, channels, 1);
    ra_extend(at, resattn_residual_new(at->builder, name, branch.layers, NULL), name);
    if (kind->post_activation)
        ra_extend_relu(at);
}

/* Pre-activated, branch and projection share one batch norm and ReLU of the input; otherwise the projection has a batch
 * norm. */
void ra_extend_projection_unit(ra_chain *at, const ra_unit_kind *kind, const char *name, int32_t width,
                               int32_t channels, int32_t stride)
{
    ra_chain unit = ra_fork(at, name);
    if (!kind->post_activation)
        ra_extend_norm_relu(&unit);
    ra_chain branch = ra_fork(&unit, NULL), projection = ra_fork(&unit, NULL);
    kind->extend_branch(&branch, width, channels, stride);
    ra_extend_conv(&projection, "branch2.conv1_1x1", channels, 1, stride);
    if (kind->post_activation)
        ra_extend_norm(&projection);
    ra_extend(&unit, resattn_residual_new(at->builder, NULL, branch.layers, projection.layers), NULL);
    if (kind->post_activation)
        ra_extend_relu(&unit);
    ra_extend(at, unit.layers, name);
}
