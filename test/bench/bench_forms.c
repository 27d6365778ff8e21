/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * GFLOPS (of the direct convolution) of every form of convolution with constant weights, and its largest error against the
 * plain path through BLIS, on the layers of ResNet-like networks. Weights come from memory, as in a network: many copies take
 * turns. Arguments: a part of a layer's name, the threads, the batch; all by default.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gemm/gemm.h"
#include "kernels/conv_forms.h"

static const struct {
    const char *name;
    int32_t size, in_c, out_c, kernel, stride, groups;
} layers[] = {
    {"56 1x1 256->64", 56, 256, 64, 1, 1, 1},      {"56 1x1 64->256", 56, 64, 256, 1, 1, 1},
    {"56 3x3 64->64", 56, 64, 64, 3, 1, 1},        {"28 1x1 512->128", 28, 512, 128, 1, 1, 1},
    {"28 1x1 128->512", 28, 128, 512, 1, 1, 1},    {"28 3x3 128->128", 28, 128, 128, 3, 1, 1},
    {"14 1x1 1024->256", 14, 1024, 256, 1, 1, 1},  {"14 1x1 256->1024", 14, 256, 1024, 1, 1, 1},
    {"14 3x3 256->256", 14, 256, 256, 3, 1, 1},    {"7 1x1 2048->512", 7, 2048, 512, 1, 1, 1},
    {"7 1x1 512->2048", 7, 512, 2048, 1, 1, 1},    {"7 3x3 512->512", 7, 512, 512, 3, 1, 1},
    {"224 7x7/2 3->64", 224, 3, 64, 7, 2, 1},      {"56 3x3/2 128->128", 56, 128, 128, 3, 2, 1},
    {"56 1x1/2 256->512", 56, 256, 512, 1, 2, 1},  {"32 3x3 16->16", 32, 16, 16, 3, 1, 1},
    {"56 3x3 128 g32", 56, 128, 128, 3, 1, 32},    {"28 3x3 256 g32", 28, 256, 256, 3, 1, 32},
    {"14 3x3 512 g32", 14, 512, 512, 3, 1, 32},    {"7 3x3 1024 g32", 7, 1024, 1024, 3, 1, 32},
    {"16 1x1 128->32", 16, 128, 32, 1, 1, 1},      {"32 3x3 32->32", 32, 32, 32, 3, 1, 1},
    {"8 3x3 128->128", 8, 128, 128, 3, 1, 1},      {"16 3x3 128->128", 16, 128, 128, 3, 1, 1},
    {"14 3x3 128->128", 14, 128, 128, 3, 1, 1},    {"7 3x3 64->64", 7, 64, 64, 3, 1, 1},
    {"16 3x3 16->16", 16, 16, 16, 3, 1, 1},        {"8 3x3 32->32", 8, 32, 32, 3, 1, 1},
    {"16 3x3 32->32", 16, 32, 32, 3, 1, 1},        {"16 3x3 64->64", 16, 64, 64, 3, 1, 1},      {"8 3x3 64->64", 8, 64, 64, 3, 1, 1},
};

