/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Blobs of numbers of half the size, and blobs that several threads pack and unpack.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "blob_common.h"
#include "format/format.h"

/* ---- half the size ---- */

static const resattn_dtype halves[] = {RESATTN_F16, RESATTN_BF16};

/* What a value becomes. */
static float rounded(resattn_dtype type, float value)
{
    unsigned char half[2];
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    ra_numbers_narrow((int32_t)type, &bits, 1, half);
    ra_numbers_widen((int32_t)type, half, 1, &bits);
    memcpy(&value, &bits, sizeof bits);
    return value;
}

static void check_rounded(resattn_network *exact, resattn_network *loaded, resattn_dtype type)
{
    ck_assert_msg(loaded != NULL, "%s", resattn_last_error());
    ck_assert_int_eq(resattn_network_storage(loaded), type);
    for (int32_t i = 0; i < resattn_network_parameter_count(exact); i++) {
        const float *from = resattn_tensor_data(resattn_network_parameter(exact, i));
        const float *to = resattn_tensor_data(resattn_network_parameter(loaded, i));
        bool trained = resattn_network_parameter_kind(exact, i) == RESATTN_PARAMETER_TRAINABLE;
        for (int64_t j = 0; j < resattn_tensor_elements(resattn_network_parameter(exact, i)); j++)
            if (to[j] != (trained ? rounded(type, from[j]) : from[j]))
                ck_abort_msg("parameter %d, value %d: %.9g became %.9g", i, (int)j, (double)from[j], (double)to[j]);
    }
}

START_TEST(half_round_trips)
{
    resattn_network *network = full_network(context);
    ck_assert_int_eq(resattn_network_storage(network), RESATTN_F32);
    resattn_tensor_fill(
        resattn_network_parameter(network, resattn_network_find_parameter(network, "norm\xC3\xA9.running_var")),
        123456.789f);
    for (int32_t round = 0; round < 20; round++) {
        resattn_dtype type = halves[round % 2];
        void *bytes, *again;
        size_t size, size_again;
        ck_assert_int_eq(resattn_network_set_storage(network, type), RESATTN_OK);
        save(network, round / 2, &bytes, &size);
        resattn_network *loaded = resattn_network_load_buffer(context, bytes, size);
        check_rounded(network, loaded, type);
        save(loaded, round / 2, &again, &size_again);
        ck_assert_uint_eq(size, size_again);
        ck_assert_mem_eq(bytes, again, size);
        resattn_network *second = resattn_network_load_buffer(context, again, size_again);
        check_same(loaded, second);
        resattn_network_unref(second);
        resattn_network_unref(loaded);
        resattn_buffer_free(bytes);
        resattn_buffer_free(again);
    }
    resattn_network_unref(network);
}
END_TEST

/* Planes by hand: 1, -2 in F16 are 3C00 C000, in BF16 3F80 C000; 70000 is too large for F16. */
START_TEST(half_bytes)
{
    const unsigned char f16[] = {0x00, 0x00, 0x00, 0x3C, 0xC0, 0x7C}, bf16[] = {0x80, 0x00, 0x89, 0x3F, 0xC0, 0x47};
    const float weight[] = {1, -2, 70000};
    resattn_builder *b = resattn_builder_new(context);
    resattn_layer *linear = resattn_linear_new(b, "fc", 1);
    resattn_layer_set_int(linear, "bias", 0);
    resattn_network *network = resattn_network_new(b, linear, 3);
    resattn_builder_free(b);
    resattn_tensor_write(resattn_network_parameter(network, 0), RESATTN_CHANNELS_FIRST, weight, 3);
    for (int32_t round = 0; round < 2; round++) {
        void *bytes;
        size_t size;
        blob *parts = malloc(sizeof *parts);
        resattn_network_set_storage(network, halves[round]);
        save(network, 0, &bytes, &size);
        blob_split(parts, bytes, size);
        const blob_chunk *c = &parts->chunks[blob_find(parts, "TENS")];
        ck_assert_uint_eq(c->payload[0], (unsigned)halves[round]);
        unsigned char planes[16];
        uLongf planes_size = sizeof planes;
        ck_assert_int_eq(uncompress(planes, &planes_size, c->payload + 30, (uLong)(c->size - 30)), Z_OK);
        ck_assert_uint_eq(planes_size, 6);
        ck_assert_mem_eq(planes, round == 0 ? f16 : bf16, 6);
        free(parts);
        resattn_buffer_free(bytes);
    }
    resattn_network_unref(network);
}
END_TEST

