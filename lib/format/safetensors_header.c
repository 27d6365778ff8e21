/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The header of a safetensors file, read and checked.
 *
 * jansson takes its memory from malloc(): its allocator can only be set for a whole process, which is the host's
 * affair. What it takes is bounded by the header: some fifty bytes for each of its own. It recurses into nested values,
 * so nesting that no header has is refused before.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "format/safetensors.h"

enum { LENGTH_SIZE = 8, MOST_DEPTH = 8, MOST_SIZES = 64 };

static const struct dtype {
    const char *name;
    int32_t bits;
    int32_t type;
    bool integer;
} dtypes[] = {
    {"F32", 32, RESATTN_F32, false},
    {"F16", 16, RESATTN_F16, false},
    {"BF16", 16, RESATTN_BF16, false},
    {"F64", 64, RA_NUMBER_F64, false},
    {"BOOL", 8, 0, false},
    {"U8", 8, 0, true},
    {"I8", 8, 0, true},
    {"U16", 16, 0, true},
    {"I16", 16, 0, true},
    {"U32", 32, 0, true},
    {"I32", 32, 0, true},
    {"U64", 64, 0, true},
    {"I64", 64, 0, true},
    {"C64", 64, 0, false},
    {"F8_E5M2", 8, 0, false},
    {"F8_E4M3", 8, 0, false},
    {"F8_E8M0", 8, 0, false},
    {"F6_E2M3", 6, 0, false},
    {"F6_E3M2", 6, 0, false},
    {"F4", 4, 0, false},
};

/* Records damage of a tensor; false. */
static bool damaged(const char *name, const char *what)
{
    ra_fail(RESATTN_BAD_FORMAT, "damaged: %.200s: %s", name, what);
    return false;
}

/* ---- JSON ---- */

static bool depth_is_fine(const char *text, size_t size)
{
    int32_t depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < size && depth <= MOST_DEPTH; i++) {
        if (quoted && text[i] == '\\')
            i++;
        else if (text[i] == '"')
            quoted = !quoted;
        else if (!quoted && (text[i] == '{' || text[i] == '['))
            depth++;
        else if (!quoted && (text[i] == '}' || text[i] == ']'))
            depth--;
    }
    if (depth > MOST_DEPTH)
        ra_fail(RESATTN_BAD_FORMAT, "damaged: the header has values nested deeper than %d", MOST_DEPTH);
    return depth <= MOST_DEPTH;
}

static json_t *parse(const char *text, size_t size)
{
    json_error_t error;
    if (!depth_is_fine(text, size))
        return NULL;
    json_t *json = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
    if (!json && json_error_code(&error) == json_error_out_of_memory)
        return ra_fail_null(RESATTN_OUT_OF_MEMORY, "out of memory: the JSON library was refused its own");
    if (!json)
        return ra_fail_null(RESATTN_BAD_FORMAT, "damaged, or no safetensors file: byte %d of the header: %s",
                            error.position, error.text);
    if (json_is_object(json))
        return json;
    json_decref(json);
    return ra_fail_null(RESATTN_BAD_FORMAT, "damaged, or no safetensors file: the header is not a JSON object");
}

int ra_safetensors_read_at(const ra_safetensors *file, uint64_t offset, void *bytes, size_t size)
{
    if (!file->bytes)
        return ra_file_read_at(file->descriptor, offset, bytes, size);
    memcpy(bytes, file->bytes + offset, size);
    return 0;
}

static json_t *read_json(ra_safetensors *file)
{
    unsigned char stored[LENGTH_SIZE];
    uint64_t size = file->size;
    if (size < LENGTH_SIZE)
        return ra_fail_null(RESATTN_BAD_FORMAT, "truncated: %llu bytes, expected at least %d", (unsigned long long)size,
                            LENGTH_SIZE);
    int answer = ra_safetensors_read_at(file, 0, stored, LENGTH_SIZE);
    if (answer != 0)
        return ra_file_fail(answer), NULL;
    uint64_t length = ra_load_u64(stored);
    if (length > size - LENGTH_SIZE)
        return ra_fail_null(RESATTN_BAD_FORMAT,
                            "truncated, or no safetensors file: it says that its header has %llu bytes, %llu are left",
                            (unsigned long long)length, (unsigned long long)(size - LENGTH_SIZE));
    if (length > RA_SAFETENSORS_MAX_HEADER)
        return ra_fail_null(RESATTN_TOO_LARGE, "the header has %llu bytes, expected at most %d",
                            (unsigned long long)length, RA_SAFETENSORS_MAX_HEADER);
    file->data = LENGTH_SIZE + length;
    file->data_size = size - file->data;
    char *text = ra_alloc_raw(file->context, (size_t)length, 1);
    if (!text)
        return NULL;
    answer = ra_safetensors_read_at(file, LENGTH_SIZE, text, (size_t)length);
    json_t *json = answer == 0 ? parse(text, (size_t)length) : (ra_file_fail(answer), NULL);
    ra_free(file->context, text);
    return json;
}

