/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Running inference: large batches in slices, and where the time goes.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common.h"
#include "small.h"
#include "wrong.h"

/* Of images of SIDE the library runs two at once, of LARGE_SIDE one: the values of the widest map of more leave the
 * cache. */
enum { CHANNELS = 16, SIDE = 144, LARGE_SIDE = 192, BATCH = 5 };

static resattn_context *context;

static void set_up(void)
{
    context = resattn_context_new(2);
}

static void tear_down(void)
{
    resattn_context_unref(context);
}

/* A network whose output is a map of as many channels as its input, with an attention module called `module`. */
static resattn_network *map_network(resattn_context *owner)
{
    resattn_builder *b = resattn_builder_new(owner);
    resattn_layer *stem = sequence(b, "stem", resattn_conv2d_new(b, "conv", CHANNELS, 3, 1, 1),
                                   sequence(b, NULL, resattn_batch_norm_new(b, "bn"), resattn_relu_new(b, "relu")));
    resattn_layer *trunk = resattn_residual_new(b, "unit", resattn_conv2d_new(b, "conv", CHANNELS, 3, 1, 1), NULL);
    resattn_layer *mask = resattn_down_up_new(b, "soft", resattn_max_pool_new(b, "down", 3, 2, 1),
                                              conv(b, "conv", CHANNELS), resattn_bilinear_resize_new(b, "up", 0, 0));
    mask = sequence(b, "side", mask, conv(b, "last", CHANNELS));
    resattn_layer *net = sequence(b, NULL, stem, attention(b, "module", trunk, mask));
    resattn_layer_add(net, conv(b, "head", 3));
    resattn_network *network = resattn_network_new(b, net, 3);
    ck_assert_msg(network != NULL, "%s", resattn_last_error());
    resattn_builder_free(b);
    return network;
}

static resattn_plan *map_plan(resattn_network *network, int32_t batch, int32_t side)
{
    resattn_plan *plan = resattn_plan_new(network, RESATTN_INFERENCE, batch, side, side);
    ck_assert_msg(plan != NULL, "%s", resattn_last_error());
    ck_assert_int_eq(resattn_plan_add_output(plan, "module.mask"), RESATTN_OK);
    return plan;
}

static resattn_session *map_session(resattn_network *network, int32_t batch, int32_t side)
{
    resattn_plan *plan = map_plan(network, batch, side);
    resattn_session *session = resattn_session_new(plan);
    ck_assert_msg(session != NULL, "%s", resattn_last_error());
    resattn_plan_free(plan);
    return session;
}

static int64_t output_bytes(int32_t side)
{
    return (int64_t)side * side * (3 + CHANNELS) * (int64_t)sizeof(float);
}

/* Appends the output and the mask. */
static void run(resattn_session *session, const resattn_tensor *input, results *r)
{
    static const char *const names[2] = {NULL, "module.mask"};
    ck_assert_msg(resattn_session_forward(session, input) == RESATTN_OK, "%s", resattn_last_error());
    for (int32_t i = 0; i < 2; i++) {
        const resattn_tensor *output = resattn_session_output(session, names[i]);
        ck_assert_int_eq(results_add(r, output), RESATTN_OK);
        ck_assert_int_eq(resattn_tensor_shape(output)[0], resattn_tensor_size(input, 0));
        ck_assert_uint_eq((uintptr_t)resattn_tensor_data(output) % 64, 0);
    }
}

/* ---- slices: inputs ---- */

/* Images `first` to `first + count - 1`. */
static resattn_tensor *part(resattn_tensor *input, int64_t first, int64_t count)
{
    int64_t begin[4] = {first, 0, 0, 0}, shape[4];
    for (int32_t i = 0; i < 4; i++)
        shape[i] = i == 0 ? count : resattn_tensor_size(input, i);
    resattn_tensor *view = resattn_tensor_view(input, begin, shape);
    ck_assert_msg(view != NULL, "%s", resattn_last_error());
    return view;
}

static void release(void *user, void *memory)
{
    (void)memory;
    free(user);
}

