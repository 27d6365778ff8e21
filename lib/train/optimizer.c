/* SPDX-License-Identifier: BSD-3-Clause */
/* Optimisers: making, settings, and the step over all parameters. */
#include "train/optimizer.h"
#include "kernels/kernels.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const factor_names[RA_FACTORS] = {[RA_RATE_FACTOR] = "rate", [RA_DECAY_FACTOR] = "weight_decay"};

const ra_optimizer_kind *ra_optimizer_kind_find(const char *name)
{
    static const ra_optimizer_kind *const kinds[] = {&ra_sgd, &ra_adamw};
    for (int32_t i = 0; i < RA_COUNT(kinds); i++)
        if (strcmp(kinds[i]->name, name) == 0)
            return kinds[i];
    return NULL;
}

/* ---- making ---- */

bool ra_optimizer_check(const ra_optimizer_kind *kind, int32_t index, double value)
{
    static const char *const expected[] = {
        [RA_UP_TO] = "0 to ", [RA_BELOW] = "at least 0 and less than ", [RA_WHOLE] = "0 or "};
    const ra_setting *s = &kind->settings[index];
    if (ra_within(value, 0, s->largest) && (s->range != RA_BELOW || value != s->largest) &&
        (s->range != RA_WHOLE || value == floor(value)))
        return true;
    ra_fail(RESATTN_INVALID_ARGUMENT, "%s: %s is %g, expected %s%g", kind->name, s->name, value, expected[s->range],
            s->largest);
    return false;
}

static bool make_memory(resattn_optimizer *optimizer)
{
    resattn_network *network = optimizer->network;
    resattn_context *context = network->context;
    const ra_optimizer_kind *kind = optimizer->kind;
    size_t floats;
    optimizer->elements = resattn_network_trainable_values(network);
    optimizer->pieces = ra_pieces_new(network, false, kind->name, &optimizer->piece_count);
    if (!optimizer->pieces)
        return false;
    if (!ra_mul_size((size_t)optimizer->elements, (size_t)kind->states, &floats)) {
        ra_fail(RESATTN_TOO_LARGE, "%s: the state of %lld values does not fit in memory", kind->name,
                (long long)optimizer->elements);
        return false;
    }
    optimizer->squares = ra_alloc(context, (size_t)optimizer->piece_count, sizeof *optimizer->squares);
    optimizer->owns = ra_alloc(context, (size_t)network->param_count, sizeof *optimizer->owns);
    optimizer->states = ra_alloc(context, floats, sizeof *optimizer->states);
    return optimizer->squares && optimizer->owns && optimizer->states;
}

resattn_optimizer *ra_optimizer_new(const ra_optimizer_kind *kind, resattn_network *network, double rate)
{
    if (!network)
        return ra_fail_null(RESATTN_INVALID_ARGUMENT, "%s: network is NULL", kind->name);
    if (!ra_optimizer_check(kind, RA_RATE, rate))
        return NULL;
    resattn_optimizer *optimizer = ra_alloc(network->context, 1, sizeof *optimizer);
    if (!optimizer)
        return NULL;
    optimizer->kind = kind;
    optimizer->network = resattn_network_ref(network);
    optimizer->norm = NAN;
    for (int32_t i = 0; i < kind->setting_count; i++)
        optimizer->values[i] = kind->settings[i].initial;
    optimizer->values[RA_RATE] = rate;
    if (!make_memory(optimizer)) {
        resattn_optimizer_free(optimizer);
        return NULL;
    }
    for (int32_t i = 0; i < network->param_count; i++)
        for (int32_t factor = 0; factor < RA_FACTORS; factor++)
            optimizer->owns[i].factors[factor] = 1;
    return optimizer;
}

void resattn_optimizer_free(resattn_optimizer *optimizer)
{
    if (!optimizer)
        return;
    resattn_network *network = optimizer->network;
    ra_free(network->context, optimizer->states);
    ra_free(network->context, optimizer->owns);
    ra_free(network->context, optimizer->squares);
    ra_free(network->context, optimizer->pieces);
    ra_free(network->context, optimizer);
    resattn_network_unref(network);
}

const char *resattn_optimizer_kind(const resattn_optimizer *optimizer)
{
    return optimizer ? optimizer->kind->name : NULL;
}

resattn_network *resattn_optimizer_network(const resattn_optimizer *optimizer)
{
    return optimizer ? optimizer->network : NULL;
}

/* ---- settings ---- */

static int32_t fail_unknown(const ra_optimizer_kind *kind, const char *attribute)
{
    char names[200] = "";
    size_t used = 0;
    for (int32_t i = 0; i < kind->setting_count && used < sizeof names; i++) {
        const char *between = i == 0 ? "" : i == kind->setting_count - 1 ? " or " : ", ";
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", between, kind->settings[i].name);
    }
    ra_fail(RESATTN_NOT_FOUND, "%s: no attribute is called \"%s\", expected %s", kind->name, attribute, names);
    return -1;
}

