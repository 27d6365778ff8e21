/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Class names from a text file.
 */
#ifndef EXAMPLES_CLASS_NAMES_H
#define EXAMPLES_CLASS_NAMES_H

#include <resattn/resattn.h>

/* Gives a network the class names of a file, one a line, as many as it has classes. Returns 0, or -1 after printing why
 * not. */
int class_names_read(resattn_network *network, const char *path);

#endif
