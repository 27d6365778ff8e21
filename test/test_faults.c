/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every allocation of every operation is refused once: the operation answers OUT_OF_MEMORY and leaves nothing behind,
 * and the network is as it was, to the bit, for sessions that exist and for new ones.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fault_common.h"

/* Bytes that grow, of malloc(). */
typedef struct bytes {
    unsigned char *data;
    size_t size, at;
} bytes;

static int32_t put_bytes(void *user, const void *from, size_t size)
{
    bytes *b = user;
    b->data = realloc(b->data, b->size + size + 1);
    ck_assert_ptr_nonnull(b->data);
    memcpy(b->data + b->size, from, size);
    b->size += size;
    return 0;
}

static int64_t get_bytes(void *user, void *to, size_t size)
{
    bytes *b = user;
    size_t left = b->size - b->at, given = size < left ? size : left;
    memcpy(to, b->data + b->at, given);
    b->at += given;
    return (int64_t)given;
}

/* What the operations work on. */
static struct bench {
    test_heap heap;
    int nth; /* the allocation that is refused */
    resattn_context *context;
    resattn_network *network;
    resattn_session *serving, *training;
    resattn_optimizer *sgd;
    resattn_ema *average;
    resattn_tensor *input;
    bytes blob, state, weights;
    uint64_t values, served, trained; /* the network's, a session's results, a copy's values after training */
    char folder[64];
} bench;

static void arm(void)
{
    bench.heap.fail_at = atomic_load(&bench.heap.calls) + bench.nth;
}

static resattn_status disarm(resattn_status status)
{
    bench.heap.fail_at = 0;
    return status;
}

/* Two steps of a copy in sessions that keep and that recompute; its values then. */
static uint64_t train_copy(void)
{
    resattn_network *copy = resattn_network_copy(bench.network);
    resattn_optimizer *adamw = resattn_adamw_new(copy, 0.01);
    for (int32_t recompute = 0; recompute < 2; recompute++) {
        resattn_session *session = fault_session(copy, RESATTN_TRAINING, recompute);
        ck_assert_msg(fault_train(session, adamw, bench.input) == RESATTN_OK, "%s", resattn_last_error());
        resattn_session_free(session);
    }
    uint64_t hash = fault_hash_network(copy);
    resattn_optimizer_free(adamw);
    resattn_network_unref(copy);
    return hash;
}

static uint64_t serve_anew(void)
{
    resattn_session *session = fault_session(bench.network, RESATTN_INFERENCE, 0);
    uint64_t hash = fault_infer(session, bench.input);
    resattn_session_free(session);
    return hash;
}

