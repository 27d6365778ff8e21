/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Texts in JSON.
 */
#include "json.h"

#include <stdint.h>

/* Too long forms, surrogates and what is beyond U+10FFFF are no characters. */
int utf8_character(const unsigned char *text)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    if (text[0] < 0x80)
        return 1;
    int bytes = text[0] >= 0xF0 ? 4 : text[0] >= 0xE0 ? 3 : 2;
    if (text[0] < 0xC0 || text[0] > 0xF7)
        return 0;
    uint32_t code = text[0] & (0xFFU >> (bytes + 1));
    for (int i = 1; i < bytes; i++) {
        if ((text[i] & 0xC0) != 0x80)
            return 0;
        code = code << 6 | (text[i] & 0x3F);
    }
    return code < smallest[bytes] || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF) ? 0 : bytes;
}

void json_text(FILE *file, const char *text)
{
    fputc('"', file);
    for (const unsigned char *at = (const unsigned char *)text; *at;) {
        int bytes = utf8_character(at);
        if (bytes == 0) {
            fputs("\\ufffd", file);
            bytes = 1;
        } else if (*at == '"' || *at == '\\') {
            fprintf(file, "\\%c", *at);
        } else if (*at < ' ') {
            fprintf(file, "\\u%04x", *at);
        } else {
            fwrite(at, 1, (size_t)bytes, file);
        }
        at += bytes;
    }
    fputc('"', file);
}
