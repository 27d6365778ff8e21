/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Damaged and hostile safetensors files: all are refused with a message that names the file, and the network stays as
 * it was.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "weights_common.h"

static resattn_network *network;
static float *kept;

static void set_up(void)
{
    weights_set_up();
    resattn_builder *b = resattn_builder_new(context);
    network = resattn_network_new(b, resattn_linear_new(b, "fc", 1), 2);
    resattn_builder_free(b);
    kept = keep_values(network);
}

static void tear_down(void)
{
    free(kept);
    resattn_network_unref(network);
    weights_tear_down();
}

/* From memory the answer is the same, without the file's name. */
static void check_refused_bytes(resattn_status status)
{
    char message[1024];
    struct stat facts;
    size_t size;
    ck_assert_int_eq(stat("bad", &facts), 0);
    if (facts.st_size > 1 << 20) /* holes */
        return;
    snprintf(message, sizeof message, "%s", resattn_last_error());
    unsigned char *bytes = read_bytes("bad", &size), *exact = malloc(size ? size : 1);
    memcpy(exact, bytes, size); /* so that a reader past its end is noticed */
    free(bytes);
    ck_assert_int_eq(resattn_network_load_weights_buffer(network, exact, size, NULL, 0, NULL), status);
    ck_assert_int_eq(resattn_last_status(), status);
    ck_assert_str_eq(resattn_last_error(), message + strlen("bad: "));
    check_kept(network, kept);
    free(exact);
}

static void check_refused_file(resattn_status status, const char *message)
{
    resattn_weights_report *report = (resattn_weights_report *)network;
    ck_assert_int_eq(resattn_network_load_weights(network, "bad", NULL, 0, &report), status);
    ck_assert_int_eq(resattn_last_status(), status);
    ck_assert_msg(strncmp(resattn_last_error(), "bad: ", 5) == 0 && strstr(resattn_last_error(), message),
                  "'%s', expected 'bad: ...%s'", resattn_last_error(), message);
    if (status != RESATTN_SHAPE_MISMATCH)
        ck_assert_ptr_null(report);
    resattn_weights_report_free(report);
    check_kept(network, kept);
    check_refused_bytes(status);
}

/* A file of this header and 12 bytes of values. */
static void header_refused(const char *header, resattn_status status, const char *message)
{
    st_raw("bad", header, 12);
    check_refused_file(status, message);
}

/* The same for what stands for fc.weight beside a good fc.bias. */
static void weight_refused(const char *weight, resattn_status status, const char *message)
{
    char header[1024];
    snprintf(header, sizeof header,
             "{\"fc.weight\":%s,\"fc.bias\":{\"dtype\":\"F32\",\"shape\":[1],"
             "\"data_offsets\":[8,12]}}",
             weight);
    header_refused(header, status, message);
}

#define GOOD_WEIGHT "{\"dtype\":\"F32\",\"shape\":[1,2],\"data_offsets\":[0,8]}"

START_TEST(lengths)
{
    unsigned char bytes[64] = {0};
    write_bytes("bad", bytes, 0);
    check_refused_file(RESATTN_BAD_FORMAT, "truncated: 0 bytes, expected at least 8");
    write_bytes("bad", bytes, 7);
    check_refused_file(RESATTN_BAD_FORMAT, "truncated: 7 bytes");
    write_bytes("bad", bytes, 8);
    check_refused_file(RESATTN_BAD_FORMAT, "damaged, or no safetensors file: byte 0 of the header");
    blob_store(bytes, 57, 8);
    write_bytes("bad", bytes, 64);
    check_refused_file(RESATTN_BAD_FORMAT, "its header has 57 bytes, 56 are left");
    for (int i = 8; i < 64; i++) {
        blob_store(bytes, UINT64_MAX >> (63 - i), 8);
        write_bytes("bad", bytes, 64);
        check_refused_file(RESATTN_BAD_FORMAT, "are left");
    }
    write_bytes("bad", "this is a text and no safetensors file", 38);
    check_refused_file(RESATTN_BAD_FORMAT, "truncated, or no safetensors file");
    FILE *sparse = fopen("bad", "wb");
    blob_store(bytes, 100000001, 8);
    fwrite(bytes, 1, 8, sparse);
    fseek(sparse, 100000100, SEEK_SET);
    fputc(0, sparse);
    fclose(sparse);
    check_refused_file(RESATTN_TOO_LARGE, "the header asks for 100000001, the limit 'header' is 16777216");
}
END_TEST

