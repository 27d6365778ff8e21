/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Checks of refusals: see wrong.h.
 */
#include "wrong.h"

#include <string.h>

void wrong_before(void)
{
    ck_assert_int_eq(resattn_context_set_seed(NULL, 0), RESATTN_INVALID_ARGUMENT);
    ck_assert_int_eq(resattn_last_status(), RESATTN_INVALID_ARGUMENT);
}

static void check_error(resattn_status expected, const char *text, const char *call)
{
    ck_assert_msg(resattn_last_status() == expected, "%s: the last status is %d, expected %d (%s)", call,
                  resattn_last_status(), expected, resattn_last_error());
    ck_assert_msg(strstr(resattn_last_error(), text) != NULL, "%s: the message '%s' does not name '%s'", call,
                  resattn_last_error(), text);
    for (const char *c = resattn_last_error(); *c != '\0'; c++)
        ck_assert_msg((unsigned char)*c >= ' ', "%s: the message has a control character", call);
}

void wrong_status(resattn_status answer, resattn_status expected, const char *text, const char *call)
{
    ck_assert_msg(answer == expected, "%s: answers %d, expected %d (%s)", call, answer, expected, resattn_last_error());
    check_error(expected, text, call);
}

void wrong_null(const void *answer, resattn_status expected, const char *text, const char *call)
{
    ck_assert_msg(answer == NULL, "%s: answers something, expected NULL", call);
    check_error(expected, text, call);
}

resattn_layer *sequence(resattn_builder *b, const char *name, resattn_layer *first, resattn_layer *second)
{
    resattn_layer *layer = resattn_sequential_new(b, name);
    resattn_layer_add(layer, first);
    resattn_layer_add(layer, second);
    return layer;
}

resattn_layer *attention(resattn_builder *b, const char *name, resattn_layer *trunk, resattn_layer *mask)
{
    resattn_attention *module = resattn_attention_new(b, name);
    if (trunk != NULL)
        resattn_attention_set_trunk(module, trunk);
    if (mask != NULL)
        resattn_attention_set_mask(module, mask);
    return resattn_attention_layer(module);
}

resattn_layer *conv(resattn_builder *b, const char *name, int32_t channels)
{
    return resattn_conv2d_new(b, name, channels, 1, 1, 0);
}

void wrong_memory(resattn_network *network, int32_t many)
{
    wrong_before();
    resattn_plan *plan = resattn_plan_new(network, RESATTN_INFERENCE, many, many, many);
    resattn_status status = resattn_last_status();
    if (plan != NULL) {
        ck_assert_ptr_null(resattn_session_new(plan));
        status = resattn_last_status();
    }
    ck_assert_msg(status == LARGE, "%s", resattn_last_error());
    resattn_plan_free(plan);
}
