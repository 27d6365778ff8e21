/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What inference computes together against the reference: convolutions with the sums, masks, batch norms and
 * concatenations after them, in each of the three ways to compute convolutions, and the same with every layer's output
 * asked for, which keeps most layers from being computed together. RESATTN_TEST_SEED gives other trees.
 */
#include <stdio.h>
#include <string.h>

#include "trial.h"

enum { MOST_NAMES = 400 };

static resattn_context *context;
static int32_t number; /* of the last name given */

static void set_up(void)
{
    context = resattn_context_new(2);
}

static void tear_down(void)
{
    resattn_context_unref(context);
}

/* ---- layers ---- */

/* Layers that keep the map. */
static resattn_layer *conv(resattn_builder *b, int32_t channels, int32_t kernel)
{
    return resattn_conv2d_new(b, NULL, channels, kernel, 1, kernel / 2);
}

static resattn_layer *grouped(resattn_builder *b, int32_t channels, int32_t kernel, int32_t groups)
{
    resattn_layer *layer = conv(b, channels, kernel);
    set_int(layer, "groups", groups);
    return layer;
}

static resattn_layer *with_bias(resattn_layer *layer)
{
    set_int(layer, "bias", 1);
    return layer;
}

static resattn_layer *flat(resattn_builder *b, int32_t channels, int32_t kernel_h, int32_t kernel_w)
{
    resattn_layer *layer = conv(b, channels, 1);
    set_int(layer, "kernel_h", kernel_h);
    set_int(layer, "kernel_w", kernel_w);
    set_int(layer, "pad_top", kernel_h / 2);
    set_int(layer, "pad_bottom", kernel_h / 2);
    set_int(layer, "pad_left", kernel_w / 2);
    set_int(layer, "pad_right", kernel_w / 2);
    return layer;
}

static resattn_layer *norm(resattn_builder *b)
{
    return resattn_batch_norm_new(b, NULL);
}

static resattn_layer *relu(resattn_builder *b)
{
    return resattn_relu_new(b, NULL);
}

static resattn_layer *same(resattn_builder *b)
{
    return resattn_identity_new(b, NULL);
}

/* The layers up to the first NULL. */
static resattn_layer *all_in(resattn_layer *container, resattn_layer *const *layers, int32_t count)
{
    for (int32_t i = 0; i < count && layers[i] != NULL; i++)
        resattn_layer_add(container, layers[i]);
    return container;
}

#define ALL_IN(container, ...)                                                                                         \
    all_in((container), (resattn_layer *const[]){__VA_ARGS__},                                                         \
           (int32_t)(sizeof((resattn_layer *const[]){__VA_ARGS__}) / sizeof(resattn_layer *)))
#define CHAIN(b, ...)  ALL_IN(resattn_sequential_new((b), NULL), __VA_ARGS__)
#define SUM(b, ...)    ALL_IN(resattn_sum_new((b), NULL), __VA_ARGS__)
#define CONCAT(b, ...) ALL_IN(resattn_concat_new((b), NULL), __VA_ARGS__)

static resattn_layer *gated(resattn_builder *b, const char *name, resattn_layer *trunk, resattn_layer *mask,
                            resattn_mask_activation activation, resattn_learning learning)
{
    resattn_attention *attention = resattn_attention_new(b, name);
    resattn_attention_set_trunk(attention, trunk);
    resattn_attention_set_mask(attention, mask);
    resattn_attention_set_activation(attention, activation);
    resattn_attention_set_learning(attention, learning);
    return resattn_attention_layer(attention);
}

/* Channels and maps that call for one form of convolution and another. */
static int32_t channels_of_any_kind(void)
{
    static const int32_t channels[] = {16, 32, 48, 24, 8, 5, 1};
    return channels[pick(0, 6)];
}

static int32_t side_of_any_kind(void)
{
    static const int32_t sides[] = {22, 20, 13, 10, 7, 1};
    return sides[pick(0, 5)];
}

static int32_t any_image(ref_image *in)
{
    *in = image_shape(pick(1, 2), channels_of_any_kind(), side_of_any_kind(), side_of_any_kind());
    return in->c;
}

/* ---- trees ---- */

static resattn_layer *pre_unit(resattn_builder *b, int32_t channels, resattn_layer *shortcut)
{
    resattn_layer *branch = CHAIN(b, norm(b), relu(b), conv(b, channels, 3), norm(b), relu(b), conv(b, channels, 3));
    return resattn_residual_new(b, NULL, branch, shortcut);
}

