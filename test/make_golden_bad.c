/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The golden files that are refused: each is in order but for one thing, its checksums too unless they are that.
 */
#include "make_golden.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/* linear "fc" from 2 channels to 2 without a bias, uncompressed, with all chunks of a network; or a checkpoint of it.
 */
static blob whole, changed;

static void set_whole(void *bytes, size_t size)
{
    blob_split(&whole, bytes, size);
    resattn_buffer_free(bytes);
}

static void make_whole(bool has_statistics)
{
    resattn_builder *b = resattn_builder_new(context);
    resattn_layer *layer = has_statistics ? resattn_batch_norm_new(b, "bn") : resattn_linear_new(b, "fc", 2);
    NEED(has_statistics || resattn_layer_set_int(layer, "bias", 0) == RESATTN_OK);
    resattn_network *network = finish_network(b, layer, 2);
    NEED(resattn_network_set_classes(network, (const char *[]){"a", "b"}, 2) == RESATTN_OK);
    NEED(resattn_network_set_input_size(network, 1, 1) == RESATTN_OK);
    NEED(resattn_network_set_text(network, "name", "bad") == RESATTN_OK);
    void *bytes;
    size_t size;
    NEED(resattn_network_save_buffer(network, 0, &bytes, &size) == RESATTN_OK);
    resattn_network_unref(network);
    set_whole(bytes, size);
}

static int find_nth(const char *type, int nth)
{
    int index = blob_find(&whole, type);
    NEED(index >= 0 && strcmp(whole.chunks[index + nth].type, type) == 0);
    return index + nth;
}

/* ---- bytes that are changed in a chunk ---- */

typedef struct patch {
    const char *name, *type;
    int nth;
    size_t at;
    uint64_t value;
    int count;
    resattn_status status;
    const char *words;
} patch;

static void put_patches(const patch *patches, size_t count)
{
    for (const patch *p = patches; p < patches + count; p++) {
        changed = whole;
        blob_chunk *c = &changed.chunks[find_nth(p->type, p->nth)];
        NEED(p->at + (size_t)p->count <= c->size);
        blob_store(c->payload + p->at, p->value, p->count);
        put_bad_blob(p->name, &changed, p->status, p->words);
    }
}

