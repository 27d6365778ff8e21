/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The golden files that are refused for their tree. Trees without parameters, so that nothing else is missing.
 */
#include "make_golden.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t features;

/* The tree that was written last, for `channels` channels, as a blob. */
static void put_tree(const char *name, resattn_status status, const char *words)
{
    static blob b;
    static const unsigned char header[HEADER] = {0x89, 'R', 'A', 'N', '\r', '\n', 0x1A, '\n', 1};
    static const unsigned char norm[16] = {0, 0, 0, 0, 0, 0, 0x80, 0x3F, 0, 0, 0, 0, 0, 0, 0x80, 0x3F};
    b.count = 0;
    memcpy(b.header, header, HEADER);
    blob_store(b.header + 16, features, 4);
    blob_insert(&b, 0, "TREE", tree_bytes, tree_size);
    blob_insert(&b, 1, "NORM", norm, sizeof norm);
    blob_insert(&b, 2, "DONE", "\0\0\0\0\0\0\0\0", 8);
    put_bad_blob(name, &b, status, words);
}

/* A whole layer without attributes. */
static void plain(const char *kind, const char *name, uint32_t children)
{
    layer(kind, name, 0);
    number(children, 4);
}

/* A tree of one layer. */
static void put_layer(const char *name, const char *kind, const char *layer_name, resattn_status status,
                      const char *words)
{
    begin_tree(2);
    plain(kind, layer_name, 0);
    put_tree(name, status, words);
}

static void put_kinds(void)
{
    put_layer("kind-unknown", "golden", "", RESATTN_UNSUPPORTED, "layer kind 'golden' is unknown");
    put_layer("kind-of-another-host", "x-another-host", "mine", RESATTN_UNSUPPORTED, "it is a host program's own");
    put_layer("kind-empty", "", "", RESATTN_UNSUPPORTED, "layer kind '' is unknown");
    put_layer("kind-not-utf8", "re\xFFlu", "", RESATTN_BAD_FORMAT, "the tree has a text that is not UTF-8");
}

static void put_names(void)
{
    char name[1100];
    put_layer("name-control-character", "relu", "a\nb", RESATTN_BAD_FORMAT, "the name 'a");
    put_layer("name-delete-character", "relu", "a\x7F", RESATTN_BAD_FORMAT, "the name 'a");
    put_layer("name-not-utf8", "relu", "\xC3(", RESATTN_BAD_FORMAT, "the tree has a text that is not UTF-8");
    put_layer("name-overlong-utf8", "relu", "\xC0\xAF", RESATTN_BAD_FORMAT, "the tree has a text that is not UTF-8");
    put_layer("name-surrogate", "relu", "\xED\xA0\x80", RESATTN_BAD_FORMAT, "the tree has a text that is not UTF-8");
    put_layer("name-begins-with-a-dot", "relu", ".a", RESATTN_BAD_FORMAT, "the name '.a'");
    put_layer("name-two-dots", "relu", "a..b", RESATTN_BAD_FORMAT, "the name 'a..b'");
    memset(name, 'n', sizeof name);
    name[1025] = '\0';
    put_layer("name-too-long", "relu", name, RESATTN_TOO_LARGE, "the tree asks for 1025, the limit 'name' is 1024");
    name[600] = '\0';
    begin_tree(2);
    plain("sequential", name, 1);
    plain("relu", name, 0);
    put_tree("path-too-long", RESATTN_BAD_FORMAT, "the path has 1201 bytes, expected at most 1024");
    begin_tree(2);
    plain("sequential", "", 2);
    plain("relu", "twin", 0);
    plain("sigmoid", "twin", 0);
    put_tree("name-twice", RESATTN_BAD_FORMAT, "twin: two");
    begin_tree(2);
    plain("sequential", "", 2);
    plain("relu", "", 0);
    plain("sigmoid", "relu1", 0);
    put_tree("name-of-an-unnamed-layer", RESATTN_BAD_FORMAT, "relu1: two");
}

