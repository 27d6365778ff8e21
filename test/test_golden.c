/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The golden files: whatever becomes of the library, those that loaded load, with the same content, and those that were
 * refused are refused, for the same reason. golden/README.md says what they are.
 */
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common.h"
#include "counted_heap.h"
#include "golden_common.h"

enum { MOST_FILES = 400, MOST_BYTES = 8192 };

/* A line of the list. */
typedef struct entry {
    char file[128], status[32];
    char rest[GOLDEN_LINE]; /* what golden_describe() says, or a piece of the message */
} entry;

static entry entries[MOST_FILES];
static int entry_count;

static counted_heap heap;
static resattn_context *context;

static void read_list(void)
{
    static char line[GOLDEN_LINE];
    FILE *list = fopen(GOLDEN_FOLDER "/list.txt", "r");
    ck_assert_ptr_nonnull(list);
    entry_count = 0;
    while (fgets(line, sizeof line, list)) {
        line[strcspn(line, "\n")] = '\0';
        if (*line == '#' || *line == '\0')
            continue;
        ck_assert_int_lt(entry_count, MOST_FILES);
        entry *e = &entries[entry_count++];
        int rest = 0;
        ck_assert_msg(sscanf(line, "%127s %31s %n", e->file, e->status, &rest) == 2 && rest > 0, "%s", line);
        snprintf(e->rest, sizeof e->rest, "%s", line + rest);
        ck_assert_msg(*e->rest != '\0', "%s", line);
    }
    fclose(list);
    ck_assert_int_gt(entry_count, 0);
}

static void set_up(void)
{
    read_list();
    context = counted_context(&heap);
    ck_assert_msg(context && golden_define(context), "%s", resattn_last_error());
}

static void tear_down(void)
{
    resattn_context_unref(context);
    ck_assert_uint_eq(heap.live, 0);
}

/* ---- files ---- */

typedef struct content {
    char path[1024];
    unsigned char bytes[MOST_BYTES];
    size_t size, at; /* `at`: how far a stream has been read */
} content;

static content file;

static void read_file(const char *name)
{
    snprintf(file.path, sizeof file.path, "%s/%s", GOLDEN_FOLDER, name);
    FILE *from = fopen(file.path, "rb");
    ck_assert_msg(from != NULL, "%s", file.path);
    file.size = fread(file.bytes, 1, sizeof file.bytes, from);
    ck_assert_uint_lt(file.size, sizeof file.bytes);
    fclose(from);
}

static int64_t give_a_byte(void *user, void *bytes, size_t size)
{
    content *from = user;
    if (size == 0 || from->at == from->size)
        return 0;
    memcpy(bytes, from->bytes + from->at++, 1);
    return 1;
}

/* ---- the three ways to load ---- */

typedef enum way { BUFFER, STREAM, PATH, WAYS } way;

typedef struct loaded {
    resattn_network *network;
    resattn_optimizer *optimizer;
    resattn_ema *average;
} loaded;

static bool is_checkpoint(const entry *e)
{
    return strncmp(strchr(e->file, '/') + 1, GOLDEN_CHECKPOINT, strlen(GOLDEN_CHECKPOINT)) == 0;
}

static resattn_network *load_network(way by)
{
    file.at = 0;
    return by == BUFFER   ? resattn_network_load_buffer(context, file.bytes, file.size)
           : by == STREAM ? resattn_network_load_stream(context, give_a_byte, &file)
                          : resattn_network_load(context, file.path);
}

static void load_checkpoint(way by, loaded *l)
{
    file.at = 0;
    if (by == BUFFER)
        resattn_checkpoint_load_buffer(context, file.bytes, file.size, &l->network, &l->optimizer, &l->average);
    else if (by == STREAM)
        resattn_checkpoint_load_stream(context, give_a_byte, &file, &l->network, &l->optimizer, &l->average);
    else
        resattn_checkpoint_load(context, file.path, &l->network, &l->optimizer, &l->average);
}

static resattn_probe *probe_file(way by)
{
    file.at = 0;
    return by == BUFFER   ? resattn_probe_new_buffer(context, file.bytes, file.size)
           : by == STREAM ? resattn_probe_new_stream(context, give_a_byte, &file)
                          : resattn_probe_new(context, file.path);
}

static loaded load(const entry *e, way by)
{
    loaded l = {0};
    if (is_checkpoint(e))
        load_checkpoint(by, &l);
    else
        l.network = load_network(by);
    return l;
}

