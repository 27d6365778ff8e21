/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Labelled pictures in a folder: a folder of JPEG and PNG files for each class.
 */
#ifndef EXAMPLES_FOLDER_H
#define EXAMPLES_FOLDER_H

#include "dataset.h"
#include "names.h"

struct folder {
    char *path;           /* of the folders */
    struct names classes; /* their names */
    struct names files;   /* whole paths: `path`, class, name */
    int32_t *labels;      /* of each file: which class */
};

/*
 * Lists the pictures of a part, see dataset_open(); classes and the pictures of each in the order of their names. In a
 * folder that is divided into parts, the classes of the test pictures are numbered as those of the training pictures.
 * Returns 0, or -1 after printing why not.
 */
int folder_read(struct folder *folder, const char *where, enum dataset_part part);

void folder_free(struct folder *folder);

#endif
