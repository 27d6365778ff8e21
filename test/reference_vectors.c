/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fills a named network and its input with numbers that any program can reproduce (reproducible.h), runs it and prints
 * what it computed as JSON, to be compared with what another program computed (compare_vectors.py). A tensor is
 * described by its number of elements, mean, L2 norm and a probe: its sum with signs from u(NAME.probe, i).
 */
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reproducible.h"

typedef struct options {
    const char *model, *seed;
    int32_t size, batch, threads, convolution;
    bool train;
} options;

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "reference_vectors: %s: %s\n", what, resattn_last_error());
    exit(EXIT_FAILURE);
}

static void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    if (!memory)
        fail("out of memory");
    return memory;
}

/* ---- printing ---- */

static float *read_tensor(const resattn_tensor *tensor, const char *name)
{
    int64_t count = resattn_tensor_elements(tensor);
    float *values = allocate((size_t)count, sizeof *values);
    if (!tensor || resattn_tensor_read(tensor, RESATTN_CHANNELS_FIRST, values, count) != RESATTN_OK)
        fail(name);
    return values;
}

static void print_summary(const resattn_tensor *tensor, const char *name)
{
    int64_t count = resattn_tensor_elements(tensor);
    float *values = read_tensor(tensor, name);
    uint64_t key = reproducible_key("", name, ".probe");
    double sum = 0, squares = 0, probe = 0;
    for (int64_t i = 0; i < count; i++) {
        double value = (double)values[i];
        sum += value;
        squares += value * value;
        probe += reproducible_uniform(key, i) < 0.5 ? -value : value;
    }
    free(values);
    printf("{\"count\": %" PRId64 ", \"mean\": %.17g, \"l2\": %.17g, \"probe\": %.17g}", count, sum / (double)count,
           sqrt(squares), probe);
}

static void print_member(const resattn_tensor *tensor, const char *name, bool *first)
{
    printf("%s  \"%s\": ", *first ? "" : ",\n", name);
    *first = false;
    print_summary(tensor, name);
}

static void print_logits(resattn_session *session)
{
    const resattn_tensor *logits = resattn_session_output(session, NULL);
    float *values = read_tensor(logits, "logits");
    int64_t images = resattn_tensor_size(logits, 0), classes = resattn_tensor_size(logits, 1);
    printf(" \"logits\": [");
    for (int64_t i = 0; i < images; i++) {
        printf("%s\n  [", i ? "," : "");
        for (int64_t c = 0; c < classes; c++)
            printf("%s%.9g", c ? ", " : "", (double)values[i * classes + c]);
        printf("]");
    }
    printf("\n ]");
    free(values);
}

/* ---- the two kinds of run ---- */

static void infer(resattn_session *session, resattn_network *network)
{
    print_logits(session);
    printf(",\n \"masks\": {\n");
    bool first = true;
    for (int32_t i = 0; i < resattn_network_attention_count(network); i++) {
        const char *name = resattn_attention_mask_name(resattn_network_attention(network, i));
        print_member(resattn_session_output(session, name), name, &first);
    }
    printf("\n }\n}\n");
}

static void print_parameters(resattn_network *network, resattn_parameter_kind kind)
{
    bool first = true;
    for (int32_t i = 0; i < resattn_network_parameter_count(network); i++) {
        if (resattn_network_parameter_kind(network, i) != kind)
            continue;
        resattn_tensor *tensor = kind == RESATTN_PARAMETER_TRAINABLE ? resattn_network_parameter_gradient(network, i)
                                                                     : resattn_network_parameter(network, i);
        print_member(tensor, resattn_network_parameter_name(network, i), &first);
    }
}

