/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Numbers on the command line.
 */
#ifndef EXAMPLES_OPTIONS_H
#define EXAMPLES_OPTIONS_H

#include <stdint.h>

/* Parse `text`, the argument of --option. Each returns 0, or -1 after printing what is wrong with it. */
int option_int(const char *option, const char *text, int32_t smallest, int32_t largest, int32_t *value);
int option_seed(const char *option, const char *text, uint64_t *value);
int option_real(const char *option, const char *text, double smallest, double largest, double *value);

/* For a command line that makes no sense: prints a hint to --help of `command` (NULL: the program itself); returns the
 * exit code. */
int usage_hint(const char *command);

#endif
