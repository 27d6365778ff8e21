/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * resattn eval: the accuracy of a saved network on test pictures.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "dataset.h"
#include "errors.h"
#include "evaluate.h"
#include "options.h"
#include "overlap.h"
#include "roc.h"
#include "tool.h"

enum { LISTED = 40, FEW_CLASSES = 10 }; /* so many classes are told of one by one; for so few, top-5 says little */
enum { CHOOSING_SHARE = 4 }; /* a quarter of the images chooses where masks are cut, the others are measured */

static const char help[] =
    "Usage: resattn eval FILE --data DIR|shapes [OPTION]...\n"
    "Test accuracy of a saved network.\n"
    "\n"
    "  --data DIR   folder with the binary files of CIFAR-10 or CIFAR-100, or \"shapes\": the generated images,\n"
    "               or a folder with a folder of JPEG and PNG files for each class, or with test/ or val/ in it\n"
    "               and these there\n"
    "  --size S     side of the square cut from the middle (default: what the network was made for)\n"
    "  --resize R   length of a picture's shorter side before that (default: the same)\n"
    "  --batch B    pictures at once (default: 16 of folders, otherwise 50)\n"
    "  --masks      also where the attention masks look, if the objects' places are known (generated images)\n"
    "  --threads N  0, the default: as many as there are CPUs\n"
    "  --help       this text\n";

struct settings {
    const char *data;
    int32_t threads;
    int masks;
    struct evaluation evaluation;
};

/* Accuracy in all and for each class. */
static void print_scores(const struct scores *scores, const struct dataset *dataset)
{
    int32_t seen = 0;
    int short_form = dataset_side(dataset) && scores->classes <= FEW_CLASSES;
    double share = 100.0 / scores->count;
    printf("Test accuracy: %s%.2f %%", short_form ? "" : "top-1 ", share * scores->top1);
    if (scores->classes > SCORES_TOP && !short_form)
        printf(", top-%d %.2f %%", (int)SCORES_TOP, share * scores->top5);
    printf(" of %d images\n", (int)scores->count);
    for (int32_t c = 0; c < scores->classes; c++)
        seen += scores->pictures[c] > 0;
    for (int32_t c = 0; c < scores->classes && seen <= LISTED; c++)
        if (scores->pictures[c] > 0)
            printf("  %-20s %6.2f %% of %d\n", dataset_class_name(dataset, c),
                   100.0 * scores->right[c] / scores->pictures[c], (int)scores->pictures[c]);
}

/* How well each module's mask tells the object's place. */
static int print_masks(resattn_network *network, const char *path, const struct dataset *dataset,
                       const struct evaluation *evaluation)
{
    const struct images *images = dataset_images(dataset);
    struct answers answers;
    struct cut cut;
    if (!images || !images->coverage)
        return complain("--masks: nobody knows where the objects of these images are, expected --data shapes");
    if (resattn_network_attention_count(network) == 0)
        return complain("%s has no attention modules, expected a network with at least one for --masks", path);
    if (evaluate_answers(&answers, network, dataset, evaluation, 1))
        return -1;
    int result = 0;
    for (int32_t i = 0; i < answers.modules && !result; i++) {
        double area = roc_area(&answers, i, images);
        result = area < 0 ? -1 : 0;
        printf("  %-28s area under the ROC curve of mask and object %.3f\n",
               resattn_layer_path(resattn_attention_layer(resattn_network_attention(network, i))), area);
    }
    double share = result ? 0 : overlap_chosen(&answers, images, images->count / CHOOSING_SHARE, &cut);
    if (!result)
        printf("Mask overlap: %.3f (intersection over union; module %d %s %.2f)\n", share, (int)cut.module + 1,
               cut.below ? "below" : "above", cut.threshold);
    answers_free(&answers);
    return result;
}

static int run_network(resattn_network *network, const char *path, const struct settings *settings)
{
    struct evaluation evaluation = settings->evaluation;
    struct scores scores;
    evaluation.side = tool_side(network, path, evaluation.side);
    evaluation.short_side = evaluation.side ? tool_short_side(evaluation.short_side, evaluation.side) : 0;
    if (evaluation.short_side == 0)
        return -1;
    struct dataset *dataset = dataset_open(settings->data, DATASET_TEST_OR_WHOLE, network);
    int result = dataset ? evaluate(&scores, network, dataset, &evaluation) : -1;
    if (!result) {
        print_scores(&scores, dataset);
        scores_free(&scores);
        result = settings->masks ? print_masks(network, path, dataset, &evaluation) : 0;
    }
    dataset_close(dataset);
    return result;
}

static int run(const char *path, const struct settings *settings)
{
    resattn_context *context = tool_context(settings->threads, 0);
    resattn_network *network = context ? tool_load(context, path) : NULL;
    int result = network ? run_network(network, path, settings) : -1;
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
        return option_int("size", optarg, 1, 1 << 13, &settings->evaluation.side);
    case 'r':
        return option_int("resize", optarg, 1, 1 << 13, &settings->evaluation.short_side);
    case 'b':
        return option_int("batch", optarg, 1, 1 << 12, &settings->evaluation.batch);
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
    struct settings settings = {.evaluation = {.shows_progress = 1}};
    int wrong = options_read(argc, argv, options, help, parse_option, &settings);
    if (wrong > 0)
        return EXIT_SUCCESS;
    if (!wrong && optind + 1 != argc)
        wrong = complain("%d files, expected one", argc - optind);
    if (!wrong && !settings.data)
        wrong = complain("--data is missing");
    if (wrong)
        return usage_hint("eval");
    return run(argv[optind], &settings);
}
