/* SPDX-License-Identifier: BSD-3-Clause */
#include <pthread.h>

#include "small.h"

static resattn_tensor *request;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int requests = 8, answers;

static int next_image(void)
{
    pthread_mutex_lock(&lock);
    int more = requests-- > 0;
    pthread_mutex_unlock(&lock);
    return more;
}

static const resattn_tensor *image(void)
{
    return request;
}

static void answer(const resattn_tensor *logits)
{
    pthread_mutex_lock(&lock);
    answers += logits != NULL;
    pthread_mutex_unlock(&lock);
}

/* block */

int main(void)
{
    resattn_context *context = resattn_context_new(1);
    resattn_network *network = shipped_network(context);
    request = some_images(context, 1);
    resattn_plan *plan = resattn_plan_new(network, RESATTN_INFERENCE, 1, SMALL_SIDE, SMALL_SIDE);
    MUST(plan);
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        MUST(pthread_create(&threads[i], NULL, serve, plan) == 0);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    MUST(answers == 8);
    resattn_plan_free(plan);
    resattn_tensor_unref(request);
    resattn_network_unref(network);
    resattn_context_unref(context);
    return 0;
}
