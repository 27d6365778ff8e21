/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Texts in JSON, and in UTF-8.
 */
#ifndef EXAMPLES_JSON_H
#define EXAMPLES_JSON_H

#include <stdio.h>

/* Writes a text in quotes, escaped as RFC 8259 asks for. Bytes that are not UTF-8 become U+FFFD. */
void json_text(FILE *file, const char *text);

/* How many bytes the UTF-8 character at `text` has, 0 if there is none. */
int utf8_character(const unsigned char *text);

#endif
