/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sessions for networks that classify pictures.
 */
#ifndef EXAMPLES_OPEN_SESSION_H
#define EXAMPLES_OPEN_SESSION_H

#include <resattn/resattn.h>

/* The name of the output that is the mask of an attention module. */
const char *mask_name(const resattn_network *network, int32_t module);

enum session_flags {
    SESSION_MASKS = 1,    /* the masks of all attention modules can be asked of it */
    SESSION_RECOMPUTE = 2 /* training takes less memory and more time */
};

/*
 * Makes a session for up to `batch` pictures of side x side; `flags` are of session_flags. Refuses a network that does
 * not take three channels or gives more than one number a class and picture. Owned; NULL after printing why not.
 */
resattn_session *open_session(resattn_network *network, resattn_purpose purpose, int32_t batch, int32_t side,
                              int flags);

#endif
