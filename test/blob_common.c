/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the tests of blobs share.
 */
#include "blob_common.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

resattn_context *context;

void blob_set_up(void)
{
    context = resattn_context_new(1);
    ck_assert_ptr_nonnull(context);
}

void blob_tear_down(void)
{
    resattn_context_unref(context);
    context = NULL;
}

/* ---- a small network with something of everything ---- */

static resattn_layer *attention_module(resattn_builder *b)
{
    resattn_layer *unit = resattn_sequential_new(b, NULL);
    resattn_layer_add(unit, resattn_batch_norm_new(b, "norm"));
    resattn_layer_add(unit, resattn_conv2d_new(b, "conv", 4, 1, 1, 0));
    resattn_attention *attention = resattn_attention_new(b, "attention1");
    resattn_attention_set_trunk(attention, resattn_residual_new(b, "trunk", unit, NULL));
    resattn_attention_set_mask(attention, resattn_down_up_new(b, "mask", resattn_max_pool_new(b, NULL, 3, 2, 1),
                                                              resattn_conv2d_new(b, NULL, 4, 1, 1, 0),
                                                              resattn_bilinear_resize_new(b, NULL, 0, 0)));
    resattn_attention_set_activation(attention, RESATTN_ACTIVATION_SPATIAL);
    resattn_attention_set_learning(attention, RESATTN_LEARNING_NAIVE);
    return resattn_attention_layer(attention);
}

resattn_network *small_network(resattn_context *c)
{
    resattn_builder *b = resattn_builder_new(c);
    resattn_layer *root = resattn_sequential_new(b, NULL);
    resattn_layer *conv = resattn_conv2d_new(b, NULL, 4, 3, 2, 1);
    resattn_layer_set_int(conv, "pad_bottom", 2);
    resattn_layer_set_path(conv, "features.stem.0");
    resattn_layer_add(root, conv);
    resattn_layer *norm = resattn_batch_norm_new(b, "norm\xC3\xA9");
    resattn_layer_set_real(norm, "epsilon", 0.001);
    resattn_layer_add(root, norm);
    resattn_layer_add(root, resattn_relu_new(b, NULL));
    resattn_layer_add(root, attention_module(b));
    resattn_layer_add(root, resattn_dropout_new(b, "drop", 0.25));
    resattn_layer_add(root, resattn_global_average_pool_new(b, NULL));
    resattn_layer_add(root, resattn_linear_new(b, "fc", 3));
    resattn_network *network = resattn_network_new(b, root, 2);
    resattn_builder_free(b);
    return network;
}

static bool add_metadata(resattn_network *network)
{
    const char *classes[] = {"cat", "", "na\xC3\xAFve"};
    const float mean[] = {0.485f, 0.456f}, deviation[] = {0.229f, 0.224f};
    return resattn_network_set_classes(network, classes, 3) == RESATTN_OK &&
           resattn_network_set_input_size(network, 17, 19) == RESATTN_OK &&
           resattn_network_set_normalization(network, mean, deviation, 2) == RESATTN_OK &&
           resattn_network_set_text(network, "name", "small") == RESATTN_OK &&
           resattn_network_set_text(network, "license", "") == RESATTN_OK;
}

resattn_network *full_network(resattn_context *c)
{
    resattn_network *network = small_network(c);
    if (network && !add_metadata(network)) {
        resattn_network_unref(network);
        return NULL;
    }
    return network;
}

/* ---- the same to the bit? ---- */

static void check_text(const char *a, const char *b)
{
    ck_assert_int_eq(a == NULL, b == NULL);
    if (a)
        ck_assert_str_eq(a, b);
}

static void check_layers(const resattn_layer *a, const resattn_layer *b)
{
    ck_assert_str_eq(resattn_layer_kind(a), resattn_layer_kind(b));
    ck_assert_str_eq(resattn_layer_path(a), resattn_layer_path(b));
    check_text(resattn_layer_name(a), resattn_layer_name(b));
    for (int32_t i = 0; i < resattn_layer_attribute_count(a); i++) {
        const char *name = resattn_layer_attribute_name(a, i);
        if (resattn_layer_attribute_type(a, i) == RESATTN_ATTRIBUTE_INT) {
            int64_t left = 0, right = 1;
            resattn_layer_get_int(a, name, &left);
            resattn_layer_get_int(b, name, &right);
            ck_assert_int_eq(left, right);
        } else {
            double left = 0, right = 1;
            resattn_layer_get_real(a, name, &left);
            resattn_layer_get_real(b, name, &right);
            ck_assert_mem_eq(&left, &right, sizeof left);
        }
    }
    ck_assert_int_eq(resattn_layer_child_count(a), resattn_layer_child_count(b));
    for (int32_t i = 0; i < resattn_layer_child_count(a); i++)
        check_layers(resattn_layer_child(a, i), resattn_layer_child(b, i));
}

