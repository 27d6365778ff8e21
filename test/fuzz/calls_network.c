/* SPDX-License-Identifier: BSD-3-Clause */
/* Random calls: what networks tell and are told; blobs and weights. */
#include "calls.h"

#include <string.h>

#define COUNT(array) (uint32_t)(sizeof(array) / sizeof *(array))

enum { NAMES = 8 };

static void share(calls *c)
{
    resattn_network *network = PICK(c, networks);
    FUZZ_CHECK(resattn_network_ref(network) == network, "ref");
    resattn_network_unref(network);
}

static void copy(calls *c)
{
    keep_network(c, fuzz_made(resattn_network_copy(PICK(c, networks))));
}

static void drop(calls *c)
{
    uint32_t slot = fuzz_byte(&c->in) % SLOTS;
    resattn_network_unref(c->networks[slot]);
    c->networks[slot] = NULL;
}

static void initialize(calls *c)
{
    fuzz_ok(resattn_network_initialize(PICK(c, networks), fuzz_u32(&c->in)));
}

static void seal(calls *c)
{
    resattn_network *network = PICK(c, networks);
    fuzz_ok(resattn_network_seal(network));
    (void)resattn_network_is_sealed(network);
}

static void ask(calls *c)
{
    const resattn_network *network = PICK(c, networks);
    int32_t index = fuzz_int(&c->in);
    (void)resattn_network_in_channels(network);
    (void)resattn_network_out_channels(network);
    (void)resattn_network_layer(network, pick_path(c, network));
    (void)resattn_network_find_parameter(network, pick_path(c, network));
    (void)resattn_network_parameter_name(network, index);
    (void)resattn_network_parameter_kind(network, index);
    (void)resattn_network_attention(network, index);
    (void)resattn_network_class_name(network, index);
    (void)resattn_network_mean(network, index);
    (void)resattn_network_deviation(network, index);
    (void)resattn_network_text_key(network, index);
    (void)resattn_network_text(network, fuzz_name(&c->in));
    (void)resattn_network_trainable_values(network);
    (void)resattn_layer_attribute_type(resattn_network_root(network), index);
}

static void set_classes(calls *c)
{
    const char *names[NAMES];
    for (int i = 0; i < NAMES; i++)
        names[i] = i < 3 ? fuzz_name(&c->in) : "class";
    resattn_network *network = PICK(c, networks);
    int32_t channels = resattn_network_out_channels(network);
    int32_t count = fuzz_chance(&c->in, 128) && channels <= NAMES ? channels : fuzz_range(&c->in, -2, NAMES);
    fuzz_ok(resattn_network_set_classes(network, fuzz_chance(&c->in, 8) ? NULL : names, count));
}

static void set_normalization(calls *c)
{
    float mean[NAMES] = {(float)fuzz_real(&c->in)}, deviation[NAMES] = {1, 1, 1, 1, 1, 1, (float)fuzz_real(&c->in), 1};
    resattn_network *network = PICK(c, networks);
    fuzz_ok(resattn_network_set_normalization(network, fuzz_chance(&c->in, 16) ? NULL : mean,
                                              fuzz_chance(&c->in, 16) ? NULL : deviation,
                                              fuzz_range(&c->in, -1, NAMES)));
    fuzz_ok(resattn_network_set_input_size(network, fuzz_int(&c->in), fuzz_int(&c->in)));
}

static void set_text(calls *c)
{
    const char *key = fuzz_name(&c->in), *value = fuzz_name(&c->in);
    resattn_network *network = PICK(c, networks);
    fuzz_ok(resattn_network_set_text(network, key, value));
    fuzz_ok(resattn_network_set_storage(network, (resattn_dtype)fuzz_range(&c->in, 0, 5)));
}

static void touch(calls *c)
{
    fuzz_ok(resattn_network_touch(PICK(c, networks)));
}

static void save(calls *c)
{
    resattn_network *network = PICK(c, networks);
    c->saved.size = 0;
    fuzz_ok(resattn_network_save_stream(network, fuzz_range(&c->in, -1, 10),
                                        fuzz_chance(&c->in, 4) ? NULL : fuzz_sink_write, &c->saved));
    void *bytes = NULL;
    size_t size = 0;
    if (fuzz_ok(resattn_network_save_buffer(network, fuzz_range(&c->in, -1, 3), fuzz_chance(&c->in, 4) ? NULL : &bytes,
                                            &size)))
        resattn_buffer_free(bytes);
}

static void load(calls *c)
{
    fuzz_stream stream = {.bytes = c->saved.bytes, .size = c->saved.size, .piece = fuzz_byte(&c->in)};
    keep_network(c, fuzz_made(fuzz_chance(&c->in, 128)
                                  ? resattn_network_load_stream(pick_context(c), fuzz_stream_read, &stream)
                                  : resattn_network_load_buffer(pick_context(c), c->saved.bytes, c->saved.size)));
}

/* Into another network, which may have other parameters. */
static void weights(calls *c)
{
    const char *path = fuzz_file("", 0);
    resattn_weights_report *report = NULL;
    if (!fuzz_ok(resattn_network_save_weights(PICK(c, networks), path, (resattn_dtype)fuzz_range(&c->in, 0, 4))))
        return;
    fuzz_ok(
        resattn_network_load_weights(PICK(c, networks), path, fuzz_name(&c->in), fuzz_range(&c->in, -1, 4), &report));
    for (int32_t i = resattn_weights_report_count(report); i >= -1; i--) {
        (void)resattn_weights_report_problem(report, i);
        (void)resattn_weights_report_name(report, i);
        (void)resattn_weights_report_text(report, i);
    }
    resattn_weights_report_free(report);
}

const call_fn network_calls[] = {share,    copy,  copy, drop, initialize, seal, ask, set_classes, set_normalization,
                                 set_text, touch, save, load, weights};
const uint32_t network_call_count = COUNT(network_calls);
