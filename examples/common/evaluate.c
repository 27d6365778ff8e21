/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Inference over a data set.
 */
#include "evaluate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "errors.h"
#include "loader.h"
#include "open_session.h"
#include "progress.h"
#include "top.h"

enum { BATCH = 50, BATCH_OF_FILES = 16 };

static const double terminal_interval = 0.1, line_interval = 10; /* seconds */

/* Takes what the network has made of a batch: `outputs` are batch->count x classes. Returns 0, or -1 after printing
 * what went wrong. */
typedef int (*take_fn)(void *user, resattn_session *session, const struct loader_batch *batch, const float *outputs);

/* ---- the run ---- */

struct run {
    resattn_session *session;
    struct loader *loader;
    float *outputs;
    int32_t classes, batch;
};

static int32_t count_of(const struct dataset *dataset, const struct evaluation *evaluation)
{
    return evaluation->count || evaluation->indices ? evaluation->count : dataset_count(dataset);
}

static int open_run(struct run *run, resattn_network *network, const struct dataset *dataset,
                    const struct evaluation *evaluation, int with_masks)
{
    memset(run, 0, sizeof *run);
    int32_t count = count_of(dataset, evaluation);
    run->classes = resattn_network_out_channels(network);
    if (run->classes != dataset_classes(dataset))
        return complain("the network has %d outputs, expected %d, one for each class of the pictures",
                        (int)run->classes, (int)dataset_classes(dataset));
    run->batch = evaluation->batch ? evaluation->batch : dataset_side(dataset) ? BATCH : BATCH_OF_FILES;
    if (run->batch > count && count > 0)
        run->batch = count;
    struct loader_settings settings = {.batch = run->batch,
                                       .side = evaluation->side,
                                       .short_side = evaluation->short_side,
                                       .indices = evaluation->indices,
                                       .count = count};
    run->loader = loader_open(resattn_network_context(network), dataset, &settings);
    if (!run->loader)
        return -1;
    run->session =
        open_session(network, RESATTN_INFERENCE, run->batch, evaluation->side, with_masks ? SESSION_MASKS : 0);
    if (!run->session)
        return -1;
    run->outputs = calloc((size_t)run->batch * (size_t)run->classes, sizeof *run->outputs);
    return run->outputs ? 0 : complain("no memory for %d answers", (int)run->batch);
}

static void close_run(struct run *run)
{
    loader_close(run->loader);
    resattn_session_free(run->session);
    free(run->outputs);
}

static int run_batch(struct run *run, const struct loader_batch *batch, take_fn take, void *user)
{
    if (resattn_session_forward(run->session, batch->input) ||
        resattn_tensor_read(resattn_session_output(run->session, NULL), RESATTN_CHANNELS_FIRST, run->outputs,
                            (int64_t)batch->count * run->classes))
        return complain_library();
    return take(user, run->session, batch, run->outputs);
}

static int run_all(resattn_network *network, const struct dataset *dataset, const struct evaluation *evaluation,
                   int with_masks, take_fn take, void *user)
{
    struct run run;
    struct loader_batch batch;
    int more = 0, result = open_run(&run, network, dataset, evaluation, with_masks);
    while (!result && (more = loader_next(run.loader, &batch)) > 0)
        result = run_batch(&run, &batch, take, user);
    close_run(&run);
    return result || more < 0 ? -1 : 0;
}

/* ---- scores ---- */

/* Scores on the way, and when they were shown. */
struct scoring {
    struct scores *scores;
    int shows_progress;
    int32_t total; /* pictures in all */
    double started, shown;
};

static void show_progress(struct scoring *scoring)
{
    const struct scores *scores = scoring->scores;
    int terminal = isatty(STDERR_FILENO), ends = scores->count == scoring->total;
    double now = seconds_now(), rate = scores->count / (now - scoring->started + 1e-9);
    if (!ends && now - scoring->shown < (terminal ? terminal_interval : line_interval))
        return;
    scoring->shown = now;
    fprintf(stderr, "%s%d of %d images  top-1 %.1f %%  %.1f images/s  %.0f s left%s", terminal ? "\r" : "",
            (int)scores->count, (int)scoring->total, 100.0 * scores->top1 / scores->count, rate,
            (scoring->total - scores->count) / rate, terminal && !ends ? "   " : "   \n");
}

static int take_scores(void *user, resattn_session *session, const struct loader_batch *batch, const float *outputs)
{
    struct scoring *scoring = user;
    struct scores *scores = scoring->scores;
    (void)session;
    for (int32_t i = 0; i < batch->count; i++) {
        const float *values = outputs + (size_t)i * (size_t)scores->classes;
        int32_t label = batch->labels[i], right = is_in_top(values, scores->classes, 1, label);
        scores->count++;
        scores->top1 += right;
        scores->top5 += is_in_top(values, scores->classes, SCORES_TOP, label);
        scores->pictures[label]++;
        scores->right[label] += right;
    }
    if (scoring->shows_progress)
        show_progress(scoring);
    return 0;
}