static void make_half_blob(void)
{
    blob_set_up();
    resattn_network *network = full_network(context);
    resattn_network_set_storage(network, RESATTN_F16);
    void *bytes;
    size_t size;
    save(network, 6, &bytes, &size);
    sample = malloc(sizeof *sample);
    blob_split(sample, bytes, size);
    resattn_buffer_free(bytes);
    resattn_network_unref(network);
}

/* Which tensor's chunk has a name that ends so. */
static blob_chunk *find_tensor(const char *suffix)
{
    for (int i = 0; i < sample->count; i++) {
        blob_chunk *c = &sample->chunks[i];
        if (strcmp(c->type, "TENS") == 0) {
            const char *name = (const char *)c->payload + 4 + 8 * c->payload[2];
            if (strcmp(name + strlen(name) - strlen(suffix), suffix) == 0)
                return c;
        }
    }
    ck_abort_msg("no tensor %s", suffix);
    return NULL;
}

START_TEST(half_damage)
{
    blob_chunk *weight = find_tensor("stem.0.weight"), *statistic = find_tensor("running_var");
    ck_assert_uint_eq(weight->payload[0], RESATTN_F16);
    ck_assert_uint_eq(statistic->payload[0], RESATTN_F32);
    weight->payload[0] = RESATTN_F32;
    blob_refused(sample, RESATTN_BAD_FORMAT, "features.stem.0.weight: damaged: fewer values");
    weight->payload[0] = 0;
    blob_refused(sample, RESATTN_UNSUPPORTED, "element type 0");
    weight->payload[0] = 4;
    blob_refused(sample, RESATTN_UNSUPPORTED, "element type 4");
    weight->payload[0] = RESATTN_F16;
    statistic->payload[0] = RESATTN_F16;
    blob_refused(sample, RESATTN_BAD_FORMAT, "it is a statistic");
    statistic->payload[0] = RESATTN_F32;
    weight->payload[0] = RESATTN_BF16; /* as many bytes; then the types are mixed, and F32 loses nothing */
    size_t size;
    unsigned char *bytes = blob_join(sample, &size);
    resattn_network *network = resattn_network_load_buffer(context, bytes, size);
    ck_assert_msg(network != NULL, "%s", resattn_last_error());
    ck_assert_int_eq(resattn_network_storage(network), RESATTN_F32);
    resattn_network_unref(network);
    free(bytes);
}
END_TEST

START_TEST(storage_arguments)
{
    resattn_network *network = small_network(context);
    ck_assert_int_eq(resattn_network_set_storage(network, (resattn_dtype)0), RESATTN_INVALID_ARGUMENT);
    ck_assert_int_eq(resattn_network_set_storage(network, (resattn_dtype)4), RESATTN_INVALID_ARGUMENT);
    ck_assert_int_eq(resattn_network_set_storage(NULL, RESATTN_F32), RESATTN_INVALID_ARGUMENT);
    ck_assert_int_eq(resattn_network_storage(network), RESATTN_F32);
    resattn_network_unref(network);
}
END_TEST

/* ---- packing and unpacking ---- */

static resattn_tensor *random_tensor(void)
{
    int64_t shape[4];
    int32_t rank = 1 + (int32_t)(test_random() % 4);
    for (int i = 0; i < rank; i++)
        shape[i] = 1 + (int64_t)(test_random() % (i < 2 ? 30 : 5));
    return resattn_tensor_new(context, RESATTN_F32, rank, shape, RESATTN_CHANNELS_LAST);
}

static void fill_random(resattn_tensor *tensor, int32_t type)
{
    float *values = resattn_tensor_mutable_data(tensor);
    for (int64_t i = 0; i < resattn_tensor_elements(tensor); i++) {
        uint32_t bits = (uint32_t)test_random() % 0x7F000000;
        memcpy(&values[i], &bits, sizeof bits);
        if (type != RESATTN_F32)
            values[i] = rounded((resattn_dtype)type, values[i]);
    }
}

static void unpack_pieces(ra_unpacker *unpacker, resattn_tensor *target, int32_t type, const unsigned char *bytes,
                          size_t size)
{
    ck_assert(ra_unpack_begin(unpacker, target, type));
    for (size_t at = 0, piece; at < size; at += piece) {
        piece = 1 + test_random() % 3000;
        piece = piece < size - at ? piece : size - at;
        ck_assert_msg(ra_unpack(unpacker, bytes + at, piece), "%s", resattn_last_error());
    }
    ck_assert(ra_unpack_end(unpacker));
}

