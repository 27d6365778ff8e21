/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The steps of a training: batches, losses, gradients, and changes of the parameters. Who calls decides when to look at
 * the outcome, save and stop: trainer.h is the simple way, `resattn train` the one with everything.
 */
#ifndef EXAMPLES_TRAINING_H
#define EXAMPLES_TRAINING_H

#include <resattn/resattn.h>

#include "loader.h"

enum training_optimizer { TRAINING_SGD, TRAINING_ADAMW };
enum training_schedule { TRAINING_ONE_CYCLE, TRAINING_COSINE, TRAINING_STEP };

/* A factor on the learning rate or the weight decay ("rate", "weight_decay") of what is at or below a path. */
struct path_factor {
    const char *path, *attribute;
    double factor;
};

struct training_settings {
    int32_t epochs;
    int32_t batch, micro_batches; /* images of a step, and in how many equal parts they are computed */
    int32_t side, short_side;     /* as in struct loader_settings */
    struct augmentation augmentation;
    enum training_optimizer optimizer;
    double rate; /* the largest one */
    enum training_schedule schedule;
    double warm_up;      /* share of the steps in which the rate rises; less than 0: what is usual for the schedule */
    double momentum;     /* AdamW: beta1 */
    double weight_decay; /* not of biases and batch norms */
    const struct path_factor *factors;
    int32_t factor_count;
    double clip; /* largest norm of the gradient; 0: any */
    double label_smoothing;
    const float *class_weights; /* NULL: all 1 */
    double mask_weight;         /* of each attention mask's loss; 0: masks have no targets */
    resattn_mask_loss_kind mask_loss;
    double average; /* decay of the moving average of the weights; 0: there is none */
    int recompute;  /* less memory and more time, for the same results */
    uint64_t seed;  /* of the order of the images, and of augmentation */
};

/* What a step comes to. */
struct training_result {
    int32_t epoch, images, correct;
    double loss; /* the mean over the images, without the masks' */
    double mask_loss, rate, gradient_norm;
};

struct training {
    struct training_settings settings;
    resattn_session *session;
    resattn_optimizer *optimizer;
    resattn_ema *average; /* NULL: none */
    resattn_schedule *schedule;
    resattn_cross_entropy *loss;
    resattn_mask_loss *mask_loss; /* NULL: none */
    struct loader *loader;
    int64_t step; /* how many are done */
    int64_t steps_an_epoch;
    int64_t steps; /* of the whole training */
};

/*
 * Prepares a training of `network` with the images that `indices` names (NULL: all), after `step` steps that another
 * run has done. The settings' arrays, the data set and the indices must stay until training_close(). Returns 0, or -1
 * after printing why not; training_close() is to be called in any case.
 */
int training_open(struct training *training, resattn_network *network, const struct dataset *dataset,
                  const int32_t *indices, int32_t count, const struct training_settings *settings, int64_t step);

/* Does the next step. Returns 0, or -1 after printing what went wrong, also where loss or gradient are not finite. */
int training_step(struct training *training, struct training_result *result);

void training_close(struct training *training);

#endif
