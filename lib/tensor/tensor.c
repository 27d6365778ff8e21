/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tensors: making, sharing and asking them.
 */
#include "tensor/tensor.h"

#include <inttypes.h>
#include <string.h>

/* How far a tensor may reach in bytes: pointers can be subtracted, and strides added and doubled without a check. */
#define LARGEST_EXTENT ((int64_t)PTRDIFF_MAX < INT64_MAX / 4 ? (int64_t)PTRDIFF_MAX : INT64_MAX / 4)

/* ---- strides and extents ---- */

void ra_tensor_strides(int32_t rank, const int64_t *shape, resattn_order order, int64_t *stride)
{
    bool channels_last = order == RESATTN_CHANNELS_LAST && rank >= 3;
    int64_t step = 1;
    if (channels_last) {
        stride[1] = 1;
        step = shape[1];
    }
    for (int32_t d = rank - 1; d >= 0; d--) {
        if (channels_last && d == 1)
            continue;
        stride[d] = step;
        step *= shape[d];
    }
}

/* The bytes before the first element and from it on to the end of the last one. False if they are more than can be. */
static bool find_extent(resattn_dtype dtype, int32_t rank, const int64_t *shape, const int64_t *stride, int64_t *before,
                        int64_t *after)
{
    const int64_t limit = LARGEST_EXTENT / ra_element_size(dtype);
    int64_t low = 0, high = 1;
    for (int32_t d = 0; d < rank; d++) {
        if (shape[d] == 1)
            continue;
        if (stride[d] < -limit || stride[d] > limit)
            return false;
        int64_t distance, step = stride[d] < 0 ? -stride[d] : stride[d];
        if (!ra_mul_i64(shape[d] - 1, step, &distance) || distance > limit - low - high)
            return false;
        if (stride[d] < 0)
            low += distance;
        else
            high += distance;
    }
    *before = low * ra_element_size(dtype);
    *after = high * ra_element_size(dtype);
    return true;
}

void ra_tensor_range(const resattn_tensor *tensor, uintptr_t *begin, uintptr_t *end)
{
    int64_t before = 0, after = 0;
    find_extent(tensor->dtype, tensor->rank, tensor->shape, tensor->stride, &before, &after);
    *begin = (uintptr_t)tensor->data - (uintptr_t)before;
    *end = (uintptr_t)tensor->data + (uintptr_t)after;
}

bool ra_tensor_overlap(const resattn_tensor *a, const resattn_tensor *b)
{
    uintptr_t a_begin, a_end, b_begin, b_end;
    ra_tensor_range(a, &a_begin, &a_end);
    ra_tensor_range(b, &b_begin, &b_end);
    return a_begin < b_end && b_begin < a_end;
}

bool ra_tensor_is_dense(const resattn_tensor *tensor)
{
    int64_t dense[RA_MAX_RANK];
    if (tensor->dtype != RESATTN_F32)
        return false;
    ra_tensor_strides(tensor->rank, tensor->shape, RESATTN_CHANNELS_LAST, dense);
    for (int32_t d = 0; d < tensor->rank; d++)
        if (tensor->shape[d] > 1 && tensor->stride[d] != dense[d])
            return false;
    return true;
}

/* ---- making ---- */

bool ra_check_order(resattn_order order)
{
    if (order == RESATTN_CHANNELS_FIRST || order == RESATTN_CHANNELS_LAST)
        return true;
    ra_fail(RESATTN_INVALID_ARGUMENT, "order is %d, expected %d or %d", (int)order, RESATTN_CHANNELS_FIRST,
            RESATTN_CHANNELS_LAST);
    return false;
}

static bool check_shape(int32_t rank, const int64_t *shape)
{
    for (int32_t d = 0; d < rank; d++) {
        if (shape[d] < 1) {
            ra_fail(RESATTN_INVALID_ARGUMENT, "shape[%d] is %" PRId64 ", expected at least 1", (int)d, shape[d]);
            return false;
        }
    }
    return true;
}

