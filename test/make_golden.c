/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Made the golden files and makes further ones: make_golden FOLDER > LIST. See golden/README.md.
 */
#include "make_golden.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char *top;
static int wrong;

void make_golden_need(bool holds, const char *what, const char *file, int line)
{
    if (holds)
        return;
    fprintf(stderr, "%s:%d: %s: %s\n", file, line, what, resattn_last_error());
    exit(1);
}

/* ---- files ---- */

static void write_missing(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "wbx");
    if (!file)
        return;
    NEED(fwrite(bytes, 1, size, file) == size);
    NEED(fclose(file) == 0);
    fprintf(stderr, "new: %s, %zu bytes\n", path, size);
}

static bool describe(const char *path, bool is_checkpoint, char line[GOLDEN_LINE])
{
    resattn_network *network = NULL;
    resattn_optimizer *optimizer = NULL;
    resattn_ema *average = NULL;
    if (is_checkpoint)
        resattn_checkpoint_load(context, path, &network, &optimizer, &average);
    else
        network = resattn_network_load(context, path);
    bool loads = network != NULL;
    if (loads)
        NEED(is_checkpoint ? golden_describe_training(optimizer, average, line) : golden_describe(network, line));
    resattn_ema_free(average);
    resattn_optimizer_free(optimizer);
    resattn_network_unref(network);
    return loads;
}

static void put_file(const char *folder, const char *name, const void *bytes, size_t size, resattn_status status,
                     const char *words)
{
    char path[1024], line[GOLDEN_LINE] = "";
    snprintf(path, sizeof path, "%s/%s/%s.resattn", top, folder, name);
    write_missing(path, bytes, size);
    resattn_clear_error();
    bool loads = describe(path, strncmp(name, GOLDEN_CHECKPOINT, strlen(GOLDEN_CHECKPOINT)) == 0, line);
    const char *message = resattn_last_error();
    if (strncmp(message, path, strlen(path)) == 0)
        message += strlen(path); /* where the words may stand too */
    if (resattn_last_status() != status || (!loads && !strstr(message, words))) {
        fprintf(stderr, "%s: %s: %s; expected %s: %s\n", path, golden_status(resattn_last_status()), message,
                golden_status(status), words);
        wrong++;
    }
    printf("%s/%s.resattn %s %s\n", folder, name, golden_status(status), status == RESATTN_OK ? line : words);
}

void put_good(const char *name, const void *bytes, size_t size)
{
    put_file("good", name, bytes, size, RESATTN_OK, "");
}

void put_bad(const char *name, const void *bytes, size_t size, resattn_status status, const char *words)
{
    put_file("bad", name, bytes, size, status, words);
}

void put_bad_blob(const char *name, const blob *b, resattn_status status, const char *words)
{
    size_t size;
    unsigned char *bytes = blob_join(b, &size);
    put_bad(name, bytes, size, status, words);
    free(bytes);
}

/* ---- networks ---- */

void fill_network(resattn_network *network)
{
    uint32_t state = 1;
    for (int32_t i = 0; i < resattn_network_parameter_count(network); i++) {
        const char *name = resattn_network_parameter_name(network, i);
        resattn_tensor *tensor = resattn_network_parameter(network, i);
        bool is_variance = strstr(name, "running_var") != NULL;
        int64_t count = resattn_tensor_elements(tensor);
        float *values = malloc((size_t)count * sizeof *values);
        NEED(values != NULL);
        for (int64_t k = 0; k < count; k++) {
            state = state * 1664525u + 1013904223u;
            float value = (float)(state >> 8) / 8388608.0f - 1;
            values[k] = is_variance ? 0.5f + value * value : value;
        }
        NEED(resattn_tensor_write(tensor, RESATTN_CHANNELS_FIRST, values, count) == RESATTN_OK);
        free(values);
    }
}

resattn_network *finish_network(resattn_builder *builder, resattn_layer *root, int32_t channels)
{
    resattn_network *network = resattn_network_new(builder, root, channels);
    NEED(network != NULL);
    resattn_builder_free(builder);
    fill_network(network);
    return network;
}

size_t stream_of(const blob_chunk *tensor)
{
    size_t name = 4 + 8 * (size_t)tensor->payload[2];
    return name + strlen((const char *)tensor->payload + name) + 1;
}

/* ---- checkpoints ---- */

