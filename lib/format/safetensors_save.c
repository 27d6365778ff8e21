/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Saving weights as a safetensors file.
 */
#include <stdio.h>
#include <string.h>

#include "format/safetensors.h"

enum { LENGTH_SIZE = 8, WRITE = 16 * RA_BLOCK /* elements that are written at a time */ };

typedef struct writer {
    ra_writer out; /* the first member: what writes it gives it back */
    resattn_network *network;
    int32_t type;
    ra_bytes header;
    unsigned char *buffer;
} writer;

/* Half precision would do to a variance what it does to no weight: make it infinite. */
static int32_t type_of(const writer *w, const ra_param *param)
{
    return param->trained ? w->type : RESATTN_F32;
}

static size_t size_of(const writer *w, const ra_param *param)
{
    return (size_t)param->elements * ra_number_size(type_of(w, param));
}

/* The wider numbers come first, so that all lie on multiples of their sizes: readers that map a file want that. */
static const size_t number_sizes[] = {4, 2};

static bool is_of_size(const writer *w, const ra_param *param, size_t size)
{
    return ra_number_size(type_of(w, param)) == size;
}

/* ---- the header ---- */

static void put_words(ra_bytes *header, const char *words)
{
    ra_bytes_put(header, words, strlen(words));
}

/* A JSON string (RFC 8259). */
static void put_string(ra_bytes *header, const char *text)
{
    put_words(header, "\"");
    for (; *text; text++) {
        char code[8];
        if (*text == '"' || *text == '\\') {
            put_words(header, "\\");
            ra_bytes_put(header, text, 1);
        } else if ((unsigned char)*text < 0x20) {
            snprintf(code, sizeof code, "\\u%04x", (unsigned)(unsigned char)*text);
            put_words(header, code);
        } else {
            ra_bytes_put(header, text, 1);
        }
    }
    put_words(header, "\"");
}

static bool put_tensor(writer *w, const ra_param *param, uint64_t begin)
{
    static const char *const names[] = {NULL, "F32", "F16", "BF16"};
    char number[64];
    if (!ra_text_is_utf8(param->name)) {
        ra_fail(RESATTN_INVALID_ARGUMENT, "%s: the name is not UTF-8", param->name);
        return false;
    }
    put_string(&w->header, param->name);
    put_words(&w->header, ":{\"dtype\":\"");
    put_words(&w->header, names[type_of(w, param)]);
    put_words(&w->header, "\",\"shape\":[");
    for (int32_t i = 0; i < param->rank; i++) {
        snprintf(number, sizeof number, "%s%lld", i ? "," : "", (long long)param->shape[i]);
        put_words(&w->header, number);
    }
    snprintf(number, sizeof number, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)begin,
             (unsigned long long)(begin + size_of(w, param)));
    put_words(&w->header, number);
    return true;
}

static bool make_header(writer *w)
{
    const resattn_network *network = w->network;
    uint64_t begin = 0;
    bool any = false;
    ra_bytes_put_u64(&w->header, 0);
    put_words(&w->header, "{");
    for (int32_t s = 0; s < RA_COUNT(number_sizes); s++) {
        for (int32_t i = 0; i < network->param_count; i++) {
            if (!is_of_size(w, network->params[i], number_sizes[s]))
                continue;
            put_words(&w->header, any ? "," : "");
            if (!put_tensor(w, network->params[i], begin))
                return false;
            begin += size_of(w, network->params[i]);
            any = true;
        }
    }
    put_words(&w->header, "}");
    while (!w->header.failed && w->header.size % 8 != 0)
        put_words(&w->header, " ");
    if (w->header.failed)
        return false;
    if (w->header.size - LENGTH_SIZE > RA_MAX_HEADER) {
        ra_fail(RESATTN_TOO_LARGE, "the header has %zu bytes, a safetensors file takes at most %d",
                w->header.size - LENGTH_SIZE, RA_MAX_HEADER);
        return false;
    }
    ra_store_u64(w->header.data, w->header.size - LENGTH_SIZE);
    return true;
}

/* ---- the values ---- */

static bool write_values(writer *w, const ra_param *param)
{
    int32_t type = type_of(w, param);
    size_t size = ra_number_size(type), filled = 0;
    for (int64_t first = 0; first < param->elements; first += RA_BLOCK) {
        uint32_t bits[RA_BLOCK];
        int64_t count = param->elements - first < RA_BLOCK ? param->elements - first : RA_BLOCK;
        ra_order_get(&param->value_tensor, first, count, bits);
        ra_numbers_narrow(type, bits, count, w->buffer + filled);
        filled += (size_t)count * size;
        if (filled < WRITE * size && first + count < param->elements)
            continue;
        if (!ra_write_out(&w->out, w->buffer, filled))
            return false;
        filled = 0;
    }
    return true;
}

static resattn_status write_all(ra_writer *out)
{
    writer *w = (writer *)out;
    bool ok = ra_write_out(out, w->header.data, w->header.size);
    for (int32_t s = 0; s < RA_COUNT(number_sizes); s++)
        for (int32_t i = 0; i < w->network->param_count; i++)
            if (ok && is_of_size(w, w->network->params[i], number_sizes[s]))
                ok = write_values(w, w->network->params[i]);
    return ok ? RESATTN_OK : resattn_last_status();
}

resattn_status ra_safetensors_save(resattn_network *network, resattn_dtype type, const ra_target *target)
{
    resattn_context *context = network->context;
    writer w = {.out = {.network = network, .produce = write_all},
                .network = network,
                .type = (int32_t)type,
                .header = {.context = context}};
    w.buffer = ra_alloc_raw(context, WRITE, sizeof(float));
    bool ready = w.buffer && make_header(&w);
    if (!ready && target->path)
        ra_fail_within(target->path);
    resattn_status status = ready ? ra_write(&w.out, target, "saving weights") : resattn_last_status();
    ra_free(context, w.header.data);
    ra_free(context, w.buffer);
    return status;
}
