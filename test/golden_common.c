/* SPDX-License-Identifier: BSD-3-Clause */
/* What the test of the golden files and the program that made them share: see golden_common.h. */
#include "golden_common.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/* ---- a layer of the host's ---- */

enum { MOST_TEXT = 63 };

static resattn_status channels(void *user, resattn_layer *layer, int32_t *count)
{
    (void)user;
    const int64_t gains[] = {*count}, seen[] = {1};
    resattn_status status =
        resattn_custom_add_parameter(layer, "gain", RESATTN_PARAMETER_TRAINABLE, RESATTN_INIT_ONES, 1, gains);
    return status
               ? status
               : resattn_custom_add_parameter(layer, "seen", RESATTN_PARAMETER_STATISTIC, RESATTN_INIT_ZEROS, 1, seen);
}

static resattn_status forward(void *user, const resattn_layer *layer, resattn_custom_run *run)
{
    (void)user, (void)layer;
    int32_t shape[4];
    resattn_status status = resattn_custom_run_shape(run, 0, shape);
    if (status)
        return status;
    const float *x = resattn_custom_run_data(run, RESATTN_DATA_INPUT, 0);
    const float *gain = resattn_custom_run_data(run, RESATTN_DATA_PARAMETER, 0);
    float *y = resattn_custom_run_data(run, RESATTN_DATA_OUTPUT, 0);
    for (int64_t i = 0; i < (int64_t)shape[0] * shape[1] * shape[2] * shape[3]; i++)
        y[i] = x[i] * gain[i % shape[1]];
    return RESATTN_OK;
}

static void free_instance(void *user, void *instance)
{
    (void)user;
    free(instance);
}

static resattn_status save_instance(void *user, const resattn_layer *layer, resattn_write_fn write, void *write_user)
{
    (void)user;
    const char *text = resattn_layer_instance(layer);
    if (text && write(write_user, text, strlen(text)))
        return resattn_fail(RESATTN_IO_ERROR, "the instance");
    return RESATTN_OK;
}

static resattn_status load_instance(void *user, const resattn_layer *layer, const void *bytes, size_t size,
                                    void **instance)
{
    (void)user, (void)layer;
    if (size == 0)
        return RESATTN_OK;
    if (size > MOST_TEXT)
        return resattn_fail(RESATTN_INVALID_ARGUMENT, "the instance is too long");
    char *text = malloc(MOST_TEXT + 1);
    if (!text)
        return resattn_fail(RESATTN_OUT_OF_MEMORY, "the instance");
    memcpy(text, bytes, size);
    text[size] = '\0';
    *instance = text;
    return RESATTN_OK;
}

bool golden_define(resattn_context *context)
{
    resattn_custom *gain = resattn_custom_new(context, "x-golden-gain", forward, NULL, NULL);
    return gain && resattn_custom_set_shape(gain, channels, NULL) == RESATTN_OK &&
           resattn_custom_add_attribute(gain, "sides", RESATTN_ATTRIBUTE_INT, 1, 1, 9, 0) == RESATTN_OK &&
           resattn_custom_set_instance(gain, free_instance, save_instance, load_instance) == RESATTN_OK;
}

resattn_layer *golden_layer(resattn_builder *builder, const char *name, const char *text)
{
    char *instance = NULL;
    if (text) {
        instance = malloc(MOST_TEXT + 1);
        if (!instance)
            return NULL;
        snprintf(instance, MOST_TEXT + 1, "%s", text);
    }
    resattn_layer *layer = resattn_custom_layer_new(builder, "x-golden-gain", name, instance);
    if (!layer)
        free(instance);
    return layer;
}

/* ---- what the list says ---- */

const char *golden_status(resattn_status status)
{
    static const char *const names[] = {
        "OK",        "INVALID_ARGUMENT", "SHAPE_MISMATCH", "OUT_OF_MEMORY", "TOO_LARGE",   "WRONG_STATE", "BUSY",
        "NOT_FOUND", "DUPLICATE",        "IO_ERROR",       "BAD_FORMAT",    "UNSUPPORTED", "INTERNAL",    "HOST_ERROR"};
    return names[-status];
}

/* Adds to a line, which is cut where it is too long. */
static void add(char line[GOLDEN_LINE], const char *format, ...)
{
    va_list arguments;
    size_t length = strlen(line);
    va_start(arguments, format);
    vsnprintf(line + length, GOLDEN_LINE - length, format, arguments);
    va_end(arguments);
}