/* fc.weight's name begins at 20, its stream at 30: the header 2, the block's 5, the values 16, the check 4. */
static const patch patches[] = {
    {"tensor-type-unknown", "TENS", 0, 0, 255, 1, RESATTN_UNSUPPORTED, "fc.weight: element type 255"},
    {"tensor-type-0", "TENS", 0, 0, 0, 1, RESATTN_UNSUPPORTED, "fc.weight: element type 0"},
    {"tensor-encoding-unknown", "TENS", 0, 1, 255, 1, RESATTN_UNSUPPORTED, "fc.weight: element type 1, encoding 255.0"},
    {"tensor-reserved-byte", "TENS", 0, 3, 1, 1, RESATTN_UNSUPPORTED, "fc.weight: element type 1, encoding 1.1"},
    {"tensor-rank-0", "TENS", 0, 2, 0, 1, RESATTN_BAD_FORMAT, "rank 0"},
    {"tensor-rank-5", "TENS", 0, 2, 5, 1, RESATTN_BAD_FORMAT, "rank 5"},
    {"tensor-shape", "TENS", 0, 4, 3, 8, RESATTN_BAD_FORMAT, "fc.weight: shape 3x2 in the file, 2x2 in the tree"},
    {"tensor-shape-huge", "TENS", 0, 4, UINT64_MAX, 8, RESATTN_BAD_FORMAT, "fc.weight: shape"},
    {"tensor-not-in-the-tree", "TENS", 0, 20, 'F', 1, RESATTN_BAD_FORMAT, "Fc.weight: the tree has no such parameter"},
    {"tensor-name-not-utf8", "TENS", 0, 20, 0xFF, 1, RESATTN_BAD_FORMAT,
     "the head of a tensor has a text that is not UTF-8"},
    {"tensor-f16-with-f32-values", "TENS", 0, 0, 2, 1, RESATTN_BAD_FORMAT, "fc.weight: damaged: more values"},
    {"zlib-header", "TENS", 0, 30, 0, 2, RESATTN_BAD_FORMAT, "fc.weight: damaged: zlib says"},
    {"zlib-dictionary", "TENS", 0, 30, 0x2078, 2, RESATTN_BAD_FORMAT, "fc.weight: damaged: zlib says"},
    {"zlib-block-type", "TENS", 0, 32, 7, 1, RESATTN_BAD_FORMAT, "fc.weight: damaged: zlib says"},
    {"zlib-block-length", "TENS", 0, 35, 0, 2, RESATTN_BAD_FORMAT, "fc.weight: damaged: zlib says"},
    {"zlib-not-the-last-block", "TENS", 0, 32, 0, 1, RESATTN_BAD_FORMAT, "fc.weight: damaged"},
    {"zlib-check", "TENS", 0, 53, 0, 4, RESATTN_BAD_FORMAT, "fc.weight: damaged: zlib says"},
    {"norm-deviation-0", "NORM", 0, 4, 0, 4, RESATTN_BAD_FORMAT, "deviation 0 is 0"},
    {"norm-deviation-negative", "NORM", 0, 12, 0xBF800000, 4, RESATTN_BAD_FORMAT, "deviation 1 is -1"},
    {"norm-deviation-infinite", "NORM", 0, 4, 0x7F800000, 4, RESATTN_BAD_FORMAT, "deviation 0 is inf"},
    {"norm-mean-nan", "NORM", 0, 0, 0x7FC00000, 4, RESATTN_BAD_FORMAT, "mean 0 is nan"},
    {"size-0", "size", 0, 0, 0, 4, RESATTN_BAD_FORMAT, "input size 0 x 1"},
    {"size-too-large", "size", 0, 4, (1 << 24) + 1, 4, RESATTN_BAD_FORMAT, "input size 1 x 16777217"},
    {"classes-not-utf8", "clas", 0, 0, 0xFF, 1, RESATTN_BAD_FORMAT, "the class names has a text that is not UTF-8"},
    {"classes-one-too-many", "clas", 0, 0, 0, 1, RESATTN_BAD_FORMAT, "the class names is followed by 2 bytes"},
    {"text-not-utf8", "text", 0, 0, 0xC0, 1, RESATTN_BAD_FORMAT, "a text has a text that is not UTF-8"},
    {"text-key-ends-early", "text", 0, 1, 0, 1, RESATTN_BAD_FORMAT, "a text is followed by 4 bytes"},
    {"done-another-length", "DONE", 0, 0, KEEP_TOTAL, 8, RESATTN_BAD_FORMAT, "it says that it has"},
    {"tree-channels-0", "TREE", 0, 0, 0, 4, RESATTN_BAD_FORMAT, "0 input channels"},
    {"tree-channels-too-many", "TREE", 0, 0, (1 << 24) + 1, 4, RESATTN_BAD_FORMAT, "16777217 input channels"},
};

static const patch statistic_patches[] = {
    {"tensor-statistic-f16", "TENS", 2, 0, 2, 1, RESATTN_BAD_FORMAT, "as it is a statistic"},
};

/* ---- payloads that are longer or shorter ---- */

