/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reads CIFAR-10 in its binary form (https://www.cs.toronto.edu/~kriz/cifar.html): records of a label byte and 3 x 32 x
 * 32 bytes, red, green and blue plane one after the other.
 */
#ifndef EXAMPLES_CIFAR_H
#define EXAMPLES_CIFAR_H

#include "images.h"

/* Reads all data_batch_*.bin of a folder, in the order of their names; class names come from batches.meta.txt. Returns
 * 0, or -1 after printing why not. */
int cifar_read_train(struct images *images, const char *folder);

/* The same for test_batch.bin. */
int cifar_read_test(struct images *images, const char *folder);

#endif