static uint32_t crc_bits(uint32_t crc, uint32_t bits)
{
    const unsigned char bytes[] = {(unsigned char)bits, (unsigned char)(bits >> 8), (unsigned char)(bits >> 16),
                                   (unsigned char)(bits >> 24)};
    return (uint32_t)crc32(crc, bytes, sizeof bytes);
}

static uint32_t crc_floats(uint32_t crc, const float *values, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        crc = crc_bits(crc, bits);
    }
    return crc;
}

static uint32_t crc_text(uint32_t crc, const char *text)
{
    return (uint32_t)crc32(crc, (const Bytef *)(text ? text : "(none)"), text ? (uInt)strlen(text) + 1 : 6);
}

static bool crc_values(resattn_network *network, uint32_t *crc)
{
    for (int32_t i = 0; i < resattn_network_parameter_count(network); i++) {
        resattn_tensor *tensor = resattn_network_parameter(network, i);
        int64_t count = resattn_tensor_elements(tensor);
        float *values = malloc((size_t)count * sizeof *values);
        bool ok = values && resattn_tensor_read(tensor, RESATTN_CHANNELS_FIRST, values, count) == RESATTN_OK;
        if (ok)
            *crc = crc_floats(*crc, values, count);
        free(values);
        if (!ok)
            return false;
    }
    return true;
}

/* Texts by key, class names, mean and deviation. */
static uint32_t crc_metadata(resattn_network *network)
{
    uint32_t crc = 0;
    for (int32_t i = 0; resattn_network_text_key(network, i); i++) {
        crc = crc_text(crc, resattn_network_text_key(network, i));
        crc = crc_text(crc, resattn_network_text(network, resattn_network_text_key(network, i)));
    }
    for (int32_t i = 0; i < resattn_network_class_count(network); i++)
        crc = crc_text(crc, resattn_network_class_name(network, i));
    for (int32_t c = 0; c < resattn_network_in_channels(network); c++) {
        const float pair[] = {resattn_network_mean(network, c), resattn_network_deviation(network, c)};
        crc = crc_floats(crc, pair, 2);
    }
    return crc;
}

/* Kind, path and attributes of all layers, those of later versions aside: what is as at first does not count. */
static uint32_t crc_layers(const resattn_layer *layer, uint32_t crc, int32_t *count)
{
    ++*count;
    crc = crc_text(crc_text(crc, resattn_layer_kind(layer)), resattn_layer_path(layer));
    if (resattn_layer_instance(layer))
        crc = crc_text(crc, resattn_layer_instance(layer));
    for (int32_t i = 0; i < resattn_layer_attribute_count(layer); i++) {
        const char *name = resattn_layer_attribute_name(layer, i);
        double least, most, initial, real = 0;
        int64_t integer = 0;
        char text[64];
        resattn_layer_attribute_range(layer, i, &least, &most, &initial);
        if (resattn_layer_attribute_type(layer, i) == RESATTN_ATTRIBUTE_INT) {
            resattn_layer_get_int(layer, name, &integer);
            real = (double)integer;
        } else {
            resattn_layer_get_real(layer, name, &real);
        }
        snprintf(text, sizeof text, "%.17g", real);
        if (memcmp(&real, &initial, sizeof real) != 0) /* -0 is not 0 */
            crc = crc_text(crc_text(crc, name), text);
    }
    for (int32_t i = 0; i < resattn_layer_child_count(layer); i++)
        crc = crc_layers(resattn_layer_child(layer, i), crc, count);
    return crc;
}

bool golden_describe(resattn_network *network, char line[GOLDEN_LINE])
{
    uint32_t values = 0;
    int32_t layers = 0;
    *line = '\0';
    if (!crc_values(network, &values))
        return false;
    uint32_t tree = crc_layers(resattn_network_root(network), 0, &layers);
    add(line, "layers=%d parameters=%d values=%08x tree=%08x metadata=%08x", layers,
        resattn_network_parameter_count(network), (unsigned)values, (unsigned)tree, (unsigned)crc_metadata(network));
    add(line, " size=%dx%d storage=%d", resattn_network_input_height(network), resattn_network_input_width(network),
        (int)resattn_network_storage(network));
    return true;
}

/* ---- trainings ---- */

