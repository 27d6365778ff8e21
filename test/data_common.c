/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Files and images for the tests of data sets.
 */
#include "data_common.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <check.h>
#include <png.h>

#include "common.h"

static char folder[64];
static char caught[4096];
static int errors_before = -1, errors_file = -1;

const char *data_folder_make(void)
{
    strcpy(folder, "/tmp/resattn-data-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    return folder;
}

static void remove_tree(const char *path)
{
    DIR *directory = opendir(path);
    char inside[512];
    for (struct dirent *entry; directory && (entry = readdir(directory)) != NULL;) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        int length = snprintf(inside, sizeof inside, "%s/%s", path, entry->d_name);
        ck_assert(length > 0 && length < (int)sizeof inside);
        remove_tree(inside);
    }
    if (directory)
        closedir(directory);
    ck_assert_int_eq(remove(path), 0);
}

void data_folder_remove(void)
{
    remove_tree(folder);
}

const char *data_path(const char *name)
{
    static char paths[4][256];
    static int next;
    char *path = paths[next++ % 4];
    int length = snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    ck_assert(length > 0 && length < (int)sizeof paths[0]);
    return path;
}

void data_write(const char *name, const void *bytes, size_t count)
{
    char path[256];
    strcpy(path, data_path(name));
    for (char *slash = path + strlen(folder) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
    FILE *file = fopen(path, "wb");
    ck_assert_msg(file != NULL, "%s cannot be written", path);
    ck_assert_uint_eq(fwrite(bytes, 1, count, file), count);
    ck_assert_int_eq(fclose(file), 0);
}

uint8_t data_png_value(int32_t x, int32_t y, int c, int tint)
{
    return (uint8_t)(x * 3 + y * 5 + c * 40 + tint * 11);
}

void data_write_png(const char *name, int32_t width, int32_t height, int tint)
{
    uint8_t *pixels = malloc((size_t)width * (size_t)height * 3);
    png_image png;
    memset(&png, 0, sizeof png);
    png.version = PNG_IMAGE_VERSION;
    png.width = (png_uint_32)width;
    png.height = (png_uint_32)height;
    png.format = PNG_FORMAT_RGB;
    for (int32_t i = 0; i < width * height * 3; i++)
        pixels[i] = data_png_value(i / 3 % width, i / 3 / width, i % 3, tint);
    data_write(name, "", 0);
    ck_assert(png_image_write_to_file(&png, data_path(name), 0, pixels, 0, NULL));
    free(pixels);
}

struct images data_images(int32_t count, int32_t classes, int with_coverage)
{
    struct images images;
    char name[] = "kind 00";
    ck_assert_int_eq(images_init(&images, count, with_coverage), 0);
    for (int32_t i = 0; i < count * IMAGE_BYTES; i++)
        images.pixels[i] = (uint8_t)test_random();
    for (int32_t i = 0; i < count * IMAGE_PIXELS && with_coverage; i++)
        images.coverage[i] = images.pixels[i * 3];
    for (int32_t i = 0; i < count; i++)
        images.labels[i] = i % classes;
    for (int32_t i = 0; i < classes; i++) {
        name[5] = (char)('0' + i / 10);
        name[6] = (char)('0' + i % 10);
        ck_assert_int_eq(names_add_copy(&images.classes, name), 0);
    }
    return images;
}

void data_catch_errors(void)
{
    char name[] = "/tmp/resattn-errors-XXXXXX";
    errors_file = mkstemp(name);
    errors_before = dup(STDERR_FILENO);
    ck_assert(errors_file >= 0 && errors_before >= 0);
    unlink(name);
    fflush(stderr);
    ck_assert_int_ge(dup2(errors_file, STDERR_FILENO), 0);
}

const char *data_caught_errors(void)
{
    fflush(stderr);
    ck_assert_int_ge(dup2(errors_before, STDERR_FILENO), 0);
    ssize_t count = pread(errors_file, caught, sizeof caught - 1, 0);
    ck_assert_int_ge((int)count, 0);
    caught[count] = '\0';
    close(errors_file);
    close(errors_before);
    return caught;
}
