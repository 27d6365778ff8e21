/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Probing blobs, checkpoints and safetensors files. The first byte says how: 1: checksums are mended; 2: through a
 * callback, in pieces; 4: from a file; 8: under a limit, which the second byte chooses, and the third one sets; 16: an
 * allocation fails, which one the second byte says. The file follows. A blob that loads must be probed as well, and
 * what the probe says of it must be true.
 */
#include "fuzz.h"

#include <string.h>

enum { OPTIONS = 3, LIMIT = 64 << 20 };

static resattn_probe *probe_file(resattn_context *context, uint32_t options, const uint8_t *file, size_t size)
{
    if (options & 4)
        return resattn_probe_new(context, fuzz_file(file, size));
    if (!(options & 2))
        return resattn_probe_new_buffer(context, file, size);
    fuzz_stream stream = {.bytes = file, .size = size, .piece = options >> 5};
    return resattn_probe_new_stream(context, fuzz_stream_read, &stream);
}

static void read_probe(const resattn_probe *probe)
{
    for (int32_t fact = -1; fact <= 20; fact++)
        FUZZ_CHECK(resattn_probe_number(probe, (resattn_probe_fact)fact) >= 0, "fact %d", (int)fact);
    for (int32_t i = 0; resattn_probe_text_key(probe, i); i++)
        FUZZ_CHECK(resattn_probe_text(probe, resattn_probe_text_key(probe, i)), "text %d", (int)i);
    int64_t tensors = resattn_probe_number(probe, RESATTN_PROBE_TENSORS);
    for (int32_t i = 0; i < tensors; i++) {
        FUZZ_CHECK(resattn_probe_tensor_name(probe, i), "tensor %d", (int)i);
        for (int32_t d = -1; d <= resattn_probe_tensor_rank(probe, i); d++)
            FUZZ_CHECK(resattn_probe_tensor_size(probe, i, d) >= 0, "size %d of tensor %d", (int)d, (int)i);
    }
    (void)resattn_probe_optimizer(probe);
}

static void compare_facts(const resattn_probe *probe, const resattn_network *network)
{
    const int64_t facts[][2] = {
        {RESATTN_PROBE_TENSORS, resattn_network_parameter_count(network)},
        {RESATTN_PROBE_TRAINABLE_VALUES, resattn_network_trainable_values(network)},
        {RESATTN_PROBE_ATTENTIONS, resattn_network_attention_count(network)},
        {RESATTN_PROBE_IN_CHANNELS, resattn_network_in_channels(network)},
        {RESATTN_PROBE_OUT_CHANNELS, resattn_network_out_channels(network)},
        {RESATTN_PROBE_INPUT_HEIGHT, resattn_network_input_height(network)},
        {RESATTN_PROBE_INPUT_WIDTH, resattn_network_input_width(network)},
        {RESATTN_PROBE_CLASSES, resattn_network_class_count(network)},
    };
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
        int64_t told = resattn_probe_number(probe, (resattn_probe_fact)facts[i][0]);
        FUZZ_CHECK(told == facts[i][1], "fact %d is %lld, the network has %lld", (int)facts[i][0], (long long)told,
                   (long long)facts[i][1]);
    }
    for (int32_t i = 0; i < resattn_network_parameter_count(network); i++)
        FUZZ_CHECK(strcmp(resattn_probe_tensor_name(probe, i), resattn_network_parameter_name(network, i)) == 0,
                   "tensor %d", (int)i);
}

/* The state of a training, which loading a network passes over, may be wrong. */
static bool has_state(const uint8_t *file, size_t size)
{
    for (size_t i = 0; i + 4 <= size; i++)
        if (memcmp(file + i, "trai", 4) == 0)
            return true;
    return false;
}

static void load(resattn_context *context, const resattn_probe *probe, const uint8_t *file, size_t size,
                 fuzz_heap *heap)
{
    size_t before = heap->now;
    heap->most = heap->now;
    resattn_network *network = fuzz_made(resattn_network_load_buffer(context, file, size));
    int64_t memory = (int64_t)(heap->most - before), told = resattn_probe_number(probe, RESATTN_PROBE_MEMORY);
    if (network) {
        FUZZ_CHECK(probe || has_state(file, size), "what is not probed loads");
        if (probe) {
            compare_facts(probe, network);
            FUZZ_CHECK(memory <= told, "loading takes %lld bytes, the probe said %lld", (long long)memory,
                       (long long)told);
        }
    }
    resattn_network_unref(network);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    if (size < OPTIONS)
        return 0;
    uint32_t options = bytes[0];
    size_t file_size = size - OPTIONS;
    uint8_t *file = fuzz_own_blob(bytes + OPTIONS, file_size, options & 1);
    fuzz_heap heap = {.limit = LIMIT};
    resattn_context *context = fuzz_context_new(&heap, 1);
    resattn_limit limit =
        (resattn_limit)(options & 8 ? RESATTN_LIMIT_PARAMETERS + bytes[1] % 13 : RESATTN_LIMIT_TENSORS);
    if (options & 8)
        fuzz_ok(resattn_context_set_limit(context, limit, bytes[2]));
    heap.fail_at = options & 16 ? bytes[1] + 1 : 0;
    resattn_probe *probe = fuzz_made(probe_file(context, options, file, file_size));
    heap.fail_at = 0;
    read_probe(probe);
    if (!(options & 16))
        load(context, probe, file, file_size, &heap);
    resattn_probe_free(probe);
    fuzz_ok(resattn_context_set_limit(context, limit, 0));
    fuzz_context_end(&heap, context);
    free(file);
    return 0;
}
