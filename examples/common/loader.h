/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fills batches with pictures in threads of its own while the caller computes. What is in a batch depends on the
 * settings and the number of its step alone.
 */
#ifndef EXAMPLES_LOADER_H
#define EXAMPLES_LOADER_H

#include <resattn/resattn.h>

#include "augment.h"
#include "dataset.h"

struct loader_settings {
    int32_t batch, side;    /* of the network's input */
    const int32_t *indices; /* which pictures, `count` of them, copied; NULL: the first `count` */
    int32_t count;          /* 0: all */
    int shuffled;           /* a new order for each epoch; otherwise that of the indices */
    int whole_batches;      /* leaves out the pictures beyond the last whole batch of each epoch */
    int with_targets;
    struct augmentation augmentation;
    int32_t short_side; /* of pictures before side x side is cut from their middle; 0: side */
    int32_t threads;    /* 0: one for pictures in memory, up to four for files */
    uint64_t seed;      /* of the order and of augmentation */
    int64_t first_step; /* where to begin: the number of a batch, counted from epoch 0 */
    int64_t last_step;  /* the number after that of the last batch; 0: one epoch */
};

struct loader_batch {
    int64_t step;
    int32_t epoch, count;
    const resattn_tensor *input; /* U8: count, 3, side, side, channels last */
    const int32_t *labels;
    const int32_t *indices;        /* of the pictures in the data set */
    const resattn_tensor *targets; /* U8: count, 1, h, w: how much of each pixel the object covers; NULL: not asked for.
                                      h and w are 32 for pictures of 32 x 32, otherwise the side */
    const float *target_weights;   /* 1, or 0 for a picture without a target; NULL: each has one */
};

struct loader;

/*
 * The data set must stay open and as it is until the loader is closed. Pictures of 32 x 32 become larger by repeating
 * pixels where the side is a multiple of 32. Returns an owned loader, or NULL after printing why not.
 */
struct loader *loader_open(resattn_context *context, const struct dataset *dataset,
                           const struct loader_settings *settings);

/* Gives the next batch, valid until the next call. Returns 1; 0 after the last one; -1 after printing what went wrong,
 * such as the name of a picture that cannot be read: then the loader can only be closed. */
int loader_next(struct loader *loader, struct loader_batch *batch);

/* At any time. */
void loader_close(struct loader *loader);

int64_t loader_steps_an_epoch(const struct loader *loader);

#endif
