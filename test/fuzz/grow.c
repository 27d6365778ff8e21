/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Random trees. A layer is grown for the channels that it gets and, where it has to fit to others, for those that it
 * must give; one that keeps its size can stand anywhere.
 */
#include "fuzz.h"

#include <string.h>

enum { DEEPEST = 5, MOST_CHANNELS = 6 };

typedef struct growth {
    fuzz_input *in;
    resattn_builder *builder;
    int32_t depth;
} growth;

static resattn_layer *grow(growth *g, int32_t in_c, int32_t out_c);

/* ---- names ---- */

const char *fuzz_name(fuzz_input *in)
{
    static const char *const names[] = {"a",  "b",         "conv1",  "relu1", "a.b",  "mask",
                                        "fc", "n\xC3\xA9", "weight", "x-y",   "trunk"};
    static const char *const wrong[] = {"", ".", "a.", "\xFF", "a\n", "a..b", "\xED\xA0\x80", "\xC3"};
    static char own[4][8];
    static int turn;
    uint32_t kind = fuzz_byte(in);
    if (kind < 96)
        return NULL;
    if (kind < 176)
        return names[kind % (sizeof names / sizeof *names)];
    if (kind < 180)
        return wrong[fuzz_byte(in) % (sizeof wrong / sizeof *wrong)];
    turn = (turn + 1) % 4;
    size_t length = kind % 7 + 1;
    for (size_t i = 0; i < length; i++)
        own[turn][i] = (char)('a' + fuzz_byte(in) % 26);
    own[turn][length] = '\0';
    return own[turn];
}

/* ---- attributes ---- */

/* Any attribute, any value: mostly one that it may have. */
static void change_attribute(fuzz_input *in, resattn_layer *layer)
{
    int32_t count = resattn_layer_attribute_count(layer);
    if (count < 1)
        return;
    int32_t index = fuzz_range(in, 0, count - 1);
    const char *name = resattn_layer_attribute_name(layer, index);
    if (resattn_layer_attribute_type(layer, index) == RESATTN_ATTRIBUTE_INT)
        fuzz_ok(resattn_layer_set_int(layer, name, fuzz_chance(in, 8) ? fuzz_int(in) : fuzz_range(in, 0, 3)));
    else
        fuzz_ok(resattn_layer_set_real(layer, name, fuzz_real(in)));
}

/* ---- leaves ---- */

static resattn_layer *convolution(growth *g, int32_t in_c, int32_t out_c)
{
    int32_t kernel = 2 * fuzz_range(g->in, 0, 2) + 1, groups = fuzz_range(g->in, 1, 3);
    const char *name = fuzz_name(g->in);
    resattn_layer *layer = fuzz_chance(g->in, 200)
                               ? resattn_conv2d_new(g->builder, name, out_c, kernel, 1, kernel / 2)
                               : resattn_conv_transpose2d_new(g->builder, name, out_c, kernel, 1, kernel / 2);
    if (layer && in_c % groups == 0 && out_c % groups == 0)
        fuzz_ok(resattn_layer_set_int(layer, "groups", groups));
    if (layer)
        fuzz_ok(resattn_layer_set_int(layer, "bias", fuzz_range(g->in, 0, 1)));
    return layer;
}

/* As many channels as it gets. */
static resattn_layer *same_leaf(growth *g, int32_t channels)
{
    resattn_builder *b = g->builder;
    const char *name = fuzz_name(g->in);
    switch (fuzz_range(g->in, 0, 13)) {
    case 0:
        return resattn_batch_norm_new(b, name);
    case 1:
        return resattn_relu_new(b, name);
    case 2:
        return resattn_sigmoid_new(b, name);
    case 3:
        return resattn_softmax_new(b, name);
    case 4:
        return resattn_identity_new(b, name);
    case 5:
        return resattn_dropout_new(b, name, 0.25);
    case 6:
        return resattn_channel_norm_new(b, name);
    case 7:
        return resattn_instance_norm_new(b, name);
    case 8:
        return resattn_scale_new(b, name, fuzz_real(g->in));
    case 9:
        return resattn_max_pool_new(b, name, 3, 1, 1);
    case 10:
        return resattn_average_pool_new(b, name, 3, 1, 1);
    case 11:
        return resattn_bilinear_resize_new(b, name, 0, 0);
    case 12:
        return fuzz_custom_layer(b, name, fuzz_chance(g->in, 128));
    default:
        return convolution(g, channels, channels);
    }
}

