/* SPDX-License-Identifier: BSD-3-Clause */
#include "small.h"

/* block */

int main(void)
{
    static unsigned char frame[32 * 100];
    resattn_context *context = resattn_context_new(1);
    resattn_session *session = session_of(shipped_network(context), RESATTN_INFERENCE, 1);
    MUST(!look(context, session, frame, 100));
    MUST(resattn_session_output(session, NULL));
    MUST(look(context, session, frame, 10) == RESATTN_INVALID_ARGUMENT);
    return 0;
}
