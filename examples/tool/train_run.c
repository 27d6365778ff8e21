/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * resattn train: the run, with validation, checkpoints, log and curves.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "errors.h"
#include "progress.h"
#include "train.h"

#ifndef EXAMPLES_CAIRO
int train_curves_possible(void)
{
    return complain("--curves: this program was built without cairo, which draws");
}

int train_curves_write(const char *path, const struct train_history *history, int32_t epochs, const char *title)
{
    (void)path, (void)history, (void)epochs, (void)title;
    return train_curves_possible();
}
#endif

enum outcome { DONE = 0, INTERRUPTED = 1, FAILED = -1 };

/* Checkpoints are written often and hold much that hardly compresses. */
enum { CHECKPOINT_LEVEL = 1 };

struct run {
    resattn_network *network;
    struct train_settings *settings;
    const struct train_data *data;
    struct training training;
    struct train_progress progress;
    struct train_history history;
    struct train_log log;
    struct progress bar;
    char *checkpoint;            /* the file, also where only an interruption writes it */
    double before;               /* seconds of earlier runs */
    double started, saved;       /* the run, the last checkpoint */
    int64_t steps;               /* of this run */
    int best_missing, no_curves; /* could not be written at the last try */
};

/* ---- files ---- */

static double seconds_of(const struct run *run)
{
    return run->before + seconds_now() - run->started;
}

/* Freezes what is below the paths of --freeze (1), or lets it go again (0). */
static int freeze(struct run *run, int32_t frozen)
{
    const struct setting_list *paths = &run->settings->freeze;
    for (int32_t i = 0; i < paths->count; i++)
        if (resattn_optimizer_freeze(run->training.optimizer, paths->texts[i], frozen))
            return complain_library();
    return 0;
}

/* Writes the network as it is for use: without the state of the training, and with nothing frozen. */
static int save_result(struct run *run, const char *path)
{
    resattn_dtype type = (resattn_dtype)(run->settings->storage + RESATTN_F32);
    if (freeze(run, 0))
        return -1;
    resattn_network_set_storage(run->network, type);
    int result = resattn_network_save(run->network, path, RESATTN_DEFAULT_LEVEL) ? complain_library() : 0;
    resattn_network_set_storage(run->network, RESATTN_F32);
    return freeze(run, 1) || result ? -1 : 0;
}

/* Writes a checkpoint. An earlier one stays as it is until the new one is whole. */
static int save_checkpoint(struct run *run)
{
    train_log_flush(&run->log);
    run->progress.session_step = (double)resattn_session_step_count(run->training.session);
    run->progress.seconds = seconds_of(run);
    run->saved = seconds_now();
    int result = train_record(run->network, run->settings, &run->progress, &run->history);
    if (!result &&
        resattn_checkpoint_save(run->training.optimizer, run->training.average, run->checkpoint, CHECKPOINT_LEVEL)) {
        progress_pause(&run->bar);
        result = complain("no checkpoint at step %lld: %s", (long long)run->training.step, resattn_last_error());
    }
    return train_remove_record(run->network) || result ? -1 : 0;
}

/* A checkpoint that cannot be written is tried again at the next time. */
static void save_when_due(struct run *run)
{
    const struct train_settings *settings = run->settings;
    double seconds = 60 * settings->checkpoint_minutes;
    if (settings->checkpoint &&
        ((settings->checkpoint_steps > 0 && run->training.step % settings->checkpoint_steps == 0) ||
         (seconds > 0 && seconds_now() - run->saved >= seconds)))
        save_checkpoint(run);
}

static void draw_curves(struct run *run)
{
    const struct train_settings *settings = run->settings;
    char title[256];
    if (!settings->curves)
        return;
    snprintf(title, sizeof title, "%s on %s", settings->model ? settings->model : settings->load, settings->data);
    progress_pause(&run->bar);
    run->no_curves = train_curves_write(settings->curves, &run->history, settings->epochs, title) != 0;
}

/* ---- epochs ---- */

