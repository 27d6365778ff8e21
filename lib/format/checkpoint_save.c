/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Saving a checkpoint: the chunks of a network, and behind them those of its training.
 */
#include "format/blob_write.h"
#include "format/checkpoint.h"

typedef struct training {
    const resattn_optimizer *optimizer;
    const resattn_ema *average; /* may be NULL */
} training;

bool ra_checkpoint_check(const resattn_optimizer *optimizer, const resattn_ema *average, const char *what)
{
    if (!optimizer)
        ra_fail(RESATTN_INVALID_ARGUMENT, "%s: the optimizer is NULL", what);
    else if (average && average->network != optimizer->network)
        ra_fail(RESATTN_INVALID_ARGUMENT, "%s: the average is of another network than the optimizer", what);
    else if (average && average->swapped)
        ra_fail(RESATTN_WRONG_STATE,
                "%s: the average's values are in the network, expected them to be swapped back first", what);
    else
        return true;
    return false;
}

static bool write_state(ra_writer *w, const training *t)
{
    const resattn_optimizer *optimizer = t->optimizer;
    const ra_optimizer_kind *kind = optimizer->kind;
    const resattn_network *network = w->network;
    ra_bytes *chunk = ra_write_begin(w, RA_CHUNK_STATE);
    ra_bytes_put_u32(chunk, RA_CHECKPOINT_VERSION);
    ra_bytes_put_text(chunk, kind->name);
    ra_bytes_put_u8(chunk, (uint32_t)network->storage);
    ra_bytes_put_f64(chunk, optimizer->norm);
    ra_bytes_put_u8(chunk, t->average != NULL);
    ra_bytes_put_f64(chunk, t->average ? t->average->decay : 0);
    ra_bytes_put_u32(chunk, (uint32_t)kind->setting_count);
    for (int32_t i = 0; i < kind->setting_count; i++) {
        ra_bytes_put_text(chunk, kind->settings[i].name);
        ra_bytes_put_f64(chunk, optimizer->values[i]);
    }
    uint32_t trained = 0;
    for (int32_t i = 0; i < network->param_count; i++)
        trained += network->params[i]->trained;
    ra_bytes_put_u32(chunk, trained);
    for (int32_t i = 0; i < network->param_count; i++) {
        const ra_own *own = &optimizer->owns[i];
        if (!network->params[i]->trained)
            continue;
        ra_bytes_put_u64(chunk, (uint64_t)own->steps);
        for (int32_t factor = 0; factor < RA_FACTORS; factor++) {
            ra_bytes_put_f64(chunk, own->factors[factor]);
            ra_bytes_put_u32(chunk, (uint32_t)own->path_lengths[factor]);
        }
    }
    return ra_write_end(w);
}

/* Lists what lies beside each parameter in `values`, one after the other; returns the next free entry. */
static ra_stored *list(ra_stored *stored, const resattn_network *network, bool statistics, float *values,
                       const char *chunk, int32_t state)
{
    for (int32_t i = 0; i < network->param_count; i++) {
        const ra_param *param = network->params[i];
        if (!param->trained && !statistics)
            continue;
        *stored++ = (ra_stored){.chunk = chunk, .param = param, .values = values, .type = RESATTN_F32, .state = state};
        values += param->elements;
    }
    return stored;
}

static bool write_training(ra_writer *w)
{
    const training *t = w->more_user;
    const resattn_network *network = w->network;
    const resattn_optimizer *optimizer = t->optimizer;
    int32_t states = optimizer->kind->states;
    if (!write_state(w, t))
        return false;
    ra_stored *stored = ra_alloc(network->context, (size_t)network->param_count, (size_t)(states + 1) * sizeof *stored),
              *end = stored;
    if (!stored)
        return false;
    for (int32_t i = 0; i < states; i++)
        end = list(end, network, false, optimizer->states + i * optimizer->elements, RA_CHUNK_MOMENT, i);
    if (t->average)
        end = list(end, network, true, t->average->values, RA_CHUNK_AVERAGE, -1);
    bool ok = ra_write_stored(w, stored, (int32_t)(end - stored));
    ra_free(network->context, stored);
    return ok;
}

static resattn_status save(resattn_optimizer *optimizer, const resattn_ema *average, int32_t level,
                           const ra_target *target)
{
    const training t = {optimizer, average};
    if (!ra_checkpoint_check(optimizer, average, "checkpoint") ||
        !ra_may_write("checkpoint", optimizer->network, level, target))
        return resattn_last_status();
    ra_writer w = {.network = optimizer->network,
                   .level = level,
                   .produce = ra_write_blob,
                   .exact = true,
                   .more = write_training,
                   .more_user = &t};
    return ra_write(&w, target, "saving a checkpoint");
}

resattn_status resattn_checkpoint_save(resattn_optimizer *optimizer, const resattn_ema *average, const char *path,
                                       int32_t level)
{
    return save(optimizer, average, level, &(ra_target){.form = "path", .path = path});
}

resattn_status resattn_checkpoint_save_buffer(resattn_optimizer *optimizer, const resattn_ema *average, int32_t level,
                                              void **bytes, size_t *size)
{
    return save(optimizer, average, level, &(ra_target){.form = "buffer", .bytes = bytes, .size = size});
}

resattn_status resattn_checkpoint_save_stream(resattn_optimizer *optimizer, const resattn_ema *average, int32_t level,
                                              resattn_write_fn write, void *user)
{
    return save(optimizer, average, level, &(ra_target){.form = "callback", .write = write, .user = user});
}
