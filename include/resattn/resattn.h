/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libresattn: residual attention networks (Wang et al., CVPR 2017) and what they are compared with. This header includes
 * the whole public interface.
 */
#ifndef RESATTN_RESATTN_H
#define RESATTN_RESATTN_H

#include "resattn/blob.h"
#include "resattn/checkpoint.h"
#include "resattn/common.h"
#include "resattn/context.h"
#include "resattn/custom.h"
#include "resattn/layer.h"
#include "resattn/models.h"
#include "resattn/network.h"
#include "resattn/probe.h"
#include "resattn/session.h"
#include "resattn/tensor.h"
#include "resattn/train.h"
#include "resattn/weights.h"

#endif
