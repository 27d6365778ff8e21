/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is wrong because of a network, of a session's state, or of another call that is under way.
 */
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wrong.h"

static resattn_context *context;

static void set_up(void)
{
    context = resattn_context_new(1);
}

static void tear_down(void)
{
    resattn_context_unref(context);
}

/* ---- a network to use wrongly ---- */

static resattn_network *network;

static resattn_network *new_network(resattn_context *owner)
{
    resattn_builder *b = resattn_builder_new(owner);
    resattn_layer *net = sequence(b, NULL, resattn_conv2d_new(b, "conv", 4, 3, 1, 0), resattn_batch_norm_new(b, "bn"));
    resattn_layer_add(net, attention(b, "module", conv(b, "t", 4), conv(b, "m", 1)));
    resattn_layer_add(net, resattn_global_average_pool_new(b, "pool"));
    resattn_layer_add(net, resattn_linear_new(b, "fc", 5));
    resattn_network *made = resattn_network_new(b, net, 3);
    ck_assert_msg(made != NULL, "%s", resattn_last_error());
    resattn_builder_free(b);
    return made;
}

static void set_up_network(void)
{
    set_up();
    network = new_network(context);
}

static void tear_down_network(void)
{
    resattn_network_unref(network);
    tear_down();
}

static resattn_session *new_session(resattn_network *of, resattn_purpose purpose, int32_t batch, int32_t side)
{
    resattn_plan *plan = resattn_plan_new(of, purpose, batch, side, side);
    resattn_session *session = resattn_session_new(plan);
    ck_assert_msg(session != NULL, "%s", resattn_last_error());
    resattn_plan_free(plan);
    return session;
}

static resattn_tensor *new_tensor(int64_t n, int64_t c, int64_t h, int64_t w)
{
    int64_t shape[4] = {n, c, h, w};
    resattn_tensor *tensor = resattn_tensor_new(context, RESATTN_F32, 4, shape, RESATTN_CHANNELS_LAST);
    float *value = resattn_tensor_mutable_data(tensor);
    for (int64_t i = 0; i < resattn_tensor_elements(tensor); i++)
        value[i] = (float)(i % 7) - 3;
    return tensor;
}

