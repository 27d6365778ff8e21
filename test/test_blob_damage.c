/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Damaged and hostile blobs: all are refused with a message, none costs more memory than its size allows, and no lack
 * of memory leaves anything behind.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "blob_common.h"

/* ---- damage ---- */

START_TEST(every_truncation)
{
    resattn_network *network = full_network(context);
    void *bytes;
    size_t size;
    save(network, 6, &bytes, &size);
    for (size_t i = 0; i < size; i++) {
        /* A copy of its own, so that a checker sees a read beyond the end. */
        void *copy = malloc(i ? i : 1);
        memcpy(copy, bytes, i);
        check_refused(copy, i, RESATTN_BAD_FORMAT, "truncated");
        free(copy);
    }
    unsigned char *longer = malloc(size + 1);
    memcpy(longer, bytes, size);
    longer[size] = 0;
    check_refused(longer, size + 1, RESATTN_BAD_FORMAT, "follows");
    pipe_end p = {.size = size + 1, .fail_at = -1, .piece = 1};
    memcpy(p.bytes, longer, size + 1);
    ck_assert_ptr_null(resattn_network_load_stream(context, get, &p));
    ck_assert_ptr_nonnull(strstr(resattn_last_error(), "follows"));
    free(longer);
    resattn_buffer_free(bytes);
    resattn_network_unref(network);
}
END_TEST

START_TEST(every_flipped_bit)
{
    resattn_network *network = full_network(context);
    void *bytes;
    size_t size;
    save(network, 6, &bytes, &size);
    unsigned char *copy = malloc(size);
    memcpy(copy, bytes, size);
    for (size_t i = 0; i < size * 8; i++) {
        copy[i / 8] ^= (unsigned char)(1 << i % 8);
        ck_assert_msg(!resattn_network_load_buffer(context, copy, size), "bit %zu", i);
        ck_assert_int_eq(resattn_last_status(), RESATTN_BAD_FORMAT);
        ck_assert_int_gt((int)strlen(resattn_last_error()), 10);
        copy[i / 8] ^= (unsigned char)(1 << i % 8);
    }
    free(copy);
    resattn_buffer_free(bytes);
    resattn_network_unref(network);
}
END_TEST

START_TEST(damaged_as_a_text)
{
    const char *crlf = "\x89RAN\r\n\x1A\r\n", *lf = "\x89RAN\n\x1A\n.", *seven = "\x09RAN\r\n\x1A\n";
    check_refused(crlf, 9, RESATTN_BAD_FORMAT, "line ends");
    check_refused(lf, 8, RESATTN_BAD_FORMAT, "line ends");
    check_refused(seven, 8, RESATTN_BAD_FORMAT, "not a libresattn blob");
    check_refused("\x89R", 2, RESATTN_BAD_FORMAT, "truncated");
    check_refused("x", 1, RESATTN_BAD_FORMAT, "not a libresattn blob");
}
END_TEST

static void check_loads(void)
{
    size_t size;
    unsigned char *bytes = blob_join(sample, &size);
    resattn_network *network = resattn_network_load_buffer(context, bytes, size);
    ck_assert_msg(network != NULL, "%s", resattn_last_error());
    resattn_network_unref(network);
    free(bytes);
}

START_TEST(versions_and_flags)
{
    check_loads();
    sample->header[12] = 0x80; /* a compatible feature */
    check_loads();
    sample->header[16] = 4;
    blob_refused(sample, RESATTN_UNSUPPORTED, "made by a later version (with features 0x00000004)");
    sample->header[8] = 2;
    blob_refused(sample, RESATTN_UNSUPPORTED, "made by a later version (format 2, this library reads 1)");
    sample->header[8] = 0;
    blob_refused(sample, RESATTN_BAD_FORMAT, "format 0");
}
END_TEST

START_TEST(unknown_chunks)
{
    blob_insert(sample, 0, "optm", "before the tree", 15);
    blob_insert(sample, sample->count - 1, "aBCD", "", 0);
    check_loads();
    blob_insert(sample, 2, "ABCD", "abc", 3);
    blob_refused(sample, RESATTN_UNSUPPORTED, "chunk ABCD");
    strcpy(sample->chunks[2].type, "a1CD");
    blob_refused(sample, RESATTN_BAD_FORMAT, "no chunk at byte");
}
END_TEST

