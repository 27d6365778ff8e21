/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Dropout (Srivastava et al., JMLR 2014), inverted: what is kept is scaled up in training, so that inference is the
 * identity. Which elements are kept is a function of the run's key and the element's number, and not stored: backward
 * computes it again.
 */
#include "kernels/kernels.h"
#include "layers/kinds.h"

enum { PROBABILITY };

/* The largest double below 1. */
#define BELOW_ONE 0.99999999999999988898

static const ra_attribute attributes[] = {
    {"probability", RESATTN_ATTRIBUTE_REAL, 0.5, 0, BELOW_ONE, RA_ATTRIBUTE_MUTABLE},
};

typedef struct dropout_job {
    const ra_run *run;
    const float *x; /* the input, or the output's gradient */
    float *y;
    bool accumulate;
    uint32_t threshold; /* 32 random bits below it: the element becomes 0 */
    float factor;
} dropout_job;

static void dropout_range(void *data, int64_t begin, int64_t end)
{
    const dropout_job *job = data;
    ra_kernels()->dropout(begin, end - begin, job->run->key, job->threshold, job->factor, job->x + begin,
                          job->accumulate, job->y + begin);
}

static void copy_range(void *data, int64_t begin, int64_t end)
{
    const dropout_job *job = data;
    memcpy(job->y + begin, job->x + begin, (size_t)(end - begin) * sizeof *job->y);
}

static void over_elements(const ra_op *op, dropout_job *job)
{
    const ra_run *run = job->run;
    int64_t elements = (int64_t)run->n * op->out_shape.c * op->out_shape.h * op->out_shape.w;
    double probability = ra_real(op->layer, PROBABILITY);
    job->threshold = (uint32_t)(probability * 4294967296.0);
    job->factor = (float)(1 / (1 - probability));
    if (run->training)
        ra_parallel_ranges(run->context, dropout_range, job, elements,
                           ra_div_up(ra_range_step(1), RA_DROPOUT_BLOCK) * RA_DROPOUT_BLOCK);
    else if (job->y != job->x)
        ra_parallel_ranges(run->context, copy_range, job, elements, ra_range_step(1));
}

static void forward(const ra_op *op, const ra_run *run)
{
    dropout_job job = {.run = run, .x = run->in[0], .y = run->out};
    over_elements(op, &job);
}

static void backward(const ra_op *op, const ra_run *run)
{
    dropout_job job = {.run = run, .x = run->dout, .y = run->din[0], .accumulate = run->accumulate[0]};
    if (job.y != NULL)
        over_elements(op, &job);
}

static bool op_shape(ra_op *op)
{
    op->out_shape = op->in_shape[0];
    return true;
}

static const ra_op_kind dropout_op = {.name = "dropout",
                                      .flags = RA_IN_PLACE | RA_IN_PLACE_BACKWARD,
                                      .shape = op_shape,
                                      .forward = forward,
                                      .backward = backward};

static bool infer(resattn_layer *layer)
{
    layer->out_c = layer->in_c;
    return true;
}

const ra_layer_kind ra_kind_dropout = {.name = "dropout",
                                       .attributes = attributes,
                                       .attribute_count = RA_COUNT(attributes),
                                       .infer = infer,
                                       .op = &dropout_op};

resattn_layer *resattn_dropout_new(resattn_builder *builder, const char *name, double probability)
{
    resattn_layer *layer = ra_layer_new(builder, &ra_kind_dropout, name);
    ra_layer_init_real(layer, PROBABILITY, probability);
    return ra_layer_ready(layer);
}
