/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Weights to and from other programs: the public functions.
 */
#include "format/safetensors.h"

resattn_status resattn_network_load_weights(resattn_network *network, const char *path, const char *prefix,
                                            int32_t flags, resattn_weights_report **report)
{
    const int32_t known = RESATTN_WEIGHTS_LENIENT | RESATTN_WEIGHTS_NEW_HEAD;
    if (report)
        *report = NULL;
    if (!network || !path)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "load weights: the %s is NULL", network ? "path" : "network");
    if (flags & ~known)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "load weights: flags is %d, expected 0 to %d", (int)flags, (int)known);
    if (!ra_network_take(network, "loading weights"))
        return resattn_last_status();
    resattn_weights_report *list;
    resattn_status status = ra_safetensors_load(network, path, prefix ? prefix : "", flags, &list);
    ra_network_give(network);
    if (report)
        *report = list;
    else
        resattn_weights_report_free(list);
    return status == RESATTN_OK ? RESATTN_OK : ra_fail_within(path);
}

resattn_status resattn_network_save_weights(resattn_network *network, const char *path, resattn_dtype type)
{
    if (!network || !path)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "save weights: the %s is NULL", network ? "path" : "network");
    if (!ra_number_type_is_known(type))
        return ra_fail_within("save weights");
    if (!ra_network_read(network, "saving weights"))
        return resattn_last_status();
    resattn_status status = ra_safetensors_save(network, path, type);
    ra_network_unshare(network);
    return status == RESATTN_OK ? RESATTN_OK : ra_fail_within(path);
}
