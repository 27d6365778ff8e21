/* SPDX-License-Identifier: BSD-3-Clause */
/* Stochastic gradient descent with momentum, as PyTorch defines it (no dampening). */
#include "train/optimizer.h"

enum { MOMENTUM = RA_OWN_SETTINGS, NESTEROV, SETTINGS };

static const ra_setting settings[SETTINGS] = {
    [RA_RATE] = {"rate", 0, 1e6, RA_UP_TO},
    [RA_WEIGHT_DECAY] = {"weight_decay", 0, 1e6, RA_UP_TO},
    [RA_DECAY_VECTORS] = {"decay_vectors", 1, 1, RA_WHOLE},
    [RA_CLIP_NORM] = {"clip_norm", 0, 1e30, RA_UP_TO},
    [MOMENTUM] = {"momentum", 0.9, 1, RA_UP_TO},
    [NESTEROV] = {"nesterov", 0, 1, RA_WHOLE},
};

static void update(const double *values, const ra_update *u)
{
    const float momentum = (float)values[MOMENTUM], rate = u->rate, decay = u->decay, scale = u->scale;
    const float *restrict gradient = u->gradient;
    float *restrict weight = u->weight, *restrict velocity = u->states[0];
    if (values[NESTEROV] != 0) {
        for (int64_t i = 0; i < u->count; i++) {
            float g = scale * gradient[i] + decay * weight[i];
            velocity[i] = momentum * velocity[i] + g;
            weight[i] -= rate * (g + momentum * velocity[i]);
        }
    } else {
        for (int64_t i = 0; i < u->count; i++) {
            velocity[i] = momentum * velocity[i] + (scale * gradient[i] + decay * weight[i]);
            weight[i] -= rate * velocity[i];
        }
    }
}

const ra_optimizer_kind ra_sgd = {"sgd", settings, SETTINGS, 1, update};

resattn_optimizer *resattn_sgd_new(resattn_network *network, double rate)
{
    return ra_optimizer_new(&ra_sgd, network, rate);
}
