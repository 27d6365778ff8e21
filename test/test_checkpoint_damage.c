/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Checkpoints that are damaged, hostile, or of another training: all are refused with a message, and nothing is
 * changed.
 */
#include <stdlib.h>
#include <string.h>

#include "blob_common.h"
#include "checkpoint_common.h"

enum { KIND = 7 }; /* AdamW with an average and all settings */

static training saved_training, target;
static bytes saved, before;

/* What restores has a state of its own, to see that it stays. */
static void set_up(void)
{
    context = resattn_context_new(1);
    saved_training = new_training(KIND);
    do_steps(&saved_training, 0, 2);
    saved = checkpoint_of(&saved_training);
    target = new_training(KIND);
    do_steps(&target, 0, 1);
    before = checkpoint_of(&target);
}

static void tear_down(void)
{
    bytes after = checkpoint_of(&target);
    expect_same(&after, &before);
    free(after.data);
    free(before.data);
    free(saved.data);
    free_training(&target);
    free_training(&saved_training);
    resattn_context_unref(context);
}

static void expect_refused(const training *t, const void *data, size_t size, resattn_status status, const char *words)
{
    ck_assert_int_eq(restore_bytes(t, data, size), status);
    test_expect_error(status, words);
}

/* What was in the places is not there afterwards. */
static void expect_no_load(const void *data, size_t size, resattn_status status, const char *words)
{
    training t = saved_training;
    t.context = context;
    ck_assert_int_eq(load_bytes(&t, data, size), status);
    test_expect_error(status, words);
    ck_assert(!t.network && !t.optimizer && !t.average);
}

START_TEST(every_truncation)
{
    for (size_t i = 0; i < saved.size; i++) {
        void *copy = malloc(i ? i : 1);
        memcpy(copy, saved.data, i);
        expect_refused(&target, copy, i, RESATTN_BAD_FORMAT, "truncated");
        expect_no_load(copy, i, RESATTN_BAD_FORMAT, "truncated");
        free(copy);
    }
    unsigned char *longer = calloc(saved.size + 1, 1);
    memcpy(longer, saved.data, saved.size);
    expect_refused(&target, longer, saved.size + 1, RESATTN_BAD_FORMAT, "follows");
    expect_no_load(longer, saved.size + 1, RESATTN_BAD_FORMAT, "follows");
    free(longer);
}
END_TEST

START_TEST(every_flipped_bit)
{
    for (size_t i = 0; i < saved.size * 8; i++) {
        saved.data[i / 8] ^= (unsigned char)(1 << i % 8);
        ck_assert_msg(restore_bytes(&target, saved.data, saved.size) == RESATTN_BAD_FORMAT, "bit %zu: %s", i,
                      resattn_last_error());
        resattn_network *network = resattn_network_load_buffer(context, saved.data, saved.size);
        ck_assert_msg(!network, "bit %zu", i);
        ck_assert_int_gt((int)strlen(resattn_last_error()), 10);
        expect_no_load(saved.data, saved.size, RESATTN_BAD_FORMAT, "");
        saved.data[i / 8] ^= (unsigned char)(1 << i % 8);
    }
}
END_TEST

/* ---- content that is wrong behind a right checksum ---- */

static blob *parts;

static void split(void)
{
    set_up();
    parts = malloc(sizeof *parts);
    blob_split(parts, saved.data, saved.size);
}

static void unsplit(void)
{
    free(parts);
    tear_down();
}

/* Loading has nothing to compare with: what does not go together there is damage. */
static void parts_refused(resattn_status status, const char *words)
{
    size_t size;
    unsigned char *joined = blob_join(parts, &size);
    expect_refused(&target, joined, size, status, words);
    if (status != RESATTN_INVALID_ARGUMENT && status != RESATTN_NOT_FOUND) /* what was given does not fit */
        expect_no_load(joined, size, status == RESATTN_SHAPE_MISMATCH ? RESATTN_BAD_FORMAT : status, words);
    free(joined);
}

