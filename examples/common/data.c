/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Chooses between the data sets.
 */
#include "data.h"

#include <string.h>

#include "cifar.h"
#include "shapes.h"

int data_is_shapes(const char *where)
{
    return strcmp(where, "shapes") == 0;
}

int data_load_train(struct images *images, const char *where)
{
    return data_is_shapes(where) ? shapes_draw(images, SHAPES_PART_TRAIN, SHAPES_TRAIN)
                                 : cifar_read_train(images, where);
}

int data_load_test(struct images *images, const char *where)
{
    return data_is_shapes(where) ? shapes_draw(images, SHAPES_PART_TEST, SHAPES_TEST) : cifar_read_test(images, where);
}
