/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The tree of layers as text: the output that each gives for one image, its parameters and multiply-adds, what it is.
 */
#include <stdio.h>

#include "errors.h"
#include "layer_text.h"
#include "tool.h"

enum { SETTINGS_BYTES = 160 };

struct tree {
    resattn_plan *plan;
    resattn_network *network;
};

/* What a child is to its container. */
static const char *role(const resattn_layer *container, int32_t index)
{
    static const char *const attention[] = {"trunk = ", "mask = "}, *const residual[] = {"branch = ", "shortcut = "},
                             *const down_up[] = {"down = ", "inner = ", "up = "};
    return layer_is(container, "attention")  ? attention[index]
           : layer_is(container, "residual") ? residual[index]
           : layer_is(container, "down_up")  ? down_up[index]
                                             : "";
}

static int print(const struct tree *tree, const resattn_layer *layer, const char *title, int depth)
{
    char settings[SETTINGS_BYTES], size[64], parameters[GROUPED_BYTES], work[GROUPED_BYTES] = "";
    int32_t height, width;
    const char *name = resattn_layer_name(layer);
    int64_t values = layer_parameters(tree->network, layer);
    int64_t multiply_adds = resattn_plan_layer_multiply_adds(tree->plan, layer);
    if (multiply_adds < 0 || resattn_plan_layer_size(tree->plan, layer, &height, &width))
        return complain_library();
    snprintf(size, sizeof size, "%d x %d x %d", (int)resattn_layer_out_channels(layer), (int)height, (int)width);
    if (multiply_adds)
        snprintf(work, sizeof work, "%.3f M", (double)multiply_adds * 1e-6);
    layer_settings(layer, settings, sizeof settings);
    printf("%-16s %12s %13s  %*s%s%s%s%s%s%s\n", size, values ? grouped(values, parameters) : "", work, 2 * depth, "",
           title, resattn_layer_kind(layer), name ? " " : "", name ? name : "", settings[0] ? ": " : "", settings);
    int result = 0;
    for (int32_t i = 0; i < resattn_layer_child_count(layer) && !result; i++)
        result = print(tree, resattn_layer_child(layer, i), role(layer, i), depth + 1);
    return result;
}

int tool_print_tree(resattn_plan *plan, resattn_network *network)
{
    struct tree tree = {plan, network};
    printf("\n%-16s %12s %13s  %s\n", "output", "parameters", "multiply-adds", "layer");
    return print(&tree, resattn_network_root(network), "", 0);
}
