/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A kind of layer of the host's own, so that inputs reach what the library does with such: y = w[c] * x, with an
 * attribute that changes the height, and instances of up to 64 bytes.
 */
#include "fuzz.h"

#include <string.h>

enum { MOST_INSTANCE = 64 };

typedef struct instance {
    size_t size;
    uint8_t bytes[MOST_INSTANCE];
} instance;

static resattn_status channels(void *user, resattn_layer *layer, int32_t *count)
{
    (void)user;
    const int64_t shape[] = {*count};
    return resattn_custom_add_parameter(layer, "w", RESATTN_PARAMETER_TRAINABLE, RESATTN_INIT_ONES, 1, shape);
}

static resattn_status size(void *user, const resattn_layer *layer, int32_t *height, int32_t *width)
{
    int64_t fail = 0;
    (void)user;
    FUZZ_CHECK(*height > 0 && *width > 0 && resattn_layer_get_int(layer, "fail", &fail) == RESATTN_OK, "a size");
    return fail ? resattn_fail(RESATTN_HOST_ERROR, "the attribute says so") : RESATTN_OK;
}

static resattn_status memory(void *user, const resattn_layer *layer, const int32_t *shape, int32_t training,
                             int32_t workers, int64_t *saved, int64_t *work)
{
    (void)user;
    (void)layer;
    FUZZ_CHECK(shape[0] > 0 && workers > 0, "%d images, %d workers", (int)shape[0], (int)workers);
    *saved = training ? 8 : 0;
    *work = 4;
    return RESATTN_OK;
}

static resattn_status forward(void *user, const resattn_layer *layer, resattn_custom_run *run)
{
    (void)user;
    int32_t shape[4];
    FUZZ_CHECK(resattn_custom_run_shape(run, 0, shape) == RESATTN_OK && shape[1] == resattn_layer_in_channels(layer),
               "a shape");
    const float *x = resattn_custom_run_data(run, RESATTN_DATA_INPUT, 0),
                *w = resattn_custom_run_data(run, RESATTN_DATA_PARAMETER, 0);
    float *y = resattn_custom_run_data(run, RESATTN_DATA_OUTPUT, 0);
    for (int64_t i = 0; i < (int64_t)shape[0] * shape[1] * shape[2] * shape[3]; i++)
        y[i] = x[i] * w[i % shape[1]];
    return RESATTN_OK;
}

static resattn_status backward(void *user, const resattn_layer *layer, resattn_custom_run *run)
{
    (void)user;
    (void)layer;
    int32_t shape[4];
    FUZZ_CHECK(resattn_custom_run_shape(run, 0, shape) == RESATTN_OK, "a shape");
    const float *x = resattn_custom_run_data(run, RESATTN_DATA_INPUT, 0),
                *w = resattn_custom_run_data(run, RESATTN_DATA_PARAMETER, 0);
    const float *dy = resattn_custom_run_data(run, RESATTN_DATA_OUTPUT_GRADIENT, 0);
    float *dx = resattn_custom_run_data(run, RESATTN_DATA_INPUT_GRADIENT, 0);
    float *dw = resattn_custom_run_data(run, RESATTN_DATA_PARAMETER_GRADIENT, 0);
    for (int64_t i = 0; i < (int64_t)shape[0] * shape[1] * shape[2] * shape[3]; i++) {
        dw[i % shape[1]] += dy[i] * x[i];
        if (dx)
            dx[i] += dy[i] * w[i % shape[1]];
    }
    return RESATTN_OK;
}

static resattn_status save(void *user, const resattn_layer *layer, resattn_write_fn write, void *write_user)
{
    (void)user;
    const instance *own = resattn_layer_instance(layer);
    return write(write_user, own->bytes, own->size) ? RESATTN_HOST_ERROR : RESATTN_OK;
}

static resattn_status load(void *user, const resattn_layer *layer, const void *bytes, size_t count, void **made)
{
    (void)user;
    (void)layer;
    if (count == 0)
        return RESATTN_OK;
    if (count > MOST_INSTANCE)
        return resattn_fail(RESATTN_BAD_FORMAT, "an instance of too many bytes");
    instance *own = calloc(1, sizeof *own);
    if (!own)
        return RESATTN_OUT_OF_MEMORY;
    own->size = count;
    memcpy(own->bytes, bytes, count);
    *made = own;
    return RESATTN_OK;
}

static void free_instance(void *user, void *own)
{
    (void)user;
    free(own);
}

void fuzz_define_custom(resattn_context *context)
{
    resattn_custom *custom = fuzz_made(resattn_custom_new(context, "x-fuzz", forward, NULL, NULL));
    if (!custom)
        return;
    fuzz_ok(resattn_custom_set_backward(custom, backward, RESATTN_CUSTOM_READS_INPUT));
    fuzz_ok(resattn_custom_set_shape(custom, channels, size));
    fuzz_ok(resattn_custom_set_cost(custom, memory, NULL));
    fuzz_ok(resattn_custom_set_instance(custom, free_instance, save, load));
    fuzz_ok(resattn_custom_add_attribute(custom, "fail", RESATTN_ATTRIBUTE_INT, 0, 0, 1, 0));
    fuzz_ok(resattn_custom_add_attribute(custom, "real", RESATTN_ATTRIBUTE_REAL, 0.5, -1, 1, 1));
}

resattn_layer *fuzz_custom_layer(resattn_builder *builder, const char *name, bool with_instance)
{
    instance *own = with_instance ? calloc(1, sizeof *own) : NULL;
    if (own) {
        own->size = 5;
        memcpy(own->bytes, "hello", own->size);
    }
    resattn_layer *layer = resattn_custom_layer_new(builder, "x-fuzz", name, own);
    if (!layer)
        free(own);
    return layer;
}
