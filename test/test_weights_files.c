/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Saving weights, to the byte; files that cannot be read or written, memory that is refused, networks in use.
 */
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/format.h"
#include "network/network.h"
#include "weights_common.h"

/* ---- the bytes ---- */

/* `json`: the header without the spaces that fill it up. */
static void check_file(resattn_network *network, resattn_dtype type, const char *json, const void *values,
                       size_t values_size)
{
    char header[1024];
    size_t size, length = (strlen(json) + 7) / 8 * 8;
    snprintf(header, sizeof header, "%-*s", (int)length, json);
    ck_assert_msg(resattn_network_save_weights(network, "saved", type) == RESATTN_OK, "%s", resattn_last_error());
    unsigned char *bytes = read_bytes("saved", &size), stored[8];
    blob_store(stored, length, 8);
    ck_assert_mem_eq(bytes, stored, 8);
    ck_assert_uint_eq(size, 8 + length + values_size);
    ck_assert_mem_eq(bytes + 8, header, length);
    ck_assert_mem_eq(bytes + 8 + length, values, values_size);
    free(bytes);
    ck_assert_int_eq(files_here(), 1);
}

START_TEST(saved_bytes)
{
    const float weight[] = {1, -2, 70000}, bias = 0.1f;
    const unsigned char f32[] = {0, 0, 0x80, 0x3F, 0, 0, 0, 0xC0, 0, 0xB8, 0x88, 0x47, 0xCD, 0xCC, 0xCC, 0x3D};
    const unsigned char f16[] = {0, 0x3C, 0, 0xC0, 0, 0x7C, 0x66, 0x2E},
                        bf16[] = {0x80, 0x3F, 0, 0xC0, 0x89, 0x47, 0xCD, 0x3D};
    resattn_builder *b = resattn_builder_new(context);
    resattn_network *network = resattn_network_new(b, resattn_linear_new(b, "f\"\\c", 1), 3);
    resattn_builder_free(b);
    ck_assert_msg(network != NULL, "%s", resattn_last_error());
    resattn_tensor_write(resattn_network_parameter(network, 0), RESATTN_CHANNELS_FIRST, weight, 3);
    resattn_tensor_write(resattn_network_parameter(network, 1), RESATTN_CHANNELS_FIRST, &bias, 1);
    check_file(network, RESATTN_F32,
               "{\"f\\\"\\\\c.weight\":{\"dtype\":\"F32\",\"shape\":[1,3],\"data_offsets\":[0,12]},"
               "\"f\\\"\\\\c.bias\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[12,16]}}",
               f32, sizeof f32);
    check_file(network, RESATTN_F16,
               "{\"f\\\"\\\\c.weight\":{\"dtype\":\"F16\",\"shape\":[1,3],\"data_offsets\":[0,6]},"
               "\"f\\\"\\\\c.bias\":{\"dtype\":\"F16\",\"shape\":[1],\"data_offsets\":[6,8]}}",
               f16, sizeof f16);
    check_file(network, RESATTN_BF16,
               "{\"f\\\"\\\\c.weight\":{\"dtype\":\"BF16\",\"shape\":[1,3],\"data_offsets\":[0,6]},"
               "\"f\\\"\\\\c.bias\":{\"dtype\":\"BF16\",\"shape\":[1],\"data_offsets\":[6,8]}}",
               bf16, sizeof bf16);
    resattn_network_unref(network);
}
END_TEST

/* Statistics stay as they are, in front of what is half as wide. */
START_TEST(saved_statistics)
{
    const float weight[] = {1}, bias[] = {2}, mean[] = {3}, variance[] = {1e6f};
    const unsigned char values[] = {0, 0, 0x40, 0x40, 0, 0x24, 0x74, 0x49, 0, 0x3C, 0, 0x40};
    const float *all[] = {weight, bias, mean, variance};
    resattn_builder *b = resattn_builder_new(context);
    resattn_network *network = resattn_network_new(b, resattn_batch_norm_new(b, "n"), 1);
    resattn_builder_free(b);
    for (int32_t i = 0; i < 4; i++)
        resattn_tensor_write(resattn_network_parameter(network, i), RESATTN_CHANNELS_FIRST, all[i], 1);
    check_file(network, RESATTN_F16,
               "{\"n.running_mean\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
               "\"n.running_var\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]},"
               "\"n.weight\":{\"dtype\":\"F16\",\"shape\":[1],\"data_offsets\":[8,10]},"
               "\"n.bias\":{\"dtype\":\"F16\",\"shape\":[1],\"data_offsets\":[10,12]}}",
               values, sizeof values);
    resattn_network_unref(network);
}
END_TEST

