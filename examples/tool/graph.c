/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The tree of layers as a graph for Graphviz's dot: containers are frames, layers are boxes with the shape of their
 * output.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "errors.h"
#include "layer_text.h"
#include "tool.h"

enum { TEXT_BYTES = 512, INPUT = 0 };

struct graph {
    resattn_plan *plan;
    resattn_layer *root;
    int every_layer;
    int nodes, frames, failed;
    FILE *edges; /* for the end: an edge inside a frame would draw its nodes into it */
};

/* What layers look like. */
static const struct style {
    const char *kind, *attributes;
} styles[] = {
    {"conv2d", "fillcolor=\"#d6e4f5\""},       {"conv_transpose2d", "fillcolor=\"#d9efd5\""},
    {"linear", "fillcolor=\"#d6e4f5\""},       {"max_pool", "fillcolor=\"#fbe3c8\""},
    {"average_pool", "fillcolor=\"#fbe3c8\""}, {"global_average_pool", "fillcolor=\"#fbe3c8\""},
    {"subsample", "fillcolor=\"#fbe3c8\""},    {"bilinear_resize", "fillcolor=\"#d9efd5\""},
    {"residual", "fillcolor=\"#c3d6ee\""},     {"concat", "fillcolor=\"#c3d6ee\""},
    {"sum", "fillcolor=\"#c3d6ee\""},          {"sequential", "fillcolor=\"#c3d6ee\""},
};

static const char *style_of(resattn_layer *layer)
{
    for (size_t i = 0; i < sizeof styles / sizeof styles[0]; i++)
        if (layer_is(layer, styles[i].kind))
            return styles[i].attributes;
    return "fillcolor=\"#f0f0f0\"";
}

static int contains(resattn_layer *layer, const char *kind)
{
    int count = layer_is(layer, kind);
    for (int32_t i = 0; i < resattn_layer_child_count(layer); i++)
        count += contains(resattn_layer_child(layer, i), kind);
    return count;
}

/* How many times the way through a layer branches and comes together again. */
static int branchings(resattn_layer *layer)
{
    int count = 0;
    if (layer_is(layer, "residual") || layer_is(layer, "sum") || layer_is(layer, "concat"))
        return 1;
    for (int32_t i = 0; i < resattn_layer_child_count(layer); i++)
        count += branchings(resattn_layer_child(layer, i));
    return count;
}

/* Whether a container is drawn in one piece: a unit such as ResNet's bottleneck, with what leads to its branches. */
static int is_unit(const struct graph *graph, resattn_layer *layer)
{
    if (graph->every_layer || layer == graph->root || resattn_layer_child_count(layer) == 0 ||
        contains(layer, "attention") || contains(layer, "down_up"))
        return 0;
    return branchings(layer) == 1 && (!layer_is(layer, "sequential") || resattn_layer_name(layer));
}

static void quote(FILE *file, const char *text)
{
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            fputc('\\', file);
        fputc(*text, file);
    }
}

/* The last two parts of a name: the frames around it tell the rest. */
static const char *short_name(const char *name)
{
    const char *at = name + strlen(name);
    for (int dots = 0; at > name; at--)
        if (at[-1] == '.' && ++dots == 2)
            break;
    return at;
}

/* A box with lines of text (`words` may be empty) and the shape of the layer's output. */
static int draw_box(struct graph *graph, resattn_layer *layer, int from, const char *name, const char *words)
{
    int32_t height = 0, width = 0;
    int node = ++graph->nodes;
    if (resattn_plan_layer_size(graph->plan, layer, &height, &width))
        graph->failed = 1;
    printf("n%d [label=\"", node);
    quote(stdout, name);
    printf("%s", name[0] && words[0] ? "\\n" : "");
    quote(stdout, words);
    printf("\\n%d x %d x %d\" %s]\n", (int)resattn_layer_out_channels(layer), (int)height, (int)width, style_of(layer));
    fprintf(graph->edges, "n%d -> n%d\n", from, node);
    return node;
}