/* Changes `count` bytes of the first chunk of a type, checks that it is refused, and changes them back. */
static void patch(const char *type, size_t at, uint64_t value, int count, resattn_status status, const char *words)
{
    blob_chunk *c = &parts->chunks[blob_find(parts, type)], as_it_was = *c;
    blob_store(c->payload + at, value, count);
    parts_refused(status, words);
    *c = as_it_was;
}

static const uint64_t nan_bits = UINT64_C(0x7FF8000000000000), minus_one = UINT64_C(0xBFF0000000000000);

START_TEST(states)
{
    /* layout 4, "adamw" 6, storage 1, norm 8, average 1, decay 8, count 4, settings, count 4, parameters of 32 bytes */
    const blob_chunk *c = &parts->chunks[blob_find(parts, "trai")];
    size_t rate = 32, own = c->size - 5 * 32;
    patch("trai", 0, 2, 4, RESATTN_UNSUPPORTED, "layout 2, this library reads 1");
    patch("trai", 4, 'A', 1, RESATTN_INVALID_ARGUMENT, "a training with Adamw, the optimizer is adamw");
    patch("trai", 4, 0xFF, 1, RESATTN_BAD_FORMAT, "UTF-8");
    patch("trai", 10, 4, 1, RESATTN_BAD_FORMAT, "number type is 4");
    patch("trai", 19, 2, 1, RESATTN_BAD_FORMAT, "2 averages");
    patch("trai", 19, 0, 1, RESATTN_NOT_FOUND, "holds no average");
    patch("trai", 20, UINT64_C(0x3FF0000000000000), 8, RESATTN_BAD_FORMAT, "decay 1");
    patch("trai", 20, nan_bits, 8, RESATTN_BAD_FORMAT, "decay nan");
    patch("trai", 28, UINT32_MAX, 4, RESATTN_UNSUPPORTED, "of adamw is unknown");
    patch("trai", 28, 1, 4, RESATTN_SHAPE_MISMATCH, "trained parameters, the network has 5");
    patch("trai", rate, 'R', 1, RESATTN_UNSUPPORTED, "'Rate' of adamw is unknown");
    patch("trai", rate + 5, nan_bits, 8, RESATTN_BAD_FORMAT, "rate is nan");
    patch("trai", rate + 5, minus_one, 8, RESATTN_BAD_FORMAT, "rate is -1");
    patch("trai", own - 4, 4, 4, RESATTN_SHAPE_MISMATCH, "of 4 trained parameters, the network has 5");
    patch("trai", own - 4, UINT32_MAX, 4, RESATTN_SHAPE_MISMATCH, "of 4294967295 trained");
    patch("trai", own, UINT64_MAX, 8, RESATTN_BAD_FORMAT, "stem.weight after 18446744073709551615 steps");
    patch("trai", own + 8, minus_one, 8, RESATTN_BAD_FORMAT, "a factor of stem.weight is -1");
    patch("trai", own + 8, nan_bits, 8, RESATTN_BAD_FORMAT, "a factor of stem.weight is nan");
    patch("trai", own + 16, 3, 4, RESATTN_BAD_FORMAT, "stem.weight was given for a path of 3 bytes");
    patch("trai", own + 16, UINT32_MAX, 4, RESATTN_BAD_FORMAT, "path of 4294967295 bytes");
}
END_TEST

/* What loading answers where restoring says that the optimizer or the average is a wrong one. */
START_TEST(states_that_only_loading_refuses)
{
    static const struct {
        size_t at;
        unsigned char value;
        resattn_status status;
        const char *words;
    } cases[] = {{4, 'A', RESATTN_UNSUPPORTED, "the optimizer 'Adamw' is unknown: made by a later version?"},
                 {19, 0, RESATTN_BAD_FORMAT, "the average of stem.weight, which the state of the training does not"}};
    blob_chunk *c = &parts->chunks[blob_find(parts, "trai")];
    size_t size;
    for (int i = 0; i < 2; i++) {
        unsigned char before_it = c->payload[cases[i].at];
        c->payload[cases[i].at] = cases[i].value;
        unsigned char *joined = blob_join(parts, &size);
        expect_no_load(joined, size, cases[i].status, cases[i].words);
        free(joined);
        c->payload[cases[i].at] = before_it;
    }
    /* a state before the tree is none */
    const blob_chunk state = *c;
    blob_remove(parts, blob_find(parts, "trai"));
    blob_insert(parts, 0, state.type, state.payload, state.size);
    unsigned char *joined = blob_join(parts, &size);
    expect_no_load(joined, size, RESATTN_BAD_FORMAT, "does not tell of");
    free(joined);
}
END_TEST

