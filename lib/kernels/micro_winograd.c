/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Winograd's transforms, compiled once for each CPU level. The matrices are those of Lavin and Gray (CVPR 2016), with
 * the points 0, 1, -1, 2, -2. Vectors run over channels.
 */
#include "kernels/micro_levels.h"

/* ---- in one dimension; the result may be where the input is ---- */

RA_INLINE void input2(const ra_vec *d, int64_t step, ra_vec *v)
{
    ra_vec one = d[step], two = d[2 * step];
    v[0] = ra_sub(d[0], two);
    v[1 * step] = ra_add(one, two);
    v[2 * step] = ra_sub(two, one);
    v[3 * step] = ra_sub(one, d[3 * step]);
}

RA_INLINE void output2(const ra_vec *m, int64_t step, ra_vec *y, int64_t y_step)
{
    ra_vec sum = ra_add(m[step], m[2 * step]), difference = ra_sub(m[step], m[2 * step]);
    y[0] = ra_add(m[0], sum);
    y[y_step] = ra_sub(difference, m[3 * step]);
}

RA_INLINE void input4(const ra_vec *d, int64_t step, ra_vec *v)
{
    const ra_vec two = ra_splat(2), four = ra_splat(4), minus_four = ra_splat(-4), minus_five = ra_splat(-5);
    ra_vec even = ra_mul_add(d[4 * step], d[2 * step], minus_four);
    ra_vec odd = ra_mul_add(d[3 * step], d[step], minus_four);
    ra_vec even2 = ra_sub(d[4 * step], d[2 * step]);
    ra_vec odd2 = ra_mul(ra_sub(d[3 * step], d[step]), two);
    ra_vec first = ra_mul_add(d[4 * step], d[2 * step], minus_five);
    ra_vec last = ra_mul_add(d[5 * step], d[3 * step], minus_five);
    v[0] = ra_mul_add(first, d[0], four);
    v[5 * step] = ra_mul_add(last, d[step], four);
    v[1 * step] = ra_add(even, odd);
    v[2 * step] = ra_sub(even, odd);
    v[3 * step] = ra_add(even2, odd2);
    v[4 * step] = ra_sub(even2, odd2);
}

RA_INLINE void output4(const ra_vec *m, int64_t step, ra_vec *y, int64_t y_step)
{
    const ra_vec two = ra_splat(2), four = ra_splat(4), eight = ra_splat(8);
    ra_vec sum1 = ra_add(m[step], m[2 * step]), difference1 = ra_sub(m[step], m[2 * step]);
    ra_vec sum2 = ra_add(m[3 * step], m[4 * step]), difference2 = ra_sub(m[3 * step], m[4 * step]);
    y[0] = ra_add(ra_add(m[0], sum1), sum2);
    y[y_step] = ra_mul_add(difference1, difference2, two);
    y[2 * y_step] = ra_mul_add(sum1, sum2, four);
    y[3 * y_step] = ra_mul_add(ra_add(difference1, m[5 * step]), difference2, eight);
}

/* ---- in two ---- */

RA_INLINE void input_tile(int tile, int32_t channels, const float *const *x, float *v, int64_t v_step)
{
    const int size = tile + 2;
    for (int32_t c = 0; c < channels; c += RA_LANES) {
        ra_vec d[RA_WINOGRAD_MOST * RA_WINOGRAD_MOST];
        RA_UNROLL
        for (int j = 0; j < size; j++) {
            RA_UNROLL
            for (int64_t i = 0; i < size; i++)
                d[i * size + j] = ra_load(x[i * size + j] + c);
            if (tile == 2)
                input2(d + j, size, d + j);
            else
                input4(d + j, size, d + j);
        }
        RA_UNROLL
        for (int64_t i = 0; i < size; i++) {
            ra_vec row[RA_WINOGRAD_MOST];
            if (tile == 2)
                input2(d + i * size, 1, row);
            else
                input4(d + i * size, 1, row);
            RA_UNROLL
            for (int j = 0; j < size; j++)
                ra_store(v + (i * size + j) * v_step + c, row[j]);
        }
    }
}

RA_INLINE void output_tile(int tile, int32_t channels, const float *m, int64_t m_step, const float *bias,
                           const float *const *addend, bool relu, float *const *y)
{
    const int size = tile + 2;
    for (int32_t c = 0; c < channels; c += RA_LANES) {
        ra_vec half[4 * RA_WINOGRAD_MOST];
        RA_UNROLL
        for (int j = 0; j < size; j++) {
            ra_vec column[RA_WINOGRAD_MOST];
            RA_UNROLL
            for (int64_t i = 0; i < size; i++)
                column[i] = ra_load(m + (i * size + j) * m_step + c);
            if (tile == 2)
                output2(column, 1, half + j, size);
            else
                output4(column, 1, half + j, size);
        }
        ra_vec offset = bias ? ra_load(bias + c) : ra_splat(0);
        RA_UNROLL
        for (int64_t i = 0; i < tile; i++) {
            ra_vec row[4];
            if (tile == 2)
                output2(half + i * size, 1, row, 1);
            else
                output4(half + i * size, 1, row, 1);
            RA_UNROLL
            for (int j = 0; j < tile; j++) {
                float *target = y[i * tile + j];
                if (!target)
                    continue;
                ra_vec sum = ra_add(row[j], offset);
                if (addend)
                    sum = ra_add(sum, ra_load(addend[i * tile + j] + c));
                ra_store(target + c, relu ? ra_rectify(sum) : sum);
            }
        }
    }
}

void RA_LEVELED(ra_winograd2_input)(int32_t channels, const float *const *x, float *v, int64_t v_step)
{
    input_tile(2, channels, x, v, v_step);
}

void RA_LEVELED(ra_winograd4_input)(int32_t channels, const float *const *x, float *v, int64_t v_step)
{
    input_tile(4, channels, x, v, v_step);
}

void RA_LEVELED(ra_winograd2_output)(int32_t channels, const float *m, int64_t m_step, const float *bias,
                                     const float *const *addend, bool relu, float *const *y)
{
    output_tile(2, channels, m, m_step, bias, addend, relu, y);
}

void RA_LEVELED(ra_winograd4_output)(int32_t channels, const float *m, int64_t m_step, const float *bias,
                                     const float *const *addend, bool relu, float *const *y)
{
    output_tile(4, channels, m, m_step, bias, addend, relu, y);
}