START_TEST(round_trips)
{
    resattn_network *network = full_network(context);
    for (int32_t type = RESATTN_F32; type <= RESATTN_BF16; type++) {
        resattn_network *loaded = full_network(context), *again = full_network(context);
        resattn_network_initialize(loaded, 77);
        ck_assert_int_eq(resattn_network_save_weights(network, "saved", (resattn_dtype)type), RESATTN_OK);
        ck_assert_msg(resattn_network_load_weights(loaded, "saved", NULL, 0, NULL) == RESATTN_OK, "%s",
                      resattn_last_error());
        if (type == RESATTN_F32)
            check_same(network, loaded);
        for (int32_t i = 0; i < resattn_network_parameter_count(network); i++) {
            const float *from = resattn_tensor_data(resattn_network_parameter(network, i));
            const float *to = resattn_tensor_data(resattn_network_parameter(loaded, i));
            for (int64_t j = 0; j < resattn_tensor_elements(resattn_network_parameter(network, i)); j++)
                ck_assert(fabsf(from[j] - to[j]) <= fabsf(from[j]) * (type == RESATTN_F16 ? 0x1p-11f : 0x1p-8f));
        }
        size_t size, size_again;
        unsigned char *bytes = read_bytes("saved", &size);
        ck_assert_int_eq(resattn_network_save_weights(loaded, "saved", (resattn_dtype)type), RESATTN_OK);
        unsigned char *bytes_again = read_bytes("saved", &size_again);
        ck_assert_uint_eq(size, size_again);
        ck_assert_mem_eq(bytes, bytes_again, size);
        free(bytes);
        free(bytes_again);
        resattn_network_unref(again);
        resattn_network_unref(loaded);
    }
    resattn_network_unref(network);
}
END_TEST

/* A session sees loaded weights once it is refreshed. */
START_TEST(sessions)
{
    const int64_t shape[] = {1, 2, 9, 9};
    resattn_network *network = full_network(context), *other = full_network(context);
    resattn_network_initialize(other, 5);
    ck_assert_int_eq(resattn_network_save_weights(other, "saved", RESATTN_F32), RESATTN_OK);
    resattn_tensor *input = resattn_tensor_new(context, RESATTN_F32, 4, shape, RESATTN_CHANNELS_LAST);
    resattn_tensor_fill(input, 0.25f);
    float values[2][3];
    resattn_network *both[] = {network, other};
    resattn_session *session[2];
    for (int i = 0; i < 2; i++) {
        resattn_plan *plan = resattn_plan_new(both[i], RESATTN_INFERENCE, 1, 9, 9);
        session[i] = resattn_session_new(plan);
        resattn_plan_free(plan);
        ck_assert_msg(session[i] != NULL, "%s", resattn_last_error());
    }
    ck_assert_int_eq(resattn_network_load_weights(network, "saved", NULL, 0, NULL), RESATTN_OK);
    ck_assert_int_eq(resattn_session_refresh(session[0]), RESATTN_OK);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(resattn_session_forward(session[i], input), RESATTN_OK);
        resattn_tensor_read(resattn_session_output(session[i], NULL), RESATTN_CHANNELS_FIRST, values[i], 3);
        resattn_session_free(session[i]);
    }
    ck_assert_mem_eq(values[0], values[1], sizeof values[0]);
    resattn_tensor_unref(input);
    resattn_network_unref(network);
    resattn_network_unref(other);
}
END_TEST

/* ---- in memory ---- */

static int32_t put_nothing(void *user, const void *bytes, size_t size)
{
    (void)bytes, (void)size;
    return --*(int32_t *)user < 0 ? 9 : 0;
}

