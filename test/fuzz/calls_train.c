/* SPDX-License-Identifier: BSD-3-Clause */
/* Random calls: losses, optimizers, averages, schedules, checkpoints. */
#include "calls.h"

#define COUNT(array) (uint32_t)(sizeof(array) / sizeof *(array))

static const char *attribute(calls *c)
{
    static const char *const names[] = {"rate",          "momentum",        "nesterov",       "weight_decay",
                                        "decay_vectors", "clip_norm",       "beta1",          "beta2",
                                        "epsilon",       "label_smoothing", "gradient_scale", "weight"};
    return fuzz_chance(&c->in, 16) ? fuzz_name(&c->in) : names[fuzz_byte(&c->in) % COUNT(names)];
}

static void softmax_cross_entropy(calls *c)
{
    int32_t labels[MOST_BATCH * 2], correct;
    for (uint32_t i = 0; i < COUNT(labels); i++)
        labels[i] = fuzz_chance(&c->in, 16) ? fuzz_int(&c->in) : fuzz_range(&c->in, 0, 2);
    double value;
    fuzz_ok(resattn_softmax_cross_entropy(PICK(c, sessions), fuzz_chance(&c->in, 8) ? NULL : labels,
                                          fuzz_range(&c->in, -1, MOST_BATCH * 2),
                                          fuzz_chance(&c->in, 64) ? NULL : &value, &correct));
}

static void new_loss(calls *c)
{
    KEEP(c, losses, resattn_cross_entropy_free, resattn_cross_entropy_new(pick_context(c)));
}

static void use_loss(calls *c)
{
    resattn_cross_entropy *loss = PICK(c, losses);
    const float weights[] = {1, (float)fuzz_real(&c->in), 0, 2};
    const int32_t labels[MOST_BATCH] = {fuzz_range(&c->in, 0, 3), 0, fuzz_range(&c->in, 0, 3), 1};
    switch (fuzz_range(&c->in, 0, 3)) {
    case 0:
        fuzz_ok(resattn_cross_entropy_set_real(loss, attribute(c), fuzz_real(&c->in)));
        break;
    case 1:
        fuzz_ok(resattn_cross_entropy_set_class_weights(loss, fuzz_chance(&c->in, 8) ? NULL : weights,
                                                        fuzz_range(&c->in, -1, 4)));
        break;
    default:
        fuzz_ok(resattn_cross_entropy_apply(loss, PICK(c, sessions), fuzz_chance(&c->in, 32) ? fuzz_name(&c->in) : NULL,
                                            labels, fuzz_range(&c->in, 0, MOST_BATCH), NULL, NULL));
        break;
    }
}

static void new_mask_loss(calls *c)
{
    KEEP(c, mask_losses, resattn_mask_loss_free,
         resattn_mask_loss_new(pick_context(c), (resattn_mask_loss_kind)fuzz_range(&c->in, 0, 4)));
}

static void use_mask_loss(calls *c)
{
    resattn_mask_loss *loss = PICK(c, mask_losses);
    resattn_session *session = PICK(c, sessions);
    const float weights[MOST_BATCH] = {1, (float)fuzz_real(&c->in), 0, 2};
    const char *name = fuzz_chance(&c->in, 32) ? NULL : pick_path(c, resattn_session_network(session));
    double value;
    if (fuzz_chance(&c->in, 64))
        fuzz_ok(resattn_mask_loss_set_real(loss, attribute(c), fuzz_real(&c->in)));
    fuzz_ok(resattn_mask_loss_get_real(loss, attribute(c), &value));
    fuzz_ok(resattn_mask_loss_apply(loss, session, name, pick_source(c), fuzz_chance(&c->in, 128) ? NULL : weights,
                                    &value));
}

static void new_optimizer(calls *c)
{
    resattn_network *network = PICK(c, networks);
    double rate = fuzz_real(&c->in);
    KEEP(c, optimizers, resattn_optimizer_free,
         fuzz_chance(&c->in, 128) ? resattn_adamw_new(network, rate) : resattn_sgd_new(network, rate));
}

static void change_optimizer(calls *c)
{
    resattn_optimizer *optimizer = PICK(c, optimizers);
    const char *name = attribute(c), *path = pick_path(c, PICK(c, networks));
    double value;
    switch (fuzz_range(&c->in, 0, 2)) {
    case 0:
        fuzz_ok(resattn_optimizer_set_real(optimizer, name, fuzz_real(&c->in)));
        break;
    case 1:
        fuzz_ok(resattn_optimizer_set_factor(optimizer, path, name, fuzz_real(&c->in)));
        break;
    default:
        fuzz_ok(resattn_optimizer_freeze(optimizer, path, fuzz_range(&c->in, 0, 2)));
        break;
    }
    fuzz_ok(resattn_optimizer_get_real(optimizer, name, &value));
}

