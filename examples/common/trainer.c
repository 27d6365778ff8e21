/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The training loop.
 */
#include "trainer.h"

#include <stdlib.h>
#include <string.h>

#include "batch.h"
#include "errors.h"
#include "progress.h"
#include "random.h"

/* What a run owns. */
struct run {
    const struct trainer *trainer;
    const struct images *images;
    resattn_session *session;
    resattn_optimizer *optimizer;
    resattn_schedule *schedule;
    resattn_mask_loss *mask_loss; /* NULL: masks have no targets */
    resattn_tensor *targets;      /* batch x 1 x 32 x 32 */
    struct batch batch;
    int32_t *order;
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

static const char *mask_name(const resattn_network *network, int32_t module)
{
    return resattn_attention_mask_name(resattn_network_attention(network, module));
}

/* A session gives the masks that its plan asks for. */
static resattn_session *new_session(resattn_network *network, const struct trainer *trainer)
{
    resattn_plan *plan = resattn_plan_new(network, RESATTN_TRAINING, trainer->batch, trainer->side, trainer->side);
    int failed = !plan;
    for (int32_t i = 0; i < resattn_network_attention_count(network) && trainer->mask_weight > 0 && !failed; i++)
        failed = resattn_plan_add_output(plan, mask_name(network, i)) != 0;
    resattn_session *session = failed ? NULL : resattn_session_new(plan);
    resattn_plan_free(plan);
    return session;
}

static void close_run(struct run *run)
{
    resattn_tensor_unref(run->targets);
    resattn_mask_loss_free(run->mask_loss);
    resattn_schedule_free(run->schedule);
    resattn_optimizer_free(run->optimizer);
    resattn_session_free(run->session);
    batch_free(&run->batch);
    free(run->order);
}

static int open_mask_loss(struct run *run, resattn_context *context)
{
    int64_t shape[] = {run->trainer->batch, 1, IMAGE_SIDE, IMAGE_SIDE};
    if (!run->images->coverage || run->trainer->augmented)
        return complain("masks need images that are not augmented and know where their objects are");
    run->targets = resattn_tensor_new(context, RESATTN_U8, 4, shape, RESATTN_CHANNELS_FIRST);
    run->mask_loss = resattn_mask_loss_new(context, RESATTN_MASK_LOSS_CROSS_ENTROPY);
    if (!run->targets || !run->mask_loss ||
        resattn_mask_loss_set_real(run->mask_loss, "weight", run->trainer->mask_weight))
        return complain_library();
    return 0;
}

static int open_run(struct run *run, resattn_network *network, const struct images *images,
                    const struct trainer *trainer)
{
    resattn_context *context = resattn_network_context(network);
    memset(run, 0, sizeof *run);
    run->trainer = trainer;
    run->images = images;
    run->order = calloc((size_t)images->count, sizeof *run->order);
    if (!run->order)
        return complain("no memory for the order of %d images", (int)images->count);
    for (int32_t i = 0; i < images->count; i++)
        run->order[i] = i;
    if (batch_init(&run->batch, context, trainer->batch, trainer->side))
        return -1;

    run->session = new_session(network, trainer);
    run->optimizer = run->session ? resattn_sgd_new(network, trainer->rate) : NULL;
    int64_t steps = (int64_t)trainer->epochs * (images->count / trainer->batch);
    run->schedule = run->optimizer ? new_schedule(context, trainer, steps) : NULL;
    if (!run->schedule || resattn_optimizer_set_real(run->optimizer, "momentum", 0.9) ||
        resattn_optimizer_set_real(run->optimizer, "nesterov", 1) ||
        resattn_optimizer_set_real(run->optimizer, "weight_decay", trainer->weight_decay) ||
        resattn_optimizer_set_real(run->optimizer, "decay_vectors", 0))
        return complain_library();
    return trainer->mask_weight > 0 ? open_mask_loss(run, context) : 0;
}

static void shuffle(int32_t *order, int32_t count, struct random *random)
{
    for (int32_t i = count - 1; i > 0; i--) {
        int32_t other = random_below(random, i + 1);
        int32_t kept = order[i];
        order[i] = order[other];
        order[other] = kept;
    }
}

/* Gives every mask its gradient. The library brings the targets to the masks' sizes. */
static resattn_status apply_mask_losses(struct run *run)
{
    const resattn_network *network = resattn_session_network(run->session);
    resattn_status status = RESATTN_OK;
    for (int32_t i = 0; i < resattn_network_attention_count(network) && run->mask_loss && !status; i++)
        status = resattn_mask_loss_apply(run->mask_loss, run->session, mask_name(network, i), run->targets, NULL, NULL);
    return status;
}

/* One step: forward, losses, backward, and a change of the parameters. */
static int train_step(struct run *run, int64_t step, double *loss, int32_t *correct)
{
    const resattn_tensor *input = batch_tensor(&run->batch, run->batch.capacity);
    double rate = resattn_schedule_rate(run->schedule, step);
    if (resattn_session_forward(run->session, input) ||
        resattn_softmax_cross_entropy(run->session, run->batch.labels, run->batch.capacity, loss, correct) ||
        apply_mask_losses(run) || resattn_session_backward(run->session) ||
        resattn_optimizer_set_real(run->optimizer, "rate", rate) || resattn_optimizer_step(run->optimizer))
        return complain_library();
    return 0;
}

static int train_epoch(struct run *run, int32_t epoch)
{
    const struct trainer *trainer = run->trainer;
    int32_t count = run->images->count, size = trainer->batch;
    int64_t steps = count / size; /* the few images beyond the last whole batch are others in each epoch */
    uint64_t seed = trainer->seed * 1000003 + (uint64_t)epoch;
    struct random random = random_for(seed, 0);
    shuffle(run->order, count, &random);
    progress_epoch(&run->progress);
    for (int64_t step = 0; step < steps; step++) {
        for (int32_t i = 0; i < size; i++) {
            int32_t index = run->order[step * size + i];
            batch_put(&run->batch, i, run->images, index, trainer->augmented, seed, (uint64_t)index + 1);
            if (run->targets)
                memcpy((uint8_t *)resattn_tensor_data(run->targets) + (size_t)i * IMAGE_PIXELS,
                       image_coverage(run->images, index), IMAGE_PIXELS);
        }
        double loss = 0;
        int32_t correct = 0;
        if (train_step(run, epoch * steps + step, &loss, &correct))
            return -1;
        progress_step(&run->progress, epoch, size, loss, correct);
    }
    return 0;
}

int trainer_run(resattn_network *network, const struct images *images, const struct trainer *trainer)
{
    if (images->count < trainer->batch)
        return complain("%d images are less than one batch of %d", (int)images->count, (int)trainer->batch);
    struct run run;
    int result = open_run(&run, network, images, trainer);
    int64_t images_an_epoch = (int64_t)(images->count / trainer->batch) * trainer->batch;
    progress_start(&run.progress, trainer->epochs, images_an_epoch);
    for (int32_t epoch = 0; epoch < trainer->epochs && !result; epoch++)
        result = train_epoch(&run, epoch);
    close_run(&run);
    return result;
}
