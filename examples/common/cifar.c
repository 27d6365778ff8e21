/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reads CIFAR's binary files.
 */
#include "cifar.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "errors.h"

enum { MOST_LABELS = 2, MOST_RECORDS = 1000000 };

struct form {
    const char *name, *train, *test, *classes; /* the files; the first is a pattern */
    int32_t labels;                            /* bytes of labels; the last is the class */
    int32_t class_count;
};

static const struct form forms[] = {
    {"CIFAR-10", "data_batch_*.bin", "test_batch.bin", "batches.meta.txt", 1, 10},
    {"CIFAR-100", "train.bin", "test.bin", "fine_label_names.txt", 2, 100},
};

/* The files in a folder whose names match a pattern, sorted; none if it cannot be read. */
static int find_files(struct names *paths, const char *folder, const char *pattern)
{
    DIR *directory = opendir(folder);
    int result = 0;
    memset(paths, 0, sizeof *paths);
    for (struct dirent *entry; !result && directory && (entry = readdir(directory)) != NULL;)
        if (fnmatch(pattern, entry->d_name, FNM_PERIOD) == 0)
            result = names_add(paths, path_join(folder, entry->d_name));
    if (directory)
        closedir(directory);
    names_sort(paths, 0);
    return result;
}

static int has_files(const char *folder, const char *pattern)
{
    struct names paths;
    int result = find_files(&paths, folder, pattern) == 0 && paths.count > 0;
    names_free(&paths);
    return result;
}

/* The form of the files in a folder; NULL if there are none. */
static const struct form *find_form(const char *folder)
{
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++)
        if (has_files(folder, forms[i].train) || has_files(folder, forms[i].test))
            return &forms[i];
    return NULL;
}

int cifar_is_in(const char *folder)
{
    return find_form(folder) != NULL;
}

/* How many records a file holds, or -1. */
static int32_t count_records(const struct form *form, const char *path)
{
    struct stat status;
    int32_t record = form->labels + IMAGE_BYTES;
    if (stat(path, &status))
        return complain("%s: %s", path, strerror(errno));
    if (status.st_size == 0 || status.st_size % record != 0)
        return complain("%s: %lld bytes are not a whole number of records of %d bytes; is the file cut short?", path,
                        (long long)status.st_size, (int)record);
    if (status.st_size / record > MOST_RECORDS)
        return complain("%s: more than %d records", path, (int)MOST_RECORDS);
    return (int32_t)(status.st_size / record);
}

static void interleave(uint8_t *pixels, const uint8_t *planes)
{
    for (int i = 0; i < IMAGE_PIXELS; i++)
        for (int c = 0; c < 3; c++)
            pixels[i * 3 + c] = planes[c * IMAGE_PIXELS + i];
}

/* Reads the records of a file into the images from `first` on. */
static int read_records(struct images *images, const struct form *form, int32_t first, int32_t count, const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return complain("%s: %s", path, strerror(errno));
    int result = 0;
    for (int32_t i = 0; i < count && !result; i++) {
        uint8_t record[MOST_LABELS + IMAGE_BYTES];
        if (fread(record, (size_t)form->labels + IMAGE_BYTES, 1, file) != 1) {
            result = complain("%s: cannot read record %d of %d", path, (int)i, (int)count);
        } else if (record[form->labels - 1] >= form->class_count) {
            result = complain("%s: record %d has label %d, expected 0 to %d", path, (int)i, record[form->labels - 1],
                              (int)form->class_count - 1);
        } else {
            images->labels[first + i] = record[form->labels - 1];
            interleave(images->pixels + (size_t)(first + i) * IMAGE_BYTES, record + form->labels);
        }
    }
    fclose(file);
    return result;
}

/* One class name a line. */
static int read_names(struct images *images, const struct form *form, const char *path)
{
    FILE *file = fopen(path, "r");
    if (!file)
        return complain("%s: %s", path, strerror(errno));
    int result = 0;
    char line[256];
    while (!result && images->classes.count < form->class_count && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\r\n")] = '\0';
        if (line[0])
            result = names_add_copy(&images->classes, line);
    }
    fclose(file);
    if (!result && images->classes.count != form->class_count)
        result = complain("%s: %d class names, expected %d", path, (int)images->classes.count, (int)form->class_count);
    return result;
}

static int read_files(struct images *images, const struct form *form, const struct names *paths, const char *folder)
{
    int32_t total = 0;
    for (int32_t i = 0; i < paths->count; i++) {
        int32_t count = count_records(form, paths->texts[i]);
        if (count < 0)
            return -1;
        if (total > MOST_RECORDS)
            return complain("%s: more than %d records", folder, (int)MOST_RECORDS);
        total += count;
    }
    if (images_init(images, total, 0))
        return -1;
    int32_t done = 0;
    char *names = path_join(folder, form->classes);
    int result = names ? read_names(images, form, names) : complain("no memory for a path");
    free(names);
    for (int32_t i = 0; i < paths->count && !result; i++) {
        int32_t count = count_records(form, paths->texts[i]);
        if (count < 0 || count > total - done)
            result = complain("%s: the file has changed while it was read", paths->texts[i]);
        else
            result = read_records(images, form, done, count, paths->texts[i]);
        done += count;
    }
    if (result)
        images_free(images);
    return result;
}

int cifar_read(struct images *images, const char *folder, int test)
{
    const struct form *form = find_form(folder);
    memset(images, 0, sizeof *images);
    if (!form)
        return complain("%s: no files of CIFAR-10's or CIFAR-100's binary version", folder);
    struct names paths;
    const char *pattern = test ? form->test : form->train;
    int result = find_files(&paths, folder, pattern);
    if (!result && paths.count == 0)
        result = complain("%s/%s: no such file; is the binary version of %s complete?", folder, pattern, form->name);
    if (!result)
        result = read_files(images, form, &paths, folder);
    names_free(&paths);
    return result;
}
