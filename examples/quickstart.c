/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The library in one run: assemble a small residual attention network (common/small_net.c), train it on images that the
 * program draws itself, see where its attention masks look, save it, load it, and check that the copy answers the same.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <resattn/resattn.h>

#include "dataset.h"
#include "errors.h"
#include "evaluate.h"
#include "metadata.h"
#include "options.h"
#include "picture.h"
#include "progress.h"
#include "roc.h"
#include "small_net.h"
#include "trainer.h"

enum { MASK_IMAGES = 500, PICTURE_IMAGES = 12, MAX_MODULES = 8 };

struct settings {
    const char *data, *out, *picture, *samples;
    int32_t epochs, threads; /* epochs 0: what suits the data */
    uint64_t seed;
    int linear;
};

static const char help[] =
    "Usage: quickstart [OPTION]...\n"
    "Trains a small residual attention network, shows what its masks look at, saves it\n"
    "and loads it again. Without --data it draws its own images: shapes of ten classes.\n"
    "\n"
    "  --data DIR      the binary files of CIFAR-10 or CIFAR-100 instead\n"
    "  --epochs N      how often to go through the training images\n"
    "  --threads N     0, the default: as many as there are CPUs\n"
    "  --seed N        of the weights and the order of the images (default 1)\n"
    "  --out FILE      where the network is saved (default shapes.resattn or cifar.resattn)\n"
    "  --picture FILE  a PNG of images and masks (default shapes.png or cifar.png)\n"
    "  --samples DIR   no training: writes a test image of each class there, as circle.png and so on\n"
    "  --help          this text\n";

static int parse_option(void *user, int option)
{
    struct settings *settings = user;
    switch (option) {
    case 'd':
        settings->data = optarg;
        return 0;
    case 'e':
        return option_int("epochs", optarg, 1, 100000, &settings->epochs);
    case 't':
        return option_int("threads", optarg, 0, 1024, &settings->threads);
    case 's':
        return option_seed("seed", optarg, &settings->seed);
    case 'o':
        settings->out = optarg;
        return 0;
    case 'p':
        settings->picture = optarg;
        return 0;
    case 'n':
        settings->samples = optarg;
        return 0;
    case 'l':
        settings->linear = 1;
        return 0;
    default:
        return -1;
    }
}

/* Returns 0 to go on, 1 after --help, -1 after printing what is wrong. */
static int parse(struct settings *settings, int argc, char **argv)
{
    static const struct option options[] = {
        {"data", required_argument, NULL, 'd'},    {"epochs", required_argument, NULL, 'e'},
        {"threads", required_argument, NULL, 't'}, {"seed", required_argument, NULL, 's'},
        {"out", required_argument, NULL, 'o'},     {"picture", required_argument, NULL, 'p'},
        {"samples", required_argument, NULL, 'n'}, {"linear", no_argument, NULL, 'l'},
        {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0}};
    *settings = (struct settings){.data = "shapes", .seed = 1};
    int result = options_read(argc, argv, options, help, parse_option, settings);
    if (!result && optind < argc)
        result = complain("unexpected argument '%s'", argv[optind]);
    int shapes = strcmp(settings->data, "shapes") == 0;
    if (!settings->out)
        settings->out = shapes ? "shapes.resattn" : "cifar.resattn";
    if (!settings->picture)
        settings->picture = shapes ? "shapes.png" : "cifar.png";
    return result;
}

/* A builder owns the layers until the network takes them. */
static resattn_network *assemble(resattn_context *context, const struct settings *settings,
                                 const struct dataset *dataset)
{
    resattn_network *network = NULL;
    resattn_builder *builder = resattn_builder_new(context);
    if (builder) {
        int32_t classes = dataset_classes(dataset);
        resattn_layer *root = settings->linear ? linear_net_new(builder, classes) : small_net_new(builder, classes);
        network = resattn_network_new(builder, root, 3);
    }
    if (!network)
        complain_library();
    resattn_builder_free(builder);
    if (network && metadata_set(network, dataset, IMAGE_SIDE)) {
        resattn_network_unref(network);
        network = NULL;
    }
    return network;
}

static int train(resattn_network *network, const struct settings *settings, const struct dataset *dataset)
{
    int shapes = dataset_has_targets(dataset);
    struct trainer trainer = {
        .batch = 50, .side = IMAGE_SIDE, .rate = 0.1, .weight_decay = 5e-4, .seed = settings->seed};
    trainer.epochs = settings->epochs ? settings->epochs : shapes ? 4 : 15;
    trainer.augmented = !shapes;
    if (settings->linear)
        trainer.rate = 0.002;
    return trainer_run(network, dataset, &trainer);
}

/* How well each module's mask tells the object's place. */
static int measure_masks(double areas[MAX_MODULES], resattn_network *network, const struct dataset *test)
{
    struct answers answers;
    if (evaluate_answers(&answers, network, test, &(struct evaluation){.side = IMAGE_SIDE, .count = MASK_IMAGES}, 1))
        return -1;
    int result = 0;
    for (int32_t i = 0; i < answers.modules && i < MAX_MODULES && !result; i++) {
        areas[i] = roc_area(&answers, i, dataset_images(test));
        result = areas[i] < 0 ? -1 : 0;
    }
    answers_free(&answers);
    return result;
}