/* Validation of an epoch; keeps the network if it is the best one. */
static enum outcome validate(struct run *run, struct train_epoch *epoch)
{
    const struct train_data *data = run->data;
    enum outcome outcome = train_enter_average(&run->training, data, run->settings->average_batches);
    if (outcome != DONE)
        return outcome;
    outcome = train_validate(run->network, data->validation, data->validation_indices, data->validation_count,
                             run->settings, &epoch->validation_loss, &epoch->validation_accuracy);
    if (outcome == DONE && epoch->validation_accuracy > run->progress.best) {
        run->progress.best = epoch->validation_accuracy;
        run->progress.best_epoch = run->progress.epochs + 1;
        if (run->settings->best)
            run->best_missing = save_result(run, run->settings->best) != 0;
    }
    return train_leave_average(&run->training) ? FAILED : outcome;
}

static enum outcome end_epoch(struct run *run)
{
    struct train_progress *progress = &run->progress;
    struct train_epoch epoch = {.loss = progress->epoch_loss / progress->epoch_images,
                                .accuracy = progress->epoch_correct / progress->epoch_images,
                                .validation_loss = -1,
                                .validation_accuracy = -1};
    enum outcome outcome = run->data->validation ? validate(run, &epoch) : DONE;
    if (outcome != DONE)
        return outcome;
    if (run->data->validation)
        fprintf(stderr, "epoch %2d/%d  validation: loss %.3f  accuracy %5.1f %%  best %5.1f %% in epoch %.0f\n",
                (int)progress->epochs + 1, (int)run->settings->epochs, epoch.validation_loss,
                100 * epoch.validation_accuracy, 100 * progress->best, progress->best_epoch);
    if (train_history_add(&run->history, &epoch))
        return FAILED;
    progress->seconds = seconds_of(run);
    train_log_epoch(&run->log, &epoch, progress, progress->epoch_mask_loss / progress->epoch_images);
    progress->epochs++;
    progress->epoch_images = progress->epoch_correct = progress->epoch_loss = progress->epoch_mask_loss = 0;
    draw_curves(run);
    return DONE;
}

/* ---- steps ---- */

static enum outcome do_step(struct run *run)
{
    struct training_result result;
    struct train_progress *progress = &run->progress;
    if (training_step(&run->training, &result))
        return FAILED;
    run->steps++;
    progress->step = (double)run->training.step;
    progress->epoch_images += result.images;
    progress->epoch_correct += result.correct;
    progress->epoch_loss += result.loss * result.images;
    progress->epoch_mask_loss += result.mask_loss * result.images;
    progress->rate = result.rate;
    progress->gradient_norm = result.gradient_norm;
    progress_step(&run->bar, &result);
    if (run->settings->log_steps > 0 && run->training.step % run->settings->log_steps == 0)
        train_log_step(&run->log, &result, run->training.step, seconds_of(run));
    save_when_due(run);
    return DONE;
}

static int is_epoch_open(const struct run *run)
{
    return run->progress.step < (run->progress.epochs + 1) * (double)run->training.steps_an_epoch;
}

/* Whether validation has not become better for as long as one has patience. */
static int is_stuck(const struct run *run)
{
    int32_t patience = run->settings->patience;
    return patience > 0 && run->progress.epochs - run->progress.best_epoch >= patience;
}

static int is_interrupted(const struct run *run)
{
    return train_signal() || (run->settings->stop_after_steps > 0 && run->steps >= run->settings->stop_after_steps);
}

static enum outcome do_steps(struct run *run)
{
    enum outcome outcome = DONE;
    while (outcome == DONE && run->progress.epochs < run->settings->epochs && !is_stuck(run)) {
        if (is_interrupted(run))
            outcome = INTERRUPTED;
        else
            outcome = is_epoch_open(run) ? do_step(run) : end_epoch(run);
    }
    if (outcome == DONE && run->progress.epochs < run->settings->epochs)
        fprintf(stderr, "Validation has not become better for %d epochs: this is the end.\n",
                (int)run->settings->patience);
    return outcome;
}

/* ---- beginning and end ---- */

static char *checkpoint_path(const struct train_settings *settings)
{
    if (settings->checkpoint)
        return strdup(settings->checkpoint);
    static const char ending[] = ".checkpoint";
    size_t length = strlen(settings->out);
    char *path = malloc(length + sizeof ending);
    if (path) {
        memcpy(path, settings->out, length);
        memcpy(path + length, ending, sizeof ending);
    }
    return path;
}

/* Takes over what a checkpoint says of its training. */
static int read_progress(struct run *run, int32_t images)
{
    struct train_progress *progress = &run->progress;
    const char *path = run->settings->resume;
    if (!path) {
        *progress = (struct train_progress){.best = -1, .images = images};
        return 0;
    }
    if (train_read_record(run->network, path, progress, &run->history) || train_remove_record(run->network))
        return -1;
    if (progress->images != images)
        return complain("%s: was made with %.0f training images, but %s has %d", path, progress->images,
                        run->settings->data, (int)images);
    run->before = progress->seconds;
    return 0;
}

