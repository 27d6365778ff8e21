/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Kinds of layers of the host's own: defining them, making and loading layers of them. The kind is a table entry like
 * the library's, whose functions hand on to the host's callbacks; the layer finds its way back by where the entry lies.
 */
#include "layers/custom.h"

#include <math.h>
#include <string.h>

/* Integers of attributes, which ranges keep as doubles. */
#define LARGEST_INT 9007199254740992.0

static bool is_word(const char *text, size_t most, const char *marks)
{
    size_t length = strlen(text);
    return length >= 1 && length <= most && strspn(text, marks) == length;
}

#define LETTERS_AND_DIGITS "abcdefghijklmnopqrstuvwxyz0123456789_"

resattn_status ra_custom_answer(const resattn_custom *custom, const char *callback, uint32_t failures, int32_t answer)
{
    if (answer == RESATTN_OK || (ra_failures() != failures && (int32_t)resattn_last_status() == answer))
        return (resattn_status)answer;
    bool known = answer < RESATTN_OK && answer >= RESATTN_HOST_ERROR;
    return ra_fail(known ? (resattn_status)answer : RESATTN_HOST_ERROR, "the %s callback of %s answered %d", callback,
                   custom->name, (int)answer);
}

/* ---- layers, for the library ---- */

static bool infer(resattn_layer *layer)
{
    const resattn_custom *custom = ra_custom_of(layer);
    layer->out_c = layer->in_c;
    if (!custom->channels)
        return true;
    uint32_t failures = ra_failures();
    layer->declaring = true;
    resattn_status answer = custom->channels(custom->user, layer, &layer->out_c);
    layer->declaring = false;
    if (ra_custom_answer(custom, "channels", failures, answer) != RESATTN_OK)
        return false;
    if (layer->out_c >= 1 && layer->out_c <= RA_MAX_DIM)
        return true;
    ra_fail(RESATTN_INVALID_ARGUMENT, "the channels callback of %s gave %d channels, expected 1 to %d", custom->name,
            (int)layer->out_c, RA_MAX_DIM);
    return false;
}

static int64_t multiply_adds(const resattn_layer *layer, ra_shape in, ra_shape out)
{
    (void)out;
    const resattn_custom *custom = ra_custom_of(layer);
    int64_t count = custom->multiply_adds ? custom->multiply_adds(custom->user, layer, in.h, in.w) : 0;
    return count > 0 ? count : 0;
}

static bool save(const resattn_layer *layer, resattn_write_fn write, void *write_user)
{
    const resattn_custom *custom = ra_custom_of(layer);
    uint32_t failures = ra_failures();
    if (!layer->instance)
        return true;
    if (custom->save)
        return !ra_custom_answer(custom, "save", failures, custom->save(custom->user, layer, write, write_user));
    ra_fail(RESATTN_UNSUPPORTED, "%s has no save callback, so its instance cannot be saved", custom->name);
    return false;
}

static bool load(resattn_layer *layer, const void *bytes, size_t size)
{
    const resattn_custom *custom = ra_custom_of(layer);
    uint32_t failures = ra_failures();
    if (custom->load)
        return !ra_custom_answer(custom, "load", failures,
                                 custom->load(custom->user, layer, bytes, size, &layer->instance));
    if (size == 0)
        return true;
    ra_fail(RESATTN_UNSUPPORTED, "%s has no load callback for %zu bytes of an instance", custom->name, size);
    return false;
}

static void end_layer(resattn_layer *layer)
{
    const resattn_custom *custom = ra_custom_of(layer);
    if (custom->free_instance && layer->instance)
        custom->free_instance(custom->user, layer->instance);
}

/* ---- the context's kinds ---- */

/* With the context's lock held. */
static resattn_custom *find(const resattn_context *context, const char *name)
{
    for (ra_lasting *one = context->customs; one; one = one->next)
        if (!strcmp(((resattn_custom *)(void *)one)->name, name))
            return (resattn_custom *)(void *)one;
    return NULL;
}

