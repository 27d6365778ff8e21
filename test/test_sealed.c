/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sealed networks: they infer as before, in old and new sessions, and refuse everything that needs parameters.
 */
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common.h"
#include "small.h"
#include "wrong.h"

/* A side for each form of a 3x3 convolution: Winograd on tiles of 4x4, of 2x2, and none. */
enum { SIDE4 = 24, SIDE2 = 12, SIDE0 = 6, CHANNELS = 32 };

static test_heap heap;
static resattn_context *context;

static void set_up(void)
{
    heap = (test_heap){0};
    context = resattn_context_new_with_allocator(2, test_heap_alloc, test_heap_free, &heap);
}

/* Whatever a test did, nothing is left. */
static void tear_down(void)
{
    resattn_context_unref(context);
    ck_assert_int_eq(atomic_load(&heap.blocks), 0);
}

/* Convolutions of every form, a batch norm that is folded, one that is not, a mask and a linear layer. */
static resattn_network *new_network(resattn_context *owner)
{
    resattn_builder *b = resattn_builder_new(owner);
    resattn_layer *deep = resattn_conv2d_new(b, "depthwise", CHANNELS, 3, 1, 1), *net = resattn_sequential_new(b, NULL);
    resattn_layer_set_int(deep, "groups", CHANNELS);
    resattn_layer_add(net,
                      sequence(b, "stem", resattn_conv2d_new(b, "conv", CHANNELS, 3, 1, 1), resattn_relu_new(b, NULL)));
    resattn_layer_add(net, resattn_residual_new(b, "unit", resattn_conv2d_new(b, "conv", CHANNELS, 3, 1, 1), NULL));
    resattn_layer_add(net, sequence(b, "norm", resattn_batch_norm_new(b, "bn"), deep));
    resattn_layer_add(
        net, attention(b, "module", resattn_conv2d_new(b, "trunk_conv", CHANNELS, 3, 1, 1),
                       sequence(b, NULL, conv(b, "mask_conv", CHANNELS), resattn_batch_norm_new(b, "mask_bn"))));
    resattn_layer_add(net, sequence(b, NULL, resattn_global_average_pool_new(b, NULL), resattn_linear_new(b, "fc", 5)));
    resattn_network *network = resattn_network_new(b, net, 3);
    ck_assert_msg(network != NULL, "%s", resattn_last_error());
    resattn_builder_free(b);
    return network;
}

static resattn_plan *new_plan(resattn_network *network, int32_t side, resattn_convolution convolution)
{
    resattn_plan *plan = resattn_plan_new(network, RESATTN_INFERENCE, 2, side, side);
    ck_assert_msg(plan != NULL, "%s", resattn_last_error());
    ck_assert_int_eq(resattn_plan_set_convolution(plan, convolution), RESATTN_OK);
    return plan;
}

static resattn_session *new_session(resattn_network *network, int32_t side, resattn_convolution convolution)
{
    resattn_plan *plan = new_plan(network, side, convolution);
    resattn_session *session = resattn_session_new(plan);
    ck_assert_msg(session != NULL, "%s", resattn_last_error());
    resattn_plan_free(plan);
    return session;
}

static resattn_session *fast_session(resattn_network *network, int32_t side)
{
    return new_session(network, side, RESATTN_CONVOLUTION_FASTEST);
}

static results run(resattn_session *session, int32_t side)
{
    results r = {0};
    resattn_tensor *input = small_input(context, 2, side, side, 1);
    ck_assert_msg(resattn_session_forward(session, input) == RESATTN_OK, "%s", resattn_last_error());
    ck_assert_int_eq(results_add(&r, resattn_session_output(session, NULL)), RESATTN_OK);
    resattn_tensor_unref(input);
    return r;
}

static void seal(resattn_network *network)
{
    ck_assert_msg(resattn_network_seal(network) == RESATTN_OK, "%s", resattn_last_error());
    ck_assert_int_eq(resattn_network_is_sealed(network), 1);
}

