/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Probes: a blob's is its network without values, a safetensors file's is its header.
 */
#include "format/probe.h"

#include <string.h>

/* ---- reading ---- */

/* Of the two kinds of files: a safetensors file begins with a number of eight bytes and an opening brace. */
static bool read_any(resattn_probe *probe, ra_source *source)
{
    bool failed = false;
    bool brace = ra_source_has(source, 9, &failed) && source->data[8] == '{';
    if (failed)
        return false;
    if (source->available >= 4 && memcmp(source->data, RA_BLOB_MAGIC, 4) != 0) {
        probe->format = RESATTN_FORMAT_SAFETENSORS;
        if (brace)
            return ra_safetensors_read(&probe->file, source);
        ra_fail(RESATTN_BAD_FORMAT, "neither a libresattn blob nor a safetensors file");
        return false;
    }
    return ra_blob_probe(probe, source);
}

static resattn_probe *probe_source(ra_source *source)
{
    resattn_probe *probe = ra_alloc(source->context, 1, sizeof *probe);
    if (!probe)
        return NULL;
    probe->context = resattn_context_ref(source->context);
    probe->file = (ra_safetensors){.context = probe->context, .descriptor = -1};
    bool ok = read_any(probe, source);
    probe->bytes = source->position;
    if (ok)
        return probe;
    resattn_probe_free(probe);
    return NULL;
}

static resattn_probe *probe_input(resattn_context *context, const ra_input *input)
{
    ra_source source;
    if (!ra_source_open(&source, context, input, "probe"))
        return NULL;
    resattn_probe *probe = probe_source(&source);
    ra_source_close(&source, probe != NULL);
    return probe;
}

resattn_probe *resattn_probe_new(resattn_context *context, const char *path)
{
    return probe_input(context, &(ra_input){.form = "path", .path = path});
}

resattn_probe *resattn_probe_new_buffer(resattn_context *context, const void *bytes, size_t size)
{
    return probe_input(context, &(ra_input){.form = "buffer", .bytes = bytes, .size = size});
}

resattn_probe *resattn_probe_new_stream(resattn_context *context, resattn_read_fn read, void *user)
{
    return probe_input(context, &(ra_input){.form = "callback", .read = read, .user = user});
}

void resattn_probe_free(resattn_probe *probe)
{
    if (!probe)
        return;
    resattn_context *context = probe->context;
    resattn_network_unref(probe->network);
    ra_safetensors_close(&probe->file);
    ra_free(context, probe);
    resattn_context_unref(context);
}

/* ---- how much memory ---- */

enum {
    BLOCK = 256,          /* of each piece of memory: what the allocator adds, and room for growing lists */
    LANE = 64 << 10,      /* of a thread at work: zlib's memory, buffers */
    LANES_FROM = 1 << 20, /* bytes of parameters that are worth threads */
    SMALL = 256 << 10,    /* reading ahead, lists of chunks */
    MOST_LANES = 16,      /* see crew.c */
    LANE_OF_WEIGHTS = 2 * LANE
};

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* What a network is beside its values: layers with names, lists of parameters, normalization, texts. */
static uint64_t structure(const resattn_network *network)
{
    uint64_t bytes = UINT64_C(4) * BLOCK + 24 * (uint64_t)network->in_c;
    for (const resattn_layer *layer = network->root; layer; layer = ra_layer_next(network->root, layer))
        bytes += sizeof(resattn_attention) + UINT64_C(4) * BLOCK + 4 * strlen(layer->path);
    for (int32_t i = 0; i < network->param_count; i++)
        bytes += BLOCK + strlen(network->params[i]->name);
    for (int32_t i = 0; i < network->text_count; i++)
        bytes += UINT64_C(2) * BLOCK + strlen(network->texts[i].key) + strlen(network->texts[i].value);
    for (int32_t i = 0; i < network->class_count; i++)
        bytes += BLOCK + strlen(network->classes[i]);
    return bytes;
}

/* A batch of tensors is in memory packed (read into memory that doubles when it is full) and unpacked. */
static uint64_t blob_memory(const resattn_probe *probe)
{
    uint64_t values = (uint64_t)probe->network->padded * sizeof(float);
    uint64_t lanes = values < LANES_FROM ? 1 : MOST_LANES;
    return structure(probe->network) + values + least(values, RA_BATCH_BYTES) +
           3 * least(probe->bytes, RA_MAX_CHUNK + RA_BATCH_BYTES) + lanes * LANE + SMALL;
}

static uint64_t weights_memory(const resattn_probe *probe)
{
    uint64_t values = 0, header = probe->bytes - probe->file.data_size;
    for (int32_t i = 0; i < probe->file.count; i++)
        values += probe->file.tensors[i].type ? (uint64_t)probe->file.tensors[i].elements * sizeof(float) : 0;
    return values + values / BLOCK + RA_JSON_MOST * header + RA_JSON_FIXED + (uint64_t)MOST_LANES * LANE_OF_WEIGHTS +
           (uint64_t)probe->file.count * BLOCK + SMALL;
}

