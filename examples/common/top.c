/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The best of a network's answers.
 */
#include "top.h"

#include <math.h>
#include <string.h>

void top_classes(const float *values, int32_t classes, int32_t k, int32_t *top)
{
    int32_t found = 0;
    for (int32_t c = 0; c < classes; c++) {
        int32_t place = found;
        while (place > 0 && values[c] > values[top[place - 1]])
            place--;
        if (place >= k)
            continue;
        found += found < k;
        memmove(top + place + 1, top + place, (size_t)(found - 1 - place) * sizeof *top);
        top[place] = c;
    }
}

int is_in_top(const float *values, int32_t classes, int32_t k, int32_t label)
{
    int32_t before = 0;
    for (int32_t c = 0; c < classes; c++)
        before += values[c] > values[label] || (values[c] == values[label] && c < label);
    return before < k && !isnan(values[label]);
}
