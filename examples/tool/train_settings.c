/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * resattn train: the table of its settings, and where their values come from.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "errors.h"
#include "options.h"
#include "train.h"

static const char *const augments[] = {"usual", "none", "crop-flip", "scale-crop", NULL};
static const char *const optimizers[] = {"sgd", "adamw", NULL};
static const char *const schedules[] = {"one-cycle", "cosine", "step", NULL};
static const char *const mask_kinds[] = {"cross-entropy", "squared", "dice", NULL};
static const char *const types[] = {"f32", "f16", "bf16", NULL};
static const char *const usual[] = {"usual", NULL};
static const char *const by_test[] = {"test", NULL};

#define AT(field) offsetof(struct train_settings, field)
#define TITLE(text)                                                                                                    \
    {                                                                                                                  \
        text, SETTING_TITLE, 0, 0, 0, NULL, 0, NULL, NULL                                                              \
    }
#define TEXT(name, field, flags, argument, help)                                                                       \
    {                                                                                                                  \
        name, SETTING_TEXT, AT(field), 0, 0, NULL, flags, argument, help                                               \
    }
#define LIST(name, field, argument, help)                                                                              \
    {                                                                                                                  \
        name, SETTING_LIST, AT(field), 0, 0, NULL, 0, argument, help                                                   \
    }
#define INT(name, field, low, high, flags, help)                                                                       \
    {                                                                                                                  \
        name, SETTING_INT, AT(field), low, high, NULL, flags, "N", help                                                \
    }
#define REAL(name, field, low, high, words, flags, argument, help)                                                     \
    {                                                                                                                  \
        name, SETTING_REAL, AT(field), low, high, words, flags, argument, help                                         \
    }
#define WORD(name, field, words, flags, argument, help)                                                                \
    {                                                                                                                  \
        name, SETTING_WORD, AT(field), 0, 0, words, flags, argument, help                                              \
    }

enum { RUN = SETTING_OF_THIS_RUN, CHANGE = SETTING_MAY_CHANGE };