/* What another form of convolution gives for two hundred terms a value, of networks that keep values about as large. */
static void check_close(const char *what, results got, const results *expected)
{
    double largest = 0;
    ck_assert_int_eq(got.count, expected->count);
    for (int64_t i = 0; i < got.count; i++)
        largest = fmax(largest, fabs((double)expected->values[i]));
    for (int64_t i = 0; i < got.count; i++)
        ck_assert_msg(fabs((double)got.values[i] - (double)expected->values[i]) <= 1e-5 * largest,
                      "%s: value %d is %.9g, expected %.9g", what, (int)i, (double)got.values[i],
                      (double)expected->values[i]);
    results_free(&got);
}

static void check_same(const char *what, results got, const results *expected)
{
    ck_assert(results_equal(what, &got, expected));
    results_free(&got);
}

static const char *kernel_of(const resattn_session *session, const char *name)
{
    for (int32_t i = 0; i < resattn_session_operation_count(session); i++)
        if (strcmp(resattn_session_operation_name(session, i), name) == 0)
            return resattn_session_operation_kernel(session, i);
    return "none";
}

/* ---- inference ---- */

START_TEST(test_old_and_new_sessions)
{
    resattn_network *network = new_network(context);
    ck_assert_int_eq(resattn_network_is_sealed(network), 0);
    resattn_session *old = fast_session(network, SIDE4);
    results expected = run(old, SIDE4);
    seal(network);
    check_same("the old session", run(old, SIDE4), &expected);
    resattn_session *new = fast_session(network, SIDE4);
    check_same("a new session", run(new, SIDE4), &expected);
    ck_assert_int_eq(resattn_session_refresh(old), RESATTN_OK);
    resattn_session_free(new);
    check_same("a refreshed session", run(old, SIDE4), &expected);
    resattn_session_free(old);
    new = fast_session(network, SIDE4); /* no session has kept the constants */
    check_same("a session after all others", run(new, SIDE4), &expected);
    resattn_network_unref(network); /* the session keeps it */
    check_same("a session without an owner of the network", run(new, SIDE4), &expected);
    resattn_session_free(new);
    results_free(&expected);
}
END_TEST

/* The kind of Winograd's filtering that a layer takes, "" for none. */
static const char *winograd_of(const resattn_session *session, const char *name)
{
    const char *kernel = kernel_of(session, name);
    return strncmp(kernel, "winograd", 8) == 0 ? kernel : "";
}

/* Sessions of a size for which other forms of convolution would be chosen take those that there are. */
START_TEST(test_other_sizes)
{
    static const int32_t sides[] = {SIDE4, SIDE2, SIDE0, 1, 40};
    static const char *const kernels[] = {"winograd 4x4", "winograd 2x2", ""};
    for (int32_t sealed_at = 0; sealed_at < 3; sealed_at++) {
        resattn_network *network = new_network(context), *open = new_network(context);
        resattn_session *first = fast_session(network, sides[sealed_at]);
        ck_assert_str_eq(winograd_of(first, "unit.conv"), kernels[sealed_at]);
        seal(network);
        resattn_session_free(first);
        for (int32_t i = 0; i < 5; i++) {
            resattn_session *sealed = fast_session(network, sides[i]), *again = fast_session(network, sides[i]);
            resattn_session *free_choice = fast_session(open, sides[i]);
            ck_assert_str_eq(winograd_of(sealed, "unit.conv"), kernels[sealed_at]);
            results got = run(sealed, sides[i]), expected = run(free_choice, sides[i]);
            check_same("another session", run(again, sides[i]), &got);
            if (i == sealed_at)
                check_same("the size that it was sealed at", run(sealed, sides[i]), &expected);
            check_close("another size", got, &expected);
            results_free(&expected);
            resattn_session_free(sealed);
            resattn_session_free(again);
            resattn_session_free(free_choice);
        }
        resattn_network_unref(network);
        resattn_network_unref(open);
    }
}
END_TEST

