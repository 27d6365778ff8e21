/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * resattn train: trains a network to classify images and saves it.
 */
#include "train.h"

#include <stdlib.h>
#include <string.h>

#include "errors.h"
#include "metadata.h"
#include "options.h"
#include "tool.h"

/* ---- what the steps need ---- */

static struct augmentation choose_augmentation(const struct train_settings *settings, const struct dataset *dataset)
{
    struct augmentation augmentation = {.smallest_area = settings->smallest_area, .colour = settings->colour};
    int32_t kind = settings->augment;
    if (kind == AUGMENT_USUAL)
        kind = strcmp(settings->data, "shapes") == 0 ? AUGMENT_NONE
               : dataset_side(dataset) > 0           ? AUGMENT_CROP_FLIP
                                                     : AUGMENT_SCALE_CROP;
    augmentation.crop_flip = kind == AUGMENT_CROP_FLIP;
    augmentation.scale_crop = kind == AUGMENT_SCALE_CROP;
    return augmentation;
}

/* Room for the path of a --rate-of. */
enum { PATH = 512 };

/* Paths of --no-decay and --rate-of. `names` holds the paths of the last. */
static int read_factors(const struct train_settings *settings, struct path_factor *factors, char (*names)[PATH])
{
    struct path_factor *factor = factors;
    for (int32_t i = 0; i < settings->no_decay.count; i++)
        *factor++ = (struct path_factor){settings->no_decay.texts[i], "weight_decay", 0};
    for (int32_t i = 0; i < settings->rate_of.count; i++) {
        const char *value = train_split("rate-of", settings->rate_of.texts[i], names[i], PATH);
        if (!value)
            return -1;
        *factor = (struct path_factor){names[i], "rate", 0};
        if (option_real("rate-of", value, 0, 1e6, &factor->factor))
            return -1;
        factor++;
    }
    return 0;
}

static void fill(struct training_settings *training, const struct train_settings *settings,
                 const struct dataset *dataset)
{
    *training = (struct training_settings){.epochs = settings->epochs,
                                           .batch = settings->batch,
                                           .micro_batches = settings->micro_batches,
                                           .side = settings->size,
                                           .short_side = settings->short_side,
                                           .augmentation = choose_augmentation(settings, dataset),
                                           .optimizer = (enum training_optimizer)settings->optimizer,
                                           .rate = settings->rate,
                                           .schedule = (enum training_schedule)settings->schedule,
                                           .warm_up = settings->warm_up,
                                           .momentum = settings->momentum,
                                           .weight_decay = settings->weight_decay,
                                           .clip = settings->clip,
                                           .label_smoothing = settings->label_smoothing,
                                           .mask_weight = settings->mask_weight,
                                           .mask_loss = (resattn_mask_loss_kind)(settings->mask_kind + 1),
                                           .average = settings->average,
                                           .recompute = settings->recompute,
                                           .seed = settings->seed};
}

/* Runs with what the paths and classes need besides. Returns the exit code. */
static int run(resattn_network *network, struct train_settings *settings, const struct train_data *data)
{
    struct training_settings training;
    int32_t count = settings->no_decay.count + settings->rate_of.count;
    struct path_factor *factors = calloc((size_t)count + 1, sizeof *factors);
    char(*names)[PATH] = calloc((size_t)settings->rate_of.count + 1, PATH);
    int failed = factors && names ? read_factors(settings, factors, names) : complain("no memory for paths");
    fill(&training, settings, data->training);
    training.factors = factors;
    training.factor_count = count;
    float *weights = failed ? NULL : train_class_weights(settings, data, &failed);
    training.class_weights = weights;
    int code = failed ? EXIT_FAILURE : train_run(network, settings, data, &training);
    free(weights);
    free(names);
    free(factors);
    return code;
}

/* ---- the network and the images ---- */

/* Images in the order of the classes of a network that was loaded, if it knows them. */
static int open_data(struct train_data *data, const struct train_settings *settings, const resattn_network *loaded)
{
    if (loaded) {
        struct dataset *dataset = dataset_open(settings->data, DATASET_TRAIN, NULL);
        if (!dataset)
            return -1;
        if (!dataset_is_named_by(dataset, loaded))
            loaded = NULL;
        dataset_close(dataset);
    }
    return train_data_open(data, settings, loaded);
}

/* A network that was loaded keeps its own way to turn bytes into numbers. */
static int describe(resattn_network *network, const struct train_settings *settings, const struct dataset *dataset)
{
    float mean[3], deviation[3];
    for (int32_t c = 0; c < 3; c++) {
        mean[c] = resattn_network_mean(network, c);
        deviation[c] = resattn_network_deviation(network, c);
    }
    if (metadata_set(network, dataset, settings->size))
        return -1;
    if (settings->load && resattn_network_set_normalization(network, mean, deviation, 3))
        return complain_library();
    return resattn_network_set_storage(network, RESATTN_F32) ? complain_library() : 0;
}

static int train_new(resattn_context *context, struct train_settings *settings)
{
    struct train_data data = {0};
    resattn_network *network = NULL, *loaded = settings->load ? tool_load(context, settings->load) : NULL;
    int failed = settings->load && !loaded;
    if (!failed)
        failed = open_data(&data, settings, loaded);
    if (!failed)
        network = train_network(context, settings, loaded, dataset_classes(data.training));
    resattn_network_unref(loaded);
    const char *name = settings->model ? settings->model : settings->load;
    if (network)
        settings->size = tool_side(network, name, settings->size);
    failed = failed || !network || settings->size == 0 || describe(network, settings, data.training);
    int code = failed ? EXIT_FAILURE : run(network, settings, &data);
    resattn_network_unref(network);
    train_data_close(&data);
    return code;
}

static int train_on(resattn_context *context, struct train_settings *settings, const struct givens *givens)
{
    struct train_data data = {0};
    resattn_network *network = tool_load(context, settings->resume);
    const char *record = network ? train_recorded_settings(network, settings->resume) : NULL;
    int code = EXIT_FAILURE;
    if (record && train_settings_resume(settings, givens, record)) {
        code = usage_hint("train");
    } else if (record && !train_settings_check(settings)) {
        if (resattn_context_set_seed(context, settings->seed))
            complain_library();
        else if (!train_data_open(&data, settings, network))
            code = run(network, settings, &data);
    }
    resattn_network_unref(network);
    train_data_close(&data);
    return code;
}

int command_train(int argc, char **argv)
{
    struct train_settings settings;
    struct givens givens = {0};
    int code = EXIT_SUCCESS;
    int parsed = train_settings_parse(&settings, &givens, argc, argv);
    if (!parsed && !settings.resume)
        parsed = train_settings_check(&settings);
    if (parsed < 0)
        code = usage_hint("train");
    resattn_context *context = parsed ? NULL : tool_context(settings.threads, settings.seed);
    if (!parsed)
        code = !context          ? EXIT_FAILURE
               : settings.resume ? train_on(context, &settings, &givens)
                                 : train_new(context, &settings);
    resattn_context_unref(context);
    givens_free(&givens);
    train_settings_free(&settings);
    return code;
}
