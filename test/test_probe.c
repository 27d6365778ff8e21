/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Probes: they say of a file what loading it gives, refuse what is damaged, and take little memory.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "blob_common.h"
#include "checkpoint_common.h"
#include "counted_heap.h"

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

static resattn_probe *good(resattn_probe *probe)
{
    ck_assert_msg(probe != NULL, "%s", resattn_last_error());
    return probe;
}

/* ---- what a network says ---- */

static void count_layers(const resattn_layer *layer, int64_t *count)
{
    ++*count;
    for (int32_t i = 0; i < resattn_layer_child_count(layer); i++)
        count_layers(resattn_layer_child(layer, i), count);
}

static void check_tensors(const resattn_probe *probe, resattn_network *network)
{
    int64_t values = 0;
    int32_t count = resattn_network_parameter_count(network);
    for (int32_t i = 0; i < count; i++) {
        const resattn_tensor *tensor = resattn_network_parameter(network, i);
        values += resattn_tensor_elements(tensor);
        ck_assert_str_eq(resattn_probe_tensor_name(probe, i), resattn_network_parameter_name(network, i));
        ck_assert_int_eq(resattn_probe_tensor_rank(probe, i), resattn_tensor_rank(tensor));
        for (int32_t d = 0; d < resattn_tensor_rank(tensor); d++)
            ck_assert_int_eq(resattn_probe_tensor_size(probe, i, d), resattn_tensor_size(tensor, d));
        ck_assert_int_eq(resattn_probe_tensor_size(probe, i, resattn_tensor_rank(tensor)), 0);
    }
    ck_assert_ptr_null(resattn_probe_tensor_name(probe, count));
    ck_assert_ptr_null(resattn_probe_tensor_name(probe, -1));
    ck_assert_int_eq(resattn_probe_number(probe, RESATTN_PROBE_TENSORS), count);
    ck_assert_int_eq(resattn_probe_number(probe, RESATTN_PROBE_VALUES), values);
}

static void check_texts(const resattn_probe *probe, const resattn_network *network)
{
    int32_t texts = 0, classes = 0;
    for (; resattn_network_text_key(network, texts); texts++) {
        const char *key = resattn_network_text_key(network, texts);
        ck_assert_str_eq(resattn_probe_text_key(probe, texts), key);
        ck_assert_str_eq(resattn_probe_text(probe, key), resattn_network_text(network, key));
    }
    for (; resattn_network_class_name(network, classes); classes++)
        ck_assert_str_eq(resattn_probe_class_name(probe, classes), resattn_network_class_name(network, classes));
    ck_assert_ptr_null(resattn_probe_text_key(probe, texts));
    ck_assert_ptr_null(resattn_probe_class_name(probe, classes));
    ck_assert_int_eq(resattn_probe_number(probe, RESATTN_PROBE_CLASSES), classes);
}

static void check_agrees(const resattn_probe *probe, resattn_network *network, size_t size)
{
    int64_t layers = 0;
    count_layers(resattn_network_root(network), &layers);
    const int64_t facts[][2] = {
        {RESATTN_PROBE_NONE, 0},
        {RESATTN_PROBE_VERSION, 1},
        {RESATTN_PROBE_FILE_BYTES, (int64_t)size},
        {RESATTN_PROBE_TRAINABLE_VALUES, resattn_network_trainable_values(network)},
        {RESATTN_PROBE_LAYERS, layers},
        {RESATTN_PROBE_ATTENTIONS, resattn_network_attention_count(network)},
        {RESATTN_PROBE_IN_CHANNELS, resattn_network_in_channels(network)},
        {RESATTN_PROBE_OUT_CHANNELS, resattn_network_out_channels(network)},
        {RESATTN_PROBE_INPUT_HEIGHT, resattn_network_input_height(network)},
        {RESATTN_PROBE_INPUT_WIDTH, resattn_network_input_width(network)},
        {1000, 0},
    };
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++)
        ck_assert_msg(resattn_probe_number(probe, (resattn_probe_fact)facts[i][0]) == facts[i][1],
                      "fact %d is %lld, expected %lld", (int)facts[i][0],
                      (long long)resattn_probe_number(probe, (resattn_probe_fact)facts[i][0]), (long long)facts[i][1]);
    check_tensors(probe, network);
    check_texts(probe, network);
}

