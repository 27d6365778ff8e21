/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A ring of batches: threads fill those ahead of the one that the caller has. They share the work by pictures where
 * these are files to be decoded, by whole batches otherwise, and sleep while the ring is full.
 */
#include "loader.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "batch.h"
#include "errors.h"
#include "random.h"

enum { SLOTS = 3, MOST_THREADS = 4, NO_STEP = -1 };

/* A place of the ring. */
struct slot {
    int64_t step; /* NO_STEP: free */
    int32_t epoch, count;
    int32_t claimed, filled; /* pictures that a thread has begun with, and those that are done */
    int failed;
    struct batch batch;
    int32_t *indices, *labels;
    uint8_t *maps; /* of targets; NULL: not asked for */
    float *weights;
    resattn_tensor *targets;      /* over all maps */
    resattn_tensor *some_targets; /* over those of a batch that is not full */
};

struct loader {
    struct loader_settings settings; /* without the indices */
    const struct dataset *dataset;
    int32_t *order; /* of epoch `order_epoch` */
    int32_t order_epoch;
    int32_t variant_side; /* of a picture before its pixels are repeated */
    int64_t steps_an_epoch;

    pthread_mutex_t lock; /* for all that follows, but what is in a picture's place belongs to whom has claimed it */
    pthread_cond_t work;  /* there may be something to claim, or the loader closes */
    pthread_cond_t ready; /* a batch is full, or the loader has stopped */
    struct slot slots[SLOTS];
    int64_t opened, taken; /* the next step to be filled, and the next to be given to the caller */
    struct slot *held;     /* by the caller; NULL: none */
    int stopped;           /* nothing more is claimed, after an error or at the end */
    pthread_t threads[MOST_THREADS];
    int32_t thread_count;
};

/* ---- one picture ---- */

static void repeat_pixels(uint8_t *target, int32_t side, const uint8_t *source, int32_t source_side)
{
    int32_t factor = side / source_side;
    for (int32_t row = 0; row < side; row++) {
        for (int32_t column = 0; column < side; column++, target += 3)
            memcpy(target, source + (row / factor * source_side + column / factor) * 3, 3);
    }
}

static int place_picture(const struct loader *loader, const struct variant *variant, const struct bitmap *bitmap,
                         uint8_t *target)
{
    const struct loader_settings *settings = &loader->settings;
    if (variant->side == settings->side)
        return variant_place(variant, bitmap, settings->short_side, target);
    uint8_t small[IMAGE_BYTES];
    if (variant_place(variant, bitmap, variant->side, small))
        return -1;
    repeat_pixels(target, settings->side, small, variant->side);
    return 0;
}

/* Fills the map of where the object is; a picture without one gets zeros of no weight. */
static int place_target(const struct loader *loader, const struct variant *variant, struct slot *slot, int32_t place)
{
    size_t pixels = (size_t)variant->side * (size_t)variant->side;
    uint8_t *target = slot->maps + (size_t)place * pixels, *wide = NULL;
    int32_t short_side = variant->side == loader->settings.side ? loader->settings.short_side : variant->side;
    struct bitmap map;
    int result = dataset_read_target(loader->dataset, slot->indices[place], &map);
    slot->weights[place] = result == 0;
    memset(target, 0, pixels);
    if (result)
        return result < 0 ? -1 : 0;
    if (!(wide = malloc(pixels * 3)))
        result = complain("no memory for a map of %d x %d", (int)variant->side, (int)variant->side);
    if (!result)
        result = variant_place(variant, &map, short_side, wide);
    for (size_t i = 0; i < pixels && !result; i++)
        target[i] = wide[i * 3];
    free(wide);
    bitmap_free(&map);
    return result;
}

static uint64_t epoch_seed(const struct loader *loader, int32_t epoch)
{
    return loader->settings.seed * 1000003 + (uint64_t)epoch;
}

