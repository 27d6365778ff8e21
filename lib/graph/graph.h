/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Programs: a layer tree lowered to a flat list of operations on numbered values, rewritten for its purpose, with a plan of
 * the memory and the code that runs it.
 * Uses: core, tensor, gemm, kernels, layers.
 *
 * Time, for lifetimes: the forward pass of node i is at i, the host gives gradients at `node_count`, step s of the backward pass is
 * at node_count + 1 + s, and RA_FOREVER is after all of that.
 */
#ifndef RA_GRAPH_H
#define RA_GRAPH_H

#include "layers/layer.h"

#define RA_FOREVER INT32_MAX

/* Inputs that fusing may add to an operation: what is added, and what is gated. */
#define RA_FUSED_INPUTS 2

typedef struct ra_node ra_node;
struct ra_node {
    ra_op op;
    int32_t *inputs; /* value numbers, op.input_count of them */
    int32_t output;
    /* Inference: the batch norm and the factor folded into this convolution's weights, and the batch norm that makes the second
     * value (-1 if there is none, or it takes the place of the first). */
    const resattn_layer *norm;
    double factor;
    const resattn_layer *second_norm;
    int32_t second;
    /* Filled by the memory plan. */
    int32_t backward; /* the time of its backward pass, -1: it has none */
    int32_t last;     /* the last time that it runs */
    bool *accumulate; /* for each input: its gradient already holds a part */
    int32_t saved;    /* storage number, -1 for none */
    /* Filled by ra_memory_bind(). */
    const float **in;
    const float **backward_in; /* set while backward runs: where its inputs are now */
    float **din;
    float *out, *dout, *second_out;
    void *saved_memory;
};

typedef struct ra_node_value {
    ra_shape shape;
    int32_t producer; /* node, -1 for the input (value 0) */
    bool kept;        /* an output of the session */
    bool wants_gradient;
    /* Inference: the concatenation that this value is written into, -1 for none, and the channel where it begins there. */
    int32_t whole, channel;
    int32_t row; /* floats between its pixels */
    int32_t storage, gradient_storage; /* -1 for none */
    float *now;                        /* while backward runs: where it is, or was made once more */
} ra_node_value;

/* A step of the backward pass: a node's backward pass, or making its output once more. */
typedef struct ra_step {
    int32_t node;
    bool again;
    /* Of what is made once more: */
    int32_t source;  /* the step that made the node's first input once more, -1 if that is kept */
    int32_t last;    /* the last time that it is needed */
    int32_t storage;
    float *out;
} ra_step;

typedef struct ra_name {
    const char *name; /* borrowed from the layer */
    int32_t value;
} ra_name;

/* What a layer of the tree has become: the value that it gives, and the nodes from `first` up to and without `end`. */
typedef struct ra_place {
    const resattn_layer *layer;
    int32_t value, first, end;
} ra_place;

/* A piece of the arena: bytes, the first and last time it is in use, and where the plan puts it. */
typedef struct ra_storage {
    size_t bytes;
    int32_t first, last;
    size_t offset;
} ra_storage;

typedef struct ra_program {
    resattn_context *context;
    bool training;
    bool input_gradient;
    /* Inference: what limits the choice of a convolution's form, and who makes it. */
    ra_conv_mode mode;
    ra_conv_form (*choose)(void *data, const ra_node *node, const ra_conv *conv, ra_conv_mode mode);
    void *choose_data;
    ra_node *nodes;
    int32_t node_count, node_capacity;
    ra_node_value *values; /* value 0 is the input */
    int32_t value_count, value_capacity;
    int32_t output; /* the root's value */
    ra_name *names;
    int32_t name_count, name_capacity;
    ra_place *places; /* as lowered: rewriting the program does not keep them right */
    int32_t place_count, place_capacity;
    ra_storage *storages;
    int32_t storage_count, storage_capacity;
    bool recompute; /* training: backward may make more values once more than the cheap ones */
    ra_step *steps; /* the backward pass */
    int32_t step_count, step_capacity;
    int32_t slice;      /* images that it runs at once: of inference, as many as keep its values in the cache */
    size_t arena_bytes; /* all storages together */
    size_t work_bytes;
} ra_program;

