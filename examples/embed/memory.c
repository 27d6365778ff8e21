/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Saves a network to memory and loads it from there: for hosts that keep models in a database, an archive, or the
 * program itself. The copy answers with the same bits.
 */
#include <stdio.h>
#include <string.h>

#include <resattn/resattn.h>

enum { SIDE = 32, CLASSES = 3 };

static const char *const classes[CLASSES] = {"circle", "square", "star"};

static int answer(resattn_network *network, float logits[CLASSES])
{
    const int64_t shape[] = {1, 3, SIDE, SIDE};
    resattn_session *session = NULL;
    resattn_tensor *image = NULL;
    resattn_plan *plan = resattn_plan_new(network, RESATTN_INFERENCE, 1, SIDE, SIDE);
    int failed =
        !plan || !(session = resattn_session_new(plan)) ||
        !(image = resattn_tensor_new(resattn_network_context(network), RESATTN_F32, 4, shape, RESATTN_CHANNELS_LAST)) ||
        resattn_tensor_fill(image, 0.5f) || resattn_session_forward(session, image) ||
        resattn_tensor_read(resattn_session_output(session, NULL), RESATTN_CHANNELS_FIRST, logits, CLASSES);
    resattn_tensor_unref(image);
    resattn_session_free(session);
    resattn_plan_free(plan);
    return failed;
}

/* What belongs to the model goes into the bytes too. */
static resattn_network *make(resattn_context *context)
{
    resattn_builder *b = resattn_builder_new(context);
    resattn_network *network =
        b ? resattn_network_new(b, resattn_model_new(b, "attention-56-cifar", CLASSES), 3) : NULL;
    resattn_builder_free(b);
    if (network && (resattn_network_set_classes(network, classes, CLASSES) ||
                    resattn_network_set_text(network, "name", "an example"))) {
        resattn_network_unref(network);
        network = NULL;
    }
    return network;
}

int main(void)
{
    void *bytes = NULL;
    size_t size = 0;
    float expected[CLASSES], got[CLASSES];
    resattn_network *original = NULL, *copy = NULL;
    resattn_context *context = resattn_context_new(0);
    int good = context && (original = make(context)) && !answer(original, expected) &&
               !resattn_network_save_buffer(original, RESATTN_DEFAULT_LEVEL, &bytes, &size) &&
               (copy = resattn_network_load_buffer(context, bytes, size)) && !answer(copy, got);
    if (!good) {
        fprintf(stderr, "memory: %s\n", resattn_last_error());
    } else {
        good = !memcmp(expected, got, sizeof got) && !strcmp(resattn_network_class_name(copy, 2), classes[2]);
        printf("%lld parameters in %zu bytes\n", (long long)resattn_network_trainable_values(original), size);
        printf("loaded: \"%s\", class 2 is \"%s\"; the answers are %s\n", resattn_network_text(copy, "name"),
               resattn_network_class_name(copy, 2), good ? "the same to the bit" : "NOT the same");
    }
    resattn_buffer_free(bytes);
    resattn_network_unref(copy);
    resattn_network_unref(original);
    resattn_context_unref(context);
    return !good;
}