static int fill_place(const struct loader *loader, struct slot *slot, int32_t place)
{
    const struct loader_settings *settings = &loader->settings;
    int32_t index = slot->indices[place];
    struct bitmap bitmap;
    if (dataset_read(loader->dataset, index, &bitmap))
        return -1;
    struct random random = random_for(epoch_seed(loader, slot->epoch), (uint64_t)index + 1);
    struct variant variant =
        variant_draw(&settings->augmentation, &random, bitmap.width, bitmap.height, loader->variant_side);
    uint8_t *target = batch_pixels(&slot->batch, place);
    int result = place_picture(loader, &variant, &bitmap, target);
    bitmap_free(&bitmap);
    if (!result)
        variant_colour(&variant, target, settings->side * settings->side);
    if (!result && slot->maps)
        result = place_target(loader, &variant, slot, place);
    slot->labels[place] = dataset_label(loader->dataset, index);
    return result;
}

/* ---- the threads ---- */

static void shuffle(int32_t *order, int32_t count, struct random *random)
{
    for (int32_t i = count - 1; i > 0; i--) {
        int32_t other = random_below(random, i + 1);
        int32_t kept = order[i];
        order[i] = order[other];
        order[other] = kept;
    }
}

/* Each epoch shuffles the order of the one before it, so that a loader which begins later repeats them all. */
static void order_for(struct loader *loader, int32_t epoch)
{
    while (loader->settings.shuffled && loader->order_epoch < epoch) {
        struct random random = random_for(epoch_seed(loader, ++loader->order_epoch), 0);
        shuffle(loader->order, loader->settings.count, &random);
    }
}

/* With the lock. Fills what the step's pictures are. */
static void open_step(struct loader *loader, struct slot *slot)
{
    int32_t batch = loader->settings.batch, at = (int32_t)(loader->opened % loader->steps_an_epoch) * batch;
    int32_t left = loader->settings.count - at;
    slot->step = loader->opened++;
    slot->epoch = (int32_t)(slot->step / loader->steps_an_epoch);
    slot->count = left < batch ? left : batch;
    slot->claimed = slot->filled = 0;
    order_for(loader, slot->epoch);
    memcpy(slot->indices, loader->order + at, (size_t)slot->count * sizeof *slot->indices);
}

/* With the lock. A slot with pictures to claim, or NULL: none at present. */
static struct slot *find_work(struct loader *loader)
{
    struct slot *last = &loader->slots[(loader->opened + SLOTS - 1) % SLOTS];
    struct slot *next = &loader->slots[loader->opened % SLOTS];
    if (loader->stopped)
        return NULL;
    if (last->step != NO_STEP && last->claimed < last->count)
        return last;
    if (loader->opened >= loader->settings.last_step || next->step != NO_STEP)
        return NULL;
    open_step(loader, next);
    return next;
}

/* Fills a part of a batch; with the lock before and after. */
static void fill_part(struct loader *loader, struct slot *slot)
{
    int32_t first = slot->claimed;
    slot->claimed = dataset_side(loader->dataset) ? slot->count : first + 1;
    int32_t end = slot->claimed, failed = 0;
    pthread_mutex_unlock(&loader->lock);
    for (int32_t place = first; place < end && !failed; place++)
        failed = fill_place(loader, slot, place);
    pthread_mutex_lock(&loader->lock);
    slot->filled += end - first;
    if (failed)
        slot->failed = loader->stopped = 1;
    if (slot->filled == slot->count || failed)
        pthread_cond_signal(&loader->ready);
}

static void *fill_batches(void *user)
{
    struct loader *loader = user;
    pthread_mutex_lock(&loader->lock);
    while (!loader->stopped) {
        struct slot *slot = find_work(loader);
        if (slot)
            fill_part(loader, slot);
        else
            pthread_cond_wait(&loader->work, &loader->lock);
    }
    pthread_mutex_unlock(&loader->lock);
    return NULL;
}

/* As many threads as can be made, but one at least. Signals are for the caller's. */
static int start_threads(struct loader *loader)
{
    int32_t wanted = loader->settings.threads;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (loader->thread_count < wanted &&
           pthread_create(&loader->threads[loader->thread_count], NULL, fill_batches, loader) == 0)
        loader->thread_count++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return loader->thread_count > 0 ? 0 : complain("no thread can be started to load pictures");
}