int evaluate(struct scores *scores, resattn_network *network, const struct dataset *dataset,
             const struct evaluation *evaluation)
{
    struct scoring scoring = {.scores = scores, .shows_progress = evaluation->shows_progress};
    memset(scores, 0, sizeof *scores);
    scoring.total = count_of(dataset, evaluation);
    scoring.started = scoring.shown = seconds_now();
    scores->classes = resattn_network_out_channels(network);
    scores->pictures = calloc((size_t)scores->classes, sizeof *scores->pictures);
    scores->right = calloc((size_t)scores->classes, sizeof *scores->right);
    int result = scores->pictures && scores->right ? 0 : complain("no memory for %d classes", (int)scores->classes);
    if (!result)
        result = run_all(network, dataset, evaluation, 0, take_scores, &scoring);
    if (result)
        scores_free(scores);
    return result;
}

void scores_free(struct scores *scores)
{
    free(scores->pictures);
    free(scores->right);
    memset(scores, 0, sizeof *scores);
}

/* ---- answers ---- */

/* The mean over the channels of each pixel of `n` masks. */
static int read_mask(struct module_masks *masks, const resattn_tensor *mask, int32_t first, int32_t count)
{
    int64_t channels = resattn_tensor_size(mask, 1);
    masks->height = (int32_t)resattn_tensor_size(mask, 2);
    masks->width = (int32_t)resattn_tensor_size(mask, 3);
    size_t map = (size_t)masks->height * (size_t)masks->width;
    size_t elements = (size_t)resattn_tensor_elements(mask);
    if (!masks->values)
        masks->values = calloc((size_t)count * map, sizeof *masks->values);
    float *all = calloc(elements, sizeof *all);
    if (!masks->values || !all) {
        free(all);
        return complain("no memory for masks");
    }
    int result = resattn_tensor_read(mask, RESATTN_CHANNELS_LAST, all, (int64_t)elements) ? complain_library() : 0;
    float *target = masks->values + (size_t)first * map;
    for (size_t i = 0; i < elements / (size_t)channels; i++) {
        double sum = 0;
        for (int64_t c = 0; c < channels; c++)
            sum += all[(int64_t)i * channels + c];
        target[i] = (float)(sum / (double)channels);
    }
    free(all);
    return result;
}

/* The answers hold more pictures than have been taken so far. */
struct taking {
    struct answers *answers;
    int32_t done;
};

static int take_answers(void *user, resattn_session *session, const struct loader_batch *batch, const float *outputs)
{
    struct taking *taking = user;
    struct answers *answers = taking->answers;
    size_t first = (size_t)taking->done, count = (size_t)batch->count, classes = (size_t)answers->classes;
    memcpy(answers->logits + first * classes, outputs, count * classes * sizeof *outputs);
    memcpy(answers->labels + first, batch->labels, count * sizeof *batch->labels);
    for (int32_t i = 0; i < answers->modules; i++) {
        const char *name = mask_name(resattn_session_network(session), i);
        const resattn_tensor *mask = resattn_session_output(session, name);
        if (!mask)
            return complain_library();
        if (read_mask(&answers->masks[i], mask, taking->done, answers->count))
            return -1;
    }
    taking->done += batch->count;
    return 0;
}

int evaluate_answers(struct answers *answers, resattn_network *network, const struct dataset *dataset,
                     const struct evaluation *evaluation, int with_masks)
{
    struct taking taking = {answers, 0};
    memset(answers, 0, sizeof *answers);
    answers->count = count_of(dataset, evaluation);
    answers->classes = resattn_network_out_channels(network);
    answers->modules = with_masks ? resattn_network_attention_count(network) : 0;
    answers->logits = calloc((size_t)answers->count * (size_t)answers->classes, sizeof *answers->logits);
    answers->labels = calloc((size_t)answers->count, sizeof *answers->labels);
    answers->masks = calloc((size_t)answers->modules + 1, sizeof *answers->masks);
    int result = answers->logits && answers->labels && answers->masks
                     ? 0
                     : complain("no memory for the answers about %d images", (int)answers->count);
    if (!result)
        result = run_all(network, dataset, evaluation, with_masks, take_answers, &taking);
    if (result)
        answers_free(answers);
    return result;
}

void answers_free(struct answers *answers)
{
    for (int32_t i = 0; i < answers->modules && answers->masks; i++)
        free(answers->masks[i].values);
    free(answers->masks);
    free(answers->logits);
    free(answers->labels);
    memset(answers, 0, sizeof *answers);
}

int32_t answers_class(const struct answers *answers, int32_t index)
{
    int32_t best;
    top_classes(answers->logits + (size_t)index * (size_t)answers->classes, answers->classes, 1, &best);
    return best;
}

double answers_accuracy(const struct answers *answers)
{
    int32_t correct = 0;
    for (int32_t i = 0; i < answers->count; i++)
        correct += answers_class(answers, i) == answers->labels[i];
    return (double)correct / answers->count;
}
