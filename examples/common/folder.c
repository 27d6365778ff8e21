/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lists folders of pictures.
 */
#include "folder.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "errors.h"

enum { MOST_NAMES = 1 << 26 };

static void names_free(struct names *names)
{
    for (int32_t i = 0; i < names->count; i++)
        free(names->texts[i]);
    free(names->texts);
    memset(names, 0, sizeof *names);
}

/* Takes the text, also when it fails. */
static int names_add(struct names *names, char *text)
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
        return complain("no memory for %d file names", (int)names->count + 1);
    }
    names->texts[names->count++] = text;
    return 0;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* folder + "/" + name, owned */
static char *join(const char *folder, const char *name)
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

static int is_folder(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

static int is_picture(const char *name)
{
    const char *ending = strrchr(name, '.');
    return ending && (!strcasecmp(ending, ".jpg") || !strcasecmp(ending, ".jpeg") || !strcasecmp(ending, ".png"));
}

/* The names of the folders in `path`, or the paths of the pictures, sorted. */
static int list(struct names *names, const char *path, int folders)
{
    DIR *directory = opendir(path);
    if (!directory)
        return complain("%s: %s", path, strerror(errno));
    int result = 0;
    int32_t before = names->count;
    for (struct dirent *entry; !result && (entry = readdir(directory)) != NULL;) {
        if (entry->d_name[0] == '.' || (!folders && !is_picture(entry->d_name)))
            continue;
        char *whole = join(path, entry->d_name);
        if (folders && whole && !is_folder(whole)) {
            free(whole);
            continue;
        }
        if (folders && whole)
            memmove(whole, entry->d_name, strlen(entry->d_name) + 1);
        result = names_add(names, whole);
    }
    closedir(directory);
    if (!result && names->count > before)
        qsort(names->texts + before, (size_t)(names->count - before), sizeof *names->texts, by_bytes);
    return result;
}

static int32_t find_class(const resattn_network *network, const char *name)
{
    for (int32_t c = 0; resattn_network_class(network, c); c++)
        if (strcmp(resattn_network_class(network, c), name) == 0)
            return c;
    return -1;
}

static int match_classes(struct folder *folder, const char *path, const resattn_network *network, int *by_name)
{
    int32_t count = folder->classes.count, classes = resattn_network_out_channels(network);
    folder->label_of = calloc((size_t)count + 1, sizeof *folder->label_of);
    if (!folder->label_of)
        return complain("no memory for %d classes", (int)count);
    *by_name = 1;
    for (int32_t i = 0; i < count; i++) {
        folder->label_of[i] = find_class(network, folder->classes.texts[i]);
        *by_name &= folder->label_of[i] >= 0;
    }
    if (*by_name)
        return 0;
    if (count != classes)
        return complain("%s: %d folders that are not called like the network's classes, expected %d, one for each",
                        path, (int)count, (int)classes);
    for (int32_t i = 0; i < count; i++)
        folder->label_of[i] = i;
    return 0;
}

static int list_files(struct folder *folder, const char *path)
{
    int32_t *first = calloc((size_t)folder->classes.count + 1, sizeof *first);
    int result = first ? 0 : complain("no memory for %d classes", (int)folder->classes.count);
    for (int32_t i = 0; i < folder->classes.count && !result; i++) {
        char *inside = join(path, folder->classes.texts[i]);
        result = inside ? list(&folder->files, inside, 0) : complain("no memory for a path");
        first[i + 1] = folder->files.count;
        free(inside);
    }
    if (!result && folder->files.count == 0)
        result = complain("%s: no pictures in its %d folders (.jpg, .jpeg, .png)", path, (int)folder->classes.count);
    if (!result && !(folder->class_of = calloc((size_t)folder->files.count, sizeof *folder->class_of)))
        result = complain("no memory for %d labels", (int)folder->files.count);
    for (int32_t i = 0; i < folder->classes.count && !result; i++)
        for (int32_t k = first[i]; k < first[i + 1]; k++)
            folder->class_of[k] = i;
    free(first);
    return result;
}

int folder_read(struct folder *folder, const char *path, const resattn_network *network, int *by_name)
{
    memset(folder, 0, sizeof *folder);
    int result = list(&folder->classes, path, 1);
    if (!result && folder->classes.count == 0)
        result = complain("%s: neither a folder for each class nor CIFAR-10's test_batch.bin is in it", path);
    if (!result)
        result = list_files(folder, path);
    if (!result)
        result = match_classes(folder, path, network, by_name);
    if (result)
        folder_free(folder);
    return result;
}

void folder_free(struct folder *folder)
{
    names_free(&folder->classes);
    names_free(&folder->files);
    free(folder->class_of);
    free(folder->label_of);
    memset(folder, 0, sizeof *folder);
}