/* The bytes are those of a file, whole or in pieces, in every type; and they are read back from memory. */
START_TEST(memory_and_callbacks)
{
    resattn_network *network = full_network(context), *other = full_network(context);
    for (int32_t type = RESATTN_F32; type <= RESATTN_BF16; type++) {
        void *bytes;
        size_t size, in_file;
        pipe_end pieces = {.fail_at = -1};
        resattn_weights_report *report = NULL;
        ck_assert_int_eq(resattn_network_save_weights(network, "saved", (resattn_dtype)type), RESATTN_OK);
        ck_assert_int_eq(resattn_network_save_weights_buffer(network, (resattn_dtype)type, &bytes, &size), RESATTN_OK);
        ck_assert_int_eq(resattn_network_save_weights_stream(network, (resattn_dtype)type, put, &pieces), RESATTN_OK);
        unsigned char *expected = read_bytes("saved", &in_file);
        ck_assert_uint_eq(size, in_file);
        ck_assert_uint_eq(pieces.size, in_file);
        ck_assert_mem_eq(bytes, expected, in_file);
        ck_assert_mem_eq(pieces.bytes, expected, in_file);
        resattn_network_initialize(other, (uint64_t)type + 5);
        ck_assert_int_eq(resattn_network_load_weights_buffer(other, bytes, size, NULL, 0, &report), RESATTN_OK);
        ck_assert_int_eq(resattn_weights_report_count(report), 0);
        resattn_weights_report_free(report);
        float *from_memory = keep_values(other);
        resattn_network_initialize(other, (uint64_t)type + 5);
        ck_assert_int_eq(resattn_network_load_weights(other, "saved", NULL, 0, NULL), RESATTN_OK);
        check_kept(other, from_memory);
        ck_assert_int_eq(resattn_network_load_weights_buffer(other, bytes, size, "fc.", 0, NULL),
                         RESATTN_SHAPE_MISMATCH);
        ck_assert_int_eq(
            resattn_network_load_weights_buffer(other, bytes, size, "fc.", RESATTN_WEIGHTS_LENIENT, &report),
            RESATTN_OK);
        ck_assert_int_gt(resattn_weights_report_count(report), 0);
        resattn_weights_report_free(report);
        free(from_memory);
        free(expected);
        resattn_buffer_free(bytes);
    }
    resattn_network_unref(other);
    resattn_network_unref(network);
}
END_TEST

START_TEST(failing_callbacks)
{
    resattn_network *network = full_network(context);
    int32_t calls = 0;
    for (int32_t most = 0; calls >= 0 && most < 100; most++) {
        int32_t left = most;
        resattn_status status = resattn_network_save_weights_stream(network, RESATTN_F32, put_nothing, &left);
        calls = left < 0 ? 0 : -1; /* the last one was written */
        ck_assert_int_eq(status, left < 0 ? RESATTN_IO_ERROR : RESATTN_OK);
        if (left < 0)
            test_expect_error(RESATTN_IO_ERROR, "the write callback failed with 9 at byte ");
    }
    ck_assert_int_eq(calls, -1);
    resattn_network_unref(network);
}
END_TEST

/* ---- what cannot be ---- */

static void check_load_fails(resattn_network *network, const char *path, resattn_status status, const char *words)
{
    float *kept = keep_values(network);
    ck_assert_int_eq(resattn_network_load_weights(network, path, NULL, 0, NULL), status);
    ck_assert_msg(strncmp(resattn_last_error(), path, strlen(path)) == 0 && strstr(resattn_last_error(), words),
                  "'%s', expected '%s: ...%s'", resattn_last_error(), path, words);
    check_kept(network, kept);
    free(kept);
}

START_TEST(files_that_cannot_be)
{
    resattn_network *network = full_network(context);
    check_load_fails(network, "missing", RESATTN_NOT_FOUND, "No such file");
    check_load_fails(network, ".", RESATTN_IO_ERROR, "folder");
    check_load_fails(network, "/dev/null", RESATTN_IO_ERROR, "neither");
    ck_assert_int_eq(resattn_network_save_weights(network, "missing/a", RESATTN_F32), RESATTN_IO_ERROR);
    ck_assert_ptr_nonnull(strstr(resattn_last_error(), "missing/a: "));
    ck_assert_int_eq(resattn_network_save_weights(network, ".", RESATTN_F32), RESATTN_IO_ERROR);
    ck_assert_int_eq(files_here(), 0);
    ck_assert_int_eq(mkfifo("pipe", 0666), 0);
    if (fork() == 0) { /* somebody at the other end */
        FILE *stream = fopen("pipe", "w");
        if (stream)
            fclose(stream);
        _exit(0);
    }
    check_load_fails(network, "pipe", RESATTN_IO_ERROR, "it is a pipe");
    resattn_network_unref(network);
}
END_TEST

START_TEST(failing_reads)
{
    unsigned char byte;
    write_bytes("short", "abc", 3);
    int descriptor = ra_file_open("short");
    ck_assert_int_eq(ra_file_read_at(descriptor, 2, &byte, 1), 0);
    ck_assert_int_eq(byte, 'c');
    ck_assert_int_eq(ra_file_read_at(descriptor, 3, &byte, 1), -1);
    ck_assert_int_eq(ra_file_fail(-1), RESATTN_BAD_FORMAT);
    ra_file_close(descriptor);
    int answer = ra_file_read_at(descriptor, 0, &byte, 1);
    ck_assert_int_gt(answer, 0);
    ck_assert_int_eq(ra_file_fail(answer), RESATTN_IO_ERROR);
    test_expect_error(RESATTN_IO_ERROR, "cannot read: ");
}
END_TEST