START_TEST(test_network)
{
    const char *const names[5] = {"a", "b", "c", "d", "e"}, *const holes[5] = {"a", NULL, "c", "d", "e"};
    const float three[3] = {1, 1, 1}, zero[3] = {1, 0, 1}, bad[3] = {1, NAN, 1};
    void *bytes = NULL;
    size_t size = 0;
    NOTHING(ABSENT, "no.such", resattn_network_layer(network, "no.such"));
    NOTHING(INVALID, "NULL", resattn_network_layer(network, NULL));
    ck_assert_ptr_null(resattn_network_attention(network, 1));
    ck_assert_ptr_null(resattn_network_attention(network, -1));
    wrong_before();
    ck_assert_int_eq(resattn_network_find_parameter(network, "conv.wait"), -1);
    ck_assert_int_eq(resattn_last_status(), ABSENT);
    ck_assert_ptr_nonnull(strstr(resattn_last_error(), "conv.wait"));
    ck_assert_int_eq(resattn_network_find_parameter(network, NULL), -1);
    NOTHING(INVALID, "99", resattn_network_parameter(network, 99));
    NOTHING(INVALID, "-1", resattn_network_parameter(network, -1));
    NOTHING(INVALID, "99", resattn_network_parameter_gradient(network, 99));
    NOTHING(STATE, "", resattn_network_parameter_gradient(network, 0));
    NOTHING(INVALID, "bn.running_mean",
            resattn_network_parameter_gradient(network, resattn_network_find_parameter(network, "bn.running_mean")));
    ck_assert_ptr_null(resattn_network_parameter_name(network, 99));
    ck_assert_int_eq((int)resattn_network_parameter_kind(network, -1), 0);
    REFUSED(MISMATCH, "4", resattn_network_set_classes(network, names, 4));
    REFUSED(INVALID, "names", resattn_network_set_classes(network, NULL, 5));
    REFUSED(INVALID, "1", resattn_network_set_classes(network, holes, 5));
    ck_assert_ptr_null(resattn_network_class_name(network, 0));
    ck_assert_int_eq(resattn_network_set_classes(network, names, 5), RESATTN_OK);
    ck_assert_ptr_null(resattn_network_class_name(network, 5));
    REFUSED(INVALID, "-3", resattn_network_set_input_size(network, -3, 8));
    REFUSED(MISMATCH, "2", resattn_network_set_normalization(network, three, three, 2));
    REFUSED(INVALID, "NULL", resattn_network_set_normalization(network, NULL, three, 3));
    REFUSED(INVALID, "deviation", resattn_network_set_normalization(network, three, zero, 3));
    REFUSED(INVALID, "deviation", resattn_network_set_normalization(network, three, bad, 3));
    ck_assert(resattn_network_mean(network, 3) == 0 && resattn_network_deviation(network, -1) == 0);
    REFUSED(INVALID, "NULL", resattn_network_set_text(network, NULL, "x"));
    REFUSED(INVALID, "", resattn_network_set_text(network, "", "x"));
    ck_assert_ptr_null(resattn_network_text(network, NULL));
    ck_assert_ptr_null(resattn_network_text_key(network, 0));
    REFUSED(INVALID, "10", resattn_network_save_buffer(network, 10, &bytes, &size));
    REFUSED(INVALID, "-1", resattn_network_save_buffer(network, -1, &bytes, &size));
    REFUSED(INVALID, "NULL", resattn_network_save_buffer(network, 6, NULL, &size));
    REFUSED(INVALID, "NULL", resattn_network_save(network, NULL, 6));
    REFUSED(INVALID, "NULL", resattn_network_save_stream(network, 6, NULL, NULL));
    REFUSED(RESATTN_IO_ERROR, "/no/such/folder", resattn_network_save(network, "/no/such/folder/x.resattn", 6));
}
END_TEST

static int32_t refuse_bytes(void *user, const void *bytes, size_t size)
{
    (void)bytes;
    size_t *room = user;
    if (*room < size)
        return -1;
    *room -= size;
    return 0;
}

/* A blob that ends early or has a wrong byte is refused, wherever; so is one with more behind it. */
START_TEST(test_damaged_blob)
{
    void *bytes;
    size_t size;
    ck_assert_int_eq(resattn_network_save_buffer(network, 6, &bytes, &size), RESATTN_OK);
    unsigned char *copy = malloc(size + 1);
    ck_assert_ptr_nonnull(copy);
    for (size_t i = 0; i < size; i += 1 + i / 64) {
        memcpy(copy, bytes, size);
        NOTHING(RESATTN_BAD_FORMAT, "", resattn_network_load_buffer(context, copy, i));
        copy[i] ^= 0x40;
        ck_assert_ptr_null(resattn_network_load_buffer(context, copy, size));
        size_t room = i;
        REFUSED(RESATTN_IO_ERROR, "", resattn_network_save_stream(network, 6, refuse_bytes, &room));
    }
    memcpy(copy, bytes, size);
    copy[size] = 0;
    NOTHING(RESATTN_BAD_FORMAT, "", resattn_network_load_buffer(context, copy, size + 1));
    resattn_network *loaded = resattn_network_load_buffer(context, copy, size);
    ck_assert_msg(loaded != NULL, "%s", resattn_last_error());
    resattn_network_unref(loaded);
    free(copy);
    resattn_buffer_free(bytes);
}
END_TEST

/* ---- plans and sessions ---- */