/* ---- good files ---- */

/* Probed from a buffer, a stream of small pieces and a file, without much memory, and as it is loaded. */
static void check_bytes(const void *data, size_t size, resattn_file_format format, int32_t storage,
                        const char *optimizer)
{
    char path[] = "probe-XXXXXX";
    int descriptor = mkstemp(path);
    ck_assert_int_eq(write(descriptor, data, size), (ssize_t)size);
    close(descriptor);
    size_t before = heap.live;
    heap.peak = before;
    resattn_network *network = resattn_network_load(context, path);
    ck_assert_msg(network != NULL, "%s", resattn_last_error());
    size_t taken = heap.peak - before, kept = heap.live - before;
    for (int way = 0; way < 3; way++) {
        bytes from = {(unsigned char *)(uintptr_t)data, size, 0};
        before = heap.peak = heap.live;
        resattn_probe *probe = good(way == 0   ? resattn_probe_new_buffer(context, data, size)
                                    : way == 1 ? resattn_probe_new_stream(context, get_bytes, &from)
                                               : resattn_probe_new(context, path));
        size_t probed = heap.peak - before;
        ck_assert_int_eq((int)resattn_probe_format(probe), (int)format);
        ck_assert_int_eq(resattn_probe_number(probe, RESATTN_PROBE_STORAGE), storage);
        if (optimizer)
            ck_assert_str_eq(resattn_probe_optimizer(probe), optimizer);
        else
            ck_assert_ptr_null(resattn_probe_optimizer(probe));
        check_agrees(probe, network, size);
        int64_t memory = resattn_probe_number(probe, RESATTN_PROBE_MEMORY);
        ck_assert_msg((int64_t)taken <= memory && memory <= 3 * (int64_t)taken + (1 << 20), "%lld, loading took %zu",
                      (long long)memory, taken);
        ck_assert_uint_le(probed, kept - (size_t)resattn_probe_number(probe, RESATTN_PROBE_VALUES) * 4 + (256 << 10));
        resattn_probe_free(probe);
        ck_assert_uint_eq(heap.live, before);
    }
    resattn_network_unref(network);
    unlink(path);
}

START_TEST(blobs)
{
    for (int type = RESATTN_F32; type <= RESATTN_BF16; type++) {
        for (int full = 0; full < 2; full++) {
            resattn_network *network = full ? full_network(context) : small_network(context);
            void *data;
            size_t size;
            resattn_network_set_storage(network, (resattn_dtype)type);
            save(network, 6, &data, &size);
            check_bytes(data, size, RESATTN_FORMAT_BLOB, type, NULL);
            resattn_buffer_free(data);
            resattn_network_unref(network);
        }
    }
}
END_TEST

START_TEST(shipped_model)
{
    FILE *file = fopen(SHIPPED_MODEL, "rb");
    ck_assert_ptr_nonnull(file);
    unsigned char *data = malloc(1 << 24);
    size_t size = fread(data, 1, 1 << 24, file);
    fclose(file);
    resattn_network *network = resattn_network_load_buffer(context, data, size);
    ck_assert_ptr_nonnull(network);
    int32_t storage = (int32_t)resattn_network_storage(network);
    resattn_network_unref(network);
    check_bytes(data, size, RESATTN_FORMAT_BLOB, storage, NULL);
    free(data);
}
END_TEST