/* Whatever way of computing convolutions the constants were made for, every other finds something to take. */
START_TEST(test_other_ways)
{
    for (int32_t made = RESATTN_CONVOLUTION_FASTEST; made <= RESATTN_CONVOLUTION_REFERENCE; made++) {
        resattn_network *network = new_network(context);
        resattn_session *session = new_session(network, SIDE4, (resattn_convolution)made);
        results expected = run(session, SIDE4);
        seal(network);
        resattn_session_free(session);
        /* what a plan does not allow is not taken, even where there is nothing else */
        for (int32_t way = RESATTN_CONVOLUTION_FASTEST; way <= RESATTN_CONVOLUTION_REFERENCE; way++) {
            resattn_plan *plan = new_plan(network, SIDE4, (resattn_convolution)way);
            session = resattn_session_new(plan);
            resattn_plan_free(plan);
            ck_assert_int_eq(session != NULL, made >= way);
            if (!session) {
                ck_assert_int_eq(resattn_last_status(), RESATTN_WRONG_STATE);
                continue;
            }
            check_close("another way", run(session, SIDE4), &expected);
            resattn_session_free(session);
        }
        results_free(&expected);
        resattn_network_unref(network);
    }
}
END_TEST

/* Of two sizes, each session takes what is best for its own. */
START_TEST(test_several_forms)
{
    resattn_network *network = new_network(context);
    resattn_session *large = fast_session(network, SIDE4), *small = fast_session(network, SIDE2);
    results a = run(large, SIDE4), b = run(small, SIDE2);
    seal(network);
    resattn_session_free(large);
    resattn_session_free(small);
    large = fast_session(network, SIDE4);
    small = fast_session(network, SIDE2);
    check_same("the larger size", run(large, SIDE4), &a);
    check_same("the smaller size", run(small, SIDE2), &b);
    resattn_session_free(large);
    resattn_session_free(small);
    results_free(&a);
    results_free(&b);
    resattn_network_unref(network);
}
END_TEST

/* Outputs that need no other constants are given; where a batch norm would have to be computed apart, its parameters
 * are gone. */
START_TEST(test_outputs_of_sealed)
{
    resattn_network *network = new_network(context);
    resattn_session *session = fast_session(network, SIDE4);
    results expected = run(session, SIDE4);
    seal(network);
    resattn_plan *plan = resattn_plan_new(network, RESATTN_INFERENCE, 2, SIDE4, SIDE4);
    ck_assert_int_eq(resattn_plan_add_output(plan, "module.mask"), RESATTN_OK);
    resattn_session *with_mask = resattn_session_new(plan);
    ck_assert_msg(with_mask != NULL, "%s", resattn_last_error());
    check_same("with a mask", run(with_mask, SIDE4), &expected);
    const resattn_tensor *mask = resattn_session_output(with_mask, "module.mask");
    float *values = malloc((size_t)resattn_tensor_elements(mask) * sizeof *values);
    ck_assert_int_eq(resattn_tensor_read(mask, RESATTN_CHANNELS_FIRST, values, resattn_tensor_elements(mask)),
                     RESATTN_OK);
    for (int64_t i = 0; i < resattn_tensor_elements(mask); i++)
        ck_assert(values[i] > 0 && values[i] < 1);
    free(values);
    ck_assert_int_eq(resattn_plan_add_output(plan, "module.mask_conv"), RESATTN_OK);
    NOTHING(STATE, "module.mask_conv: the network is sealed", resattn_session_new(plan));
    check_same("after a refusal", run(session, SIDE4), &expected);
    resattn_plan_free(plan);
    resattn_session_free(with_mask);
    resattn_session_free(session);
    resattn_network_unref(network);
    results_free(&expected);
}
END_TEST

/* ---- what is refused ---- */

static int32_t write_nothing(void *user, const void *bytes, size_t size)
{
    (void)bytes;
    (void)size;
    ++*(int *)user;
    return 0;
}

