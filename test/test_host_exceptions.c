/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A host that unmasks floating-point exceptions: a call works or answers an error, and raises no SIGFPE, with numbers
 * that are not finite too, in the caller's and in the library's threads. What the host unmasked is unmasked afterwards.
 */
#define _GNU_SOURCE /* feenableexcept() */
#include <fenv.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common.h"
#include "small.h"

#if defined(__GLIBC__) && (defined(__x86_64__) || defined(__i386__))
#define CAN_UNMASK
#endif

#ifdef CAN_UNMASK

static const int unmasked = FE_DIVBYZERO | FE_INVALID | FE_OVERFLOW;
static const float bad_values[] = {NAN, INFINITY, -INFINITY, 3e38f, 1e-40f};

enum { BAD_VALUES = sizeof bad_values / sizeof *bad_values };

static void unmask(void)
{
    ck_assert_int_ne(feenableexcept(unmasked), -1);
}

/* The host's settings are as it left them. */
static void check_unmasked(void)
{
    ck_assert_int_eq(fegetexcept(), unmasked);
}

static void mask_again(void)
{
    check_unmasked();
    fedisableexcept(FE_ALL_EXCEPT);
    feclearexcept(FE_ALL_EXCEPT);
}

/* ---- good numbers ---- */

START_TEST(test_same_results)
{
    results expected = {0}, got = {0};
    resattn_context *context = resattn_context_new(2);
    ck_assert_int_eq(small_run(context, SMALL_SIDE, NULL, &expected), RESATTN_OK);
    resattn_context_unref(context);
    unmask();
    context = resattn_context_new(2); /* its threads inherit the mode */
    resattn_status status = small_run(context, SMALL_SIDE, NULL, &got);
    resattn_context_unref(context);
    mask_again();
    ck_assert_int_eq(status, RESATTN_OK);
    ck_assert(results_equal("unmasked exceptions", &got, &expected));
    results_free(&expected);
    results_free(&got);
}
END_TEST

/* ---- bad numbers in what is computed ---- */

static void train(resattn_network *network, const resattn_tensor *input, float bad)
{
    const int32_t labels[SMALL_BATCH] = {0, 1, 2};
    double loss = 0;
    resattn_session *session = small_session(network, RESATTN_TRAINING, SMALL_BATCH, SMALL_SIDE, SMALL_SIDE);
    resattn_optimizer *optimizers[2] = {resattn_sgd_new(network, 0.1), resattn_adamw_new(network, 0.1)};
    resattn_ema *average = resattn_ema_new(network, 0.9);
    ck_assert_ptr_nonnull(session);
    resattn_mask_loss *losses[3];
    const int64_t shape[] = {SMALL_BATCH, 1, SMALL_SIDE, SMALL_SIDE};
    resattn_context *context = resattn_network_context(network);
    resattn_tensor *targets = resattn_tensor_new(context, RESATTN_F32, 4, shape, RESATTN_CHANNELS_FIRST);
    resattn_tensor_fill(targets, bad);
    for (int kind = 0; kind < 3; kind++)
        losses[kind] = resattn_mask_loss_new(context, (resattn_mask_loss_kind)(kind + 1));
    for (int step = 0; step < 2; step++) {
        ck_assert_int_eq(resattn_session_forward(session, input), RESATTN_OK);
        ck_assert_int_eq(resattn_softmax_cross_entropy(session, labels, SMALL_BATCH, &loss, NULL), RESATTN_OK);
        for (int kind = 0; kind < 3; kind++)
            resattn_mask_loss_apply(losses[kind], session, "attention1.mask", targets, NULL, NULL);
        ck_assert_int_eq(resattn_session_backward(session), RESATTN_OK);
        for (int i = 0; i < 2; i++) {
            resattn_optimizer_set_real(optimizers[i], "clip_norm", 1);
            ck_assert_int_eq(resattn_optimizer_step(optimizers[i]), RESATTN_OK);
            resattn_optimizer_gradient_norm(optimizers[i]);
        }
        ck_assert_int_eq(resattn_ema_update(average), RESATTN_OK);
    }
    resattn_tensor_unref(targets);
    for (int kind = 0; kind < 3; kind++)
        resattn_mask_loss_free(losses[kind]);
    resattn_ema_free(average);
    resattn_optimizer_free(optimizers[0]);
    resattn_optimizer_free(optimizers[1]);
    resattn_session_free(session);
}

