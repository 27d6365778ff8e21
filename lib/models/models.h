/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The named networks, in families that share a builder function. Uses the public headers alone: what is done here, any
 * host can do. Layers are called what published weights call them.
 */
#ifndef RA_MODELS_H
#define RA_MODELS_H

#include "resattn/models.h"

#define RA_MAX_SETTINGS 24

typedef struct ra_setting {
    const char *name;
    int32_t smallest, largest;
} ra_setting;

typedef struct ra_model {
    const char *name;
    int32_t input_size;
    int32_t settings[RA_MAX_SETTINGS]; /* as published, in the order of the family's */
    const void *facts;                 /* what cannot be changed; of a type of the family's own */
} ra_model;

typedef struct ra_family {
    const ra_model *models;
    int32_t model_count;
    const ra_setting *settings;
    int32_t setting_count;
    /* Builds a network; settings are in their ranges, classes >= 1. Errors are left in the builder, and then the result
     * means nothing. */
    resattn_layer *(*build)(resattn_builder *builder, const ra_model *model, const int32_t *settings, int32_t classes);
} ra_family;

#define RA_LENGTH(array) ((int32_t)(sizeof(array) / sizeof(array)[0]))

extern const ra_family ra_attention_family, ra_resnet_family, ra_cifar_resnet_family, ra_inception_resnet_family;

/* The model called `name` and its family, or NULL. */
const ra_model *ra_model_find(const char *name, const ra_family **family);

/* Builds a model with the settings given: what the public functions have in common. */
resattn_layer *ra_model_build(resattn_builder *builder, const ra_family *family, const ra_model *model,
                              const int32_t *settings, int32_t classes);

/* Makes the builder fail with a message in printf's manner. */
resattn_status ra_model_refuse(resattn_builder *builder, resattn_status status, const char *format, ...);

/* Appends to a sequential: a convolution that keeps the size (but for the stride); batch norm and ReLU; global average
 * pooling and a classifier. */
void ra_append_conv(resattn_builder *builder, resattn_layer *sequential, const char *name, int32_t channels,
                    int32_t kernel, int32_t stride);
void ra_append_norm_relu(resattn_builder *builder, resattn_layer *sequential, const char *name);
void ra_append_classifier(resattn_builder *builder, resattn_layer *sequential, const char *name, int32_t classes);

#endif
