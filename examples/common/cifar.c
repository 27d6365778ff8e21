/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reads CIFAR-10's binary files.
 */
#include "cifar.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "errors.h"

enum { RECORD_BYTES = 1 + IMAGE_BYTES, PATH_BYTES = 4096 };

/* folder + "/" + name */
static int join(char path[PATH_BYTES], const char *folder, const char *name)
{
    int length = snprintf(path, PATH_BYTES, "%s/%s", folder, name);
    return length > 0 && length < PATH_BYTES ? 0 : complain("%s: the path is too long", folder);
}

/* How many records a file holds, or -1. */
static int32_t count_records(const char *path)
{
    struct stat status;
    if (stat(path, &status))
        return complain("%s: %s", path, strerror(errno));
    if (status.st_size == 0 || status.st_size % RECORD_BYTES != 0)
        return complain("%s: %lld bytes are not a whole number of records of %d bytes; is the file cut short?", path,
                        (long long)status.st_size, (int)RECORD_BYTES);
    if (status.st_size / RECORD_BYTES > 1000000)
        return complain("%s: more than a million records", path);
    return (int32_t)(status.st_size / RECORD_BYTES);
}

static void interleave(uint8_t *pixels, const uint8_t *planes)
{
    for (int i = 0; i < IMAGE_PIXELS; i++)
        for (int c = 0; c < 3; c++)
            pixels[i * 3 + c] = planes[c * IMAGE_PIXELS + i];
}

/* Reads the records of a file into the images from `first` on. */
static int read_records(struct images *images, int32_t first, int32_t count, const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return complain("%s: %s", path, strerror(errno));
    int result = 0;
    for (int32_t i = 0; i < count && !result; i++) {
        uint8_t record[RECORD_BYTES];
        if (fread(record, RECORD_BYTES, 1, file) != 1) {
            result = complain("%s: cannot read record %d of %d", path, (int)i, (int)count);
        } else if (record[0] >= IMAGE_CLASSES) {
            result = complain("%s: record %d has label %d, expected 0 to 9", path, (int)i, record[0]);
        } else {
            images->labels[first + i] = record[0];
            interleave(images->pixels + (size_t)(first + i) * IMAGE_BYTES, record + 1);
        }
    }
    fclose(file);
    return result;
}

/* One class name a line. */
static int read_names(struct images *images, const char *folder)
{
    char path[PATH_BYTES];
    if (join(path, folder, "batches.meta.txt"))
        return -1;
    FILE *file = fopen(path, "r");
    if (!file)
        return complain("%s: %s", path, strerror(errno));
    int count = 0;
    char line[sizeof images->names[0]];
    while (count < IMAGE_CLASSES && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\r\n")] = '\0';
        if (line[0])
            strcpy(images->names[count++], line);
    }
    fclose(file);
    return count == IMAGE_CLASSES ? 0 : complain("%s: %d class names, expected %d", path, count, (int)IMAGE_CLASSES);
}

static int read_files(struct images *images, char *const *paths, size_t files, const char *folder)
{
    int32_t total = 0;
    memset(images, 0, sizeof *images);
    for (size_t i = 0; i < files; i++) {
        int32_t count = count_records(paths[i]);
        if (count < 0)
            return -1;
        if (total > 1000000)
            return complain("%s: more than a million records", folder);
        total += count;
    }
    if (images_init(images, total, 0))
        return -1;
    int32_t done = 0;
    int result = read_names(images, folder);
    for (size_t i = 0; i < files && !result; i++) {
        int32_t count = count_records(paths[i]);
        if (count < 0 || count > total - done)
            result = complain("%s: the file has changed while it was read", paths[i]);
        else
            result = read_records(images, done, count, paths[i]);
        done += count;
    }
    if (result)
        images_free(images);
    return result;
}

int cifar_read_train(struct images *images, const char *folder)
{
    char pattern[PATH_BYTES];
    if (join(pattern, folder, "data_batch_*.bin"))
        return -1;
    glob_t found;
    int result;
    if (glob(pattern, 0, NULL, &found))
        return complain("%s: no such files; is this the folder of CIFAR-10's binary version?", pattern);
    result = read_files(images, found.gl_pathv, found.gl_pathc, folder);
    globfree(&found);
    return result;
}

int cifar_read_test(struct images *images, const char *folder)
{
    char path[PATH_BYTES];
    if (join(path, folder, "test_batch.bin"))
        return -1;
    char *paths[] = {path};
    return read_files(images, paths, 1, folder);
}
