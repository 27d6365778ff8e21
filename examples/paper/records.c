/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rows of runs.
 */
#include "records.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "errors.h"

enum { FIELDS = 15, LINE = 512 };

static const char header[] = "network,noise,seed,data,images,tests,epochs,parameters,multiply_adds,error,response1,"
                             "response2,response3,overlap,cut\n";

void records_close(struct records *records)
{
    free(records->rows);
    memset(records, 0, sizeof *records);
}

/* Cuts a line at its commas. Returns 0, or -1 if that does not give FIELDS pieces. */
static int split(char *line, char *fields[FIELDS])
{
    for (int i = 0; i < FIELDS; i++) {
        char *end = line + strcspn(line, i + 1 < FIELDS ? ",\n" : ",\r\n");
        if (*end != (i + 1 < FIELDS ? ',' : '\n') && *end != '\r')
            return -1;
        *end = '\0';
        fields[i] = line;
        line = end + 1;
    }
    return 0;
}

static int64_t whole(const char *text, int *wrong)
{
    char *end;
    long long value = strtoll(text, &end, 10);
    *wrong |= end == text || *end || value < 0;
    return value;
}

static int32_t small(const char *text, int *wrong)
{
    int64_t value = whole(text, wrong);
    *wrong |= value > INT32_MAX;
    return *wrong ? 0 : (int32_t)value;
}

static double real(const char *text, int *wrong)
{
    char *end;
    double value = strtod(text, &end);
    *wrong |= end == text || *end;
    return value;
}

/* Returns 0, or -1 for a line that is no row. Changes the line. */
static int parse(struct record *record, char *line)
{
    char *f[FIELDS];
    int wrong = 0;
    if (split(line, f))
        return -1;
    memset(record, 0, sizeof *record);
    struct run *run = &record->run;
    snprintf(run->network, sizeof run->network, "%s", f[0]);
    run->noise = small(f[1], &wrong);
    run->seed = small(f[2], &wrong);
    snprintf(run->data, sizeof run->data, "%s", f[3]);
    run->images = small(f[4], &wrong);
    run->tests = small(f[5], &wrong);
    run->epochs = small(f[6], &wrong);
    record->parameters = whole(f[7], &wrong);
    record->multiply_adds = whole(f[8], &wrong);
    record->error = real(f[9], &wrong);
    for (int i = 0; i < PAPER_STAGES; i++)
        record->response[i] = real(f[10 + i], &wrong);
    record->overlap = *f[13] ? real(f[13], &wrong) : -1;
    snprintf(record->cut, sizeof record->cut, "%s", f[14]);
    return wrong ? -1 : 0;
}

static void print(char line[LINE], const struct record *record)
{
    const struct run *run = &record->run;
    char overlap[32] = "";
    if (record->overlap >= 0)
        snprintf(overlap, sizeof overlap, "%.4f", record->overlap);
    snprintf(line, LINE, "%s,%d,%d,%s,%d,%d,%d,%lld,%lld,%.2f,%.5g,%.5g,%.5g,%s,%s\n", run->network, (int)run->noise,
             (int)run->seed, run->data, (int)run->images, (int)run->tests, (int)run->epochs,
             (long long)record->parameters, (long long)record->multiply_adds, record->error, record->response[0],
             record->response[1], record->response[2], overlap, record->cut);
}

static struct record *new_row(struct records *records)
{
    if (records->count == records->capacity) {
        int32_t capacity = records->capacity ? 2 * records->capacity : 64;
        struct record *rows = realloc(records->rows, (size_t)capacity * sizeof *rows);
        if (!rows) {
            complain("no memory for %d rows", (int)capacity);
            return NULL;
        }
        records->rows = rows;
        records->capacity = capacity;
    }
    return &records->rows[records->count];
}

static int read_rows(struct records *records, FILE *file)
{
    char line[LINE];
    for (int number = 1; fgets(line, sizeof line, file); number++) {
        if (number == 1) {
            if (strcmp(line, header) != 0)
                return complain("%s: the first line is '%.40s...', expected the columns %s", records->path, line,
                                header);
            continue;
        }
        struct record *row = new_row(records);
        if (!row)
            return -1;
        if (parse(row, line))
            return complain("%s: line %d is no row of %d values: remove it, and its run is made again", records->path,
                            number, (int)FIELDS);
        records->count++;
    }
    return ferror(file) ? complain("%s: %s", records->path, strerror(errno)) : 0;
}

int records_open(struct records *records, const char *path)
{
    memset(records, 0, sizeof *records);
    records->path = path;
    FILE *file = fopen(path, "r");
    if (!file)
        return errno == ENOENT ? 0 : complain("%s: %s", path, strerror(errno));
    int result = read_rows(records, file);
    fclose(file);
    if (result)
        records_close(records);
    return result;
}

int run_equal(const struct run *a, const struct run *b)
{
    return strcmp(a->network, b->network) == 0 && strcmp(a->data, b->data) == 0 && a->noise == b->noise &&
           a->seed == b->seed && a->images == b->images && a->tests == b->tests && a->epochs == b->epochs;
}

const struct record *records_find(const struct records *records, const struct run *run)
{
    for (int32_t i = 0; i < records->count; i++)
        if (run_equal(&records->rows[i].run, run))
            return &records->rows[i];
    return NULL;
}

int records_add(struct records *records, const struct record *record)
{
    char line[LINE];
    struct record *row = new_row(records);
    if (!row)
        return -1;
    FILE *file = fopen(records->path, "a");
    if (!file)
        return complain("%s: %s", records->path, strerror(errno));
    print(line, record);
    /* At the end of a file that is open for appending, the position is its size. */
    int failed =
        fseek(file, 0, SEEK_END) != 0 || (ftell(file) == 0 && fputs(header, file) < 0) || fputs(line, file) < 0;
    failed = fclose(file) != 0 || failed;
    if (failed)
        return complain("%s: %s", records->path, strerror(errno));
    /* The row as the file has it, so that tables do not depend on which runs were made in this process. */
    parse(row, line);
    records->count++;
    return 0;
}
