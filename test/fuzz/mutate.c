/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Damages blobs and safetensors files at random and loads them:
 *
 *     mutate [--seed S] [--blobs N] [--safetensors N] [--only CASE]
 *
 * A case depends on the seed and its number only. For half of them checksums and lengths are mended, so that the damage
 * gets past these. Prints how many ended with which status, the most memory and the slowest case; fails where a case
 * breaks a promise: memory, anything left behind, a failure without a message, more than some seconds.
 */
#include "fuzz.h"

#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "samples.h"

enum { BASES = 16, STATUSES = 16, LIMIT = 256 << 20, MOST_CHANGES = 6, MOST_SIZE = 1 << 16 };

/* docs/format.md promises about 3000; sessions of no more than ALWAYS bytes are made in any case. */
enum { MOST_EACH_BYTE = 3200, ALWAYS = 2 << 20 };
static const double most_seconds = 10;

typedef struct file {
    uint8_t bytes[2 * MOST_SIZE];
    size_t size;
} file;

typedef struct tally {
    const char *what;
    int64_t statuses[STATUSES];
    size_t most_memory, most_memory_size;
    double slowest;
    int64_t slowest_case, count;
} tally;

static file blobs[BASES], weights[BASES];
static uint32_t blob_count, weights_count;
static volatile int64_t present; /* the number of the case that is running */
static const char *volatile present_kind = "";

/* ---- random numbers ---- */

static uint64_t generator;

