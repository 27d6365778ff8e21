/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The `resattn` tool: one file a command. A command gets its own arguments, argv[0] being its name, and returns the
 * exit code.
 */
#ifndef EXAMPLES_TOOL_H
#define EXAMPLES_TOOL_H

#include <resattn/resattn.h>

int command_info(int argc, char **argv);
int command_train(int argc, char **argv);
int command_eval(int argc, char **argv);
int command_bench(int argc, char **argv);
int command_models(int argc, char **argv);
int command_classify(int argc, char **argv);
int command_attend(int argc, char **argv);
int command_convert(int argc, char **argv);

/* Makes a context that prints the library's warnings. NULL after printing why not. */
resattn_context *tool_context(int32_t threads, uint64_t seed);

/* What the parameters of a new network are: random, or 0 for a command that does not look at them. */
enum tool_values { TOOL_RANDOM, TOOL_ZERO };

/*
 * The network that a word on the command line stands for: the file of that name, if there is one, else a new network,
 * either a model of the library or "quickstart", with `classes` outputs (0: as published). Owned; NULL after printing
 * why not.
 */
resattn_network *tool_network(resattn_context *context, const char *name, int32_t classes, enum tool_values values);

/* The same, new networks only. */
resattn_network *tool_new_network(resattn_context *context, const char *name, int32_t classes, enum tool_values values);

/* The same, files only. */
resattn_network *tool_load(resattn_context *context, const char *path);

/* The side of the images that a network is for, as the network or the model's name tells; 0 if nothing does. */
int32_t tool_own_side(const resattn_network *network, const char *name);

/* The same, but `wanted` unless that is 0; 0 after printing that nothing tells it. */
int32_t tool_side(const resattn_network *network, const char *name, int32_t wanted);

/* The shorter side to which pictures are scaled before side x side is cut out: `wanted` unless it is 0, else `side`; 0
 * after printing that it is too short. */
int32_t tool_short_side(int32_t wanted, int32_t side);

/* info: the tree of layers with what each does to an image, and the same as a graph for Graphviz, where `every_layer`
 * is 0 with the units in one piece. The plan is the network's, for one image. Each returns 0, or -1 after printing why
 * not. */
int tool_print_tree(resattn_plan *plan, resattn_network *network);
int tool_print_graph(resattn_plan *plan, const resattn_network *network, const char *name, int every_layer);

/* info: what a file holds, without loading it. Returns 0, or -1 after printing why not. */
int tool_print_probe(const char *path);

/* info: the tree of layers as JSON; a side of 0 is one that is not known. Returns 0, or -1 after printing why not. */
int tool_print_json(resattn_network *network, const char *name, int32_t side);

#endif
