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

RA_INLINE void filter2(const ra_vec *g, int64_t step, ra_vec *u, int64_t u_step)
{
    const ra_vec half = ra_splat(0.5f);
    ra_vec even = ra_mul(ra_add(g[0], g[2 * step]), half), odd = ra_mul(g[step], half);
    u[0] = g[0];
    u[u_step] = ra_add(even, odd);
    u[2 * u_step] = ra_sub(even, odd);
    u[3 * u_step] = g[2 * step];
}

RA_INLINE void filter4(const ra_vec *g, int64_t step, ra_vec *u, int64_t u_step)
{
    const ra_vec sixth = ra_splat(1 / 6.0f), twelfth = ra_splat(1 / 12.0f), quarter = ra_splat(0.25f);
    ra_vec even = ra_mul(ra_add(g[0], g[2 * step]), ra_splat(-1 / 6.0f)), odd = ra_mul(g[step], sixth);
    ra_vec even2 = ra_mul_add(ra_mul(g[2 * step], sixth), g[0], ra_splat(1 / 24.0f)), odd2 = ra_mul(g[step], twelfth);
    u[0] = ra_mul(g[0], quarter);
    u[u_step] = ra_sub(even, odd);
    u[2 * u_step] = ra_add(even, odd);
    u[3 * u_step] = ra_add(even2, odd2);
    u[4 * u_step] = ra_sub(even2, odd2);
    u[5 * u_step] = g[2 * step];
}

/* The dual: two or four gradients of outputs at the points, and from the products at the points three taps, where the
 * points' weights go in. */
RA_INLINE void gradient2(const ra_vec *d, int64_t step, ra_vec *v, int64_t v_step)
{
    v[0] = d[0];
    v[v_step] = ra_add(d[0], d[step]);
    v[2 * v_step] = ra_sub(d[0], d[step]);
    v[3 * v_step] = d[step];
}

RA_INLINE void gradient4(const ra_vec *d, int64_t step, ra_vec *v, int64_t v_step)
{
    const ra_vec two = ra_splat(2), four = ra_splat(4), eight = ra_splat(8);
    ra_vec even = ra_add(d[0], d[2 * step]), odd = ra_add(d[step], d[3 * step]);
    ra_vec even2 = ra_mul_add(d[0], d[2 * step], four), odd2 = ra_mul_add(ra_mul(d[step], two), d[3 * step], eight);
    v[0] = d[0];
    v[v_step] = ra_add(even, odd);
    v[2 * v_step] = ra_sub(even, odd);
    v[3 * v_step] = ra_add(even2, odd2);
    v[4 * v_step] = ra_sub(even2, odd2);
    v[5 * v_step] = d[3 * step];
}

RA_INLINE void taps2(const ra_vec *m, int64_t step, ra_vec *w, int64_t w_step)
{
    const ra_vec half = ra_splat(0.5f);
    ra_vec sum = ra_mul(ra_add(m[step], m[2 * step]), half);
    w[0] = ra_add(m[0], sum);
    w[w_step] = ra_mul(ra_sub(m[step], m[2 * step]), half);
    w[2 * w_step] = ra_sub(sum, m[3 * step]);
}