/* ---- opening ---- */

static int32_t default_threads(const struct dataset *dataset)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    if (dataset_side(dataset) || processors < 1)
        return 1;
    return processors < MOST_THREADS ? (int32_t)processors : MOST_THREADS;
}

/* Puts numbers in the place of those that stand for a default. */
static int settle(struct loader *loader, const struct loader_settings *settings)
{
    struct loader_settings *own = &loader->settings;
    int32_t available = dataset_count(loader->dataset);
    *own = *settings;
    own->indices = NULL;
    if (own->count == 0 && !settings->indices)
        own->count = available;
    if (own->count < 1 || (!settings->indices && own->count > available))
        return complain("%d pictures are asked for, expected 1 to %d", (int)own->count, (int)available);
    if (own->first_step < 0)
        return complain("the first step is %lld, expected 0 or more", (long long)own->first_step);
    if (own->batch < 1 || (own->whole_batches && own->count < own->batch))
        return complain("%d pictures are less than one batch of %d", (int)own->count, (int)own->batch);
    own->short_side = own->short_side ? own->short_side : own->side;
    if (own->side < 1 || own->short_side < own->side)
        return complain("a square of %d is to be cut from pictures whose shorter side is %d", (int)own->side,
                        (int)own->short_side);
    if (own->with_targets && !dataset_has_targets(loader->dataset))
        return complain("masks need pictures of which it is known where their objects are");
    own->threads = own->threads ? own->threads : default_threads(loader->dataset);
    own->threads = own->threads < MOST_THREADS ? own->threads : MOST_THREADS;
    loader->steps_an_epoch = own->count / own->batch + (!own->whole_batches && own->count % own->batch);
    own->last_step = own->last_step ? own->last_step : own->first_step + loader->steps_an_epoch;
    int repeats = dataset_side(loader->dataset) && own->side % IMAGE_SIDE == 0 && own->short_side == own->side;
    loader->variant_side = repeats && !own->augmentation.scale_crop ? IMAGE_SIDE : own->side;
    return augmentation_check(&own->augmentation);
}

static int fill_order(struct loader *loader, const int32_t *indices)
{
    int32_t count = loader->settings.count, available = dataset_count(loader->dataset);
    loader->order = calloc((size_t)count, sizeof *loader->order);
    loader->order_epoch = -1;
    if (!loader->order)
        return complain("no memory for the order of %d pictures", (int)count);
    for (int32_t i = 0; i < count; i++) {
        loader->order[i] = indices ? indices[i] : i;
        if (loader->order[i] < 0 || loader->order[i] >= available)
            return complain("picture %d is asked for, expected 0 to %d", (int)loader->order[i], (int)available - 1);
    }
    return 0;
}

static int open_targets(struct slot *slot, resattn_context *context, int32_t batch, int32_t side)
{
    int64_t shape[] = {batch, 1, side, side};
    slot->maps = calloc((size_t)batch, (size_t)side * (size_t)side);
    slot->weights = calloc((size_t)batch, sizeof *slot->weights);
    if (!slot->maps || !slot->weights)
        return complain("no memory for %d maps of %d x %d", (int)batch, (int)side, (int)side);
    slot->targets =
        resattn_tensor_wrap(context, RESATTN_U8, 4, shape, RESATTN_CHANNELS_FIRST, NULL, slot->maps, NULL, NULL);
    return slot->targets ? 0 : complain_library();
}

static int open_slot(struct slot *slot, const struct loader *loader, resattn_context *context)
{
    int32_t batch = loader->settings.batch;
    slot->step = NO_STEP;
    slot->indices = calloc((size_t)batch, sizeof *slot->indices);
    slot->labels = calloc((size_t)batch, sizeof *slot->labels);
    if (!slot->indices || !slot->labels)
        return complain("no memory for a batch of %d pictures", (int)batch);
    if (batch_init(&slot->batch, context, batch, loader->settings.side))
        return -1;
    return loader->settings.with_targets ? open_targets(slot, context, batch, loader->variant_side) : 0;
}