START_TEST(test_plan)
{
    NOTHING(INVALID, "3", resattn_plan_new(network, (resattn_purpose)3, 1, 8, 8));
    NOTHING(INVALID, "0", resattn_plan_new(network, RESATTN_INFERENCE, 0, 8, 8));
    NOTHING(INVALID, "-1", resattn_plan_new(network, RESATTN_INFERENCE, 1, -1, 8));
    NOTHING(INVALID, "0", resattn_plan_new(network, RESATTN_INFERENCE, 1, 8, 0));
    NOTHING(MISMATCH, "conv", resattn_plan_new(network, RESATTN_INFERENCE, 1, 2, 8));
    wrong_memory(network, 1 << 24);
    resattn_plan *plan = resattn_plan_new(network, RESATTN_INFERENCE, 2, 8, 8);
    resattn_builder *builder = resattn_builder_new(context);
    REFUSED(ABSENT, "no.such", resattn_plan_add_output(plan, "no.such"));
    REFUSED(INVALID, "NULL", resattn_plan_add_output(plan, NULL));
    ck_assert_int_eq(resattn_plan_add_output(plan, "module.mask"), RESATTN_OK);
    REFUSED(RESATTN_DUPLICATE, "module.mask", resattn_plan_add_output(plan, "module.mask"));
    REFUSED(STATE, "inference", resattn_plan_set_input_gradient(plan, 1));
    REFUSED(INVALID, "2, expected 0 or 1", resattn_plan_set_input_gradient(plan, 2));
    resattn_layer *foreign = resattn_relu_new(builder, "foreign");
    REFUSED(INVALID, "layer is NULL", resattn_plan_layer_size(plan, NULL, NULL, NULL));
    REFUSED(ABSENT, "not in the plan", resattn_plan_layer_size(plan, foreign, NULL, NULL));
    wrong_before();
    ck_assert_int_eq(resattn_plan_layer_multiply_adds(plan, foreign), -1);
    ck_assert_int_eq(resattn_last_status(), ABSENT);
    resattn_plan_free(plan);
    resattn_builder_free(builder);
}
END_TEST

START_TEST(test_mask_size)
{
    resattn_builder *b = resattn_builder_new(context);
    resattn_layer *small = resattn_max_pool_new(b, NULL, 2, 2, 0);
    resattn_network *unfit =
        resattn_network_new(b, sequence(b, "s", conv(b, "c", 3), attention(b, "module", conv(b, "t", 3), small)), 3);
    ck_assert_msg(unfit != NULL, "%s", resattn_last_error());
    NOTHING(MISMATCH, "s.module: the mask has 3 channels, 4x4, the trunk gives 3, 8x8",
            resattn_plan_new(unfit, RESATTN_INFERENCE, 1, 8, 8));
    resattn_network_unref(unfit);
    resattn_layer *sum = resattn_sum_new(b, "sum");
    resattn_layer_add(sum, resattn_identity_new(b, NULL));
    resattn_layer_add(sum, resattn_max_pool_new(b, NULL, 2, 2, 0));
    unfit = resattn_network_new(b, sum, 3);
    NOTHING(MISMATCH, "sum", resattn_plan_new(unfit, RESATTN_TRAINING, 1, 8, 8));
    resattn_network_unref(unfit);
    unfit = resattn_network_new(b, resattn_linear_new(b, "fc", 2), 3);
    NOTHING(MISMATCH, "fc", resattn_plan_new(unfit, RESATTN_TRAINING, 1, 8, 8));
    resattn_network_unref(unfit);
    unfit = resattn_network_new(b, resattn_max_pool_new(b, "pool", 5, 2, 0), 3);
    NOTHING(MISMATCH, "pool: the width is 4, with padding 4, expected at least 5 for the kernel's 5",
            resattn_plan_new(unfit, RESATTN_TRAINING, 1, 8, 4));
    resattn_network_unref(unfit);
    unfit = resattn_network_new(b, resattn_bilinear_resize_new(b, "lost", 0, 0), 3);
    if (unfit != NULL) {
        ck_assert_ptr_null(resattn_plan_new(unfit, RESATTN_TRAINING, 1, 8, 8));
        resattn_network_unref(unfit);
    }
    ck_assert_ptr_nonnull(strstr(resattn_last_error(), "lost"));
    resattn_builder_free(b);
}
END_TEST