START_TEST(checkpoints)
{
    for (int32_t kind = 0; kind < KINDS; kind++) {
        training t = new_training(kind);
        do_steps(&t, 0, 2);
        bytes saved = checkpoint_of(&t);
        double beta;
        bool adamw = resattn_optimizer_get_real(t.optimizer, "beta1", &beta) == RESATTN_OK;
        check_bytes(saved.data, saved.size, RESATTN_FORMAT_CHECKPOINT, (int32_t)resattn_network_storage(t.network),
                    adamw ? "adamw" : "sgd");
        resattn_probe *probe = good(resattn_probe_new_buffer(context, saved.data, saved.size));
        ck_assert_int_eq(resattn_probe_number(probe, RESATTN_PROBE_AVERAGE), t.average != NULL);
        resattn_probe_free(probe);
        free(saved.data);
        free_training(&t);
    }
}
END_TEST

/* Eight gigabytes between the tensors and the end, as a hole in the file: they are not read. */
START_TEST(values_are_not_read)
{
    const uint64_t hole = UINT64_C(8) << 30;
    size_t size, end;
    unsigned char *data = blob_join(sample, &size), head[12] = "xbig", tail[28] = {0};
    blob_store(head + 4, hole, 8);
    memcpy(tail + 4, data + size - 24, 12);
    blob_store(tail + 16, size + 16 + hole, 8);
    blob_store(tail + 24, crc32(0, tail + 4, 20), 4);
    char path[] = "probe-XXXXXX";
    int descriptor = mkstemp(path);
    ck_assert_int_eq(write(descriptor, data, size - 24), (ssize_t)size - 24);
    ck_assert_int_eq(write(descriptor, head, 12), 12);
    if (lseek(descriptor, (off_t)hole, SEEK_CUR) >= 0 && write(descriptor, tail, sizeof tail) == (ssize_t)sizeof tail) {
        resattn_probe *probe = good(resattn_probe_new(context, path));
        ck_assert_int_eq(resattn_probe_number(probe, RESATTN_PROBE_FILE_BYTES), (int64_t)(size + 16 + hole));
        resattn_probe_free(probe);
        for (end = 1; end <= 28; end += 9) {
            ck_assert_int_eq(ftruncate(descriptor, (off_t)(size + 16 + hole - end)), 0);
            ck_assert_ptr_null(resattn_probe_new(context, path));
            test_expect_error(RESATTN_BAD_FORMAT, "truncated");
        }
    }
    close(descriptor);
    unlink(path);
    free(data);
}
END_TEST

/* ---- damage ---- */

static void damage(const unsigned char *data, size_t size)
{
    unsigned char *copy = malloc(size);
    resattn_probe *whole = good(resattn_probe_new_buffer(context, data, size));
    int64_t kept = 0;
    for (size_t i = 0; i < size; i++) {
        unsigned char *part = malloc(i ? i : 1); /* of its own, so that a checker sees a read beyond the end */
        memcpy(part, data, i);
        ck_assert_msg(!resattn_probe_new_buffer(context, part, i), "%zu of %zu bytes", i, size);
        ck_assert_int_eq(resattn_last_status(), RESATTN_BAD_FORMAT);
        free(part);
    }
    memcpy(copy, data, size);
    for (size_t i = 0; i < 8 * size; i++) {
        copy[i / 8] ^= (unsigned char)(1 << i % 8);
        resattn_probe *probe = resattn_probe_new_buffer(context, copy, size);
        /* What it accepts is damaged where it did not look, or in the kind of a chunk that was optional. */
        if (probe) {
            kept++;
            for (int fact = 1; fact <= RESATTN_PROBE_AVERAGE; fact++)
                if (fact != RESATTN_PROBE_STORAGE && fact != RESATTN_PROBE_AVERAGE)
                    ck_assert_msg(resattn_probe_number(probe, (resattn_probe_fact)fact) ==
                                          resattn_probe_number(whole, (resattn_probe_fact)fact) ||
                                      fact == RESATTN_PROBE_CLASSES || fact == RESATTN_PROBE_INPUT_HEIGHT ||
                                      fact == RESATTN_PROBE_INPUT_WIDTH || fact == RESATTN_PROBE_MEMORY,
                                  "bit %zu: fact %d", i, fact);
            resattn_probe_free(probe);
        } else {
            ck_assert_int_gt((int)strlen(resattn_last_error()), 10);
        }
        copy[i / 8] ^= (unsigned char)(1 << i % 8);
    }
    ck_assert_int_lt(kept, (int64_t)size * 8);
    resattn_probe_free(whole);
    free(copy);
}

