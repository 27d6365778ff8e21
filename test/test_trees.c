/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Containers and small networks against the reference: values that are used several times, outputs by name, gradients
 * given to them, what inference fuses. RESATTN_TEST_SEED gives other ones.
 */
#include <string.h>

#include "trial.h"

static resattn_context *context;

static void set_up(void)
{
    context = resattn_context_new(2);
}

static void tear_down(void)
{
    resattn_context_unref(context);
}

static resattn_layer *conv(resattn_builder *b, const char *name, int32_t channels, int32_t kernel, int32_t stride)
{
    return resattn_conv2d_new(b, name, channels, kernel, stride, kernel / 2);
}

static resattn_layer *chain(resattn_builder *b, const char *name, resattn_layer *first, resattn_layer *second,
                            resattn_layer *third)
{
    resattn_layer *layer = resattn_sequential_new(b, name);
    resattn_layer_add(layer, first);
    resattn_layer_add(layer, second);
    if (third != NULL)
        resattn_layer_add(layer, third);
    return layer;
}

/* Pre-activation: batch norm, ReLU, convolution (He et al., ECCV 2016). */
static resattn_layer *unit(resattn_builder *b, const char *name, int32_t channels)
{
    resattn_layer *branch =
        chain(b, "branch", resattn_batch_norm_new(b, "bn"), resattn_relu_new(b, NULL), conv(b, "conv", channels, 3, 1));
    return resattn_residual_new(b, name, branch, NULL);
}

static resattn_layer *make_sum(resattn_builder *b, ref_image *in)
{
    *in = image_shape(2, 3, 5, 4);
    resattn_layer *sum = resattn_sum_new(b, "sum");
    resattn_layer_add(sum, resattn_identity_new(b, "same"));
    resattn_layer_add(sum, conv(b, "first", 3, 3, 1));
    resattn_layer_add(sum, resattn_scale_new(b, NULL, -0.5));
    resattn_layer_add(sum, resattn_relu_new(b, "relu"));
    return sum;
}

static resattn_layer *make_sum_of_one(resattn_builder *b, ref_image *in)
{
    *in = any_shape();
    resattn_layer *sum = resattn_sum_new(b, NULL);
    resattn_layer_add(sum, resattn_sigmoid_new(b, NULL));
    return sum;
}

static resattn_layer *make_concat(resattn_builder *b, ref_image *in)
{
    *in = image_shape(pick(1, 3), pick(1, 5), pick(3, 8), pick(3, 8));
    resattn_layer *concat = resattn_concat_new(b, "joined");
    resattn_layer_add(concat, conv(b, "a", pick(1, 4), 3, 1));
    resattn_layer_add(concat, resattn_identity_new(b, "same"));
    resattn_layer_add(concat, resattn_max_pool_new(b, NULL, 3, 1, 1));
    resattn_layer_add(concat, chain(b, "b", resattn_relu_new(b, "r"), conv(b, "c", pick(1, 4), 1, 1), NULL));
    return concat;
}

static resattn_layer *make_residual(resattn_builder *b, ref_image *in)
{
    *in = image_shape(2, 4, pick(3, 9), pick(3, 9));
    return unit(b, "unit", 4);
}

/* Not down to one pixel: of two values a channel, batch norm makes 1 and -1, and the gradient is nothing but roundings.
 */
static resattn_layer *make_projected_residual(resattn_builder *b, ref_image *in)
{
    *in = image_shape(2, 4, pick(5, 9), pick(5, 9));
    resattn_layer *branch = chain(b, "branch", conv(b, "conv", 6, 3, 2), resattn_batch_norm_new(b, "bn"), NULL);
    resattn_layer *shortcut = pick(0, 1) ? conv(b, "shortcut", 6, 1, 2) : resattn_subsample_new(b, "shortcut", 6, 2);
    return chain(b, NULL, resattn_residual_new(b, "unit", branch, shortcut), resattn_relu_new(b, "relu"), NULL);
}

static resattn_layer *make_down_up(resattn_builder *b, ref_image *in)
{
    *in = image_shape(2, 3, pick(2, 12), pick(2, 12));
    resattn_layer *up = resattn_bilinear_resize_new(b, "up", 0, 0);
    set_int(up, "align_corners", pick(0, 1));
    return resattn_down_up_new(b, "hourglass", resattn_max_pool_new(b, "down", 3, 2, 1), conv(b, "inner", 4, 3, 1), up);
}

