/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How messages show a tensor.
 */
#include <stdio.h>

#include "tensor/tensor.h"

void ra_tensor_describe(const resattn_tensor *tensor, char *text, size_t size)
{
    size_t length = 0;
    for (int32_t i = 0; i < tensor->rank && length < size; i++)
        length += (size_t)snprintf(text + length, size - length, "%s%lld", i ? " x " : "", (long long)tensor->shape[i]);
    if (length < size)
        snprintf(text + length, size - length, " %s", tensor->dtype == RESATTN_F32 ? "F32" : "U8");
}
