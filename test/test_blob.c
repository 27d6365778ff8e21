/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Blobs: what was saved comes back to the bit, by every way out and in; and what belongs to a network beside its
 * parameters.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blob_common.h"
#include "network/network.h"

/* ---- round trips ---- */

START_TEST(buffer_at_every_level)
{
    resattn_network *network = full_network(context);
    ck_assert_msg(network != NULL, "%s", resattn_last_error());
    size_t stored = 0;
    for (int32_t level = 0; level <= 9; level++) {
        void *bytes, *again;
        size_t size, size_again;
        save(network, level, &bytes, &size);
        save(network, level, &again, &size_again);
        ck_assert_uint_le(size, 4096);
        ck_assert_uint_eq(size, size_again);
        ck_assert_mem_eq(bytes, again, size);
        stored = level == 0 ? size : stored;
        ck_assert_uint_le(size, stored);
        resattn_network *loaded = resattn_network_load_buffer(context, bytes, size);
        check_same(network, loaded);
        resattn_network_unref(loaded);
        resattn_buffer_free(bytes);
        resattn_buffer_free(again);
    }
    resattn_network_unref(network);
}
END_TEST

START_TEST(without_metadata)
{
    resattn_network *network = small_network(context);
    void *bytes;
    size_t size;
    save(network, 6, &bytes, &size);
    resattn_network *loaded = resattn_network_load_buffer(context, bytes, size);
    check_same(network, loaded);
    ck_assert(resattn_network_deviation(loaded, 1) == 1);
    resattn_network_unref(loaded);
    resattn_buffer_free(bytes);
    resattn_network_unref(network);
}
END_TEST

/* Bits that no arithmetic may touch: NaNs with payloads, infinities, negative zero, denormals. */
START_TEST(every_bit_pattern)
{
    resattn_network *network = small_network(context);
    resattn_tensor *tensor = resattn_network_parameter(network, 0);
    const uint32_t patterns[] = {0x7FC12345, 0xFFA00001, 0x7F800000, 0xFF800000, 0x80000000, 1, 0x807FFFFF};
    memcpy(resattn_tensor_mutable_data(tensor), patterns, sizeof patterns);
    void *bytes;
    size_t size;
    save(network, 9, &bytes, &size);
    resattn_network *loaded = resattn_network_load_buffer(context, bytes, size);
    check_same(network, loaded);
    resattn_network_unref(loaded);
    resattn_buffer_free(bytes);
    resattn_network_unref(network);
}
END_TEST

/* An attribute of -0 is not the default of 0, which a blob leaves out. */
START_TEST(negative_zero)
{
    resattn_builder *b = resattn_builder_new(context);
    resattn_layer *layer = resattn_bilinear_resize_new(b, "up", 4, 4);
    ck_assert_int_eq(resattn_layer_set_real(layer, "factor", -0.0), RESATTN_OK);
    resattn_network *network = resattn_network_new(b, layer, 1);
    ck_assert_msg(network != NULL, "%s", resattn_last_error());
    void *bytes;
    size_t size;
    save(network, 6, &bytes, &size);
    resattn_network *loaded = resattn_network_load_buffer(context, bytes, size);
    check_same(network, loaded);
    resattn_network_unref(loaded);
    resattn_buffer_free(bytes);
    resattn_network_unref(network);
    resattn_builder_free(b);
}
END_TEST

/* Bytes that come in pieces of random sizes. */
typedef struct pieces {
    const unsigned char *at;
    size_t left;
} pieces;

static int64_t get_pieces(void *user, void *bytes, size_t size)
{
    pieces *p = user;
    size_t count = 1 + test_random() % 50000;
    count = count < size ? count : size;
    count = count < p->left ? count : p->left;
    memcpy(bytes, p->at, count);
    p->at += count;
    p->left -= count;
    return (int64_t)count;
}

