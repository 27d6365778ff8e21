/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The small network: see small.h.
 */
#include "small.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static resattn_layer *chain(resattn_builder *b, const char *name, resattn_layer *first, resattn_layer *second,
                            resattn_layer *third)
{
    resattn_layer *layer = resattn_sequential_new(b, name);
    resattn_layer_add(layer, first);
    resattn_layer_add(layer, second);
    resattn_layer_add(layer, third);
    return layer;
}

static resattn_layer *unit(resattn_builder *b, const char *name, int32_t channels)
{
    return resattn_residual_new(b, name,
                                chain(b, "branch", resattn_batch_norm_new(b, "bn"), resattn_relu_new(b, NULL),
                                      resattn_conv2d_new(b, "conv", channels, 3, 1, 1)),
                                NULL);
}

static resattn_layer *module(resattn_builder *b, const char *name, int32_t channels, int32_t mask_channels,
                             resattn_mask_activation activation)
{
    resattn_attention *attention = resattn_attention_new(b, name);
    resattn_layer *soft =
        resattn_down_up_new(b, "outer", resattn_max_pool_new(b, "down", 3, 2, 1),
                            resattn_down_up_new(b, "inner", resattn_max_pool_new(b, "down", 3, 2, 1),
                                                unit(b, "unit", channels), resattn_bilinear_resize_new(b, "up", 0, 0)),
                            resattn_bilinear_resize_new(b, "up", 0, 0));
    resattn_attention_set_trunk(attention, unit(b, "body", channels));
    resattn_attention_set_mask(attention, chain(b, "soft", soft, resattn_relu_new(b, NULL),
                                                resattn_conv2d_new(b, "conv", mask_channels, 1, 1, 0)));
    resattn_attention_set_activation(attention, activation);
    return resattn_attention_layer(attention);
}

resattn_network *small_network(resattn_context *context)
{
    resattn_builder *b = resattn_builder_new(context);
    if (b == NULL)
        return NULL;
    resattn_layer *net = resattn_sequential_new(b, NULL);
    resattn_layer_add(net, chain(b, "stem", resattn_conv2d_new(b, "conv", 24, 5, 1, 2), resattn_batch_norm_new(b, "bn"),
                                 resattn_relu_new(b, "relu")));
    resattn_layer_add(net, module(b, "attention1", 24, 24, RESATTN_ACTIVATION_MIXED));
    resattn_layer *wide = resattn_conv2d_new(b, "conv", 32, 3, 2, 1);
    resattn_layer_set_int(wide, "groups", 2);
    resattn_layer_add(net, wide);
    resattn_layer_add(net, module(b, "attention2", 32, 1, RESATTN_ACTIVATION_SPATIAL));
    resattn_layer_add(net, chain(b, "head", resattn_global_average_pool_new(b, "pool"),
                                 resattn_dropout_new(b, "drop", 0.2), resattn_linear_new(b, "fc", SMALL_CLASSES)));
    resattn_network *network = resattn_network_new(b, net, 3);
    resattn_builder_free(b);
    return network;
}

resattn_tensor *small_input(resattn_context *context, int32_t n, int32_t height, int32_t width, uint64_t seed)
{
    int64_t shape[4] = {n, 3, height, width};
    resattn_tensor *tensor = resattn_tensor_new(context, RESATTN_F32, 4, shape, RESATTN_CHANNELS_LAST);
    float *value = resattn_tensor_mutable_data(tensor);
    for (int64_t i = 0; i < resattn_tensor_elements(tensor); i++) {
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        value[i] = (float)(seed >> 40) / 8388608.0F - 1;
    }
    return tensor;
}

resattn_session *small_session(resattn_network *network, resattn_purpose purpose, int32_t batch, int32_t height,
                               int32_t width)
{
    resattn_plan *plan = resattn_plan_new(network, purpose, batch, height, width);
    resattn_session *session = NULL;
    if (plan != NULL && resattn_plan_add_output(plan, "attention1.mask") == RESATTN_OK &&
        resattn_plan_add_output(plan, "attention2.mask") == RESATTN_OK &&
        (purpose == RESATTN_INFERENCE || resattn_plan_set_input_gradient(plan, 1) == RESATTN_OK))
        session = resattn_session_new(plan);
    resattn_plan_free(plan);
    return session;
}

void results_free(results *r)
{
    free(r->values);
    *r = (results){0};
}

resattn_status results_add(results *r, const resattn_tensor *tensor)
{
    if (tensor == NULL)
        return resattn_last_status();
    int64_t count = resattn_tensor_elements(tensor);
    float *values = realloc(r->values, (size_t)(r->count + count) * sizeof *values);
    if (values == NULL)
        abort();
    r->values = values;
    r->count += count;
    return resattn_tensor_read(tensor, RESATTN_CHANNELS_FIRST, values + r->count - count, count);
}

uint64_t results_hash(const results *r)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    const unsigned char *bytes = (const unsigned char *)r->values;
    for (size_t i = 0; i < (size_t)r->count * sizeof(float); i++)
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    return hash;
}

