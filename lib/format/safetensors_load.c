/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Loading weights from a safetensors file, or the bytes of one: all or nothing.
 *
 * Names, shapes and types are compared before a value is read. After that only reading itself can fail, as files may
 * shrink and disks break at any time; so the values are first read into memory of their own, converted and in a
 * network's order, and copied into the network when all are there. Mapping the file would spare that copy, but a mapped
 * file that shrinks ends the process.
 */
#include <string.h>

#include "format/safetensors.h"

enum {
    PIECE = 1 << 16, /* elements of a task */
    READ = 1 << 14,  /* elements that are read at a time */
    MOST_NUMBER_SIZE = 8
};

/* A parameter, and what is to be loaded into it. */
typedef struct slot {
    ra_param *param;
    const ra_safetensor *source; /* NULL: nothing */
    bool head;
    resattn_tensor staged; /* the values that were read */
} slot;

typedef struct piece {
    slot *slot;
    int64_t first, count;
} piece;

typedef struct loader {
    resattn_network *network;
    const char *prefix;
    int32_t flags;
    ra_safetensors file;
    resattn_weights_report *report;
    slot *slots; /* one for each parameter */
    float *staged;
    piece *pieces;
    int32_t piece_count;
    ra_crew crew;
    unsigned char *buffers; /* of the lanes */
    atomic_int answer;      /* of the first read that failed */
} loader;

/* ---- which tensor is for which parameter ---- */

/* The last layer that has trained parameters. */
static const resattn_layer *find_head(const resattn_network *network)
{
    const resattn_layer *head = NULL;
    for (const resattn_layer *layer = network->root; layer; layer = ra_layer_next(network->root, layer))
        for (int32_t i = 0; i < layer->param_count; i++)
            if (layer->params[i].trained)
                head = layer;
    return head;
}

static bool make_slots(loader *l)
{
    resattn_context *context = l->network->context;
    size_t count = (size_t)l->network->param_count;
    l->slots = ra_alloc(context, count, sizeof *l->slots);
    if (!l->slots)
        return false;
    const resattn_layer *head = find_head(l->network);
    for (size_t i = 0; i < count; i++) {
        ra_param *param = l->network->params[i];
        l->slots[i].param = param;
        for (int32_t j = 0; head && j < head->param_count; j++)
            l->slots[i].head = l->slots[i].head || param == &head->params[j];
    }
    return true;
}

static slot *find_slot(const loader *l, const char *name)
{
    size_t length = strlen(l->prefix);
    if (strncmp(name, l->prefix, length) == 0)
        name += length;
    int32_t index = ra_network_find(l->network, name);
    return index < 0 ? NULL : &l->slots[index];
}

/* A counter that PyTorch keeps beside the statistics of a batch norm, and never computes with. */
static bool is_counter(const ra_safetensor *tensor)
{
    static const char last[] = "num_batches_tracked";
    size_t length = strlen(tensor->name), wanted = sizeof last - 1;
    return tensor->integer && length >= wanted && strcmp(tensor->name + length - wanted, last) == 0 &&
           (length == wanted || tensor->name[length - wanted - 1] == '.');
}

static bool assign(loader *l)
{
    for (int32_t i = 0; i < l->file.count; i++) {
        const ra_safetensor *tensor = &l->file.tensors[i];
        slot *s = find_slot(l, tensor->name);
        if (!s)
            continue;
        if (s->source) {
            ra_fail(RESATTN_BAD_FORMAT, "without the prefix '%.80s', %.150s and %.150s have one name", l->prefix,
                    s->source->name, tensor->name);
            return false;
        }
        if (tensor->type == 0) {
            ra_fail(RESATTN_UNSUPPORTED, "%.200s: the dtype is %s, expected F32, F64, F16 or BF16", tensor->name,
                    tensor->dtype);
            return false;
        }
        s->source = tensor;
    }
    return true;
}

static bool same_shape(const slot *s)
{
    return s->source->rank == s->param->rank &&
           memcmp(s->source->shape, s->param->shape, (size_t)s->param->rank * sizeof *s->param->shape) == 0;
}

static bool compare_parameter(loader *l, slot *s)
{
    if (!s->source)
        return ra_report_add(l->report, RESATTN_WEIGHTS_MISSING, !(l->flags & RESATTN_WEIGHTS_LENIENT), s->param->name,
                             "not in the file");
    if (same_shape(s))
        return true;
    char there[96], here[96];
    ra_print_shape(there, sizeof there, s->source->rank, s->source->shape);
    ra_print_shape(here, sizeof here, s->param->rank, s->param->shape);
    s->source = NULL;
    return ra_report_add(l->report, RESATTN_WEIGHTS_WRONG_SHAPE, !(s->head && l->flags & RESATTN_WEIGHTS_NEW_HEAD),
                         s->param->name, "shape %s in the file, %s in the network", there, here);
}

/* Fills the report; false where something differs that the flags do not let pass. */
static bool compare(loader *l)
{
    for (int32_t i = 0; i < l->network->param_count; i++)
        if (!compare_parameter(l, &l->slots[i]))
            return false;
    for (int32_t i = 0; i < l->file.count; i++) {
        const ra_safetensor *tensor = &l->file.tensors[i];
        if (!find_slot(l, tensor->name) && !is_counter(tensor) &&
            !ra_report_add(l->report, RESATTN_WEIGHTS_UNEXPECTED, !(l->flags & RESATTN_WEIGHTS_LENIENT), tensor->name,
                           "not in the network"))
            return false;
    }
    return ra_report_fail(l->report) == RESATTN_OK;
}

