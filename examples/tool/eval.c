/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * resattn eval: the accuracy of a saved network on test images.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "data.h"
#include "errors.h"
#include "evaluate.h"
#include "options.h"
#include "overlap.h"
#include "roc.h"
#include "tool.h"

static const char help[] =
    "Usage: resattn eval FILE --data DIR|shapes [OPTION]...\n"
    "Test accuracy of a saved network.\n"
    "\n"
    "  --data DIR   folder with CIFAR-10's binary files, or \"shapes\": the generated images,\n"
    "               or a folder with a folder of JPEG and PNG files for each class\n"
    "  --masks      also where the attention masks look, if the objects' places are known (generated images)\n"
    "  --threads N  0, the default: as many as there are CPUs\n"
    "  --help       this text\n"
    "\n"
    "For folders of pictures:\n"
    "  --size S     side of the square cut from the middle (default: what the network was made for)\n"
    "  --resize R   length of a picture's shorter side before that (default: the same)\n"
    "  --batch B    pictures at once (default 16)\n";

struct settings {
    const char *data;
    int32_t threads, side, short_side, batch;
    int masks;
};

enum { CHOOSING_SHARE = 4 }; /* a quarter of the images chooses where masks are cut, the others are measured */

static int check_fit(const resattn_network *network, const char *path)
{
    int32_t side = resattn_network_input_height(network);
    if (side <= 0 || side % IMAGE_SIDE || side > 32 * IMAGE_SIDE || resattn_network_input_width(network) != side)
        return complain("%s: made for images of %d x %d, expected a multiple of %d x %d", path,
                        (int)resattn_network_input_width(network), (int)side, (int)IMAGE_SIDE, (int)IMAGE_SIDE);
    if (resattn_network_out_channels(network) != IMAGE_CLASSES || resattn_network_in_channels(network) != 3)
        return complain("%s: %d classes of images with %d channels, expected %d and 3", path,
                        (int)resattn_network_out_channels(network), (int)resattn_network_in_channels(network),
                        (int)IMAGE_CLASSES);
    return 0;
}

/* Accuracy in all and for each class. */
static void print_answers(const struct answers *answers, const struct images *test)
{
    int32_t count[IMAGE_CLASSES] = {0}, correct[IMAGE_CLASSES] = {0};
    for (int32_t i = 0; i < answers->count; i++) {
        count[test->labels[i]]++;
        correct[test->labels[i]] += answers_class(answers, i) == test->labels[i];
    }
    printf("Test accuracy: %.2f %% of %d images\n", 100 * answers_accuracy(answers, test), (int)answers->count);
    for (int c = 0; c < IMAGE_CLASSES; c++)
        if (count[c] > 0)
            printf("  %-12s %6.2f %% of %d\n", test->names[c], 100.0 * correct[c] / count[c], (int)count[c]);
}

/* How well each module's mask tells the object's place. */
static int print_masks(const struct answers *answers, const resattn_network *network, const struct images *test)
{
    for (int32_t i = 0; i < answers->modules; i++) {
        double area = roc_area(answers, i, test);
        if (area < 0)
            return -1;
        printf("  %-28s area under the ROC curve of mask and object %.3f\n",
               resattn_layer_path(resattn_attention_layer(resattn_network_attention(network, i))), area);
    }
    struct cut cut;
    double share = overlap_chosen(answers, test, test->count / CHOOSING_SHARE, &cut);
    printf("Mask overlap: %.3f (intersection over union; module %d %s %.2f)\n", share, (int)cut.module + 1,
           cut.below ? "below" : "above", cut.threshold);
    return 0;
}

static int check_masks(const resattn_network *network, const char *path, const struct images *test)
{
    if (!test->coverage)
        return complain("--masks: nobody knows where the objects of these images are, expected --data shapes");
    if (resattn_network_attention_count(network) == 0)
        return complain("%s has no attention modules, expected a network with at least one for --masks", path);
    return 0;
}

static int run_folder(const char *path, const struct settings *settings)
{
    resattn_context *context = tool_context(settings->threads, 0);
    resattn_network *network = context ? tool_load(context, path) : NULL;
    int result =
        network ? tool_eval_folder(network, path, settings->data, settings->batch, settings->short_side, settings->side)
                : -1;
    resattn_network_unref(network);
    resattn_context_unref(context);
    return result ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int run(const char *path, const struct settings *settings)
{
    struct images test = {0};
    struct answers answers;
    resattn_network *network = NULL;
    resattn_context *context = tool_context(settings->threads, 0);
    int result = context ? 0 : -1;
    if (!result && !(network = tool_load(context, path)))
        result = -1;
    if (!result)
        result = check_fit(network, path);
    if (!result)
        result = data_load_test(&test, settings->data);
    if (!result && settings->masks)
        result = check_masks(network, path, &test);
    if (!result)
        result = evaluate(&answers, network, &test, test.count, resattn_network_input_height(network), settings->masks);
    if (!result) {
        print_answers(&answers, &test);
        result = settings->masks ? print_masks(&answers, network, &test) : 0;
        answers_free(&answers);
    }
    images_free(&test);
    resattn_network_unref(network);
    resattn_context_unref(context);
    return result ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int parse_option(void *user, int option)
{
    struct settings *settings = user;
    switch (option) {
    case 'd':
        settings->data = optarg;
        return 0;
    case 't':
        return option_int("threads", optarg, 0, 1024, &settings->threads);
    case 'm':
        settings->masks = 1;
        return 0;
    case 's':
        return option_int("size", optarg, 1, 1 << 13, &settings->side);
    case 'r':
        return option_int("resize", optarg, 1, 1 << 13, &settings->short_side);
    case 'b':
        return option_int("batch", optarg, 1, 1 << 12, &settings->batch);
    default:
        return -1;
    }
}

int command_eval(int argc, char **argv)
{
    static const struct option options[] = {
        {"data", required_argument, NULL, 'd'},  {"threads", required_argument, NULL, 't'},
        {"size", required_argument, NULL, 's'},  {"resize", required_argument, NULL, 'r'},
        {"batch", required_argument, NULL, 'b'}, {"masks", no_argument, NULL, 'm'},
        {"help", no_argument, NULL, 'h'},        {NULL, 0, NULL, 0}};
    struct settings settings = {.batch = 16};
    int wrong = options_read(argc, argv, options, help, parse_option, &settings);
    if (wrong > 0)
        return EXIT_SUCCESS;
    if (!wrong && optind + 1 != argc)
        wrong = complain("%d files, expected one", argc - optind);
    if (!wrong && !settings.data)
        wrong = complain("--data is missing");
    if (!wrong && settings.masks && data_is_folders(settings.data))
        wrong = complain("--masks: nobody knows where the objects of these pictures are, expected --data shapes");
    if (wrong)
        return usage_hint("eval");
    return data_is_folders(settings.data) ? run_folder(argv[optind], &settings) : run(argv[optind], &settings);
}