/* Another size than it gets; the last one also needs a single pixel. */
static resattn_layer *other_size(growth *g, int32_t out_c)
{
    resattn_builder *b = g->builder;
    const char *name = fuzz_name(g->in);
    switch (fuzz_range(g->in, 0, 5)) {
    case 0:
        return resattn_global_average_pool_new(b, name);
    case 1:
        return resattn_max_pool_new(b, name, 2, 2, 0);
    case 2:
        return resattn_average_pool_new(b, name, 3, 2, 1);
    case 3:
        return resattn_conv2d_new(b, name, out_c, 3, 2, 1);
    case 4:
        return resattn_bilinear_resize_new(b, name, fuzz_range(g->in, 0, 9), fuzz_range(g->in, 0, 9));
    default:
        return resattn_linear_new(b, name, out_c);
    }
}

/* ---- containers ---- */

static resattn_layer *children(growth *g, int32_t in_c, int32_t out_c)
{
    int32_t kind = fuzz_range(g->in, 0, 2), count = fuzz_range(g->in, 1, 4);
    const char *name = fuzz_name(g->in);
    resattn_layer *layer = kind == 0   ? resattn_sequential_new(g->builder, name)
                           : kind == 1 ? resattn_sum_new(g->builder, name)
                                       : resattn_concat_new(g->builder, name);
    for (int32_t i = 0; i < count && layer; i++) {
        bool last = i == count - 1;
        /* Concatenated: one channel each, and the last one all that are missing. */
        int32_t out = kind != 2 ? out_c : last ? out_c - i : 1;
        if (!fuzz_ok(resattn_layer_add(layer, grow(g, kind == 0 && i > 0 ? out_c : in_c, out > 0 ? out : 1))))
            return NULL;
    }
    return layer;
}

static resattn_layer *attention(growth *g, int32_t in_c, int32_t out_c)
{
    resattn_attention *module = resattn_attention_new(g->builder, fuzz_name(g->in));
    resattn_attention_set_trunk(module, grow(g, in_c, out_c));
    resattn_attention_set_mask(module, grow(g, in_c, fuzz_chance(g->in, 64) ? 1 : out_c));
    resattn_attention_set_learning(module, (resattn_learning)fuzz_range(g->in, 1, 2));
    resattn_attention_set_activation(module, (resattn_mask_activation)fuzz_range(g->in, 1, 4));
    return resattn_attention_layer(module);
}

static resattn_layer *down_up(growth *g, int32_t in_c, int32_t out_c)
{
    resattn_builder *b = g->builder;
    resattn_layer *down =
        fuzz_chance(g->in, 128) ? resattn_average_pool_new(b, NULL, 2, 2, 0) : resattn_max_pool_new(b, NULL, 3, 2, 1);
    resattn_layer *inner = grow(g, in_c, out_c);
    resattn_layer *up = fuzz_chance(g->in, 128) ? resattn_conv_transpose2d_new(b, NULL, out_c, 3, 2, 1)
                                                : resattn_bilinear_resize_new(b, NULL, 0, 0);
    return resattn_down_up_new(b, fuzz_name(g->in), down, inner, up);
}

static resattn_layer *container(growth *g, int32_t in_c, int32_t out_c)
{
    switch (fuzz_range(g->in, 0, 5)) {
    case 0:
        return attention(g, in_c, out_c);
    case 1:
        return down_up(g, in_c, out_c);
    case 2: {
        resattn_layer *branch = grow(g, in_c, out_c), *shortcut = in_c == out_c ? NULL : grow(g, in_c, out_c);
        return resattn_residual_new(g->builder, fuzz_name(g->in), branch, shortcut);
    }
    default:
        return children(g, in_c, out_c);
    }
}

static resattn_layer *grow(growth *g, int32_t in_c, int32_t out_c)
{
    resattn_layer *layer;
    g->depth++;
    if (g->depth < DEEPEST && g->in->at < g->in->end && fuzz_chance(g->in, 110))
        layer = container(g, in_c, out_c);
    else if (fuzz_chance(g->in, 16))
        layer = other_size(g, out_c);
    else if (in_c != out_c)
        layer = in_c < out_c && fuzz_chance(g->in, 32) ? resattn_subsample_new(g->builder, NULL, out_c, 1)
                                                       : convolution(g, in_c, out_c);
    else
        layer = same_leaf(g, in_c);
    g->depth--;
    if (layer && fuzz_chance(g->in, 24))
        change_attribute(g->in, layer);
    return layer;
}

resattn_layer *fuzz_grow(fuzz_input *in, resattn_builder *builder, int32_t in_channels)
{
    growth g = {.in = in, .builder = builder};
    return grow(&g, in_channels, fuzz_range(in, 1, MOST_CHANNELS));
}
