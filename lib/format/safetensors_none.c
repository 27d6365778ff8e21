/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * In the place of the other safetensors_*.c in a build without a JSON library.
 */
#include "format/safetensors.h"

static resattn_status refuse(void)
{
    return ra_fail(RESATTN_UNSUPPORTED, "this build of the library has no JSON library, so no safetensors files");
}

resattn_status ra_safetensors_load(resattn_network *network, const ra_input *input, const char *prefix, int32_t flags,
                                   resattn_weights_report **report)
{
    (void)network;
    (void)input;
    (void)prefix;
    (void)flags;
    *report = NULL;
    return refuse();
}

bool ra_safetensors_read(ra_safetensors *file, ra_source *source)
{
    (void)file;
    (void)source;
    refuse();
    return false;
}

void ra_safetensors_close(ra_safetensors *file)
{
    (void)file;
}

resattn_status ra_safetensors_save(resattn_network *network, resattn_dtype type, const ra_target *target)
{
    (void)network;
    (void)type;
    refuse();
    return target->path ? ra_fail_within(target->path) : resattn_last_status();
}
