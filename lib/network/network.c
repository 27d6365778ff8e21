/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Networks: made of a builder's tree, with memory for the parameters.
 */
#include "network/constants.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layers/kinds.h"
#include "network/names.h"

/* ---- making ---- */

static bool name_param(const resattn_layer *layer, ra_param *param)
{
    size_t size = strlen(layer->path) + strlen(param->suffix) + 2;
    param->name = ra_alloc(layer->context, size, 1);
    if (param->name)
        snprintf(param->name, size, "%s.%s", layer->path, param->suffix);
    return param->name != NULL;
}

/* Lists the parameters and attention modules; the sum of the padded elements, or -1 with the error recorded. */
static int64_t list_params(resattn_network *network)
{
    int64_t elements = 0;
    int32_t capacity = 0, attention_capacity = 0;
    resattn_context *context = network->context;
    for (resattn_layer *layer = network->root; layer; layer = ra_layer_next(network->root, layer)) {
        if (layer->kind == &ra_kind_attention) {
            if (!ra_grow(context, (void **)&network->attentions, network->attention_count, &attention_capacity,
                         sizeof *network->attentions))
                return -1;
            network->attentions[network->attention_count++] = (resattn_attention *)layer;
        }
        for (int32_t i = 0; i < layer->param_count; i++) {
            ra_param *param = &layer->params[i];
            if (!name_param(layer, param) || !ra_grow(context, (void **)&network->params, network->param_count, &capacity,
                                                      sizeof *network->params))
                return -1;
            param->index = network->param_count;
            network->params[network->param_count++] = param;
            if (param->elements > INT64_MAX / 8 - elements)
                return ra_fail(RESATTN_TOO_LARGE, "%s: the network's parameters do not fit a size", param->name), -1;
            elements += (int64_t)ra_line((size_t)param->elements); /* parameters begin on boundaries */
        }
    }
    return elements;
}

static int compare_param_names(const void *a, const void *b)
{
    return strcmp(((const ra_param_name *)a)->name, ((const ra_param_name *)b)->name);
}

static bool sort_param_names(resattn_network *network)
{
    size_t count = (size_t)network->param_count;
    network->param_names = ra_alloc(network->context, count, sizeof *network->param_names);
    if (!network->param_names)
        return false;
    for (size_t i = 0; i < count; i++)
        network->param_names[i] = (ra_param_name){network->params[i]->name, (int32_t)i};
    qsort(network->param_names, count, sizeof *network->param_names, compare_param_names);
    return true;
}

int32_t ra_network_find(const resattn_network *network, const char *name)
{
    ra_param_name wanted = {.name = name};
    const ra_param_name *found = bsearch(&wanted, network->param_names, (size_t)network->param_count,
                                         sizeof *network->param_names, compare_param_names);
    return found ? found->index : -1;
}

static void place_params(resattn_network *network, float *memory, bool gradients)
{
    for (int32_t i = 0; i < network->param_count; i++) {
        ra_param *param = network->params[i];
        if (gradients && !param->trained)
            continue;
        resattn_tensor *tensor = gradients ? &param->gradient_tensor : &param->value_tensor;
        ra_tensor_embed(tensor, param->rank, param->shape, RESATTN_CHANNELS_LAST, memory);
        tensor->context = network->context;
        tensor->owner = &network->tensors;
        if (gradients) {
            param->gradient = memory;
        } else {
            param->value = memory;
            tensor->version = &network->version;
        }
        memory += ra_line((size_t)param->elements);
    }
}

/* All that can fail, while the layers still belong to the builder. */
static bool set_up(resattn_network *network)
{
    int32_t layer_count = 0;
    if (!ra_name_layers(network->root) || !ra_infer(network->root, network->in_c))
        return false;
    for (resattn_layer *layer = network->root; layer; layer = ra_layer_next(network->root, layer))
        layer_count++;
    if (!ra_names_differ(network->root, layer_count))
        return false;
    network->padded = list_params(network);
    if (network->padded < 0 || !sort_param_names(network))
        return false;
    network->mean = ra_alloc(network->context, (size_t)network->in_c, sizeof(float));
    network->deviation = ra_alloc(network->context, (size_t)network->in_c, sizeof(float));
    if (!network->mean || !network->deviation)
        return false;
    for (int32_t i = 0; i < network->in_c; i++)
        network->deviation[i] = 1.0f;
    return true;
}

static void take_layer(resattn_network *network, resattn_layer *layer)
{
    if (layer->previous)
        layer->previous->next = layer->next;
    else
        layer->builder->layers = layer->next;
    if (layer->next)
        layer->next->previous = layer->previous;
    layer->builder = NULL;
    layer->previous = NULL;
    layer->next = network->layers;
    if (layer->next)
        layer->next->previous = layer;
    network->layers = layer;
}

