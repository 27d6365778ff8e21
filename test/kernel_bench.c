/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How fast the micro-kernels are, in the L2 cache: test_kernels --bench.
 */
#include "test_kernels.h"

#include <stdio.h>
#include <string.h>

enum {
    ROWS = 56,
    DEPTH = 256,
    CHANNELS = 64,
    TAPS = 9,
    VALUES = RA_WINOGRAD_MOST * RA_WINOGRAD_MOST,
    FLOATS = 1 << 16, /* of each buffer */
    RUNS = 20,        /* between two looks at the clock */
    LEAST_NANOSECONDS = 100000000
};

typedef struct bench {
    float *a, *b, *c;
    int64_t offsets[TAPS];
} bench;

/* Runs a kernel once; returns its floating-point operations, or the bytes that it reads and writes. */
typedef double (*bench_fn)(const ra_micro *micro, const bench *memory);

static double products_of(const ra_micro *micro, const bench *memory, int32_t columns)
{
    ra_product product = {.rows = ROWS,
                          .depth = DEPTH,
                          .columns = columns,
                          .a = memory->a,
                          .a_row = DEPTH,
                          .panels = memory->b,
                          .panel_step = DEPTH * RA_PANEL,
                          .c = memory->c,
                          .c_row = columns,
                          .bias = memory->b,
                          .relu = true};
    micro->product(&product);
    return 2.0 * ROWS * DEPTH * columns;
}

static double bench_product(const ra_micro *micro, const bench *memory)
{
    return products_of(micro, memory, CHANNELS);
}

static double bench_narrow_product(const ra_micro *micro, const bench *memory)
{
    return products_of(micro, memory, 10);
}

static double lanes_of(const ra_micro *micro, const bench *memory, int32_t group)
{
    ra_lanes lanes = {.pixels = ROWS,
                      .channels = CHANNELS,
                      .group = group,
                      .taps = TAPS,
                      .x = memory->a,
                      .x_row = CHANNELS,
                      .offsets = memory->offsets,
                      .weights = memory->b,
                      .bias = memory->b,
                      .relu = true,
                      .y = memory->c,
                      .y_row = CHANNELS};
    if (group > micro->lanes)
        return 0;
    micro->lane_groups(&lanes);
    return 2.0 * ROWS * CHANNELS * TAPS * group;
}

static double bench_lanes1(const ra_micro *micro, const bench *memory)
{
    return lanes_of(micro, memory, 1);
}

static double bench_lanes2(const ra_micro *micro, const bench *memory)
{
    return lanes_of(micro, memory, 2);
}

static double bench_lanes4(const ra_micro *micro, const bench *memory)
{
    return lanes_of(micro, memory, 4);
}

static double bench_lanes8(const ra_micro *micro, const bench *memory)
{
    return lanes_of(micro, memory, 8);
}

static double input_of(ra_winograd_input *transform, int32_t tile, const bench *memory)
{
    const float *x[VALUES];
    int32_t values = (tile + 2) * (tile + 2);
    for (int32_t i = 0; i < values; i++)
        x[i] = memory->a + i * CHANNELS;
    transform(CHANNELS, x, memory->c, CHANNELS);
    return 2.0 * values * CHANNELS * sizeof(float);
}

static double bench_input2(const ra_micro *micro, const bench *memory)
{
    return input_of(micro->winograd[0].input, 2, memory);
}

static double bench_input4(const ra_micro *micro, const bench *memory)
{
    return input_of(micro->winograd[1].input, 4, memory);
}

static double output_of(ra_winograd_output *transform, int32_t tile, const bench *memory)
{
    float *y[16];
    for (int32_t i = 0; i < tile * tile; i++)
        y[i] = memory->c + i * CHANNELS;
    transform(CHANNELS, memory->a, CHANNELS, memory->b, NULL, true, y);
    return ((tile + 2.0) * (tile + 2) + tile * tile) * CHANNELS * sizeof(float);
}

static double bench_output2(const ra_micro *micro, const bench *memory)
{
    return output_of(micro->winograd[0].output, 2, memory);
}

static double bench_output4(const ra_micro *micro, const bench *memory)
{
    return output_of(micro->winograd[1].output, 4, memory);
}

static const struct {
    const char *name, *unit;
    bench_fn run;
} benches[] = {
    {"product, 64 columns", "GFLOPS", bench_product}, {"product, 10 columns", "GFLOPS", bench_narrow_product},
    {"groups of 1 channel", "GFLOPS", bench_lanes1},  {"groups of 2 channels", "GFLOPS", bench_lanes2},
    {"groups of 4 channels", "GFLOPS", bench_lanes4}, {"groups of 8 channels", "GFLOPS", bench_lanes8},
    {"Winograd 2x2, input", "GB/s", bench_input2},    {"Winograd 2x2, output", "GB/s", bench_output2},
    {"Winograd 4x4, input", "GB/s", bench_input4},    {"Winograd 4x4, output", "GB/s", bench_output4},
};

/* 10^9 a second in the fastest of many runs; 0 if the table has no such kernel. */
static double measure(const ra_micro *micro, bench_fn run, const bench *memory)
{
    double best = 0, amount = run(micro, memory);
    for (int64_t begin = ra_nanoseconds(); amount > 0 && ra_nanoseconds() - begin < LEAST_NANOSECONDS;) {
        int64_t start = ra_nanoseconds();
        for (int32_t i = 0; i < RUNS; i++)
            run(micro, memory);
        int64_t time = ra_nanoseconds() - start;
        if (time > 0 && amount * RUNS / (double)time > best)
            best = amount * RUNS / (double)time;
    }
    return best;
}

void bench_kernels(void)
{
    bench memory = {new_floats(FLOATS, true), new_floats(FLOATS, true), new_floats(FLOATS, true), {0}};
    for (int32_t t = 0; t < TAPS; t++)
        memory.offsets[t] = (t / 3 * (ROWS + 2) + t % 3) * CHANNELS;
    for (int32_t k = 0; k < RA_COUNT(benches); k++) {
        double portable = measure(&ra_micro_portable, benches[k].run, &memory);
        printf("%-21s %6s:", benches[k].name, benches[k].unit);
        if (portable > 0)
            printf("  %s %.1f", ra_micro_portable.name, portable);
        for (int32_t i = 0; i < table_count(); i++) {
            double speed = measure(table(i), benches[k].run, &memory);
            if (speed > 0)
                printf("  %s %.1f", table(i)->name, speed);
            if (speed > 0 && portable > 0)
                printf(" (%.1f times)", speed / portable);
        }
        printf("\n");
    }
    free_floats(memory.a);
    free_floats(memory.b);
    free_floats(memory.c);
}
