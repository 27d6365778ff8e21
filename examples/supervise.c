/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Supervised attention: trains the same small network twice on images that the program draws itself, once by their
 * classes alone, and once with targets for the masks too, as the drawing knows where each object is. The targets go
 * into a step by resattn_mask_loss_apply(): see common/trainer.c.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include <resattn/resattn.h>

#include "dataset.h"
#include "errors.h"
#include "evaluate.h"
#include "metadata.h"
#include "options.h"
#include "overlap.h"
#include "progress.h"
#include "roc.h"
#include "shapes.h"
#include "small_net.h"
#include "trainer.h"

enum {
    BATCH = 50,
    CHOOSING = 500
}; /* so many of the test images choose where masks are cut, the others are measured */

struct settings {
    int32_t epochs, images, threads;
    double weight;
    uint64_t seed;
};

static const char help[] = "Usage: supervise [OPTION]...\n"
                           "Trains a small attention network twice: without and with targets for its masks.\n"
                           "\n"
                           "  --epochs N   how often to go through the training images (default 4)\n"
                           "  --images N   how many there are, 50 to 8000 (default 8000)\n"
                           "  --weight X   of each mask's loss beside the class loss (default 0.5)\n"
                           "  --threads N  0, the default: as many as there are CPUs\n"
                           "  --seed N     of the weights and the order of the images (default 1)\n"
                           "  --help       this text\n";

static int parse_option(void *user, int option)
{
    struct settings *settings = user;
    switch (option) {
    case 'e':
        return option_int("epochs", optarg, 1, 100000, &settings->epochs);
    case 'i':
        return option_int("images", optarg, BATCH, SHAPES_TRAIN, &settings->images);
    case 'w':
        return option_real("weight", optarg, 0.001, 1000, &settings->weight);
    case 't':
        return option_int("threads", optarg, 0, 1024, &settings->threads);
    case 's':
        return option_seed("seed", optarg, &settings->seed);
    default:
        return -1;
    }
}

/* What a training comes to. */
static int report(resattn_network *network, const char *title, const struct dataset *test)
{
    const struct images *images = dataset_images(test);
    struct answers answers;
    if (evaluate_answers(&answers, network, test, &(struct evaluation){.side = IMAGE_SIDE}, 1))
        return -1;
    printf("%s: accuracy %.2f %%; area under the ROC curve of mask and object:", title,
           100 * answers_accuracy(&answers));
    int result = 0;
    for (int32_t i = 0; i < answers.modules && !result; i++) {
        double area = roc_area(&answers, i, images);
        result = area < 0 ? -1 : 0;
        printf(" %.3f", area);
    }
    struct cut cut;
    double share = overlap_chosen(&answers, images, CHOOSING, &cut);
    printf("\n  overlap %.3f (intersection over union; module %d %s %.2f)\n", share, (int)cut.module + 1,
           cut.below ? "below" : "above", cut.threshold);
    fflush(stdout);
    answers_free(&answers);
    return result;
}

static int run(resattn_context *context, const struct settings *settings, double mask_weight,
               const struct dataset *training, const struct dataset *test)
{
    struct trainer trainer = {.epochs = settings->epochs,
                              .batch = BATCH,
                              .side = IMAGE_SIDE,
                              .rate = 0.1,
                              .weight_decay = 5e-4,
                              .seed = settings->seed,
                              .mask_weight = mask_weight};
    resattn_builder *builder = resattn_builder_new(context);
    resattn_network *network = builder ? resattn_network_new(builder, small_net_new(builder, SHAPES_CLASSES), 3) : NULL;
    int result = network ? 0 : complain_library();
    resattn_builder_free(builder);
    if (!result)
        result = metadata_set(network, training, IMAGE_SIDE) || trainer_run(network, training, &trainer) ||
                 report(network, mask_weight > 0 ? "With targets for the masks" : "By classes alone", test);
    resattn_network_unref(network);
    return result;
}

static struct dataset *draw(enum shapes_part part, int32_t count)
{
    struct images images;
    return shapes_draw(&images, part, count) ? NULL : dataset_of_images(&images);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"epochs", required_argument, NULL, 'e'},
                                            {"images", required_argument, NULL, 'i'},
                                            {"weight", required_argument, NULL, 'w'},
                                            {"threads", required_argument, NULL, 't'},
                                            {"seed", required_argument, NULL, 's'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    struct settings settings = {.epochs = 4, .images = SHAPES_TRAIN, .weight = 0.5, .seed = 1};
    struct dataset *training = NULL, *test = NULL;
    double started = seconds_now();
    set_program_name(argv[0]);
    int parsed = options_read(argc, argv, options, help, parse_option, &settings);
    if (!parsed && optind < argc)
        parsed = complain("unexpected argument '%s'", argv[optind]);
    if (parsed)
        return parsed > 0 ? EXIT_SUCCESS : usage_hint(NULL);
    resattn_context *context = resattn_context_new(settings.threads);
    int result = context && !resattn_context_set_seed(context, settings.seed) ? 0 : complain_library();
    if (!result)
        result = (training = draw(SHAPES_PART_TRAIN, settings.images)) && (test = draw(SHAPES_PART_TEST, SHAPES_TEST))
                     ? 0
                     : -1;
    if (!result)
        result = run(context, &settings, 0, training, test) || run(context, &settings, settings.weight, training, test);
    dataset_close(training);
    dataset_close(test);
    resattn_context_unref(context);
    if (!result)
        printf("%.0f seconds in all.\n", seconds_now() - started);
    return result ? EXIT_FAILURE : EXIT_SUCCESS;
}