const ra_layer_kind *ra_custom_find(resattn_context *context, const char *name)
{
    pthread_mutex_lock(&context->lock);
    resattn_custom *custom = find(context, name);
    pthread_mutex_unlock(&context->lock);
    if (!custom)
        return NULL;
    atomic_store(&custom->fixed, true);
    return &custom->kind;
}

static void end_kind(resattn_context *context, ra_lasting *self)
{
    resattn_custom *custom = (resattn_custom *)(void *)self;
    if (custom->release)
        custom->release(custom->user);
    ra_free(context, custom);
}

/* False where there is one of this name. */
static bool enlist(resattn_context *context, resattn_custom *custom)
{
    pthread_mutex_lock(&context->lock);
    bool is_new = !find(context, custom->name);
    if (is_new) {
        custom->lasting = (ra_lasting){context->customs, end_kind};
        context->customs = &custom->lasting;
    }
    pthread_mutex_unlock(&context->lock);
    return is_new;
}

resattn_custom *resattn_custom_new(resattn_context *context, const char *name, resattn_custom_run_fn forward,
                                   void *user, resattn_custom_release_fn release)
{
    if (!context || !name || !forward)
        return ra_fail_null(RESATTN_INVALID_ARGUMENT, "custom: the %s is NULL",
                            !context ? "context"
                            : !name  ? "name"
                                     : "forward callback");
    if (strncmp(name, "x-", 2) != 0 || !is_word(name + 2, 38, LETTERS_AND_DIGITS "-"))
        return ra_fail_null(RESATTN_INVALID_ARGUMENT,
                            "custom: the name is '%.80s', expected x- and 1 to 38 of a-z, 0-9, - and _", name);
    resattn_custom *custom = ra_alloc(context, 1, sizeof *custom);
    if (!custom)
        return NULL;
    custom->context = context;
    custom->user = user;
    custom->release = release;
    custom->forward = forward;
    memcpy(custom->name, name, strlen(name) + 1);
    custom->op = (ra_op_kind){.name = custom->name,
                              .flags = RA_IS_CUSTOM,
                              .shape = ra_custom_shape,
                              .saved = ra_custom_saved,
                              .work = ra_custom_work,
                              .forward = ra_custom_forward};
    custom->kind = (ra_layer_kind){.name = custom->name,
                                   .attributes = custom->attributes,
                                   .infer = infer,
                                   .op = &custom->op,
                                   .multiply_adds = multiply_adds,
                                   .save = save,
                                   .load = load,
                                   .end = end_layer};
    if (enlist(context, custom))
        return custom;
    ra_free(context, custom);
    return ra_fail_null(RESATTN_DUPLICATE, "custom: the context has a kind '%s' already", name);
}

/* ---- completing a kind ---- */

static resattn_status may_change(const resattn_custom *custom, const char *what)
{
    if (!custom)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "custom %s: the kind is NULL", what);
    if (atomic_load(&custom->fixed))
        return ra_fail(RESATTN_WRONG_STATE, "custom %s: there are layers of %s, which is fixed since", what,
                       custom->name);
    return RESATTN_OK;
}

resattn_status resattn_custom_set_backward(resattn_custom *custom, resattn_custom_run_fn backward, int32_t reads)
{
    resattn_status status = may_change(custom, "backward");
    if (status != RESATTN_OK)
        return status;
    const int32_t all = RESATTN_CUSTOM_READS_INPUT + RESATTN_CUSTOM_READS_OUTPUT;
    if (!backward || reads < 0 || reads > all)
        return ra_fail(RESATTN_INVALID_ARGUMENT,
                       backward ? "%s: reads is %d, expected 0 to %d" : "%s: backward is NULL", custom->name,
                       (int)reads, (int)all);
    custom->backward = backward;
    custom->op.backward = ra_custom_backward;
    custom->op.flags = RA_IS_CUSTOM | (reads & RESATTN_CUSTOM_READS_INPUT ? RA_READS_INPUTS : 0) |
                       (reads & RESATTN_CUSTOM_READS_OUTPUT ? RA_READS_OUTPUT : 0);
    return RESATTN_OK;
}