/* Checks what every constructor takes, and that the number of bytes fits. */
static bool check_new(const resattn_context *context, resattn_dtype dtype, int32_t rank, const int64_t *shape,
                      resattn_order order)
{
    if (context == NULL) {
        ra_fail(RESATTN_INVALID_ARGUMENT, "context is NULL");
        return false;
    }
    if (dtype != RESATTN_F32 && dtype != RESATTN_U8) {
        ra_fail(RESATTN_INVALID_ARGUMENT, "dtype is %d, expected %d or %d", (int)dtype, RESATTN_F32, RESATTN_U8);
        return false;
    }
    if (rank < 1 || rank > RA_MAX_RANK) {
        ra_fail(RESATTN_INVALID_ARGUMENT, "rank is %d, expected 1 to %d", (int)rank, RA_MAX_RANK);
        return false;
    }
    if (shape == NULL) {
        ra_fail(RESATTN_INVALID_ARGUMENT, "shape is NULL");
        return false;
    }
    if (!check_shape(rank, shape) || !ra_check_order(order))
        return false;
    int64_t bytes = ra_element_size(dtype);
    for (int32_t d = 0; d < rank; d++) {
        if (!ra_mul_i64(bytes, shape[d], &bytes) || bytes > LARGEST_EXTENT) {
            ra_fail(RESATTN_TOO_LARGE, "the tensor has more than %" PRId64 " bytes", LARGEST_EXTENT);
            return false;
        }
    }
    return true;
}

static resattn_tensor *make(resattn_context *context, resattn_dtype dtype, int32_t rank, const int64_t *shape,
                            const int64_t *stride)
{
    resattn_tensor *tensor = ra_alloc(context, 1, sizeof *tensor);
    if (tensor == NULL)
        return NULL;
    tensor->context = resattn_context_ref(context);
    atomic_init(&tensor->references, 1);
    tensor->dtype = dtype;
    tensor->rank = rank;
    memcpy(tensor->shape, shape, (size_t)rank * sizeof *shape);
    memcpy(tensor->stride, stride, (size_t)rank * sizeof *stride);
    return tensor;
}

resattn_tensor *resattn_tensor_new(resattn_context *context, resattn_dtype dtype, int32_t rank, const int64_t *shape,
                                   resattn_order order)
{
    int64_t stride[RA_MAX_RANK];
    if (!check_new(context, dtype, rank, shape, order))
        return NULL;
    ra_tensor_strides(rank, shape, order, stride);
    resattn_tensor *tensor = make(context, dtype, rank, shape, stride);
    if (tensor == NULL)
        return NULL;
    tensor->owned = ra_alloc(context, (size_t)resattn_tensor_elements(tensor), (size_t)ra_element_size(dtype));
    if (tensor->owned == NULL) {
        resattn_tensor_unref(tensor);
        return NULL;
    }
    tensor->data = tensor->owned;
    return tensor;
}

resattn_tensor *resattn_tensor_wrap(resattn_context *context, resattn_dtype dtype, int32_t rank, const int64_t *shape,
                                    resattn_order order, const int64_t *strides, void *first,
                                    resattn_release_fn release, void *user)
{
    int64_t stride[RA_MAX_RANK], before, after;
    if (!check_new(context, dtype, rank, shape, order))
        return NULL;
    if (first == NULL)
        return ra_fail_null(RESATTN_INVALID_ARGUMENT, "first is NULL");
    if (dtype == RESATTN_F32 && (uintptr_t)first % _Alignof(float) != 0)
        return ra_fail_null(RESATTN_INVALID_ARGUMENT, "first is %p, expected a multiple of %d for F32", first,
                            (int)_Alignof(float));
    if (strides == NULL)
        ra_tensor_strides(rank, shape, order, stride);
    else
        memcpy(stride, strides, (size_t)rank * sizeof *stride);
    for (int32_t d = 0; d < rank; d++)
        if (stride[d] == 0 && shape[d] > 1)
            return ra_fail_null(RESATTN_INVALID_ARGUMENT,
                                "strides[%d] is 0, expected another one in a dimension of size %" PRId64, (int)d,
                                shape[d]);
    if (!find_extent(dtype, rank, shape, stride, &before, &after))
        return ra_fail_null(RESATTN_TOO_LARGE, "the strides reach over more than %" PRId64 " bytes", LARGEST_EXTENT);
    resattn_tensor *tensor = make(context, dtype, rank, shape, stride);
    if (tensor == NULL)
        return NULL;
    tensor->data = first;
    tensor->foreign = first;
    tensor->release = release;
    tensor->release_user = user;
    return tensor;
}