static int show_masks(resattn_network *network, const struct dataset *test, const double before[MAX_MODULES])
{
    double after[MAX_MODULES] = {0};
    if (measure_masks(after, network, test))
        return -1;
    printf("\nDo the masks know where the object is? Area under the ROC curve (0.5: no; 1 or 0: yes)\n");
    printf("%-28s %16s %15s\n", "module", "before training", "after training");
    for (int32_t i = 0; i < resattn_network_attention_count(network) && i < MAX_MODULES; i++) {
        const resattn_layer *layer = resattn_attention_layer(resattn_network_attention(network, i));
        printf("%-28s %16.3f %15.3f\n", resattn_layer_path(layer), before[i], after[i]);
    }
    return 0;
}

static int draw_picture(resattn_network *network, const char *path, const struct dataset *test)
{
    struct answers answers;
    if (evaluate_answers(&answers, network, test, &(struct evaluation){.side = IMAGE_SIDE, .count = PICTURE_IMAGES}, 1))
        return -1;
    int result = picture_write(path, dataset_images(test), &answers, PICTURE_IMAGES);
    if (!result) {
        printf("\n%s shows, from left to right and top to bottom:\n", path);
        for (int32_t i = 0; i < answers.count; i++)
            printf("  %-12s found: %s\n", dataset_class_name(test, answers.labels[i]),
                   dataset_class_name(test, answers_class(&answers, i)));
    }
    answers_free(&answers);
    return result;
}

/* The copy must answer with the same bits. */
static int check_reloaded(resattn_context *context, const char *path, const struct dataset *test,
                          const struct answers *expected)
{
    struct answers answers;
    resattn_network *copy = resattn_network_load(context, path);
    if (!copy)
        return complain_library();
    int result = evaluate_answers(&answers, copy, test, &(struct evaluation){.side = IMAGE_SIDE}, 0);
    if (!result) {
        size_t bytes = (size_t)answers.count * (size_t)answers.classes * sizeof *answers.logits;
        if (memcmp(answers.logits, expected->logits, bytes))
            result = complain("%s: the network that was loaded does not answer as the one that was saved", path);
        answers_free(&answers);
    }
    resattn_network_unref(copy);
    return result;
}

static int save(resattn_network *network, const struct settings *settings, const struct dataset *test,
                const struct answers *answers)
{
    if (resattn_network_save(network, settings->out, RESATTN_DEFAULT_LEVEL))
        return complain_library();
    if (check_reloaded(resattn_network_context(network), settings->out, test, answers))
        return -1;
    printf("\nSaved as %s; loaded again, it gives the same bits for all %d test images.\n", settings->out,
           (int)dataset_count(test));
    return 0;
}

static int run_network(resattn_network *network, const struct settings *settings, const struct dataset *training,
                       const struct dataset *test)
{
    double before[MAX_MODULES] = {0};
    int with_places = dataset_has_targets(test) && !settings->linear;
    if (with_places && measure_masks(before, network, test))
        return -1;
    if (train(network, settings, training))
        return -1;
    struct answers answers;
    if (evaluate_answers(&answers, network, test, &(struct evaluation){.side = IMAGE_SIDE}, 0))
        return -1;
    printf("Test accuracy: %.2f %% of %d images\n", 100 * answers_accuracy(&answers), (int)dataset_count(test));
    int result = 0;
    if (with_places)
        result = show_masks(network, test, before);
    if (!settings->linear && !result)
        result = save(network, settings, test, &answers);
    if (!settings->linear && !result)
        result = draw_picture(network, settings->picture, test);
    answers_free(&answers);
    return result;
}

static int run(const struct settings *settings, const struct dataset *training, const struct dataset *test)
{
    resattn_context *context = resattn_context_new(settings->threads);
    if (!context)
        return complain_library();
    resattn_network *network = NULL;
    int result = resattn_context_set_seed(context, settings->seed) ? complain_library() : 0;
    if (!result)
        network = assemble(context, settings, training);
    if (network) {
        printf("%d training images, %d test images; %lld parameters; %d threads\n", (int)dataset_count(training),
               (int)dataset_count(test), (long long)resattn_network_trainable_values(network),
               (int)resattn_context_threads(context));
        fflush(stdout);
        result = run_network(network, settings, training, test);
    } else {
        result = -1;
    }
    resattn_network_unref(network);
    resattn_context_unref(context);
    return result;
}

/* The first image of each class. */
static int write_samples(const char *folder, const struct images *test)
{
    char path[4096];
    for (int32_t label = 0; label < test->classes.count; label++) {
        int32_t i = 0;
        while (i < test->count && test->labels[i] != label)
            i++;
        int length = snprintf(path, sizeof path, "%s/%s.png", folder, test->classes.texts[label]);
        if (length < 0 || (size_t)length >= sizeof path)
            return complain("--samples is '%.40s...', expected a shorter path", folder);
        if (i < test->count && picture_write_image(path, image_pixels(test, i)))
            return -1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    double started = seconds_now();
    struct settings settings;
    set_program_name(argv[0]);
    int parsed = parse(&settings, argc, argv);
    if (parsed)
        return parsed > 0 ? EXIT_SUCCESS : usage_hint(NULL);
    struct dataset *test = dataset_open(settings.data, DATASET_TEST, NULL), *training = NULL;
    int result = test ? 0 : -1;
    if (!result && !dataset_side(test))
        result = complain("%s: folders of pictures are for resattn train", settings.data);
    if (!result && settings.samples) {
        result = write_samples(settings.samples, dataset_images(test));
    } else if (!result) {
        training = dataset_open(settings.data, DATASET_TRAIN, NULL);
        result = training ? run(&settings, training, test) : -1;
    }
    dataset_close(training);
    dataset_close(test);
    if (!result && !settings.samples)
        printf("\n%.0f seconds in all.\n", seconds_now() - started);
    return result ? EXIT_FAILURE : EXIT_SUCCESS;
}
