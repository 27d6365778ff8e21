/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * resattn eval on a folder with a folder of pictures for each class.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "classifier.h"
#include "errors.h"
#include "folder.h"
#include "progress.h"
#include "tool.h"

enum { TOP = 5, LISTED = 40 }; /* classes that are told of one by one */

static const double terminal_interval = 0.1, line_interval = 10; /* seconds */

struct scores {
    const struct folder *folder;
    int32_t *images, *right; /* of each folder */
    int32_t done, top1, top5;
    double started, shown;
};

static void show_progress(struct scores *scores)
{
    int terminal = isatty(STDERR_FILENO);
    double now = seconds_now(), rate = scores->done / (now - scores->started + 1e-9);
    int32_t count = scores->folder->files.count;
    if (scores->done < count && now - scores->shown < (terminal ? terminal_interval : line_interval))
        return;
    scores->shown = now;
    fprintf(stderr, "%s%d of %d images  top-1 %.1f %%  %.1f images/s  %.0f s left%s", terminal ? "\r" : "",
            (int)scores->done, (int)count, 100.0 * scores->top1 / scores->done, rate, (count - scores->done) / rate,
            terminal && scores->done < count ? "   " : "   \n");
}

static int run_batch(struct scores *scores, struct classifier *classifier)
{
    const struct folder *folder = scores->folder;
    int32_t left = folder->files.count - scores->done, n = classifier->batch.capacity;
    if (n > left)
        n = left;
    for (int32_t i = 0; i < n; i++)
        if (classifier_put(classifier, i, folder->files.texts[scores->done + i]))
            return -1;
    if (classifier_run(classifier, n))
        return -1;
    for (int32_t i = 0; i < n; i++) {
        int32_t class = folder->class_of[scores->done + i], label = folder->label_of[class];
        int right = is_in_top(classifier_result(classifier, i), classifier->classes, 1, label);
        scores->images[class]++;
        scores->right[class] += right;
        scores->top1 += right;
        scores->top5 += is_in_top(classifier_result(classifier, i), classifier->classes, TOP, label);
    }
    scores->done += n;
    show_progress(scores);
    return 0;
}

static void print_scores(const struct scores *scores, int32_t classes)
{
    const struct folder *folder = scores->folder;
    printf("Test accuracy: top-1 %.2f %%", 100.0 * scores->top1 / scores->done);
    if (classes > TOP)
        printf(", top-%d %.2f %%", (int)TOP, 100.0 * scores->top5 / scores->done);
    printf(" of %d images\n", (int)scores->done);
    for (int32_t i = 0; i < folder->classes.count && folder->classes.count <= LISTED; i++)
        if (scores->images[i] > 0)
            printf("  %-20s %6.2f %% of %d\n", folder->classes.texts[i], 100.0 * scores->right[i] / scores->images[i],
                   (int)scores->images[i]);
}

static int evaluate_files(resattn_network *network, const struct folder *folder, int32_t batch, int32_t short_side,
                          int32_t side)
{
    struct classifier classifier = {0};
    struct scores scores = {.folder = folder, .started = seconds_now()};
    scores.shown = scores.started;
    scores.images = calloc((size_t)folder->classes.count, sizeof *scores.images);
    scores.right = calloc((size_t)folder->classes.count, sizeof *scores.right);
    int result = scores.images && scores.right ? 0 : complain("no memory for %d classes", (int)folder->classes.count);
    if (!result)
        result = classifier_open(&classifier, network, batch, short_side, side);
    while (!result && scores.done < folder->files.count)
        result = run_batch(&scores, &classifier);
    if (!result)
        print_scores(&scores, classifier.classes);
    classifier_close(&classifier);
    free(scores.images);
    free(scores.right);
    return result;
}

int tool_eval_folder(resattn_network *network, const char *name, const char *path, int32_t batch, int32_t short_side,
                     int32_t side)
{
    struct folder folder;
    int by_name;
    side = tool_side(network, name, side);
    if (side == 0)
        return -1;
    short_side = tool_short_side(short_side, side);
    if (short_side == 0)
        return -1;
    if (folder_read(&folder, path, network, &by_name))
        return -1;
    if (!by_name)
        complain("the folders are taken as classes 0 to %d in the order of their names", (int)folder.classes.count - 1);
    int result =
        evaluate_files(network, &folder, batch < folder.files.count ? batch : folder.files.count, short_side, side);
    folder_free(&folder);
    return result;
}
