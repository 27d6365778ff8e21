/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The header of a safetensors file, read and checked.
 *
 * jansson takes its memory from malloc(): its allocator can only be set for a whole process, which is the host's
 * affair.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "format/safetensors.h"

enum { LENGTH_SIZE = 8, MOST_DEPTH = 8 };

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

/* What a header is made of, counted without understanding it. */
typedef struct tally {
    uint64_t objects, arrays, texts, others; /* others: at most, from the commas */
    int32_t depth;
} tally;

static tally count_values(const char *text, size_t size)
{
    tally t = {0};
    int32_t depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < size && depth <= MOST_DEPTH; i++) {
        char c = text[i];
        if (quoted && c == '\\') {
            i++;
        } else if (c == '"') {
            quoted = !quoted;
            t.texts += quoted;
        } else if (!quoted) {
            t.objects += c == '{';
            t.arrays += c == '[';
            t.others += c == ',' || c == ':';
            depth += (c == '{' || c == '[') - (c == '}' || c == ']');
            t.depth = depth > t.depth ? depth : t.depth;
        }
    }
    return t;
}

/*
 * jansson recurses into nested values, and takes far more memory for a value than the value has bytes: that of a list
 * of empty objects is a hundred times as large. Both are bounded before it sees the text.
 */
static bool text_is_fine(const ra_safetensors *file, const char *text, size_t size)
{
    enum { OBJECT = 400, ARRAY = 136, TEXT = 80, OTHER = 48 }; /* measured, from above */
    tally t = count_values(text, size);
    uint64_t memory = OBJECT * t.objects + ARRAY * t.arrays + TEXT * t.texts + OTHER * t.others + size;
    uint64_t in_use = atomic_load_explicit(&file->context->used, memory_order_relaxed);
    if (t.depth > MOST_DEPTH)
        return ra_fail(RESATTN_BAD_FORMAT, "damaged: the header has values nested deeper than %d", MOST_DEPTH), false;
    if (memory > RA_JSON_MOST * (uint64_t)size + RA_JSON_FIXED) {
        ra_fail(RESATTN_BAD_FORMAT, "damaged: a header of %zu bytes has %llu values, more than tensors need", size,
                (unsigned long long)(t.objects + t.arrays + t.texts + t.others));
        return false;
    }
    return ra_limit_fits(file->context, RESATTN_LIMIT_TENSORS, t.objects > 2 ? t.objects - 2 : 0, "the header") &&
           ra_limit_fits(file->context, RESATTN_LIMIT_MEMORY, in_use + memory, "reading the header");
}

/* What jansson makes of a header. */
static bool parse(ra_safetensors *file, const char *text, size_t size)
{
    json_error_t error;
    if (!text_is_fine(file, text, size))
        return false;
    json_t *json = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
    file->json = json;
    if (!json && json_error_code(&error) == json_error_out_of_memory)
        ra_fail(RESATTN_OUT_OF_MEMORY, "out of memory: the JSON library was refused its own");
    else if (!json)
        ra_fail(RESATTN_BAD_FORMAT, "damaged, or no safetensors file: byte %d of the header: %s", error.position,
                error.text);
    else if (!json_is_object(json))
        ra_fail(RESATTN_BAD_FORMAT, "damaged, or no safetensors file: the header is not a JSON object");
    else
        return true;
    return false;
}

int ra_safetensors_read_at(const ra_safetensors *file, uint64_t offset, void *bytes, size_t size)
{
    if (!file->bytes)
        return ra_file_read_at(file->descriptor, offset, bytes, size);
    memcpy(bytes, file->bytes + offset, size);
    return 0;
}

