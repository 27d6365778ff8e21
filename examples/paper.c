/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the paper on residual attention networks (Wang et al., CVPR 2017) says about them, tried on networks and images
 * that are small enough for an hour on a CPU. docs/paper.md tells of it.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <resattn/resattn.h>

#include "cifar.h"
#include "dataset.h"
#include "errors.h"
#include "options.h"
#include "paper/experiments.h"
#include "paper/trial.h"
#include "progress.h"
#include "shapes.h"

enum { QUICK_IMAGES = 50, QUICK_TESTS = 50, SHAPES_EPOCHS = 4, CIFAR_EPOCHS = 15 };

struct settings {
    const char *data, *csv, *experiment; /* experiment NULL: all */
    int32_t epochs, images, seeds, threads;
    int quick;
};

static const char help[] =
    "Usage: paper [OPTION]...\n"
    "Tries the claims of the paper on residual attention networks with small ones.\n"
    "\n"
    "  --experiment NAME  depth: residual and naive attention learning with 1 to 3 modules a stage\n"
    "                     activation: of the masks\n"
    "                     structure: bottom-up top-down masks and local ones of equal cost\n"
    "                     noise: wrong labels, beside a ResNet of equal cost\n"
    "                     response: what is left of the signal after each stage\n"
    "                     supervision: targets for the masks\n"
    "                     all (default)\n"
    "  --seeds N          runs of each kind, with seeds from 1 on (default 3)\n"
    "  --csv FILE         a row for each run is added to it; runs that it has are not made\n"
    "                     again (default paper.csv)\n"
    "  --data DIR         CIFAR-10's binary files instead of the generated images\n"
    "  --epochs N         how often to go through the training images (default 4; CIFAR-10 15); noise takes\n"
    "                     three times as many\n"
    "  --images N         the first training images only\n"
    "  --quick            one epoch of 50 images: to see that it works\n"
    "  --threads N        0, the default: as many as there are CPUs\n"
    "  --help             this text\n";

static int parse_experiment(const char *name, const char **chosen)
{
    *chosen = strcmp(name, "all") == 0 ? NULL : name;
    for (int32_t i = 0; *chosen && experiment_at(i); i++)
        if (strcmp(experiment_at(i)->name, name) == 0)
            return 0;
    return *chosen ? complain("--experiment is '%s', expected depth, activation, structure, noise, response, "
                              "supervision or all",
                              name)
                   : 0;
}

static int parse_option(void *user, int option)
{
    struct settings *settings = user;
    switch (option) {
    case 'x':
        return parse_experiment(optarg, &settings->experiment);
    case 's':
        return option_int("seeds", optarg, 1, EXPERIMENT_SEEDS, &settings->seeds);
    case 'c':
        settings->csv = optarg;
        return 0;
    case 'd':
        settings->data = optarg;
        return 0;
    case 'e':
        return option_int("epochs", optarg, 1, 10000, &settings->epochs);
    case 'i':
        return option_int("images", optarg, 50, 50000, &settings->images);
    case 'q':
        settings->quick = 1;
        return 0;
    case 't':
        return option_int("threads", optarg, 0, 1024, &settings->threads);
    default:
        return -1;
    }
}

/* ---- images ---- */

static int is_shapes(const struct settings *settings)
{
    return strcmp(settings->data, "shapes") == 0;
}

/* The first ones of a part, as many as are asked for. NULL after printing why not. */
static struct dataset *open_images(const struct settings *settings, int test)
{
    int32_t count = settings->quick ? (test ? QUICK_TESTS : QUICK_IMAGES) : test ? 0 : settings->images;
    int32_t most = test ? SHAPES_TEST : SHAPES_TRAIN;
    struct images images = {0};
    if (is_shapes(settings)) {
        if (count > most) {
            complain("--images is %d, expected at most %d of the generated ones", (int)count, (int)most);
            return NULL;
        }
        if (shapes_draw(&images, test ? SHAPES_PART_TEST : SHAPES_PART_TRAIN, count ? count : most))
            return NULL;
    } else {
        if (cifar_read(&images, settings->data, test))
            return NULL;
        if (count > 0 && count < images.count)
            images.count = count;
    }
    return dataset_of_images(&images);
}

/* ---- runs ---- */

static int is_chosen(const struct experiment *experiment, const struct settings *settings, const struct dataset *test)
{
    if (settings->experiment && strcmp(settings->experiment, experiment->name) != 0)
        return 0;
    return experiment->columns != COLUMNS_OVERLAP || dataset_has_targets(test);
}

/* Writes the runs of the chosen experiments that the file does not have to `missing`, each once, and returns how many
 * they are. */
