/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the tests of wrong use need: that a call is refused with the right status, and a message that names the thing.
 */
#ifndef TEST_WRONG_H
#define TEST_WRONG_H

#include "common.h"
#include "resattn/resattn.h"

#define INVALID  RESATTN_INVALID_ARGUMENT
#define MISMATCH RESATTN_SHAPE_MISMATCH
#define LARGE    RESATTN_TOO_LARGE
#define ABSENT   RESATTN_NOT_FOUND
#define STATE    RESATTN_WRONG_STATE

/* Leaves another error behind, so that an old message is not taken for the new one. */
void wrong_before(void);
void wrong_status(resattn_status answer, resattn_status expected, const char *text, const char *call);
void wrong_null(const void *answer, resattn_status expected, const char *text, const char *call);

/* `many` images of `many` x `many` do not fit in memory: the plan says so or, at the latest, a session. */
void wrong_memory(resattn_network *network, int32_t many);

/* Two layers one after the other, a module of branches that may be NULL, a 1x1 convolution. */
resattn_layer *sequence(resattn_builder *b, const char *name, resattn_layer *first, resattn_layer *second);
resattn_layer *attention(resattn_builder *b, const char *name, resattn_layer *trunk, resattn_layer *mask);
resattn_layer *conv(resattn_builder *b, const char *name, int32_t channels);

/* The call answers `expected`, and the message has `text` in it. */
#define REFUSED(expected, text, call)                                                                                  \
    do {                                                                                                               \
        wrong_before();                                                                                                \
        wrong_status((call), (expected), (text), #call);                                                               \
    } while (0)

/* The call answers NULL with the status, and the message has `text` in it. */
#define NOTHING(expected, text, call)                                                                                  \
    do {                                                                                                               \
        wrong_before();                                                                                                \
        wrong_null((call), (expected), (text), #call);                                                                 \
    } while (0)

/* The constructor (an expression over the builder b) answers NULL, the builder remembers why, and so there is no
 * network. */
#define UNMADE(expected, text, layer)                                                                                  \
    do {                                                                                                               \
        resattn_builder *b = resattn_builder_new(context);                                                             \
        wrong_before();                                                                                                \
        wrong_null((layer), (expected), (text), #layer);                                                               \
        ck_assert_int_eq(resattn_builder_status(b), (expected));                                                       \
        wrong_before();                                                                                                \
        wrong_null(resattn_network_new(b, NULL, 3), (expected), (text), #layer);                                       \
        resattn_builder_free(b);                                                                                       \
    } while (0)

/* A network of `root` (an expression over the builder b) for `channels` is refused. */
#define UNBUILDABLE(expected, text, channels, root)                                                                    \
    do {                                                                                                               \
        resattn_builder *b = resattn_builder_new(context);                                                             \
        resattn_layer *wrong_root = (root);                                                                            \
        wrong_before();                                                                                                \
        wrong_null(resattn_network_new(b, wrong_root, (channels)), (expected), (text), #root);                         \
        resattn_builder_free(b);                                                                                       \
    } while (0)

#endif
