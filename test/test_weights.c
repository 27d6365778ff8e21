/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Weights from and to safetensors files: values in every type, names, what may differ and what is said about it.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "network/network.h"
#include "weights_common.h"

static resattn_status load(resattn_network *network, const char *prefix, int32_t flags)
{
    return resattn_network_load_weights(network, "weights.safetensors", prefix, flags, NULL);
}

static void check_loads(resattn_network *network, const char *prefix, int32_t flags)
{
    ck_assert_msg(load(network, prefix, flags) == RESATTN_OK, "%s", resattn_last_error());
}

/* Fails, with a message and without a change. */
static void check_refuses(resattn_network *network, int32_t flags, resattn_status status, const char *message)
{
    float *kept = keep_values(network);
    ck_assert_int_eq(load(network, NULL, flags), status);
    ck_assert_int_eq(resattn_last_status(), status);
    ck_assert_str_eq(resattn_last_error(), message);
    check_kept(network, kept);
    free(kept);
}

static int32_t find(resattn_network *network, const char *name)
{
    int32_t index = resattn_network_find_parameter(network, name);
    ck_assert_msg(index >= 0, "%s", name);
    return index;
}

/* ---- reading ---- */

/* Filters of both kinds, a matrix, vectors; in the file as other programs have them. */
static resattn_network *every_shape(resattn_context *c)
{
    resattn_builder *b = resattn_builder_new(c);
    resattn_layer *root = resattn_sequential_new(b, NULL);
    resattn_layer *conv = resattn_conv2d_new(b, "conv", 6, 3, 1, 1);
    resattn_layer_set_int(conv, "kernel_w", 2);
    resattn_layer_set_int(conv, "bias", 1);
    resattn_layer_add(root, conv);
    resattn_layer_add(root, resattn_batch_norm_new(b, "norm"));
    resattn_layer_add(root, resattn_conv_transpose2d_new(b, "up", 5, 4, 2, 1));
    resattn_layer_add(root, resattn_conv2d_new(b, "point", 7, 1, 1, 0));
    resattn_layer_add(root, resattn_global_average_pool_new(b, NULL));
    resattn_layer_add(root, resattn_linear_new(b, "fc", 4));
    resattn_network *network = resattn_network_new(b, root, 3);
    resattn_builder_free(b);
    ck_assert_msg(network != NULL, "%s", resattn_last_error());
    return network;
}

START_TEST(every_type)
{
    static const char *const types[] = {"F32", "F64", "F16", "BF16"};
    resattn_network *network = every_shape(context);
    for (int t = 0; t < 4; t++) {
        resattn_weights_report *report = NULL;
        unsigned version = atomic_load(&network->version);
        resattn_network_initialize(network, (uint64_t)t);
        st_begin();
        st_add_network(network, "", types[t], -1);
        st_end("weights.safetensors");
        ck_assert_msg(resattn_network_load_weights(network, "weights.safetensors", NULL, 0, &report) == RESATTN_OK,
                      "%s", resattn_last_error());
        ck_assert_ptr_nonnull(report);
        ck_assert_int_eq(resattn_weights_report_count(report), 0);
        resattn_weights_report_free(report);
        for (int32_t i = 0; i < resattn_network_parameter_count(network); i++)
            check_loaded(network, i);
        ck_assert_uint_ne(atomic_load(&network->version), version);
    }
    resattn_network_unref(network);
}
END_TEST

/* The whole file, written down by hand: a header that is not padded, members in another order, white space, escapes. */
START_TEST(file_by_hand)
{
    static const char header[] = "{ \"fc.bi\\u0061s\" : {\"data_offsets\":[8,10],\"shape\":[1],\"dtype\":\"F16\"},\n"
                                 "\"__metadata__\":{\"format\":\"pt\"}, \"fc.weight\":{\"dtype\":\"F32\","
                                 "\"shape\":[1,2],\"data_offsets\":[0,8],\"more\":[null]}}   ";
    const unsigned char values[] = {0, 0, 0x80, 0x3F, 0, 0, 0, 0xC0, 0, 0x38};
    unsigned char bytes[512];
    size_t length = strlen(header);
    blob_store(bytes, length, 8);
    memcpy(bytes + 8, header, length);
    memcpy(bytes + 8 + length, values, sizeof values);
    write_bytes("weights.safetensors", bytes, 8 + length + sizeof values);
    resattn_builder *b = resattn_builder_new(context);
    resattn_network *network = resattn_network_new(b, resattn_linear_new(b, "fc", 1), 2);
    resattn_builder_free(b);
    check_loads(network, NULL, 0);
    const float *weight = resattn_tensor_data(resattn_network_parameter(network, 0));
    const float *bias = resattn_tensor_data(resattn_network_parameter(network, 1));
    ck_assert(weight[0] == 1 && weight[1] == -2 && bias[0] == 0.5f);
    resattn_network_unref(network);
}
END_TEST

