/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Writes a network's masks for one image as text, for the tests of the tool: for each attention module a line with
 * name, channels, height and width, then a line with the values.
 *
 * usage: mask_values NETWORK SIDE < PIXELS, which are side x side x (red, green, blue)
 */
#include <stdio.h>
#include <stdlib.h>

#include <resattn/resattn.h>

static void need(int good)
{
    if (good)
        return;
    fprintf(stderr, "mask_values: %s\n", resattn_last_error());
    exit(EXIT_FAILURE);
}

static const char *mask_name(const resattn_network *network, int32_t index)
{
    return resattn_attention_mask_name(resattn_network_attention(network, index));
}

static void print_mask(resattn_session *session, const char *name)
{
    const resattn_tensor *mask = resattn_session_output(session, name);
    need(mask != NULL);
    int64_t elements = resattn_tensor_elements(mask);
    float *values = calloc((size_t)elements, sizeof *values);
    if (!values)
        exit(EXIT_FAILURE);
    need(resattn_tensor_read(mask, RESATTN_CHANNELS_FIRST, values, elements) == RESATTN_OK);
    printf("%s %d %d %d\n", name, (int)resattn_tensor_size(mask, 1), (int)resattn_tensor_size(mask, 2),
           (int)resattn_tensor_size(mask, 3));
    for (int64_t i = 0; i < elements; i++)
        printf("%.9g ", (double)values[i]);
    putchar('\n');
    free(values);
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return EXIT_FAILURE;
    int32_t side = (int32_t)strtol(argv[2], NULL, 10);
    size_t bytes = (size_t)side * (size_t)side * 3;
    unsigned char *pixels = malloc(bytes);
    if (!pixels || fread(pixels, 1, bytes, stdin) != bytes)
        return EXIT_FAILURE;
    resattn_context *context = resattn_context_new(1);
    resattn_network *network = context ? resattn_network_load(context, argv[1]) : NULL;
    need(network != NULL);
    resattn_plan *plan = resattn_plan_new(network, RESATTN_INFERENCE, 1, side, side);
    for (int32_t i = 0; i < resattn_network_attention_count(network) && plan; i++)
        need(resattn_plan_add_output(plan, mask_name(network, i)) == RESATTN_OK);
    resattn_session *session = plan ? resattn_session_new(plan) : NULL;
    int64_t shape[] = {1, 3, side, side};
    resattn_tensor *image =
        resattn_tensor_wrap(context, RESATTN_U8, 4, shape, RESATTN_CHANNELS_LAST, NULL, pixels, NULL, NULL);
    need(session && image && resattn_session_forward(session, image) == RESATTN_OK);
    for (int32_t i = 0; i < resattn_network_attention_count(network); i++)
        print_mask(session, mask_name(network, i));
    resattn_tensor_unref(image);
    resattn_session_free(session);
    resattn_plan_free(plan);
    resattn_network_unref(network);
    resattn_context_unref(context);
    free(pixels);
    return EXIT_SUCCESS;
}