/* Lowers the tree for images of height x width. NULL with the error recorded, with the layer's path. */
ra_program *ra_program_new(resattn_context *context, const resattn_layer *root, int32_t height, int32_t width,
                           bool training);
void ra_program_free(ra_program *program);
void ra_node_free(resattn_context *context, ra_node *node); /* what the node holds, not the node */

/* The value known under a name, NULL if there is none (no error recorded). */
const ra_name *ra_program_find(const ra_program *program, const char *name);

/* The last name of a value, NULL if it has none. */
const char *ra_program_name(const ra_program *program, int32_t value);

/* What a layer has become, NULL if it is not in the tree (no error recorded). */
const ra_place *ra_program_place(const ra_program *program, const resattn_layer *layer);

/* Multiply-adds of one image's forward pass: of the nodes from `first` up to and without `end`. */
int64_t ra_program_multiply_adds(const ra_program *program, int32_t first, int32_t end);

/*
 * Rewrites the program, once, after the outputs are marked as kept. Inference: batch norms and scales are folded into
 * convolutions before them, ReLU into what can end with it; sums, sigmoids, gates and the batch norms after these become the last
 * steps of a convolution before them; each convolution gets its form. Training: ReLU into batch norms.
 */
void ra_program_fuse(ra_program *program);

/* For ra_program_fuse() (finish.c): the second half of it, for inference. */
void ra_program_finish(ra_program *program);
/* The node that reads a value if exactly one does, once, else -1 (fuse.c). */
int32_t ra_only_reader(const ra_program *program, int32_t value);
/* Marks a node as gone (fuse.c). */
void ra_node_drop(ra_program *program, int32_t index);
/* The node gives the value of node `index` instead of its own, and that one is gone (fuse.c). */
void ra_node_take_over(ra_program *program, ra_node *node, int32_t index);

/* Sets the slice for up to `batch` images, gives every value, gradient and saved piece its place in one arena for so many, and
 * finds out the scratch that is needed. Once, after fusing. */
resattn_status ra_memory_plan(ra_program *program, int32_t batch, int32_t workers);

/*
 * For ra_memory_plan() (schedule.c): the steps of the backward pass, where values that are `dropped` after forward are made once
 * more before they are needed. `last_read` is of each value's data as forward leaves it, and is extended by what backward reads
 * there. False with the error recorded.
 */
bool ra_schedule(ra_program *program, const bool *dropped, int32_t *last_read);
/* Whether a value costs little to make once more: backward may then do so as often as it needs it (schedule.c). */
bool ra_is_cheap(const ra_program *program, int32_t value);
/* The time of a step (schedule.c). */
int32_t ra_step_time(const ra_program *program, int32_t step);

/* For ra_memory_plan() (recompute.c): what backward may make once more, so that forward leaves little. NULL with the error recorded. */
typedef struct ra_choice ra_choice;
ra_choice *ra_choice_new(const ra_program *program, int32_t batch);
void ra_choice_free(ra_choice *choice);
/* The smallest limit, in bytes, for which ra_choice_make() finds something. */
double ra_choice_least(ra_choice *choice);
/* Sets dropped[] of every value so that what is kept, and what is made once more at one time, are within the limit. */
void ra_choice_make(ra_choice *choice, double limit, bool *dropped);

/* Sets the nodes' pointers into an arena of arena_bytes and a scratch of work_bytes. */
void ra_memory_bind(ra_program *program, char *arena);

/* Where a value and its gradient are, once bound. */
float *ra_value_data(const ra_program *program, char *arena, int32_t value);
float *ra_value_gradient(const ra_program *program, char *arena, int32_t value);

/* What is common to the runs of one session. */
typedef struct ra_execution {
    ra_program *program;
    char *work;
    int32_t n;
    uint64_t key;           /* of this step */
    const float *input;     /* the input value's data: the arena's, or the host's own in inference */
    bool accumulate_params;
    double statistics_step; /* see ra_run */
    double *seconds;        /* of each node, added to where not NULL */
} ra_execution;

/* Whether a batch of n can be run: false with the error recorded. */
bool ra_program_check(const ra_program *program, int32_t n);
/* Both end with the error of a callback of the host's that fails, recorded. The gradients of the kept values must be in place
 * for backward. */
resattn_status ra_program_forward(const ra_execution *execution);
resattn_status ra_program_backward(const ra_execution *execution);

#endif