RA_INLINE void taps4(const ra_vec *m, int64_t step, ra_vec *w, int64_t w_step)
{
    const ra_vec near = ra_splat(-1 / 6.0f), far = ra_splat(1 / 24.0f), quarter = ra_splat(0.25f);
    ra_vec sum = ra_mul(ra_add(m[step], m[2 * step]), near), sum2 = ra_mul(ra_add(m[3 * step], m[4 * step]), far);
    ra_vec difference = ra_mul(ra_sub(m[step], m[2 * step]), near);
    w[0] = ra_add(ra_mul_add(sum, m[0], quarter), sum2);
    w[w_step] = ra_mul_add(difference, ra_sub(m[3 * step], m[4 * step]), ra_splat(1 / 12.0f));
    w[2 * w_step] = ra_add(ra_mul_add(sum, sum2, ra_splat(4)), m[5 * step]);
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

/* From here on, unrolling the loops over rows and columns makes nothing faster. */
RA_INLINE void output_tile(int tile, int32_t channels, const float *m, int64_t m_step, const float *bias,
                           const float *const *addend, bool relu, float *const *y)
{
    const int size = tile + 2;
    for (int32_t c = 0; c < channels; c += RA_LANES) {
        ra_vec half[4 * RA_WINOGRAD_MOST];
        RA_ROLL
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
        RA_ROLL
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

RA_INLINE void filter_taps(int tile, int32_t channels, const float *g, int64_t g_step, float *u, int64_t u_step)
{
    const int size = tile + 2;
    for (int32_t c = 0; c < channels; c += RA_LANES) {
        ra_vec half[3 * RA_WINOGRAD_MOST], column[RA_WINOGRAD_MOST];
        RA_ROLL
        for (int j = 0; j < 3; j++) {
            RA_ROLL
            for (int i = 0; i < 3; i++)
                column[i] = ra_load(g + (3 * i + j) * g_step + c);
            if (tile == 2)
                filter2(column, 1, half + j, 3);
            else
                filter4(column, 1, half + j, 3);
        }
        RA_ROLL
        for (int64_t i = 0; i < size; i++) {
            if (tile == 2)
                filter2(half + 3 * i, 1, column, 1);
            else
                filter4(half + 3 * i, 1, column, 1);
            RA_ROLL
            for (int j = 0; j < size; j++)
                ra_store(u + (i * size + j) * u_step + c, column[j]);
        }
    }
}

RA_INLINE void gradient_tile(int tile, int32_t channels, const float *const *dy, float *v, int64_t v_step)
{
    const int size = tile + 2;
    for (int32_t c = 0; c < channels; c += RA_LANES) {
        ra_vec half[4 * RA_WINOGRAD_MOST], column[RA_WINOGRAD_MOST];
        RA_ROLL
        for (int j = 0; j < tile; j++) {
            RA_ROLL
            for (int i = 0; i < tile; i++)
                column[i] = ra_load(dy[i * tile + j] + c);
            if (tile == 2)
                gradient2(column, 1, half + j, tile);
            else
                gradient4(column, 1, half + j, tile);
        }
        RA_ROLL
        for (int64_t i = 0; i < size; i++) {
            if (tile == 2)
                gradient2(half + i * tile, 1, column, 1);
            else
                gradient4(half + i * tile, 1, column, 1);
            RA_ROLL
            for (int j = 0; j < size; j++)
                ra_store(v + (i * size + j) * v_step + c, column[j]);
        }
    }
}

RA_INLINE void gradient_taps(int tile, int32_t channels, const float *m, int64_t m_step, int32_t parts,
                             int64_t part_step, bool add, float *dw, int64_t dw_step)
{
    const int size = tile + 2;
    for (int32_t c = 0; c < channels; c += RA_LANES) {
        ra_vec half[3 * RA_WINOGRAD_MOST], column[RA_WINOGRAD_MOST];
        RA_ROLL
        for (int j = 0; j < size; j++) {
            RA_ROLL
            for (int64_t i = 0; i < size; i++) {
                const float *value = m + (i * size + j) * m_step + c;
                column[i] = ra_load(value);
                RA_ROLL
                for (int32_t part = 1; part < parts; part++)
                    column[i] = ra_add(column[i], ra_load(value + part * part_step));
            }
            if (tile == 2)
                taps2(column, 1, half + j, size);
            else
                taps4(column, 1, half + j, size);
        }
        RA_ROLL
        for (int64_t i = 0; i < 3; i++) {
            if (tile == 2)
                taps2(half + i * size, 1, column, 1);
            else
                taps4(half + i * size, 1, column, 1);
            RA_ROLL
            for (int j = 0; j < 3; j++) {
                float *target = dw + (3 * i + j) * dw_step + c;
                ra_store(target, add ? ra_add(ra_load(target), column[j]) : column[j]);
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

void RA_LEVELED(ra_winograd2_filter)(int32_t channels, const float *g, int64_t g_step, float *u, int64_t u_step)
{
    filter_taps(2, channels, g, g_step, u, u_step);
}

void RA_LEVELED(ra_winograd4_filter)(int32_t channels, const float *g, int64_t g_step, float *u, int64_t u_step)
{
    filter_taps(4, channels, g, g_step, u, u_step);
}

void RA_LEVELED(ra_winograd2_gradient)(int32_t channels, const float *const *dy, float *v, int64_t v_step)
{
    gradient_tile(2, channels, dy, v, v_step);
}

void RA_LEVELED(ra_winograd4_gradient)(int32_t channels, const float *const *dy, float *v, int64_t v_step)
{
    gradient_tile(4, channels, dy, v, v_step);
}

void RA_LEVELED(ra_winograd2_taps)(int32_t channels, const float *m, int64_t m_step, int32_t parts, int64_t part_step,
                                   bool add, float *dw, int64_t dw_step)
{
    gradient_taps(2, channels, m, m_step, parts, part_step, add, dw, dw_step);
}

void RA_LEVELED(ra_winograd4_taps)(int32_t channels, const float *m, int64_t m_step, int32_t parts, int64_t part_step,
                                   bool add, float *dw, int64_t dw_step)
{
    gradient_taps(4, channels, m, m_step, parts, part_step, add, dw, dw_step);
}