struct loader *loader_open(resattn_context *context, const struct dataset *dataset,
                           const struct loader_settings *settings)
{
    struct loader *loader = calloc(1, sizeof *loader);
    if (!loader) {
        complain("no memory for a loader");
        return NULL;
    }
    pthread_mutex_init(&loader->lock, NULL);
    pthread_cond_init(&loader->work, NULL);
    pthread_cond_init(&loader->ready, NULL);
    loader->dataset = dataset;
    loader->opened = loader->taken = settings->first_step;
    int result = settle(loader, settings) || fill_order(loader, settings->indices);
    for (int i = 0; i < SLOTS && !result; i++)
        result = open_slot(&loader->slots[i], loader, context);
    if (!result)
        result = start_threads(loader);
    if (!result)
        return loader;
    loader_close(loader);
    return NULL;
}

static void close_slot(struct slot *slot)
{
    resattn_tensor_unref(slot->some_targets);
    resattn_tensor_unref(slot->targets);
    batch_free(&slot->batch);
    free(slot->maps);
    free(slot->weights);
    free(slot->indices);
    free(slot->labels);
}

void loader_close(struct loader *loader)
{
    if (!loader)
        return;
    pthread_mutex_lock(&loader->lock);
    loader->stopped = 1;
    pthread_cond_broadcast(&loader->work);
    pthread_mutex_unlock(&loader->lock);
    for (int32_t i = 0; i < loader->thread_count; i++)
        pthread_join(loader->threads[i], NULL);
    for (int i = 0; i < SLOTS; i++)
        close_slot(&loader->slots[i]);
    pthread_cond_destroy(&loader->ready);
    pthread_cond_destroy(&loader->work);
    pthread_mutex_destroy(&loader->lock);
    free(loader->order);
    free(loader);
}

/* ---- the caller ---- */

int64_t loader_steps_an_epoch(const struct loader *loader)
{
    return loader->steps_an_epoch;
}

static const resattn_tensor *targets_of(struct slot *slot, int32_t side, int32_t capacity)
{
    if (!slot->targets || slot->count == capacity)
        return slot->targets;
    int64_t shape[] = {slot->count, 1, side, side};
    resattn_tensor_unref(slot->some_targets);
    slot->some_targets = resattn_tensor_view(slot->targets, NULL, shape);
    if (!slot->some_targets)
        complain_library();
    return slot->some_targets;
}

static int give(const struct loader *loader, struct slot *slot, struct loader_batch *batch)
{
    *batch = (struct loader_batch){.step = slot->step,
                                   .epoch = slot->epoch,
                                   .count = slot->count,
                                   .labels = slot->labels,
                                   .indices = slot->indices};
    batch->input = batch_tensor(&slot->batch, slot->count);
    batch->targets = targets_of(slot, loader->variant_side, loader->settings.batch);
    for (int32_t i = 0; i < slot->count && slot->weights; i++)
        if (slot->weights[i] == 0)
            batch->target_weights = slot->weights;
    return batch->input && (batch->targets || !slot->maps) ? 1 : -1;
}

/* With the lock. The slot of a step once it is full; NULL if it never will be. */
static struct slot *wait_for(struct loader *loader, int64_t step)
{
    struct slot *slot = &loader->slots[step % SLOTS];
    for (;;) {
        int is_there = slot->step == step && !slot->failed;
        if (is_there && slot->filled == slot->count)
            return slot;
        if (loader->stopped && !(is_there && slot->claimed == slot->count))
            return NULL;
        pthread_cond_wait(&loader->ready, &loader->lock);
    }
}

int loader_next(struct loader *loader, struct loader_batch *batch)
{
    if (loader->taken >= loader->settings.last_step)
        return 0;
    pthread_mutex_lock(&loader->lock);
    if (loader->held) {
        loader->held->step = NO_STEP;
        pthread_cond_broadcast(&loader->work);
    }
    loader->held = wait_for(loader, loader->taken);
    pthread_mutex_unlock(&loader->lock);
    if (!loader->held)
        return -1;
    loader->taken++;
    return give(loader, loader->held, batch);
}