static void train(resattn_network *network, resattn_optimizer *optimizer, resattn_ema *average)
{
    const int32_t labels[] = {0, 1};
    const float pixels[] = {0.5f, -1, 2, 0.25f};
    resattn_tensor *images =
        resattn_tensor_new(context, RESATTN_F32, 4, (int64_t[]){2, 2, 1, 1}, RESATTN_CHANNELS_LAST);
    resattn_plan *plan = resattn_plan_new(network, RESATTN_TRAINING, 2, 1, 1);
    resattn_session *session = resattn_session_new(plan);
    NEED(session && resattn_tensor_write(images, RESATTN_CHANNELS_FIRST, pixels, 4) == RESATTN_OK);
    for (int step = 0; step < 2; step++) {
        NEED(resattn_session_forward(session, images) == RESATTN_OK);
        NEED(resattn_softmax_cross_entropy(session, labels, 2, NULL, NULL) == RESATTN_OK);
        NEED(resattn_session_backward(session) == RESATTN_OK);
        NEED(resattn_optimizer_step(optimizer) == RESATTN_OK);
        NEED(!average || resattn_ema_update(average) == RESATTN_OK);
    }
    resattn_session_free(session);
    resattn_plan_free(plan);
    resattn_tensor_unref(images);
}

/* Without a batch norm: one layer with one parameter. */
static resattn_network *trained_network(bool has_norm)
{
    resattn_builder *b = resattn_builder_new(context);
    resattn_layer *net = resattn_linear_new(b, "fc", 2);
    if (has_norm) {
        resattn_layer *all = resattn_sequential_new(b, NULL);
        resattn_layer_add(all, resattn_batch_norm_new(b, "bn"));
        resattn_layer_add(all, net);
        net = all;
    } else {
        NEED(resattn_layer_set_int(net, "bias", 0) == RESATTN_OK);
    }
    return finish_network(b, net, 2);
}

void *make_checkpoint(bool adamw, bool has_norm, size_t *size)
{
    resattn_network *network = trained_network(has_norm);
    resattn_optimizer *optimizer = adamw ? resattn_adamw_new(network, 0.0625) : resattn_sgd_new(network, 0.125);
    resattn_ema *average = adamw ? resattn_ema_new(network, 0.75) : NULL;
    NEED(resattn_optimizer_set_real(optimizer, "clip_norm", 0.5) == RESATTN_OK);
    NEED(resattn_optimizer_set_real(optimizer, adamw ? "beta2" : "momentum", 0.75) == RESATTN_OK);
    NEED(resattn_optimizer_set_factor(optimizer, "fc", "weight_decay", 0.5) == RESATTN_OK);
    NEED(!has_norm || resattn_optimizer_set_factor(optimizer, "bn.bias", "rate", 2) == RESATTN_OK);
    train(network, optimizer, average);
    void *bytes;
    NEED(resattn_checkpoint_save_buffer(optimizer, average, 0, &bytes, size) == RESATTN_OK);
    resattn_ema_free(average);
    resattn_optimizer_free(optimizer);
    resattn_network_unref(network);
    return bytes;
}

/* ---- all of it ---- */

/* What it shares with the tests asserts, which only works within one. */
START_TEST(make_all)
{
    context = resattn_context_new(1);
    NEED(golden_define(context));
    make_good();
    make_bad();
    make_bad_trees();
    resattn_context_unref(context);
}
END_TEST

static int run(void)
{
    Suite *suite = suite_create("make_golden");
    TCase *all = tcase_create("all");
    tcase_add_test(all, make_all);
    suite_add_tcase(suite, all);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_SILENT);
    int failed = srunner_ntests_failed(runner);
    if (failed > 0) {
        TestResult **failures = srunner_failures(runner);
        fprintf(stderr, "%s:%d: %s\n", tr_lfile(failures[0]), tr_lno(failures[0]), tr_msg(failures[0]));
        free(failures);
    }
    srunner_free(runner);
    return failed;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s FOLDER > LIST\n", argv[0]);
        return 2;
    }
    top = argv[1];
    const char *const folders[] = {"", "/good", "/bad"};
    for (int i = 0; i < 3; i++) {
        char path[1024];
        snprintf(path, sizeof path, "%s%s", top, folders[i]);
        mkdir(path, 0777);
    }
    return run() > 0 || wrong > 0;
}