START_TEST(not_json)
{
    static const char *const texts[] = {"",
                                        " ",
                                        "{",
                                        "}",
                                        "{\"a\"}",
                                        "{\"a\":}",
                                        "{]",
                                        "{} {}",
                                        "nonsense",
                                        "{'a':1}",
                                        "{\"fc.weight\":" GOOD_WEIGHT ",}",
                                        "{\"\xFF\":1}",
                                        "{\"a\":99999999999999999999}",
                                        "{\"a\\u0000\":1}",
                                        "{\"\\ud800\":1}",
                                        "\xEF\xBB\xBF{}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        header_refused(texts[i], RESATTN_BAD_FORMAT, "of the header: ");
    header_refused("[]", RESATTN_BAD_FORMAT, "the header is not a JSON object");
    header_refused("[" GOOD_WEIGHT "]", RESATTN_BAD_FORMAT, "the header is not a JSON object");
    header_refused("{\"fc.weight\":" GOOD_WEIGHT ",\"fc.weight\":" GOOD_WEIGHT "}", RESATTN_BAD_FORMAT,
                   "duplicate object key");
    header_refused("{\"fc.weight\":{\"dtype\":\"F32\",\"dtype\":\"F32\"}}", RESATTN_BAD_FORMAT, "duplicate object key");
    char *deep = malloc(5 * 100000 + 10);
    strcpy(deep, "{\"a\":");
    memset(deep + 5, '[', 400000);
    deep[400005] = '\0';
    header_refused(deep, RESATTN_BAD_FORMAT, "nested deeper than 8");
    free(deep);
    header_refused("{\"[[[[[[[[[[\\\"{{{{{{{{{{\":1}", RESATTN_BAD_FORMAT, "not an object");
}
END_TEST

START_TEST(members)
{
    weight_refused("1", RESATTN_BAD_FORMAT, "fc.weight: not an object");
    weight_refused("[1,2]", RESATTN_BAD_FORMAT, "fc.weight: not an object");
    weight_refused("{}", RESATTN_BAD_FORMAT, "fc.weight: the shape is not a list of sizes");
    weight_refused("{\"dtype\":\"F32\",\"shape\":2,\"data_offsets\":[0,8]}", RESATTN_BAD_FORMAT, "not a list of sizes");
    weight_refused("{\"shape\":[1,2],\"data_offsets\":[0,8]}", RESATTN_BAD_FORMAT, "the dtype is not a text");
    weight_refused("{\"dtype\":32,\"shape\":[1,2],\"data_offsets\":[0,8]}", RESATTN_BAD_FORMAT, "dtype is not a text");
    weight_refused("{\"dtype\":\"F32\",\"shape\":[1,2]}", RESATTN_BAD_FORMAT, "data_offsets are not two numbers");
    weight_refused("{\"dtype\":\"F32\",\"shape\":[1,2],\"data_offsets\":[0]}", RESATTN_BAD_FORMAT, "two numbers");
    weight_refused("{\"dtype\":\"F32\",\"shape\":[1,2],\"data_offsets\":[0,4,8]}", RESATTN_BAD_FORMAT, "two numbers");
    weight_refused("{\"dtype\":\"F32\",\"shape\":[1,2],\"data_offsets\":8}", RESATTN_BAD_FORMAT, "two numbers");
    header_refused("{\"__metadata__\":[]}", RESATTN_BAD_FORMAT, "__metadata__: not an object of texts");
    header_refused("{\"__metadata__\":{\"a\":1}}", RESATTN_BAD_FORMAT, "__metadata__: not an object of texts");
}
END_TEST

START_TEST(types)
{
    weight_refused("{\"dtype\":\"F33\",\"shape\":[1,2],\"data_offsets\":[0,8]}", RESATTN_UNSUPPORTED,
                   "fc.weight: the dtype 'F33' is unknown");
    weight_refused("{\"dtype\":\"f32\",\"shape\":[1,2],\"data_offsets\":[0,8]}", RESATTN_UNSUPPORTED, "unknown");
    weight_refused("{\"dtype\":\"I32\",\"shape\":[1,2],\"data_offsets\":[0,8]}", RESATTN_UNSUPPORTED,
                   "fc.weight: the dtype is I32, expected F32, F64, F16 or BF16");
    weight_refused("{\"dtype\":\"F4\",\"shape\":[1,16],\"data_offsets\":[0,8]}", RESATTN_UNSUPPORTED, "is F4");
    weight_refused("{\"dtype\":\"F4\",\"shape\":[15],\"data_offsets\":[0,8]}", RESATTN_BAD_FORMAT, "number of bytes");
    weight_refused("{\"dtype\":\"F16\",\"shape\":[1,2],\"data_offsets\":[0,8]}", RESATTN_BAD_FORMAT,
                   "data_offsets are 0 to 8, the shape needs 4 bytes");
    weight_refused("{\"dtype\":\"F64\",\"shape\":[1,2],\"data_offsets\":[0,8]}", RESATTN_BAD_FORMAT, "needs 16 bytes");
}
END_TEST

START_TEST(numbers)
{
    weight_refused("{\"dtype\":\"F32\",\"shape\":[-1,2],\"data_offsets\":[0,8]}", RESATTN_BAD_FORMAT,
                   "fc.weight: shape has something that is no integer from 0 on");
    weight_refused("{\"dtype\":\"F32\",\"shape\":[1.0,2],\"data_offsets\":[0,8]}", RESATTN_BAD_FORMAT, "no integer");
    weight_refused("{\"dtype\":\"F32\",\"shape\":[\"1\",2],\"data_offsets\":[0,8]}", RESATTN_BAD_FORMAT, "no integer");
    weight_refused("{\"dtype\":\"F32\",\"shape\":[null,2],\"data_offsets\":[0,8]}", RESATTN_BAD_FORMAT, "no integer");
    weight_refused("{\"dtype\":\"F32\",\"shape\":[1,2],\"data_offsets\":[-8,8]}", RESATTN_BAD_FORMAT,
                   "fc.weight: data_offsets has something that is no integer from 0 on");
    weight_refused("{\"dtype\":\"F32\",\"shape\":[1,2],\"data_offsets\":[0,8e0]}", RESATTN_BAD_FORMAT, "no integer");
    weight_refused("{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,8]}", RESATTN_BAD_FORMAT,
                   "more elements than can be counted");
    weight_refused("{\"dtype\":\"F32\",\"shape\":[9223372036854775807,2],\"data_offsets\":[0,8]}", RESATTN_BAD_FORMAT,
                   "more elements than can be counted");
    weight_refused("{\"dtype\":\"F32\",\"shape\":[9223372036854775807],\"data_offsets\":[0,8]}", RESATTN_BAD_FORMAT,
                   "does not fit");
    weight_refused("{\"dtype\":\"F32\",\"shape\":[9223372036854775807],\"data_offsets\":[0,9223372036854775807]}",
                   RESATTN_BAD_FORMAT, "the values have 12 bytes");
    weight_refused("{\"dtype\":\"F32\",\"shape\":[2305843009213693954],\"data_offsets\":[0,8]}", RESATTN_BAD_FORMAT,
                   "does not fit"); /* times four it is 8 again */
    char shape[512] = "{\"dtype\":\"F32\",\"shape\":[1,2";
    for (int i = 0; i < 63; i++)
        strcat(shape, ",1");
    strcat(shape, "],\"data_offsets\":[0,8]}");
    weight_refused(shape, RESATTN_TOO_LARGE, "fc.weight asks for 65, the limit 'rank' is 64");
}
END_TEST

START_TEST(ranges)
{
    weight_refused("{\"dtype\":\"F32\",\"shape\":[1,2],\"data_offsets\":[8,0]}", RESATTN_BAD_FORMAT,
                   "data_offsets are 8 to 0, the values have 12 bytes");
    weight_refused("{\"dtype\":\"F32\",\"shape\":[1,2],\"data_offsets\":[5,13]}", RESATTN_BAD_FORMAT,
                   "data_offsets are 5 to 13, the values have 12 bytes");
    weight_refused("{\"dtype\":\"F32\",\"shape\":[1,3],\"data_offsets\":[0,12]}", RESATTN_BAD_FORMAT,
                   "the values of fc.weight and fc.bias overlap");
    weight_refused("{\"dtype\":\"F32\",\"shape\":[1,1],\"data_offsets\":[0,4]}", RESATTN_BAD_FORMAT,
                   "the values from byte 4 of 12 on belong to no tensor");
    weight_refused("{\"dtype\":\"F32\",\"shape\":[1,1],\"data_offsets\":[4,8]}", RESATTN_BAD_FORMAT,
                   "the values from byte 0 of 12 on belong to no tensor");
    weight_refused("{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[9,9]}", RESATTN_BAD_FORMAT,
                   "belong to no tensor");
    header_refused("{}", RESATTN_BAD_FORMAT, "the values from byte 0 of 12 on belong to no tensor");
    header_refused("{\"fc.weight\":" GOOD_WEIGHT "}", RESATTN_BAD_FORMAT, "the values from byte 8 of 12 on");
    st_raw("bad", "{\"a\":{\"dtype\":\"F32\",\"shape\":[0,7],\"data_offsets\":[0,0]}}", 0);
    check_refused_file(RESATTN_SHAPE_MISMATCH, "2 missing, 1 unexpected");
}
END_TEST

/* ---- damage at any place ---- */

static unsigned char *write_good(size_t *size)
{
    ck_assert_int_eq(resattn_network_save_weights(network, "good", RESATTN_F32), RESATTN_OK);
    return read_bytes("good", size);
}

START_TEST(every_truncation)
{
    size_t size;
    unsigned char *bytes = write_good(&size);
    for (size_t i = 0; i < size; i++) {
        write_bytes("bad", bytes, i);
        check_refused_file(RESATTN_BAD_FORMAT, i < 8 ? "truncated" : "");
    }
    bytes[size] = 0;
    write_bytes("bad", bytes, size + 1);
    check_refused_file(RESATTN_BAD_FORMAT, "belong to no tensor");
    free(bytes);
}
END_TEST

/* A header with a byte changed is read as what it says, or refused. */
START_TEST(every_byte_of_the_header)
{
    size_t size;
    unsigned char *bytes = write_good(&size);
    for (size_t i = 0; i < size - 12; i++) {
        for (int round = 0; round < 12; round++) {
            static const unsigned char letters[] = "\"{}[]:,0-\\";
            unsigned char before = bytes[i];
            bytes[i] = round < 10 ? letters[round] : (unsigned char)test_random();
            write_bytes("bad", bytes, size);
            bytes[i] = before;
            resattn_status status = resattn_network_load_weights(network, "bad", NULL, 0, NULL);
            if (status != RESATTN_OK) {
                ck_assert_int_eq(strncmp(resattn_last_error(), "bad: ", 5), 0);
                check_refused_bytes(status);
            }
            check_kept(network, kept);
        }
    }
    free(bytes);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("weights damage");
    TCase *tests = tcase_create("damage");
    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, lengths);
    tcase_add_test(tests, not_json);
    tcase_add_test(tests, members);
    tcase_add_test(tests, types);
    tcase_add_test(tests, numbers);
    tcase_add_test(tests, ranges);
    tcase_add_test(tests, every_truncation);
    tcase_add_test(tests, every_byte_of_the_header);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
