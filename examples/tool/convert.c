/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * resattn convert: weights of other programs to a network's file, and back.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "class_names.h"
#include "errors.h"
#include "options.h"
#include "tool.h"

static const char help[] =
    "Usage: resattn convert IN OUT [OPTION]...\n"
    "Writes the network of IN to OUT. What IN is, a network's file or a file of weights (safetensors), is seen from "
    "its\n"
    "bytes; OUT becomes a file of weights if its name ends in .safetensors. Networks' files hold the layers too, so\n"
    "weights need --model. IN may also be the name of a network, whose weights are then random.\n"
    "\n"
    "Reading weights:\n"
    "  --model NAME        the network that they are for; 'resattn models --all' lists the names\n"
    "  --classes N         its classes (default: as published)\n"
    "  --prefix P          taken off the front of the names\n"
    "  --lenient           missing weights keep their random values, unknown ones are passed over\n"
    "  --new-head          the last layer keeps random values where its shape differs: for other classes\n"
    "\n"
    "What belongs to the network (default: what IN has; with --model, the size that it was published with):\n"
    "  --class-names FILE  one a line\n"
    "  --input-size S      side of its images\n"
    "  --mean R,G,B        of pixels from 0 to 1, taken off\n"
    "  --deviation R,G,B   then divided by\n"
    "\n"
    "Writing:\n"
    "  --type T            of the numbers: f32, f16, bf16 (default: as in IN; f32 for weights)\n"
    "  --level L           of compression, 0 to 9 (default 6)\n"
    "  --help              this text\n";

enum { SHOWN = 12 }; /* differences of a kind that are printed */

struct settings {
    const char *in, *out, *model, *prefix, *class_names;
    int32_t classes, flags, side, level;
    resattn_dtype type; /* 0: as it was */
    int has_mean, has_deviation;
    float mean[3], deviation[3];
};

/* ---- reading ---- */

static int is_blob(const char *path, int *answer)
{
    static const unsigned char magic[] = {0x89, 'R', 'A', 'N', '\r', '\n', 0x1A, '\n'};
    unsigned char bytes[sizeof magic] = {0};
    FILE *file = fopen(path, "rb");
    if (!file)
        return complain("%s: %s", path, strerror(errno));
    errno = 0;
    size_t size = fread(bytes, 1, sizeof bytes, file);
    int failed = ferror(file), reason = errno;
    fclose(file);
    if (failed)
        return complain("%s: cannot be read: %s", path, strerror(reason));
    *answer = size == sizeof magic && memcmp(bytes, magic, sizeof magic) == 0;
    return 0;
}

static int32_t print_kind(const resattn_weights_report *report, resattn_weights_problem problem, const char *title)
{
    int32_t found = 0;
    for (int32_t i = 0; i < resattn_weights_report_count(report); i++) {
        if (resattn_weights_report_problem(report, i) != problem)
            continue;
        if (found == 0)
            fprintf(stderr, "%s:\n", title);
        if (found++ < SHOWN)
            fprintf(stderr, "  %s\n", resattn_weights_report_text(report, i));
    }
    if (found > SHOWN)
        fprintf(stderr, "  and %d more\n", (int)(found - SHOWN));
    return found;
}

static void print_report(const resattn_weights_report *report)
{
    int32_t missing = print_kind(report, RESATTN_WEIGHTS_MISSING, "Missing from the file");
    int32_t unexpected = print_kind(report, RESATTN_WEIGHTS_UNEXPECTED, "Unknown to the network");
    int32_t wrong = print_kind(report, RESATTN_WEIGHTS_WRONG_SHAPE, "Of another shape");
    fprintf(stderr, "%d missing, %d unknown, %d of another shape\n", (int)missing, (int)unexpected, (int)wrong);
}

static int load_weights(resattn_network *network, const struct settings *settings)
{
    resattn_weights_report *report = NULL;
    resattn_status status =
        resattn_network_load_weights(network, settings->in, settings->prefix, settings->flags, &report);
    if (status)
        complain_library();
    if (resattn_weights_report_count(report) > 0)
        print_report(report);
    resattn_weights_report_free(report);
    return status ? -1 : 0;
}

static resattn_network *read_network(resattn_context *context, struct settings *settings)
{
    int blob = 0;
    struct stat status;
    if (!settings->model && resattn_model_input_size(settings->in) > 0 && stat(settings->in, &status)) {
        settings->model = settings->in;
        return tool_new_network(context, settings->model, settings->classes, TOOL_RANDOM);
    }
    if (is_blob(settings->in, &blob))
        return NULL;
    if (blob && settings->model) {
        complain("%s: a network's file has its layers; --model is for files of weights", settings->in);
        return NULL;
    }
    if (blob)
        return tool_load(context, settings->in);
    if (!settings->model) {
        complain("%s: not a network's file; for a file of weights, give --model", settings->in);
        return NULL;
    }
    /* Loading that lets nothing be missing sets every value. */
    enum tool_values values = settings->flags == RESATTN_WEIGHTS_STRICT ? TOOL_ZERO : TOOL_RANDOM;
    resattn_network *network = tool_new_network(context, settings->model, settings->classes, values);
    if (network && load_weights(network, settings)) {
        resattn_network_unref(network);
        return NULL;
    }
    return network;
}