static int32_t require_setting(const resattn_optimizer *optimizer, const char *attribute)
{
    if (!optimizer || !attribute) {
        ra_fail(RESATTN_INVALID_ARGUMENT, "optimizer: %s is NULL", optimizer ? "attribute" : "optimizer");
        return -1;
    }
    const ra_optimizer_kind *kind = optimizer->kind;
    for (int32_t i = 0; i < kind->setting_count; i++)
        if (strcmp(kind->settings[i].name, attribute) == 0)
            return i;
    return fail_unknown(kind, attribute);
}

resattn_status resattn_optimizer_set_real(resattn_optimizer *optimizer, const char *attribute, double value)
{
    int32_t index = require_setting(optimizer, attribute);
    if (index < 0 || !ra_optimizer_check(optimizer->kind, index, value))
        return resattn_last_status();
    optimizer->values[index] = value;
    return RESATTN_OK;
}

resattn_status resattn_optimizer_get_real(const resattn_optimizer *optimizer, const char *attribute, double *value)
{
    int32_t index = require_setting(optimizer, attribute);
    if (index < 0)
        return resattn_last_status();
    if (!value)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "%s: value is NULL", optimizer->kind->name);
    *value = optimizer->values[index];
    return RESATTN_OK;
}

int32_t resattn_optimizer_attribute_count(const resattn_optimizer *optimizer)
{
    return optimizer ? optimizer->kind->setting_count : 0;
}

static const ra_setting *setting_at(const resattn_optimizer *optimizer, int32_t index)
{
    return index >= 0 && index < resattn_optimizer_attribute_count(optimizer) ? &optimizer->kind->settings[index]
                                                                              : NULL;
}

const char *resattn_optimizer_attribute_name(const resattn_optimizer *optimizer, int32_t index)
{
    const ra_setting *setting = setting_at(optimizer, index);
    return setting ? setting->name : NULL;
}

resattn_status resattn_optimizer_attribute_range(const resattn_optimizer *optimizer, int32_t index, double *smallest,
                                                 double *largest, double *initial)
{
    const ra_setting *setting = setting_at(optimizer, index);
    if (!setting)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "attribute range: %s, index %d",
                       optimizer ? optimizer->kind->name : "the optimizer is NULL", (int)index);
    if (smallest)
        *smallest = 0;
    if (largest)
        *largest = setting->range == RA_BELOW ? nextafter(setting->largest, 0) : setting->largest;
    if (initial)
        *initial = setting->initial;
    return RESATTN_OK;
}

/* ---- factors ---- */

bool ra_name_is_below(const char *name, const char *path, size_t length)
{
    return length == 0 || (strncmp(name, path, length) == 0 && (name[length] == '.' || name[length] == '\0'));
}

/* Of the parameters below the path, those whose factor no longer path has set; whether any is below it. */
static bool set_factor(resattn_optimizer *optimizer, const char *path, int32_t which, double factor)
{
    const resattn_network *network = optimizer->network;
    size_t length = strlen(path);
    bool found = false;
    for (int32_t i = 0; i < network->param_count; i++) {
        const ra_param *param = network->params[i];
        ra_own *o = &optimizer->owns[i];
        if (!param->trained || !ra_name_is_below(param->name, path, length))
            continue;
        found = true;
        if (length >= o->path_lengths[which]) {
            o->factors[which] = factor;
            o->path_lengths[which] = length;
        }
    }
    return found;
}

/* The number of a factor, or -1 with the error recorded. */
static int32_t find_factor(const ra_optimizer_kind *kind, const char *attribute)
{
    for (int32_t i = 0; i < RA_FACTORS; i++)
        if (strcmp(factor_names[i], attribute) == 0)
            return i;
    ra_fail(RESATTN_NOT_FOUND, "%s: no attribute by path is called \"%.100s\", expected rate or weight_decay",
            kind->name, attribute);
    return -1;
}

resattn_status resattn_optimizer_set_factor(resattn_optimizer *optimizer, const char *path, const char *attribute,
                                            double factor)
{
    if (!optimizer || !path || !attribute)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "optimizer: %s is NULL",
                       !optimizer ? "optimizer"
                       : !path    ? "path"
                                  : "attribute");
    const char *kind = optimizer->kind->name;
    int32_t which = find_factor(optimizer->kind, attribute);
    if (which < 0)
        return resattn_last_status();
    if (!ra_within(factor, 0, RA_LARGEST_FACTOR))
        return ra_fail(RESATTN_INVALID_ARGUMENT, "%s: the factor on %s of \"%.200s\" is %g, expected 0 to %g", kind,
                       attribute, path, factor, RA_LARGEST_FACTOR);
    if (!set_factor(optimizer, path, which, factor))
        return ra_fail(RESATTN_NOT_FOUND, "%s: no trained parameter is at or below \"%.200s\"", kind, path);
    return RESATTN_OK;
}

