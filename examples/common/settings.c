/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Settings by name.
 */
#include "settings.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "errors.h"

const struct setting *setting_find(const struct setting *table, const char *name)
{
    for (; table->name; table++)
        if (table->kind != SETTING_TITLE && strcmp(table->name, name) == 0)
            return table;
    return NULL;
}

static void *field(const struct settings *settings, const struct setting *setting)
{
    return (char *)settings->values + setting->offset;
}

/* ---- values as they are given ---- */

int givens_add(struct givens *givens, const struct setting *setting, const char *text, const char *where)
{
    struct given *items = realloc(givens->items, ((size_t)givens->count + 1) * sizeof *items);
    if (!items)
        return complain("no memory for settings");
    givens->items = items;
    struct given *given = &items[givens->count++];
    *given = (struct given){.setting = setting, .text = strdup(text), .where = strdup(where)};
    return given->text && given->where ? 0 : complain("no memory for settings");
}

void givens_free(struct givens *givens)
{
    for (int32_t i = 0; i < givens->count; i++) {
        free(givens->items[i].text);
        free(givens->items[i].where);
    }
    free(givens->items);
    *givens = (struct givens){0};
}

static char *trim(char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    size_t length = strlen(text);
    while (length > 0 && isspace((unsigned char)text[length - 1]))
        text[--length] = '\0';
    return text;
}

/* A comment begins with # at the start of a line or after a space, so that # may be in a file's name. */
static void cut_comments(char *text)
{
    for (char *at = text; *at; at++)
        if (*at == '#' && (at == text || isspace((unsigned char)at[-1])))
            memset(at, ' ', strcspn(at, "\n"));
}

static int is_given(const struct givens *givens, const struct setting *setting)
{
    for (int32_t i = 0; i < givens->count; i++)
        if (givens->items[i].setting == setting)
            return 1;
    return 0;
}

/* `where` is "file:3: ". */
static int read_line(struct givens *givens, const struct setting *table, char *line, const char *where)
{
    char *equals = strchr(line, '=');
    if (!equals)
        return complain("%s'%s', expected name = value", where, trim(line));
    *equals = '\0';
    const char *name = trim(line), *value = trim(equals + 1);
    const struct setting *setting = setting_find(table, name);
    if (!setting)
        return complain("%sunknown setting '%s', expected one of those that --help lists, without the dashes", where,
                        name);
    if (setting->kind != SETTING_LIST && is_given(givens, setting))
        return complain("%s%s is '%s', expected it only once", where, name, value);
    return givens_add(givens, setting, value, where);
}

int givens_read_text(struct givens *givens, const struct setting *table, const char *name, const char *text)
{
    size_t room = strlen(name) + 32;
    char *copy = strdup(text), *where = malloc(room);
    int result = copy && where ? 0 : complain("%s: no memory for its lines", name);
    char *line = copy;
    for (int number = 1; !result && line; number++) {
        char *end = strchr(line, '\n');
        if (end)
            *end = '\0';
        snprintf(where, room, "%s:%d: ", name, number);
        if (*trim(line))
            result = read_line(givens, table, line, where);
        line = end ? end + 1 : NULL;
    }
    free(copy);
    free(where);
    return result;
}

/* The whole file as a text. */
static char *read_file(const char *path)
{
    enum { LARGEST = 1 << 20 };
    FILE *file = fopen(path, "rb");
    char *text = file ? calloc(1, LARGEST + 2) : NULL;
    if (!text) {
        complain("%s: %s", path, strerror(errno));
        if (file)
            fclose(file);
        return NULL;
    }
    errno = 0;
    size_t size = fread(text, 1, LARGEST + 1, file);
    int failed = ferror(file);
    if (failed)
        complain("%s: cannot be read: %s", path, strerror(errno));
    else if (size > LARGEST || strlen(text) != size)
        failed = complain("%s: not a text of at most %d bytes", path, (int)LARGEST);
    fclose(file);
    if (!failed)
        return text;
    free(text);
    return NULL;
}

int givens_read_file(struct givens *givens, const struct setting *table, const char *path)
{
    char *text = read_file(path);
    if (text)
        cut_comments(text);
    int result = text ? givens_read_text(givens, table, path, text) : -1;
    free(text);
    return result;
}

/* ---- putting them in place ---- */

static int is_number(const char *text, const char *end)
{
    return end != text && !*end && !isspace((unsigned char)*text);
}

static int take_int(int32_t *value, const struct given *given)
{
    const struct setting *setting = given->setting;
    char *end;
    errno = 0;
    long long number = strtoll(given->text, &end, 10);
    if (errno || !is_number(given->text, end) || (double)number < setting->smallest ||
        (double)number > setting->largest)
        return complain("%s%s is '%s', expected %.0f to %.0f", given->where, setting->name, given->text,
                        setting->smallest, setting->largest);
    *value = (int32_t)number;
    return 0;
}

static int take_seed(uint64_t *value, const struct given *given)
{
    char *end;
    errno = 0;
    unsigned long long number = strtoull(given->text, &end, 10);
    if (errno || !is_number(given->text, end) || !isdigit((unsigned char)given->text[0]))
        return complain("%s%s is '%s', expected a number from 0 on", given->where, given->setting->name, given->text);
    *value = number;
    return 0;
}