static void set_up(void)
{
    static const char *const classes[FAULT_CLASSES] = {"a", "b", "c", "d", "e"};
    bench.context = resattn_context_new_with_allocator(1, test_heap_alloc, test_heap_free, &bench.heap);
    bench.network = fault_network(bench.context);
    ck_assert_msg(bench.network != NULL, "%s", resattn_last_error());
    ck_assert_int_eq(fault_kinds(bench.network), 23); /* lib/layers/kinds.c */
    ck_assert_int_eq(resattn_network_set_classes(bench.network, classes, FAULT_CLASSES), RESATTN_OK);
    ck_assert_int_eq(resattn_network_set_text(bench.network, "name", "faults"), RESATTN_OK);
    bench.input = fault_input(bench.context, 1);
    bench.training = fault_session(bench.network, RESATTN_TRAINING, 0);
    bench.sgd = resattn_sgd_new(bench.network, 0.01);
    bench.average = resattn_ema_new(bench.network, 0.5);
    ck_assert_int_eq(fault_train(bench.training, bench.sgd, bench.input), RESATTN_OK);
    ck_assert_int_eq(resattn_ema_update(bench.average), RESATTN_OK);
    ck_assert_int_eq(resattn_network_save_stream(bench.network, 6, put_bytes, &bench.blob), RESATTN_OK);
    ck_assert_int_eq(resattn_checkpoint_save_stream(bench.sgd, bench.average, 6, put_bytes, &bench.state), RESATTN_OK);
    resattn_status status = resattn_network_save_weights_stream(bench.network, RESATTN_F32, put_bytes, &bench.weights);
    ck_assert(status == RESATTN_OK || status == RESATTN_UNSUPPORTED);
    bench.serving = fault_session(bench.network, RESATTN_INFERENCE, 0);
    bench.values = fault_hash_network(bench.network);
    bench.served = fault_infer(bench.serving, bench.input);
    bench.trained = train_copy();
    strcpy(bench.folder, "/tmp/resattn-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(bench.folder));
    ck_assert_int_eq(chdir(bench.folder), 0);
    ck_assert_int_eq(resattn_network_save(bench.network, "blob", 6), RESATTN_OK);
    ck_assert_int_eq(resattn_checkpoint_save(bench.sgd, bench.average, "state", 6), RESATTN_OK);
}

static int files_here(void)
{
    int count = -2;
    DIR *folder = opendir(".");
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}

static void tear_down(void)
{
    remove("blob");
    remove("state");
    remove("weights");
    ck_assert_int_eq(files_here(), 0);
    ck_assert_int_eq(chdir("/"), 0);
    rmdir(bench.folder);
    resattn_ema_free(bench.average);
    resattn_optimizer_free(bench.sgd);
    resattn_session_free(bench.training);
    resattn_session_free(bench.serving);
    resattn_tensor_unref(bench.input);
    resattn_network_unref(bench.network);
    resattn_context_unref(bench.context);
    ck_assert_int_eq(atomic_load(&bench.heap.blocks), 0);
    free(bench.blob.data);
    free(bench.state.data);
    free(bench.weights.data);
}

/* ---- making things ---- */

static resattn_status context_and_session(void)
{
    resattn_context *context = NULL;
    resattn_network *network = NULL;
    resattn_session *session = NULL;
    arm();
    if ((context = resattn_context_new_with_allocator(2, test_heap_alloc, test_heap_free, &bench.heap)) != NULL &&
        (network = resattn_network_load_buffer(context, bench.blob.data, bench.blob.size)) != NULL)
        session = fault_session(network, RESATTN_INFERENCE, 0);
    resattn_status status = disarm(fault_made(session));
    if (session != NULL)
        ck_assert(fault_infer(session, bench.input) == bench.served);
    resattn_session_free(session);
    resattn_network_unref(network);
    resattn_context_unref(context);
    return status;
}

static resattn_status every_kind(void)
{
    arm();
    resattn_network *network = fault_network(bench.context);
    resattn_status status = disarm(fault_made(network));
    resattn_network_unref(network);
    return status;
}

static resattn_status named_model(void)
{
    arm();
    resattn_builder *builder = resattn_builder_new(bench.context);
    resattn_network *network = NULL;
    if (builder != NULL)
        network = resattn_network_new_zeroed(builder, resattn_model_new(builder, "resnet-20-cifar", 10), 3);
    resattn_status status = disarm(fault_made(network));
    resattn_builder_free(builder);
    resattn_network_unref(network);
    return status;
}

static resattn_status configured_model(void)
{
    arm();
    resattn_model_config *config = resattn_model_config_new(bench.context, "attention-56-cifar");
    resattn_builder *builder = config != NULL ? resattn_builder_new(bench.context) : NULL;
    resattn_network *network = NULL;
    if (builder != NULL && resattn_model_config_set_int(config, "width1", 4) == RESATTN_OK &&
        resattn_model_config_set_int(config, "modules3", 0) == RESATTN_OK)
        network = resattn_network_new_zeroed(builder, resattn_model_config_build(config, builder, 3), 3);
    resattn_status status = disarm(fault_made(network));
    resattn_builder_free(builder);
    resattn_model_config_free(config);
    resattn_network_unref(network);
    return status;
}

static resattn_status copy(void)
{
    arm();
    resattn_network *other = resattn_network_copy(bench.network);
    resattn_status status = disarm(fault_made(other));
    ck_assert(other == NULL || fault_hash_network(other) == bench.values);
    resattn_network_unref(other);
    return status;
}

static resattn_status plan(void)
{
    resattn_status status = RESATTN_OK;
    arm();
    for (int32_t way = 0; status == RESATTN_OK && way < 3; way++) {
        resattn_plan *p = resattn_plan_new(bench.network, way ? RESATTN_TRAINING : RESATTN_INFERENCE, FAULT_BATCH,
                                           FAULT_SIDE, FAULT_SIDE);
        if (p == NULL || resattn_plan_add_output(p, "spatial.mask") != RESATTN_OK ||
            (way && resattn_plan_set_recomputation(p, way - 1) != RESATTN_OK) || resattn_plan_memory(p) < 0)
            status = resattn_last_status();
        resattn_plan_free(p);
    }
    return disarm(status);
}

/* The values count as changed, so that the session makes constants of its own. */
static resattn_status inference_session(void)
{
    ck_assert_int_eq(resattn_network_touch(bench.network), RESATTN_OK);
    arm();
    resattn_session *session = fault_session(bench.network, RESATTN_INFERENCE, 0);
    resattn_status status = disarm(fault_made(session));
    ck_assert(session == NULL || fault_infer(session, bench.input) == bench.served);
    resattn_session_free(session);
    return status;
}

/* The first one of a network, which makes the gradients too. */
static resattn_status new_training(int32_t recompute)
{
    resattn_network *other = resattn_network_copy(bench.network);
    arm();
    resattn_session *session = fault_session(other, RESATTN_TRAINING, recompute);
    resattn_status status = disarm(fault_made(session));
    ck_assert(session == NULL || fault_train(session, NULL, bench.input) == RESATTN_OK);
    resattn_session_free(session);
    resattn_network_unref(other);
    return status;
}

static resattn_status training_session(void)
{
    return new_training(0);
}

static resattn_status recomputing_session(void)
{
    return new_training(1);
}

static resattn_status refresh(void)
{
    ck_assert_int_eq(resattn_network_touch(bench.network), RESATTN_OK);
    arm();
    return disarm(resattn_session_refresh(bench.serving));
}

static resattn_status seal(void)
{
    resattn_network *other = resattn_network_copy(bench.network);
    resattn_session *session = fault_session(other, RESATTN_INFERENCE, 0);
    arm();
    resattn_status status = disarm(resattn_network_seal(other));
    ck_assert_int_eq(resattn_network_is_sealed(other), status == RESATTN_OK);
    ck_assert(fault_infer(session, bench.input) == bench.served);
    ck_assert(status == RESATTN_OK || fault_hash_network(other) == bench.values);
    resattn_session_free(session);
    resattn_network_unref(other);
    return status;
}

static resattn_status sealed_session(void)
{
    resattn_network *other = resattn_network_copy(bench.network);
    resattn_session *first = fault_session(other, RESATTN_INFERENCE, 0);
    ck_assert_int_eq(resattn_network_seal(other), RESATTN_OK);
    arm();
    resattn_session *second = fault_session(other, RESATTN_INFERENCE, 0);
    resattn_status status = disarm(fault_made(second));
    ck_assert(second == NULL || fault_infer(second, bench.input) == bench.served);
    ck_assert(fault_infer(first, bench.input) == bench.served);
    resattn_session_free(second);
    resattn_session_free(first);
    resattn_network_unref(other);
    return status;
}

static resattn_status tensors(void)
{
    static unsigned char pixels[4 * 4 * 3];
    int64_t shape[4] = {1, 3, 4, 4}, begin[4] = {0, 1, 0, 0}, size[4] = {1, 2, 4, 4};
    resattn_tensor *whole = NULL, *part = NULL, *picture = NULL;
    arm();
    if ((whole = resattn_tensor_new(bench.context, RESATTN_F32, 4, shape, RESATTN_CHANNELS_FIRST)) != NULL &&
        (part = resattn_tensor_view(whole, begin, size)) != NULL)
        picture = resattn_tensor_wrap_pixels(bench.context, RESATTN_PIXEL_RGB, 4, 4, 12, pixels, NULL, NULL);
    resattn_status status = disarm(fault_made(picture));
    resattn_tensor_unref(picture);
    resattn_tensor_unref(part);
    resattn_tensor_unref(whole);
    return status;
}

static resattn_status texts_and_classes(void)
{
    static const char *const names[FAULT_CLASSES] = {"v", "w", "x", "y", "z"};
    resattn_network *other = resattn_network_copy(bench.network);
    arm();
    resattn_status status = resattn_network_set_classes(other, names, FAULT_CLASSES);
    ck_assert_str_eq(resattn_network_class_name(other, 0), status == RESATTN_OK ? "v" : "a");
    if (status == RESATTN_OK)
        status = resattn_network_set_text(other, "name", "another");
    ck_assert_str_eq(resattn_network_text(other, "name"), status == RESATTN_OK ? "another" : "faults");
    if (status == RESATTN_OK)
        status = resattn_network_set_text(other, "license", "none");
    disarm(status);
    resattn_network_unref(other);
    return status;
}

/* ---- training ---- */

static resattn_status trainers(void)
{
    static const float weights[FAULT_CLASSES] = {1, 2, 3, 4, 5};
    static const int64_t milestones[2] = {10, 20};
    resattn_optimizer *sgd = NULL, *adamw = NULL;
    resattn_ema *average = NULL;
    resattn_cross_entropy *loss = NULL;
    resattn_mask_loss *mask_loss = NULL;
    resattn_schedule *schedule = NULL;
    arm();
    resattn_status status = RESATTN_OUT_OF_MEMORY;
    if ((sgd = resattn_sgd_new(bench.network, 0.1)) != NULL &&
        resattn_optimizer_set_factor(sgd, "last", "rate", 0.5) == RESATTN_OK &&
        (adamw = resattn_adamw_new(bench.network, 0.1)) != NULL &&
        (average = resattn_ema_new(bench.network, 0.9)) != NULL &&
        (loss = resattn_cross_entropy_new(bench.context)) != NULL &&
        resattn_cross_entropy_set_class_weights(loss, weights, FAULT_CLASSES) == RESATTN_OK &&
        (mask_loss = resattn_mask_loss_new(bench.context, RESATTN_MASK_LOSS_DICE)) != NULL &&
        (schedule = resattn_step_schedule_new(bench.context, 0.1, 0.1, milestones, 2)) != NULL)
        status = RESATTN_OK;
    else
        status = resattn_last_status();
    disarm(status);
    resattn_schedule_free(schedule);
    resattn_mask_loss_free(mask_loss);
    resattn_cross_entropy_free(loss);
    resattn_ema_free(average);
    resattn_optimizer_free(adamw);
    resattn_optimizer_free(sgd);
    return status;
}

/* Allocates nothing: there is no first refusal. */
static resattn_status steps(void)
{
    resattn_network *other = resattn_network_copy(bench.network);
    resattn_session *session = fault_session(other, RESATTN_TRAINING, 1);
    resattn_optimizer *sgd = resattn_sgd_new(other, 0.01), *adamw = resattn_adamw_new(other, 0.01);
    resattn_ema *average = resattn_ema_new(other, 0.5);
    ck_assert(session && sgd && adamw && average);
    ck_assert_int_eq(resattn_optimizer_set_real(sgd, "clip_norm", 0.1), RESATTN_OK);
    int calls = atomic_load(&bench.heap.calls);
    arm();
    resattn_status status = fault_train(session, sgd, bench.input);
    status = status != RESATTN_OK ? status : fault_train(session, adamw, bench.input);
    status = status != RESATTN_OK ? status : resattn_ema_update(average);
    status = status != RESATTN_OK ? status : resattn_ema_swap(average);
    status = status != RESATTN_OK ? status : resattn_session_forward(bench.serving, bench.input);
    disarm(status);
    ck_assert_int_eq(atomic_load(&bench.heap.calls), calls);
    resattn_ema_free(average);
    resattn_optimizer_free(adamw);
    resattn_optimizer_free(sgd);
    resattn_session_free(session);
    resattn_network_unref(other);
    return status;
}

/* ---- files ---- */

static resattn_status save_all_forms(void)
{
    void *whole = NULL;
    size_t size = 1;
    bytes stream = {0};
    arm();
    resattn_status status = resattn_network_save_buffer(bench.network, 6, &whole, &size);
    ck_assert(status == RESATTN_OK || (whole == NULL && size == 0));
    if (status == RESATTN_OK)
        status = resattn_network_save_stream(bench.network, 6, put_bytes, &stream);
    if (status == RESATTN_OK)
        status = resattn_network_save(bench.network, "blob", 6);
    disarm(status);
    if (status == RESATTN_OK) {
        ck_assert_uint_eq(size, bench.blob.size);
        ck_assert_mem_eq(whole, bench.blob.data, size);
        ck_assert_mem_eq(stream.data, bench.blob.data, size);
    }
    resattn_buffer_free(whole);
    free(stream.data);
    return status;
}

static resattn_status load_all_forms(void)
{
    resattn_status status = RESATTN_OK;
    arm();
    for (int way = 0; status == RESATTN_OK && way < 3; way++) {
        bytes stream = {bench.blob.data, bench.blob.size, 0};
        resattn_network *loaded = way == 0 ? resattn_network_load(bench.context, "blob")
                                  : way == 1
                                      ? resattn_network_load_stream(bench.context, get_bytes, &stream)
                                      : resattn_network_load_buffer(bench.context, bench.blob.data, bench.blob.size);
        status = fault_made(loaded);
        ck_assert(loaded == NULL || fault_hash_network(loaded) == bench.values);
        resattn_network_unref(loaded);
    }
    return disarm(status);
}

static resattn_status checkpoint_save(void)
{
    bytes stream = {0};
    arm();
    resattn_status status = resattn_checkpoint_save(bench.sgd, bench.average, "state", 6);
    if (status == RESATTN_OK)
        status = resattn_checkpoint_save_stream(bench.sgd, bench.average, 6, put_bytes, &stream);
    disarm(status);
    if (status == RESATTN_OK)
        ck_assert_mem_eq(stream.data, bench.state.data, bench.state.size);
    free(stream.data);
    return status;
}

static resattn_status checkpoint_load(void)
{
    resattn_network *network;
    resattn_optimizer *optimizer;
    resattn_ema *average;
    arm();
    resattn_status status = disarm(resattn_checkpoint_load(bench.context, "state", &network, &optimizer, &average));
    ck_assert(status == RESATTN_OK || (network == NULL && optimizer == NULL && average == NULL));
    ck_assert(status != RESATTN_OK || fault_hash_network(network) == bench.values);
    resattn_ema_free(average);
    resattn_optimizer_free(optimizer);
    resattn_network_unref(network);
    return status;
}

static resattn_status checkpoint_restore(void)
{
    arm();
    return disarm(resattn_checkpoint_restore(bench.sgd, bench.average, "state"));
}

static resattn_status weights_save(void)
{
    arm();
    return disarm(resattn_network_save_weights(bench.network, "weights", RESATTN_F32));
}

static resattn_status weights_load(void)
{
    resattn_weights_report *report = NULL;
    arm();
    resattn_status status = disarm(resattn_network_load_weights_buffer(
        bench.network, bench.weights.data, bench.weights.size, NULL, RESATTN_WEIGHTS_STRICT, &report));
    resattn_weights_report_free(report);
    return status;
}

/* ---- all of them ---- */

static const struct operation {
    const char *name;
    resattn_status (*run)(void);
    int fewest; /* allocations that it makes at the least */
} operations[] = {
    {"context and first session", context_and_session, 50},
    {"network of every kind of layer", every_kind, 50},
    {"named model", named_model, 50},
    {"configured model", configured_model, 50},
    {"copy", copy, 20},
    {"plans", plan, 10},
    {"inference session", inference_session, 10},
    {"training session", training_session, 10},
    {"training session that recomputes", recomputing_session, 10},
    {"refresh", refresh, 1},
    {"seal", seal, 0},
    {"session of a sealed network", sealed_session, 5},
    {"tensors", tensors, 3},
    {"texts and classes", texts_and_classes, 5},
    {"optimizers, average, losses, schedule", trainers, 8},
    {"training steps and inference", steps, 0},
    {"save", save_all_forms, 10}, /* zlib's too */
    {"load", load_all_forms, 50},
    {"checkpoint save", checkpoint_save, 10},
    {"checkpoint load", checkpoint_load, 50},
    {"checkpoint restore", checkpoint_restore, 5},
    {"weights save", weights_save, 3},
    {"weights load", weights_load, 3},
};

START_TEST(test_every_refusal)
{
    const struct operation *o = &operations[_i];
    resattn_status status = RESATTN_OUT_OF_MEMORY;
    for (bench.nth = 1; status == RESATTN_OUT_OF_MEMORY; bench.nth++) {
        int blocks = atomic_load(&bench.heap.blocks);
        resattn_clear_error();
        status = o->run();
        ck_assert_msg(status == RESATTN_OK || status == RESATTN_OUT_OF_MEMORY || status == RESATTN_UNSUPPORTED,
                      "%s, allocation %d: %d, %s", o->name, bench.nth, (int)status, resattn_last_error());
        if (status == RESATTN_OUT_OF_MEMORY)
            test_expect_error(status, "out of memory");
        int more = atomic_load(&bench.heap.blocks) - blocks;
        ck_assert_msg(more == 0 || o->run == refresh, "%s, allocation %d: %d blocks more", o->name, bench.nth, more);
        ck_assert_msg(fault_hash_network(bench.network) == bench.values, "%s, allocation %d: other values", o->name,
                      bench.nth);
        ck_assert_msg(fault_infer(bench.serving, bench.input) == bench.served, "%s, allocation %d: other results",
                      o->name, bench.nth);
    }
    if (status == RESATTN_OK)
        ck_assert_msg(bench.nth - 2 >= o->fewest, "%s: only %d allocations", o->name, bench.nth - 2);
    ck_assert(serve_anew() == bench.served);
    ck_assert(train_copy() == bench.trained);
    ck_assert_int_le(files_here(), 3);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("faults");
    TCase *tests = tcase_create("memory");
    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_loop_test(tests, test_every_refusal, 0, (int)(sizeof operations / sizeof operations[0]));
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
