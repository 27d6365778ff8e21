/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Limits: each at, below and above what a file needs; and what small files can make the library allocate.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "blob_common.h"
#include "counted_heap.h"

/* "A file of 1 kB cannot make the library allocate more than 1 MB before it is refused." */
enum { SMALL_FILE = 1024, SMALL_MEMORY = 1 << 20 };

static counted_heap heap;

static void set_up(void)
{
    make_blob();
    resattn_context_unref(context);
    context = counted_context(&heap);
}

static void tear_down(void)
{
    free_blob();
    ck_assert_uint_eq(heap.live, 0);
}

/* ---- setting ---- */

START_TEST(initial_values)
{
    static const int64_t values[] = {
        0,       INT64_MAX, INT64_C(4294967296), 400000,   1073741824, 64, 1024, 200, 100000, 4096,
        1048576, 131072,    134217728,           16777216, 2064};
    for (int32_t limit = 1; limit <= RESATTN_LIMIT_INFLATION; limit++) {
        ck_assert_int_eq(resattn_context_limit(context, (resattn_limit)limit), values[limit]);
        ck_assert_int_eq(resattn_context_set_limit(context, (resattn_limit)limit, 1), RESATTN_OK);
        ck_assert_int_eq(resattn_context_limit(context, (resattn_limit)limit), 1);
        ck_assert_int_eq(resattn_context_set_limit(context, (resattn_limit)limit, 0), RESATTN_OK);
        ck_assert_int_eq(resattn_context_limit(context, (resattn_limit)limit), values[limit]);
    }
}
END_TEST

/* ---- memory ---- */

START_TEST(memory_of_a_context)
{
    const int64_t shape[] = {1000};
    ck_assert_int_eq(resattn_context_set_limit(context, RESATTN_LIMIT_MEMORY, 10000), RESATTN_OK);
    resattn_tensor *first = resattn_tensor_new(context, RESATTN_F32, 1, shape, RESATTN_CHANNELS_FIRST);
    resattn_tensor *second = resattn_tensor_new(context, RESATTN_F32, 1, shape, RESATTN_CHANNELS_FIRST);
    ck_assert_ptr_nonnull(first);
    ck_assert_ptr_nonnull(second);
    ck_assert_ptr_null(resattn_tensor_new(context, RESATTN_F32, 1, shape, RESATTN_CHANNELS_FIRST));
    test_expect_error(RESATTN_TOO_LARGE, "the limit 'memory' is 10000");
    resattn_tensor_unref(first);
    first = resattn_tensor_new(context, RESATTN_F32, 1, shape, RESATTN_CHANNELS_FIRST);
    ck_assert_ptr_nonnull(first);
    resattn_context_set_limit(context, RESATTN_LIMIT_MEMORY, 0);
    resattn_tensor *third = resattn_tensor_new(context, RESATTN_F32, 1, shape, RESATTN_CHANNELS_FIRST);
    ck_assert_ptr_nonnull(third);
    resattn_tensor_unref(first);
    resattn_tensor_unref(second);
    resattn_tensor_unref(third);
}
END_TEST

/* Whatever memory there is: a whole network, or TOO_LARGE and nothing left behind. */
START_TEST(memory_while_loading)
{
    size_t size, before = heap.live;
    unsigned char *bytes = blob_join(sample, &size);
    resattn_network *network = NULL;
    int64_t limit = 1;
    for (; !network; limit += 997) {
        resattn_context_set_limit(context, RESATTN_LIMIT_MEMORY, limit);
        pipe_end p = {.size = size, .fail_at = -1};
        memcpy(p.bytes, bytes, size);
        heap.peak = heap.live;
        network = resattn_network_load_stream(context, get, &p);
        ck_assert_uint_le(heap.peak - before, (size_t)limit);
        if (!network) {
            test_expect_error(RESATTN_TOO_LARGE, "the limit 'memory' is");
            ck_assert_uint_eq(heap.live, before);
        }
    }
    ck_assert_int_gt(limit, 10000);
    resattn_network_unref(network);
    free(bytes);
}
END_TEST

/* ---- what a blob may hold ---- */

