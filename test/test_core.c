/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Errors, memory, random numbers, floating-point mode, CPU, and the context. The pool has its own tests in
 * test_threads.c.
 */
#include "common.h"

#include <fenv.h>
#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include "core/core.h"

/* ---- errors ---- */

START_TEST(errors_keep_status_and_message)
{
    ck_assert_int_eq(resattn_last_status(), RESATTN_OK);
    ck_assert_str_eq(resattn_last_error(), "");
    ck_assert_int_eq(ra_fail(RESATTN_BUSY, "net is %s %d", "busy", 7), RESATTN_BUSY);
    ck_assert_int_eq(resattn_last_status(), RESATTN_BUSY);
    ck_assert_str_eq(resattn_last_error(), "net is busy 7");
    ck_assert_ptr_null(ra_fail_null(RESATTN_NOT_FOUND, "no %s", "layer"));
    ck_assert_int_eq(ra_fail_within("stage2"), RESATTN_NOT_FOUND);
    ck_assert_int_eq(ra_fail_within("net"), RESATTN_NOT_FOUND);
    ck_assert_str_eq(resattn_last_error(), "net: stage2: no layer");
    ra_fail(RESATTN_IO_ERROR, "again: %s", resattn_last_error());
    ck_assert_str_eq(resattn_last_error(), "again: net: stage2: no layer");
}
END_TEST

/* What a host fails with is as one of the library's own errors. */
START_TEST(hosts_record_errors)
{
    for (int status = RESATTN_INTERNAL; status < RESATTN_OK; status++) {
        ck_assert_int_eq(resattn_fail((resattn_status)status, "100% of\nit"), status);
        ck_assert_int_eq(resattn_last_status(), status);
        ck_assert_str_eq(resattn_last_error(), "100% of?it");
    }
    ck_assert_int_eq(resattn_fail(RESATTN_IO_ERROR, resattn_last_error()), RESATTN_IO_ERROR);
    ck_assert_str_eq(resattn_last_error(), "100% of?it");
    resattn_clear_error();
    ck_assert_int_eq(resattn_last_status(), RESATTN_OK);
    ck_assert_str_eq(resattn_last_error(), "");
}
END_TEST

START_TEST(long_messages_are_cut_between_characters)
{
    static const char *const characters[] = {"a", "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x90\x8E"};
    for (int kind = 0; kind < 4; kind++) {
        size_t length = strlen(characters[kind]);
        for (size_t shift = 0; shift < 4; shift++) {
            char text[2000] = "xxx";
            size_t used = shift;
            for (; used + length < sizeof text; used += length)
                memcpy(text + used, characters[kind], length + 1);
            ra_fail(RESATTN_INTERNAL, "%s", text);
            size_t kept = strlen(resattn_last_error());
            ck_assert_uint_le(kept, 511);
            ck_assert_uint_gt(kept + length, 511);
            ck_assert(test_is_utf8(resattn_last_error()));
            ck_assert(strncmp(text, resattn_last_error(), kept) == 0);
        }
    }
}
END_TEST

static void *fail_elsewhere(void *argument)
{
    (void)argument;
    bool clean = resattn_last_status() == RESATTN_OK && resattn_last_error()[0] == '\0';
    ra_fail(RESATTN_DUPLICATE, "elsewhere");
    return clean && strcmp(resattn_last_error(), "elsewhere") == 0 ? "good" : NULL;
}

START_TEST(errors_belong_to_their_thread)
{
    pthread_t thread;
    void *good;
    ra_fail(RESATTN_BUSY, "here");
    ck_assert_int_eq(pthread_create(&thread, NULL, fail_elsewhere, NULL), 0);
    pthread_join(thread, &good);
    ck_assert_ptr_nonnull(good);
    ck_assert_int_eq(resattn_last_status(), RESATTN_BUSY);
    ck_assert_str_eq(resattn_last_error(), "here");
}
END_TEST

