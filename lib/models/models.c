/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Finding and building the named networks, and what their families have in common.
 */
#include "models/models.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const ra_family *const families[] = {
    &ra_attention_family,
    &ra_resnet_family,
    &ra_cifar_resnet_family,
    &ra_inception_resnet_family,
};

const ra_model *ra_model_find(const char *name, const ra_family **family)
{
    for (int32_t f = 0; name && f < RA_LENGTH(families); f++)
        for (int32_t i = 0; i < families[f]->model_count; i++)
            if (strcmp(families[f]->models[i].name, name) == 0) {
                *family = families[f];
                return &families[f]->models[i];
            }
    return NULL;
}

resattn_status ra_model_refuse(resattn_builder *builder, resattn_status status, const char *format, ...)
{
    char message[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return resattn_builder_fail(builder, status, message);
}

resattn_layer *ra_model_build(resattn_builder *builder, const ra_family *family, const ra_model *model,
                              const int32_t *settings, int32_t classes)
{
    if (classes < 1) {
        ra_model_refuse(builder, RESATTN_INVALID_ARGUMENT, "%s: %d classes, expected at least 1", model->name,
                        (int)classes);
        return NULL;
    }
    resattn_layer *root = family->build(builder, model, settings, classes);
    if (resattn_builder_status(builder) == RESATTN_OK)
        return root;
    /* Calls that follow an error leave messages of their own; another constructor repeats the first one. */
    return resattn_identity_new(builder, NULL);
}

void ra_append_conv(resattn_builder *builder, resattn_layer *sequential, const char *name, int32_t channels,
                    int32_t kernel, int32_t stride)
{
    resattn_layer_add(sequential, resattn_conv2d_new(builder, name, channels, kernel, stride, kernel / 2));
}

void ra_append_norm_relu(resattn_builder *builder, resattn_layer *sequential, const char *name)
{
    resattn_layer_add(sequential, resattn_batch_norm_new(builder, name));
    resattn_layer_add(sequential, resattn_relu_new(builder, NULL));
}

void ra_append_classifier(resattn_builder *builder, resattn_layer *sequential, const char *name, int32_t classes)
{
    resattn_layer_add(sequential, resattn_global_average_pool_new(builder, NULL));
    resattn_layer_add(sequential, resattn_linear_new(builder, name, classes));
}

resattn_layer *resattn_model_new(resattn_builder *builder, const char *name, int32_t classes)
{
    const ra_family *family;
    const ra_model *model = ra_model_find(name, &family);
    if (model)
        return ra_model_build(builder, family, model, model->settings, classes);
    if (name)
        ra_model_refuse(builder, RESATTN_NOT_FOUND, "model: no network is called \"%.80s\"", name);
    else
        ra_model_refuse(builder, RESATTN_INVALID_ARGUMENT, "model: the name is NULL");
    return NULL;
}

int32_t resattn_model_count(void)
{
    int32_t count = 0;
    for (int32_t f = 0; f < RA_LENGTH(families); f++)
        count += families[f]->model_count;
    return count;
}

const char *resattn_model_name(int32_t index)
{
    if (index < 0)
        return NULL;
    for (int32_t f = 0; f < RA_LENGTH(families); f++) {
        if (index < families[f]->model_count)
            return families[f]->models[index].name;
        index -= families[f]->model_count;
    }
    return NULL;
}

int32_t resattn_model_input_size(const char *name)
{
    const ra_family *family;
    const ra_model *model = ra_model_find(name, &family);
    return model ? model->input_size : 0;
}
