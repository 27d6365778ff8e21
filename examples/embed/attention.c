/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One attention module by itself, forward and backward: any layer can be the root of a network. Shows that its output
 * is (1 + mask) * trunk, and what the gradient of the input says.
 */
#include <math.h>
#include <stdio.h>

#include <resattn/resattn.h>

enum { CHANNELS = 4, SIDE = 8, VALUES = CHANNELS * SIDE * SIDE };

static resattn_network *build(resattn_context *context)
{
    resattn_builder *b = resattn_builder_new(context);
    if (!b)
        return NULL;
    resattn_attention *attention = resattn_attention_new(b, "module");
    resattn_attention_set_trunk(attention, resattn_conv2d_new(b, "trunk_conv", CHANNELS, 3, 1, 1));
    resattn_attention_set_mask(attention,
                               resattn_conv2d_new(b, "mask_conv", CHANNELS, 3, 1, 1)); /* a sigmoid follows */
    resattn_network *network = resattn_network_new(b, resattn_attention_layer(attention), CHANNELS);
    resattn_builder_free(b);
    return network;
}

/* Forward; the loss is the sum of all outputs. NaN after an error. */
static double forward(resattn_session *session, resattn_tensor *input, const float *x, float *y)
{
    if (resattn_tensor_write(input, RESATTN_CHANNELS_FIRST, x, VALUES) || resattn_session_forward(session, input) ||
        resattn_tensor_read(resattn_session_output(session, NULL), RESATTN_CHANNELS_FIRST, y, VALUES))
        return NAN;
    double sum = 0;
    for (int i = 0; i < VALUES; i++)
        sum += (double)y[i];
    return sum;
}

/* How far the output y is from (1 + mask) * trunk, at most. */
static double compare_branches(resattn_session *session, resattn_attention *attention, const float *y)
{
    float mask[VALUES], trunk[VALUES];
    double largest = 0;
    if (resattn_tensor_read(resattn_session_output(session, resattn_attention_mask_name(attention)),
                            RESATTN_CHANNELS_FIRST, mask, VALUES) ||
        resattn_tensor_read(resattn_session_output(session, resattn_attention_trunk_name(attention)),
                            RESATTN_CHANNELS_FIRST, trunk, VALUES))
        return INFINITY;
    for (int i = 0; i < VALUES; i++) {
        double difference = fabs((1 + (double)mask[i]) * (double)trunk[i] - (double)y[i]);
        largest = difference > largest ? difference : largest;
    }
    return largest;
}

static int run(resattn_session *session, resattn_tensor *input, resattn_attention *attention)
{
    float x[VALUES], y[VALUES], gradient[VALUES];
    for (int i = 0; i < VALUES; i++)
        x[i] = (float)(i * 37 % 19 - 9) / 9;
    double before = forward(session, input, x, y), difference = compare_branches(session, attention, y);
    if (resattn_tensor_fill(input, 1) || /* the loss is a sum: its gradient is 1 for each output */
        resattn_session_set_output_gradient(session, NULL, input) || resattn_session_backward(session) ||
        resattn_tensor_read(resattn_session_input_gradient(session), RESATTN_CHANNELS_FIRST, gradient, VALUES))
        return -1;
    double norm = 0;
    for (int i = 0; i < VALUES; i++)
        norm += (double)gradient[i] * (double)gradient[i];
    for (int i = 0; i < VALUES; i++)
        x[i] -= (float)(0.01 / norm) * gradient[i]; /* downhill: the loss should fall by 0.01 */
    double fall = before - forward(session, input, x, y);
    printf("output and (1 + mask) * trunk differ by %.1g at most\n", difference);
    printf("the loss falls by %.4f, the gradient says 0.0100\n", fall);
    return difference < 1e-5 && fabs(fall - 0.01) < 1e-3 ? 0 : -1;
}

int main(void)
{
    const int64_t shape[] = {1, CHANNELS, SIDE, SIDE};
    resattn_network *network = NULL;
    resattn_attention *attention = NULL;
    resattn_tensor *input = NULL;
    resattn_plan *plan = NULL;
    resattn_session *session = NULL;
    resattn_context *context = resattn_context_new(1);
    int good = context && (network = build(context)) && (attention = resattn_network_attention(network, 0)) &&
               (input = resattn_tensor_new(context, RESATTN_F32, 4, shape, RESATTN_CHANNELS_FIRST)) &&
               (plan = resattn_plan_new(network, RESATTN_TRAINING, 1, SIDE, SIDE)) &&
               !resattn_plan_set_input_gradient(plan, 1) &&
               !resattn_plan_add_output(plan, resattn_attention_mask_name(attention)) &&
               !resattn_plan_add_output(plan, resattn_attention_trunk_name(attention)) &&
               (session = resattn_session_new(plan)) && !run(session, input, attention);
    if (!good)
        fprintf(stderr, "attention: %s\n", resattn_last_error());
    resattn_session_free(session);
    resattn_plan_free(plan);
    resattn_tensor_unref(input);
    resattn_network_unref(network);
    resattn_context_unref(context);
    return !good;
}
