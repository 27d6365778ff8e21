/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The golden files that load.
 */
#include "make_golden.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

static void put_network(const char *name, resattn_network *network, int32_t level)
{
    void *bytes;
    size_t size;
    NEED(resattn_network_save_buffer(network, level, &bytes, &size) == RESATTN_OK);
    put_good(name, bytes, size);
    resattn_buffer_free(bytes);
    resattn_network_unref(network);
}

static void put_blob(const char *name, const blob *b)
{
    size_t size;
    unsigned char *bytes = blob_join(b, &size);
    put_good(name, bytes, size);
    free(bytes);
}

/* A network as chunks, to be changed; freed with free(). */
static blob *split_network(resattn_network *network)
{
    void *bytes;
    size_t size;
    blob *b = malloc(sizeof *b);
    NEED(b != NULL);
    NEED(resattn_network_save_buffer(network, 6, &bytes, &size) == RESATTN_OK);
    blob_split(b, bytes, size);
    resattn_buffer_free(bytes);
    resattn_network_unref(network);
    return b;
}

/* ---- every kind of layer ---- */

static void set_int(resattn_layer *layer, const char *name, int64_t value)
{
    NEED(resattn_layer_set_int(layer, name, value) == RESATTN_OK);
}

static void set_real(resattn_layer *layer, const char *name, double value)
{
    NEED(resattn_layer_set_real(layer, name, value) == RESATTN_OK);
}

static void add_stem(resattn_builder *b, resattn_layer *net)
{
    resattn_layer *conv = resattn_conv2d_new(b, NULL, 4, 3, 2, 1), *norm = resattn_batch_norm_new(b, "norm");
    set_int(conv, "pad_bottom", 2);
    set_int(conv, "groups", 2);
    set_int(conv, "bias", 1);
    NEED(resattn_layer_set_path(conv, "features.stem.0") == RESATTN_OK);
    set_real(norm, "epsilon", 0.001);
    set_real(norm, "momentum", 0.25);
    set_int(norm, "frozen", 1);
    resattn_layer_add(net, conv);
    resattn_layer_add(net, norm);
    resattn_layer_add(net, resattn_relu_new(b, NULL));
}

static resattn_layer *first_module(resattn_builder *b)
{
    resattn_layer *unit = resattn_sequential_new(b, NULL);
    resattn_layer_add(unit, resattn_batch_norm_new(b, "norm"));
    resattn_layer_add(unit, resattn_conv2d_new(b, "conv", 4, 1, 1, 0));
    resattn_layer_add(unit, resattn_scale_new(b, NULL, 0.5));
    resattn_attention *attention = resattn_attention_new(b, "attention1");
    resattn_attention_set_trunk(attention, resattn_residual_new(b, "trunk", unit, NULL));
    resattn_attention_set_mask(attention, resattn_down_up_new(b, "mask", resattn_max_pool_new(b, NULL, 3, 2, 1),
                                                              resattn_conv2d_new(b, NULL, 4, 1, 1, 0),
                                                              resattn_bilinear_resize_new(b, NULL, 0, 0)));
    resattn_attention_set_activation(attention, RESATTN_ACTIVATION_SPATIAL);
    resattn_attention_set_learning(attention, RESATTN_LEARNING_NAIVE);
    return resattn_attention_layer(attention);
}

static resattn_layer *second_module(resattn_builder *b)
{
    resattn_layer *up = resattn_conv_transpose2d_new(b, NULL, 4, 2, 2, 0);
    set_int(up, "groups", 2);
    set_int(up, "bilinear", 1);
    resattn_attention *attention = resattn_attention_new(b, "attention2");
    resattn_attention_set_trunk(
        attention, resattn_residual_new(b, NULL, resattn_sigmoid_new(b, NULL), resattn_subsample_new(b, NULL, 4, 1)));
    resattn_attention_set_mask(attention, resattn_down_up_new(b, NULL, resattn_max_pool_new(b, NULL, 2, 2, 0),
                                                              resattn_identity_new(b, NULL), up));
    resattn_attention_set_activation(attention, RESATTN_ACTIVATION_CHANNEL);
    return resattn_attention_layer(attention);
}

static resattn_layer *branches(resattn_builder *b)
{
    resattn_layer *sum = resattn_sum_new(b, "sum"), *concat = resattn_concat_new(b, "concat");
    resattn_layer *average = resattn_average_pool_new(b, NULL, 3, 1, 1);
    set_int(average, "count_padding", 0);
    resattn_layer_add(sum, resattn_conv_transpose2d_new(b, "up", 4, 1, 1, 0));
    resattn_layer_add(sum, resattn_instance_norm_new(b, NULL));
    resattn_layer_add(concat, sum);
    resattn_layer_add(concat, average);
    resattn_layer_add(concat, resattn_softmax_new(b, "soft"));
    resattn_layer_add(concat, resattn_channel_norm_new(b, NULL));
    return concat;
}

