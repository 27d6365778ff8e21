/* SPDX-License-Identifier: BSD-3-Clause */
/* Random calls: builders, layers, named models, contexts. */
#include "calls.h"

#include "samples.h"

#define COUNT(array) (uint32_t)(sizeof(array) / sizeof *(array))

static void new_builder(calls *c)
{
    uint32_t slot = fuzz_byte(&c->in) % SLOTS;
    resattn_builder *builder = fuzz_made(resattn_builder_new(pick_context(c)));
    if (!builder)
        return;
    forget_layers(c, c->builders[slot], NULL);
    resattn_builder_free(c->builders[slot]);
    c->builders[slot] = builder;
}

static void free_builder(calls *c)
{
    uint32_t slot = fuzz_byte(&c->in) % SLOTS;
    forget_layers(c, c->builders[slot], NULL);
    resattn_builder_free(c->builders[slot]);
    c->builders[slot] = NULL;
}

static void fail_builder(calls *c)
{
    resattn_builder *builder = PICK(c, builders);
    if (fuzz_chance(&c->in, 16))
        resattn_builder_fail(builder, (resattn_status)fuzz_int(&c->in), fuzz_name(&c->in));
    FUZZ_CHECK(resattn_builder_error(builder) != NULL, "builder");
    (void)resattn_builder_status(builder);
}

static resattn_layer *leaf(calls *c, resattn_builder *b, const char *name)
{
    fuzz_input *in = &c->in;
    switch (fuzz_range(in, 0, 16)) {
    case 0:
        return resattn_conv2d_new(b, name, fuzz_int(in), fuzz_int(in), fuzz_int(in), fuzz_int(in));
    case 1:
        return resattn_conv_transpose2d_new(b, name, fuzz_int(in), fuzz_int(in), fuzz_int(in), fuzz_int(in));
    case 2:
        return resattn_batch_norm_new(b, name);
    case 3:
        return resattn_relu_new(b, name);
    case 4:
        return resattn_sigmoid_new(b, name);
    case 5:
        return resattn_softmax_new(b, name);
    case 6:
        return resattn_identity_new(b, name);
    case 7:
        return resattn_max_pool_new(b, name, fuzz_int(in), fuzz_int(in), fuzz_int(in));
    case 8:
        return resattn_average_pool_new(b, name, fuzz_int(in), fuzz_int(in), fuzz_int(in));
    case 9:
        return resattn_global_average_pool_new(b, name);
    case 10:
        return resattn_bilinear_resize_new(b, name, fuzz_int(in), fuzz_int(in));
    case 11:
        return resattn_linear_new(b, name, fuzz_int(in));
    case 12:
        return resattn_dropout_new(b, name, fuzz_real(in));
    case 13:
        return resattn_subsample_new(b, name, fuzz_int(in), fuzz_int(in));
    case 14:
        return fuzz_chance(in, 128) ? resattn_channel_norm_new(b, name) : resattn_instance_norm_new(b, name);
    case 15:
        return fuzz_custom_layer(b, name, fuzz_chance(in, 128));
    default:
        return resattn_scale_new(b, name, fuzz_real(in));
    }
}

static void new_leaf(calls *c)
{
    resattn_builder *builder = PICK(c, builders);
    add_layer(c, builder, fuzz_made(leaf(c, builder, fuzz_name(&c->in))));
}

static void new_container(calls *c)
{
    resattn_builder *b = PICK(c, builders);
    const char *name = fuzz_name(&c->in);
    resattn_layer *one = PICK(c, layers), *two = PICK(c, layers), *three = PICK(c, layers), *made;
    switch (fuzz_range(&c->in, 0, 5)) {
    case 0:
        made = resattn_sequential_new(b, name);
        break;
    case 1:
        made = resattn_sum_new(b, name);
        break;
    case 2:
        made = resattn_concat_new(b, name);
        break;
    case 3:
        made = resattn_residual_new(b, name, one, two);
        break;
    case 4:
        made = resattn_down_up_new(b, name, one, two, three);
        break;
    default:
        made = resattn_attention_layer(resattn_attention_new(b, name));
        break;
    }
    add_layer(c, b, fuzz_made(made));
}

