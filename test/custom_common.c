/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Kinds of layers for the tests: see custom_common.h. They use the public headers only.
 */
#include "custom_common.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What a callback answers that is to fail. */
static resattn_status answer(const custom_host *host, int32_t status)
{
    if (status != 0 && host->text != NULL)
        return resattn_fail((resattn_status)status, host->text);
    return (resattn_status)status;
}

static void expect(custom_host *host, bool holds)
{
    host->faults += !holds;
}

/* ---- x-test-swish ---- */

enum { SCALE, SHIFT, SEEN };

static resattn_status swish_channels(void *user, resattn_layer *layer, int32_t *channels)
{
    const custom_host *host = user;
    const int64_t shape[1] = {*channels}, one[1] = {1};
    resattn_status status =
        resattn_custom_add_parameter(layer, "scale", RESATTN_PARAMETER_TRAINABLE, RESATTN_INIT_ONES, 1, shape);
    if (status == RESATTN_OK)
        status =
            resattn_custom_add_parameter(layer, "shift", RESATTN_PARAMETER_TRAINABLE, RESATTN_INIT_ZEROS, 1, shape);
    if (status == RESATTN_OK)
        status = resattn_custom_add_parameter(layer, "seen", RESATTN_PARAMETER_STATISTIC, RESATTN_INIT_ZEROS, 1, one);
    return status == RESATTN_OK ? answer(host, host->channels) : status;
}

static resattn_status swish_size(void *user, const resattn_layer *layer, int32_t *height, int32_t *width)
{
    custom_host *host = user;
    expect(host, layer != NULL && *height > 0 && *width > 0);
    return answer(host, host->size);
}

static resattn_status swish_memory(void *user, const resattn_layer *layer, const int32_t *shape, int32_t training,
                                   int32_t workers, int64_t *saved, int64_t *work)
{
    custom_host *host = user;
    int64_t map = (int64_t)shape[2] * shape[3];
    expect(host, *saved == 0 && *work == 0 && workers >= 1 && shape[1] == resattn_layer_in_channels(layer));
    *saved = training ? shape[0] * map * shape[1] * (int64_t)sizeof(float) : 0;
    *work = training ? 2 * (int64_t)shape[0] * shape[1] * (int64_t)sizeof(float) : 0; /* sums of each image */
    return answer(host, host->memory);
}

static int64_t swish_multiply_adds(void *user, const resattn_layer *layer, int32_t height, int32_t width)
{
    (void)user;
    return (int64_t)resattn_layer_in_channels(layer) * height * width;
}

typedef struct swish_job {
    int64_t pixels, channels;
    float beta;
    const float *x, *scale, *shift, *dy;
    float *y, *dx, *sigmoids, *sums;
} swish_job;

static bool begin_swish(const resattn_custom_run *run, const resattn_layer *layer, swish_job *job, int32_t *images)
{
    int32_t shape[4], out[4];
    double beta;
    if (resattn_custom_run_shape(run, 0, shape) || resattn_custom_run_shape(run, -1, out) ||
        memcmp(shape, out, sizeof shape) != 0 || resattn_layer_get_real(layer, "beta", &beta))
        return false;
    *images = shape[0];
    *job = (swish_job){.pixels = (int64_t)shape[2] * shape[3],
                       .channels = shape[1],
                       .beta = (float)beta,
                       .x = resattn_custom_run_data(run, RESATTN_DATA_INPUT, 0),
                       .scale = resattn_custom_run_data(run, RESATTN_DATA_PARAMETER, SCALE),
                       .shift = resattn_custom_run_data(run, RESATTN_DATA_PARAMETER, SHIFT),
                       .dy = resattn_custom_run_data(run, RESATTN_DATA_OUTPUT_GRADIENT, 0),
                       .y = resattn_custom_run_data(run, RESATTN_DATA_OUTPUT, 0),
                       .dx = resattn_custom_run_data(run, RESATTN_DATA_INPUT_GRADIENT, 0),
                       .sigmoids = resattn_custom_run_data(run, RESATTN_DATA_SAVED, 0),
                       .sums = resattn_custom_run_data(run, RESATTN_DATA_WORK, 0)};
    return job->x != NULL && job->scale != NULL && job->shift != NULL;
}