resattn_status resattn_optimizer_get_factor(const resattn_optimizer *optimizer, int32_t parameter,
                                            const char *attribute, double *factor)
{
    if (!optimizer || !attribute || !factor)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "optimizer: %s is NULL",
                       !optimizer   ? "optimizer"
                       : !attribute ? "attribute"
                                    : "factor");
    const char *kind = optimizer->kind->name;
    const resattn_network *network = optimizer->network;
    if (parameter < 0 || parameter >= network->param_count)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "%s: parameter %d, expected 0 to %d", kind, (int)parameter,
                       (int)network->param_count - 1);
    if (!network->params[parameter]->trained)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "%s: %s is a statistic, it has no factors", kind,
                       network->params[parameter]->name);
    int32_t which = find_factor(optimizer->kind, attribute);
    if (which < 0)
        return resattn_last_status();
    *factor = optimizer->owns[parameter].factors[which];
    return RESATTN_OK;
}

static bool is_frozen(const resattn_optimizer *optimizer, int32_t param)
{
    return optimizer->owns[param].factors[RA_RATE_FACTOR] == 0;
}

int32_t resattn_optimizer_is_frozen(const resattn_optimizer *optimizer, int32_t parameter)
{
    return optimizer && parameter >= 0 && parameter < optimizer->network->param_count &&
           is_frozen(optimizer, parameter);
}

/* ---- the step ---- */

static void measure_piece(void *job, int32_t index, int32_t worker)
{
    const resattn_optimizer *optimizer = job;
    const ra_piece *piece = &optimizer->pieces[index];
    (void)worker;
    optimizer->squares[index] = is_frozen(optimizer, piece->index)
                                    ? 0
                                    : ra_kernels()->squares(piece->count, piece->param->gradient + piece->begin);
}

static void step_piece(void *job, int32_t index, int32_t worker)
{
    const resattn_optimizer *optimizer = job;
    const ra_piece *piece = &optimizer->pieces[index];
    const ra_param *param = piece->param;
    const ra_own *o = &optimizer->owns[piece->index];
    const double *values = optimizer->values;
    bool decays = param->rank > 1 || values[RA_DECAY_VECTORS] != 0;
    ra_update update = {.count = piece->count,
                        .rate = (float)(values[RA_RATE] * o->factors[RA_RATE_FACTOR]),
                        .decay = decays ? (float)(values[RA_WEIGHT_DECAY] * o->factors[RA_DECAY_FACTOR]) : 0,
                        .scale = optimizer->scale,
                        .gradient = param->gradient + piece->begin,
                        .weight = param->value + piece->begin,
                        .steps = o->steps};
    for (int32_t i = 0; i < optimizer->kind->states; i++)
        update.states[i] = optimizer->states + i * optimizer->elements + piece->offset;
    if (values[RA_CLIP_NORM] == 0) /* else it is known already, and here the gradient is in the cache */
        measure_piece(job, index, worker);
    if (!is_frozen(optimizer, piece->index))
        optimizer->kind->update(values, &update);
}

/* The pieces' sums are added in their order, whichever thread had them. */
static double norm_of_pieces(const resattn_optimizer *optimizer)
{
    double sum = 0;
    for (int32_t i = 0; i < optimizer->piece_count; i++)
        sum += optimizer->squares[i];
    return sqrt(sum);
}

static void step_all(resattn_optimizer *optimizer)
{
    resattn_context *context = optimizer->network->context;
    double largest = optimizer->values[RA_CLIP_NORM];
    ra_fpmode mode;
    ra_fpmode_enter(&mode);
    optimizer->scale = 1;
    if (largest > 0) {
        ra_parallel(context, measure_piece, optimizer, optimizer->piece_count);
        double norm = norm_of_pieces(optimizer);
        if (!(norm <= largest)) /* also for NaN */
            optimizer->scale = (float)(largest / norm);
    }
    for (int32_t i = 0; i < optimizer->network->param_count; i++)
        optimizer->owns[i].steps += !is_frozen(optimizer, i);
    ra_parallel(context, step_piece, optimizer, optimizer->piece_count);
    optimizer->norm = norm_of_pieces(optimizer);
    ra_fpmode_leave(&mode);
}

resattn_status resattn_optimizer_step(resattn_optimizer *optimizer)
{
    if (!optimizer)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "optimizer: optimizer is NULL");
    resattn_network *network = optimizer->network;
    if (ra_context_check(network->context) != RESATTN_OK || !ra_network_take(network, "optimizer step"))
        return resattn_last_status();
    resattn_status status = RESATTN_OK;
    if (atomic_load(&network->backward_done)) {
        step_all(optimizer);
        atomic_fetch_add(&network->version, 1);
    } else {
        status = ra_fail(RESATTN_WRONG_STATE, "%s: step before the first backward pass", optimizer->kind->name);
    }
    ra_network_give(network);
    return status;
}

double resattn_optimizer_gradient_norm(const resattn_optimizer *optimizer)
{
    return optimizer ? optimizer->norm : NAN;
}
