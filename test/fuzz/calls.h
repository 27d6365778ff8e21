/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Random calls: what the files of this target share. The host keeps its side of the rules (nothing is used after it has
 * been freed, buffers are as long as their counts say) and nothing else: any order, any arguments, NULL everywhere.
 */
#ifndef FUZZ_CALLS_H
#define FUZZ_CALLS_H

#include "fuzz.h"

enum { SLOTS = 4, LAYERS = 24, MEMORY = 4096, MOST_BATCH = 4, MOST_VALUES = 50000 };

typedef struct calls {
    fuzz_input in;
    fuzz_heap heap;
    resattn_context *context, *other;
    resattn_builder *builders[SLOTS];
    resattn_layer *layers[LAYERS];
    const resattn_builder *owners[LAYERS]; /* of the layers */
    resattn_network *networks[SLOTS];
    resattn_plan *plans[SLOTS];
    resattn_session *sessions[SLOTS];
    int64_t shapes[SLOTS][4]; /* of the sessions' largest inputs */
    resattn_tensor *tensors[SLOTS];
    resattn_optimizer *optimizers[SLOTS];
    resattn_ema *averages[SLOTS];
    resattn_schedule *schedules[SLOTS];
    resattn_mask_loss *mask_losses[SLOTS];
    resattn_cross_entropy *losses[SLOTS];
    resattn_model_config *configs[SLOTS];
    fuzz_sink saved; /* what the last save gave */
    float *memory;   /* MEMORY numbers: what wrapped tensors lie in */
    int64_t wrapped, released;
} calls;

/* One of the handles of a table, which may be NULL; now and then NULL. */
#define PICK(c, table)                                                                                                 \
    (fuzz_chance(&(c)->in, 8) ? NULL : (c)->table[fuzz_byte(&(c)->in) % (sizeof(c)->table / sizeof *(c)->table)])

/* Puts a new handle, if it is one, in the place of an old one. */
#define KEEP(c, table, end, made)                                                                                      \
    do {                                                                                                               \
        uint32_t slot_ = fuzz_byte(&(c)->in) % SLOTS;                                                                  \
        void *made_ = fuzz_made(made);                                                                                 \
        if (made_) {                                                                                                   \
            end((c)->table[slot_]);                                                                                    \
            (c)->table[slot_] = made_;                                                                                 \
        }                                                                                                              \
    } while (0)

resattn_context *pick_context(calls *c);
/* A tensor of the table, of a network, or an output: as something to read from, and as something to write to. */
const resattn_tensor *pick_source(calls *c);
resattn_tensor *pick_target(calls *c);
/* A name that something in the network has, or any other. */
const char *pick_path(calls *c, const resattn_network *network);
void add_layer(calls *c, const resattn_builder *owner, resattn_layer *layer);
/* Forgets layers: those of a builder, which is about to be freed, or those that a network has taken. */
void forget_layers(calls *c, const resattn_builder *owner, const resattn_layer *root);
/* Keeps a network if it is so small that using it over and over takes little time. */
void keep_network(calls *c, resattn_network *network);

typedef void (*call_fn)(calls *c);
extern const call_fn build_calls[], network_calls[], run_calls[], tensor_calls[], train_calls[];
extern const uint32_t build_call_count, network_call_count, run_call_count, tensor_call_count, train_call_count;

#endif
