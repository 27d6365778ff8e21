/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A list of names or paths.
 */
#ifndef EXAMPLES_NAMES_H
#define EXAMPLES_NAMES_H

#include <stdint.h>

/* All zero: none. */
struct names {
    int32_t count, capacity;
    char **texts;
};

void names_free(struct names *names);

/* Appends a text from malloc(), which the list takes over, also when it fails; NULL is one that there was no memory
 * for. Returns 0, or -1 after printing why not. */
int names_add(struct names *names, char *text);

/* The same with a copy of the text. */
int names_add_copy(struct names *names, const char *text);

/* Sorts those from `first` on by their bytes. */
void names_sort(struct names *names, int32_t first);

/* Where a text is in a list, or -1. */
int32_t names_find(const struct names *names, const char *text);

/* folder + "/" + name, from malloc(); NULL without memory. */
char *path_join(const char *folder, const char *name);

#endif
