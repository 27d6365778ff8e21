/* SPDX-License-Identifier: BSD-3-Clause */
/* Softmax cross entropy. */
#include <math.h>

#include "core/core.h"
#include "network/session.h"
#include "resattn/train.h"
#include "tensor/tensor.h"

static resattn_status check(const resattn_tensor *logits, const int32_t *labels, int32_t count)
{
    int64_t images = logits->shape[0], classes = logits->shape[1];
    if (logits->shape[2] != 1 || logits->shape[3] != 1)
        return ra_fail(RESATTN_SHAPE_MISMATCH, "cross entropy: the output is a map of %lld x %lld, expected one pixel",
                       (long long)logits->shape[2], (long long)logits->shape[3]);
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

/* The loss of one image, log(sum of exp(x - m)) + m - x_label with m = max x so that nothing overflows, and, where
 * `gradient` is not NULL, (softmax(x) - one at the label) / images. */
static double one_image(const float *logits, int64_t classes, int32_t label, int32_t images, float *gradient)
{
    double most = (double)logits[largest(logits, classes)], sum = 0;
    for (int64_t c = 0; c < classes; c++)
        sum += exp((double)logits[c] - most);
    for (int64_t c = 0; gradient && c < classes; c++)
        gradient[c] = (float)((exp((double)logits[c] - most) / sum - (c == label ? 1 : 0)) / images);
    return log(sum) + most - (double)logits[label];
}

resattn_status resattn_softmax_cross_entropy(resattn_session *session, const int32_t *labels, int32_t count,
                                             double *loss, int32_t *correct)
{
    if (!session || !labels)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "cross entropy: %s is NULL", session ? "labels" : "session");
    const resattn_tensor *output = resattn_session_output(session, NULL);
    if (!output)
        return resattn_last_status();
    resattn_status status = check(output, labels, count);
    if (status != RESATTN_OK)
        return status;

    float *gradient;
    if (!ra_session_gradient_buffer(session, &gradient))
        return resattn_last_status();
    int64_t classes = output->shape[1];
    const float *logits = output->data;
    double total = 0;
    int32_t hits = 0;
    ra_fpmode mode;
    ra_fpmode_enter(&mode);
    for (int32_t i = 0; i < count; i++) {
        const float *row = logits + i * classes;
        total += one_image(row, classes, labels[i], count, gradient ? gradient + i * classes : NULL);
        hits += largest(row, classes) == labels[i];
    }
    if (loss)
        *loss = total / count;
    ra_fpmode_leave(&mode);
    if (correct)
        *correct = hits;
    return RESATTN_OK;
}
