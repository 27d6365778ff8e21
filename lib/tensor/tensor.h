/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tensors: shape, strides, storage, views, conversions.
 * Uses: core.
 */
#ifndef RA_TENSOR_H
#define RA_TENSOR_H

#include "core/core.h"
#include "resattn/tensor.h"

#define RA_MAX_RANK 4

/* A shared object that tensors are embedded in: who refs one of these, or views it, holds a share of the object. */
typedef struct ra_tensor_owner {
    void *object;
    void (*ref)(void *object);
    void (*unref)(void *object);
    atomic_int shares; /* that are held so; -1: the memory is gone, there are no more */
} ra_tensor_owner;

struct resattn_tensor {
    resattn_context *context; /* a share; in a tensor that is embedded in another object borrowed, or NULL */
    atomic_int references;    /* -1: embedded */
    ra_tensor_owner *owner;   /* embedded: what it is in, where it can be shared */
    resattn_dtype dtype;
    int32_t rank;
    int64_t shape[RA_MAX_RANK];
    int64_t stride[RA_MAX_RANK]; /* in elements */
    void *data;                  /* NULL: of a network that was sealed */
    resattn_tensor *base;        /* a view holds a share of what it views */
    resattn_release_fn release;
    void *release_user;
    void *foreign;        /* what the host gave, for release */
    void *owned;          /* memory to free with the tensor */
    atomic_uint *version; /* counted up by every write, where not NULL: parameters of a network */
    bool read_only;       /* to the host: what a session gives */
};

/* Bytes of an element. */
static inline int64_t ra_element_size(resattn_dtype dtype)
{
    return dtype == RESATTN_U8 ? 1 : (int64_t)sizeof(float);
}

/* Whether it is one of the two, with the error recorded if not. */
bool ra_check_order(resattn_order order);

/* The strides of a contiguous tensor. */
void ra_tensor_strides(int32_t rank, const int64_t *shape, resattn_order order, int64_t *stride);

/* Initialises a tensor that lives inside another object (no allocation, references -1) over F32 `data`. Without an
 * owner, which the caller may set together with the context, it can be neither shared nor viewed. */
void ra_tensor_embed(resattn_tensor *tensor, int32_t rank, const int64_t *shape, resattn_order order, float *data);

/* Whether a tensor, which messages call `name`, can be read, or written by the host; otherwise the error, for NULL too.
 */
resattn_status ra_tensor_check_read(const resattn_tensor *tensor, const char *name);
resattn_status ra_tensor_check_write(const resattn_tensor *tensor, const char *name);

/* Counts up the version, where there is one: after every write that goes past the functions of tensor.h. */
void ra_tensor_changed(resattn_tensor *tensor);

/* Copies elements between any two layouts of one shape. The strides are in elements; a source stride may be 0. */
void ra_tensor_copy_elements(resattn_dtype dtype, int32_t rank, const int64_t *shape, void *target,
                             const int64_t *target_stride, const void *source, const int64_t *source_stride);

/* Whether an F32 tensor's elements lie channels-last without gaps. */
bool ra_tensor_is_dense(const resattn_tensor *tensor);

/* The addresses of a tensor's first byte and of the one past its last. */
void ra_tensor_range(const resattn_tensor *tensor, uintptr_t *begin, uintptr_t *end);

/* Whether the memory ranges of the two have a byte in common (ranges, so strided tensors that interleave count). */
bool ra_tensor_overlap(const resattn_tensor *a, const resattn_tensor *b);

/*
 * Copies an image tensor N, C, H, W to a dense channels-last buffer: F32 as it is, U8 as (value / 255 - mean[c]) /
 * deviation[c]. No error checks: the caller has them.
 */
void ra_tensor_to_dense(const resattn_tensor *tensor, const float *mean, const float *deviation, float *target);

/* Shape and type as text for messages, such as "8 x 3 x 224 x 224 F32". */
void ra_tensor_describe(const resattn_tensor *tensor, char *text, size_t size);

#endif
