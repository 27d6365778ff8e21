/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * resattn train: the network to begin with.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "errors.h"
#include "tool.h"
#include "train.h"

/* Where a trained network keeps what it was made from, so that it can be made again for other classes. */
static const char model_key[] = "resattn.model", model_settings_key[] = "resattn.model.settings";

/* ---- settings of models ---- */

/* The names of values from 1 on. */
static const struct {
    const char *setting;
    const char *values[4];
} value_names[] = {
    {"learning", {"residual", "naive"}},
    {"activation", {"mixed", "channel", "spatial"}},
    {"mask", {"bottom-up-top-down", "local"}},
    {"up_sampling", {"bilinear", "transposed"}},
    {"unit", {"residual", "resnext", "inception"}},
    {"stem", {"imagenet", "cifar"}},
    {"shortcut", {"subsample", "projection"}},
};

enum { NAMED = sizeof value_names / sizeof value_names[0] };

const char *train_split(const char *setting, const char *text, char *name, size_t size)
{
    const char *equals = strrchr(text, '=');
    if (!equals || equals == text || !equals[1] || (size_t)(equals - text) >= size) {
        complain("--%s is '%s', expected a name, '=' and a value", setting, text);
        return NULL;
    }
    memcpy(name, text, (size_t)(equals - text));
    name[equals - text] = '\0';
    return equals + 1;
}

/* The value of a name or number. Returns 0, or -1 after printing what was expected. */
static int parse_value(const char *setting, const char *text, int32_t *value)
{
    char expected[128] = "a whole number";
    for (int i = 0; i < NAMED; i++) {
        if (strcmp(value_names[i].setting, setting) != 0)
            continue;
        expected[0] = '\0';
        for (int32_t k = 0; k < 4 && value_names[i].values[k]; k++) {
            if (strcmp(value_names[i].values[k], text) == 0) {
                *value = k + 1;
                return 0;
            }
            size_t used = strlen(expected);
            snprintf(expected + used, sizeof expected - used, "%s%s (%d)", k ? ", " : "", value_names[i].values[k],
                     (int)k + 1);
        }
    }
    char *end;
    errno = 0;
    long number = strtol(text, &end, 10);
    if (errno || end == text || *end || number < INT32_MIN || number > INT32_MAX)
        return complain("--set %s is '%s', expected %s", setting, text, expected);
    *value = (int32_t)number;
    return 0;
}

static int set_one(resattn_model_config *config, const char *text)
{
    char name[64];
    int32_t value = 0;
    const char *text_value = train_split("set", text, name, sizeof name);
    if (!text_value || parse_value(name, text_value, &value))
        return -1;
    return resattn_model_config_set_int(config, name, value) ? complain("--set %s: %s", text, resattn_last_error()) : 0;
}

static resattn_network *build(resattn_context *context, const resattn_model_config *config, int32_t classes)
{
    resattn_builder *builder = resattn_builder_new(context);
    resattn_layer *root = builder ? resattn_model_config_build(config, builder, classes) : NULL;
    resattn_network *network = resattn_network_new(builder, root, 3);
    if (!network)
        complain_library();
    resattn_builder_free(builder);
    return network;
}

/* Notes what a network was made from. */
static int note_model(resattn_network *network, const char *model, const struct setting_list *set)
{
    char lines[2048] = "";
    for (int32_t i = 0; i < set->count; i++) {
        size_t used = strlen(lines);
        if (used + strlen(set->texts[i]) + 2 > sizeof lines)
            return complain("--set: %d settings, expected fewer", (int)set->count);
        snprintf(lines + used, sizeof lines - used, "%s\n", set->texts[i]);
    }
    if (resattn_network_set_text(network, model_key, model) ||
        resattn_network_set_text(network, model_settings_key, lines[0] ? lines : NULL))
        return complain_library();
    return 0;
}

static resattn_network *make(resattn_context *context, const char *model, const struct setting_list *set,
                             int32_t classes)
{
    resattn_network *network = NULL;
    if (set->count == 0) {
        network = tool_new_network(context, model, classes, TOOL_RANDOM);
    } else {
        resattn_model_config *config = resattn_model_config_new(context, model);
        int result = config ? 0 : complain("--set: %s", resattn_last_error());
        for (int32_t i = 0; i < set->count && !result; i++)
            result = set_one(config, set->texts[i]);
        network = result ? NULL : build(context, config, classes);
        resattn_model_config_free(config);
    }
    if (network && note_model(network, model, set)) {
        resattn_network_unref(network);
        return NULL;
    }
    return network;
}