static void add_metadata(resattn_network *network)
{
    const char *classes[] = {"cat", "", "na\xC3\xAFve"};
    const float mean[] = {0.485f, 0.456f}, deviation[] = {0.229f, 0.224f};
    NEED(resattn_network_set_classes(network, classes, 3) == RESATTN_OK);
    NEED(resattn_network_set_input_size(network, 9, 11) == RESATTN_OK);
    NEED(resattn_network_set_normalization(network, mean, deviation, 2) == RESATTN_OK);
    NEED(resattn_network_set_text(network, "name", "every kind of layer") == RESATTN_OK);
    NEED(resattn_network_set_text(network, "license", "") == RESATTN_OK);
    NEED(resattn_network_set_text(network, "description", "two\nlines, \xE2\x82\xAC") == RESATTN_OK);
}

static resattn_network *every_layer(void)
{
    resattn_builder *b = resattn_builder_new(context);
    resattn_layer *net = resattn_sequential_new(b, NULL), *pool = resattn_max_pool_new(b, NULL, 2, 2, 0);
    resattn_layer *resize = resattn_bilinear_resize_new(b, "resize", 0, 0);
    set_real(resize, "factor", 1.5);
    set_int(resize, "align_corners", 0);
    set_int(pool, "ceil_mode", 1);
    add_stem(b, net);
    resattn_layer_add(net, first_module(b));
    resattn_layer_add(net, second_module(b));
    resattn_layer_add(net, branches(b));
    resattn_layer_add(net, resize);
    resattn_layer_add(net, pool);
    resattn_layer_add(net, resattn_dropout_new(b, "drop", 0.25));
    resattn_layer_add(net, resattn_global_average_pool_new(b, NULL));
    resattn_layer_add(net, resattn_linear_new(b, "fc", 3));
    resattn_network *network = finish_network(b, net, 2);
    add_metadata(network);
    return network;
}

/* ---- small networks ---- */

/* The example of docs/format.md. */
static resattn_network *worked_example(void)
{
    resattn_builder *b = resattn_builder_new(context);
    resattn_network *network = finish_network(b, resattn_linear_new(b, "fc", 1), 2);
    NEED(resattn_tensor_write(resattn_network_parameter(network, 0), RESATTN_CHANNELS_FIRST, (float[]){1, -2}, 2) ==
         RESATTN_OK);
    NEED(resattn_tensor_fill(resattn_network_parameter(network, 1), 0.5f) == RESATTN_OK);
    return network;
}

static resattn_network *attention_network(resattn_dtype storage)
{
    resattn_builder *b = resattn_builder_new(context);
    resattn_layer *net = resattn_sequential_new(b, "net");
    resattn_attention *attention = resattn_attention_new(b, "attention");
    resattn_attention_set_trunk(attention, resattn_conv2d_new(b, "trunk", 2, 3, 1, 1));
    resattn_attention_set_mask(attention, resattn_conv2d_new(b, "mask", 2, 1, 1, 0));
    resattn_layer_add(net, resattn_batch_norm_new(b, "norm"));
    resattn_layer_add(net, resattn_attention_layer(attention));
    resattn_layer_add(net, resattn_global_average_pool_new(b, NULL));
    resattn_layer_add(net, resattn_linear_new(b, "fc", 2));
    resattn_network *network = finish_network(b, net, 2);
    NEED(resattn_network_set_storage(network, storage) == RESATTN_OK);
    return network;
}

static resattn_network *custom_network(const char *text)
{
    resattn_builder *b = resattn_builder_new(context);
    resattn_layer *net = resattn_sequential_new(b, NULL), *gain = golden_layer(b, NULL, text);
    set_int(gain, "sides", 3);
    resattn_layer_add(net, gain);
    resattn_layer_add(net, golden_layer(b, "second", NULL));
    return finish_network(b, net, 2);
}

/* NaNs with payloads, infinities, zeros with both signs, denormals: to the bit. */
static resattn_network *special_values(void)
{
    static const uint32_t bits[] = {0x00000000, 0x80000000, 0x00000001, 0x807FFFFF, 0x7F800000, 0xFF800000,
                                    0x7FC00000, 0xFFC12345, 0x7F812345, 0x7F7FFFFF, 0x00800000, 0x3F800001};
    resattn_builder *b = resattn_builder_new(context);
    resattn_network *network = finish_network(b, resattn_linear_new(b, "fc", 6), 2);
    NEED(resattn_tensor_write(resattn_network_parameter(network, 0), RESATTN_CHANNELS_FIRST, bits, 12) == RESATTN_OK);
    return network;
}

/* More than 256 times as large in memory as it is here. */
static resattn_network *zeros(void)
{
    resattn_builder *b = resattn_builder_new(context);
    resattn_layer *layer = resattn_linear_new(b, "fc", 1 << 18);
    set_int(layer, "bias", 0);
    resattn_network *network = resattn_network_new_zeroed(b, layer, 1);
    NEED(network != NULL);
    resattn_builder_free(b);
    return network;
}

