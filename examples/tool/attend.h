/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * resattn attend: what its parts share.
 */
#ifndef EXAMPLES_ATTEND_H
#define EXAMPLES_ATTEND_H

#include <stdint.h>

#include "mask_maps.h"

/* What a sheet shows of one picture. */
struct sheet {
    const char *file, *network, *answer;
    double probability;
    const uint8_t *picture; /* tile x tile x (red, green, blue): what the network saw, in the sheet's resolution */
    int32_t tile;           /* side of each picture on the sheet */
    int32_t side;           /* of the network's input */
    const struct mask_maps *maps;
    double alpha;  /* how much of a heat map's colour there is; the rest is the picture in grey */
    int own_range; /* the colours of each map go from its smallest to its largest value, else from `low` to `high` */
    double low, high;
};

/* Writes a PNG file. Returns 0, or -1 after printing why not. */
int sheet_write(const struct sheet *sheet, const char *path);

/*
 * The files that the sheets of `count` pictures go to: IMAGE-masks.png in the current folder, or, if `out` is not NULL,
 * in the folder of that name, which is made if it is not there and its name ends with a slash or there are several
 * pictures, else, for one picture, the file of that name. Returns texts of which sheet_names_free() gets rid, or NULL
 * after printing why not: two pictures with one sheet, or a sheet in a picture's place.
 */
char **sheet_names(char *const *pictures, int32_t count, const char *out);

void sheet_names_free(char **names, int32_t count);

#endif
