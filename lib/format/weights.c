/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Weights to and from other programs: the public functions.
 */
#include "format/safetensors.h"

static resattn_status load(resattn_network *network, const ra_input *input, const char *prefix, int32_t flags,
                           resattn_weights_report **report)
{
    const int32_t known = RESATTN_WEIGHTS_LENIENT | RESATTN_WEIGHTS_NEW_HEAD;
    if (report)
        *report = NULL;
    if (!network || (!input->path && !input->bytes))
        return ra_fail(RESATTN_INVALID_ARGUMENT, "load weights: the %s is NULL", network ? input->form : "network");
    if (flags & ~known)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "load weights: flags is %d, expected 0 to %d", (int)flags, (int)known);
    if (!ra_network_take(network, "loading weights"))
        return resattn_last_status();
    resattn_weights_report *list;
    resattn_status status = ra_safetensors_load(network, input, prefix ? prefix : "", flags, &list);
    ra_network_give(network);
    if (report)
        *report = list;
    else
        resattn_weights_report_free(list);
    return status == RESATTN_OK || !input->path ? status : ra_fail_within(input->path);
}

resattn_status resattn_network_load_weights(resattn_network *network, const char *path, const char *prefix,
                                            int32_t flags, resattn_weights_report **report)
{
    return load(network, &(ra_input){.form = "path", .path = path}, prefix, flags, report);
}

resattn_status resattn_network_load_weights_buffer(resattn_network *network, const void *bytes, size_t size,
                                                   const char *prefix, int32_t flags, resattn_weights_report **report)
{
    return load(network, &(ra_input){.form = "buffer", .bytes = bytes, .size = size}, prefix, flags, report);
}

static resattn_status save(resattn_network *network, resattn_dtype type, const ra_target *target)
{
    if (!ra_may_write("save weights", network, 0, target))
        return resattn_last_status();
    return ra_number_type_is_known(type) ? ra_safetensors_save(network, type, target) : ra_fail_within("save weights");
}

resattn_status resattn_network_save_weights(resattn_network *network, const char *path, resattn_dtype type)
{
    return save(network, type, &(ra_target){.form = "path", .path = path});
}

resattn_status resattn_network_save_weights_buffer(resattn_network *network, resattn_dtype type, void **bytes,
                                                   size_t *size)
{
    return save(network, type, &(ra_target){.form = "buffer", .bytes = bytes, .size = size});
}

resattn_status resattn_network_save_weights_stream(resattn_network *network, resattn_dtype type, resattn_write_fn write,
                                                   void *user)
{
    return save(network, type, &(ra_target){.form = "callback", .write = write, .user = user});
}