static void train(resattn_session *session, resattn_network *network, int32_t batch)
{
    int32_t *labels = allocate((size_t)batch, sizeof *labels);
    double loss = 0;
    printf(" \"labels\": [");
    for (int32_t i = 0; i < batch; i++) {
        labels[i] = (7 * i + 3) % resattn_network_out_channels(network);
        printf("%s%d", i ? ", " : "", labels[i]);
    }
    printf("],\n");
    if (resattn_softmax_cross_entropy(session, labels, batch, &loss, NULL) != RESATTN_OK)
        fail("loss");
    if (resattn_session_backward(session) != RESATTN_OK)
        fail("backward");
    free(labels);
    printf(" \"loss\": %.17g,\n", loss);
    print_logits(session);
    printf(",\n \"grad_input\": ");
    print_summary(resattn_session_input_gradient(session), "data");
    printf(",\n \"grads\": {\n");
    print_parameters(network, RESATTN_PARAMETER_TRAINABLE);
    printf("\n },\n \"running\": {\n");
    print_parameters(network, RESATTN_PARAMETER_STATISTIC);
    printf("\n }\n}\n");
}

static resattn_session *open_session(resattn_network *network, const options *given)
{
    resattn_plan *plan = resattn_plan_new(network, given->train ? RESATTN_TRAINING : RESATTN_INFERENCE, given->batch,
                                          given->size, given->size);
    if (!plan)
        fail("plan");
    for (int32_t i = 0; !given->train && i < resattn_network_attention_count(network); i++)
        if (resattn_plan_add_output(plan, resattn_attention_mask_name(resattn_network_attention(network, i))))
            fail("mask");
    if (given->convolution && resattn_plan_set_convolution(plan, (resattn_convolution)given->convolution))
        fail("convolution");
    if (given->train && resattn_plan_set_input_gradient(plan, 1) != RESATTN_OK)
        fail("input gradient");
    resattn_session *session = resattn_session_new(plan);
    if (!session)
        fail("session");
    resattn_plan_free(plan);
    return session;
}

static void run(const options *given)
{
    resattn_context *context = resattn_context_new(given->threads);
    if (!context)
        fail("context");
    resattn_builder *builder = resattn_builder_new(context);
    resattn_network *network = resattn_network_new(builder, resattn_model_new(builder, given->model, 1000), 3);
    if (!network)
        fail(given->model);
    resattn_builder_free(builder);
    if (!reproducible_network(network, given->seed))
        fail("parameters");

    const int64_t shape[] = {given->batch, 3, given->size, given->size};
    resattn_tensor *input = resattn_tensor_new(context, RESATTN_F32, 4, shape, RESATTN_CHANNELS_LAST);
    if (!input || !reproducible_input(input, given->seed))
        fail("input");
    resattn_session *session = open_session(network, given);
    if (resattn_session_forward(session, input) != RESATTN_OK)
        fail("forward");

    printf("{\n \"graph\": \"%s.json\",\n \"mode\": \"%s\",\n \"input\": [%d, 3, %d, %d],\n \"seed\": \"%s\",\n",
           given->model, given->train ? "training" : "inference", given->batch, given->size, given->size, given->seed);
    if (given->train)
        train(session, network, given->batch);
    else
        infer(session, network);
    resattn_session_free(session);
    resattn_tensor_unref(input);
    resattn_network_unref(network);
    resattn_context_unref(context);
}

static int usage(void)
{
    fputs("usage: reference_vectors MODEL --size S --batch B --seed TEXT [--train] [--threads T]\n"
          "                         [--convolution K]   a number of resattn_convolution\n",
          stderr);
    return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    options given = {.model = argc > 1 ? argv[1] : NULL, .seed = "", .size = 224, .batch = 1};
    if (!given.model)
        return usage();
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "--train") == 0) {
            given.train = true;
            continue;
        }
        if (i + 1 == argc)
            return usage();
        const char *option = argv[i], *value = argv[++i];
        if (strcmp(option, "--seed") == 0)
            given.seed = value;
        else if (strcmp(option, "--size") == 0)
            given.size = atoi(value);
        else if (strcmp(option, "--batch") == 0)
            given.batch = atoi(value);
        else if (strcmp(option, "--threads") == 0)
            given.threads = atoi(value);
        else if (strcmp(option, "--convolution") == 0)
            given.convolution = atoi(value);
        else
            return usage();
    }
    run(&given);
    return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
