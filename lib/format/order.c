/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Between the logical order of a parameter's elements, which files have, and the channels-last order of a network's
 * memory. Both keep the first dimension outermost: within one of its entries, logical order is channels by area, and
 * the memory is area by channels.
 */
#include <stdio.h>
#include <string.h>

#include "format/format.h"

typedef struct layout {
    int64_t channels, area; /* 1 and the number of elements where both orders are the same */
} layout;

static layout layout_of(const resattn_tensor *tensor)
{
    layout l = {1, 1};
    if (tensor->rank >= 3) {
        l.channels = tensor->shape[1];
        for (int32_t i = 2; i < tensor->rank; i++)
            l.area *= tensor->shape[i];
    }
    return l;
}

/* A part of the elements that lies within whole channels, or within one: `lines` times `length` elements. */
typedef struct part {
    int64_t lines, length;
    int64_t place; /* of its first element in memory */
} part;

static part next_part(layout l, int64_t first, int64_t count)
{
    int64_t row = l.channels * l.area, in_row = first % row;
    int64_t channel = in_row / l.area, position = in_row % l.area;
    part p = {.lines = 1, .place = first - in_row + position * l.channels + channel};
    p.length = l.area - position < count ? l.area - position : count;
    if (position == 0 && count >= l.area)
        p.lines = l.channels - channel < count / l.area ? l.channels - channel : count / l.area;
    return p;
}

/* Values are moved as bytes: what is read as an integer here is a float to the network. */
void ra_order_get(const resattn_tensor *tensor, int64_t first, int64_t count, uint32_t *bits)
{
    const float *values = tensor->data;
    layout l = layout_of(tensor);
    if (l.channels == 1 || l.area == 1) {
        memcpy(bits, values + first, (size_t)count * sizeof *bits);
        return;
    }
    while (count > 0) {
        part p = next_part(l, first, count);
        for (int64_t j = 0; j < p.length; j++) {
            const float *from = values + p.place + j * l.channels;
            for (int64_t i = 0; i < p.lines; i++)
                memcpy(bits + i * l.area + j, from + i, sizeof *bits);
        }
        bits += p.lines * p.length;
        first += p.lines * p.length;
        count -= p.lines * p.length;
    }
}

void ra_order_put(resattn_tensor *tensor, int64_t first, int64_t count, const uint32_t *bits)
{
    float *values = tensor->data;
    layout l = layout_of(tensor);
    if (l.channels == 1 || l.area == 1) {
        memcpy(values + first, bits, (size_t)count * sizeof *bits);
        return;
    }
    while (count > 0) {
        part p = next_part(l, first, count);
        for (int64_t j = 0; j < p.length; j++) {
            float *to = values + p.place + j * l.channels;
            for (int64_t i = 0; i < p.lines; i++)
                memcpy(to + i, bits + i * l.area + j, sizeof *bits);
        }
        bits += p.lines * p.length;
        first += p.lines * p.length;
        count -= p.lines * p.length;
    }
}

void ra_print_shape(char *text, size_t size, int32_t rank, const int64_t *shape)
{
    size_t length = (size_t)snprintf(text, size, "%s", rank == 0 ? "of a single value" : "");
    for (int32_t i = 0; i < rank && length < size; i++)
        length += (size_t)snprintf(text + length, size - length, "%s%lld", i ? "x" : "", (long long)shape[i]);
}
