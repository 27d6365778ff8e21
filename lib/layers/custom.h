/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Kinds of layers of the host's own: what the definition and the runs share.
 */
#ifndef RA_CUSTOM_H
#define RA_CUSTOM_H

#include "layers/layer.h"
#include "resattn/custom.h"

struct resattn_custom {
    ra_lasting lasting; /* in the context's list */
    resattn_context *context;
    ra_layer_kind kind;
    ra_op_kind op;
    char name[48];
    ra_attribute attributes[RA_MAX_ATTRIBUTES];
    char attribute_names[RA_MAX_ATTRIBUTES][RA_MAX_SUFFIX + 1];
    atomic_bool fixed; /* there may be layers of it */
    void *user;
    resattn_custom_release_fn release;
    resattn_custom_run_fn forward, backward;
    resattn_custom_channels_fn channels;
    resattn_custom_size_fn size;
    resattn_custom_memory_fn memory;
    resattn_custom_multiply_adds_fn multiply_adds;
    resattn_custom_free_fn free_instance;
    resattn_custom_save_fn save;
    resattn_custom_load_fn load;
};

static inline const resattn_custom *ra_custom_of(const resattn_layer *layer)
{
    return (const resattn_custom *)(const void *)((const char *)layer->kind - offsetof(resattn_custom, kind));
}

/*
 * What a callback answered: RESATTN_OK, or an error, recorded without the layer's path. `failures` is ra_failures()
 * before the call: an error that the callback has recorded itself is kept.
 */
resattn_status ra_custom_answer(const resattn_custom *custom, const char *callback, uint32_t failures, int32_t answer);

/* Operations (custom_run.c). */
bool ra_custom_shape(ra_op *op);
bool ra_custom_saved(const ra_op *op, int32_t n, size_t *bytes);
bool ra_custom_work(const ra_op *op, int32_t n, int32_t workers, bool training, size_t *bytes);
void ra_custom_forward(const ra_op *op, const ra_run *run);
void ra_custom_backward(const ra_op *op, const ra_run *run);

#endif
