/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * resattn models: the paper's table of networks beside what the library's networks come to, or all networks by name.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "errors.h"
#include "options.h"
#include "tool.h"

static const char help[] =
    "Usage: resattn models [OPTION]... [NAME]...\n"
    "The networks that the paper compares on ImageNet, its numbers beside those of the library's networks. Errors are\n"
    "the paper's; multiply-adds are of convolutions and linear layers, for one image. With names: only these.\n"
    "\n"
    "  --all   instead: all networks that have a name, at the size of image that they were published with\n"
    "  --csv   comma-separated values\n"
    "  --help  this text\n";

enum { PAPER_SIDE = 224 }; /* the paper gives all costs for it, whatever the size tested at */

/* Wang et al., Residual Attention Network for Image Classification, CVPR 2017, the table of single-crop errors on
 * ImageNet's validation set. NULL: not given. */
static const struct row {
    const char *title, *model;
    const char *parameters, *multiply_adds; /* millions; 10^9 */
    int32_t side;
    const char *top1, *top5; /* % */
} rows[] = {
    {"ResNet-152", "resnet-152-v1", "60.2", "11.3", 224, "22.16", "6.16"},
    {"Attention-56", "attention-56", "31.9", "6.3", 224, "21.76", "5.9"},
    {"ResNeXt-101", "resnext-101", "44.5", "7.8", 224, "21.2", "5.6"},
    {"AttentionNeXt-56", "attentionnext-56", "31.9", "6.3", 224, "21.2", "5.6"},
    {"Inception-ResNet-v1", "inception-resnet-v1", NULL, NULL, 299, "21.3", "5.5"},
    {"AttentionInception-56", "attentioninception-56", "31.9", "6.3", 299, "20.36", "5.29"},
    {"ResNet-200", "resnet-200", "64.7", "15.0", 320, "20.1", "4.8"},
    {"Inception-ResNet-v2", "inception-resnet-v2", NULL, NULL, 299, "19.9", "4.9"},
    {"Attention-92", "attention-92", "51.3", "10.4", 320, "19.5", "4.8"},
};

enum { ROWS = sizeof rows / sizeof rows[0] };

/* What a network of the library comes to. */
struct facts {
    int64_t parameters;
    int64_t multiply_adds[2]; /* at the two sides asked for */
};

static int measure(struct facts *facts, resattn_context *context, const char *model, const int32_t sides[2])
{
    resattn_network *network = tool_new_network(context, model, 0, TOOL_ZERO);
    if (!network)
        return -1;
    int result = 0;
    facts->parameters = resattn_network_trainable_values(network);
    for (int i = 0; i < 2 && !result; i++) {
        resattn_plan *plan = resattn_plan_new(network, RESATTN_INFERENCE, 1, sides[i], sides[i]);
        facts->multiply_adds[i] = plan ? resattn_plan_multiply_adds(plan) : -1;
        resattn_plan_free(plan);
        if (facts->multiply_adds[i] < 0)
            result = complain_library();
    }
    resattn_network_unref(network);
    return result;
}

static int is_wanted(const char *model, char *const *names)
{
    if (!names[0])
        return 1;
    while (*names && strcmp(*names, model) != 0)
        names++;
    return *names != NULL;
}

static const char *or_dash(const char *number)
{
    return number ? number : "-";
}

static void print_row(const struct row *row, const struct facts *facts)
{
    printf("%-22s %6s %6.2f   %6s %7.3f   %4d %8.3f   %6s / %s\n", row->title, or_dash(row->parameters),
           (double)facts->parameters * 1e-6, or_dash(row->multiply_adds), (double)facts->multiply_adds[0] * 1e-9,
           (int)row->side, (double)facts->multiply_adds[1] * 1e-9, row->top1, row->top5);
}

