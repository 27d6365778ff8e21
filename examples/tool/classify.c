/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * resattn classify: what pictures show, as a network sees it.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "classifier.h"
#include "errors.h"
#include "json.h"
#include "options.h"
#include "tool.h"
#include "top.h"

static const char help[] =
    "Usage: resattn classify MODEL_OR_FILE IMAGE... [OPTION]...\n"
    "The likeliest classes of JPEG and PNG files. A picture is scaled by its shorter side, the middle is cut out, and\n"
    "mean and deviation are the network's.\n"
    "\n"
    "  --top K      how many classes (default 5)\n"
    "  --json       one JSON object a line for each picture\n"
    "  --size S     side of the square that is cut out (default: what the network was made for)\n"
    "  --resize R   length of the shorter side before that (default: the same)\n"
    "  --batch B    pictures at once (default 8)\n"
    "  --threads T  0, the default: as many as there are CPUs\n"
    "  --help       this text\n"
    "\n"
    "A picture that cannot be read is told of and passed over; the exit code is then 1.\n";

struct settings {
    const char *model;
    char **files;
    int32_t file_count;
    int32_t top, side, short_side, batch, threads;
    int json;
};

static void print_text(const resattn_network *network, const char *file, const float *result, const int32_t *top,
                       int32_t k)
{
    printf("%s\n", file);
    for (int32_t i = 0; i < k; i++) {
        const char *name = resattn_network_class_name(network, top[i]);
        printf("  %6.2f %%  %4d%s%s\n", 100 * (double)result[top[i]], (int)top[i], name ? "  " : "", name ? name : "");
    }
}

static void print_json(const resattn_network *network, const char *file, const float *result, const int32_t *top,
                       int32_t k)
{
    fputs("{\"file\": ", stdout);
    json_text(stdout, file);
    fputs(", \"classes\": [", stdout);
    for (int32_t i = 0; i < k; i++) {
        const char *name = resattn_network_class_name(network, top[i]);
        printf("%s{\"class\": %d, \"probability\": %.6g", i ? ", " : "", (int)top[i], (double)result[top[i]]);
        if (name) {
            fputs(", \"name\": ", stdout);
            json_text(stdout, name);
        }
        putchar('}');
    }
    puts("]}");
}

/* Classifies the pictures of a batch, whose names are in `files`. */
static int answer(struct classifier *classifier, const struct settings *settings, char *const *files, int32_t count,
                  int32_t *top)
{
    const resattn_network *network = resattn_session_network(classifier->session);
    int32_t k = settings->top < classifier->classes ? settings->top : classifier->classes;
    if (count > 0 && classifier_run(classifier, count))
        return -1;
    for (int32_t i = 0; i < count; i++) {
        const float *result = classifier_result(classifier, i);
        top_classes(result, classifier->classes, k, top);
        (settings->json ? print_json : print_text)(network, files[i], result, top, k);
    }
    fflush(stdout);
    return 0;
}

static int classify(struct classifier *classifier, const struct settings *settings)
{
    int32_t filled = 0, unread = 0;
    char **files = calloc((size_t)settings->batch, sizeof *files);
    int32_t *top = calloc((size_t)settings->top, sizeof *top);
    int result = files && top ? 0 : complain("no memory for a batch of %d", (int)settings->batch);
    for (int32_t i = 0; i < settings->file_count && !result; i++) {
        if (classifier_put(classifier, filled, settings->files[i]))
            unread++;
        else
            files[filled++] = settings->files[i];
        if (filled == settings->batch || i + 1 == settings->file_count) {
            result = answer(classifier, settings, files, filled, top);
            filled = 0;
        }
    }
    free(top);
    free(files);
    return result || unread ? -1 : 0;
}

static int run(struct settings *settings)
{
    struct classifier classifier;
    resattn_context *context = tool_context(settings->threads, 0);
    resattn_network *network = context ? tool_network(context, settings->model, 0, TOOL_RANDOM) : NULL;
    int32_t side = network ? tool_side(network, settings->model, settings->side) : 0;
    int32_t short_side = side > 0 ? tool_short_side(settings->short_side, side) : 0;
    int result = short_side > 0 ? 0 : -1;
    if (settings->batch > settings->file_count)
        settings->batch = settings->file_count;
    if (!result)
        result = classifier_open(&classifier, network, settings->batch, short_side, side);
    if (!result) {
        result = classify(&classifier, settings);
        classifier_close(&classifier);
    }
    resattn_network_unref(network);
    resattn_context_unref(context);
    return result ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int parse_option(void *user, int option)
{
    struct settings *settings = user;
    switch (option) {
    case 'k':
        return option_int("top", optarg, 1, 1000, &settings->top);
    case 'j':
        settings->json = 1;
        return 0;
    case 'z':
        return option_int("size", optarg, 1, 1 << 13, &settings->side);
    case 'r':
        return option_int("resize", optarg, 1, 1 << 13, &settings->short_side);
    case 'b':
        return option_int("batch", optarg, 1, 1 << 12, &settings->batch);
    case 't':
        return option_int("threads", optarg, 0, 1024, &settings->threads);
    default:
        return -1;
    }
}

int command_classify(int argc, char **argv)
{
    static const struct option options[] = {
        {"top", required_argument, NULL, 'k'},   {"json", no_argument, NULL, 'j'},
        {"size", required_argument, NULL, 'z'},  {"resize", required_argument, NULL, 'r'},
        {"batch", required_argument, NULL, 'b'}, {"threads", required_argument, NULL, 't'},
        {"help", no_argument, NULL, 'h'},        {NULL, 0, NULL, 0}};
    struct settings settings = {.top = 5, .batch = 8};
    int wrong = options_read(argc, argv, options, help, parse_option, &settings);
    if (wrong > 0)
        return EXIT_SUCCESS;
    if (!wrong && argc - optind < 2)
        wrong = complain("expected a network and at least one picture");
    if (wrong)
        return usage_hint("classify");
    settings.model = argv[optind];
    settings.files = argv + optind + 1;
    settings.file_count = argc - optind - 1;
    return run(&settings);
}