/* What no arithmetic may touch, and what becomes infinite or denormal. */
START_TEST(special_values)
{
    resattn_builder *b = resattn_builder_new(context);
    resattn_network *network = resattn_network_new(b, resattn_batch_norm_new(b, "norm"), 4);
    resattn_builder_free(b);
    const uint32_t bits[4] = {0x7FC12345, 0xFF800000, 0x80000001, 0x7F800001};
    const double doubles[4] = {1e300, -0.0, 0x1p-149, 1 + 0x1p-24};
    const uint32_t expected[4] = {0x7F800000, 0x80000000, 1, 0x3F800000};
    unsigned char stored[16], wide[32];
    for (int i = 0; i < 4; i++) {
        uint64_t value;
        memcpy(&value, &doubles[i], sizeof value);
        blob_store(stored + 4 * i, bits[i], 4);
        blob_store(wide + 8 * i, value, 8);
    }
    st_begin();
    st_add("norm.weight", "F32", "[4]", stored, 16);
    st_add("norm.bias", "F64", "[4]", wide, 32);
    st_end("weights.safetensors");
    check_loads(network, NULL, RESATTN_WEIGHTS_LENIENT);
    ck_assert_mem_eq(resattn_tensor_data(resattn_network_parameter(network, 0)), bits, 16);
    ck_assert_mem_eq(resattn_tensor_data(resattn_network_parameter(network, 1)), expected, 16);
    resattn_network_unref(network);
}
END_TEST

/* Large enough for several threads, and for parts that do not end where rows do. */
START_TEST(many_threads)
{
    for (int32_t threads = 1; threads <= 3; threads++) {
        resattn_context *c = resattn_context_new(threads);
        resattn_builder *b = resattn_builder_new(c);
        resattn_layer *root = resattn_sequential_new(b, NULL);
        resattn_layer_add(root, resattn_conv2d_new(b, NULL, 250, 3, 1, 1));
        resattn_layer_add(root, resattn_conv2d_new(b, NULL, 190, 3, 1, 1));
        resattn_layer_add(root, resattn_conv2d_new(b, NULL, 2, 47, 1, 1));
        resattn_network *network = resattn_network_new(b, root, 1), *other;
        ck_assert_msg(network != NULL, "%s", resattn_last_error());
        ck_assert_int_eq(resattn_network_save_weights(network, "weights.safetensors", RESATTN_F32), RESATTN_OK);
        float *kept = keep_values(network);
        resattn_network_initialize(network, 1);
        check_loads(network, "", 0);
        check_kept(network, kept);
        /* and the values are where another way of writing them puts them */
        resattn_tensor *tensor = resattn_network_parameter(network, 1);
        size_t size, count = (size_t)resattn_tensor_elements(tensor);
        unsigned char *bytes = read_bytes("weights.safetensors", &size);
        float *values = malloc(count * sizeof *values);
        resattn_tensor_read(tensor, RESATTN_CHANNELS_FIRST, values, (int64_t)count);
        uint64_t header = bytes[0] + 256u * bytes[1];
        ck_assert_mem_eq(bytes + 8 + header + 250 * 9 * 4, values, 4);
        other = resattn_network_ref(network);
        free(values);
        free(bytes);
        free(kept);
        resattn_network_unref(other);
        resattn_network_unref(network);
        resattn_builder_free(b);
        resattn_context_unref(c);
    }
}
END_TEST

/* ---- names ---- */

