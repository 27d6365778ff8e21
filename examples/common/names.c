/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lists of names.
 */
#include "names.h"

#include <stdlib.h>
#include <string.h>

#include "errors.h"

enum { MOST_NAMES = 1 << 26 };

void names_free(struct names *names)
{
    for (int32_t i = 0; i < names->count; i++)
        free(names->texts[i]);
    free(names->texts);
    memset(names, 0, sizeof *names);
}

int names_add(struct names *names, char *text)
{
    if (text && names->count == names->capacity && names->count < MOST_NAMES) {
        int32_t capacity = names->capacity ? 2 * names->capacity : 64;
        char **larger = realloc(names->texts, (size_t)capacity * sizeof *larger);
        if (larger) {
            names->texts = larger;
            names->capacity = capacity;
        }
    }
    if (!text || names->count == names->capacity) {
        free(text);
        return complain("no memory for %d names", (int)names->count + 1);
    }
    names->texts[names->count++] = text;
    return 0;
}

int names_add_copy(struct names *names, const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *copy = malloc(bytes);
    if (copy)
        memcpy(copy, text, bytes);
    return names_add(names, copy);
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void names_sort(struct names *names, int32_t first)
{
    if (names->count > first)
        qsort(names->texts + first, (size_t)(names->count - first), sizeof *names->texts, by_bytes);
}

int32_t names_find(const struct names *names, const char *text)
{
    for (int32_t i = 0; i < names->count; i++)
        if (strcmp(names->texts[i], text) == 0)
            return i;
    return -1;
}

char *path_join(const char *folder, const char *name)
{
    size_t first = strlen(folder), second = strlen(name);
    char *path = malloc(first + second + 2);
    if (path) {
        memcpy(path, folder, first);
        path[first] = '/';
        memcpy(path + first + 1, name, second + 1);
    }
    return path;
}
