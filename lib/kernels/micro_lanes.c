/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Convolution in groups of fewer channels than a vector has lanes, compiled once for each CPU level: a vector holds the
 * channels of several groups, and a permutation spreads one input channel of each group over the group's lanes.
 */
#include "kernels/micro_levels.h"

/* Pixels at a time: their inputs and sums stay in registers. 7 divides the widths of the usual maps. */
enum { PIXELS = 7, FEW_PIXELS = 3 };

#if defined(__has_builtin) && !defined(RA_PORTABLE)
#if __has_builtin(__builtin_shufflevector)
#define HAS_SHUFFLE 1
#endif
#endif

#if defined(HAS_SHUFFLE)
#define LANE(l, group, i)   ((l) / (group) * (group) + (i))
#define LANES4(l, group, i) LANE(l, group, i), LANE((l) + 1, group, i), LANE((l) + 2, group, i), LANE((l) + 3, group, i)
#if RA_LANES == 16
#define SPREAD(x, group, i)                                                                                            \
    __builtin_shufflevector(x, x, LANES4(0, group, i), LANES4(4, group, i), LANES4(8, group, i), LANES4(12, group, i))
#elif RA_LANES == 8
#define SPREAD(x, group, i) __builtin_shufflevector(x, x, LANES4(0, group, i), LANES4(4, group, i))
#else
#define SPREAD(x, group, i) __builtin_shufflevector(x, x, LANES4(0, group, i))
#endif
#else
static ra_vec spread(ra_vec x, int group, int i)
{
    float from[RA_LANES], to[RA_LANES];
    ra_store(from, x);
    for (int l = 0; l < RA_LANES; l++)
        to[l] = from[l / group * group + i];
    return ra_load(to);
}
#define SPREAD(x, group, i) spread(x, group, i)
#endif

/* Floats of weights from one tap to the next. */
#define ROW(group) ((int64_t)(group)*RA_LANES)

/* Input channel i of each group. */
#define STEP(group, i)                                                                                                 \
    if ((i) < (group)) {                                                                                               \
        ra_vec weight = ra_load(w + ROW(i));                                                                           \
        RA_UNROLL                                                                                                      \
        for (int p = 0; p < pixels; p++)                                                                               \
            sum[p] = ra_mul_add(sum[p], SPREAD(x[p], group, (i) < (group) ? (i) : 0), weight);                         \
    }

/* Some pixels, one vector of channels. A macro, as the permutations want constants. */
#define DEFINE_PIXELS(group)                                                                                           \
    RA_INLINE void pixels_##group(int pixels, const ra_lanes *lanes, int32_t pixel, int32_t channel, const float *w)   \
    {                                                                                                                  \
        ra_vec sum[PIXELS], x[PIXELS];                                                                                 \
        ra_vec bias = lanes->bias ? ra_load(lanes->bias + channel) : ra_splat(0);                                      \
        RA_UNROLL                                                                                                      \
        for (int p = 0; p < pixels; p++)                                                                               \
            sum[p] = bias;                                                                                             \
        const float *first = lanes->x + pixel * lanes->x_row + channel;                                                \
        for (int32_t t = 0; t < lanes->taps; t++, w += ROW(group)) {                                                   \
            RA_UNROLL                                                                                                  \
            for (int p = 0; p < pixels; p++)                                                                           \
                x[p] = ra_load(first + p * lanes->x_row + lanes->offsets[t]);                                          \
            STEP(group, 0)                                                                                             \
            STEP(group, 1)                                                                                             \
            STEP(group, 2)                                                                                             \
            STEP(group, 3)                                                                                             \
            STEP(group, 4)                                                                                             \
            STEP(group, 5)                                                                                             \
            STEP(group, 6)                                                                                             \
            STEP(group, 7)                                                                                             \
        }                                                                                                              \
        float *y = lanes->y + pixel * lanes->y_row + channel;                                                          \
        RA_UNROLL                                                                                                      \
        for (int p = 0; p < pixels; p++)                                                                               \
            ra_store(y + p * lanes->y_row, lanes->relu ? ra_rectify(sum[p]) : sum[p]);                                 \
    }                                                                                                                  \
    static void row_##group(const ra_lanes *lanes)                                                                     \
    {                                                                                                                  \
        const float *w = lanes->weights;                                                                               \
        for (int32_t c = 0; c < lanes->channels; c += RA_LANES, w += lanes->taps * ROW(group)) {                       \
            int32_t pixel = 0;                                                                                         \
            for (; pixel + PIXELS <= lanes->pixels; pixel += PIXELS)                                                   \
                pixels_##group(PIXELS, lanes, pixel, c, w);                                                            \
            for (; pixel + FEW_PIXELS <= lanes->pixels; pixel += FEW_PIXELS)                                           \
                pixels_##group(FEW_PIXELS, lanes, pixel, c, w);                                                        \
            for (; pixel < lanes->pixels; pixel++)                                                                     \
                pixels_##group(1, lanes, pixel, c, w);                                                                 \
        }                                                                                                              \
    }

DEFINE_PIXELS(1)
DEFINE_PIXELS(2)
DEFINE_PIXELS(4)
#if RA_LANES >= 8
DEFINE_PIXELS(8)
#endif

void RA_LEVELED(ra_lane_groups)(const ra_lanes *lanes)
{
    switch (lanes->group) {
    case 1:
        row_1(lanes);
        break;
    case 2:
        row_2(lanes);
        break;
    case 4:
        row_4(lanes);
        break;
    default:
#if RA_LANES >= 8
        row_8(lanes);
#endif
        break;
    }
}