START_TEST(prefixes)
{
    resattn_network *network = every_shape(context);
    st_begin();
    st_add_network(network, "module.", "F16", -1);
    st_end("weights.safetensors");
    check_loads(network, "module.", 0);
    for (int32_t i = 0; i < resattn_network_parameter_count(network); i++)
        check_loaded(network, i);
    ck_assert_int_eq(load(network, NULL, 0), RESATTN_SHAPE_MISMATCH);
    ck_assert_int_eq(load(network, "modul", 0), RESATTN_SHAPE_MISMATCH);
    /* some with the prefix, some without */
    st_begin();
    st_add_network(network, "", "F16", 0);
    st_add_floats("x.conv.weight", "F16", "[6,3,3,2]", (const float[108]){0}, 108);
    st_end("weights.safetensors");
    check_loads(network, "x.", 0);
    ck_assert(*(const float *)resattn_tensor_data(resattn_network_parameter(network, 0)) == 0);
    check_loaded(network, 1);
    /* both of one name */
    st_begin();
    st_add_network(network, "", "F16", -1);
    st_add_floats("x.fc.bias", "F16", "[4]", (const float[4]){0}, 4);
    st_end("weights.safetensors");
    ck_assert_int_eq(load(network, "x.", RESATTN_WEIGHTS_LENIENT), RESATTN_BAD_FORMAT);
    ck_assert_str_eq(resattn_last_error(), "weights.safetensors: without the prefix 'x.', fc.bias and x.fc.bias have "
                                           "one name");
    resattn_network_unref(network);
}
END_TEST

START_TEST(counters)
{
    const unsigned char zeros[8] = {0};
    resattn_network *network = every_shape(context);
    st_begin();
    st_add("norm.num_batches_tracked", "I64", "[]", zeros, 8);
    st_add_network(network, "", "F32", -1);
    st_add("num_batches_tracked", "U8", "[2]", zeros, 2);
    st_end("weights.safetensors");
    check_loads(network, NULL, 0);
    st_begin();
    st_add_network(network, "", "F32", -1);
    st_add("norm.num_batches_tracked", "F32", "[]", zeros, 4);
    st_end("weights.safetensors");
    check_refuses(network, 0, RESATTN_SHAPE_MISMATCH,
                  "weights.safetensors: norm.num_batches_tracked: not in the network");
    st_begin();
    st_add_network(network, "", "F32", -1);
    st_add("my_num_batches_tracked", "I64", "[]", zeros, 8);
    st_end("weights.safetensors");
    check_refuses(network, 0, RESATTN_SHAPE_MISMATCH,
                  "weights.safetensors: my_num_batches_tracked: not in the network");
    resattn_network_unref(network);
}
END_TEST

/* ---- what differs ---- */

static void check_report(const resattn_weights_report *report, int32_t index, resattn_weights_problem problem,
                         const char *name, const char *text)
{
    ck_assert_int_eq(resattn_weights_report_problem(report, index), problem);
    ck_assert_str_eq(resattn_weights_report_name(report, index), name);
    ck_assert_str_eq(resattn_weights_report_text(report, index), text);
}

/* A file without conv.bias, with two tensors more and a filter of another shape. */
static void write_other_file(resattn_network *network)
{
    float zeros[256] = {0};
    st_begin();
    st_add_floats("conv.weight", "F32", "[6,3,1,2]", zeros, 36);
    st_add_floats("other", "F32", "[2]", zeros, 2);
    for (int32_t i = 2; i < resattn_network_parameter_count(network); i++) {
        char shape[64] = "[";
        const resattn_tensor *tensor = resattn_network_parameter(network, i);
        for (int32_t d = 0; d < resattn_tensor_rank(tensor); d++)
            snprintf(shape + strlen(shape), 20, "%s%d", d ? "," : "", (int)resattn_tensor_size(tensor, d));
        strcat(shape, "]");
        for (int j = 0; j < 256; j++)
            zeros[j] = 3;
        if (resattn_tensor_elements(tensor) <= 256)
            st_add_floats(resattn_network_parameter_name(network, i), "F32", shape, zeros,
                          (size_t)resattn_tensor_elements(tensor));
    }
    st_add_floats("another", "F32", "[1,1]", zeros, 1);
    st_end("weights.safetensors");
}

