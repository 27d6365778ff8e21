/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Classifies pictures of any size.
 */
#include "classifier.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "errors.h"
#include "open_session.h"

static int ends_with_softmax(const resattn_layer *layer)
{
    while (strcmp(resattn_layer_kind(layer), "sequential") == 0)
        layer = resattn_layer_child(layer, resattn_layer_child_count(layer) - 1);
    return strcmp(resattn_layer_kind(layer), "softmax") == 0;
}

static int open_classifier(struct classifier *classifier, resattn_network *network, int32_t capacity,
                           int32_t short_side, int32_t side, int with_masks)
{
    memset(classifier, 0, sizeof *classifier);
    classifier->classes = resattn_network_out_channels(network);
    classifier->short_side = short_side;
    classifier->softmaxed = ends_with_softmax(resattn_network_root(network));
    classifier->probabilities = calloc((size_t)capacity * (size_t)classifier->classes, sizeof(float));
    int result = classifier->probabilities ? 0 : complain("no memory for %d answers", (int)capacity);
    if (!result && !(classifier->session =
                         open_session(network, RESATTN_INFERENCE, capacity, side, with_masks ? SESSION_MASKS : 0)))
        result = -1;
    if (!result)
        result = batch_init(&classifier->batch, resattn_network_context(network), capacity, side);
    if (result)
        classifier_close(classifier);
    return result;
}

int classifier_open(struct classifier *classifier, resattn_network *network, int32_t capacity, int32_t short_side,
                    int32_t side)
{
    return open_classifier(classifier, network, capacity, short_side, side, 0);
}

int classifier_open_with_masks(struct classifier *classifier, resattn_network *network, int32_t capacity,
                               int32_t short_side, int32_t side)
{
    return open_classifier(classifier, network, capacity, short_side, side, 1);
}

void classifier_close(struct classifier *classifier)
{
    batch_free(&classifier->batch);
    resattn_session_free(classifier->session);
    free(classifier->probabilities);
    memset(classifier, 0, sizeof *classifier);
}

int classifier_put_bitmap(struct classifier *classifier, int32_t place, const struct bitmap *bitmap)
{
    struct batch *batch = &classifier->batch;
    return bitmap_fit(bitmap, classifier->short_side, batch->side, batch_pixels(batch, place));
}

int classifier_put(struct classifier *classifier, int32_t place, const char *path)
{
    struct bitmap bitmap;
    if (bitmap_read(&bitmap, path))
        return -1;
    int result = classifier_put_bitmap(classifier, place, &bitmap);
    bitmap_free(&bitmap);
    return result;
}

static void softmax(float *values, int32_t count)
{
    float largest = values[0];
    double sum = 0;
    for (int32_t i = 1; i < count; i++)
        largest = fmaxf(largest, values[i]);
    for (int32_t i = 0; i < count; i++)
        sum += exp((double)values[i] - largest);
    for (int32_t i = 0; i < count; i++)
        values[i] = (float)(exp((double)values[i] - largest) / sum);
}

int classifier_run(struct classifier *classifier, int32_t count)
{
    const resattn_tensor *input = batch_tensor(&classifier->batch, count);
    if (!input)
        return -1;
    if (resattn_session_forward(classifier->session, input) ||
        resattn_tensor_read(resattn_session_output(classifier->session, NULL), RESATTN_CHANNELS_FIRST,
                            classifier->probabilities, (int64_t)count * classifier->classes))
        return complain_library();
    for (int32_t i = 0; i < count && !classifier->softmaxed; i++)
        softmax(classifier->probabilities + (size_t)i * (size_t)classifier->classes, classifier->classes);
    return 0;
}
