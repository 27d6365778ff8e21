/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A set of small labelled colour images in memory.
 */
#include "images.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "errors.h"

int images_init(struct images *images, int32_t count, int with_coverage)
{
    memset(images, 0, sizeof *images);
    size_t n = (size_t)count;
    images->pixels = calloc(n, IMAGE_BYTES);
    images->labels = calloc(n, sizeof *images->labels);
    images->coverage = with_coverage ? calloc(n, IMAGE_PIXELS) : NULL;
    if (!images->pixels || !images->labels || (with_coverage && !images->coverage)) {
        images_free(images);
        return complain("no memory for %d images", (int)count);
    }
    images->count = count;
    return 0;
}

void images_free(struct images *images)
{
    free(images->pixels);
    free(images->labels);
    free(images->coverage);
    names_free(&images->classes);
    memset(images, 0, sizeof *images);
}

void images_statistics(const struct images *images, float mean[3], float deviation[3])
{
    size_t pixels = (size_t)images->count * IMAGE_PIXELS;
    for (size_t c = 0; c < 3; c++) {
        double sum = 0, squares = 0;
        for (size_t i = 0; i < pixels; i++) {
            double value = images->pixels[i * 3 + c] / 255.0;
            sum += value;
            squares += value * value;
        }
        double average = sum / (double)pixels;
        double variance = squares / (double)pixels - average * average;
        mean[c] = (float)average;
        deviation[c] = variance > 1e-4 ? (float)sqrt(variance) : 0.01f;
    }
}