static bool read_json(ra_safetensors *file)
{
    unsigned char stored[LENGTH_SIZE];
    uint64_t size = file->size;
    if (size < LENGTH_SIZE) {
        ra_fail(RESATTN_BAD_FORMAT, "truncated: %llu bytes, expected at least %d", (unsigned long long)size,
                LENGTH_SIZE);
        return false;
    }
    int answer = ra_safetensors_read_at(file, 0, stored, LENGTH_SIZE);
    if (answer != 0)
        return ra_file_fail(answer), false;
    uint64_t length = ra_load_u64(stored);
    if (length > size - LENGTH_SIZE) {
        ra_fail(RESATTN_BAD_FORMAT,
                "truncated, or no safetensors file: it says that its header has %llu bytes, %llu are left",
                (unsigned long long)length, (unsigned long long)(size - LENGTH_SIZE));
        return false;
    }
    if (!ra_limit_fits(file->context, RESATTN_LIMIT_HEADER, length, "the header"))
        return false;
    file->data = LENGTH_SIZE + length;
    file->data_size = size - file->data;
    char *text = ra_alloc_raw(file->context, (size_t)length, 1);
    if (!text)
        return false;
    answer = ra_safetensors_read_at(file, LENGTH_SIZE, text, (size_t)length);
    bool ok = answer == 0 ? parse(file, text, (size_t)length) : (ra_file_fail(answer), false);
    ra_free(file->context, text);
    return ok;
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

/* As long as a blob's, which has a path and what the parameter is called. */
static bool name_is_fine(const ra_safetensors *file, const char *name)
{
    size_t length = strlen(name), more = RA_TENSOR_MAX_NAME - RA_MAX_NAME;
    return length <= (uint64_t)ra_limit(file->context, RESATTN_LIMIT_NAME) + more ||
           ra_limit_fits(file->context, RESATTN_LIMIT_NAME, length, "a tensor");
}

static bool read_tensor(const ra_safetensors *file, ra_safetensor *tensor, const json_t *value, int64_t **sizes)
{
    const json_t *shape = json_object_get(value, "shape");
    int32_t bits;
    if (!name_is_fine(file, tensor->name))
        return false;
    if (!json_is_array(shape))
        return damaged(tensor->name, json_is_object(value) ? "the shape is not a list of sizes" : "not an object");
    if (!ra_limit_fits(file->context, RESATTN_LIMIT_RANK, json_array_size(shape), tensor->name) ||
        !read_shape(tensor, shape, *sizes) || !read_dtype(tensor, json_object_get(value, "dtype"), &bits) ||
        !read_offsets(file, tensor, json_object_get(value, "data_offsets"), bits) ||
        !ra_limit_fits(file->context, RESATTN_LIMIT_ELEMENTS, (uint64_t)tensor->elements, tensor->name))
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
    uint64_t elements = 0;
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
        elements += (uint64_t)tensor->elements; /* of at least four bits each, so there is no overflow */
        if (!ra_limit_fits(file->context, RESATTN_LIMIT_TENSORS, (uint64_t)file->count, "the header") ||
            !ra_limit_fits(file->context, RESATTN_LIMIT_PARAMETERS, elements * sizeof(float), "the header"))
            return false;
    }
    return true;
}

/* Lists and checks what the JSON says. */
static bool list_tensors(ra_safetensors *file)
{
    json_t *json = file->json;
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
    if ((!input->path || ra_file_size(file->descriptor, &file->size)) && read_json(file) && list_tensors(file))
        return true;
    ra_safetensors_close(file);
    return false;
}

bool ra_safetensors_read(ra_safetensors *file, ra_source *source)
{
    if (!ra_source_need(source, LENGTH_SIZE, "the length of the header"))
        return false;
    uint64_t length = ra_load_u64(source->data);
    ra_source_skip(source, LENGTH_SIZE);
    if (!ra_limit_fits(file->context, RESATTN_LIMIT_HEADER, length, "the header") ||
        !ra_source_need(source, (size_t)length, "the header") ||
        !parse(file, (const char *)source->data, (size_t)length))
        return false;
    ra_source_skip(source, (size_t)length);
    file->data = source->position;
    if (!ra_source_pass_all(source))
        return false;
    file->data_size = source->position - file->data;
    return list_tensors(file);
}

void ra_safetensors_close(ra_safetensors *file)
{
    json_decref(file->json);
    ra_free(file->context, file->tensors);
    ra_free(file->context, file->sizes);
    if (file->descriptor >= 0)
        ra_file_close(file->descriptor);
}
