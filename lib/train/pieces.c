/* SPDX-License-Identifier: BSD-3-Clause */
/* Cutting parameters into tasks. */
#include "train/pieces.h"

/* Weight, gradient and an optimiser's state of a piece fit the L2 cache together. */
#define PIECE_ELEMENTS 32768

/* With `pieces` NULL it only counts. */
static int64_t cut(const resattn_network *network, bool statistics, ra_piece *pieces)
{
    int64_t count = 0, offset = 0;
    for (int32_t p = 0; p < network->param_count; p++) {
        const ra_param *param = network->params[p];
        if (!param->trained && !statistics)
            continue;
        for (int64_t begin = 0; begin < param->elements; begin += PIECE_ELEMENTS, count++) {
            int64_t left = param->elements - begin, elements = left < PIECE_ELEMENTS ? left : PIECE_ELEMENTS;
            if (pieces)
                pieces[count] = (ra_piece){param, p, begin, elements, offset};
            offset += elements;
        }
    }
    return count;
}

ra_piece *ra_pieces_new(const resattn_network *network, bool statistics, const char *what, int32_t *count)
{
    int64_t needed = cut(network, statistics, NULL);
    if (needed > INT32_MAX)
        return ra_fail_null(RESATTN_TOO_LARGE, "%s: %lld pieces of parameters, expected at most %d", what,
                            (long long)needed, INT32_MAX);
    ra_piece *pieces = ra_alloc(network->context, (size_t)needed, sizeof *pieces);
    if (!pieces)
        return NULL;
    cut(network, statistics, pieces);
    *count = (int32_t)needed;
    return pieces;
}