static resattn_layer *make_pre_units(resattn_builder *b, ref_image *in)
{
    int32_t channels = channels_of_any_kind();
    any_image(in);
    return CHAIN(b, pre_unit(b, channels, conv(b, channels, 1)), pre_unit(b, channels, NULL), norm(b), relu(b));
}

static resattn_layer *make_post_units(resattn_builder *b, ref_image *in)
{
    int32_t channels = channels_of_any_kind(), stride = pick(1, 2);
    any_image(in);
    resattn_layer *branch =
        CHAIN(b, resattn_conv2d_new(b, NULL, channels, 3, stride, 1), norm(b), relu(b), conv(b, channels, 3), norm(b));
    resattn_layer *shortcut = CHAIN(b, resattn_conv2d_new(b, NULL, channels, 1, stride, 0), norm(b));
    resattn_layer *second = CHAIN(b, conv(b, channels, 1), norm(b), relu(b), conv(b, channels, 3), norm(b));
    return CHAIN(b, resattn_residual_new(b, NULL, branch, shortcut), relu(b),
                 resattn_residual_new(b, NULL, second, NULL), relu(b));
}

static resattn_layer *make_attention(resattn_builder *b, ref_image *in)
{
    int32_t channels = any_image(in);
    resattn_mask_activation activation = (resattn_mask_activation)pick(1, 4);
    int32_t mask_channels = activation == RESATTN_ACTIVATION_CHANNEL || pick(0, 2) ? channels : 1;
    resattn_layer *trunk = pick(0, 1) ? CHAIN(b, conv(b, channels, 3), relu(b)) : same(b);
    resattn_layer *mask =
        CHAIN(b, conv(b, channels, 1), relu(b), with_bias(conv(b, mask_channels, pick(0, 1) ? 1 : 3)));
    resattn_layer *module = gated(b, "module", trunk, mask, activation, (resattn_learning)pick(1, 2));
    return pick(0, 1) ? CHAIN(b, module, norm(b), relu(b)) : module;
}

/* A mask whose last step is a sum, as of a unit. */
static resattn_layer *make_summed_mask(resattn_builder *b, ref_image *in)
{
    int32_t channels = any_image(in);
    resattn_layer *mask = resattn_residual_new(b, NULL, conv(b, channels, 3), NULL);
    resattn_mask_activation activation = pick(0, 1) ? RESATTN_ACTIVATION_MIXED : RESATTN_ACTIVATION_IDENTITY;
    return CHAIN(b, gated(b, "module", conv(b, channels, 3), mask, activation, (resattn_learning)pick(1, 2)), norm(b));
}

static resattn_layer *make_concat(resattn_builder *b, ref_image *in)
{
    int32_t some = channels_of_any_kind();
    any_image(in);
    return CONCAT(b, conv(b, some, 3), CHAIN(b, flat(b, some, 1, 7), flat(b, 16, 7, 1), norm(b), relu(b)),
                  with_bias(conv(b, channels_of_any_kind(), 1)));
}

static resattn_layer *make_mixed_concat(resattn_builder *b, ref_image *in)
{
    any_image(in);
    resattn_layer *inner = CONCAT(b, conv(b, 16, 3), same(b), conv(b, channels_of_any_kind(), 1));
    return CHAIN(b,
                 CONCAT(b, resattn_max_pool_new(b, NULL, 3, 1, 1), inner, same(b), CHAIN(b, conv(b, 5, 3), relu(b)),
                        CHAIN(b, conv(b, 16, 1), resattn_sigmoid_new(b, NULL))),
                 conv(b, 16, 1));
}

/* Units in a concatenation: what is added has another distance between pixels than what it is added to. */
static resattn_layer *make_concat_of_units(resattn_builder *b, ref_image *in)
{
    int32_t channels = any_image(in);
    return CONCAT(
        b, resattn_residual_new(b, NULL, conv(b, channels, 3), NULL),
        resattn_residual_new(b, NULL, conv(b, 16, 3), conv(b, 16, 1)),
        CHAIN(b, resattn_residual_new(b, NULL, conv(b, channels, 1), NULL), norm(b), relu(b)),
        gated(b, "module", same(b), conv(b, channels, 3), RESATTN_ACTIVATION_MIXED, RESATTN_LEARNING_RESIDUAL));
}