static const struct {
    const char *name, *type;
    int change;
    resattn_status status;
    const char *words;
} sizes[] = {
    {"tree-too-long", "TREE", 1, RESATTN_BAD_FORMAT, "the tree is followed by 1 bytes"},
    {"tree-too-short", "TREE", -1, RESATTN_BAD_FORMAT, "the tree ends too early"},
    {"norm-too-long", "NORM", 8, RESATTN_BAD_FORMAT, "another number of channels"},
    {"norm-too-short", "NORM", -8, RESATTN_BAD_FORMAT, "another number of channels"},
    {"size-too-long", "size", 4, RESATTN_BAD_FORMAT, "the input size is followed by 4 bytes"},
    {"size-too-short", "size", -4, RESATTN_BAD_FORMAT, "the input size ends too early"},
    {"classes-too-few", "clas", -2, RESATTN_BAD_FORMAT, "the class names ends within a text"},
    {"classes-none", "clas", -4, RESATTN_BAD_FORMAT, "too few class names"},
    {"text-cut", "text", -1, RESATTN_BAD_FORMAT, "a text ends within a text"},
    {"text-without-value", "text", -4, RESATTN_BAD_FORMAT, "a text ends within a text"},
    {"text-too-long", "text", 1, RESATTN_BAD_FORMAT, "a text is followed by 1 bytes"},
    {"tensor-without-values", "TENS", -27, RESATTN_BAD_FORMAT, "fc.weight: damaged: fewer values"},
    {"tensor-bytes-follow", "TENS", 1, RESATTN_BAD_FORMAT, "fc.weight: damaged: 1 bytes follow"},
    {"tensor-cut-in-the-stream", "TENS", -1, RESATTN_BAD_FORMAT, "fc.weight: damaged: fewer values"},
    {"tensor-cut-in-the-name", "TENS", -33, RESATTN_BAD_FORMAT, "the head of a tensor ends within a text"},
    {"tensor-cut-in-the-shape", "TENS", -40, RESATTN_BAD_FORMAT, "the head of a tensor ends too early"},
    {"tensor-empty", "TENS", -57, RESATTN_BAD_FORMAT, "the head of a tensor ends too early"},
    {"done-too-long", "DONE", 1, RESATTN_BAD_FORMAT, "the end is followed by 1 bytes"},
    {"done-too-short", "DONE", -1, RESATTN_BAD_FORMAT, "the end ends too early"},
};

static void put_sizes(void)
{
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        changed = whole;
        blob_chunk *c = &changed.chunks[find_nth(sizes[i].type, 0)];
        c->size = (size_t)((int)c->size + sizes[i].change);
        put_bad_blob(sizes[i].name, &changed, sizes[i].status, sizes[i].words);
    }
}

/* ---- chunks that are missing, twice, elsewhere, unknown ---- */

static void put_missing(const char *name, const char *type, const char *words)
{
    changed = whole;
    blob_remove(&changed, find_nth(type, 0));
    put_bad_blob(name, &changed, RESATTN_BAD_FORMAT, words);
}

static void put_inserted(const char *name, int index, const char *type, const void *payload, size_t size,
                         resattn_status status, const char *words)
{
    changed = whole;
    blob_insert(&changed, index, type, payload, size);
    put_bad_blob(name, &changed, status, words);
}

static void put_twice(const char *name, const char *type, const char *words)
{
    const blob_chunk *first = &whole.chunks[find_nth(type, 0)];
    put_inserted(name, whole.count - 1, type, first->payload, first->size, RESATTN_BAD_FORMAT, words);
}

