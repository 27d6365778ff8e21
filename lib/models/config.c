/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Configurations: a named network with settings that can be changed.
 *
 * Public functions alone: a tensor lends the memory, which so comes from the context's allocator.
 */
#include "models/models.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "resattn/tensor.h"

struct resattn_model_config {
    resattn_context *context;
    resattn_tensor *memory; /* this struct's */
    const ra_family *family;
    const ra_model *model;
    int32_t settings[RA_MAX_SETTINGS];
};

/* Leaves an error for the calling thread. */
static resattn_status refuse(resattn_status status, const char *format, ...)
{
    char message[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return resattn_fail(status, message);
}

resattn_model_config *resattn_model_config_new(resattn_context *context, const char *name)
{
    const ra_family *family;
    const ra_model *model = ra_model_find(name, &family);
    if (!context || !name) {
        refuse(RESATTN_INVALID_ARGUMENT, "model configuration: the %s is NULL", context ? "name" : "context");
        return NULL;
    }
    if (!model) {
        refuse(RESATTN_NOT_FOUND, "model configuration: no network is called \"%.80s\"", name);
        return NULL;
    }
    const int64_t elements = (int64_t)((sizeof(resattn_model_config) + sizeof(float) - 1) / sizeof(float));
    resattn_tensor *memory = resattn_tensor_new(context, RESATTN_F32, 1, &elements, RESATTN_CHANNELS_FIRST);
    if (!memory)
        return NULL;
    resattn_model_config *config = resattn_tensor_mutable_data(memory);
    *config = (resattn_model_config){
        .context = resattn_context_ref(context), .memory = memory, .family = family, .model = model};
    memcpy(config->settings, model->settings, sizeof config->settings);
    return config;
}

void resattn_model_config_free(resattn_model_config *config)
{
    if (!config)
        return;
    resattn_context *context = config->context;
    resattn_tensor_unref(config->memory);
    resattn_context_unref(context);
}

/* The names of the settings, separated by commas; or "none". */
static const char *list_settings(const ra_family *family, char *text, size_t size)
{
    size_t used = 0;
    snprintf(text, size, "none");
    for (int32_t i = 0; i < family->setting_count && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%s", i ? ", " : "", family->settings[i].name);
    return text;
}

/* The index of a setting, or an error. */
static int32_t find_setting(const resattn_model_config *config, const char *setting)
{
    char names[384];
    if (!config || !setting)
        return refuse(RESATTN_INVALID_ARGUMENT, "model configuration: the %s is NULL",
                      config ? "name of the setting" : "configuration");
    for (int32_t i = 0; i < config->family->setting_count; i++)
        if (strcmp(config->family->settings[i].name, setting) == 0)
            return i;
    return refuse(RESATTN_NOT_FOUND, "%s: no setting \"%.40s\", there are: %s", config->model->name, setting,
                  list_settings(config->family, names, sizeof names));
}

resattn_status resattn_model_config_set_int(resattn_model_config *config, const char *setting, int64_t value)
{
    int32_t index = find_setting(config, setting);
    if (index < 0)
        return (resattn_status)index;
    const ra_setting *found = &config->family->settings[index];
    if (value < found->smallest || value > found->largest)
        return refuse(RESATTN_INVALID_ARGUMENT, "%s: %s is %lld, expected %d to %d", config->model->name, found->name,
                      (long long)value, (int)found->smallest, (int)found->largest);
    config->settings[index] = (int32_t)value;
    return RESATTN_OK;
}

resattn_status resattn_model_config_get_int(const resattn_model_config *config, const char *setting, int64_t *value)
{
    int32_t index = find_setting(config, setting);
    if (index < 0)
        return (resattn_status)index;
    if (!value)
        return refuse(RESATTN_INVALID_ARGUMENT, "%s: the place for the value of %s is NULL", config->model->name,
                      setting);
    *value = config->settings[index];
    return RESATTN_OK;
}

int32_t resattn_model_config_setting_count(const resattn_model_config *config)
{
    return config ? config->family->setting_count : 0;
}

const char *resattn_model_config_setting_name(const resattn_model_config *config, int32_t index)
{
    return config && index >= 0 && index < config->family->setting_count ? config->family->settings[index].name : NULL;
}

resattn_status resattn_model_config_setting_range(const resattn_model_config *config, int32_t index, int64_t *smallest,
                                                  int64_t *largest)
{
    if (!config)
        return refuse(RESATTN_INVALID_ARGUMENT, "model configuration: the configuration is NULL");
    if (!smallest || !largest)
        return refuse(RESATTN_INVALID_ARGUMENT, "%s: the place for the %s value is NULL", config->model->name,
                      smallest ? "largest" : "smallest");
    if (!resattn_model_config_setting_name(config, index))
        return refuse(RESATTN_INVALID_ARGUMENT, "%s: setting %d, expected 0 to %d", config->model->name, (int)index,
                      (int)config->family->setting_count - 1);
    *smallest = config->family->settings[index].smallest;
    *largest = config->family->settings[index].largest;
    return RESATTN_OK;
}

resattn_layer *resattn_model_config_build(const resattn_model_config *config, resattn_builder *builder, int32_t classes)
{
    if (config)
        return ra_model_build(builder, config->family, config->model, config->settings, classes);
    ra_model_refuse(builder, RESATTN_INVALID_ARGUMENT, "model configuration: the configuration is NULL");
    return NULL;
}
