/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tensors: layouts, views, copies, wrong arguments. Expected values come from index arithmetic done here.
 */
#include "common.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tensor/tensor.h"

static test_heap heap;
static resattn_context *context;

static void setup(void)
{
    heap = (test_heap){0};
    context = ra_context_create(1, test_heap_alloc, test_heap_free, &heap);
    ck_assert_ptr_nonnull(context);
}

static void teardown(void)
{
    resattn_context_unref(context);
    ck_assert_int_eq(heap.blocks, 0);
}

static int32_t pick(int32_t low, int32_t high)
{
    return low + (int32_t)(test_random() % (uint64_t)(high - low + 1));
}

/* The value that tests store at an index. */
static float value_at(const int64_t *index)
{
    return (float)(index[0] * 1000 + index[1] * 100 + index[2] * 10 + index[3]) + 0.5f;
}

/* Steps through all indices of a shape; false after the last. Start with zeros. */
static bool next_index(int32_t rank, const int64_t *shape, int64_t *index)
{
    for (int32_t d = rank - 1; d >= 0; d--) {
        if (++index[d] < shape[d])
            return true;
        index[d] = 0;
    }
    return false;
}

static float *element(resattn_tensor *tensor, const int64_t *index)
{
    int64_t offset = 0;
    for (int32_t d = 0; d < resattn_tensor_rank(tensor); d++)
        offset += index[d] * resattn_tensor_stride(tensor, d);
    return (float *)resattn_tensor_mutable_data(tensor) + offset;
}

static void fill_by_index(resattn_tensor *tensor)
{
    int64_t index[4] = {0};
    do
        *element(tensor, index) = value_at(index);
    while (next_index(tensor->rank, tensor->shape, index));
}

static void check_by_index(resattn_tensor *tensor)
{
    int64_t index[4] = {0};
    do
        ck_assert_float_eq(*element(tensor, index), value_at(index));
    while (next_index(tensor->rank, tensor->shape, index));
}

/* ---- making ---- */

START_TEST(new_tensors_are_zero_and_laid_out_in_order)
{
    static const int64_t shape[] = {2, 3, 4, 5};
    static const int64_t first[4][4] = {{1}, {3, 1}, {12, 4, 1}, {60, 20, 5, 1}};
    static const int64_t last[4][4] = {{1}, {3, 1}, {12, 1, 3}, {60, 1, 15, 3}};
    for (int32_t rank = 1; rank <= 4; rank++) {
        for (int order = 1; order <= 2; order++) {
            resattn_tensor *t = resattn_tensor_new(context, RESATTN_F32, rank, shape, (resattn_order)order);
            ck_assert_ptr_nonnull(t);
            ck_assert_int_eq(resattn_tensor_dtype(t), RESATTN_F32);
            ck_assert_int_eq(resattn_tensor_rank(t), rank);
            int64_t elements = 1;
            for (int32_t d = 0; d < rank; d++) {
                elements *= shape[d];
                ck_assert_int_eq(resattn_tensor_size(t, d), shape[d]);
                ck_assert_int_eq(resattn_tensor_stride(t, d), order == 1 ? first[rank - 1][d] : last[rank - 1][d]);
                ck_assert_int_eq(resattn_tensor_shape(t)[d], shape[d]);
                ck_assert_int_eq(resattn_tensor_strides(t)[d], resattn_tensor_stride(t, d));
            }
            ck_assert_int_eq(resattn_tensor_elements(t), elements);
            ck_assert_uint_eq((uintptr_t)resattn_tensor_data(t) % 64, 0);
            for (int64_t i = 0; i < elements; i++)
                ck_assert_float_eq(((const float *)resattn_tensor_data(t))[i], 0.0f);
            ck_assert_int_eq(ra_tensor_is_dense(t), order == 2 || rank < 3);
            ck_assert_ptr_eq(resattn_tensor_ref(t), t);
            resattn_tensor_unref(t);
            resattn_tensor_unref(t);
        }
    }
}
END_TEST