resattn_tensor *resattn_tensor_view(resattn_tensor *tensor, const int64_t *begin, const int64_t *shape)
{
    if (tensor == NULL)
        return ra_fail_null(RESATTN_INVALID_ARGUMENT, "tensor is NULL");
    if (shape == NULL)
        return ra_fail_null(RESATTN_INVALID_ARGUMENT, "shape is NULL");
    if (!check_shape(tensor->rank, shape))
        return NULL;
    int64_t offset = 0;
    for (int32_t d = 0; d < tensor->rank; d++) {
        int64_t first = begin == NULL ? 0 : begin[d];
        if (first < 0 || first > tensor->shape[d] || shape[d] > tensor->shape[d] - first)
            return ra_fail_null(RESATTN_SHAPE_MISMATCH,
                                "dimension %d of the view is %" PRId64 " elements from %" PRId64
                                " on, expected a part of %" PRId64,
                                (int)d, shape[d], first, tensor->shape[d]);
        if (first > 0)
            offset += first * tensor->stride[d];
    }
    resattn_tensor *base = resattn_tensor_ref(tensor->base != NULL ? tensor->base : tensor);
    if (base == NULL)
        return NULL;
    resattn_tensor *view = make(tensor->context, tensor->dtype, tensor->rank, shape, tensor->stride);
    if (view == NULL) {
        resattn_tensor_unref(base);
        return NULL;
    }
    view->data = (char *)tensor->data + offset * ra_element_size(tensor->dtype);
    view->base = base;
    view->version = tensor->version;
    return view;
}

void ra_tensor_embed(resattn_tensor *tensor, int32_t rank, const int64_t *shape, resattn_order order, float *data)
{
    memset(tensor, 0, sizeof *tensor);
    atomic_init(&tensor->references, -1);
    tensor->dtype = RESATTN_F32;
    tensor->rank = rank;
    memcpy(tensor->shape, shape, (size_t)rank * sizeof *shape);
    ra_tensor_strides(rank, shape, order, tensor->stride);
    tensor->data = data;
}

/* ---- sharing ---- */

static bool is_embedded(resattn_tensor *tensor)
{
    return atomic_load_explicit(&tensor->references, memory_order_relaxed) < 0;
}

static bool take_share(ra_tensor_owner *owner)
{
    int shares = atomic_load(&owner->shares);
    do {
        if (shares < 0)
            return false;
    } while (!atomic_compare_exchange_weak(&owner->shares, &shares, shares + 1));
    owner->ref(owner->object);
    return true;
}

/* The owner itself may end with its last share. A borrowed tensor that nobody has made his own stays as it is. */
static void give_share(ra_tensor_owner *owner)
{
    int shares = atomic_load(&owner->shares);
    do {
        if (shares <= 0)
            return;
    } while (!atomic_compare_exchange_weak(&owner->shares, &shares, shares - 1));
    owner->unref(owner->object);
}

