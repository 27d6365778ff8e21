/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Inference from many threads: they share one network, and each has a session of its own. The context has one thread,
 * so that a request is computed by the thread that makes it; answers have the same bits wherever they are computed.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <resattn/resattn.h>

enum { THREADS = 8, REQUESTS = 5, SIDE = 32, CLASSES = 10 };

/* What a thread is given, and gives back. */
typedef struct client {
    resattn_network *network;
    float answer[CLASSES];
    char error[200]; /* resattn_last_error() is the calling thread's own */
} client;

static int ask(resattn_session *session, resattn_tensor *image, float *answer)
{
    for (int i = 0; i < REQUESTS; i++)
        if (resattn_tensor_fill(image, 0.25f) || resattn_session_forward(session, image) ||
            resattn_tensor_read(resattn_session_output(session, NULL), RESATTN_CHANNELS_FIRST, answer, CLASSES))
            return -1;
    return 0;
}

static void *serve(void *argument)
{
    client *self = argument;
    const int64_t shape[] = {1, 3, SIDE, SIDE};
    resattn_tensor *image = NULL;
    resattn_session *session = NULL;
    resattn_plan *plan = resattn_plan_new(self->network, RESATTN_INFERENCE, 1, SIDE, SIDE);
    if (!plan || !(session = resattn_session_new(plan)) ||
        !(image = resattn_tensor_new(resattn_network_context(self->network), RESATTN_F32, 4, shape,
                                     RESATTN_CHANNELS_FIRST)) ||
        ask(session, image, self->answer))
        snprintf(self->error, sizeof self->error, "%s", resattn_last_error());
    resattn_tensor_unref(image);
    resattn_session_free(session);
    resattn_plan_free(plan);
    return NULL;
}

/* Whether all threads gave the same answer. */
static int run(resattn_network *network)
{
    static client clients[THREADS];
    pthread_t threads[THREADS];
    int started = 0, same = 1;
    for (; started < THREADS; started++) {
        clients[started].network = network;
        if (pthread_create(&threads[started], NULL, serve, &clients[started]))
            break;
    }
    for (int i = 0; i < started; i++) {
        pthread_join(threads[i], NULL);
        if (clients[i].error[0])
            fprintf(stderr, "thread %d: %s\n", i, clients[i].error);
        same = same && !clients[i].error[0] && !memcmp(clients[i].answer, clients[0].answer, sizeof clients[i].answer);
    }
    printf("%d threads, %d requests each: the answers are %s\n", started, REQUESTS,
           same ? "the same to the bit" : "NOT the same");
    return started == THREADS && same;
}

int main(void)
{
    resattn_context *context = resattn_context_new(1);
    resattn_builder *b = context ? resattn_builder_new(context) : NULL;
    resattn_network *network =
        b ? resattn_network_new(b, resattn_model_new(b, "attention-56-cifar", CLASSES), 3) : NULL;
    resattn_builder_free(b);
    if (!network)
        fprintf(stderr, "threads: %s\n", resattn_last_error());
    int good = network && run(network);
    resattn_network_unref(network);
    resattn_context_unref(context);
    return !good;
}