START_TEST(nothing_is_known_of_null)
{
    ck_assert_int_eq(resattn_tensor_dtype(NULL), 0);
    ck_assert_int_eq(resattn_tensor_rank(NULL), 0);
    ck_assert_int_eq(resattn_tensor_size(NULL, 0), 0);
    ck_assert_int_eq(resattn_tensor_stride(NULL, 0), 0);
    ck_assert_int_eq(resattn_tensor_elements(NULL), 0);
    ck_assert_ptr_null(resattn_tensor_data(NULL));
    ck_assert_ptr_null(resattn_tensor_ref(NULL));
    resattn_tensor_unref(NULL);
    static const int64_t shape[] = {2};
    resattn_tensor *t = resattn_tensor_new(context, RESATTN_U8, 1, shape, RESATTN_CHANNELS_FIRST);
    ck_assert_int_eq(resattn_tensor_size(t, -1), 0);
    ck_assert_int_eq(resattn_tensor_size(t, 1), 0);
    ck_assert_int_eq(resattn_tensor_stride(t, 4), 0);
    resattn_tensor_unref(t);
}
END_TEST

START_TEST(constructors_refuse_wrong_arguments)
{
    static const int64_t shape[] = {2, 3, 4, 5}, empty[] = {2, 0, 4, 5}, huge[] = {INT64_MAX, 2, 3, 4};
    static const int64_t wide[] = {INT64_C(1) << 31, INT64_C(1) << 31, 1, 1};
    static const int64_t zero[] = {60, 20, 0, 1}, far[] = {INT64_MAX, 20, 5, 1}, back[] = {INT64_MIN, 20, 5, 1};
    static const int64_t apart[] = {INT64_MAX / 16, -(INT64_MAX / 16), INT64_MAX / 16, 1};
    float memory[120] = {0};
    ck_assert_ptr_null(resattn_tensor_new(NULL, RESATTN_F32, 4, shape, RESATTN_CHANNELS_LAST));
    test_expect_error(RESATTN_INVALID_ARGUMENT, "context is NULL");
    ck_assert_ptr_null(resattn_tensor_new(context, (resattn_dtype)3, 4, shape, RESATTN_CHANNELS_LAST));
    test_expect_error(RESATTN_INVALID_ARGUMENT, "dtype is 3");
    ck_assert_ptr_null(resattn_tensor_new(context, RESATTN_F32, 5, shape, RESATTN_CHANNELS_LAST));
    test_expect_error(RESATTN_INVALID_ARGUMENT, "rank is 5, expected 1 to 4");
    ck_assert_ptr_null(resattn_tensor_new(context, RESATTN_F32, 0, shape, RESATTN_CHANNELS_LAST));
    test_expect_error(RESATTN_INVALID_ARGUMENT, "rank is 0");
    ck_assert_ptr_null(resattn_tensor_new(context, RESATTN_F32, 4, NULL, RESATTN_CHANNELS_LAST));
    test_expect_error(RESATTN_INVALID_ARGUMENT, "shape is NULL");
    ck_assert_ptr_null(resattn_tensor_new(context, RESATTN_F32, 4, empty, RESATTN_CHANNELS_LAST));
    test_expect_error(RESATTN_INVALID_ARGUMENT, "shape[1] is 0");
    ck_assert_ptr_null(resattn_tensor_new(context, RESATTN_F32, 4, shape, (resattn_order)0));
    test_expect_error(RESATTN_INVALID_ARGUMENT, "order is 0");
    ck_assert_ptr_null(resattn_tensor_new(context, RESATTN_U8, 4, huge, RESATTN_CHANNELS_LAST));
    test_expect_error(RESATTN_TOO_LARGE, "bytes");
    ck_assert_ptr_null(resattn_tensor_new(context, RESATTN_F32, 4, wide, RESATTN_CHANNELS_LAST));
    test_expect_error(RESATTN_TOO_LARGE, "bytes");
    ck_assert_ptr_null(
        resattn_tensor_wrap(context, RESATTN_F32, 4, shape, RESATTN_CHANNELS_LAST, NULL, NULL, NULL, NULL));
    test_expect_error(RESATTN_INVALID_ARGUMENT, "first is NULL");
    ck_assert_ptr_null(resattn_tensor_wrap(context, RESATTN_F32, 1, shape, RESATTN_CHANNELS_LAST, NULL,
                                           (char *)memory + 1, NULL, NULL));
    test_expect_error(RESATTN_INVALID_ARGUMENT, "expected a multiple of 4");
    ck_assert_ptr_null(
        resattn_tensor_wrap(context, RESATTN_F32, 4, shape, RESATTN_CHANNELS_LAST, zero, memory, NULL, NULL));
    test_expect_error(RESATTN_INVALID_ARGUMENT, "strides[2] is 0");
    ck_assert_ptr_null(
        resattn_tensor_wrap(context, RESATTN_U8, 4, shape, RESATTN_CHANNELS_LAST, far, memory, NULL, NULL));
    test_expect_error(RESATTN_TOO_LARGE, "strides");
    ck_assert_ptr_null(
        resattn_tensor_wrap(context, RESATTN_U8, 4, shape, RESATTN_CHANNELS_LAST, back, memory, NULL, NULL));
    test_expect_error(RESATTN_TOO_LARGE, "strides");
    ck_assert_ptr_null(
        resattn_tensor_wrap(context, RESATTN_U8, 4, shape, RESATTN_CHANNELS_LAST, apart, memory, NULL, NULL));
    test_expect_error(RESATTN_TOO_LARGE, "strides");
    static const int64_t one[] = {1, 3, 4, 5};
    resattn_tensor *t =
        resattn_tensor_wrap(context, RESATTN_F32, 4, one, RESATTN_CHANNELS_FIRST, back, memory, NULL, NULL);
    ck_assert_ptr_nonnull(t); /* the stride of a dimension of size 1 does not matter */
    ck_assert_int_eq(resattn_tensor_fill(t, 1.0f), RESATTN_OK);
    ck_assert(memory[59] == 1.0f && memory[60] == 0.0f);
    resattn_tensor_unref(t);
}
END_TEST

