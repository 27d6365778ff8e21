/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The steps of a training.
 */
#include "training.h"

#include <math.h>
#include <string.h>

#include "errors.h"
#include "open_session.h"

/* ---- opening ---- */

static resattn_schedule *new_schedule(resattn_context *context, const struct training_settings *settings, int64_t steps)
{
    int64_t milestones[] = {steps / 2, steps * 3 / 4};
    int usual = settings->warm_up < 0;
    int64_t warm_up = usual ? 0 : (int64_t)llround(settings->warm_up * (double)steps);
    switch (settings->schedule) {
    case TRAINING_COSINE:
        return resattn_cosine_schedule_new(context, settings->rate, 0, usual ? steps / 20 : warm_up, steps);
    case TRAINING_STEP: {
        resattn_schedule *schedule = resattn_step_schedule_new(context, settings->rate, 0.1, milestones, 2);
        if (!schedule || resattn_schedule_set_warm_up(schedule, warm_up) == RESATTN_OK)
            return schedule;
        resattn_schedule_free(schedule);
        return NULL;
    }
    default:
        return resattn_one_cycle_schedule_new(context, settings->rate, usual ? 0.3 : settings->warm_up, steps);
    }
}

static resattn_optimizer *new_optimizer(resattn_network *network, const struct training_settings *settings)
{
    int sgd = settings->optimizer == TRAINING_SGD;
    resattn_optimizer *optimizer =
        sgd ? resattn_sgd_new(network, settings->rate) : resattn_adamw_new(network, settings->rate);
    int failed = !optimizer || (sgd && resattn_optimizer_set_real(optimizer, "nesterov", settings->momentum > 0)) ||
                 resattn_optimizer_set_real(optimizer, sgd ? "momentum" : "beta1", settings->momentum) ||
                 resattn_optimizer_set_real(optimizer, "weight_decay", settings->weight_decay) ||
                 resattn_optimizer_set_real(optimizer, "decay_vectors", 0) ||
                 resattn_optimizer_set_real(optimizer, "clip_norm", settings->clip);
    for (int32_t i = 0; i < settings->factor_count && !failed; i++)
        failed = resattn_optimizer_set_factor(optimizer, settings->factors[i].path, settings->factors[i].attribute,
                                              settings->factors[i].factor) != 0;
    if (!failed)
        return optimizer;
    resattn_optimizer_free(optimizer);
    return NULL;
}

static int open_losses(struct training *training, resattn_network *network)
{
    const struct training_settings *settings = &training->settings;
    resattn_context *context = resattn_network_context(network);
    double share = 1.0 / settings->micro_batches; /* gradients of the parts add up to their mean */
    training->loss = resattn_cross_entropy_new(context);
    if (!training->loss ||
        resattn_cross_entropy_set_real(training->loss, "label_smoothing", settings->label_smoothing) ||
        resattn_cross_entropy_set_real(training->loss, "gradient_scale", share))
        return complain_library();
    if (settings->class_weights && resattn_cross_entropy_set_class_weights(training->loss, settings->class_weights,
                                                                           resattn_network_out_channels(network)))
        return complain_library();
    if (!(settings->mask_weight > 0))
        return 0;
    if (resattn_network_attention_count(network) == 0)
        return complain("targets for masks need a network with attention modules");
    training->mask_loss = resattn_mask_loss_new(context, settings->mask_loss);
    if (!training->mask_loss ||
        resattn_mask_loss_set_real(training->mask_loss, "weight", settings->mask_weight * share))
        return complain_library();
    return 0;
}

/* The loader gives the parts of batches; its own steps are parts, of which an epoch may have a few too many. */
static int open_loader(struct training *training, resattn_context *context, const struct dataset *dataset,
                       const int32_t *indices, int32_t count)
{
    const struct training_settings *settings = &training->settings;
    int32_t part = settings->batch / settings->micro_batches;
    int64_t parts_an_epoch = count / part;
    training->steps_an_epoch = count / settings->batch;
    training->steps = training->steps_an_epoch * settings->epochs;
    if (settings->mask_weight > 0 && !dataset_has_targets(dataset))
        return complain("targets for masks need images that know where their objects are");
    struct loader_settings loader = {.batch = part,
                                     .side = settings->side,
                                     .indices = indices,
                                     .count = count,
                                     .shuffled = 1,
                                     .whole_batches = 1,
                                     .with_targets = settings->mask_weight > 0,
                                     .augmentation = settings->augmentation,
                                     .short_side = settings->short_side,
                                     .seed = settings->seed};
    loader.first_step = training->step / training->steps_an_epoch * parts_an_epoch +
                        training->step % training->steps_an_epoch * settings->micro_batches;
    loader.last_step = settings->epochs * parts_an_epoch;
    if (training->step >= training->steps)
        return 0; /* nothing is left to be done */
    training->loader = loader_open(context, dataset, &loader);
    return training->loader ? 0 : -1;
}