/* Larger than every buffer on the way, with dimensions that lie apart in memory. */
START_TEST(large_tensors)
{
    resattn_builder *b = resattn_builder_new(context);
    resattn_layer *root = resattn_sequential_new(b, NULL);
    resattn_layer_add(root, resattn_conv2d_new(b, "a", 70, 3, 1, 1));
    resattn_layer_add(root, resattn_conv2d_new(b, "b", 90, 3, 1, 1));
    resattn_layer_add(root, resattn_conv_transpose2d_new(b, "c", 80, 4, 2, 1));
    resattn_network *network = resattn_network_new(b, root, 3);
    ck_assert_msg(network != NULL, "%s", resattn_last_error());
    void *bytes;
    size_t size;
    for (int32_t level = 0; level <= 9; level += 3) {
        save(network, level, &bytes, &size);
        resattn_network *loaded = resattn_network_load_buffer(context, bytes, size);
        check_same(network, loaded);
        resattn_network_unref(loaded);
        pieces p = {bytes, size};
        loaded = resattn_network_load_stream(context, get_pieces, &p);
        check_same(network, loaded);
        resattn_network_unref(loaded);
        resattn_buffer_free(bytes);
    }
    resattn_network_unref(network);
    resattn_builder_free(b);
}
END_TEST

/* ---- the example of docs/format.md ---- */

/* A linear layer with the weights 1, -2 and the bias 0.5. What a released version has written must load for ever. */
static const unsigned char example[] = {
    0x89, 0x52, 0x41, 0x4E, 0x0D, 0x0A, 0x1A, 0x0A, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x94, 0x4F, 0xE1, 0x84, 0x54, 0x52, 0x45, 0x45, 0x17, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x00,
    0x00, 0x00, 0x6C, 0x69, 0x6E, 0x65, 0x61, 0x72, 0x00, 0x00, 0x66, 0x63, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x6B, 0x94, 0xD7, 0xA5, 0x4E, 0x4F, 0x52, 0x4D, 0x10, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x80, 0x3F, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x80, 0x3F, 0xD0, 0x84, 0x39, 0x00,
    0x54, 0x45, 0x4E, 0x53, 0x31, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x01, 0x02, 0x00, 0x01, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x66, 0x63, 0x2E, 0x77, 0x65, 0x69,
    0x67, 0x68, 0x74, 0x00, 0x78, 0x01, 0x01, 0x08, 0x00, 0xF7, 0xFF, 0x00, 0x00, 0x00, 0x00, 0x80, 0x00, 0x3F, 0xC0,
    0x03, 0x46, 0x01, 0x80, 0x4B, 0x5E, 0xD1, 0x2C, 0x54, 0x45, 0x4E, 0x53, 0x23, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x01, 0x01, 0x01, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x66, 0x63, 0x2E, 0x62, 0x69, 0x61,
    0x73, 0x00, 0x78, 0x01, 0x01, 0x04, 0x00, 0xFB, 0xFF, 0x00, 0x00, 0x00, 0x3F, 0x00, 0x43, 0x00, 0x40, 0x7A, 0xF2,
    0x51, 0xD1, 0x44, 0x4F, 0x4E, 0x45, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xEB, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0xCD, 0xE7, 0xB6, 0xDD,
};

START_TEST(example_of_the_guide)
{
    const float weight[] = {1, -2}, bias[] = {0.5f};
    resattn_network *network = resattn_network_load_buffer(context, example, sizeof example);
    ck_assert_msg(network != NULL, "%s", resattn_last_error());
    ck_assert_str_eq(resattn_layer_kind(resattn_network_root(network)), "linear");
    ck_assert_str_eq(resattn_network_parameter_name(network, 1), "fc.bias");
    ck_assert_mem_eq(resattn_tensor_data(resattn_network_parameter(network, 0)), weight, sizeof weight);
    ck_assert_mem_eq(resattn_tensor_data(resattn_network_parameter(network, 1)), bias, sizeof bias);
    void *bytes;
    size_t size;
    save(network, 0, &bytes, &size);
    ck_assert_uint_eq(size, sizeof example);
    ck_assert_mem_eq(bytes, example, size);
    resattn_buffer_free(bytes);
    resattn_network_unref(network);
}
END_TEST

