/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reads JPEG files. libjpeg ends the program when it meets an error unless its error handlers are replaced, and goes on
 * with grey where data are missing.
 */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jerror.h>
#include <jpeglib.h>

#include "bitmap.h"
#include "errors.h"

/* Lives outside of the function that calls setjmp(), so that its contents survive the jump. */
struct reader {
    struct jpeg_error_mgr errors; /* first: libjpeg gives this pointer back */
    jmp_buf failed;
    struct jpeg_decompress_struct jpeg;
    struct bitmap *bitmap;
    uint8_t *ink; /* a row of CMYK; NULL unless the picture is in it */
    char message[JMSG_LENGTH_MAX];
};

static void stop(j_common_ptr jpeg)
{
    struct reader *reader = (struct reader *)(void *)jpeg->err;
    jpeg->err->format_message(jpeg, reader->message);
    longjmp(reader->failed, 1);
}

/* Of the warnings, those which say that a part of the picture is missing end the reading. */
static void weigh_message(j_common_ptr jpeg, int level)
{
    switch (jpeg->err->msg_code) {
    case JWRN_JPEG_EOF:
    case JWRN_HIT_MARKER:
    case JWRN_HUFF_BAD_CODE:
        if (level < 0)
            stop(jpeg);
        break;
    default:
        break;
    }
}

/* Without a colour profile: what paper reflects of each colour is what ink and black let through. Adobe's files hold
 * the paper that is left instead of the ink. */
static void convert_row(uint8_t *row, const uint8_t *ink, int32_t width, int adobe)
{
    uint32_t flip = adobe ? 0 : 255;
    for (int32_t x = 0; x < width; x++)
        for (int32_t c = 0; c < 3; c++)
            row[x * 3 + c] = (uint8_t)(((ink[x * 4 + c] ^ flip) * (ink[x * 4 + 3] ^ flip) + 127) / 255);
}

static void read_rows(struct reader *reader)
{
    struct jpeg_decompress_struct *jpeg = &reader->jpeg;
    const struct bitmap *bitmap = reader->bitmap;
    while (jpeg->output_scanline < jpeg->output_height) {
        uint8_t *row = bitmap->pixels + (size_t)jpeg->output_scanline * (size_t)bitmap->width * 3;
        JSAMPROW target = reader->ink ? reader->ink : row;
        jpeg_read_scanlines(jpeg, &target, 1);
        if (reader->ink)
            convert_row(row, reader->ink, bitmap->width, jpeg->saw_Adobe_marker);
    }
}

static int decode(struct reader *reader, FILE *file, const char *path)
{
    struct jpeg_decompress_struct *jpeg = &reader->jpeg;
    jpeg->err = jpeg_std_error(&reader->errors);
    reader->errors.error_exit = stop;
    reader->errors.emit_message = weigh_message;
    if (setjmp(reader->failed))
        return complain("%s: damaged or cut short: %s", path, reader->message);
    jpeg_create_decompress(jpeg);
    jpeg_stdio_src(jpeg, file);
    jpeg_read_header(jpeg, TRUE);
    int cmyk = jpeg->jpeg_color_space == JCS_CMYK || jpeg->jpeg_color_space == JCS_YCCK;
    jpeg->out_color_space = cmyk ? JCS_CMYK : JCS_RGB;
    if (bitmap_init(reader->bitmap, path, jpeg->image_width, jpeg->image_height))
        return -1;
    if (cmyk && !(reader->ink = malloc((size_t)jpeg->image_width * 4)))
        return complain("%s: no memory for a row of %u pixels", path, jpeg->image_width);
    jpeg_start_decompress(jpeg);
    read_rows(reader);
    jpeg_finish_decompress(jpeg);
    return 0;
}

int bitmap_read_jpeg(struct bitmap *bitmap, FILE *file, const char *path)
{
    struct reader reader = {.bitmap = bitmap};
    int result = decode(&reader, file, path);
    jpeg_destroy_decompress(&reader.jpeg);
    free(reader.ink);
    return result;
}