START_TEST(strict)
{
    resattn_network *network = every_shape(context);
    write_other_file(network);
    check_refuses(network, 0, RESATTN_SHAPE_MISMATCH,
                  "weights.safetensors: 2 missing, 2 unexpected, 1 of another shape, first: conv.weight: shape 6x3x1x2 "
                  "in the file, 6x3x3x2 in the network; conv.bias: not in the file; up.weight: not in the file");
    resattn_weights_report *report = NULL;
    ck_assert_int_eq(resattn_network_load_weights(network, "weights.safetensors", NULL, 0, &report),
                     RESATTN_SHAPE_MISMATCH);
    ck_assert_int_eq(resattn_weights_report_count(report), 5);
    check_report(report, 0, RESATTN_WEIGHTS_WRONG_SHAPE, "conv.weight",
                 "conv.weight: shape 6x3x1x2 in the file, 6x3x3x2 in the network");
    check_report(report, 1, RESATTN_WEIGHTS_MISSING, "conv.bias", "conv.bias: not in the file");
    check_report(report, 2, RESATTN_WEIGHTS_MISSING, "up.weight", "up.weight: not in the file");
    check_report(report, 3, RESATTN_WEIGHTS_UNEXPECTED, "other", "other: not in the network");
    check_report(report, 4, RESATTN_WEIGHTS_UNEXPECTED, "another", "another: not in the network");
    ck_assert_ptr_null(resattn_weights_report_text(report, 5));
    ck_assert_ptr_null(resattn_weights_report_name(report, -1));
    ck_assert_int_eq((int)resattn_weights_report_problem(report, 5), 0);
    resattn_network_unref(network); /* the report is the caller's alone */
    check_report(report, 3, RESATTN_WEIGHTS_UNEXPECTED, "other", "other: not in the network");
    resattn_weights_report_free(report);
}
END_TEST

START_TEST(lenient)
{
    resattn_network *network = every_shape(context);
    write_other_file(network);
    check_refuses(network, RESATTN_WEIGHTS_LENIENT, RESATTN_SHAPE_MISMATCH,
                  "weights.safetensors: conv.weight: shape 6x3x1x2 in the file, 6x3x3x2 in the network");
    float *kept = keep_values(network);
    st_begin();
    st_add_floats("other", "F32", "[1]", kept, 1);
    st_add_network(network, "", "F32", find(network, "point.weight"));
    st_end("weights.safetensors");
    resattn_weights_report *report = NULL;
    ck_assert_int_eq(
        resattn_network_load_weights(network, "weights.safetensors", NULL, RESATTN_WEIGHTS_LENIENT, &report),
        RESATTN_OK);
    ck_assert_int_eq(resattn_weights_report_count(report), 2);
    check_report(report, 0, RESATTN_WEIGHTS_MISSING, "point.weight", "point.weight: not in the file");
    check_report(report, 1, RESATTN_WEIGHTS_UNEXPECTED, "other", "other: not in the network");
    resattn_weights_report_free(report);
    for (int32_t i = 0, at = 0; i < resattn_network_parameter_count(network); i++) {
        const resattn_tensor *tensor = resattn_network_parameter(network, i);
        size_t count = (size_t)resattn_tensor_elements(tensor);
        if (i == find(network, "point.weight"))
            ck_assert_mem_eq(resattn_tensor_data(resattn_network_parameter(network, i)), kept + at,
                             count * sizeof *kept);
        else
            check_loaded(network, i);
        at += (int32_t)count;
    }
    free(kept);
    /* nothing at all */
    st_begin();
    st_end("weights.safetensors");
    check_loads(network, NULL, RESATTN_WEIGHTS_LENIENT);
    ck_assert_int_eq(load(network, NULL, 0), RESATTN_SHAPE_MISMATCH);
    resattn_network_unref(network);
}
END_TEST

