/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * GFLOPS of convolution's three passes on the layers of ResNet-like networks. Arguments: a part of a layer's name, the
 * threads, the batch; all by default.
 */
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
    {"56 1x1 256->64", 56, 256, 64, 1, 1, 1},        {"56 1x1 64->256", 56, 64, 256, 1, 1, 1},
    {"56 3x3 64->64", 56, 64, 64, 3, 1, 1},          {"28 1x1 512->128", 28, 512, 128, 1, 1, 1},
    {"28 1x1 128->512", 28, 128, 512, 1, 1, 1},      {"28 3x3 128->128", 28, 128, 128, 3, 1, 1},
    {"14 1x1 1024->256", 14, 1024, 256, 1, 1, 1},    {"14 1x1 256->1024", 14, 256, 1024, 1, 1, 1},
    {"14 3x3 256->256", 14, 256, 256, 3, 1, 1},      {"7 1x1 2048->512", 7, 2048, 512, 1, 1, 1},
    {"7 1x1 512->2048", 7, 512, 2048, 1, 1, 1},      {"7 3x3 512->512", 7, 512, 512, 3, 1, 1},
    {"224 7x7/2 3->64", 224, 3, 64, 7, 2, 1},        {"56 3x3/2 128->128", 56, 128, 128, 3, 2, 1},
    {"56 1x1/2 256->512", 56, 256, 512, 1, 2, 1},    {"32 3x3 16->16", 32, 16, 16, 3, 1, 1},
    {"56 3x3 128->128 g32", 56, 128, 128, 3, 1, 32}, {"56 3x3 64->64 g64", 56, 64, 64, 3, 1, 64},
};

enum { PASSES = 6 };

typedef struct bench {
    ra_conv conv;
    int32_t n;
    float *x, *y, *filter, *dx, *dfilter;
    void *work;
} bench;

/* With one thread its CPU time, so that other programs disturb less. */
static clockid_t clock_used = CLOCK_MONOTONIC;

static double seconds(void)
{
    struct timespec now;
    clock_gettime(clock_used, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static float *new_floats(size_t count)
{
    float *floats = malloc(count * sizeof(float));
    for (size_t i = 0; floats != NULL && i < count; i++)
        floats[i] = (float)(i % 17) - 8.0f;
    if (floats == NULL)
        exit(EXIT_FAILURE);
    return floats;
}

/* The passes as they are without packed weights, then as training runs them. */
static void run_pass(resattn_context *context, const bench *b, int pass)
{
    if (pass == 3)
        ra_conv_fresh_forward(context, &b->conv, b->n, b->x, b->filter, NULL, b->y, b->work);
    else if (pass == 4)
        ra_conv_fresh_backward_input(context, &b->conv, b->n, b->y, b->filter, false, b->dx, b->work);
    else if (pass == 5)
        ra_conv_fresh_backward_filter(context, &b->conv, b->n, b->x, b->y, false, b->dfilter, b->work);
    else if (pass == 0)
        ra_conv_forward(context, &b->conv, b->n, b->x, b->filter, true, NULL, true, false, b->y, b->work);
    else if (pass == 1)
        ra_conv_backward_input(context, &b->conv, b->n, b->y, b->filter, false, b->dx, b->work);
    else
        ra_conv_backward_filter(context, &b->conv, b->n, b->x, b->y, false, b->dfilter, b->work);
}

/* The best of some runs within a short time. */
static double best_time(resattn_context *context, const bench *b, int pass)
{
    double best = 1e9, end = seconds() + 0.1;
    do {
        double begin = seconds();
        run_pass(context, b, pass);
        double time = seconds() - begin;
        best = time < best ? time : best;
    } while (seconds() < end);
    return best;
}

static void measure(resattn_context *context, size_t layer, int32_t n)
{
    int32_t size = layers[layer].size, kernel = layers[layer].kernel, stride = layers[layer].stride;
    int32_t out = (size + kernel / 2 * 2 - kernel) / stride + 1;
    bench b = {.n = n};
    b.conv = (ra_conv){layers[layer].in_c,
                       size,
                       size,
                       layers[layer].out_c,
                       out,
                       out,
                       kernel,
                       kernel,
                       stride,
                       stride,
                       1,
                       1,
                       kernel / 2,
                       kernel / 2,
                       layers[layer].groups};
    size_t x = (size_t)n * (size_t)size * (size_t)size * (size_t)b.conv.in_c;
    size_t y = (size_t)n * (size_t)out * (size_t)out * (size_t)b.conv.out_c;
    size_t filter = (size_t)(b.conv.in_c / b.conv.groups) * (size_t)b.conv.out_c * (size_t)kernel * (size_t)kernel;
    size_t bytes[PASSES], most = 0;
    int32_t workers = ra_workers(context);
    if (!ra_conv_forward_work(&b.conv, n, workers, true, &bytes[0]) ||
        !ra_conv_backward_input_work(&b.conv, n, workers, &bytes[1]) ||
        !ra_conv_backward_filter_work(&b.conv, n, workers, &bytes[2]) ||
        !ra_conv_fresh_forward_work(&b.conv, n, workers, &bytes[3]) ||
        !ra_conv_fresh_backward_input_work(&b.conv, n, workers, &bytes[4]) ||
        !ra_conv_fresh_backward_filter_work(&b.conv, n, workers, &bytes[5]))
        exit(EXIT_FAILURE);
    for (int pass = 0; pass < PASSES; pass++)
        most = bytes[pass] > most ? bytes[pass] : most;
    b.x = new_floats(x);
    b.y = new_floats(y);
    b.filter = new_floats(filter);
    b.dx = new_floats(x);
    b.dfilter = new_floats(filter);
    b.work = new_floats(most / sizeof(float) + 1);
    printf("%-20s n%d t%d:", layers[layer].name, (int)n, (int)workers);
    for (int pass = 0; pass < PASSES; pass++)
        printf(" %6.1f", 2e-9 * (double)(y * filter) / (double)b.conv.out_c / best_time(context, &b, pass));
    printf("   work");
    for (int pass = 0; pass < PASSES; pass++)
        printf(" %.0f", (double)bytes[pass] / 1e3);
    printf(" kB\n");
    free(b.x);
    free(b.y);
    free(b.filter);
    free(b.dx);
    free(b.dfilter);
    free(b.work);
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
        clock_used = threads == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC;
        printf("BLIS family %s; GFLOPS of forward, input gradient, filter gradient; the same in training\n",
               ra_gemm_family());
        for (int32_t n = 8; n >= 1; n -= 7)
            for (size_t layer = 0; layer < sizeof layers / sizeof layers[0]; layer++)
                if (strstr(layers[layer].name, part) != NULL && (only_batch == 0 || n == only_batch))
                    measure(context, layer, n);
        ra_context_close(context);
        resattn_context_unref(context);
    }
    return EXIT_SUCCESS;
}
