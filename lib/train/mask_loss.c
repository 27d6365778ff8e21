/* SPDX-License-Identifier: BSD-3-Clause */
/* Supervision of attention masks: cross entropy, squared difference and soft Dice against target maps. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "core/core.h"
#include "network/session.h"
#include "resattn/train.h"
#include "tensor/tensor.h"

struct resattn_mask_loss {
    resattn_context *context; /* a share */
    resattn_mask_loss_kind kind;
    double weight;
};

static const double largest_weight = 1e6;
static const double margin = 1e-6; /* cross entropy's distance from 0 and 1 */
static const double epsilon = 1;   /* Dice's */
enum { IMAGES_AT_ONCE = 64 };      /* whose losses are on the stack: applying a loss allocates nothing */

resattn_mask_loss *resattn_mask_loss_new(resattn_context *context, resattn_mask_loss_kind kind)
{
    if (!context)
        return ra_fail_null(RESATTN_INVALID_ARGUMENT, "mask loss: context is NULL");
    if (kind < RESATTN_MASK_LOSS_CROSS_ENTROPY || kind > RESATTN_MASK_LOSS_DICE)
        return ra_fail_null(RESATTN_INVALID_ARGUMENT, "mask loss: kind is %d, expected %d to %d", (int)kind,
                            (int)RESATTN_MASK_LOSS_CROSS_ENTROPY, (int)RESATTN_MASK_LOSS_DICE);
    resattn_mask_loss *loss = ra_alloc(context, 1, sizeof *loss);
    if (!loss)
        return NULL;
    loss->context = resattn_context_ref(context);
    loss->kind = kind;
    loss->weight = 1;
    return loss;
}

void resattn_mask_loss_free(resattn_mask_loss *loss)
{
    if (!loss)
        return;
    resattn_context *context = loss->context;
    ra_free(context, loss);
    resattn_context_unref(context);
}

resattn_mask_loss_kind resattn_mask_loss_get_kind(const resattn_mask_loss *loss)
{
    return loss ? loss->kind : RESATTN_MASK_LOSS_NONE;
}

static bool is_attribute(const resattn_mask_loss *loss, const char *attribute)
{
    if (!loss || !attribute)
        ra_fail(RESATTN_INVALID_ARGUMENT, "mask loss: %s is NULL", loss ? "attribute" : "loss");
    else if (strcmp(attribute, "weight") != 0)
        ra_fail(RESATTN_NOT_FOUND, "mask loss: no attribute is called \"%s\", expected weight", attribute);
    else
        return true;
    return false;
}

resattn_status resattn_mask_loss_set_real(resattn_mask_loss *loss, const char *attribute, double value)
{
    if (!is_attribute(loss, attribute))
        return resattn_last_status();
    if (!ra_within(value, 0, largest_weight))
        return ra_fail(RESATTN_INVALID_ARGUMENT, "mask loss: weight is %g, expected 0 to %g", value, largest_weight);
    loss->weight = value;
    return RESATTN_OK;
}

resattn_status resattn_mask_loss_get_real(const resattn_mask_loss *loss, const char *attribute, double *value)
{
    if (!is_attribute(loss, attribute))
        return resattn_last_status();
    if (!value)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "mask loss: value is NULL");
    *value = loss->weight;
    return RESATTN_OK;
}

/* ---- what is compared ---- */

/* One call of apply. A map is one channel of the targets in one image. */
typedef struct comparison {
    resattn_mask_loss_kind kind;
    const resattn_tensor *targets;
    int64_t channels, height, width; /* of the mask */
    const float *mask;               /* dense, channels last */
    float *gradient;                 /* the same, to be added to; or NULL */
    const float *image_weights;      /* or NULL */
    double scale;                    /* the loss's weight / sum of the images' */
    int64_t first;                   /* the image of the first task */
    double losses[IMAGES_AT_ONCE];   /* of the tasks, not weighted */
} comparison;

static double image_weight(const float *weights, int64_t image)
{
    return weights ? (double)weights[image] : 1;
}

static double element(const resattn_tensor *tensor, int64_t offset)
{
    return tensor->dtype == RESATTN_U8 ? (double)((const uint8_t *)tensor->data)[offset] / 255
                                       : (double)((const float *)tensor->data)[offset];
}

/* Of `pixels` that `cells` of equal size cover: how much of pixel `index` is in cell `cell`, in units of 1 / cells. */
static int64_t covered(int64_t index, int64_t pixels, int64_t cell, int64_t cells)
{
    int64_t begin = index * cells, end = begin + cells;
    int64_t from = cell * pixels, to = from + pixels;
    return (end < to ? end : to) - (begin > from ? begin : from);
}

