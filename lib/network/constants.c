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
    size_t weights, biases; /* floats of each, a whole number of cache lines */
    float *weight, *bias;
} constant;

/* One piece of memory holds all constants that one session was the first to need: nothing is left between them. */
typedef struct block {
    struct block *next;
    float *floats;
} block;

struct ra_constants {
    int32_t references; /* under the network's lock */
    resattn_network *network; /* borrowed: every session holds a share */
    unsigned version;
    constant *items;
    int32_t count, capacity;
    block *blocks;
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
    while (constants->blocks) {
        block *first = constants->blocks;
        constants->blocks = first->next;
        ra_free(network->context, first->floats);
        ra_free(network->context, first);
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

/* Declared first, in every kind of layer but the host's own. */
static const ra_param *weight_of(const resattn_layer *layer) { return &layer->params[0]; }

/* A batch norm with fixed statistics is x * scale + shift. */
typedef struct affine {
    const float *weight, *bias, *mean, *variance;
    double epsilon;
} affine;

static affine affine_of(const resattn_layer *norm)
{
    const ra_param *own = norm->params; /* in the order of batch_norm.c */
    return (affine){own[0].value, own[1].value, own[2].value, own[3].value,
                    ra_real(norm, ra_attribute_find(norm->kind, "epsilon"))};
}

static double scale_of(const affine *norm, int64_t channel)
{
    return (double)norm->weight[channel] / sqrt((double)norm->variance[channel] + norm->epsilon);
}

static double shift_of(const affine *norm, int64_t channel, double before)
{
    return (before - (double)norm->mean[channel]) * scale_of(norm, channel) + (double)norm->bias[channel];
}

/* ---- what a constant takes, and its values ---- */

static bool is_norm(const constant *item) { return item->layer->kind->op->flags & RA_IS_BATCH_NORM; }

static bool is_custom(const constant *item) { return item->layer->kind->op->flags & RA_IS_CUSTOM; }

static size_t all_floats(const resattn_layer *layer)
{
    size_t floats = 0;
    for (int32_t i = 0; i < layer->param_count; i++)
        floats += ra_line((size_t)layer->params[i].elements);
    return floats;
}

/* op: one that reads it; not looked at for batch norms. The network holds the parameters, so their sizes fit. */
static bool measure(constant *item, const ra_op *op)
{
    size_t channels = (size_t)item->layer->out_c;
    if (is_norm(item)) {
        item->weights = item->biases = ra_line(channels);
        return true;
    }
    if (is_custom(item)) {
        item->weights = all_floats(item->layer);
        return true;
    }
    item->weights = (size_t)weight_of(item->layer)->elements;
    item->biases = item->norm || param(item->layer, "bias") ? ra_line(channels) : 0;
    if (op->packed) {
        ra_conv conv = op->kind->convolution(op);
        if (!ra_conv_packed_floats(&conv, op->form, &item->weights)) {
            ra_fail(RESATTN_TOO_LARGE, "%s: its packed weights do not fit a size", ra_layer_label(item->layer));
            return false;
        }
    }
    item->weights = ra_line(item->weights);
    return true;
}

static void fill_norm(const constant *item)
{
    affine norm = affine_of(item->layer);
    for (int32_t c = 0; c < item->layer->out_c; c++) {
        item->weight[c] = (float)scale_of(&norm, c);
        item->bias[c] = (float)shift_of(&norm, c, 0);
    }
}

static void fill_custom(const constant *item)
{
    float *next = item->weight;
    for (int32_t i = 0; i < item->layer->param_count; i++) {
        const ra_param *own = &item->layer->params[i];
        memcpy(next, own->value, (size_t)own->elements * sizeof(float));
        next += ra_line((size_t)own->elements);
    }
}

static void fill_bias(const constant *item)
{
    const ra_param *bias = param(item->layer, "bias");
    affine norm = item->norm ? affine_of(item->norm) : (affine){0};
    for (int32_t o = 0; item->bias && o < item->layer->out_c; o++) {
        double value = bias ? (double)bias->value[o] : 0;
        item->bias[o] = (float)(item->factor * (item->norm ? shift_of(&norm, o, value) : value));
    }
}

/* Output channel o's filter is row o of the weights, wherever there is something to fold. */
static const float *folded(const constant *item, float *scratch)
{
    const ra_param *weight = weight_of(item->layer);
    if (!item->norm && item->factor == 1)
        return weight->value;
    affine norm = item->norm ? affine_of(item->norm) : (affine){0};
    int64_t columns = weight->elements / item->layer->out_c;
    for (int32_t o = 0; o < item->layer->out_c; o++) {
        double scale = item->norm ? item->factor * scale_of(&norm, o) : item->factor;
        for (int64_t i = 0; i < columns; i++)
            scratch[o * columns + i] = (float)((double)weight->value[o * columns + i] * scale);
    }
    return scratch;
}

/* scratch: as many floats as the layer's weight has. */
static void fill(const constant *item, const ra_op *op, float *scratch)
{
    if (is_norm(item) || is_custom(item)) {
        (is_norm(item) ? fill_norm : fill_custom)(item);
        return;
    }
    const float *values = folded(item, scratch);
    fill_bias(item);
    if (op->packed) {
        ra_conv conv = op->kind->convolution(op);
        ra_conv_pack(&conv, op->form, values, item->weight);
    } else {
        memcpy(item->weight, values, (size_t)weight_of(item->layer)->elements * sizeof(float));
    }
}

/* ---- the snapshot's list ---- */

static bool is_same(const constant *a, const constant *b)
{
    return a->layer == b->layer && a->norm == b->norm && a->factor == b->factor && a->form == b->form;
}

static bool has(const ra_constants *constants, const constant *wanted)
{
    for (int32_t i = 0; i < constants->count; i++)
        if (is_same(&constants->items[i], wanted))
            return true;
    return false;
}

/* One that is there. */
static const constant *get(const ra_constants *constants, const constant *wanted)
{
    const constant *item = constants->items;
    while (!is_same(item, wanted))
        item++;
    return item;
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

/* Constants that are missing, from items[first] on, and the operations that read them. */
typedef struct filling {
    ra_constants *constants;
    int32_t first;
    const ra_op **ops;
    int32_t op_count, op_capacity;
    float *scratch; /* most floats for each worker */
    size_t most;
} filling;

static bool add(filling *f, constant item, const ra_op *op)
{
    ra_constants *constants = f->constants;
    resattn_context *context = constants->network->context;
    if (has(constants, &item))
        return true;
    if (!ra_network_has_values(constants->network, ra_layer_label(item.layer)) || !measure(&item, op) ||
        !ra_grow(context, (void **)&f->ops, f->op_count, &f->op_capacity, sizeof *f->ops) ||
        !ra_grow(context, (void **)&constants->items, constants->count, &constants->capacity, sizeof item))
        return false;
    size_t elements = is_norm(&item) || is_custom(&item) ? 0 : ra_line((size_t)weight_of(item.layer)->elements);
    f->most = elements > f->most ? elements : f->most;
    f->ops[f->op_count++] = op;
    constants->items[constants->count++] = item;
    return true;
}

static bool add_missing(filling *f, const ra_program *program)
{
    for (int32_t i = 0; i < program->node_count; i++) {
        const ra_node *node = &program->nodes[i];
        if ((has_params(node) && !add(f, constant_of(node), &node->op)) ||
            (node->second_norm && !add(f, constant_of_norm(node->second_norm), &node->op)))
            return false;
    }
    return true;
}

static bool make_room(filling *f)
{
    ra_constants *constants = f->constants;
    resattn_context *context = constants->network->context;
    size_t floats = 0;
    for (int32_t i = f->first; i < constants->count; i++)
        if (!ra_add_size(floats, constants->items[i].weights, &floats) ||
            !ra_add_size(floats, constants->items[i].biases, &floats)) {
            ra_fail(RESATTN_TOO_LARGE, "the constants do not fit a size");
            return false;
        }
    block *new = ra_alloc(context, 1, sizeof *new);
    if (!new)
        return false;
    *new = (block){constants->blocks, ra_alloc_raw(context, floats, sizeof(float))};
    if (!new->floats) {
        ra_free(context, new);
        return false;
    }
    constants->blocks = new;
    float *next = new->floats;
    for (int32_t i = f->first; i < constants->count; i++) {
        constant *item = &constants->items[i];
        item->weight = next;
        item->bias = item->biases ? next + item->weights : NULL;
        next += item->weights + item->biases;
    }
    return true;
}

static void fill_task(void *data, int32_t index, int32_t worker)
{
    const filling *f = data;
    fill(&f->constants->items[f->first + index], f->ops[index], f->scratch + (size_t)worker * f->most);
}

resattn_status ra_constants_fill(ra_constants *constants, const ra_program *program)
{
    resattn_context *context = constants->network->context;
    ra_fpmode mode;
    ra_fpmode_enter(&mode);
    pthread_mutex_lock(&constants->network->lock);
    filling f = {.constants = constants, .first = constants->count};
    bool filled = add_missing(&f, program);
    int32_t missing = constants->count - f.first;
    if (filled && missing > 0) {
        filled = make_room(&f) &&
                 (f.scratch = ra_alloc_raw(context, f.most * (size_t)ra_workers(context), sizeof(float))) != NULL;
        if (filled)
            ra_parallel(context, fill_task, &f, missing);
    }
    if (!filled)
        constants->count = f.first;
    ra_free(context, f.scratch);
    ra_free(context, f.ops);
    pthread_mutex_unlock(&constants->network->lock);
    ra_fpmode_leave(&mode);
    return filled ? RESATTN_OK : resattn_last_status();
}

ra_conv_form ra_constants_choose(void *data, const ra_node *node, const ra_conv *conv, ra_conv_mode mode)
{
    resattn_network *network = data;
    constant wanted = constant_of(node);
    ra_conv_form best = ra_conv_choose(conv, mode), form = best;
    if (!atomic_load(&network->sealed))
        return best;
    pthread_mutex_lock(&network->lock);
    for (int32_t i = 0; i <= RA_CONV_FORMS; i++) {
        wanted.form = i == 0 ? best : (ra_conv_form)(RA_CONV_FORMS - i);
        if (ra_conv_allows(mode, wanted.form) && ra_conv_takes_form(conv, wanted.form) && has(network->kept, &wanted)) {
            form = wanted.form;
            break;
        }
    }
    pthread_mutex_unlock(&network->lock);
    return form;
}

void ra_constants_bind(const ra_constants *constants, ra_program *program)
{
    pthread_mutex_lock(&constants->network->lock);
    for (int32_t i = 0; i < program->node_count; i++) {
        ra_node *node = &program->nodes[i];
        if (has_params(node)) {
            constant wanted = constant_of(node);
            const constant *item = get(constants, &wanted);
            node->op.weight = item->weight;
            node->op.bias = item->bias;
        }
        if (node->second_norm) {
            constant wanted = constant_of_norm(node->second_norm);
            const constant *item = get(constants, &wanted);
            node->op.scale = item->weight;
            node->op.shift = item->bias;
        }
    }
    pthread_mutex_unlock(&constants->network->lock);
}
