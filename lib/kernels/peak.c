/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The fastest that the micro-kernels run.
 */
#include "kernels/conv_forms_internal.h"

enum {
    ROWS = 84, /* a multiple of every level's micro-tile */
    DEPTH = 64,
    TASK_RUNS = 200,
    ROUNDS = 10
};

typedef struct peak_worker {
    float a[ROWS * DEPTH], panel[DEPTH * RA_PANEL], c[ROWS * RA_PANEL];
} peak_worker;

static void run_products(void *data, int32_t index, int32_t worker)
{
    peak_worker *mine = (peak_worker *)data + worker;
    ra_product product = {.rows = ROWS,
                          .depth = DEPTH,
                          .columns = RA_PANEL,
                          .a = mine->a,
                          .a_row = DEPTH,
                          .panels = mine->panel,
                          .c = mine->c,
                          .c_row = RA_PANEL};
    (void)index;
    for (int32_t i = 0; i < TASK_RUNS; i++)
        ra_micro_kernels()->product(&product);
}

double ra_micro_peak(resattn_context *context)
{
    int32_t workers = ra_workers(context);
    peak_worker *memory = ra_alloc(context, (size_t)workers, sizeof *memory);
    if (!memory)
        return -1;
    double best = 0;
    for (int32_t round = 0; round < ROUNDS; round++) {
        int64_t begin = ra_nanoseconds();
        ra_parallel_workers(context, run_products, memory);
        double time = 1e-9 * (double)(ra_nanoseconds() - begin),
               products = (double)workers * TASK_RUNS * ROWS * DEPTH * RA_PANEL;
        if (time > 0 && products / time > best)
            best = products / time;
    }
    ra_free(context, memory);
    return best;
}