/* The mean of a target over what pixel (y, x) of the mask covers. */
static double target_at(const comparison *c, int64_t image, int64_t channel, int64_t y, int64_t x)
{
    const resattn_tensor *t = c->targets;
    int64_t rows = t->shape[2], columns = t->shape[3];
    int64_t map = image * t->stride[0] + channel * t->stride[1];
    int64_t bottom = ra_div_up((y + 1) * rows, c->height), right = ra_div_up((x + 1) * columns, c->width);
    double sum = 0;
    for (int64_t row = y * rows / c->height; row < bottom; row++) {
        double of_row = 0;
        for (int64_t column = x * columns / c->width; column < right; column++)
            of_row += (double)covered(column, columns, x, c->width) *
                      element(t, map + row * t->stride[2] + column * t->stride[3]);
        sum += (double)covered(row, rows, y, c->height) * of_row;
    }
    return sum / ((double)rows * (double)columns);
}

/* How many channels of the mask a channel of the targets stands for. */
static int64_t channels_of_map(const comparison *c)
{
    return c->targets->shape[1] == 1 ? c->channels : 1;
}

/* Where pixel (y, x) of a map is in the mask, and in its gradient. */
static int64_t mask_offset(const comparison *c, int64_t image, int64_t channel, int64_t y, int64_t x)
{
    return ((image * c->height + y) * c->width + x) * c->channels + channel;
}

static double mask_at(const comparison *c, int64_t offset)
{
    int64_t count = channels_of_map(c);
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += (double)c->mask[offset + i];
    return sum / (double)count;
}

static void add_gradient(const comparison *c, int64_t offset, double gradient)
{
    int64_t count = channels_of_map(c);
    for (int64_t i = 0; i < count; i++)
        c->gradient[offset + i] += (float)(gradient / (double)count);
}

/* ---- the losses of a map: each returns the loss and adds `scale` times its gradient ---- */

/* Of one pixel, and the derivative. NaN stays NaN. */
static double cross_entropy(double mask, double target, double *slope)
{
    double m = mask < margin ? margin : mask > 1 - margin ? 1 - margin : mask;
    *slope = (m - target) / (m * (1 - m));
    return -target * log(m) - (1 - target) * log1p(-m);
}

static double squared(double mask, double target, double *slope)
{
    *slope = 2 * (mask - target);
    return (mask - target) * (mask - target);
}

static double mean_over_pixels(const comparison *c, int64_t image, int64_t channel, double scale)
{
    double sum = 0, pixels = (double)c->height * (double)c->width;
    for (int64_t y = 0; y < c->height; y++)
        for (int64_t x = 0; x < c->width; x++) {
            int64_t offset = mask_offset(c, image, channel, y, x);
            double mask = mask_at(c, offset), target = target_at(c, image, channel, y, x), slope = 0;
            sum += (c->kind == RESATTN_MASK_LOSS_SQUARED ? squared : cross_entropy)(mask, target, &slope);
            if (c->gradient)
                add_gradient(c, offset, scale * slope / pixels);
        }
    return sum / pixels;
}

/* Twice over the map: the gradient of a pixel needs the sums. */
static double dice(const comparison *c, int64_t image, int64_t channel, double scale)
{
    double both = epsilon, squares = epsilon;
    for (int64_t y = 0; y < c->height; y++)
        for (int64_t x = 0; x < c->width; x++) {
            double mask = mask_at(c, mask_offset(c, image, channel, y, x)), target = target_at(c, image, channel, y, x);
            both += 2 * mask * target;
            squares += mask * mask + target * target;
        }
    for (int64_t y = 0; c->gradient && y < c->height; y++)
        for (int64_t x = 0; x < c->width; x++) {
            int64_t offset = mask_offset(c, image, channel, y, x);
            double mask = mask_at(c, offset), target = target_at(c, image, channel, y, x);
            add_gradient(c, offset, scale * 2 * (mask * both / squares - target) / squares);
        }
    return 1 - both / squares;
}

static void compare_image(void *job, int32_t index, int32_t worker)
{
    comparison *c = job;
    int64_t image = c->first + index, maps = c->targets->shape[1];
    double weight = image_weight(c->image_weights, image), sum = 0;
    (void)worker;
    for (int64_t channel = 0; weight > 0 && channel < maps; channel++)
        sum += (c->kind == RESATTN_MASK_LOSS_DICE ? dice : mean_over_pixels)(c, image, channel,
                                                                             c->scale * weight / (double)maps);
    c->losses[index] = sum / (double)maps;
}

/* ---- checks ---- */

