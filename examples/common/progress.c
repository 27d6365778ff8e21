/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Progress on standard error.
 */
#include "progress.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BAR_WIDTH = 24 };

static const double terminal_interval = 0.1, line_interval = 10; /* seconds */

double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void progress_start(struct progress *progress, int32_t epochs, int64_t images_an_epoch)
{
    memset(progress, 0, sizeof *progress);
    progress->epochs = epochs;
    progress->images_an_epoch = images_an_epoch;
    progress->terminal = isatty(STDERR_FILENO);
    progress->started = progress->shown = seconds_now();
}

void progress_epoch(struct progress *progress)
{
    progress->loss = 0;
    progress->images = progress->correct = 0;
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

static void show(const struct progress *progress, int32_t epoch, double now)
{
    int64_t done = epoch * progress->images_an_epoch + progress->images;
    int64_t left = progress->epochs * progress->images_an_epoch - done;
    double rate = (double)done / (now - progress->started + 1e-9);
    double images = (double)progress->images;
    if (progress->terminal)
        fputc('\r', stderr);
    fprintf(stderr, "epoch %2d/%d  ", (int)epoch + 1, (int)progress->epochs);
    if (progress->terminal)
        show_bar(progress);
    fprintf(stderr, "loss %.3f  accuracy %5.1f %%  %5.0f images/s  %4.0f s left", progress->loss / images,
            100 * (double)progress->correct / images, rate, (double)left / rate);
    /* Spaces cover what a longer line may have left. */
    fputs(progress->terminal ? "   " : "\n", stderr);
}

void progress_step(struct progress *progress, int32_t epoch, int32_t images, double loss, int32_t correct)
{
    progress->loss += loss * images;
    progress->images += images;
    progress->correct += correct;
    double now = seconds_now();
    int end = progress->images >= progress->images_an_epoch;
    if (!end && now - progress->shown < (progress->terminal ? terminal_interval : line_interval))
        return;
    progress->shown = now;
    show(progress, epoch, now);
    if (end && progress->terminal)
        fputc('\n', stderr);
    fflush(stderr);
}
