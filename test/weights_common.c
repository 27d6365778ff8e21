/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the tests of weights share: see weights_common.h.
 */
#include "weights_common.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

st_file st;
static char folder[64];

void weights_set_up(void)
{
    blob_set_up();
    strcpy(folder, "/tmp/resattn-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert_int_eq(chdir(folder), 0);
}

int files_here(void)
{
    int count = 0;
    DIR *d = opendir(".");
    while (readdir(d))
        count++;
    closedir(d);
    return count - 2;
}

void weights_tear_down(void)
{
    DIR *d = opendir(".");
    for (struct dirent *entry = readdir(d); entry; entry = readdir(d))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            remove(entry->d_name);
    closedir(d);
    ck_assert_int_eq(files_here(), 0);
    ck_assert_int_eq(chdir("/"), 0);
    rmdir(folder);
    blob_tear_down();
}

/* ---- files ---- */

void write_bytes(const char *path, const void *bytes, size_t size)
{
    FILE *stream = fopen(path, "wb");
    ck_assert_ptr_nonnull(stream);
    if (size > 0)
        ck_assert_uint_eq(fwrite(bytes, 1, size, stream), size);
    fclose(stream);
}

unsigned char *read_bytes(const char *path, size_t *size)
{
    FILE *stream = fopen(path, "rb");
    ck_assert_ptr_nonnull(stream);
    fseek(stream, 0, SEEK_END);
    *size = (size_t)ftell(stream);
    rewind(stream);
    unsigned char *bytes = malloc(*size + 1);
    ck_assert_uint_eq(fread(bytes, 1, *size, stream), *size);
    fclose(stream);
    return bytes;
}

static void write_parts(const char *path, const char *header, size_t length, const void *values, size_t size)
{
    unsigned char *bytes = malloc(8 + length + size);
    blob_store(bytes, length, 8);
    memcpy(bytes + 8, header, length);
    if (size > 0)
        memcpy(bytes + 8 + length, values, size);
    write_bytes(path, bytes, 8 + length + size);
    free(bytes);
}

void st_raw(const char *path, const char *header, size_t values)
{
    void *zeros = calloc(values + 1, 1);
    write_parts(path, header, strlen(header), zeros, values);
    free(zeros);
}

void st_begin(void)
{
    strcpy(st.header, "{");
    st.length = 1;
    st.size = 0;
}

void st_add(const char *name, const char *dtype, const char *shape, const void *values, size_t bytes)
{
    ck_assert_uint_le(st.size + bytes, sizeof st.values);
    st.length += (size_t)snprintf(st.header + st.length, sizeof st.header - st.length,
                                  "%s\"%s\": {\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":[%zu, %zu]}",
                                  st.length > 1 ? ", " : "", name, dtype, shape, st.size, st.size + bytes);
    ck_assert_uint_lt(st.length, sizeof st.header);
    memcpy(st.values + st.size, values, bytes);
    st.size += bytes;
}

void st_end(const char *path)
{
    st.header[st.length++] = '}';
    write_parts(path, st.header, st.length, st.values, st.size);
}

/* ---- values ---- */

/* A number that a type can hold, as its bits: sign, exponent and mantissa by frexp(). */
static uint64_t encode(double value, int exponent_bits, int mantissa_bits)
{
    int exponent, bias = (1 << (exponent_bits - 1)) - 1;
    double fraction = frexp(fabs(value), &exponent);
    uint64_t sign = (uint64_t)(signbit(value) != 0) << (exponent_bits + mantissa_bits);
    if (value == 0)
        return sign;
    uint64_t mantissa = (uint64_t)ldexp(fraction * 2 - 1, mantissa_bits);
    return sign | (uint64_t)(exponent - 1 + bias) << mantissa_bits | mantissa;
}

void st_add_floats(const char *name, const char *dtype, const char *shape, const float *values, size_t count)
{
    static const struct {
        const char *name;
        int size, exponent, mantissa;
    } types[] = {{"F32", 4, 8, 23}, {"F64", 8, 11, 52}, {"F16", 2, 5, 10}, {"BF16", 2, 8, 7}};
    for (int t = 0; t < 4; t++) {
        if (strcmp(dtype, types[t].name) != 0)
            continue;
        size_t size = (size_t)types[t].size;
        unsigned char *bytes = malloc(count * size);
        for (size_t i = 0; i < count; i++)
            blob_store(bytes + i * size, encode((double)values[i], types[t].exponent, types[t].mantissa),
                       types[t].size);
        st_add(name, dtype, shape, bytes, count * size);
        free(bytes);
        return;
    }
    ck_abort_msg("no type %s", dtype);
}

/* Seven bits of mantissa are enough. */
float st_value(int32_t index, int64_t element)
{
    return (float)((index * 37 + element * 11) % 255 - 127) / 64;
}

void st_add_network(resattn_network *network, const char *prefix, const char *dtype, int32_t skip)
{
    for (int32_t i = 0; i < resattn_network_parameter_count(network); i++) {
        const resattn_tensor *tensor = resattn_network_parameter(network, i);
        int64_t count = resattn_tensor_elements(tensor);
        float *values = malloc((size_t)count * sizeof *values);
        char name[256], shape[128] = "[";
        for (int64_t j = 0; j < count; j++)
            values[j] = st_value(i, j);
        for (int32_t d = 0; d < resattn_tensor_rank(tensor); d++)
            snprintf(shape + strlen(shape), sizeof shape - strlen(shape), "%s%lld", d ? ", " : "",
                     (long long)resattn_tensor_size(tensor, d));
        strcat(shape, "]");
        snprintf(name, sizeof name, "%s%s", prefix, resattn_network_parameter_name(network, i));
        if (i != skip)
            st_add_floats(name, dtype, shape, values, (size_t)count);
        free(values);
    }
}

void check_loaded(resattn_network *network, int32_t index)
{
    const resattn_tensor *tensor = resattn_network_parameter(network, index);
    int64_t count = resattn_tensor_elements(tensor);
    float *values = malloc((size_t)count * sizeof *values);
    ck_assert_int_eq(resattn_tensor_read(tensor, RESATTN_CHANNELS_FIRST, values, count), RESATTN_OK);
    for (int64_t j = 0; j < count; j++)
        ck_assert_msg(values[j] == st_value(index, j), "%s, element %lld: %g, expected %g",
                      resattn_network_parameter_name(network, index), (long long)j, (double)values[j],
                      (double)st_value(index, j));
    free(values);
}

static size_t value_count(resattn_network *network)
{
    size_t count = 0;
    for (int32_t i = 0; i < resattn_network_parameter_count(network); i++)
        count += (size_t)resattn_tensor_elements(resattn_network_parameter(network, i));
    return count;
}

float *keep_values(resattn_network *network)
{
    float *kept = malloc(value_count(network) * sizeof *kept), *at = kept;
    for (int32_t i = 0; i < resattn_network_parameter_count(network); i++) {
        int64_t count = resattn_tensor_elements(resattn_network_parameter(network, i));
        memcpy(at, resattn_tensor_data(resattn_network_parameter(network, i)), (size_t)count * sizeof *at);
        at += count;
    }
    return kept;
}

void check_kept(resattn_network *network, const float *kept)
{
    float *now = keep_values(network);
    ck_assert_mem_eq(now, kept, value_count(network) * sizeof *now);
    free(now);
}
