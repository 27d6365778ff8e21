/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Layers: what a kind of layer is (one table entry, one file), and the operations that it becomes in a program.
 * Uses: core, tensor, gemm, kernels.
 *
 * A new kind of layer is its file (a resattn_*_new constructor and a `const ra_layer_kind`), and its line in kinds.c.
 */
#ifndef RA_LAYER_H
#define RA_LAYER_H

#include "core/core.h"
#include "kernels/conv_forms.h"
#include "resattn/blob.h"
#include "resattn/layer.h"
#include "tensor/tensor.h"

#define RA_MAX_PARAMS 8
#define RA_MAX_SUFFIX 31        /* bytes of what a parameter or an attribute is called */
#define RA_MAX_ATTRIBUTES 24
#define RA_MAX_DIM (1 << 24)    /* largest channels, height, width, kernel */

typedef struct ra_shape {
    int32_t c, h, w;
} ra_shape;

/* ---- attributes ---- */

typedef union ra_value {
    int64_t i;
    double r;
} ra_value;

enum { RA_ATTRIBUTE_MUTABLE = 1 }; /* may be changed in a network */

/* One line a setting: it drives setters, getters, the blob and listings. Blobs store attributes by name, and only those that differ
 * from the default, so a line may be added but its name and default never change. */
typedef struct ra_attribute {
    const char *name;
    resattn_attribute_type type;
    double initial, smallest, largest;
    int32_t flags;
} ra_attribute;

#define RA_INT(name, initial, smallest, largest) {name, RESATTN_ATTRIBUTE_INT, initial, smallest, largest, 0}
#define RA_REAL(name, initial, smallest, largest) {name, RESATTN_ATTRIBUTE_REAL, initial, smallest, largest, 0}

/* ---- parameters ---- */

typedef enum ra_init {
    RA_INIT_ZERO,
    RA_INIT_ONE,
    RA_INIT_HE,      /* normal, variance 2 / fan_in */
    RA_INIT_LINEAR,  /* normal, variance 1 / fan_in */
    RA_INIT_BILINEAR /* weights of a transposed convolution */
} ra_init;

typedef struct ra_param {
    char suffix[RA_MAX_SUFFIX + 1]; /* "weight" */
    char *name;                     /* path + "." + suffix */
    int32_t index;                  /* among the network's */
    int32_t rank;
    int64_t shape[RA_MAX_RANK]; /* logical; in memory channels-last without gaps */
    int64_t elements;
    bool trained; /* false: a statistic */
    ra_init init;
    int64_t fan_in;
    float *value;
    float *gradient; /* NULL before the first training session */
    resattn_tensor value_tensor, gradient_tensor;
} ra_param;

/* ---- layers ---- */

typedef struct ra_layer_kind ra_layer_kind;

struct resattn_layer {
    const ra_layer_kind *kind;
    resattn_builder *builder; /* NULL once a network owns it */
    resattn_context *context;
    resattn_layer *previous, *next; /* all layers of the builder, or of the network */
    char *name;                     /* NULL: unnamed */
    bool absolute;                  /* the name is the whole path */
    char *path;                     /* set by the network: never NULL there, "" for an unnamed root container */
    ra_value attributes[RA_MAX_ATTRIBUTES];
    resattn_layer *parent;
    int32_t index; /* among the parent's children */
    resattn_layer **children;
    int32_t child_count, child_capacity;
    int32_t in_c, out_c; /* set by the network */
    int32_t param_count;
    ra_param *params; /* RA_MAX_PARAMS of them, NULL before the first was declared */
    char *mask_name, *trunk_name; /* attention modules in a network */
    void *instance;               /* of a kind of the host's own */
    bool declaring;               /* the host may declare parameters now */
};

struct resattn_attention {
    resattn_layer layer; /* an attention module is its layer: every layer is allocated large enough */
    bool lacks_trunk;    /* the only child is the mask */
};

/* Gives a program the operations of a tree: a layer's lower function calls these. Values are numbered. */
typedef struct ra_op_kind ra_op_kind;
typedef struct ra_lowering ra_lowering;
struct ra_lowering {
    /* Appends an operation; returns the number of its output value, or -1 with the error recorded. `target` is the size asked
     * for by a container (h, w), or NULL. */
    int32_t (*emit)(ra_lowering *lowering, const ra_op_kind *kind, const resattn_layer *layer, const int32_t *inputs,
                    int32_t input_count, const ra_shape *target);
    /* Lowers a child; returns its output value or -1. */
    int32_t (*layer)(ra_lowering *lowering, const resattn_layer *layer, int32_t input, const ra_shape *target);
    ra_shape (*shape)(const ra_lowering *lowering, int32_t value);
    /* Makes `value` known as an output under a name of the layer's. */
    bool (*name)(ra_lowering *lowering, const char *name, int32_t value);
};

