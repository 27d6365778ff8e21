/* SPDX-License-Identifier: BSD-3-Clause */
/* Softmax cross entropy, with smoothed labels and class weights. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "core/core.h"
#include "network/session.h"
#include "resattn/train.h"
#include "tensor/tensor.h"

struct resattn_cross_entropy {
    resattn_context *context; /* a share */
    double label_smoothing, gradient_scale;
    float *weights; /* of the classes; NULL: all 1 */
    int32_t weight_count;
};

static const resattn_cross_entropy plain = {.gradient_scale = 1};

static resattn_status check(const resattn_tensor *logits, const char *name, const int32_t *labels, int32_t count)
{
    int64_t images = logits->shape[0], classes = logits->shape[1];
    if (logits->shape[2] != 1 || logits->shape[3] != 1)
        return ra_fail(RESATTN_SHAPE_MISMATCH, "cross entropy: %.200s is a map of %lld x %lld, expected one pixel",
                       name ? name : "the output", (long long)logits->shape[2], (long long)logits->shape[3]);
    if (count != images)
        return ra_fail(RESATTN_SHAPE_MISMATCH, "cross entropy: %d labels, expected %lld as the last batch had", count,
                       (long long)images);
    for (int32_t i = 0; i < count; i++)
        if (labels[i] < 0 || labels[i] >= classes)
            return ra_fail(RESATTN_INVALID_ARGUMENT, "cross entropy: label %d of image %d, expected 0 to %lld",
                           labels[i], i, (long long)classes - 1);
    return RESATTN_OK;
}

static int64_t largest(const float *logits, int64_t classes)
{
    int64_t best = 0;
    for (int64_t c = 1; c < classes; c++)
        if (logits[c] > logits[best])
            best = c;
    return best;
}

static double weight_of(const resattn_cross_entropy *loss, int64_t class)
{
    return loss->weights ? (double)loss->weights[class] : 1;
}

/* What softmax should come to for a class, times the class's weight. */
static double target_of(const resattn_cross_entropy *loss, int64_t class, int64_t classes, int32_t label)
{
    double hot = class == label ? 1 - loss->label_smoothing : 0;
    return weight_of(loss, class) * (hot + loss->label_smoothing / (double)classes);
}

/*
 * The loss of one image: the sum over the classes of target * (log(sum of exp(x - m)) + m - x), with m = max x so that
 * nothing overflows. Where `gradient` is not NULL, (softmax(x) * sum of targets - target) * scale / total is added to
 * it.
 */
static double one_image(const resattn_cross_entropy *loss, const float *logits, int64_t classes, int32_t label,
                        double total, float *gradient)
{
    double most = (double)logits[largest(logits, classes)], sum = 0, targets = 0, value = 0;
    for (int64_t c = 0; c < classes; c++)
        sum += exp((double)logits[c] - most);
    double level = log(sum) + most; /* cppcheck-suppress invalidFunctionArg; the largest has added 1 */
    for (int64_t c = 0; c < classes; c++) {
        double target = target_of(loss, c, classes, label);
        targets += target;
        if (target > 0) /* the loss of other classes may be infinite */
            value += target * (level - (double)logits[c]);
    }
    for (int64_t c = 0; gradient && c < classes; c++) {
        double difference = exp((double)logits[c] - most) / sum * targets - target_of(loss, c, classes, label);
        gradient[c] += (float)(difference * loss->gradient_scale / total);
    }
    return value;
}

/* What the losses of the images are divided by: what they weigh together, and 1 where that is nothing. */
static double total_weight(const resattn_cross_entropy *loss, const int32_t *labels, int32_t count)
{
    double total = 0;
    for (int32_t i = 0; i < count; i++)
        total += weight_of(loss, labels[i]);
    return total > 0 ? total : 1;
}

static resattn_status apply(const resattn_cross_entropy *loss, resattn_session *session, const char *name,
                            const int32_t *labels, int32_t count, double *value, int32_t *correct)
{
    if (!session || !labels)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "cross entropy: %s is NULL", session ? "labels" : "session");
    const resattn_tensor *output = resattn_session_output(session, name);
    if (!output)
        return resattn_last_status();
    int64_t classes = output->shape[1];
    resattn_status status = check(output, name, labels, count);
    if (status != RESATTN_OK)
        return status;
    if (loss->weights && loss->weight_count != classes)
        return ra_fail(RESATTN_SHAPE_MISMATCH, "cross entropy: %d class weights, %.200s has %lld classes",
                       loss->weight_count, name ? name : "the output", (long long)classes);

    float *gradient;
    if (!ra_session_gradient_sum(session, name, &gradient))
        return resattn_last_status();
    const float *logits = output->data;
    int32_t hits = 0;
    ra_fpmode mode;
    ra_fpmode_enter(&mode);
    double sum = 0, total = total_weight(loss, labels, count);
    for (int32_t i = 0; i < count; i++) {
        const float *row = logits + i * classes;
        sum += one_image(loss, row, classes, labels[i], total, gradient ? gradient + i * classes : NULL);
        hits += largest(row, classes) == labels[i];
    }
    if (value)
        *value = sum / total;
    ra_fpmode_leave(&mode);
    if (correct)
        *correct = hits;
    return RESATTN_OK;
}