static void check_saving(resattn_network *network)
{
    void *bytes = NULL;
    size_t size = 0;
    int written = 0;
    resattn_status weights = resattn_network_save_weights(network, "no/such/file", RESATTN_F32);
    if (weights != RESATTN_UNSUPPORTED) { /* a build without weights of other programs */
        REFUSED(STATE, "sealed", resattn_network_save_weights(network, "no/such/file", RESATTN_F32));
        REFUSED(STATE, "sealed", resattn_network_load_weights(network, "no/such/file", NULL, 0, NULL));
    }
    REFUSED(STATE, "sealed", resattn_network_save(network, "no/such/file", 1));
    REFUSED(STATE, "sealed", resattn_network_save_buffer(network, 1, &bytes, &size));
    REFUSED(STATE, "sealed", resattn_network_save_stream(network, 1, write_nothing, &written));
    ck_assert_ptr_null(bytes);
    ck_assert_int_eq(written, 0);
}

static void check_parameters(resattn_network *network)
{
    int32_t count = resattn_network_parameter_count(network);
    ck_assert_int_gt(count, 0);
    for (int32_t i = 0; i < count; i++) {
        NOTHING(STATE, "sealed", resattn_network_parameter(network, i));
        if (resattn_network_parameter_kind(network, i) == RESATTN_PARAMETER_TRAINABLE)
            NOTHING(STATE, "sealed", resattn_network_parameter_gradient(network, i));
        ck_assert_int_eq(resattn_network_find_parameter(network, resattn_network_parameter_name(network, i)), i);
    }
    ck_assert_int_gt(resattn_network_trainable_values(network), 0);
    REFUSED(STATE, "sealed", resattn_network_initialize(network, 1));
    REFUSED(STATE, "sealed", resattn_network_touch(network));
    REFUSED(STATE, "sealed", resattn_network_seal(network));
}

START_TEST(test_refused)
{
    const int32_t labels[2] = {0, 1};
    resattn_network *network = new_network(context);
    resattn_session *training = small_session(network, RESATTN_TRAINING, 2, SIDE4, SIDE4);
    ck_assert_ptr_null(training); /* it has no masks of those names */
    resattn_plan *plan = resattn_plan_new(network, RESATTN_TRAINING, 2, SIDE4, SIDE4);
    training = resattn_session_new(plan);
    resattn_optimizer *sgd = resattn_sgd_new(network, 0.1);
    resattn_tensor *input = small_input(context, 2, SIDE4, SIDE4, 1);
    ck_assert_int_eq(resattn_session_forward(training, input), RESATTN_OK);
    ck_assert_int_eq(resattn_softmax_cross_entropy(training, labels, 2, NULL, NULL), RESATTN_OK);
    ck_assert_int_eq(resattn_session_backward(training), RESATTN_OK);
    ck_assert_int_eq(resattn_optimizer_step(sgd), RESATTN_OK);
    ck_assert_int_eq(resattn_session_forward(training, input), RESATTN_OK);
    ck_assert_int_eq(resattn_softmax_cross_entropy(training, labels, 2, NULL, NULL), RESATTN_OK);
    resattn_session *session = fast_session(network, SIDE4);
    results expected = run(session, SIDE4);
    seal(network);
    check_parameters(network);
    check_saving(network);
    NOTHING(STATE, "sealed", resattn_session_new(plan));
    REFUSED(STATE, "sealed", resattn_session_backward(training));
    REFUSED(STATE, "sealed", resattn_session_forward(training, input));
    REFUSED(STATE, "sealed", resattn_optimizer_step(sgd));
    check_same("after all that was refused", run(session, SIDE4), &expected);
    ck_assert_int_eq(resattn_network_is_sealed(network), 1);
    results_free(&expected);
    resattn_tensor_unref(input);
    resattn_optimizer_free(sgd);
    resattn_session_free(training);
    resattn_session_free(session);
    resattn_plan_free(plan);
    resattn_network_unref(network);
}
END_TEST

