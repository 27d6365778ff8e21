/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Contexts and networks for the commands.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "errors.h"
#include "images.h"
#include "small_net.h"
#include "tool.h"

static const char quickstart_name[] = "quickstart";

enum { CIFAR_CLASSES = 10, IMAGENET_CLASSES = 1000 };

/* Networks for images of 32 x 32 were published for CIFAR-10, the others for ImageNet. */
static int32_t published_classes(const char *name)
{
    return resattn_model_input_size(name) == IMAGE_SIDE ? CIFAR_CLASSES : IMAGENET_CLASSES;
}

static void print_message(void *user, resattn_log_level level, const char *message)
{
    (void)user;
    (void)level;
    complain("%s", message);
}

resattn_context *tool_context(int32_t threads, uint64_t seed)
{
    resattn_context *context = resattn_context_new(threads);
    if (!context || resattn_context_set_log(context, print_message, NULL, RESATTN_LOG_WARNING) ||
        resattn_context_set_seed(context, seed)) {
        complain_library();
        resattn_context_unref(context);
        return NULL;
    }
    return context;
}

resattn_network *tool_load(resattn_context *context, const char *path)
{
    resattn_network *network = resattn_network_load(context, path);
    if (!network)
        complain_library();
    return network;
}

static resattn_layer *build(resattn_builder *builder, const char *name, int32_t classes)
{
    if (strcmp(name, quickstart_name) == 0)
        return small_net_new(builder, classes ? classes : CIFAR_CLASSES);
    return resattn_model_new(builder, name, classes ? classes : published_classes(name));
}

resattn_network *tool_new_network(resattn_context *context, const char *name, int32_t classes, enum tool_values values)
{
    resattn_builder *builder = resattn_builder_new(context);
    resattn_layer *root = builder ? build(builder, name, classes) : NULL;
    resattn_network *network =
        values == TOOL_ZERO ? resattn_network_new_zeroed(builder, root, 3) : resattn_network_new(builder, root, 3);
    if (!network && resattn_last_status() == RESATTN_NOT_FOUND)
        complain("%s: neither a file nor a network; '%s --help' lists these", name, program_name());
    else if (!network)
        complain_library();
    resattn_builder_free(builder);
    return network;
}

resattn_network *tool_network(resattn_context *context, const char *name, int32_t classes, enum tool_values values)
{
    struct stat status;
    if (stat(name, &status) == 0)
        return tool_load(context, name);
    return tool_new_network(context, name, classes, values);
}

int32_t tool_own_side(const resattn_network *network, const char *name)
{
    if (resattn_network_input_height(network) > 0)
        return resattn_network_input_height(network);
    return strcmp(name, quickstart_name) == 0 ? IMAGE_SIDE : resattn_model_input_size(name);
}

int32_t tool_side(const resattn_network *network, const char *name, int32_t wanted)
{
    int32_t side = wanted ? wanted : tool_own_side(network, name);
    if (side == 0)
        complain("%s: the network does not tell the size of its images; give --size", name);
    return side;
}

int32_t tool_short_side(int32_t wanted, int32_t side)
{
    if (wanted == 0)
        return side;
    if (wanted >= side)
        return wanted;
    complain("--resize is %d, expected at least the %d pixels that are cut out", (int)wanted, (int)side);
    return 0;
}