static uint64_t next_number(void)
{
    uint64_t z = generator += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

static size_t below(size_t limit)
{
    return limit ? (size_t)(next_number() % limit) : 0;
}

/* ---- damage ---- */

static void put_integer(file *f)
{
    static const uint64_t extreme[] = {0,
                                       1,
                                       2,
                                       0x7F,
                                       0x80,
                                       0xFF,
                                       0x7FFF,
                                       0xFFFF,
                                       0x10000,
                                       0x1000000,
                                       0x1000001,
                                       0x7FFFFFFF,
                                       0x80000000,
                                       0xFFFFFFFF,
                                       0x100000000,
                                       0x1FFFFFFFFFFFFFFF,
                                       0x2000000000000000,
                                       0x3FFFFFFFFFFFFFFF,
                                       0x4000000000000000,
                                       INT64_MAX,
                                       UINT64_C(1) << 63,
                                       UINT64_MAX};
    size_t width = (size_t)1 << below(4);
    if (f->size < width)
        return;
    uint64_t value = extreme[below(sizeof extreme / sizeof *extreme)];
    uint8_t *at = f->bytes + below(f->size - width + 1);
    for (size_t i = 0; i < width; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

/* Replaces `old` bytes by `size` others. */
static void replace(file *f, size_t at, size_t old, const void *bytes, size_t size)
{
    if (f->size - old + size > MOST_SIZE)
        return;
    memmove(f->bytes + at + size, f->bytes + at + old, f->size - at - old);
    memcpy(f->bytes + at, bytes, size);
    f->size += size - old;
}

/* A number in a text. */
static void put_digits(file *f)
{
    static const char *const extreme[] = {"0",
                                          "-1",
                                          "1",
                                          "255",
                                          "4294967295",
                                          "4294967296",
                                          "9223372036854775807",
                                          "1e9",
                                          "9223372036854775808",
                                          "18446744073709551616",
                                          "1.5",
                                          "null",
                                          "[]",
                                          "\"\"",
                                          "{}"};
    size_t at = below(f->size), end;
    while (at < f->size && (f->bytes[at] < '0' || f->bytes[at] > '9'))
        at++;
    for (end = at; end < f->size && f->bytes[end] >= '0' && f->bytes[end] <= '9';)
        end++;
    const char *text = extreme[below(sizeof extreme / sizeof *extreme)];
    replace(f, at, end - at, text, strlen(text));
}

static void splice(file *f, const file *other)
{
    uint8_t part[MOST_SIZE];
    size_t from = below(other->size), size = below(other->size - from < 512 ? other->size - from + 1 : 512);
    memcpy(part, other->bytes + from, size);
    size_t at = below(f->size + 1), old = below(2) ? size : below(64);
    replace(f, at, old < f->size - at ? old : f->size - at, part, size);
}

static void change(file *f, const file *other, bool text)
{
    static const uint8_t zeros[256];
    size_t at = below(f->size), left = f->size - at;
    switch (below(text ? 9 : 7)) {
    case 0:
    case 1:
        if (left)
            f->bytes[at] ^= (uint8_t)(1 << below(8));
        break;
    case 2:
        if (left)
            f->bytes[at] = (uint8_t)next_number();
        break;
    case 3:
        if (below(4) == 0)
            f->size = at;
        break;
    case 4:
        put_integer(f);
        break;
    case 5:
        splice(f, other);
        break;
    case 6:
        replace(f, at, 0, zeros, below(sizeof zeros));
        break;
    default:
        put_digits(f);
    }
}

static void damage(file *f, const file *bases, uint32_t count, bool text)
{
    const file *base = &bases[below(count)];
    memcpy(f->bytes, base->bytes, base->size);
    f->size = base->size;
    for (size_t i = below(MOST_CHANGES) + 1; i > 0; i--)
        change(f, &bases[below(count)], text);
}

/* ---- a case ---- */

static resattn_status load_blob(resattn_context *context, file *f)
{
    if (below(2))
        fuzz_mend_blob(f->bytes, f->size);
    /* A block of its own, so that a checker sees a read beyond the end. */
    uint8_t *copy = malloc(f->size ? f->size : 1);
    FUZZ_CHECK(copy != NULL, "no memory");
    memcpy(copy, f->bytes, f->size);
    resattn_probe_free(fuzz_made(resattn_probe_new_buffer(context, copy, f->size)));
    fuzz_stream stream = {.bytes = copy, .size = f->size, .piece = below(64)};
    resattn_network *network = fuzz_made(below(2) ? resattn_network_load_buffer(context, copy, f->size)
                                                  : resattn_network_load_stream(context, fuzz_stream_read, &stream));
    resattn_status status = network ? RESATTN_OK : resattn_last_status();
    const uint8_t choices[] = {(uint8_t)next_number(), (uint8_t)next_number(), (uint8_t)next_number()};
    fuzz_input in = {choices, choices + sizeof choices};
    if (network)
        fuzz_use(network, &in, below(4) == 0);
    if (network && below(8) == 0)
        fuzz_save_and_load(network, 1);
    resattn_network_unref(network);
    free(copy);
    return status;
}

/* Says how long the header is. */
static void mend_weights(file *f)
{
    size_t end = f->size;
    while (end > 8 && f->bytes[end - 1] != '}')
        end--;
    for (int i = 0; i < 8 && f->size > 8; i++)
        f->bytes[i] = (uint8_t)(((uint64_t)end - 8) >> (8 * i));
}

static resattn_status load_weights(resattn_context *context, file *f)
{
    if (below(2))
        mend_weights(f);
    resattn_network *network = sample_trained_network(context);
    resattn_weights_report *report = NULL;
    int32_t flags = (int32_t)below(4);
    resattn_status status = resattn_network_load_weights(network, fuzz_file(f->bytes, f->size),
                                                         below(2) ? "module." : NULL, flags, &report);
    fuzz_ok(status);
    resattn_weights_report_free(report);
    resattn_network_unref(network);
    return status;
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void run_case(tally *t, uint64_t seed, int64_t number)
{
    static file f;
    bool text = strcmp(t->what, "safetensors") == 0;
    generator = seed * 2 + text;
    generator = next_number() + (uint64_t)number * UINT64_C(0xD1342543DE82EF95);
    present = number;
    present_kind = t->what;
    damage(&f, text ? weights : blobs, text ? weights_count : blob_count, text);
    fuzz_heap heap = {.limit = LIMIT};
    resattn_context *context = fuzz_context_new(&heap, 1);
    double start = seconds();
    resattn_status status = (text ? load_weights : load_blob)(context, &f);
    double took = seconds() - start;
    fuzz_context_end(&heap, context);
    FUZZ_CHECK(heap.most <= ALWAYS + MOST_EACH_BYTE * f.size, "%zu bytes of memory for a file of %zu", heap.most,
               f.size);
    FUZZ_CHECK(took <= most_seconds, "%g seconds", took);
    FUZZ_CHECK(-status < STATUSES, "status %d", (int)status);
    t->statuses[-status]++;
    t->count++;
    if (heap.most > t->most_memory) {
        t->most_memory = heap.most;
        t->most_memory_size = f.size;
    }
    if (took > t->slowest) {
        t->slowest = took;
        t->slowest_case = number;
    }
}

/* ---- what is damaged ---- */

static void add_file(file *bases, uint32_t *count, const void *bytes, size_t size)
{
    FUZZ_CHECK(*count < BASES && size <= MOST_SIZE, "%zu bytes", size);
    memcpy(bases[*count].bytes, bytes, size);
    bases[(*count)++].size = size;
}

static void add_network(resattn_network *network)
{
    static uint8_t buffer[MOST_SIZE];
    for (int32_t type = RESATTN_F32; type <= RESATTN_BF16; type++) {
        void *bytes;
        size_t size;
        resattn_network_set_storage(network, (resattn_dtype)type);
        FUZZ_CHECK(resattn_network_save_buffer(network, type == RESATTN_F32 ? 6 : 0, &bytes, &size) == RESATTN_OK,
                   "save");
        add_file(blobs, &blob_count, bytes, size);
        resattn_buffer_free(bytes);
        const char *path = fuzz_file("", 0);
        resattn_status status = resattn_network_save_weights(network, path, (resattn_dtype)type);
        FILE *saved = status == RESATTN_OK ? fopen(path, "rb") : NULL;
        if (!saved)
            continue; /* a build that cannot write such files */
        add_file(weights, &weights_count, buffer, fread(buffer, 1, sizeof buffer, saved));
        fclose(saved);
    }
    resattn_network_unref(network);
}

static void make_bases(void)
{
    resattn_context *context = resattn_context_new(1);
    fuzz_define_custom(context);
    add_network(sample_full_network(context));
    add_network(sample_trained_network(context));
    for (int kind = 0; kind < 4; kind++) {
        size_t size = 0;
        uint8_t *bytes = sample_checkpoint(context, kind & 1, kind & 2, kind, &size);
        FUZZ_CHECK(bytes != NULL, "a checkpoint");
        add_file(blobs, &blob_count, bytes, size);
        free(bytes);
    }
    resattn_context_unref(context);
}

/* ---- the program ---- */

static void tell_case(int number)
{
    char text[96];
    int size = snprintf(text, sizeof text, "signal %d in case %lld of %s\n", number, (long long)present, present_kind);
    if (size > 0 && write(STDERR_FILENO, text, (size_t)size) > 0) {
    }
    signal(number, SIG_DFL);
    raise(number);
}

static void print(const tally *t)
{
    printf("%s: %lld cases", t->what, (long long)t->count);
    for (int i = 0; i < STATUSES; i++)
        if (t->statuses[i])
            printf(", %lld '%s'", (long long)t->statuses[i], resattn_status_text((resattn_status)-i));
    printf("\n  most memory: %zu bytes, for a file of %zu; slowest: case %lld, %.3f s\n", t->most_memory,
           t->most_memory_size, (long long)t->slowest_case, t->slowest);
}

int main(int argc, char **argv)
{
    uint64_t seed = 1;
    int64_t counts[] = {100000, 100000}, first = 0;
    for (int i = 1; i < argc; i += 2) {
        const char *names[] = {"--blobs", "--safetensors", "--seed", "--only"};
        int which = 0;
        while (which < 4 && strcmp(argv[i], names[which]) != 0)
            which++;
        if (which == 4 || i + 1 == argc) {
            fprintf(stderr, "usage: %s [--seed S] [--blobs N] [--safetensors N] [--only CASE]\n", argv[0]);
            return 2;
        }
        long long value = strtoll(argv[i + 1], NULL, 10);
        if (which < 2)
            counts[which] = value;
        else if (which == 2)
            seed = (uint64_t)value;
        else
            first = value + 1;
    }
    make_bases();
    signal(SIGABRT, tell_case);
    printf("seed %llu\n", (unsigned long long)seed);
    tally tallies[] = {{.what = "blobs"}, {.what = "safetensors"}};
    for (int kind = 0; kind < 2; kind++) {
        if (kind == 1 && weights_count == 0)
            break; /* a build that cannot read such files */
        if (first && counts[kind])
            run_case(&tallies[kind], seed, first - 1);
        for (int64_t i = 0; i < counts[kind] && !first; i++)
            run_case(&tallies[kind], seed, i);
        print(&tallies[kind]);
    }
    return 0;
}
