/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The masks of a network's attention modules, as maps.
 */
#include "mask_maps.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "classifier.h"
#include "errors.h"
#include "top.h"

static struct mask_numbers numbers_of(const float *values, size_t count)
{
    struct mask_numbers numbers = {0, 0, values[0], values[0]};
    double squares = 0;
    for (size_t i = 0; i < count; i++) {
        numbers.smallest = fminf(numbers.smallest, values[i]);
        numbers.largest = fmaxf(numbers.largest, values[i]);
        numbers.mean += values[i];
    }
    numbers.mean /= (double)count;
    for (size_t i = 0; i < count; i++)
        squares += (values[i] - numbers.mean) * (values[i] - numbers.mean);
    numbers.deviation = sqrt(squares / (double)count);
    return numbers;
}

/* `all` is channels x height x width. */
static int take_map(struct mask_map *map, const struct module_maps *module, const float *all, int32_t channel)
{
    size_t pixels = (size_t)module->height * (size_t)module->width, channels = (size_t)module->channels;
    map->channel = channel;
    map->values = calloc(pixels, sizeof *map->values);
    if (!map->values)
        return complain("no memory for a mask of %d x %d", (int)module->height, (int)module->width);
    if (channel != MASK_MEAN) {
        memcpy(map->values, all + (size_t)channel * pixels, pixels * sizeof *all);
    } else {
        for (size_t i = 0; i < pixels; i++) {
            double sum = 0;
            for (size_t c = 0; c < channels; c++)
                sum += all[c * pixels + i];
            map->values[i] = (float)(sum / (double)channels);
        }
    }
    map->numbers = numbers_of(map->values, pixels);
    return 0;
}

static int take_top(struct module_maps *module, const float *all)
{
    size_t pixels = (size_t)module->height * (size_t)module->width;
    float *deviations = calloc((size_t)module->channels, sizeof *deviations);
    int32_t *top = calloc((size_t)module->count, sizeof *top);
    int result = deviations && top ? 0 : complain("no memory for %d channels", (int)module->channels);
    for (int32_t c = 0; c < module->channels && !result; c++)
        deviations[c] = (float)numbers_of(all + (size_t)c * pixels, pixels).deviation;
    if (!result)
        top_classes(deviations, module->channels, module->count, top);
    for (int32_t i = 0; i < module->count && !result; i++)
        result = take_map(&module->maps[i], module, all, top[i]);
    free(top);
    free(deviations);
    return result;
}

static int take_maps(struct module_maps *module, const float *all, const struct mask_choice *choice)
{
    int32_t count = choice->top < 1 ? 1 : choice->top < module->channels ? choice->top : module->channels;
    if (choice->top < 1 && choice->channel >= module->channels)
        return complain("%s has no channel %d, expected 0 to %d", module->name, (int)choice->channel,
                        (int)module->channels - 1);
    module->maps = calloc((size_t)count, sizeof *module->maps);
    if (!module->maps)
        return complain("no memory for %d maps", (int)count);
    module->count = count;
    return choice->top < 1 ? take_map(module->maps, module, all, choice->channel) : take_top(module, all);
}

static int read_module(struct module_maps *module, resattn_session *session, int32_t index,
                       const struct mask_choice *choice)
{
    module->name = resattn_attention_mask_name(resattn_network_attention(resattn_session_network(session), index));
    const resattn_tensor *mask = resattn_session_output(session, module->name);
    if (!mask)
        return complain_library();
    module->channels = (int32_t)resattn_tensor_size(mask, 1);
    module->height = (int32_t)resattn_tensor_size(mask, 2);
    module->width = (int32_t)resattn_tensor_size(mask, 3);
    int64_t elements = resattn_tensor_elements(mask);
    float *all = calloc((size_t)elements, sizeof *all);
    if (!all)
        return complain("no memory for a mask of %lld values", (long long)elements);
    int result = resattn_tensor_read(mask, RESATTN_CHANNELS_FIRST, all, elements) ? complain_library() : 0;
    if (!result) {
        module->numbers = numbers_of(all, (size_t)module->channels * (size_t)module->height * (size_t)module->width);
        result = take_maps(module, all, choice);
    }
    free(all);
    return result;
}

int mask_maps_read(struct mask_maps *maps, resattn_session *session, const struct mask_choice *choice)
{
    memset(maps, 0, sizeof *maps);
    int32_t count = resattn_network_attention_count(resattn_session_network(session));
    maps->modules = calloc((size_t)count, sizeof *maps->modules);
    if (!maps->modules)
        return complain("no memory for the masks of %d modules", (int)count);
    maps->count = count;
    int result = 0;
    for (int32_t i = 0; i < count && !result; i++)
        result = read_module(&maps->modules[i], session, i, choice);
    if (result)
        mask_maps_free(maps);
    return result;
}

void mask_maps_free(struct mask_maps *maps)
{
    for (int32_t i = 0; i < maps->count; i++) {
        for (int32_t k = 0; k < maps->modules[i].count; k++)
            free(maps->modules[i].maps[k].values);
        free(maps->modules[i].maps);
    }
    free(maps->modules);
    memset(maps, 0, sizeof *maps);
}