static void check_inputs(resattn_session *session)
{
    resattn_tensor *many = new_tensor(3, 3, 8, 8), *gray = new_tensor(2, 1, 8, 8), *large = new_tensor(2, 3, 9, 8);
    int64_t vector_shape[2] = {2, 3};
    resattn_tensor *vector = resattn_tensor_new(context, RESATTN_F32, 2, vector_shape, RESATTN_CHANNELS_LAST);
    REFUSED(INVALID, "NULL", resattn_session_forward(session, NULL));
    REFUSED(MISMATCH, "3", resattn_session_forward(session, many));
    REFUSED(MISMATCH, "1", resattn_session_forward(session, gray));
    REFUSED(MISMATCH, "9", resattn_session_forward(session, large));
    REFUSED(MISMATCH, "", resattn_session_forward(session, vector));
    resattn_tensor_unref(many);
    resattn_tensor_unref(gray);
    resattn_tensor_unref(large);
    resattn_tensor_unref(vector);
}

START_TEST(test_inference)
{
    resattn_session *session = new_session(network, RESATTN_INFERENCE, 2, 8);
    resattn_tensor *input = new_tensor(2, 3, 8, 8), *gradient = new_tensor(2, 5, 1, 1);
    const int32_t labels[2] = {0, 4};
    double loss;
    NOTHING(STATE, "forward", resattn_session_output(session, NULL));
    REFUSED(STATE, "", resattn_softmax_cross_entropy(session, labels, 2, &loss, NULL));
    check_inputs(session);
    NOTHING(STATE, "forward", resattn_session_output(session, NULL));
    ck_assert_int_eq(resattn_session_forward(session, input), RESATTN_OK);
    NOTHING(ABSENT, "module.mask", resattn_session_output(session, "module.mask")); /* not asked for */
    NOTHING(ABSENT, "no.such", resattn_session_output(session, "no.such"));
    REFUSED(STATE, "inference", resattn_session_set_output_gradient(session, NULL, gradient));
    REFUSED(STATE, "add gradient: the session is for inference",
            resattn_session_add_output_gradient(session, NULL, gradient));
    REFUSED(STATE, "inference", resattn_session_backward(session));
    NOTHING(STATE, "", resattn_session_input_gradient(session));
    ck_assert_int_eq(resattn_softmax_cross_entropy(session, labels, 2, &loss, NULL), RESATTN_OK);
    const resattn_tensor *output = resattn_session_output(session, NULL);
    float *row = malloc(10 * sizeof *row);
    ck_assert_int_eq(resattn_tensor_read(output, RESATTN_CHANNELS_FIRST, row, 10), RESATTN_OK);
    free(row);
    resattn_session_free(session);
    resattn_tensor_unref(gradient);
    resattn_tensor_unref(input);
}
END_TEST