static void free_network(resattn_network *network)
{
    resattn_context *context = network->context;
    ra_constants_unref(network->kept);
    while (network->layers) {
        resattn_layer *layer = network->layers;
        network->layers = layer->next;
        ra_layer_free(layer);
    }
    ra_metadata_free(network);
    ra_free(context, network->params);
    ra_free(context, network->param_names);
    ra_free(context, network->attentions);
    ra_free(context, network->values);
    ra_free(context, network->gradients);
    ra_free(context, network->mean);
    ra_free(context, network->deviation);
    pthread_mutex_destroy(&network->lock);
    ra_free(context, network);
    resattn_context_unref(context);
}

static bool can_be_root(const resattn_builder *builder, const resattn_layer *root, int32_t in_channels)
{
    resattn_status status = RESATTN_INVALID_ARGUMENT;
    if (!builder)
        ra_fail(status, "network: the builder is NULL");
    else if (builder->status != RESATTN_OK)
        ra_fail(builder->status, "%s", builder->error);
    else if (!root)
        ra_fail(status, "network: the root is NULL");
    else if (root->builder != builder)
        ra_fail(status, "network: %s is of another builder or a network", ra_layer_label(root));
    else if (root->parent)
        ra_fail(status, "network: %s is inside of %s", ra_layer_label(root), ra_layer_label(root->parent));
    else if (in_channels < 1 || in_channels > RA_MAX_DIM)
        ra_fail(status, "network: %d input channels, expected 1 to %d", in_channels, RA_MAX_DIM);
    else
        return true;
    return false;
}

static void ref_network(void *network) { resattn_network_ref(network); }

static void unref_network(void *network) { resattn_network_unref(network); }

bool ra_network_add_values(resattn_network *network)
{
    network->values = ra_alloc(network->context, (size_t)network->padded, sizeof(float));
    if (network->values)
        place_params(network, network->values, false);
    return network->values != NULL;
}

static resattn_network *make(resattn_builder *builder, resattn_layer *root, int32_t in_channels, bool values)
{
    if (!can_be_root(builder, root, in_channels))
        return NULL;
    resattn_network *network = ra_alloc(builder->context, 1, sizeof *network);
    if (!network)
        return NULL;
    if (pthread_mutex_init(&network->lock, NULL) != 0) {
        ra_free(builder->context, network);
        return ra_fail_null(RESATTN_OUT_OF_MEMORY, "out of memory: the system gave no mutex");
    }
    atomic_init(&network->references, 1);
    atomic_init(&network->version, 1);
    network->context = resattn_context_ref(builder->context);
    network->root = root;
    network->in_c = in_channels;
    network->storage = RESATTN_F32;
    network->tensors = (ra_tensor_owner){.object = network, .ref = ref_network, .unref = unref_network};
    if (!set_up(network) || (values && !ra_network_add_values(network))) {
        ra_unname_layers(root);
        free_network(network);
        return NULL;
    }
    for (resattn_layer *layer = root; layer; layer = ra_layer_next(root, layer))
        take_layer(network, layer);
    return network;
}

resattn_network *resattn_network_new_zeroed(resattn_builder *builder, resattn_layer *root, int32_t in_channels)
{
    return make(builder, root, in_channels, true);
}

resattn_network *ra_network_new_empty(resattn_builder *builder, resattn_layer *root, int32_t in_channels)
{
    return make(builder, root, in_channels, false);
}

resattn_network *resattn_network_new(resattn_builder *builder, resattn_layer *root, int32_t in_channels)
{
    resattn_network *network = resattn_network_new_zeroed(builder, root, in_channels);
    if (network)
        resattn_network_initialize(network, network->context->seed);
    return network;
}

resattn_network *resattn_network_ref(resattn_network *network)
{
    if (network)
        atomic_fetch_add_explicit(&network->references, 1, memory_order_relaxed);
    return network;
}

void resattn_network_unref(resattn_network *network)
{
    if (network && atomic_fetch_sub_explicit(&network->references, 1, memory_order_acq_rel) == 1)
        free_network(network);
}

/* ---- initialising ---- */