static void swish_image(void *data, int32_t image, int32_t worker)
{
    const swish_job *job = data;
    (void)worker;
    for (int64_t p = image * job->pixels; p < (image + 1) * job->pixels; p++)
        for (int64_t c = 0; c < job->channels; c++) {
            int64_t i = p * job->channels + c;
            float u = job->scale[c] * job->x[i] + job->shift[c], s = 1 / (1 + expf(-job->beta * u));
            if (job->sigmoids != NULL)
                job->sigmoids[i] = s;
            job->y[i] = u * s;
        }
}

/* What is not there. */
static void expect_nothing(custom_host *host, const resattn_custom_run *run)
{
    int32_t shape[4];
    for (int data = 0; data <= RESATTN_DATA_WORK + 1; data++) {
        expect(host, resattn_custom_run_data(run, (resattn_custom_data)data, -1) == NULL);
        expect(host, resattn_custom_run_data(run, (resattn_custom_data)data, SEEN + 1) == NULL);
    }
    expect(host, resattn_custom_run_data(run, (resattn_custom_data)0, 0) == NULL);
    expect(host, resattn_custom_run_shape(run, 1, shape) == RESATTN_INVALID_ARGUMENT);
    expect(host, resattn_custom_run_shape(run, -2, shape) == RESATTN_INVALID_ARGUMENT);
    expect(host, resattn_custom_run_shape(run, 0, NULL) == RESATTN_INVALID_ARGUMENT);
    expect(host, resattn_custom_run_parallel(run, NULL, NULL, 1) == RESATTN_INVALID_ARGUMENT);
    expect(host, resattn_custom_run_parallel(run, swish_image, NULL, -1) == RESATTN_INVALID_ARGUMENT);
    expect(host, resattn_custom_run_parallel(run, swish_image, NULL, 0) == RESATTN_OK);
}

static resattn_status swish_forward(void *user, const resattn_layer *layer, resattn_custom_run *run)
{
    custom_host *host = user;
    resattn_custom_phase phase = resattn_custom_run_phase(run);
    swish_job job;
    int32_t images;
    host->calls[phase]++;
    if (host->forward != 0)
        return answer(host, host->forward);
    expect(host, begin_swish(run, layer, &job, &images));
    expect(host, job.dy == NULL && job.dx == NULL && job.y != NULL &&
                     (job.sigmoids != NULL) == (phase != RESATTN_PHASE_INFERENCE));
    expect(host, resattn_custom_run_data(run, RESATTN_DATA_PARAMETER_GRADIENT, SCALE) == NULL);
    expect_nothing(host, run);
    if (phase == RESATTN_PHASE_TRAINING)
        *(float *)resattn_custom_run_data(run, RESATTN_DATA_PARAMETER, SEEN) += 1;
    return resattn_custom_run_parallel(run, swish_image, &job, images);
}

static void swish_gradient_image(void *data, int32_t image, int32_t worker)
{
    const swish_job *job = data;
    float *scale_sums = job->sums + 2 * image * job->channels, *shift_sums = scale_sums + job->channels;
    (void)worker;
    memset(scale_sums, 0, 2 * (size_t)job->channels * sizeof(float));
    for (int64_t p = image * job->pixels; p < (image + 1) * job->pixels; p++)
        for (int64_t c = 0; c < job->channels; c++) {
            int64_t i = p * job->channels + c;
            float s = job->sigmoids[i], u = job->scale[c] * job->x[i] + job->shift[c];
            float du = job->dy[i] * (s + job->beta * u * s * (1 - s));
            scale_sums[c] += du * job->x[i];
            shift_sums[c] += du;
            if (job->dx != NULL)
                job->dx[i] += du * job->scale[c];
        }
}