/* ---- callbacks ---- */

START_TEST(streams)
{
    resattn_network *network = full_network(context);
    pipe_end *p = calloc(1, sizeof *p);
    p->fail_at = -1;
    ck_assert_int_eq(resattn_network_save_stream(network, 6, put, p), RESATTN_OK);
    void *bytes;
    size_t size;
    save(network, 6, &bytes, &size);
    ck_assert_uint_eq(size, p->size);
    ck_assert_mem_eq(bytes, p->bytes, size);
    for (size_t piece = 0; piece < 40; piece++) {
        p->at = 0;
        p->piece = piece;
        resattn_network *loaded = resattn_network_load_stream(context, get, p);
        check_same(network, loaded);
        resattn_network_unref(loaded);
    }
    resattn_buffer_free(bytes);
    resattn_network_unref(network);
    free(p);
}
END_TEST

START_TEST(failing_callbacks)
{
    resattn_network *network = full_network(context);
    pipe_end *p = calloc(1, sizeof *p);
    p->fail_at = -1;
    resattn_network_save_stream(network, 6, put, p);
    int64_t calls = p->calls;
    for (int64_t i = 0; i < calls; i++) {
        pipe_end failing = {.fail_at = i};
        ck_assert_int_eq(resattn_network_save_stream(network, 6, put, &failing), RESATTN_IO_ERROR);
        ck_assert_int_eq(failing.calls, i + 1);
        ck_assert_ptr_nonnull(strstr(resattn_last_error(), "write callback failed with 7"));
    }
    p->piece = 100;
    p->calls = 0;
    resattn_network_unref(resattn_network_load_stream(context, get, p));
    calls = p->calls;
    for (p->fail_at = 0; p->fail_at < calls; p->fail_at++) {
        p->calls = 0;
        p->at = 0;
        ck_assert_ptr_null(resattn_network_load_stream(context, get, p));
        ck_assert_int_eq(resattn_last_status(), RESATTN_IO_ERROR);
        ck_assert_int_eq(p->calls, p->fail_at + 1);
    }
    resattn_network_unref(network);
    free(p);
}
END_TEST

static int64_t boast(void *user, void *bytes, size_t size)
{
    (void)user;
    (void)bytes;
    return (int64_t)size + 1;
}

START_TEST(callback_that_says_too_much)
{
    ck_assert_ptr_null(resattn_network_load_stream(context, boast, NULL));
    ck_assert_int_eq(resattn_last_status(), RESATTN_IO_ERROR);
}
END_TEST

/* ---- arguments ---- */

/* Nothing of what was there before can be freed or read by mistake. */
static void check_no_buffer(resattn_network *network, int32_t level, resattn_status status)
{
    void *bytes = &status;
    size_t size = 77;
    ck_assert_int_eq(resattn_network_save_buffer(network, level, &bytes, &size), status);
    ck_assert_ptr_null(bytes);
    ck_assert_uint_eq(size, 0);
}

START_TEST(bad_arguments)
{
    resattn_network *network = small_network(context);
    pipe_end p = {.fail_at = -1};
    check_no_buffer(NULL, 6, RESATTN_INVALID_ARGUMENT);
    check_no_buffer(network, 10, RESATTN_INVALID_ARGUMENT);
    check_no_buffer(network, -1, RESATTN_INVALID_ARGUMENT);
    void *bytes = &p;
    size_t size = 77;
    ck_assert_int_eq(resattn_network_save_buffer(network, 6, NULL, &size), RESATTN_INVALID_ARGUMENT);
    ck_assert_int_eq(resattn_network_save_buffer(network, 6, &bytes, NULL), RESATTN_INVALID_ARGUMENT);
    ck_assert(bytes == NULL && size == 0);
    ck_assert_int_eq(resattn_network_save(network, NULL, 6), RESATTN_INVALID_ARGUMENT);
    ck_assert_int_eq(resattn_network_save_stream(network, 6, NULL, &p), RESATTN_INVALID_ARGUMENT);
    ck_assert_ptr_null(resattn_network_load(context, NULL));
    ck_assert_ptr_null(resattn_network_load(NULL, "x"));
    ck_assert_ptr_null(resattn_network_load_buffer(context, NULL, 0));
    ck_assert_ptr_null(resattn_network_load_stream(context, NULL, &p));
    ck_assert_int_eq(resattn_last_status(), RESATTN_INVALID_ARGUMENT);
    resattn_buffer_free(NULL);
    resattn_network_unref(network);
}
END_TEST

