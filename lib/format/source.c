/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where a blob comes from: a buffer, a file or a callback, all seen as bytes that can be looked at before they are
 * taken.
 */
#include <string.h>

#include "format/format.h"

enum { FIRST_CAPACITY = 1 << 15 };

bool ra_source_open(ra_source *source, resattn_context *context, const ra_input *input, const char *what)
{
    *source = (ra_source){.context = context,
                          .path = input->path,
                          .read = input->read,
                          .user = input->user,
                          .data = input->bytes,
                          .available = input->size};
    if (!context || (!input->path && !input->bytes && !input->read)) {
        ra_fail(RESATTN_INVALID_ARGUMENT, "%s: the %s is NULL", what, context ? input->form : "context");
        return false;
    }
    if (!input->path)
        return true;
    source->descriptor = ra_file_open(input->path);
    source->read = ra_file_read;
    source->skip = ra_file_skip;
    source->user = &source->descriptor;
    return source->descriptor >= 0 || (ra_fail_within(input->path), false);
}

/* Room for at least one more byte behind the available ones: moves them to the front, or doubles the memory. */
static bool make_room(ra_source *source)
{
    if (source->memory && source->available < source->capacity) {
        memmove(source->memory, source->data, source->available);
        source->data = source->memory;
        return true;
    }
    if (source->capacity > SIZE_MAX / 2) {
        ra_fail(RESATTN_TOO_LARGE, "%zu bytes of the blob are needed at once", source->capacity);
        return false;
    }
    size_t larger = source->capacity ? source->capacity * 2 : FIRST_CAPACITY;
    unsigned char *memory = ra_alloc_raw(source->context, larger, 1);
    if (!memory)
        return false;
    if (source->available > 0)
        memcpy(memory, source->data, source->available);
    ra_free(source->context, source->memory);
    source->memory = memory;
    source->data = memory;
    source->capacity = larger;
    return true;
}

/* Reads once. False after an error; at the end of the input `ended` is set. */
static bool read_more(ra_source *source)
{
    size_t used = source->memory ? (size_t)(source->data - source->memory) + source->available : 0;
    if (used == source->capacity) {
        if (!make_room(source))
            return false;
        used = source->available;
    }
    size_t room = source->capacity - used;
    int64_t got = source->read(source->user, source->memory + used, room);
    if (got < 0) {
        if (source->read != ra_file_read)
            ra_fail(RESATTN_IO_ERROR, "the read callback failed with %lld at byte %llu", (long long)got,
                    (unsigned long long)(source->position + source->available));
        return false;
    }
    if ((uint64_t)got > room) {
        ra_fail(RESATTN_IO_ERROR, "the read callback says that it gave %lld bytes, expected at most %zu",
                (long long)got, room);
        return false;
    }
    source->available += (size_t)got;
    source->ended = got == 0;
    return true;
}

bool ra_source_need(ra_source *source, size_t size, const char *what)
{
    while (source->available < size) {
        if (source->read && !source->ended) {
            if (!read_more(source))
                return false;
            continue;
        }
        ra_fail(RESATTN_BAD_FORMAT, "truncated: %s at byte %llu needs %zu bytes, %zu are left", what,
                (unsigned long long)source->position, size, source->available);
        return false;
    }
    return true;
}

bool ra_source_has(ra_source *source, size_t size, bool *failed)
{
    while (source->available < size && source->read && !source->ended && !*failed)
        *failed = !read_more(source);
    return source->available >= size;
}

void ra_source_skip(ra_source *source, size_t size)
{
    source->data += size;
    source->available -= size;
    source->position += size;
    if (source->read && source->available == 0)
        source->data = source->memory;
}

bool ra_source_pass(ra_source *source, uint64_t size, const char *what)
{
    for (;;) {
        size_t here = source->available < size ? source->available : (size_t)size;
        ra_source_skip(source, here);
        size -= here;
        if (size == 0)
            return true;
        uint64_t gone = source->skip && !source->ended ? source->skip(source->user, size) : 0;
        source->position += gone;
        size -= gone;
        if (size > 0 && !ra_source_need(source, 1, what))
            return false;
    }
}

bool ra_source_pass_all(ra_source *source)
{
    bool failed = false;
    do {
        ra_source_skip(source, source->available);
        if (source->skip && !source->ended)
            source->position += source->skip(source->user, UINT64_MAX);
    } while (ra_source_has(source, 1, &failed));
    return !failed;
}

bool ra_source_at_end(ra_source *source)
{
    if (source->available == 0 && source->read && !source->ended && !read_more(source))
        return false;
    if (source->available == 0)
        return true;
    ra_fail(RESATTN_BAD_FORMAT, "damaged: something follows the blob's end at byte %llu",
            (unsigned long long)source->position);
    return false;
}

bool ra_source_close(ra_source *source, bool ok)
{
    ra_free(source->context, source->memory);
    if (source->path)
        ra_file_close(source->descriptor);
    if (source->path && !ok)
        ra_fail_within(source->path);
    return ok;
}
