/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A host in a locale with decimal commas: numbers in messages and files are as everywhere. The locale's name is the
 * argument; host_locale.sh makes one.
 */
#include <locale.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common.h"
#include "small.h"

static const char *locale_name;

static void enter_locale(void)
{
    char number[16];
    ck_assert_msg(setlocale(LC_ALL, locale_name) != NULL, "there is no locale %s", locale_name);
    snprintf(number, sizeof number, "%.1f", 0.5);
    ck_assert_str_eq(number, "0,5");
}

/* Nor is the locale of the host or of its thread changed. */
static void leave_locale(void)
{
    char number[16];
    ck_assert_str_eq(setlocale(LC_ALL, NULL), locale_name);
    snprintf(number, sizeof number, "%.1f", 0.5);
    ck_assert_str_eq(number, "0,5");
    setlocale(LC_ALL, "C");
}

START_TEST(test_messages)
{
    enter_locale();
    resattn_context *context = resattn_context_new(1);
    resattn_builder *b = resattn_builder_new(context);
    ck_assert_ptr_null(resattn_dropout_new(b, "drop", 1.5));
    test_expect_error(RESATTN_INVALID_ARGUMENT, "1.5");
    resattn_builder_free(b);
    ck_assert_ptr_null(resattn_cosine_schedule_new(context, -0.25, 0, 0, 10));
    test_expect_error(RESATTN_INVALID_ARGUMENT, "-0.25");
    ck_assert_ptr_null(resattn_network_load(context, "/nonexistent/network"));
    test_expect_error(RESATTN_NOT_FOUND, "No such file or directory");
    resattn_context_unref(context);
    leave_locale();
}
END_TEST

/* A file's bytes; the caller frees them. */
static unsigned char *read_file(const char *path, size_t *size)
{
    unsigned char *bytes = malloc(1 << 20);
    FILE *file = fopen(path, "rb");
    ck_assert(bytes != NULL && file != NULL);
    *size = fread(bytes, 1, 1 << 20, file);
    fclose(file);
    unlink(path);
    return bytes;
}

/* Real attributes, momenta and factors are in a checkpoint; names and shapes in a safetensors file. */
static unsigned char *save(resattn_network *network, const char *folder, bool weights, size_t *size)
{
    char path[100];
    snprintf(path, sizeof path, "%s/file", folder);
    resattn_optimizer *sgd = resattn_sgd_new(network, 0.125);
    ck_assert_int_eq(resattn_optimizer_set_factor(sgd, "attention1", "rate", 0.5), RESATTN_OK);
    resattn_status status = weights ? resattn_network_save_weights(network, path, RESATTN_F32)
                                    : resattn_checkpoint_save(sgd, NULL, path, RESATTN_DEFAULT_LEVEL);
    if (status == RESATTN_OK)
        status = weights ? resattn_network_load_weights(network, path, NULL, RESATTN_WEIGHTS_STRICT, NULL)
                         : resattn_checkpoint_restore(sgd, NULL, path);
    resattn_optimizer_free(sgd);
    if (weights && status == RESATTN_UNSUPPORTED)
        return NULL;
    ck_assert_msg(status == RESATTN_OK, "%s", resattn_last_error());
    return read_file(path, size);
}

START_TEST(test_files)
{
    char folder[] = "/tmp/resattn-host-XXXXXX";
    size_t size = 0, other_size = 0;
    resattn_context *context = resattn_context_new(1);
    resattn_network *network = small_network(context);
    ck_assert_ptr_nonnull(mkdtemp(folder));
    unsigned char *expected = save(network, folder, _i, &size);
    enter_locale();
    unsigned char *bytes = save(network, folder, _i, &other_size);
    leave_locale();
    ck_assert(size == other_size && (size == 0 || memcmp(bytes, expected, size) == 0));
    free(bytes);
    free(expected);
    rmdir(folder);
    resattn_network_unref(network);
    resattn_context_unref(context);
}
END_TEST

START_TEST(test_results)
{
    results expected = {0}, got = {0};
    resattn_context *context = resattn_context_new(2);
    ck_assert_int_eq(small_run(context, SMALL_SIDE, NULL, &expected), RESATTN_OK);
    enter_locale();
    ck_assert_int_eq(small_run(context, SMALL_SIDE, NULL, &got), RESATTN_OK);
    leave_locale();
    ck_assert(results_equal("another locale", &got, &expected));
    results_free(&expected);
    results_free(&got);
    resattn_context_unref(context);
}
END_TEST

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: test_host_locale LOCALE\n");
        return EXIT_FAILURE;
    }
    locale_name = argv[1];
    Suite *suite = suite_create("host_locale");
    TCase *tests = tcase_create("host_locale");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, test_messages);
    tcase_add_loop_test(tests, test_files, 0, 2);
    tcase_add_test(tests, test_results);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