static void put_attribute(const char *name, const char *kind, const char *attribute_name, int type, uint64_t value,
                          resattn_status status, const char *words)
{
    begin_tree(2);
    layer(kind, "a", 1);
    attribute(attribute_name, type, value);
    number(0, 4);
    put_tree(name, status, words);
}

static void put_attributes(void)
{
    const uint64_t nan_bits = UINT64_C(0x7FF8000000000000), one = UINT64_C(0x3FF0000000000000);
    put_attribute("attribute-unknown", "max_pool", "flavour", 1, 3, RESATTN_UNSUPPORTED,
                  "a: attribute 'flavour' of a max_pool is unknown");
    put_attribute("attribute-of-another-kind", "relu", "stride_h", 1, 2, RESATTN_UNSUPPORTED,
                  "a: attribute 'stride_h' of a relu is unknown");
    put_attribute("attribute-too-small", "max_pool", "stride_h", 1, 0, RESATTN_BAD_FORMAT, "a: stride_h is 0");
    put_attribute("attribute-too-large", "max_pool", "kernel_w", 1, UINT64_C(1) << 62, RESATTN_BAD_FORMAT,
                  "a: kernel_w is 4611686018427387904");
    put_attribute("attribute-negative", "max_pool", "pad_top", 1, UINT64_MAX, RESATTN_BAD_FORMAT, "a: pad_top is -1");
    put_attribute("attribute-nan", "scale", "factor", 2, nan_bits, RESATTN_BAD_FORMAT, "a: factor is nan");
    put_attribute("attribute-real-out-of-range", "dropout", "probability", 2, one, RESATTN_BAD_FORMAT,
                  "a: probability is 1");
    put_attribute("attribute-real-for-integer", "max_pool", "stride_h", 2, one, RESATTN_BAD_FORMAT,
                  "a: attribute 'stride_h' is of type 2, expected 1");
    put_attribute("attribute-integer-for-real", "scale", "factor", 1, 1, RESATTN_BAD_FORMAT,
                  "a: attribute 'factor' is of type 1, expected 2");
    put_attribute("attribute-type-unknown", "max_pool", "stride_h", 3, 1, RESATTN_BAD_FORMAT,
                  "a: attribute 'stride_h' is of type 3");
    put_attribute("attribute-of-a-host-out-of-range", "x-golden-gain", "sides", 1, 10, RESATTN_BAD_FORMAT,
                  "a: sides is 10");
    begin_tree(2);
    layer("max_pool", "a", 2);
    attribute("stride_h", 1, 2);
    attribute("stride_h", 1, 2);
    number(0, 4);
    put_tree("attribute-twice", RESATTN_BAD_FORMAT, "a: attribute 'stride_h' is there twice");
    begin_tree(2);
    layer("relu", "a", UINT32_MAX);
    number(0, 4);
    put_tree("attributes-too-many", RESATTN_BAD_FORMAT, "the tree ends too early");
}

/* A leaf with flags, and the bytes that it says are its instance. */
static void put_flags(const char *name, const char *kind, const char *layer_name, uint32_t flags, int64_t instance,
                      resattn_status status, const char *words)
{
    begin_tree(2);
    text(kind);
    number(flags, 1);
    text(layer_name);
    number(0, 4);
    if (instance >= 0)
        number((uint64_t)instance, 4);
    if (instance == 1)
        number('i', 1);
    number(0, 4);
    put_tree(name, status, words);
}