START_TEST(chunks_of_states)
{
    blob whole = *parts;
    int state = blob_find(parts, "trai");
    for (int i = state; i < whole.count - 1; i++) {
        *parts = whole;
        const blob_chunk copy = whole.chunks[i];
        blob_insert(parts, i + 1, copy.type, copy.payload, copy.size);
        parts_refused(RESATTN_BAD_FORMAT, "twice");
        *parts = whole;
        blob_remove(parts, i);
        if (i == state)
            parts_refused(RESATTN_BAD_FORMAT, "does not tell of");
        else
            parts_refused(RESATTN_SHAPE_MISMATCH, "the network has the parameter");
        *parts = whole;
        blob_chunk *c = &parts->chunks[i];
        c->payload[c->size++] = 0;
        parts_refused(RESATTN_BAD_FORMAT, i == state ? "belong to nothing" : "follow");
        for (c->size -= 2;; c->size = c->size * 7 / 8) {
            parts_refused(RESATTN_BAD_FORMAT, "");
            if (c->size == 0)
                break;
        }
    }
    *parts = whole;
    blob_insert(parts, 1, "ABCD", "abc", 3);
    parts_refused(RESATTN_UNSUPPORTED, "chunk ABCD");
}
END_TEST

START_TEST(moments_and_averages)
{
    for (int i = 0; i < 2; i++) {
        const char *type = i ? "aver" : "mome";
        size_t at = i ? 0 : 1; /* behind the state's number */
        patch(type, at, 4, 1, RESATTN_UNSUPPORTED, "element type 4");
        patch(type, at, 2, 1, RESATTN_BAD_FORMAT, "element type 2, expected 1");
        patch(type, at + 1, 7, 1, RESATTN_UNSUPPORTED, "encoding 7");
        patch(type, at + 2, 5, 1, RESATTN_BAD_FORMAT, "rank 5");
        patch(type, at + 4, 8, 8, RESATTN_SHAPE_MISMATCH,
              "stem.weight: shape 8x2x3x3 in the file, 4x2x3x3 in the tree");
        patch(type, at + 4, UINT64_MAX, 8, RESATTN_SHAPE_MISMATCH, "shape");
        patch(type, at + 36, 'S', 1, RESATTN_SHAPE_MISMATCH, "the parameter Stem.weight, this one has none");
        patch(type, at + 48, 0, 2, RESATTN_BAD_FORMAT, "stem.weight: damaged: zlib");
    }
    patch("mome", 0, 2, 1, RESATTN_BAD_FORMAT, "a state of stem.weight, which");
    patch("mome", 0, 1, 1, RESATTN_BAD_FORMAT, "twice");
    patch("mome", 0, 255, 1, RESATTN_BAD_FORMAT, "a state of stem.weight, which");
}
END_TEST

/* Whatever is changed behind a right checksum: it is restored, or refused with nothing changed. */
START_TEST(random_damage_with_mended_checksums)
{
    const blob whole = *parts;
    training scratch = new_training(KIND);
    int state = blob_find(parts, "trai");
    for (int round = 0; round < 4000; round++) {
        *parts = whole;
        for (int changes = 1 + (int)(test_random() % 3); changes > 0; changes--) {
            blob_chunk *c =
                &parts->chunks[round % 2 ? state : state + (int)(test_random() % (uint64_t)(whole.count - state))];
            c->payload[test_random() % c->size] = (unsigned char)(test_random() >> test_random() % 8);
        }
        size_t size;
        unsigned char *joined = blob_join(parts, &size);
        bytes as_it_was = checkpoint_of(&scratch);
        training loaded = {.context = resattn_context_ref(context)};
        if (load_bytes(&loaded, joined, size) == RESATTN_OK) { /* and then it is as good as any */
            loaded.session = training_session(loaded.network);
            do_step(&loaded, 0);
        }
        free_training(&loaded);
        if (restore_bytes(&scratch, joined, size) != RESATTN_OK) {
            bytes still = checkpoint_of(&scratch);
            expect_same(&still, &as_it_was);
            free(still.data);
        } else {
            do_step(&scratch, 0);
        }
        free(as_it_was.data);
        free(joined);
    }
    free_training(&scratch);
}
END_TEST

