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
#include "tool.h"

static const char help[] = "Usage: resattn eval FILE --data DIR|shapes [OPTION]...\n"
                           "Test accuracy of a saved network.\n"
                           "\n"
                           "  --data DIR   folder with CIFAR-10's binary files, or \"shapes\": the generated images\n"
                           "  --threads N  0, the default: as many as there are CPUs\n"
                           "  --help       this text\n";

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

static int run(const char *path, const char *data, int32_t threads)
{
    struct images test = {0};
    struct answers answers;
    resattn_network *network = NULL;
    resattn_context *context = tool_context(threads, 0);
    int result = context ? 0 : -1;
    if (!result && !(network = tool_load(context, path)))
        result = -1;
    if (!result)
        result = check_fit(network, path);
    if (!result)
        result = data_load_test(&test, data);
    if (!result)
        result = evaluate(&answers, network, &test, test.count, resattn_network_input_height(network), 0);
    if (!result) {
        print_answers(&answers, &test);
        answers_free(&answers);
    }
    images_free(&test);
    resattn_network_unref(network);
    resattn_context_unref(context);
    return result ? EXIT_FAILURE : EXIT_SUCCESS;
}

int command_eval(int argc, char **argv)
{
    static const struct option options[] = {{"data", required_argument, NULL, 'd'},
                                            {"threads", required_argument, NULL, 't'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    const char *data = NULL;
    int32_t threads = 0;
    int option, wrong = 0;
    while (!wrong && (option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'd':
            data = optarg;
            break;
        case 't':
            wrong = option_int("threads", optarg, 0, 1024, &threads);
            break;
        case 'h':
            fputs(help, stdout);
            return EXIT_SUCCESS;
        default:
            wrong = -1;
            break;
        }
    }
    if (!wrong && optind + 1 != argc)
        wrong = complain("%d files, expected one", argc - optind);
    if (!wrong && !data)
        wrong = complain("--data is missing");
    return wrong ? usage_hint("eval") : run(argv[optind], data, threads);
}
