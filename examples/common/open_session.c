/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sessions for networks that classify pictures.
 */
#include "open_session.h"

#include "errors.h"

const char *mask_name(const resattn_network *network, int32_t module)
{
    return resattn_attention_mask_name(resattn_network_attention(network, module));
}

/* A network should give one number a class and picture. */
static int check_output(resattn_plan *plan, const resattn_network *network)
{
    int32_t height, width;
    if (resattn_network_in_channels(network) != 3)
        return complain("the network takes images of %d channels, expected 3",
                        (int)resattn_network_in_channels(network));
    if (resattn_plan_layer_size(plan, resattn_network_root(network), &height, &width))
        return complain_library();
    if (height != 1 || width != 1)
        return complain("the network gives a map of %d x %d, expected one number a class", (int)height, (int)width);
    return 0;
}

/* A plan says what a session will be asked for; masks are not kept unless it does. */
static int ask_for_masks(resattn_plan *plan, const resattn_network *network)
{
    for (int32_t i = 0; i < resattn_network_attention_count(network); i++)
        if (resattn_plan_add_output(plan, mask_name(network, i)))
            return complain_library();
    return 0;
}

resattn_session *open_session(resattn_network *network, resattn_purpose purpose, int32_t batch, int32_t side, int flags)
{
    resattn_session *session = NULL;
    resattn_plan *plan = resattn_plan_new(network, purpose, batch, side, side);
    int result = plan ? check_output(plan, network) : complain_library();
    if (!result && flags & SESSION_MASKS)
        result = ask_for_masks(plan, network);
    if (!result && flags & SESSION_RECOMPUTE && resattn_plan_set_recomputation(plan, 1))
        result = complain_library();
    if (!result && !(session = resattn_session_new(plan)))
        complain_library();
    resattn_plan_free(plan);
    return session;
}
