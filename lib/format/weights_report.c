/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What differed between a file of weights and a network.
 */
#include <stdio.h>
#include <string.h>

#include "format/safetensors.h"

enum { TOLD = 3 }; /* differences that an error message tells of, if it has room */

typedef struct difference {
    resattn_weights_problem problem;
    bool fatal;
    char *name, *text;
} difference;

struct resattn_weights_report {
    resattn_context *context; /* a share */
    difference *list;
    int32_t count, capacity;
};

resattn_weights_report *ra_report_new(resattn_context *context)
{
    resattn_weights_report *report = ra_alloc(context, 1, sizeof *report);
    if (report)
        report->context = resattn_context_ref(context);
    return report;
}

void resattn_weights_report_free(resattn_weights_report *report)
{
    if (!report)
        return;
    resattn_context *context = report->context;
    for (int32_t i = 0; i < report->count; i++) {
        ra_free(context, report->list[i].name);
        ra_free(context, report->list[i].text);
    }
    ra_free(context, report->list);
    ra_free(context, report);
    resattn_context_unref(context);
}

static char *join(resattn_context *context, const char *name, const char *sentence)
{
    size_t size = strlen(name) + strlen(sentence) + 3;
    char *text = ra_alloc(context, size, 1);
    if (text)
        snprintf(text, size, "%s: %s", name, sentence);
    return text;
}

bool ra_report_add(resattn_weights_report *report, resattn_weights_problem problem, bool fatal, const char *name,
                   const char *format, ...)
{
    char sentence[256];
    va_list arguments;
    va_start(arguments, format);
    ra_format(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    if (!ra_grow(report->context, (void **)&report->list, report->count, &report->capacity, sizeof *report->list))
        return false;
    difference added = {problem, fatal, ra_strdup(report->context, name), NULL};
    added.text = added.name ? join(report->context, name, sentence) : NULL;
    if (!added.text) {
        ra_free(report->context, added.name);
        return false;
    }
    report->list[report->count++] = added;
    return true;
}

/* "3 missing, 1 unexpected, " */
static void print_counts(const resattn_weights_report *report, char *text, size_t size)
{
    static const struct {
        resattn_weights_problem problem;
        const char *word;
    } words[] = {{RESATTN_WEIGHTS_MISSING, "missing"},
                 {RESATTN_WEIGHTS_UNEXPECTED, "unexpected"},
                 {RESATTN_WEIGHTS_WRONG_SHAPE, "of another shape"}};
    size_t length = 0;
    text[0] = '\0';
    for (int32_t w = 0; w < RA_COUNT(words); w++) {
        int32_t count = 0;
        for (int32_t i = 0; i < report->count; i++)
            count += report->list[i].fatal && report->list[i].problem == words[w].problem;
        if (count > 0)
            length += (size_t)snprintf(text + length, size - length, "%d %s, ", (int)count, words[w].word);
    }
}

resattn_status ra_report_fail(const resattn_weights_report *report)
{
    char counts[128], first[1024] = "";
    size_t length = 0;
    int32_t told = 0;
    for (int32_t i = 0; i < report->count && told < TOLD && length < sizeof first; i++)
        if (report->list[i].fatal)
            length += (size_t)snprintf(first + length, sizeof first - length, "%s%s", told++ > 0 ? "; " : "",
                                       report->list[i].text);
    print_counts(report, counts, sizeof counts);
    if (told == 0)
        return RESATTN_OK;
    return told == 1 ? ra_fail(RESATTN_SHAPE_MISMATCH, "%s", first)
                     : ra_fail(RESATTN_SHAPE_MISMATCH, "%sfirst: %s", counts, first);
}

int32_t resattn_weights_report_count(const resattn_weights_report *report)
{
    return report ? report->count : 0;
}

static const difference *at(const resattn_weights_report *report, int32_t index)
{
    return report && index >= 0 && index < report->count ? &report->list[index] : NULL;
}

resattn_weights_problem resattn_weights_report_problem(const resattn_weights_report *report, int32_t index)
{
    const difference *found = at(report, index);
    return found ? found->problem : RESATTN_WEIGHTS_NONE;
}

const char *resattn_weights_report_name(const resattn_weights_report *report, int32_t index)
{
    const difference *found = at(report, index);
    return found ? found->name : NULL;
}

const char *resattn_weights_report_text(const resattn_weights_report *report, int32_t index)
{
    const difference *found = at(report, index);
    return found ? found->text : NULL;
}
