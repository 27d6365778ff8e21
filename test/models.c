/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the tests of the named networks do with each of them: see models.h.
 */
#include "models.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "reproducible.h"

resattn_network *models_new(resattn_context *context, const char *name, int32_t classes)
{
    resattn_builder *builder = resattn_builder_new(context);
    resattn_network *network = resattn_network_new(builder, resattn_model_new(builder, name, classes), 3);
    ck_assert_msg(network != NULL, "%s: %s", name, resattn_last_error());
    resattn_builder_free(builder);
    return network;
}

resattn_network *models_built(resattn_context *context, const resattn_model_config *config, int32_t classes)
{
    resattn_builder *builder = resattn_builder_new(context);
    resattn_layer *root = resattn_model_config_build(config, builder, classes);
    resattn_network *network = resattn_network_new(builder, root, 3);
    ck_assert_msg(network != NULL, "%s", resattn_last_error());
    resattn_builder_free(builder);
    return network;
}

resattn_model_config *models_config(resattn_context *context, const char *name, const models_change *changes)
{
    resattn_model_config *config = resattn_model_config_new(context, name);
    ck_assert_msg(config != NULL, "%s: %s", name, resattn_last_error());
    for (; changes->setting; changes++)
        ck_assert_msg(resattn_model_config_set_int(config, changes->setting, changes->value) == RESATTN_OK, "%s",
                      resattn_last_error());
    return config;
}

static resattn_tensor *new_input(resattn_network *network, int32_t batch, int32_t size)
{
    const int64_t shape[] = {batch, resattn_network_in_channels(network), size, size};
    resattn_tensor *input =
        resattn_tensor_new(resattn_network_context(network), RESATTN_F32, 4, shape, RESATTN_CHANNELS_LAST);
    ck_assert(reproducible_input(input, ""));
    return input;
}

static resattn_session *training_session(resattn_network *network, int32_t batch, int32_t size)
{
    resattn_plan *plan = resattn_plan_new(network, RESATTN_TRAINING, batch, size, size);
    ck_assert_msg(plan != NULL, "%d pixels: %s", size, resattn_last_error());
    resattn_session *session = resattn_session_new(plan);
    ck_assert_msg(session != NULL, "%d pixels: %s", size, resattn_last_error());
    resattn_plan_free(plan);
    return session;
}

static void check_finite(const float *values, int64_t count, const char *name)
{
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(values[i]))
            ck_abort_msg("%s: value %lld is not finite", name, (long long)i);
}

float *models_logits(resattn_network *network, int32_t batch, int32_t size)
{
    return models_logits_by(network, batch, size, RESATTN_CONVOLUTION_FASTEST);
}

float *models_logits_by(resattn_network *network, int32_t batch, int32_t size, resattn_convolution convolution)
{
    resattn_tensor *input = new_input(network, batch, size);
    resattn_plan *plan = resattn_plan_new(network, RESATTN_INFERENCE, batch, size, size);
    ck_assert_msg(plan != NULL, "%d pixels: %s", size, resattn_last_error());
    ck_assert_int_eq(resattn_plan_set_convolution(plan, convolution), RESATTN_OK);
    resattn_session *session = resattn_session_new(plan);
    ck_assert_msg(session != NULL, "%d pixels: %s", size, resattn_last_error());
    resattn_plan_free(plan);
    ck_assert_int_eq(resattn_session_forward(session, input), RESATTN_OK);
    int64_t count = (int64_t)batch * resattn_network_out_channels(network);
    float *logits = malloc((size_t)count * sizeof *logits);
    ck_assert_int_eq(resattn_tensor_read(resattn_session_output(session, NULL), RESATTN_CHANNELS_FIRST, logits, count),
                     RESATTN_OK);
    check_finite(logits, count, "logits");
    resattn_session_free(session);
    resattn_tensor_unref(input);
    return logits;
}

static void check_gradients(resattn_network *network)
{
    double sum = 0;
    for (int32_t i = 0; i < resattn_network_parameter_count(network); i++) {
        if (resattn_network_parameter_kind(network, i) != RESATTN_PARAMETER_TRAINABLE)
            continue;
        resattn_tensor *gradient = resattn_network_parameter_gradient(network, i);
        const float *values = resattn_tensor_data(gradient);
        int64_t count = resattn_tensor_elements(gradient);
        check_finite(values, count, resattn_network_parameter_name(network, i));
        for (int64_t k = 0; k < count; k++)
            sum += fabs((double)values[k]);
    }
    ck_assert_double_gt(sum, 0);
}

void models_train(resattn_network *network, int32_t batch, int32_t size)
{
    int32_t *labels = malloc((size_t)batch * sizeof *labels);
    for (int32_t i = 0; i < batch; i++)
        labels[i] = (7 * i + 3) % resattn_network_out_channels(network);
    double loss = NAN;
    resattn_tensor *input = new_input(network, batch, size);
    resattn_session *session = training_session(network, batch, size);
    resattn_optimizer *optimizer = resattn_sgd_new(network, 0.01);
    ck_assert_int_eq(resattn_session_forward(session, input), RESATTN_OK);
    ck_assert_int_eq(resattn_softmax_cross_entropy(session, labels, batch, &loss, NULL), RESATTN_OK);
    ck_assert(isfinite(loss));
    ck_assert_int_eq(resattn_session_backward(session), RESATTN_OK);
    check_gradients(network);
    ck_assert_int_eq(resattn_optimizer_step(optimizer), RESATTN_OK);
    resattn_optimizer_free(optimizer);
    resattn_session_free(session);
    resattn_tensor_unref(input);
    free(labels);
}

static void compare_parameters(resattn_network *a, resattn_network *b)
{
    int32_t count = resattn_network_parameter_count(a);
    ck_assert_int_eq(resattn_network_parameter_count(b), count);
    for (int32_t i = 0; i < count; i++) {
        const char *name = resattn_network_parameter_name(a, i);
        ck_assert_str_eq(resattn_network_parameter_name(b, i), name);
        resattn_tensor *x = resattn_network_parameter(a, i), *y = resattn_network_parameter(b, i);
        int64_t elements = resattn_tensor_elements(x);
        ck_assert_int_eq(resattn_tensor_elements(y), elements);
        ck_assert_msg(memcmp(resattn_tensor_data(x), resattn_tensor_data(y), (size_t)elements * sizeof(float)) == 0,
                      "%s differs", name);
    }
}

void models_reload(resattn_network *network, int32_t level, int32_t batch, int32_t size)
{
    resattn_context *context = resattn_network_context(network);
    void *bytes;
    size_t length;
    ck_assert_int_eq(resattn_network_save_buffer(network, level, &bytes, &length), RESATTN_OK);
    resattn_network *loaded = resattn_network_load_buffer(context, bytes, length);
    ck_assert_msg(loaded != NULL, "%s", resattn_last_error());
    resattn_buffer_free(bytes);
    compare_parameters(network, loaded);
    float *before = models_logits(network, batch, size), *after = models_logits(loaded, batch, size);
    ck_assert_mem_eq(before, after, (size_t)batch * (size_t)resattn_network_out_channels(network) * sizeof *before);
    free(before);
    free(after);
    resattn_network_unref(loaded);
}
