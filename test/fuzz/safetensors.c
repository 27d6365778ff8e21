/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Loading weights from safetensors files into a small network. The first byte says how: 1 and 2: the flags of
 * resattn_network_load_weights(); 4: with a prefix; 8: with a report; 16: an allocation fails, which one the second
 * byte says; 32: the rest is a whole file, else a header up to a zero byte and the values: its length is then put
 * before it.
 */
#include "fuzz.h"

#include <string.h>

#include "samples.h"

enum { OPTIONS = 2, LENGTH = 8, LIMIT = 64 << 20 };

static const char *make_file(const uint8_t *bytes, size_t size, bool whole)
{
    if (whole)
        return fuzz_file(bytes, size);
    const uint8_t *zero = size ? memchr(bytes, 0, size) : NULL;
    size_t header = zero ? (size_t)(zero - bytes) : size, values = zero ? size - header - 1 : 0;
    uint8_t *file = calloc(1, LENGTH + header + values);
    FUZZ_CHECK(file != NULL, "no memory");
    for (int i = 0; i < 4; i++)
        file[i] = (uint8_t)(header >> (8 * i));
    if (size) {
        memcpy(file + LENGTH, bytes, header);
        memcpy(file + LENGTH + header, bytes + size - values, values);
    }
    const char *path = fuzz_file(file, LENGTH + header + values);
    free(file);
    return path;
}

static void read_report(resattn_weights_report *report)
{
    for (int32_t i = 0; i < resattn_weights_report_count(report); i++)
        FUZZ_CHECK(resattn_weights_report_problem(report, i) != RESATTN_WEIGHTS_NONE &&
                       resattn_weights_report_name(report, i) && resattn_weights_report_text(report, i),
                   "difference %d", (int)i);
    resattn_weights_report_free(report);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    if (size < OPTIONS)
        return 0;
    uint32_t options = bytes[0];
    const char *path = make_file(bytes + OPTIONS, size - OPTIONS, options & 32);
    fuzz_heap heap = {.limit = LIMIT};
    resattn_context *context = fuzz_context_new(&heap, 1);
    resattn_network *network = fuzz_made(sample_trained_network(context));
    resattn_network *before = fuzz_made(sample_trained_network(context));
    resattn_weights_report *report = NULL;
    heap.fail_at = options & 16 ? heap.calls + bytes[1] + 1 : 0;
    if (!fuzz_ok(resattn_network_load_weights(network, path, options & 4 ? "module." : NULL, (int32_t)(options & 3),
                                              options & 8 ? &report : NULL)))
        fuzz_check_same(network, before, false);
    heap.fail_at = 0;
    read_report(report);
    resattn_network_unref(before);
    resattn_network_unref(network);
    fuzz_context_end(&heap, context);
    return 0;
}
