/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Facts about the library and the machine.
 */
#include <string.h>
#include <zlib.h>

#include "core/core.h"
#include "gemm/gemm.h"

static const char *version(void) { return RESATTN_PROJECT_VERSION; }

static const char *cpu_level(void) { return ra_cpu_level_name(ra_cpu()); }

static const struct {
    const char *key;
    const char *(*text)(void);
} facts[] = {
    {"version", version},
    {"cpu", ra_cpu_name},
    {"cpu.features", ra_cpu_features},
    {"cpu.level", cpu_level},
    {"blis.version", ra_gemm_version},
    {"blis.variant", ra_gemm_variant},
    {"blis.family", ra_gemm_family},
    {"blis.reason", ra_gemm_reason},
    {"zlib.version", zlibVersion},
};

const char *resattn_info(const char *key)
{
    for (int32_t i = 0; key && i < RA_COUNT(facts); i++)
        if (!strcmp(facts[i].key, key))
            return facts[i].text();
    return NULL;
}