/* Nothing is lost where nothing has seen the present parameters. */
START_TEST(test_unseen_parameters)
{
    resattn_network *network = new_network(context);
    REFUSED(INVALID, "NULL", resattn_network_seal(NULL));
    ck_assert_int_eq(resattn_network_is_sealed(NULL), 0);
    REFUSED(STATE, "no inference session", resattn_network_seal(network));
    resattn_session *session = fast_session(network, SIDE4);
    results before = run(session, SIDE4);
    ck_assert_int_eq(resattn_network_initialize(network, 77), RESATTN_OK);
    REFUSED(STATE, "no inference session", resattn_network_seal(network)); /* the session is of the old ones */
    ck_assert_int_eq(resattn_network_is_sealed(network), 0);
    ck_assert_ptr_nonnull(resattn_network_parameter(network, 0));
    check_same("after a refusal", run(session, SIDE4), &before);
    resattn_session *fresh = fast_session(network, SIDE4);
    results after = run(fresh, SIDE4);
    ck_assert(memcmp(after.values, before.values, (size_t)after.count * sizeof(float)) != 0);
    seal(network);
    check_same("what is older than the sealed parameters", run(session, SIDE4), &before);
    check_same("what is sealed", run(fresh, SIDE4), &after);
    ck_assert_int_eq(resattn_session_refresh(session), RESATTN_OK);
    check_same("the older session, refreshed", run(session, SIDE4), &after);
    resattn_session_free(session);
    resattn_session_free(fresh);
    REFUSED(STATE, "sealed", resattn_network_seal(network));
    results_free(&before);
    results_free(&after);
    resattn_network_unref(network);
}
END_TEST

static void look_at_all(resattn_network *network)
{
    for (int32_t i = 0; i < resattn_network_parameter_count(network); i++) {
        resattn_tensor *tensor = resattn_network_parameter(network, i);
        int64_t count = resattn_tensor_elements(tensor);
        float *values = malloc((size_t)count * sizeof *values);
        ck_assert_ptr_nonnull(values);
        ck_assert_int_eq(resattn_tensor_read(tensor, RESATTN_CHANNELS_LAST, values, count), RESATTN_OK);
        ck_assert_mem_eq(values, resattn_tensor_data(tensor), (size_t)count * sizeof *values);
        free(values);
    }
}

static int32_t blocks_of_a_session(resattn_network *network)
{
    int32_t before = atomic_load(&heap.calls);
    resattn_session_free(fast_session(network, SIDE4));
    return atomic_load(&heap.calls) - before;
}

/* A session after one that sees the same values takes no memory for constants. */
START_TEST(test_looking)
{
    resattn_network *network = new_network(context);
    resattn_session *session = fast_session(network, SIDE4);
    int32_t shared = blocks_of_a_session(network);
    look_at_all(network);
    ck_assert_int_eq(blocks_of_a_session(network), shared);
    ck_assert_ptr_nonnull(resattn_tensor_mutable_data(resattn_network_parameter(network, 0)));
    ck_assert_int_gt(blocks_of_a_session(network), shared);
    REFUSED(STATE, "no inference session", resattn_network_seal(network));
    ck_assert_int_eq(resattn_session_refresh(session), RESATTN_OK);
    look_at_all(network);
    seal(network);
    resattn_session_free(session);
    resattn_network_unref(network);
}
END_TEST

/* ---- owners of the parameters' tensors ---- */

static resattn_tensor *first_filter(resattn_network *network)
{
    resattn_tensor *tensor = resattn_network_parameter(network, 0);
    ck_assert_msg(tensor != NULL, "%s", resattn_last_error());
    ck_assert_int_eq(resattn_tensor_rank(tensor), 4);
    return tensor;
}