const struct setting train_table[] = {
    TITLE("Where to begin (--resume, --model or --load):"),
    TEXT("config", config, RUN, "FILE", "settings as lines 'name = value', # comments; options here win over it"),
    TEXT("model", model, 0, "NAME", "a new network; with --load, the network that FILE's weights are for"),
    LIST("set", set, "NAME=VALUE", "a setting of an attention network, as in learning=naive; may be repeated"),
    TEXT("load", load, 0, "FILE", "begin with a saved network; for other classes, with a new last layer"),
    LIST("freeze", freeze, "PATH", "leave what is at or below PATH as it is; may be repeated"),
    TEXT("resume", resume, RUN, "FILE", "go on with a checkpoint and the settings that it has recorded"),
    TITLE("Images:"),
    TEXT("data", data, CHANGE, "WHERE",
         "\"shapes\": generated images; a folder with CIFAR-10's or CIFAR-100's\nbinary files; or a folder with train/ "
         "and test/ (or val/), or without, and in it\na folder of JPEG and PNG files for each class"),
    INT("size", size, 1, 4096, 0, "side of the network's input (default: what the network is for)"),
    INT("short-side", short_side, 0, 8192, 0,
        "length of a picture's shorter side before the middle is cut out (default:\nthe size)"),
    WORD("augment", augment, augments, 0, "KIND",
         "crop-flip, scale-crop or none (default: none for shapes, crop-flip for CIFAR,\nscale-crop for pictures)"),
    REAL("smallest-area", smallest_area, 0.001, 1, NULL, 0, "A", "share of a picture that scale-crop keeps (0.08)"),
    REAL("colour", colour, 0, 1, NULL, 0, "C", "change brightness, contrast and saturation by up to this (0)"),
    REAL("label-noise", label_noise, 0, 1, NULL, 0, "SHARE", "give so many training images a wrong class (0)"),
    REAL("validation", validation, 0, 0.9, by_test, 0, "SHARE",
         "keep so many training images for validation after each epoch (0: none);\n\"test\": validate with the test "
         "images"),
    INT("limit", limit, 0, 2147483647, 0, "take only N images of each part, to try things out (0: all)"),
    TITLE("Training:"),
    INT("epochs", epochs, 1, 10000, 0, "how often to go through the images (30)"),
    INT("batch", batch, 1, 65536, 0, "images of a step (64)"),
    INT("micro-batches", micro_batches, 1, 65536, 0, "compute a step in N parts, for less memory (1)"),
    INT("recompute", recompute, 0, 1, CHANGE, "1: take less memory and a fifth more time, with the same results (0)"),
    WORD("optimizer", optimizer, optimizers, 0, "NAME", "sgd, with Nesterov's momentum (default), or adamw"),
    REAL("rate", rate, 0, 100, usual, 0, "R", "largest learning rate (0.1; 0.001 for adamw)"),
    WORD("schedule", schedule, schedules, 0, "S",
         "one-cycle (default), cosine, or step: a tenth at half and at three quarters"),
    REAL("warm-up", warm_up, 0, 1, usual, 0, "SHARE",
         "of the steps in which the rate rises (one-cycle 0.3, cosine 0.05, step 0)"),
    REAL("momentum", momentum, 0, 0.9999, NULL, 0, "M", "of sgd, beta1 of adamw (0.9)"),
    REAL("weight-decay", weight_decay, 0, 1, usual, 0, "D", "not of biases and batch norms (5e-4; 0.01 for adamw)"),
    LIST("no-decay", no_decay, "PATH", "nor of what is at or below PATH; may be repeated"),
    LIST("rate-of", rate_of, "PATH=FACTOR", "a factor on the rate at or below PATH; may be repeated"),
    REAL("clip", clip, 0, 1e9, NULL, 0, "NORM", "largest norm of the gradient (0: any)"),
    REAL("label-smoothing", label_smoothing, 0, 1, NULL, 0, "E", "of the target distribution (0)"),
    TEXT("class-weights", class_weights, 0, "LIST", "\"balanced\", or a weight for each class: 1,2.5,1"),
    REAL("average", average, 0, 0.999999, NULL, 0, "DECAY",
         "validate and save the moving average of the weights (0: the weights)"),
    INT("average-batches", average_batches, 1, 1000000, 0,
        "from so many batches the average's batch norms are estimated (100)"),
    {"seed", SETTING_SEED, AT(seed), 0, 0, NULL, 0, "N", "of weights, order and augmentation (1)"},
    TITLE("Masks:"),
    REAL("mask-targets", mask_weight, 0, 1e6, NULL, 0, "WEIGHT",
         "of the loss of each attention mask against the object's place (0: none)"),
    WORD("mask-loss", mask_kind, mask_kinds, 0, "KIND", "cross-entropy (default), squared or dice"),
    TEXT("target-folder", target_folder, CHANGE, "DIR",
         "maps of the objects for pictures: PNG files of the same names"),
    TITLE("Results:"),
    TEXT("out", out, CHANGE, "FILE", "default trained.resattn"),
    WORD("storage", storage, types, CHANGE, "TYPE", "of the numbers in the results: f32 (default), f16, bf16"),
    TEXT("best", best, CHANGE, "FILE", "keep the network of the epoch with the best validation accuracy too"),
    INT("patience", patience, 0, 10000, CHANGE, "end after N epochs without a better validation accuracy (0: never)"),
    TEXT("log", log, CHANGE, "FILE.csv", "a line of numbers for each epoch"),
    INT("log-steps", log_steps, 0, 2147483647, CHANGE, "and for every Nth step (0: none)"),
    TEXT("curves", curves, CHANGE, "FILE.png", "draw loss and accuracy over the epochs"),
    TITLE("Checkpoints:"),
    TEXT("checkpoint", checkpoint, CHANGE, "FILE",
         "save the whole state now and then, and when interrupted (default: when\ninterrupted only, to the result's "
         "name "
         "and .checkpoint)"),
    REAL("checkpoint-minutes", checkpoint_minutes, 0, 1e6, NULL, CHANGE, "N", "how often (10; 0: not by time)"),
    INT("checkpoint-steps", checkpoint_steps, 0, 2147483647, CHANGE, "and after every Nth step (0: not by steps)"),
    INT("stop-after-steps", stop_after_steps, 0, 2147483647, RUN, "interrupt this run after N steps (0: never)"),
    TITLE("Others:"),
    INT("threads", threads, 0, 1024, RUN, "0, the default: as many as there are CPUs"),
    {NULL, SETTING_TITLE, 0, 0, 0, NULL, 0, NULL, NULL}};

static const struct train_settings defaults = {.epochs = 30,
                                               .batch = 64,
                                               .micro_batches = 1,
                                               .average_batches = 100,
                                               .rate = -1,
                                               .warm_up = -1,
                                               .momentum = 0.9,
                                               .weight_decay = -1,
                                               .smallest_area = 0.08,
                                               .checkpoint_minutes = 10,
                                               .seed = 1};

void train_settings_free(struct train_settings *settings)
{
    settings_free(&(struct settings){train_table, settings});
}

/* ---- the command line ---- */

enum { HELP = 1, FIRST = 256, MOST = 80 };

static void print_help(void)
{
    puts("Usage: resattn train --model NAME|--load FILE --data WHERE [OPTION]...\n"
         "       resattn train --resume FILE [OPTION]...\n"
         "Trains a network to classify images, prints its test accuracy and saves it.");
    settings_print_help(train_table);
    puts("  --help                      this text");
}

/* Returns 0 to go on, 1 after help, -1 after printing what is wrong. */
static int read_options(struct givens *givens, int argc, char **argv)
{
    struct option options[MOST] = {{"help", no_argument, NULL, HELP}};
    int count = 1;
    for (int i = 0; train_table[i].name && count < MOST - 1; i++)
        if (train_table[i].kind != SETTING_TITLE)
            options[count++] = (struct option){train_table[i].name, required_argument, NULL, FIRST + i};
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == HELP) {
            print_help();
            return 1;
        }
        if (option < FIRST || givens_add(givens, &train_table[option - FIRST], optarg, "--"))
            return -1;
    }
    return optind < argc ? complain("unexpected argument '%s'", argv[optind]) : 0;
}