resattn_status resattn_custom_set_shape(resattn_custom *custom, resattn_custom_channels_fn channels,
                                        resattn_custom_size_fn size)
{
    resattn_status status = may_change(custom, "shape");
    if (status == RESATTN_OK) {
        custom->channels = channels;
        custom->size = size;
    }
    return status;
}

resattn_status resattn_custom_set_cost(resattn_custom *custom, resattn_custom_memory_fn memory,
                                       resattn_custom_multiply_adds_fn count)
{
    resattn_status status = may_change(custom, "cost");
    if (status == RESATTN_OK) {
        custom->memory = memory;
        custom->multiply_adds = count;
    }
    return status;
}

resattn_status resattn_custom_set_instance(resattn_custom *custom, resattn_custom_free_fn free_instance,
                                           resattn_custom_save_fn save_instance, resattn_custom_load_fn load_instance)
{
    resattn_status status = may_change(custom, "instance");
    if (status == RESATTN_OK) {
        custom->free_instance = free_instance;
        custom->save = save_instance;
        custom->load = load_instance;
    }
    return status;
}

static bool is_good_number(resattn_attribute_type type, double number)
{
    if (type == RESATTN_ATTRIBUTE_INT)
        return floor(number) == number && fabs(number) <= LARGEST_INT;
    return isfinite(number);
}

static resattn_status check_attribute(const resattn_custom *custom, const char *name, const ra_attribute *attribute,
                                      int32_t is_mutable)
{
    const resattn_status status = RESATTN_INVALID_ARGUMENT;
    if (!is_word(name, RA_MAX_SUFFIX, LETTERS_AND_DIGITS))
        return ra_fail(status, "%s: the attribute is called '%.80s', expected 1 to %d of a-z, 0-9 and _", custom->name,
                       name, RA_MAX_SUFFIX);
    if (attribute->type != RESATTN_ATTRIBUTE_INT && attribute->type != RESATTN_ATTRIBUTE_REAL)
        return ra_fail(status, "%s.%s: the type is %d, expected 1 or 2", custom->name, name, (int)attribute->type);
    if (!is_good_number(attribute->type, attribute->initial) || !is_good_number(attribute->type, attribute->smallest) ||
        !is_good_number(attribute->type, attribute->largest) || attribute->initial < attribute->smallest ||
        attribute->initial > attribute->largest)
        return ra_fail(status, "%s.%s: %g to %g, and %g at first, is no range of %s", custom->name, name,
                       attribute->smallest, attribute->largest, attribute->initial,
                       attribute->type == RESATTN_ATTRIBUTE_INT ? "integers" : "numbers");
    if (is_mutable != 0 && is_mutable != 1)
        return ra_fail(status, "%s.%s: is_mutable is %d, expected 0 or 1", custom->name, name, (int)is_mutable);
    if (ra_attribute_find(&custom->kind, name) >= 0)
        return ra_fail(RESATTN_DUPLICATE, "%s.%s: the kind has this attribute already", custom->name, name);
    if (custom->kind.attribute_count == RA_MAX_ATTRIBUTES)
        return ra_fail(RESATTN_TOO_LARGE, "%s.%s is attribute %d, expected at most %d", custom->name, name,
                       RA_MAX_ATTRIBUTES + 1, RA_MAX_ATTRIBUTES);
    return RESATTN_OK;
}

resattn_status resattn_custom_add_attribute(resattn_custom *custom, const char *name, resattn_attribute_type type,
                                            double initial, double smallest, double largest, int32_t is_mutable)
{
    resattn_status status = may_change(custom, "attribute");
    if (status != RESATTN_OK)
        return status;
    if (!name)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "%s: the attribute's name is NULL", custom->name);
    int32_t index = custom->kind.attribute_count;
    ra_attribute attribute = {.type = type, .initial = initial, .smallest = smallest, .largest = largest};
    status = check_attribute(custom, name, &attribute, is_mutable);
    if (status != RESATTN_OK)
        return status;
    attribute.name = memcpy(custom->attribute_names[index], name, strlen(name) + 1);
    attribute.flags = is_mutable ? RA_ATTRIBUTE_MUTABLE : 0;
    custom->attributes[index] = attribute;
    custom->kind.attribute_count++;
    return RESATTN_OK;
}