START_TEST(refused_memory_leaves_nothing)
{
    static const int64_t shape[] = {2, 3, 4, 5};
    for (int nth = 1; nth <= 2; nth++) {
        heap.fail_at = heap.calls + nth;
        ck_assert_ptr_null(resattn_tensor_new(context, RESATTN_F32, 4, shape, RESATTN_CHANNELS_LAST));
        ck_assert_int_eq(resattn_last_status(), RESATTN_OUT_OF_MEMORY);
        ck_assert_int_eq(heap.blocks, 1);
    }
    resattn_tensor *t = resattn_tensor_new(context, RESATTN_F32, 4, shape, RESATTN_CHANNELS_LAST);
    heap.fail_at = heap.calls + 1;
    ck_assert_ptr_null(resattn_tensor_view(t, NULL, shape));
    ck_assert_int_eq(resattn_last_status(), RESATTN_OUT_OF_MEMORY);
    resattn_tensor_unref(t);
}
END_TEST

/* ---- foreign memory, views, sharing ---- */

typedef struct owner {
    int released;
    void *memory;
} owner;

static void release(void *user, void *memory)
{
    owner *self = user;
    self->released++;
    self->memory = memory;
}

START_TEST(foreign_memory_is_released_once)
{
    static const int64_t shape[] = {2, 3}, part[] = {1, 2}, begin[] = {1, 1};
    float memory[6] = {0};
    owner self = {0};
    heap.fail_at = heap.calls + 1;
    ck_assert_ptr_null(
        resattn_tensor_wrap(context, RESATTN_F32, 2, shape, RESATTN_CHANNELS_FIRST, NULL, memory, release, &self));
    heap.fail_at = 0;
    ck_assert_int_eq(self.released, 0);
    resattn_tensor *t =
        resattn_tensor_wrap(context, RESATTN_F32, 2, shape, RESATTN_CHANNELS_FIRST, NULL, memory, release, &self);
    ck_assert_ptr_eq(resattn_tensor_data(t), memory);
    resattn_tensor *view = resattn_tensor_view(t, begin, part);
    resattn_tensor *again = resattn_tensor_view(view, NULL, part);
    ck_assert_ptr_eq(again->base, t);
    ck_assert_ptr_eq(resattn_tensor_data(again), memory + 4);
    resattn_tensor_unref(t);
    resattn_tensor_unref(view);
    ck_assert_int_eq(self.released, 0);
    ck_assert_int_eq(resattn_tensor_fill(again, 2.0f), RESATTN_OK);
    ck_assert(memory[3] == 0 && memory[4] == 2 && memory[5] == 2);
    resattn_tensor_unref(again);
    ck_assert_int_eq(self.released, 1);
    ck_assert_ptr_eq(self.memory, memory);
}
END_TEST