static resattn_layer *make_inception_unit(resattn_builder *b, ref_image *in)
{
    int32_t channels = any_image(in);
    resattn_layer *first = CHAIN(b, conv(b, 16, 1), norm(b), relu(b));
    resattn_layer *second = CHAIN(b, conv(b, 16, 1), relu(b), flat(b, 24, 1, 7), relu(b), flat(b, 32, 7, 1), relu(b));
    resattn_layer *branch =
        CHAIN(b, CONCAT(b, first, second), with_bias(conv(b, channels, 1)), resattn_scale_new(b, NULL, 0.25), NULL);
    return CHAIN(b, resattn_residual_new(b, NULL, branch, NULL), relu(b));
}

static resattn_layer *make_grouped(resattn_builder *b, ref_image *in)
{
    int32_t each = pick(1, 3) * 4 - 3, groups = pick(0, 1) ? 16 : 4, channels = each * groups;
    *in = image_shape(2, channels, side_of_any_kind(), side_of_any_kind());
    resattn_layer *branch =
        CHAIN(b, grouped(b, channels, 3, groups), norm(b), relu(b), grouped(b, channels, 3, channels));
    resattn_layer *many =
        CHAIN(b, conv(b, 32, 1), grouped(b, 32, 3, 8), resattn_sigmoid_new(b, NULL), conv(b, channels, 1));
    return CHAIN(b, resattn_residual_new(b, NULL, branch, NULL), relu(b), resattn_residual_new(b, NULL, many, NULL),
                 norm(b), grouped(b, channels, 3, groups), norm(b));
}

static resattn_layer *make_sums(resattn_builder *b, ref_image *in)
{
    int32_t channels = any_image(in);
    resattn_layer *inner = resattn_residual_new(b, NULL, conv(b, channels, 1), conv(b, channels, 3));
    return CHAIN(b, SUM(b, conv(b, channels, 3), same(b), with_bias(conv(b, channels, 1))), SUM(b, inner, same(b)),
                 relu(b));
}

/* An activation before the sum is not one after it. */
static resattn_layer *make_activated_branches(resattn_builder *b, ref_image *in)
{
    int32_t channels = any_image(in);
    resattn_layer *first = CHAIN(b, conv(b, channels, 3), relu(b));
    resattn_layer *second = CHAIN(b, conv(b, channels, 3), resattn_sigmoid_new(b, NULL));
    resattn_layer *third = CHAIN(b, conv(b, channels, 1), norm(b), relu(b)),
                  *fourth = CHAIN(b, conv(b, channels, 3), relu(b));
    return CHAIN(b, resattn_residual_new(b, NULL, first, NULL), resattn_residual_new(b, NULL, second, NULL), relu(b),
                 resattn_residual_new(b, NULL, third, fourth), resattn_sigmoid_new(b, NULL));
}

/* Of a value that three layers read, nothing may be taken away; the batch norm is one more value of the convolution. */
static resattn_layer *make_shared(resattn_builder *b, ref_image *in)
{
    int32_t channels = channels_of_any_kind();
    any_image(in);
    return CHAIN(b, conv(b, channels, 3), SUM(b, same(b), CHAIN(b, norm(b), relu(b)), conv(b, channels, 3)),
                 CONCAT(b, conv(b, 16, 1), norm(b), same(b)));
}

static resattn_layer *make_late_norm(resattn_builder *b, ref_image *in)
{
    any_image(in);
    return CHAIN(b, conv(b, channels_of_any_kind(), 3), relu(b), norm(b), conv(b, channels_of_any_kind(), 1),
                 resattn_scale_new(b, NULL, -0.5), norm(b), norm(b), relu(b));
}

static resattn_layer *make_two_branches(resattn_builder *b, ref_image *in)
{
    int32_t channels = channels_of_any_kind();
    any_image(in);
    return resattn_residual_new(b, "unit", CHAIN(b, conv(b, channels, 3), norm(b)), conv(b, channels, 1));
}

static resattn_layer *make_root(resattn_builder *b, ref_image *in)
{
    any_image(in);
    return with_bias(conv(b, channels_of_any_kind(), pick(0, 1) ? 3 : 1));
}

static resattn_layer *make_image_concat(resattn_builder *b, ref_image *in)
{
    any_image(in);
    return CONCAT(b, same(b), conv(b, 16, 3), same(b));
}

/* ---- random trees ---- */

static const char *new_name(char *text, const char *kind)
{
    snprintf(text, 24, "%s%d", kind, (int)++number);
    return text;
}

