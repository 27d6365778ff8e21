/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * resattn info --probe: what a file holds, without loading it.
 */
#include <stdio.h>

#include "errors.h"
#include "layer_text.h"
#include "tool.h"

/* The file's own words may hold anything: nothing of it reaches the terminal but letters. */
static void print_masked(const char *text)
{
    for (int i = 0; text[i] && i < 200; i++)
        putchar((unsigned char)text[i] < 0x20 || text[i] == 0x7F ? '?' : text[i]);
}

static void print_number(const char *what, const resattn_probe *probe, resattn_probe_fact fact)
{
    char text[GROUPED_BYTES];
    printf("%-18s %s\n", what, grouped(resattn_probe_number(probe, fact), text));
}

static void print_network(const resattn_probe *probe)
{
    static const char *const types[] = {"mixed", "float32", "float16", "bfloat16"};
    char height[GROUPED_BYTES], width[GROUPED_BYTES];
    int64_t storage = resattn_probe_number(probe, RESATTN_PROBE_STORAGE);
    print_number("format", probe, RESATTN_PROBE_VERSION);
    print_number("layers", probe, RESATTN_PROBE_LAYERS);
    print_number("attention modules", probe, RESATTN_PROBE_ATTENTIONS);
    print_number("trained values", probe, RESATTN_PROBE_TRAINABLE_VALUES);
    printf("%-18s %s\n", "saved as", types[storage < 4 ? storage : 0]);
    print_number("input channels", probe, RESATTN_PROBE_IN_CHANNELS);
    print_number("output channels", probe, RESATTN_PROBE_OUT_CHANNELS);
    if (resattn_probe_number(probe, RESATTN_PROBE_INPUT_HEIGHT))
        printf("%-18s %s x %s\n", "input", grouped(resattn_probe_number(probe, RESATTN_PROBE_INPUT_HEIGHT), height),
               grouped(resattn_probe_number(probe, RESATTN_PROBE_INPUT_WIDTH), width));
    print_number("class names", probe, RESATTN_PROBE_CLASSES);
    for (int32_t i = 0; resattn_probe_text_key(probe, i); i++) {
        const char *key = resattn_probe_text_key(probe, i);
        printf("text: ");
        print_masked(key);
        printf(": ");
        print_masked(resattn_probe_text(probe, key));
        putchar('\n');
    }
}

int tool_print_probe(const char *path)
{
    static const char *const formats[] = {"", "blob", "checkpoint", "safetensors"};
    resattn_context *context = tool_context(0, 0);
    if (!context)
        return -1;
    resattn_probe *probe = resattn_probe_new(context, path);
    if (!probe) {
        complain_library();
    } else {
        printf("%-18s %s", "file", formats[resattn_probe_format(probe)]);
        if (resattn_probe_optimizer(probe)) {
            printf(" of a training with ");
            print_masked(resattn_probe_optimizer(probe));
            printf("%s", resattn_probe_number(probe, RESATTN_PROBE_AVERAGE) ? " and an average" : "");
        }
        putchar('\n');
        print_number("bytes", probe, RESATTN_PROBE_FILE_BYTES);
        print_number("memory to load it", probe, RESATTN_PROBE_MEMORY);
        print_number("tensors", probe, RESATTN_PROBE_TENSORS);
        print_number("values", probe, RESATTN_PROBE_VALUES);
        if (resattn_probe_format(probe) != RESATTN_FORMAT_SAFETENSORS)
            print_network(probe);
    }
    int result = probe ? 0 : -1;
    resattn_probe_free(probe);
    resattn_context_unref(context);
    return result;
}
