/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * resattn attend: where a network looks, drawn over the pictures.
 */
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attend.h"
#include "classifier.h"
#include "errors.h"
#include "json.h"
#include "options.h"
#include "progress.h"
#include "tool.h"
#include "top.h"

#ifdef EXAMPLES_CAIRO
enum { WITH_CAIRO = 1 };
#else
enum { WITH_CAIRO = 0 };

int sheet_write(const struct sheet *sheet, const char *path)
{
    (void)sheet;
    return complain("%s: this program was built without cairo, which draws", path);
}
#endif

static const char help[] =
    "Usage: resattn attend MODEL_OR_FILE IMAGE... [OPTION]...\n"
    "Draws the mask of every attention module as a heat map over JPEG and PNG files: for each a sheet, a PNG file. "
    "Pictures\n"
    "are read, scaled and cut as by classify.\n"
    "\n"
    "  --channel N  of each mask this channel, from 0 on (default: the mean over the channels)\n"
    "  --top K      of each mask the K channels that vary most over the map, a row each\n"
    "  --out PATH   the sheet's file or the sheets' folder (default: IMAGE-masks.png in the current folder)\n"
    "  --alpha A    how strongly the heat map covers the picture, 0 to 1 (default 0.65)\n"
    "  --range R    what the colours stand for: 'auto', from the smallest to the largest value of each map, so that "
    "small\n"
    "               differences show, or two numbers like '0,1' for all (default auto)\n"
    "  --side S     side of each picture on the sheet, in pixels (default 224)\n"
    "  --json       one JSON object a line for each picture: mean, smallest and largest value of each mask\n"
    "  --size S     side of the square that the network sees (default: what the network was made for)\n"
    "  --resize R   length of the shorter side before it is cut out (default: the same)\n"
    "  --threads T  0, the default: as many as there are CPUs\n"
    "  --help       this text\n"
    "\n"
    "A picture that cannot be read is told of and passed over; the exit code is then 1.\n";

static const double progress_interval = 10; /* seconds */

struct settings {
    const char *model, *out;
    char **files;
    int32_t file_count;
    struct mask_choice choice;
    int32_t tile, side, short_side, threads;
    double alpha, low, high;
    int own_range, json, has_channel;
};

/* JSON has no word for what is not a number. */
static void print_number(const char *key, double value)
{
    if (isfinite(value))
        printf(", \"%s\": %.9g", key, value);
    else
        printf(", \"%s\": null", key);
}

static void print_numbers(const struct mask_numbers *numbers)
{
    print_number("mean", numbers->mean);
    print_number("deviation", numbers->deviation);
    print_number("min", (double)numbers->smallest);
    print_number("max", (double)numbers->largest);
}

static void print_module(const struct module_maps *module)
{
    fputs("{\"name\": ", stdout);
    json_text(stdout, module->name);
    printf(", \"channels\": %d, \"height\": %d, \"width\": %d", (int)module->channels, (int)module->height,
           (int)module->width);
    print_numbers(&module->numbers);
    fputs(", \"maps\": [", stdout);
    for (int32_t i = 0; i < module->count; i++) {
        printf("%s{\"channel\": ", i ? ", " : "");
        if (module->maps[i].channel == MASK_MEAN)
            fputs("null", stdout);
        else
            printf("%d", (int)module->maps[i].channel);
        print_numbers(&module->maps[i].numbers);
        putchar('}');
    }
    fputs("]}", stdout);
}

static void print_json(const struct sheet *sheet, const char *path, int32_t class, const char *name)
{
    fputs("{\"file\": ", stdout);
    json_text(stdout, sheet->file);
    fputs(", \"sheet\": ", stdout);
    json_text(stdout, path);
    printf(", \"class\": %d", (int)class);
    print_number("probability", sheet->probability);
    if (name) {
        fputs(", \"name\": ", stdout);
        json_text(stdout, name);
    }
    fputs(", \"masks\": [", stdout);
    for (int32_t i = 0; i < sheet->maps->count; i++) {
        fputs(i ? ", " : "", stdout);
        print_module(&sheet->maps->modules[i]);
    }
    puts("]}");
}

/* Runs the network on the picture in place 0 and draws the sheet; `picture` is as struct sheet has it. */
static int draw(struct classifier *classifier, const struct settings *settings, const char *file, const char *path,
                const uint8_t *picture)
{
    struct mask_maps maps;
    char number[32];
    int32_t top;
    if (classifier_run(classifier, 1) || mask_maps_read(&maps, classifier->session, &settings->choice))
        return -1;
    const float *shares = classifier_result(classifier, 0);
    top_classes(shares, classifier->classes, 1, &top);
    const char *name = resattn_network_class_name(resattn_session_network(classifier->session), top);
    snprintf(number, sizeof number, "class %d", (int)top);
    struct sheet sheet = {.file = file,
                          .network = settings->model,
                          .answer = name ? name : number,
                          .probability = (double)shares[top],
                          .picture = picture,
                          .tile = settings->tile,
                          .side = classifier->batch.side,
                          .maps = &maps,
                          .alpha = settings->alpha,
                          .own_range = settings->own_range,
                          .low = settings->low,
                          .high = settings->high};
    int result = sheet_write(&sheet, path);
    if (!result && settings->json)
        print_json(&sheet, path, top, name);
    else if (!result)
        printf("%s: %s, %.2f %%: %s\n", file, sheet.answer, 100 * sheet.probability, path);
    fflush(stdout);
    mask_maps_free(&maps);
    return result;
}