START_TEST(every_status_has_a_text)
{
    for (int status = RESATTN_HOST_ERROR; status <= RESATTN_OK; status++) {
        ck_assert_str_ne(resattn_status_text((resattn_status)status), "unknown status");
        for (int other = RESATTN_HOST_ERROR; other < status; other++)
            ck_assert_str_ne(resattn_status_text((resattn_status)status), resattn_status_text((resattn_status)other));
    }
    ck_assert_str_eq(resattn_status_text((resattn_status)-999), "unknown status");
    ck_assert_str_eq(resattn_status_text((resattn_status)1), "unknown status");
    ck_assert_int_eq(resattn_version(), RESATTN_VERSION);
}
END_TEST

/* ---- arithmetic and memory ---- */

START_TEST(products_and_sums_are_checked)
{
    size_t size = 0;
    int64_t wide = 0;
    ck_assert(ra_mul_size(SIZE_MAX, 1, &size) && size == SIZE_MAX);
    ck_assert(ra_mul_size(SIZE_MAX, 0, &size) && size == 0);
    ck_assert(!ra_mul_size(SIZE_MAX / 2 + 1, 2, &size));
    ck_assert(ra_add_size(SIZE_MAX - 1, 1, &size) && size == SIZE_MAX);
    ck_assert(!ra_add_size(SIZE_MAX, 1, &size));
    ck_assert(ra_mul_i64(INT64_MAX, 1, &wide) && wide == INT64_MAX);
    ck_assert(!ra_mul_i64(INT64_MAX / 2 + 1, 2, &wide));
    ck_assert(ra_mul_i64(INT64_C(3037000499), INT64_C(3037000499), &wide));
    ck_assert(!ra_mul_i64(INT64_C(3037000500), INT64_C(3037000500), &wide));
}
END_TEST

START_TEST(memory_is_aligned_and_balanced)
{
    test_heap heap = {0};
    void *blocks[64];
    resattn_context *context = ra_context_create(1, test_heap_alloc, test_heap_free, &heap);
    ck_assert_ptr_nonnull(context);
    for (int i = 0; i < 64; i++) {
        size_t count = test_random() % 50, size = test_random() % 50;
        unsigned char *block = blocks[i] = ra_alloc(context, count, size);
        ck_assert_ptr_nonnull(block);
        ck_assert_uint_eq((uintptr_t)block % RA_ALIGNMENT, 0);
        for (size_t b = 0; b < count * size; b++)
            ck_assert_uint_eq(block[b], 0);
        memset(block, 0xAB, count * size);
    }
    for (int i = 0; i < 64; i++)
        ra_free(context, blocks[i]);
    ra_free(context, NULL);
    char *text = ra_strdup(context, "stage1.conv2");
    ck_assert_str_eq(text, "stage1.conv2");
    ra_free(context, text);
    resattn_context_unref(context);
    ck_assert_int_eq(heap.blocks, 0);
}
END_TEST

START_TEST(memory_that_is_refused_is_reported)
{
    test_heap heap = {.fail_at = 1};
    ck_assert_ptr_null(ra_context_create(1, test_heap_alloc, test_heap_free, &heap));
    ck_assert_int_eq(resattn_last_status(), RESATTN_OUT_OF_MEMORY);
    resattn_context *context = ra_context_create(1, test_heap_alloc, test_heap_free, &heap);
    ck_assert_ptr_nonnull(context);
    heap.fail_at = heap.calls + 1;
    ck_assert_ptr_null(ra_alloc(context, 3, 5));
    ck_assert_int_eq(resattn_last_status(), RESATTN_OUT_OF_MEMORY);
    heap.fail_at = heap.calls + 1;
    ck_assert_ptr_null(ra_strdup(context, "text"));
    heap.fail_at = 0;
    ck_assert_ptr_null(ra_alloc(context, SIZE_MAX / 2, 3));
    ck_assert_int_eq(resattn_last_status(), RESATTN_TOO_LARGE);
    ck_assert_ptr_null(ra_alloc_raw(context, SIZE_MAX - 8, 1));
    ck_assert_int_eq(resattn_last_status(), RESATTN_TOO_LARGE);
    resattn_context_unref(context);
    ck_assert_int_eq(heap.blocks, 0);
}
END_TEST

