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

/* Appends the names of the folders in `path`, or the paths of the pictures, sorted. */
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
        char *whole = path_join(path, entry->d_name);
        if (folders && whole && !is_folder(whole)) {
            free(whole);
            continue;
        }
        if (folders && whole)
            memmove(whole, entry->d_name, strlen(entry->d_name) + 1);
        result = names_add(names, whole);
    }
    closedir(directory);
    names_sort(names, before);
    return result;
}

/* Whether `name` in `where` is a folder with folders in it. */
static int is_part(const char *where, const char *name)
{
    struct names inside = {0};
    char *path = path_join(where, name);
    int result = path && is_folder(path) && list(&inside, path, 1) == 0 && inside.count > 0;
    names_free(&inside);
    free(path);
    return result;
}

/* Chooses the folder of the pictures and the one that tells the classes, as names in `where`; "." is itself. */
static int choose(const char *where, enum dataset_part part, const char **pictures, const char **classes)
{
    const char *train = is_part(where, "train") ? "train" : NULL;
    const char *test = is_part(where, "test") ? "test" : is_part(where, "val") ? "val" : NULL;
    int divided = train || test;
    if (part == DATASET_TRAIN && divided && !train)
        return complain("%s: %s/ but no train/ with a folder of pictures for each class is in it", where, test);
    if (part != DATASET_TRAIN && !test && (divided || part == DATASET_TEST))
        return complain("%s: neither test/ nor val/ with a folder of pictures for each class is in it", where);
    *pictures = !divided ? "." : part == DATASET_TRAIN ? train : test;
    *classes = train ? train : *pictures;
    return 0;
}

/* where, or the folder in it */
static char *part_path(const char *where, const char *part)
{
    char *path = path_join(where, part);
    if (path && strcmp(part, ".") == 0)
        path[strlen(where)] = '\0';
    return path;
}

static int list_classes(struct folder *folder, const char *where, const char *part)
{
    struct names found = {0};
    char *path = part_path(where, part);
    int result = path ? list(&folder->classes, path, 1) : complain("no memory for a path");
    free(path);
    if (!result && folder->classes.count == 0)
        result =
            complain("%s: neither a folder for each class nor binary files of CIFAR-10 or CIFAR-100 are in it", where);
    if (!result)
        result = list(&found, folder->path, 1);
    for (int32_t i = 0; i < found.count && !result; i++)
        if (names_find(&folder->classes, found.texts[i]) < 0)
            result = complain("%s/%s: no folder of this name is among the %d of %s/", folder->path, found.texts[i],
                              (int)folder->classes.count, part);
    names_free(&found);
    return result;
}

static int list_files(struct folder *folder)
{
    int32_t *first = calloc((size_t)folder->classes.count + 1, sizeof *first);
    int result = first ? 0 : complain("no memory for %d classes", (int)folder->classes.count);
    for (int32_t i = 0; i < folder->classes.count && !result; i++) {
        char *inside = path_join(folder->path, folder->classes.texts[i]);
        result = !inside ? complain("no memory for a path") : is_folder(inside) ? list(&folder->files, inside, 0) : 0;
        first[i + 1] = folder->files.count;
        free(inside);
    }
    if (!result && folder->files.count == 0)
        result =
            complain("%s: no pictures in its %d folders (.jpg, .jpeg, .png)", folder->path, (int)folder->classes.count);
    if (!result && !(folder->labels = calloc((size_t)folder->files.count, sizeof *folder->labels)))
        result = complain("no memory for %d labels", (int)folder->files.count);
    for (int32_t i = 0; i < folder->classes.count && !result; i++)
        for (int32_t k = first[i]; k < first[i + 1]; k++)
            folder->labels[k] = i;
    free(first);
    return result;
}

int folder_read(struct folder *folder, const char *where, enum dataset_part part)
{
    const char *pictures = ".", *classes = ".";
    memset(folder, 0, sizeof *folder);
    if (choose(where, part, &pictures, &classes))
        return -1;
    folder->path = part_path(where, pictures);
    int result = folder->path ? 0 : complain("no memory for a path");
    if (!result)
        result = list_classes(folder, where, classes);
    if (!result)
        result = list_files(folder);
    if (result)
        folder_free(folder);
    return result;
}

void folder_free(struct folder *folder)
{
    names_free(&folder->classes);
    names_free(&folder->files);
    free(folder->labels);
    free(folder->path);
    memset(folder, 0, sizeof *folder);
}