int results_equal(const char *what, const results *a, const results *b)
{
    if (a->count != b->count) {
        printf("%s: %lld values, expected %lld\n", what, (long long)a->count, (long long)b->count);
        return 0;
    }
    for (int64_t i = 0; i < a->count; i++)
        if (memcmp(&a->values[i], &b->values[i], sizeof(float)) != 0) {
            printf("%s: value %lld of %lld is %.9g, expected %.9g\n", what, (long long)i, (long long)a->count,
                   (double)a->values[i], (double)b->values[i]);
            return 0;
        }
    return 1;
}

/* ---- the sequence of runs ---- */

typedef struct run {
    resattn_network *network;
    int32_t side;
    resattn_session *training, *inference;
    resattn_optimizer *sgd;
    resattn_tensor *input, *mask_gradient;
    const hooks *hooks;
    results *results;
} run;

static void before(const run *r)
{
    if (r->hooks != NULL)
        r->hooks->before(r->hooks->user);
}

static resattn_status after(const run *r, resattn_status status)
{
    if (r->hooks != NULL)
        r->hooks->after(r->hooks->user);
    return status;
}

static resattn_status add_outputs(run *r, resattn_session *session)
{
    resattn_status status = results_add(r->results, resattn_session_output(session, NULL));
    if (status == RESATTN_OK)
        status = results_add(r->results, resattn_session_output(session, "attention1.mask"));
    if (status == RESATTN_OK)
        status = results_add(r->results, resattn_session_output(session, "attention2.mask"));
    return status;
}

static resattn_status add_network(run *r)
{
    resattn_status status = RESATTN_OK;
    for (int32_t i = 0; status == RESATTN_OK && i < resattn_network_parameter_count(r->network); i++) {
        status = results_add(r->results, resattn_network_parameter(r->network, i));
        if (status == RESATTN_OK && resattn_network_parameter_kind(r->network, i) == RESATTN_PARAMETER_TRAINABLE)
            status = results_add(r->results, resattn_network_parameter_gradient(r->network, i));
    }
    return status;
}

static resattn_status train(run *r)
{
    const int32_t labels[SMALL_BATCH] = {3, 0, 9};
    double loss;
    before(r);
    resattn_status status = after(r, resattn_session_forward(r->training, r->input));
    if (status == RESATTN_OK)
        status = add_outputs(r, r->training);
    if (status != RESATTN_OK)
        return status;
    before(r);
    status = after(r, resattn_softmax_cross_entropy(r->training, labels, SMALL_BATCH, &loss, NULL));
    if (status == RESATTN_OK)
        status = resattn_session_set_output_gradient(r->training, "attention1.mask", r->mask_gradient);
    if (status != RESATTN_OK)
        return status;
    before(r);
    status = after(r, resattn_session_backward(r->training));
    if (status == RESATTN_OK)
        status = results_add(r->results, resattn_session_input_gradient(r->training));
    if (status != RESATTN_OK)
        return status;
    before(r);
    status = after(r, resattn_optimizer_step(r->sgd));
    return status == RESATTN_OK ? add_network(r) : status;
}

static resattn_status infer(run *r)
{
    before(r); /* batch norms are folded into filters here */
    r->inference = small_session(r->network, RESATTN_INFERENCE, SMALL_BATCH, r->side, r->side);
    resattn_status status = after(r, r->inference == NULL ? resattn_last_status() : RESATTN_OK);
    if (status != RESATTN_OK)
        return status;
    before(r);
    status = after(r, resattn_session_forward(r->inference, r->input));
    return status == RESATTN_OK ? add_outputs(r, r->inference) : status;
}

resattn_status small_run(resattn_context *context, int32_t side, const hooks *h, results *target)
{
    int64_t mask_shape[4] = {SMALL_BATCH, 24, side, side};
    run r = {.side = side, .hooks = h, .results = target};
    resattn_status status = resattn_last_status();
    if ((r.network = small_network(context)) != NULL &&
        (r.training = small_session(r.network, RESATTN_TRAINING, SMALL_BATCH, side, side)) != NULL &&
        (r.sgd = resattn_sgd_new(r.network, 0.05)) != NULL &&
        (r.input = small_input(context, SMALL_BATCH, side, side, 1)) != NULL &&
        (r.mask_gradient = resattn_tensor_new(context, RESATTN_F32, 4, mask_shape, RESATTN_CHANNELS_FIRST)) != NULL &&
        (status = resattn_tensor_fill(r.mask_gradient, 1e-4F)) == RESATTN_OK && (status = train(&r)) == RESATTN_OK &&
        (status = train(&r)) == RESATTN_OK)
        status = infer(&r);
    else
        status = resattn_last_status();
    resattn_tensor_unref(r.mask_gradient);
    resattn_tensor_unref(r.input);
    resattn_optimizer_free(r.sgd);
    resattn_session_free(r.inference);
    resattn_session_free(r.training);
    resattn_network_unref(r.network);
    return status;
}
