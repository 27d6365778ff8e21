/* SPDX-License-Identifier: BSD-3-Clause */
#include "small.h"

/* block */

int main(void)
{
    resattn_context *context = resattn_context_new(1);
    MUST(!log_to(context, stdout));
    resattn_session_free(session_of(shipped_network(context), RESATTN_INFERENCE, 1));
    return 0;
}
