/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tensors: an element type, a shape of 1 to 4 dimensions in an order that never changes, and strides that may.
 *
 * The logical order is batch, channels, height, width (NCHW) for images and output channels, input channels, height, width
 * (OIHW) for filters. Where the elements lie in memory is told by the strides, in elements: the library itself keeps
 * images and filters channels-last. A tensor of one or two dimensions is a vector or a matrix in row-major order.
 *
 * Memory of the library's own begins at a multiple of 64 bytes: that of every tensor of resattn_tensor_new(), of each parameter and
 * gradient of a network and of each output and input gradient of a session. Views and tensors over foreign memory begin where
 * they are put.
 */
#ifndef RESATTN_TENSOR_H
#define RESATTN_TENSOR_H

#include "resattn/context.h"

#if defined(__cplusplus) && !defined(RESATTN_FFI)
extern "C" {
#endif

/* The type of a number. In memory tensors are F32 or U8, in files numbers are F32, F16 or BF16. */
typedef enum resattn_dtype {
    RESATTN_DTYPE_NONE = 0, /* what a getter answers where there is none */
    RESATTN_F32 = 1,
    RESATTN_F16 = 2,  /* IEEE 754 binary16, rounded to nearest even, too large values become infinite */
    RESATTN_BF16 = 3, /* the upper half of F32, rounded to nearest even */
    RESATTN_U8 = 4    /* only as the input of a session: it becomes (value / 255 - mean) / deviation */
} resattn_dtype;

/* How the elements of a contiguous buffer follow each other. */
typedef enum resattn_order {
    RESATTN_CHANNELS_FIRST = 1, /* N, C, H, W: the last dimension varies fastest */
    RESATTN_CHANNELS_LAST = 2   /* N, H, W, C: dimension 1 varies fastest; the same for tensors of fewer than 3 dimensions */
} resattn_order;

/* The bytes of a pixel, in the order in which they lie in memory. Alpha is ignored. */
typedef enum resattn_pixel_format {
    RESATTN_PIXEL_RGB = 1,
    RESATTN_PIXEL_BGR = 2,
    RESATTN_PIXEL_RGBA = 3
} resattn_pixel_format;

/* Called once when the last owner of a tensor over foreign memory has gone, from that owner's thread. */
typedef void (*resattn_release_fn)(void *user, void *memory);

/*
 * Makes a tensor with memory of its own, filled with zeros. rank: 1 to 4; shape: `rank` sizes, each at least 1.
 * Returns an owned tensor, or NULL: OUT_OF_MEMORY, INVALID_ARGUMENT, TOO_LARGE. Since 0.9.
 */
RESATTN_API resattn_tensor *resattn_tensor_new(resattn_context *context, resattn_dtype dtype, int32_t rank,
                                               const int64_t *shape, resattn_order order);

/*
 * Makes a tensor over memory of the host, without a copy. `first` points to the element with index 0 in every dimension,
 * `strides` (in elements, may be negative, NULL for contiguous in `order`) say where the others are. The host vouches that
 * every element is inside memory that stays valid until `release` is called (NULL: until the last owner is gone).
 * On failure `release` is not called. Returns an owned tensor, or NULL: OUT_OF_MEMORY, INVALID_ARGUMENT (also for a stride
 * of 0 in a dimension longer than 1), TOO_LARGE. Since 0.9.
 */
RESATTN_API resattn_tensor *resattn_tensor_wrap(resattn_context *context, resattn_dtype dtype, int32_t rank,
                                                const int64_t *shape, resattn_order order, const int64_t *strides,
                                                void *first, resattn_release_fn release, void *user);

/*
 * Makes a U8 tensor of shape 1, 3, height, width (red, green, blue) over 8-bit pixels, without a copy. `pitch` is the
 * distance in bytes from a row to the next one, negative for images stored bottom up; `pixels` is the first pixel of the
 * top row. The rest as resattn_tensor_wrap(). Errors: also INVALID_ARGUMENT where the pitch is shorter than a row.
 * Since 0.9.
 */
RESATTN_API resattn_tensor *resattn_tensor_wrap_pixels(resattn_context *context, resattn_pixel_format format,
                                                       int32_t height, int32_t width, int64_t pitch, void *pixels,
                                                       resattn_release_fn release, void *user);

/*
 * Makes a tensor over a part of another's memory: `shape` elements from index `begin` on, in every dimension (begin NULL:
 * zeros). The view owns a share of `tensor`, as resattn_tensor_ref() gives it. Returns an owned tensor, or NULL: OUT_OF_MEMORY,
 * INVALID_ARGUMENT, SHAPE_MISMATCH where the part is not inside, WRONG_STATE for what cannot be shared. Since 0.9.
 */
RESATTN_API resattn_tensor *resattn_tensor_view(resattn_tensor *tensor, const int64_t *begin, const int64_t *shape);

/*
 * Adds an owner; returns its argument. An owner of a parameter or gradient has a share of the network, which cannot be sealed
 * before the last such share is given back. What a session gives cannot be owned, copy it: NULL and WRONG_STATE, as for a tensor of
 * a sealed network. Any thread. Since 0.9.
 */
RESATTN_API resattn_tensor *resattn_tensor_ref(resattn_tensor *tensor);

/* Takes an owner away. A borrowed tensor has none that the host could take. Any thread. Since 0.9. */
RESATTN_API void resattn_tensor_unref(resattn_tensor *tensor);

/* The element type, the number of dimensions, the size and the stride (in elements) of a dimension, the number of elements.
 * 0 for NULL or a dimension that is not there. Any thread. Since 0.9. */
RESATTN_API resattn_dtype resattn_tensor_dtype(const resattn_tensor *tensor);
RESATTN_API int32_t resattn_tensor_rank(const resattn_tensor *tensor);
RESATTN_API int64_t resattn_tensor_size(const resattn_tensor *tensor, int32_t dimension);
RESATTN_API int64_t resattn_tensor_stride(const resattn_tensor *tensor, int32_t dimension);
RESATTN_API int64_t resattn_tensor_elements(const resattn_tensor *tensor);

/*
 * All sizes and all strides (in elements) at once: as many numbers as the tensor has dimensions, NULL for NULL. Borrowed, valid
 * while the tensor is. Of a session's output or input gradient the first size is the number of images of the last run, so that it
 * changes; all else never does. Any thread. Since 0.9.
 */
RESATTN_API const int64_t *resattn_tensor_shape(const resattn_tensor *tensor);
RESATTN_API const int64_t *resattn_tensor_strides(const resattn_tensor *tensor);

/*
 * The element with index 0 in every dimension, to read. Borrowed, valid while the tensor is. NULL for NULL, and with WRONG_STATE
 * recorded for a parameter or gradient of a sealed network. Any thread. Since 0.9.
 */
RESATTN_API const void *resattn_tensor_data(const resattn_tensor *tensor);

/*
 * The same, to write. A network takes this call for a change of the parameter: sessions made or refreshed from now on see the
 * values of that moment. A host that writes later on tells the network by resattn_network_touch(). NULL as above, and with
 * WRONG_STATE recorded for an output or an input gradient, which only their session writes. Since 0.9.
 */
RESATTN_API void *resattn_tensor_mutable_data(resattn_tensor *tensor);

/*
 * Copies all elements to or from a contiguous buffer of `count` elements (which must be the tensor's number) of the
 * tensor's type in `order`. The buffer must not overlap the tensor. Nothing guards a tensor against two threads, see network.h for
 * parameters.
 * Errors: INVALID_ARGUMENT, SHAPE_MISMATCH, WRONG_STATE for tensors that resattn_tensor_data() or, for writing,
 * resattn_tensor_mutable_data() would refuse. Since 0.9.
 */
RESATTN_API resattn_status resattn_tensor_read(const resattn_tensor *tensor, resattn_order order, void *buffer,
                                               int64_t count);
RESATTN_API resattn_status resattn_tensor_write(resattn_tensor *tensor, resattn_order order, const void *buffer,
                                                int64_t count);

/*
 * Copies the elements of `source` to `target`: same shape and type, any strides.
 * Errors: INVALID_ARGUMENT (also if the memory of the two overlaps), SHAPE_MISMATCH, WRONG_STATE as above. Since 0.9.
 */
RESATTN_API resattn_status resattn_tensor_copy(resattn_tensor *target, const resattn_tensor *source);

/* Sets every element of an F32 tensor. Errors: INVALID_ARGUMENT, WRONG_STATE as above. Since 0.9. */
RESATTN_API resattn_status resattn_tensor_fill(resattn_tensor *tensor, float value);

/*
 * Writes 8-bit pixels into image `index` of an F32 tensor of shape N, 3, height, width, as (value / 255 - mean) /
 * deviation per channel (red, green, blue); mean NULL is 0, deviation NULL is 1. `pitch` as in
 * resattn_tensor_wrap_pixels(). Errors: INVALID_ARGUMENT (also for a deviation that is 0 or not finite), SHAPE_MISMATCH,
 * WRONG_STATE as above. Since 0.9.
 */
RESATTN_API resattn_status resattn_tensor_set_pixels(resattn_tensor *tensor, int64_t index, resattn_pixel_format format,
                                                     int32_t height, int32_t width, int64_t pitch, const void *pixels,
                                                     const float *mean, const float *deviation);

#if defined(__cplusplus) && !defined(RESATTN_FFI)
}
#endif
#endif
