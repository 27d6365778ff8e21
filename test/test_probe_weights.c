/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Probes of safetensors files: they agree with loading, and refuse what it refuses.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "counted_heap.h"
#include "weights_common.h"

static counted_heap heap;
static resattn_network *network;

static void set_up(void)
{
    weights_set_up();
    resattn_context_unref(context);
    context = counted_context(&heap);
    network = small_network(context);
}

static void tear_down(void)
{
    resattn_network_unref(network);
    weights_tear_down();
    ck_assert_uint_eq(heap.live, 0);
}

static resattn_probe *good(resattn_probe *probe)
{
    ck_assert_msg(probe != NULL, "%s", resattn_last_error());
    return probe;
}

static void check_shape(const resattn_probe *probe, int32_t index, const resattn_tensor *tensor)
{
    ck_assert_int_eq(resattn_probe_tensor_rank(probe, index), resattn_tensor_rank(tensor));
    for (int32_t d = 0; d < resattn_tensor_rank(tensor); d++)
        ck_assert_int_eq(resattn_probe_tensor_size(probe, index, d), resattn_tensor_size(tensor, d));
}

START_TEST(agrees_with_the_network)
{
    static const resattn_dtype types[] = {RESATTN_F32, RESATTN_F16, RESATTN_BF16};
    int32_t count = resattn_network_parameter_count(network);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(resattn_network_save_weights(network, "good", types[i]), RESATTN_OK);
        size_t size, before = heap.peak = heap.live;
        ck_assert_int_eq(resattn_network_load_weights(network, "good", NULL, 0, NULL), RESATTN_OK);
        size_t taken = heap.peak - before;
        unsigned char *data = read_bytes("good", &size);
        for (int way = 0; way < 3; way++) {
            pipe_end p = {.size = size, .fail_at = -1, .piece = 7};
            memcpy(p.bytes, data, size);
            resattn_probe *probe = good(way == 0   ? resattn_probe_new(context, "good")
                                        : way == 1 ? resattn_probe_new_buffer(context, data, size)
                                                   : resattn_probe_new_stream(context, get, &p));
            ck_assert_int_eq((int)resattn_probe_format(probe), RESATTN_FORMAT_SAFETENSORS);
            ck_assert_int_eq(resattn_probe_number(probe, RESATTN_PROBE_TENSORS), count);
            ck_assert_int_eq(resattn_probe_number(probe, RESATTN_PROBE_FILE_BYTES), (int64_t)size);
            ck_assert_int_ge(resattn_probe_number(probe, RESATTN_PROBE_MEMORY), (int64_t)taken);
            ck_assert_int_eq(resattn_probe_number(probe, RESATTN_PROBE_LAYERS), 0);
            ck_assert_ptr_null(resattn_probe_text_key(probe, 0));
            int64_t values = 0;
            for (int32_t j = 0; j < count; j++) {
                int32_t index = resattn_network_find_parameter(network, resattn_probe_tensor_name(probe, j));
                ck_assert_int_ge(index, 0);
                check_shape(probe, j, resattn_network_parameter(network, index));
                values += resattn_tensor_elements(resattn_network_parameter(network, index));
            }
            ck_assert_ptr_null(resattn_probe_tensor_name(probe, count));
            ck_assert_int_eq(resattn_probe_number(probe, RESATTN_PROBE_VALUES), values);
            resattn_probe_free(probe);
        }
        free(data);
    }
}
END_TEST

START_TEST(every_truncation)
{
    size_t size;
    ck_assert_int_eq(resattn_network_save_weights(network, "good", RESATTN_F16), RESATTN_OK);
    unsigned char *data = read_bytes("good", &size);
    for (size_t i = 0; i < size; i++) {
        unsigned char *part = malloc(i ? i : 1);
        memcpy(part, data, i);
        ck_assert_ptr_null(resattn_probe_new_buffer(context, part, i));
        ck_assert_int_eq(resattn_last_status(), RESATTN_BAD_FORMAT);
        free(part);
    }
    free(data);
}
END_TEST

/* Loading and probing answer alike, whatever is changed in the header. */
START_TEST(random_damage)
{
    size_t size, before = heap.live;
    ck_assert_int_eq(resattn_network_save_weights(network, "good", RESATTN_F32), RESATTN_OK);
    unsigned char *data = read_bytes("good", &size), *copy = malloc(size);
    size_t header = data[0] | (size_t)data[1] << 8;
    static const unsigned char letters[] = "\"{}[]:,0-\\";
    for (int round = 0; round < 4000; round++) {
        memcpy(copy, data, size);
        for (int changes = 1 + (int)(test_random() % 3); changes > 0; changes--)
            copy[9 + test_random() % (header - 1)] =
                test_random() % 4 ? letters[test_random() % 10] : (unsigned char)test_random();
        write_bytes("bad", copy, size);
        resattn_status loaded = resattn_network_load_weights(network, "bad", NULL, RESATTN_WEIGHTS_LENIENT, NULL);
        heap.peak = heap.live;
        resattn_probe *probe = resattn_probe_new_buffer(context, copy, size);
        resattn_status probed = probe ? RESATTN_OK : resattn_last_status();
        /* A shape that the network does not have, or a type that it cannot take, only loading knows. */
        ck_assert_msg(probed == loaded ||
                          (probed == RESATTN_OK && (loaded == RESATTN_SHAPE_MISMATCH || loaded == RESATTN_UNSUPPORTED)),
                      "%d and %d: %s", (int)probed, (int)loaded, resattn_last_error());
        ck_assert_uint_le(heap.peak - before, 1 << 20);
        resattn_probe_free(probe);
        ck_assert_uint_eq(heap.live, before);
    }
    free(copy);
    free(data);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("probe of weights");
    TCase *tests = tcase_create("probe of weights");
    tcase_set_timeout(tests, 240);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, agrees_with_the_network);
    tcase_add_test(tests, every_truncation);
    tcase_add_test(tests, random_damage);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