static resattn_status check_shape(const resattn_tensor *mask, const char *name, const resattn_tensor *targets)
{
    if (targets->rank != 4 || targets->shape[0] != mask->shape[0] ||
        (targets->shape[1] != 1 && targets->shape[1] != mask->shape[1])) {
        char text[100];
        ra_tensor_describe(targets, text, sizeof text);
        return ra_fail(RESATTN_SHAPE_MISMATCH,
                       "mask loss: the targets of %.200s are %s, expected %lld x 1 or %lld x height x width", name,
                       text, (long long)mask->shape[0], (long long)mask->shape[1]);
    }
    for (int i = 2; i < 4; i++)
        if (targets->shape[i] > INT32_MAX)
            return ra_fail(RESATTN_TOO_LARGE, "mask loss: targets with %lld %s, expected at most %d",
                           (long long)targets->shape[i], i == 2 ? "rows" : "columns", INT32_MAX);
    return RESATTN_OK;
}

static resattn_status check_weights(const float *weights, int64_t images)
{
    for (int64_t i = 0; weights && i < images; i++)
        if (!ra_within((double)weights[i], 0, FLT_MAX))
            return ra_fail(RESATTN_INVALID_ARGUMENT, "mask loss: the weight of image %lld is %g, expected at least 0",
                           (long long)i, (double)weights[i]);
    return RESATTN_OK;
}

static resattn_status check_target(const comparison *c, int64_t image)
{
    const resattn_tensor *t = c->targets;
    for (int64_t channel = 0; channel < t->shape[1]; channel++)
        for (int64_t y = 0; y < t->shape[2]; y++)
            for (int64_t x = 0; x < t->shape[3]; x++) {
                double value =
                    element(t, image * t->stride[0] + channel * t->stride[1] + y * t->stride[2] + x * t->stride[3]);
                bool share = ra_within(value, 0, 1);
                if (share || (c->kind == RESATTN_MASK_LOSS_SQUARED && isfinite(value)))
                    continue;
                return ra_fail(RESATTN_INVALID_ARGUMENT,
                               "mask loss: the target of image %lld has %g in row %lld, column %lld, expected %s",
                               (long long)image, value, (long long)y, (long long)x,
                               c->kind == RESATTN_MASK_LOSS_SQUARED ? "a finite number" : "0 to 1");
            }
    return RESATTN_OK;
}

static resattn_status check_targets(const comparison *c)
{
    resattn_status status = RESATTN_OK;
    for (int64_t i = 0; i < c->targets->shape[0] && c->targets->dtype == RESATTN_F32 && status == RESATTN_OK; i++)
        if (image_weight(c->image_weights, i) > 0)
            status = check_target(c, i);
    return status;
}

/* ---- apply ---- */

static double sum_of_weights(const float *weights, int64_t images)
{
    double sum = 0;
    for (int64_t i = 0; i < images; i++)
        sum += image_weight(weights, i);
    return sum;
}

/* Images in parallel, their losses summed in order. */
static double compare(comparison *c, resattn_context *context, int64_t images)
{
    double value = 0;
    for (c->first = 0; c->first < images; c->first += IMAGES_AT_ONCE) {
        int64_t left = images - c->first;
        int32_t count = left < IMAGES_AT_ONCE ? (int32_t)left : IMAGES_AT_ONCE;
        ra_parallel(context, compare_image, c, count);
        for (int32_t i = 0; i < count; i++)
            value += c->scale * image_weight(c->image_weights, c->first + i) * c->losses[i];
    }
    return value;
}

resattn_status resattn_mask_loss_apply(const resattn_mask_loss *loss, resattn_session *session, const char *name,
                                       const resattn_tensor *targets, const float *image_weights, double *value)
{
    if (!loss || !session || !name || !targets)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "mask loss: %s is NULL",
                       !loss      ? "loss"
                       : !session ? "session"
                       : !name    ? "name"
                                  : "targets");
    const resattn_tensor *mask = resattn_session_output(session, name);
    if (!mask || ra_tensor_check_read(targets, "mask loss: targets") != RESATTN_OK)
        return resattn_last_status();
    int64_t images = mask->shape[0];
    comparison c = {.kind = loss->kind, .targets = targets, .image_weights = image_weights, .mask = mask->data};
    c.channels = mask->shape[1];
    c.height = mask->shape[2];
    c.width = mask->shape[3];
    if (check_shape(mask, name, targets) != RESATTN_OK || check_weights(image_weights, images) != RESATTN_OK ||
        check_targets(&c) != RESATTN_OK || !ra_session_gradient_sum(session, name, &c.gradient))
        return resattn_last_status();
    ra_fpmode mode;
    ra_fpmode_enter(&mode);
    double weights = sum_of_weights(image_weights, images);
    c.scale = weights > 0 ? loss->weight / weights : 0;
    double sum = compare(&c, resattn_session_network(session)->context, images);
    ra_fpmode_leave(&mode);
    if (value)
        *value = sum;
    return RESATTN_OK;
}