static int32_t list_missing(struct run *missing, const struct settings *settings, const struct records *records,
                            const struct run *like, const struct dataset *test)
{
    int32_t count = 0;
    for (int32_t seed = 1; seed <= settings->seeds; seed++)
        for (int32_t e = 0; experiment_at(e); e++) {
            const struct experiment *experiment = experiment_at(e);
            for (int32_t i = 0; i < experiment->count && is_chosen(experiment, settings, test); i++) {
                struct run run = experiment_run(experiment, i, like, seed);
                int found = records_find(records, &run) != NULL;
                for (int32_t k = 0; k < count && !found; k++)
                    found = run_equal(&missing[k], &run);
                if (!found)
                    missing[count++] = run;
            }
        }
    return count;
}

/* Runs with wrong labels have training images of their own. */
static int make_run(resattn_context *context, struct record *record, const struct settings *settings,
                    const struct dataset *training, const struct dataset *test)
{
    const struct run *run = &record->run;
    if (run->noise == 0)
        return trial_run(context, record, training, test);
    struct dataset *noisy = open_images(settings, 0);
    int result = noisy ? dataset_add_label_noise(noisy, 0.01 * run->noise, (uint64_t)run->seed) : -1;
    if (!result)
        result = trial_run(context, record, noisy, test);
    dataset_close(noisy);
    return result;
}

static int make_runs(resattn_context *context, struct records *records, const struct run *runs, int32_t count,
                     const struct settings *settings, const struct dataset *training, const struct dataset *test)
{
    double started = seconds_now();
    for (int32_t i = 0; i < count; i++) {
        struct record record = {.run = runs[i]};
        fprintf(stderr, "run %d of %d: %s, %d %% wrong labels, seed %d", (int)i + 1, (int)count, runs[i].network,
                (int)runs[i].noise, (int)runs[i].seed);
        if (i > 0)
            fprintf(stderr, "; %.0f minutes left", (seconds_now() - started) / i * (count - i) / 60);
        fputc('\n', stderr);
        if (make_run(context, &record, settings, training, test) || records_add(records, &record))
            return -1;
        fprintf(stderr, "error %.2f %%\n", record.error);
    }
    return 0;
}

static int run(resattn_context *context, const struct settings *settings, struct records *records,
               const struct dataset *training, const struct dataset *test)
{
    int shapes = is_shapes(settings);
    struct run like = {.images = dataset_count(training), .tests = dataset_count(test)};
    snprintf(like.data, sizeof like.data, "%s", shapes ? "shapes" : "cifar-10");
    like.epochs = settings->epochs ? settings->epochs : settings->quick ? 1 : shapes ? SHAPES_EPOCHS : CIFAR_EPOCHS;
    int32_t most = 0;
    for (int32_t e = 0; experiment_at(e); e++)
        most += experiment_at(e)->count * settings->seeds;
    struct run *missing = calloc((size_t)most, sizeof *missing);
    if (!missing)
        return complain("no memory for %d runs", (int)most);
    int32_t count = list_missing(missing, settings, records, &like, test);
    int result = make_runs(context, records, missing, count, settings, training, test);
    for (int32_t e = 0; experiment_at(e) && !result; e++)
        if (is_chosen(experiment_at(e), settings, test))
            experiment_print(experiment_at(e), records, &like, settings->seeds);
    free(missing);
    return result;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"experiment", required_argument, NULL, 'x'},
                                            {"seeds", required_argument, NULL, 's'},
                                            {"csv", required_argument, NULL, 'c'},
                                            {"data", required_argument, NULL, 'd'},
                                            {"epochs", required_argument, NULL, 'e'},
                                            {"images", required_argument, NULL, 'i'},
                                            {"quick", no_argument, NULL, 'q'},
                                            {"threads", required_argument, NULL, 't'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    struct settings settings = {.data = "shapes", .csv = "paper.csv", .seeds = 3};
    struct records records;
    set_program_name(argv[0]);
    int parsed = options_read(argc, argv, options, help, parse_option, &settings);
    if (!parsed && optind < argc)
        parsed = complain("unexpected argument '%s'", argv[optind]);
    if (parsed)
        return parsed > 0 ? EXIT_SUCCESS : usage_hint(NULL);
    if (records_open(&records, settings.csv))
        return EXIT_FAILURE;
    resattn_context *context = resattn_context_new(settings.threads);
    struct dataset *training = open_images(&settings, 0), *test = training ? open_images(&settings, 1) : NULL;
    int result = context ? 0 : complain_library();
    if (!result)
        result = test ? run(context, &settings, &records, training, test) : -1;
    dataset_close(training);
    dataset_close(test);
    records_close(&records);
    resattn_context_unref(context);
    return result ? EXIT_FAILURE : EXIT_SUCCESS;
}
