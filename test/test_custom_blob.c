/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Layers of the host's own in files: what is kept, what is refused, and by whom.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blob_common.h"
#include "custom_common.h"

static custom_host host;
static test_heap heap;
static resattn_network *network;

static void set_up(void)
{
    host = (custom_host){0};
    context = resattn_context_new_with_allocator(1, test_heap_alloc, test_heap_free, &heap);
    ck_assert_msg(custom_define(context, &host), "%s", resattn_last_error());
    network = custom_network(context, &host);
    for (int32_t i = 0; i < resattn_network_parameter_count(network); i++)
        custom_fill(resattn_network_parameter(network, i), 60 + (uint64_t)i);
    void *bytes;
    size_t size;
    save(network, 6, &bytes, &size);
    sample = malloc(sizeof *sample);
    blob_split(sample, bytes, size);
    resattn_buffer_free(bytes);
}

static void tear_down(void)
{
    free(sample);
    resattn_network_unref(network);
    resattn_context_unref(context);
    ck_assert_int_eq(host.faults, 0);
    ck_assert_int_eq(host.instances, 0);
    ck_assert_int_eq(heap.blocks, 0);
}

static const char *text_of(resattn_network *from, const char *path)
{
    return resattn_layer_instance(resattn_network_layer(from, path));
}

/* Where something is in the tree's payload. */
static unsigned char *find(const void *bytes, size_t size)
{
    blob_chunk *tree = &sample->chunks[0];
    for (size_t i = 0; i + size <= tree->size; i++)
        if (memcmp(tree->payload + i, bytes, size) == 0)
            return tree->payload + i;
    ck_abort_msg("not in the tree");
    return NULL;
}

START_TEST(round_trip)
{
    void *bytes, *again;
    size_t size, size_again;
    resattn_layer_set_real(resattn_network_layer(network, "swish1"), "beta", -0.75);
    save(network, 6, &bytes, &size);
    resattn_network *loaded = resattn_network_load_buffer(context, bytes, size);
    check_same(network, loaded);
    ck_assert_int_eq(host.instances, 4);
    ck_assert_str_eq(text_of(loaded, "swish1"), "the first one");
    ck_assert_str_eq(text_of(loaded, "swish3"), "a longer text, for the last one");
    ck_assert_ptr_null(text_of(loaded, "branch.x-test-swish1"));
    ck_assert_ptr_null(text_of(loaded, "shuffle"));
    ck_assert_ptr_null(text_of(loaded, "conv1"));
    save(loaded, 6, &again, &size_again);
    ck_assert_uint_eq(size, size_again);
    ck_assert_int_eq(memcmp(bytes, again, size), 0);
    uint64_t hash[2];
    for (int i = 0; i < 2; i++) {
        resattn_session *session = custom_session(i ? loaded : network, RESATTN_INFERENCE, 1, CUSTOM_SIDE, false);
        resattn_tensor *input = custom_input(context, 1, 3, CUSTOM_SIDE, 1);
        ck_assert_int_eq(resattn_session_forward(session, input), RESATTN_OK);
        hash[i] = custom_hash(resattn_session_output(session, NULL), 1);
        resattn_tensor_unref(input);
        resattn_session_free(session);
    }
    ck_assert(hash[0] == hash[1]);
    resattn_buffer_free(again);
    resattn_buffer_free(bytes);
    resattn_network_unref(loaded);
}
END_TEST

START_TEST(copies)
{
    resattn_network *copy = resattn_network_copy(network);
    check_same(network, copy);
    ck_assert_int_eq(host.instances, 4);
    ck_assert_str_eq(text_of(copy, "swish1"), "the first one");
    ck_assert_str_eq(text_of(copy, "swish3"), "a longer text, for the last one");
    ck_assert_ptr_ne(text_of(copy, "swish1"), text_of(network, "swish1"));
    ck_assert_ptr_null(text_of(copy, "branch.x-test-swish1"));
    resattn_network_unref(copy);
    host.save = 3;
    ck_assert_ptr_null(resattn_network_copy(network));
    test_expect_error(RESATTN_HOST_ERROR, "swish1: the save callback of x-test-swish answered 3");
    host.save = 0;
    host.load = RESATTN_UNSUPPORTED;
    host.text = "not again";
    ck_assert_ptr_null(resattn_network_copy(network));
    test_expect_error(RESATTN_UNSUPPORTED, "swish1: not again");
}
END_TEST