static void print_csv_row(const struct row *row, const struct facts *facts)
{
    printf("%s,%s,%s,%lld,%s,%lld,%d,%lld,%s,%s\n", row->title, row->model, row->parameters ? row->parameters : "",
           (long long)facts->parameters, row->multiply_adds ? row->multiply_adds : "",
           (long long)facts->multiply_adds[0], (int)row->side, (long long)facts->multiply_adds[1], row->top1,
           row->top5);
}

static int print_table(resattn_context *context, int csv, char *const *names)
{
    if (csv) {
        puts("network,model,parameters_paper_1e6,parameters,multiply_adds_224_paper_1e9,multiply_adds_224,"
             "test_size,multiply_adds_test_size,top1_error_paper,top5_error_paper");
    } else {
        printf("%-22s %-15s %-17s %-15s %s\n", "", "parameters, 10^6", " GMAC at 224", " tested at, GMAC",
               " error %, paper");
        printf("%-22s %6s %6s   %6s %7s   %4s %8s   %s\n", "", "paper", "here", "paper", "here", "", "here",
               " top-1 / top-5");
    }
    for (int i = 0; i < ROWS; i++) {
        struct facts facts;
        const int32_t sides[] = {PAPER_SIDE, rows[i].side};
        if (!is_wanted(rows[i].model, names))
            continue;
        if (measure(&facts, context, rows[i].model, sides))
            return -1;
        (csv ? print_csv_row : print_row)(&rows[i], &facts);
        fflush(stdout);
    }
    return 0;
}

static int print_all(resattn_context *context, int csv, char *const *names)
{
    puts(csv ? "model,parameters,size,multiply_adds" : "network                      parameters    at   multiply-adds");
    for (int32_t i = 0; i < resattn_model_count(); i++) {
        const char *name = resattn_model_name(i);
        int32_t side = resattn_model_input_size(name);
        struct facts facts;
        const int32_t sides[] = {side, side};
        if (!is_wanted(name, names))
            continue;
        if (measure(&facts, context, name, sides))
            return -1;
        if (csv)
            printf("%s,%lld,%d,%lld\n", name, (long long)facts.parameters, (int)side,
                   (long long)facts.multiply_adds[0]);
        else
            printf("%-26s %9.3f M   %3d  %8.3f GMAC\n", name, (double)facts.parameters * 1e-6, (int)side,
                   (double)facts.multiply_adds[0] * 1e-9);
        fflush(stdout);
    }
    return 0;
}

static int is_in_table(const char *model)
{
    for (int i = 0; i < ROWS; i++)
        if (strcmp(rows[i].model, model) == 0)
            return 1;
    return 0;
}

struct settings {
    int all, csv;
};

static int parse_option(void *user, int option)
{
    struct settings *settings = user;
    switch (option) {
    case 'a':
        settings->all = 1;
        return 0;
    case 'c':
        settings->csv = 1;
        return 0;
    default:
        return -1;
    }
}

int command_models(int argc, char **argv)
{
    static const struct option options[] = {
        {"all", no_argument, NULL, 'a'}, {"csv", no_argument, NULL, 'c'}, {"help", no_argument, NULL, 'h'}, {0}};
    struct settings settings = {0};
    int wrong = options_read(argc, argv, options, help, parse_option, &settings);
    if (wrong > 0)
        return EXIT_SUCCESS;
    int all = settings.all, csv = settings.csv;
    for (int i = optind; i < argc && !wrong; i++)
        if (!(all ? resattn_model_input_size(argv[i]) > 0 : is_in_table(argv[i])))
            wrong = complain("'%s' is not %s", argv[i], all ? "a network's name" : "in the table");
    if (wrong)
        return usage_hint("models");
    resattn_context *context = tool_context(0, 0);
    if (!context)
        return EXIT_FAILURE;
    int result = all ? print_all(context, csv, argv + optind) : print_table(context, csv, argv + optind);
    resattn_context_unref(context);
    return result ? EXIT_FAILURE : EXIT_SUCCESS;
}