static resattn_status swish_backward(void *user, const resattn_layer *layer, resattn_custom_run *run)
{
    custom_host *host = user;
    swish_job job;
    int32_t images;
    host->calls[resattn_custom_run_phase(run)]++;
    if (host->backward != 0)
        return answer(host, host->backward);
    expect(host, begin_swish(run, layer, &job, &images) && job.dy != NULL && job.sigmoids != NULL && job.y == NULL);
    float *dscale = resattn_custom_run_data(run, RESATTN_DATA_PARAMETER_GRADIENT, SCALE);
    float *dshift = resattn_custom_run_data(run, RESATTN_DATA_PARAMETER_GRADIENT, SHIFT);
    expect(host, dscale != NULL && dshift != NULL);
    expect(host, resattn_custom_run_data(run, RESATTN_DATA_PARAMETER_GRADIENT, SEEN) == NULL);
    resattn_status status = resattn_custom_run_parallel(run, swish_gradient_image, &job, images);
    for (int32_t image = 0; image < images; image++)
        for (int64_t c = 0; c < job.channels; c++) {
            dscale[c] += job.sums[2 * image * job.channels + c];
            dshift[c] += job.sums[(2 * image + 1) * job.channels + c];
        }
    return status;
}

static void swish_free(void *user, void *instance)
{
    ((custom_host *)user)->instances--;
    free(instance);
}

/* A byte that is 0x5A, then the text without its zero. */
static resattn_status swish_save(void *user, const resattn_layer *layer, resattn_write_fn write, void *write_user)
{
    custom_host *host = user;
    const char *text = resattn_layer_instance(layer);
    expect(host, text != NULL);
    if (host->save != 0)
        return answer(host, host->save);
    if (write(write_user, "\x5A", 1) != 0 || write(write_user, text, strlen(text)) != 0)
        return RESATTN_IO_ERROR;
    return RESATTN_OK;
}

static resattn_status swish_load(void *user, const resattn_layer *layer, const void *bytes, size_t size,
                                 void **instance)
{
    custom_host *host = user;
    double beta;
    expect(host, *instance == NULL && resattn_layer_get_real(layer, "beta", &beta) == RESATTN_OK);
    if (host->load != 0 || size == 0)
        return answer(host, host->load);
    if (*(const unsigned char *)bytes != 0x5A)
        return resattn_fail(RESATTN_BAD_FORMAT, "damaged: a swish's instance does not begin as it should");
    char *text = calloc(size, 1);
    if (text == NULL)
        return RESATTN_OUT_OF_MEMORY;
    memcpy(text, (const char *)bytes + 1, size - 1);
    host->instances++;
    *instance = text;
    return RESATTN_OK;
}

static void release(void *user)
{
    ((custom_host *)user)->released++;
}

static bool define_swish(resattn_context *context, custom_host *host)
{
    resattn_custom *kind = resattn_custom_new(context, "x-test-swish", swish_forward, host, release);
    return kind != NULL && !resattn_custom_set_backward(kind, swish_backward, RESATTN_CUSTOM_READS_INPUT) &&
           !resattn_custom_set_shape(kind, swish_channels, swish_size) &&
           !resattn_custom_set_cost(kind, swish_memory, swish_multiply_adds) &&
           !resattn_custom_set_instance(kind, swish_free, swish_save, swish_load) &&
           !resattn_custom_add_attribute(kind, "beta", RESATTN_ATTRIBUTE_REAL, 1, -100, 100, 1) &&
           !resattn_custom_add_attribute(kind, "frozen", RESATTN_ATTRIBUTE_INT, 7, 0, 9, 0);
}

/* ---- x-test-depth-to-space ---- */