/* At once and in pieces, every type. */
START_TEST(pack_and_unpack)
{
    ra_unpacker *unpacker = ra_unpacker_new(context);
    for (int round = 0; round < 120; round++) {
        int32_t type = 1 + round % 3;
        resattn_tensor *tensor = random_tensor(), *target = random_tensor();
        resattn_tensor_unref(target);
        fill_random(tensor, type);
        size_t elements = (size_t)resattn_tensor_elements(tensor), bound, size;
        ra_packer *packer = ra_packer_new(context, round % 10);
        ck_assert(ra_pack_bound(packer, tensor, type, &bound));
        unsigned char *bytes = malloc(bound), *planes = malloc(elements * 4);
        size = ra_pack(packer, tensor, type, bytes, bound);
        ck_assert_uint_gt(size, 0);
        ck_assert_uint_eq(ra_pack(packer, tensor, type, bytes, size / 2), 0);
        ck_assert_uint_eq(ra_pack(packer, tensor, type, bytes, bound), size);
        for (int way = 0; way < 2; way++) {
            target = resattn_tensor_new(context, RESATTN_F32, tensor->rank, tensor->shape, RESATTN_CHANNELS_LAST);
            if (way == 0)
                ck_assert(ra_unpack_whole(unpacker, target, type, bytes, size, planes));
            else
                unpack_pieces(unpacker, target, type, bytes, size);
            ck_assert_mem_eq(resattn_tensor_data(target), resattn_tensor_data(tensor), elements * 4);
            ck_assert(!ra_unpack_whole(unpacker, target, type, bytes, size - 1, planes));
            ck_assert_mem_eq(resattn_tensor_data(target), resattn_tensor_data(tensor), elements * 4);
            resattn_tensor_unref(target);
        }
        free(bytes);
        free(planes);
        ra_packer_free(packer);
        resattn_tensor_unref(tensor);
    }
    ra_unpacker_free(unpacker);
}
END_TEST

/* ---- several threads ---- */

/* An allocator that may be called by the test's own thread only. */
static pthread_t owner;
static int strangers;

static void *own_alloc(void *user, size_t size)
{
    (void)user;
    strangers += !pthread_equal(owner, pthread_self());
    return malloc(size);
}

static void own_free(void *user, void *memory)
{
    (void)user;
    strangers += !pthread_equal(owner, pthread_self());
    free(memory);
}

static resattn_context *own_context(int32_t threads)
{
    owner = pthread_self();
    strangers = 0;
    return resattn_context_new_with_allocator(threads, own_alloc, own_free, NULL);
}

/* Some megabytes in tensors of all sizes. */
static resattn_network *large_network(resattn_context *c)
{
    resattn_builder *b = resattn_builder_new(c);
    resattn_layer *root = resattn_sequential_new(b, NULL);
    for (int i = 0; i < 24; i++) {
        resattn_layer_add(root, resattn_conv2d_new(b, NULL, 8 + i * i / 2, i % 2 ? 3 : 1, 1, 1));
        resattn_layer_add(root, resattn_batch_norm_new(b, NULL));
    }
    resattn_network *network = resattn_network_new(b, root, 3);
    resattn_builder_free(b);
    return network;
}

START_TEST(any_number_of_threads)
{
    void *bytes[3] = {NULL};
    size_t size[3];
    for (int level = 0; level < 9; level += 8) {
        for (int i = 0; i < 3; i++) {
            resattn_context *c = own_context(1 + 2 * i);
            resattn_network *network = large_network(c);
            ck_assert_msg(resattn_network_save_buffer(network, level, &bytes[i], &size[i]) == RESATTN_OK, "%s",
                          resattn_last_error());
            resattn_network *loaded = resattn_network_load_buffer(c, bytes[i], size[i]);
            check_same(network, loaded);
            ck_assert_uint_eq(size[i], size[0]);
            ck_assert_mem_eq(bytes[i], bytes[0], size[0]);
            resattn_network_unref(loaded);
            resattn_network_unref(network);
            if (i > 0)
                resattn_buffer_free(bytes[i]);
            resattn_context_unref(c);
            ck_assert_int_eq(strangers, 0);
        }
        resattn_buffer_free(bytes[0]); /* which has kept its context */
        ck_assert_int_eq(strangers, 0);
    }
}
END_TEST

