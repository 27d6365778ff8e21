/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sequentials that know the path of the value at their end.
 */
#include "models/chain.h"

#include <stdio.h>

void ra_join(char *target, const char *scope, const char *name)
{
    int length = snprintf(target, RA_PATH_SIZE, "%s%s%s", scope, *scope && name ? "." : "", name ? name : "");
    if (length < 0 || length >= RA_PATH_SIZE)
        target[0] = '\0';
}

ra_chain ra_fork(const ra_chain *from, const char *name)
{
    ra_chain fork = *from;
    fork.layers = resattn_sequential_new(from->builder, name);
    ra_join(fork.scope, from->scope, name);
    return fork;
}

ra_chain ra_fork_into(const ra_chain *from, const char *name)
{
    ra_chain fork = ra_fork(from, NULL);
    ra_join(fork.scope, from->scope, name);
    return fork;
}

void ra_extend(ra_chain *at, resattn_layer *layer, const char *name)
{
    resattn_layer_add(at->layers, layer);
    ra_join(at->value, at->scope, name);
}

void ra_extend_conv(ra_chain *at, const char *name, int32_t channels, int32_t kernel, int32_t stride)
{
    ra_extend(at, resattn_conv2d_new(at->builder, name, channels, kernel, stride, kernel / 2), name);
}

/* A layer called value.suffix: the value at the end keeps its name. */
static void append(ra_chain *at, resattn_layer *layer, const char *suffix)
{
    char path[RA_PATH_SIZE];
    ra_join(path, at->value, suffix);
    resattn_layer_set_path(layer, path);
    resattn_layer_add(at->layers, layer);
}

void ra_extend_norm(ra_chain *at)
{
    append(at, resattn_batch_norm_new(at->builder, NULL), "bn");
}

void ra_extend_norm_relu(ra_chain *at)
{
    ra_extend_norm(at);
    append(at, resattn_relu_new(at->builder, NULL), "bn.relu");
}

void ra_extend_relu(ra_chain *at)
{
    append(at, resattn_relu_new(at->builder, NULL), "relu");
}