/* The inputs of a kind for a batch: with values, the same for all kinds of floats. */
typedef resattn_tensor *(*input_fn)(int32_t side);

static resattn_tensor *dense_input(int32_t side)
{
    return small_input(context, BATCH, side, side, 1);
}

static void *copy_of(resattn_tensor *tensor, resattn_order order)
{
    int64_t count = resattn_tensor_elements(tensor);
    float *values = malloc(((size_t)count + 1) * sizeof *values);
    ck_assert_ptr_nonnull(values);
    ck_assert_int_eq(resattn_tensor_read(tensor, order, values + 1, count), RESATTN_OK);
    resattn_tensor_unref(tensor);
    return values;
}

/* The caller's memory, read where it is: not aligned to more than a float. */
static resattn_tensor *foreign_input(int32_t side)
{
    float *values = copy_of(dense_input(side), RESATTN_CHANNELS_LAST);
    int64_t shape[4] = {BATCH, 3, side, side};
    return resattn_tensor_wrap(context, RESATTN_F32, 4, shape, RESATTN_CHANNELS_LAST, NULL, values + 1, release,
                               values);
}

static resattn_tensor *planar_input(int32_t side)
{
    float *values = copy_of(dense_input(side), RESATTN_CHANNELS_FIRST);
    int64_t shape[4] = {BATCH, 3, side, side};
    return resattn_tensor_wrap(context, RESATTN_F32, 4, shape, RESATTN_CHANNELS_FIRST, NULL, values + 1, release,
                               values);
}

/* The last image is the first in memory, and other images lie between them. */
static resattn_tensor *scattered_input(int32_t side)
{
    float *values = copy_of(dense_input(side), RESATTN_CHANNELS_LAST);
    int64_t image = (int64_t)side * side * 3, shape[4] = {BATCH, 3, side, side};
    int64_t strides[4] = {-2 * image, 1, 3 * (int64_t)side, 3};
    float *memory = calloc((size_t)(2 * image * BATCH), sizeof *memory);
    ck_assert_ptr_nonnull(memory);
    for (int64_t i = 0; i < BATCH; i++)
        memcpy(memory + (BATCH - 1 - i) * 2 * image, values + 1 + i * image, (size_t)image * sizeof *memory);
    free(values);
    return resattn_tensor_wrap(context, RESATTN_F32, 4, shape, RESATTN_CHANNELS_LAST, strides,
                               memory + (BATCH - 1) * 2 * image, release, memory);
}

/* RGBA pixels. */
static resattn_tensor *byte_input(int32_t side)
{
    int64_t shape[4] = {BATCH, 3, side, side}, line = 4 * (int64_t)side + 5, strides[4] = {line * side, 1, line, 4};
    uint8_t *memory = malloc((size_t)(line * side * BATCH));
    ck_assert_ptr_nonnull(memory);
    for (int64_t i = 0; i < line * side * BATCH; i++)
        memory[i] = (uint8_t)test_random();
    return resattn_tensor_wrap(context, RESATTN_U8, 4, shape, RESATTN_CHANNELS_LAST, strides, memory, release, memory);
}

static const input_fn inputs[] = {dense_input, foreign_input, planar_input, scattered_input, byte_input};

/* ---- slices ---- */

/* Image `image` of a run of `n` images that gave `whole`, against a run of it alone. */
static void check_image(const char *what, const results *whole, int64_t n, int64_t image, const results *alone,
                        int32_t side)
{
    int64_t map = (int64_t)side * side, output = 3 * map, mask = CHANNELS * map;
    ck_assert_int_eq(whole->count, n * (output + mask));
    ck_assert_int_eq(alone->count, output + mask);
    results own = {whole->values + image * output, output}, expected = {alone->values, output};
    ck_assert(results_equal(what, &own, &expected));
    own = (results){whole->values + n * output + image * mask, mask};
    expected = (results){alone->values + output, mask};
    ck_assert(results_equal(what, &own, &expected));
}