static int restore(struct run *run)
{
    if (!run->settings->resume)
        return 0;
    if (resattn_checkpoint_restore(run->training.optimizer, run->training.average, run->settings->resume) ||
        resattn_session_set_step_count(run->training.session, (int64_t)run->progress.session_step))
        return complain_library();
    return 0;
}

static int open_run(struct run *run, const struct training_settings *settings)
{
    int resumed = run->settings->resume != NULL;
    const struct train_data *data = run->data;
    struct train_progress *progress = &run->progress;
    run->started = run->saved = seconds_now();
    run->log.descriptor = -1;
    run->checkpoint = checkpoint_path(run->settings);
    if (!run->checkpoint)
        return complain("no memory for the checkpoint's name");
    if (read_progress(run, data->count) ||
        training_open(&run->training, run->network, data->training, data->indices, data->count, settings,
                      (int64_t)progress->step) ||
        freeze(run, 1) || restore(run) || train_log_open(&run->log, run->settings->log, progress, resumed))
        return -1;
    int64_t images = run->training.steps_an_epoch * settings->batch;
    progress_start(&run->bar, settings->epochs, images, run->training.step * settings->batch);
    run->bar.loss = progress->epoch_loss;
    run->bar.images = (int64_t)progress->epoch_images;
    run->bar.correct = (int64_t)progress->epoch_correct;
    return 0;
}

/* Returns the exit code. */
static int interrupt(struct run *run)
{
    int number = train_signal();
    progress_pause(&run->bar);
    if (save_checkpoint(run))
        return EXIT_FAILURE;
    fprintf(stderr, "Stopped after step %lld of %lld. To go on:\n  %s train --resume %s\n",
            (long long)run->training.step, (long long)run->training.steps, program_name(), run->checkpoint);
    return number ? 128 + number : EXIT_SUCCESS;
}

static int test(struct run *run)
{
    const struct train_data *data = run->data;
    double loss, accuracy;
    if (!data->test) {
        printf("No test images: not tested\n");
        return 0;
    }
    int outcome =
        train_validate(run->network, data->test, data->test_indices, data->test_count, run->settings, &loss, &accuracy);
    if (outcome == DONE)
        printf("Test accuracy: %.2f %% of %d images\n", 100 * accuracy, (int)data->test_count);
    return outcome == INTERRUPTED ? 128 + train_signal() : outcome;
}

/* Saves the network and tests it. Returns the exit code. */
static int finish(struct run *run)
{
    enum outcome outcome = train_enter_average(&run->training, run->data, run->settings->average_batches);
    if (outcome == INTERRUPTED)
        return interrupt(run);
    if (outcome == DONE && save_result(run, run->settings->out)) {
        train_leave_average(&run->training); /* where that fails too, so does the checkpoint */
        outcome = FAILED;
    }
    if (outcome == FAILED) {
        if (save_checkpoint(run) == 0)
            fprintf(stderr, "The state of the training is in %s. To try again:\n  %s train --resume %s\n",
                    run->checkpoint, program_name(), run->checkpoint);
        return EXIT_FAILURE;
    }
    int code = test(run);
    printf("Saved as %s\n", run->settings->out);
    if (run->settings->best && !run->best_missing)
        printf("The best one, of epoch %.0f with %.2f %% in validation, is %s\n", run->progress.best_epoch,
               100 * run->progress.best, run->settings->best);
    return code < 0 || run->best_missing || run->no_curves ? EXIT_FAILURE : code;
}

int train_run(resattn_network *network, struct train_settings *settings, const struct train_data *data,
              const struct training_settings *training)
{
    struct run run = {.network = network, .settings = settings, .data = data};
    train_catch_signals();
    int code = EXIT_FAILURE;
    if (!open_run(&run, training)) {
        enum outcome outcome = do_steps(&run);
        if (outcome == DONE)
            code = finish(&run);
        else if (outcome == INTERRUPTED)
            code = interrupt(&run);
    }
    if (train_log_close(&run.log))
        code = EXIT_FAILURE;
    training_close(&run.training);
    train_history_free(&run.history);
    free(run.checkpoint);
    return code;
}