START_TEST(arrays_grow_or_stay)
{
    test_heap heap = {0};
    resattn_context *context = ra_context_create(1, test_heap_alloc, test_heap_free, &heap);
    int32_t *numbers = NULL, count = 0, capacity = 0;
    for (; count < 1000; count++) {
        ck_assert(ra_grow(context, (void **)&numbers, count, &capacity, sizeof *numbers));
        ck_assert_int_gt(capacity, count);
        numbers[count] = count * 3;
    }
    int32_t *before = numbers, room = capacity;
    count = capacity;
    heap.fail_at = heap.calls + 1;
    ck_assert(!ra_grow(context, (void **)&numbers, count, &capacity, sizeof *numbers));
    ck_assert_ptr_eq(numbers, before);
    ck_assert_int_eq(capacity, room);
    for (int32_t i = 0; i < 1000; i++)
        ck_assert_int_eq(numbers[i], i * 3);
    capacity = INT32_MAX;
    ck_assert(!ra_grow(context, (void **)&numbers, INT32_MAX, &capacity, sizeof *numbers));
    ck_assert_int_eq(resattn_last_status(), RESATTN_TOO_LARGE);
    ra_free(context, numbers);
    resattn_context_unref(context);
    ck_assert_int_eq(heap.blocks, 0);
}
END_TEST

/* ---- random numbers ---- */

START_TEST(random_numbers_are_the_published_ones)
{
    /* splitmix64 from state 1234567: Rosetta Code's check values for the algorithm */
    static const uint64_t expected[] = {UINT64_C(6457827717110365317), UINT64_C(3203168211198807973),
                                        UINT64_C(9817491932198370423), UINT64_C(4593380528125082431),
                                        UINT64_C(16408922859458223821)};
    for (uint64_t i = 0; i < 5; i++)
        ck_assert_uint_eq(ra_random_bits(1234567, i), expected[i]);
    ck_assert_uint_eq(ra_hash_text(""), UINT64_C(0xCBF29CE484222325));
    ck_assert_uint_eq(ra_hash_text("a"), UINT64_C(0xAF63DC4C8601EC8C));
    ck_assert_uint_eq(ra_hash_text("foobar"), UINT64_C(0x85944171F73967E8));
}
END_TEST

START_TEST(random_numbers_have_their_moments)
{
    enum { N = 100000 };
    uint64_t key = test_random();
    double sum = 0, squares = 0, cubes = 0, uniform = 0, uniform_squares = 0;
    for (uint64_t i = 0; i < N; i++) {
        double u = ra_random_uniform(key, i), n = ra_random_normal(key, i);
        ck_assert(u >= 0 && u < 1);
        ck_assert(isfinite(n));
        uniform += u;
        uniform_squares += u * u;
        sum += n;
        squares += n * n;
        cubes += n * n * n;
    }
    /* six standard errors */
    ck_assert_double_eq_tol(uniform / N, 0.5, 6 * 0.2887 / sqrt(N));
    ck_assert_double_eq_tol(uniform_squares / N, 1.0 / 3, 6 * 0.2982 / sqrt(N));
    ck_assert_double_eq_tol(sum / N, 0, 6 / sqrt(N));
    ck_assert_double_eq_tol(squares / N, 1, 6 * sqrt(2.0 / N));
    ck_assert_double_eq_tol(cubes / N, 0, 6 * sqrt(15.0 / N));
}
END_TEST

/* ---- floating-point mode ---- */

START_TEST(rounding_is_nearest_inside_and_restored)
{
    static const int modes[] = {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};
    for (int i = 0; i < 4; i++) {
        ra_fpmode mode;
        feclearexcept(FE_ALL_EXCEPT);
        feraiseexcept(FE_DIVBYZERO);
        fesetround(modes[i]);
        ra_fpmode_enter(&mode);
        volatile float one = 1.0f, three = 3.0f, zero = 0.0f;
        volatile float third = one / three, minus_third = -one / three, nan = zero / zero;
        ra_fpmode_leave(&mode);
        ck_assert_int_eq(fegetround(), modes[i]);
        ck_assert_int_eq(fetestexcept(FE_ALL_EXCEPT), FE_DIVBYZERO);
        fesetround(FE_TONEAREST);
        ck_assert(third == 0x1.555556p-2f && minus_third == -third && nan != nan);
    }
}
END_TEST

