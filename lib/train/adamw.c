/* SPDX-License-Identifier: BSD-3-Clause */
/* AdamW (Loshchilov and Hutter, ICLR 2019), in the order of operations of PyTorch's. */
#include <math.h>

#include "train/optimizer.h"

enum { BETA1 = RA_OWN_SETTINGS, BETA2, EPSILON, SETTINGS };

static const ra_setting settings[SETTINGS] = {
    [RA_RATE] = {"rate", 0, 1e6, RA_UP_TO},
    [RA_WEIGHT_DECAY] = {"weight_decay", 0.01, 1e6, RA_UP_TO},
    [RA_DECAY_VECTORS] = {"decay_vectors", 1, 1, RA_WHOLE},
    [RA_CLIP_NORM] = {"clip_norm", 0, 1e30, RA_UP_TO},
    [BETA1] = {"beta1", 0.9, 1, RA_BELOW},
    [BETA2] = {"beta2", 0.999, 1, RA_BELOW},
    [EPSILON] = {"epsilon", 1e-8, 1, RA_UP_TO},
};

/* What does not depend on the element is computed in double: 1 - beta2 has few digits in float. */
static void update(const double *values, const ra_update *u)
{
    double steps = (double)u->steps;
    double correction1 = 1 - pow(values[BETA1], steps), correction2 = 1 - pow(values[BETA2], steps);
    const float keep1 = (float)values[BETA1], add1 = (float)(1 - values[BETA1]);
    const float keep2 = (float)values[BETA2], add2 = (float)(1 - values[BETA2]);
    const float shrink = (float)(1 - (double)u->rate * (double)u->decay);
    const float rate = (float)((double)u->rate / correction1), root = (float)sqrt(correction2);
    const float epsilon = (float)values[EPSILON], scale = u->scale;
    const float *restrict gradient = u->gradient;
    float *restrict weight = u->weight, *restrict mean = u->states[0], *restrict square = u->states[1];
    for (int64_t i = 0; i < u->count; i++) {
        float g = scale * gradient[i];
        mean[i] = keep1 * mean[i] + add1 * g;
        square[i] = keep2 * square[i] + add2 * (g * g);
        weight[i] = shrink * weight[i] - rate * (mean[i] / (sqrtf(square[i]) / root + epsilon));
    }
}

const ra_optimizer_kind ra_adamw = {"adamw", settings, SETTINGS, 2, update};

resattn_optimizer *resattn_adamw_new(resattn_network *network, double rate)
{
    return ra_optimizer_new(&ra_adamw, network, rate);
}