/* A batch in slices is what its images are alone, to the bit, and so is a part of it. */
static void check_slices(resattn_network *network, resattn_tensor *input, int32_t side)
{
    results alone[BATCH] = {{0}};
    resattn_session *one = map_session(network, 1, side), *many = map_session(network, BATCH, side);
    for (int32_t i = 0; i < BATCH; i++) {
        resattn_tensor *image = part(input, i, 1);
        run(one, image, &alone[i]);
        resattn_tensor_unref(image);
    }
    for (int32_t first = 0; first < BATCH; first += 2)
        for (int32_t n = first == 0 ? BATCH : BATCH - first; n > 0; n -= 2) {
            resattn_tensor *images = part(input, first, n);
            results r = {0};
            run(many, images, &r);
            for (int32_t i = 0; i < n; i++)
                check_image("an image of a batch", &r, n, i, &alone[first + i], side);
            results_free(&r);
            resattn_tensor_unref(images);
        }
    for (int32_t i = 0; i < BATCH; i++)
        results_free(&alone[i]);
    resattn_session_free(one);
    resattn_session_free(many);
}

START_TEST(test_slices)
{
    const float mean[3] = {0.485F, 0.456F, 0.406F}, deviation[3] = {0.229F, 0.224F, 0.225F};
    resattn_network *network = map_network(context);
    ck_assert_int_eq(resattn_network_set_normalization(network, mean, deviation, 3), RESATTN_OK);
    resattn_tensor *input = inputs[_i](_i % 2 ? SIDE : LARGE_SIDE);
    ck_assert_msg(input != NULL, "%s", resattn_last_error());
    check_slices(network, input, _i % 2 ? SIDE : LARGE_SIDE);
    resattn_tensor_unref(input);
    resattn_network_unref(network);
}
END_TEST

/* 8-bit pixels and the numbers that they stand for: a few roundings apart, which the network does not magnify much. */
START_TEST(test_slices_of_pixels)
{
    const float mean[3] = {0.485F, 0.456F, 0.406F}, deviation[3] = {0.229F, 0.224F, 0.225F};
    int64_t shape[4] = {BATCH, 3, SIDE, SIDE}, map = SIDE * SIDE, count = BATCH * 3 * map;
    resattn_network *network = map_network(context);
    ck_assert_int_eq(resattn_network_set_normalization(network, mean, deviation, 3), RESATTN_OK);
    resattn_session *session = map_session(network, BATCH, SIDE);
    resattn_tensor *bytes = byte_input(SIDE);
    resattn_tensor *floats = resattn_tensor_new(context, RESATTN_F32, 4, shape, RESATTN_CHANNELS_FIRST);
    uint8_t *pixels = malloc((size_t)count);
    float *values = malloc((size_t)count * sizeof *values);
    ck_assert(pixels != NULL && values != NULL);
    ck_assert_int_eq(resattn_tensor_read(bytes, RESATTN_CHANNELS_FIRST, pixels, count), RESATTN_OK);
    for (int64_t i = 0; i < count; i++)
        values[i] = ((float)pixels[i] / 255 - mean[i / map % 3]) / deviation[i / map % 3];
    ck_assert_int_eq(resattn_tensor_write(floats, RESATTN_CHANNELS_FIRST, values, count), RESATTN_OK);
    results r = {0}, expected = {0};
    run(session, bytes, &r);
    run(session, floats, &expected);
    double largest = 0, farthest = 0;
    for (int64_t i = 0; i < r.count; i++) {
        largest = fmax(largest, fabs((double)expected.values[i]));
        farthest = fmax(farthest, fabs((double)r.values[i] - (double)expected.values[i]));
    }
    ck_assert_double_le(farthest, 1e-5 * largest);
    results_free(&r);
    results_free(&expected);
    free(pixels);
    free(values);
    resattn_tensor_unref(bytes);
    resattn_tensor_unref(floats);
    resattn_session_free(session);
    resattn_network_unref(network);
}
END_TEST

/* ---- slices: memory ---- */

/* An allocator that adds up what is living. */
typedef struct meter {
    int64_t bytes;
} meter;

