/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Options on the command line.
 */
#ifndef EXAMPLES_OPTIONS_H
#define EXAMPLES_OPTIONS_H

#include <stdint.h>

/* Parse `text`, the argument of --option. Each returns 0, or -1 after printing what is wrong with it. */
int option_int(const char *option, const char *text, int32_t smallest, int32_t largest, int32_t *value);
int option_seed(const char *option, const char *text, uint64_t *value);
int option_real(const char *option, const char *text, double smallest, double largest, double *value);

struct option; /* getopt.h */

/* Does what option `option` (its `val`, the argument in optarg) asks for. Returns 0, or -1 after printing why not; -1
 * for one that it does not know, of which getopt_long() has told. */
typedef int (*option_fn)(void *settings, int option);

/* Gives all options to `take`, but 'h', for which it prints `help`. Returns 0 to go on with argv[optind], 1 after help,
 * -1 after printing what is wrong. */
int options_read(int argc, char **argv, const struct option *options, const char *help, option_fn take, void *settings);

/* For a command line that makes no sense: prints a hint to --help of `command` (NULL: the program itself); returns the
 * exit code. */
int usage_hint(const char *command);

#endif