struct ra_layer_kind {
    const char *name;
    const ra_attribute *attributes;
    int32_t attribute_count;
    int32_t min_children, max_children; /* 0, 0: a leaf */
    /*
     * Given layer->in_c, sets layer->out_c, and declares parameters with ra_declare(). Containers call ra_infer() for their children.
     * False with the error recorded (without the path: the caller adds it).
     */
    bool (*infer)(resattn_layer *layer);
    /* Leaves: the one operation they become. Containers: NULL, and `lower` instead. */
    const ra_op_kind *op;
    int32_t (*lower)(ra_lowering *lowering, const resattn_layer *layer, int32_t input, const ra_shape *target);
    /* Multiply-adds for one image, NULL for none. */
    int64_t (*multiply_adds)(const resattn_layer *layer, ra_shape in, ra_shape out);
    /*
     * What a layer is beside its attributes, as bytes: for kinds of the host's own, NULL for all others. Loading a layer without such
     * bytes is loading 0 of them. False with the error recorded (without the path). `end` frees it with the layer.
     */
    bool (*save)(const resattn_layer *layer, resattn_write_fn write, void *write_user);
    bool (*load)(resattn_layer *layer, const void *bytes, size_t size);
    void (*end)(resattn_layer *layer);
};

/* Makes a layer of a kind with default attributes, owned by the builder; NULL after an error (which the builder then has). */
resattn_layer *ra_layer_new(resattn_builder *builder, const ra_layer_kind *kind, const char *name);
/* For constructors: sets attribute `index` after checking its range; an error goes to the builder. NULL layer: nothing. */
void ra_layer_init_int(resattn_layer *layer, int32_t index, int64_t value);
void ra_layer_init_real(resattn_layer *layer, int32_t index, double value);
/* For constructors, at the end: the layer, or NULL where it or an attribute was refused. */
resattn_layer *ra_layer_ready(resattn_layer *layer);
/* Appends a child, with all checks; the error goes to the builder. Any container kind. */
resattn_status ra_layer_adopt(resattn_layer *container, resattn_layer *child);
/* Frees one layer, not its children. */
void ra_layer_free(resattn_layer *layer);
/* The layer after `layer` in the tree under `root`, parents before children; NULL at the end. */
resattn_layer *ra_layer_next(const resattn_layer *root, const resattn_layer *layer);
/* By kind name, NULL if unknown (no error recorded): for blobs. Kinds of the host's own are those of the context. */
const ra_layer_kind *ra_layer_kind_find(resattn_context *context, const char *name);
/* For that (custom.c). A kind that was found changes no more. */
const ra_layer_kind *ra_custom_find(resattn_context *context, const char *name);
/* Index of an attribute of the kind by name, -1 if it has none. */
int32_t ra_attribute_find(const ra_layer_kind *kind, const char *name);
/* Sets by index, with range check; the message names the layer. */
resattn_status ra_layer_set(resattn_layer *layer, int32_t index, resattn_attribute_type type, ra_value value);

static inline int32_t ra_int(const resattn_layer *layer, int32_t index)
{
    return (int32_t)layer->attributes[index].i;
}

static inline double ra_real(const resattn_layer *layer, int32_t index) { return layer->attributes[index].r; }

/* For infer: the next parameter of the layer; its values do not exist yet. False with the error recorded (TOO_LARGE,
 * OUT_OF_MEMORY). */
bool ra_declare(resattn_layer *layer, const char *suffix, bool trained, ra_init init, int64_t fan_in, int32_t rank,
                const int64_t *shape);
/* Infers a layer with in_c input channels; errors carry its path. */
bool ra_infer(resattn_layer *layer, int32_t in_c);
/* How messages call a layer: its path, else its name, else its kind. */
const char *ra_layer_label(const resattn_layer *layer);
/* For infer of containers: the error with the container's label before it. */
bool ra_infer_fail(const resattn_layer *layer, resattn_status status, const char *format, ...) RA_PRINTF(3, 4);

/* ---- builders ---- */

struct resattn_builder {
    resattn_context *context;
    resattn_layer *layers; /* list of all that it owns */
    resattn_status status;
    char error[512];
};

/* Remembers this thread's last error as the builder's, if it has none yet; returns it. */
resattn_status ra_builder_remember(resattn_builder *builder);

/* ---- operations ---- */

typedef struct ra_op ra_op;

