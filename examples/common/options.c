/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Options on the command line.
 */
#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "errors.h"

int option_int(const char *option, const char *text, int32_t smallest, int32_t largest, int32_t *value)
{
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (errno || end == text || *end || number < smallest || number > largest)
        return complain("--%s is '%s', expected %d to %d", option, text, (int)smallest, (int)largest);
    *value = (int32_t)number;
    return 0;
}

int option_seed(const char *option, const char *text, uint64_t *value)
{
    char *end;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (errno || end == text || *end || !isdigit((unsigned char)text[0]))
        return complain("--%s is '%s', expected a number from 0 on", option, text);
    *value = number;
    return 0;
}

int option_real(const char *option, const char *text, double smallest, double largest, double *value)
{
    char *end;
    double number = strtod(text, &end);
    if (end == text || *end || !isfinite(number) || number < smallest || number > largest)
        return complain("--%s is '%s', expected %g to %g", option, text, smallest, largest);
    *value = number;
    return 0;
}

int options_read(int argc, char **argv, const struct option *options, const char *help, option_fn take, void *settings)
{
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'h') {
            fputs(help, stdout);
            return 1;
        }
        if (take(settings, option))
            return -1;
    }
    return 0;
}

int usage_hint(const char *command)
{
    fprintf(stderr, "Try '%s%s%s --help'.\n", program_name(), command ? " " : "", command ? command : "");
    return EXIT_USAGE;
}