/* The size to come back to is reached exactly, by cropping, and by zeros. */
static resattn_layer *make_transposed_up(resattn_builder *b, ref_image *in)
{
    *in = image_shape(2, 3, pick(4, 12), pick(4, 12));
    int32_t stride = pick(1, 3);
    resattn_layer *up = resattn_conv_transpose2d_new(b, "up", 2, pick(2, 4), stride, pick(0, 1));
    set_int(up, "bias", pick(0, 1));
    return resattn_down_up_new(b, NULL, resattn_average_pool_new(b, "down", 2, 2, 0), resattn_identity_new(b, NULL),
                               up);
}

static resattn_layer *make_attention(resattn_builder *b, ref_image *in)
{
    *in = image_shape(2, pick(1, 5), pick(2, 9), pick(2, 9));
    resattn_attention *attention = resattn_attention_new(b, pick(0, 1) ? "module" : NULL);
    int32_t channels = pick(2, 6), mask_channels = pick(0, 2) ? channels : 1;
    resattn_attention_set_trunk(attention, conv(b, "trunk_conv", channels, 3, 1));
    resattn_attention_set_mask(attention, conv(b, "mask_conv", mask_channels, 3, 1));
    resattn_attention_set_learning(attention, pick(0, 1) ? RESATTN_LEARNING_RESIDUAL : RESATTN_LEARNING_NAIVE);
    resattn_mask_activation activation = (resattn_mask_activation)pick(1, 4);
    if (activation == RESATTN_ACTIVATION_CHANNEL &&
        mask_channels == 1) /* 1 or -1: the gradient is nothing but roundings */
        activation = RESATTN_ACTIVATION_MIXED;
    resattn_attention_set_activation(attention, activation);
    return resattn_attention_layer(attention);
}

/* Identities as branches: the values and gradients of trunk, mask and input are then one. */
static resattn_layer *make_bare_attention(resattn_builder *b, ref_image *in)
{
    *in = image_shape(pick(1, 3), pick(2, 9), pick(2, 5), pick(2, 5));
    resattn_attention *attention = resattn_attention_new(b, NULL);
    resattn_attention_set_trunk(attention, resattn_identity_new(b, NULL));
    resattn_attention_set_mask(attention, resattn_identity_new(b, NULL));
    resattn_attention_set_activation(attention, (resattn_mask_activation)pick(1, 4));
    return resattn_attention_layer(attention);
}

static resattn_layer *make_classifier(resattn_builder *b, ref_image *in)
{
    *in = image_shape(4, 3, 6, 5);
    return chain(
        b, NULL,
        chain(b, "body", conv(b, "conv", 8, 3, 1), resattn_batch_norm_new(b, "bn"), resattn_relu_new(b, "relu")),
        resattn_global_average_pool_new(b, "pool"), resattn_linear_new(b, "fc", 7));
}

static resattn_layer *soft_mask(resattn_builder *b, int32_t channels, int32_t out)
{
    resattn_layer *inner = resattn_down_up_new(b, "inner", resattn_max_pool_new(b, "down", 3, 2, 1),
                                               unit(b, "unit", channels), resattn_bilinear_resize_new(b, "up", 0, 0));
    resattn_layer *skip = resattn_residual_new(b, "skip", inner, unit(b, "side", channels));
    resattn_layer *outer =
        resattn_down_up_new(b, "outer", resattn_max_pool_new(b, "down", 3, 2, 1),
                            chain(b, NULL, unit(b, "unit1", channels), skip, unit(b, "unit2", channels)),
                            resattn_bilinear_resize_new(b, "up", 0, 0));
    resattn_layer *tail =
        chain(b, "tail", resattn_batch_norm_new(b, "bn"), resattn_relu_new(b, "relu"), conv(b, "conv", out, 1, 1));
    return chain(b, "soft", outer, tail, NULL);
}

static resattn_attention *module(resattn_builder *b, const char *name, int32_t channels, int32_t mask_channels)
{
    resattn_attention *attention = resattn_attention_new(b, name);
    resattn_attention_set_trunk(attention,
                                chain(b, "body", unit(b, "unit1", channels), unit(b, "unit2", channels), NULL));
    resattn_attention_set_mask(attention, soft_mask(b, channels, mask_channels));
    return attention;
}