static void infer(resattn_network *network, const resattn_tensor *input)
{
    resattn_session *session = small_session(network, RESATTN_INFERENCE, SMALL_BATCH, SMALL_SIDE, SMALL_SIDE);
    ck_assert_ptr_nonnull(session);
    ck_assert_int_eq(resattn_session_set_profiling(session, 1), RESATTN_OK);
    ck_assert_int_eq(resattn_session_forward(session, input), RESATTN_OK);
    for (int32_t i = 0; i < resattn_session_operation_count(session); i++)
        resattn_session_operation_seconds(session, i);
    resattn_session_free(session);
}

/* Half precision cannot hold all of them. */
static void save_and_load(resattn_network *network)
{
    static const resattn_dtype types[] = {RESATTN_F32, RESATTN_F16, RESATTN_BF16};
    for (int i = 0; i < 3; i++) {
        void *bytes = NULL;
        size_t size = 0;
        ck_assert_int_eq(resattn_network_set_storage(network, types[i]), RESATTN_OK);
        ck_assert_int_eq(resattn_network_save_buffer(network, 1, &bytes, &size), RESATTN_OK);
        resattn_network *loaded = resattn_network_load_buffer(resattn_network_context(network), bytes, size);
        ck_assert_msg(loaded != NULL, "%s", resattn_last_error());
        resattn_network_unref(loaded);
        resattn_buffer_free(bytes);
    }
}

START_TEST(test_bad_numbers)
{
    unmask();
    resattn_context *context = resattn_context_new(1 + _i % 2 * 2);
    resattn_network *network = small_network(context);
    resattn_tensor *input = small_input(context, SMALL_BATCH, SMALL_SIDE, SMALL_SIDE, 1);
    resattn_tensor *weights = resattn_network_parameter(network, 0);
    ck_assert_int_eq(resattn_tensor_fill(input, bad_values[_i / 2]), RESATTN_OK);
    infer(network, input);
    train(network, input, bad_values[_i / 2]);
    ck_assert_int_eq(resattn_tensor_fill(weights, bad_values[_i / 2]), RESATTN_OK);
    infer(network, input);
    save_and_load(network);
    check_unmasked();
    resattn_tensor_unref(input);
    resattn_network_unref(network);
    resattn_context_unref(context);
    mask_again();
}
END_TEST

/* ---- bad numbers as arguments: an error, or taken ---- */

static const double bad_arguments[] = {NAN, INFINITY, -INFINITY, 1e300, -1e300, 1e-310};

enum { BAD_ARGUMENTS = sizeof bad_arguments / sizeof *bad_arguments };

static void give_to_layers(resattn_context *context, double bad)
{
    resattn_builder *b = resattn_builder_new(context);
    resattn_layer_set_real(resattn_batch_norm_new(b, NULL), "epsilon", bad);
    resattn_builder_free(b);
    b = resattn_builder_new(context);
    resattn_layer_set_int(resattn_batch_norm_new(b, NULL), "momentum", 1);
    resattn_builder_free(b);
    b = resattn_builder_new(context);
    resattn_layer *scale = resattn_scale_new(b, "scale", bad);
    resattn_network *network = scale ? resattn_network_new(b, scale, 3) : NULL;
    resattn_tensor *input = small_input(context, 1, 4, 4, 1);
    resattn_plan *plan = network ? resattn_plan_new(network, RESATTN_INFERENCE, 1, 4, 4) : NULL;
    resattn_session *session = plan ? resattn_session_new(plan) : NULL;
    if (session)
        resattn_session_forward(session, input);
    resattn_session_free(session);
    resattn_plan_free(plan);
    resattn_tensor_unref(input);
    resattn_network_unref(network);
    resattn_builder_free(b);
    b = resattn_builder_new(context);
    resattn_layer *resize = resattn_bilinear_resize_new(b, NULL, 0, 0);
    resattn_layer_set_real(resize, "factor", bad);
    network = resattn_network_new(b, resize, 3);
    resattn_plan_free(network ? resattn_plan_new(network, RESATTN_INFERENCE, 1, 4, 4) : NULL);
    resattn_network_unref(network);
    resattn_dropout_new(b, NULL, bad);
    resattn_builder_free(b);
}

