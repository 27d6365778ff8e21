/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * resattn train: what a checkpoint records beside the weights and the optimizer's state, in texts of the network.
 */
#include <stdlib.h>
#include <string.h>

#include "errors.h"
#include "train.h"

static const char settings_key[] = "resattn.train.settings", progress_key[] = "resattn.train.progress",
                  epochs_key[] = "resattn.train.epochs";

#define NUMBER(name, field)                                                                                            \
    {                                                                                                                  \
        name, SETTING_REAL, offsetof(struct train_progress, field), -1, 1e300, NULL, 0, "N", ""                        \
    }

static const struct setting progress_table[] = {NUMBER("step", step),
                                                NUMBER("epochs", epochs),
                                                NUMBER("session-step", session_step),
                                                NUMBER("images", images),
                                                NUMBER("epoch-images", epoch_images),
                                                NUMBER("epoch-correct", epoch_correct),
                                                NUMBER("epoch-loss", epoch_loss),
                                                NUMBER("epoch-mask-loss", epoch_mask_loss),
                                                NUMBER("rate", rate),
                                                NUMBER("gradient-norm", gradient_norm),
                                                NUMBER("best", best),
                                                NUMBER("best-epoch", best_epoch),
                                                NUMBER("seconds", seconds),
                                                {NULL, SETTING_TITLE, 0, 0, 0, NULL, 0, NULL, NULL}};

/* ---- the epochs so far ---- */

int train_history_add(struct train_history *history, const struct train_epoch *epoch)
{
    struct train_epoch *epochs = realloc(history->epochs, ((size_t)history->count + 1) * sizeof *epochs);
    if (!epochs)
        return complain("no memory for the numbers of %d epochs", (int)history->count + 1);
    history->epochs = epochs;
    epochs[history->count++] = *epoch;
    return 0;
}

void train_history_free(struct train_history *history)
{
    free(history->epochs);
    *history = (struct train_history){0};
}

/* A line an epoch. */
static char *print_history(const struct train_history *history)
{
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    for (int32_t i = 0; i < history->count && file; i++) {
        const struct train_epoch *epoch = &history->epochs[i];
        fprintf(file, "%.6g %.6g %.6g %.6g\n", epoch->loss, epoch->accuracy, epoch->validation_loss,
                epoch->validation_accuracy);
    }
    int failed = file ? ferror(file) : 1;
    if (file && fclose(file))
        failed = 1;
    if (!failed)
        return text;
    free(text);
    complain("no memory for the numbers of %d epochs", (int)history->count);
    return NULL;
}

static int read_history(struct train_history *history, const char *text, const char *path)
{
    while (*text) {
        struct train_epoch epoch;
        if (sscanf(text, "%lf %lf %lf %lf", &epoch.loss, &epoch.accuracy, &epoch.validation_loss,
                   &epoch.validation_accuracy) != 4)
            return complain("%s: epoch %d is '%.*s', expected four numbers", path, (int)history->count + 1,
                            (int)strcspn(text, "\n"), text);
        if (train_history_add(history, &epoch))
            return -1;
        text += strcspn(text, "\n");
        text += *text == '\n';
    }
    return 0;
}

/* ---- records ---- */

int train_record(resattn_network *network, struct train_settings *settings, struct train_progress *progress,
                 const struct train_history *history)
{
    char *settings_text = settings_record(&(struct settings){train_table, settings});
    char *progress_text = settings_record(&(struct settings){progress_table, progress});
    char *epochs_text = print_history(history);
    int result = settings_text && progress_text && epochs_text ? 0 : -1;
    if (!result && (resattn_network_set_text(network, settings_key, settings_text) ||
                    resattn_network_set_text(network, progress_key, progress_text) ||
                    resattn_network_set_text(network, epochs_key, epochs_text)))
        result = complain_library();
    free(settings_text);
    free(progress_text);
    free(epochs_text);
    return result;
}

int train_remove_record(resattn_network *network)
{
    if (resattn_network_set_text(network, settings_key, NULL) ||
        resattn_network_set_text(network, progress_key, NULL) || resattn_network_set_text(network, epochs_key, NULL))
        return complain_library();
    return 0;
}

const char *train_recorded_settings(const resattn_network *network, const char *path)
{
    const char *text = resattn_network_text(network, settings_key);
    if (!text || !resattn_network_text(network, progress_key) || !resattn_network_text(network, epochs_key)) {
        complain("%s: a network without the state of a training, expected a checkpoint of '%s train'; to train it "
                 "further, give --load",
                 path, program_name());
        return NULL;
    }
    return text;
}

int train_read_record(const resattn_network *network, const char *path, struct train_progress *progress,
                      struct train_history *history)
{
    struct givens givens = {0};
    int result = givens_read_text(&givens, progress_table, path, resattn_network_text(network, progress_key)) ||
                 settings_take(&(struct settings){progress_table, progress}, &givens) ||
                 read_history(history, resattn_network_text(network, epochs_key), path);
    givens_free(&givens);
    if (!result && (progress->step < 0 || progress->epochs < 0 || progress->session_step < 0 ||
                    (double)history->count != progress->epochs))
        result = complain("%s: step %g of epoch %g with the numbers of %d epochs, expected as many as epochs", path,
                          progress->step, progress->epochs, (int)history->count);
    return result ? -1 : 0;
}