static void check_at(resattn_limit limit, const char *name, int64_t needed)
{
    size_t size;
    char words[64];
    unsigned char *bytes = blob_join(sample, &size);
    for (int64_t value = needed - 1; value <= needed + 1; value++) {
        if (value == 0 || resattn_context_set_limit(context, limit, value) != RESATTN_OK)
            continue; /* beyond the largest one */
        resattn_network *network = resattn_network_load_buffer(context, bytes, size);
        resattn_status loaded = network ? RESATTN_OK : resattn_last_status();
        snprintf(words, sizeof words, "the limit '%s' is %lld", name, (long long)value);
        if (value < needed)
            test_expect_error(RESATTN_TOO_LARGE, words);
        resattn_probe *probe = resattn_probe_new_buffer(context, bytes, size);
        resattn_status probed = probe ? RESATTN_OK : resattn_last_status();
        if (value < needed)
            test_expect_error(RESATTN_TOO_LARGE, words);
        ck_assert_msg(loaded == probed && (loaded == RESATTN_OK) == (value >= needed), "%s at %lld: %d, %d: %s", name,
                      (long long)value, (int)loaded, (int)probed, resattn_last_error());
        resattn_probe_free(probe);
        resattn_network_unref(network);
    }
    resattn_context_set_limit(context, limit, 0);
    free(bytes);
}

static void measure(const resattn_layer *layer, int64_t depth, int64_t *layers, int64_t *deepest, int64_t *longest)
{
    const char *name = resattn_layer_name(layer);
    ++*layers;
    *deepest = depth > *deepest ? depth : *deepest;
    if (name && (int64_t)strlen(name) > *longest)
        *longest = (int64_t)strlen(name);
    for (int32_t i = 0; i < resattn_layer_child_count(layer); i++)
        measure(resattn_layer_child(layer, i), depth + 1, layers, deepest, longest);
}

START_TEST(each_limit_of_a_blob)
{
    resattn_network *network = full_network(context);
    int64_t layers = 0, depth = 0, name = 0, elements = 0, most = 0;
    measure(resattn_network_root(network), 1, &layers, &depth, &name);
    int32_t tensors = resattn_network_parameter_count(network);
    for (int32_t i = 0; i < tensors; i++) {
        int64_t some = resattn_tensor_elements(resattn_network_parameter(network, i));
        elements += some;
        most = some > most ? some : most;
    }
    resattn_network_unref(network);
    check_at(RESATTN_LIMIT_PARAMETERS, "parameters", elements * 4);
    check_at(RESATTN_LIMIT_TENSORS, "tensors", tensors);
    check_at(RESATTN_LIMIT_ELEMENTS, "elements", most);
    check_at(RESATTN_LIMIT_NAME, "name", name);
    check_at(RESATTN_LIMIT_DEPTH, "depth", depth);
    check_at(RESATTN_LIMIT_LAYERS, "layers", layers);
    check_at(RESATTN_LIMIT_TEXTS, "texts", 2);
    check_at(RESATTN_LIMIT_TEXT, "text", 6); /* "na\xC3\xAFve" */
    check_at(RESATTN_LIMIT_CLASSES, "classes", 3);
    check_at(RESATTN_LIMIT_CHUNK, "chunk", (int64_t)sample->chunks[0].size);
}
END_TEST

START_TEST(key_of_a_text)
{
    char key[64];
    memset(key, 'k', sizeof key);
    key[62] = key[63] = '\0';
    blob_insert(sample, sample->count - 1, "text", key, sizeof key);
    check_at(RESATTN_LIMIT_NAME, "name", 62);
}
END_TEST

/* ---- small files ---- */

/* A convolution of `elements` weights, all of them 0 and saved as `type`. */
static void make_zeros(int64_t elements, int type)
{
    static const unsigned char normalization[] = {0, 0, 0, 0, 0, 0, 0x80, 0x3F};
    size_t size = (size_t)elements * (type == RESATTN_F32 ? 4 : 2);
    unsigned char *zeros = calloc(size, 1), head[64] = {(unsigned char)type, 1, 4};
    blob_store(head + 4, (uint64_t)elements, 8);
    for (int i = 1; i < 4; i++)
        blob_store(head + 4 + 8 * i, 1, 8);
    memcpy(head + 36, "c.weight", 9);
    begin_tree(1);
    conv("c", (uint64_t)elements, 1, 0);
    number(0, 4);
    sample->count = 0;
    blob_insert(sample, 0, "TREE", tree_bytes, tree_size);
    blob_insert(sample, 1, "NORM", normalization, 8);
    blob_insert(sample, 2, "TENS", head, 45);
    blob_insert(sample, 3, "DONE", normalization, 8);
    blob_chunk *c = &sample->chunks[2];
    uLongf packed = MOST_PAYLOAD - 45;
    ck_assert_int_eq(compress2(c->payload + 45, &packed, zeros, (uLong)size, 9), Z_OK);
    c->size += packed;
    free(zeros);
}

typedef enum way { FROM_BUFFER, FROM_STREAM, FROM_FILE, PROBED, WAYS } way;