/* Weights of a network with other classes. */
START_TEST(new_head)
{
    const int32_t both = RESATTN_WEIGHTS_LENIENT | RESATTN_WEIGHTS_NEW_HEAD;
    resattn_network *network = every_shape(context);
    int32_t weight = find(network, "fc.weight"), bias = find(network, "fc.bias");
    const float zeros[35] = {0};
    st_begin();
    for (int32_t i = weight; i < bias; i++)
        st_add_network(network, "", "F32", weight);
    st.length = 1; /* all but the head */
    st.size = 0;
    st_add_floats("fc.weight", "F32", "[5,7]", zeros, 35);
    st_add_floats("fc.bias", "F32", "[5]", zeros, 5);
    st_end("weights.safetensors");
    check_refuses(network, RESATTN_WEIGHTS_LENIENT, RESATTN_SHAPE_MISMATCH,
                  "weights.safetensors: 2 of another shape, first: fc.weight: shape 5x7 in the file, 4x7 in the "
                  "network; fc.bias: shape 5 in the file, 4 in the network");
    resattn_weights_report *report = NULL;
    float *kept = keep_values(network);
    ck_assert_int_eq(resattn_network_load_weights(network, "weights.safetensors", NULL, both, &report), RESATTN_OK);
    check_kept(network, kept);
    int32_t count = resattn_weights_report_count(report);
    ck_assert_int_eq(count, resattn_network_parameter_count(network));
    check_report(report, count - 1, RESATTN_WEIGHTS_WRONG_SHAPE, "fc.bias",
                 "fc.bias: shape 5 in the file, 4 in the network");
    resattn_weights_report_free(report);
    free(kept);
    ck_assert_int_eq(load(network, NULL, RESATTN_WEIGHTS_NEW_HEAD), RESATTN_SHAPE_MISMATCH); /* the rest is missing */
    /* the whole, with a head of the same width: loaded; another layer of another shape is no head */
    st_begin();
    st_add_network(network, "", "F32", -1);
    st_end("weights.safetensors");
    check_loads(network, NULL, RESATTN_WEIGHTS_NEW_HEAD);
    check_loaded(network, weight);
    st_begin();
    st_add_network(network, "", "F32", find(network, "norm.bias"));
    st_add_floats("norm.bias", "F32", "[3]", zeros, 3);
    st_end("weights.safetensors");
    check_refuses(network, both, RESATTN_SHAPE_MISMATCH,
                  "weights.safetensors: norm.bias: shape 3 in the file, 6 in the network");
    resattn_network_unref(network);
}
END_TEST

/* As many values, but another rank. */
START_TEST(ranks)
{
    resattn_network *network = every_shape(context);
    const float zeros[28] = {0};
    static const char *const shapes[] = {"[4,7,1,1]", "[28]", "[1,4,7]", "[2,2,7,1,1,1]", "[7,4]"};
    static const char *const texts[] = {"4x7x1x1", "28", "1x4x7", "2x2x7x1x1x1", "7x4"};
    for (int i = 0; i < 5; i++) {
        char message[128];
        st_begin();
        st_add_network(network, "", "F32", find(network, "fc.weight"));
        st_add_floats("fc.weight", "F32", shapes[i], zeros, 28);
        st_end("weights.safetensors");
        snprintf(message, sizeof message, "weights.safetensors: fc.weight: shape %s in the file, 4x7 in the network",
                 texts[i]);
        check_refuses(network, 0, RESATTN_SHAPE_MISMATCH, message);
    }
    st_begin();
    st_add_network(network, "", "F32", find(network, "fc.bias"));
    st_add_floats("fc.bias", "F32", "[]", zeros, 1);
    st_end("weights.safetensors");
    check_refuses(network, 0, RESATTN_SHAPE_MISMATCH,
                  "weights.safetensors: fc.bias: shape of a single value in the file, 4 in the network");
    resattn_network_unref(network);
}
END_TEST

static Suite *weights_suite(void)
{
    Suite *suite = suite_create("weights");
    TCase *tests = tcase_create("weights");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, weights_set_up, weights_tear_down);
    tcase_add_test(tests, every_type);
    tcase_add_test(tests, file_by_hand);
    tcase_add_test(tests, special_values);
    tcase_add_test(tests, many_threads);
    tcase_add_test(tests, prefixes);
    tcase_add_test(tests, counters);
    tcase_add_test(tests, strict);
    tcase_add_test(tests, lenient);
    tcase_add_test(tests, new_head);
    tcase_add_test(tests, ranks);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(void)
{
    return test_run(weights_suite());
}