static size_t largest; /* request since it was set */

static void *note_size(void *user, size_t size)
{
    (void)user;
    largest = size > largest ? size : largest;
    return malloc(size);
}

static void give_back(void *user, void *memory)
{
    (void)user;
    free(memory);
}

/* Memory for what a chunk claims to hold is taken only when bytes have arrived that could fill it. */
START_TEST(claims_are_cheap)
{
    enum { SIDE_OF_MATRIX = 1000, VALUES = SIDE_OF_MATRIX * SIDE_OF_MATRIX };
    resattn_context *counted = resattn_context_new_with_allocator(1, note_size, give_back, NULL);
    resattn_builder *builder = resattn_builder_new(counted);
    resattn_layer *matrix = resattn_linear_new(builder, "fc", SIDE_OF_MATRIX);
    resattn_network *network = resattn_network_new_zeroed(builder, matrix, SIDE_OF_MATRIX);
    resattn_builder_free(builder);
    training large = {.optimizer = resattn_sgd_new(network, 1)};
    bytes all = {0};
    ck_assert_int_eq(resattn_checkpoint_save_stream(large.optimizer, NULL, 9, put_bytes, &all), RESATTN_OK);
    size_t moment = 0;
    while (memcmp(all.data + moment, "mome", 4) != 0)
        moment++;
    largest = 0;
    expect_refused(&large, all.data, moment + 2000, RESATTN_BAD_FORMAT, "truncated");
    ck_assert_uint_lt(largest, VALUES * sizeof(float) / 2);
    training none = {.context = counted};
    ck_assert_int_eq(load_bytes(&none, all.data, moment + 2000), RESATTN_BAD_FORMAT);
    ck_assert_uint_le(largest, VALUES * sizeof(float) + 8192); /* for the network's own values, which are there */
    ck_assert_int_eq(restore_bytes(&large, all.data, all.size), RESATTN_OK);
    ck_assert_uint_ge(largest, VALUES * sizeof(float));
    free(all.data);
    resattn_optimizer_free(large.optimizer);
    resattn_network_unref(network);
    resattn_context_unref(counted);
}
END_TEST

/* ---- other trainings ---- */

START_TEST(another_training)
{
    training sgd = new_training(6), plain = new_training(5);
    expect_refused(&sgd, saved.data, saved.size, RESATTN_INVALID_ARGUMENT, "training with adamw, the optimizer is sgd");
    ck_assert_int_eq(restore_bytes(&plain, saved.data, saved.size), RESATTN_OK); /* leaves the average alone */
    bytes without = checkpoint_of(&plain);
    expect_refused(&target, without.data, without.size, RESATTN_NOT_FOUND, "holds no average");
    void *model;
    size_t size;
    save(saved_training.network, 6, &model, &size);
    expect_refused(&target, model, size, RESATTN_NOT_FOUND, "no state of a training");
    expect_no_load(model, size, RESATTN_NOT_FOUND, "no state of a training");
    resattn_network *other = full_network(context);
    training different = {.optimizer = resattn_adamw_new(other, 1)};
    expect_refused(&different, saved.data, saved.size, RESATTN_SHAPE_MISMATCH, "trained parameters, the network has");
    resattn_buffer_free(model);
    resattn_optimizer_free(different.optimizer);
    resattn_network_unref(other);
    free(without.data);
    free_training(&sgd);
    free_training(&plain);
}
END_TEST