/* ---- a tensor ---- */

/* A number of an array that is not negative. */
static bool read_size(const json_t *array, size_t index, const char *name, const char *what, int64_t *value)
{
    const json_t *number = json_array_get(array, index);
    if (!json_is_integer(number) || json_integer_value(number) < 0) {
        ra_fail(RESATTN_BAD_FORMAT, "damaged: %.200s: %s has something that is no integer from 0 on", name, what);
        return false;
    }
    *value = (int64_t)json_integer_value(number);
    return true;
}

static bool read_shape(ra_safetensor *tensor, const json_t *shape, int64_t *sizes)
{
    tensor->rank = (int32_t)json_array_size(shape);
    tensor->shape = sizes;
    tensor->elements = 1;
    for (int32_t i = 0; i < tensor->rank; i++) {
        if (!read_size(shape, (size_t)i, tensor->name, "shape", &sizes[i]))
            return false;
        if (!ra_mul_i64(tensor->elements, sizes[i], &tensor->elements))
            return damaged(tensor->name, "the shape has more elements than can be counted");
    }
    return true;
}

static bool read_dtype(ra_safetensor *tensor, const json_t *value, int32_t *bits)
{
    const char *name = json_string_value(value);
    for (int32_t i = 0; name && i < RA_COUNT(dtypes); i++) {
        if (strcmp(name, dtypes[i].name) == 0) {
            tensor->dtype = dtypes[i].name;
            tensor->type = dtypes[i].type;
            tensor->integer = dtypes[i].integer;
            *bits = dtypes[i].bits;
            return true;
        }
    }
    if (!name)
        return damaged(tensor->name, "the dtype is not a text");
    ra_fail(RESATTN_UNSUPPORTED, "%.200s: the dtype '%.40s' is unknown", tensor->name, name);
    return false;
}

static bool read_offsets(const ra_safetensors *file, ra_safetensor *tensor, const json_t *offsets, int32_t bits)
{
    int64_t begin, end, needed;
    if (json_array_size(offsets) != 2)
        return damaged(tensor->name, "data_offsets are not two numbers");
    if (!read_size(offsets, 0, tensor->name, "data_offsets", &begin) ||
        !read_size(offsets, 1, tensor->name, "data_offsets", &end))
        return false;
    tensor->begin = (uint64_t)begin;
    tensor->end = (uint64_t)end;
    if (begin > end || tensor->end > file->data_size) {
        ra_fail(RESATTN_BAD_FORMAT, "damaged: %.200s: data_offsets are %lld to %lld, the values have %llu bytes",
                tensor->name, (long long)begin, (long long)end, (unsigned long long)file->data_size);
        return false;
    }
    if (!ra_mul_i64(tensor->elements, bits, &needed) || needed % 8 != 0)
        return damaged(tensor->name, "the size does not fit a number of bytes");
    if (needed / 8 == end - begin)
        return true;
    ra_fail(RESATTN_BAD_FORMAT, "damaged: %.200s: data_offsets are %lld to %lld, the shape needs %lld bytes",
            tensor->name, (long long)begin, (long long)end, (long long)(needed / 8));
    return false;
}

