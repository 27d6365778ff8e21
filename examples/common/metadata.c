/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Metadata of a network, from a data set.
 */
#include "metadata.h"

#include <stdlib.h>

#include "errors.h"

int metadata_set(resattn_network *network, const struct dataset *dataset, int32_t side)
{
    int32_t classes = dataset_classes(dataset);
    const char **names = calloc((size_t)classes, sizeof *names);
    float mean[3], deviation[3];
    if (!names)
        return complain("no memory for the names of %d classes", (int)classes);
    for (int32_t i = 0; i < classes; i++)
        names[i] = dataset_class_name(dataset, i);
    dataset_statistics(dataset, mean, deviation);
    int failed = resattn_network_set_classes(network, names, classes) ||
                 resattn_network_set_input_size(network, side, side) ||
                 resattn_network_set_normalization(network, mean, deviation, 3);
    free(names);
    return failed ? complain_library() : 0;
}
