/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reads PNG files by libpng's simple interface.
 */
#include <string.h>

#include <png.h>

#include "bitmap.h"
#include "errors.h"

int bitmap_read_png(struct bitmap *bitmap, FILE *file, const char *path)
{
    static const png_color white = {255, 255, 255};
    png_image png;
    memset(&png, 0, sizeof png);
    png.version = PNG_IMAGE_VERSION;
    if (!png_image_begin_read_from_stdio(&png, file))
        return complain("%s: %s", path, png.message);
    png.format = PNG_FORMAT_RGB;
    png.flags |= PNG_IMAGE_FLAG_16BIT_sRGB;
    if (bitmap_init(bitmap, path, png.width, png.height)) {
        png_image_free(&png);
        return -1;
    }
    /* Frees what the image holds, also when it fails. */
    if (!png_image_finish_read(&png, &white, bitmap->pixels, 0, NULL))
        return complain("%s: damaged or cut short: %s", path, png.message);
    return 0;
}
