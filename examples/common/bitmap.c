/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Opens picture files and chooses the reader.
 */
#include "bitmap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "errors.h"

enum { MAGIC_BYTES = 8 };

/* The pixels that a picture may have; -1 after printing what is wrong. */
static long read_limit(void)
{
    const long most = 1L << 30; /* 3 GiB */
    const char *text = getenv("RESATTN_MOST_PIXELS");
    if (!text)
        return 1L << 27; /* 384 MiB */
    char *end;
    errno = 0;
    long pixels = strtol(text, &end, 10);
    if (errno || end == text || *end || pixels < 1 || pixels > most)
        return complain("RESATTN_MOST_PIXELS is '%s', expected 1 to %ld", text, most);
    return pixels;
}

int bitmap_init(struct bitmap *bitmap, const char *path, uint32_t width, uint32_t height)
{
    memset(bitmap, 0, sizeof *bitmap);
    long most = read_limit();
    if (most < 0)
        return -1;
    if (width == 0 || height == 0 || (long)width > most / (long)height)
        return complain("%s: a picture of %lu x %lu, expected 1 to %ld pixels", path, (unsigned long)width,
                        (unsigned long)height, most);
    bitmap->pixels = malloc((size_t)width * height * 3);
    if (!bitmap->pixels)
        return complain("%s: no memory for %lu x %lu pixels", path, (unsigned long)width, (unsigned long)height);
    bitmap->width = (int32_t)width;
    bitmap->height = (int32_t)height;
    return 0;
}

void bitmap_free(struct bitmap *bitmap)
{
    free(bitmap->pixels);
    memset(bitmap, 0, sizeof *bitmap);
}

#ifndef EXAMPLES_JPEG
int bitmap_read_jpeg(struct bitmap *bitmap, FILE *file, const char *path)
{
    (void)bitmap;
    (void)file;
    return complain("%s: a JPEG file, and this program was built without libjpeg", path);
}
#endif

#ifndef EXAMPLES_PNG
int bitmap_read_png(struct bitmap *bitmap, FILE *file, const char *path)
{
    (void)bitmap;
    (void)file;
    return complain("%s: a PNG file, and this program was built without libpng", path);
}
#endif

static int read_file(struct bitmap *bitmap, FILE *file, const char *path)
{
    static const uint8_t jpeg[] = {0xFF, 0xD8, 0xFF}, png[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};
    uint8_t magic[MAGIC_BYTES] = {0};
    errno = 0;
    size_t size = fread(magic, 1, sizeof magic, file);
    if (ferror(file) || fseek(file, 0, SEEK_SET))
        return complain("%s: cannot be read: %s", path, strerror(errno));
    if (size == 0)
        return complain("%s: the file is empty", path);
    if (memcmp(magic, jpeg, sizeof jpeg) == 0)
        return bitmap_read_jpeg(bitmap, file, path);
    if (memcmp(magic, png, sizeof png) == 0)
        return bitmap_read_png(bitmap, file, path);
    return complain("%s: neither a JPEG nor a PNG file", path);
}

int bitmap_read(struct bitmap *bitmap, const char *path)
{
    memset(bitmap, 0, sizeof *bitmap);
    FILE *file = fopen(path, "rb");
    if (!file)
        return complain("%s: %s", path, strerror(errno));
    int result = read_file(bitmap, file, path);
    fclose(file);
    if (result)
        bitmap_free(bitmap);
    return result;
}