resattn_status resattn_softmax_cross_entropy(resattn_session *session, const int32_t *labels, int32_t count,
                                             double *loss, int32_t *correct)
{
    return apply(&plain, session, NULL, labels, count, loss, correct);
}

/* ---- with options ---- */

resattn_cross_entropy *resattn_cross_entropy_new(resattn_context *context)
{
    if (!context)
        return ra_fail_null(RESATTN_INVALID_ARGUMENT, "cross entropy: context is NULL");
    resattn_cross_entropy *loss = ra_alloc(context, 1, sizeof *loss);
    if (!loss)
        return NULL;
    *loss = plain;
    loss->context = resattn_context_ref(context);
    return loss;
}

void resattn_cross_entropy_free(resattn_cross_entropy *loss)
{
    if (!loss)
        return;
    resattn_context *context = loss->context;
    ra_free(context, loss->weights);
    ra_free(context, loss);
    resattn_context_unref(context);
}

typedef struct setting {
    const char *name;
    size_t offset;
    double largest;
} setting;

static const setting settings[] = {
    {"label_smoothing", offsetof(resattn_cross_entropy, label_smoothing), 1},
    {"gradient_scale", offsetof(resattn_cross_entropy, gradient_scale), 1e6},
};

/* NULL with the error recorded. */
static const setting *find_setting(const resattn_cross_entropy *loss, const char *attribute)
{
    if (!loss || !attribute)
        return ra_fail_null(RESATTN_INVALID_ARGUMENT, "cross entropy: %s is NULL", loss ? "attribute" : "loss");
    for (int32_t i = 0; i < RA_COUNT(settings); i++)
        if (strcmp(attribute, settings[i].name) == 0)
            return &settings[i];
    return ra_fail_null(RESATTN_NOT_FOUND,
                        "cross entropy: no attribute is called \"%.100s\", expected label_smoothing or gradient_scale",
                        attribute);
}

resattn_status resattn_cross_entropy_set_real(resattn_cross_entropy *loss, const char *attribute, double value)
{
    const setting *s = find_setting(loss, attribute);
    if (!s)
        return resattn_last_status();
    if (!ra_within(value, 0, s->largest))
        return ra_fail(RESATTN_INVALID_ARGUMENT, "cross entropy: %s is %g, expected 0 to %g", attribute, value,
                       s->largest);
    memcpy((char *)loss + s->offset, &value, sizeof value);
    return RESATTN_OK;
}

resattn_status resattn_cross_entropy_get_real(const resattn_cross_entropy *loss, const char *attribute, double *value)
{
    const setting *s = find_setting(loss, attribute);
    if (!s)
        return resattn_last_status();
    if (!value)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "cross entropy: value is NULL");
    memcpy(value, (const char *)loss + s->offset, sizeof *value);
    return RESATTN_OK;
}

resattn_status resattn_cross_entropy_set_class_weights(resattn_cross_entropy *loss, const float *weights, int32_t count)
{
    if (!loss || (!weights && count != 0))
        return ra_fail(RESATTN_INVALID_ARGUMENT, "cross entropy: %s is NULL", loss ? "weights" : "loss");
    if (count < 0)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "cross entropy: %d class weights, expected at least 0", count);
    for (int32_t c = 0; c < count; c++)
        if (!ra_within((double)weights[c], 0, FLT_MAX))
            return ra_fail(RESATTN_INVALID_ARGUMENT,
                           "cross entropy: the weight of class %d is %g, expected a number from 0", c,
                           (double)weights[c]);
    float *copy = NULL;
    if (count > 0) {
        copy = ra_alloc(loss->context, (size_t)count, sizeof *copy);
        if (!copy)
            return resattn_last_status();
        memcpy(copy, weights, (size_t)count * sizeof *copy);
    }
    ra_free(loss->context, loss->weights);
    loss->weights = copy;
    loss->weight_count = count;
    return RESATTN_OK;
}

resattn_status resattn_cross_entropy_apply(const resattn_cross_entropy *loss, resattn_session *session,
                                           const char *output, const int32_t *labels, int32_t count, double *value,
                                           int32_t *correct)
{
    if (!loss)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "cross entropy: loss is NULL");
    return apply(loss, session, output, labels, count, value, correct);
}