static void unload(loaded *l)
{
    resattn_ema_free(l->average);
    resattn_optimizer_free(l->optimizer);
    resattn_network_unref(l->network);
}

/* ---- files that load ---- */

static void expect_described(const entry *e, const loaded *l, const char *when)
{
    char line[GOLDEN_LINE];
    ck_assert_msg(l->network != NULL, "%s, %s: %s", e->file, when, resattn_last_error());
    ck_assert(l->optimizer ? golden_describe_training(l->optimizer, l->average, line)
                           : golden_describe(l->network, line));
    ck_assert_msg(strcmp(line, e->rest) == 0, "%s, %s:\n%s\nexpected\n%s", e->file, when, line, e->rest);
}

/* What the library saves of it is the same again. */
static void expect_saved(const entry *e, const loaded *l)
{
    for (int32_t level = 0; level <= 9; level += 9) {
        void *bytes;
        size_t size;
        loaded again = {0};
        if (l->optimizer) {
            ck_assert_int_eq(resattn_checkpoint_save_buffer(l->optimizer, l->average, level, &bytes, &size),
                             RESATTN_OK);
            resattn_checkpoint_load_buffer(context, bytes, size, &again.network, &again.optimizer, &again.average);
        } else {
            ck_assert_int_eq(resattn_network_save_buffer(l->network, level, &bytes, &size), RESATTN_OK);
            again.network = resattn_network_load_buffer(context, bytes, size);
        }
        expect_described(e, &again, "saved and loaded");
        unload(&again);
        resattn_buffer_free(bytes);
    }
}

static void count_layers(const resattn_layer *layer, int64_t *count)
{
    ++*count;
    for (int32_t i = 0; i < resattn_layer_child_count(layer); i++)
        count_layers(resattn_layer_child(layer, i), count);
}

static void expect_probed(const entry *e, const loaded *l, way by)
{
    int64_t layers = 0, values = 0;
    int32_t count = resattn_network_parameter_count(l->network);
    resattn_probe *probe = probe_file(by);
    ck_assert_msg(probe != NULL, "%s: %s", e->file, resattn_last_error());
    for (int32_t i = 0; i < count; i++) {
        values += resattn_tensor_elements(resattn_network_parameter(l->network, i));
        ck_assert_str_eq(resattn_probe_tensor_name(probe, i), resattn_network_parameter_name(l->network, i));
    }
    count_layers(resattn_network_root(l->network), &layers);
    ck_assert_int_eq(resattn_probe_number(probe, RESATTN_PROBE_VERSION), 1);
    ck_assert_int_eq(resattn_probe_number(probe, RESATTN_PROBE_FILE_BYTES), (int64_t)file.size);
    ck_assert_int_eq(resattn_probe_number(probe, RESATTN_PROBE_LAYERS), layers);
    ck_assert_int_eq(resattn_probe_number(probe, RESATTN_PROBE_TENSORS), count);
    ck_assert_int_eq(resattn_probe_number(probe, RESATTN_PROBE_VALUES), values);
    ck_assert_int_eq(resattn_probe_number(probe, RESATTN_PROBE_CLASSES), resattn_network_class_count(l->network));
    ck_assert_int_eq(resattn_probe_number(probe, RESATTN_PROBE_AVERAGE), l->average != NULL);
    ck_assert_int_eq((int)resattn_probe_format(probe),
                     (int)(l->optimizer ? RESATTN_FORMAT_CHECKPOINT : RESATTN_FORMAT_BLOB));
    if (l->optimizer)
        ck_assert_str_eq(resattn_probe_optimizer(probe), resattn_optimizer_kind(l->optimizer));
    resattn_probe_free(probe);
}

START_TEST(good_files)
{
    for (entry *e = entries; e < entries + entry_count; e++) {
        if (strcmp(e->status, "OK") != 0)
            continue;
        ck_assert_msg(strncmp(e->file, "good/", 5) == 0, "%s", e->file);
        read_file(e->file);
        for (way by = BUFFER; by < WAYS; by++) {
            loaded l = load(e, by);
            expect_described(e, &l, by == BUFFER ? "buffer" : by == STREAM ? "stream" : "path");
            expect_probed(e, &l, by);
            if (by == BUFFER)
                expect_saved(e, &l);
            unload(&l);
        }
        resattn_network *network = load_network(BUFFER); /* of a checkpoint too */
        ck_assert_msg(network != NULL, "%s: %s", e->file, resattn_last_error());
        resattn_network_unref(network);
    }
}
END_TEST

