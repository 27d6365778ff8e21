/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The masks of a network's attention modules for one image, as maps that can be looked at.
 */
#ifndef EXAMPLES_MASK_MAPS_H
#define EXAMPLES_MASK_MAPS_H

#include <resattn/resattn.h>

enum { MASK_MEAN = -1 }; /* in the place of a channel: the mean over the channels */

struct mask_numbers {
    double mean, deviation;
    float smallest, largest;
};

struct mask_map {
    int32_t channel; /* or MASK_MEAN */
    float *values;   /* height x width */
    struct mask_numbers numbers;
};

struct module_maps {
    const char *name; /* of the mask; the network's */
    int32_t channels, height, width;
    struct mask_numbers numbers; /* of the whole mask, all channels */
    int32_t count;
    struct mask_map *maps;
};

struct mask_maps {
    int32_t count;
    struct module_maps *modules;
};

/* Which maps to take of each mask: the `top` channels with the largest deviation over the map, the largest first, or as
 * many as there are; if that is 0, one channel or MASK_MEAN. */
struct mask_choice {
    int32_t channel, top;
};

/* Reads the first image's masks of the session's last run; the plan has asked for them. Returns 0, or -1 after printing
 * why not, and then there is nothing to free. */
int mask_maps_read(struct mask_maps *maps, resattn_session *session, const struct mask_choice *choice);

void mask_maps_free(struct mask_maps *maps);

#endif
