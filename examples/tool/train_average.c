/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * resattn train: batch norms for the averaged weights.
 */
#include "errors.h"
#include "loader.h"
#include "train.h"

/* Goes forward over training images, augmented as in training, in the session of the training. */
static int run(struct training *training, struct loader *loader)
{
    struct loader_batch batch;
    int got;
    while ((got = loader_next(loader, &batch)) > 0) {
        if (train_signal())
            return 1;
        if (resattn_session_forward(training->session, batch.input))
            return complain_library();
    }
    return got;
}

int train_enter_average(struct training *training, const struct train_data *data, int32_t batches)
{
    const struct training_settings *settings = &training->settings;
    struct loader_settings wanted = {.batch = settings->batch / settings->micro_batches,
                                     .side = settings->side,
                                     .short_side = settings->short_side,
                                     .indices = data->indices,
                                     .count = data->count,
                                     .shuffled = 1,
                                     .whole_batches = 1,
                                     .augmentation = settings->augmentation,
                                     .seed = settings->seed,
                                     .last_step = batches};
    int64_t step = resattn_session_step_count(training->session);
    if (!training->average)
        return 0;
    if (resattn_ema_swap(training->average))
        return complain_library();
    /* A plain mean does not depend on the statistics before, which a run that was broken off may have left. */
    if (resattn_session_set_statistics(training->session, RESATTN_STATISTICS_MEAN)) {
        complain_library();
        train_leave_average(training);
        return -1;
    }
    struct loader *loader =
        loader_open(resattn_network_context(resattn_session_network(training->session)), data->training, &wanted);
    int result = loader ? run(training, loader) : -1;
    loader_close(loader);
    if (resattn_session_set_statistics(training->session, RESATTN_STATISTICS_RUNNING) ||
        resattn_session_set_step_count(training->session, step)) /* dropout goes on as if nothing had been in between */
        result = complain_library();
    return result && train_leave_average(training) ? -1 : result;
}

int train_leave_average(struct training *training)
{
    return training->average && resattn_ema_swap(training->average) ? complain_library() : 0;
}
