/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Constants of inference.
 */
#include "network/constants.h"

#include <math.h>
#include <string.h>

/* What one operation reads, for a layer with the batch norm and the factor folded into it, packed in a form. */
typedef struct constant {
    const resattn_layer *layer, *norm;
    double factor;
    ra_conv_form form;
    float *weight, *bias;
} constant;

struct ra_constants {
    int32_t references; /* under the network's lock */
    resattn_network *network; /* borrowed: every session holds a share */
    unsigned version;
    constant *items;
    int32_t count, capacity;
};

ra_constants *ra_constants_new(resattn_network *network)
{
    pthread_mutex_lock(&network->lock);
    ra_constants *constants = network->constants;
    unsigned version = atomic_load(&network->version);
    if (constants && constants->version == version) {
        constants->references++;
    } else if ((constants = ra_alloc(network->context, 1, sizeof *constants))) {
        constants->references = 1;
        constants->network = network;
        constants->version = version;
        network->constants = constants;
    }
    pthread_mutex_unlock(&network->lock);
    return constants;
}

ra_constants *ra_constants_newest(resattn_network *network)
{
    pthread_mutex_lock(&network->lock);
    ra_constants *constants = network->constants;
    if (constants && constants->version == atomic_load(&network->version))
        constants->references++;
    else
        constants = NULL;
    pthread_mutex_unlock(&network->lock);
    return constants;
}

void ra_constants_unref(ra_constants *constants)
{
    if (!constants)
        return;
    resattn_network *network = constants->network;
    pthread_mutex_lock(&network->lock);
    bool last = --constants->references == 0;
    if (last && network->constants == constants)
        network->constants = NULL;
    pthread_mutex_unlock(&network->lock);
    if (!last)
        return;
    for (int32_t i = 0; i < constants->count; i++) {
        ra_free(network->context, constants->items[i].weight);
        ra_free(network->context, constants->items[i].bias);
    }
    ra_free(network->context, constants->items);
    ra_free(network->context, constants);
}

static const ra_param *param(const resattn_layer *layer, const char *suffix)
{
    for (int32_t i = 0; i < layer->param_count; i++)
        if (!strcmp(layer->params[i].suffix, suffix))
            return &layer->params[i];
    return NULL;
}

/* A batch norm with fixed statistics is x * scale + shift. */
typedef struct affine {
    const float *weight, *bias, *mean, *variance;
    double epsilon;
} affine;

static affine affine_of(const resattn_layer *norm)
{
    return (affine){param(norm, "weight")->value, param(norm, "bias")->value, param(norm, "running_mean")->value,
                    param(norm, "running_var")->value, ra_real(norm, ra_attribute_find(norm->kind, "epsilon"))};
}

static double scale_of(const affine *norm, int64_t channel)
{
    return (double)norm->weight[channel] / sqrt((double)norm->variance[channel] + norm->epsilon);
}

static double shift_of(const affine *norm, int64_t channel, double before)
{
    return (before - (double)norm->mean[channel]) * scale_of(norm, channel) + (double)norm->bias[channel];
}

static bool copy_param(resattn_context *context, const ra_param *source, float **copy)
{
    if (!source)
        return true;
    *copy = ra_alloc_raw(context, (size_t)source->elements, sizeof(float));
    if (*copy)
        memcpy(*copy, source->value, (size_t)source->elements * sizeof(float));
    return *copy != NULL;
}

static bool fill_norm(resattn_context *context, constant *item)
{
    size_t channels = (size_t)item->layer->out_c;
    item->weight = ra_alloc_raw(context, channels, sizeof(float));
    item->bias = ra_alloc_raw(context, channels, sizeof(float));
    if (!item->weight || !item->bias)
        return false;
    affine norm = affine_of(item->layer);
    for (size_t c = 0; c < channels; c++) {
        item->weight[c] = (float)scale_of(&norm, (int64_t)c);
        item->bias[c] = (float)shift_of(&norm, (int64_t)c, 0);
    }
    return true;
}

/* Output channel o's filter is row o of the weights. */
static bool fold_norm(resattn_context *context, constant *item)
{
    int32_t rows = item->layer->out_c;
    int64_t columns = param(item->layer, "weight")->elements / rows;
    if (!item->bias && !(item->bias = ra_alloc(context, (size_t)rows, sizeof(float))))
        return false;
    affine norm = affine_of(item->norm);
    for (int32_t o = 0; o < rows; o++) {
        double scale = scale_of(&norm, o);
        for (int64_t i = 0; i < columns; i++)
            item->weight[o * columns + i] = (float)((double)item->weight[o * columns + i] * scale);
        item->bias[o] = (float)shift_of(&norm, o, (double)item->bias[o]);
    }
    return true;
}

static void scale_all(float *values, int64_t count, double factor)
{
    for (int64_t i = 0; values && i < count; i++)
        values[i] = (float)((double)values[i] * factor);
}

