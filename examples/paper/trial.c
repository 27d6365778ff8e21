/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Trains and measures.
 */
#include "trial.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batch.h"
#include "data.h"
#include "errors.h"
#include "evaluate.h"
#include "metadata.h"
#include "overlap.h"
#include "random.h"
#include "trainer.h"

enum { BATCH = 50, RESPONSE_IMAGES = 500, CHOOSING_SHARE = 4 }; /* a quarter of the test images chooses the cut */

/* ---- wrong labels ---- */

/*
 * The share of the labels that becomes any other class, all as likely. The images' own labels stay as they are. The
 * generated images are drawn with small numbers as seeds: here they are large, as labels that go wrong with the numbers
 * that the picture was drawn with could be learned from it.
 */
static int32_t *noisy_labels(const struct images *images, int32_t percent, uint64_t seed)
{
    int32_t *labels = malloc((size_t)images->count * sizeof *labels);
    if (!labels) {
        complain("no memory for %d labels", (int)images->count);
        return NULL;
    }
    for (int32_t i = 0; i < images->count; i++) {
        struct random random = random_for(~seed, (uint64_t)i);
        int wrong = random_below(&random, 100) < percent;
        int32_t step = 1 + random_below(&random, IMAGE_CLASSES - 1);
        labels[i] = wrong ? (images->labels[i] + step) % IMAGE_CLASSES : images->labels[i];
    }
    return labels;
}

static int train(resattn_network *network, const struct paper_network *paper, const struct run *run,
                 const struct images *training)
{
    struct trainer trainer = {.epochs = run->epochs,
                              .batch = BATCH,
                              .side = IMAGE_SIDE,
                              .rate = 0.1,
                              .weight_decay = 5e-4,
                              .seed = (uint64_t)run->seed,
                              .augmented = !data_is_shapes(run->data),
                              .mask_weight = paper->mask_weight};
    struct images noisy = *training;
    noisy.labels = noisy_labels(training, run->noise, (uint64_t)run->seed);
    int result = noisy.labels ? trainer_run(network, &noisy, &trainer) : -1;
    free(noisy.labels);
    return result;
}

/* ---- responses ---- */

static resattn_session *stage_session(resattn_network *network, const struct paper_network *paper)
{
    resattn_plan *plan = resattn_plan_new(network, RESATTN_INFERENCE, BATCH, IMAGE_SIDE, IMAGE_SIDE);
    int failed = !plan;
    for (int32_t stage = 0; stage < PAPER_STAGES && !failed; stage++)
        failed = resattn_plan_add_output(plan, paper_network_stage(paper, stage)) != 0;
    resattn_session *session = failed ? NULL : resattn_session_new(plan);
    if (!session)
        complain_library();
    resattn_plan_free(plan);
    return session;
}

static int add_response(double *sum, int64_t *count, const resattn_tensor *output)
{
    int64_t elements = output ? resattn_tensor_elements(output) : 0;
    float *values = elements > 0 ? malloc((size_t)elements * sizeof *values) : NULL;
    if (elements > 0 && !values)
        return complain("no memory for %lld values of a stage", (long long)elements);
    int failed = !output || resattn_tensor_read(output, RESATTN_CHANNELS_LAST, values, elements);
    for (int64_t i = 0; i < elements && !failed; i++)
        *sum += fabs((double)values[i]);
    *count += elements;
    free(values);
    return failed ? complain_library() : 0;
}

/* The mean absolute value of what each stage gives, over the first test images. */
static int measure_responses(double response[PAPER_STAGES], resattn_network *network, const struct paper_network *paper,
                             const struct images *test)
{
    double sums[PAPER_STAGES] = {0};
    int64_t counts[PAPER_STAGES] = {0};
    struct batch batch;
    int32_t images = test->count < RESPONSE_IMAGES ? test->count : RESPONSE_IMAGES;
    if (batch_init(&batch, resattn_network_context(network), BATCH, IMAGE_SIDE))
        return -1;
    resattn_session *session = stage_session(network, paper);
    int result = session ? 0 : -1;
    for (int32_t first = 0; first < images && !result; first += BATCH) {
        int32_t n = images - first < BATCH ? images - first : BATCH;
        for (int32_t i = 0; i < n; i++)
            batch_put(&batch, i, test, first + i, 0, 0, 0);
        const resattn_tensor *input = batch_tensor(&batch, n);
        result = !input ? -1 : resattn_session_forward(session, input) ? complain_library() : 0;
        for (int32_t stage = 0; stage < PAPER_STAGES && !result; stage++)
            result = add_response(&sums[stage], &counts[stage],
                                  resattn_session_output(session, paper_network_stage(paper, stage)));
    }
    for (int32_t stage = 0; stage < PAPER_STAGES && !result; stage++)
        response[stage] = sums[stage] / (double)counts[stage];
    resattn_session_free(session);
    batch_free(&batch);
    return result;
}

/* ---- the run ---- */

static int measure_answers(struct record *record, resattn_network *network, const struct paper_network *paper,
                           const struct images *test)
{
    struct answers answers;
    int with_masks = paper->design == DESIGN_QUICKSTART && test->coverage;
    if (evaluate(&answers, network, test, test->count, IMAGE_SIDE, with_masks))
        return -1;
    record->error = 100 * (1 - answers_accuracy(&answers, test));
    record->overlap = -1;
    if (with_masks) {
        struct cut cut;
        record->overlap = overlap_chosen(&answers, test, test->count / CHOOSING_SHARE, &cut);
        snprintf(record->cut, sizeof record->cut, "module %d %s %.2f", (int)cut.module + 1,
                 cut.below ? "below" : "above", cut.threshold);
    }
    answers_free(&answers);
    return 0;
}

int trial_run(resattn_context *context, struct record *record, const struct images *training, const struct images *test)
{
    const struct paper_network *paper = paper_network_find(record->run.network);
    if (!paper)
        return complain("no network is called '%s'", record->run.network);
    if (resattn_context_set_seed(context, (uint64_t)record->run.seed))
        return complain_library();
    resattn_network *network = paper_network_new(context, paper);
    if (!network)
        return -1;
    record->parameters = resattn_network_trained_values(network);
    record->multiply_adds = paper_network_cost(network);
    int result = record->multiply_adds < 0 || metadata_set(network, training, IMAGE_SIDE) ||
                 train(network, paper, &record->run, training) || measure_answers(record, network, paper, test) ||
                 measure_responses(record->response, network, paper, test);
    resattn_network_unref(network);
    return result ? -1 : 0;
}