START_TEST(chunks_twice)
{
    const char *types[] = {"TENS", "NORM", "clas", "size", "text"};
    for (int i = 0; i < 5; i++) {
        int index = blob_find(sample, types[i]);
        blob_chunk copy = sample->chunks[index];
        blob_insert(sample, sample->count - 1, types[i], copy.payload, copy.size);
        blob_refused(sample, RESATTN_BAD_FORMAT, i == 3 ? "second" : "twice");
        blob_remove(sample, sample->count - 2);
    }
    blob_chunk tree = sample->chunks[0];
    blob_insert(sample, 3, "TREE", tree.payload, tree.size);
    blob_refused(sample, RESATTN_BAD_FORMAT, "second tree");
    blob_remove(sample, 3);
    blob_insert(sample, sample->count, "DONE", sample->chunks[sample->count - 1].payload, 8);
    blob_refused(sample, RESATTN_BAD_FORMAT, "it says that it has");
}
END_TEST

START_TEST(chunks_missing)
{
    blob whole = *sample;
    for (int i = 0; i < whole.count; i++) {
        *sample = whole;
        bool optional = sample->chunks[i].type[0] >= 'a', last = i == sample->count - 1;
        blob_remove(sample, i);
        if (optional)
            check_loads();
        else
            blob_refused(sample, RESATTN_BAD_FORMAT, last ? "truncated" : i == 0 ? "before the tree" : "missing");
    }
}
END_TEST

START_TEST(wrong_total)
{
    blob_store(sample->chunks[sample->count - 1].payload, KEEP_TOTAL, 8);
    blob_refused(sample, RESATTN_BAD_FORMAT, "it says that it has");
    sample->chunks[sample->count - 1].size = 7;
    blob_refused(sample, RESATTN_BAD_FORMAT, "ends too early");
    sample->chunks[sample->count - 1].size = 9;
    blob_refused(sample, RESATTN_BAD_FORMAT, "belong to nothing");
}
END_TEST

/* Changes `count` bytes of a chunk, checks that it is refused, and changes them back. */
static void patch(const char *type, size_t at, uint64_t value, int count, resattn_status status, const char *words)
{
    blob_chunk *c = &sample->chunks[blob_find(sample, type)], before = *c;
    blob_store(c->payload + at, value, count);
    blob_refused(sample, status, words);
    *c = before;
}

START_TEST(tensors)
{
    patch("TENS", 0, 4, 1, RESATTN_UNSUPPORTED, "element type 4");
    patch("TENS", 1, 7, 1, RESATTN_UNSUPPORTED, "encoding 7");
    patch("TENS", 2, 0, 1, RESATTN_BAD_FORMAT, "rank 0");
    patch("TENS", 2, 5, 1, RESATTN_BAD_FORMAT, "rank 5");
    patch("TENS", 3, 1, 1, RESATTN_UNSUPPORTED, "encoding 1.1");
    patch("TENS", 4, 8, 8, RESATTN_BAD_FORMAT,
          "tensor features.stem.0.weight: shape 8x2x3x3 in the file, 4x2x3x3 in the tree");
    patch("TENS", 4, UINT64_MAX, 8, RESATTN_BAD_FORMAT, "shape");
    patch("TENS", 36, 'F', 1, RESATTN_BAD_FORMAT, "tensor Features.stem.0.weight: the tree has no such parameter");
    patch("TENS", 36, 0x80, 1, RESATTN_BAD_FORMAT, "UTF-8");
    patch("TENS", 58, 0, 2, RESATTN_BAD_FORMAT, "features.stem.0.weight: damaged: zlib");
    blob_chunk *c = &sample->chunks[blob_find(sample, "TENS")];
    c->payload[c->size++] = 0;
    blob_refused(sample, RESATTN_BAD_FORMAT, "follow");
    c->size -= 2;
    blob_refused(sample, RESATTN_BAD_FORMAT, "fewer values");
    c->size = 20;
    blob_refused(sample, RESATTN_BAD_FORMAT, "too early");
    c->size = 40;
    blob_refused(sample, RESATTN_BAD_FORMAT, "within a text");
    c->size = 0;
    blob_refused(sample, RESATTN_BAD_FORMAT, "too early");
}
END_TEST

