/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Experiments share runs: each is made once.
 */
#include "experiments.h"

#include <math.h>
#include <stdio.h>

static const struct experiment_row depth[] = {
    {"1 module a stage, residual", "residual-1", 0},  {"1 module a stage, naive", "naive-1", 0},
    {"2 modules a stage, residual", "residual-2", 0}, {"2 modules a stage, naive", "naive-2", 0},
    {"3 modules a stage, residual", "residual-3", 0}, {"3 modules a stage, naive", "naive-3", 0},
};

static const struct experiment_row activation[] = {
    {"mixed: sigmoid", "residual-1", 0},
    {"channel: length 1 over the channels", "channel-1", 0},
    {"spatial: normalised map, sigmoid", "spatial-1", 0},
    {"none: the mask branch as it is", "none-1", 0},
    {"no mask branches", "trunk-1", 0},
};

static const struct experiment_row structure[] = {
    {"bottom-up top-down", "residual-1", 0},
    {"local", "local-1", 0},
};

static const struct experiment_row noise[] = {
    {"clean labels, attention", "quickstart", 0}, {"clean labels, ResNet", "resnet", 0},
    {"10 % wrong, attention", "quickstart", 10},  {"10 % wrong, ResNet", "resnet", 10},
    {"30 % wrong, attention", "quickstart", 30},  {"30 % wrong, ResNet", "resnet", 30},
    {"50 % wrong, attention", "quickstart", 50},  {"50 % wrong, ResNet", "resnet", 50},
    {"70 % wrong, attention", "quickstart", 70},  {"70 % wrong, ResNet", "resnet", 70},
};

static const struct experiment_row supervision[] = {
    {"by classes alone", "quickstart", 0},
    {"with targets for the masks", "quickstart-masks", 0},
};

#define ROWS(table) (int32_t)(sizeof(table) / sizeof *(table)), table

static const struct experiment experiments[] = {
    {"depth", "Residual and naive attention learning", COLUMNS_ERROR, 1, ROWS(depth)},
    {"activation", "Mask activation", COLUMNS_ERROR, 1, ROWS(activation)},
    {"structure", "Mask structure", COLUMNS_ERROR, 1, ROWS(structure)},
    {"noise", "Wrong labels", COLUMNS_ERROR, 3, ROWS(noise)},
    {"response", "Mean absolute response", COLUMNS_RESPONSE, 1, ROWS(depth)},
    {"supervision", "Targets for the masks", COLUMNS_OVERLAP, 1, ROWS(supervision)},
};

const struct experiment *experiment_at(int32_t index)
{
    int32_t count = (int32_t)(sizeof experiments / sizeof *experiments);
    return index >= 0 && index < count ? &experiments[index] : NULL;
}

struct run experiment_run(const struct experiment *experiment, int32_t row, const struct run *like, int32_t seed)
{
    struct run run = *like;
    snprintf(run.network, sizeof run.network, "%s", experiment->rows[row].network);
    run.noise = experiment->rows[row].noise;
    run.epochs *= experiment->longer;
    run.seed = seed;
    return run;
}

/* ---- tables ---- */

enum { MEASURES = 5 };

/* What a column may show. */
static double measure(const struct record *record, int32_t which)
{
    if (which < PAPER_STAGES)
        return record->response[which];
    return which == PAPER_STAGES ? record->error : record->overlap;
}

static const struct {
    const char *head, *line;
    int first, last;
} columns_table[] = {
    [COLUMNS_ERROR] = {"test error, %", " ---: |", PAPER_STAGES, PAPER_STAGES},
    [COLUMNS_RESPONSE] = {"stage 1 | stage 2 | stage 3", " ---: | ---: | ---: |", 0, PAPER_STAGES - 1},
    [COLUMNS_OVERLAP] = {"test error, % | overlap", " ---: | ---: |", PAPER_STAGES, PAPER_STAGES + 1},
};

struct summary {
    int32_t count;
    int64_t parameters, multiply_adds;
    double mean[MEASURES], deviation[MEASURES];
};

/* The rows of the file that belong to one of the table, at most `seeds`; returns how many. */
static int32_t find_rows(const struct record **found, const struct experiment *experiment, int32_t row,
                         const struct records *records, const struct run *like, int32_t seeds)
{
    int32_t count = 0;
    for (int32_t seed = 1; seed <= seeds; seed++) {
        struct run run = experiment_run(experiment, row, like, seed);
        const struct record *record = records_find(records, &run);
        if (record)
            found[count++] = record;
    }
    return count;
}

static void summarize(struct summary *summary, const struct record *const *found, int32_t count)
{
    *summary =
        (struct summary){.count = count, .parameters = found[0]->parameters, .multiply_adds = found[0]->multiply_adds};
    for (int32_t which = 0; which < MEASURES; which++) {
        double sum = 0, squares = 0;
        for (int32_t i = 0; i < count; i++)
            sum += measure(found[i], which);
        double mean = summary->mean[which] = sum / count;
        for (int32_t i = 0; i < count; i++)
            squares += (measure(found[i], which) - mean) * (measure(found[i], which) - mean);
        summary->deviation[which] = count > 1 ? sqrt(squares / (count - 1)) : 0;
    }
}

/* Responses may be of any size; an overlap is below 1. */
static void print_value(const char *before, int which, double value)
{
    if (which < PAPER_STAGES)
        printf("%s%.3g", before, value);
    else
        printf("%s%.*f", before, which == PAPER_STAGES ? 2 : 3, value);
}

void experiment_print(const struct experiment *experiment, const struct records *records, const struct run *run,
                      int32_t seeds)
{
    int columns = (int)experiment->columns;
    const struct record *rows[EXPERIMENT_SEEDS];
    printf("\n%s (`%s`; %d epochs of %d images, %d test images, %d %s)\n\n", experiment->title, experiment->name,
           (int)(experiment->longer * run->epochs), (int)run->images, (int)run->tests, (int)seeds,
           seeds > 1 ? "seeds" : "seed");
    printf("| | run | parameters | multiply-adds, 10^6 | %s |\n| --- | --- | ---: | ---: |%s\n",
           columns_table[columns].head, columns_table[columns].line);
    for (int32_t i = 0; i < experiment->count; i++) {
        struct summary summary;
        const struct experiment_row *row = &experiment->rows[i];
        int32_t found = find_rows(rows, experiment, i, records, run, seeds);
        if (found == 0)
            continue;
        summarize(&summary, rows, found);
        printf("| %s | %s", row->title, row->network);
        if (row->noise > 0)
            printf(", %d %%", (int)row->noise);
        printf(" | %lld | %.2f |", (long long)summary.parameters, (double)summary.multiply_adds * 1e-6);
        for (int k = columns_table[columns].first; k <= columns_table[columns].last; k++) {
            print_value(" ", k, summary.mean[k]);
            if (summary.count > 1)
                print_value(" ± ", k, summary.deviation[k]);
            printf(" |");
        }
        putchar('\n');
    }
}