/* ---- weights of another network ---- */

/* The path of the layer that a parameter belongs to. */
static size_t layer_length(const char *parameter)
{
    const char *dot = strrchr(parameter, '.');
    return dot ? (size_t)(dot - parameter) : 0;
}

/* Whether a parameter is of the last layer that has any. */
static int is_of_head(const resattn_network *network, const char *name)
{
    const char *last = resattn_network_parameter_name(network, resattn_network_parameter_count(network) - 1);
    size_t length = layer_length(last);
    return layer_length(name) == length && strncmp(name, last, length) == 0;
}

static int same_shape(const resattn_tensor *one, const resattn_tensor *other)
{
    int same = resattn_tensor_rank(one) == resattn_tensor_rank(other);
    for (int32_t i = 0; i < resattn_tensor_rank(one) && same; i++)
        same = resattn_tensor_size(one, i) == resattn_tensor_size(other, i);
    return same;
}

/* Takes all values over but those of a last layer of another shape. */
static int copy_weights(resattn_network *network, resattn_network *from, const char *path)
{
    if (resattn_network_parameter_count(from) != resattn_network_parameter_count(network))
        return complain("%s: %d parameters, expected %d: it is another network than --model says", path,
                        (int)resattn_network_parameter_count(from), (int)resattn_network_parameter_count(network));
    for (int32_t i = 0; i < resattn_network_parameter_count(network); i++) {
        const char *name = resattn_network_parameter_name(network, i);
        int32_t other = resattn_network_find_parameter(from, name);
        if (other < 0)
            return complain("%s: without %s: it is another network than --model says", path, name);
        resattn_tensor *target = resattn_network_parameter(network, i);
        const resattn_tensor *source = resattn_network_parameter(from, other);
        if (!same_shape(target, source)) {
            if (is_of_head(network, name))
                continue;
            return complain("%s: %s has another shape: it is another network than --model says", path, name);
        }
        if (resattn_tensor_copy(target, source))
            return complain_library();
    }
    return 0;
}

/* How bytes become numbers goes with the weights. */
static int copy_normalization(resattn_network *network, const resattn_network *from)
{
    float mean[3], deviation[3];
    for (int32_t c = 0; c < 3; c++) {
        mean[c] = resattn_network_mean(from, c);
        deviation[c] = resattn_network_deviation(from, c);
    }
    if (resattn_network_set_input_size(network, resattn_network_input_height(from),
                                       resattn_network_input_width(from)) ||
        resattn_network_set_normalization(network, mean, deviation, 3))
        return complain_library();
    return 0;
}

/* The settings that a trained network has noted, as a list over `text`, which is cut. */
static void read_list(struct setting_list *list, char *text, char *texts[], int32_t most)
{
    list->texts = texts;
    for (char *line = text; line && *line && list->count < most;) {
        char *end = strchr(line, '\n');
        texts[list->count++] = line;
        if (end)
            *end++ = '\0';
        line = end;
    }
}

static resattn_network *make_again(resattn_context *context, const struct train_settings *settings,
                                   resattn_network *loaded, int32_t classes)
{
    enum { MOST = 64 };
    char *texts[MOST], lines[2048] = "";
    struct setting_list set = {0};
    const char *noted = resattn_network_text(loaded, model_settings_key);
    const char *model = settings->model ? settings->model : resattn_network_text(loaded, model_key);
    if (!model) {
        complain(
            "%s: %d classes, but the images have %d; to begin with a new last layer, tell by --model which network "
            "it is",
            settings->load, (int)resattn_network_out_channels(loaded), (int)classes);
        return NULL;
    }
    if (!settings->model && noted) {
        snprintf(lines, sizeof lines, "%s", noted);
        read_list(&set, lines, texts, MOST);
    }
    resattn_network *network = make(context, model, settings->model ? &settings->set : &set, classes);
    if (network && (copy_weights(network, loaded, settings->load) || copy_normalization(network, loaded))) {
        resattn_network_unref(network);
        return NULL;
    }
    return network;
}

resattn_network *train_network(resattn_context *context, const struct train_settings *settings, resattn_network *loaded,
                               int32_t classes)
{
    if (!loaded)
        return make(context, settings->model, &settings->set, classes);
    if (!settings->model && resattn_network_out_channels(loaded) == classes)
        return resattn_network_ref(loaded);
    return make_again(context, settings, loaded, classes);
}
