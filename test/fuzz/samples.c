/* SPDX-License-Identifier: BSD-3-Clause */
#include "samples.h"

resattn_network *sample_trained_network(resattn_context *context)
{
    resattn_builder *b = resattn_builder_new(context);
    resattn_layer *net = resattn_sequential_new(b, NULL);
    resattn_layer_add(net, resattn_conv2d_new(b, "stem", 3, 3, 1, 1));
    resattn_layer_add(net, resattn_batch_norm_new(b, "bn"));
    resattn_layer_add(net, resattn_relu_new(b, NULL));
    resattn_layer_add(net, resattn_dropout_new(b, "dropout", 0.25));
    resattn_layer_add(net, resattn_global_average_pool_new(b, NULL));
    resattn_layer_add(net, resattn_linear_new(b, "fc", 3));
    resattn_network *network = resattn_network_new(b, net, 2);
    resattn_builder_free(b);
    return network;
}

/* ---- something of everything ---- */

static resattn_layer *module(resattn_builder *b)
{
    resattn_layer *unit = resattn_sequential_new(b, NULL);
    resattn_layer_add(unit, resattn_batch_norm_new(b, "norm"));
    resattn_layer_add(unit, resattn_conv2d_new(b, "conv", 4, 1, 1, 0));
    resattn_layer_add(unit, resattn_scale_new(b, NULL, 0.5));
    resattn_attention *attention = resattn_attention_new(b, "attention1");
    resattn_attention_set_trunk(attention, resattn_residual_new(b, "trunk", unit, NULL));
    resattn_attention_set_mask(attention, resattn_down_up_new(b, "mask", resattn_max_pool_new(b, NULL, 3, 2, 1),
                                                              resattn_conv2d_new(b, NULL, 4, 1, 1, 0),
                                                              resattn_bilinear_resize_new(b, NULL, 0, 0)));
    resattn_attention_set_activation(attention, RESATTN_ACTIVATION_SPATIAL);
    return resattn_attention_layer(attention);
}

static resattn_layer *branches(resattn_builder *b)
{
    resattn_layer *sum = resattn_sum_new(b, "sum"), *concat = resattn_concat_new(b, "concat");
    resattn_layer_add(sum, resattn_conv_transpose2d_new(b, "up", 4, 1, 1, 0));
    resattn_layer_add(sum, resattn_subsample_new(b, NULL, 4, 1));
    resattn_layer_add(sum, resattn_instance_norm_new(b, NULL));
    resattn_layer_add(concat, sum);
    resattn_layer_add(concat, resattn_average_pool_new(b, NULL, 3, 1, 1));
    resattn_layer_add(concat, resattn_softmax_new(b, "soft"));
    resattn_layer_add(concat, resattn_channel_norm_new(b, NULL));
    return concat;
}

static bool add_metadata(resattn_network *network)
{
    const char *classes[] = {"cat", "", "na\xC3\xAFve"};
    const float mean[] = {0.485f, 0.456f}, deviation[] = {0.229f, 0.224f};
    return resattn_network_set_classes(network, classes, 3) == RESATTN_OK &&
           resattn_network_set_input_size(network, 9, 11) == RESATTN_OK &&
           resattn_network_set_normalization(network, mean, deviation, 2) == RESATTN_OK &&
           resattn_network_set_text(network, "name", "small") == RESATTN_OK &&
           resattn_network_set_text(network, "license", "") == RESATTN_OK;
}

resattn_network *sample_full_network(resattn_context *context)
{
    resattn_builder *b = resattn_builder_new(context);
    resattn_layer *net = resattn_sequential_new(b, NULL), *conv = resattn_conv2d_new(b, NULL, 4, 3, 2, 1);
    resattn_layer_set_int(conv, "pad_bottom", 2);
    resattn_layer_set_int(conv, "groups", 2);
    resattn_layer_set_path(conv, "features.stem.0");
    resattn_layer_add(net, conv);
    resattn_layer_add(net, module(b));
    resattn_layer_add(net, branches(b));
    resattn_layer_add(net, resattn_identity_new(b, "end"));
    resattn_layer_add(net, fuzz_custom_layer(b, "own", true));
    resattn_layer_add(net, fuzz_custom_layer(b, NULL, false));
    resattn_layer_add(net, resattn_sigmoid_new(b, NULL));
    resattn_layer_add(net, resattn_global_average_pool_new(b, NULL));
    resattn_layer_add(net, resattn_linear_new(b, "fc", 3));
    resattn_network *network = resattn_network_new(b, net, 2);
    resattn_builder_free(b);
    if (network && !add_metadata(network)) {
        resattn_network_unref(network);
        return NULL;
    }
    return network;
}

/* ---- checkpoints ---- */

static bool train(resattn_network *network, resattn_optimizer *optimizer)
{
    const int32_t labels[] = {0, 2};
    const int64_t shape[] = {2, 2, 5, 5};
    resattn_context *context = resattn_network_context(network);
    resattn_tensor *images = resattn_tensor_new(context, RESATTN_F32, 4, shape, RESATTN_CHANNELS_LAST);
    resattn_plan *plan = resattn_plan_new(network, RESATTN_TRAINING, 2, 5, 5);
    resattn_session *session = plan ? resattn_session_new(plan) : NULL;
    uint64_t state = 7;
    float *values = resattn_tensor_mutable_data(images);
    for (int i = 0; values && i < 100; i++)
        values[i] = fuzz_value(&state);
    bool ok = values && session && resattn_session_forward(session, images) == RESATTN_OK &&
              resattn_softmax_cross_entropy(session, labels, 2, NULL, NULL) == RESATTN_OK &&
              resattn_session_backward(session) == RESATTN_OK && resattn_optimizer_step(optimizer) == RESATTN_OK;
    resattn_session_free(session);
    resattn_plan_free(plan);
    resattn_tensor_unref(images);
    return ok;
}

uint8_t *sample_checkpoint(resattn_context *context, bool adamw, bool with_average, int32_t level, size_t *size)
{
    fuzz_sink sink = {0};
    resattn_network *network = sample_trained_network(context);
    resattn_optimizer *optimizer = adamw ? resattn_adamw_new(network, 0.1) : resattn_sgd_new(network, 0.1);
    resattn_ema *average = with_average ? resattn_ema_new(network, 0.75) : NULL;
    resattn_optimizer_set_factor(optimizer, "fc", "weight_decay", 0.5);
    bool ok = train(network, optimizer) &&
              resattn_checkpoint_save_stream(optimizer, average, level, fuzz_sink_write, &sink) == RESATTN_OK;
    resattn_ema_free(average);
    resattn_optimizer_free(optimizer);
    resattn_network_unref(network);
    if (!ok) {
        free(sink.bytes);
        return NULL;
    }
    *size = sink.size;
    return sink.bytes;
}