START_TEST(failing_writes)
{
    resattn_network *network = full_network(context), *altered = full_network(context);
    resattn_network_initialize(altered, 3);
    ck_assert_int_eq(resattn_network_save_weights(network, "saved", RESATTN_F32), RESATTN_OK);
    signal(SIGXFSZ, SIG_IGN);
    struct stat facts;
    ck_assert_int_eq(stat("saved", &facts), 0);
    for (rlim_t most = 0; most < (rlim_t)facts.st_size; most += 250) {
        struct rlimit limit = {most, RLIM_INFINITY};
        /* Check, too, writes into files: it says nothing until the limit is gone. */
        int set = setrlimit(RLIMIT_FSIZE, &limit);
        resattn_status first = resattn_network_save_weights(altered, "saved", RESATTN_F32);
        resattn_status second = resattn_network_save_weights(altered, "other", RESATTN_F32);
        limit.rlim_cur = RLIM_INFINITY;
        int unset = setrlimit(RLIMIT_FSIZE, &limit);
        ck_assert(set == 0 && unset == 0);
        ck_assert_int_eq(first, RESATTN_IO_ERROR);
        ck_assert_int_eq(second, RESATTN_IO_ERROR);
        ck_assert_int_eq(files_here(), 1);
        ck_assert_int_eq(resattn_network_load_weights(altered, "saved", NULL, 0, NULL), RESATTN_OK);
        check_same(network, altered);
        resattn_network_initialize(altered, 3);
    }
    resattn_network_unref(altered);
    resattn_network_unref(network);
}
END_TEST

START_TEST(networks_in_use)
{
    resattn_network *network = full_network(context);
    ck_assert_int_eq(resattn_network_save_weights(network, "saved", RESATTN_F32), RESATTN_OK);
    ck_assert(ra_network_take(network, "a step"));
    ck_assert_int_eq(resattn_network_save_weights(network, "other", RESATTN_F32), RESATTN_BUSY);
    ck_assert_int_eq(resattn_network_load_weights(network, "saved", NULL, 0, NULL), RESATTN_BUSY);
    void *bytes = NULL;
    size_t size = 0;
    ck_assert_int_eq(resattn_network_save_weights_buffer(network, RESATTN_F32, &bytes, &size), RESATTN_BUSY);
    ck_assert_int_eq(resattn_network_load_weights_buffer(network, &size, sizeof size, NULL, 0, NULL), RESATTN_BUSY);
    ck_assert(!bytes && size == 0);
    ra_network_give(network);
    ck_assert(ra_network_share(network, "a run"));
    ck_assert_int_eq(resattn_network_load_weights(network, "saved", NULL, 0, NULL), RESATTN_BUSY);
    ck_assert_int_eq(resattn_network_save_weights(network, "saved", RESATTN_F32), RESATTN_OK);
    ra_network_unshare(network);
    ck_assert_int_eq(resattn_network_load_weights(network, "saved", NULL, 0, NULL), RESATTN_OK);
    ck_assert_int_eq(resattn_network_load_weights(network, "missing", NULL, 0, NULL), RESATTN_NOT_FOUND);
    ck_assert(ra_network_take(network, "a step"));
    ra_network_give(network);
    ck_assert_int_eq(files_here(), 1);
    resattn_network_unref(network);
}
END_TEST

/* ---- memory ---- */

/* Refuses a call, or shortens the file that is being read at a call. */
static struct {
    int64_t calls, refuse, shorten, blocks, strangers;
    pthread_t owner;
} heap;

static void *heap_alloc(void *user, size_t size)
{
    (void)user;
    heap.strangers += !pthread_equal(heap.owner, pthread_self());
    if (heap.calls == heap.shorten)
        ck_assert_int_eq(truncate("saved", 200), 0);
    if (heap.calls++ == heap.refuse)
        return NULL;
    heap.blocks++;
    return malloc(size);
}

static void heap_free(void *user, void *memory)
{
    (void)user;
    heap.strangers += !pthread_equal(heap.owner, pthread_self());
    heap.blocks--;
    free(memory);
}

static resattn_context *heap_context(int32_t threads)
{
    heap.owner = pthread_self();
    heap.refuse = heap.shorten = -1;
    heap.strangers = 0;
    return resattn_context_new_with_allocator(threads, heap_alloc, heap_free, NULL);
}