static void *give(void *user, size_t size)
{
    size_t *memory = malloc(sizeof(max_align_t) + size);
    if (memory == NULL)
        return NULL;
    *memory = size;
    ((meter *)user)->bytes += (int64_t)size;
    return (char *)memory + sizeof(max_align_t);
}

static void take(void *user, void *memory)
{
    size_t *begin = (size_t *)(void *)((char *)memory - sizeof(max_align_t));
    ((meter *)user)->bytes -= (int64_t)*begin;
    free(begin);
}

/* What a session takes beside its plan's memory does not depend on the batch; of the plan's memory only the outputs do.
 */
START_TEST(test_memory_of_slices)
{
    meter m = {0};
    resattn_context *host = resattn_context_new_with_allocator(2, give, take, &m);
    resattn_network *network = map_network(host);
    resattn_session *first = map_session(network, 1, SIDE); /* has the constants */
    int64_t beside = 0, least = 0;
    for (int32_t batch = 3; batch <= 12; batch += 3) {
        resattn_plan *plan = map_plan(network, batch, SIDE);
        int64_t before = m.bytes, planned = resattn_plan_memory(plan);
        resattn_session *session = resattn_session_new(plan);
        ck_assert_msg(session != NULL, "%s", resattn_last_error());
        int64_t taken = m.bytes - before;
        if (batch == 3) {
            beside = taken - planned;
            least = planned;
            ck_assert_int_ge(beside, 0);
            ck_assert_int_le(beside, 1 << 16); /* the objects themselves */
        }
        ck_assert_int_eq(taken - planned, beside);
        ck_assert_int_eq(planned, least + (batch - 3) * output_bytes(SIDE));
        resattn_session_free(session);
        ck_assert_int_eq(m.bytes, before);
        resattn_plan_free(plan);
    }
    resattn_session_free(first);
    resattn_network_unref(network);
    resattn_context_unref(host);
    ck_assert_int_eq(m.bytes, 0);
}
END_TEST

/* An output of the session is refused as its input, in slices too. */
START_TEST(test_output_as_input)
{
    resattn_network *network = map_network(context);
    for (int32_t batch = 1; batch <= BATCH; batch += BATCH - 1) {
        resattn_session *session = map_session(network, batch, SIDE);
        resattn_tensor *input = small_input(context, batch, SIDE, SIDE, 1);
        ck_assert_int_eq(resattn_session_forward(session, input), RESATTN_OK);
        REFUSED(INVALID, "output of the same session",
                resattn_session_forward(session, resattn_session_output(session, NULL)));
        resattn_tensor_unref(input);
        resattn_session_free(session);
    }
    resattn_network_unref(network);
}
END_TEST

/* ---- profiling ---- */

/* A layer's path or a mask's name. */
static int has_path(const resattn_layer *layer, const char *path)
{
    const char *mask = resattn_attention_mask_name(resattn_layer_attention((resattn_layer *)(uintptr_t)layer));
    if (strcmp(resattn_layer_path(layer), path) == 0 || (mask != NULL && strcmp(mask, path) == 0))
        return 1;
    for (int32_t i = 0; i < resattn_layer_child_count(layer); i++)
        if (has_path(resattn_layer_child(layer, i), path))
            return 1;
    return 0;
}

static double all_seconds(const resattn_session *session)
{
    double sum = 0;
    for (int32_t i = 0; i < resattn_session_operation_count(session); i++) {
        double seconds = resattn_session_operation_seconds(session, i);
        ck_assert_msg(seconds >= 0, "operation %d took %g seconds", (int)i, seconds);
        sum += seconds;
    }
    return sum;
}

