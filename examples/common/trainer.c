/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A training in one call.
 */
#include "trainer.h"

#include "progress.h"

int trainer_run(resattn_network *network, const struct dataset *dataset, const struct trainer *trainer)
{
    struct training_settings settings = {.epochs = trainer->epochs,
                                         .batch = trainer->batch,
                                         .micro_batches = 1,
                                         .side = trainer->side,
                                         .augmentation = {.crop_flip = trainer->augmented},
                                         .rate = trainer->rate,
                                         .warm_up = -1,
                                         .momentum = 0.9,
                                         .weight_decay = trainer->weight_decay,
                                         .mask_weight = trainer->mask_weight,
                                         .mask_loss = RESATTN_MASK_LOSS_CROSS_ENTROPY,
                                         .seed = trainer->seed};
    struct training training;
    struct progress progress;
    int result = training_open(&training, network, dataset, NULL, 0, &settings, 0);
    progress_start(&progress, trainer->epochs, training.steps_an_epoch * trainer->batch, 0);
    while (!result && training.step < training.steps) {
        struct training_result step;
        result = training_step(&training, &step);
        if (!result)
            progress_step(&progress, &step);
    }
    training_close(&training);
    return result;
}
