/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The tree of layers for other programs: all that is needed to build the same network, as one JSON document.
 */
#include <stdio.h>

#include "errors.h"
#include "json.h"
#include "tool.h"

static void print_text(const char *key, const char *text)
{
    printf("\"%s\": ", key);
    if (text)
        json_text(stdout, text);
    else
        fputs("null", stdout);
    fputs(", ", stdout);
}

static int print_attribute(const resattn_layer *layer, int32_t index)
{
    const char *name = resattn_layer_attribute_name(layer, index);
    int64_t number = 0;
    double real = 0;
    int is_int = resattn_layer_attribute_type(layer, index) == RESATTN_ATTRIBUTE_INT;
    if (is_int ? resattn_layer_get_int(layer, name, &number) : resattn_layer_get_real(layer, name, &real))
        return complain_library();
    printf("%s\"%s\": ", index ? ", " : "", name);
    if (is_int)
        printf("%lld", (long long)number);
    else
        printf("%.17g", real);
    return 0;
}

/* What an attention module has beside its attributes: these in words, and the names of its two outputs. */
static void print_attention(const resattn_attention *attention)
{
    static const char *const learning[] = {"", "residual", "naive"};
    static const char *const activation[] = {"", "mixed", "channel", "spatial", "none"};
    print_text("learning", learning[resattn_attention_learning(attention)]);
    print_text("activation", activation[resattn_attention_activation(attention)]);
    print_text("trunk_name", resattn_attention_trunk_name(attention));
    print_text("mask_name", resattn_attention_mask_name(attention));
}

static int print_layer(resattn_layer *layer, int depth)
{
    int result = 0;
    const resattn_attention *attention = resattn_layer_attention(layer);
    printf("\n%*s{", depth, "");
    print_text("kind", resattn_layer_kind(layer));
    print_text("name", resattn_layer_name(layer));
    print_text("path", resattn_layer_path(layer));
    printf("\"in_channels\": %d, \"out_channels\": %d, ", (int)resattn_layer_in_channels(layer),
           (int)resattn_layer_out_channels(layer));
    if (attention)
        print_attention(attention);
    fputs("\"attributes\": {", stdout);
    for (int32_t i = 0; i < resattn_layer_attribute_count(layer) && !result; i++)
        result = print_attribute(layer, i);
    fputs("}, \"children\": [", stdout);
    for (int32_t i = 0; i < resattn_layer_child_count(layer) && !result; i++) {
        fputs(i ? "," : "", stdout);
        result = print_layer(resattn_layer_child(layer, i), depth + 1);
    }
    fputs("]}", stdout);
    return result;
}

static void print_parameter(resattn_network *network, int32_t index)
{
    resattn_tensor *values = resattn_network_parameter(network, index);
    int trained = resattn_network_parameter_kind(network, index) == RESATTN_PARAMETER_TRAINABLE;
    fputs("\n {\"name\": ", stdout);
    json_text(stdout, resattn_network_parameter_name(network, index));
    fputs(", \"shape\": [", stdout);
    for (int32_t i = 0; i < resattn_tensor_rank(values); i++)
        printf("%s%lld", i ? ", " : "", (long long)resattn_tensor_size(values, i));
    printf("], \"trained\": %s}", trained ? "true" : "false");
}

int tool_print_json(resattn_network *network, const char *name, int32_t side)
{
    putchar('{');
    print_text("network", name);
    if (side > 0)
        printf("\"side\": %d, ", (int)side);
    else
        print_text("side", NULL);
    printf("\"in_channels\": %d, \"out_channels\": %d,\n\"parameters\": [", (int)resattn_network_in_channels(network),
           (int)resattn_network_out_channels(network));
    for (int32_t i = 0; i < resattn_network_parameter_count(network); i++) {
        fputs(i ? "," : "", stdout);
        print_parameter(network, i);
    }
    fputs("],\n\"tree\":", stdout);
    int result = print_layer(resattn_network_root(network), 1);
    puts("}");
    return result;
}
