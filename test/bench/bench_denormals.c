/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How much longer a training step and a forward pass take with denormal inputs and weights than with ordinary ones:
 * runs of both in turns, the median of the ratios.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "fault_common.h"

enum { ROUNDS = 41, RUNS = 20 };

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

typedef struct side {
    resattn_network *network;
    resattn_session *session;
    resattn_tensor *input;
} side;

static side new_side(resattn_context *context, resattn_purpose purpose, int denormal)
{
    side s = {.network = fault_network(context), .input = fault_input(context, 1)};
    for (int32_t p = 0; denormal && p < resattn_network_parameter_count(s.network); p++)
        if (resattn_network_parameter_kind(s.network, p) == RESATTN_PARAMETER_TRAINABLE)
            resattn_tensor_fill(resattn_network_parameter(s.network, p), 1e-40F);
    if (denormal)
        resattn_tensor_fill(s.input, 1e-40F);
    s.session = fault_session(s.network, purpose, 0);
    return s;
}

static double time_runs(const side *s)
{
    double start = seconds();
    for (int i = 0; i < RUNS; i++)
        if (resattn_session_purpose(s->session) == RESATTN_TRAINING)
            fault_train(s->session, NULL, s->input);
        else
            resattn_session_forward(s->session, s->input);
    return seconds() - start;
}

static int in_order(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(void)
{
    resattn_context *context = resattn_context_new(1);
    for (int32_t purpose = RESATTN_INFERENCE; purpose <= RESATTN_TRAINING; purpose++) {
        double ratios[ROUNDS];
        side plain = new_side(context, (resattn_purpose)purpose, 0),
             denormal = new_side(context, (resattn_purpose)purpose, 1);
        side *sides[2] = {&plain, &denormal};
        for (int i = 0; i < ROUNDS; i++)
            ratios[i] = 1 / time_runs(&plain) * time_runs(&denormal);
        qsort(ratios, ROUNDS, sizeof ratios[0], in_order);
        printf("%s: %.2f times as long (%.2f to %.2f)\n", purpose == RESATTN_TRAINING ? "training" : "inference",
               ratios[ROUNDS / 2], ratios[ROUNDS / 4], ratios[3 * ROUNDS / 4]);
        for (int i = 0; i < 2; i++) {
            resattn_session_free(sides[i]->session);
            resattn_tensor_unref(sides[i]->input);
            resattn_network_unref(sides[i]->network);
        }
    }
    resattn_context_unref(context);
    return 0;
}
