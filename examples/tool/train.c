/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * resattn train: trains a network to classify images and saves it.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataset.h"
#include "errors.h"
#include "evaluate.h"
#include "metadata.h"
#include "options.h"
#include "tool.h"
#include "trainer.h"

static const char help[] =
    "Usage: resattn train --model NAME|--load FILE --data DIR|shapes [OPTION]...\n"
    "Trains a network to classify 32x32 images of ten classes, prints its test accuracy and saves it.\n"
    "\n"
    "  --model NAME      a new network\n"
    "  --load FILE       go on with a saved one\n"
    "  --data DIR        folder with CIFAR-10's binary files (cropped and mirrored at random),\n"
    "                    or \"shapes\": the generated images\n"
    "  --epochs N        default 30\n"
    "  --batch N         default 64\n"
    "  --rate R          largest learning rate, default 0.1\n"
    "  --schedule S      one-cycle (default), cosine, step (a tenth at half and at three quarters)\n"
    "  --weight-decay D  default 5e-4; not applied to biases and batch norms\n"
    "  --size S          side of the network's input, a multiple of 32: pixels are repeated\n"
    "                    (default 32, or what a saved network was made for)\n"
    "  --seed N          default 1\n"
    "  --threads N       0, the default: as many as there are CPUs\n"
    "  --out FILE        default trained.resattn\n"
    "  --help            this text\n";

struct settings {
    const char *model, *load, *data, *out;
    int32_t threads;
    struct trainer trainer;
};

static int parse_schedule(const char *name, enum trainer_schedule *schedule)
{
    static const char *const names[] = {"one-cycle", "cosine", "step"};
    for (int i = 0; i < 3; i++) {
        if (strcmp(name, names[i]) == 0) {
            *schedule = (enum trainer_schedule)i;
            return 0;
        }
    }
    return complain("--schedule is '%s', expected one-cycle, cosine or step", name);
}

static int parse_option(void *user, int option)
{
    struct settings *settings = user;
    struct trainer *trainer = &settings->trainer;
    switch (option) {
    case 'm':
        settings->model = optarg;
        return 0;
    case 'l':
        settings->load = optarg;
        return 0;
    case 'd':
        settings->data = optarg;
        return 0;
    case 'o':
        settings->out = optarg;
        return 0;
    case 'e':
        return option_int("epochs", optarg, 1, 100000, &trainer->epochs);
    case 'b':
        return option_int("batch", optarg, 1, 4096, &trainer->batch);
    case 'r':
        return option_real("rate", optarg, 0, 100, &trainer->rate);
    case 'c':
        return parse_schedule(optarg, &trainer->schedule);
    case 'w':
        return option_real("weight-decay", optarg, 0, 1, &trainer->weight_decay);
    case 's':
        return option_seed("seed", optarg, &trainer->seed);
    case 't':
        return option_int("threads", optarg, 0, 1024, &settings->threads);
    case 'z':
        return option_int("size", optarg, IMAGE_SIDE, 32 * IMAGE_SIDE, &trainer->side);
    default:
        return -1;
    }
}

static int check(const struct settings *settings, int argc, char **argv)
{
    if (optind < argc)
        return complain("unexpected argument '%s'", argv[optind]);
    if (!settings->model == !settings->load)
        return complain("give either --model or --load");
    if (!settings->data)
        return complain("--data is missing");
    if (settings->trainer.side % IMAGE_SIDE)
        return complain("--size is %d, expected a multiple of %d", (int)settings->trainer.side, (int)IMAGE_SIDE);
    return 0;
}

/* Returns 0 to go on, 1 after --help, -1 after printing what is wrong. */
static int parse(struct settings *settings, int argc, char **argv)
{
    static const struct option options[] = {
        {"model", required_argument, NULL, 'm'},   {"load", required_argument, NULL, 'l'},
        {"data", required_argument, NULL, 'd'},    {"out", required_argument, NULL, 'o'},
        {"epochs", required_argument, NULL, 'e'},  {"batch", required_argument, NULL, 'b'},
        {"rate", required_argument, NULL, 'r'},    {"schedule", required_argument, NULL, 'c'},
        {"seed", required_argument, NULL, 's'},    {"weight-decay", required_argument, NULL, 'w'},
        {"threads", required_argument, NULL, 't'}, {"size", required_argument, NULL, 'z'},
        {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0}};
    *settings = (struct settings){.out = "trained.resattn"};
    settings->trainer = (struct trainer){.epochs = 30, .batch = 64, .rate = 0.1, .weight_decay = 5e-4, .seed = 1};
    int result = options_read(argc, argv, options, help, parse_option, settings);
    return result ? result : check(settings, argc, argv);
}

static int report(resattn_network *network, const struct settings *settings, const struct dataset *test)
{
    struct scores scores;
    if (evaluate(&scores, network, test, &(struct evaluation){.side = settings->trainer.side}))
        return -1;
    printf("Test accuracy: %.2f %% of %d images\n", 100.0 * scores.top1 / scores.count, (int)scores.count);
    scores_free(&scores);
    return 0;
}

/* A saved network keeps its own way to turn bytes into numbers. */
static int prepare(resattn_network *network, struct settings *settings, const struct dataset *dataset)
{
    int32_t *side = &settings->trainer.side;
    if (*side == 0)
        *side = settings->load && resattn_network_input_height(network) ? resattn_network_input_height(network)
                                                                        : IMAGE_SIDE;
    if (*side % IMAGE_SIDE)
        return complain("the network's input is %d x %d, expected a multiple of %d", (int)*side, (int)*side,
                        (int)IMAGE_SIDE);
    if (!settings->load)
        return metadata_set(network, dataset, *side);
    return resattn_network_set_input_size(network, *side, *side) ? complain_library() : 0;
}

static int train(resattn_network *network, struct settings *settings)
{
    const resattn_network *named = settings->load ? network : NULL;
    struct dataset *training = dataset_open(settings->data, DATASET_TRAIN, named);
    struct dataset *test = training ? dataset_open(settings->data, DATASET_TEST, named) : NULL;
    int result = test ? prepare(network, settings, training) : -1;
    if (!result) {
        settings->trainer.augmented = !dataset_has_targets(training);
        result = trainer_run(network, training, &settings->trainer) || report(network, settings, test);
    }
    if (!result && resattn_network_save(network, settings->out, RESATTN_DEFAULT_LEVEL))
        result = complain_library();
    if (!result)
        printf("Saved as %s\n", settings->out);
    dataset_close(training);
    dataset_close(test);
    return result;
}

int command_train(int argc, char **argv)
{
    struct settings settings;
    int parsed = parse(&settings, argc, argv);
    if (parsed)
        return parsed > 0 ? EXIT_SUCCESS : usage_hint("train");
    resattn_context *context = tool_context(settings.threads, settings.trainer.seed);
    if (!context)
        return EXIT_FAILURE;
    resattn_network *network =
        settings.load ? tool_load(context, settings.load) : tool_network(context, settings.model, 0, TOOL_RANDOM);
    int result = network ? train(network, &settings) : -1;
    resattn_network_unref(network);
    resattn_context_unref(context);
    return result ? EXIT_FAILURE : EXIT_SUCCESS;
}
