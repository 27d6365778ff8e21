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

/* Makes a context that prints the library's warnings. NULL after printing why not. */
resattn_context *tool_context(int32_t threads, uint64_t seed);

/*
 * The network that a word on the command line stands for: the file of that name, if there is one, else a new network,
 * either a model of the library or "quickstart", with `classes` outputs (0: as published). Owned; NULL after printing
 * why not.
 */
resattn_network *tool_network(resattn_context *context, const char *name, int32_t classes);

/* The same, files only. */
resattn_network *tool_load(resattn_context *context, const char *path);

/* The side of the images that a network is for: `wanted` unless it is 0, else what network or model name tells; 0 after
 * printing that nothing does. */
int32_t tool_side(const resattn_network *network, const char *name, int32_t wanted);

#endif