static void step(calls *c)
{
    resattn_optimizer *optimizer = PICK(c, optimizers);
    fuzz_ok(resattn_optimizer_step(optimizer));
    (void)resattn_optimizer_gradient_norm(optimizer);
}

static void free_optimizer(calls *c)
{
    uint32_t slot = fuzz_byte(&c->in) % SLOTS;
    resattn_optimizer_free(c->optimizers[slot]);
    c->optimizers[slot] = NULL;
}

static void new_average(calls *c)
{
    resattn_network *network = PICK(c, networks);
    KEEP(c, averages, resattn_ema_free, resattn_ema_new(network, fuzz_real(&c->in)));
}

static void use_average(calls *c)
{
    resattn_ema *average = PICK(c, averages);
    fuzz_ok(fuzz_chance(&c->in, 128) ? resattn_ema_update(average) : resattn_ema_swap(average));
}

static void free_average(calls *c)
{
    uint32_t slot = fuzz_byte(&c->in) % SLOTS;
    resattn_ema_free(c->averages[slot]);
    c->averages[slot] = NULL;
}

static void new_schedule(calls *c)
{
    resattn_context *context = pick_context(c);
    int64_t milestones[] = {fuzz_int(&c->in), fuzz_int(&c->in), 100};
    double rate = fuzz_real(&c->in), more = fuzz_real(&c->in);
    int32_t kind = fuzz_range(&c->in, 0, 2), count = fuzz_range(&c->in, -1, 3);
    KEEP(c, schedules, resattn_schedule_free,
         kind == 0   ? resattn_step_schedule_new(context, rate, more, fuzz_chance(&c->in, 8) ? NULL : milestones, count)
         : kind == 1 ? resattn_cosine_schedule_new(context, rate, more, milestones[0], milestones[1])
                     : resattn_one_cycle_schedule_new(context, rate, more, milestones[0]));
}

static void use_schedule(calls *c)
{
    resattn_schedule *schedule = PICK(c, schedules);
    if (fuzz_chance(&c->in, 128))
        fuzz_ok(resattn_schedule_set_warm_up(schedule, fuzz_int(&c->in)));
    (void)resattn_schedule_rate(schedule, fuzz_int(&c->in));
}

static void save(calls *c)
{
    resattn_optimizer *optimizer = PICK(c, optimizers);
    c->saved.size = 0;
    fuzz_ok(resattn_checkpoint_save_stream(optimizer, fuzz_chance(&c->in, 128) ? PICK(c, averages) : NULL,
                                           fuzz_range(&c->in, -1, 3), fuzz_sink_write, &c->saved));
}

/* A checkpoint as a whole; some of its parts. */
static void load(calls *c)
{
    fuzz_stream stream = {.bytes = c->saved.bytes, .size = c->saved.size, .piece = fuzz_byte(&c->in)};
    resattn_network *network = NULL;
    resattn_optimizer *optimizer = NULL;
    resattn_ema *average = NULL;
    uint32_t parts = fuzz_byte(&c->in);
    if (!fuzz_ok(resattn_checkpoint_load_stream(pick_context(c), fuzz_stream_read, &stream, parts & 1 ? &network : NULL,
                                                parts & 2 ? &optimizer : NULL, parts & 4 ? &average : NULL))) {
        FUZZ_CHECK(!network && !optimizer && !average, "a part of a checkpoint that was refused");
        return;
    }
    keep_network(c, network);
    if (optimizer)
        KEEP(c, optimizers, resattn_optimizer_free, optimizer);
    if (average)
        KEEP(c, averages, resattn_ema_free, average);
}

static void restore(calls *c)
{
    resattn_optimizer *optimizer = PICK(c, optimizers);
    fuzz_stream stream = {.bytes = c->saved.bytes, .size = c->saved.size, .piece = fuzz_byte(&c->in)};
    fuzz_ok(resattn_checkpoint_restore_stream(optimizer, fuzz_chance(&c->in, 128) ? PICK(c, averages) : NULL,
                                              fuzz_stream_read, &stream));
}

const call_fn train_calls[] = {
    softmax_cross_entropy, softmax_cross_entropy, new_loss,     use_loss, new_mask_loss,  use_mask_loss, use_mask_loss,
    new_optimizer,         change_optimizer,      step,         step,     free_optimizer, new_average,   use_average,
    free_average,          new_schedule,          use_schedule, save,     restore,        load};
const uint32_t train_call_count = COUNT(train_calls);