START_TEST(numbers_of_values)
{
    unsigned char head[64], values[1024] = {0}, packed[256];
    blob_chunk *c = &sample->chunks[blob_find(sample, "TENS")];
    size_t head_size = 36 + strlen("features.stem.0.weight") + 1, size = 4 * 2 * 3 * 3 * 4;
    memcpy(head, c->payload, head_size);
    for (int more = -1; more <= 1; more++) {
        uLongf packed_size = sizeof packed;
        ck_assert_int_eq(compress(packed, &packed_size, values, (uLong)((int)size + more)), Z_OK);
        memcpy(c->payload + head_size, packed, packed_size);
        c->size = head_size + packed_size;
        if (more == 0)
            check_loads();
        else
            blob_refused(sample, RESATTN_BAD_FORMAT, more < 0 ? "fewer values" : "more values");
    }
}
END_TEST

START_TEST(metadata_chunks)
{
    patch("NORM", 4, 0, 4, RESATTN_BAD_FORMAT, "deviation 0 is 0");
    patch("NORM", 0, 0x7FC00000, 4, RESATTN_BAD_FORMAT, "mean 0 is nan");
    patch("size", 0, 0, 4, RESATTN_BAD_FORMAT, "input size 0 x 19");
    patch("size", 4, UINT32_MAX, 4, RESATTN_BAD_FORMAT, "input size");
    patch("clas", 0, 0xFF, 1, RESATTN_BAD_FORMAT, "UTF-8");
    patch("clas", 0, 0, 1, RESATTN_BAD_FORMAT, "belong to nothing");
    patch("text", 0, 0, 1, RESATTN_BAD_FORMAT, "belong to nothing");
    const char *types[] = {"NORM", "size", "clas", "text"};
    for (int i = 0; i < 4; i++) {
        blob_chunk *c = &sample->chunks[blob_find(sample, types[i])];
        c->payload[c->size++] = 'x';
        blob_refused(sample, RESATTN_BAD_FORMAT, i == 0 ? "number of channels" : "belong to nothing");
        c->size -= 2;
        blob_refused(sample, RESATTN_BAD_FORMAT, "damaged");
        c->size++;
    }
}
END_TEST

/* ---- trees ---- */

static void tree_refused(resattn_status status, const char *words)
{
    memcpy(sample->chunks[0].payload, tree_bytes, tree_size);
    sample->chunks[0].size = tree_size;
    blob_refused(sample, status, words);
}

START_TEST(trees)
{
    begin_tree(2);
    layer("x-foo", "mine", 0);
    tree_refused(RESATTN_UNSUPPORTED, "layer kind 'x-foo' is unknown");
    begin_tree(0);
    layer("relu", "", 0);
    number(0, 4);
    tree_refused(RESATTN_BAD_FORMAT, "0 input channels");
    blob_store(tree_bytes, UINT32_MAX, 4);
    tree_refused(RESATTN_BAD_FORMAT, "4294967295 input channels");
    begin_tree(2);
    layer("relu", "", 0);
    number(1, 4);
    tree_refused(RESATTN_BAD_FORMAT, "relu has 1 children");
    layer("relu", "", 0);
    number(0, 4);
    tree_refused(RESATTN_BAD_FORMAT, "relu");
    begin_tree(2);
    layer("sequential", "", 0);
    number(UINT32_MAX, 4);
    tree_refused(RESATTN_BAD_FORMAT, "4294967295 children");
    begin_tree(2);
    layer("attention", "att", 0);
    number(0, 4);
    tree_refused(RESATTN_BAD_FORMAT, "trunk");
    begin_tree(2);
    layer("relu", "a\nb", 0);
    number(0, 4);
    tree_refused(RESATTN_BAD_FORMAT, "name");
    begin_tree(2);
    layer("relu", "\xFF", 0);
    tree_refused(RESATTN_BAD_FORMAT, "UTF-8");
    begin_tree(2);
    tree_refused(RESATTN_BAD_FORMAT, "within a text");
    layer("relu", "", UINT32_MAX);
    tree_refused(RESATTN_BAD_FORMAT, "within a text");
}
END_TEST

