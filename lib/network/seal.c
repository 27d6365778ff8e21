/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sealing: a network that only infers does without its parameters.
 */
#include "network/constants.h"

/* From here on nobody can become an owner of a parameter's tensor; false where somebody is. */
static bool end_sharing(resattn_network *network)
{
    int shares = 0;
    if (atomic_compare_exchange_strong(&network->tensors.shares, &shares, -1))
        return true;
    ra_fail(RESATTN_BUSY, "sealing: %d shares of the parameters' tensors are held, expected none", shares);
    return false;
}

static bool drop_values(resattn_network *network)
{
    network->kept = ra_constants_newest(network);
    if (!network->kept) {
        atomic_store(&network->tensors.shares, 0);
        ra_fail(RESATTN_WRONG_STATE,
                "sealing: no inference session has seen the present parameters: make one, or refresh it, first");
        return false;
    }
    for (int32_t i = 0; i < network->param_count; i++) {
        ra_param *param = network->params[i];
        param->value = param->gradient = NULL;
        param->value_tensor.data = param->gradient_tensor.data = NULL;
    }
    ra_free(network->context, network->values);
    ra_free(network->context, network->gradients);
    network->values = network->gradients = NULL;
    atomic_store(&network->sealed, true);
    return true;
}

resattn_status resattn_network_seal(resattn_network *network)
{
    if (!network)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "seal: the network is NULL");
    if (!ra_network_take(network, "sealing"))
        return resattn_last_status();
    bool sealed = end_sharing(network) && drop_values(network);
    ra_network_give(network);
    return sealed ? RESATTN_OK : resattn_last_status();
}

int32_t resattn_network_is_sealed(const resattn_network *network)
{
    return network ? atomic_load(&network->sealed) : 0;
}
