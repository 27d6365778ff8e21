#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Assembles a network with an attention module, and trains it on NumPy arrays: are the stripes upright or level?"""
import sys

import numpy
import resattn as ra

random = numpy.random.default_rng(1)
context = ra.context_new(0)
b = ra.builder_new(context)


def chain(name, *layers):
    whole = ra.sequential_new(b, name)
    for layer in layers:
        ra.layer_add(whole, layer)
    return whole


attention = ra.attention_new(b, "attention")
ra.attention_set_trunk(attention, chain("trunk", ra.conv2d_new(b, "conv", 16, 3, 1, 1), ra.relu_new(b, "relu")))
ra.attention_set_mask(attention, ra.down_up_new(b, "mask", ra.max_pool_new(b, "pool", 3, 2, 1),
                                                ra.conv2d_new(b, "conv", 16, 3, 1, 1), ra.bilinear_resize_new(b, "up", 0, 0)))
root = chain(None, ra.conv2d_new(b, "stem", 16, 3, 1, 1), ra.batch_norm_new(b, "norm"), ra.relu_new(b, "relu"),
             ra.attention_layer(attention), ra.global_average_pool_new(b, "pool"), ra.linear_new(b, "classifier", 2))
network = ra.network_new(b, root, 1)

images, labels = numpy.empty((32, 1, 16, 16), "f4"), numpy.empty(32, "i4")
batch = ra.wrap(context, images)  # the same memory
session = ra.session_new(ra.plan_new(network, ra.RESATTN_TRAINING, 32, 16, 16))
optimizer = ra.sgd_new(network, 0.05)
for step in range(40):
    labels[:] = random.integers(2, size=32)
    waves = numpy.sin(numpy.arange(16) * 1.5 + random.uniform(0, 6, (32, 1, 1, 1)))
    images[:] = numpy.where(labels[:, None, None, None], waves, waves.transpose(0, 1, 3, 2)) + random.normal(0, 1, images.shape)
    ra.session_forward(session, batch)
    loss, right = ra.ffi.new("double *"), ra.ffi.new("int32_t *")
    ra.softmax_cross_entropy(session, ra.ffi.from_buffer("int32_t[]", labels), 32, loss, right)
    ra.session_backward(session)
    ra.optimizer_step(optimizer)
    if step % 8 == 7:
        print(f"step {step + 1}: loss {loss[0]:.3f}, {right[0]} of 32 right")
ra.network_save(network, (sys.argv[1] if len(sys.argv) > 1 else "stripes.resattn"), ra.RESATTN_DEFAULT_LEVEL)
