/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Inference over a set of images.
 */
#include "evaluate.h"

#include <stdlib.h>
#include <string.h>

#include "batch.h"
#include "errors.h"

enum { BATCH = 50 };

void answers_free(struct answers *answers)
{
    for (int32_t i = 0; i < answers->modules && answers->masks; i++)
        free(answers->masks[i].values);
    free(answers->masks);
    free(answers->logits);
    memset(answers, 0, sizeof *answers);
}

static const char *mask_name(const resattn_network *network, int32_t module)
{
    return resattn_attention_mask_name(resattn_network_attention(network, module));
}

/* A plan says what a session will be asked for; masks are not kept unless it does. */
static resattn_session *new_session(resattn_network *network, int32_t side, int32_t modules)
{
    resattn_plan *plan = resattn_plan_new(network, RESATTN_INFERENCE, BATCH, side, side);
    resattn_status status = plan ? RESATTN_OK : RESATTN_INVALID_ARGUMENT;
    for (int32_t i = 0; i < modules && !status; i++)
        status = resattn_plan_add_output(plan, mask_name(network, i));
    resattn_session *session = status ? NULL : resattn_session_new(plan);
    resattn_plan_free(plan);
    return session;
}

/* The mean over the channels of each pixel of `n` masks. */
static int read_mask(struct module_masks *masks, const resattn_tensor *mask, int32_t first, int32_t count)
{
    int64_t channels = resattn_tensor_size(mask, 1);
    masks->height = (int32_t)resattn_tensor_size(mask, 2);
    masks->width = (int32_t)resattn_tensor_size(mask, 3);
    size_t map = (size_t)masks->height * (size_t)masks->width;
    size_t elements = (size_t)resattn_tensor_elements(mask);
    if (!masks->values)
        masks->values = calloc((size_t)count * map, sizeof *masks->values);
    float *all = calloc(elements, sizeof *all);
    if (!masks->values || !all) {
        free(all);
        return complain("no memory for masks");
    }
    int result = resattn_tensor_read(mask, RESATTN_CHANNELS_LAST, all, (int64_t)elements) ? complain_library() : 0;
    float *target = masks->values + (size_t)first * map;
    for (size_t i = 0; i < elements / (size_t)channels; i++) {
        double sum = 0;
        for (int64_t c = 0; c < channels; c++)
            sum += all[(int64_t)i * channels + c];
        target[i] = (float)(sum / (double)channels);
    }
    free(all);
    return result;
}

static int run_batch(struct answers *answers, resattn_session *session, struct batch *batch,
                     const struct images *images, int32_t first)
{
    int32_t n = answers->count - first < BATCH ? answers->count - first : BATCH;
    for (int32_t i = 0; i < n; i++)
        batch_put(batch, i, images, first + i, 0, 0, 0);
    const resattn_tensor *input = batch_tensor(batch, n);
    if (!input)
        return -1;
    if (resattn_session_forward(session, input) ||
        resattn_tensor_read(resattn_session_output(session, NULL), RESATTN_CHANNELS_FIRST,
                            answers->logits + (size_t)first * (size_t)answers->classes, (int64_t)n * answers->classes))
        return complain_library();
    for (int32_t i = 0; i < answers->modules; i++) {
        const char *name = mask_name(resattn_session_network(session), i);
        const resattn_tensor *mask = resattn_session_output(session, name);
        if (!mask)
            return complain_library();
        if (read_mask(&answers->masks[i], mask, first, answers->count))
            return -1;
    }
    return 0;
}

int evaluate(struct answers *answers, resattn_network *network, const struct images *images, int32_t count,
             int32_t side, int with_masks)
{
    memset(answers, 0, sizeof *answers);
    answers->count = count < images->count ? count : images->count;
    answers->classes = resattn_network_out_channels(network);
    answers->modules = with_masks ? resattn_network_attention_count(network) : 0;
    answers->logits = calloc((size_t)answers->count * (size_t)answers->classes, sizeof *answers->logits);
    answers->masks = calloc((size_t)answers->modules + 1, sizeof *answers->masks);
    struct batch batch = {0};
    resattn_session *session = NULL;
    int result = 0;
    if (!answers->logits || !answers->masks)
        result = complain("no memory for the answers about %d images", (int)answers->count);
    if (!result)
        result = batch_init(&batch, resattn_network_context(network), BATCH, side);
    if (!result && !(session = new_session(network, side, answers->modules)))
        result = complain_library();
    for (int32_t first = 0; first < answers->count && !result; first += BATCH)
        result = run_batch(answers, session, &batch, images, first);
    resattn_session_free(session);
    batch_free(&batch);
    if (result)
        answers_free(answers);
    return result;
}

int32_t answers_class(const struct answers *answers, int32_t index)
{
    const float *logits = answers->logits + (size_t)index * (size_t)answers->classes;
    int32_t best = 0;
    for (int32_t c = 1; c < answers->classes; c++)
        if (logits[c] > logits[best])
            best = c;
    return best;
}

double answers_accuracy(const struct answers *answers, const struct images *images)
{
    int32_t correct = 0;
    for (int32_t i = 0; i < answers->count; i++)
        correct += answers_class(answers, i) == images->labels[i];
    return (double)correct / answers->count;
}