/* The header tells readers that do not know about instances; and only where there are some. */
START_TEST(the_feature_bit)
{
    const unsigned char bit[4] = {1, 0, 0, 0}, none[4] = {0};
    ck_assert_int_eq(memcmp(sample->header + 12, none, 4), 0);
    ck_assert_int_eq(memcmp(sample->header + 16, bit, 4), 0);
    resattn_builder *b = resattn_builder_new(context);
    resattn_network *plain =
        resattn_network_new(b, resattn_custom_layer_new(b, "x-test-depth-to-space", NULL, NULL), 4);
    void *bytes;
    size_t size;
    save(plain, 6, &bytes, &size);
    ck_assert_int_eq(memcmp((char *)bytes + 16, none, 4), 0);
    resattn_network *loaded = resattn_network_load_buffer(context, bytes, size);
    check_same(plain, loaded);
    resattn_network_unref(loaded);
    resattn_buffer_free(bytes);
    resattn_network_unref(plain);
    resattn_builder_free(b);
    sample->header[16] = 0;
    blob_refused(sample, RESATTN_BAD_FORMAT, "a x-test-swish has bytes of its own, which the header denies");
    sample->header[16] = 3;
    blob_refused(sample, RESATTN_UNSUPPORTED, "later version (with features 0x00000003)");
}
END_TEST

START_TEST(kinds_that_are_not_defined)
{
    size_t size;
    unsigned char *bytes = blob_join(sample, &size);
    test_heap other = {0};
    resattn_context *c = resattn_context_new_with_allocator(1, test_heap_alloc, test_heap_free, &other);
    int32_t before = other.blocks;
    ck_assert_ptr_null(resattn_network_load_buffer(c, bytes, size));
    test_expect_error(RESATTN_UNSUPPORTED, "swish1: layer kind 'x-test-swish' is unknown: it is a host program's own");
    ck_assert_int_eq(other.blocks, before);
    custom_host own = {0};
    ck_assert(custom_define(c, &own));
    resattn_network *loaded = resattn_network_load_buffer(c, bytes, size);
    ck_assert_msg(loaded != NULL, "%s", resattn_last_error());
    resattn_network_unref(loaded);
    resattn_context_unref(c);
    ck_assert_int_eq(own.instances, 0);
    ck_assert_int_eq(other.blocks, 0);
    free(bytes);
}
END_TEST

/* With a size in front: 0x5A and the text. */
static const char instance[] = "\x0E\0\0\0\x5Athe first one";

START_TEST(damaged_instances)
{
    blob whole = *sample;
    size_t size = sizeof instance - 1;
    find(instance, size)[4] = 0x5B;
    blob_refused(sample, RESATTN_BAD_FORMAT, "swish1: damaged: a swish's instance does not begin as it should");
    *sample = whole;
    find(instance, size)[0] = 0x0D;
    blob_refused(sample, RESATTN_BAD_FORMAT, "damaged");
    *sample = whole;
    find(instance, size)[1] = 0xFF;
    blob_refused(sample, RESATTN_BAD_FORMAT, "ends too early");
    *sample = whole;
    find(instance, size)[3] = 0x02;
    blob_refused(sample, RESATTN_TOO_LARGE, "swish1: a x-test-swish of 33554446 bytes, expected at most 16777216");
    *sample = whole;
    find(instance, size)[0] = 0;
    blob_refused(sample, RESATTN_BAD_FORMAT, "damaged: swish1 has an instance of 0 bytes");
    *sample = whole;
    find("x-test-swish\0\x02", 14)[13] = 6;
    blob_refused(sample, RESATTN_BAD_FORMAT, "damaged: a x-test-swish has flags 6");
    *sample = whole;
    find("conv2d\0\0", 8)[7] = 2;
    blob_refused(sample, RESATTN_BAD_FORMAT, "damaged: a conv2d has flags 2");
    *sample = whole;
    find("beta", 4)[3] = 'b';
    blob_refused(sample, RESATTN_UNSUPPORTED, "attribute 'betb' of a x-test-swish is unknown");
}
END_TEST

START_TEST(random_damage)
{
    blob whole = *sample;
    for (int round = 0; round < 3000; round++) {
        *sample = whole;
        for (int changes = 1 + (int)(test_random() % 3); changes > 0; changes--) {
            blob_chunk *tree = &sample->chunks[0];
            tree->payload[test_random() % tree->size] = (unsigned char)(test_random() >> test_random() % 8);
        }
        size_t size;
        unsigned char *bytes = blob_join(sample, &size);
        int32_t blocks = heap.blocks;
        resattn_network_unref(resattn_network_load_buffer(context, bytes, size));
        ck_assert_msg(heap.blocks == blocks && host.instances == 2, "round %d: %d blocks, %d before, %d instances: %s",
                      round, heap.blocks, blocks, host.instances, resattn_last_error());
        free(bytes);
    }
}
END_TEST

