/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How the examples tell what went wrong: one line on standard error.
 */
#ifndef EXAMPLES_ERRORS_H
#define EXAMPLES_ERRORS_H

enum { EXIT_USAGE = 2 }; /* the exit code for a wrong command line; failures end with EXIT_FAILURE */

/* The name before each message: the last part of argv[0]. Call it first; the text must stay valid. */
void set_program_name(const char *path);
const char *program_name(void);

/* Prints "program: message". Always returns -1, so that `return complain(...)` reads well. */
#if defined(__GNUC__) || defined(__clang__)
__attribute__((format(printf, 1, 2)))
#endif
int complain(const char *format, ...);

/* The same for a call of the library that failed: prints resattn_last_error(). */
int complain_library(void);

#endif