START_TEST(test_training)
{
    resattn_session *session = new_session(network, RESATTN_TRAINING, 2, 8);
    resattn_tensor *input = new_tensor(2, 3, 8, 8), *gradient = new_tensor(2, 5, 1, 1),
                   *short_one = new_tensor(1, 5, 1, 1);
    const int32_t labels[2] = {0, 4}, outside[2] = {1, 5}, negative[2] = {-1, 0};
    double loss;
    resattn_optimizer *sgd = resattn_sgd_new(network, 0.1);
    REFUSED(STATE, "backward", resattn_optimizer_step(sgd));
    REFUSED(STATE, "forward", resattn_session_backward(session));
    REFUSED(STATE, "forward", resattn_session_set_output_gradient(session, NULL, gradient));
    REFUSED(STATE, "forward", resattn_session_add_output_gradient(session, NULL, gradient));
    REFUSED(STATE, "", resattn_session_refresh(session));
    check_inputs(session);
    ck_assert_int_eq(resattn_session_forward(session, input), RESATTN_OK);
    REFUSED(STATE, "gradient", resattn_session_backward(session));
    REFUSED(INVALID, "NULL", resattn_session_set_output_gradient(session, NULL, NULL));
    REFUSED(MISMATCH, "1", resattn_session_set_output_gradient(session, NULL, short_one));
    REFUSED(MISMATCH, "", resattn_session_set_output_gradient(session, NULL, input));
    REFUSED(ABSENT, "module.mask", resattn_session_set_output_gradient(session, "module.mask", gradient));
    REFUSED(INVALID, "NULL", resattn_session_add_output_gradient(session, NULL, NULL));
    REFUSED(MISMATCH, "1", resattn_session_add_output_gradient(session, NULL, short_one));
    REFUSED(ABSENT, "module.mask", resattn_session_add_output_gradient(session, "module.mask", gradient));
    REFUSED(INVALID, "2", resattn_session_set_accumulate(session, 2));
    REFUSED(INVALID, "NULL", resattn_softmax_cross_entropy(session, NULL, 2, &loss, NULL));
    REFUSED(MISMATCH, "1", resattn_softmax_cross_entropy(session, labels, 1, &loss, NULL));
    REFUSED(INVALID, "5", resattn_softmax_cross_entropy(session, outside, 2, &loss, NULL));
    REFUSED(INVALID, "-1", resattn_softmax_cross_entropy(session, negative, 2, &loss, NULL));
    REFUSED(STATE, "gradient", resattn_session_backward(session));
    ck_assert_int_eq(resattn_softmax_cross_entropy(session, labels, 2, &loss, NULL), RESATTN_OK);
    NOTHING(STATE, "", resattn_session_input_gradient(session)); /* not wanted */
    ck_assert_msg(resattn_session_backward(session) == RESATTN_OK, "%s", resattn_last_error());
    REFUSED(STATE, "backward", resattn_session_backward(session));
    ck_assert_int_eq(resattn_optimizer_step(sgd), RESATTN_OK);
    ck_assert_int_eq(resattn_session_forward(session, input), RESATTN_OK);
    REFUSED(STATE, "gradient", resattn_session_backward(session)); /* the old gradient does not count */
    resattn_optimizer_free(sgd);
    resattn_session_free(session);
    resattn_tensor_unref(short_one);
    resattn_tensor_unref(gradient);
    resattn_tensor_unref(input);
}
END_TEST

/* A host that casts the const away gets no further. */
static void check_session_tensor(const resattn_tensor *tensor)
{
    resattn_tensor *cast = (resattn_tensor *)(uintptr_t)tensor;
    int64_t count = resattn_tensor_elements(tensor);
    float *values = calloc((size_t)count, sizeof *values);
    ck_assert_ptr_nonnull(values);
    NOTHING(STATE, "session", resattn_tensor_mutable_data(cast));
    NOTHING(STATE, "copy it", resattn_tensor_ref(cast));
    NOTHING(STATE, "copy it", resattn_tensor_view(cast, NULL, resattn_tensor_shape(tensor)));
    resattn_tensor_unref(cast); /* which nobody owns */
    REFUSED(STATE, "session", resattn_tensor_write(cast, RESATTN_CHANNELS_FIRST, values, count));
    REFUSED(STATE, "session", resattn_tensor_fill(cast, 1));
    ck_assert_int_eq(resattn_tensor_read(tensor, RESATTN_CHANNELS_LAST, values, count), RESATTN_OK);
    ck_assert_mem_eq(values, resattn_tensor_data(tensor), (size_t)count * sizeof *values);
    free(values);
}

START_TEST(test_tensors_of_a_session)
{
    const int32_t labels[2] = {0, 4};
    resattn_plan *plan = resattn_plan_new(network, RESATTN_TRAINING, 2, 8, 8);
    ck_assert_int_eq(resattn_plan_set_input_gradient(plan, 1), RESATTN_OK);
    ck_assert_int_eq(resattn_plan_add_output(plan, "module.mask"), RESATTN_OK);
    resattn_session *session = resattn_session_new(plan);
    resattn_tensor *input = new_tensor(2, 3, 8, 8);
    ck_assert_int_eq(resattn_session_forward(session, input), RESATTN_OK);
    ck_assert_int_eq(resattn_softmax_cross_entropy(session, labels, 2, NULL, NULL), RESATTN_OK);
    ck_assert_int_eq(resattn_session_backward(session), RESATTN_OK);
    check_session_tensor(resattn_session_output(session, NULL));
    check_session_tensor(resattn_session_output(session, "module.mask"));
    check_session_tensor(resattn_session_input_gradient(session));
    resattn_tensor_unref(input);
    resattn_session_free(session);
    resattn_plan_free(plan);
}
END_TEST

