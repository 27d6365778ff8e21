/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The calling thread's last error, and formatting of messages. Fixed buffers, so that reporting never fails.
 */
#include "core/core.h"

#include <locale.h>
#include <stdio.h>
#include <string.h>

typedef struct last_error {
    resattn_status status;
    char message[512];
} last_error;

static _Thread_local last_error last;
static _Thread_local uint32_t failures; /* recorded so far */

/* Cuts a text that fills its buffer before a UTF-8 character that is not whole. */
static void cut_at_character(char *text)
{
    size_t length = strlen(text);
    size_t start = length;
    while (start > 0 && ((unsigned char)text[start - 1] & 0xC0) == 0x80)
        start--;
    if (start == 0)
        return;
    unsigned char lead = (unsigned char)text[start - 1];
    size_t needed = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : lead >= 0xC0 ? 1 : 0;
    if (length - start < needed)
        text[start - 1] = '\0';
}

/* A message is one line, whatever the names in it. */
static void mask_controls(char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = '?';
}

/* The calling thread's locale becomes C's, whatever the host's is, so that messages read the same everywhere: "0.5", not
 * "0,5". To be given back by leave_c_locale(); 0 where the system has none. */
static locale_t enter_c_locale(locale_t *before)
{
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0); /* a static object in common C libraries */
    if (c != (locale_t)0)
        *before = uselocale(c);
    return c;
}

static void leave_c_locale(locale_t c, locale_t before)
{
    if (c == (locale_t)0)
        return;
    uselocale(before);
    freelocale(c);
}

void ra_system_reason(int error, char *text, size_t size)
{
    locale_t before = (locale_t)0, c = enter_c_locale(&before);
    if (strerror_r(error, text, size) != 0)
        snprintf(text, size, "error %d", error);
    leave_c_locale(c, before);
}

void ra_format(char *buffer, size_t size, const char *format, va_list arguments)
{
    locale_t before = (locale_t)0, c = enter_c_locale(&before);
    int length = vsnprintf(buffer, size, format, arguments);
    leave_c_locale(c, before);
    if (length < 0)
        buffer[0] = '\0';
    else if ((size_t)length >= size)
        cut_at_character(buffer);
    mask_controls(buffer);
}

/* Formats into a buffer of its own first: the arguments may be the message before. */
static resattn_status record(resattn_status status, const char *format, va_list arguments)
{
    char message[sizeof last.message];
    ra_format(message, sizeof message, format, arguments);
    memcpy(last.message, message, sizeof message);
    failures++;
    last.status = status;
    return status;
}

resattn_status ra_fail(resattn_status status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    record(status, format, arguments);
    va_end(arguments);
    return status;
}

void *ra_fail_null(resattn_status status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    record(status, format, arguments);
    va_end(arguments);
    return NULL;
}

resattn_status ra_fail_within(const char *prefix)
{
    return ra_fail(last.status, "%s: %s", prefix, last.message);
}

uint32_t ra_failures(void)
{
    return failures;
}

resattn_status resattn_last_status(void)
{
    return last.status;
}

const char *resattn_last_error(void)
{
    return last.message;
}

void resattn_clear_error(void)
{
    last = (last_error){.status = RESATTN_OK};
}

resattn_status resattn_fail(resattn_status status, const char *message)
{
    if (message == NULL)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "fail: the message is NULL");
    if (status >= RESATTN_OK || status < RESATTN_HOST_ERROR)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "fail: the status is %d, expected %d to -1", (int)status,
                       RESATTN_HOST_ERROR);
    return ra_fail(status, "%s", message);
}

const char *resattn_status_text(resattn_status status)
{
    switch (status) {
    case RESATTN_OK:
        return "no error";
    case RESATTN_OUT_OF_MEMORY:
        return "out of memory";
    case RESATTN_INVALID_ARGUMENT:
        return "invalid argument";
    case RESATTN_SHAPE_MISMATCH:
        return "shapes or types do not match";
    case RESATTN_TOO_LARGE:
        return "too large";
    case RESATTN_WRONG_STATE:
        return "not possible in this state";
    case RESATTN_BUSY:
        return "in use by another thread";
    case RESATTN_NOT_FOUND:
        return "not found";
    case RESATTN_DUPLICATE:
        return "used twice";
    case RESATTN_IO_ERROR:
        return "reading or writing failed";
    case RESATTN_BAD_FORMAT:
        return "not a blob, or a damaged one";
    case RESATTN_UNSUPPORTED:
        return "not supported";
    case RESATTN_INTERNAL:
        return "internal error";
    case RESATTN_HOST_ERROR:
        return "a callback of the host's failed";
    }
    return "unknown status";
}

int32_t resattn_version(void)
{
    return RESATTN_VERSION;
}
