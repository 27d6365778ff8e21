/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is done with a network that came out of an input: everything is read, it is run and trained where that is cheap,
 * and saved and loaded again.
 */
#include "fuzz.h"

#include <string.h>

enum { MOST_MEMORY = 1 << 20, MOST_MULTIPLY_ADDS = 4000000, MOST_VALUES = 200000 };

bool fuzz_is_small(const resattn_plan *plan, int32_t batch)
{
    int64_t memory = resattn_plan_memory(plan), multiply_adds = resattn_plan_multiply_adds(plan);
    return memory >= 0 && memory <= MOST_MEMORY && multiply_adds >= 0 && multiply_adds <= MOST_MULTIPLY_ADDS / batch;
}

/* ---- reading ---- */

static void read_layer(const resattn_network *network, const resattn_layer *layer)
{
    const char *path = resattn_layer_path(layer);
    FUZZ_CHECK(resattn_layer_kind(layer) && path, "a layer in a network without kind or path");
    FUZZ_CHECK(resattn_layer_in_channels(layer) > 0 && resattn_layer_out_channels(layer) > 0, "%s: no channels", path);
    (void)resattn_network_layer(network, path);
    for (int32_t i = 0; i < resattn_layer_attribute_count(layer); i++) {
        const char *name = resattn_layer_attribute_name(layer, i);
        double smallest, largest, initial, value;
        FUZZ_CHECK(resattn_layer_attribute_range(layer, i, &smallest, &largest, &initial) == RESATTN_OK, "%s", name);
        int64_t integer;
        if (resattn_layer_attribute_type(layer, i) == RESATTN_ATTRIBUTE_INT) {
            FUZZ_CHECK(resattn_layer_get_int(layer, name, &integer) == RESATTN_OK, "%s", name);
            value = (double)integer;
        } else {
            FUZZ_CHECK(resattn_layer_get_real(layer, name, &value) == RESATTN_OK, "%s", name);
        }
        FUZZ_CHECK(value >= smallest && value <= largest, "%s.%s is %g", path, name, value);
    }
    for (int32_t i = 0; i < resattn_layer_child_count(layer); i++)
        read_layer(network, resattn_layer_child(layer, i));
}

static void read_network(resattn_network *network)
{
    read_layer(network, resattn_network_root(network));
    for (int32_t i = 0; i < resattn_network_parameter_count(network); i++) {
        const char *name = resattn_network_parameter_name(network, i);
        FUZZ_CHECK(resattn_network_find_parameter(network, name) == i, "%s", name);
        FUZZ_CHECK(resattn_tensor_elements(resattn_network_parameter(network, i)) > 0, "%s", name);
    }
    for (int32_t i = 0; i < resattn_network_attention_count(network); i++)
        FUZZ_CHECK(resattn_attention_mask_name(resattn_network_attention(network, i)) != NULL, "mask %d", (int)i);
    for (int32_t i = 0; resattn_network_text_key(network, i); i++)
        FUZZ_CHECK(resattn_network_text(network, resattn_network_text_key(network, i)) != NULL, "text %d", (int)i);
}

/* ---- running ---- */

static bool step(resattn_session *session, resattn_network *network)
{
    const resattn_tensor *output = resattn_session_output(session, NULL);
    if (!fuzz_ok(resattn_session_set_output_gradient(session, NULL, output)) ||
        !fuzz_ok(resattn_session_backward(session)))
        return false;
    resattn_optimizer *optimizer = fuzz_made(resattn_adamw_new(network, 0.01));
    bool ok = optimizer && fuzz_ok(resattn_optimizer_step(optimizer));
    resattn_optimizer_free(optimizer);
    return ok;
}

static void run(resattn_network *network, resattn_session *session, bool train, const int64_t *shape)
{
    resattn_context *context = resattn_network_context(network);
    resattn_tensor *input = fuzz_made(resattn_tensor_new(context, RESATTN_U8, 4, shape, RESATTN_CHANNELS_FIRST));
    if (input && fuzz_ok(resattn_session_forward(session, input))) {
        const resattn_tensor *output = resattn_session_output(session, NULL);
        FUZZ_CHECK(resattn_tensor_size(output, 1) == resattn_network_out_channels(network), "an output of %d channels",
                   (int)resattn_tensor_size(output, 1));
        if (train)
            step(session, network);
    }
    resattn_tensor_unref(input);
}

void fuzz_use(resattn_network *network, fuzz_input *in, bool train)
{
    read_network(network);
    int32_t batch = fuzz_range(in, 0, 2) + 1, height = fuzz_range(in, 0, 15) + 1, width = fuzz_range(in, 0, 15) + 1;
    int64_t shape[] = {batch, resattn_network_in_channels(network), height, width};
    if (resattn_network_trainable_values(network) > MOST_VALUES)
        return;
    resattn_purpose purpose = train ? RESATTN_TRAINING : RESATTN_INFERENCE;
    resattn_plan *plan = fuzz_made(resattn_plan_new(network, purpose, batch, height, width));
    if (plan && fuzz_is_small(plan, batch)) {
        resattn_session *session = fuzz_made(resattn_session_new(plan));
        if (session)
            run(network, session, train, shape);
        resattn_session_free(session);
    }
    resattn_plan_free(plan);
}