START_TEST(every_refused_allocation)
{
    resattn_context *c = heap_context(1);
    resattn_network *network = full_network(c);
    float *kept = keep_values(network);
    st_begin();
    st_add_network(network, "", "F32", 2);
    st_add_floats("other", "F32", "[1]", kept, 1);
    st_end("weights");
    size_t in_memory;
    unsigned char *weights = read_bytes("weights", &in_memory);
    for (int way = 0; way < 5; way++) {
        for (int64_t i = 0;; i++) {
            resattn_weights_report *report = NULL;
            void *bytes = NULL;
            size_t size;
            int64_t before = heap.blocks;
            heap.calls = 0;
            heap.refuse = i;
            resattn_status status =
                way == 0   ? resattn_network_save_weights(network, "saved", RESATTN_F16)
                : way == 3 ? resattn_network_save_weights_buffer(network, RESATTN_F16, &bytes, &size)
                : way == 4 ? resattn_network_load_weights_buffer(network, weights, in_memory, NULL, 1, &report)
                           : resattn_network_load_weights(network, "weights", NULL, way == 1 ? 0 : 1, &report);
            heap.refuse = -1;
            resattn_buffer_free(bytes);
            if (status == RESATTN_OUT_OF_MEMORY)
                ck_assert_ptr_null(report);
            resattn_weights_report_free(report);
            ck_assert_int_eq(heap.blocks, before);
            if (status != RESATTN_OUT_OF_MEMORY) {
                ck_assert_int_eq(status, way == 1 ? RESATTN_SHAPE_MISMATCH : RESATTN_OK);
                break;
            }
            if (way < 3) /* then it was loaded */
                check_kept(network, kept);
        }
    }
    free(weights);
    free(kept);
    resattn_network_unref(network);
    resattn_context_unref(c);
    ck_assert_int_eq(heap.blocks, 0);
}
END_TEST

/* The file becomes shorter after it has been looked at. */
START_TEST(files_that_shrink)
{
    for (int32_t threads = 1; threads <= 3; threads += 2) {
        resattn_context *c = heap_context(threads);
        resattn_builder *b = resattn_builder_new(c);
        resattn_layer *root = resattn_sequential_new(b, NULL);
        for (int i = 0; i < 6; i++)
            resattn_layer_add(root, resattn_conv2d_new(b, NULL, 120, 3, 1, 1));
        resattn_network *network = resattn_network_new(b, root, 3);
        resattn_builder_free(b);
        ck_assert_msg(network != NULL, "%s", resattn_last_error());
        float *kept = keep_values(network);
        ck_assert_int_eq(resattn_network_save_weights(network, "saved", RESATTN_F32), RESATTN_OK);
        resattn_network_initialize(network, 9);
        ck_assert_int_eq(resattn_network_load_weights(network, "saved", NULL, 0, NULL),
                         RESATTN_OK); /* starts threads */
        resattn_network_initialize(network, 9);
        heap.calls = 0;
        ck_assert_int_eq(resattn_network_load_weights(network, "saved", NULL, 0, NULL), RESATTN_OK);
        check_kept(network, kept);
        int64_t calls = heap.calls;
        resattn_network_initialize(network, 10);
        free(kept);
        kept = keep_values(network);
        for (int64_t i = 0; i < calls; i++) {
            ck_assert_int_eq(resattn_network_save_weights(network, "saved", RESATTN_F32), RESATTN_OK);
            heap.calls = 0;
            heap.shorten = i;
            ck_assert_int_eq(resattn_network_load_weights(network, "saved", NULL, 0, NULL), RESATTN_BAD_FORMAT);
            ck_assert_ptr_nonnull(strstr(resattn_last_error(), "saved: truncated"));
            heap.shorten = -1;
            check_kept(network, kept);
        }
        ck_assert_int_eq(heap.strangers, 0);
        free(kept);
        resattn_network_unref(network);
        resattn_context_unref(c);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("weights files");
    TCase *tests = tcase_create("files");
    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, weights_set_up, weights_tear_down);
    tcase_add_test(tests, saved_bytes);
    tcase_add_test(tests, saved_statistics);
    tcase_add_test(tests, round_trips);
    tcase_add_test(tests, sessions);
    tcase_add_test(tests, memory_and_callbacks);
    tcase_add_test(tests, failing_callbacks);
    tcase_add_test(tests, files_that_cannot_be);
    tcase_add_test(tests, failing_reads);
    tcase_add_test(tests, failing_writes);
    tcase_add_test(tests, networks_in_use);
    tcase_add_test(tests, every_refused_allocation);
    tcase_add_test(tests, files_that_shrink);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