START_TEST(damaged_blob)
{
    size_t size;
    unsigned char *data = blob_join(sample, &size);
    damage(data, size);
    free(data);
}
END_TEST

START_TEST(damaged_checkpoint)
{
    training t = new_training(3);
    do_step(&t, 0);
    bytes saved = checkpoint_of(&t);
    damage(saved.data, saved.size);
    free(saved.data);
    free_training(&t);
}
END_TEST

/* Whatever is changed behind right checksums: what can be loaded can be probed, and says the same; little memory. */
START_TEST(random_damage_with_mended_checksums)
{
    blob whole = *sample;
    size_t before = heap.live;
    int32_t loaded = 0;
    for (int round = 0; round < 5000; round++) {
        *sample = whole;
        for (int changes = 1 + (int)(test_random() % 3); changes > 0; changes--) {
            blob_chunk *c = &sample->chunks[test_random() % (round % 2 ? 5 : (uint64_t)sample->count)];
            if (c->size > 0 && test_random() % 8)
                c->payload[test_random() % c->size] = (unsigned char)(test_random() >> test_random() % 8);
            else if (c->size > 1)
                c->size -= test_random() % 2;
        }
        size_t size;
        unsigned char *data = blob_join(sample, &size);
        resattn_network *network = resattn_network_load_buffer(context, data, size);
        size_t live = heap.peak = heap.live;
        resattn_probe *probe = resattn_probe_new_buffer(context, data, size);
        ck_assert_uint_le(heap.peak - live, 1 << 20);
        if (network) {
            loaded++;
            check_agrees(good(probe), network, size);
        }
        resattn_probe_free(probe);
        resattn_network_unref(network);
        ck_assert_uint_eq(heap.live, before);
        free(data);
    }
    ck_assert_int_gt(loaded, 0);
}
END_TEST

START_TEST(other_files)
{
    static const unsigned char png[] = "\x89PNG\r\n\x1A\n and more";
    ck_assert_ptr_null(resattn_probe_new_buffer(context, png, sizeof png));
    test_expect_error(RESATTN_BAD_FORMAT, "neither a libresattn blob nor a safetensors file");
    ck_assert_ptr_null(resattn_probe_new_buffer(context, "\x89R", 2));
    test_expect_error(RESATTN_BAD_FORMAT, "truncated");
    ck_assert_ptr_null(resattn_probe_new(context, "."));
    test_expect_error(RESATTN_IO_ERROR, "folder");
    strcpy(sample->chunks[sample->count - 1].type, "DOTE");
    size_t size;
    unsigned char *data = blob_join(sample, &size);
    ck_assert_ptr_null(resattn_probe_new_buffer(context, data, size));
    test_expect_error(RESATTN_UNSUPPORTED, "chunk DOTE");
    free(data);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("probe");
    TCase *tests = tcase_create("probe");
    tcase_set_timeout(tests, 240);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, blobs);
    tcase_add_test(tests, shipped_model);
    tcase_add_test(tests, checkpoints);
    tcase_add_test(tests, values_are_not_read);
    tcase_add_test(tests, damaged_blob);
    tcase_add_test(tests, damaged_checkpoint);
    tcase_add_test(tests, random_damage_with_mended_checksums);
    tcase_add_test(tests, other_files);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