/* ---- files that do not ---- */

static void expect_refused(const entry *e, way by)
{
    resattn_clear_error();
    loaded l = load(e, by);
    ck_assert_msg(!l.network && !l.optimizer && !l.average, "%s was loaded", e->file);
    ck_assert_msg(strcmp(golden_status(resattn_last_status()), e->status) == 0 && strstr(resattn_last_error(), e->rest),
                  "%s: %s '%s', expected %s '%s'", e->file, golden_status(resattn_last_status()), resattn_last_error(),
                  e->status, e->rest);
}

START_TEST(bad_files)
{
    for (entry *e = entries; e < entries + entry_count; e++) {
        if (strcmp(e->status, "OK") == 0)
            continue;
        ck_assert_msg(strncmp(e->file, "bad/", 4) == 0, "%s", e->file);
        read_file(e->file);
        for (way by = BUFFER; by < WAYS; by++) {
            expect_refused(e, by);
            resattn_probe *probe = probe_file(by); /* looks at less, but what it refuses it refuses alike */
            ck_assert_msg(probe || strcmp(golden_status(resattn_last_status()), e->status) == 0, "%s, probed: %s",
                          e->file, resattn_last_error());
            resattn_probe_free(probe);
        }
        if (is_checkpoint(e)) { /* the network in it is in order */
            resattn_network *network = load_network(BUFFER);
            ck_assert_msg(network != NULL, "%s: %s", e->file, resattn_last_error());
            resattn_network_unref(network);
        }
    }
}
END_TEST

/* ---- the list and the folders ---- */

static int times_listed(const char *name)
{
    int times = 0;
    for (const entry *e = entries; e < entries + entry_count; e++)
        times += strcmp(e->file, name) == 0;
    return times;
}

START_TEST(list_and_folders)
{
    static const char *const folders[] = {"good", "bad"};
    int files = 0;
    for (int i = 0; i < 2; i++) {
        char name[512];
        snprintf(name, sizeof name, "%s/%s", GOLDEN_FOLDER, folders[i]);
        DIR *folder = opendir(name);
        ck_assert_ptr_nonnull(folder);
        for (const struct dirent *found; (found = readdir(folder)) != NULL;) {
            if (found->d_name[0] == '.')
                continue;
            snprintf(name, sizeof name, "%s/%s", folders[i], found->d_name);
            ck_assert_msg(times_listed(name) == 1, "%s is listed %d times", name, times_listed(name));
            files++;
        }
        closedir(folder);
    }
    ck_assert_int_eq(files, entry_count); /* so every line has its file */
}
END_TEST

/* ---- what the good files hold between them ---- */

static void note_kinds(const resattn_layer *layer, const char *const *kinds, bool *seen)
{
    for (int i = 0; kinds[i]; i++)
        seen[i] |= strcmp(kinds[i], resattn_layer_kind(layer)) == 0;
    for (int32_t i = 0; i < resattn_layer_child_count(layer); i++)
        note_kinds(resattn_layer_child(layer, i), kinds, seen);
}

/* Chunks, element types (2 to 4 here), and whether the first block of a stream is stored (0) or deflated (1). */
static void note_chunks(const char *const *types, bool *seen, bool *forms)
{
    for (size_t at = 24, length = 0; at < file.size; at += 16 + length) {
        const unsigned char *chunk = file.bytes + at, *payload = chunk + 12;
        length = chunk[4] + 256U * chunk[5];
        for (int i = 0; types[i]; i++)
            seen[i] |= memcmp(types[i], chunk, 4) == 0;
        if (memcmp("TENS", chunk, 4) != 0)
            continue;
        const unsigned char *name = payload + 4 + 8 * payload[2];
        const unsigned char *stream = name + strlen((const char *)name) + 1;
        forms[1 + payload[0]] = true;
        forms[(stream[2] & 6) != 0] = true;
    }
}

