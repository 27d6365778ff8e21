/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The reference: trees and containers.
 */
#include "reference.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *zeros(int64_t count, size_t size)
{
    void *memory = calloc((size_t)count + 1, size);
    if (memory == NULL)
        abort();
    return memory;
}

int64_t ref_image_count(const ref_image *image)
{
    return (int64_t)image->n * image->c * image->h * image->w;
}

ref_image ref_image_new(int32_t n, int32_t c, int32_t h, int32_t w)
{
    ref_image image = {.n = n, .c = c, .h = h, .w = w, .length = 1};
    image.value = zeros(ref_image_count(&image), sizeof(double));
    image.magnitude = zeros(ref_image_count(&image), sizeof(double));
    return image;
}

ref_image ref_image_copy(const ref_image *image)
{
    ref_image copy = ref_image_new(image->n, image->c, image->h, image->w);
    for (int64_t i = 0; i < ref_image_count(image); i++) {
        copy.value[i] = image->value[i];
        copy.magnitude[i] = fabs(image->value[i]);
    }
    return copy;
}

void ref_image_free(ref_image *image)
{
    free(image->value);
    free(image->magnitude);
    *image = (ref_image){0};
}

static void image_add(ref_image *target, const ref_image *source)
{
    for (int64_t i = 0; i < ref_image_count(target); i++) {
        target->value[i] += source->value[i];
        target->magnitude[i] += source->magnitude[i];
    }
    target->length += source->length;
}

int32_t ref_int(const ref_node *node, const char *attribute)
{
    int64_t value = 0;
    if (resattn_layer_get_int(node->layer, attribute, &value) != RESATTN_OK) {
        fprintf(stderr, "reference: %s\n", resattn_last_error());
        abort();
    }
    return (int32_t)value;
}

double ref_real(const ref_node *node, const char *attribute, double otherwise)
{
    if (node->layer == NULL)
        return otherwise;
    double value = 0;
    if (resattn_layer_get_real(node->layer, attribute, &value) != RESATTN_OK) {
        fprintf(stderr, "reference: %s\n", resattn_last_error());
        abort();
    }
    return value;
}

/* ---- the tree ---- */

static const char *const suffixes[REF_PARAMS] = {".weight", ".bias", ".running_mean", ".running_var"};

static void find_params(ref_node *node, resattn_network *network)
{
    for (int32_t p = 0; p < REF_PARAMS; p++) {
        char name[512];
        ref_param *param = &node->params[p];
        snprintf(name, sizeof name, "%s%s", resattn_layer_path(node->layer), suffixes[p]);
        param->index = -1;
        for (int32_t i = 0; i < resattn_network_parameter_count(network); i++)
            if (strcmp(resattn_network_parameter_name(network, i), name) == 0)
                param->index = i;
        if (param->index < 0)
            continue;
        param->count = resattn_tensor_elements(resattn_network_parameter(network, param->index));
        param->value = zeros(param->count, sizeof(double));
        param->gradient = zeros(param->count, sizeof(double));
        param->magnitude = zeros(param->count, sizeof(double));
    }
}

static void add_child(ref_node *node, ref_node *child)
{
    ref_node **children = realloc(node->children, (size_t)(node->child_count + 1) * sizeof *children);
    if (children == NULL)
        abort();
    node->children = children;
    children[node->child_count++] = child;
}

static ref_node *plain_node(const char *kind)
{
    ref_node *node = zeros(1, sizeof *node);
    node->kind = kind;
    for (int32_t p = 0; p < REF_PARAMS; p++)
        node->params[p].index = -1;
    return node;
}

static ref_node *read_tree(resattn_layer *layer, resattn_network *network)
{
    ref_node *node = plain_node(resattn_layer_kind(layer));
    node->layer = layer;
    find_params(node, network);
    for (int32_t i = 0; i < resattn_layer_child_count(layer); i++)
        if (resattn_layer_child(layer, i) != NULL)
            add_child(node, read_tree(resattn_layer_child(layer, i), network));
    if (strcmp(node->kind, "attention") == 0) {
        resattn_mask_activation activation = resattn_attention_activation(resattn_layer_attention(layer));
        if (activation == RESATTN_ACTIVATION_CHANNEL)
            add_child(node, plain_node("channel_norm"));
        if (activation == RESATTN_ACTIVATION_SPATIAL)
            add_child(node, plain_node("instance_norm"));
        if (activation == RESATTN_ACTIVATION_SPATIAL || activation == RESATTN_ACTIVATION_MIXED)
            add_child(node, plain_node("sigmoid"));
    }
    return node;
}

ref_node *ref_new(resattn_network *network)
{
    ref_node *root = read_tree(resattn_network_root(network), network);
    ref_load(root, network);
    return root;
}