static void check_ended(resattn_tensor *tensor, resattn_session *session)
{
    int64_t count = resattn_tensor_elements(tensor);
    float *values = calloc((size_t)count, sizeof *values);
    resattn_tensor *other =
        resattn_tensor_new(context, RESATTN_F32, 4, resattn_tensor_shape(tensor), RESATTN_CHANNELS_LAST);
    ck_assert(values != NULL && other != NULL);
    NOTHING(STATE, "sealed", resattn_tensor_data(tensor));
    NOTHING(STATE, "sealed", resattn_tensor_mutable_data(tensor));
    NOTHING(STATE, "sealed", resattn_tensor_ref(tensor));
    NOTHING(STATE, "sealed", resattn_tensor_view(tensor, NULL, resattn_tensor_shape(tensor)));
    REFUSED(STATE, "sealed", resattn_tensor_read(tensor, RESATTN_CHANNELS_LAST, values, count));
    REFUSED(STATE, "sealed", resattn_tensor_write(tensor, RESATTN_CHANNELS_LAST, values, count));
    REFUSED(STATE, "target is of a network that was sealed", resattn_tensor_copy(tensor, other));
    REFUSED(STATE, "source is of a network that was sealed", resattn_tensor_copy(other, tensor));
    REFUSED(STATE, "sealed", resattn_tensor_fill(tensor, 1));
    REFUSED(STATE, "sealed", resattn_session_forward(session, tensor));
    resattn_tensor_unref(tensor); /* nobody is its owner */
    resattn_tensor_unref(other);
    free(values);
}

/* While somebody owns a parameter, its gradient or a view of one, nothing is sealed. */
START_TEST(test_owners_keep_values)
{
    static const int64_t corner[4] = {1, 2, 3, 3};
    resattn_network *network = new_network(context);
    resattn_plan *plan = resattn_plan_new(network, RESATTN_TRAINING, 2, SIDE4, SIDE4);
    resattn_session *training = resattn_session_new(plan), *session = fast_session(network, SIDE4);
    resattn_tensor *filter = first_filter(network), *gradient = resattn_network_parameter_gradient(network, 0);
    resattn_tensor_unref(filter); /* nobody is its owner yet */
    ck_assert_ptr_eq(resattn_tensor_ref(filter), filter);
    ck_assert_ptr_eq(resattn_tensor_ref(gradient), gradient);
    resattn_tensor *view = resattn_tensor_view(filter, NULL, corner);
    resattn_tensor *inner = resattn_tensor_view(view, NULL, corner);
    ck_assert(view != NULL && inner != NULL);
    REFUSED(RESATTN_BUSY, "4 shares", resattn_network_seal(network));
    resattn_tensor_unref(gradient);
    resattn_tensor_unref(view);
    REFUSED(RESATTN_BUSY, "2 shares", resattn_network_seal(network));
    resattn_tensor_unref(filter);
    ck_assert_int_eq(resattn_tensor_fill(inner, 0.5F), RESATTN_OK);
    ck_assert(*(const float *)resattn_tensor_data(filter) == 0.5F);
    resattn_tensor_unref(inner);
    REFUSED(STATE, "no inference session", resattn_network_seal(network)); /* a view's change is one of the network */
    ck_assert_ptr_eq(resattn_tensor_ref(filter), filter);                  /* which is as it was */
    resattn_tensor_unref(filter);
    ck_assert_int_eq(resattn_session_refresh(session), RESATTN_OK);
    seal(network);
    check_ended(filter, session);
    check_ended(gradient, session);
    resattn_session_free(training);
    resattn_session_free(session);
    resattn_plan_free(plan);
    resattn_network_unref(network);
}
END_TEST

/* An owner needs neither the network's owner nor the context's. */
START_TEST(test_owners_keep_network)
{
    static const int64_t corner[4] = {1, 2, 3, 3};
    resattn_context *own = resattn_context_new_with_allocator(1, test_heap_alloc, test_heap_free, &heap);
    resattn_network *network = new_network(own);
    resattn_context_unref(own);
    resattn_tensor *filter = resattn_tensor_ref(first_filter(network));
    resattn_network_unref(network);
    float before = *(const float *)resattn_tensor_data(filter);
    resattn_tensor *view = resattn_tensor_view(filter, NULL, corner);
    resattn_tensor_unref(filter);
    ck_assert(*(const float *)resattn_tensor_data(view) == before);
    ck_assert_int_eq(resattn_tensor_fill(view, before + 1), RESATTN_OK);
    ck_assert(*(const float *)resattn_tensor_data(view) == before + 1);
    resattn_tensor_unref(view); /* and with it all else: tear_down() */
}
END_TEST

