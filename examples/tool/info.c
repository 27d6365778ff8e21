/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * resattn info: facts about the library and this machine, or about a network.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "errors.h"
#include "layer_text.h"
#include "options.h"
#include "tool.h"

static const char help[] =
    "Usage: resattn info [MODEL_OR_FILE [OPTION]...]\n"
    "Without a network: the library, BLIS and this machine.\n"
    "\n"
    "  --size S     side of the images (default: what the network was made for)\n"
    "  --batch B    images a session takes at once (default 1)\n"
    "  --classes N  of a network by name (default: as published)\n"
    "  --layers     also the tree of layers: outputs for one image, parameters, multiply-adds\n"
    "  --dot        only a graph for Graphviz's dot, of units; with --layers of all layers\n"
    "  --json       only one JSON document: names and shapes of the parameters, and the tree of\n"
    "               layers, each with kind, name, path, channels, attributes and children\n"
    "  --probe      only what a file holds and needs, without loading it: for files one does not trust\n"
    "  --help       this text\n";

struct settings {
    int32_t side, batch, classes;
    int layers, dot, json, probe;
};

static int print_machine(void)
{
    static const char *const keys[][2] = {
        {"version", "libresattn"},        {"blis.version", "BLIS"},     {"blis.variant", "BLIS variant"},
        {"blis.family", "BLIS kernels"},  {"blis.reason", "  because"}, {"cpu", "CPU"},
        {"cpu.features", "CPU features"}, {"cpu.level", "own kernels"}, {"zlib.version", "zlib"}};
    resattn_context *context = tool_context(0, 0);
    if (!context)
        return EXIT_FAILURE;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const char *value = resattn_info(keys[i][0]);
        printf("%-18s %s\n", keys[i][1], value ? value : "unknown");
    }
    printf("%-18s %d\n", "threads", (int)resattn_context_threads(context));
    resattn_context_unref(context);
    return EXIT_SUCCESS;
}

/* What a session of a purpose needs; how many multiply-adds an image takes. */
static int print_plan(resattn_network *network, resattn_purpose purpose, int32_t batch, int32_t side)
{
    const double mega = 1 << 20;
    double parameters = 4.0 * (double)resattn_network_trainable_values(network) / mega;
    resattn_plan *plan = resattn_plan_new(network, purpose, batch, side, side);
    int64_t work = plan ? resattn_plan_memory(plan) : -1;
    int64_t multiply_adds = plan ? resattn_plan_multiply_adds(plan) : -1;
    resattn_plan_free(plan);
    if (work < 0 || multiply_adds < 0)
        return complain_library();
    if (purpose == RESATTN_INFERENCE) {
        printf("%-18s %.3f GMAC an image of %d x %d\n", "multiply-adds", (double)multiply_adds * 1e-9, (int)side,
               (int)side);
        printf("%-18s %.1f MiB of work memory, batch %d\n", "inference", (double)work / mega, (int)batch);
    } else {
        printf("%-18s %.1f MiB of work memory, batch %d; beside it gradients and momentum, %.1f MiB each\n", "training",
               (double)work / mega, (int)batch, parameters);
    }
    return 0;
}

static void print_attention(const resattn_network *network)
{
    static const char *const learning[] = {"", "residual", "naive"};
    static const char *const activation[] = {"", "mixed", "channel", "spatial", "none"};
    int32_t count = resattn_network_attention_count(network);
    printf("%-18s %d\n", "attention modules", (int)count);
    for (int32_t i = 0; i < count; i++) {
        resattn_attention *module = resattn_network_attention(network, i);
        const resattn_layer *layer = resattn_attention_layer(module);
        printf("  %-30s %5d channels, %s learning, %s mask\n", resattn_layer_path(layer),
               (int)resattn_layer_out_channels(layer), learning[resattn_attention_learning(module)],
               activation[resattn_attention_activation(module)]);
    }
}

static void print_classes(const resattn_network *network)
{
    int32_t count = resattn_network_out_channels(network), shown = count < 10 ? count : 10;
    printf("%-18s %d", "classes", (int)count);
    if (resattn_network_class_name(network, 0)) {
        for (int32_t i = 0; i < shown; i++)
            printf("%s%s", i ? ", " : ": ", resattn_network_class_name(network, i));
        if (shown < count)
            printf(", ...");
    }
    putchar('\n');
}