#if defined(__x86_64__)
START_TEST(denormals_are_flushed_inside_and_bits_restored)
{
    /* none; flush to zero; denormals are zero; both with round up; traps on (nothing here traps) */
    static const unsigned int bits[] = {0x1F80, 0x9F80, 0x1FC0, 0xDFC0, 0x9FC0, 0x0000, 0x1FA5};
    for (int i = 0; i < RA_COUNT(bits); i++) {
        ra_fpmode mode;
        volatile float tiny = 0x1p-149f, small = 0x1p-100f;
        _mm_setcsr(bits[i]);
        ra_fpmode_enter(&mode);
        volatile float product = small * small, read = tiny * 2.0f;
        unsigned int inside = _mm_getcsr();
        ra_fpmode_leave(&mode);
        unsigned int after = _mm_getcsr();
        _mm_setcsr(0x1F80);
        ck_assert_uint_eq(inside & 0xFFC0, 0x9FC0);
        ck_assert_uint_eq(after, bits[i]);
        ck_assert(product == 0.0f && read == 0.0f);
    }
}
END_TEST
#endif

/* ---- CPU ---- */

START_TEST(cpu_is_known_and_can_be_capped)
{
    ra_cpu_level best = ra_cpu();
    ck_assert_str_ne(ra_cpu_name(), "");
    ck_assert_str_ne(ra_cpu_level_name(best), "unknown");
    ck_assert_str_eq(ra_cpu_level_name((ra_cpu_level)99), "unknown");
    ck_assert(best != RA_CPU_AVX512 || strstr(ra_cpu_features(), "avx512vl") != NULL);
    ck_assert(best != RA_CPU_AVX2 || strstr(ra_cpu_features(), "avx2") != NULL);
    ra_cpu_cap(RA_CPU_PLAIN);
    ck_assert_int_eq(ra_cpu(), RA_CPU_PLAIN);
    ra_cpu_cap(RA_CPU_AVX2);
    ck_assert(ra_cpu() == RA_CPU_AVX2 || ra_cpu() == best);
    ra_cpu_cap(RA_CPU_AVX512);
    ck_assert_int_eq(ra_cpu(), best);
    ra_cpu_cap(RA_CPU_NEON);
    ck_assert_int_eq(ra_cpu(), best);
    ck_assert_int_ge(ra_cpu_count(), 1);
}
END_TEST

/* ---- the context ---- */

START_TEST(context_refuses_wrong_arguments)
{
    test_heap heap = {0};
    ck_assert_ptr_null(ra_context_create(-1, NULL, NULL, NULL));
    test_expect_error(RESATTN_INVALID_ARGUMENT, "threads is -1");
    ck_assert_ptr_null(ra_context_create(1025, NULL, NULL, NULL));
    test_expect_error(RESATTN_INVALID_ARGUMENT, "threads is 1025");
    ck_assert_ptr_null(ra_context_create(1, test_heap_alloc, NULL, &heap));
    test_expect_error(RESATTN_INVALID_ARGUMENT, "free is NULL");
    ck_assert_ptr_null(ra_context_create(1, NULL, test_heap_free, &heap));
    test_expect_error(RESATTN_INVALID_ARGUMENT, "alloc is NULL");
    ck_assert_int_eq(resattn_context_set_seed(NULL, 1), RESATTN_INVALID_ARGUMENT);
    ck_assert_int_eq(resattn_context_set_log(NULL, NULL, NULL, RESATTN_LOG_INFO), RESATTN_INVALID_ARGUMENT);
    ck_assert_int_eq(resattn_context_set_runner(NULL, NULL, NULL, 1), RESATTN_INVALID_ARGUMENT);
    test_expect_error(RESATTN_INVALID_ARGUMENT, "context is NULL");
    ck_assert_int_eq(resattn_context_threads(NULL), 0);
    ck_assert_ptr_null(resattn_context_ref(NULL));
    resattn_context_unref(NULL);
    resattn_context *context = ra_context_create(3, NULL, NULL, NULL);
    ck_assert_int_eq(resattn_context_set_log(context, NULL, NULL, (resattn_log_level)0), RESATTN_INVALID_ARGUMENT);
    ck_assert_int_eq(resattn_context_set_log(context, NULL, NULL, (resattn_log_level)4), RESATTN_INVALID_ARGUMENT);
    test_expect_error(RESATTN_INVALID_ARGUMENT, "level is 4");
    ck_assert_int_eq(resattn_context_threads(context), 3);
    ck_assert_int_eq(resattn_context_set_seed(context, 42), RESATTN_OK);
    ck_assert_uint_eq(resattn_context_seed(context), 42);
    ck_assert_ptr_eq(resattn_context_ref(context), context);
    resattn_context_unref(context);
    resattn_context_unref(context);
    context = ra_context_create(0, NULL, NULL, NULL);
    ck_assert_int_eq(resattn_context_threads(context), ra_cpu_count());
    resattn_context_unref(context);
}
END_TEST