enum { MOST_COPIES = 64, WEIGHT_FLOATS = 16 << 20 };

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static float *new_floats(size_t count)
{
    float *floats = aligned_alloc(64, (count * sizeof(float) / 64 + 1) * 64);
    if (floats == NULL)
        exit(EXIT_FAILURE);
    for (size_t i = 0; i < count; i++)
        floats[i] = (float)((i * 2654435761u >> 8) % 1000) / 500.0f - 1.0f;
    return floats;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The median time of one form; the result goes to y. */
static double measure(resattn_context *context, const ra_conv *conv, ra_conv_form form, int32_t n, const float *x,
                      const float *filter, const float *bias, float *y)
{
    size_t floats, bytes;
    if (!ra_conv_packed_floats(conv, form, &floats) ||
        !ra_conv_run_work(conv, form, n, ra_workers(context), &bytes))
        exit(EXIT_FAILURE);
    size_t copies = WEIGHT_FLOATS / floats + 1;
    copies = copies > MOST_COPIES ? MOST_COPIES : copies;
    float *packed[MOST_COPIES], *work = new_floats(bytes / sizeof(float) + 1);
    for (size_t i = 0; i < copies; i++)
        packed[i] = new_floats(floats);
    ra_conv_pack(conv, form, filter, packed[0]);
    for (size_t i = 1; i < copies; i++)
        memcpy(packed[i], packed[0], floats * sizeof(float));
    ra_conv_result result = {.y = y, .y_row = conv->out_c, .bias = bias, .relu = true};
    enum { MOST_RUNS = 1000 };
    static double times[MOST_RUNS];
    int runs = 0;
    double end = seconds() + 0.15;
    do {
        double begin = seconds();
        ra_conv_run(context, conv, form, n, x, packed[(size_t)runs % copies], &result, work);
        times[runs++] = seconds() - begin;
    } while (runs < 3 || (runs < MOST_RUNS && seconds() < end));
    for (size_t i = 0; i < copies; i++)
        free(packed[i]);
    free(work);
    qsort(times, (size_t)runs, sizeof *times, ascending);
    return times[runs / 2];
}

static void measure_layer(resattn_context *context, size_t layer, int32_t n)
{
    int32_t size = layers[layer].size, kernel = layers[layer].kernel, stride = layers[layer].stride;
    int32_t out = (size + kernel / 2 * 2 - kernel) / stride + 1;
    ra_conv conv = {.in_c = layers[layer].in_c,
                    .in_h = size,
                    .in_w = size,
                    .out_c = layers[layer].out_c,
                    .out_h = out,
                    .out_w = out,
                    .kernel_h = kernel,
                    .kernel_w = kernel,
                    .stride_h = stride,
                    .stride_w = stride,
                    .dilation_h = 1,
                    .dilation_w = 1,
                    .pad_top = kernel / 2,
                    .pad_left = kernel / 2,
                    .groups = layers[layer].groups};
    size_t inputs = (size_t)n * (size_t)size * (size_t)size * (size_t)conv.in_c;
    size_t outputs = (size_t)n * (size_t)out * (size_t)out * (size_t)conv.out_c;
    size_t weights = (size_t)(conv.in_c / conv.groups) * (size_t)conv.out_c * (size_t)kernel * (size_t)kernel;
    float *x = new_floats(inputs), *filter = new_floats(weights), *bias = new_floats((size_t)conv.out_c);
    float *y = new_floats(outputs), *expected = new_floats(outputs);
    double flop = 2.0 * (double)outputs * (double)weights / (double)conv.out_c;
    printf("%-20s n%d t%d:", layers[layer].name, (int)n, (int)ra_workers(context));
    for (int form = 0; form < RA_CONV_FORMS; form++) {
        if (!ra_conv_takes_form(&conv, (ra_conv_form)form))
            continue;
        float *result = form == RA_CONV_BLIS ? expected : y;
        double time = measure(context, &conv, (ra_conv_form)form, n, x, filter, bias, result);
        double worst = 0, largest = 0;
        for (size_t i = 0; i < outputs; i++) {
            worst = fmax(worst, fabs((double)result[i] - (double)expected[i]));
            largest = fmax(largest, fabs((double)expected[i]));
        }
        printf("  %s%s %.1f", ra_conv_form_name(&conv, (ra_conv_form)form),
               ra_conv_choose(&conv, RA_CONV_FASTEST) == (ra_conv_form)form ? "*" : "", 1e-9 * flop / time);
        if (form != RA_CONV_BLIS)
            printf(" (%.0e)", worst / largest);
    }
    printf("\n");
    free(x);
    free(filter);
    free(bias);
    free(y);
    free(expected);
}

int main(int count, char **arguments)
{
    const char *part = count > 1 ? arguments[1] : "";
    int32_t only_threads = count > 2 ? atoi(arguments[2]) : 0, only_batch = count > 3 ? atoi(arguments[3]) : 0;
    for (int32_t threads = 1; threads <= 2; threads++) {
        if (only_threads != 0 && threads != only_threads)
            continue;
        resattn_context *context = resattn_context_new(threads);
        if (context == NULL || ra_context_open(context) != RESATTN_OK || ra_gemm_warm_up(context) != RESATTN_OK)
            return EXIT_FAILURE;
        printf("BLIS family %s; GFLOPS, * what is chosen, (largest error relative to the largest value)\n",
               ra_gemm_family());
        for (int32_t n = 8; n >= 1; n -= 7)
            for (size_t layer = 0; layer < sizeof layers / sizeof layers[0]; layer++)
                if (strstr(layers[layer].name, part) != NULL && (only_batch == 0 || n == only_batch))
                    measure_layer(context, layer, n);
        ra_context_close(context);
        resattn_context_unref(context);
    }
    return EXIT_SUCCESS;
}
