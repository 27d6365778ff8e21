/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * resattn bench: the time of inference, or of a training step (forward, loss, backward, change of the parameters).
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "errors.h"
#include "options.h"
#include "progress.h"
#include "random.h"
#include "tool.h"

static const char help[] = "Usage: resattn bench --model NAME_OR_FILE [OPTION]...\n"
                           "Times runs on random images after one that is not timed, and prints the median.\n"
                           "\n"
                           "  --model M    a network by name, or the file of a saved one\n"
                           "  --size S     side of the images (default: what the network was made for)\n"
                           "  --batch B    images at once (default 1)\n"
                           "  --threads T  0, the default: as many as there are CPUs\n"
                           "  --train      training steps: forward, loss, backward, SGD with Nesterov's momentum\n"
                           "  --recompute  less memory and more time: compute values once more in backward (with --train)\n"
                           "  --kernels K  fastest, no-winograd or blis (default fastest; inference)\n"
                           "  --seal       give up the original weights before the runs (inference)\n"
                           "  --layers     a table of where the time goes, layer by layer (inference)\n"
                           "  --runs N     timed runs (default 5)\n"
                           "  --classes N  of a network by name (default: as published)\n"
                           "  --help       this text\n";

struct settings {
    const char *model;
    int32_t side, batch, threads, runs, classes;
    int train, recompute, layers, seal;
    resattn_convolution kernels;
};

struct bench {
    resattn_context *context;
    resattn_network *network;
    resattn_session *session;
    resattn_optimizer *optimizer; /* NULL: inference */
    resattn_tensor *input;
    float *pixels;
    int32_t *labels;
    double *seconds;
};

static void close_bench(struct bench *bench)
{
    free(bench->seconds);
    free(bench->labels);
    resattn_tensor_unref(bench->input);
    free(bench->pixels);
    resattn_optimizer_free(bench->optimizer);
    resattn_session_free(bench->session);
    resattn_network_unref(bench->network);
    resattn_context_unref(bench->context);
}

static int make_input(struct bench *bench, const struct settings *settings, int32_t side)
{
    int32_t channels = resattn_network_in_channels(bench->network);
    size_t image = (size_t)side * (size_t)side * (size_t)channels;
    int64_t shape[] = {settings->batch, channels, side, side};
    struct random random = random_for(1, 1);
    bench->pixels = calloc((size_t)settings->batch, image * sizeof *bench->pixels);
    bench->labels = calloc((size_t)settings->batch, sizeof *bench->labels);
    bench->seconds = calloc((size_t)settings->runs, sizeof *bench->seconds);
    if (!bench->pixels || !bench->labels || !bench->seconds)
        return complain("no memory for %d images of %d x %d", (int)settings->batch, (int)side, (int)side);
    for (size_t i = 0; i < (size_t)settings->batch * image; i++)
        bench->pixels[i] = random_between(&random, -2, 2);
    for (int32_t i = 0; i < settings->batch; i++)
        bench->labels[i] = random_below(&random, resattn_network_out_channels(bench->network));
    bench->input = resattn_tensor_wrap(bench->context, RESATTN_F32, 4, shape, RESATTN_CHANNELS_LAST, NULL,
                                       bench->pixels, NULL, NULL);
    return bench->input ? 0 : complain_library();
}

static int make_session(struct bench *bench, const struct settings *settings, int32_t side)
{
    resattn_plan *plan = resattn_plan_new(bench->network, settings->train ? RESATTN_TRAINING : RESATTN_INFERENCE,
                                          settings->batch, side, side);
    if (plan && ((settings->kernels && resattn_plan_set_convolution(plan, settings->kernels)) ||
                 (settings->recompute && resattn_plan_set_recomputation(plan, 1)))) {
        resattn_plan_free(plan);
        return complain_library();
    }
    bench->session = plan ? resattn_session_new(plan) : NULL;
    resattn_plan_free(plan);
    if (!bench->session || (settings->seal && resattn_network_seal(bench->network)))
        return complain_library();
    if (!settings->train)
        return 0;
    bench->optimizer = resattn_sgd_new(bench->network, 1e-4);
    if (!bench->optimizer || resattn_optimizer_set_real(bench->optimizer, "momentum", 0.9) ||
        resattn_optimizer_set_real(bench->optimizer, "nesterov", 1) ||
        resattn_optimizer_set_real(bench->optimizer, "weight_decay", 1e-4))
        return complain_library();
    return 0;
}

