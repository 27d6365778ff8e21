/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Limits: what a file may ask for, and how much memory a context may have. All of them stand in the table below.
 */
#include "core/core.h"

/* The largest values are those that reading needs itself: what its arrays have room for, what a count can be. */
static const struct {
    char name[16]; /* as messages and docs/security.md call it */
    int64_t initial, largest;
} table[RA_LIMITS] = {
    [RESATTN_LIMIT_MEMORY] = {"memory", INT64_MAX, INT64_MAX},
    [RESATTN_LIMIT_PARAMETERS] = {"parameters", INT64_C(1) << 32, INT64_MAX},
    [RESATTN_LIMIT_TENSORS] = {"tensors", 400000, 1 << 24},
    [RESATTN_LIMIT_ELEMENTS] = {"elements", 1 << 30, INT64_MAX},
    [RESATTN_LIMIT_RANK] = {"rank", 64, 64},
    [RESATTN_LIMIT_NAME] = {"name", RA_MAX_NAME, RA_MAX_NAME},
    [RESATTN_LIMIT_DEPTH] = {"depth", RA_MAX_DEPTH, RA_MAX_DEPTH},
    [RESATTN_LIMIT_LAYERS] = {"layers", RA_MAX_LAYERS, RA_MAX_LAYERS},
    [RESATTN_LIMIT_TEXTS] = {"texts", RA_MAX_TEXTS, RA_MAX_TEXTS},
    [RESATTN_LIMIT_TEXT] = {"text", RA_MAX_TEXT, RA_MAX_TEXT},
    [RESATTN_LIMIT_CLASSES] = {"classes", 1 << 17, 1 << 24},
    [RESATTN_LIMIT_CHUNK] = {"chunk", RA_MAX_CHUNK, RA_MAX_CHUNK},
    [RESATTN_LIMIT_HEADER] = {"header", 1 << 24, RA_MAX_HEADER},
    [RESATTN_LIMIT_INFLATION] = {"inflation", INT64_C(2) * RA_INFLATE_MOST, INT64_C(2) * RA_INFLATE_MOST},
};

static bool is_known(resattn_limit limit)
{
    return (int)limit > RESATTN_LIMIT_NONE && (int)limit < RA_LIMITS;
}

void ra_limits_begin(resattn_context *context)
{
    for (int i = 0; i < RA_LIMITS; i++)
        context->limits[i] = table[i].initial;
}

int64_t ra_limit(const resattn_context *context, resattn_limit limit)
{
    return context->limits[limit];
}

bool ra_limit_fits(const resattn_context *context, resattn_limit limit, uint64_t asked, const char *what)
{
    if (asked <= (uint64_t)context->limits[limit])
        return true;
    ra_fail(RESATTN_TOO_LARGE, "%.200s asks for %llu, the limit '%s' is %lld", what, (unsigned long long)asked,
            table[limit].name, (long long)context->limits[limit]);
    return false;
}

resattn_status resattn_context_set_limit(resattn_context *context, resattn_limit limit, int64_t value)
{
    if (context == NULL)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "limit: the context is NULL");
    if (!is_known(limit))
        return ra_fail(RESATTN_INVALID_ARGUMENT, "limit is %d, expected 1 to %d", (int)limit, RA_LIMITS - 1);
    if (value < 0 || value > table[limit].largest)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "the limit '%s' is %lld, expected 1 to %lld, or 0 for %lld",
                       table[limit].name, (long long)value, (long long)table[limit].largest,
                       (long long)table[limit].initial);
    context->limits[limit] = value == 0 ? table[limit].initial : value;
    return RESATTN_OK;
}

int64_t resattn_context_limit(const resattn_context *context, resattn_limit limit)
{
    return context != NULL && is_known(limit) ? context->limits[limit] : 0;
}
