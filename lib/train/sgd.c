/* SPDX-License-Identifier: BSD-3-Clause */
/* Stochastic gradient descent with momentum, as PyTorch defines it (no dampening). */
#include <math.h>
#include <string.h>

#include "core/core.h"
#include "network/network.h"
#include "resattn/train.h"

/* One line a setting. */
typedef struct setting {
    const char *name;
    double initial, largest; /* the smallest value is 0 */
    bool whole;
} setting;

enum { RATE, MOMENTUM, NESTEROV, WEIGHT_DECAY, DECAY_VECTORS, SETTINGS };

static const setting settings[SETTINGS] = {
    [RATE] = {"rate", 0, 1e6, false},
    [MOMENTUM] = {"momentum", 0.9, 1, false},
    [NESTEROV] = {"nesterov", 0, 1, true},
    [WEIGHT_DECAY] = {"weight_decay", 0, 1e6, false},
    [DECAY_VECTORS] = {"decay_vectors", 1, 1, true},
};

/* A task's share of the work: a part of one parameter, and where its velocities begin. */
typedef struct piece {
    const ra_param *param;
    int64_t begin, count;
    int64_t velocity;
} piece;

/* Weight, gradient and velocity of a piece fit the L2 cache together. */
#define PIECE_ELEMENTS 32768

struct resattn_optimizer {
    resattn_network *network; /* a share */
    double values[SETTINGS];
    piece *pieces;
    int32_t piece_count;
    float *velocity;
};

static int32_t find_setting(const char *name)
{
    for (int32_t i = 0; name && i < SETTINGS; i++)
        if (strcmp(settings[i].name, name) == 0)
            return i;
    return -1;
}

static bool check_value(const setting *s, double value)
{
    if (value >= 0 && value <= s->largest && (!s->whole || value == floor(value)))
        return true;
    ra_fail(RESATTN_INVALID_ARGUMENT, "sgd: %s is %g, expected %s%g", s->name, value, s->whole ? "0 or " : "0 to ",
            s->largest);
    return false;
}

/* Cuts the trained parameters into pieces; with `pieces` NULL it only counts them. */
static int64_t cut(const resattn_network *network, piece *pieces)
{
    int64_t count = 0, velocity = 0;
    for (int32_t p = 0; p < network->param_count; p++) {
        const ra_param *param = network->params[p];
        if (!param->trained)
            continue;
        for (int64_t begin = 0; begin < param->elements; begin += PIECE_ELEMENTS, count++) {
            int64_t left = param->elements - begin, elements = left < PIECE_ELEMENTS ? left : PIECE_ELEMENTS;
            if (pieces)
                pieces[count] = (piece){param, begin, elements, velocity};
            velocity += elements;
        }
    }
    return count;
}

resattn_optimizer *resattn_sgd_new(resattn_network *network, double rate)
{
    if (!network)
        return ra_fail_null(RESATTN_INVALID_ARGUMENT, "sgd: network is NULL");
    if (!check_value(&settings[RATE], rate))
        return NULL;
    int64_t pieces = cut(network, NULL);
    if (pieces > INT32_MAX)
        return ra_fail_null(RESATTN_TOO_LARGE, "sgd: %lld pieces of parameters, expected at most %d", (long long)pieces,
                            INT32_MAX);
    resattn_optimizer *optimizer = ra_alloc(network->context, 1, sizeof *optimizer);
    if (!optimizer)
        return NULL;
    optimizer->network = resattn_network_ref(network);
    for (int32_t i = 0; i < SETTINGS; i++)
        optimizer->values[i] = settings[i].initial;
    optimizer->values[RATE] = rate;
    optimizer->piece_count = (int32_t)pieces;
    optimizer->pieces = ra_alloc(network->context, (size_t)pieces, sizeof *optimizer->pieces);
    optimizer->velocity =
        ra_alloc(network->context, (size_t)resattn_network_trained_values(network), sizeof *optimizer->velocity);
    if (!optimizer->pieces || !optimizer->velocity) {
        resattn_optimizer_free(optimizer);
        return NULL;
    }
    cut(network, optimizer->pieces);
    return optimizer;
}

void resattn_optimizer_free(resattn_optimizer *optimizer)
{
    if (!optimizer)
        return;
    resattn_network *network = optimizer->network;
    ra_free(network->context, optimizer->velocity);
    ra_free(network->context, optimizer->pieces);
    ra_free(network->context, optimizer);
    resattn_network_unref(network);
}

static int32_t require_setting(const resattn_optimizer *optimizer, const char *attribute)
{
    if (!optimizer || !attribute) {
        ra_fail(RESATTN_INVALID_ARGUMENT, "optimizer: %s is NULL", optimizer ? "attribute" : "optimizer");
        return -1;
    }
    int32_t index = find_setting(attribute);
    if (index < 0)
        ra_fail(RESATTN_NOT_FOUND,
                "sgd: no attribute is called \"%s\", expected rate, momentum, nesterov, weight_decay or decay_vectors",
                attribute);
    return index;
}

resattn_status resattn_optimizer_set_real(resattn_optimizer *optimizer, const char *attribute, double value)
{
    int32_t index = require_setting(optimizer, attribute);
    if (index < 0 || !check_value(&settings[index], value))
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
        return ra_fail(RESATTN_INVALID_ARGUMENT, "sgd: value is NULL");
    *value = optimizer->values[index];
    return RESATTN_OK;
}

static void update(int64_t count, float rate, float momentum, float decay, bool nesterov,
                   const float *restrict gradient, float *restrict weight, float *restrict velocity)
{
    if (nesterov) {
        for (int64_t i = 0; i < count; i++) {
            float g = gradient[i] + decay * weight[i];
            velocity[i] = momentum * velocity[i] + g;
            weight[i] -= rate * (g + momentum * velocity[i]);
        }
    } else {
        for (int64_t i = 0; i < count; i++) {
            velocity[i] = momentum * velocity[i] + (gradient[i] + decay * weight[i]);
            weight[i] -= rate * velocity[i];
        }
    }
}

static void step_piece(void *job, int32_t index, int32_t worker)
{
    const resattn_optimizer *optimizer = job;
    const piece *p = &optimizer->pieces[index];
    const double *values = optimizer->values;
    bool decays = p->param->rank > 1 || values[DECAY_VECTORS] != 0;
    (void)worker;
    update(p->count, (float)values[RATE], (float)values[MOMENTUM], decays ? (float)values[WEIGHT_DECAY] : 0,
           values[NESTEROV] != 0, p->param->gradient + p->begin, p->param->value + p->begin,
           optimizer->velocity + p->velocity);
}

resattn_status resattn_optimizer_step(resattn_optimizer *optimizer)
{
    if (!optimizer)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "optimizer: optimizer is NULL");
    resattn_network *network = optimizer->network;
    if (!ra_network_take(network, "optimizer step"))
        return resattn_last_status();
    resattn_status status = RESATTN_OK;
    if (atomic_load(&network->backward_done)) {
        ra_parallel(network->context, step_piece, optimizer, optimizer->piece_count);
        atomic_fetch_add(&network->version, 1);
    } else {
        status = ra_fail(RESATTN_WRONG_STATE, "sgd: step before the first backward pass");
    }
    ra_network_give(network);
    return status;
}