START_TEST(views_lie_inside)
{
    static const int64_t shape[] = {2, 3, 4, 5}, part[] = {1, 2, 3, 4}, begin[] = {1, 1, 1, 1}, over[] = {1, 2, 1, 1};
    static const int64_t negative[] = {0, -1, 0, 0}, beyond[] = {0, 0, 0, INT64_MAX}, none[] = {1, 1, 0, 1};
    static const int64_t large[] = {2, 3, 4, INT64_MAX};
    resattn_tensor *t = resattn_tensor_new(context, RESATTN_F32, 4, shape, RESATTN_CHANNELS_LAST);
    fill_by_index(t);
    resattn_tensor *view = resattn_tensor_view(t, begin, part);
    int64_t index[4] = {0};
    do {
        const int64_t moved[] = {index[0] + 1, index[1] + 1, index[2] + 1, index[3] + 1};
        ck_assert_float_eq(*element(view, index), value_at(moved));
    } while (next_index(4, part, index));
    ck_assert(ra_tensor_overlap(t, view));
    ck_assert_ptr_null(resattn_tensor_view(t, over, part));
    test_expect_error(RESATTN_SHAPE_MISMATCH, "dimension 1 of the view is 2 elements from 2 on, expected a part of 3");
    ck_assert_ptr_null(resattn_tensor_view(t, negative, part));
    test_expect_error(RESATTN_SHAPE_MISMATCH, "from -1 on");
    ck_assert_ptr_null(resattn_tensor_view(t, beyond, part));
    test_expect_error(RESATTN_SHAPE_MISMATCH, "dimension 3");
    ck_assert_ptr_null(resattn_tensor_view(t, NULL, large));
    test_expect_error(RESATTN_SHAPE_MISMATCH, "dimension 3");
    ck_assert_ptr_null(resattn_tensor_view(t, NULL, none));
    test_expect_error(RESATTN_INVALID_ARGUMENT, "shape[2] is 0");
    ck_assert_ptr_null(resattn_tensor_view(t, NULL, NULL));
    test_expect_error(RESATTN_INVALID_ARGUMENT, "shape is NULL");
    ck_assert_ptr_null(resattn_tensor_view(NULL, NULL, part));
    test_expect_error(RESATTN_INVALID_ARGUMENT, "tensor is NULL");
    resattn_tensor_unref(view);
    resattn_tensor_unref(t);
}
END_TEST