/* ---- saving ---- */

void fuzz_save_and_load(resattn_network *network, int32_t level)
{
    resattn_context *context = resattn_network_context(network);
    void *first = NULL, *second = NULL;
    size_t first_size = 0, second_size = 0;
    if (!fuzz_ok(resattn_network_save_buffer(network, level, &first, &first_size)))
        return;
    resattn_network *loaded = fuzz_made(resattn_network_load_buffer(context, first, first_size));
    /* Only memory may be short. */
    FUZZ_CHECK(loaded || resattn_last_status() == RESATTN_OUT_OF_MEMORY, "what was saved does not load");
    if (loaded && fuzz_ok(resattn_network_save_buffer(loaded, level, &second, &second_size))) {
        FUZZ_CHECK(first_size == second_size && memcmp(first, second, first_size) == 0, "%zu bytes, then other %zu",
                   first_size, second_size);
        resattn_buffer_free(second);
    }
    resattn_network_unref(loaded);
    resattn_buffer_free(first);
}

/* ---- comparing ---- */

static void check_same_text(const char *a, const char *b)
{
    FUZZ_CHECK(a && b ? strcmp(a, b) == 0 : a == b, "'%s' and '%s'", a ? a : "(null)", b ? b : "(null)");
}

static void check_same_layer(const resattn_layer *a, const resattn_layer *b)
{
    check_same_text(resattn_layer_kind(a), resattn_layer_kind(b));
    check_same_text(resattn_layer_path(a), resattn_layer_path(b));
    check_same_text(resattn_layer_name(a), resattn_layer_name(b));
    for (int32_t i = 0; i < resattn_layer_attribute_count(a); i++) {
        const char *name = resattn_layer_attribute_name(a, i);
        int64_t left_int = 0, right_int = 0;
        double left = 0, right = 0;
        if (resattn_layer_attribute_type(a, i) == RESATTN_ATTRIBUTE_INT) {
            resattn_layer_get_int(a, name, &left_int);
            resattn_layer_get_int(b, name, &right_int);
        } else {
            resattn_layer_get_real(a, name, &left);
            resattn_layer_get_real(b, name, &right);
        }
        FUZZ_CHECK(left_int == right_int && memcmp(&left, &right, sizeof left) == 0, "%s.%s", resattn_layer_path(a),
                   name);
    }
    FUZZ_CHECK(resattn_layer_child_count(a) == resattn_layer_child_count(b), "%s: children", resattn_layer_path(a));
    for (int32_t i = 0; i < resattn_layer_child_count(a); i++)
        check_same_layer(resattn_layer_child(a, i), resattn_layer_child(b, i));
}

static void check_same_metadata(const resattn_network *a, const resattn_network *b)
{
    for (int32_t i = 0; i <= resattn_network_out_channels(a); i++)
        check_same_text(resattn_network_class_name(a, i), resattn_network_class_name(b, i));
    for (int32_t c = 0; c < resattn_network_in_channels(a); c++) {
        float left[] = {resattn_network_mean(a, c), resattn_network_deviation(a, c)};
        float right[] = {resattn_network_mean(b, c), resattn_network_deviation(b, c)};
        FUZZ_CHECK(memcmp(left, right, sizeof left) == 0, "normalization of channel %d", (int)c);
    }
    FUZZ_CHECK(resattn_network_input_height(a) == resattn_network_input_height(b) &&
                   resattn_network_input_width(a) == resattn_network_input_width(b),
               "the input's size");
    for (int32_t i = 0; resattn_network_text_key(a, i) || resattn_network_text_key(b, i); i++) {
        check_same_text(resattn_network_text_key(a, i), resattn_network_text_key(b, i));
        check_same_text(resattn_network_text(a, resattn_network_text_key(a, i)),
                        resattn_network_text(b, resattn_network_text_key(b, i)));
    }
}

void fuzz_check_same(resattn_network *a, resattn_network *b, bool rounded)
{
    FUZZ_CHECK(resattn_network_in_channels(a) == resattn_network_in_channels(b), "input channels");
    check_same_layer(resattn_network_root(a), resattn_network_root(b));
    check_same_metadata(a, b);
    FUZZ_CHECK(resattn_network_parameter_count(a) == resattn_network_parameter_count(b), "numbers of parameters");
    for (int32_t i = 0; i < resattn_network_parameter_count(a); i++) {
        resattn_tensor *left = resattn_network_parameter(a, i), *right = resattn_network_parameter(b, i);
        int64_t count = resattn_tensor_elements(left);
        check_same_text(resattn_network_parameter_name(a, i), resattn_network_parameter_name(b, i));
        FUZZ_CHECK(count == resattn_tensor_elements(right), "parameter %d", (int)i);
        if (!rounded || resattn_network_parameter_kind(a, i) == RESATTN_PARAMETER_STATISTIC)
            FUZZ_CHECK(memcmp(resattn_tensor_data(left), resattn_tensor_data(right), (size_t)count * 4) == 0, "%s",
                       resattn_network_parameter_name(a, i));
    }
}