/* What one execution of an operation gets. Images are dense channels-last, `n` of them. */
typedef struct ra_run {
    resattn_context *context;
    int32_t n;
    int32_t workers;
    bool training;          /* a training session: forward must leave `saved` for backward */
    bool again;             /* forward is to give the same bits once more and to change no statistic */
    resattn_status *status; /* set to an error, recorded with the path, where a callback of the host's fails: the run ends */
    const float *const *in; /* backward: only those that `reads` names are valid */
    float *out;             /* backward: valid only if `reads` has RA_READS_OUTPUT */
    int64_t out_row;        /* floats between pixels of out: its channels, or with RA_CAN_STRIDE more */
    float *second;          /* where ra_op.second: its result */
    const float *dout;      /* backward only, from here on */
    float *const *din;      /* NULL where nobody wants it */
    const bool *accumulate; /* din[i] already holds a part: add to it */
    bool accumulate_params;
    double statistics_step; /* forward: how far to move running statistics, 0: as the layer's momentum says */
    void *saved; /* the op's saved bytes: written by forward, read by backward */
    void *work;  /* the op's work bytes, aligned, contents undefined */
    uint64_t key; /* of random numbers: differs from step to step, the same in forward and backward of one step */
} ra_run;

enum {
    RA_READS_INPUTS = 1, /* backward reads the values of the inputs */
    RA_READS_OUTPUT = 2, /* backward reads the value of the output */
    /* forward may write its output over in[0] (same size; each element depends on the same element only) */
    RA_IN_PLACE = 4,
    /* backward may write din[0] over dout */
    RA_IN_PLACE_BACKWARD = 8,
    /* backward hands dout to every input unchanged (sum): din[i] may be dout itself, then there is nothing to do for it */
    RA_PASSES_GRADIENT = 16,
    /* `fused_relu` of the op may be set: forward ends with max(0, .), backward starts with its gradient */
    RA_CAN_FUSE_RELU = 32,
    RA_IS_RELU = 64,
    RA_IS_CONV = 128,      /* may take a following batch norm as constants, see ra_op.weight */
    RA_IS_BATCH_NORM = 256,
    RA_IS_SCALE = 512,
    RA_IS_SIGMOID = 1024,
    RA_IS_SUM = 2048,
    RA_IS_GATE = 4096,      /* trunk * (ra_op.plus + mask) */
    RA_IS_CONCAT = 8192,
    RA_CAN_FINISH = 16384,  /* a convolution that may take all of these over, see ra_op.addend */
    RA_IS_CUSTOM = 32768    /* the host's own: in inference its weights are all its parameters, see ra_op.weight */
};

struct ra_op_kind {
    const char *name;
    int32_t flags;
    /* Sets op->out_shape from op->in_shape; fails for sizes that the layer cannot take (without the path). */
    bool (*shape)(ra_op *op);
    /* Bytes kept from forward to backward, for a batch of n. NULL: none. False if too large, or with the error recorded. */
    bool (*saved)(const ra_op *op, int32_t n, size_t *bytes);
    /* Bytes of scratch, the most that forward or (if training) backward needs with up to n images. NULL: none. False as
     * above. */
    bool (*work)(const ra_op *op, int32_t n, int32_t workers, bool training, size_t *bytes);
    /* Checks that can only be made for a given run, such as too few values for statistics; before anything ran. NULL: none. */
    bool (*check)(const ra_op *op, int32_t n, bool training);
    void (*forward)(const ra_op *op, const ra_run *run);
    /* Training: makes run->out once more, the same bits, from the inputs and what was saved. For operations that cost little beside
     * those that read their output in backward: it is then not kept. NULL: it is. */
    void (*recompute)(const ra_op *op, const ra_run *run);
    /* Fills or adds to din[i] and the gradients of the layer's parameters. NULL for inference-only operations. */
    void (*backward)(const ra_op *op, const ra_run *run);
    /* RA_IS_CONV: the convolution that this operation is. In inference its weights are packed in the form ra_op.form. */
    ra_conv (*convolution)(const ra_op *op);
};

struct ra_op {
    const ra_op_kind *kind;
    const resattn_layer *layer;
    const ra_shape *in_shape;
    int32_t input_count;
    ra_shape out_shape;
    ra_shape target;  /* h, w asked for by the container, 0 if none */
    bool fused_relu;
    /*
     * Inference: constants of the session's snapshot, with the following batch norm folded in where there is one. NULL in training:
     * then the layer's parameters are read. Convolution and linear: filter and bias (may be NULL). Batch norm: weight is the
     * scale, bias the shift, y = x * weight + bias. The host's own: all parameters one after the other, each in whole lines.
     */
    const float *weight, *bias;
    bool packed; /* inference: the weight is packed in this form */
    ra_conv_form form;
    /*
     * Inference, with RA_CAN_FINISH: what follows the convolution is done by it. Numbers of the inputs that are added, and that
     * the result gates, 0 for none; and the batch norm of all that, which gives a second value or, in_place, the only one.
     */
    int32_t addend, trunk;
    bool fused_sigmoid;
    float plus; /* of gates, fused or not */
    bool second, second_relu, second_in_place;
    const float *scale, *shift;
};

#endif
