/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The bytes become a tree of layers, parameters' values, class names, texts; what is saved and loaded must be the same,
 * the bits of what it computes too.
 */
#include "fuzz.h"

#include <string.h>

enum { LIMIT = 32 << 20, MOST_VALUES = 100000, SIDE = 8 };

/* ---- a network of bytes ---- */

static void set_values(fuzz_input *in, resattn_network *network)
{
    uint64_t state = fuzz_byte(in);
    for (int32_t i = 0; i < resattn_network_parameter_count(network); i++) {
        resattn_tensor *tensor = resattn_network_parameter(network, i);
        float *values = resattn_tensor_mutable_data(tensor);
        bool trained = resattn_network_parameter_kind(network, i) == RESATTN_PARAMETER_TRAINABLE;
        for (int64_t k = 0; k < resattn_tensor_elements(tensor); k++)
            values[k] = trained ? fuzz_value(&state) : 0.5f + 0.25f * fuzz_value(&state);
        if (trained && fuzz_chance(in, 16)) {
            uint32_t bits = fuzz_u32(in); /* NaNs, infinities and very small numbers too */
            memcpy(values, &bits, sizeof bits);
        }
    }
    resattn_network_touch(network);
}

static void set_metadata(fuzz_input *in, resattn_network *network)
{
    float mean[] = {(float)fuzz_real(in), 0.5f, 0, 1}, deviation[] = {(float)fuzz_real(in), 1, 2, 3};
    const char *classes[8] = {"", "one", "two", "three", "f\xC3\xBCnf", "six", "seven", "eight"};
    int32_t channels = resattn_network_out_channels(network);
    for (uint32_t todo = fuzz_byte(in) % 8; todo > 0; todo--) {
        const char *name = fuzz_name(in), *value = fuzz_name(in);
        switch (fuzz_range(in, 0, 3)) {
        case 0:
            classes[0] = value ? value : "";
            if (channels <= 8)
                fuzz_ok(resattn_network_set_classes(network, classes, channels));
            break;
        case 1:
            fuzz_ok(resattn_network_set_input_size(network, fuzz_int(in), fuzz_int(in)));
            break;
        case 2:
            fuzz_ok(resattn_network_set_normalization(network, mean, deviation, resattn_network_in_channels(network)));
            break;
        default:
            fuzz_ok(resattn_network_set_text(network, name, value));
        }
    }
    fuzz_ok(resattn_network_set_storage(network, (resattn_dtype)fuzz_range(in, 1, 3)));
}

static resattn_network *build(fuzz_input *in, resattn_context *context)
{
    resattn_builder *builder = fuzz_made(resattn_builder_new(context));
    int32_t in_channels = fuzz_range(in, 1, 4);
    resattn_layer *root = fuzz_grow(in, builder, in_channels);
    resattn_network *network = fuzz_made(resattn_network_new_zeroed(builder, root, in_channels));
    resattn_builder_free(builder);
    if (!network || resattn_network_trainable_values(network) > MOST_VALUES) {
        resattn_network_unref(network);
        return NULL;
    }
    set_values(in, network);
    set_metadata(in, network);
    return network;
}

/* ---- what it computes ---- */

/* The output for one image as malloc's memory; NULL where the size does not suit the network, or it is too costly. */
static float *compute(resattn_network *network, int64_t *count)
{
    const int64_t shape[] = {1, resattn_network_in_channels(network), SIDE, SIDE};
    resattn_context *context = resattn_network_context(network);
    resattn_tensor *image = resattn_tensor_new(context, RESATTN_F32, 4, shape, RESATTN_CHANNELS_LAST);
    resattn_plan *plan = fuzz_made(resattn_plan_new(network, RESATTN_INFERENCE, 1, SIDE, SIDE));
    resattn_session *session = plan && fuzz_is_small(plan, 1) ? fuzz_made(resattn_session_new(plan)) : NULL;
    float *values = resattn_tensor_mutable_data(image), *result = NULL;
    uint64_t state = 5;
    for (int64_t i = 0; i < resattn_tensor_elements(image); i++)
        values[i] = fuzz_value(&state);
    if (session && image && fuzz_ok(resattn_session_forward(session, image))) {
        const resattn_tensor *output = resattn_session_output(session, NULL);
        *count = resattn_tensor_elements(output);
        result = malloc((size_t)*count * sizeof *result);
        FUZZ_CHECK(result && resattn_tensor_read(output, RESATTN_CHANNELS_FIRST, result, *count) == RESATTN_OK,
                   "output");
    }
    resattn_session_free(session);
    resattn_plan_free(plan);
    resattn_tensor_unref(image);
    return result;
}

static void compare_outputs(resattn_network *a, resattn_network *b)
{
    int64_t left_count = 0, right_count = 0;
    float *left = compute(a, &left_count), *right = compute(b, &right_count);
    FUZZ_CHECK((left == NULL) == (right == NULL) && left_count == right_count, "only one of the two computes");
    FUZZ_CHECK(!left || memcmp(left, right, (size_t)left_count * sizeof *left) == 0, "another output");
    free(left);
    free(right);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    fuzz_input in = {bytes, bytes + size};
    fuzz_heap heap = {.limit = LIMIT};
    resattn_context *context = fuzz_context_new(&heap, 1);
    resattn_network *network = build(&in, context);
    void *blob = NULL;
    size_t blob_size = 0;
    if (network && fuzz_ok(resattn_network_save_buffer(network, fuzz_range(&in, 0, 6), &blob, &blob_size))) {
        resattn_network *loaded = resattn_network_load_buffer(context, blob, blob_size);
        FUZZ_CHECK(loaded != NULL, "what was saved does not load");
        bool rounded = resattn_network_storage(network) != RESATTN_F32;
        fuzz_check_same(network, loaded, rounded);
        if (!rounded)
            compare_outputs(network, loaded);
        fuzz_save_and_load(loaded, 1);
        resattn_network_unref(loaded);
        resattn_buffer_free(blob);
    }
    resattn_network_unref(network);
    fuzz_context_end(&heap, context);
    return 0;
}