/* A small circle where values meet. */
static int draw_joint(struct graph *graph, const char *sign)
{
    printf("n%d [label=\"%s\" shape=circle width=0.3 fixedsize=true fillcolor=white]\n", ++graph->nodes, sign);
    return graph->nodes;
}

static void open_frame(struct graph *graph, const char *title, const char *colour)
{
    printf("subgraph cluster_%d {\nlabel=\"", ++graph->frames);
    quote(stdout, title);
    printf("\" color=\"%s\"\n", colour);
}

static int draw(struct graph *graph, resattn_layer *layer, int from);

static const char *word_of(resattn_layer *layer)
{
    static const char *const words[][2] = {{"batch_norm", "BN"},
                                           {"relu", "ReLU"},
                                           {"conv2d", "conv"},
                                           {"conv_transpose2d", "transposed conv"},
                                           {"max_pool", "max pool"},
                                           {"average_pool", "average pool"},
                                           {"global_average_pool", "global average"},
                                           {"bilinear_resize", "bilinear resize"},
                                           {"channel_norm", "channel norm"},
                                           {"instance_norm", "map norm"}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (layer_is(layer, words[i][0]))
            return words[i][1];
    return resattn_layer_kind(layer);
}

/* Layers that are written into the box of the layer before them. */
static int is_minor(resattn_layer *layer)
{
    static const char *const kinds[] = {"batch_norm", "relu", "sigmoid", "softmax", "dropout", "identity", "scale"};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (layer_is(layer, kinds[i]))
            return 1;
    return 0;
}

static void add_words(char words[TEXT_BYTES], resattn_layer *layer)
{
    char settings[TEXT_BYTES / 4];
    size_t used = strlen(words);
    layer_settings(layer, settings, sizeof settings);
    if (is_minor(layer))
        settings[0] = '\0';
    snprintf(words + used, TEXT_BYTES - used, "%s%s%s%s", used ? ", " : "", word_of(layer), settings[0] ? " " : "",
             settings);
}

/* How many leaves of a sequential share a box, from `first` on; 0: that is a container. */
static int32_t box_size(const struct graph *graph, resattn_layer *layer, int32_t first)
{
    int32_t end = first + 1;
    if (resattn_layer_child_count(resattn_layer_child(layer, first)) > 0)
        return 0;
    while (!graph->every_layer && end < resattn_layer_child_count(layer) && is_minor(resattn_layer_child(layer, end)))
        end++;
    return end - first;
}

/* Layers that share a box leave the shape as it is. */
static int draw_leaves(struct graph *graph, resattn_layer *layer, int32_t first, int32_t count, int from,
                       const char *name)
{
    char words[TEXT_BYTES] = "";
    for (int32_t i = first; i < first + count; i++)
        add_words(words, resattn_layer_child(layer, i));
    return draw_box(graph, resattn_layer_child(layer, first), from, name ? short_name(name) : "", words);
}

static int draw_chain(struct graph *graph, resattn_layer *layer, int from)
{
    int32_t boxed;
    for (int32_t i = 0; i < resattn_layer_child_count(layer); i += boxed ? boxed : 1) {
        resattn_layer *child = resattn_layer_child(layer, i);
        boxed = box_size(graph, layer, i);
        from = boxed ? draw_leaves(graph, layer, i, boxed, from, is_minor(child) ? NULL : resattn_layer_name(child))
                     : draw(graph, child, from);
    }
    return from;
}

/* Branches that start from one value and meet again. */
static int draw_branches(struct graph *graph, resattn_layer *layer, int from, const char *sign)
{
    int32_t count = resattn_layer_child_count(layer);
    int joint = draw_joint(graph, sign);
    for (int32_t i = 0; i < count; i++)
        fprintf(graph->edges, "n%d -> n%d\n", draw(graph, resattn_layer_child(layer, i), from), joint);
    if (layer_is(layer, "residual") && count == 1)
        fprintf(graph->edges, "n%d -> n%d\n", from, joint);
    return joint;
}

static int draw_attention(struct graph *graph, resattn_layer *layer, int from)
{
    static const char *const activations[] = {"", "sigmoid", "channel norm", "map norm, sigmoid", ""};
    resattn_attention *attention = resattn_layer_attention(layer);
    const char *activation = activations[resattn_attention_activation(attention)];
    open_frame(graph, "trunk", "#2f6db3");
    int trunk = draw_chain(graph, resattn_layer_child(layer, 0), from);
    puts("}");
    open_frame(graph, "mask", "#c8641e");
    int mask = draw_chain(graph, resattn_layer_child(layer, 1), from);
    if (activation[0])
        mask = draw_box(graph, layer, mask, "", activation);
    puts("}");
    int naive = resattn_attention_learning(attention) == RESATTN_LEARNING_NAIVE;
    printf("n%d [label=\"%s\" fillcolor=\"#f6d5c0\"]\n", ++graph->nodes, naive ? "M T" : "(1 + M) T");
    fprintf(graph->edges, "n%d -> n%d [label=T]\nn%d -> n%d [label=M]\n", trunk, graph->nodes, mask, graph->nodes);
    return graph->nodes;
}

static int draw_inside(struct graph *graph, resattn_layer *layer, int from)
{
    if (layer_is(layer, "attention"))
        return draw_attention(graph, layer, from);
    if (layer_is(layer, "concat"))
        return draw_branches(graph, layer, from, "||");
    if (layer_is(layer, "sum") || layer_is(layer, "residual"))
        return draw_branches(graph, layer, from, "+");
    return draw_chain(graph, layer, from);
}

static int draw(struct graph *graph, resattn_layer *layer, int from)
{
    const char *name = resattn_layer_name(layer);
    if (resattn_layer_child_count(layer) == 0 || is_unit(graph, layer)) {
        char words[TEXT_BYTES] = "";
        if (resattn_layer_child_count(layer) == 0)
            add_words(words, layer);
        else if (!name)
            snprintf(words, sizeof words, "%s", resattn_layer_kind(layer));
        return draw_box(graph, layer, from, name ? short_name(name) : "", words);
    }
    if (name && layer_is(layer, "sequential") && box_size(graph, layer, 0) == resattn_layer_child_count(layer))
        return draw_leaves(graph, layer, 0, resattn_layer_child_count(layer), from, name);
    int framed = layer != graph->root && (name || layer_is(layer, "down_up"));
    if (framed)
        open_frame(graph, name ? short_name(name) : "down, up", "#888888");
    from = draw_inside(graph, layer, from);
    if (framed)
        puts("}");
    return from;
}

int tool_print_graph(resattn_plan *plan, const resattn_network *network, const char *name, int every_layer)
{
    char *text = NULL;
    size_t size = 0;
    struct graph graph = {.plan = plan, .root = resattn_network_root(network), .every_layer = every_layer};
    graph.edges = open_memstream(&text, &size);
    if (!graph.edges)
        return complain("no memory for the graph of %s", name);
    fputs("digraph \"", stdout);
    quote(stdout, name);
    puts("\" {\nnode [shape=box style=\"filled,rounded\" fontname=\"Helvetica\" fontsize=10 margin=\"0.12,0.04\" "
         "height=0.2]\n"
         "edge [fontname=\"Helvetica\" fontsize=10 arrowsize=0.6]\n"
         "graph [fontname=\"Helvetica\" fontsize=10 style=rounded ranksep=0.22 nodesep=0.2]");
    printf("n%d [label=\"input\\n%d channels\" fillcolor=white]\n", INPUT, (int)resattn_network_in_channels(network));
    draw(&graph, graph.root, INPUT);
    int lost = fclose(graph.edges) != 0;
    if (!lost)
        fputs(text, stdout);
    puts("}");
    free(text);
    return graph.failed ? complain_library() : lost ? complain("no memory for the graph of %s", name) : 0;
}