/* ---- answers ---- */

static int64_t count_values(const resattn_probe *probe, bool statistics)
{
    int64_t count = 0;
    const resattn_network *network = probe->network;
    for (int32_t i = 0; network && i < network->param_count; i++)
        count += statistics || network->params[i]->trained ? network->params[i]->elements : 0;
    for (int32_t i = 0; i < probe->file.count; i++)
        count += probe->file.tensors[i].elements;
    return count;
}

static int64_t count_layers(const resattn_network *network)
{
    int64_t count = 0;
    for (const resattn_layer *layer = network->root; layer; layer = ra_layer_next(network->root, layer))
        count++;
    return count;
}

static int64_t network_number(const resattn_probe *probe, resattn_probe_fact fact)
{
    const resattn_network *network = probe->network;
    switch (fact) {
    case RESATTN_PROBE_VERSION:
        return probe->version;
    case RESATTN_PROBE_MEMORY:
        return (int64_t)blob_memory(probe);
    case RESATTN_PROBE_TENSORS:
        return network->param_count;
    case RESATTN_PROBE_TRAINABLE_VALUES:
        return count_values(probe, false);
    case RESATTN_PROBE_LAYERS:
        return count_layers(network);
    case RESATTN_PROBE_ATTENTIONS:
        return network->attention_count;
    case RESATTN_PROBE_IN_CHANNELS:
        return network->in_c;
    case RESATTN_PROBE_OUT_CHANNELS:
        return network->root->out_c;
    case RESATTN_PROBE_INPUT_HEIGHT:
        return network->input_h;
    case RESATTN_PROBE_INPUT_WIDTH:
        return network->input_w;
    case RESATTN_PROBE_CLASSES:
        return network->class_count;
    case RESATTN_PROBE_STORAGE:
        return probe->storage;
    case RESATTN_PROBE_AVERAGE:
        return probe->has_average;
    default:
        return 0;
    }
}

resattn_file_format resattn_probe_format(const resattn_probe *probe)
{
    return probe ? probe->format : RESATTN_FORMAT_NONE;
}

int64_t resattn_probe_number(const resattn_probe *probe, resattn_probe_fact fact)
{
    if (!probe)
        return 0;
    if (fact == RESATTN_PROBE_FILE_BYTES)
        return (int64_t)probe->bytes;
    if (fact == RESATTN_PROBE_VALUES)
        return count_values(probe, true);
    if (probe->network)
        return network_number(probe, fact);
    if (fact == RESATTN_PROBE_MEMORY)
        return (int64_t)weights_memory(probe);
    return fact == RESATTN_PROBE_TENSORS ? probe->file.count : 0;
}

const char *resattn_probe_optimizer(const resattn_probe *probe)
{
    return probe && probe->optimizer[0] ? probe->optimizer : NULL;
}

const char *resattn_probe_text(const resattn_probe *probe, const char *key)
{
    return probe ? resattn_network_text(probe->network, key) : NULL;
}

const char *resattn_probe_text_key(const resattn_probe *probe, int32_t index)
{
    return probe ? resattn_network_text_key(probe->network, index) : NULL;
}

const char *resattn_probe_class_name(const resattn_probe *probe, int32_t index)
{
    return probe ? resattn_network_class_name(probe->network, index) : NULL;
}

/* Name and shape of a tensor; NULL outside. */
static const char *find_tensor(const resattn_probe *probe, int32_t index, int32_t *rank, const int64_t **shape)
{
    *rank = 0;
    if (!probe || index < 0 || index >= (probe->network ? probe->network->param_count : probe->file.count))
        return NULL;
    const ra_param *param = probe->network ? probe->network->params[index] : NULL;
    const ra_safetensor *tensor = param ? NULL : &probe->file.tensors[index];
    *rank = param ? param->rank : tensor->rank;
    *shape = param ? param->shape : tensor->shape;
    return param ? param->name : tensor->name;
}

const char *resattn_probe_tensor_name(const resattn_probe *probe, int32_t index)
{
    int32_t rank;
    const int64_t *shape;
    return find_tensor(probe, index, &rank, &shape);
}

int32_t resattn_probe_tensor_rank(const resattn_probe *probe, int32_t index)
{
    int32_t rank;
    const int64_t *shape;
    find_tensor(probe, index, &rank, &shape);
    return rank;
}

int64_t resattn_probe_tensor_size(const resattn_probe *probe, int32_t index, int32_t dimension)
{
    int32_t rank;
    const int64_t *shape = NULL;
    find_tensor(probe, index, &rank, &shape);
    return shape && dimension >= 0 && dimension < rank ? shape[dimension] : 0;
}
