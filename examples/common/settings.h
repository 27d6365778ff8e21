/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Settings by name: one table says which there are, and is what command lines, files of lines `name = value` and
 * records of them are read by.
 */
#ifndef EXAMPLES_SETTINGS_H
#define EXAMPLES_SETTINGS_H

#include <stddef.h>
#include <stdint.h>

/* What the field at `offset` is. */
enum setting_kind {
    SETTING_TITLE, /* none: a line between the settings in the help */
    SETTING_INT,   /* int32_t */
    SETTING_SEED,  /* uint64_t */
    SETTING_REAL,  /* double; words[0], if there are words, is a name for -1 */
    SETTING_WORD,  /* int32_t: the place of the value in `words` */
    SETTING_TEXT,  /* char *, owned; NULL: not set */
    SETTING_LIST   /* struct setting_list: may be given more than once */
};

enum setting_flag {
    SETTING_OF_THIS_RUN = 1, /* is not recorded */
    SETTING_MAY_CHANGE = 2   /* may differ in a run that goes on with what another has recorded */
};

struct setting {
    const char *name;
    enum setting_kind kind;
    size_t offset;
    double smallest, largest; /* of numbers */
    const char *const *words; /* NULL at the end */
    int flags;                /* a sum of setting_flag */
    const char *argument, *help;
};

struct setting_list {
    int32_t count;
    char **texts;
};

/* A table, ended by a setting without a name, and the structure that its offsets are in. */
struct settings {
    const struct setting *table;
    void *values;
};

/* Values as they were given, before they are put in place; `where` begins a message about it: "--" or "file:3: ". */
struct given {
    const struct setting *setting;
    char *text, *where;
};

struct givens {
    int32_t count;
    struct given *items;
};

/* NULL if there is none of that name. */
const struct setting *setting_find(const struct setting *table, const char *name);

/* Each returns 0, or -1 after printing what is wrong. */
int givens_add(struct givens *givens, const struct setting *setting, const char *text, const char *where);
int givens_read_file(struct givens *givens, const struct setting *table, const char *path);
int givens_read_text(struct givens *givens, const struct setting *table, const char *name, const char *text);
void givens_free(struct givens *givens);

/* Puts all of them in place. A list replaces the one that was there before. Returns 0, or -1 after printing what is
 * wrong.
 */
int settings_take(const struct settings *settings, const struct givens *givens);

/* The settings that are recorded, as lines `name = value`, to be freed. NULL after printing why not. */
char *settings_record(const struct settings *settings);

/* The value as a line of a record has it, or all lines of a list; to be freed. NULL after printing why not. */
char *setting_text(const struct settings *settings, const struct setting *setting);

/* Frees the texts and lists. */
void settings_free(const struct settings *settings);

void settings_print_help(const struct setting *table);

#endif
