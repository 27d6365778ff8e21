/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reads CIFAR-10 and CIFAR-100 in their binary forms (https://www.cs.toronto.edu/~kriz/cifar.html): records of a label
 * byte (CIFAR-100: the label of one of 20 groups, which is passed over, and that of one of 100 classes) and 3 x 32 x 32
 * bytes, red, green and blue plane one after the other.
 */
#ifndef EXAMPLES_CIFAR_H
#define EXAMPLES_CIFAR_H

#include "images.h"

/* Whether a folder has one of these files in it. */
int cifar_is_in(const char *folder);

/*
 * Reads all data_batch_*.bin of a folder, in the order of their names, or, if `test` is not 0, test_batch.bin; class
 * names come from batches.meta.txt. For CIFAR-100 train.bin, test.bin and fine_label_names.txt. Returns 0, or -1 after
 * printing why not.
 */
int cifar_read(struct images *images, const char *folder, int test);

#endif