START_TEST(test_loss_of_maps)
{
    resattn_builder *b = resattn_builder_new(context);
    resattn_network *maps = resattn_network_new(b, conv(b, "c", 4), 3);
    resattn_session *session = new_session(maps, RESATTN_TRAINING, 1, 2);
    resattn_tensor *input = new_tensor(1, 3, 2, 2);
    const int32_t label = 0;
    ck_assert_int_eq(resattn_session_forward(session, input), RESATTN_OK);
    REFUSED(MISMATCH, "", resattn_softmax_cross_entropy(session, &label, 1, NULL, NULL));
    resattn_tensor_unref(input);
    resattn_session_free(session);
    resattn_network_unref(maps);
    resattn_builder_free(b);
}
END_TEST

START_TEST(test_one_value_a_channel)
{
    resattn_session *session = new_session(network, RESATTN_TRAINING, 2, 3);
    resattn_tensor *one = new_tensor(1, 3, 3, 3), *two = new_tensor(2, 3, 3, 3);
    float before[4], after[4];
    resattn_tensor *mean =
        resattn_network_parameter(network, resattn_network_find_parameter(network, "bn.running_mean"));
    resattn_tensor_read(mean, RESATTN_CHANNELS_FIRST, before, 4);
    REFUSED(INVALID, "bn", resattn_session_forward(session, one));
    resattn_tensor_read(mean, RESATTN_CHANNELS_FIRST, after, 4);
    ck_assert_mem_eq(before, after, sizeof before);
    ck_assert_int_eq(resattn_session_forward(session, two), RESATTN_OK);
    ck_assert_int_eq(resattn_layer_set_int(resattn_network_layer(network, "bn"), "frozen", 1), RESATTN_OK);
    ck_assert_msg(resattn_session_forward(session, one) == RESATTN_OK, "%s", resattn_last_error());
    resattn_tensor_unref(one);
    resattn_tensor_unref(two);
    resattn_session_free(session);
}
END_TEST

START_TEST(test_optimizer)
{
    double value = 0;
    NOTHING(INVALID, "rate", resattn_sgd_new(network, -0.1));
    NOTHING(INVALID, "rate", resattn_sgd_new(network, NAN));
    resattn_optimizer *sgd = resattn_sgd_new(network, 0.1);
    REFUSED(ABSENT, "colour", resattn_optimizer_set_real(sgd, "colour", 1));
    REFUSED(ABSENT, "colour", resattn_optimizer_get_real(sgd, "colour", &value));
    REFUSED(INVALID, "momentum", resattn_optimizer_set_real(sgd, "momentum", -1));
    REFUSED(INVALID, "weight_decay", resattn_optimizer_set_real(sgd, "weight_decay", INFINITY));
    REFUSED(INVALID, "NULL", resattn_optimizer_set_real(sgd, NULL, 1));
    REFUSED(INVALID, "NULL", resattn_optimizer_get_real(sgd, "rate", NULL));
    ck_assert_int_eq(resattn_optimizer_get_real(sgd, "rate", &value), RESATTN_OK);
    ck_assert(value == 0.1);
    resattn_optimizer_free(sgd);
}
END_TEST

/* ---- calls that exclude each other: made from inside of the other call, by the host's runner ---- */

typedef struct scene {
    resattn_network *network;
    resattn_session *inference, *training;
    resattn_optimizer *sgd;
    resattn_tensor *input;
    void (*inside)(struct scene *scene); /* done once, in the first job that is run */
    int32_t times;
} scene;

static void run_with_interruption(void *user, resattn_task_fn task, void *job, int32_t count)
{
    scene *s = user;
    void (*inside)(scene *) = s->inside;
    s->inside = NULL;
    if (inside != NULL)
        inside(s);
    for (int32_t i = 0; i < count; i++)
        task(job, i, 0);
}

