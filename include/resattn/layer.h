/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Layers, and the builder that owns them while a network is put together.
 *
 * A network is a tree. Leaves compute; containers combine their children. Layers infer their input channels. Images are
 * N, C, H, W; a vector of n features is an image of n channels and one pixel.
 *
 * Building is forgiving to write and strict to finish: every constructor returns a layer that the builder owns, or NULL.
 * After the first error (a bad argument, no memory, a layer used twice, NULL where a layer must be) the builder remembers it,
 * further calls do nothing and return NULL, and resattn_network_new() fails with the remembered error. So a program can nest
 * constructors freely and check once.
 *
 *     resattn_layer *net = resattn_sequential_new(b, NULL);
 *     resattn_layer_add(net, resattn_conv2d_new(b, "conv1", 64, 7, 2, 3));
 *     resattn_layer_add(net, resattn_batch_norm_new(b, "bn1"));
 *     resattn_layer_add(net, resattn_relu_new(b, NULL));
 *
 * Numbers that are not finite are no errors. NaN in a layer's input comes out of every kind of layer wherever it counts, of relu and
 * maximum pool too; infinite numbers follow the arithmetic of IEEE 754 (softmax and the norms make NaN of inf - inf and inf / inf).
 * In inference none of it reaches the other images of a batch; in training batch norm spreads it. Denormal numbers count as 0.
 *
 * Names. A layer's path is the dotted chain of the names of its containers and its own; a container without a name adds
 * nothing. resattn_layer_set_path() gives a whole path instead. A leaf without a name is called after its kind and its number
 * among those, "relu1". Parameters are called path + ".weight", ".bias", ".running_mean", ".running_var". Two layers with the
 * same path are refused.
 */
#ifndef RESATTN_LAYER_H
#define RESATTN_LAYER_H

#include "resattn/context.h"