static int take_real(double *value, const struct given *given)
{
    const struct setting *setting = given->setting;
    const char *word = setting->words ? setting->words[0] : NULL;
    if (word && strcmp(given->text, word) == 0) {
        *value = -1;
        return 0;
    }
    char *end;
    double number = strtod(given->text, &end);
    if (!is_number(given->text, end) || !isfinite(number) || number < setting->smallest || number > setting->largest)
        return complain("%s%s is '%s', expected %g to %g%s%s", given->where, setting->name, given->text,
                        setting->smallest, setting->largest, word ? " or " : "", word ? word : "");
    *value = number;
    return 0;
}

static int take_word(int32_t *value, const struct given *given)
{
    const char *const *words = given->setting->words;
    char list[256] = "";
    for (int32_t i = 0; words[i]; i++) {
        if (strcmp(words[i], given->text) == 0) {
            *value = i;
            return 0;
        }
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", i == 0 ? "" : words[i + 1] ? ", " : " or ", words[i]);
    }
    return complain("%s%s is '%s', expected %s", given->where, given->setting->name, given->text, list);
}

static int take_text(char **value, const struct given *given)
{
    if (!*given->text)
        return complain("%s%s is empty, expected %s", given->where, given->setting->name, given->setting->argument);
    if (strchr(given->text, '\n'))
        return complain("%s%s is '%s', expected one line", given->where, given->setting->name, given->text);
    free(*value);
    *value = strdup(given->text);
    return *value ? 0 : complain("no memory for settings");
}

static void free_list(struct setting_list *list)
{
    for (int32_t i = 0; i < list->count; i++)
        free(list->texts[i]);
    free(list->texts);
    *list = (struct setting_list){0};
}

static int take_item(struct setting_list *list, const struct given *given)
{
    char **texts = realloc(list->texts, ((size_t)list->count + 1) * sizeof *texts);
    if (!texts)
        return complain("no memory for settings");
    list->texts = texts;
    texts[list->count] = NULL;
    return take_text(&texts[list->count++], given);
}

static int take(const struct settings *settings, const struct given *given)
{
    void *value = field(settings, given->setting);
    switch (given->setting->kind) {
    case SETTING_INT:
        return take_int(value, given);
    case SETTING_SEED:
        return take_seed(value, given);
    case SETTING_REAL:
        return take_real(value, given);
    case SETTING_WORD:
        return take_word(value, given);
    case SETTING_TEXT:
        return take_text(value, given);
    case SETTING_LIST:
        return take_item(value, given);
    default:
        return -1;
    }
}

int settings_take(const struct settings *settings, const struct givens *givens)
{
    for (int32_t i = 0; i < givens->count; i++)
        if (givens->items[i].setting->kind == SETTING_LIST)
            free_list(field(settings, givens->items[i].setting));
    for (int32_t i = 0; i < givens->count; i++)
        if (take(settings, &givens->items[i]))
            return -1;
    return 0;
}

/* ---- records ---- */

static void print_real(FILE *file, const struct setting *setting, double value)
{
    if (setting->words && value < setting->smallest)
        fprintf(file, "%s = %s\n", setting->name, setting->words[0]);
    else
        fprintf(file, "%s = %.17g\n", setting->name, value); /* the same number when it is read */
}

static void print_value(FILE *file, const struct settings *settings, const struct setting *setting)
{
    const void *value = field(settings, setting);
    switch (setting->kind) {
    case SETTING_INT:
        fprintf(file, "%s = %d\n", setting->name, (int)*(const int32_t *)value);
        break;
    case SETTING_SEED:
        fprintf(file, "%s = %llu\n", setting->name, (unsigned long long)*(const uint64_t *)value);
        break;
    case SETTING_REAL:
        print_real(file, setting, *(const double *)value);
        break;
    case SETTING_WORD:
        fprintf(file, "%s = %s\n", setting->name, setting->words[*(const int32_t *)value]);
        break;
    case SETTING_TEXT:
        if (*(char *const *)value)
            fprintf(file, "%s = %s\n", setting->name, *(char *const *)value);
        break;
    case SETTING_LIST: {
        const struct setting_list *list = value;
        for (int32_t i = 0; i < list->count; i++)
            fprintf(file, "%s = %s\n", setting->name, list->texts[i]);
        break;
    }
    default:
        break;
    }
}

/* All settings, or the one that is not NULL. */
static char *print_values(const struct settings *settings, const struct setting *only)
{
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    if (file) {
        for (const struct setting *setting = settings->table; setting->name; setting++)
            if (only ? setting == only : !(setting->flags & SETTING_OF_THIS_RUN))
                print_value(file, settings, setting);
        int failed = ferror(file);
        if (!fclose(file) && !failed)
            return text;
    }
    free(text);
    complain("no memory for a record of the settings");
    return NULL;
}

char *settings_record(const struct settings *settings)
{
    return print_values(settings, NULL);
}

char *setting_text(const struct settings *settings, const struct setting *setting)
{
    return print_values(settings, setting);
}

void settings_free(const struct settings *settings)
{
    for (const struct setting *setting = settings->table; setting->name; setting++) {
        if (setting->kind == SETTING_LIST)
            free_list(field(settings, setting));
        if (setting->kind == SETTING_TEXT) {
            char **text = field(settings, setting);
            free(*text);
            *text = NULL;
        }
    }
}

void settings_print_help(const struct setting *table)
{
    for (; table->name; table++) {
        if (table->kind == SETTING_TITLE) {
            printf("\n%s\n", table->name);
            continue;
        }
        char option[64];
        snprintf(option, sizeof option, "--%s %s", table->name, table->argument);
        printf("  %-28s", option);
        for (const char *at = table->help; at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL)
            printf("%*s%.*s\n", at == table->help ? 0 : 30, "", (int)strcspn(at, "\n"), at);
    }
}