static void during_inference(scene *s)
{
    s->times++;
    REFUSED(RESATTN_BUSY, "", resattn_session_forward(s->training, s->input));
    REFUSED(RESATTN_BUSY, "", resattn_network_initialize(s->network, 1));
    REFUSED(RESATTN_BUSY, "", resattn_optimizer_step(s->sgd));
}

static void during_training(scene *s)
{
    void *bytes;
    size_t size;
    s->times++;
    REFUSED(RESATTN_BUSY, "", resattn_session_forward(s->inference, s->input));
    REFUSED(RESATTN_BUSY, "", resattn_session_refresh(s->inference));
    REFUSED(RESATTN_BUSY, "", resattn_network_initialize(s->network, 1));
    REFUSED(RESATTN_BUSY, "", resattn_network_save_buffer(s->network, 1, &bytes, &size));
    REFUSED(RESATTN_BUSY, "", resattn_optimizer_step(s->sgd));
    resattn_plan *plan = resattn_plan_new(s->network, RESATTN_INFERENCE, 1, 40, 40);
    NOTHING(RESATTN_BUSY, "", resattn_session_new(plan));
    resattn_plan_free(plan);
}

START_TEST(test_busy)
{
    const int32_t labels[2] = {0, 1};
    scene s = {0};
    resattn_context *host = resattn_context_new(1);
    ck_assert_int_eq(resattn_context_set_runner(host, run_with_interruption, &s, 2), RESATTN_OK);
    s.network = new_network(host);
    s.inference = new_session(s.network, RESATTN_INFERENCE, 2, 40);
    s.training = new_session(s.network, RESATTN_TRAINING, 2, 40);
    s.sgd = resattn_sgd_new(s.network, 0.1);
    s.input = new_tensor(2, 3, 40, 40);
    REFUSED(STATE, "session", resattn_context_set_runner(host, NULL, NULL, 1));
    ck_assert_int_eq(resattn_session_forward(s.training, s.input), RESATTN_OK);
    ck_assert_int_eq(resattn_softmax_cross_entropy(s.training, labels, 2, NULL, NULL), RESATTN_OK);
    ck_assert_int_eq(resattn_session_backward(s.training), RESATTN_OK);
    s.inside = during_inference;
    ck_assert_msg(resattn_session_forward(s.inference, s.input) == RESATTN_OK, "%s", resattn_last_error());
    s.inside = during_training;
    ck_assert_msg(resattn_session_forward(s.training, s.input) == RESATTN_OK, "%s", resattn_last_error());
    ck_assert_int_eq(resattn_softmax_cross_entropy(s.training, labels, 2, NULL, NULL), RESATTN_OK);
    s.inside = during_training;
    ck_assert_msg(resattn_session_backward(s.training) == RESATTN_OK, "%s", resattn_last_error());
    ck_assert_int_eq(s.times, 3);
    ck_assert_int_eq(resattn_session_forward(s.inference, s.input), RESATTN_OK); /* free again */
    ck_assert_int_eq(resattn_optimizer_step(s.sgd), RESATTN_OK);
    resattn_tensor_unref(s.input);
    resattn_optimizer_free(s.sgd);
    resattn_session_free(s.training);
    resattn_session_free(s.inference);
    resattn_network_unref(s.network);
    resattn_context_unref(host);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("wrong state");
    TCase *networks = tcase_create("networks");
    tcase_add_checked_fixture(networks, set_up_network, tear_down_network);
    tcase_set_timeout(networks, 60);
    tcase_add_test(networks, test_network);
    tcase_add_test(networks, test_damaged_blob);
    tcase_add_test(networks, test_plan);
    tcase_add_test(networks, test_mask_size);
    tcase_add_test(networks, test_inference);
    tcase_add_test(networks, test_training);
    tcase_add_test(networks, test_tensors_of_a_session);
    tcase_add_test(networks, test_loss_of_maps);
    tcase_add_test(networks, test_one_value_a_channel);
    tcase_add_test(networks, test_optimizer);
    tcase_add_test(networks, test_busy);
    suite_add_tcase(suite, networks);
    return test_run(suite);
}