static void free_run(ref_node *node)
{
    ref_image_free(&node->in);
    ref_image_free(&node->out);
    ref_image_free(&node->dout);
    ref_image_free(&node->din);
    free(node->winners);
    node->winners = NULL;
}

void ref_free(ref_node *node)
{
    for (int32_t i = 0; i < node->child_count; i++)
        ref_free(node->children[i]);
    for (int32_t p = 0; p < REF_PARAMS; p++) {
        free(node->params[p].value);
        free(node->params[p].gradient);
        free(node->params[p].magnitude);
    }
    free_run(node);
    ref_image_free(&node->wanted);
    free(node->kept);
    free(node->children);
    free(node);
}

void ref_each_param(ref_node *node, void (*visit)(void *user, ref_param *param), void *user)
{
    for (int32_t p = 0; p < REF_PARAMS; p++)
        if (node->params[p].index >= 0)
            visit(user, &node->params[p]);
    for (int32_t i = 0; i < node->child_count; i++)
        ref_each_param(node->children[i], visit, user);
}

static void load_param(void *user, ref_param *param)
{
    float *buffer = zeros(param->count, sizeof *buffer);
    if (resattn_tensor_read(resattn_network_parameter(user, param->index), RESATTN_CHANNELS_FIRST, buffer,
                            param->count) != RESATTN_OK)
        abort();
    for (int64_t i = 0; i < param->count; i++)
        param->value[i] = (double)buffer[i];
    free(buffer);
}

void ref_load(ref_node *root, resattn_network *network)
{
    ref_each_param(root, load_param, network);
}

static void clear_param(void *user, ref_param *param)
{
    (void)user;
    memset(param->gradient, 0, (size_t)param->count * sizeof(double));
    memset(param->magnitude, 0, (size_t)param->count * sizeof(double));
    param->length = 0;
}

void ref_clear_gradients(ref_node *root)
{
    ref_each_param(root, clear_param, NULL);
}

static ref_node *attention_mask(const ref_node *node)
{
    return node->children[node->child_count - 1];
}

static bool same(const char *a, const char *b)
{
    return a != NULL && b != NULL && strcmp(a, b) == 0;
}

ref_node *ref_find(ref_node *node, const char *name)
{
    if (node->layer != NULL && same(resattn_layer_path(node->layer), name))
        return node;
    if (same(node->kind, "attention")) {
        resattn_attention *attention = resattn_layer_attention((resattn_layer *)(uintptr_t)node->layer);
        if (same(resattn_attention_mask_name(attention), name))
            return attention_mask(node);
        if (same(resattn_attention_trunk_name(attention), name))
            return node->children[0];
    }
    for (int32_t i = 0; i < node->child_count; i++) {
        ref_node *found = ref_find(node->children[i], name);
        if (found != NULL)
            return found;
    }
    return NULL;
}

double ref_margin(const ref_node *node)
{
    double margin = node->margin;
    for (int32_t i = 0; i < node->child_count; i++)
        margin = fmin(margin, ref_margin(node->children[i]));
    return margin;
}

/* ---- containers ---- */

static const ref_image *forward(ref_node *node, const ref_image *in, bool training, const ref_image *target)
{
    free_run(node);
    node->training = training;
    node->margin = INFINITY;
    node->target_h = target != NULL ? target->h : 0;
    node->target_w = target != NULL ? target->w : 0;
    node->in = ref_image_copy(in);
    if (ref_leaf_forward(node))
        return &node->out;
    ref_node **child = node->children;
    if (same(node->kind, "sequential") || same(node->kind, "down_up")) {
        bool up = same(node->kind, "down_up");
        const ref_image *image = in;
        for (int32_t i = 0; i < node->child_count; i++)
            image = forward(child[i], image, training, up && i == 2 ? in : NULL);
        node->out = ref_image_copy(image);
    } else if (same(node->kind, "sum") || same(node->kind, "residual")) {
        node->out = ref_image_copy(forward(child[0], in, training, NULL));
        for (int32_t i = 1; i < node->child_count; i++)
            image_add(&node->out, forward(child[i], in, training, NULL));
        if (same(node->kind, "residual") && node->child_count == 1)
            image_add(&node->out, &node->in);
    } else if (same(node->kind, "concat")) {
        int32_t channels = 0;
        for (int32_t i = 0; i < node->child_count; i++)
            channels += forward(child[i], in, training, NULL)->c;
        const ref_image *first = &child[0]->out;
        int64_t map = (int64_t)first->h * first->w;
        node->out = ref_image_new(first->n, channels, first->h, first->w);
        for (int64_t n = 0, at = 0; n < first->n; n++)
            for (int32_t i = 0; i < node->child_count; i++) {
                int64_t part = child[i]->out.c * map;
                for (int64_t j = 0; j < part; j++, at++) {
                    node->out.value[at] = child[i]->out.value[n * part + j];
                    node->out.magnitude[at] = fabs(node->out.value[at]);
                }
            }
    } else if (same(node->kind, "attention")) {
        const ref_image *trunk = forward(child[0], in, training, NULL);
        const ref_image *mask = forward(child[1], in, training, NULL);
        for (int32_t i = 2; i < node->child_count; i++)
            mask = forward(child[i], mask, training, NULL);
        double one = ref_int(node, "learning") == RESATTN_LEARNING_RESIDUAL ? 1 : 0;
        int64_t map = (int64_t)trunk->h * trunk->w;
        node->out = ref_image_new(trunk->n, trunk->c, trunk->h, trunk->w);
        for (int64_t i = 0; i < ref_image_count(trunk); i++) {
            int64_t m = mask->c == 1 ? i / map / trunk->c * map + i % map : i;
            node->out.value[i] = (one + mask->value[m]) * trunk->value[i];
            node->out.magnitude[i] = (one + fabs(mask->value[m])) * fabs(trunk->value[i]);
        }
    } else {
        fprintf(stderr, "reference: unknown kind %s\n", node->kind);
        abort();
    }
    return &node->out;
}

