/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Networks: a frozen tree, its parameters, metadata, and the constants that inference sessions share.
 * Uses: core, tensor, gemm, kernels, layers, graph.
 */
#ifndef RA_NETWORK_H
#define RA_NETWORK_H

#include <pthread.h>

#include "layers/layer.h"
#include "resattn/network.h"

/* A parameter in the list that is sorted by name. */
typedef struct ra_param_name {
    const char *name;
    int32_t index;
} ra_param_name;

typedef struct ra_text {
    char *key, *value;
} ra_text;

struct resattn_network {
    atomic_int references;
    resattn_context *context; /* a share */
    resattn_layer *layers;    /* list of all layers of the tree */
    resattn_layer *root;
    int32_t in_c;
    ra_param **params; /* all parameters and statistics, in tree order, pointing into the layers */
    int32_t param_count;
    ra_param_name *param_names; /* param_count, sorted */
    resattn_attention **attentions;
    int32_t attention_count;
    atomic_uint version;            /* counted up whenever values change */
    atomic_int users;               /* runs of inference under way; -1: a training call is under way */
    atomic_bool backward_done;      /* gradients hold something */
    float *values, *gradients;      /* the memory of all parameters */
    int64_t padded;                 /* how many numbers the values are, with the gaps between them */
    ra_tensor_owner tensors;        /* of the parameters and gradients: shares that are held of these */
    atomic_bool sealed;             /* the parameters are gone: values and gradients are NULL */
    pthread_mutex_t lock;           /* protects constants */
    struct ra_constants *constants; /* the newest snapshot that a session holds, or NULL */
    struct ra_constants *kept;      /* sealed: the network's own share of it */
    char **classes;
    int32_t class_count;
    int32_t input_h, input_w;
    float *mean, *deviation; /* in_c each */
    ra_text *texts;
    int32_t text_count, text_capacity;
    resattn_dtype storage; /* of trained parameters in blobs */
};

/* Shared use (inference; to read the parameters themselves, as saving does, ra_network_read) and exclusive use (training,
 * initialising, stepping) of the parameters. False with BUSY recorded, or WRONG_STATE for all but inference on a sealed
 * network, naming `what` was refused. */
bool ra_network_share(resattn_network *network, const char *what);
bool ra_network_read(resattn_network *network, const char *what);
void ra_network_unshare(resattn_network *network);
bool ra_network_take(resattn_network *network, const char *what);
void ra_network_give(resattn_network *network);

/* resattn_network_new_zeroed() in two steps, for files: without memory for values, so that nothing but its structure may be
 * looked at; and that memory. NULL or false with the error recorded. */
resattn_network *ra_network_new_empty(resattn_builder *builder, resattn_layer *root, int32_t in_channels);
bool ra_network_add_values(resattn_network *network);

/* The index of the parameter of a name, -1 if there is none (no error recorded). */
int32_t ra_network_find(const resattn_network *network, const char *name);

/* Whether a text is well-formed UTF-8, as every string of a network must be to be saved (network/metadata.c). */
bool ra_text_is_utf8(const char *text);

/* Whether it is one of the three, with the error recorded if not (metadata.c). */
bool ra_number_type_is_known(resattn_dtype type);

/* False with WRONG_STATE recorded for a sealed network. */
bool ra_network_has_values(const resattn_network *network, const char *what);

/* Frees class names and texts (metadata.c). */
void ra_metadata_free(resattn_network *network);

/* Allocates the gradients of all trained parameters, once. */
resattn_status ra_network_need_gradients(resattn_network *network);

#endif