START_TEST(test_operations)
{
    static const char *const expected[][2] = {{"stem.conv", "conv2d + relu"},
                                              {"module.unit.conv", "conv2d + sum"},
                                              {"module.side.soft.down", "max_pool"},
                                              {"module.side.soft.conv", "conv2d"},
                                              {"module.side.soft.up", "bilinear_resize"},
                                              {"module.side.last", "conv2d + mask"},
                                              {"head", "conv2d"}};
    const int32_t count = sizeof expected / sizeof *expected;
    resattn_network *network = map_network(context);
    resattn_plan *plan = resattn_plan_new(network, RESATTN_INFERENCE, 2, 40, 40);
    resattn_session *session = resattn_session_new(plan);
    int64_t total = 0;
    ck_assert_int_eq(resattn_session_operation_count(session), count);
    for (int32_t i = 0; i < count; i++) {
        ck_assert_str_eq(resattn_session_operation_name(session, i), expected[i][0]);
        ck_assert_str_eq(resattn_session_operation_kind(session, i), expected[i][1]);
        ck_assert_ptr_nonnull(resattn_network_layer(network, expected[i][0]));
        ck_assert_int_eq(strncmp(expected[i][1], "conv2d", 6) == 0,
                         resattn_session_operation_kernel(session, i)[0] != 0);
        int64_t cost = resattn_session_operation_multiply_adds(session, i);
        ck_assert_int_eq(cost, resattn_plan_layer_multiply_adds(plan, resattn_network_layer(network, expected[i][0])));
        total += cost;
    }
    ck_assert_int_eq(total, resattn_plan_multiply_adds(plan));
    resattn_session_free(session);
    resattn_plan_free(plan);
    resattn_network_unref(network);
}
END_TEST

/* Whatever the purpose, the outputs and the kernels. */
START_TEST(test_operations_of_small)
{
    resattn_network *network = small_network(context);
    for (int32_t way = 0; way <= RESATTN_CONVOLUTION_REFERENCE; way++) {
        resattn_plan *plan =
            resattn_plan_new(network, way ? RESATTN_INFERENCE : RESATTN_TRAINING, 2, SMALL_SIDE, SMALL_SIDE);
        if (way > 0)
            ck_assert_int_eq(resattn_plan_set_convolution(plan, (resattn_convolution)way), RESATTN_OK);
        if (way == RESATTN_CONVOLUTION_NO_WINOGRAD)
            ck_assert_int_eq(resattn_plan_add_output(plan, "attention2.mask"), RESATTN_OK);
        resattn_session *session = resattn_session_new(plan);
        int64_t total = 0;
        for (int32_t i = 0; i < resattn_session_operation_count(session); i++) {
            const char *kernel = resattn_session_operation_kernel(session, i);
            ck_assert_ptr_nonnull(resattn_session_operation_name(session, i));
            ck_assert(has_path(resattn_network_root(network), resattn_session_operation_name(session, i)));
            ck_assert(way == RESATTN_CONVOLUTION_FASTEST || strstr(kernel, "winograd") == NULL);
            ck_assert(way != RESATTN_CONVOLUTION_REFERENCE || strcmp(kernel, "panels") != 0);
            total += resattn_session_operation_multiply_adds(session, i);
        }
        ck_assert_int_eq(total, resattn_plan_multiply_adds(plan));
        resattn_session_free(session);
        resattn_plan_free(plan);
    }
    resattn_network_unref(network);
}
END_TEST

START_TEST(test_profiling)
{
    resattn_network *network = small_network(context);
    resattn_tensor *input = small_input(context, 2, SMALL_SIDE, SMALL_SIDE, 1);
    resattn_session *session = small_session(network, RESATTN_INFERENCE, 2, SMALL_SIDE, SMALL_SIDE);
    results before = {0}, after = {0};
    ck_assert_int_eq(resattn_session_forward(session, input), RESATTN_OK);
    results_add(&before, resattn_session_output(session, NULL));
    ck_assert(all_seconds(session) == 0); /* profiling was off */
    for (int32_t times = 0; times < 2; times++) {
        ck_assert_int_eq(resattn_session_set_profiling(session, 1), RESATTN_OK);
        ck_assert(all_seconds(session) == 0);
        ck_assert_int_eq(resattn_session_forward(session, input), RESATTN_OK);
        double seconds = all_seconds(session);
        ck_assert(seconds > 0 && seconds < 60);
        ck_assert_int_eq(resattn_session_set_profiling(session, 1), RESATTN_OK); /* on already */
        ck_assert(all_seconds(session) == seconds);
        ck_assert_int_eq(resattn_session_set_profiling(session, 0), RESATTN_OK);
        ck_assert(all_seconds(session) == 0);
        ck_assert_int_eq(resattn_session_forward(session, input), RESATTN_OK);
        ck_assert(all_seconds(session) == 0);
    }
    results_add(&after, resattn_session_output(session, NULL));
    ck_assert(results_equal("with profiling", &after, &before));
    results_free(&before);
    results_free(&after);
    resattn_session_free(session);
    resattn_tensor_unref(input);
    resattn_network_unref(network);
}
END_TEST