static resattn_status depth_channels(void *user, resattn_layer *layer, int32_t *channels)
{
    int64_t block = 0;
    (void)user;
    resattn_layer_get_int(layer, "block", &block);
    if (*channels % (block * block) != 0)
        return resattn_fail(RESATTN_SHAPE_MISMATCH, "the channels are no multiple of the block's pixels");
    *channels /= (int32_t)(block * block);
    return RESATTN_OK;
}

static resattn_status depth_size(void *user, const resattn_layer *layer, int32_t *height, int32_t *width)
{
    int64_t block = 0;
    (void)user;
    resattn_layer_get_int(layer, "block", &block);
    *height *= (int32_t)block;
    *width *= (int32_t)block;
    return RESATTN_OK;
}

/* Channel (by * block + bx) * out_c + c of pixel (y, x) is channel c of pixel (y * block + by, x * block + bx). */
static resattn_status depth_run(void *user, const resattn_layer *layer, resattn_custom_run *run)
{
    int32_t in[4], out[4];
    bool back = resattn_custom_run_phase(run) == RESATTN_PHASE_BACKWARD;
    const float *from = resattn_custom_run_data(run, back ? RESATTN_DATA_OUTPUT_GRADIENT : RESATTN_DATA_INPUT, 0);
    float *to = resattn_custom_run_data(run, back ? RESATTN_DATA_INPUT_GRADIENT : RESATTN_DATA_OUTPUT, 0);
    (void)user;
    (void)layer;
    resattn_custom_run_shape(run, 0, in);
    resattn_custom_run_shape(run, -1, out);
    int64_t block = out[2] / in[2], i = 0;
    for (int64_t n = 0; n < in[0]; n++)
        for (int64_t y = 0; y < in[2]; y++)
            for (int64_t x = 0; x < in[3]; x++)
                for (int64_t b = 0; b < block * block; b++)
                    for (int64_t c = 0; c < out[1]; c++, i++) {
                        int64_t o =
                            ((n * out[2] + y * block + b / block) * out[3] + x * block + b % block) * out[1] + c;
                        if (back)
                            to[i] += from[o];
                        else
                            to[o] = from[i];
                    }
    return RESATTN_OK;
}

static bool define_depth(resattn_context *context, custom_host *host)
{
    resattn_custom *kind = resattn_custom_new(context, "x-test-depth-to-space", depth_run, host, release);
    return kind != NULL && !resattn_custom_set_backward(kind, depth_run, RESATTN_CUSTOM_READS_NOTHING) &&
           !resattn_custom_set_shape(kind, depth_channels, depth_size) &&
           !resattn_custom_add_attribute(kind, "block", RESATTN_ATTRIBUTE_INT, 2, 1, 8, 0);
}

/* ---- x-test-noise ---- */

static resattn_status noise_channels(void *user, resattn_layer *layer, int32_t *channels)
{
    const int64_t shape[1] = {*channels};
    (void)user;
    return resattn_custom_add_parameter(layer, "weight", RESATTN_PARAMETER_TRAINABLE, RESATTN_INIT_ONES, 1, shape);
}

static float noise_at(const resattn_custom_run *run, int64_t index)
{
    uint64_t bits = (resattn_custom_run_key(run) ^ (uint64_t)index) * UINT64_C(0x9E3779B97F4A7C15);
    bits = (bits ^ bits >> 31) * UINT64_C(0xBF58476D1CE4E5B9);
    return bits >> 63 ? 2.0f : 0.0f;
}