/* ---- what belongs to the network ---- */

static int set_metadata(resattn_network *network, const struct settings *settings)
{
    int32_t side = settings->side;
    float mean[3], deviation[3];
    if (settings->model && !side)
        side = tool_side(network, settings->model, 0);
    if (side && resattn_network_set_input_size(network, side, side))
        return complain_library();
    for (int32_t c = 0; c < 3; c++) {
        mean[c] = settings->has_mean ? settings->mean[c] : resattn_network_mean(network, c);
        deviation[c] = settings->has_deviation ? settings->deviation[c] : resattn_network_deviation(network, c);
    }
    if ((settings->has_mean || settings->has_deviation) &&
        resattn_network_set_normalization(network, mean, deviation, 3))
        return complain_library();
    if (settings->class_names && class_names_read(network, settings->class_names))
        return -1;
    return settings->type && resattn_network_set_storage(network, settings->type) ? complain_library() : 0;
}

/* ---- writing ---- */

static int write_network(resattn_network *network, const struct settings *settings)
{
    static const char ending[] = ".safetensors";
    size_t length = strlen(settings->out);
    int weights = length >= sizeof ending && strcmp(settings->out + length - (sizeof ending - 1), ending) == 0;
    resattn_status status = weights
                                ? resattn_network_save_weights(network, settings->out, resattn_network_storage(network))
                                : resattn_network_save(network, settings->out, settings->level);
    return status ? complain_library() : 0;
}

static int run(struct settings *settings)
{
    resattn_context *context = tool_context(0, 0);
    resattn_network *network = context ? read_network(context, settings) : NULL;
    int result = network ? set_metadata(network, settings) : -1;
    if (!result)
        result = write_network(network, settings);
    if (!result)
        printf("Saved as %s\n", settings->out);
    resattn_network_unref(network);
    resattn_context_unref(context);
    return result ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* ---- the command line ---- */

static int parse_type(const char *name, resattn_dtype *type)
{
    static const char *const names[] = {NULL, "f32", "f16", "bf16"};
    for (int i = 1; i < 4; i++) {
        if (strcmp(name, names[i]) == 0) {
            *type = (resattn_dtype)i;
            return 0;
        }
    }
    return complain("--type is '%s', expected f32, f16 or bf16", name);
}

static int parse_colours(const char *option, const char *text, float values[3])
{
    char rest;
    if (sscanf(text, "%f,%f,%f%c", &values[0], &values[1], &values[2], &rest) == 3)
        return 0;
    return complain("--%s is '%s', expected three numbers as in 0.485,0.456,0.406", option, text);
}

static int parse_option(void *user, int option)
{
    struct settings *settings = user;
    switch (option) {
    case 'm':
        settings->model = optarg;
        return 0;
    case 'c':
        return option_int("classes", optarg, 1, 1 << 20, &settings->classes);
    case 'p':
        settings->prefix = optarg;
        return 0;
    case 'l':
        settings->flags |= RESATTN_WEIGHTS_LENIENT;
        return 0;
    case 'n':
        settings->flags |= RESATTN_WEIGHTS_NEW_HEAD;
        return 0;
    case 'C':
        settings->class_names = optarg;
        return 0;
    case 's':
        return option_int("input-size", optarg, 1, 1 << 16, &settings->side);
    case 'M':
        settings->has_mean = 1;
        return parse_colours("mean", optarg, settings->mean);
    case 'D':
        settings->has_deviation = 1;
        return parse_colours("deviation", optarg, settings->deviation);
    case 't':
        return parse_type(optarg, &settings->type);
    case 'L':
        return option_int("level", optarg, 0, 9, &settings->level);
    default:
        return -1;
    }
}

int command_convert(int argc, char **argv)
{
    static const struct option options[] = {{"model", required_argument, NULL, 'm'},
                                            {"classes", required_argument, NULL, 'c'},
                                            {"prefix", required_argument, NULL, 'p'},
                                            {"lenient", no_argument, NULL, 'l'},
                                            {"new-head", no_argument, NULL, 'n'},
                                            {"class-names", required_argument, NULL, 'C'},
                                            {"input-size", required_argument, NULL, 's'},
                                            {"mean", required_argument, NULL, 'M'},
                                            {"deviation", required_argument, NULL, 'D'},
                                            {"type", required_argument, NULL, 't'},
                                            {"level", required_argument, NULL, 'L'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    struct settings settings = {.level = RESATTN_DEFAULT_LEVEL};
    int wrong = options_read(argc, argv, options, help, parse_option, &settings);
    if (wrong > 0)
        return EXIT_SUCCESS;
    if (!wrong && optind + 2 != argc)
        wrong = complain("%d files, expected two: IN and OUT", argc - optind);
    if (!wrong && !settings.model && (settings.prefix || settings.flags))
        wrong = complain("--prefix, --lenient and --new-head go with --model");
    if (wrong)
        return usage_hint("convert");
    settings.in = argv[optind];
    settings.out = argv[optind + 1];
    return run(&settings);
}