static void give_to_training(resattn_context *context, double bad)
{
    static const char *const attributes[] = {"rate",  "momentum",      "nesterov",  "weight_decay", "beta1",
                                             "beta2", "decay_vectors", "clip_norm", "epsilon"};
    resattn_network *network = small_network(context);
    resattn_optimizer *optimizers[4] = {resattn_sgd_new(network, bad), resattn_adamw_new(network, bad),
                                        resattn_sgd_new(network, 0.1), resattn_adamw_new(network, 0.1)};
    resattn_ema_free(resattn_ema_new(network, bad));
    for (int i = 0; i < 4; i++) {
        for (size_t a = 0; a < sizeof attributes / sizeof *attributes; a++)
            if (optimizers[i])
                resattn_optimizer_set_real(optimizers[i], attributes[a], bad);
        if (optimizers[i])
            resattn_optimizer_set_factor(optimizers[i], "", "rate", bad);
        resattn_optimizer_free(optimizers[i]);
    }
    float single = isfinite(bad) ? 1 : (float)bad;
    const float three[3] = {single, 1, single};
    resattn_network_set_normalization(network, three, three, 3);
    resattn_mask_loss *mask_loss = resattn_mask_loss_new(context, RESATTN_MASK_LOSS_SQUARED);
    resattn_mask_loss_set_real(mask_loss, "weight", bad);
    resattn_mask_loss_free(mask_loss);
    resattn_cross_entropy *loss = resattn_cross_entropy_new(context);
    resattn_cross_entropy_set_real(loss, "label_smoothing", bad);
    resattn_cross_entropy_set_real(loss, "gradient_scale", bad);
    resattn_cross_entropy_set_class_weights(loss, three, 3);
    resattn_cross_entropy_free(loss);
    resattn_network_unref(network);
}

static void give_to_schedules(resattn_context *context, double bad)
{
    const int64_t milestones[] = {10, 20};
    const double good = 0.1;
    for (int which = 0; which < 4; which++) {
        resattn_schedule *schedules[3] = {
            resattn_step_schedule_new(context, which == 0 ? bad : good, which == 1 ? bad : good, milestones, 2),
            resattn_cosine_schedule_new(context, which == 0 ? bad : good, which == 1 ? bad : 0, 5, 100),
            resattn_one_cycle_schedule_new(context, which == 0 ? bad : good, which == 2 ? bad : 0.3, 100)};
        for (int i = 0; i < 3; i++) {
            for (int64_t step = 0; step < 120 && schedules[i]; step += 7)
                resattn_schedule_rate(schedules[i], step);
            resattn_schedule_free(schedules[i]);
        }
    }
    resattn_schedule_rate(NULL, 0);
}

static void give_to_tensors(resattn_context *context, float bad)
{
    static const unsigned char pixels[3 * 4 * 4];
    const int64_t shape[] = {1, 3, 4, 4};
    const float mean[3] = {bad, 0, bad}, deviation[3] = {1, bad, 1}, tiny[3] = {1e-39f, 1, 1e-39f};
    resattn_tensor *tensor = resattn_tensor_new(context, RESATTN_F32, 4, shape, RESATTN_CHANNELS_FIRST);
    resattn_tensor *other = resattn_tensor_new(context, RESATTN_F32, 4, shape, RESATTN_CHANNELS_LAST);
    resattn_tensor_set_pixels(tensor, 0, RESATTN_PIXEL_RGB, 4, 4, 12, pixels, mean, deviation);
    resattn_tensor_set_pixels(tensor, 0, RESATTN_PIXEL_RGB, 4, 4, 12, pixels, mean, NULL);
    resattn_tensor_set_pixels(tensor, 0, RESATTN_PIXEL_RGB, 4, 4, 12, pixels, NULL, tiny);
    resattn_tensor_fill(tensor, bad);
    ck_assert_int_eq(resattn_tensor_copy(other, tensor), RESATTN_OK);
    float values[48];
    ck_assert_int_eq(resattn_tensor_read(other, RESATTN_CHANNELS_FIRST, values, 48), RESATTN_OK);
    ck_assert_int_eq(resattn_tensor_write(other, RESATTN_CHANNELS_LAST, values, 48), RESATTN_OK);
    resattn_tensor_unref(tensor);
    resattn_tensor_unref(other);
}

START_TEST(test_bad_arguments)
{
    double bad = bad_arguments[_i];
    unmask();
    resattn_context *context = resattn_context_new(2);
    give_to_layers(context, bad);
    check_unmasked();
    give_to_training(context, bad);
    check_unmasked();
    give_to_schedules(context, bad);
    check_unmasked();
    give_to_tensors(context, _i < BAD_VALUES ? bad_values[_i] : 0);
    ck_assert(resattn_context_peak(context) > 0);
    resattn_context_unref(context);
    mask_again();
}
END_TEST

#endif

int main(void)
{
    Suite *suite = suite_create("host_exceptions");
    TCase *tests = tcase_create("host_exceptions");
    tcase_set_timeout(tests, 120);
#ifdef CAN_UNMASK
    tcase_add_test(tests, test_same_results);
    tcase_add_loop_test(tests, test_bad_numbers, 0, 2 * BAD_VALUES);
    tcase_add_loop_test(tests, test_bad_arguments, 0, BAD_ARGUMENTS);
#endif
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