static bool pack(resattn_context *context, constant *item, const ra_op *op)
{
    ra_conv conv = op->kind->convolution(op);
    size_t floats;
    if (!ra_conv_packed_floats(&conv, op->form, &floats)) {
        ra_fail(RESATTN_TOO_LARGE, "%s: its packed weights do not fit a size", ra_layer_label(item->layer));
        return false;
    }
    float *packed = ra_alloc_raw(context, floats, sizeof(float));
    if (!packed)
        return false;
    ra_conv_pack(&conv, op->form, item->weight, packed);
    ra_free(context, item->weight);
    item->weight = packed;
    return true;
}

/* op NULL: a batch norm, wherever it is applied. */
static bool fill(resattn_context *context, constant *item, const ra_op *op)
{
    if (!op)
        return fill_norm(context, item);
    const ra_param *weight = param(item->layer, "weight");
    if (!copy_param(context, weight, &item->weight) ||
        !copy_param(context, param(item->layer, "bias"), &item->bias) || (item->norm && !fold_norm(context, item)))
        return false;
    if (item->factor != 1) {
        scale_all(item->weight, weight->elements, item->factor);
        scale_all(item->bias, item->layer->out_c, item->factor);
    }
    return !op->packed || pack(context, item, op);
}

static const constant *find(const ra_constants *constants, const constant *wanted)
{
    for (int32_t i = 0; i < constants->count; i++) {
        const constant *item = &constants->items[i];
        if (item->layer == wanted->layer && item->norm == wanted->norm && item->factor == wanted->factor &&
            item->form == wanted->form)
            return item;
    }
    return NULL;
}

static bool has_params(const ra_node *node)
{
    return node->op.layer->param_count > 0 && node->op.layer->kind->op == node->op.kind;
}

static constant constant_of(const ra_node *node)
{
    return (constant){.layer = node->op.layer, .norm = node->norm, .factor = node->factor, .form = node->op.form};
}

static constant constant_of_norm(const resattn_layer *norm) { return (constant){.layer = norm, .factor = 1}; }

static bool add(ra_constants *constants, constant item, const ra_op *op)
{
    resattn_context *context = constants->network->context;
    if (find(constants, &item))
        return true;
    if (!ra_network_has_values(constants->network, ra_layer_label(item.layer)))
        return false;
    if (fill(context, &item, op) &&
        ra_grow(context, (void **)&constants->items, constants->count, &constants->capacity, sizeof item)) {
        constants->items[constants->count++] = item;
        return true;
    }
    ra_free(context, item.weight);
    ra_free(context, item.bias);
    return false;
}

ra_conv_form ra_constants_choose(void *data, const ra_node *node, const ra_conv *conv, ra_conv_mode mode)
{
    resattn_network *network = data;
    constant wanted = constant_of(node);
    ra_conv_form best = ra_conv_choose(conv, mode), form = best;
    if (!atomic_load(&network->sealed))
        return best;
    pthread_mutex_lock(&network->lock);
    for (int32_t i = 0; i < RA_CONV_FORMS; i++) {
        wanted.form = i == 0 ? best : (ra_conv_form)(RA_CONV_FORMS - i);
        if (ra_conv_takes_form(conv, wanted.form) && find(network->kept, &wanted)) {
            form = wanted.form;
            break;
        }
    }
    pthread_mutex_unlock(&network->lock);
    return form;
}

resattn_status ra_constants_fill(ra_constants *constants, const ra_program *program)
{
    resattn_status status = RESATTN_OK;
    ra_fpmode mode;
    ra_fpmode_enter(&mode);
    pthread_mutex_lock(&constants->network->lock);
    for (int32_t i = 0; i < program->node_count && status == RESATTN_OK; i++) {
        const ra_node *node = &program->nodes[i];
        bool is_norm = node->op.kind->flags & RA_IS_BATCH_NORM;
        if ((has_params(node) && !add(constants, constant_of(node), is_norm ? NULL : &node->op)) ||
            (node->second_norm && !add(constants, constant_of_norm(node->second_norm), NULL)))
            status = resattn_last_status();
    }
    pthread_mutex_unlock(&constants->network->lock);
    ra_fpmode_leave(&mode);
    return status;
}

void ra_constants_bind(const ra_constants *constants, ra_program *program)
{
    pthread_mutex_lock(&constants->network->lock);
    for (int32_t i = 0; i < program->node_count; i++) {
        ra_node *node = &program->nodes[i];
        if (has_params(node)) {
            constant wanted = constant_of(node);
            const constant *item = find(constants, &wanted);
            node->op.weight = item->weight;
            node->op.bias = item->bias;
        }
        if (node->second_norm) {
            constant wanted = constant_of_norm(node->second_norm);
            const constant *item = find(constants, &wanted);
            node->op.scale = item->weight;
            node->op.shift = item->bias;
        }
    }
    pthread_mutex_unlock(&constants->network->lock);
}
