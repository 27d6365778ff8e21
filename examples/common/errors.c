/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How the examples tell what went wrong.
 */
#include "errors.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <resattn/resattn.h>

static const char *program = "example";

void set_program_name(const char *path)
{
    if (!path)
        return;
    const char *slash = strrchr(path, '/');
    program = slash ? slash + 1 : path;
}

const char *program_name(void)
{
    return program;
}

int complain(const char *format, ...)
{
    va_list arguments;
    /* a line in one piece, whichever thread it comes from */
    flockfile(stderr);
    fprintf(stderr, "%s: ", program);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    funlockfile(stderr);
    return -1;
}

int complain_library(void)
{
    return complain("%s", resattn_last_error());
}