static int run_once(struct bench *bench, int32_t batch)
{
    if (resattn_session_forward(bench->session, bench->input))
        return complain_library();
    if (!bench->optimizer)
        return 0;
    if (resattn_softmax_cross_entropy(bench->session, bench->labels, batch, NULL, NULL) ||
        resattn_session_backward(bench->session) || resattn_optimizer_step(bench->optimizer))
        return complain_library();
    return 0;
}

static int by_size(const void *a, const void *b)
{
    double first = *(const double *)a, second = *(const double *)b;
    return (first > second) - (first < second);
}

static double median(double *values, int32_t count)
{
    qsort(values, (size_t)count, sizeof *values, by_size);
    return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

/* The resident memory now is known under Linux only. */
static void print_memory(void)
{
    struct rusage usage;
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file) {
        if (fscanf(file, "%*s %ld", &pages) != 1)
            pages = 0;
        fclose(file);
    }
    if (pages)
        fprintf(stderr, "resident memory: %.1f MiB\n", (double)pages * (double)sysconf(_SC_PAGESIZE) / (1 << 20));
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        fprintf(stderr, "largest resident memory: %ld MiB\n", usage.ru_maxrss / 1024);
}

static int measure(struct bench *bench, const struct settings *settings)
{
    for (int32_t i = -1; i < settings->runs; i++) {
        double started = seconds_now();
        if (run_once(bench, settings->batch))
            return -1;
        if (i >= 0)
            bench->seconds[i] = seconds_now() - started;
    }
    double seconds = median(bench->seconds, settings->runs);
    printf("resattn %s threads=%d batch=%d median_seconds=%.5f ms_per_image=%.3f\n",
           settings->train ? "train" : "infer", (int)resattn_context_threads(bench->context), (int)settings->batch,
           seconds, 1000 * seconds / settings->batch);
    print_memory();
    return 0;
}

/* Seconds of each operation: the medians of the runs. */
static int time_layers(struct bench *bench, int32_t runs, double *layers)
{
    int32_t count = resattn_session_operation_count(bench->session);
    double *all = calloc((size_t)count * (size_t)runs, sizeof *all);
    int failed = !all ? complain("no memory for %d runs", (int)runs) : 0;
    for (int32_t run = 0; run < runs && !failed; run++) {
        if (resattn_session_forward(bench->session, bench->input))
            failed = complain_library();
        for (int32_t i = 0; i < count && !failed; i++)
            all[i * runs + run] = resattn_session_operation_seconds(bench->session, i);
    }
    for (int32_t i = 0; i < count && !failed; i++)
        layers[i] = median(all + i * runs, runs);
    free(all);
    return failed;
}

static void print_layers(const struct bench *bench, const struct settings *settings, const double *layers, double peak)
{
    int32_t count = resattn_session_operation_count(bench->session);
    double total = 0;
    for (int32_t i = 0; i < count; i++)
        total += layers[i];
    printf("%-36s %-30s %-12s %9s %6s %7s %6s\n", "layer", "computes", "kernel", "us/image", "share", "GFLOPS", "of peak");
    for (int32_t i = 0; i < count; i++) {
        double products = (double)resattn_session_operation_multiply_adds(bench->session, i) * settings->batch;
        printf("%-36s %-30s %-12s %9.1f %5.1f%%", resattn_session_operation_name(bench->session, i),
               resattn_session_operation_kind(bench->session, i), resattn_session_operation_kernel(bench->session, i),
               1e6 * layers[i] / settings->batch, 100 * layers[i] / total);
        if (products > 0)
            printf(" %7.1f %5.0f%%", 2e-9 * products / layers[i], 100 * products / layers[i] / peak);
        printf("\n");
    }
    printf("%.3f ms an image in %d operations; peak %.1f GFLOPS\n", 1e3 * total / settings->batch, (int)count,
           2e-9 * peak);
}

