/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The reference: every layer as plain loops in double precision over N, C, H, W, forward and backward, for any tree
 * that the public functions can read. It shares no code with the library.
 *
 * Beside each value it keeps a magnitude: the sum of the absolute values of the terms that the value is the sum of. A
 * computation in single precision that adds `length` terms, in any order, is within (length + a few) * 2^-24 *
 * magnitude.
 */
#ifndef TEST_REFERENCE_H
#define TEST_REFERENCE_H

#include <stdbool.h>

#include "resattn/resattn.h"

typedef struct ref_image {
    int32_t n, c, h, w;
    double length; /* how many terms a value is the sum of, at most */
    double *value, *magnitude;
} ref_image;

/* Zeros. */
ref_image ref_image_new(int32_t n, int32_t c, int32_t h, int32_t w);
ref_image ref_image_copy(const ref_image *image);
void ref_image_free(ref_image *image);
int64_t ref_image_count(const ref_image *image);

typedef struct ref_param {
    int32_t index; /* in the network, -1: the layer has no such parameter */
    int64_t count;
    double length;                        /* of the gradient */
    double *value, *gradient, *magnitude; /* the magnitude of the gradient */
} ref_param;

enum { REF_WEIGHT, REF_BIAS, REF_MEAN, REF_VARIANCE, REF_PARAMS };

typedef struct ref_node ref_node;
struct ref_node {
    const resattn_layer *layer; /* NULL: the activation of a mask, which is no layer */
    const char *kind;
    ref_node **children;
    int32_t child_count; /* attention: trunk, mask, and the activations of the mask */
    ref_param params[REF_PARAMS];
    bool training;
    int32_t target_h, target_w; /* the size asked for by a down_up, 0 if none */
    ref_image in, out, dout, din;
    ref_image wanted; /* a gradient given to this node's output by name; value NULL: none */
    int64_t *winners; /* maximum pool: which input each output is */
    double *kept;     /* dropout: 0 or 1 for each element, set by the test; NULL: all are kept */
    double margin;    /* how far the inputs are from where the derivative jumps */
};

/* Reads the tree and the parameters of a network. */
ref_node *ref_new(resattn_network *network);
void ref_free(ref_node *root);

/* Reads the parameters again. */
void ref_load(ref_node *root, resattn_network *network);

/* Sets all gradients of parameters to 0: backward adds to them. */
void ref_clear_gradients(ref_node *root);

/* The result is in root->out; training updates the running statistics. */
void ref_forward(ref_node *root, const ref_image *in, bool training);

/* The results are in root->din and in the gradients of the parameters. */
void ref_backward(ref_node *root, const ref_image *dout);

/* The node whose output the library calls `name`; NULL if there is none. */
ref_node *ref_find(ref_node *root, const char *name);

/* The smallest margin of the tree in the last forward pass. */
double ref_margin(const ref_node *root);

/* Calls `visit` for each parameter of the tree. */
void ref_each_param(ref_node *root, void (*visit)(void *user, ref_param *param), void *user);

/* An attribute of the node, and what it is for a node that is no layer. */
int32_t ref_int(const ref_node *node, const char *attribute);
double ref_real(const ref_node *node, const char *attribute, double otherwise);

/* The leaves (reference_leaves.c). Forward makes node->out from node->in; backward fills node->din (zeros before) and
 * the gradients from node->dout. False for a kind that is no leaf. */
bool ref_leaf_forward(ref_node *node);
bool ref_leaf_backward(ref_node *node);
void ref_batch_norm(ref_node *node, bool back);
void ref_channel_norm(ref_node *node, bool back);
void ref_instance_norm(ref_node *node, bool back);
void ref_softmax(ref_node *node, bool back);

/* For leaves: adds a term; says how many terms values and gradients are the sum of. */
void ref_add(ref_image *image, int64_t index, double value, double magnitude);
void ref_add_gradient(ref_param *param, int64_t index, double value, double magnitude);
void ref_set_lengths(ref_node *node, bool back, double terms, double back_terms);

#endif