static const char *last_given(const struct givens *givens, const char *name)
{
    const char *text = NULL;
    for (int32_t i = 0; i < givens->count; i++)
        if (strcmp(givens->items[i].setting->name, name) == 0)
            text = givens->items[i].text;
    return text;
}

/* Puts the settings of the file before the options, which so replace them; of a list those of the options alone count.
 */
static int read_config(struct givens *givens, const char *path)
{
    struct givens all = {0};
    int result = givens_read_file(&all, train_table, path);
    int32_t of_file = all.count;
    for (int32_t i = 0; i < of_file && !result; i++)
        if (strcmp(all.items[i].setting->name, "config") == 0)
            result = complain("%sconfig is '%s', expected no other file here", all.items[i].where, all.items[i].text);
    for (int32_t i = 0; i < of_file && !result; i++)
        if (all.items[i].setting->kind == SETTING_LIST && last_given(givens, all.items[i].setting->name)) {
            free(all.items[i].text);
            free(all.items[i].where);
            memmove(&all.items[i], &all.items[i + 1], (size_t)(--all.count - i) * sizeof *all.items);
            of_file--;
            i--;
        }
    for (int32_t i = 0; i < givens->count && !result; i++)
        result = givens_add(&all, givens->items[i].setting, givens->items[i].text, givens->items[i].where);
    givens_free(givens);
    *givens = all;
    return result;
}

int train_settings_parse(struct train_settings *settings, struct givens *givens, int argc, char **argv)
{
    *settings = defaults;
    int result = read_options(givens, argc, argv);
    const char *path = result ? NULL : last_given(givens, "config");
    if (path)
        result = read_config(givens, path);
    return result ? result : settings_take(&(struct settings){train_table, settings}, givens);
}

/* ---- going on ---- */

/* A setting that shapes the training must be what it was. */
static int check_same(struct train_settings *recorded, struct train_settings *settings, const struct given *given)
{
    char *before = setting_text(&(struct settings){train_table, recorded}, given->setting);
    char *now = setting_text(&(struct settings){train_table, settings}, given->setting);
    int result = before && now ? 0 : -1;
    if (!result && strcmp(before, now) != 0) {
        before[strcspn(before, "\n")] = '\0';
        result = complain("%s%s is '%s', but the training that is resumed has %s: it goes on as it began", given->where,
                          given->setting->name, given->text, *before ? before : "none");
    }
    free(before);
    free(now);
    return result;
}

int train_settings_resume(struct train_settings *settings, const struct givens *givens, const char *record)
{
    struct train_settings recorded = defaults;
    struct givens old = {0};
    int result = givens_read_text(&old, train_table, settings->resume, record) ||
                 settings_take(&(struct settings){train_table, &recorded}, &old);
    train_settings_free(settings);
    *settings = defaults;
    if (!result)
        result = settings_take(&(struct settings){train_table, settings}, &old) ||
                 settings_take(&(struct settings){train_table, settings}, givens);
    for (int32_t i = 0; i < givens->count && !result; i++)
        if (!(givens->items[i].setting->flags & (SETTING_OF_THIS_RUN | SETTING_MAY_CHANGE)))
            result = check_same(&recorded, settings, &givens->items[i]);
    if (!result && !last_given(givens, "checkpoint")) {
        free(settings->checkpoint);
        settings->checkpoint = strdup(settings->resume);
        result = settings->checkpoint ? 0 : complain("no memory for settings");
    }
    train_settings_free(&recorded);
    givens_free(&old);
    return result ? -1 : 0;
}

/* ---- what goes together ---- */

static int check_needs(const struct train_settings *settings)
{
    if (!settings->resume && !settings->model && !settings->load)
        return complain("give --model, --load or --resume");
    if (!settings->data)
        return complain("--data is missing");
    if (settings->set.count > 0 && !settings->model)
        return complain("--set goes with --model");
    if (settings->batch % settings->micro_batches)
        return complain("--micro-batches is %d, expected a divisor of the batch of %d", (int)settings->micro_batches,
                        (int)settings->batch);
    if ((settings->best || settings->patience > 0) && !(settings->validation != 0))
        return complain("--best and --patience need --validation");
    if (settings->log_steps > 0 && !settings->log)
        return complain("--log-steps goes with --log");
    if (settings->target_folder && !(settings->mask_weight > 0))
        return complain("--target-folder goes with --mask-targets");
    return settings->curves ? train_curves_possible() : 0;
}

int train_settings_check(struct train_settings *settings)
{
    int adamw = settings->optimizer == TRAINING_ADAMW;
    if (check_needs(settings))
        return -1;
    if (settings->rate < 0)
        settings->rate = adamw ? 0.001 : 0.1;
    if (settings->weight_decay < 0)
        settings->weight_decay = adamw ? 0.01 : 5e-4;
    if (!settings->out && !(settings->out = strdup("trained.resattn")))
        return complain("no memory for settings");
    return 0;
}