START_TEST(callbacks_that_fail)
{
    void *bytes = NULL;
    size_t size;
    host.load = RESATTN_TOO_LARGE;
    host.text = "too much text";
    blob_refused(sample, RESATTN_TOO_LARGE, "swish1: too much text");
    host.text = NULL;
    host.load = 3;
    blob_refused(sample, RESATTN_HOST_ERROR, "swish1: the load callback of x-test-swish answered 3");
    host.load = 0;
    host.save = 5;
    ck_assert_int_eq(resattn_network_save_buffer(network, 6, &bytes, &size), RESATTN_HOST_ERROR);
    test_expect_error(RESATTN_HOST_ERROR, "swish1: the save callback of x-test-swish answered 5");
    host.text = "no way to say it";
    host.save = RESATTN_UNSUPPORTED;
    ck_assert_int_eq(resattn_network_save_buffer(network, 6, &bytes, &size), RESATTN_UNSUPPORTED);
    test_expect_error(RESATTN_UNSUPPORTED, "swish1: no way to say it");
    ck_assert_ptr_null(bytes);
}
END_TEST

static resattn_status run_nothing(void *user, const resattn_layer *layer, resattn_custom_run *run)
{
    (void)user;
    (void)layer;
    (void)run;
    return RESATTN_OK;
}

/* As many bytes as the instance says. */
static resattn_status save_many(void *user, const resattn_layer *layer, resattn_write_fn write, void *write_user)
{
    (void)user;
    size_t size = *(const size_t *)resattn_layer_instance(layer);
    char *zeros = calloc(size + 1, 1);
    int32_t code = write(write_user, zeros, size);
    free(zeros);
    return code == 0 ? RESATTN_OK : RESATTN_IO_ERROR;
}

static resattn_status load_many(void *user, const resattn_layer *layer, const void *bytes, size_t size, void **made)
{
    (void)layer;
    (void)bytes;
    *(size_t *)user = size;
    *made = user;
    return RESATTN_OK;
}

static resattn_network *many_network(resattn_context *c, void *thing)
{
    resattn_builder *b = resattn_builder_new(c);
    resattn_network *made = resattn_network_new(b, resattn_custom_layer_new(b, "x-many", "many", thing), 1);
    resattn_builder_free(b);
    return made;
}

START_TEST(large_instances)
{
    size_t count = 1 << 24, loaded_count = 0, size;
    void *bytes;
    resattn_custom *kind = resattn_custom_new(context, "x-many", run_nothing, &loaded_count, NULL);
    ck_assert_int_eq(resattn_custom_set_instance(kind, NULL, save_many, load_many), RESATTN_OK);
    resattn_network *many = many_network(context, &count);
    save(many, 1, &bytes, &size);
    resattn_network *loaded = resattn_network_load_buffer(context, bytes, size);
    ck_assert_msg(loaded != NULL, "%s", resattn_last_error());
    ck_assert_uint_eq(loaded_count, count);
    ck_assert_ptr_eq(resattn_layer_instance(resattn_network_root(loaded)), &loaded_count);
    resattn_network_unref(loaded);
    resattn_buffer_free(bytes);
    count++;
    ck_assert_int_eq(resattn_network_save_buffer(many, 1, &bytes, &size), RESATTN_TOO_LARGE);
    test_expect_error(RESATTN_TOO_LARGE, "many: a x-many saves 16777217 bytes");
    count = 0; /* as if there were none */
    save(many, 1, &bytes, &size);
    ck_assert_int_eq(((unsigned char *)bytes)[16], 0);
    resattn_buffer_free(bytes);
    resattn_network_unref(many);
}
END_TEST

START_TEST(kinds_without_storage)
{
    int thing = 1;
    size_t count = 3, size;
    void *bytes;
    resattn_context *c = resattn_context_new(1), *other = resattn_context_new(1);
    resattn_custom_new(c, "x-many", run_nothing, NULL, NULL);
    resattn_network *many = many_network(c, &thing);
    ck_assert_int_eq(resattn_network_save_buffer(many, 1, &bytes, &size), RESATTN_UNSUPPORTED);
    test_expect_error(RESATTN_UNSUPPORTED, "many: x-many has no save callback");
    resattn_network_unref(many);
    many = many_network(c, NULL);
    save(many, 1, &bytes, &size);
    resattn_buffer_free(bytes);
    resattn_network_unref(many);
    resattn_custom_set_instance(resattn_custom_new(other, "x-many", run_nothing, NULL, NULL), NULL, save_many, NULL);
    many = many_network(other, &count);
    save(many, 1, &bytes, &size);
    ck_assert_ptr_null(resattn_network_load_buffer(c, bytes, size));
    test_expect_error(RESATTN_UNSUPPORTED, "many: x-many has no load callback for 3 bytes");
    resattn_buffer_free(bytes);
    resattn_network_unref(many);
    resattn_context_unref(other);
    resattn_context_unref(c);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("custom blob");
    TCase *tests = tcase_create("custom blob");
    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, round_trip);
    tcase_add_test(tests, copies);
    tcase_add_test(tests, the_feature_bit);
    tcase_add_test(tests, kinds_that_are_not_defined);
    tcase_add_test(tests, damaged_instances);
    tcase_add_test(tests, random_damage);
    tcase_add_test(tests, callbacks_that_fail);
    tcase_add_test(tests, large_instances);
    tcase_add_test(tests, kinds_without_storage);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