static void add_child(calls *c)
{
    resattn_layer *container = PICK(c, layers), *child = PICK(c, layers);
    fuzz_ok(resattn_layer_add(container, child));
}

static void set_branch(calls *c)
{
    resattn_attention *attention = resattn_layer_attention(PICK(c, layers));
    resattn_layer *branch = PICK(c, layers);
    switch (fuzz_range(&c->in, 0, 3)) {
    case 0:
        fuzz_ok(resattn_attention_set_trunk(attention, branch));
        break;
    case 1:
        fuzz_ok(resattn_attention_set_mask(attention, branch));
        break;
    case 2:
        fuzz_ok(resattn_attention_set_learning(attention, (resattn_learning)fuzz_int(&c->in)));
        break;
    default:
        fuzz_ok(resattn_attention_set_activation(attention, (resattn_mask_activation)fuzz_int(&c->in)));
        break;
    }
    (void)resattn_attention_learning(attention);
    (void)resattn_attention_activation(attention);
    (void)resattn_attention_mask_name(attention);
}

/* A layer of a builder or of a network. */
static resattn_layer *pick_layer(calls *c)
{
    if (!fuzz_chance(&c->in, 96))
        return PICK(c, layers);
    resattn_layer *layer = resattn_network_root(PICK(c, networks));
    for (int32_t depth = fuzz_range(&c->in, 0, 3); depth > 0 && resattn_layer_child_count(layer) > 0; depth--)
        layer = resattn_layer_child(layer, fuzz_range(&c->in, 0, resattn_layer_child_count(layer) - 1));
    return layer;
}

static void set_attribute(calls *c)
{
    resattn_layer *layer = pick_layer(c);
    int32_t count = resattn_layer_attribute_count(layer);
    const char *name =
        fuzz_chance(&c->in, 16) ? fuzz_name(&c->in) : resattn_layer_attribute_name(layer, fuzz_range(&c->in, 0, count));
    if (fuzz_chance(&c->in, 160))
        fuzz_ok(resattn_layer_set_int(layer, name, fuzz_int(&c->in)));
    else
        fuzz_ok(resattn_layer_set_real(layer, name, fuzz_real(&c->in)));
    int64_t integer;
    double real;
    resattn_layer_get_int(layer, name, fuzz_chance(&c->in, 8) ? NULL : &integer);
    resattn_layer_get_real(layer, name, fuzz_chance(&c->in, 8) ? NULL : &real);
}

static void set_path(calls *c)
{
    fuzz_ok(resattn_layer_set_path(pick_layer(c), fuzz_name(&c->in)));
}

static void grow(calls *c)
{
    resattn_builder *builder = PICK(c, builders);
    int32_t in_channels = fuzz_range(&c->in, 1, 4);
    add_layer(c, builder, fuzz_made(fuzz_grow(&c->in, builder, in_channels)));
}

static void new_model(calls *c)
{
    resattn_builder *builder = PICK(c, builders);
    int32_t index = fuzz_range(&c->in, -1, resattn_model_count());
    (void)resattn_model_input_size(resattn_model_name(index));
    add_layer(c, builder, fuzz_made(resattn_model_new(builder, resattn_model_name(index), fuzz_int(&c->in))));
}

static void new_config(calls *c)
{
    KEEP(c, configs, resattn_model_config_free,
         resattn_model_config_new(pick_context(c), resattn_model_name(fuzz_range(&c->in, 0, resattn_model_count()))));
}

static void use_config(calls *c)
{
    resattn_model_config *config = PICK(c, configs);
    int32_t index = fuzz_range(&c->in, -1, resattn_model_config_setting_count(config));
    const char *name = resattn_model_config_setting_name(config, index);
    int64_t smallest, largest, value;
    fuzz_ok(resattn_model_config_setting_range(config, index, &smallest, &largest));
    fuzz_ok(resattn_model_config_set_int(config, name, fuzz_int(&c->in)));
    fuzz_ok(resattn_model_config_get_int(config, name, &value));
}