static int show_layers(struct bench *bench, const struct settings *settings)
{
    double peak = resattn_context_peak(bench->context);
    double *layers = calloc((size_t)resattn_session_operation_count(bench->session), sizeof *layers);
    int failed = !layers || peak < 0 || resattn_session_set_profiling(bench->session, 1) ? complain_library() : 0;
    if (!failed)
        failed = time_layers(bench, settings->runs, layers);
    if (!failed)
        print_layers(bench, settings, layers, peak);
    free(layers);
    return failed;
}

static int run(const struct settings *settings)
{
    struct bench bench = {0};
    int32_t side = 0;
    bench.context = tool_context(settings->threads, 0);
    if (bench.context)
        bench.network = tool_network(bench.context, settings->model, settings->classes, TOOL_RANDOM);
    if (bench.network)
        side = tool_side(bench.network, settings->model, settings->side);
    int result = side > 0 ? 0 : -1;
    if (!result)
        result =
            make_input(&bench, settings, side) || make_session(&bench, settings, side) || measure(&bench, settings) ||
            (settings->layers && show_layers(&bench, settings));
    close_bench(&bench);
    return result ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int option_kernels(const char *text, resattn_convolution *kernels)
{
    static const char *const names[] = {"fastest", "no-winograd", "blis"};
    for (int i = 0; i < 3; i++)
        if (!strcmp(text, names[i])) {
            *kernels = (resattn_convolution)(RESATTN_CONVOLUTION_FASTEST + i);
            return 0;
        }
    return complain("--kernels is '%s', expected fastest, no-winograd or blis", text);
}

static int parse_option(void *user, int option)
{
    struct settings *settings = user;
    switch (option) {
    case 'm':
        settings->model = optarg;
        return 0;
    case 'z':
        return option_int("size", optarg, 1, 1 << 14, &settings->side);
    case 'b':
        return option_int("batch", optarg, 1, 1 << 16, &settings->batch);
    case 't':
        return option_int("threads", optarg, 0, 1024, &settings->threads);
    case 'r':
        return option_int("runs", optarg, 1, 1000000, &settings->runs);
    case 'c':
        return option_int("classes", optarg, 1, 1 << 20, &settings->classes);
    case 'T':
        settings->train = 1;
        return 0;
    case 'R':
        settings->recompute = 1;
        return 0;
    case 's':
        settings->seal = 1;
        return 0;
    case 'k':
        return option_kernels(optarg, &settings->kernels);
    case 'l':
        settings->layers = 1;
        return 0;
    default:
        return -1;
    }
}

int command_bench(int argc, char **argv)
{
    static const struct option options[] = {{"model", required_argument, NULL, 'm'},
                                            {"size", required_argument, NULL, 'z'},
                                            {"batch", required_argument, NULL, 'b'},
                                            {"threads", required_argument, NULL, 't'},
                                            {"runs", required_argument, NULL, 'r'},
                                            {"classes", required_argument, NULL, 'c'},
                                            {"train", no_argument, NULL, 'T'},
                                            {"recompute", no_argument, NULL, 'R'},
                                            {"layers", no_argument, NULL, 'l'},
                                            {"seal", no_argument, NULL, 's'},
                                            {"kernels", required_argument, NULL, 'k'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    struct settings settings = {.batch = 1, .runs = 5};
    int wrong = options_read(argc, argv, options, help, parse_option, &settings);
    if (wrong > 0)
        return EXIT_SUCCESS;
    if (!wrong && optind < argc)
        wrong = complain("unexpected argument '%s'", argv[optind]);
    if (!wrong && !settings.model)
        wrong = complain("--model is missing");
    if (!wrong && settings.train && (settings.layers || settings.seal || settings.kernels))
        wrong = complain("--layers, --seal and --kernels are for inference, not for --train");
    if (!wrong && settings.recompute && !settings.train)
        wrong = complain("--recompute is for --train");
    return wrong ? usage_hint("bench") : run(&settings);
}