static void put_all_flags(void)
{
    put_flags("flag-unknown", "relu", "a", 4, -1, RESATTN_BAD_FORMAT, "a relu has flags 4");
    put_flags("flag-whole-path-without-name", "relu", "", 1, -1, RESATTN_BAD_FORMAT, "a relu has flags 1");
    put_flags("instance-denied-by-the-header", "x-golden-gain", "a", 2, 1, RESATTN_BAD_FORMAT,
              "which the header denies");
    features = 1;
    put_flags("instance-of-no-host", "relu", "a", 2, 1, RESATTN_BAD_FORMAT, "a relu has flags 2");
    put_flags("instance-empty", "x-golden-gain", "a", 2, 0, RESATTN_BAD_FORMAT, "an instance of 0 bytes");
    put_flags("instance-too-large", "x-golden-gain", "a", 2, (1 << 24) + 1, RESATTN_TOO_LARGE, "of 16777217 bytes");
    put_flags("instance-beyond-the-tree", "x-golden-gain", "a", 2, 1000, RESATTN_BAD_FORMAT, "the tree ends too early");
    features = 0;
}

static void put_children(void)
{
    begin_tree(2);
    plain("relu", "", 1);
    plain("relu", "", 0);
    put_tree("children-of-a-leaf", RESATTN_BAD_FORMAT, "a relu takes 0 children");
    put_layer("children-none", "sequential", "a", RESATTN_BAD_FORMAT, "a sequential with 0 children");
    begin_tree(2);
    plain("sum", "a", UINT32_MAX);
    plain("relu", "", 0);
    put_tree("children-too-many", RESATTN_BAD_FORMAT, "a has 4294967295 children, more than bytes are left for");
    begin_tree(2);
    plain("sequential", "a", 2);
    plain("relu", "name that is long enough", 0);
    put_tree("children-one-missing", RESATTN_BAD_FORMAT, "the tree ends within a text");
    put_layer("attention-without-branches", "attention", "a", RESATTN_BAD_FORMAT,
              "a: the attention module has no trunk");
    begin_tree(2);
    plain("attention", "a", 1);
    plain("relu", "", 0);
    put_tree("attention-without-mask", RESATTN_BAD_FORMAT, "a: the attention module has no mask");
    begin_tree(2);
    plain("attention", "a", 3);
    for (int i = 0; i < 3; i++)
        plain("relu", "", 0);
    put_tree("attention-three-branches", RESATTN_BAD_FORMAT, "takes 2 children");
    begin_tree(2);
    plain("down_up", "a", 3);
    for (int i = 0; i < 3; i++)
        plain("relu", "", 0);
    put_tree("down-up-does-not-come-up", RESATTN_BAD_FORMAT, "to come back up");
    begin_tree(2);
    plain("sum", "a", 2);
    plain("relu", "", 0);
    layer("subsample", "", 1);
    attribute("out_channels", 1, 4);
    number(0, 4);
    put_tree("channels-differ", RESATTN_BAD_FORMAT, "a: subsample gives 4 channels, relu gives 2");
}

static void put_deep(void)
{
    begin_tree(2);
    for (int i = 0; i < 200; i++)
        plain("sum", "", 1);
    plain("relu", "", 0);
    put_tree("tree-too-deep", RESATTN_TOO_LARGE, "the tree asks for 201, the limit 'depth' is 200");
}

/* Parameters of which hardly any byte is there. */
static void put_claims(void)
{
    const struct {
        const char *name;
        uint32_t channels;
        uint64_t out, kernel;
        resattn_status status;
        const char *words;
    } claims[] = {{"elements-missing", 2, 1 << 10, 100, RESATTN_BAD_FORMAT, "truncated: what the tree declares"},
                  {"elements-over-the-limit", 2, 1 << 14, 1 << 10, RESATTN_TOO_LARGE, "the limit 'elements' is"},
                  {"elements-overflow", 1 << 24, 1 << 24, 1 << 12, RESATTN_TOO_LARGE, "more elements than fit a size"}};
    for (int i = 0; i < 3; i++) {
        begin_tree(claims[i].channels);
        conv("a", claims[i].out, claims[i].kernel, 0);
        number(0, 4);
        put_tree(claims[i].name, claims[i].status, claims[i].words);
    }
}

void make_bad_trees(void)
{
    put_kinds();
    put_names();
    put_attributes();
    put_all_flags();
    put_children();
    put_deep();
    put_claims();
}
