/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * resattn train: the table of numbers, as comma-separated values. The file always ends with a whole line: what a full
 * disk does not take waits for the next one.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "errors.h"
#include "train.h"

static const char header[] = "kind,step,epoch,loss,accuracy,mask_loss,rate,gradient_norm,validation_loss,"
                             "validation_accuracy,seconds\n";

enum { LINE = 512 };

/* ---- writing ---- */

/* Writes what waits. Returns -1 if it could not. */
static int write_waiting(struct train_log *log)
{
    size_t done = 0;
    while (done < log->waiting_size) {
        ssize_t put = pwrite(log->descriptor, log->waiting + done, log->waiting_size - done, log->size + (off_t)done);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0) {
            int reason = errno;
            if (!log->told)
                complain("%s: cannot be written: %s; its lines wait until it can", log->path, strerror(reason));
            log->told = 1;
            if (ftruncate(log->descriptor, log->size))
                return -1; /* the line is written again at the same place */
            return -1;
        }
        done += (size_t)put;
    }
    log->size += (int64_t)done;
    log->waiting_size = 0;
    log->told = 0;
    return 0;
}

static void add_line(struct train_log *log, const char *line)
{
    if (log->descriptor < 0)
        return;
    size_t length = strlen(line);
    char *waiting = realloc(log->waiting, log->waiting_size + length + 1);
    if (!waiting) {
        complain("%s: no memory for a line", log->path);
        return;
    }
    log->waiting = waiting;
    memcpy(waiting + log->waiting_size, line, length + 1);
    log->waiting_size += length;
    write_waiting(log);
}

/* %.9g tells any float from its neighbours. */
void train_log_step(struct train_log *log, const struct training_result *result, int64_t step, double seconds)
{
    char line[LINE];
    snprintf(line, sizeof line, "step,%lld,%d,%.9g,%.9g,%.9g,%.9g,%.9g,,,%.3f\n", (long long)step,
             (int)result->epoch + 1, result->loss, (double)result->correct / result->images, result->mask_loss,
             result->rate, result->gradient_norm, seconds);
    add_line(log, line);
}

void train_log_epoch(struct train_log *log, const struct train_epoch *epoch, const struct train_progress *progress,
                     double mask_loss)
{
    char line[LINE], validation[64] = ",";
    if (epoch->validation_accuracy >= 0)
        snprintf(validation, sizeof validation, "%.9g,%.9g", epoch->validation_loss, epoch->validation_accuracy);
    snprintf(line, sizeof line, "epoch,%.0f,%.0f,%.9g,%.9g,%.9g,%.9g,%.9g,%s,%.3f\n", progress->step,
             progress->epochs + 1, epoch->loss, epoch->accuracy, mask_loss, progress->rate, progress->gradient_norm,
             validation, progress->seconds);
    add_line(log, line);
}

/* ---- opening ---- */

/* Whether a line, without its end, is of what a training so far has done. */
static int is_done(const char *line, const struct train_progress *progress)
{
    char kind[8];
    double step, epoch;
    if (sscanf(line, "%7[a-z],%lf,%lf,", kind, &step, &epoch) != 3)
        return 0;
    return step <= progress->step && (strcmp(kind, "epoch") != 0 || epoch <= progress->epochs);
}

/* The lines are in the order of their steps: the file is cut before the first that is not done, or not whole. */
static int find_end(struct train_log *log, const struct train_progress *progress)
{
    FILE *file = fopen(log->path, "rb");
    if (!file)
        return complain("%s: %s", log->path, strerror(errno));
    char line[LINE];
    int result = 0;
    while (fgets(line, sizeof line, file) && strchr(line, '\n')) {
        if (log->size == 0 && strcmp(line, header) != 0)
            result = complain("%s: begins with '%.*s', expected a log of this training, or no file", log->path,
                              (int)strcspn(line, "\r\n"), line);
        if (result || (log->size > 0 && !is_done(line, progress)))
            break;
        log->size += (int64_t)strlen(line);
    }
    fclose(file);
    return result;
}

int train_log_open(struct train_log *log, const char *path, const struct train_progress *progress, int resumed)
{
    *log = (struct train_log){.path = path, .descriptor = -1};
    if (!path)
        return 0;
    log->descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY | (resumed ? 0 : O_TRUNC), 0666);
    struct stat facts;
    if (log->descriptor < 0 || fstat(log->descriptor, &facts))
        return complain("%s: cannot be written: %s", path, strerror(errno));
    if (!S_ISREG(facts.st_mode))
        return complain("%s: not a file, expected one for the log", path);
    if (resumed && find_end(log, progress))
        return -1;
    if (ftruncate(log->descriptor, log->size))
        return complain("%s: cannot be cut to step %.0f: %s", path, progress->step, strerror(errno));
    if (log->size == 0)
        add_line(log, header);
    return log->waiting_size > 0 ? -1 : 0;
}

void train_log_flush(struct train_log *log)
{
    if (log->descriptor >= 0 && !write_waiting(log))
        fsync(log->descriptor); /* a disk that fails will tell at the checkpoint */
}

int train_log_close(struct train_log *log)
{
    int result = 0;
    if (log->descriptor >= 0 && write_waiting(log))
        result = complain("%s: lines are missing at the end: %s", log->path, strerror(errno));
    if (log->descriptor >= 0)
        close(log->descriptor);
    free(log->waiting);
    *log = (struct train_log){.descriptor = -1};
    return result;
}
