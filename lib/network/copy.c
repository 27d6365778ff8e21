/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Copies of networks.
 */
#include <string.h>

#include "network/network.h"

/* What an instance is saved as: counted without memory for it, then kept. */
typedef struct kept {
    unsigned char *bytes;
    size_t size, capacity;
} kept;

static int32_t keep(void *user, const void *bytes, size_t size)
{
    kept *k = user;
    if (k->bytes && size > k->capacity - k->size)
        return 1;
    if (k->bytes && size > 0)
        memcpy(k->bytes + k->size, bytes, size);
    k->size += size;
    return 0;
}

/* An instance of the host's own goes through the bytes that a blob would keep. */
static bool copy_instance(resattn_layer *copy, const resattn_layer *layer)
{
    const ra_layer_kind *kind = layer->kind;
    kept counted = {0}, k = {0};
    if (!kind->save)
        return true;
    bool copied = kind->save(layer, keep, &counted);
    if (copied && !(k.bytes = ra_alloc_raw(layer->context, counted.size, 1)))
        return false;
    k.capacity = counted.size;
    copied = copied && kind->save(layer, keep, &k) && kind->load(copy, k.bytes, k.size);
    if (!copied)
        ra_fail_within(ra_layer_label(layer));
    ra_free(layer->context, k.bytes);
    return copied;
}

/* The layer with all that is inside of it, to as many levels as a tree may have. NULL with the error recorded. */
static resattn_layer *copy_layer(resattn_builder *builder, const resattn_layer *layer)
{
    resattn_layer *copy = ra_layer_new(builder, layer->kind, layer->absolute ? NULL : layer->name);
    if (!copy || (layer->absolute && resattn_layer_set_path(copy, layer->name) != RESATTN_OK))
        return NULL;
    memcpy(copy->attributes, layer->attributes, sizeof copy->attributes);
    if (!copy_instance(copy, layer))
        return NULL;
    for (int32_t i = 0; i < layer->child_count; i++) {
        resattn_layer *child = copy_layer(builder, layer->children[i]);
        if (!child || ra_layer_adopt(copy, child) != RESATTN_OK)
            return NULL;
    }
    return copy;
}

static resattn_network *copy_tree(const resattn_network *network)
{
    resattn_builder *builder = resattn_builder_new(network->context);
    resattn_layer *root = builder ? copy_layer(builder, network->root) : NULL;
    resattn_network *copy = root ? resattn_network_new_zeroed(builder, root, network->in_c) : NULL;
    resattn_builder_free(builder);
    return copy;
}

static bool copy_metadata(const resattn_network *network, resattn_network *copy)
{
    if (resattn_network_set_classes(copy, (const char *const *)network->classes, network->class_count) != RESATTN_OK)
        return false;
    for (int32_t i = 0; i < network->text_count; i++)
        if (resattn_network_set_text(copy, network->texts[i].key, network->texts[i].value) != RESATTN_OK)
            return false;
    memcpy(copy->mean, network->mean, (size_t)network->in_c * sizeof *network->mean);
    memcpy(copy->deviation, network->deviation, (size_t)network->in_c * sizeof *network->deviation);
    copy->input_h = network->input_h;
    copy->input_w = network->input_w;
    copy->storage = network->storage;
    return true;
}

resattn_network *resattn_network_copy(resattn_network *network)
{
    if (!network)
        return ra_fail_null(RESATTN_INVALID_ARGUMENT, "copy: the network is NULL");
    if (!ra_network_read(network, "copying"))
        return NULL;
    resattn_network *copy = copy_tree(network);
    bool whole = copy && copy_metadata(network, copy);
    for (int32_t i = 0; whole && i < network->param_count; i++)
        memcpy(copy->params[i]->value, network->params[i]->value, (size_t)network->params[i]->elements * sizeof(float));
    ra_network_unshare(network);
    if (whole)
        return copy;
    resattn_network_unref(copy);
    return NULL;
}