START_TEST(not_while_training)
{
    resattn_network *network = small_network(context);
    pipe_end p = {.fail_at = -1};
    ck_assert(ra_network_take(network, "a step"));
    ck_assert_int_eq(resattn_network_save_stream(network, 6, put, &p), RESATTN_BUSY);
    ck_assert_int_eq(resattn_network_save(network, "/nowhere/model.resattn", 6), RESATTN_BUSY);
    ck_assert_uint_eq(p.size, 0);
    ra_network_give(network);
    ck_assert_int_eq(resattn_network_save_stream(network, 6, put, &p), RESATTN_OK);
    ck_assert(ra_network_take(network, "a step"));
    ra_network_give(network);
    resattn_network_unref(network);
}
END_TEST

START_TEST(metadata)
{
    resattn_network *network = full_network(context);
    const char *names[] = {"a", "b", "\xC0\x80"};
    const float mean[] = {0, 1}, zero[] = {1, 0}, infinite[] = {INFINITY, 1};
    ck_assert_int_eq(resattn_network_set_classes(network, names, 2), RESATTN_SHAPE_MISMATCH);
    ck_assert_int_eq(resattn_network_set_classes(network, names, 3), RESATTN_INVALID_ARGUMENT);
    ck_assert_int_eq(resattn_network_set_classes(network, names, -1), RESATTN_INVALID_ARGUMENT);
    ck_assert_int_eq(resattn_network_set_classes(network, NULL, 3), RESATTN_INVALID_ARGUMENT);
    ck_assert_str_eq(resattn_network_class_name(network, 0), "cat");
    ck_assert_int_eq(resattn_network_set_normalization(network, mean, zero, 2), RESATTN_INVALID_ARGUMENT);
    ck_assert_int_eq(resattn_network_set_normalization(network, mean, infinite, 2), RESATTN_INVALID_ARGUMENT);
    ck_assert_int_eq(resattn_network_set_normalization(network, infinite, mean, 2), RESATTN_INVALID_ARGUMENT);
    ck_assert_int_eq(resattn_network_set_normalization(network, mean, mean, 3), RESATTN_SHAPE_MISMATCH);
    ck_assert(resattn_network_mean(network, 1) == 0.456f);
    ck_assert(resattn_network_mean(network, 2) == 0 && resattn_network_deviation(network, -1) == 0);
    ck_assert_int_eq(resattn_network_set_input_size(network, -1, 5), RESATTN_INVALID_ARGUMENT);
    ck_assert_int_eq(resattn_network_set_input_size(network, 5, 0), RESATTN_INVALID_ARGUMENT);
    ck_assert_int_eq(resattn_network_input_width(network), 19);
    ck_assert_int_eq(resattn_network_set_text(network, "", "x"), RESATTN_INVALID_ARGUMENT);
    ck_assert_int_eq(resattn_network_set_text(network, "x", "\xED\xA0\x80"), RESATTN_INVALID_ARGUMENT);
    ck_assert_int_eq(resattn_network_set_text(network, "x", "\xE2\x82\xAC \xF0\x9F\x90\x88"), RESATTN_OK);
    ck_assert_int_eq(resattn_network_set_text(network, "name", "other"), RESATTN_OK);
    ck_assert_str_eq(resattn_network_text_key(network, 0), "name");
    ck_assert_int_eq(resattn_network_set_text(network, "license", NULL), RESATTN_OK);
    ck_assert_int_eq(resattn_network_set_text(network, "missing", NULL), RESATTN_OK);
    ck_assert_str_eq(resattn_network_text_key(network, 1), "x");
    ck_assert_ptr_null(resattn_network_text_key(network, 2));
    ck_assert_ptr_null(resattn_network_text(network, "license"));
    ck_assert_int_eq(resattn_network_set_classes(network, NULL, 0), RESATTN_OK);
    ck_assert_ptr_null(resattn_network_class_name(network, 0));
    resattn_network_unref(network);
}
END_TEST

