/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What belongs to a trained model beside its parameters: class names, input size, normalisation, free texts, and how
 * its numbers are stored.
 */
#include <math.h>
#include <string.h>

#include "network/network.h"

/* The bytes that follow the first byte of a UTF-8 sequence, with the range of the first of them (Unicode, table 3-7).
 */
static int32_t utf8_tail(unsigned char lead, unsigned char *lowest, unsigned char *highest)
{
    *lowest = 0x80;
    *highest = 0xBF;
    if (lead < 0x80)
        return 0;
    if (lead >= 0xC2 && lead <= 0xDF)
        return 1;
    if (lead >= 0xE0 && lead <= 0xEF) {
        *lowest = lead == 0xE0 ? 0xA0 : 0x80;
        *highest = lead == 0xED ? 0x9F : 0xBF;
        return 2;
    }
    if (lead >= 0xF0 && lead <= 0xF4) {
        *lowest = lead == 0xF0 ? 0x90 : 0x80;
        *highest = lead == 0xF4 ? 0x8F : 0xBF;
        return 3;
    }
    return -1;
}

bool ra_text_is_utf8(const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    while (*at) {
        unsigned char lowest, highest;
        int32_t tail = utf8_tail(*at++, &lowest, &highest);
        if (tail < 0)
            return false;
        for (; tail > 0; tail--, at++) {
            if (*at < lowest || *at > highest)
                return false;
            lowest = 0x80;
            highest = 0xBF;
        }
    }
    return true;
}

static void free_texts(resattn_context *context, char **texts, int32_t count)
{
    for (int32_t i = 0; texts && i < count; i++)
        ra_free(context, texts[i]);
    ra_free(context, texts);
}

static resattn_status check_classes(const resattn_network *network, const char *const *names, int32_t count)
{
    if (!network)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "classes: the network is NULL");
    if (count < 0 || (count > 0 && !names))
        return ra_fail(RESATTN_INVALID_ARGUMENT, "classes: %d names%s, expected 0 or more", (int)count,
                       names ? "" : " at NULL");
    if (count > 0 && count != network->root->out_c)
        return ra_fail(RESATTN_SHAPE_MISMATCH, "classes: %d names, the network's output has %d channels", (int)count,
                       (int)network->root->out_c);
    for (int32_t i = 0; i < count; i++)
        if (!names[i] || !ra_text_is_utf8(names[i]))
            return ra_fail(RESATTN_INVALID_ARGUMENT, "classes: name %d is %s, expected UTF-8", (int)i,
                           names[i] ? "not UTF-8" : "NULL");
    return RESATTN_OK;
}

resattn_status resattn_network_set_classes(resattn_network *network, const char *const *names, int32_t count)
{
    resattn_status status = check_classes(network, names, count);
    if (status)
        return status;
    char **copies = NULL;
    if (count > 0) {
        copies = ra_alloc(network->context, (size_t)count, sizeof *copies);
        if (!copies)
            return resattn_last_status();
    }
    for (int32_t i = 0; i < count; i++) {
        copies[i] = ra_strdup(network->context, names[i]);
        if (!copies[i]) {
            free_texts(network->context, copies, i);
            return resattn_last_status();
        }
    }
    free_texts(network->context, network->classes, network->class_count);
    network->classes = copies;
    network->class_count = count;
    return RESATTN_OK;
}

const char *resattn_network_class_name(const resattn_network *network, int32_t index)
{
    return network && index >= 0 && index < network->class_count ? network->classes[index] : NULL;
}

int32_t resattn_network_class_count(const resattn_network *network)
{
    return network ? network->class_count : 0;
}

resattn_status resattn_network_set_input_size(resattn_network *network, int32_t height, int32_t width)
{
    if (!network)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "input size: the network is NULL");
    if (height < 0 || width < 0 || height > RA_MAX_DIM || width > RA_MAX_DIM || (height == 0) != (width == 0))
        return ra_fail(RESATTN_INVALID_ARGUMENT, "input size: %d x %d, expected 1 to %d, or 0 x 0 for none",
                       (int)height, (int)width, RA_MAX_DIM);
    network->input_h = height;
    network->input_w = width;
    return RESATTN_OK;
}

int32_t resattn_network_input_height(const resattn_network *network)
{
    return network ? network->input_h : 0;
}

int32_t resattn_network_input_width(const resattn_network *network)
{
    return network ? network->input_w : 0;
}

static resattn_status check_normalization(const resattn_network *network, const float *mean, const float *deviation,
                                          int32_t count)
{
    if (!network || !mean || !deviation)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "normalization: the %s is NULL",
                       !network ? "network" : (!mean ? "mean" : "deviation"));
    if (count != network->in_c)
        return ra_fail(RESATTN_SHAPE_MISMATCH, "normalization: %d values, the network's input has %d channels",
                       (int)count, (int)network->in_c);
    for (int32_t c = 0; c < count; c++) {
        if (!isfinite(mean[c]))
            return ra_fail(RESATTN_INVALID_ARGUMENT, "normalization: mean %d is %g, expected a finite value", (int)c,
                           (double)mean[c]);
        if (!isfinite(deviation[c]) || deviation[c] <= 0)
            return ra_fail(RESATTN_INVALID_ARGUMENT,
                           "normalization: deviation %d is %g, expected a finite value above 0", (int)c,
                           (double)deviation[c]);
    }
    return RESATTN_OK;
}