START_TEST(embedded_tensors_are_not_owned)
{
    static const int64_t shape[] = {1, 2, 2, 2};
    float memory[8] = {0}, copy[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    atomic_uint version = 0;
    resattn_tensor inner;
    ra_tensor_embed(&inner, 4, shape, RESATTN_CHANNELS_LAST, memory);
    inner.version = &version;
    ck_assert(ra_tensor_is_dense(&inner));
    ck_assert_ptr_null(resattn_tensor_ref(&inner));
    test_expect_error(RESATTN_WRONG_STATE, "session");
    for (int i = 0; i < 3; i++)
        resattn_tensor_unref(&inner);
    ck_assert_ptr_null(resattn_tensor_view(&inner, NULL, shape));
    test_expect_error(RESATTN_WRONG_STATE, "copy it");
    ck_assert_uint_eq(version, 0);
    ck_assert_int_eq(resattn_tensor_write(&inner, RESATTN_CHANNELS_FIRST, copy, 8), RESATTN_OK);
    ck_assert_uint_eq(version, 1);
    ck_assert(memory[0] == 1 && memory[1] == 5 && memory[2] == 2 && memory[7] == 8);
    ck_assert_int_eq(resattn_tensor_fill(&inner, 3.0f), RESATTN_OK);
    ck_assert_uint_eq(version, 2);
    resattn_tensor *other = resattn_tensor_new(context, RESATTN_F32, 4, shape, RESATTN_CHANNELS_FIRST);
    ck_assert_int_eq(resattn_tensor_copy(&inner, other), RESATTN_OK);
    ck_assert_uint_eq(version, 3);
    ck_assert_ptr_eq(resattn_tensor_data(&inner), memory);
    ck_assert_uint_eq(version, 3); /* reading is no change */
    ck_assert_ptr_eq(resattn_tensor_mutable_data(&inner), memory);
    ck_assert_uint_eq(version, 4);
    ck_assert_int_eq(resattn_tensor_read(&inner, RESATTN_CHANNELS_FIRST, copy, 8), RESATTN_OK);
    ck_assert_int_eq(resattn_tensor_write(&inner, RESATTN_CHANNELS_FIRST, copy, 7), RESATTN_SHAPE_MISMATCH);
    ck_assert_uint_eq(version, 4);
    resattn_tensor_unref(other);
}
END_TEST

static void check_unwritten(resattn_tensor *tensor, const char *part)
{
    static const uint8_t pixels[12] = {0};
    float copy[12] = {0};
    resattn_tensor *other = resattn_tensor_new(context, RESATTN_F32, 4, tensor->shape, RESATTN_CHANNELS_FIRST);
    ck_assert_ptr_null(resattn_tensor_mutable_data(tensor));
    test_expect_error(RESATTN_WRONG_STATE, part);
    ck_assert_int_eq(resattn_tensor_write(tensor, RESATTN_CHANNELS_FIRST, copy, 12), RESATTN_WRONG_STATE);
    test_expect_error(RESATTN_WRONG_STATE, part);
    ck_assert_int_eq(resattn_tensor_copy(tensor, other), RESATTN_WRONG_STATE);
    test_expect_error(RESATTN_WRONG_STATE, part);
    ck_assert_int_eq(resattn_tensor_fill(tensor, 1), RESATTN_WRONG_STATE);
    test_expect_error(RESATTN_WRONG_STATE, part);
    ck_assert_int_eq(resattn_tensor_set_pixels(tensor, 0, RESATTN_PIXEL_RGB, 2, 2, 6, pixels, NULL, NULL),
                     RESATTN_WRONG_STATE);
    test_expect_error(RESATTN_WRONG_STATE, part);
    resattn_tensor_unref(other);
}

START_TEST(what_a_session_gives_is_read_only)
{
    static const int64_t shape[] = {1, 3, 2, 2};
    float memory[12] = {7}, copy[12];
    resattn_tensor inner;
    ra_tensor_embed(&inner, 4, shape, RESATTN_CHANNELS_FIRST, memory);
    inner.read_only = true;
    check_unwritten(&inner, "session");
    ck_assert(memory[0] == 7);
    ck_assert_ptr_eq(resattn_tensor_data(&inner), memory);
    ck_assert_int_eq(resattn_tensor_read(&inner, RESATTN_CHANNELS_FIRST, copy, 12), RESATTN_OK);
    ck_assert(copy[0] == 7);
}
END_TEST

START_TEST(tensors_without_memory_are_refused)
{
    static const int64_t shape[] = {1, 3, 2, 2};
    float copy[12];
    resattn_tensor inner, *other = resattn_tensor_new(context, RESATTN_F32, 4, shape, RESATTN_CHANNELS_FIRST);
    ra_tensor_embed(&inner, 4, shape, RESATTN_CHANNELS_FIRST, NULL);
    check_unwritten(&inner, "sealed");
    ck_assert_ptr_null(resattn_tensor_data(&inner));
    test_expect_error(RESATTN_WRONG_STATE, "sealed");
    ck_assert_int_eq(resattn_tensor_read(&inner, RESATTN_CHANNELS_FIRST, copy, 12), RESATTN_WRONG_STATE);
    ck_assert_int_eq(resattn_tensor_copy(other, &inner), RESATTN_WRONG_STATE);
    test_expect_error(RESATTN_WRONG_STATE, "source");
    resattn_tensor_unref(other);
}
END_TEST

static void *share(void *argument)
{
    for (int i = 0; i < 2000; i++) {
        static const int64_t part[] = {1, 1};
        resattn_tensor_ref(argument);
        resattn_tensor_unref(resattn_tensor_view(argument, NULL, part));
        resattn_tensor_unref(argument);
    }
    resattn_tensor_unref(argument);
    return NULL;
}

START_TEST(threads_share_tensors)
{
    static const int64_t shape[] = {2, 3};
    pthread_t threads[4];
    owner self = {0};
    float memory[6];
    resattn_tensor *t =
        resattn_tensor_wrap(context, RESATTN_F32, 2, shape, RESATTN_CHANNELS_FIRST, NULL, memory, release, &self);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, share, resattn_tensor_ref(t)), 0);
    resattn_tensor_unref(t);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    ck_assert_int_eq(self.released, 1);
}
END_TEST