void ref_forward(ref_node *root, const ref_image *in, bool training)
{
    forward(root, in, training, NULL);
}

static void backward(ref_node *node, const ref_image *dout);

/* Backward through child `i`, which had the container's input; adds to the container's din. */
static void branch_backward(ref_node *node, int32_t i, const ref_image *dout)
{
    backward(node->children[i], dout);
    image_add(&node->din, &node->children[i]->din);
}

static void concat_backward(ref_node *node)
{
    int64_t map = (int64_t)node->out.h * node->out.w;
    for (int64_t i = 0, before = 0; i < node->child_count; i++) {
        const ref_image *out = &node->children[i]->out;
        ref_image part = ref_image_new(out->n, out->c, out->h, out->w);
        int64_t size = out->c * map;
        for (int64_t j = 0; j < ref_image_count(&part); j++)
            part.value[j] = node->dout.value[j / size * node->out.c * map + before + j % size];
        branch_backward(node, (int32_t)i, &part);
        ref_image_free(&part);
        before += size;
    }
}

static void attention_backward(ref_node *node)
{
    const ref_image *trunk = &node->children[0]->out, *mask = &attention_mask(node)->out;
    double one = ref_int(node, "learning") == RESATTN_LEARNING_RESIDUAL ? 1 : 0;
    int64_t map = (int64_t)trunk->h * trunk->w;
    ref_image dtrunk = ref_image_new(trunk->n, trunk->c, trunk->h, trunk->w);
    ref_image dmask = ref_image_new(mask->n, mask->c, mask->h, mask->w);
    for (int64_t i = 0; i < ref_image_count(trunk); i++) {
        int64_t m = mask->c == 1 ? i / map / trunk->c * map + i % map : i;
        dtrunk.value[i] = (one + mask->value[m]) * node->dout.value[i];
        dmask.value[m] += trunk->value[i] * node->dout.value[i];
    }
    const ref_image *gradient = &dmask;
    for (int32_t i = node->child_count - 1; i >= 2; i--) {
        backward(node->children[i], gradient);
        gradient = &node->children[i]->din;
    }
    branch_backward(node, 1, gradient);
    branch_backward(node, 0, &dtrunk);
    ref_image_free(&dtrunk);
    ref_image_free(&dmask);
}

static void backward(ref_node *node, const ref_image *dout)
{
    ref_image_free(&node->dout);
    ref_image_free(&node->din);
    node->dout = ref_image_copy(dout);
    if (node->wanted.value != NULL)
        image_add(&node->dout, &node->wanted);
    node->din = ref_image_new(node->in.n, node->in.c, node->in.h, node->in.w);
    if (ref_leaf_backward(node))
        return;
    if (same(node->kind, "sequential") || same(node->kind, "down_up")) {
        const ref_image *gradient = &node->dout;
        for (int32_t i = node->child_count - 1; i >= 0; i--) {
            backward(node->children[i], gradient);
            gradient = &node->children[i]->din;
        }
        image_add(&node->din, gradient);
    } else if (same(node->kind, "sum") || same(node->kind, "residual")) {
        for (int32_t i = 0; i < node->child_count; i++)
            branch_backward(node, i, &node->dout);
        if (same(node->kind, "residual") && node->child_count == 1)
            image_add(&node->din, &node->dout);
    } else if (same(node->kind, "concat")) {
        concat_backward(node);
    } else {
        attention_backward(node);
    }
}

void ref_backward(ref_node *root, const ref_image *dout)
{
    backward(root, dout);
}
