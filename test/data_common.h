/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Files and images for the tests of data sets, and what the code under test prints.
 */
#ifndef TEST_DATA_COMMON_H
#define TEST_DATA_COMMON_H

#include <stddef.h>
#include <stdint.h>

#include "images.h"

/* A new empty folder for the files of a test; its path. */
const char *data_folder_make(void);

/* Removes it with all that is in it. */
void data_folder_remove(void);

/* The path of a file in it. Valid until the next call but three. */
const char *data_path(const char *name);

/* Write a file in it; folders on the way are made. A pixel of a PNG file depends on its place and `tint` only. */
void data_write(const char *name, const void *bytes, size_t count);
void data_write_png(const char *name, int32_t width, int32_t height, int tint);

/* A pixel of such a file. */
uint8_t data_png_value(int32_t x, int32_t y, int c, int tint);

/* Random images with labels in turn, of `classes` classes; with_coverage: in all, coverage is what is red. */
struct images data_images(int32_t count, int32_t classes, int with_coverage);

/* From the first of these on, standard error goes to a file; the second ends that and returns what was printed. */
void data_catch_errors(void);
const char *data_caught_errors(void);

#endif