/* ---- copying ---- */

/* A tensor over part of `memory`: dimensions in random order, random gaps, random directions. */
static resattn_tensor *random_layout(int32_t rank, const int64_t *shape, float *memory, int64_t capacity)
{
    int64_t stride[4], step = 1, first = 0;
    int32_t order[4] = {0, 1, 2, 3};
    for (int32_t i = rank - 1; i > 0; i--) {
        int32_t other = pick(0, i), kept = order[i];
        order[i] = order[other];
        order[other] = kept;
    }
    for (int32_t i = 0; i < rank; i++) {
        int32_t d = order[i];
        step *= pick(0, 3) == 0 ? 2 : 1;
        step += pick(0, 3) == 0 ? 1 : 0;
        stride[d] = pick(0, 3) == 0 ? -step : step;
        if (stride[d] < 0)
            first += (shape[d] - 1) * step;
        step *= shape[d];
    }
    ck_assert_int_le(step, capacity);
    resattn_tensor *tensor = resattn_tensor_wrap(context, RESATTN_F32, rank, shape, RESATTN_CHANNELS_LAST, stride,
                                                 memory + first, NULL, NULL);
    ck_assert_ptr_nonnull(tensor);
    return tensor;
}

START_TEST(copies_keep_indices_in_any_layout)
{
    enum { CAPACITY = 200000 };
    float *a = malloc(CAPACITY * sizeof *a), *b = malloc(CAPACITY * sizeof *b), *dense = malloc(CAPACITY * sizeof *b);
    for (int round = 0; round < 300; round++) {
        int32_t rank = pick(1, 4);
        int64_t shape[4] = {1, 1, 1, 1}, strides[4], index[4] = {0};
        for (int32_t d = 0; d < rank; d++)
            shape[d] = pick(1, 7);
        for (int32_t i = 0; i < CAPACITY / 10; i++)
            a[i] = b[i] = -1.0f;
        resattn_tensor *from = random_layout(rank, shape, a, CAPACITY), *to = random_layout(rank, shape, b, CAPACITY);
        int64_t elements = resattn_tensor_elements(from);
        fill_by_index(from);
        ck_assert_int_eq(resattn_tensor_copy(to, from), RESATTN_OK);
        check_by_index(to);
        int64_t written = 0;
        for (int32_t i = 0; i < CAPACITY / 10; i++)
            written += b[i] >= 0;
        ck_assert_int_le(written, elements);
        resattn_order order = pick(0, 1) == 0 ? RESATTN_CHANNELS_FIRST : RESATTN_CHANNELS_LAST;
        ck_assert_int_eq(resattn_tensor_read(from, order, dense, elements), RESATTN_OK);
        ra_tensor_strides(rank, shape, order, strides);
        do {
            int64_t offset = 0;
            for (int32_t d = 0; d < rank; d++)
                offset += index[d] * strides[d];
            ck_assert_float_eq(dense[offset], value_at(index));
        } while (next_index(rank, shape, index));
        ck_assert_int_eq(resattn_tensor_fill(to, 0.25f), RESATTN_OK);
        ck_assert_int_eq(resattn_tensor_write(to, order, dense, elements), RESATTN_OK);
        check_by_index(to);
        if (rank == 4) {
            ra_tensor_strides(rank, shape, RESATTN_CHANNELS_LAST, strides);
            ra_tensor_to_dense(from, NULL, NULL, dense);
            do
                ck_assert_float_eq(
                    dense[index[0] * strides[0] + index[1] + index[2] * strides[2] + index[3] * shape[1]],
                    value_at(index));
            while (next_index(rank, shape, index));
        }
        resattn_tensor_unref(from);
        resattn_tensor_unref(to);
    }
    free(a);
    free(b);
    free(dense);
}
END_TEST

