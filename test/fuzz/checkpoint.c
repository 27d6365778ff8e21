/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Restoring the state of a training. The first byte says how: 1: checksums are mended; 2: AdamW, else SGD; 4: with an
 * average; 8: into the network that the blob holds, else a small one of its own, which most blobs of the corpus are of;
 * 16: an allocation fails; the rest: the size of pieces. The second byte: which allocation. The blob follows.
 */
#include "fuzz.h"

#include "samples.h"

enum { OPTIONS = 2, LIMIT = 64 << 20 };

/* What was restored is saved, and restores. */
static void save_and_restore(resattn_optimizer *optimizer, resattn_ema *average)
{
    fuzz_sink sink = {0};
    if (fuzz_ok(resattn_checkpoint_save_stream(optimizer, average, 1, fuzz_sink_write, &sink))) {
        fuzz_stream stream = {.bytes = sink.bytes, .size = sink.size};
        resattn_status status = resattn_checkpoint_restore_stream(optimizer, average, fuzz_stream_read, &stream);
        FUZZ_CHECK(status == RESATTN_OK || status == RESATTN_OUT_OF_MEMORY, "what was saved is not restored");
    }
    free(sink.bytes);
}

/* All three at once. */
static void load_whole(resattn_context *context, uint32_t options, const uint8_t *blob, size_t size)
{
    resattn_network *network = NULL;
    resattn_optimizer *optimizer = NULL;
    resattn_ema *average = NULL;
    if (fuzz_ok(resattn_checkpoint_load_buffer(context, blob, size, &network, options & 2 ? &optimizer : NULL,
                                               options & 4 ? &average : NULL)))
        FUZZ_CHECK(network && (optimizer || !(options & 2)), "a part is missing");
    resattn_ema_free(average);
    resattn_optimizer_free(optimizer);
    resattn_network_unref(network);
}

static void restore(resattn_network *network, uint32_t options, const uint8_t *blob, size_t size, fuzz_heap *heap)
{
    resattn_optimizer *optimizer = fuzz_made((options & 2 ? resattn_adamw_new : resattn_sgd_new)(network, 0.1));
    resattn_ema *average = options & 4 ? fuzz_made(resattn_ema_new(network, 0.9)) : NULL;
    fuzz_stream stream = {.bytes = blob, .size = size, .piece = options >> 5 & 7};
    if (optimizer && fuzz_ok(resattn_checkpoint_restore_stream(optimizer, average, fuzz_stream_read, &stream))) {
        heap->fail_at = 0;
        save_and_restore(optimizer, average);
    }
    resattn_ema_free(average);
    resattn_optimizer_free(optimizer);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    if (size < OPTIONS)
        return 0;
    uint32_t options = bytes[0];
    size_t blob_size = size - OPTIONS;
    uint8_t *blob = fuzz_own_blob(bytes + OPTIONS, blob_size, options & 1);
    fuzz_heap heap = {.limit = LIMIT, .fail_at = options & 16 ? bytes[1] + 1 : 0};
    resattn_context *context = fuzz_context_new(&heap, 1);
    if (context) {
        resattn_network *network = fuzz_made(options & 8 ? resattn_network_load_buffer(context, blob, blob_size)
                                                         : sample_trained_network(context));
        if (network)
            restore(network, options, blob, blob_size, &heap);
        resattn_network_unref(network);
        if (options & 8)
            load_whole(context, options, blob, blob_size);
    }
    fuzz_context_end(&heap, context);
    free(blob);
    return 0;
}