static void build_config(calls *c)
{
    resattn_builder *builder = PICK(c, builders);
    add_layer(c, builder, fuzz_made(resattn_model_config_build(PICK(c, configs), builder, fuzz_int(&c->in))));
}

static void new_network(calls *c)
{
    resattn_builder *builder = PICK(c, builders);
    resattn_layer *root = PICK(c, layers);
    int32_t channels = fuzz_chance(&c->in, 16) ? fuzz_int(&c->in) : fuzz_range(&c->in, 1, 4);
    resattn_network *network = fuzz_made(
        (fuzz_chance(&c->in, 128) ? resattn_network_new : resattn_network_new_zeroed)(builder, root, channels));
    if (network)
        forget_layers(c, NULL, root);
    keep_network(c, network);
}

/* Without the many calls that a tree takes. */
static void new_sample(calls *c)
{
    keep_network(
        c, fuzz_made(fuzz_chance(&c->in, 128) ? sample_full_network(c->context) : sample_trained_network(c->context)));
}

static void grow_network(calls *c)
{
    resattn_builder *builder = fuzz_made(resattn_builder_new(c->context));
    int32_t channels = fuzz_range(&c->in, 1, 4);
    resattn_layer *root = fuzz_grow(&c->in, builder, channels);
    keep_network(c, fuzz_made(resattn_network_new(builder, root, channels)));
    resattn_builder_free(builder);
}

static void ask_layer(calls *c)
{
    resattn_layer *layer = pick_layer(c);
    int32_t index = fuzz_int(&c->in);
    (void)resattn_layer_parent(layer);
    (void)resattn_layer_parameter(layer, index);
    (void)resattn_layer_parameter_count(layer);
    (void)resattn_layer_attribute_is_mutable(layer, index);
    (void)resattn_layer_instance(layer);
    (void)resattn_attention_trunk(resattn_layer_attention(layer));
    (void)resattn_attention_mask(resattn_layer_attention(layer));
    (void)resattn_builder_context(PICK(c, builders));
}

/* More kinds, as many as there are names; the context has the first one already. */
static void new_kind(calls *c)
{
    static const char *const names[] = {"x-fuzz", "x-a", "y-a", "x-", "x-fuzz2"};
    resattn_context *context = fuzz_chance(&c->in, 16) ? NULL : c->other; /* which ends with the input */
    resattn_custom *custom = fuzz_made(resattn_custom_new(context, names[fuzz_byte(&c->in) % 5], NULL, NULL, NULL));
    fuzz_ok(resattn_custom_set_backward(custom, NULL, fuzz_int(&c->in)));
    fuzz_ok(resattn_custom_add_attribute(custom, fuzz_name(&c->in), (resattn_attribute_type)fuzz_range(&c->in, 0, 3),
                                         fuzz_real(&c->in), fuzz_real(&c->in), fuzz_real(&c->in),
                                         fuzz_range(&c->in, 0, 2)));
}

static void share_context(calls *c)
{
    resattn_context *context = pick_context(c);
    FUZZ_CHECK(resattn_context_ref(context) == context, "ref");
    resattn_context_unref(context);
    fuzz_ok(resattn_context_set_seed(context, fuzz_u32(&c->in)));
    (void)resattn_context_threads(context);
    fuzz_ok(resattn_context_set_limit(c->other, (resattn_limit)fuzz_range(&c->in, 0, 15), fuzz_int(&c->in)));
    /* Of the shared one it would end the threads, which the next session starts again. */
    fuzz_ok(resattn_context_set_runner(context == c->context ? c->other : context, NULL, NULL, fuzz_int(&c->in)));
    resattn_status_text((resattn_status)fuzz_int(&c->in));
}

const call_fn build_calls[] = {new_builder,   free_builder,  fail_builder, new_leaf,     new_leaf,
                               new_container, add_child,     add_child,    set_branch,   set_branch,
                               set_attribute, set_attribute, set_path,     grow,         new_model,
                               new_config,    use_config,    build_config, new_network,  new_network,
                               new_sample,    ask_layer,     new_kind,     grow_network, share_context};
const uint32_t build_call_count = COUNT(build_calls);