/* The picture as the network sees it, and once more for the sheet: the same part, in the sheet's resolution. */
static int read_picture(struct classifier *classifier, const struct settings *settings, const char *file,
                        uint8_t *picture)
{
    struct bitmap bitmap;
    int64_t side = classifier->batch.side;
    if (bitmap_read(&bitmap, file))
        return -1;
    int32_t short_side = (int32_t)(((int64_t)classifier->short_side * settings->tile + side / 2) / side);
    int result = classifier_put_bitmap(classifier, 0, &bitmap);
    if (!result)
        result = bitmap_fit(&bitmap, short_side, settings->tile, picture);
    bitmap_free(&bitmap);
    return result;
}

/* Where the lines of the sheets do not show it. */
static void show_progress(const struct settings *settings, int32_t done, double started, double *shown)
{
    double now = seconds_now(), rate = done / (now - started + 1e-9);
    if (now - *shown < progress_interval || isatty(STDOUT_FILENO))
        return;
    *shown = now;
    fprintf(stderr, "%d of %d pictures  %.1f pictures/s  %.0f s left\n", (int)done, (int)settings->file_count, rate,
            (settings->file_count - done) / rate);
}

static int attend(struct classifier *classifier, const struct settings *settings, char *const *names)
{
    double started = seconds_now(), shown = started;
    int32_t unread = 0;
    uint8_t *picture = malloc((size_t)settings->tile * (size_t)settings->tile * 3);
    int result = picture ? 0 : complain("no memory for a picture of %d x %d", (int)settings->tile, (int)settings->tile);
    for (int32_t i = 0; i < settings->file_count && !result; i++) {
        if (read_picture(classifier, settings, settings->files[i], picture))
            unread++;
        else
            result = draw(classifier, settings, settings->files[i], names[i], picture);
        show_progress(settings, i + 1, started, &shown);
    }
    free(picture);
    return result || unread ? -1 : 0;
}

static int run_network(resattn_network *network, const struct settings *settings)
{
    struct classifier classifier;
    if (resattn_network_attention_count(network) == 0)
        return complain("%s has no attention modules, expected a network with at least one", settings->model);
    int32_t side = tool_side(network, settings->model, settings->side);
    int32_t short_side = side > 0 ? tool_short_side(settings->short_side, side) : 0;
    if (short_side == 0)
        return -1;
    char **names = sheet_names(settings->files, settings->file_count, settings->out);
    if (!names)
        return -1;
    int result = classifier_open_with_masks(&classifier, network, 1, short_side, side);
    if (!result) {
        result = attend(&classifier, settings, names);
        classifier_close(&classifier);
    }
    sheet_names_free(names, settings->file_count);
    return result;
}

static int run(const struct settings *settings)
{
    if (!WITH_CAIRO) {
        complain("attend: this program was built without cairo, which draws the sheets");
        return EXIT_FAILURE;
    }
    resattn_context *context = tool_context(settings->threads, 0);
    resattn_network *network = context ? tool_network(context, settings->model, 0, TOOL_RANDOM) : NULL;
    int result = network ? run_network(network, settings) : -1;
    resattn_network_unref(network);
    resattn_context_unref(context);
    return result ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int parse_range(struct settings *settings, const char *text)
{
    char *end;
    settings->own_range = strcmp(text, "auto") == 0;
    if (settings->own_range)
        return 0;
    settings->low = strtod(text, &end);
    int wrong = end == text || *end != ',';
    const char *second = end + !wrong;
    settings->high = strtod(second, &end);
    if (wrong || end == second || *end || !isfinite(settings->low) || !isfinite(settings->high) ||
        settings->low >= settings->high)
        return complain("--range is '%s', expected 'auto' or two numbers like '0,1', the smaller first", text);
    return 0;
}

static int parse_option(void *user, int option)
{
    struct settings *settings = user;
    switch (option) {
    case 'c':
        settings->has_channel = 1;
        return option_int("channel", optarg, 0, 1 << 20, &settings->choice.channel);
    case 'k':
        return option_int("top", optarg, 1, 100, &settings->choice.top);
    case 'o':
        settings->out = optarg;
        return 0;
    case 'a':
        return option_real("alpha", optarg, 0, 1, &settings->alpha);
    case 'g':
        return parse_range(settings, optarg);
    case 's':
        return option_int("side", optarg, 128, 2048, &settings->tile);
    case 'j':
        settings->json = 1;
        return 0;
    case 'z':
        return option_int("size", optarg, 1, 1 << 13, &settings->side);
    case 'r':
        return option_int("resize", optarg, 1, 1 << 13, &settings->short_side);
    case 't':
        return option_int("threads", optarg, 0, 1024, &settings->threads);
    default:
        return -1;
    }
}

int command_attend(int argc, char **argv)
{
    static const struct option options[] = {
        {"channel", required_argument, NULL, 'c'}, {"top", required_argument, NULL, 'k'},
        {"out", required_argument, NULL, 'o'},     {"alpha", required_argument, NULL, 'a'},
        {"range", required_argument, NULL, 'g'},   {"side", required_argument, NULL, 's'},
        {"json", no_argument, NULL, 'j'},          {"size", required_argument, NULL, 'z'},
        {"resize", required_argument, NULL, 'r'},  {"threads", required_argument, NULL, 't'},
        {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0}};
    struct settings settings = {.choice = {MASK_MEAN, 0}, .tile = 224, .alpha = 0.65, .own_range = 1};
    int wrong = options_read(argc, argv, options, help, parse_option, &settings);
    if (wrong > 0)
        return EXIT_SUCCESS;
    if (!wrong && settings.has_channel && settings.choice.top > 0)
        wrong = complain("--channel and --top exclude each other");
    if (!wrong && argc - optind < 2)
        wrong = complain("expected a network and at least one picture");
    if (wrong)
        return usage_hint("attend");
    settings.model = argv[optind];
    settings.files = argv + optind + 1;
    settings.file_count = argc - optind - 1;
    return run(&settings);
}