static void print_input(const resattn_network *network, int32_t side)
{
    printf("%-18s %d x %d, %d channels", "input", (int)side, (int)side, (int)resattn_network_in_channels(network));
    for (int32_t c = 0; c < resattn_network_in_channels(network) && c < 4; c++)
        printf("%s%.4g / %.4g", c ? ", " : "; mean / deviation ", (double)resattn_network_mean(network, c),
               (double)resattn_network_deviation(network, c));
    putchar('\n');
}

static int print_summary(resattn_network *network, const char *name, int32_t batch, int32_t side)
{
    static const char *const types[] = {"", "float32", "float16", "bfloat16"};
    char parameters[GROUPED_BYTES];
    printf("%-18s %s\n", "network", name);
    printf("%-18s %s, saved as %s\n", "parameters", grouped(resattn_network_trainable_values(network), parameters),
           types[resattn_network_storage(network)]);
    print_input(network, side);
    print_classes(network);
    for (int32_t i = 0; resattn_network_text_key(network, i); i++)
        printf("%-18s %s\n", resattn_network_text_key(network, i),
               resattn_network_text(network, resattn_network_text_key(network, i)));
    if (print_plan(network, RESATTN_INFERENCE, batch, side) || print_plan(network, RESATTN_TRAINING, batch, side))
        return -1;
    print_attention(network);
    return 0;
}

static int print_layers(resattn_network *network, const char *name, int32_t side, int layers, int dot)
{
    resattn_plan *plan = resattn_plan_new(network, RESATTN_INFERENCE, 1, side, side);
    if (!plan)
        return complain_library();
    int result = dot ? tool_print_graph(plan, network, name, layers) : tool_print_tree(plan, network);
    resattn_plan_free(plan);
    return result;
}

static int print_text(resattn_network *network, const char *name, const struct settings *settings)
{
    int32_t side = tool_side(network, name, settings->side);
    int result = side > 0 ? 0 : -1;
    if (!result && !settings->dot)
        result = print_summary(network, name, settings->batch, side);
    if (!result && (settings->layers || settings->dot))
        result = print_layers(network, name, side, settings->layers, settings->dot);
    return result;
}

static int print_network(const struct settings *settings, const char *name)
{
    resattn_context *context = tool_context(0, 0);
    if (!context)
        return EXIT_FAILURE;
    resattn_network *network = tool_network(context, name, settings->classes, TOOL_ZERO);
    int result = -1;
    if (network && settings->json)
        result = tool_print_json(network, name, settings->side ? settings->side : tool_own_side(network, name));
    else if (network)
        result = print_text(network, name, settings);
    resattn_network_unref(network);
    resattn_context_unref(context);
    return result ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int parse_option(void *user, int option)
{
    struct settings *settings = user;
    switch (option) {
    case 's':
        return option_int("size", optarg, 1, 1 << 16, &settings->side);
    case 'b':
        return option_int("batch", optarg, 1, 1 << 20, &settings->batch);
    case 'c':
        return option_int("classes", optarg, 1, 1 << 20, &settings->classes);
    case 'l':
        settings->layers = 1;
        return 0;
    case 'd':
        settings->dot = 1;
        return 0;
    case 'j':
        settings->json = 1;
        return 0;
    case 'p':
        settings->probe = 1;
        return 0;
    default:
        return -1;
    }
}

int command_info(int argc, char **argv)
{
    static const struct option options[] = {{"size", required_argument, NULL, 's'},
                                            {"batch", required_argument, NULL, 'b'},
                                            {"classes", required_argument, NULL, 'c'},
                                            {"layers", no_argument, NULL, 'l'},
                                            {"dot", no_argument, NULL, 'd'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"probe", no_argument, NULL, 'p'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    struct settings settings = {.batch = 1};
    int wrong = options_read(argc, argv, options, help, parse_option, &settings);
    if (wrong > 0)
        return EXIT_SUCCESS;
    if (!wrong && optind + 1 < argc)
        wrong = complain("unexpected argument '%s'", argv[optind + 1]);
    if (!wrong && optind == argc && (settings.layers || settings.dot || settings.json || settings.probe))
        wrong = complain("--layers, --dot, --json and --probe need a network");
    if (!wrong && settings.probe && (settings.layers || settings.dot || settings.json))
        wrong = complain("--probe does not go with --layers, --dot and --json");
    if (!wrong && settings.json && (settings.layers || settings.dot))
        wrong = complain("--json does not go with --layers and --dot");
    if (wrong)
        return usage_hint("info");
    if (settings.probe)
        return tool_print_probe(argv[optind]) ? EXIT_FAILURE : EXIT_SUCCESS;
    return optind < argc ? print_network(&settings, argv[optind]) : print_machine();
}