static uint64_t number_at(const unsigned char *bytes, int count)
{
    uint64_t value = 0;
    for (int i = 0; i < count; i++)
        value |= (uint64_t)bytes[i] << 8 * i;
    return value;
}

/* The values of a tensor as chunks have it, put together from their planes. */
static bool crc_tensor(const unsigned char *tensor, const unsigned char *end, uint32_t *crc)
{
    uLongf count = 1;
    for (int i = 0; i < tensor[2]; i++)
        count *= (uLongf)number_at(tensor + 4 + 8 * i, 8);
    const unsigned char *name = tensor + 4 + 8 * tensor[2], *stream = name + strlen((const char *)name) + 1;
    uLongf size = 4 * count;
    unsigned char *planes = malloc(size);
    bool ok = planes && uncompress(planes, &size, stream, (uLong)(end - stream)) == Z_OK && size == 4 * count;
    *crc = crc_text(*crc, (const char *)name);
    for (uLongf i = 0; ok && i < count; i++)
        for (uLongf plane = 0; plane < 4; plane++)
            *crc = (uint32_t)crc32(*crc, planes + plane * count + i, 1);
    free(planes);
    return ok;
}

/* Of a checkpoint: the number of steps of each trained parameter, and all that is kept beside the weights. */
static bool add_state(const unsigned char *blob, size_t size, uint32_t trained, char line[GOLDEN_LINE])
{
    uint32_t crc = 0;
    for (size_t at = 24; at < size;) {
        const unsigned char *chunk = blob + at, *payload = chunk + 12;
        const unsigned char *end = payload + number_at(chunk + 4, 8);
        at = (size_t)(end + 4 - blob);
        if (memcmp(chunk, "trai", 4) == 0)
            for (uint32_t i = trained; i > 0; i--)
                add(line, "%s%llu", i == trained ? " steps=" : ",", (unsigned long long)number_at(end - i * 32, 8));
        bool moment = memcmp(chunk, "mome", 4) == 0;
        if (moment)
            crc = (uint32_t)crc32(crc, payload, 1);
        if ((moment || memcmp(chunk, "aver", 4) == 0) && !crc_tensor(payload + moment, end, &crc))
            return false;
    }
    add(line, " state=%08x", (unsigned)crc);
    return true;
}

static uint32_t add_factors(const resattn_optimizer *optimizer, char line[GOLDEN_LINE])
{
    static const char *const names[] = {"rate", "weight_decay"};
    resattn_network *network = resattn_optimizer_network(optimizer);
    uint32_t trained = 0;
    for (int32_t i = 0; i < resattn_network_parameter_count(network); i++) {
        trained += resattn_network_parameter_kind(network, i) == RESATTN_PARAMETER_TRAINABLE;
        for (int k = 0; k < 2; k++) {
            double factor = 1;
            if (resattn_network_parameter_kind(network, i) == RESATTN_PARAMETER_TRAINABLE)
                resattn_optimizer_get_factor(optimizer, i, names[k], &factor);
            if (factor != 1)
                add(line, " %s:%s=%.17g", resattn_network_parameter_name(network, i), names[k], factor);
        }
    }
    return trained;
}

bool golden_describe_training(resattn_optimizer *optimizer, const resattn_ema *average, char line[GOLDEN_LINE])
{
    if (!golden_describe(resattn_optimizer_network(optimizer), line))
        return false;
    add(line, " optimizer=%s", resattn_optimizer_kind(optimizer));
    for (int32_t i = 0; i < resattn_optimizer_attribute_count(optimizer); i++) {
        const char *name = resattn_optimizer_attribute_name(optimizer, i);
        double least, most, initial, value = 0;
        resattn_optimizer_attribute_range(optimizer, i, &least, &most, &initial);
        resattn_optimizer_get_real(optimizer, name, &value);
        if (value != initial)
            add(line, " %s=%.17g", name, value);
    }
    uint32_t trained = add_factors(optimizer, line);
    add(line, " norm=%.17g", resattn_optimizer_gradient_norm(optimizer));
    if (average)
        add(line, " decay=%.17g", resattn_ema_decay(average));
    void *bytes;
    size_t size;
    if (resattn_checkpoint_save_buffer(optimizer, average, 0, &bytes, &size) != RESATTN_OK)
        return false;
    bool ok = add_state(bytes, size, trained, line);
    resattn_buffer_free(bytes);
    return ok;
}