typedef struct log_book {
    int messages;
    resattn_log_level level;
    char text[600];
} log_book;

static void note(void *user, resattn_log_level level, const char *message)
{
    log_book *book = user;
    book->messages++;
    book->level = level;
    snprintf(book->text, sizeof book->text, "%s", message);
}

START_TEST(log_gets_what_matters)
{
    log_book book = {0};
    resattn_context *context = ra_context_create(1, NULL, NULL, NULL);
    ra_log(context, RESATTN_LOG_ERROR, "silence");
    ck_assert_int_eq(resattn_context_set_log(context, note, &book, RESATTN_LOG_WARNING), RESATTN_OK);
    ra_log(context, RESATTN_LOG_INFO, "too little");
    ck_assert_int_eq(book.messages, 0);
    ra_log(context, RESATTN_LOG_WARNING, "two\nlines %d", 7);
    ck_assert_int_eq(book.messages, 1);
    ck_assert_int_eq(book.level, RESATTN_LOG_WARNING);
    ck_assert_str_eq(book.text, "two?lines 7");
    ra_log(context, RESATTN_LOG_ERROR, "%0600d", 1);
    ck_assert_int_eq(book.messages, 2);
    ck_assert_uint_eq(strlen(book.text), 511);
    ck_assert_int_eq(resattn_context_set_log(context, NULL, NULL, RESATTN_LOG_INFO), RESATTN_OK);
    ra_log(context, RESATTN_LOG_ERROR, "silence");
    ck_assert_int_eq(book.messages, 2);
    resattn_context_unref(context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core");
    TCase *test = tcase_create("core");
    tcase_add_test(test, errors_keep_status_and_message);
    tcase_add_test(test, hosts_record_errors);
    tcase_add_test(test, long_messages_are_cut_between_characters);
    tcase_add_test(test, errors_belong_to_their_thread);
    tcase_add_test(test, every_status_has_a_text);
    tcase_add_test(test, products_and_sums_are_checked);
    tcase_add_test(test, memory_is_aligned_and_balanced);
    tcase_add_test(test, memory_that_is_refused_is_reported);
    tcase_add_test(test, arrays_grow_or_stay);
    tcase_add_test(test, random_numbers_are_the_published_ones);
    tcase_add_test(test, random_numbers_have_their_moments);
    tcase_add_test(test, rounding_is_nearest_inside_and_restored);
#if defined(__x86_64__)
    tcase_add_test(test, denormals_are_flushed_inside_and_bits_restored);
#endif
    tcase_add_test(test, cpu_is_known_and_can_be_capped);
    tcase_add_test(test, context_refuses_wrong_arguments);
    tcase_add_test(test, log_gets_what_matters);
    suite_add_tcase(suite, test);
    return test_run(suite);
}