resattn_status resattn_network_set_normalization(resattn_network *network, const float *mean, const float *deviation,
                                                 int32_t count)
{
    resattn_status status = check_normalization(network, mean, deviation, count);
    if (status)
        return status;
    float *new_mean = ra_alloc(network->context, (size_t)count, sizeof *new_mean);
    float *new_deviation = new_mean ? ra_alloc(network->context, (size_t)count, sizeof *new_deviation) : NULL;
    if (!new_deviation) {
        ra_free(network->context, new_mean);
        return resattn_last_status();
    }
    memcpy(new_mean, mean, (size_t)count * sizeof *mean);
    memcpy(new_deviation, deviation, (size_t)count * sizeof *deviation);
    ra_free(network->context, network->mean);
    ra_free(network->context, network->deviation);
    network->mean = new_mean;
    network->deviation = new_deviation;
    return RESATTN_OK;
}

float resattn_network_mean(const resattn_network *network, int32_t channel)
{
    return network && channel >= 0 && channel < network->in_c ? network->mean[channel] : 0;
}

float resattn_network_deviation(const resattn_network *network, int32_t channel)
{
    return network && channel >= 0 && channel < network->in_c ? network->deviation[channel] : 0;
}

static int32_t find_text(const resattn_network *network, const char *key)
{
    for (int32_t i = 0; i < network->text_count; i++)
        if (strcmp(network->texts[i].key, key) == 0)
            return i;
    return -1;
}

static void remove_text(resattn_network *network, int32_t index)
{
    ra_free(network->context, network->texts[index].key);
    ra_free(network->context, network->texts[index].value);
    network->text_count--;
    memmove(network->texts + index, network->texts + index + 1,
            (size_t)(network->text_count - index) * sizeof *network->texts);
}

static resattn_status add_text(resattn_network *network, const char *key, char *value)
{
    void *texts = network->texts;
    char *copy = ra_strdup(network->context, key);
    if (!copy ||
        !ra_grow(network->context, &texts, network->text_count, &network->text_capacity, sizeof *network->texts)) {
        ra_free(network->context, copy);
        return resattn_last_status();
    }
    network->texts = texts;
    network->texts[network->text_count++] = (ra_text){copy, value};
    return RESATTN_OK;
}

resattn_status resattn_network_set_text(resattn_network *network, const char *key, const char *value)
{
    if (!network || !key)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "text: the %s is NULL", network ? "key" : "network");
    if (!*key || !ra_text_is_utf8(key))
        return ra_fail(RESATTN_INVALID_ARGUMENT, "text: the key is %s, expected UTF-8", *key ? "not UTF-8" : "empty");
    int32_t index = find_text(network, key);
    if (!value) {
        if (index >= 0)
            remove_text(network, index);
        return RESATTN_OK;
    }
    if (!ra_text_is_utf8(value))
        return ra_fail(RESATTN_INVALID_ARGUMENT, "text '%s': the value is not UTF-8", key);
    char *copy = ra_strdup(network->context, value);
    if (!copy)
        return resattn_last_status();
    if (index >= 0) {
        ra_free(network->context, network->texts[index].value);
        network->texts[index].value = copy;
        return RESATTN_OK;
    }
    resattn_status status = add_text(network, key, copy);
    if (status)
        ra_free(network->context, copy);
    return status;
}

const char *resattn_network_text(const resattn_network *network, const char *key)
{
    int32_t index = network && key ? find_text(network, key) : -1;
    return index >= 0 ? network->texts[index].value : NULL;
}

const char *resattn_network_text_key(const resattn_network *network, int32_t index)
{
    return network && index >= 0 && index < network->text_count ? network->texts[index].key : NULL;
}

int32_t resattn_network_text_count(const resattn_network *network)
{
    return network ? network->text_count : 0;
}

bool ra_number_type_is_known(resattn_dtype type)
{
    if (type >= RESATTN_F32 && type <= RESATTN_BF16)
        return true;
    ra_fail(RESATTN_INVALID_ARGUMENT, "the number type is %d, expected %d to %d", (int)type, RESATTN_F32, RESATTN_BF16);
    return false;
}

resattn_status resattn_network_set_storage(resattn_network *network, resattn_dtype type)
{
    if (!network)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "storage: the network is NULL");
    if (!ra_number_type_is_known(type))
        return ra_fail_within("storage");
    network->storage = type;
    return RESATTN_OK;
}

resattn_dtype resattn_network_storage(const resattn_network *network)
{
    return network ? network->storage : RESATTN_DTYPE_NONE;
}

void ra_metadata_free(resattn_network *network)
{
    free_texts(network->context, network->classes, network->class_count);
    while (network->text_count > 0)
        remove_text(network, network->text_count - 1);
    ra_free(network->context, network->texts);
}