START_TEST(copies_refuse_what_does_not_fit)
{
    static const int64_t shape[] = {2, 3, 4, 5}, other_shape[] = {2, 3, 5, 4}, half[] = {1, 3, 4, 5},
                         second[] = {1, 0, 0, 0};
    float buffer[120] = {0};
    resattn_tensor *t = resattn_tensor_new(context, RESATTN_F32, 4, shape, RESATTN_CHANNELS_LAST);
    resattn_tensor *other = resattn_tensor_new(context, RESATTN_F32, 4, other_shape, RESATTN_CHANNELS_LAST);
    resattn_tensor *three = resattn_tensor_new(context, RESATTN_F32, 3, shape, RESATTN_CHANNELS_LAST);
    resattn_tensor *bytes = resattn_tensor_new(context, RESATTN_U8, 4, shape, RESATTN_CHANNELS_LAST);
    resattn_tensor *one = resattn_tensor_view(t, NULL, half), *two = resattn_tensor_view(t, second, half);
    ck_assert_int_eq(resattn_tensor_copy(NULL, t), RESATTN_INVALID_ARGUMENT);
    test_expect_error(RESATTN_INVALID_ARGUMENT, "target is NULL");
    ck_assert_int_eq(resattn_tensor_copy(t, NULL), RESATTN_INVALID_ARGUMENT);
    test_expect_error(RESATTN_INVALID_ARGUMENT, "source is NULL");
    ck_assert_int_eq(resattn_tensor_copy(t, other), RESATTN_SHAPE_MISMATCH);
    test_expect_error(RESATTN_SHAPE_MISMATCH, "the target is 2 x 3 x 4 x 5 F32, the source is 2 x 3 x 5 x 4 F32");
    ck_assert_int_eq(resattn_tensor_copy(t, three), RESATTN_SHAPE_MISMATCH);
    test_expect_error(RESATTN_SHAPE_MISMATCH, "the source is 2 x 3 x 4 F32");
    ck_assert_int_eq(resattn_tensor_copy(t, bytes), RESATTN_SHAPE_MISMATCH);
    test_expect_error(RESATTN_SHAPE_MISMATCH, "the source is 2 x 3 x 4 x 5 U8");
    ck_assert_int_eq(resattn_tensor_copy(t, t), RESATTN_INVALID_ARGUMENT);
    test_expect_error(RESATTN_INVALID_ARGUMENT, "overlap");
    ck_assert_int_eq(resattn_tensor_copy(one, two), RESATTN_OK);
    ck_assert_int_eq(resattn_tensor_read(NULL, RESATTN_CHANNELS_LAST, buffer, 120), RESATTN_INVALID_ARGUMENT);
    ck_assert_int_eq(resattn_tensor_read(t, RESATTN_CHANNELS_LAST, NULL, 120), RESATTN_INVALID_ARGUMENT);
    test_expect_error(RESATTN_INVALID_ARGUMENT, "buffer is NULL");
    ck_assert_int_eq(resattn_tensor_read(t, (resattn_order)9, buffer, 120), RESATTN_INVALID_ARGUMENT);
    test_expect_error(RESATTN_INVALID_ARGUMENT, "order is 9");
    ck_assert_int_eq(resattn_tensor_read(t, RESATTN_CHANNELS_LAST, buffer, 119), RESATTN_SHAPE_MISMATCH);
    test_expect_error(RESATTN_SHAPE_MISMATCH, "count is 119, the tensor has 120 elements");
    ck_assert_int_eq(resattn_tensor_write(t, RESATTN_CHANNELS_LAST, t->data, 120), RESATTN_INVALID_ARGUMENT);
    test_expect_error(RESATTN_INVALID_ARGUMENT, "overlaps");
    ck_assert_int_eq(resattn_tensor_read(one, RESATTN_CHANNELS_LAST, two->data, 60), RESATTN_OK);
    ck_assert_int_eq(resattn_tensor_read(one, RESATTN_CHANNELS_LAST, (float *)two->data - 1, 60),
                     RESATTN_INVALID_ARGUMENT);
    ck_assert_int_eq(resattn_tensor_fill(NULL, 0), RESATTN_INVALID_ARGUMENT);
    ck_assert_int_eq(resattn_tensor_fill(bytes, 0), RESATTN_INVALID_ARGUMENT);
    test_expect_error(RESATTN_INVALID_ARGUMENT, "dtype 4, expected 1");
    uint8_t values[120], back[120];
    for (int i = 0; i < 120; i++)
        values[i] = (uint8_t)(i * 7);
    ck_assert_int_eq(resattn_tensor_write(bytes, RESATTN_CHANNELS_FIRST, values, 120), RESATTN_OK);
    ck_assert_int_eq(resattn_tensor_read(bytes, RESATTN_CHANNELS_FIRST, back, 120), RESATTN_OK);
    ck_assert_int_eq(memcmp(values, back, 120), 0);
    resattn_tensor_unref(one);
    resattn_tensor_unref(two);
    resattn_tensor_unref(t);
    resattn_tensor_unref(other);
    resattn_tensor_unref(three);
    resattn_tensor_unref(bytes);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tensor");
    TCase *test = tcase_create("tensor");
    tcase_add_checked_fixture(test, setup, teardown);
    tcase_add_test(test, new_tensors_are_zero_and_laid_out_in_order);
    tcase_add_test(test, nothing_is_known_of_null);
    tcase_add_test(test, constructors_refuse_wrong_arguments);
    tcase_add_test(test, refused_memory_leaves_nothing);
    tcase_add_test(test, foreign_memory_is_released_once);
    tcase_add_test(test, views_lie_inside);
    tcase_add_test(test, embedded_tensors_are_not_owned);
    tcase_add_test(test, what_a_session_gives_is_read_only);
    tcase_add_test(test, tensors_without_memory_are_refused);
    tcase_add_test(test, threads_share_tensors);
    tcase_add_test(test, copies_keep_indices_in_any_layout);
    tcase_add_test(test, copies_refuse_what_does_not_fit);
    suite_add_tcase(suite, test);
    return test_run(suite);
}
