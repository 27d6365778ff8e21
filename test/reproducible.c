/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Numbers that any program can reproduce: see reproducible.h.
 */
#include "reproducible.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static uint64_t hash(uint64_t state, const char *text)
{
    for (; *text; text++)
        state = (state ^ (uint8_t)*text) * UINT64_C(0x100000001b3);
    return state;
}

uint64_t reproducible_key(const char *prefix, const char *name, const char *suffix)
{
    return hash(hash(hash(UINT64_C(0xcbf29ce484222325), prefix), name), suffix);
}

double reproducible_uniform(uint64_t key, int64_t index)
{
    uint64_t z = key + ((uint64_t)index + 1) * UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    z ^= z >> 31;
    return (double)(z >> 40) / (double)(1 << 24);
}

bool reproducible_fill(resattn_tensor *tensor, const char *seed, const char *name, double low, double high)
{
    int64_t count = resattn_tensor_elements(tensor);
    uint64_t key = reproducible_key(seed, name, "");
    float *values = malloc((size_t)count * sizeof *values);
    for (int64_t i = 0; values && i < count; i++)
        values[i] = (float)(low + (high - low) * reproducible_uniform(key, i));
    bool done = values && resattn_tensor_write(tensor, RESATTN_CHANNELS_FIRST, values, count) == RESATTN_OK;
    free(values);
    return done;
}

bool reproducible_input(resattn_tensor *tensor, const char *seed)
{
    return reproducible_fill(tensor, seed, "data", -1, 1);
}

/* Batch norms are told by their weight being a vector. */
static bool fill_parameter(resattn_tensor *tensor, const char *seed, const char *name)
{
    const char *suffix = strrchr(name, '.') + 1;
    if (strcmp(suffix, "running_var") == 0)
        return reproducible_fill(tensor, seed, name, 0.75, 1.25);
    if (strcmp(suffix, "weight") != 0)
        return reproducible_fill(tensor, seed, name, -0.1, 0.1);
    if (resattn_tensor_rank(tensor) == 1)
        return reproducible_fill(tensor, seed, name, 0.5, 1.0);
    int64_t fan_in = resattn_tensor_elements(tensor) / resattn_tensor_size(tensor, 0);
    double bound = sqrt(3.0 / (double)fan_in);
    return reproducible_fill(tensor, seed, name, -bound, bound);
}

static bool remove_dropout(resattn_layer *layer)
{
    if (strcmp(resattn_layer_kind(layer), "dropout") == 0)
        return resattn_layer_set_real(layer, "probability", 0) == RESATTN_OK;
    for (int32_t i = 0; i < resattn_layer_child_count(layer); i++)
        if (!remove_dropout(resattn_layer_child(layer, i)))
            return false;
    return true;
}

bool reproducible_network(resattn_network *network, const char *seed)
{
    for (int32_t i = 0; i < resattn_network_parameter_count(network); i++)
        if (!fill_parameter(resattn_network_parameter(network, i), seed, resattn_network_parameter_name(network, i)))
            return false;
    return remove_dropout(resattn_network_root(network));
}