static void check_parameters(resattn_network *a, resattn_network *b)
{
    ck_assert_int_eq(resattn_network_parameter_count(a), resattn_network_parameter_count(b));
    for (int32_t i = 0; i < resattn_network_parameter_count(a); i++) {
        resattn_tensor *left = resattn_network_parameter(a, i), *right = resattn_network_parameter(b, i);
        int64_t count = resattn_tensor_elements(left);
        ck_assert_str_eq(resattn_network_parameter_name(a, i), resattn_network_parameter_name(b, i));
        ck_assert_int_eq(count, resattn_tensor_elements(right));
        ck_assert_mem_eq(resattn_tensor_data(left), resattn_tensor_data(right), (size_t)count * sizeof(float));
    }
}

void check_same(resattn_network *a, resattn_network *b)
{
    ck_assert_msg(b != NULL, "%s", resattn_last_error());
    ck_assert_int_eq(resattn_network_in_channels(a), resattn_network_in_channels(b));
    check_layers(resattn_network_root(a), resattn_network_root(b));
    check_parameters(a, b);
    for (int32_t i = 0; i <= resattn_network_out_channels(a); i++)
        check_text(resattn_network_class_name(a, i), resattn_network_class_name(b, i));
    for (int32_t c = 0; c < resattn_network_in_channels(a); c++) {
        ck_assert(resattn_network_mean(a, c) == resattn_network_mean(b, c));
        ck_assert(resattn_network_deviation(a, c) == resattn_network_deviation(b, c));
    }
    ck_assert_int_eq(resattn_network_input_height(a), resattn_network_input_height(b));
    ck_assert_int_eq(resattn_network_input_width(a), resattn_network_input_width(b));
    for (int32_t i = 0; resattn_network_text_key(a, i) || resattn_network_text_key(b, i); i++) {
        check_text(resattn_network_text_key(a, i), resattn_network_text_key(b, i));
        check_text(resattn_network_text(a, resattn_network_text_key(a, i)),
                   resattn_network_text(b, resattn_network_text_key(b, i)));
    }
}

void check_refused(const void *bytes, size_t size, resattn_status status, const char *words)
{
    resattn_network *network = resattn_network_load_buffer(context, bytes, size);
    ck_assert_ptr_null(network);
    ck_assert_msg(resattn_last_status() == status && strstr(resattn_last_error(), words), "%d '%s', expected %d '%s'",
                  resattn_last_status(), resattn_last_error(), status, words);
}

void save(resattn_network *network, int32_t level, void **bytes, size_t *size)
{
    ck_assert_msg(resattn_network_save_buffer(network, level, bytes, size) == RESATTN_OK, "%s", resattn_last_error());
}

/* ---- callbacks ---- */

int32_t put(void *user, const void *bytes, size_t size)
{
    pipe_end *p = user;
    if (p->calls++ == p->fail_at)
        return 7;
    ck_assert_uint_le(p->size + size, sizeof p->bytes);
    memcpy(p->bytes + p->size, bytes, size);
    p->size += size;
    return 0;
}

int64_t get(void *user, void *bytes, size_t size)
{
    pipe_end *p = user;
    if (p->calls++ == p->fail_at)
        return -5;
    size_t count = p->size - p->at < size ? p->size - p->at : size;
    if (p->piece && count > p->piece)
        count = p->piece;
    memcpy(bytes, p->bytes + p->at, count);
    p->at += count;
    return (int64_t)count;
}

/* ---- chunks ---- */

static uint64_t load(const unsigned char *bytes, int count)
{
    uint64_t value = 0;
    for (int i = 0; i < count; i++)
        value |= (uint64_t)bytes[i] << (8 * i);
    return value;
}

void blob_store(unsigned char *bytes, uint64_t value, int count)
{
    for (int i = 0; i < count; i++)
        bytes[i] = (unsigned char)(value >> (8 * i));
}