static int32_t refuse_bytes(void *user, const void *from, size_t size)
{
    (void)user, (void)from, (void)size;
    return 5;
}

static int64_t fail_to_read(void *user, void *to, size_t size)
{
    (void)user, (void)to, (void)size;
    return -3;
}

START_TEST(wrong_use)
{
    bytes none = {0};
    training other = new_training(3);
    resattn_optimizer *optimizer = target.optimizer;
    resattn_ema *average = target.average;
    resattn_checkpoint_save(optimizer, other.average, "/nowhere/never.resattn", 6);
    test_expect_error(RESATTN_INVALID_ARGUMENT, "average is of another network");
    resattn_checkpoint_restore_stream(optimizer, other.average, get_bytes, &none);
    test_expect_error(RESATTN_INVALID_ARGUMENT, "average is of another network");
    resattn_checkpoint_save(optimizer, average, NULL, 6);
    test_expect_error(RESATTN_INVALID_ARGUMENT, "path is NULL");
    resattn_checkpoint_save_stream(optimizer, average, 6, NULL, NULL);
    test_expect_error(RESATTN_INVALID_ARGUMENT, "callback is NULL");
    resattn_checkpoint_restore(optimizer, average, NULL);
    test_expect_error(RESATTN_INVALID_ARGUMENT, "path is NULL");
    resattn_checkpoint_restore_stream(optimizer, average, NULL, NULL);
    test_expect_error(RESATTN_INVALID_ARGUMENT, "callback is NULL");
    resattn_checkpoint_save_stream(optimizer, average, 10, put_bytes, &none);
    test_expect_error(RESATTN_INVALID_ARGUMENT, "level is 10");
    resattn_checkpoint_save(optimizer, average, "/nowhere/never.resattn", 6);
    test_expect_error(RESATTN_IO_ERROR, "/nowhere/never.resattn");
    resattn_checkpoint_restore(optimizer, average, "/nowhere/never.resattn");
    test_expect_error(RESATTN_NOT_FOUND, "/nowhere/never.resattn");
    resattn_checkpoint_save_stream(optimizer, average, 6, refuse_bytes, NULL);
    test_expect_error(RESATTN_IO_ERROR, "failed with 5");
    resattn_checkpoint_restore_stream(optimizer, average, fail_to_read, NULL);
    test_expect_error(RESATTN_IO_ERROR, "failed with -3");
    ck_assert_int_eq(resattn_ema_swap(average), RESATTN_OK);
    resattn_checkpoint_save_stream(optimizer, average, 6, put_bytes, &none);
    test_expect_error(RESATTN_WRONG_STATE, "swapped back first");
    expect_refused(&target, saved.data, saved.size, RESATTN_WRONG_STATE, "swapped back first");
    ck_assert_int_eq(resattn_ema_swap(average), RESATTN_OK);
    ck_assert_uint_eq(none.size, 0);
    free_training(&other);
}
END_TEST

static Suite *damage_suite(void)
{
    Suite *suite = suite_create("checkpoint damage");
    TCase *whole = tcase_create("whole"), *mended = tcase_create("mended");
    tcase_set_timeout(whole, 240);
    tcase_add_checked_fixture(whole, set_up, tear_down);
    tcase_add_test(whole, every_truncation);
    tcase_add_test(whole, every_flipped_bit);
    tcase_add_test(whole, another_training);
    tcase_add_test(whole, wrong_use);
    suite_add_tcase(suite, whole);
    tcase_set_timeout(mended, 240);
    tcase_add_checked_fixture(mended, split, unsplit);
    tcase_add_test(mended, states);
    tcase_add_test(mended, states_that_only_loading_refuses);
    tcase_add_test(mended, chunks_of_states);
    tcase_add_test(mended, moments_and_averages);
    tcase_add_test(mended, random_damage_with_mended_checksums);
    tcase_add_test(mended, claims_are_cheap);
    suite_add_tcase(suite, mended);
    return suite;
}

int main(void)
{
    return test_run(damage_suite());
}