static bool read_tensor(const ra_safetensors *file, ra_safetensor *tensor, const json_t *value, int64_t **sizes)
{
    const json_t *shape = json_object_get(value, "shape");
    int32_t bits;
    if (!json_is_array(shape) || json_array_size(shape) > MOST_SIZES)
        return damaged(tensor->name, json_is_object(value) ? "the shape is not a list of sizes" : "not an object");
    if (!read_shape(tensor, shape, *sizes) || !read_dtype(tensor, json_object_get(value, "dtype"), &bits) ||
        !read_offsets(file, tensor, json_object_get(value, "data_offsets"), bits))
        return false;
    *sizes += tensor->rank;
    return true;
}

/* ---- all of them ---- */

static int compare_ranges(const void *a, const void *b)
{
    const ra_safetensor *left = *(ra_safetensor *const *)a, *right = *(ra_safetensor *const *)b;
    if (left->begin != right->begin)
        return left->begin < right->begin ? -1 : 1;
    return left->end < right->end ? -1 : left->end > right->end;
}

/* Every byte of the values belongs to one tensor. */
static bool check_ranges(const ra_safetensors *file, ra_safetensor **sorted)
{
    uint64_t at = 0;
    for (int32_t i = 0; i < file->count; i++)
        sorted[i] = &file->tensors[i];
    qsort(sorted, (size_t)file->count, sizeof *sorted, compare_ranges);
    for (int32_t i = 0; i < file->count; i++) {
        if (sorted[i]->begin < at) {
            ra_fail(RESATTN_BAD_FORMAT, "damaged: the values of %.150s and %.150s overlap", sorted[i - 1]->name,
                    sorted[i]->name);
            return false;
        }
        if (sorted[i]->begin > at)
            break;
        at = sorted[i]->end;
    }
    if (at == file->data_size)
        return true;
    ra_fail(RESATTN_BAD_FORMAT, "damaged: the values from byte %llu of %llu on belong to no tensor",
            (unsigned long long)at, (unsigned long long)file->data_size);
    return false;
}

/* Texts by texts, for people: nothing here depends on them. */
static bool check_metadata(json_t *metadata)
{
    bool fine = json_is_object(metadata);
    for (void *member = json_object_iter(metadata); member; member = json_object_iter_next(metadata, member))
        fine = fine && json_is_string(json_object_iter_value(member));
    return fine || damaged("__metadata__", "not an object of texts");
}

static bool read_tensors(ra_safetensors *file, json_t *json)
{
    int64_t *sizes = file->sizes;
    for (void *member = json_object_iter(json); member; member = json_object_iter_next(json, member)) {
        ra_safetensor *tensor = &file->tensors[file->count];
        tensor->name = json_object_iter_key(member);
        if (strcmp(tensor->name, "__metadata__") == 0) {
            if (!check_metadata(json_object_iter_value(member)))
                return false;
            continue;
        }
        if (!read_tensor(file, tensor, json_object_iter_value(member), &sizes))
            return false;
        file->count++;
    }
    return true;
}

static bool read_header(ra_safetensors *file)
{
    json_t *json = read_json(file);
    file->json = json;
    if (!json)
        return false;
    size_t count = json_object_size(json), sizes = 0;
    for (void *member = json_object_iter(json); member; member = json_object_iter_next(json, member))
        sizes += json_array_size(json_object_get(json_object_iter_value(member), "shape"));
    file->tensors = ra_alloc(file->context, count, sizeof *file->tensors);
    file->sizes = file->tensors ? ra_alloc(file->context, sizes, sizeof *file->sizes) : NULL;
    if (!file->sizes || !read_tensors(file, json))
        return false;
    ra_safetensor **sorted = ra_alloc(file->context, count, sizeof *sorted);
    bool fine = sorted && check_ranges(file, sorted);
    ra_free(file->context, sorted);
    return fine;
}

bool ra_safetensors_open(ra_safetensors *file, resattn_context *context, const ra_input *input)
{
    *file = (ra_safetensors){.context = context, .bytes = input->bytes, .descriptor = -1, .size = input->size};
    if (input->path && (file->descriptor = ra_file_open(input->path)) < 0)
        return false;
    if ((!input->path || ra_file_size(file->descriptor, &file->size)) && read_header(file))
        return true;
    ra_safetensors_close(file);
    return false;
}

void ra_safetensors_close(ra_safetensors *file)
{
    json_decref(file->json);
    ra_free(file->context, file->tensors);
    ra_free(file->context, file->sizes);
    if (file->descriptor >= 0)
        ra_file_close(file->descriptor);
}