static void *own_for_a_while(void *filter)
{
    static const int64_t corner[4] = {1, 1, 1, 1};
    for (int32_t i = 0; i < 2000; i++) {
        resattn_tensor_ref(filter);
        resattn_tensor_unref(resattn_tensor_view(filter, NULL, corner));
        resattn_tensor_unref(filter);
    }
    resattn_tensor_unref(filter);
    return NULL;
}

START_TEST(test_owners_in_threads)
{
    pthread_t threads[4];
    resattn_network *network = new_network(context);
    for (int32_t i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, own_for_a_while, resattn_tensor_ref(first_filter(network))),
                         0);
    resattn_network_unref(network);
    for (int32_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
}
END_TEST

START_TEST(test_freed_session)
{
    resattn_network *network = new_network(context);
    resattn_session_free(fast_session(network, SIDE4));
    REFUSED(STATE, "no inference session", resattn_network_seal(network));
    ck_assert_int_eq(resattn_network_is_sealed(network), 0);
    resattn_network_unref(network);
}
END_TEST

/* ---- while something runs: asked from inside of the other call, by the host's runner ---- */

typedef struct scene {
    resattn_network *network;
    int32_t armed, times;
} scene;

static void run_and_seal(void *user, resattn_task_fn task, void *job, int32_t count)
{
    scene *s = user;
    if (s->armed) {
        s->armed = 0;
        s->times++;
        REFUSED(RESATTN_BUSY, "sealing", resattn_network_seal(s->network));
    }
    for (int32_t i = 0; i < count; i++)
        task(job, i, 0);
}

START_TEST(test_busy)
{
    scene s = {0};
    resattn_context *host = resattn_context_new(1);
    ck_assert_int_eq(resattn_context_set_runner(host, run_and_seal, &s, 2), RESATTN_OK);
    s.network = new_network(host);
    resattn_session *inference = fast_session(s.network, 40);
    resattn_plan *plan = resattn_plan_new(s.network, RESATTN_TRAINING, 2, 40, 40);
    resattn_session *training = resattn_session_new(plan);
    resattn_tensor *input = small_input(host, 2, 40, 40, 1);
    ck_assert_msg(training != NULL, "%s", resattn_last_error());
    s.armed = 1;
    ck_assert_int_eq(resattn_session_forward(training, input), RESATTN_OK);
    s.armed = 1;
    ck_assert_int_eq(resattn_session_forward(inference, input), RESATTN_OK);
    s.armed = 1;
    ck_assert_int_eq(resattn_session_refresh(inference), RESATTN_OK);
    ck_assert_int_eq(s.times, 3);
    ck_assert_int_eq(resattn_network_is_sealed(s.network), 0);
    s.armed = 0;
    seal(s.network);
    resattn_tensor_unref(input);
    resattn_plan_free(plan);
    resattn_session_free(training);
    resattn_session_free(inference);
    resattn_network_unref(s.network);
    resattn_context_unref(host);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sealed");
    TCase *tests = tcase_create("sealed");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, test_old_and_new_sessions);
    tcase_add_test(tests, test_other_sizes);
    tcase_add_test(tests, test_other_ways);
    tcase_add_test(tests, test_several_forms);
    tcase_add_test(tests, test_outputs_of_sealed);
    tcase_add_test(tests, test_refused);
    tcase_add_test(tests, test_unseen_parameters);
    tcase_add_test(tests, test_looking);
    tcase_add_test(tests, test_owners_keep_values);
    tcase_add_test(tests, test_owners_keep_network);
    tcase_add_test(tests, test_owners_in_threads);
    tcase_add_test(tests, test_freed_session);
    tcase_add_test(tests, test_busy);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
