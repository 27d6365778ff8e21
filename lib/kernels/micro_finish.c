/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The steps after a convolution that are not done in registers, compiled once for each CPU level.
 */
#include "kernels/exponential.h"
#include "kernels/micro_levels.h"

RA_INLINE void finish_row(const ra_finishing *f, bool sigmoid, bool gated, bool second, float *y, const float *trunk,
                          float *other)
{
    const float *scale = f->scale, *shift = f->shift;
    const float plus = f->plus;
    const bool relu = f->second_relu;
    RA_INDEPENDENT
    for (int32_t j = 0; j < f->columns; j++) {
        float value = y[j];
        if (sigmoid)
            value = 1.0f / (1.0f + ra_exponential(-value));
        if (gated)
            value = trunk[j] * (plus + value);
        y[j] = value;
        if (second) {
            value = value * scale[j] + shift[j];
            other[j] = relu && value < 0 ? 0 : value;
        }
    }
}

RA_INLINE void finish_rows(const ra_finishing *f, bool sigmoid, bool gated, bool second)
{
    for (int64_t i = 0; i < f->rows; i++)
        finish_row(f, sigmoid, gated, second, f->y + i * f->y_row, gated ? f->trunk + i * f->trunk_row : NULL,
                   second ? f->second + i * f->second_row : NULL);
}

void RA_LEVELED(ra_finish)(const ra_finishing *f)
{
    switch ((f->sigmoid ? 1 : 0) + (f->trunk ? 2 : 0) + (f->second ? 4 : 0)) {
    case 1:
        finish_rows(f, true, false, false);
        break;
    case 2:
        finish_rows(f, false, true, false);
        break;
    case 3:
        finish_rows(f, true, true, false);
        break;
    case 4:
        finish_rows(f, false, false, true);
        break;
    case 5:
        finish_rows(f, true, false, true);
        break;
    case 6:
        finish_rows(f, false, true, true);
        break;
    case 7:
        finish_rows(f, true, true, true);
        break;
    default:
        break;
    }
}
