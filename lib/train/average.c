/* SPDX-License-Identifier: BSD-3-Clause */
/* Exponential moving averages of weights. */
#include <math.h>
#include <string.h>

#include "train/average.h"

static float *average_of(const resattn_ema *average, const ra_piece *piece)
{
    return average->values + piece->offset;
}

static void copy_piece(void *job, int32_t index, int32_t worker)
{
    const resattn_ema *average = job;
    const ra_piece *piece = &average->pieces[index];
    (void)worker;
    memcpy(average_of(average, piece), piece->param->value + piece->begin, (size_t)piece->count * sizeof(float));
}

/* As a step towards the weight, which leaves an average that has arrived exactly where it is. */
static void update_piece(void *job, int32_t index, int32_t worker)
{
    const resattn_ema *average = job;
    const ra_piece *piece = &average->pieces[index];
    if (!piece->param->trained) {
        copy_piece(job, index, worker);
        return;
    }
    const float step = (float)(1 - average->decay);
    const float *restrict weight = piece->param->value + piece->begin;
    float *restrict value = average_of(average, piece);
    for (int64_t i = 0; i < piece->count; i++)
        value[i] += step * (weight[i] - value[i]);
}

static void swap_piece(void *job, int32_t index, int32_t worker)
{
    const resattn_ema *average = job;
    const ra_piece *piece = &average->pieces[index];
    float *restrict weight = piece->param->value + piece->begin, *restrict value = average_of(average, piece);
    (void)worker;
    for (int64_t i = 0; i < piece->count; i++) {
        float kept = weight[i];
        weight[i] = value[i];
        value[i] = kept;
    }
}

/* Reading keeps training away while the weights are copied. */
static bool set_up(resattn_ema *average)
{
    resattn_network *network = average->network;
    average->pieces = ra_pieces_new(network, true, "average", &average->piece_count);
    if (!average->pieces)
        return false;
    int64_t elements = 0;
    for (int32_t i = 0; i < network->param_count; i++)
        elements += network->params[i]->elements;
    average->values = ra_alloc_raw(network->context, (size_t)elements, sizeof *average->values);
    if (!average->values || !ra_network_read(network, "making an average"))
        return false;
    ra_parallel(network->context, copy_piece, average, average->piece_count);
    ra_network_unshare(network);
    return true;
}

resattn_ema *resattn_ema_new(resattn_network *network, double decay)
{
    if (!network)
        return ra_fail_null(RESATTN_INVALID_ARGUMENT, "average: network is NULL");
    if (!ra_within(decay, 0, 1) || decay == 1)
        return ra_fail_null(RESATTN_INVALID_ARGUMENT, "average: decay is %g, expected at least 0 and less than 1",
                            decay);
    resattn_ema *average = ra_alloc(network->context, 1, sizeof *average);
    if (!average)
        return NULL;
    average->network = resattn_network_ref(network);
    average->decay = decay;
    if (set_up(average))
        return average;
    resattn_ema_free(average);
    return NULL;
}

void resattn_ema_free(resattn_ema *average)
{
    if (!average)
        return;
    resattn_network *network = average->network;
    ra_free(network->context, average->values);
    ra_free(network->context, average->pieces);
    ra_free(network->context, average);
    resattn_network_unref(network);
}

resattn_network *resattn_ema_network(const resattn_ema *average)
{
    return average ? average->network : NULL;
}

double resattn_ema_decay(const resattn_ema *average)
{
    return average ? average->decay : NAN;
}

resattn_status resattn_ema_update(resattn_ema *average)
{
    if (!average)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "average: average is NULL");
    resattn_network *network = average->network;
    if (!ra_network_read(network, "updating an average"))
        return resattn_last_status();
    resattn_status status = RESATTN_OK;
    if (average->swapped)
        status =
            ra_fail(RESATTN_WRONG_STATE, "average: update while its values are in the network, expected them to be "
                                         "swapped back first");
    else
        ra_parallel(network->context, update_piece, average, average->piece_count);
    ra_network_unshare(network);
    return status;
}

resattn_status resattn_ema_swap(resattn_ema *average)
{
    if (!average)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "average: average is NULL");
    resattn_network *network = average->network;
    if (!ra_network_take(network, "swapping in an average"))
        return resattn_last_status();
    ra_parallel(network->context, swap_piece, average, average->piece_count);
    average->swapped = !average->swapped;
    atomic_fetch_add(&network->version, 1);
    ra_network_give(network);
    return RESATTN_OK;
}
