/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table of named networks.
 */
#include "models/models.h"

#include <stdio.h>
#include <string.h>

typedef struct model {
    const char *name;
    int32_t input_size;
    resattn_layer *(*build)(resattn_builder *builder, int32_t classes);
} model;

static const model models[] = {
    {"attention-56", 224, ra_model_attention_56},
};

enum { MODELS = sizeof models / sizeof *models };

static const model *find(const char *name)
{
    for (int32_t i = 0; name && i < MODELS; i++)
        if (strcmp(models[i].name, name) == 0)
            return &models[i];
    return NULL;
}

resattn_layer *resattn_model_new(resattn_builder *builder, const char *name, int32_t classes)
{
    char message[128] = "model: the name is NULL";
    const model *found = find(name);
    if (!found) {
        if (name)
            snprintf(message, sizeof message, "model: no network is called \"%.80s\"", name);
        resattn_builder_fail(builder, name ? RESATTN_NOT_FOUND : RESATTN_INVALID_ARGUMENT, message);
        return NULL;
    }
    if (classes < 1) {
        snprintf(message, sizeof message, "%s: %d classes, expected at least 1", name, classes);
        resattn_builder_fail(builder, RESATTN_INVALID_ARGUMENT, message);
        return NULL;
    }
    resattn_layer *root = found->build(builder, classes);
    if (resattn_builder_status(builder) == RESATTN_OK)
        return root;
    /* Calls that follow an error leave messages of their own; another constructor repeats the first one. */
    return resattn_identity_new(builder, NULL);
}

int32_t resattn_model_count(void)
{
    return MODELS;
}

const char *resattn_model_name(int32_t index)
{
    return index >= 0 && index < MODELS ? models[index].name : NULL;
}

int32_t resattn_model_input_size(const char *name)
{
    const model *found = find(name);
    return found ? found->input_size : 0;
}
