/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sequentials that are being written and know the path of the value at their end: the authors of residual attention
 * networks call a batch norm after the value that it reads, wherever it stands ("pre_res_1.bn" is the first layer of
 * the unit that follows pre_res_1).
 */
#ifndef RA_CHAIN_H
#define RA_CHAIN_H

#include "resattn/layer.h"

#define RA_PATH_SIZE 128

typedef struct ra_chain {
    resattn_builder *builder;
    resattn_layer *layers;
    char scope[RA_PATH_SIZE]; /* the path of the containers around its layers */
    char value[RA_PATH_SIZE]; /* the path of the value at its end */
} ra_chain;

/* target = scope.name; a scope of "" and a name of NULL add nothing. What does not fit becomes "", which no builder
 * accepts. */
void ra_join(char *target, const char *scope, const char *name);

/* A new chain that starts with the value at the end of `from`, a container called `name`. */
ra_chain ra_fork(const ra_chain *from, const char *name);

/* The same, to be put inside a container called `name`. */
ra_chain ra_fork_into(const ra_chain *from, const char *name);

/* Appends a layer whose output is called `name`; without a name, it has that of the container around it. */
void ra_extend(ra_chain *at, resattn_layer *layer, const char *name);

/* Appends a convolution that keeps the size, but for the stride. */
void ra_extend_conv(ra_chain *at, const char *name, int32_t channels, int32_t kernel, int32_t stride);

/* Appends a batch norm called value.bn; a ReLU too; a ReLU called value.relu. */
void ra_extend_norm(ra_chain *at);
void ra_extend_norm_relu(ra_chain *at);
void ra_extend_relu(ra_chain *at);

#endif
