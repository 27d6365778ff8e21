/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The readers of the tool: JPEG and PNG files, which are then cut and scaled, and CIFAR's binary files. The first byte
 * says which: 0: a picture, 1: CIFAR-10, 2: CIFAR-100.
 */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bitmap.h"
#include "cifar.h"
#include "errors.h"

/* In place of examples/common/errors.c, which prints. */
void set_program_name(const char *path)
{
    (void)path;
}
const char *program_name(void)
{
    return "fuzz";
}
int complain_library(void)
{
    return -1;
}
int complain(const char *format, ...)
{
    FUZZ_CHECK(format && *format, "an empty message");
    return -1;
}

static void read_picture(const uint8_t *bytes, size_t size)
{
    struct bitmap bitmap;
    uint8_t small[7 * 7 * 3];
    /* Few bytes can stand for many pixels, and the sanitizers take seconds for a hundred million. */
    FUZZ_CHECK(setenv("RESATTN_MOST_PIXELS", "1000000", 0) == 0, "no memory");
    if (bitmap_read(&bitmap, fuzz_file(bytes, size)))
        return;
    FUZZ_CHECK(bitmap.width > 0 && bitmap.height > 0 && bitmap.pixels, "%d x %d", (int)bitmap.width,
               (int)bitmap.height);
    /* Scaling is as costly as the picture is large. */
    if ((int64_t)bitmap.width * bitmap.height <= 1 << 16) {
        bitmap_fit(&bitmap, 9, 7, small);
        bitmap_cut(&bitmap, bitmap.width * 0.25, bitmap.height * 0.25, bitmap.width * 0.5, bitmap.height * 0.5, 7,
                   small);
    }
    bitmap_free(&bitmap);
}

/* A folder of this process with one file in it, which is a link to the file of the bytes. */
static void read_cifar(const char *name, const char *classes, const uint8_t *bytes, size_t size)
{
    char folder[64], path[128], list[128];
    snprintf(folder, sizeof folder, "/tmp/resattn-fuzz-%ld", (long)getpid());
    snprintf(path, sizeof path, "%s/%s", folder, name);
    snprintf(list, sizeof list, "%s/%s", folder, classes);
    const char *file = fuzz_file(bytes, size);
    struct images images = {0};
    FUZZ_CHECK(mkdir(folder, 0700) == 0 && symlink(file, path) == 0 && symlink(file, list) == 0, "%s", folder);
    if (cifar_is_in(folder) && cifar_read(&images, folder, 1) == 0) {
        for (int32_t i = 0; i < images.count; i++)
            FUZZ_CHECK(images.labels[i] >= 0 && images.labels[i] < 100, "label %d", (int)images.labels[i]);
        images_free(&images);
    }
    unlink(path);
    unlink(list);
    rmdir(folder);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    if (size < 1)
        return 0;
    if (bytes[0] % 3 == 0)
        read_picture(bytes + 1, size - 1);
    else if (bytes[0] % 3 == 1)
        read_cifar("test_batch.bin", "batches.meta.txt", bytes + 1, size - 1);
    else
        read_cifar("test.bin", "fine_label_names.txt", bytes + 1, size - 1);
    return 0;
}
