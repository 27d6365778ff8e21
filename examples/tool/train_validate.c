/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * resattn train: validation, which a signal can interrupt.
 */
#include "errors.h"
#include "loader.h"
#include "open_session.h"
#include "train.h"

static int run(resattn_session *session, struct loader *loader, double *loss, double *correct)
{
    struct loader_batch batch;
    int got;
    while ((got = loader_next(loader, &batch)) > 0) {
        double batch_loss = 0;
        int32_t batch_correct = 0;
        if (train_signal())
            return 1;
        if (resattn_session_forward(session, batch.input) ||
            resattn_softmax_cross_entropy(session, batch.labels, batch.count, &batch_loss, &batch_correct))
            return complain_library();
        *loss += batch_loss * batch.count;
        *correct += batch_correct;
    }
    return got;
}

int train_validate(resattn_network *network, const struct dataset *dataset, const int32_t *indices, int32_t count,
                   const struct train_settings *settings, double *loss, double *accuracy)
{
    int32_t batch = settings->batch / settings->micro_batches;
    struct loader_settings wanted = {.batch = batch < count ? batch : count,
                                     .side = settings->size,
                                     .short_side = settings->short_side,
                                     .indices = indices,
                                     .count = count};
    *loss = *accuracy = 0;
    struct loader *loader = loader_open(resattn_network_context(network), dataset, &wanted);
    resattn_session *session = loader ? open_session(network, RESATTN_INFERENCE, wanted.batch, wanted.side, 0) : NULL;
    int result = session ? run(session, loader, loss, accuracy) : -1;
    resattn_session_free(session);
    loader_close(loader);
    *loss /= count;
    *accuracy /= count;
    return result;
}
