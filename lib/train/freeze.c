/* SPDX-License-Identifier: BSD-3-Clause */
/* Freezing for fine-tuning: factors of 0 on the rate, and with them the statistics of batch norms. */
#include "train/optimizer.h"

#include <string.h>

/* A batch norm goes by its weight, so that here too the longest path counts, whatever the order of the calls. */
static void freeze_statistics(const resattn_optimizer *optimizer, resattn_layer *layer)
{
    bool is_norm = layer->kind->op && (layer->kind->op->flags & RA_IS_BATCH_NORM);
    if (is_norm) {
        int32_t frozen = ra_attribute_find(layer->kind, "frozen");
        const ra_own *own = &optimizer->owns[ra_network_find(optimizer->network, layer->params[0].name)];
        layer->attributes[frozen].i = own->factors[RA_RATE_FACTOR] == 0;
    }
}

resattn_status resattn_optimizer_freeze(resattn_optimizer *optimizer, const char *path, int32_t frozen)
{
    if (frozen != 0 && frozen != 1)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "optimizer: frozen is %d, expected 0 or 1", (int)frozen);
    resattn_status status = resattn_optimizer_set_factor(optimizer, path, "rate", frozen ? 0 : 1);
    if (status != RESATTN_OK)
        return status;
    resattn_layer *root = optimizer->network->root;
    for (resattn_layer *layer = root; layer; layer = ra_layer_next(root, layer))
        if (ra_name_is_below(layer->path, path, strlen(path)))
            freeze_statistics(optimizer, layer);
    return RESATTN_OK;
}
