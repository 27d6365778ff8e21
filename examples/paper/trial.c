/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Trains and measures.
 */
#include "trial.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "errors.h"
#include "evaluate.h"
#include "loader.h"
#include "metadata.h"
#include "overlap.h"
#include "trainer.h"

enum { BATCH = 50, RESPONSE_IMAGES = 500, CHOOSING_SHARE = 4 }; /* a quarter of the test images chooses the cut */

static int train(resattn_network *network, const struct paper_network *paper, const struct run *run,
                 const struct dataset *training)
{
    struct trainer trainer = {.epochs = run->epochs,
                              .batch = BATCH,
                              .side = IMAGE_SIDE,
                              .rate = 0.1,
                              .weight_decay = 5e-4,
                              .seed = (uint64_t)run->seed,
                              .augmented = !dataset_has_targets(training),
                              .mask_weight = paper->mask_weight};
    return trainer_run(network, training, &trainer);
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
                             const struct dataset *test)
{
    double sums[PAPER_STAGES] = {0};
    int64_t counts[PAPER_STAGES] = {0};
    int32_t images = dataset_count(test) < RESPONSE_IMAGES ? dataset_count(test) : RESPONSE_IMAGES;
    struct loader_settings settings = {.batch = BATCH, .side = IMAGE_SIDE, .count = images};
    struct loader *loader = loader_open(resattn_network_context(network), test, &settings);
    resattn_session *session = loader ? stage_session(network, paper) : NULL;
    struct loader_batch batch;
    int result = session ? 0 : -1, more = 1;
    while (!result && (more = loader_next(loader, &batch)) > 0) {
        result = resattn_session_forward(session, batch.input) ? complain_library() : 0;
        for (int32_t stage = 0; stage < PAPER_STAGES && !result; stage++)
            result = add_response(&sums[stage], &counts[stage],
                                  resattn_session_output(session, paper_network_stage(paper, stage)));
    }
    if (more < 0)
        result = -1;
    for (int32_t stage = 0; stage < PAPER_STAGES && !result; stage++)
        response[stage] = sums[stage] / (double)counts[stage];
    resattn_session_free(session);
    loader_close(loader);
    return result;
}

/* ---- the run ---- */

static int measure_answers(struct record *record, resattn_network *network, const struct paper_network *paper,
                           const struct dataset *test)
{
    struct answers answers;
    int with_masks = paper->design == DESIGN_QUICKSTART && dataset_has_targets(test);
    if (evaluate_answers(&answers, network, test, &(struct evaluation){.side = IMAGE_SIDE}, with_masks))
        return -1;
    record->error = 100 * (1 - answers_accuracy(&answers));
    record->overlap = -1;
    if (with_masks) {
        struct cut cut;
        record->overlap = overlap_chosen(&answers, dataset_images(test), dataset_count(test) / CHOOSING_SHARE, &cut);
        snprintf(record->cut, sizeof record->cut, "module %d %s %.2f", (int)cut.module + 1,
                 cut.below ? "below" : "above", cut.threshold);
    }
    answers_free(&answers);
    return 0;
}

int trial_run(resattn_context *context, struct record *record, const struct dataset *training,
              const struct dataset *test)
{
    const struct paper_network *paper = paper_network_find(record->run.network);
    if (!paper)
        return complain("no network is called '%s'", record->run.network);
    if (resattn_context_set_seed(context, (uint64_t)record->run.seed))
        return complain_library();
    resattn_network *network = paper_network_new(context, paper);
    if (!network)
        return -1;
    record->parameters = resattn_network_trainable_values(network);
    record->multiply_adds = paper_network_cost(network);
    int result = record->multiply_adds < 0 || metadata_set(network, training, IMAGE_SIDE) ||
                 train(network, paper, &record->run, training) || measure_answers(record, network, paper, test) ||
                 measure_responses(record->response, network, paper, test);
    resattn_network_unref(network);
    return result ? -1 : 0;
}