static void put_chunks(void)
{
    char key[1100] = "";
    put_missing("tree-missing", "TREE", "before the tree");
    put_missing("norm-missing", "NORM", "the normalization is missing");
    put_missing("tensor-missing", "TENS", "tensor fc.weight is missing");
    put_missing("done-missing", "DONE", "truncated: a chunk at byte 273");
    put_twice("tree-twice", "TREE", "is a second tree");
    put_twice("norm-twice", "NORM", "normalization twice");
    put_twice("size-twice", "size", "the second one");
    put_twice("classes-twice", "clas", "class names twice");
    put_twice("text-twice", "text", "text 'name' twice");
    put_twice("tensor-twice", "TENS", "tensor fc.weight twice");
    changed = whole;
    blob_remove(&changed, 1);
    blob_insert(&changed, 0, "NORM", whole.chunks[1].payload, whole.chunks[1].size);
    put_bad_blob("norm-before-the-tree", &changed, RESATTN_BAD_FORMAT, "comes before the tree");
    put_inserted("chunk-unknown", 2, "ABCD", "abc", 3, RESATTN_UNSUPPORTED, "chunk ABCD");
    put_inserted("chunk-unknown-before-the-tree", 0, "Abcd", "", 0, RESATTN_UNSUPPORTED, "chunk Abcd");
    put_inserted("chunk-no-letters", 2, "ab1d", "", 0, RESATTN_BAD_FORMAT, "no chunk at byte");
    put_inserted("chunk-after-the-end", whole.count, "optm", "", 0, RESATTN_BAD_FORMAT, "it says that it has");
    put_inserted("text-key-empty", 2, "text", "\0value", 7, RESATTN_BAD_FORMAT, "text: the key is empty");
    put_inserted("text-nothing", 2, "text", "", 0, RESATTN_BAD_FORMAT, "a text ends within a text");
    memset(key, 'k', 1025);
    put_inserted("text-key-too-long", 2, "text", key, 1027, RESATTN_TOO_LARGE, "the limit 'name' is 1024");
}

/* ---- values that are too many or too few ---- */

static void put_values(void)
{
    static const unsigned char values[65536];
    static const struct {
        const char *name;
        uLong size;
        const char *words;
    } cases[] = {{"values-too-few", 15, "fc.weight: damaged: fewer values"},
                 {"values-too-many", 17, "fc.weight: damaged: more values"},
                 {"values-without-end", sizeof values, "fc.weight: damaged: more values"},
                 {"values-none", 0, "fc.weight: damaged: fewer values"}};
    for (int i = 0; i < 4; i++) {
        changed = whole;
        blob_chunk *c = &changed.chunks[find_nth("TENS", 0)];
        uLongf packed = MOST_PAYLOAD - 30;
        NEED(compress(c->payload + 30, &packed, values, cases[i].size) == Z_OK);
        c->size = 30 + packed;
        put_bad_blob(cases[i].name, &changed, RESATTN_BAD_FORMAT, cases[i].words);
    }
}

/* ---- headers, checksums, ends ---- */

static void put_header(const char *name, size_t at, uint32_t value, resattn_status status, const char *words)
{
    changed = whole;
    blob_store(changed.header + at, value, 4);
    put_bad_blob(name, &changed, status, words);
}

static void put_headers(void)
{
    put_header("version-0", 8, 0, RESATTN_BAD_FORMAT, "format 0");
    put_header("version-last", 8, UINT32_MAX, RESATTN_UNSUPPORTED, "made by a later version (format 4294967295");
    put_header("version-2", 8, 2, RESATTN_UNSUPPORTED, "made by a later version (format 2");
    put_header("feature-unknown", 16, 0x80000000, RESATTN_UNSUPPORTED,
               "made by a later version (with features 0x80000000)");
    put_header("magic", 0, 0x474E5089, RESATTN_BAD_FORMAT, "not a libresattn blob");
    put_header("magic-seven-bits", 0, 0x4E415209, RESATTN_BAD_FORMAT, "not a libresattn blob");
    put_header("magic-line-ends", 4, 0x0A1A0A0A, RESATTN_BAD_FORMAT, "line ends");
    put_bad("empty", "", 0, RESATTN_BAD_FORMAT, "truncated: the header at byte 0");
}

/* One byte of the file as it is stored, which is in the chunk of number `index`, after its first 12. */
static void put_flipped(const char *name, int index, size_t at, const char *words)
{
    size_t size, begin = HEADER;
    unsigned char *bytes = blob_join(&whole, &size);
    for (int i = 0; i < index; i++)
        begin += 16 + whole.chunks[i].size;
    bytes[index < 0 ? at : begin + 12 + at] ^= 1;
    put_bad(name, bytes, size, RESATTN_BAD_FORMAT, words);
    free(bytes);
}

