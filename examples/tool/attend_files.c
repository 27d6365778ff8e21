/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * resattn attend: the files that it writes.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "attend.h"
#include "errors.h"

static const char ending[] = "-masks.png";

static int is_folder(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

/* Whether sheets go into a folder, which is there then: 1 or 0, or -1 after printing why there is none. */
static int folder_ready(const char *out, int32_t count)
{
    if (out[0] == '\0')
        return complain("--out is empty, expected a file or a folder");
    if (is_folder(out))
        return 1;
    if (count == 1 && out[strlen(out) - 1] != '/')
        return 0;
    if (mkdir(out, 0777))
        return complain("%s: no folder can be made for %d sheets: %s", out, (int)count, strerror(errno));
    return 1;
}

/* folder/IMAGE-masks.png, where IMAGE is without its folders and its ending. */
static char *name_in(const char *folder, const char *picture)
{
    const char *slash = strrchr(picture, '/'), *base = slash ? slash + 1 : picture, *dot = strrchr(base, '.');
    size_t stem = dot && dot > base ? (size_t)(dot - base) : strlen(base), size = strlen(folder);
    char *name = malloc(size + 1 + stem + sizeof ending);
    if (!name)
        return NULL;
    const char *between = size > 0 && folder[size - 1] != '/' ? "/" : "";
    snprintf(name, size + 1 + stem + sizeof ending, "%s%s%.*s%s", folder, between, (int)stem, base, ending);
    return name;
}

/* Links to one file count as one. */
static int is_same_file(const char *one, const char *other)
{
    struct stat first, second;
    return stat(one, &first) == 0 && stat(other, &second) == 0 && first.st_dev == second.st_dev &&
           first.st_ino == second.st_ino;
}

static int compare_names(const void *one, const void *other)
{
    return strcmp(*(char *const *)one, *(char *const *)other);
}

static int check_names(char *const *names, char *const *pictures, int32_t count)
{
    size_t bytes = (size_t)count * sizeof *names;
    char **sorted = malloc(bytes);
    if (!sorted)
        return complain("no memory for %d names", (int)count);
    memcpy(sorted, names, bytes);
    qsort(sorted, (size_t)count, sizeof *sorted, compare_names);
    int result = 0;
    for (int32_t i = 1; i < count && !result; i++)
        if (strcmp(sorted[i - 1], sorted[i]) == 0)
            result = complain("%s would be the sheet of two pictures, expected pictures of different names", sorted[i]);
    for (int32_t i = 0; i < count && !result; i++)
        if (is_same_file(names[i], pictures[i]))
            result = complain("%s is the picture itself, expected another file for its sheet", names[i]);
    free(sorted);
    return result;
}

char **sheet_names(char *const *pictures, int32_t count, const char *out)
{
    int in_folder = out ? folder_ready(out, count) : 1, result = 0;
    if (in_folder < 0)
        return NULL;
    char **names = calloc((size_t)count, sizeof *names);
    for (int32_t i = 0; i < count && names && !result; i++) {
        names[i] = in_folder ? name_in(out ? out : "", pictures[i]) : strdup(out);
        result = names[i] ? 0 : -1;
    }
    if (!names || result)
        complain("no memory for %d names", (int)count);
    else if (check_names(names, pictures, count) == 0)
        return names;
    sheet_names_free(names, count);
    return NULL;
}

void sheet_names_free(char **names, int32_t count)
{
    for (int32_t i = 0; i < count && names; i++)
        free(names[i]);
    free(names);
}
