/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Random calls of the public functions. Each byte chooses a call, those after it the arguments. At the end everything
 * is freed, in an order that the bytes choose too, contexts among them: what was made from one keeps it alive.
 */
#include "calls.h"

enum { LIMIT = 4 << 20, MOST_CALLS = 150, MOST_HANDLES = 64 };

/* ---- handles ---- */

resattn_context *pick_context(calls *c)
{
    return fuzz_chance(&c->in, 4) ? NULL : fuzz_chance(&c->in, 16) ? c->other : c->context;
}

void add_layer(calls *c, const resattn_builder *owner, resattn_layer *layer)
{
    if (!layer)
        return;
    uint32_t slot = fuzz_byte(&c->in) % LAYERS;
    c->layers[slot] = layer;
    c->owners[slot] = owner;
}

static bool is_inside(const resattn_layer *root, const resattn_layer *layer)
{
    if (root == layer)
        return true;
    for (int32_t i = 0; i < resattn_layer_child_count(root); i++)
        if (is_inside(resattn_layer_child(root, i), layer))
            return true;
    return false;
}

void forget_layers(calls *c, const resattn_builder *owner, const resattn_layer *root)
{
    for (int i = 0; i < LAYERS; i++)
        if (c->layers[i] && ((owner && c->owners[i] == owner) || (root && is_inside(root, c->layers[i]))))
            c->layers[i] = NULL;
}

void keep_network(calls *c, resattn_network *network)
{
    if (network && resattn_network_trainable_values(network) > MOST_VALUES) {
        resattn_network_unref(network);
        return;
    }
    if (network)
        KEEP(c, networks, resattn_network_unref, network);
}

const resattn_tensor *pick_source(calls *c)
{
    if (fuzz_chance(&c->in, 64)) {
        resattn_session *session = PICK(c, sessions);
        return resattn_session_output(session,
                                      fuzz_chance(&c->in, 64) ? pick_path(c, resattn_session_network(session)) : NULL);
    }
    return pick_target(c);
}

resattn_tensor *pick_target(calls *c)
{
    if (!fuzz_chance(&c->in, 64))
        return PICK(c, tensors);
    resattn_network *network = PICK(c, networks);
    int32_t index = fuzz_range(&c->in, 0, 15);
    return fuzz_chance(&c->in, 64) ? resattn_network_parameter_gradient(network, index)
                                   : resattn_network_parameter(network, index);
}

const char *pick_path(calls *c, const resattn_network *network)
{
    int32_t index = fuzz_range(&c->in, 0, 15);
    switch (fuzz_range(&c->in, 0, 5)) {
    case 0:
        return fuzz_name(&c->in);
    case 1:
        return "";
    case 2:
        return resattn_network_parameter_name(network, index);
    case 3:
        return resattn_attention_mask_name(resattn_network_attention(network, index % 3));
    case 4:
        return resattn_attention_trunk_name(resattn_network_attention(network, index % 3));
    default:
        return resattn_layer_path(resattn_layer_child(resattn_network_root(network), index));
    }
}

/* ---- the end ---- */

typedef struct handle {
    void *object;
    int kind;
} handle;

static void end_handle(const handle *h)
{
    switch (h->kind) {
    case 0:
        resattn_builder_free(h->object);
        break;
    case 1:
        resattn_network_unref(h->object);
        break;
    case 2:
        resattn_plan_free(h->object);
        break;
    case 3:
        resattn_session_free(h->object);
        break;
    case 4:
        resattn_tensor_unref(h->object);
        break;
    case 5:
        resattn_optimizer_free(h->object);
        break;
    case 6:
        resattn_ema_free(h->object);
        break;
    case 7:
        resattn_schedule_free(h->object);
        break;
    case 8:
        resattn_mask_loss_free(h->object);
        break;
    case 9:
        resattn_cross_entropy_free(h->object);
        break;
    case 10:
        resattn_model_config_free(h->object);
        break;
    default:
        resattn_context_unref(h->object);
        break;
    }
}

static void end_all(calls *c)
{
    handle all[MOST_HANDLES];
    uint32_t count = 0;
    for (int i = 0; i < SLOTS; i++) {
        void *objects[] = {c->builders[i],    c->networks[i],   c->plans[i],    c->sessions[i],
                           c->tensors[i],     c->optimizers[i], c->averages[i], c->schedules[i],
                           c->mask_losses[i], c->losses[i],     c->configs[i]};
        for (int kind = 0; kind < 11; kind++)
            all[count++] = (handle){objects[kind], kind};
    }
    all[count++] = (handle){c->context, 11};
    all[count++] = (handle){c->other, 11};
    while (count > 0) {
        uint32_t next = fuzz_byte(&c->in) % count;
        end_handle(&all[next]);
        all[next] = all[--count];
    }
}

static void one_call(calls *c)
{
    static const call_fn *const tables[] = {build_calls, network_calls, run_calls, tensor_calls, train_calls};
    const uint32_t counts[] = {build_call_count, network_call_count, run_call_count, tensor_call_count,
                               train_call_count};
    uint32_t table = fuzz_byte(&c->in) % 5;
    if (fuzz_chance(&c->in, 4))
        c->heap.fail_at = c->heap.calls + 1 + fuzz_range(&c->in, 0, 100);
    /* So that a failure that records nothing is seen. */
    resattn_clear_error();
    tables[table][fuzz_byte(&c->in) % counts[table]](c);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    calls c = {.in = {bytes, bytes + size}, .heap = {.limit = LIMIT}};
    c.memory = calloc(MEMORY, sizeof *c.memory);
    FUZZ_CHECK(c.memory != NULL, "no memory");
    c.context = fuzz_context_new(&c.heap, fuzz_range(&c.in, 1, 2));
    c.other = fuzz_context_new(&c.heap, 1);
    for (int i = 0; i < MOST_CALLS && c.in.at < c.in.end; i++)
        one_call(&c);
    end_all(&c);
    fuzz_context_end(&c.heap, NULL);
    FUZZ_CHECK(c.wrapped == c.released, "%lld tensors wrapped, %lld released", (long long)c.wrapped,
               (long long)c.released);
    free(c.saved.bytes);
    free(c.memory);
    return 0;
}
