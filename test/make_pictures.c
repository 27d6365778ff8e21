/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Writes the JPEG files that the tests of the tool read.
 *
 * usage: make_pictures FILE rgb|grey|cmyk WIDTH HEIGHT SEED
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

static void write_rows(struct jpeg_compress_struct *jpeg, int seed)
{
    uint8_t *row = calloc(jpeg->image_width, (size_t)jpeg->input_components);
    if (!row)
        exit(EXIT_FAILURE);
    while (jpeg->next_scanline < jpeg->image_height) {
        int y = (int)jpeg->next_scanline;
        for (int x = 0; x < (int)jpeg->image_width; x++)
            for (int c = 0; c < jpeg->input_components; c++)
                row[x * jpeg->input_components + c] = (uint8_t)((x * (c + 1 + seed) + y * (3 + seed)) % 256);
        JSAMPROW rows[] = {row};
        jpeg_write_scanlines(jpeg, rows, 1);
    }
    free(row);
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fputs("usage: make_pictures FILE rgb|grey|cmyk WIDTH HEIGHT SEED\n", stderr);
        return EXIT_FAILURE;
    }
    FILE *file = fopen(argv[1], "wb");
    if (!file) {
        perror(argv[1]);
        return EXIT_FAILURE;
    }
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    int cmyk = strcmp(argv[2], "cmyk") == 0, grey = strcmp(argv[2], "grey") == 0;
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_stdio_dest(&jpeg, file);
    jpeg.image_width = (JDIMENSION)atoi(argv[3]);
    jpeg.image_height = (JDIMENSION)atoi(argv[4]);
    jpeg.input_components = cmyk ? 4 : grey ? 1 : 3;
    jpeg.in_color_space = cmyk ? JCS_CMYK : grey ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_set_defaults(&jpeg);
    jpeg_start_compress(&jpeg, TRUE);
    write_rows(&jpeg, atoi(argv[5]));
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    return fclose(file) ? EXIT_FAILURE : EXIT_SUCCESS;
}
