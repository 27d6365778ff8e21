/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * resattn info: facts about the library and this machine, or about a network.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "errors.h"
#include "options.h"
#include "tool.h"

static const char help[] = "Usage: resattn info [MODEL_OR_FILE [--size S] [--batch B]]\n"
                           "Without a network: the library, BLIS and this machine.\n"
                           "\n"
                           "  --size S     side of the images (default: what the network was made for)\n"
                           "  --batch B    images a session takes at once (default 1)\n"
                           "  --classes N  of a network by name (default: as published)\n"
                           "  --help       this text\n";

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

/* 31810728 as 31,810,728 */
static void print_grouped(const char *title, int64_t number)
{
    char digits[32], text[48];
    int length = snprintf(digits, sizeof digits, "%lld", (long long)number), at = 0;
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0 && digits[i - 1] != '-')
            text[at++] = ',';
        text[at++] = digits[i];
    }
    text[at] = '\0';
    printf("%-18s %s\n", title, text);
}

/* What a session of a purpose needs; how many multiply-adds an image takes. */
static int print_plan(resattn_network *network, resattn_purpose purpose, int32_t batch, int32_t side)
{
    const double mega = 1 << 20;
    double parameters = 4.0 * (double)resattn_network_trained_values(network) / mega;
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
    if (resattn_network_class(network, 0)) {
        for (int32_t i = 0; i < shown; i++)
            printf("%s%s", i ? ", " : ": ", resattn_network_class(network, i));
        if (shown < count)
            printf(", ...");
    }
    putchar('\n');
}

static int print_network(const char *name, int32_t wanted_side, int32_t batch, int32_t classes)
{
    resattn_context *context = tool_context(0, 0);
    if (!context)
        return EXIT_FAILURE;
    resattn_network *network = tool_network(context, name, classes);
    int32_t side = network ? tool_side(network, name, wanted_side) : 0;
    int result = -1;
    if (side > 0) {
        printf("%-18s %s\n", "network", name);
        print_grouped("parameters", resattn_network_trained_values(network));
        printf("%-18s %d x %d, %d channels\n", "input", (int)side, (int)side,
               (int)resattn_network_in_channels(network));
        print_classes(network);
        result =
            print_plan(network, RESATTN_INFERENCE, batch, side) || print_plan(network, RESATTN_TRAINING, batch, side);
        print_attention(network);
    }
    resattn_network_unref(network);
    resattn_context_unref(context);
    return result ? EXIT_FAILURE : EXIT_SUCCESS;
}

int command_info(int argc, char **argv)
{
    static const struct option options[] = {{"size", required_argument, NULL, 's'},
                                            {"batch", required_argument, NULL, 'b'},
                                            {"classes", required_argument, NULL, 'c'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    int32_t side = 0, batch = 1, classes = 0;
    int option, wrong = 0;
    while (!wrong && (option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 's':
            wrong = option_int("size", optarg, 1, 1 << 16, &side);
            break;
        case 'b':
            wrong = option_int("batch", optarg, 1, 1 << 20, &batch);
            break;
        case 'c':
            wrong = option_int("classes", optarg, 1, 1 << 20, &classes);
            break;
        case 'h':
            fputs(help, stdout);
            return EXIT_SUCCESS;
        default:
            wrong = -1;
            break;
        }
    }
    if (!wrong && optind + 1 < argc)
        wrong = complain("unexpected argument '%s'", argv[optind + 1]);
    if (wrong)
        return usage_hint("info");
    return optind < argc ? print_network(argv[optind], side, batch, classes) : print_machine();
}