#if defined(__cplusplus) && !defined(RESATTN_FFI)
extern "C" {
#endif

/* Makes a builder. Returns an owned builder, or NULL: OUT_OF_MEMORY, INVALID_ARGUMENT. Since 0.9. */
RESATTN_API resattn_builder *resattn_builder_new(resattn_context *context);

/* Frees the builder and every layer that no network has taken. Since 0.9. */
RESATTN_API void resattn_builder_free(resattn_builder *builder);

/* The context that it was made from, borrowed; NULL for NULL. Since 0.9. */
RESATTN_API resattn_context *resattn_builder_context(const resattn_builder *builder);

/* The first error of the builder, RESATTN_OK if there was none; its text in resattn_builder_error(), never NULL, borrowed
 * until the builder is freed. Since 0.9. */
RESATTN_API resattn_status resattn_builder_status(const resattn_builder *builder);
RESATTN_API const char *resattn_builder_error(const resattn_builder *builder);

/*
 * Makes the builder fail, as its own constructors do: for functions that build a part of a network and find their arguments
 * wrong, as resattn_model_new() does. `status` is the error, `message` its text. An earlier error of the builder stays.
 * Returns the builder's error; INVALID_ARGUMENT for NULL or a status that is no error. Since 0.9.
 */
RESATTN_API resattn_status resattn_builder_fail(resattn_builder *builder, resattn_status status, const char *message);

/*
 * Constructors. `name` may be NULL; it must not be empty, begin or end with a dot, or hold control characters. The layer is
 * borrowed from the builder, which owns it until it becomes part of a network; NULL after an error.
 * The remarks tell the attributes that a layer has beside its arguments (see below), with their defaults. Since 0.9.
 */

/*
 * Convolution, as every deep learning library has it (cross-correlation). Output size: floor((in + padding before + after
 * - dilation * (kernel - 1) - 1) / stride) + 1. Parameters: weight (out, in / groups, kernel h, kernel w), bias (out).
 * Attributes: kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w (1), pad_top, pad_left, pad_bottom, pad_right,
 * groups (1), bias (0).
 */
RESATTN_API resattn_layer *resattn_conv2d_new(resattn_builder *builder, const char *name, int32_t out_channels,
                                              int32_t kernel, int32_t stride, int32_t padding);

/*
 * Transposed convolution: the gradient of a convolution with the same attributes, used as a layer. Output size: (in - 1) *
 * stride - 2 * padding + dilation * (kernel - 1) + output_pad + 1; as the `up` of a down_up, the size the container
 * started with, where that is reachable with an output padding of 0 to stride - 1, and otherwise the nearest larger size,
 * cropped, or smaller size, zero-extended, at the bottom and right. Parameters: weight (in, out / groups, kernel h, kernel w),
 * bias (out). Attributes: as convolution, output_pad_h, output_pad_w (0), bilinear (0; 1: initialised to bilinear
 * interpolation of each channel by itself, Long et al., CVPR 2015).
 */
RESATTN_API resattn_layer *resattn_conv_transpose2d_new(resattn_builder *builder, const char *name,
                                                        int32_t out_channels, int32_t kernel, int32_t stride,
                                                        int32_t padding);

/*
 * Batch normalisation (Ioffe and Szegedy, ICML 2015). Training: by the batch's mean and biased variance, accumulated in
 * double; the running statistics become (1 - momentum) * old + momentum * new, with the unbiased variance. Inference: by the
 * running statistics. Parameters: weight and bias (trained), running_mean, running_var. Training with one value per channel is
 * refused. Attributes: epsilon (1e-5), momentum (0.1), frozen (0; 1: training also uses the running statistics and leaves
 * them alone); the last two may be changed in a network too. resattn_session_set_statistics() takes plain means instead.
 */
RESATTN_API resattn_layer *resattn_batch_norm_new(resattn_builder *builder, const char *name);

/* max(0, x). */
RESATTN_API resattn_layer *resattn_relu_new(resattn_builder *builder, const char *name);

/* 1 / (1 + exp(-x)). */
RESATTN_API resattn_layer *resattn_sigmoid_new(resattn_builder *builder, const char *name);

/* exp(x) / sum of exp(x) over the channels, at each position. */
RESATTN_API resattn_layer *resattn_softmax_new(resattn_builder *builder, const char *name);

/* The input itself: a place with a name. */
RESATTN_API resattn_layer *resattn_identity_new(resattn_builder *builder, const char *name);

/*
 * The largest value of each window; padding never wins. Attributes: kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left,
 * pad_bottom, pad_right (each less than the kernel), ceil_mode (0: round the output size down; 1: up, so that the last window, or
 * the only one, may reach beyond the padding, but none begins beyond the input and its padding before, as in Caffe and PyTorch).
 */
RESATTN_API resattn_layer *resattn_max_pool_new(resattn_builder *builder, const char *name, int32_t kernel,
                                                int32_t stride, int32_t padding);

/* The mean of each window. Attributes: as maximum pool, count_padding (1: padding counts as zeros; 0: it does not count). */
RESATTN_API resattn_layer *resattn_average_pool_new(resattn_builder *builder, const char *name, int32_t kernel,
                                                    int32_t stride, int32_t padding);

/* The mean of each channel's map: one pixel is left. */
RESATTN_API resattn_layer *resattn_global_average_pool_new(resattn_builder *builder, const char *name);

/*
 * Bilinear interpolation to height x width; with 0 for both, by the attributes, or as the `up` of a down_up to the size
 * the container started with. Attributes: height, width (0), factor (0: none; otherwise output = floor(input * factor)),
 * align_corners (1: corner pixels' centres meet, source = i * (in - 1) / (out - 1), and 0 where out is 1; 0: source =
 * (i + 0.5) * in / out - 0.5, not below 0).
 */
RESATTN_API resattn_layer *resattn_bilinear_resize_new(resattn_builder *builder, const char *name, int32_t height,
                                                       int32_t width);

/*
 * A matrix times the vector of channels; the map must be one pixel (a global pool makes it so). Parameters: weight (out, in),
 * bias (out). Attributes: bias (1).
 */
RESATTN_API resattn_layer *resattn_linear_new(resattn_builder *builder, const char *name, int32_t out_features);

/* Training: sets elements to 0 with `probability`, and divides the others by 1 - probability. Inference: the identity.
 * Attributes: probability (0 <= p < 1; may be changed in a network too). */
RESATTN_API resattn_layer *resattn_dropout_new(resattn_builder *builder, const char *name, double probability);

/*
 * Takes every stride-th pixel and adds channels of zeros, half before and half after (the odd one after), up to
 * out_channels: ResNet's shortcut A (He et al., CVPR 2016).
 */
RESATTN_API resattn_layer *resattn_subsample_new(resattn_builder *builder, const char *name, int32_t out_channels,
                                                 int32_t stride);

/* x / sqrt(sum over channels of x^2 + epsilon) at each position: the paper's channel attention. Attributes: epsilon (1e-12). */
RESATTN_API resattn_layer *resattn_channel_norm_new(resattn_builder *builder, const char *name);

/* (x - mean) / sqrt(variance + epsilon) over each channel's map of each image (population variance); followed by a sigmoid it
 * is the paper's spatial attention. Attributes: epsilon (1e-5). */
RESATTN_API resattn_layer *resattn_instance_norm_new(resattn_builder *builder, const char *name);

/* x * factor. Attributes: factor. */
RESATTN_API resattn_layer *resattn_scale_new(resattn_builder *builder, const char *name, double factor);

/*
 * Containers. A layer can be the child of one container, once. resattn_layer_child() counts the children of a sequential, sum or
 * concat in the order in which they were added, of a residual branch, shortcut (if it has one), of a down_up down, inner, up, of an
 * attention module trunk, mask.
 */

/* The children one after the other. */
RESATTN_API resattn_layer *resattn_sequential_new(resattn_builder *builder, const char *name);

/* The sum of the children's outputs for the same input; their shapes must be the same. At least one child. */
RESATTN_API resattn_layer *resattn_sum_new(resattn_builder *builder, const char *name);

/* The children's outputs for the same input, one after the other along the channels; their maps must have the same size. At
 * least one child. */
RESATTN_API resattn_layer *resattn_concat_new(resattn_builder *builder, const char *name);

/* Appends a child to a sequential, sum or concat. Errors (also remembered by the container's builder): INVALID_ARGUMENT for
 * NULL or another kind of container, DUPLICATE for a layer that has a container, WRONG_STATE in a network. Since 0.9. */
RESATTN_API resattn_status resattn_layer_add(resattn_layer *container, resattn_layer *child);

/* branch(x) + shortcut(x); a shortcut of NULL is x itself (He et al., CVPR 2016). */
RESATTN_API resattn_layer *resattn_residual_new(resattn_builder *builder, const char *name, resattn_layer *branch,
                                                resattn_layer *shortcut);

/* up(inner(down(x))), brought back to the height and width of x: `up` is a bilinear resize without a size of its own, or a
 * transposed convolution. */
RESATTN_API resattn_layer *resattn_down_up_new(resattn_builder *builder, const char *name, resattn_layer *down,
                                               resattn_layer *inner, resattn_layer *up);

/*
 * An attention module (Wang et al., CVPR 2017): trunk T(x) and mask M(x), the output of the mask branch after its activation.
 * The mask has the trunk's height and width, and its channels or one channel that weighs all of them. A name of its own makes
 * the two outputs `name.trunk` and `name.mask`; without one they are `trunk` and `mask` of the container around it.
 */

/* How trunk and mask are combined. */
typedef enum resattn_learning {
    RESATTN_LEARNING_NONE = 0,
    RESATTN_LEARNING_RESIDUAL = 1, /* (1 + M) * T */
    RESATTN_LEARNING_NAIVE = 2     /* M * T */
} resattn_learning;

/* What makes the mask of the mask branch's output. */
typedef enum resattn_mask_activation {
    RESATTN_ACTIVATION_NONE = 0,
    RESATTN_ACTIVATION_MIXED = 1,   /* sigmoid */
    RESATTN_ACTIVATION_CHANNEL = 2, /* resattn_channel_norm_new() */
    RESATTN_ACTIVATION_SPATIAL = 3, /* resattn_instance_norm_new(), then sigmoid */
    RESATTN_ACTIVATION_IDENTITY = 4     /* the mask branch as it is */
} resattn_mask_activation;

/* Makes an attention module with residual learning and mixed activation. Trunk and mask must be set before it is used.
 * Borrowed, as the layers are. Since 0.9. */
RESATTN_API resattn_attention *resattn_attention_new(resattn_builder *builder, const char *name);

/* Sets a branch, once each. Errors as resattn_layer_add(). Since 0.9. */
RESATTN_API resattn_status resattn_attention_set_trunk(resattn_attention *attention, resattn_layer *trunk);
RESATTN_API resattn_status resattn_attention_set_mask(resattn_attention *attention, resattn_layer *mask);

/* The branches; NULL for one that is not set. Since 0.9. */
RESATTN_API resattn_layer *resattn_attention_trunk(const resattn_attention *attention);
RESATTN_API resattn_layer *resattn_attention_mask(const resattn_attention *attention);

/* Chooses how the branches are combined. Also the attributes "learning" and "activation". Errors: INVALID_ARGUMENT,
 * WRONG_STATE in a network. Since 0.9. */
RESATTN_API resattn_status resattn_attention_set_learning(resattn_attention *attention, resattn_learning learning);
RESATTN_API resattn_status resattn_attention_set_activation(resattn_attention *attention,
                                                            resattn_mask_activation activation);
RESATTN_API resattn_learning resattn_attention_learning(const resattn_attention *attention);
RESATTN_API resattn_mask_activation resattn_attention_activation(const resattn_attention *attention);

/* The module as a layer, to put into a container; NULL for NULL. The same object, not a second one. Since 0.9. */
RESATTN_API resattn_layer *resattn_attention_layer(resattn_attention *attention);

/*
 * In a network: the names under which a session gives the module's mask and trunk, for resattn_plan_add_output(). Borrowed
 * from the network; NULL for NULL or a module that is in no network. Since 0.9.
 */
RESATTN_API const char *resattn_attention_mask_name(const resattn_attention *attention);
RESATTN_API const char *resattn_attention_trunk_name(const resattn_attention *attention);

/*
 * Attributes. Every layer's settings, by name: integers (which stand for switches and enumerators too) and real numbers.
 */

/* The type of an attribute. */
typedef enum resattn_attribute_type {
    RESATTN_ATTRIBUTE_NONE = 0,
    RESATTN_ATTRIBUTE_INT = 1,
    RESATTN_ATTRIBUTE_REAL = 2
} resattn_attribute_type;

/* Sets an attribute. Errors (remembered by the builder too): NOT_FOUND with the names that there are; INVALID_ARGUMENT for a
 * value outside the range, or a type that does not fit; WRONG_STATE for one that a network has frozen. A network has
 * frozen all but the probability of a dropout, and the momentum and `frozen` of a batch norm: these hold from the next forward pass
 * of training on. They are set while no other thread trains the network, which is not checked, and a probability not between
 * forward and backward, which goes by the new one. Since 0.9. */
RESATTN_API resattn_status resattn_layer_set_int(resattn_layer *layer, const char *attribute, int64_t value);
RESATTN_API resattn_status resattn_layer_set_real(resattn_layer *layer, const char *attribute, double value);

/* Reads an attribute. Errors: NOT_FOUND, INVALID_ARGUMENT. Since 0.9. */
RESATTN_API resattn_status resattn_layer_get_int(const resattn_layer *layer, const char *attribute, int64_t *value);
RESATTN_API resattn_status resattn_layer_get_real(const resattn_layer *layer, const char *attribute, double *value);

/* The attributes of a layer: how many, and of number `index` its name (static, or the kind's where it is the host's own; NULL
 * outside), type (0 outside), smallest and largest value and default. Since 0.9. */
RESATTN_API int32_t resattn_layer_attribute_count(const resattn_layer *layer);
RESATTN_API const char *resattn_layer_attribute_name(const resattn_layer *layer, int32_t index);
RESATTN_API resattn_attribute_type resattn_layer_attribute_type(const resattn_layer *layer, int32_t index);
RESATTN_API resattn_status resattn_layer_attribute_range(const resattn_layer *layer, int32_t index, double *smallest,
                                                         double *largest, double *initial);
/* 1 for an attribute that may be changed in a network too, else 0. */
RESATTN_API int32_t resattn_layer_attribute_is_mutable(const resattn_layer *layer, int32_t index);

/*
 * Gives a layer its whole path, whatever its containers are called: so that parameters get the names that published weights
 * have. Errors: INVALID_ARGUMENT, WRONG_STATE in a network. Since 0.9.
 */
RESATTN_API resattn_status resattn_layer_set_path(resattn_layer *layer, const char *path);

/* Reading a tree. Any of these is NULL or 0 for NULL. The kind is a text such as "conv2d", static, or borrowed from the context
 * where it is the host's own; name and path are borrowed from the layer, name NULL where there is none; the path and the channels
 * are known in a network only. Since 0.9. */
RESATTN_API const char *resattn_layer_kind(const resattn_layer *layer);
RESATTN_API const char *resattn_layer_name(const resattn_layer *layer);
RESATTN_API const char *resattn_layer_path(const resattn_layer *layer);
RESATTN_API int32_t resattn_layer_in_channels(const resattn_layer *layer);
RESATTN_API int32_t resattn_layer_out_channels(const resattn_layer *layer);
RESATTN_API int32_t resattn_layer_child_count(const resattn_layer *layer);
RESATTN_API resattn_layer *resattn_layer_child(const resattn_layer *layer, int32_t index);
/* The container that it is in, NULL if it is in none. */
RESATTN_API resattn_layer *resattn_layer_parent(const resattn_layer *layer);
/* The layer as an attention module, NULL if it is none. */
RESATTN_API resattn_attention *resattn_layer_attention(resattn_layer *layer);

/* In a network: how many parameters and statistics the layer itself has, and of each its number in the network, for
 * resattn_network_parameter(). 0 and -1 where there is none, and outside of a network. Since 0.9. */
RESATTN_API int32_t resattn_layer_parameter_count(const resattn_layer *layer);
RESATTN_API int32_t resattn_layer_parameter(const resattn_layer *layer, int32_t index);

#if defined(__cplusplus) && !defined(RESATTN_FFI)
}
#endif
#endif