void blob_split(blob *b, const void *bytes, size_t size)
{
    const unsigned char *at = bytes, *end = at + size;
    memset(b, 0, sizeof *b);
    memcpy(b->header, at, HEADER);
    for (at += HEADER; at < end; at += b->chunks[b->count++].size + 4) {
        blob_chunk *c = &b->chunks[b->count];
        ck_assert_int_lt(b->count, MOST_CHUNKS);
        memcpy(c->type, at, 4);
        c->size = (size_t)load(at + 4, 8);
        ck_assert_uint_le(c->size, MOST_PAYLOAD);
        at += 12;
        memcpy(c->payload, at, c->size);
    }
}

int blob_find(const blob *b, const char *type)
{
    for (int i = 0; i < b->count; i++)
        if (strcmp(b->chunks[i].type, type) == 0)
            return i;
    ck_abort_msg("no chunk %s", type);
    return -1;
}

void blob_insert(blob *b, int index, const char *type, const void *payload, size_t size)
{
    ck_assert_int_lt(b->count, MOST_CHUNKS);
    memmove(b->chunks + index + 1, b->chunks + index, (size_t)(b->count++ - index) * sizeof *b->chunks);
    blob_chunk *c = &b->chunks[index];
    strcpy(c->type, type);
    c->size = size;
    if (size > 0)
        memcpy(c->payload, payload, size);
}

void blob_remove(blob *b, int index)
{
    memmove(b->chunks + index, b->chunks + index + 1, (size_t)(--b->count - index) * sizeof *b->chunks);
}

unsigned char *blob_join(const blob *b, size_t *size)
{
    *size = HEADER;
    for (int i = 0; i < b->count; i++)
        *size += b->chunks[i].size + 16;
    unsigned char *bytes = malloc(*size), *at = bytes;
    memcpy(at, b->header, HEADER);
    blob_store(at + 20, crc32(0, at, 20), 4);
    at += HEADER;
    for (int i = 0; i < b->count; i++) {
        const blob_chunk *c = &b->chunks[i];
        memcpy(at, c->type, 4);
        blob_store(at + 4, c->size, 8);
        memcpy(at + 12, c->payload, c->size);
        if (strcmp(c->type, "DONE") == 0 && c->size == 8 && load(c->payload, 8) != KEEP_TOTAL)
            blob_store(at + 12, *size, 8);
        blob_store(at + 12 + c->size, crc32(0, at, (uInt)c->size + 12), 4);
        at += c->size + 16;
    }
    return bytes;
}

void blob_refused(const blob *b, resattn_status status, const char *words)
{
    size_t size;
    unsigned char *bytes = blob_join(b, &size);
    check_refused(bytes, size, status, words);
    free(bytes);
}

/* ---- a blob to change ---- */

blob *sample;

void make_blob(void)
{
    blob_set_up();
    resattn_network *network = full_network(context);
    void *bytes;
    size_t size;
    save(network, 6, &bytes, &size);
    sample = malloc(sizeof *sample);
    blob_split(sample, bytes, size);
    resattn_buffer_free(bytes);
    resattn_network_unref(network);
}

void free_blob(void)
{
    free(sample);
    blob_tear_down();
}

/* ---- trees by hand ---- */

unsigned char tree_bytes[MOST_PAYLOAD];
size_t tree_size;

void number(uint64_t value, int count)
{
    blob_store(tree_bytes + tree_size, value, count);
    tree_size += (size_t)count;
}

void text(const char *word)
{
    strcpy((char *)tree_bytes + tree_size, word);
    tree_size += strlen(word) + 1;
}

void begin_tree(uint32_t channels)
{
    tree_size = 0;
    number(channels, 4);
}

/* Kind, flags, name, number of attributes. */
void layer(const char *kind, const char *name, uint32_t attributes)
{
    text(kind);
    number(0, 1);
    text(name);
    number(attributes, 4);
}

void attribute(const char *name, int type, uint64_t value)
{
    text(name);
    number((uint64_t)type, 1);
    number(value, 8);
}

void conv(const char *name, uint64_t out, uint64_t kernel, int more)
{
    layer("conv2d", name, 3 + (uint32_t)more);
    attribute("out_channels", 1, out);
    attribute("kernel_h", 1, kernel);
    attribute("kernel_w", 1, kernel);
}
