/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Class names from a text file.
 */
#include "class_names.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "errors.h"

enum { MOST_BYTES = 1 << 26 };

/* The whole file with a zero byte after it, owned. NULL after printing why not. */
static char *read_text(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file) {
        complain("%s: %s", path, strerror(errno));
        return NULL;
    }
    size_t size = 0, capacity = 0;
    char *text = NULL;
    int failed = 0;
    do {
        capacity = capacity ? 2 * capacity : 1 << 16;
        char *larger = capacity > MOST_BYTES ? NULL : realloc(text, capacity);
        failed = larger ? 0 : complain("%s: too long for a file of class names", path);
        if (failed)
            break;
        text = larger;
        size += fread(text + size, 1, capacity - 1 - size, file);
    } while (size == capacity - 1);
    if (!failed && ferror(file))
        failed = complain("%s: cannot be read: %s", path, strerror(errno));
    fclose(file);
    if (failed) {
        free(text);
        return NULL;
    }
    text[size] = '\0';
    return text;
}

static int32_t count_lines(const char *text)
{
    int32_t lines = 0;
    for (const char *at = text; *at; lines++) {
        at += strcspn(at, "\n");
        at += *at == '\n';
    }
    return lines;
}

static int set_names(resattn_network *network, char *text, int32_t count, const char *path)
{
    const char **names = calloc((size_t)count, sizeof *names);
    if (!names)
        return complain("%s: no memory for %d names", path, (int)count);
    for (int32_t i = 0; i < count; i++) {
        char *end = text + strcspn(text, "\n");
        int last = *end == '\0';
        *end = '\0';
        names[i] = text;
        if (end > text && end[-1] == '\r')
            end[-1] = '\0';
        text = last ? end : end + 1;
    }
    int failed = resattn_network_set_classes(network, names, count);
    free(names);
    return failed ? complain("%s: %s", path, resattn_last_error()) : 0;
}

int class_names_read(resattn_network *network, const char *path)
{
    char *text = read_text(path);
    if (!text)
        return -1;
    int32_t count = count_lines(text), classes = resattn_network_out_channels(network);
    int result = count == classes
                     ? set_names(network, text, count, path)
                     : complain("%s: %d names, one a line; the network has %d classes", path, (int)count, (int)classes);
    free(text);
    return result;
}
