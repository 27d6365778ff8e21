/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * resattn train: what its files share.
 */
#ifndef EXAMPLES_TRAIN_H
#define EXAMPLES_TRAIN_H

#include <stdio.h>

#include <resattn/resattn.h>

#include "dataset.h"
#include "settings.h"
#include "training.h"

/* ---- train_settings.c: what can be chosen ---- */

struct train_settings {
    char *config, *resume;
    char *model, *load;
    struct setting_list set, freeze, no_decay, rate_of;
    char *data, *target_folder, *out, *best, *checkpoint, *log, *curves, *class_weights;
    int32_t epochs, batch, micro_batches, size, short_side, limit, patience, average_batches, recompute, threads,
        storage;
    int32_t augment, optimizer, schedule, mask_kind;
    int32_t log_steps, checkpoint_steps, stop_after_steps;
    double checkpoint_minutes;
    double rate, warm_up, momentum, weight_decay, clip, label_smoothing, average, smallest_area, colour;
    double label_noise, mask_weight, validation;
    uint64_t seed;
};

enum train_augment { AUGMENT_USUAL, AUGMENT_NONE, AUGMENT_CROP_FLIP, AUGMENT_SCALE_CROP };

/* Of `validation`: the test images are used. */
#define VALIDATION_BY_TEST (-1.0)

extern const struct setting train_table[];

/* Reads the command line and the file that --config names, in the order of their weight. Returns 0 to go on, 1 after
 * --help, -1 after printing what is wrong. `settings` is to be freed, `givens` too. */
int train_settings_parse(struct train_settings *settings, struct givens *givens, int argc, char **argv);

/* Takes the settings that a checkpoint has recorded, then what was given, which may not contradict. */
int train_settings_resume(struct train_settings *settings, const struct givens *givens, const char *record);

/* Checks what goes together, and fills in what was left open and does not depend on the data. */
int train_settings_check(struct train_settings *settings);

void train_settings_free(struct train_settings *settings);

/* ---- train_network.c: the network ---- */

/* Splits "NAME=VALUE" of --`setting` at its last '='; `name` has room for `size` bytes. Returns the value, or NULL
 * after printing what is wrong. */
const char *train_split(const char *setting, const char *text, char *name, size_t size);

/* The network to begin with, for the classes of the data. `loaded` is what --load names, or NULL. Owned; NULL after
 * printing why not. */
resattn_network *train_network(resattn_context *context, const struct train_settings *settings, resattn_network *loaded,
                               int32_t classes);

/* ---- train_data.c: the images ---- */

struct train_data {
    struct dataset *training;   /* perhaps with label noise */
    struct dataset *validation; /* the set whose images `validation_indices` are; NULL: no validation */
    struct dataset *test;       /* NULL: there is none */
    int owns_validation;
    int32_t *indices, *validation_indices, *test_indices;
    int32_t count, validation_count, test_count;
};

int train_data_open(struct train_data *data, const struct train_settings *settings, const resattn_network *network);
void train_data_close(struct train_data *data);

/* One weight a class, to be freed; NULL with *failed 0 where --class-weights is not given. */
float *train_class_weights(const struct train_settings *settings, const struct train_data *data, int *failed);

/* ---- train_stop.c: signals ---- */

/* From now on SIGINT, SIGTERM and SIGHUP are noted; a second one ends the program at once. */
void train_catch_signals(void);

/* The signal that was noted, or 0. */
int train_signal(void);

/* ---- train_progress.c: how far a training is ---- */

/* Of what is recorded in a checkpoint beside weights and the optimizer's state. All are numbers, so that one table
 * reads and writes them. */
struct train_progress {
    double step;         /* how many are done */
    double epochs;       /* how many are done, with validation */
    double session_step; /* forward passes: what dropout depends on */
    double images;       /* of the training set, to recognise another one */
    /* sums over the begun epoch */
    double epoch_images, epoch_correct, epoch_loss, epoch_mask_loss;
    /* of the last step */
    double rate, gradient_norm;
    double best, best_epoch; /* validation accuracy, -1 before the first */
    double seconds;          /* of all runs */
};

/* What an epoch came to; accuracies from 0 to 1, less than 0 where nothing was measured. */
struct train_epoch {
    double loss, accuracy, validation_loss, validation_accuracy;
};

struct train_history {
    int32_t count;
    struct train_epoch *epochs;
};

int train_history_add(struct train_history *history, const struct train_epoch *epoch);
void train_history_free(struct train_history *history);

/* Writes what is to be recorded into the network's texts, reads it, and takes it out. Each returns 0, or -1 after
 * printing what is wrong. */
int train_record(resattn_network *network, struct train_settings *settings, struct train_progress *progress,
                 const struct train_history *history);
int train_read_record(const resattn_network *network, const char *path, struct train_progress *progress,
                      struct train_history *history);
int train_remove_record(resattn_network *network);

/* The settings of a record. NULL after printing that `path` is no checkpoint of a training. */
const char *train_recorded_settings(const resattn_network *network, const char *path);

/* ---- train_log.c: the table of numbers ---- */

struct train_log {
    const char *path;
    int descriptor; /* -1: none */
    int64_t size;   /* of the whole lines in the file */
    char *waiting;  /* lines that could not be written yet */
    size_t waiting_size;
    int told;
};

/* Begins a file, or goes on after the lines of a training that is so far. `path` NULL: no log. */
int train_log_open(struct train_log *log, const char *path, const struct train_progress *progress, int resumed);
void train_log_step(struct train_log *log, const struct training_result *result, int64_t step, double seconds);
void train_log_epoch(struct train_log *log, const struct train_epoch *epoch, const struct train_progress *progress,
                     double mask_loss);

/* Sees to it that the lines are on the disk. */
void train_log_flush(struct train_log *log);

/* Returns -1 after printing it if lines are missing. */
int train_log_close(struct train_log *log);

/* ---- train_curves.c: a picture of the training ---- */

/* 0, or -1 after printing why there can be none; to be asked before a long run. */
int train_curves_possible(void);

int train_curves_write(const char *path, const struct train_history *history, int32_t epochs, const char *title);

/* ---- train_validate.c ---- */

/* Mean loss and accuracy. Returns 0, 1 when a signal came in between, -1 after printing what went wrong. */
int train_validate(resattn_network *network, const struct dataset *dataset, const int32_t *indices, int32_t count,
                   const struct train_settings *settings, double *loss, double *accuracy);

/* ---- train_average.c ---- */

/* Puts the averaged weights, if there are any, into the network, with batch norms' statistics from so many batches of
 * training images. Returns as train_validate(), and what is not 0 leaves the network's own weights there. */
int train_enter_average(struct training *training, const struct train_data *data, int32_t batches);

/* Takes them out again. Returns 0, or -1 after printing why not. */
int train_leave_average(struct training *training);

/* ---- train_run.c: the run ---- */

/* Trains and saves. Returns the exit code. */
int train_run(resattn_network *network, struct train_settings *settings, const struct train_data *data,
              const struct training_settings *training);

#endif