static void put_cut(const char *name, const unsigned char *bytes, size_t size, const char *words)
{
    put_bad(name, bytes, size, RESATTN_BAD_FORMAT, words);
}

static void put_bytes(void)
{
    size_t size;
    unsigned char *bytes = blob_join(&whole, &size);
    size_t tree = whole.chunks[0].size, tensor = HEADER;
    for (int i = 0; i < find_nth("TENS", 0); i++)
        tensor += 16 + whole.chunks[i].size;
    put_cut("cut-in-the-magic", bytes, 5, "truncated: the header at byte 0 needs 8");
    put_cut("cut-in-the-header", bytes, 20, "truncated: the header at byte 0 needs 24");
    put_cut("cut-after-the-header", bytes, HEADER, "truncated: a chunk at byte 24");
    put_cut("cut-in-a-chunk-head", bytes, HEADER + 7, "truncated: a chunk at byte 24");
    put_cut("cut-in-the-tree", bytes, HEADER + 40, "truncated: the tree at byte 36");
    put_cut("cut-after-the-tree", bytes, HEADER + 16 + tree, "truncated: what the tree declares");
    put_cut("cut-in-a-tensor", bytes, tensor + 40, "truncated: chunk TENS");
    put_cut("cut-before-a-checksum", bytes, tensor + 12 + 57, "truncated: a checksum");
    put_cut("cut-before-the-end", bytes, size - 24, "truncated: a chunk at byte 273");
    put_cut("cut-by-a-byte", bytes, size - 1, "truncated: the end at byte 285");
    unsigned char *longer = calloc(size + 1, 1);
    NEED(longer != NULL);
    memcpy(longer, bytes, size);
    put_bad("trailing-byte", longer, size + 1, RESATTN_BAD_FORMAT, "something follows");
    blob_store(bytes + tensor + 4, UINT64_C(1) << 40, 8);
    put_cut("length-beyond-the-end", bytes, size, "truncated: chunk TENS");
    blob_store(bytes + tensor + 4, UINT64_MAX, 8);
    put_cut("length-of-all-ones", bytes, size, "truncated: chunk TENS");
    free(longer);
    free(bytes);
    put_flipped("checksum-of-the-header", -1, 21, "checksum of the header");
    put_flipped("checksum-of-the-tree", 0, tree + 1, "checksum of chunk TREE");
    put_flipped("checksum-of-the-norm", 1, 0, "checksum of chunk NORM");
    put_flipped("checksum-of-a-tensor", find_nth("TENS", 0), 57, "checksum of chunk TENS");
    put_flipped("checksum-of-the-end", whole.count - 1, 8, "checksum of chunk DONE");
    blob_insert(&whole, 1, "optm", "unknown", 7);
    put_flipped("checksum-of-an-unknown-chunk", 1, 3, "checksum of chunk optm");
    blob_remove(&whole, 1);
}

/* ---- checkpoints ---- */

