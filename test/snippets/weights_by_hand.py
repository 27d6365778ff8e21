# SPDX-License-Identifier: BSD-3-Clause
"""A state_dict without PyTorch: the block writes it, the tool reads it."""
import json
import struct
import subprocess


class Tensor:
    """As much of PyTorch's tensor as the block uses."""

    def __init__(self, shape):
        self.shape = shape

    def is_floating_point(self):
        return bool(self.shape)

    def detach(self):
        return self

    float = contiguous = numpy = detach

    def tobytes(self):
        count = 1
        for size in self.shape:
            count *= size
        return struct.pack(f"<{count}f", *[0.5] * count)


class Model:
    def state_dict(self):
        output = subprocess.run(["resattn", "info", "resnet-20-cifar", "--json"], stdout=subprocess.PIPE, check=True).stdout
        tensors = {one["name"]: Tensor(one["shape"]) for one in json.loads(output)["parameters"]}
        return dict(tensors, **{"bn1.num_batches_tracked": Tensor([])})


model = Model()
# block
subprocess.run(["resattn", "convert", "weights.safetensors", "net.resattn", "--model", "resnet-20-cifar"], check=True)
