/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Layers and numbers in words.
 */
#include "layer_text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct text {
    char *start;
    size_t size, length;
};

/* Appends a setting, after a comma unless it is the first. */
#if defined(__GNUC__) || defined(__clang__)
__attribute__((format(printf, 2, 3)))
#endif
static void
add(struct text *text, const char *format, ...)
{
    va_list arguments;
    const char *comma = text->length ? ", " : "";
    if (text->length + 3 >= text->size)
        return;
    memcpy(text->start + text->length, comma, strlen(comma) + 1);
    text->length += strlen(comma);
    va_start(arguments, format);
    vsnprintf(text->start + text->length, text->size - text->length, format, arguments);
    va_end(arguments);
    text->length += strlen(text->start + text->length);
}

static int64_t setting(const resattn_layer *layer, const char *name)
{
    int64_t value = 0;
    (void)resattn_layer_get_int(layer, name, &value);
    return value;
}

/* A setting of both directions in one, such as kernel_h and kernel_w, given the first of them. */
static void add_pair(struct text *text, const resattn_layer *layer, const char *name, int64_t initial)
{
    char stem[32], across[40];
    snprintf(stem, sizeof stem, "%s", name);
    *strrchr(stem, '_') = '\0';
    snprintf(across, sizeof across, "%s_w", stem);
    long long h = setting(layer, name), w = setting(layer, across);
    if (strcmp(stem, "kernel") == 0)
        add(text, "%lldx%lld", h, w);
    else if (h != w)
        add(text, "%s %lldx%lld", stem, h, w);
    else if (h != initial)
        add(text, "%s %lld", stem, h);
}

static void add_padding(struct text *text, const resattn_layer *layer)
{
    long long top = setting(layer, "pad_top"), left = setting(layer, "pad_left");
    long long bottom = setting(layer, "pad_bottom"), right = setting(layer, "pad_right");
    if (top == left && top == bottom && top == right) {
        if (top)
            add(text, "pad %lld", top);
    } else if (top == bottom && left == right) {
        add(text, "pad %lldx%lld", top, left);
    } else {
        add(text, "pad %lld above, %lld left, %lld below, %lld right", top, left, bottom, right);
    }
}

static int ends_with(const char *text, const char *ending)
{
    size_t length = strlen(text), size = strlen(ending);
    return length > size && strcmp(text + length - size, ending) == 0;
}

static void add_attribute(struct text *text, const resattn_layer *layer, int32_t index)
{
    const char *name = resattn_layer_attribute_name(layer, index);
    double smallest, largest, initial, real;
    if (resattn_layer_attribute_range(layer, index, &smallest, &largest, &initial))
        return;
    if (ends_with(name, "_h"))
        add_pair(text, layer, name, (int64_t)initial);
    else if (strcmp(name, "pad_top") == 0)
        add_padding(text, layer);
    else if (ends_with(name, "_w") || strncmp(name, "pad_", 4) == 0 || strncmp(name, "out_", 4) == 0)
        return;
    else if (resattn_layer_attribute_type(layer, index) == RESATTN_ATTRIBUTE_INT &&
             setting(layer, name) != (int64_t)initial)
        add(text, "%s %lld", name, (long long)setting(layer, name));
    else if (!resattn_layer_get_real(layer, name, &real) && real != initial)
        add(text, "%s %g", name, real);
}

void layer_settings(const resattn_layer *layer, char *text, size_t size)
{
    static const char *const learning[] = {"", "residual", "naive"};
    static const char *const activation[] = {"", "mixed", "channel", "spatial", "none"};
    struct text all = {text, size, 0};
    text[0] = '\0';
    if (layer_is(layer, "attention")) {
        add(&all, "%s learning", learning[setting(layer, "learning")]);
        add(&all, "%s activation", activation[setting(layer, "activation")]);
        return;
    }
    for (int32_t i = 0; i < resattn_layer_attribute_count(layer); i++)
        add_attribute(&all, layer, i);
}

static int64_t own_parameters(resattn_network *network, const resattn_layer *layer)
{
    const char *path = resattn_layer_path(layer);
    size_t length = strlen(path);
    int64_t total = 0;
    for (int32_t i = 0; i < resattn_network_parameter_count(network); i++) {
        const char *name = resattn_network_parameter_name(network, i);
        if (resattn_network_parameter_kind(network, i) == RESATTN_PARAMETER_TRAINABLE &&
            strncmp(name, path, length) == 0 && name[length] == '.' && !strchr(name + length + 1, '.'))
            total += resattn_tensor_elements(resattn_network_parameter(network, i));
    }
    return total;
}

int64_t layer_parameters(resattn_network *network, const resattn_layer *layer)
{
    int32_t children = resattn_layer_child_count(layer);
    int64_t total = children ? 0 : own_parameters(network, layer);
    for (int32_t i = 0; i < children; i++)
        total += layer_parameters(network, resattn_layer_child(layer, i));
    return total;
}

int layer_is(const resattn_layer *layer, const char *kind)
{
    return strcmp(resattn_layer_kind(layer), kind) == 0;
}

char *grouped(int64_t number, char text[GROUPED_BYTES])
{
    char digits[GROUPED_BYTES];
    int length = snprintf(digits, sizeof digits, "%lld", (long long)number), at = 0;
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0 && digits[i - 1] != '-')
            text[at++] = ',';
        text[at++] = digits[i];
    }
    text[at] = '\0';
    return text;
}
