/* SPDX-License-Identifier: BSD-3-Clause */
#include "small.h"

/* A host's pool of two workers that runs everything at once. */
struct pool {
    int submitted, waited;
};

static void pool_submit(struct pool *pool, resattn_task_fn task, void *job, int32_t index)
{
    pool->submitted++;
    task(job, index, index % 2);
}

static void pool_wait(struct pool *pool)
{
    pool->waited++;
}

static int32_t pool_threads(const struct pool *pool)
{
    (void)pool;
    return 2;
}

/* block */

int main(void)
{
    struct pool pool = {0};
    resattn_context *context = resattn_context_new(1);
    MUST(!lend(context, &pool));
    resattn_network *network = shipped_network(context);
    resattn_session *session = session_of(network, RESATTN_INFERENCE, SMALL_BATCH);
    resattn_tensor *images = some_images(context, SMALL_BATCH);
    MUST(!resattn_session_forward(session, images));
    MUST(pool.submitted > 0 && pool.waited > 0);
    resattn_tensor_unref(images);
    resattn_session_free(session);
    resattn_network_unref(network);
    resattn_context_unref(context);
    return 0;
}