resattn_tensor *resattn_tensor_ref(resattn_tensor *tensor)
{
    if (tensor == NULL)
        return NULL;
    if (!is_embedded(tensor))
        atomic_fetch_add_explicit(&tensor->references, 1, memory_order_relaxed);
    else if (tensor->owner == NULL)
        return ra_fail_null(RESATTN_WRONG_STATE, "the tensor ends with its session, expected one that can be shared: "
                                                 "copy it");
    else if (!take_share(tensor->owner))
        return ra_fail_null(RESATTN_WRONG_STATE, "the tensor is of a network that was sealed, its values are gone");
    return tensor;
}

void resattn_tensor_unref(resattn_tensor *tensor)
{
    if (tensor == NULL)
        return;
    if (is_embedded(tensor)) {
        if (tensor->owner != NULL)
            give_share(tensor->owner);
        return;
    }
    if (atomic_fetch_sub_explicit(&tensor->references, 1, memory_order_acq_rel) != 1)
        return;
    resattn_context *context = tensor->context;
    if (tensor->release != NULL)
        tensor->release(tensor->release_user, tensor->foreign);
    resattn_tensor_unref(tensor->base);
    ra_free(context, tensor->owned);
    ra_free(context, tensor);
    resattn_context_unref(context);
}

/* ---- asking ---- */

resattn_dtype resattn_tensor_dtype(const resattn_tensor *tensor)
{
    return tensor == NULL ? RESATTN_DTYPE_NONE : tensor->dtype;
}

int32_t resattn_tensor_rank(const resattn_tensor *tensor)
{
    return tensor == NULL ? 0 : tensor->rank;
}

int64_t resattn_tensor_size(const resattn_tensor *tensor, int32_t dimension)
{
    return tensor == NULL || dimension < 0 || dimension >= tensor->rank ? 0 : tensor->shape[dimension];
}

int64_t resattn_tensor_stride(const resattn_tensor *tensor, int32_t dimension)
{
    return tensor == NULL || dimension < 0 || dimension >= tensor->rank ? 0 : tensor->stride[dimension];
}

const int64_t *resattn_tensor_shape(const resattn_tensor *tensor)
{
    return tensor == NULL ? NULL : tensor->shape;
}

const int64_t *resattn_tensor_strides(const resattn_tensor *tensor)
{
    return tensor == NULL ? NULL : tensor->stride;
}

int64_t resattn_tensor_elements(const resattn_tensor *tensor)
{
    if (tensor == NULL)
        return 0;
    int64_t elements = 1;
    for (int32_t d = 0; d < tensor->rank; d++)
        elements *= tensor->shape[d];
    return elements;
}

/* ---- access ---- */

resattn_status ra_tensor_check_read(const resattn_tensor *tensor, const char *name)
{
    if (tensor == NULL)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "%s is NULL", name);
    if (tensor->data == NULL)
        return ra_fail(RESATTN_WRONG_STATE, "%s is of a network that was sealed, its values are gone", name);
    return RESATTN_OK;
}

resattn_status ra_tensor_check_write(const resattn_tensor *tensor, const char *name)
{
    resattn_status status = ra_tensor_check_read(tensor, name);
    if (status == RESATTN_OK && tensor->read_only)
        return ra_fail(RESATTN_WRONG_STATE, "%s is a session's own, expected one that may be written: copy it", name);
    return status;
}

const void *resattn_tensor_data(const resattn_tensor *tensor)
{
    return tensor != NULL && ra_tensor_check_read(tensor, "tensor") == RESATTN_OK ? tensor->data : NULL;
}

void *resattn_tensor_mutable_data(resattn_tensor *tensor)
{
    if (tensor == NULL || ra_tensor_check_write(tensor, "tensor") != RESATTN_OK)
        return NULL;
    ra_tensor_changed(tensor);
    return tensor->data;
}

void ra_tensor_changed(resattn_tensor *tensor)
{
    if (tensor->version != NULL)
        atomic_fetch_add(tensor->version, 1);
}
