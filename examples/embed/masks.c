/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reads the masks of a network, and prints one as characters. Masks are outputs like any other; a plan asks for them by
 * name, as what nobody asks for may be computed together with something else. The weights here are random: this mask
 * shows that there is something in the image, no more; supervise.c trains one.
 */
#include <stdio.h>

#include <resattn/resattn.h>

enum { SIDE = 32, PIXELS = SIDE * SIDE };

/* A module whose mask has one channel, which weighs all channels of the trunk. */
static resattn_network *build(resattn_context *context)
{
    resattn_builder *b = resattn_builder_new(context);
    if (!b)
        return NULL;
    resattn_attention *attention = resattn_attention_new(b, "attention");
    resattn_attention_set_trunk(attention, resattn_conv2d_new(b, "trunk_conv", 8, 3, 1, 1));
    resattn_attention_set_mask(attention, resattn_down_up_new(b, NULL, resattn_max_pool_new(b, NULL, 3, 2, 1),
                                                              resattn_conv2d_new(b, "mask_conv", 1, 3, 1, 1),
                                                              resattn_bilinear_resize_new(b, NULL, 0, 0)));
    resattn_layer *net = resattn_sequential_new(b, NULL);
    resattn_layer_add(net, resattn_attention_layer(attention));
    resattn_layer_add(net, resattn_global_average_pool_new(b, NULL));
    resattn_network *network = resattn_network_new(b, net, 3);
    resattn_builder_free(b);
    return network;
}

/* From the smallest value, a blank, to the largest. Returns 0 if all values are those of a sigmoid. */
static int print_mask(const resattn_tensor *mask)
{
    static const char shades[] = " .:-=+*#%@";
    float values[PIXELS], low = 1, high = 0;
    if (resattn_tensor_read(mask, RESATTN_CHANNELS_FIRST, values, PIXELS))
        return -1;
    for (int i = 0; i < PIXELS; i++) {
        low = values[i] < low ? values[i] : low;
        high = values[i] > high ? values[i] : high;
    }
    for (int i = 0; i < PIXELS; i++) {
        putchar(high > low ? shades[(int)(9.99f * (values[i] - low) / (high - low))] : ' ');
        if (i % SIDE == SIDE - 1)
            putchar('\n');
    }
    printf("from %.3f to %.3f\n", (double)low, (double)high);
    return low > 0 && low < high && high < 1 ? 0 : -1;
}

/* A bright disc on a dark ground, in all channels. */
static void draw(float image[3 * PIXELS])
{
    for (int i = 0; i < 3 * PIXELS; i++) {
        int x = i % SIDE - 20, y = i / SIDE % SIDE - 12;
        image[i] = x * x + y * y < 64 ? 1.0f : 0.0f;
    }
}

int main(void)
{
    static float pixels[3 * PIXELS];
    const int64_t shape[] = {1, 3, SIDE, SIDE};
    resattn_network *network = NULL;
    resattn_tensor *image = NULL;
    resattn_plan *plan = NULL;
    resattn_session *session = NULL;
    resattn_context *context = resattn_context_new(0);
    draw(pixels);
    int good =
        context && (network = build(context)) && (plan = resattn_plan_new(network, RESATTN_INFERENCE, 1, SIDE, SIDE));
    for (int32_t i = 0; good && i < resattn_network_attention_count(network); i++)
        good = !resattn_plan_add_output(plan, resattn_attention_mask_name(resattn_network_attention(network, i)));
    good = good && (session = resattn_session_new(plan)) &&
           (image = resattn_tensor_wrap(context, RESATTN_F32, 4, shape, RESATTN_CHANNELS_FIRST, NULL, pixels, NULL,
                                        NULL)) &&
           !resattn_session_forward(session, image);
    for (int32_t i = 0; good && i < resattn_network_attention_count(network); i++) {
        const char *name = resattn_attention_mask_name(resattn_network_attention(network, i));
        printf("%s:\n", name);
        good = !print_mask(resattn_session_output(session, name));
    }
    if (!good)
        fprintf(stderr, "masks: %s\n", resattn_last_error());
    resattn_session_free(session);
    resattn_plan_free(plan);
    resattn_tensor_unref(image);
    resattn_network_unref(network);
    resattn_context_unref(context);
    return !good;
}
