/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Texts in JSON.
 */
#ifndef EXAMPLES_JSON_H
#define EXAMPLES_JSON_H

#include <stdio.h>

/* Writes a text in quotes, escaped as RFC 8259 asks for. Bytes that are not UTF-8 become U+FFFD. */
void json_text(FILE *file, const char *text);

#endif
