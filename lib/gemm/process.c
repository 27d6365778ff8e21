/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The public functions that start BLIS: process and contexts.
 */
#include "gemm/gemm.h"

resattn_status resattn_process_init(int32_t flags)
{
    if ((flags & ~RESATTN_PROCESS_LEAVE_BLIS) != 0)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "flags is %d, expected a sum of resattn_process_flag (0 or 1)",
                       (int)flags);
    ra_gemm_init(flags, true);
    return RESATTN_OK;
}

resattn_context *resattn_context_new(int32_t threads)
{
    ra_gemm_init(RESATTN_PROCESS_DEFAULT, false);
    return ra_context_create(threads, NULL, NULL, NULL);
}

resattn_context *resattn_context_new_with_allocator(int32_t threads, resattn_alloc_fn alloc, resattn_free_fn free,
                                                    void *user)
{
    if (alloc == NULL || free == NULL)
        return ra_fail_null(RESATTN_INVALID_ARGUMENT, "%s is NULL, expected a function",
                            alloc == NULL ? "alloc" : "free");
    ra_gemm_init(RESATTN_PROCESS_DEFAULT, false);
    return ra_context_create(threads, alloc, free, user);
}
