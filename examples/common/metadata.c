/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Metadata of a network, from a set of images.
 */
#include "metadata.h"

#include "errors.h"

int metadata_set(resattn_network *network, const struct images *images, int32_t side)
{
    const char *names[IMAGE_CLASSES];
    float mean[3], deviation[3];
    for (int i = 0; i < IMAGE_CLASSES; i++)
        names[i] = images->names[i];
    images_statistics(images, mean, deviation);
    if (resattn_network_set_classes(network, names, IMAGE_CLASSES) ||
        resattn_network_set_input_size(network, side, side) ||
        resattn_network_set_normalization(network, mean, deviation, 3))
        return complain_library();
    return 0;
}
