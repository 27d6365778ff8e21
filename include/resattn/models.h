/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Networks by name, built with the public layer functions alone.
 */
#ifndef RESATTN_MODELS_H
#define RESATTN_MODELS_H

#include "resattn/layer.h"

#if defined(__cplusplus) && !defined(RESATTN_FFI)
extern "C" {
#endif

/*
 * Builds a named network with `classes` outputs (logits: no softmax at the end). Returns the root,
 * borrowed from the builder, for resattn_network_new(); NULL: NOT_FOUND for an unknown name, INVALID_ARGUMENT, OUT_OF_MEMORY,
 * or the builder's earlier error. Since 0.9.
 */
RESATTN_API resattn_layer *resattn_model_new(resattn_builder *builder, const char *name, int32_t classes);

/* The names that there are: how many, and number `index`, a static string, NULL outside. Any thread. Since 0.9. */
RESATTN_API int32_t resattn_model_count(void);
RESATTN_API const char *resattn_model_name(int32_t index);

/* The side of the square images that the named network was published with; 0 for an unknown name. Any thread. Since 0.9. */
RESATTN_API int32_t resattn_model_input_size(const char *name);

/*
 * A named network with some of its settings changed. Which settings there are depends on the network. All are integers.
 * Those with names for their values, beside resattn_learning and resattn_mask_activation:
 */

/* The setting "mask": how a mask branch is built. */
typedef enum resattn_mask_structure {
    RESATTN_STRUCTURE_BOTTOM_UP_TOP_DOWN = 1, /* poolings, units, interpolations: the paper's */
    RESATTN_STRUCTURE_LOCAL = 2 /* three units at full resolution, as wide as makes the cost most nearly the same */
} resattn_mask_structure;

/* The setting "up_sampling": how a mask branch comes back up. */
typedef enum resattn_up_sampling {
    RESATTN_UP_BILINEAR = 1,
    RESATTN_UP_TRANSPOSED = 2 /* transposed convolution of each channel by itself, from bilinear on learned */
} resattn_up_sampling;

/* The setting "unit": what branches and stages are made of. */
typedef enum resattn_unit {
    RESATTN_UNIT_RESIDUAL = 1, /* pre-activation bottleneck */
    RESATTN_UNIT_RESNEXT = 2,  /* post-activation, 32 groups */
    RESATTN_UNIT_INCEPTION = 3 /* pre-activation; branches of 1x1, of 1x1 and 3x3, of 1x1 and 3x3 twice */
} resattn_unit;

/* The setting "stem": what comes first. */
typedef enum resattn_stem {
    RESATTN_STEM_IMAGENET = 1, /* 7x7 convolution of stride 2, pooling */
    RESATTN_STEM_CIFAR = 2     /* 3x3 convolution */
} resattn_stem;

/* The setting "shortcut", where a unit changes size and channels (He et al., CVPR 2016). */
typedef enum resattn_shortcut {
    RESATTN_SHORTCUT_SUBSAMPLE = 1, /* A: every second pixel, channels padded with zeros */
    RESATTN_SHORTCUT_PROJECTION = 2 /* B: 1x1 convolution and batch norm */
} resattn_shortcut;

/*
 * Makes the configuration of a named network, as it is published: resattn_model_config_build() then builds what
 * resattn_model_new() does. Returns an owned configuration, or NULL: NOT_FOUND, INVALID_ARGUMENT, OUT_OF_MEMORY.
 *
 * Settings of the attention networks:
 *   learning (resattn_learning), activation (resattn_mask_activation, without the identity), mask (resattn_mask_structure),
 *     up_sampling, unit, stem
 *   p, t, r: units before and after the branches, in the trunk, and between poolings
 *   bottom: units at the mask's bottom; 0: twice r
 *   modules1 to modules3: attention modules of a stage; without any, what is left is a plain network
 *   width1 to width4: channels inside the units of a stage, four times as many outside; with ResNeXt and Inception units
 *     multiples of 16. The stem's convolution has width1 channels.
 *   poolings1 to poolings3: of a stage's masks. The width of a local mask, which has no poolings, is the one that makes the
 *     units of both cost most nearly the same, at 224 pixels with the ImageNet stem, at 32 with the other.
 *   blocks: units of the last stage, which has no modules. With the CIFAR stem there are three stages that each end with
 *     another unit instead; then blocks and width4 count for nothing.
 *
 * Settings of the CIFAR ResNets with basic blocks: shortcut. The other networks have none. Since 0.9.
 */
RESATTN_API resattn_model_config *resattn_model_config_new(resattn_context *context, const char *name);

/* Frees the configuration. Since 0.9. */
RESATTN_API void resattn_model_config_free(resattn_model_config *config);

/* Sets or reads a setting. Errors: NOT_FOUND with the names that there are, INVALID_ARGUMENT for a value outside its range.
 * Since 0.9. */
RESATTN_API resattn_status resattn_model_config_set_int(resattn_model_config *config, const char *setting, int64_t value);
RESATTN_API resattn_status resattn_model_config_get_int(const resattn_model_config *config, const char *setting,
                                                        int64_t *value);

/* The settings by number: how many, the name (static, NULL outside), and the smallest and largest value. Errors:
 * INVALID_ARGUMENT. Since 0.9. */
RESATTN_API int32_t resattn_model_config_setting_count(const resattn_model_config *config);
RESATTN_API const char *resattn_model_config_setting_name(const resattn_model_config *config, int32_t index);
RESATTN_API resattn_status resattn_model_config_setting_range(const resattn_model_config *config, int32_t index,
                                                              int64_t *smallest, int64_t *largest);

/*
 * Builds the network of the configuration, as resattn_model_new() does; the configuration can be changed and built again.
 * Combinations that make no sense are refused with the reason (INVALID_ARGUMENT): a width that cannot be divided as the
 * units need, a choice of up-sampling for a local mask, which has none. Since 0.9.
 */
RESATTN_API resattn_layer *resattn_model_config_build(const resattn_model_config *config, resattn_builder *builder,
                                                      int32_t classes);

#if defined(__cplusplus) && !defined(RESATTN_FFI)
}
#endif
#endif
