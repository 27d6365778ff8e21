/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Progress on standard error.
 */
#include "progress.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "training.h"

enum { BAR_WIDTH = 24 };

static const double terminal_interval = 0.1, line_interval = 10; /* seconds */

double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void progress_start(struct progress *progress, int32_t epochs, int64_t images_an_epoch, int64_t done)
{
    memset(progress, 0, sizeof *progress);
    progress->epochs = epochs;
    progress->images_an_epoch = images_an_epoch;
    progress->done = progress->before = done;
    progress->terminal = isatty(STDERR_FILENO);
    progress->started = progress->shown = seconds_now();
}

static void show_bar(const struct progress *progress)
{
    char bar[BAR_WIDTH + 1];
    int64_t filled = progress->images * BAR_WIDTH / progress->images_an_epoch;
    memset(bar, '-', BAR_WIDTH);
    memset(bar, '#', (size_t)filled);
    bar[BAR_WIDTH] = '\0';
    fprintf(stderr, "[%s] ", bar);
}

/* As in "1:02:03" or "45 s". */
static void show_time(double seconds)
{
    long whole = (long)(seconds + 0.5);
    if (whole < 100)
        fprintf(stderr, "%ld s left", whole);
    else
        fprintf(stderr, "%ld:%02ld:%02ld left", whole / 3600, whole / 60 % 60, whole % 60);
}

static void show(const struct progress *progress, int32_t epoch, double now)
{
    int64_t left = progress->epochs * progress->images_an_epoch - progress->done;
    double speed = (double)(progress->done - progress->before) / (now - progress->started + 1e-9);
    double images = (double)progress->images;
    if (progress->terminal)
        fputc('\r', stderr);
    fprintf(stderr, "epoch %2d/%d  ", (int)epoch + 1, (int)progress->epochs);
    if (progress->terminal)
        show_bar(progress);
    fprintf(stderr, "loss %.3f  accuracy %5.1f %%  rate %-9.3g %5.0f images/s  ", progress->loss / images,
            100 * (double)progress->correct / images, progress->rate, speed);
    show_time((double)left / speed);
    /* Spaces cover what a longer line may have left. */
    fputs(progress->terminal ? "   " : "\n", stderr);
}

void progress_step(struct progress *progress, const struct training_result *step)
{
    if (progress->images >= progress->images_an_epoch) {
        progress->loss = 0;
        progress->images = progress->correct = 0;
    }
    progress->loss += step->loss * step->images;
    progress->images += step->images;
    progress->correct += step->correct;
    progress->done += step->images;
    progress->rate = step->rate;
    double now = seconds_now();
    int end = progress->images >= progress->images_an_epoch;
    if (!end && now - progress->shown < (progress->terminal ? terminal_interval : line_interval))
        return;
    progress->shown = now;
    show(progress, step->epoch, now);
    if (end && progress->terminal)
        fputc('\n', stderr);
    fflush(stderr);
}

void progress_pause(struct progress *progress)
{
    int whole = progress->images >= progress->images_an_epoch || progress->images == 0;
    if (progress->terminal && !whole && progress->shown > progress->started)
        fputc('\n', stderr);
}
