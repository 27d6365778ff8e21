/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * All memory from the host's allocator, and messages to the host's log. The library takes memory while things are made,
 * none while they run, and gives all of it back.
 */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <resattn/resattn.h>

enum { SIDE = 32 };

/* What is out, the most that ever was, and how often memory was taken. Used by one thread here; with more, take a lock.
 */
typedef struct heap {
    size_t bytes, most, calls;
} heap;

/* Before each block, its size; as large as keeps what follows aligned. */
typedef union header {
    size_t size;
    max_align_t alignment;
} header;

static void *take(void *user, size_t size)
{
    heap *self = user;
    header *block = size <= SIZE_MAX - sizeof *block ? malloc(sizeof *block + size) : NULL;
    if (!block)
        return NULL; /* becomes RESATTN_OUT_OF_MEMORY */
    block->size = size;
    self->calls++;
    self->bytes += size;
    self->most = self->bytes > self->most ? self->bytes : self->most;
    return block + 1;
}

static void give_back(void *user, void *memory)
{
    header *block = (header *)memory - 1;
    ((heap *)user)->bytes -= block->size;
    free(block);
}

static void log_message(void *user, resattn_log_level level, const char *message)
{
    static const char *const names[] = {"", "error", "warning", "info"};
    fprintf(user, "log: %s: %s\n", level <= RESATTN_LOG_INFO ? names[level] : "other", message);
}

/* Runs a network; the number of times that running it took memory, or -1. */
static int run(resattn_context *context, const heap *h)
{
    const int64_t shape[] = {1, 3, SIDE, SIDE};
    resattn_plan *plan = NULL;
    resattn_session *session = NULL;
    resattn_tensor *image = resattn_tensor_new(context, RESATTN_F32, 4, shape, RESATTN_CHANNELS_LAST);
    resattn_builder *b = image ? resattn_builder_new(context) : NULL;
    resattn_network *network = b ? resattn_network_new(b, resattn_model_new(b, "attention-56-cifar", 10), 3) : NULL;
    int taken = -1;
    if (network && (plan = resattn_plan_new(network, RESATTN_INFERENCE, 1, SIDE, SIDE)) &&
        (session = resattn_session_new(plan))) {
        printf("a session's work memory: %lld bytes\n", (long long)resattn_plan_memory(plan));
        size_t before = h->calls;
        taken = resattn_session_forward(session, image) ? -1 : (int)(h->calls - before);
    }
    resattn_session_free(session);
    resattn_plan_free(plan);
    resattn_network_unref(network);
    resattn_builder_free(b);
    resattn_tensor_unref(image);
    return taken;
}

int main(void)
{
    heap h = {0};
    resattn_context *context = resattn_context_new_with_allocator(1, take, give_back, &h);
    int taken =
        context && !resattn_context_set_log(context, log_message, stdout, RESATTN_LOG_INFO) ? run(context, &h) : -1;
    if (taken < 0)
        fprintf(stderr, "allocator: %s\n", resattn_last_error());
    resattn_context_unref(context);
    printf("taken %zu times, %d of them while running\n", h.calls, taken);
    printf("at most %zu bytes; at the end %zu\n", h.most, h.bytes);
    return taken != 0 || h.bytes != 0;
}
