/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of the micro-kernels share within one CPU level, RA_LEVEL.
 */
#ifndef RA_MICRO_LEVELS_H
#define RA_MICRO_LEVELS_H

#include "kernels/micro.h"
#include "kernels/vector.h"

#define RA_PASTE_NAME(name, level)  name##_##level
#define RA_PASTE_LEVEL(name, level) RA_PASTE_NAME(name, level)
#define RA_LEVELED(name)            RA_PASTE_LEVEL(name, RA_LEVEL)

void RA_LEVELED(ra_finish)(const ra_finishing *f);
void RA_LEVELED(ra_lane_groups)(const ra_lanes *lanes);
ra_winograd_input RA_LEVELED(ra_winograd2_input), RA_LEVELED(ra_winograd4_input);
ra_winograd_output RA_LEVELED(ra_winograd2_output), RA_LEVELED(ra_winograd4_output);
ra_winograd_filter RA_LEVELED(ra_winograd2_filter), RA_LEVELED(ra_winograd4_filter);
ra_winograd_input RA_LEVELED(ra_winograd2_gradient), RA_LEVELED(ra_winograd4_gradient);
ra_winograd_taps RA_LEVELED(ra_winograd2_taps), RA_LEVELED(ra_winograd4_taps);

#endif