/* ---- layers, for the host ---- */

resattn_layer *resattn_custom_layer_new(resattn_builder *builder, const char *kind, const char *name, void *instance)
{
    if (!builder || !kind) {
        ra_fail(RESATTN_INVALID_ARGUMENT, "custom layer: the %s is NULL", builder ? "kind" : "builder");
        ra_builder_remember(builder);
        return NULL;
    }
    const ra_layer_kind *found = ra_custom_find(builder->context, kind);
    if (!found) {
        ra_fail(RESATTN_NOT_FOUND, "custom layer: the context has no kind '%.80s', define it first", kind);
        ra_builder_remember(builder);
        return NULL;
    }
    resattn_layer *layer = ra_layer_new(builder, found, name);
    if (layer)
        layer->instance = instance;
    return layer;
}

void *resattn_layer_instance(const resattn_layer *layer)
{
    return layer ? layer->instance : NULL;
}

static resattn_status check_parameter(const resattn_layer *layer, const char *suffix, resattn_parameter_kind kind,
                                      resattn_init init, int32_t rank, const int64_t *shape)
{
    const resattn_status status = RESATTN_INVALID_ARGUMENT;
    if (!layer || !suffix || !shape)
        return ra_fail(status, "parameter: the %s is NULL", !layer ? "layer" : !suffix ? "suffix" : "shape");
    if (!layer->declaring)
        return ra_fail(RESATTN_WRONG_STATE, "parameter %.80s: declared outside of a channels callback", suffix);
    if (!is_word(suffix, RA_MAX_SUFFIX, LETTERS_AND_DIGITS))
        return ra_fail(status, "the parameter is called '%.80s', expected 1 to %d of a-z, 0-9 and _", suffix,
                       RA_MAX_SUFFIX);
    if (kind != RESATTN_PARAMETER_TRAINABLE && kind != RESATTN_PARAMETER_STATISTIC)
        return ra_fail(status, "%s: the kind of parameter is %d, expected 1 or 2", suffix, (int)kind);
    if (init < RESATTN_INIT_ZEROS || init > RESATTN_INIT_LINEAR)
        return ra_fail(status, "%s: init is %d, expected 1 to 4", suffix, (int)init);
    if (rank < 1 || rank > RA_MAX_RANK)
        return ra_fail(status, "%s: the rank is %d, expected 1 to %d", suffix, (int)rank, RA_MAX_RANK);
    for (int32_t i = 0; i < rank; i++)
        if (shape[i] < 1)
            return ra_fail(status, "%s: size %d is %lld, expected at least 1", suffix, (int)i, (long long)shape[i]);
    for (int32_t i = 0; i < layer->param_count; i++)
        if (!strcmp(layer->params[i].suffix, suffix))
            return ra_fail(RESATTN_DUPLICATE, "%s: the layer has this parameter already", suffix);
    return RESATTN_OK;
}

resattn_status resattn_custom_add_parameter(resattn_layer *layer, const char *suffix, resattn_parameter_kind kind,
                                            resattn_init init, int32_t rank, const int64_t *shape)
{
    static const ra_init inits[] = {RA_INIT_ZERO, RA_INIT_ZERO, RA_INIT_ONE, RA_INIT_HE, RA_INIT_LINEAR};
    resattn_status status = check_parameter(layer, suffix, kind, init, rank, shape);
    if (status != RESATTN_OK)
        return status;
    if (!ra_declare(layer, suffix, kind == RESATTN_PARAMETER_TRAINABLE, inits[init], 1, rank, shape))
        return resattn_last_status();
    ra_param *param = &layer->params[layer->param_count - 1];
    param->fan_in = param->elements / shape[0];
    return RESATTN_OK;
}