static resattn_layer *any_leaf(resattn_builder *b, int32_t channels)
{
    switch (pick(0, 9)) {
    case 0:
        return norm(b);
    case 1:
        return relu(b);
    case 2:
        return resattn_scale_new(b, NULL, pick(0, 1) ? 0.5 : -1);
    case 3:
        return same(b);
    case 4:
        return resattn_sigmoid_new(b, NULL);
    case 5:
        return grouped(b, channels, 3, channels);
    case 6:
        return with_bias(conv(b, channels, 1));
    default:
        return conv(b, channels, pick(0, 1) ? 1 : 3);
    }
}

/* Any layer that gives as many channels as it gets. Values stay bounded: masks are between 0 and 1, and sums are of a
 * few. */
static resattn_layer *any_tree(resattn_builder *b, int32_t channels, int32_t depth)
{
    char name[24];
    if (depth == 0)
        return any_leaf(b, channels);
    switch (pick(0, 5)) {
    case 0:
        return SUM(b, any_tree(b, channels, depth - 1), any_tree(b, channels, depth - 1),
                   pick(0, 1) ? any_tree(b, channels, depth - 1) : NULL);
    case 1:
        return resattn_residual_new(b, NULL, any_tree(b, channels, depth - 1), NULL);
    case 2:
        return CHAIN(b, CONCAT(b, any_tree(b, channels, depth - 1), conv(b, 16, 3), any_tree(b, channels, depth - 1)),
                     conv(b, channels, 1));
    case 3:
        return gated(b, new_name(name, "module"), any_tree(b, channels, depth - 1), any_tree(b, channels, depth - 1),
                     RESATTN_ACTIVATION_MIXED, (resattn_learning)pick(1, 2));
    default:
        return CHAIN(b, any_tree(b, channels, depth - 1), any_leaf(b, channels), any_tree(b, channels, depth - 1));
    }
}

static resattn_layer *make_random(resattn_builder *b, ref_image *in)
{
    static const int32_t channels[] = {16, 32, 6};
    *in = image_shape(pick(1, 2), channels[pick(0, 2)], pick(1, 22), pick(1, 22));
    return CHAIN(b, any_tree(b, in->c, pick(2, 4)), any_tree(b, in->c, pick(0, 2)));
}

/*
 * Bounds: roundings in terms of the largest value, which add up from layer to layer. Those of a convolution's few
 * hundred terms average out to some tens; Winograd's transformations of 4x4 tiles magnify them tenfold. Batch norms
 * multiply by up to 1.5, map norm by more where a map varies little.
 */
static const struct {
    const char *what;
    make_fn make;
    double roundings;
    int32_t times;
    const char *together; /* some operation is this */
} trees[] = {
    {"pre-activation units", make_pre_units, 512, 4, "conv2d + sum + batch_norm"},
    {"post-activation units", make_post_units, 512, 4, "conv2d + sum + relu"},
    {"attention", make_attention, 2048, 16, NULL},
    {"a mask that is a sum", make_summed_mask, 512, 8, "conv2d + sum + mask + batch_norm"},
    {"concat of convolutions", make_concat, 512, 6, "conv2d"},
    {"concat of all kinds", make_mixed_concat, 512, 8, "conv2d + mask"},
    {"concat of units", make_concat_of_units, 512, 8, NULL},
    {"Inception-ResNet unit", make_inception_unit, 512, 6, "conv2d + sum + relu"},
    {"grouped convolutions", make_grouped, 512, 8, NULL},
    {"sums", make_sums, 512, 8, "conv2d + sum"},
    {"activated branches", make_activated_branches, 512, 8, "conv2d + relu"},
    {"a value of three readers", make_shared, 512, 8, "conv2d + batch_norm"},
    {"batch norm after ReLU", make_late_norm, 512, 8, "conv2d + relu + batch_norm"},
    {"a unit of two convolutions", make_two_branches, 512, 8, "conv2d + sum"},
    {"a convolution as the root", make_root, 256, 8, "conv2d"},
    {"a concatenation as the root", make_image_concat, 256, 6, "conv2d"},
    {"random", make_random, 4096, 40, NULL},
};

/* ---- sessions ---- */

/* The names of all values under a layer. */
static void list_names(resattn_layer *layer, const char **names, int32_t *count)
{
    resattn_attention *attention = resattn_layer_attention(layer);
    ck_assert_int_lt(*count, MOST_NAMES - 3);
    if (resattn_layer_child_count(layer) == 0 || resattn_layer_name(layer) != NULL)
        names[(*count)++] = resattn_layer_path(layer);
    if (attention != NULL) {
        names[(*count)++] = resattn_attention_mask_name(attention);
        names[(*count)++] = resattn_attention_trunk_name(attention);
    }
    for (int32_t i = 0; i < resattn_layer_child_count(layer); i++)
        list_names(resattn_layer_child(layer, i), names, count);
}

