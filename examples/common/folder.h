/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Labelled pictures in a folder: a folder of JPEG and PNG files for each class.
 */
#ifndef EXAMPLES_FOLDER_H
#define EXAMPLES_FOLDER_H

#include <resattn/resattn.h>

/* Names in the order of their bytes. */
struct names {
    int32_t count, capacity;
    char **texts;
};

struct folder {
    struct names classes; /* the folders */
    struct names files;   /* whole paths */
    int32_t *class_of;    /* of each file: which folder */
    int32_t *label_of;    /* of each folder: the network's class */
};

/*
 * Lists the pictures, by the endings .jpg, .jpeg and .png; names that begin with a dot are passed over. The folders
 * belong to the network's classes of the same names if it has all of them (`*by_name` is 1), otherwise in the order of
 * their names, as many as there are classes. Returns 0, or -1 after printing why not.
 */
int folder_read(struct folder *folder, const char *path, const resattn_network *network, int *by_name);

void folder_free(struct folder *folder);

#endif