START_TEST(everything_is_there)
{
    static const char *const kinds[] = {"sequential",
                                        "sum",
                                        "concat",
                                        "residual",
                                        "down_up",
                                        "attention",
                                        "conv2d",
                                        "linear",
                                        "batch_norm",
                                        "conv_transpose2d",
                                        "relu",
                                        "sigmoid",
                                        "softmax",
                                        "identity",
                                        "max_pool",
                                        "average_pool",
                                        "dropout",
                                        "bilinear_resize",
                                        "subsample",
                                        "channel_norm",
                                        "scale",
                                        "instance_norm",
                                        "global_average_pool",
                                        "x-golden-gain",
                                        NULL};
    static const char *const types[] = {"TREE", "NORM", "size", "clas", "text", "TENS", "trai",
                                        "mome", "aver", "DONE", "optm", "aBCD", "xTRA", NULL};
    bool has_kind[32] = {0}, has_chunk[32] = {0}, forms[5] = {0};
    int32_t attentions = 0;
    for (const entry *e = entries; e < entries + entry_count; e++) {
        if (strcmp(e->status, "OK") != 0)
            continue;
        read_file(e->file);
        note_chunks(types, has_chunk, forms);
        resattn_network *network = load_network(BUFFER);
        ck_assert_msg(network != NULL, "%s: %s", e->file, resattn_last_error());
        note_kinds(resattn_network_root(network), kinds, has_kind);
        attentions += resattn_network_attention_count(network);
        resattn_network_unref(network);
    }
    for (int i = 0; kinds[i]; i++)
        ck_assert_msg(has_kind[i], "no %s", kinds[i]);
    for (int i = 0; types[i]; i++)
        ck_assert_msg(has_chunk[i], "no %s", types[i]);
    for (int i = 0; i < 5; i++)
        ck_assert_msg(forms[i], "no tensor of form %d", i);
    ck_assert_int_gt(attentions, 1);
}
END_TEST

/* ---- they compute ---- */

/* The output for an image of ascending numbers; its first `count` values go to `values`. */
static void run(const char *name, int32_t height, int32_t width, float *values, int64_t count)
{
    float pixels[256];
    read_file(name);
    resattn_network *network = load_network(PATH);
    ck_assert_msg(network != NULL, "%s: %s", name, resattn_last_error());
    int32_t channels = resattn_network_in_channels(network);
    resattn_tensor *image =
        resattn_tensor_new(context, RESATTN_F32, 4, (int64_t[]){1, channels, height, width}, RESATTN_CHANNELS_LAST);
    for (int i = 0; i < 256; i++)
        pixels[i] = (float)(i + 3);
    ck_assert_int_eq(resattn_tensor_write(image, RESATTN_CHANNELS_FIRST, pixels, channels * height * width),
                     RESATTN_OK);
    resattn_plan *plan = resattn_plan_new(network, RESATTN_INFERENCE, 1, height, width);
    resattn_session *session = resattn_session_new(plan);
    ck_assert_msg(session && resattn_session_forward(session, image) == RESATTN_OK, "%s: %s", name,
                  resattn_last_error());
    ck_assert_int_eq(resattn_tensor_read(resattn_session_output(session, NULL), RESATTN_CHANNELS_FIRST, values, count),
                     RESATTN_OK);
    resattn_session_free(session);
    resattn_plan_free(plan);
    resattn_tensor_unref(image);
    resattn_network_unref(network);
}

START_TEST(forward_passes)
{
    float values[3], other[2];
    run("good/worked-example.resattn", 1, 1, values, 1);
    ck_assert_float_eq(values[0], 3 - 2 * 4 + 0.5f);
    run("good/mixed-types.resattn", 1, 1, values, 1);
    ck_assert_float_eq(values[0], 3 - 2 * 4 + 0.5f);
    run("good/every-layer.resattn", 9, 11, values, 3);
    ck_assert(isfinite(values[0]) && isfinite(values[1]) && isfinite(values[2]));
    ck_assert(values[0] != values[1] && values[1] != values[2]);
    run("good/attention-stored.resattn", 5, 4, values, 2);
    run("good/zlib-streams.resattn", 5, 4, other, 2);
    ck_assert_mem_eq(values, other, sizeof other);
    run("good/attention-f16.resattn", 5, 4, other, 2); /* of values that were rounded to 11 bits */
    for (int i = 0; i < 2; i++)
        ck_assert_float_le(fabsf(other[i] - values[i]), 0.01f * (fabsf(values[0]) + fabsf(values[1])));
}
END_TEST

static Suite *golden_suite(void)
{
    Suite *suite = suite_create("golden files");
    TCase *files = tcase_create("files");
    tcase_set_timeout(files, 50);
    tcase_add_checked_fixture(files, set_up, tear_down);
    tcase_add_test(files, good_files);
    tcase_add_test(files, bad_files);
    tcase_add_test(files, list_and_folders);
    tcase_add_test(files, everything_is_there);
    tcase_add_test(files, forward_passes);
    suite_add_tcase(suite, files);
    return suite;
}

int main(void)
{
    return test_run(golden_suite());
}