/* The layout 4, "adamw" 6, a type 1, the norm 8, an average 1, its decay 8, a number 4, attributes from 32 on. */
static const patch state_patches[] = {
    {"checkpoint-layout-unknown", "trai", 0, 0, UINT32_MAX, 4, RESATTN_UNSUPPORTED,
     "layout 4294967295, this library reads 1"},
    {"checkpoint-optimizer-unknown", "trai", 0, 4, 'A', 1, RESATTN_UNSUPPORTED, "the optimizer 'Adamw' is unknown"},
    {"checkpoint-type-unknown", "trai", 0, 10, 4, 1, RESATTN_BAD_FORMAT, "number type is 4"},
    {"checkpoint-averages-2", "trai", 0, 19, 2, 1, RESATTN_BAD_FORMAT, "2 averages"},
    {"checkpoint-average-denied", "trai", 0, 19, 0, 1, RESATTN_BAD_FORMAT, "the average of fc.weight"},
    {"checkpoint-decay-1", "trai", 0, 20, UINT64_C(0x3FF0000000000000), 8, RESATTN_BAD_FORMAT, "decay 1"},
    {"checkpoint-attribute-unknown", "trai", 0, 32, 'R', 1, RESATTN_UNSUPPORTED, "'Rate' of adamw is unknown"},
    {"checkpoint-attribute-nan", "trai", 0, 37, UINT64_C(0x7FF8000000000000), 8, RESATTN_BAD_FORMAT, "rate is nan"},
    {"checkpoint-moment-type-f16", "mome", 0, 1, 2, 1, RESATTN_BAD_FORMAT, "element type 2, expected 1"},
    {"checkpoint-moment-number", "mome", 0, 0, 2, 1, RESATTN_BAD_FORMAT, "a state of fc.weight, which"},
    {"checkpoint-moment-shape", "mome", 0, 5, 3, 8, RESATTN_BAD_FORMAT, "fc.weight: shape 3x2 in the file, 2x2"},
    {"checkpoint-moment-zlib", "mome", 0, 31, 0, 2, RESATTN_BAD_FORMAT, "fc.weight: damaged: zlib says"},
    {"checkpoint-average-type", "aver", 0, 0, 255, 1, RESATTN_UNSUPPORTED, "element type 255"},
    {"checkpoint-average-of-nothing", "aver", 0, 20, 'F', 1, RESATTN_BAD_FORMAT, "the parameter Fc.weight"},
};

static void put_checkpoints(void)
{
    size_t size;
    void *bytes = make_checkpoint(true, false, &size);
    set_whole(bytes, size);
    put_patches(state_patches, sizeof state_patches / sizeof *state_patches);
    const blob_chunk *state = &whole.chunks[find_nth("trai", 0)];
    const size_t own = state->size - 32; /* steps 8, a factor 8, its path 4, another one */
    const patch more[] = {
        {"checkpoint-parameters", "trai", 0, own - 4, 3, 4, RESATTN_BAD_FORMAT,
         "of 3 trained parameters, the network has 1"},
        {"checkpoint-steps", "trai", 0, own, UINT64_MAX, 8, RESATTN_BAD_FORMAT, "after 18446744073709551615 steps"},
        {"checkpoint-factor", "trai", 0, own + 8, UINT64_C(0xBFF0000000000000), 8, RESATTN_BAD_FORMAT, "factor of fc"},
        {"checkpoint-path", "trai", 0, own + 16, 1, 4, RESATTN_BAD_FORMAT, "a path of 1 bytes"},
    };
    put_patches(more, sizeof more / sizeof *more);
    put_missing("checkpoint-without-state", "trai", "does not tell of");
    put_missing("checkpoint-moment-missing", "mome", "holds no state of it");
    put_missing("checkpoint-average-missing", "aver", "holds no average of it");
    put_twice("checkpoint-state-twice", "trai", "the state of the training twice");
    put_twice("checkpoint-moment-twice", "mome", "a state of fc.weight twice");
    put_twice("checkpoint-average-twice", "aver", "the average of fc.weight twice");
    changed = whole;
    changed.chunks[find_nth("trai", 0)].size--;
    put_bad_blob("checkpoint-state-cut", &changed, RESATTN_BAD_FORMAT, "ends too early");
    make_whole(false);
    changed = whole;
    put_bad_blob("checkpoint-of-no-training", &changed, RESATTN_NOT_FOUND, "no state of a training");
}

void make_bad(void)
{
    make_whole(true);
    put_patches(statistic_patches, sizeof statistic_patches / sizeof *statistic_patches);
    make_whole(false);
    put_headers();
    put_bytes();
    put_chunks();
    put_sizes();
    put_patches(patches, sizeof patches / sizeof *patches);
    put_values();
    put_checkpoints();
}
