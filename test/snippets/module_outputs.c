/* SPDX-License-Identifier: BSD-3-Clause */
#include "small.h"

int main(void)
{
    resattn_context *context = resattn_context_new(1);
    resattn_network *network = shipped_network(context);
    resattn_tensor *image = some_images(context, 1);
    /* block */
    MUST(mask);
    MUST(resattn_tensor_size(mask, 1) == 16 && resattn_tensor_size(mask, 2) == 32);
    resattn_session_free(session);
    resattn_plan_free(plan);
    resattn_tensor_unref(image);
    resattn_network_unref(network);
    resattn_context_unref(context);
    return 0;
}