/* ---- reading ---- */

/* Memory for the values, and the tasks. */
static bool plan(loader *l)
{
    resattn_context *context = l->network->context;
    size_t elements = 0, pieces = 0;
    for (int32_t i = 0; i < l->network->param_count; i++) {
        const slot *s = &l->slots[i];
        elements += s->source ? (size_t)s->param->elements : 0;
        pieces += s->source ? (size_t)ra_div_up(s->param->elements, PIECE) : 0;
    }
    if (pieces > INT32_MAX) {
        ra_fail(RESATTN_TOO_LARGE, "%zu values to read at once", elements);
        return false;
    }
    if (!ra_crew_begin(&l->crew, context, elements * sizeof(float)))
        return false;
    l->staged = ra_alloc_raw(context, elements, sizeof *l->staged);
    l->pieces = l->staged ? ra_alloc(context, pieces, sizeof *l->pieces) : NULL;
    l->buffers = l->pieces ? ra_alloc_raw(context, (size_t)l->crew.lanes * READ, MOST_NUMBER_SIZE) : NULL;
    float *memory = l->staged;
    for (int32_t i = 0; l->buffers && i < l->network->param_count; i++) {
        slot *s = &l->slots[i];
        if (!s->source)
            continue;
        ra_tensor_embed(&s->staged, s->param->rank, s->param->shape, RESATTN_CHANNELS_LAST, memory);
        memory += s->param->elements;
        for (int64_t first = 0; first < s->param->elements; first += PIECE)
            l->pieces[l->piece_count++] =
                (piece){s, first, s->param->elements - first < PIECE ? s->param->elements - first : PIECE};
    }
    return l->buffers != NULL;
}

static void convert(slot *s, int64_t first, int64_t count, const unsigned char *bytes)
{
    size_t size = ra_number_size(s->source->type);
    while (count > 0) {
        uint32_t bits[RA_BLOCK];
        int64_t some = count < RA_BLOCK ? count : RA_BLOCK;
        ra_numbers_widen(s->source->type, bytes, some, bits);
        ra_order_put(&s->staged, first, some, bits);
        bytes += (size_t)some * size;
        first += some;
        count -= some;
    }
}

static void read_piece(void *job, int32_t index, int32_t lane)
{
    loader *l = job;
    const piece *p = &l->pieces[index];
    const ra_safetensor *source = p->slot->source;
    unsigned char *buffer = l->buffers + (size_t)lane * READ * MOST_NUMBER_SIZE;
    size_t size = ra_number_size(source->type);
    uint64_t begin = l->file.data + source->begin;
    for (int64_t at = 0; at < p->count && atomic_load(&l->answer) == 0; at += READ) {
        int64_t count = p->count - at < READ ? p->count - at : READ, first = p->first + at;
        int none = 0;
        int answer = ra_safetensors_read_at(&l->file, begin + (uint64_t)first * size, buffer, (size_t)count * size);
        if (answer != 0)
            atomic_compare_exchange_strong(&l->answer, &none, answer);
        else
            convert(p->slot, first, count, buffer);
    }
}

static void commit_piece(void *job, int32_t index, int32_t lane)
{
    const loader *l = job;
    const piece *p = &l->pieces[index];
    (void)lane;
    memcpy(p->slot->param->value + p->first, (const float *)p->slot->staged.data + p->first,
           (size_t)p->count * sizeof(float));
}

static bool read_values(loader *l)
{
    if (!plan(l))
        return false;
    ra_crew_run(&l->crew, read_piece, l, l->piece_count);
    int answer = atomic_load(&l->answer);
    if (answer != 0) {
        ra_file_fail(answer);
        return false;
    }
    ra_crew_run(&l->crew, commit_piece, l, l->piece_count);
    atomic_fetch_add(&l->network->version, 1);
    return true;
}

/* ---- all of it ---- */

static bool load(loader *l)
{
    return make_slots(l) && assign(l) && (l->report = ra_report_new(l->network->context)) && compare(l) &&
           read_values(l);
}

resattn_status ra_safetensors_load(resattn_network *network, const ra_input *input, const char *prefix, int32_t flags,
                                   resattn_weights_report **report)
{
    resattn_context *context = network->context;
    loader l = {.network = network, .prefix = prefix, .flags = flags};
    atomic_init(&l.answer, 0);
    *report = NULL;
    if (!ra_safetensors_open(&l.file, context, input))
        return resattn_last_status();
    resattn_status status = load(&l) ? RESATTN_OK : resattn_last_status();
    if (status == RESATTN_OK || status == RESATTN_SHAPE_MISMATCH)
        *report = l.report;
    else
        resattn_weights_report_free(l.report);
    ra_crew_end(&l.crew);
    ra_free(context, l.buffers);
    ra_free(context, l.pieces);
    ra_free(context, l.staged);
    ra_free(context, l.slots);
    ra_safetensors_close(&l.file);
    return status;
}