int training_open(struct training *training, resattn_network *network, const struct dataset *dataset,
                  const int32_t *indices, int32_t count, const struct training_settings *settings, int64_t step)
{
    resattn_context *context = resattn_network_context(network);
    *training = (struct training){.settings = *settings, .step = step};
    if (!indices)
        count = dataset_count(dataset);
    if (count < settings->batch)
        return complain("%d images are less than one batch of %d", (int)count, (int)settings->batch);
    if (open_loader(training, context, dataset, indices, count))
        return -1;
    training->session =
        open_session(network, RESATTN_TRAINING, settings->batch / settings->micro_batches, settings->side,
                     (settings->mask_weight > 0 ? SESSION_MASKS : 0) | (settings->recompute ? SESSION_RECOMPUTE : 0));
    if (!training->session)
        return -1;
    training->optimizer = new_optimizer(network, settings);
    training->schedule = training->optimizer ? new_schedule(context, settings, training->steps) : NULL;
    if (!training->schedule)
        return complain_library();
    if (settings->average > 0 && !(training->average = resattn_ema_new(network, settings->average)))
        return complain_library();
    return open_losses(training, network);
}

void training_close(struct training *training)
{
    loader_close(training->loader);
    resattn_mask_loss_free(training->mask_loss);
    resattn_cross_entropy_free(training->loss);
    resattn_ema_free(training->average);
    resattn_schedule_free(training->schedule);
    resattn_optimizer_free(training->optimizer);
    resattn_session_free(training->session);
    memset(training, 0, sizeof *training);
}

/* ---- steps ---- */

/* Gives every mask its gradient. The library brings the targets to the masks' sizes. */
static resattn_status apply_mask_losses(struct training *training, const struct loader_batch *batch, double *sum)
{
    const resattn_network *network = resattn_session_network(training->session);
    resattn_status status = RESATTN_OK;
    for (int32_t i = 0; i < resattn_network_attention_count(network) && training->mask_loss && !status; i++) {
        double value = 0;
        status = resattn_mask_loss_apply(training->mask_loss, training->session, mask_name(network, i), batch->targets,
                                         batch->target_weights, &value);
        *sum += value;
    }
    return status;
}

/* Forward and backward with one part of a batch. */
static int run_part(struct training *training, int32_t part, struct training_result *result)
{
    struct loader_batch batch;
    int got = loader_next(training->loader, &batch);
    if (got <= 0)
        return got < 0 ? -1 : complain("the images ended before the last step");
    double loss = 0;
    int32_t correct = 0;
    if (resattn_session_set_accumulate(training->session, part > 0) ||
        resattn_session_forward(training->session, batch.input) ||
        resattn_cross_entropy_apply(training->loss, training->session, NULL, batch.labels, batch.count, &loss,
                                    &correct) ||
        apply_mask_losses(training, &batch, &result->mask_loss) || resattn_session_backward(training->session))
        return complain_library();
    result->images += batch.count;
    result->correct += correct;
    result->loss += loss / training->settings.micro_batches;
    return 0;
}

/* Passes over the parts of an epoch that make no whole batch. */
static int finish_epoch(struct training *training)
{
    struct loader_batch batch;
    int64_t left = loader_steps_an_epoch(training->loader) % training->settings.micro_batches;
    for (int64_t i = 0; i < left; i++)
        if (loader_next(training->loader, &batch) < 0)
            return -1;
    return 0;
}

int training_step(struct training *training, struct training_result *result)
{
    *result = (struct training_result){.epoch = (int32_t)(training->step / training->steps_an_epoch)};
    for (int32_t part = 0; part < training->settings.micro_batches; part++)
        if (run_part(training, part, result))
            return -1;
    result->rate = resattn_schedule_rate(training->schedule, training->step);
    if (resattn_optimizer_set_real(training->optimizer, "rate", result->rate) ||
        resattn_optimizer_step(training->optimizer) || (training->average && resattn_ema_update(training->average)))
        return complain_library();
    result->gradient_norm = resattn_optimizer_gradient_norm(training->optimizer);
    training->step++;
    if (!isfinite(result->loss + result->mask_loss) || !isfinite(result->gradient_norm))
        return complain("step %lld: the loss is %g and the norm of the gradient %g, expected finite numbers: a smaller "
                        "learning rate may help",
                        (long long)training->step, result->loss + result->mask_loss, result->gradient_norm);
    return training->step % training->steps_an_epoch ? 0 : finish_epoch(training);
}
