/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * resattn train: batch norms for the averaged weights.
 */
#include <stdlib.h>

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

static int64_t count_statistics(resattn_network *network)
{
    int64_t count = 0;
    for (int32_t i = 0; i < resattn_network_parameter_count(network); i++)
        if (resattn_network_parameter_kind(network, i) == RESATTN_PARAMETER_STATISTIC)
            count += resattn_tensor_elements(resattn_network_parameter(network, i));
    return count;
}

/* Reads all statistics of the network into `values`, or writes them. */
static int move_statistics(resattn_network *network, float *values, int write)
{
    for (int32_t i = 0; i < resattn_network_parameter_count(network); i++) {
        resattn_tensor *tensor = resattn_network_parameter(network, i);
        int64_t count = resattn_tensor_elements(tensor);
        if (resattn_network_parameter_kind(network, i) != RESATTN_PARAMETER_STATISTIC)
            continue;
        if (write ? resattn_tensor_write(tensor, RESATTN_CHANNELS_FIRST, values, count)
                  : resattn_tensor_read(tensor, RESATTN_CHANNELS_FIRST, values, count))
            return complain_library();
        values += count;
    }
    return 0;
}

/* An estimate that was broken off leaves statistics that no run without a break would have begun from: it always begins
 * from those of the network's own weights. */
static int swap_in(struct training *training)
{
    resattn_network *network = resattn_session_network(training->session);
    int64_t count = count_statistics(network);
    float *values = calloc((size_t)count + 1, sizeof *values);
    int result = values ? move_statistics(network, values, 0) : complain("no memory for statistics");
    if (!result && resattn_average_swap(training->average))
        result = complain_library();
    if (!result && move_statistics(network, values, 1))
        result = resattn_average_swap(training->average) ? complain_library() : -1;
    free(values);
    return result;
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
    int64_t step = resattn_session_step(training->session);
    if (!training->average)
        return 0;
    if (swap_in(training))
        return -1;
    struct loader *loader =
        loader_open(resattn_network_context(resattn_session_network(training->session)), data->training, &wanted);
    int result = loader ? run(training, loader) : -1;
    loader_close(loader);
    if (resattn_session_set_step(training->session, step)) /* dropout goes on as if nothing had been in between */
        result = complain_library();
    return result && train_leave_average(training) ? -1 : result;
}

int train_leave_average(struct training *training)
{
    return training->average && resattn_average_swap(training->average) ? complain_library() : 0;
}
