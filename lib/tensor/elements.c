/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The elements of tensors: copying, reading, writing and filling.
 */
#include "tensor/tensor.h"

#include <inttypes.h>
#include <string.h>

/* Loops over the elements of two tensors, each inside the one before it; those in front that are not needed run once.
 */
typedef struct loops {
    int64_t count[RA_MAX_RANK], target[RA_MAX_RANK], source[RA_MAX_RANK];
} loops;

static int64_t magnitude(int64_t value)
{
    return value < 0 ? -value : value;
}

/* Puts a loop behind the `at` ones there are, or in front of those with smaller steps in the target. */
static void insert_loop(loops *sorted, int32_t at, int64_t count, int64_t target, int64_t source)
{
    for (; at > 0 && magnitude(sorted->target[at - 1]) < magnitude(target); at--) {
        sorted->count[at] = sorted->count[at - 1];
        sorted->target[at] = sorted->target[at - 1];
        sorted->source[at] = sorted->source[at - 1];
    }
    sorted->count[at] = count;
    sorted->target[at] = target;
    sorted->source[at] = source;
}

/* The loops in the order of the target's memory; those that walk on evenly in both are made one. */
static loops plan_loops(int32_t rank, const int64_t *shape, const int64_t *target, const int64_t *source)
{
    loops sorted, merged = {{1, 1, 1, 1}, {0}, {0}};
    int32_t depth = 0, outer = RA_MAX_RANK;
    for (int32_t d = 0; d < rank; d++)
        if (shape[d] != 1)
            insert_loop(&sorted, depth++, shape[d], target[d], source[d]);
    for (int32_t d = depth - 1; d >= 0; d--) {
        if (outer < RA_MAX_RANK && sorted.target[d] == merged.target[outer] * merged.count[outer] &&
            sorted.source[d] == merged.source[outer] * merged.count[outer]) {
            merged.count[outer] *= sorted.count[d];
            continue;
        }
        outer--;
        merged.count[outer] = sorted.count[d];
        merged.target[outer] = sorted.target[d];
        merged.source[outer] = sorted.source[d];
    }
    return merged;
}

/* Element by element as bytes: a host's buffer need not be aligned. */
static void copy_line(size_t size, int64_t count, char *target, int64_t target_stride, const char *source,
                      int64_t source_stride)
{
    if (target_stride == 1 && source_stride == 1)
        memcpy(target, source, (size_t)count * size);
    else if (size == 1)
        for (int64_t i = 0; i < count; i++)
            target[i * target_stride] = source[i * source_stride];
    else
        for (int64_t i = 0; i < count; i++)
            memcpy(target + i * target_stride * 4, source + i * source_stride * 4, 4);
}

void ra_tensor_copy_elements(resattn_dtype dtype, int32_t rank, const int64_t *shape, void *target,
                             const int64_t *target_stride, const void *source, const int64_t *source_stride)
{
    const int64_t size = ra_element_size(dtype);
    loops l = plan_loops(rank, shape, target_stride, source_stride);
    for (int64_t i = 0; i < l.count[0]; i++)
        for (int64_t j = 0; j < l.count[1]; j++)
            for (int64_t k = 0; k < l.count[2]; k++) {
                int64_t to = i * l.target[0] + j * l.target[1] + k * l.target[2];
                int64_t from = i * l.source[0] + j * l.source[1] + k * l.source[2];
                copy_line((size_t)size, l.count[3], (char *)target + to * size, l.target[3],
                          (const char *)source + from * size, l.source[3]);
            }
}

/* ---- public functions ---- */

/* Checks the other arguments that reading and writing share; sets the strides of the buffer. */
static resattn_status check_buffer(const resattn_tensor *tensor, resattn_order order, const void *buffer, int64_t count,
                                   int64_t *stride)
{
    if (buffer == NULL)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "buffer is NULL");
    if (!ra_check_order(order))
        return RESATTN_INVALID_ARGUMENT;
    int64_t elements = resattn_tensor_elements(tensor);
    if (count != elements)
        return ra_fail(RESATTN_SHAPE_MISMATCH, "count is %" PRId64 ", the tensor has %" PRId64 " elements", count,
                       elements);
    uintptr_t begin, end, first = (uintptr_t)buffer;
    ra_tensor_range(tensor, &begin, &end);
    if (first < end && begin < first + (uintptr_t)(count * ra_element_size(tensor->dtype)))
        return ra_fail(RESATTN_INVALID_ARGUMENT, "the buffer overlaps the tensor, expected separate memory");
    ra_tensor_strides(tensor->rank, tensor->shape, order, stride);
    return RESATTN_OK;
}

resattn_status resattn_tensor_read(const resattn_tensor *tensor, resattn_order order, void *buffer, int64_t count)
{
    int64_t stride[RA_MAX_RANK];
    resattn_status status = ra_tensor_check_read(tensor, "tensor");
    if (status == RESATTN_OK)
        status = check_buffer(tensor, order, buffer, count, stride);
    if (status == RESATTN_OK)
        ra_tensor_copy_elements(tensor->dtype, tensor->rank, tensor->shape, buffer, stride, tensor->data,
                                tensor->stride);
    return status;
}

resattn_status resattn_tensor_write(resattn_tensor *tensor, resattn_order order, const void *buffer, int64_t count)
{
    int64_t stride[RA_MAX_RANK];
    resattn_status status = ra_tensor_check_write(tensor, "tensor");
    if (status == RESATTN_OK)
        status = check_buffer(tensor, order, buffer, count, stride);
    if (status != RESATTN_OK)
        return status;
    ra_tensor_copy_elements(tensor->dtype, tensor->rank, tensor->shape, tensor->data, tensor->stride, buffer, stride);
    ra_tensor_changed(tensor);
    return RESATTN_OK;
}

resattn_status resattn_tensor_copy(resattn_tensor *target, const resattn_tensor *source)
{
    resattn_status status = ra_tensor_check_write(target, "target");
    if (status == RESATTN_OK)
        status = ra_tensor_check_read(source, "source");
    if (status != RESATTN_OK)
        return status;
    if (target->dtype != source->dtype || target->rank != source->rank ||
        memcmp(target->shape, source->shape, (size_t)target->rank * sizeof *target->shape) != 0) {
        char target_text[128], source_text[128];
        ra_tensor_describe(target, target_text, sizeof target_text);
        ra_tensor_describe(source, source_text, sizeof source_text);
        return ra_fail(RESATTN_SHAPE_MISMATCH, "the target is %s, the source is %s", target_text, source_text);
    }
    if (ra_tensor_overlap(target, source))
        return ra_fail(RESATTN_INVALID_ARGUMENT, "target and source overlap, expected separate memory");
    ra_tensor_copy_elements(target->dtype, target->rank, target->shape, target->data, target->stride, source->data,
                            source->stride);
    ra_tensor_changed(target);
    return RESATTN_OK;
}

resattn_status resattn_tensor_fill(resattn_tensor *tensor, float value)
{
    static const int64_t same[RA_MAX_RANK] = {0};
    resattn_status status = ra_tensor_check_write(tensor, "tensor");
    if (status != RESATTN_OK)
        return status;
    if (tensor->dtype != RESATTN_F32)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "the tensor has dtype %d, expected %d (F32)", (int)tensor->dtype,
                       RESATTN_F32);
    ra_tensor_copy_elements(RESATTN_F32, tensor->rank, tensor->shape, tensor->data, tensor->stride, &value, same);
    ra_tensor_changed(tensor);
    return RESATTN_OK;
}