/* A host whose threads begin late: once. */
static void run_late(void *user, resattn_task_fn task, void *job, int32_t count)
{
    const struct timespec while_asleep = {.tv_nsec = 30000000};
    if (*(int *)user) {
        *(int *)user = 0;
        nanosleep(&while_asleep, NULL);
    }
    for (int32_t i = 0; i < count; i++)
        task(job, i, 0);
}

/* The times of a batch in slices are those of all slices. */
START_TEST(test_profiling_of_slices)
{
    int late = 0;
    resattn_context *host = resattn_context_new(1);
    ck_assert_int_eq(resattn_context_set_runner(host, run_late, &late, 2), RESATTN_OK);
    resattn_network *network = map_network(host);
    resattn_session *session = map_session(network, BATCH, SIDE);
    resattn_tensor *input = small_input(host, BATCH, SIDE, SIDE, 1);
    ck_assert_int_eq(resattn_session_set_profiling(session, 1), RESATTN_OK);
    late = 1;
    ck_assert_int_eq(resattn_session_forward(session, input), RESATTN_OK);
    ck_assert_int_eq(late, 0);
    double seconds = all_seconds(session);
    ck_assert_msg(seconds >= 0.03, "%g seconds, expected the 0.03 of the first slice and more", seconds);
    resattn_tensor_unref(input);
    resattn_session_free(session);
    resattn_network_unref(network);
    resattn_context_unref(host);
}
END_TEST

START_TEST(test_wrong_operations)
{
    resattn_network *network = small_network(context);
    resattn_session *session = small_session(network, RESATTN_INFERENCE, 1, SMALL_SIDE, SMALL_SIDE);
    int32_t wrong[2] = {-1, resattn_session_operation_count(session)};
    for (int32_t i = 0; i < 2; i++) {
        NOTHING(INVALID, i ? "operation" : "-1", resattn_session_operation_name(session, wrong[i]));
        NOTHING(INVALID, "operation", resattn_session_operation_kind(session, wrong[i]));
        NOTHING(INVALID, "operation", resattn_session_operation_kernel(session, wrong[i]));
        ck_assert_int_eq(resattn_session_operation_multiply_adds(session, wrong[i]), -1);
        ck_assert(resattn_session_operation_seconds(session, wrong[i]) == -1);
    }
    REFUSED(INVALID, "2", resattn_session_set_profiling(session, 2));
    REFUSED(INVALID, "NULL", resattn_session_set_profiling(NULL, 1));
    NOTHING(INVALID, "NULL", resattn_session_operation_name(NULL, 0));
    ck_assert_int_eq(resattn_session_operation_count(NULL), 0);
    resattn_session_free(session);
    resattn_network_unref(network);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("inference runs");
    TCase *tests = tcase_create("inference runs");
    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_loop_test(tests, test_slices, 0, (int)(sizeof inputs / sizeof *inputs));
    tcase_add_test(tests, test_slices_of_pixels);
    tcase_add_test(tests, test_memory_of_slices);
    tcase_add_test(tests, test_output_as_input);
    tcase_add_test(tests, test_operations);
    tcase_add_test(tests, test_operations_of_small);
    tcase_add_test(tests, test_profiling);
    tcase_add_test(tests, test_profiling_of_slices);
    tcase_add_test(tests, test_wrong_operations);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
