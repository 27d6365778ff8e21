/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A layer of the host's own: PReLU (He et al., ICCV 2015), y = x where x > 0, else beta * x, with a beta for each
 * channel that is trained. A network of it learns the betas that made its targets; saved, it can be loaded by programs
 * that have the layer.
 */
#include <math.h>
#include <stdio.h>

#include <resattn/resattn.h>

enum { IMAGES = 8, CHANNELS = 3, SIDE = 8, VALUES = IMAGES * CHANNELS * SIDE * SIDE, STEPS = 400 };

static const char *const kind = "x-example-prelu";

/* As many channels as the input has, and one parameter, number 0: `beta`, 1 at first. */
static resattn_status channels_of(void *user, resattn_layer *layer, int32_t *channels)
{
    const int64_t shape[1] = {*channels};
    (void)user;
    return resattn_custom_add_parameter(layer, "beta", RESATTN_PARAMETER_TRAINABLE, RESATTN_INIT_ONES, 1, shape);
}

/* Forward and backward in one, as they have most in common: channels lie side by side, so element i is of channel i %
 * c. */
static resattn_status run(void *user, const resattn_layer *layer, resattn_custom_run *r)
{
    int32_t shape[4]; /* n, channels, height, width */
    (void)user;
    (void)layer;
    resattn_status status = resattn_custom_run_shape(r, 0, shape);
    const float *x = resattn_custom_run_data(r, RESATTN_DATA_INPUT, 0);
    const float *beta = resattn_custom_run_data(r, RESATTN_DATA_PARAMETER, 0);
    float *y = resattn_custom_run_data(r, RESATTN_DATA_OUTPUT, 0);
    const float *dy = resattn_custom_run_data(r, RESATTN_DATA_OUTPUT_GRADIENT, 0); /* these three: backward only */
    float *dx = resattn_custom_run_data(r, RESATTN_DATA_INPUT_GRADIENT, 0);        /* NULL: nobody wants it */
    float *dbeta = resattn_custom_run_data(r, RESATTN_DATA_PARAMETER_GRADIENT, 0);
    int64_t count = (int64_t)shape[0] * shape[1] * shape[2] * shape[3];
    for (int64_t i = 0; i < count; i++) {
        int64_t c = i % shape[1];
        float slope = x[i] > 0 ? 1 : beta[c];
        if (resattn_custom_run_phase(r) != RESATTN_PHASE_BACKWARD) {
            y[i] = slope * x[i];
            continue;
        }
        if (x[i] <= 0)
            dbeta[c] += dy[i] * x[i]; /* gradients are added to */
        if (dx)
            dx[i] += dy[i] * slope;
    }
    return status;
}

/* What a program does before it builds or loads such a network. */
static int define(resattn_context *context)
{
    resattn_custom *custom = resattn_custom_new(context, kind, run, NULL, NULL);
    return !custom || resattn_custom_set_backward(custom, run, RESATTN_CUSTOM_READS_INPUT) ||
           resattn_custom_set_shape(custom, channels_of, NULL);
}

static resattn_network *build(resattn_context *context)
{
    resattn_builder *b = resattn_builder_new(context);
    resattn_layer *layer = resattn_custom_layer_new(b, kind, "prelu", NULL);
    resattn_network *network = resattn_network_new(b, layer, CHANNELS);
    resattn_builder_free(b);
    return network;
}

/* The gradient of half the squared distance from what the betas `wanted` give; from then on plain descent. */
static int train(resattn_network *network, resattn_tensor *input, const float *x, const float *wanted)
{
    resattn_context *context = resattn_network_context(network);
    const int64_t shape[4] = {IMAGES, CHANNELS, SIDE, SIDE};
    resattn_plan *plan = resattn_plan_new(network, RESATTN_TRAINING, IMAGES, SIDE, SIDE);
    resattn_session *session = resattn_session_new(plan);
    resattn_optimizer *sgd = resattn_sgd_new(network, 0.002);
    resattn_tensor *gradient = resattn_tensor_new(context, RESATTN_F32, 4, shape, RESATTN_CHANNELS_LAST);
    int failed = !session || !sgd || !gradient;
    for (int step = 0; step < STEPS && !failed; step++) {
        float y[VALUES];
        failed = resattn_session_forward(session, input) ||
                 resattn_tensor_read(resattn_session_output(session, NULL), RESATTN_CHANNELS_LAST, y, VALUES);
        for (int i = 0; i < VALUES; i++)
            y[i] -= x[i] > 0 ? x[i] : wanted[i % CHANNELS] * x[i];
        failed = failed || resattn_tensor_write(gradient, RESATTN_CHANNELS_LAST, y, VALUES) ||
                 resattn_session_set_output_gradient(session, NULL, gradient) || resattn_session_backward(session) ||
                 resattn_optimizer_step(sgd);
    }
    resattn_tensor_unref(gradient);
    resattn_optimizer_free(sgd);
    resattn_session_free(session);
    resattn_plan_free(plan);
    return failed;
}

/* A program without the layer is refused, one that has it gets the betas. */
static int save_and_load(resattn_network *network, float *beta)
{
    resattn_context *other = resattn_context_new(1);
    void *bytes = NULL;
    size_t size = 0;
    resattn_network *loaded = NULL;
    int failed = resattn_network_save_buffer(network, RESATTN_DEFAULT_LEVEL, &bytes, &size) || !other;
    if (!failed) {
        failed = resattn_network_load_buffer(other, bytes, size) || resattn_last_status() != RESATTN_UNSUPPORTED;
        printf("not defined: %s\n", resattn_last_error());
        failed = failed || define(other) || !(loaded = resattn_network_load_buffer(other, bytes, size)) ||
                 resattn_tensor_read(resattn_network_parameter(loaded, 0), RESATTN_CHANNELS_FIRST, beta, CHANNELS);
    }
    resattn_network_unref(loaded);
    resattn_buffer_free(bytes);
    resattn_context_unref(other);
    return failed;
}

int main(void)
{
    const float wanted[CHANNELS] = {0.25f, 1.5f, 3.0f};
    const int64_t shape[4] = {IMAGES, CHANNELS, SIDE, SIDE};
    float x[VALUES], beta[CHANNELS] = {0};
    resattn_context *context = resattn_context_new(0);
    resattn_network *network = !context || define(context) ? NULL : build(context);
    resattn_tensor *input = resattn_tensor_new(context, RESATTN_F32, 4, shape, RESATTN_CHANNELS_LAST);
    for (int i = 0; i < VALUES; i++)
        x[i] = (float)(i * 37 % 101 - 50) / 25;
    int failed = !network || !input || resattn_tensor_write(input, RESATTN_CHANNELS_LAST, x, VALUES) ||
                 train(network, input, x, wanted) || save_and_load(network, beta);
    if (failed)
        fprintf(stderr, "custom_layer: %s\n", resattn_last_error());
    for (int c = 0; c < CHANNELS && !failed; c++) {
        printf("beta %d: %.3f, wanted %.3f\n", c, (double)beta[c], (double)wanted[c]);
        failed = !(fabsf(beta[c] - wanted[c]) < 0.01f);
    }
    resattn_tensor_unref(input);
    resattn_network_unref(network);
    resattn_context_unref(context);
    return failed;
}