static resattn_status noise_run(void *user, const resattn_layer *layer, resattn_custom_run *run)
{
    int32_t shape[4];
    resattn_custom_phase phase = resattn_custom_run_phase(run);
    const float *x = resattn_custom_run_data(run, RESATTN_DATA_INPUT, 0);
    const float *weight = resattn_custom_run_data(run, RESATTN_DATA_PARAMETER, 0);
    const float *dy = resattn_custom_run_data(run, RESATTN_DATA_OUTPUT_GRADIENT, 0);
    float *y = resattn_custom_run_data(run, RESATTN_DATA_OUTPUT, 0);
    float *dx = resattn_custom_run_data(run, RESATTN_DATA_INPUT_GRADIENT, 0);
    float *dweight = resattn_custom_run_data(run, RESATTN_DATA_PARAMETER_GRADIENT, 0);
    (void)user;
    (void)layer;
    resattn_custom_run_shape(run, 0, shape);
    int64_t count = (int64_t)shape[0] * shape[1] * shape[2] * shape[3];
    for (int64_t i = 0; i < count; i++) {
        float factor = phase == RESATTN_PHASE_INFERENCE ? 1.0f : noise_at(run, i);
        int64_t c = i % shape[1];
        if (phase != RESATTN_PHASE_BACKWARD) {
            y[i] = x[i] * weight[c] * factor;
            continue;
        }
        dweight[c] += dy[i] * x[i] * factor;
        if (dx != NULL)
            dx[i] += dy[i] * weight[c] * factor;
    }
    return RESATTN_OK;
}

static bool define_noise(resattn_context *context, custom_host *host)
{
    resattn_custom *kind = resattn_custom_new(context, "x-test-noise", noise_run, host, release);
    return kind != NULL && !resattn_custom_set_backward(kind, noise_run, RESATTN_CUSTOM_READS_INPUT) &&
           !resattn_custom_set_shape(kind, noise_channels, NULL);
}

bool custom_define(resattn_context *context, custom_host *host)
{
    return define_swish(context, host) && define_depth(context, host) && define_noise(context, host);
}

resattn_context *custom_begin(custom_host *host)
{
    *host = (custom_host){0};
    resattn_context *context = resattn_context_new(2);
    ck_assert_msg(custom_define(context, host), "%s", resattn_last_error());
    return context;
}

void custom_end(resattn_context *context, custom_host *host)
{
    ck_assert_int_eq(host->faults, 0);
    resattn_context_unref(context);
    ck_assert_int_eq(host->instances, 0);
    ck_assert_int_eq(host->released, 3);
}

resattn_status custom_nothing(void *user, const resattn_layer *layer, resattn_custom_run *run)
{
    (void)user;
    (void)layer;
    (void)run;
    return RESATTN_OK;
}

/* ---- a network ---- */

resattn_layer *custom_swish(resattn_builder *b, custom_host *host, const char *name, double beta, const char *text)
{
    char *instance = calloc(strlen(text) + 1, 1);
    memcpy(instance, text, strlen(text));
    resattn_layer *layer = resattn_custom_layer_new(b, "x-test-swish", name, instance);
    if (layer == NULL) {
        free(instance);
        return NULL;
    }
    host->instances++;
    resattn_layer_set_real(layer, "beta", beta);
    return layer;
}

resattn_network *custom_network(resattn_context *context, custom_host *host)
{
    resattn_builder *b = resattn_builder_new(context);
    if (b == NULL)
        return NULL;
    resattn_layer *net = resattn_sequential_new(b, NULL), *branch = resattn_sequential_new(b, "branch");
    resattn_layer_add(net, resattn_conv2d_new(b, "conv1", 8, 3, 1, 1));
    resattn_layer_add(net, resattn_batch_norm_new(b, "bn1"));
    resattn_layer_add(net, custom_swish(b, host, "swish1", 1.5, "the first one"));
    resattn_layer_add(branch, resattn_custom_layer_new(b, "x-test-noise", NULL, NULL));
    resattn_layer_add(branch, resattn_conv2d_new(b, "conv2", 8, 3, 1, 1));
    resattn_layer_add(branch, resattn_custom_layer_new(b, "x-test-swish", NULL, NULL));
    resattn_layer_add(net, resattn_residual_new(b, NULL, branch, NULL));
    resattn_layer_add(net, resattn_custom_layer_new(b, "x-test-depth-to-space", "shuffle", NULL));
    resattn_layer_add(net, resattn_conv2d_new(b, "conv3", 6, 3, 2, 1));
    resattn_layer_add(net, resattn_batch_norm_new(b, "bn3"));
    resattn_layer_add(net, resattn_relu_new(b, NULL));
    resattn_layer_add(net, custom_swish(b, host, "swish3", 1, "a longer text, for the last one"));
    resattn_layer_add(net, resattn_global_average_pool_new(b, NULL));
    resattn_layer_add(net, resattn_linear_new(b, "fc", CUSTOM_CLASSES));
    resattn_network *network = resattn_network_new(b, net, 3);
    resattn_builder_free(b);
    return network;
}

