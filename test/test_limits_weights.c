/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Limits of safetensors files, loaded and probed, and what small ones can make the library and its JSON library
 * allocate.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "counted_heap.h"
#include "weights_common.h"

static counted_heap heap; /* of the library and of the JSON library */
static resattn_network *network;

static void *json_alloc(size_t size)
{
    return counted_alloc(&heap, size);
}

static void json_free(void *memory)
{
    if (memory)
        counted_free(&heap, memory);
}

static void set_up(void)
{
    weights_set_up();
    resattn_context_unref(context);
    context = counted_context(&heap);
    json_set_alloc_funcs(json_alloc, json_free);
    resattn_builder *b = resattn_builder_new(context);
    network = resattn_network_new(b, resattn_linear_new(b, "fc", 3), 5);
    resattn_builder_free(b);
}

static void tear_down(void)
{
    resattn_network_unref(network);
    weights_tear_down();
    ck_assert_uint_eq(heap.live, 0);
}

/* What loading answers, and probing from a file and from a buffer, which must agree. */
static resattn_status answer(const char *path, bool probe_alone)
{
    size_t size, before = heap.live;
    unsigned char *bytes = read_bytes(path, &size);
    resattn_status status = RESATTN_OK;
    if (!probe_alone)
        status = resattn_network_load_weights(network, path, NULL, RESATTN_WEIGHTS_LENIENT, NULL);
    for (int way = 0; way < 2; way++) {
        resattn_probe *probe =
            way == 0 ? resattn_probe_new(context, path) : resattn_probe_new_buffer(context, bytes, size);
        resattn_status probed = probe ? RESATTN_OK : resattn_last_status();
        if (probe_alone && way == 0)
            status = probed;
        ck_assert_msg(probed == status, "%d and %d: %s", (int)probed, (int)status, resattn_last_error());
        resattn_probe_free(probe);
    }
    ck_assert_uint_eq(heap.live, before);
    free(bytes);
    return status;
}

static void check_at(resattn_limit limit, const char *name, int64_t needed)
{
    for (int64_t value = needed - 1; value <= needed + 1; value++) {
        char words[64];
        if (value == 0 || resattn_context_set_limit(context, limit, value) != RESATTN_OK)
            continue;
        resattn_status status = answer("good", false);
        ck_assert_msg((status == RESATTN_OK) == (value >= needed), "%s at %lld: %s", name, (long long)value,
                      resattn_last_error());
        snprintf(words, sizeof words, "the limit '%s' is %lld", name, (long long)value);
        if (status != RESATTN_OK)
            test_expect_error(RESATTN_TOO_LARGE, words);
    }
    resattn_context_set_limit(context, limit, 0);
}

START_TEST(each_limit)
{
    char name[101];
    memset(name, 'n', 100);
    name[100] = '\0';
    st_begin();
    st_add_network(network, "", "F32", -1);
    float values[24] = {0};
    st_add_floats(name, "F16", "[1,2,1,3,1,4]", values, 24);
    st_end("good");
    ck_assert_int_eq(answer("good", false), RESATTN_OK);
    size_t size;
    unsigned char *bytes = read_bytes("good", &size);
    check_at(RESATTN_LIMIT_HEADER, "header", (int64_t)(bytes[0] | bytes[1] << 8));
    free(bytes);
    check_at(RESATTN_LIMIT_TENSORS, "tensors", 3);
    check_at(RESATTN_LIMIT_ELEMENTS, "elements", 24);
    check_at(RESATTN_LIMIT_RANK, "rank", 6);
    check_at(RESATTN_LIMIT_NAME, "name", 36); /* and 64 more */
    check_at(RESATTN_LIMIT_PARAMETERS, "parameters", 4 * (15 + 3 + 24));
}
END_TEST

START_TEST(memory)
{
    st_begin();
    st_add_network(network, "", "F32", -1);
    st_end("good");
    size_t before = heap.live;
    resattn_status status = RESATTN_TOO_LARGE;
    for (int64_t limit = (int64_t)before; status != RESATTN_OK; limit += 101) {
        resattn_context_set_limit(context, RESATTN_LIMIT_MEMORY, limit);
        status = resattn_network_load_weights(network, "good", NULL, 0, NULL);
        if (status != RESATTN_OK)
            test_expect_error(RESATTN_TOO_LARGE, "the limit 'memory' is");
        ck_assert_uint_eq(heap.live, before);
    }
}
END_TEST

/* A file of `size` bytes whose header is `open`, units with commas between them, and `close`. */
static void check_header(size_t size, const char *open, const char *unit, const char *close)
{
    char *header = malloc(size + 1);
    size_t at = (size_t)sprintf(header, "%s", open), step = strlen(unit), last = size - 8 - strlen(close);
    for (int i = 0; at + step + 1 + 8 <= last; i++)
        at += (size_t)sprintf(header + at, i ? "," : " "), at += (size_t)sprintf(header + at, unit, (unsigned)i);
    sprintf(header + at, "%s", close);
    st_raw("bad", header, 0);
    size_t before = heap.live;
    heap.peak = heap.live;
    answer("bad", size > 1024);
    size_t most = size > 1024 ? size * 48 : 1 << 20;
    ck_assert_msg(heap.peak - before <= most, "%s: %zu bytes for %zu: %s", unit, heap.peak - before, size,
                  resattn_last_error());
    free(header);
}

START_TEST(headers_are_cheap)
{
    static const char *const units[] = {"{}",           "[]",          "1",           "\"\"",     "1e5",
                                        "true",         "[1]",         "{\"\":1}",    "[[[[]]]]", "[{},{},1,1,1,1]",
                                        "[1,1,1,1,[]]", "[\"\",\"\"]", "\"\\u0041\"", "[true]",   "{\"a\":{\"b\":{}}}"};
    for (size_t size = 1024; size <= 1 << 20; size *= 32) {
        for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
            check_header(size, "{\"a\":[", units[i], "]}");
            check_header(size, "{\"a\":{\"shape\":[", units[i], "]}}");
        }
        check_header(size, "{", "\"%x\":1", "}");
        check_header(size, "{", "\"%x\":[]", "}");
        check_header(size, "{", "\"%x\":{}", "}");
        check_header(size, "{", "\"%x\":\"\"", "}");
        check_header(size, "{\"__metadata__\":{", "\"%x\":\"\"", "}}");
        check_header(size, "{", "\"%x\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}", "}");
    }
}
END_TEST

/* A header of the smallest tensors is one. */
START_TEST(many_tensors)
{
    char *header = malloc(1 << 20);
    size_t at = (size_t)sprintf(header, "{");
    for (int i = 0; i < 10000; i++)
        at += (size_t)sprintf(header + at, "%s\"%x\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}",
                              i ? "," : "", i);
    sprintf(header + at, "}");
    st_raw("many", header, 0);
    resattn_probe *probe = resattn_probe_new(context, "many");
    ck_assert_msg(probe != NULL, "%s", resattn_last_error());
    ck_assert_int_eq(resattn_probe_number(probe, RESATTN_PROBE_TENSORS), 10000);
    resattn_probe_free(probe);
    resattn_context_set_limit(context, RESATTN_LIMIT_TENSORS, 9000);
    ck_assert_ptr_null(resattn_probe_new(context, "many"));
    test_expect_error(RESATTN_TOO_LARGE, "the limit 'tensors' is 9000");
    free(header);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("limits of weights");
    TCase *tests = tcase_create("limits of weights");
    tcase_set_timeout(tests, 240);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, each_limit);
    tcase_add_test(tests, memory);
    tcase_add_test(tests, headers_are_cheap);
    tcase_add_test(tests, many_tensors);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
