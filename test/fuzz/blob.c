/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Loading blobs. The first byte says how: 1: checksums are mended; 2: through a callback, in pieces; 4: from a file;
 * 8: what was loaded is trained for a step; 16: an allocation fails, which one the second byte says. The blob follows.
 */
#include "fuzz.h"

enum { OPTIONS = 2, LIMIT = 64 << 20 };

static resattn_network *load(resattn_context *context, uint32_t options, const uint8_t *blob, size_t size)
{
    if (options & 4)
        return resattn_network_load(context, fuzz_file(blob, size));
    if (!(options & 2))
        return resattn_network_load_buffer(context, blob, size);
    fuzz_stream stream = {.bytes = blob, .size = size, .piece = options >> 5 & 7};
    return resattn_network_load_stream(context, fuzz_stream_read, &stream);
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
        resattn_network *network = fuzz_made(load(context, options, blob, blob_size));
        if (network) {
            fuzz_input in = {bytes + 1, bytes + size};
            heap.fail_at = 0;
            fuzz_use(network, &in, options & 8);
            fuzz_save_and_load(network, bytes[1] % 7);
        }
        resattn_network_unref(network);
    }
    fuzz_context_end(&heap, context);
    free(blob);
    return 0;
}