static bool is_refused(way how, const void *bytes, size_t size)
{
    resattn_network *network = NULL;
    resattn_probe *probe = NULL;
    pipe_end p = {.size = size, .fail_at = -1};
    memcpy(p.bytes, bytes, size);
    heap.peak = heap.live;
    if (how == FROM_BUFFER) {
        network = resattn_network_load_buffer(context, bytes, size);
    } else if (how == FROM_STREAM) {
        network = resattn_network_load_stream(context, get, &p);
    } else if (how == FROM_FILE) {
        char path[] = "limits-XXXXXX";
        int descriptor = mkstemp(path);
        ck_assert_int_eq(write(descriptor, bytes, size), (ssize_t)size);
        close(descriptor);
        network = resattn_network_load(context, path);
        unlink(path);
    } else {
        probe = resattn_probe_new_buffer(context, bytes, size);
    }
    bool refused = !network && !probe;
    resattn_network_unref(network);
    resattn_probe_free(probe);
    return refused;
}

/* All ways refuse the bytes, without having taken much. */
static void check_cheap(const void *bytes, size_t size, bool probe_too)
{
    ck_assert_uint_le(size, SMALL_FILE);
    for (way how = FROM_BUFFER; how < WAYS; how++) {
        size_t before = heap.live;
        if (how == PROBED && !probe_too) {
            is_refused(how, bytes, size);
        } else {
            ck_assert(is_refused(how, bytes, size));
        }
        ck_assert_uint_eq(heap.live, before);
        ck_assert_msg(heap.peak - before <= SMALL_MEMORY, "%zu bytes, way %d: %s", heap.peak - before, (int)how,
                      resattn_last_error());
    }
}

static void check_sample(void)
{
    size_t size;
    unsigned char *bytes = blob_join(sample, &size);
    check_cheap(bytes, size, false);
    free(bytes);
}

/* Values that are packed as well as can be, in a file that is damaged somewhere after them. */
START_TEST(zeros_that_are_refused)
{
    for (int type = RESATTN_F32; type <= RESATTN_F16; type++) {
        make_zeros(type == RESATTN_F32 ? 190000 : 380000, type);
        blob whole = *sample;
        size_t size;
        unsigned char *bytes = blob_join(sample, &size);
        ck_assert_uint_le(size, SMALL_FILE);
        /* As it is it is no damage but a network: it is loaded, from everywhere, to the last zero. */
        for (way how = FROM_BUFFER; how < WAYS; how++)
            ck_assert_msg(!is_refused(how, bytes, size), "%s", resattn_last_error());
        for (size_t cut = 1; cut < size - 24; cut += cut < 200 ? 1 : 50)
            check_cheap(bytes, size - cut, true);
        for (size_t i = 24; i<size; i += i> size - 150 || i < 250 ? 1 : 17) {
            bytes[i] ^= 1;
            check_cheap(bytes, size, false);
            bytes[i] ^= 1;
        }
        free(bytes);
        blob_store(sample->chunks[3].payload, KEEP_TOTAL, 8);
        check_sample();
        *sample = whole;
        blob_store(sample->chunks[1].payload + 4, 0, 4); /* a deviation of 0 */
        check_sample();
        *sample = whole;
        blob_insert(sample, 3, "NORM", whole.chunks[1].payload, 8);
        check_sample();
        *sample = whole;
        blob_insert(sample, 3, "clas", "a", 2); /* too few */
        check_sample();
        *sample = whole;
        blob_remove(sample, 1);
        check_sample();
        *sample = whole;
        sample->chunks[2].payload[4]++; /* another shape */
        check_sample();
    }
}
END_TEST

START_TEST(loaded_zeros)
{
    make_zeros(190000, RESATTN_F32);
    size_t size;
    unsigned char *bytes = blob_join(sample, &size);
    resattn_network *network = resattn_network_load_buffer(context, bytes, size);
    ck_assert_msg(network != NULL, "%s", resattn_last_error());
    const float *values = resattn_tensor_data(resattn_network_parameter(network, 0));
    for (int i = 0; i < 190000; i++)
        ck_assert(values[i] == 0);
    resattn_network_unref(network);
    /* A host that expects no such file says so. */
    resattn_context_set_limit(context, RESATTN_LIMIT_INFLATION, 100);
    check_refused(bytes, size, RESATTN_TOO_LARGE, "the limit 'inflation' is 100");
    check_cheap(bytes, size, false);
    free(bytes);
}
END_TEST

