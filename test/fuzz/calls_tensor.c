/* SPDX-License-Identifier: BSD-3-Clause */
/* Random calls: tensors. */
#include "calls.h"

#include <string.h>

#define COUNT(array) (uint32_t)(sizeof(array) / sizeof *(array))

enum { MOST_ELEMENTS = 1 << 16 };

static int32_t choose_shape(calls *c, int64_t shape[4])
{
    bool odd = fuzz_chance(&c->in, 16);
    for (int i = 0; i < 4; i++)
        shape[i] = odd ? fuzz_int(&c->in) : fuzz_range(&c->in, 1, 6);
    return odd ? fuzz_range(&c->in, -1, 5) : fuzz_range(&c->in, 1, 4);
}

static resattn_dtype choose_type(calls *c)
{
    return fuzz_chance(&c->in, 16)   ? (resattn_dtype)fuzz_int(&c->in)
           : fuzz_chance(&c->in, 64) ? RESATTN_U8
                                     : RESATTN_F32;
}

static resattn_order choose_order(calls *c)
{
    return (resattn_order)(fuzz_chance(&c->in, 8) ? fuzz_int(&c->in) : fuzz_range(&c->in, 1, 2));
}

static void new_tensor(calls *c)
{
    int64_t shape[4];
    int32_t rank = choose_shape(c, shape);
    KEEP(c, tensors, resattn_tensor_unref,
         resattn_tensor_new(pick_context(c), choose_type(c), rank, fuzz_chance(&c->in, 4) ? NULL : shape,
                            choose_order(c)));
}

static void release(void *user, void *memory)
{
    calls *c = user;
    FUZZ_CHECK((float *)memory >= c->memory && (float *)memory < c->memory + MEMORY, "other memory is released");
    c->released++;
}

static void keep_wrapped(calls *c, resattn_tensor *tensor)
{
    if (tensor) {
        c->wrapped++;
        KEEP(c, tensors, resattn_tensor_unref, tensor);
    }
}

/* Any strides for which the elements lie in the memory. */
static void wrap(calls *c)
{
    int64_t shape[4], strides[4], below = 0, above = 0;
    int32_t rank = choose_shape(c, shape);
    for (int i = 0; i < 4; i++) {
        strides[i] = fuzz_range(&c->in, -40, 80);
        *(strides[i] < 0 ? &below : &above) += strides[i] * (shape[i] - 1);
    }
    if (above - below >= MEMORY || below > 0 || above < 0)
        return;
    keep_wrapped(c, fuzz_made(resattn_tensor_wrap(pick_context(c), choose_type(c), rank, shape, choose_order(c),
                                                  strides, c->memory - below, release, c)));
}

static void wrap_pixels(calls *c)
{
    int32_t height = fuzz_range(&c->in, 0, 12), width = fuzz_range(&c->in, 0, 12), pitch = fuzz_range(&c->in, -60, 80);
    keep_wrapped(c,
                 fuzz_made(resattn_tensor_wrap_pixels(pick_context(c), (resattn_pixel_format)fuzz_range(&c->in, 0, 4),
                                                      height, width, pitch, c->memory + MEMORY / 2, release, c)));
}

static void view(calls *c)
{
    resattn_tensor *tensor = pick_target(c);
    int64_t begin[4], shape[4];
    for (int i = 0; i < 4; i++) {
        begin[i] = fuzz_chance(&c->in, 8) ? fuzz_int(&c->in) : fuzz_range(&c->in, 0, 3);
        shape[i] = fuzz_chance(&c->in, 8) ? fuzz_int(&c->in) : fuzz_range(&c->in, 1, 4);
    }
    KEEP(c, tensors, resattn_tensor_unref, resattn_tensor_view(tensor, fuzz_chance(&c->in, 64) ? NULL : begin, shape));
}

static void share(calls *c)
{
    resattn_tensor *tensor = PICK(c, tensors);
    FUZZ_CHECK(resattn_tensor_ref(tensor) == tensor, "ref");
    resattn_tensor_unref(tensor);
}

/* A parameter's tensor outlives what it is of. */
static void own(calls *c)
{
    KEEP(c, tensors, resattn_tensor_unref, resattn_tensor_ref(pick_target(c)));
}

static void drop(calls *c)
{
    uint32_t slot = fuzz_byte(&c->in) % SLOTS;
    resattn_tensor_unref(c->tensors[slot]);
    c->tensors[slot] = NULL;
}

static void copy(calls *c)
{
    fuzz_ok(resattn_tensor_copy(pick_target(c), pick_source(c)));
}

static void fill(calls *c)
{
    fuzz_ok(resattn_tensor_fill(pick_target(c), (float)fuzz_real(&c->in)));
}

static void read_and_write(calls *c)
{
    resattn_tensor *tensor = pick_target(c);
    int64_t elements = resattn_tensor_elements(tensor), count = fuzz_chance(&c->in, 16) ? fuzz_int(&c->in) : elements;
    float *buffer = calloc(elements > 0 ? (size_t)elements : 1, sizeof *buffer);
    FUZZ_CHECK(buffer && elements <= MOST_ELEMENTS * 64, "%lld elements", (long long)elements);
    if (fuzz_ok(resattn_tensor_read(tensor, choose_order(c), buffer, count)))
        fuzz_ok(resattn_tensor_write(tensor, choose_order(c), buffer, count));
    free(buffer);
}

static void ask(calls *c)
{
    resattn_tensor *tensor = pick_target(c);
    int32_t dimension = fuzz_int(&c->in);
    (void)resattn_tensor_size(tensor, dimension);
    (void)resattn_tensor_stride(tensor, dimension);
    (void)resattn_tensor_rank(tensor);
    (void)resattn_tensor_dtype(tensor);
    (void)resattn_tensor_data(tensor);
    (void)resattn_tensor_mutable_data(tensor);
    (void)resattn_tensor_shape(tensor);
    (void)resattn_tensor_strides(tensor);
}

static void set_pixels(calls *c)
{
    resattn_tensor *tensor = pick_target(c);
    const float mean[] = {0.5f, (float)fuzz_real(&c->in), 0}, deviation[] = {1, (float)fuzz_real(&c->in), 1};
    fuzz_ok(resattn_tensor_set_pixels(tensor, fuzz_int(&c->in), (resattn_pixel_format)fuzz_range(&c->in, 0, 4),
                                      fuzz_range(&c->in, 0, 12), fuzz_range(&c->in, 0, 12), fuzz_range(&c->in, -60, 80),
                                      c->memory + MEMORY / 2, fuzz_chance(&c->in, 64) ? NULL : mean,
                                      fuzz_chance(&c->in, 64) ? NULL : deviation));
}

const call_fn tensor_calls[] = {new_tensor, wrap, wrap_pixels, view,           share, own,
                                drop,       copy, fill,        read_and_write, ask,   set_pixels};
const uint32_t tensor_call_count = COUNT(tensor_calls);
