/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The training loop.
 */
#include "trainer.h"

#include <string.h>

#include "errors.h"
#include "loader.h"
#include "open_session.h"
#include "progress.h"

/* What a run owns. */
struct run {
    const struct trainer *trainer;
    resattn_session *session;
    resattn_optimizer *optimizer;
    resattn_schedule *schedule;
    resattn_mask_loss *mask_loss; /* NULL: masks have no targets */
    struct loader *loader;
    struct progress progress;
};

static resattn_schedule *new_schedule(resattn_context *context, const struct trainer *trainer, int64_t steps)
{
    int64_t milestones[] = {steps / 2, steps * 3 / 4};
    switch (trainer->schedule) {
    case TRAINER_COSINE:
        return resattn_cosine_schedule_new(context, trainer->rate, 0, steps / 20, steps);
    case TRAINER_STEP:
        return resattn_step_schedule_new(context, trainer->rate, 0.1, milestones, 2);
    default:
        return resattn_one_cycle_schedule_new(context, trainer->rate, 0.3, steps);
    }
}

static void close_run(struct run *run)
{
    resattn_mask_loss_free(run->mask_loss);
    resattn_schedule_free(run->schedule);
    resattn_optimizer_free(run->optimizer);
    resattn_session_free(run->session);
    loader_close(run->loader);
}

static int open_mask_loss(struct run *run, resattn_context *context)
{
    run->mask_loss = resattn_mask_loss_new(context, RESATTN_MASK_LOSS_CROSS_ENTROPY);
    if (!run->mask_loss || resattn_mask_loss_set_real(run->mask_loss, "weight", run->trainer->mask_weight))
        return complain_library();
    return 0;
}

static struct loader *open_loader(resattn_context *context, const struct dataset *dataset,
                                  const struct trainer *trainer)
{
    struct loader_settings settings = {.batch = trainer->batch,
                                       .side = trainer->side,
                                       .shuffled = 1,
                                       .whole_batches = 1,
                                       .with_targets = trainer->mask_weight > 0,
                                       .augmentation = {.crop_flip = trainer->augmented},
                                       .seed = trainer->seed};
    settings.last_step = (int64_t)trainer->epochs * (dataset_count(dataset) / trainer->batch);
    return loader_open(context, dataset, &settings);
}

static int open_run(struct run *run, resattn_network *network, const struct dataset *dataset,
                    const struct trainer *trainer)
{
    resattn_context *context = resattn_network_context(network);
    memset(run, 0, sizeof *run);
    run->trainer = trainer;
    run->loader = open_loader(context, dataset, trainer);
    if (!run->loader)
        return -1;
    run->session = open_session(network, RESATTN_TRAINING, trainer->batch, trainer->side, trainer->mask_weight > 0);
    if (!run->session)
        return -1;
    run->optimizer = resattn_sgd_new(network, trainer->rate);
    int64_t steps = trainer->epochs * loader_steps_an_epoch(run->loader);
    run->schedule = run->optimizer ? new_schedule(context, trainer, steps) : NULL;
    if (!run->schedule || resattn_optimizer_set_real(run->optimizer, "momentum", 0.9) ||
        resattn_optimizer_set_real(run->optimizer, "nesterov", 1) ||
        resattn_optimizer_set_real(run->optimizer, "weight_decay", trainer->weight_decay) ||
        resattn_optimizer_set_real(run->optimizer, "decay_vectors", 0))
        return complain_library();
    return trainer->mask_weight > 0 ? open_mask_loss(run, context) : 0;
}

/* Gives every mask its gradient. The library brings the targets to the masks' sizes. */
static resattn_status apply_mask_losses(struct run *run, const struct loader_batch *batch)
{
    const resattn_network *network = resattn_session_network(run->session);
    resattn_status status = RESATTN_OK;
    for (int32_t i = 0; i < resattn_network_attention_count(network) && run->mask_loss && !status; i++)
        status = resattn_mask_loss_apply(run->mask_loss, run->session, mask_name(network, i), batch->targets,
                                         batch->target_weights, NULL);
    return status;
}

/* One step: forward, losses, backward, and a change of the parameters. */
static int train_step(struct run *run, const struct loader_batch *batch, double *loss, int32_t *correct)
{
    double rate = resattn_schedule_rate(run->schedule, batch->step);
    if (resattn_session_forward(run->session, batch->input) ||
        resattn_softmax_cross_entropy(run->session, batch->labels, batch->count, loss, correct) ||
        apply_mask_losses(run, batch) || resattn_session_backward(run->session) ||
        resattn_optimizer_set_real(run->optimizer, "rate", rate) || resattn_optimizer_step(run->optimizer))
        return complain_library();
    return 0;
}

static int train(struct run *run)
{
    struct loader_batch batch;
    int more, failed = 0;
    while (!failed && (more = loader_next(run->loader, &batch)) != 0) {
        double loss = 0;
        int32_t correct = 0;
        if (more > 0 && batch.step % loader_steps_an_epoch(run->loader) == 0)
            progress_epoch(&run->progress);
        failed = more < 0 || train_step(run, &batch, &loss, &correct);
        if (!failed)
            progress_step(&run->progress, batch.epoch, batch.count, loss, correct);
    }
    return failed ? -1 : 0;
}

int trainer_run(resattn_network *network, const struct dataset *dataset, const struct trainer *trainer)
{
    struct run run;
    int result = open_run(&run, network, dataset, trainer);
    if (!result) {
        progress_start(&run.progress, trainer->epochs, loader_steps_an_epoch(run.loader) * trainer->batch);
        result = train(&run);
    }
    close_run(&run);
    return result;
}