/* The least inflation that a blob is loaded with is what its sizes say. */
START_TEST(limit_of_inflation)
{
    make_zeros(100000, RESATTN_F32);
    size_t size;
    unsigned char *bytes = blob_join(sample, &size);
    size_t rest = size - 24 - 16 - sample->chunks[0].size;
    int64_t needed = 400000 / (int64_t)rest + 1;
    for (int64_t value = needed - 2; value <= needed + 1; value++) {
        resattn_context_set_limit(context, RESATTN_LIMIT_INFLATION, value);
        resattn_network *network = resattn_network_load_buffer(context, bytes, size);
        if (value <= needed - 2)
            test_expect_error(RESATTN_TOO_LARGE, "the limit 'inflation' is");
        ck_assert(value == needed - 1 || (network != NULL) == (value >= needed));
        resattn_network_unref(network);
    }
    free(bytes);
}
END_TEST

/* A stream that goes on after the values, as far as it can. */
START_TEST(bombs)
{
    for (int64_t more = 1; more <= 1000000; more *= 10) {
        make_zeros(more, RESATTN_F32);
        blob_chunk bomb = sample->chunks[2];
        make_zeros(more > 100 ? 5 : more + 1, RESATTN_F32);
        blob_chunk *c = &sample->chunks[2];
        memcpy(c->payload + 45, bomb.payload + 45, bomb.size - 45);
        c->size = bomb.size;
        size_t size;
        unsigned char *bytes = blob_join(sample, &size);
        if (size <= SMALL_FILE)
            check_cheap(bytes, size, false);
        else
            check_refused(bytes, size, RESATTN_BAD_FORMAT, "damaged");
        ck_assert_uint_le(heap.peak, SMALL_MEMORY);
        free(bytes);
    }
}
END_TEST

static void check_tree(const char *rest, uint64_t claim)
{
    unsigned char bytes[SMALL_FILE] = {0};
    sample->count = 0;
    blob_insert(sample, 0, "TREE", tree_bytes, tree_size);
    size_t size;
    unsigned char *joined = blob_join(sample, &size);
    ck_assert_uint_le(size, SMALL_FILE - 12);
    memcpy(bytes, joined, size);
    memcpy(bytes + size, rest, 4);
    blob_store(bytes + size + 4, claim, 8);
    free(joined);
    check_cheap(bytes, SMALL_FILE, true);
}

START_TEST(trees_that_claim)
{
    const char *types[] = {"TENS", "NORM", "clas", "text", "trai", "mome", "abcd", "DONE"};
    for (int i = 0; i < 8; i++) {
        for (uint64_t claim = 1; claim < UINT64_MAX / 8; claim *= 3) {
            begin_tree((uint32_t)(claim & 0xFFFFFF) ? (uint32_t)(claim & 0xFFFFFF) : 1);
            conv("conv", claim & 0xFFFFFF ? claim & 0xFFFFFF : 1, 1 + (claim & 0xFFF), 0);
            number(0, 4);
            check_tree(types[i], claim);
        }
    }
    for (int count = 50; count <= 60; count += 10) { /* as many layers as there is room for */
        begin_tree(1);
        layer("sum", "", 0);
        number((uint64_t)count, 4);
        for (int i = 0; i < count; i++) {
            layer(i % 2 ? "relu" : "scale", "", 0);
            number(0, 4);
        }
        check_tree("TENS", 8);
    }
    begin_tree(1 << 24);
    layer("batch_norm", "b", 0);
    number(0, 4);
    check_tree("NORM", UINT64_C(8) << 24);
    char name[600];
    memset(name, 'n', sizeof name);
    name[599] = '\0';
    begin_tree(1);
    layer("sequential", name, 0);
    number(12, 4);
    for (int i = 0; i < 12; i++) {
        layer("batch_norm", "", 0);
        number(0, 4);
    }
    check_tree("NORM", 8);
}
END_TEST

/* ---- checkpoints ---- */

/* The state of a training of one convolution, all of it zeros, without the network itself: restoring passes over that.
 */
static void make_state(resattn_optimizer *optimizer)
{
    pipe_end p = {.fail_at = -1};
    ck_assert_int_eq(resattn_checkpoint_save_stream(optimizer, NULL, 9, put, &p), RESATTN_OK);
    blob_split(sample, p.bytes, p.size);
    while (sample->count > 3)
        blob_remove(sample, 0);
    ck_assert_str_eq(sample->chunks[0].type, "trai");
}

static bool is_restored(resattn_optimizer *optimizer, const void *bytes, size_t size)
{
    pipe_end p = {.size = size, .fail_at = -1};
    memcpy(p.bytes, bytes, size);
    size_t before = heap.live;
    heap.peak = heap.live;
    resattn_status status = resattn_checkpoint_restore_stream(optimizer, NULL, get, &p);
    ck_assert_uint_eq(heap.live, before);
    ck_assert_msg(heap.peak - before <= SMALL_MEMORY, "%zu bytes: %s", heap.peak - before, resattn_last_error());
    return status == RESATTN_OK;
}