START_TEST(too_large_to_be_read_again)
{
    resattn_network *network = small_network(context);
    char *text = calloc(1, (1 << 20) + 2);
    memset(text, 'x', 1 << 20);
    void *bytes;
    size_t size;
    resattn_network_set_text(network, "long", text);
    save(network, 6, &bytes, &size);
    resattn_network *loaded = resattn_network_load_buffer(context, bytes, size);
    check_same(network, loaded);
    resattn_network_unref(loaded);
    resattn_buffer_free(bytes);
    text[1 << 20] = 'x';
    resattn_network_set_text(network, "long", text);
    check_no_buffer(network, 6, RESATTN_TOO_LARGE);
    text[1025] = '\0';
    resattn_network_set_text(network, "long", NULL);
    resattn_network_set_text(network, text, "");
    check_no_buffer(network, 6, RESATTN_TOO_LARGE);
    resattn_network_set_text(network, text, NULL);
    for (int i = 0; i <= 4096; i++) {
        snprintf(text, 20, "%d", i);
        ck_assert_int_eq(resattn_network_set_text(network, text, ""), RESATTN_OK);
    }
    check_no_buffer(network, 6, RESATTN_TOO_LARGE);
    resattn_network_unref(network);
    free(text);
}
END_TEST

START_TEST(too_many_layers)
{
    resattn_builder *b = resattn_builder_new(context);
    resattn_layer *root = resattn_sequential_new(b, NULL);
    for (int i = 0; i < 100000; i++)
        resattn_layer_add(root, resattn_relu_new(b, NULL));
    resattn_network *network = resattn_network_new(b, root, 1);
    ck_assert_msg(network != NULL, "%s", resattn_last_error());
    check_no_buffer(network, 6, RESATTN_TOO_LARGE);
    resattn_network_unref(network);
    resattn_builder_free(b);
}
END_TEST

START_TEST(names_that_are_not_utf8)
{
    resattn_builder *b = resattn_builder_new(context);
    resattn_network *network = resattn_network_new(b, resattn_relu_new(b, "\xFF"), 1);
    if (network)
        check_no_buffer(network, 6, RESATTN_INVALID_ARGUMENT);
    resattn_network_unref(network);
    resattn_builder_free(b);
}
END_TEST

static Suite *blob_suite(void)
{
    Suite *suite = suite_create("blob");
    TCase *memory = tcase_create("memory");
    tcase_set_timeout(memory, 120);
    tcase_add_checked_fixture(memory, blob_set_up, blob_tear_down);
    tcase_add_test(memory, buffer_at_every_level);
    tcase_add_test(memory, without_metadata);
    tcase_add_test(memory, every_bit_pattern);
    tcase_add_test(memory, negative_zero);
    tcase_add_test(memory, large_tensors);
    tcase_add_test(memory, example_of_the_guide);
    tcase_add_test(memory, streams);
    tcase_add_test(memory, failing_callbacks);
    tcase_add_test(memory, callback_that_says_too_much);
    tcase_add_test(memory, bad_arguments);
    tcase_add_test(memory, not_while_training);
    tcase_add_test(memory, metadata);
    tcase_add_test(memory, too_large_to_be_read_again);
    tcase_add_test(memory, too_many_layers);
    tcase_add_test(memory, names_that_are_not_utf8);
    suite_add_tcase(suite, memory);
    return suite;
}

int main(void)
{
    return test_run(blob_suite());
}