/* Two stages with an attention module each, as in the paper, but small. */
static resattn_layer *make_network(resattn_builder *b, ref_image *in)
{
    *in = image_shape(2, 3, pick(11, 15), pick(11, 15));
    resattn_attention *first = module(b, "attention1", 6, 6), *second = module(b, "attention2", 8, 1);
    resattn_attention_set_learning(second, pick(0, 1) ? RESATTN_LEARNING_RESIDUAL : RESATTN_LEARNING_NAIVE);
    resattn_attention_set_activation(first, (resattn_mask_activation)pick(1, 4));
    resattn_layer *net = resattn_sequential_new(b, NULL);
    resattn_layer_add(
        net, chain(b, "stem", conv(b, "conv", 6, 5, 2), resattn_batch_norm_new(b, "bn"), resattn_relu_new(b, "relu")));
    resattn_layer_add(net, unit(b, "unit1", 6));
    resattn_layer_add(net, resattn_attention_layer(first));
    resattn_layer_add(net, resattn_residual_new(b, "unit2",
                                                chain(b, "branch", resattn_batch_norm_new(b, "bn"),
                                                      resattn_relu_new(b, NULL), conv(b, "conv", 8, 3, 1)),
                                                conv(b, "shortcut", 8, 1, 1)));
    resattn_layer_add(net, resattn_attention_layer(second));
    resattn_layer_add(net, chain(b, "head", resattn_batch_norm_new(b, "bn"), resattn_relu_new(b, "relu"),
                                 resattn_global_average_pool_new(b, "pool")));
    resattn_layer_add(net, resattn_linear_new(b, "fc", 5));
    return net;
}

static const char *const sum_names[] = {"sum.same", "sum.first", "sum.relu"};
static const char *const concat_names[] = {"joined.a", "joined.same", "joined.b.r"};
static const char *const residual_names[] = {"unit.branch.bn", "unit.branch"};
static const char *const projected_names[] = {"unit", "unit.shortcut"};
static const char *const down_up_names[] = {"hourglass.down", "hourglass.inner"};
static const char *const classifier_names[] = {"body.conv", "body.bn", "body.relu", "pool"};
static const char *const network_names[] = {
    "attention1.mask", "attention1.trunk",           "attention2.mask", "attention2.trunk", "attention2", "stem.relu",
    "unit2.branch.bn", "attention1.soft.outer.skip", "head.pool"};

#define NAMES(list) list, sizeof list / sizeof *list

/* Roundings are in terms of the largest value of a tensor, and add up from layer to layer: a few layers of about a
 * hundred terms, whose errors average out, stay well below some hundreds. Normalising values that are small by chance
 * magnifies them. */
static const struct {
    const char *what;
    make_fn make;
    double roundings;
    const char *const *names;
    size_t name_count;
    int32_t times;
} trees[] = {
    {"sum", make_sum, 256, NAMES(sum_names), 12},
    {"sum of one", make_sum_of_one, 64, NULL, 0, 4},
    {"concat", make_concat, 256, NAMES(concat_names), 12},
    {"residual", make_residual, 256, NAMES(residual_names), 12},
    {"projected residual", make_projected_residual, 256, NAMES(projected_names), 16},
    {"down_up", make_down_up, 256, NAMES(down_up_names), 16},
    {"down_up with conv_transpose2d", make_transposed_up, 256, NULL, 0, 40},
    {"attention", make_attention, 512, NULL, 0, 60},
    {"bare attention", make_bare_attention, 256, NULL, 0, 16},
    {"classifier", make_classifier, 256, NAMES(classifier_names), 8},
    {"network", make_network, 8192, NAMES(network_names), 6},
};

/* Each time, half of the names are asked for, so that the rest may be fused. */
static void choose_names(trial *t, const char *const *names, size_t count, const char **chosen)
{
    t->names = chosen;
    t->name_count = 0;
    for (size_t i = 0; i < count; i++)
        if (pick(0, 1))
            chosen[t->name_count++] = names[i];
}

START_TEST(test_tree)
{
    const char *chosen[16];
    for (int32_t i = 0; i < trees[_i].times; i++) {
        trial t;
        trial_begin(&t, context, trees[_i].what, trees[_i].make);
        t.roundings = trees[_i].roundings;
        choose_names(&t, trees[_i].names, trees[_i].name_count, chosen);
        if (strcmp(trees[_i].what, "attention") == 0) {
            resattn_attention *attention = resattn_network_attention(t.network, 0);
            chosen[0] = resattn_attention_mask_name(attention);
            chosen[1] = resattn_attention_trunk_name(attention);
            t.name_count = pick(0, 2);
        }
        trial_check(&t);
        trial_end(&t);
    }
}
END_TEST

START_TEST(test_tree_reference)
{
    const char *chosen[16];
    for (int32_t i = 0; i < 3; i++) {
        trial t;
        trial_begin(&t, context, trees[_i].what, trees[_i].make);
        choose_names(&t, trees[_i].names, trees[_i].name_count, chosen);
        trial_check_reference(&t);
        trial_end(&t);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("trees");
    TCase *tests = tcase_create("trees");
    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_loop_test(tests, test_tree_reference, 0, (int)(sizeof trees / sizeof *trees));
    tcase_add_loop_test(tests, test_tree, 0, (int)(sizeof trees / sizeof *trees));
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
