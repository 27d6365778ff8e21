/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Networks: a frozen tree of layers with its parameters, statistics and what belongs to a trained model.
 */
#ifndef RESATTN_NETWORK_H
#define RESATTN_NETWORK_H

#include "resattn/layer.h"
#include "resattn/tensor.h"

#if defined(__cplusplus) && !defined(RESATTN_FFI)
extern "C" {
#endif

/*
 * Makes a network of the tree under `root` (any layer) for images of in_channels channels: infers all channels, names all
 * layers, allocates the parameters and initialises them (resattn_network_initialize() with the context's seed). The network
 * takes the layers of the tree from the builder and freezes them; pointers to them stay valid as long as the network.
 * The builder may be used on or freed.
 * Returns an owned network, or NULL: the builder's first error; SHAPE_MISMATCH, DUPLICATE, INVALID_ARGUMENT (a container
 * without children, an attention module without a branch), TOO_LARGE, OUT_OF_MEMORY, with the path of the layer at fault.
 * After a failure the layers still belong to the builder, unchanged. What is found here is not remembered by it:
 * resattn_builder_status() stays what it was, and another call may succeed. Since 0.9.
 */
RESATTN_API resattn_network *resattn_network_new(resattn_builder *builder, resattn_layer *root, int32_t in_channels);

/*
 * The same with all parameters and statistics 0, for a host that sets every one of them, or looks at the layers, plans and costs
 * only: random values take most of the time that making a large network takes. Since 0.9.
 */
RESATTN_API resattn_network *resattn_network_new_zeroed(resattn_builder *builder, resattn_layer *root,
                                                        int32_t in_channels);

/* Adds an owner; returns its argument. Any thread. Since 0.9. */
RESATTN_API resattn_network *resattn_network_ref(resattn_network *network);

/* Takes an owner away. Plans, sessions, optimizers and owners of parameters' tensors each hold a share. Any thread. Since 0.9. */
RESATTN_API void resattn_network_unref(resattn_network *network);

/*
 * A new network with the same layers, values and all else that is saved with a network, which shares nothing with the old one but the
 * context: to train one while the other serves, or to keep what a training began with. Returns an owned network, or NULL:
 * INVALID_ARGUMENT, WRONG_STATE for a sealed network, BUSY while the network is being trained, OUT_OF_MEMORY. The instance of a layer
 * of the host's own is saved and loaded (custom.h): what these callbacks answer. Since 0.9.
 */
RESATTN_API resattn_network *resattn_network_copy(resattn_network *network);

/*
 * Initialises all parameters: convolutions from a normal distribution with variance 2 / fan-in (He et al., ICCV 2015), linear
 * layers with variance 1 / fan-in, biases 0, batch norm scale 1 and shift 0, running mean 0 and variance 1. A parameter's
 * values depend on the seed, its name and its shape only. Errors: INVALID_ARGUMENT, BUSY. Since 0.9.
 */
RESATTN_API resattn_status resattn_network_initialize(resattn_network *network, uint64_t seed);

/*
 * Gives up the parameters: what stays are the constants that the network's inference sessions have made of them, and with these
 * the network infers, in these sessions and in new ones, for a fraction of the memory. The parameters' tensors have no values any
 * more; reading or writing them, training, saving, loading weights, initialising and everything else that needs them answers
 * WRONG_STATE from now on, for good.
 * Errors: INVALID_ARGUMENT; WRONG_STATE where there is no inference session that has seen the present values; BUSY while
 * anything runs on the network, or somebody owns the tensor of a parameter or gradient (resattn_tensor_ref()) or a view of one.
 * Since 0.9.
 */
RESATTN_API resattn_status resattn_network_seal(resattn_network *network);

/* 1 for a sealed network, else 0. Since 0.9. */
RESATTN_API int32_t resattn_network_is_sealed(const resattn_network *network);

/* The context and the root layer: borrowed. The channels of its input and output. 0 or NULL for NULL. Since 0.9. */
RESATTN_API resattn_context *resattn_network_context(const resattn_network *network);
RESATTN_API resattn_layer *resattn_network_root(const resattn_network *network);
RESATTN_API int32_t resattn_network_in_channels(const resattn_network *network);
RESATTN_API int32_t resattn_network_out_channels(const resattn_network *network);

/* A layer by its path, borrowed; NULL and NOT_FOUND if there is none. Since 0.9. */
RESATTN_API resattn_layer *resattn_network_layer(const resattn_network *network, const char *path);

/* The attention modules in the order in which they run. Borrowed; NULL outside 0 .. count-1. Since 0.9. */
RESATTN_API int32_t resattn_network_attention_count(const resattn_network *network);
RESATTN_API resattn_attention *resattn_network_attention(const resattn_network *network, int32_t index);

/*
 * Parameters and statistics, in the order of the layers in the tree. The tensors are borrowed from the network and share
 * its memory (who calls resattn_tensor_ref(), or views one, has a share of the network): filters are OIHW (IOHW for transposed convolution), matrices (out, in), the rest vectors.
 *
 * Reading or writing these tensors is not guarded as calls on the network are: a host sees to it that it writes to none while another
 * thread runs or makes a session of the network, trains, saves or seals it, and reads none while another thread writes or trains.
 */

/* Whether training changes a parameter. */
typedef enum resattn_parameter_kind {
    RESATTN_PARAMETER_NONE = 0, /* what a getter answers where there is none, as in every enum with a NONE */
    RESATTN_PARAMETER_TRAINABLE = 1,
    RESATTN_PARAMETER_STATISTIC = 2 /* running mean and variance: no gradient */
} resattn_parameter_kind;

/* How many there are, and of number `index` the name and the kind; NULL and RESATTN_PARAMETER_NONE outside 0 .. count-1
 * (INVALID_ARGUMENT). Since 0.9. */
RESATTN_API int32_t resattn_network_parameter_count(const resattn_network *network);
RESATTN_API const char *resattn_network_parameter_name(const resattn_network *network, int32_t index);
RESATTN_API resattn_parameter_kind resattn_network_parameter_kind(const resattn_network *network, int32_t index);

/* The index of a name, -1 and NOT_FOUND if there is none. Since 0.9. */
RESATTN_API int32_t resattn_network_find_parameter(const resattn_network *network, const char *name);

/* The values, and the gradient that the last backward pass left. Borrowed; NULL outside 0 .. count-1 (INVALID_ARGUMENT); the
 * gradient is NULL for a statistic (INVALID_ARGUMENT) and before the first training session is made (WRONG_STATE). Since 0.9. */
RESATTN_API resattn_tensor *resattn_network_parameter(resattn_network *network, int32_t index);
RESATTN_API resattn_tensor *resattn_network_parameter_gradient(resattn_network *network, int32_t index);

/* The number of trained values of all layers (0 for NULL). Since 0.9. */
RESATTN_API int64_t resattn_network_trainable_values(const resattn_network *network);

/*
 * Tells the network that the host has changed parameters through an address that it had from resattn_tensor_mutable_data():
 * sessions made or refreshed from now on see the new values. Writing through the other tensor functions, initialising and training
 * need no such call.
 * Errors: INVALID_ARGUMENT. Since 0.9.
 */
RESATTN_API resattn_status resattn_network_touch(resattn_network *network);

/*
 * What belongs to a trained model, saved with it. All are optional; a getter answers NULL or 0 where nothing is set, strings are
 * borrowed until they are set again.
 */

/* The names of the classes, as many as the output has channels; count 0 removes them, and then the count is 0. Errors: INVALID_ARGUMENT,
 * SHAPE_MISMATCH, OUT_OF_MEMORY. Since 0.9. */
RESATTN_API resattn_status resattn_network_set_classes(resattn_network *network, const char *const *names,
                                                       int32_t count);
RESATTN_API const char *resattn_network_class_name(const resattn_network *network, int32_t index);
RESATTN_API int32_t resattn_network_class_count(const resattn_network *network);

/* The size of image that the model was made for. Errors: INVALID_ARGUMENT (negative). Since 0.9. */
RESATTN_API resattn_status resattn_network_set_input_size(resattn_network *network, int32_t height, int32_t width);
RESATTN_API int32_t resattn_network_input_height(const resattn_network *network);
RESATTN_API int32_t resattn_network_input_width(const resattn_network *network);

/*
 * How 8-bit input becomes numbers, per input channel: (value / 255 - mean) / deviation. U8 tensors are converted so; F32
 * tensors are taken as they are. count: the input's channels. At first mean 0, deviation 1. Errors: INVALID_ARGUMENT (also a
 * deviation that is not above 0 or not finite), SHAPE_MISMATCH. Since 0.9.
 */
RESATTN_API resattn_status resattn_network_set_normalization(resattn_network *network, const float *mean,
                                                             const float *deviation, int32_t count);
RESATTN_API float resattn_network_mean(const resattn_network *network, int32_t channel);
RESATTN_API float resattn_network_deviation(const resattn_network *network, int32_t channel);

/* Free text under a key ("name", "license", ...); value NULL removes it. The keys by number, in the order in which they were
 * first set. Errors: INVALID_ARGUMENT, OUT_OF_MEMORY. Since 0.9. */
RESATTN_API resattn_status resattn_network_set_text(resattn_network *network, const char *key, const char *value);
RESATTN_API const char *resattn_network_text(const resattn_network *network, const char *key);
RESATTN_API const char *resattn_network_text_key(const resattn_network *network, int32_t index);
RESATTN_API int32_t resattn_network_text_count(const resattn_network *network);

/*
 * How later saves of the network store its trained parameters (blob.h): RESATTN_F32 at first, RESATTN_F16 or RESATTN_BF16,
 * and as they were in the file after loading.
 * Statistics are always F32. The network itself keeps computing with F32 and does not change: only what is loaded back is rounded.
 * Errors: INVALID_ARGUMENT. Since 0.9.
 */
RESATTN_API resattn_status resattn_network_set_storage(resattn_network *network, resattn_dtype type);
RESATTN_API resattn_dtype resattn_network_storage(const resattn_network *network);

#if defined(__cplusplus) && !defined(RESATTN_FFI)
}
#endif
#endif