START_TEST(restored_zeros)
{
    resattn_builder *b = resattn_builder_new(context);
    resattn_network *network = resattn_network_new_zeroed(b, resattn_conv2d_new(b, "c", 180000, 1, 1, 0), 1);
    resattn_optimizer *optimizer = resattn_sgd_new(network, 0.1);
    resattn_builder_free(b);
    make_state(optimizer);
    size_t size;
    unsigned char *bytes = blob_join(sample, &size);
    ck_assert_uint_le(size, SMALL_FILE);
    ck_assert_msg(is_restored(optimizer, bytes, size), "%s", resattn_last_error());
    for (size_t i = 0; i < size; i += 3) {
        ck_assert(!is_restored(optimizer, bytes, i));
        bytes[i] ^= 0x10;
        ck_assert(!is_restored(optimizer, bytes, size));
        bytes[i] ^= 0x10;
    }
    resattn_context_set_limit(context, RESATTN_LIMIT_INFLATION, 500);
    ck_assert(!is_restored(optimizer, bytes, size));
    test_expect_error(RESATTN_TOO_LARGE, "the limit 'inflation' is 500");
    resattn_context_set_limit(context, RESATTN_LIMIT_INFLATION, 1020);
    ck_assert_msg(is_restored(optimizer, bytes, size), "%s", resattn_last_error());
    for (int64_t limit = (int64_t)sample->chunks[0].size - 1; limit < (int64_t)sample->chunks[0].size + 2; limit++) {
        resattn_context_set_limit(context, RESATTN_LIMIT_CHUNK, limit);
        ck_assert_int_eq(is_restored(optimizer, bytes, size), limit >= (int64_t)sample->chunks[0].size);
    }
    free(bytes);
    resattn_optimizer_free(optimizer);
    resattn_network_unref(network);
}
END_TEST

/* Loaded with the network, which is counted first and filled when all of the rest is there. */
static bool is_loaded(const void *data, size_t size)
{
    size_t before = heap.live;
    heap.peak = before;
    resattn_network *network;
    resattn_optimizer *optimizer;
    resattn_ema *average;
    resattn_status status = resattn_checkpoint_load_buffer(context, data, size, &network, &optimizer, &average);
    ck_assert_msg(status == RESATTN_OK || heap.peak - before <= SMALL_MEMORY, "%zu bytes: %s", heap.peak - before,
                  resattn_last_error());
    resattn_ema_free(average);
    resattn_optimizer_free(optimizer);
    resattn_network_unref(network);
    ck_assert_uint_eq(heap.live, before);
    return status == RESATTN_OK;
}

START_TEST(checkpoint_of_zeros)
{
    resattn_builder *b = resattn_builder_new(context);
    resattn_network *network = resattn_network_new_zeroed(b, resattn_conv2d_new(b, "c", 60000, 1, 1, 0), 1);
    resattn_optimizer *optimizer = resattn_sgd_new(network, 0.1);
    resattn_builder_free(b);
    pipe_end p = {.fail_at = -1};
    ck_assert_int_eq(resattn_checkpoint_save_stream(optimizer, NULL, 9, put, &p), RESATTN_OK);
    resattn_optimizer_free(optimizer);
    resattn_network_unref(network);
    ck_assert_uint_le(p.size, SMALL_FILE);
    ck_assert_msg(is_loaded(p.bytes, p.size), "%s", resattn_last_error());
    for (size_t i = 0; i < p.size; i++) {
        ck_assert(!is_loaded(p.bytes, i));
        p.bytes[i] ^= 0x10;
        is_loaded(p.bytes, p.size); /* what was optional may have become unknown */
        p.bytes[i] ^= 0x10;
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("limits");
    TCase *tests = tcase_create("limits");
    tcase_set_timeout(tests, 240);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, initial_values);
    tcase_add_test(tests, memory_of_a_context);
    tcase_add_test(tests, memory_while_loading);
    tcase_add_test(tests, each_limit_of_a_blob);
    tcase_add_test(tests, key_of_a_text);
    tcase_add_test(tests, zeros_that_are_refused);
    tcase_add_test(tests, loaded_zeros);
    tcase_add_test(tests, limit_of_inflation);
    tcase_add_test(tests, bombs);
    tcase_add_test(tests, trees_that_claim);
    tcase_add_test(tests, restored_zeros);
    tcase_add_test(tests, checkpoint_of_zeros);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