static resattn_session *new_session(const trial *t, resattn_convolution convolution)
{
    resattn_plan *plan = resattn_plan_new(t->network, RESATTN_INFERENCE, t->batch, t->in.h, t->in.w);
    ck_assert_msg(plan != NULL, "%s: %s", t->what, resattn_last_error());
    ck_assert_int_eq(resattn_plan_set_convolution(plan, convolution), RESATTN_OK);
    for (int32_t i = 0; i < t->name_count; i++)
        ck_assert_msg(resattn_plan_add_output(plan, t->names[i]) == RESATTN_OK, "%s: %s", t->what,
                      resattn_last_error());
    resattn_session *session = resattn_session_new(plan);
    ck_assert_msg(session != NULL, "%s: %s", t->what, resattn_last_error());
    resattn_plan_free(plan);
    return session;
}

static void compare_image(const trial *t, const char *part, const resattn_tensor *tensor, const ref_image *image)
{
    ck_assert_msg(tensor != NULL, "%s: %s: %s", t->what, part, resattn_last_error());
    ck_assert_int_eq(resattn_tensor_size(tensor, 0), image->n);
    ck_assert_int_eq(resattn_tensor_size(tensor, 1), image->c);
    compare(t->what, part, tensor, image->value, image->magnitude, 0, t->roundings);
}

/* Runs twice: what the first run leaves in memory must not matter. */
static void check_session(const trial *t, resattn_session *session, const char *part)
{
    resattn_tensor *input = to_tensor(t->context, &t->in);
    for (int32_t run = 0; run < 2; run++) {
        ck_assert_msg(resattn_session_forward(session, input) == RESATTN_OK, "%s: %s", t->what, resattn_last_error());
        compare_image(t, part, resattn_session_output(session, NULL), &t->ref->out);
        for (int32_t i = 0; i < t->name_count; i++) {
            const ref_node *node = ref_find(t->ref, t->names[i]);
            ck_assert_msg(node != NULL, "%s: the reference has no %s", t->what, t->names[i]);
            compare_image(t, t->names[i], resattn_session_output(session, t->names[i]), &node->out);
        }
    }
    resattn_tensor_unref(input);
}

static bool has_operation(const resattn_session *session, const char *kind)
{
    for (int32_t i = 0; i < resattn_session_operation_count(session); i++)
        if (strcmp(resattn_session_operation_kind(session, i), kind) == 0)
            return true;
    return false;
}

static void check_convolutions(trial *t, const char *together)
{
    static const char *const parts[] = {"", "fastest", "without Winograd", "BLIS"};
    const char *all[MOST_NAMES], *some[MOST_NAMES];
    int32_t count = 0;
    list_names(resattn_network_root(t->network), all, &count);
    for (int32_t convolution = RESATTN_CONVOLUTION_FASTEST; convolution <= RESATTN_CONVOLUTION_REFERENCE; convolution++)
        for (int32_t asked = 0; asked < 3; asked++) {
            t->name_count = 0;
            t->names = some;
            for (int32_t i = 0; i < count; i++)
                if (asked == 1 || (asked == 2 && pick(0, 3) == 0))
                    some[t->name_count++] = all[i];
            resattn_session *session = new_session(t, (resattn_convolution)convolution);
            if (asked == 0 && together != NULL)
                ck_assert_msg(has_operation(session, together), "%s: no operation is %s", t->what, together);
            if (asked == 1)
                ck_assert_msg(!has_operation(session, "conv2d + sum"), "%s: a value that is asked for is lost",
                              t->what);
            check_session(t, session, parts[convolution]);
            resattn_session_free(session);
        }
}

START_TEST(test_tree)
{
    for (int32_t i = 0; i < trees[_i].times; i++) {
        trial t;
        trial_begin(&t, context, trees[_i].what, trees[_i].make);
        t.roundings = trees[_i].roundings;
        ref_forward(t.ref, &t.in, false);
        check_convolutions(&t, trees[_i].together);
        trial_end(&t);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("inference");
    TCase *tests = tcase_create("inference");
    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_loop_test(tests, test_tree, 0, (int)(sizeof trees / sizeof *trees));
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