START_TEST(attributes)
{
    begin_tree(2);
    conv("conv", 4, 3, 1);
    size_t before = tree_size;
    attribute("flavour", 1, 5);
    tree_refused(RESATTN_UNSUPPORTED, "attribute 'flavour' of a conv2d is unknown");
    tree_size = before;
    attribute("kernel_h", 1, 3);
    tree_refused(RESATTN_BAD_FORMAT, "attribute 'kernel_h' is there twice");
    tree_size = before;
    attribute("stride_h", 1, 0);
    tree_refused(RESATTN_BAD_FORMAT, "conv: stride_h is 0");
    tree_size = before;
    attribute("stride_h", 1, UINT64_C(1) << 63);
    tree_refused(RESATTN_BAD_FORMAT, "conv: stride_h is -9223372036854775808");
    tree_size = before;
    attribute("stride_h", 2, 0);
    tree_refused(RESATTN_BAD_FORMAT, "type 2");
    tree_size = before;
    attribute("stride_h", 3, 0);
    tree_refused(RESATTN_BAD_FORMAT, "type 3");
    begin_tree(2);
    layer("batch_norm", "bn", 1);
    attribute("epsilon", 2, UINT64_C(0x7FF8000000000000));
    tree_refused(RESATTN_BAD_FORMAT, "epsilon is nan");
    begin_tree(2);
    layer("relu", "", 0);
    tree_bytes[tree_size - 6] = 2;
    number(0, 4);
    tree_refused(RESATTN_BAD_FORMAT, "flags 2");
    tree_bytes[tree_size - 10] = 1;
    tree_refused(RESATTN_BAD_FORMAT, "flags 1");
}
END_TEST

START_TEST(deep_trees)
{
    for (int depth = 199; depth <= 300; depth += 101) {
        begin_tree(2);
        for (int i = 0; i < depth; i++) {
            layer("sum", "", 0);
            number(1, 4);
        }
        layer("relu", "", 0);
        number(0, 4);
        if (depth > 200) {
            tree_refused(RESATTN_TOO_LARGE, "the tree asks for 201, the limit 'depth' is 200");
            continue;
        }
        memcpy(sample->chunks[0].payload, tree_bytes, tree_size);
        sample->chunks[0].size = tree_size;
        while (sample->count > 3)
            blob_remove(sample, 2);
        check_loads();
    }
}
END_TEST

START_TEST(long_names)
{
    char name[1100];
    memset(name, 'n', sizeof name);
    name[1025] = '\0';
    begin_tree(2);
    layer("relu", name, 0);
    number(0, 4);
    tree_refused(RESATTN_TOO_LARGE, "the tree asks for 1025, the limit 'name' is 1024");
    name[600] = '\0';
    begin_tree(2);
    layer("sequential", name, 0);
    number(1, 4);
    layer("relu", name, 0);
    number(0, 4);
    tree_refused(RESATTN_BAD_FORMAT, "path");
    name[600] = 'n';
    name[1024] = '\0'; /* as long as one may be */
    begin_tree(2);
    layer("relu", name, 0);
    number(0, 4);
    memcpy(sample->chunks[0].payload, tree_bytes, tree_size);
    sample->chunks[0].size = tree_size;
    while (sample->count > 3)
        blob_remove(sample, 2);
    check_loads();
}
END_TEST

static Suite *damage_suite(void)
{
    Suite *suite = suite_create("blob damage");
    TCase *whole = tcase_create("whole"), *mended = tcase_create("mended");
    tcase_set_timeout(whole, 240);
    tcase_add_checked_fixture(whole, blob_set_up, blob_tear_down);
    tcase_add_test(whole, every_truncation);
    tcase_add_test(whole, every_flipped_bit);
    tcase_add_test(whole, damaged_as_a_text);
    suite_add_tcase(suite, whole);
    tcase_add_checked_fixture(mended, make_blob, free_blob);
    tcase_add_test(mended, versions_and_flags);
    tcase_add_test(mended, unknown_chunks);
    tcase_add_test(mended, chunks_twice);
    tcase_add_test(mended, chunks_missing);
    tcase_add_test(mended, wrong_total);
    tcase_add_test(mended, tensors);
    tcase_add_test(mended, numbers_of_values);
    tcase_add_test(mended, metadata_chunks);
    tcase_add_test(mended, trees);
    tcase_add_test(mended, attributes);
    tcase_add_test(mended, deep_trees);
    tcase_add_test(mended, long_names);
    suite_add_tcase(suite, mended);
    return suite;
}

int main(void)
{
    return test_run(damage_suite());
}