/* Bilinear interpolation of each channel by itself (Long et al., CVPR 2015); the filter is in, kernel h, kernel w, out. */
static void fill_bilinear(const resattn_layer *layer, const ra_param *param)
{
    int64_t in = param->shape[0], out = param->shape[1], kh = param->shape[2], kw = param->shape[3];
    int64_t group_in = in / ra_int(layer, ra_attribute_find(layer->kind, "groups"));
    int64_t half_h = (kh + 1) / 2, half_w = (kw + 1) / 2;
    double fy = (double)half_h, cy = (2 * fy - 1 - (double)(half_h % 2)) / (2 * fy);
    double fx = (double)half_w, cx = (2 * fx - 1 - (double)(half_w % 2)) / (2 * fx);
    float *value = param->value;
    for (int64_t i = 0; i < in; i++)
        for (int64_t y = 0; y < kh; y++)
            for (int64_t x = 0; x < kw; x++)
                for (int64_t o = 0; o < out; o++)
                    *value++ = i % group_in == o
                                   ? (float)((1 - fabs((double)y / fy - cy)) * (1 - fabs((double)x / fx - cx)))
                                   : 0.0f;
}

static void fill_normal(const ra_param *param, uint64_t seed, double gain)
{
    uint64_t key = ra_random_bits(ra_hash_text(param->name), seed);
    double deviation = sqrt(gain / (double)param->fan_in);
    for (int64_t i = 0; i < param->elements; i++)
        param->value[i] = (float)(deviation * ra_random_normal(key, (uint64_t)i));
}

static void fill_param(const resattn_layer *layer, const ra_param *param, uint64_t seed)
{
    switch (param->init) {
    case RA_INIT_HE:
        fill_normal(param, seed, 2);
        break;
    case RA_INIT_LINEAR:
        fill_normal(param, seed, 1);
        break;
    case RA_INIT_BILINEAR:
        fill_bilinear(layer, param);
        break;
    case RA_INIT_ZERO:
    case RA_INIT_ONE:
        for (int64_t i = 0; i < param->elements; i++)
            param->value[i] = param->init == RA_INIT_ONE ? 1.0f : 0.0f;
        break;
    }
}

resattn_status resattn_network_initialize(resattn_network *network, uint64_t seed)
{
    if (!network)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "initialize: the network is NULL");
    if (!ra_network_take(network, "initialising"))
        return resattn_last_status();
    ra_fpmode mode;
    ra_fpmode_enter(&mode);
    for (resattn_layer *layer = network->root; layer; layer = ra_layer_next(network->root, layer))
        for (int32_t i = 0; i < layer->param_count; i++)
            fill_param(layer, &layer->params[i], seed);
    ra_fpmode_leave(&mode);
    atomic_fetch_add(&network->version, 1);
    ra_network_give(network);
    return RESATTN_OK;
}

resattn_status ra_network_need_gradients(resattn_network *network)
{
    if (network->gradients)
        return RESATTN_OK;
    int64_t elements = 0;
    for (int32_t i = 0; i < network->param_count; i++)
        elements += network->params[i]->trained ? (int64_t)ra_line((size_t)network->params[i]->elements) : 0;
    network->gradients = ra_alloc(network->context, (size_t)elements, sizeof(float));
    if (!network->gradients)
        return resattn_last_status();
    place_params(network, network->gradients, true);
    return RESATTN_OK;
}

/* ---- who may use the parameters ---- */

bool ra_network_share(resattn_network *network, const char *what)
{
    int users = atomic_load(&network->users);
    do {
        if (users < 0) {
            ra_fail(RESATTN_BUSY, "%s: the network is being trained by another call", what);
            return false;
        }
    } while (!atomic_compare_exchange_weak(&network->users, &users, users + 1));
    return true;
}

bool ra_network_has_values(const resattn_network *network, const char *what)
{
    if (!atomic_load(&network->sealed))
        return true;
    ra_fail(RESATTN_WRONG_STATE, "%s: the network is sealed, its parameters are gone", what);
    return false;
}

bool ra_network_read(resattn_network *network, const char *what)
{
    if (!ra_network_share(network, what))
        return false;
    if (ra_network_has_values(network, what))
        return true;
    ra_network_unshare(network);
    return false;
}

void ra_network_unshare(resattn_network *network) { atomic_fetch_sub(&network->users, 1); }

bool ra_network_take(resattn_network *network, const char *what)
{
    int users = 0;
    if (atomic_compare_exchange_strong(&network->users, &users, -1)) {
        if (ra_network_has_values(network, what))
            return true;
        ra_network_give(network);
        return false;
    }
    if (users < 0)
        ra_fail(RESATTN_BUSY, "%s: the network is being trained by another call", what);
    else
        ra_fail(RESATTN_BUSY, "%s needs the network alone: it is in use by %d other calls", what, users);
    return false;
}

void ra_network_give(resattn_network *network) { atomic_store(&network->users, 0); }
