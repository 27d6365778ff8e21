/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Classifies the frames of a camera: 8-bit pixels, blue, green, red, in rows that are longer than the picture is wide.
 * The buffer is wrapped once, without a copy; for each frame the camera writes into it, and the network reads it. The
 * network tells which colour a frame has most of: its weights are written here, so that its answers are known.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <resattn/resattn.h>

enum { HEIGHT = 48, WIDTH = 65, PITCH = 200, CLASSES = 3 };

static const char *const classes[CLASSES] = {"red", "green", "blue"};

static resattn_network *build(resattn_context *context)
{
    static const float mean[] = {0.485f, 0.456f, 0.406f}, deviation[] = {0.229f, 0.224f, 0.225f};
    static const float weights[CLASSES * 3] = {1, 0, 0, 0, 1, 0, 0, 0, 1};
    resattn_builder *b = resattn_builder_new(context);
    if (!b)
        return NULL;
    resattn_layer *net = resattn_sequential_new(b, NULL);
    resattn_layer_add(net, resattn_global_average_pool_new(b, NULL));
    resattn_layer_add(net, resattn_linear_new(b, "colour", CLASSES));
    resattn_layer_add(net, resattn_softmax_new(b, NULL));
    resattn_network *network = resattn_network_new(b, net, 3);
    resattn_builder_free(b);
    int32_t i = network ? resattn_network_find_parameter(network, "colour.weight") : -1;
    /* 8-bit pixels become (value / 255 - mean) / deviation */
    if (i < 0 || resattn_tensor_write(resattn_network_parameter(network, i), RESATTN_CHANNELS_FIRST, weights, 9) ||
        resattn_network_set_normalization(network, mean, deviation, 3) ||
        resattn_network_set_classes(network, classes, CLASSES)) {
        resattn_network_unref(network);
        return NULL;
    }
    return network;
}

/* Frame number `frame`, of the colour classes[frame]; what lies between the rows is not looked at. */
static void expose(uint8_t *pixels, int frame)
{
    memset(pixels, 255, (size_t)HEIGHT * PITCH);
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++)
            for (int byte = 0; byte < 3; byte++) /* blue, green, red */
                pixels[y * PITCH + 3 * x + byte] = (uint8_t)(byte == 2 - frame ? 200 + x % 50 : 60 + y);
}

/* Returns how many frames got the right name, or -1. */
static int watch(resattn_session *session, resattn_tensor *image, uint8_t *pixels)
{
    int right = 0;
    for (int frame = 0; frame < CLASSES; frame++) {
        float probabilities[CLASSES];
        int best = 0;
        expose(pixels, frame);
        if (resattn_session_forward(session, image) ||
            resattn_tensor_read(resattn_session_output(session, NULL), RESATTN_CHANNELS_FIRST, probabilities, CLASSES))
            return -1;
        for (int c = 1; c < CLASSES; c++)
            best = probabilities[c] > probabilities[best] ? c : best;
        printf("frame %d: %s, %.1f %%\n", frame, resattn_network_class_name(resattn_session_network(session), best),
               100 * (double)probabilities[best]);
        right += best == frame;
    }
    return right;
}

int main(void)
{
    static uint8_t pixels[HEIGHT * PITCH];
    resattn_network *network = NULL;
    resattn_tensor *image = NULL;
    resattn_plan *plan = NULL;
    resattn_session *session = NULL;
    resattn_context *context = resattn_context_new(0);
    int good =
        context && (network = build(context)) &&
        (image = resattn_tensor_wrap_pixels(context, RESATTN_PIXEL_BGR, HEIGHT, WIDTH, PITCH, pixels, NULL, NULL)) &&
        (plan = resattn_plan_new(network, RESATTN_INFERENCE, 1, HEIGHT, WIDTH)) &&
        (session = resattn_session_new(plan));
    int right = good ? watch(session, image, pixels) : -1;
    if (right < 0)
        fprintf(stderr, "camera: %s\n", resattn_last_error());
    resattn_session_free(session);
    resattn_plan_free(plan);
    resattn_tensor_unref(image);
    resattn_network_unref(network);
    resattn_context_unref(context);
    return right != CLASSES;
}
