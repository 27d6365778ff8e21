/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The two data sets that the examples know, by the argument of --data.
 */
#ifndef EXAMPLES_DATA_H
#define EXAMPLES_DATA_H

#include "images.h"

/* `where` is "shapes" for the generated set, otherwise a folder with CIFAR-10's binary files. */
int data_is_shapes(const char *where);

/* Whether `where` is none of these: then it is a folder of folders of pictures (folder.h), if anything. */
int data_is_folders(const char *where);

/* Each returns 0, or -1 after printing why not. */
int data_load_train(struct images *images, const char *where);
int data_load_test(struct images *images, const char *where);

#endif