/* The error is the same however many threads look at the tensors, and is that of the first damaged one. */
START_TEST(large_damage)
{
    resattn_network *network = large_network(context);
    unsigned char *bytes;
    size_t size;
    save(network, 6, (void **)&bytes, &size);
    for (int round = 0; round < 40; round++) {
        char message[512] = "";
        size_t first = test_random() % size, second = test_random() % size;
        bytes[first] ^= 0x10;
        bytes[second] ^= 0x01;
        for (int32_t threads = 1; threads < 4; threads++) {
            resattn_context *c = own_context(threads);
            ck_assert_ptr_null(resattn_network_load_buffer(c, bytes, size));
            ck_assert_int_eq(resattn_last_status(), RESATTN_BAD_FORMAT);
            if (threads == 1)
                strcpy(message, resattn_last_error());
            ck_assert_str_eq(resattn_last_error(), message);
            resattn_context_unref(c);
            ck_assert_int_eq(strangers, 0);
        }
        bytes[first] ^= 0x10;
        bytes[second] ^= 0x01;
    }
    resattn_buffer_free(bytes);
    resattn_network_unref(network);
}
END_TEST

/* Behind right checksums: the values of large tensors are too few, too many, or no zlib stream. */
START_TEST(large_damage_with_mended_checksums)
{
    resattn_context *c = own_context(3);
    resattn_network *network = large_network(c);
    unsigned char *bytes;
    size_t size;
    resattn_network_save_buffer(network, 1, (void **)&bytes, &size);
    size_t at = HEADER;
    for (int number = 0; at < size; number++) {
        size_t length = (size_t)ra_load_u64(bytes + at + 4), last = at + 12 + length - 1;
        if (memcmp(bytes + at, "TENS", 4) == 0 && length > 1000 && number % 3 == 0) {
            unsigned char crc[4], before = bytes[last - 10];
            memcpy(crc, bytes + last + 1, 4);
            bytes[last - 10] ^= 0x40;
            ra_store_u32(bytes + last + 1, (uint32_t)crc32(0, bytes + at, (uInt)length + 12));
            ck_assert_ptr_null(resattn_network_load_buffer(c, bytes, size));
            ck_assert_int_eq(resattn_last_status(), RESATTN_BAD_FORMAT);
            ck_assert_msg(strstr(resattn_last_error(), ": damaged: ") != NULL, "%s", resattn_last_error());
            bytes[last - 10] = before;
            memcpy(bytes + last + 1, crc, 4);
        }
        at += length + 16;
    }
    resattn_network *loaded = resattn_network_load_buffer(c, bytes, size);
    check_same(network, loaded);
    resattn_network_unref(loaded);
    resattn_network_unref(network);
    resattn_buffer_free(bytes);
    resattn_context_unref(c);
    ck_assert_int_eq(strangers, 0);
}
END_TEST

/* Larger than a batch: unpacked while it arrives. */
START_TEST(tensor_larger_than_a_batch)
{
    resattn_builder *b = resattn_builder_new(context);
    resattn_layer *root = resattn_sequential_new(b, NULL);
    resattn_layer_add(root, resattn_conv2d_new(b, NULL, 8, 1, 1, 0));
    resattn_layer_add(root, resattn_linear_new(b, NULL, 1100000));
    resattn_network *network = resattn_network_new(b, root, 3);
    resattn_builder_free(b);
    ck_assert_msg(network != NULL, "%s", resattn_last_error());
    ck_assert_int_gt((long)(resattn_network_trainable_values(network) * 4), (long)RA_BATCH_BYTES);
    void *bytes;
    size_t size;
    save(network, 0, &bytes, &size);
    resattn_network *loaded = resattn_network_load_buffer(context, bytes, size);
    check_same(network, loaded);
    resattn_network_unref(loaded);
    ((unsigned char *)bytes)[size - 4500000 - 1000] ^= 1;
    ck_assert_ptr_null(resattn_network_load_buffer(context, bytes, size));
    test_expect_error(RESATTN_BAD_FORMAT, "checksum of chunk TENS");
    resattn_buffer_free(bytes);
    resattn_network_unref(network);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("blob half");
    TCase *plain = tcase_create("plain"), *damage = tcase_create("damage");
    tcase_set_timeout(plain, 240);
    tcase_add_checked_fixture(plain, blob_set_up, blob_tear_down);
    tcase_add_test(plain, half_round_trips);
    tcase_add_test(plain, half_bytes);
    tcase_add_test(plain, storage_arguments);
    tcase_add_test(plain, pack_and_unpack);
    tcase_add_test(plain, any_number_of_threads);
    tcase_add_test(plain, large_damage);
    tcase_add_test(plain, large_damage_with_mended_checksums);
    tcase_add_test(plain, tensor_larger_than_a_batch);
    suite_add_tcase(suite, plain);
    tcase_add_checked_fixture(damage, make_half_blob, free_blob);
    tcase_add_test(damage, half_damage);
    suite_add_tcase(suite, damage);
    return test_run(suite);
}
