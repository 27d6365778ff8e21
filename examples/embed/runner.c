/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * All work on the host's threads, instead of the library's. This host starts threads for each job, to be short; a real
 * one hands the pieces to a pool that it has. The result has the same bits as with the library's threads.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <resattn/resattn.h>

enum { WORKERS = 3, SIDE = 32, CLASSES = 10 };

/* A job of the library, and how far it is. */
typedef struct job {
    resattn_task_fn task;
    void *data;
    int32_t count;
    atomic_int next, workers;
} job;

/* Takes pieces until there are no more, under a number that no other thread of the job has. */
static void *work(void *argument)
{
    job *self = argument;
    int32_t worker = atomic_fetch_add(&self->workers, 1), i;
    while ((i = atomic_fetch_add(&self->next, 1)) < self->count)
        self->task(self->data, i, worker);
    return NULL;
}

/* A resattn_runner_fn: returns when all pieces are done. Where a thread cannot be started, the others do its part. */
static void run_job(void *user, resattn_task_fn task, void *data, int32_t count)
{
    int *jobs = user;
    pthread_t threads[WORKERS - 1];
    int started = 0;
    job self = {.task = task, .data = data, .count = count};
    while (started < WORKERS - 1 && !pthread_create(&threads[started], NULL, work, &self))
        started++;
    work(&self);
    for (int i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    ++*jobs;
}

static int answer(resattn_context *context, float logits[CLASSES])
{
    const int64_t shape[] = {1, 3, SIDE, SIDE};
    resattn_plan *plan = NULL;
    resattn_session *session = NULL;
    resattn_tensor *image = resattn_tensor_new(context, RESATTN_F32, 4, shape, RESATTN_CHANNELS_LAST);
    resattn_builder *b = image ? resattn_builder_new(context) : NULL;
    resattn_network *network =
        b ? resattn_network_new(b, resattn_model_new(b, "attention-56-cifar", CLASSES), 3) : NULL;
    int failed = !network || !(plan = resattn_plan_new(network, RESATTN_INFERENCE, 1, SIDE, SIDE)) ||
                 !(session = resattn_session_new(plan)) || resattn_tensor_fill(image, 0.25f) ||
                 resattn_session_forward(session, image) ||
                 resattn_tensor_read(resattn_session_output(session, NULL), RESATTN_CHANNELS_FIRST, logits, CLASSES);
    resattn_session_free(session);
    resattn_plan_free(plan);
    resattn_network_unref(network);
    resattn_builder_free(b);
    resattn_tensor_unref(image);
    return failed;
}

int main(void)
{
    float expected[CLASSES], got[CLASSES];
    int jobs = 0;
    resattn_context *own = resattn_context_new(2), *hosted = own ? resattn_context_new(1) : NULL;
    /* before the first session */
    int failed = !hosted || resattn_context_set_runner(hosted, run_job, &jobs, WORKERS) || answer(own, expected) ||
                 answer(hosted, got);
    if (failed)
        fprintf(stderr, "runner: %s\n", resattn_last_error());
    resattn_context_unref(hosted);
    resattn_context_unref(own);
    if (failed)
        return 1;
    int same = !memcmp(expected, got, sizeof got);
    printf("%d jobs ran on the host's %d workers\n", jobs, WORKERS);
    printf("the answers are %s\n", same ? "the same to the bit" : "NOT the same");
    return !(same && jobs > 0);
}