/* ---- running ---- */

static double number_at(uint64_t seed, int64_t index)
{
    uint64_t z = seed + ((uint64_t)index + 1) * UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return (double)((z ^ z >> 31) >> 11) * 0x1p-51 - 2;
}

void custom_fill(resattn_tensor *tensor, uint64_t seed)
{
    int64_t count = resattn_tensor_elements(tensor);
    float *values = calloc((size_t)count, sizeof *values);
    for (int64_t i = 0; i < count; i++)
        values[i] = (float)number_at(seed * 7919, i);
    resattn_tensor_write(tensor, RESATTN_CHANNELS_FIRST, values, count);
    free(values);
}

resattn_tensor *custom_input(resattn_context *context, int32_t n, int32_t c, int32_t side, uint64_t seed)
{
    const int64_t shape[4] = {n, c, side, side};
    resattn_tensor *input = resattn_tensor_new(context, RESATTN_F32, 4, shape, RESATTN_CHANNELS_LAST);
    if (input != NULL)
        custom_fill(input, seed);
    return input;
}

resattn_session *custom_session(resattn_network *network, resattn_purpose purpose, int32_t batch, int32_t side,
                                bool recompute)
{
    resattn_plan *plan = resattn_plan_new(network, purpose, batch, side, side);
    ck_assert_msg(plan != NULL, "%s", resattn_last_error());
    if (recompute)
        ck_assert_int_eq(resattn_plan_set_recomputation(plan, 1), RESATTN_OK);
    resattn_session *session = resattn_session_new(plan);
    ck_assert_msg(session != NULL, "%s", resattn_last_error());
    resattn_plan_free(plan);
    return session;
}

uint64_t custom_hash(const resattn_tensor *tensor, uint64_t hash)
{
    int64_t count = resattn_tensor_elements(tensor);
    float *values = calloc((size_t)count, sizeof *values);
    ck_assert_int_eq(resattn_tensor_read(tensor, RESATTN_CHANNELS_FIRST, values, count), RESATTN_OK);
    const unsigned char *bytes = (const unsigned char *)values;
    for (size_t i = 0; i < (size_t)count * sizeof *values; i++)
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001B3);
    free(values);
    return hash;
}

uint64_t custom_hash_network(resattn_network *network)
{
    uint64_t hash = UINT64_C(0xCBF29CE484222325);
    for (int32_t i = 0; i < resattn_network_parameter_count(network); i++)
        hash = custom_hash(resattn_network_parameter(network, i), hash);
    return hash;
}

resattn_status custom_train(resattn_session *session, resattn_optimizer *optimizer, int32_t first, int32_t last)
{
    resattn_context *context = resattn_network_context(resattn_session_network(session));
    const int32_t labels[CUSTOM_BATCH] = {1, 4, 0};
    resattn_status status = RESATTN_OK;
    for (int32_t i = first; i < last && status == RESATTN_OK; i++) {
        resattn_tensor *input = custom_input(context, CUSTOM_BATCH, 3, CUSTOM_SIDE, 1 + (uint64_t)i);
        if (input == NULL || resattn_session_forward(session, input) ||
            resattn_softmax_cross_entropy(session, labels, CUSTOM_BATCH, NULL, NULL) ||
            resattn_session_backward(session) || resattn_optimizer_step(optimizer))
            status = resattn_last_status();
        resattn_tensor_unref(input);
    }
    return status;
}