/* As deep as a tree may be, with a name as long as one may be. */
static resattn_network *at_the_limits(void)
{
    char name[1025];
    for (size_t i = 0; i < 1024; i += 2)
        memcpy(name + i, "\xC3\xA9", 3);
    resattn_builder *b = resattn_builder_new(context);
    resattn_layer *layer = resattn_relu_new(b, name);
    for (int depth = 1; depth < 200; depth++) {
        resattn_layer *sum = resattn_sum_new(b, NULL);
        NEED(resattn_layer_add(sum, layer) == RESATTN_OK);
        layer = sum;
    }
    return finish_network(b, layer, 1);
}

/* ---- what other writers may write ---- */

/* Chunks that later versions or hosts may add, in any place and order, and a feature that may be passed over. */
static void put_unknown_chunks(void)
{
    blob *b = split_network(worked_example());
    b->header[12] = 0x80;
    blob_chunk norm = b->chunks[1];
    blob_remove(b, 1);
    blob_insert(b, b->count - 1, "NORM", norm.payload, norm.size);
    blob_insert(b, 0, "optm", "before the tree", 15);
    blob_insert(b, 2, "xTRA", "a host's own", 12);
    blob_insert(b, b->count - 1, "aBCD", "", 0);
    put_blob("unknown-chunks", b);
    free(b);
}

/* Each tensor of another element type. */
static void put_mixed_types(void)
{
    static const unsigned char weight[] = {0, 0x3C, 0, 0xC0}, bias[] = {0, 0x3F}; /* 1, -2 as f16; 0.5 as bf16 */
    blob *b = split_network(worked_example());
    for (int i = 2; i < 4; i++) {
        blob_chunk *c = &b->chunks[i];
        const unsigned char *values = i == 2 ? weight : bias;
        uLong count = i == 2 ? 2 : 1;
        unsigned char planes[4];
        for (uLong k = 0; k < 2 * count; k++)
            planes[k] = values[k % count * 2 + k / count];
        uLongf size = MOST_PAYLOAD - stream_of(c);
        NEED(compress(c->payload + stream_of(c), &size, planes, 2 * count) == Z_OK);
        c->size = stream_of(c) + size;
        c->payload[0] = i == 2 ? RESATTN_F16 : RESATTN_BF16;
    }
    put_blob("mixed-types", b);
    free(b);
}

static void recompress(blob_chunk *c, int round)
{
    static const int strategies[] = {Z_FIXED, Z_HUFFMAN_ONLY, Z_RLE, Z_DEFAULT_STRATEGY, Z_FILTERED};
    unsigned char raw[4096];
    uLongf size = sizeof raw;
    size_t at = stream_of(c);
    NEED(uncompress(raw, &size, c->payload + at, (uLong)(c->size - at)) == Z_OK);
    z_stream z = {.next_out = c->payload + at, .avail_out = (uInt)(MOST_PAYLOAD - at), .next_in = raw};
    NEED(deflateInit2(&z, 9, Z_DEFLATED, 9 + round % 7, 1 + round % 9, strategies[round % 5]) == Z_OK);
    while (z.total_in < size) {
        uInt left = (uInt)(size - z.total_in), piece = 1 + (uInt)round * 3;
        z.avail_in = left < piece ? left : piece;
        NEED(deflate(&z, round % 2 ? Z_FULL_FLUSH : Z_SYNC_FLUSH) == Z_OK);
    }
    NEED(deflate(&z, Z_FINISH) == Z_STREAM_END);
    c->size = at + z.total_out;
    deflateEnd(&z);
}

/* zlib streams in many blocks, empty ones too, of all strategies and windows. */
static void put_streams(void)
{
    blob *b = split_network(attention_network(RESATTN_F32));
    for (int i = 0, round = 0; i < b->count; i++)
        if (strcmp(b->chunks[i].type, "TENS") == 0)
            recompress(&b->chunks[i], round++);
    put_blob("zlib-streams", b);
    free(b);
}

static void put_checkpoint(const char *name, bool adamw)
{
    size_t size;
    void *bytes = make_checkpoint(adamw, true, &size);
    put_good(name, bytes, size);
    resattn_buffer_free(bytes);
}

void make_good(void)
{
    put_network("worked-example", worked_example(), 0);
    put_network("every-layer", every_layer(), 9);
    put_network("attention-stored", attention_network(RESATTN_F32), 0);
    put_network("attention-f16", attention_network(RESATTN_F16), 6);
    put_network("attention-f16-stored", attention_network(RESATTN_F16), 0);
    put_network("attention-bf16", attention_network(RESATTN_BF16), 6);
    put_network("custom", custom_network(NULL), 6);
    put_network("custom-instance", custom_network("an instance"), 6);
    put_network("special-values", special_values(), 6);
    put_network("zeros", zeros(), 9);
    put_network("at-the-limits", at_the_limits(), 6);
    put_mixed_types();
    put_unknown_chunks();
    put_streams();
    put_checkpoint("checkpoint-sgd", false);
    put_checkpoint("checkpoint-adamw-average", true);
}
