/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reading a network: its tree, attention modules and parameters.
 */
#include <string.h>

#include "network/network.h"

resattn_context *resattn_network_context(const resattn_network *network) { return network ? network->context : NULL; }

resattn_layer *resattn_network_root(const resattn_network *network) { return network ? network->root : NULL; }

int32_t resattn_network_in_channels(const resattn_network *network) { return network ? network->in_c : 0; }

int32_t resattn_network_out_channels(const resattn_network *network) { return network ? network->root->out_c : 0; }

resattn_layer *resattn_network_layer(const resattn_network *network, const char *path)
{
    if (!network || !path)
        return ra_fail_null(RESATTN_INVALID_ARGUMENT, "layer: the %s is NULL", network ? "path" : "network");
    for (resattn_layer *layer = network->root; layer; layer = ra_layer_next(network->root, layer))
        if ((layer->name || layer->kind->max_children == 0) && !strcmp(layer->path, path))
            return layer;
    return ra_fail_null(RESATTN_NOT_FOUND, "%.200s: the network has no layer of this name", path);
}

int32_t resattn_network_attention_count(const resattn_network *network) { return network ? network->attention_count : 0; }

resattn_attention *resattn_network_attention(const resattn_network *network, int32_t index)
{
    return index >= 0 && index < resattn_network_attention_count(network) ? network->attentions[index] : NULL;
}

int32_t resattn_network_parameter_count(const resattn_network *network) { return network ? network->param_count : 0; }

static ra_param *param_at(const resattn_network *network, int32_t index)
{
    if (network && index >= 0 && index < network->param_count)
        return network->params[index];
    if (!network)
        return ra_fail_null(RESATTN_INVALID_ARGUMENT, "parameter: the network is NULL");
    return ra_fail_null(RESATTN_INVALID_ARGUMENT, "parameter %d, expected 0 to %d", index, network->param_count - 1);
}

const char *resattn_network_parameter_name(const resattn_network *network, int32_t index)
{
    const ra_param *param = param_at(network, index);
    return param ? param->name : NULL;
}

resattn_parameter_kind resattn_network_parameter_kind(const resattn_network *network, int32_t index)
{
    const ra_param *param = param_at(network, index);
    if (!param)
        return RESATTN_PARAMETER_NONE;
    return param->trained ? RESATTN_PARAMETER_TRAINABLE : RESATTN_PARAMETER_STATISTIC;
}

int32_t resattn_network_find_parameter(const resattn_network *network, const char *name)
{
    if (!network || !name)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "find parameter: the %s is NULL", network ? "name" : "network"), -1;
    int32_t index = ra_network_find(network, name);
    if (index < 0)
        ra_fail(RESATTN_NOT_FOUND, "%.200s: the network has no parameter of this name", name);
    return index;
}

resattn_tensor *resattn_network_parameter(resattn_network *network, int32_t index)
{
    ra_param *param = param_at(network, index);
    return param && ra_network_has_values(network, param->name) ? &param->value_tensor : NULL;
}

resattn_tensor *resattn_network_parameter_gradient(resattn_network *network, int32_t index)
{
    ra_param *param = param_at(network, index);
    if (!param)
        return NULL;
    if (!param->trained)
        return ra_fail_null(RESATTN_INVALID_ARGUMENT, "%s is a statistic, it has no gradient", param->name);
    if (!ra_network_has_values(network, param->name))
        return NULL;
    if (!param->gradient)
        return ra_fail_null(RESATTN_WRONG_STATE, "%s has no gradient before a training session is made", param->name);
    return &param->gradient_tensor;
}

int64_t resattn_network_trainable_values(const resattn_network *network)
{
    int64_t total = 0;
    for (int32_t i = 0; i < resattn_network_parameter_count(network); i++)
        total += network->params[i]->trained ? network->params[i]->elements : 0;
    return total;
}

resattn_status resattn_network_touch(resattn_network *network)
{
    if (!network)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "touch: the network is NULL");
    if (!ra_network_has_values(network, "touch"))
        return resattn_last_status();
    atomic_fetch_add(&network->version, 1);
    return RESATTN_OK;
}
