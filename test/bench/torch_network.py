# SPDX-License-Identifier: BSD-3-Clause
"""A network of libresattn in PyTorch: from what `resattn info NAME --json` prints and a safetensors file of weights."""
import json
import pathlib
import struct

import numpy
import torch
import torch.nn.functional as F
from torch import nn


def read_safetensors(path):
    """The tensors of a file as `resattn convert` writes it, by name."""
    data = bytearray(pathlib.Path(path).read_bytes())
    length = struct.unpack("<Q", data[:8])[0]
    tensors = {}
    for name, entry in json.loads(data[8:8 + length]).items():
        if name == "__metadata__":
            continue
        if entry["dtype"] != "F32":
            raise ValueError(f"{path}: {name} is {entry['dtype']}, expected F32")
        begin, end = entry["data_offsets"]
        values = numpy.frombuffer(data, "<f4", (end - begin) // 4, 8 + length + begin)
        tensors[name] = torch.from_numpy(values.reshape(entry["shape"]))
    return tensors


class Builder:
    """Makes modules of layers, by a method for each kind. What brings a down_up back up also takes a size."""

    def __init__(self, weights):
        self.weights = dict(weights)

    def build(self, layer):
        make = getattr(self, layer["kind"], None)
        if make is None:
            raise ValueError(f"{layer['path']}: unknown kind of layer '{layer['kind']}'")
        return make(layer, layer["attributes"])

    def children(self, layer):
        return [self.build(child) for child in layer["children"]]

    def load(self, module, layer):
        """Gives a module the layer's parameters and statistics; all of them and no others."""
        prefix = layer["path"] + "."
        names = [name for name in module.state_dict() if name != "num_batches_tracked"]
        state = {name: self.weights.pop(prefix + name) for name in names}
        module.load_state_dict(state, strict=False)
        return module

    # Containers

    def sequential(self, layer, _):
        return nn.Sequential(*self.children(layer))

    def sum(self, layer, _):
        return Sum(self.children(layer))

    def concat(self, layer, _):
        return Concat(self.children(layer))

    def residual(self, layer, _):
        branches = self.children(layer)
        return Sum(branches if len(branches) == 2 else [*branches, nn.Identity()])

    def down_up(self, layer, _):
        return DownUp(*self.children(layer))

    def attention(self, layer, _):
        activation = {
            "mixed": [nn.Sigmoid()],
            "channel": [ChannelNorm(1e-12)],
            "spatial": [MapNorm(1e-5), nn.Sigmoid()],
            "none": [],
        }[layer["activation"]]
        trunk, mask = self.children(layer)
        return Attention(trunk, nn.Sequential(mask, *activation), layer["learning"] == "residual")

    # Leaves with parameters

    def conv2d(self, layer, of):
        pad_h, pad_w, rest = padding_of(of)
        module = nn.Conv2d(layer["in_channels"], of["out_channels"], pair(of, "kernel"), pair(of, "stride"),
                           (pad_h, pad_w), pair(of, "dilation"), of["groups"], bool(of["bias"]))
        self.load(module, layer)
        return nn.Sequential(nn.ZeroPad2d(rest), module) if any(rest) else module

    def conv_transpose2d(self, layer, of):
        module = nn.ConvTranspose2d(layer["in_channels"], of["out_channels"], pair(of, "kernel"), pair(of, "stride"),
                                    groups=of["groups"], bias=bool(of["bias"]), dilation=pair(of, "dilation"))
        return UpConvolution(self.load(module, layer), of)

    def linear(self, layer, of):
        return Linear(self.load(nn.Linear(layer["in_channels"], of["out_features"], bool(of["bias"])), layer))

    def batch_norm(self, layer, of):
        return self.load(nn.BatchNorm2d(layer["in_channels"], of["epsilon"], of["momentum"]), layer)

    # Leaves without

    def relu(self, _layer, _):
        return nn.ReLU()

    def sigmoid(self, _layer, _):
        return nn.Sigmoid()

    def softmax(self, _layer, _):
        return nn.Softmax(1)

    def identity(self, _layer, _):
        return nn.Identity()

    def dropout(self, _layer, of):
        return nn.Dropout(of["probability"])

    def max_pool(self, layer, of):
        return nn.MaxPool2d(pair(of, "kernel"), pair(of, "stride"), pool_padding(layer),
                            ceil_mode=bool(of["ceil_mode"]))

    def average_pool(self, layer, of):
        return nn.AvgPool2d(pair(of, "kernel"), pair(of, "stride"), pool_padding(layer), bool(of["ceil_mode"]),
                            bool(of["count_padding"]))

    def global_average_pool(self, _layer, _):
        return nn.AdaptiveAvgPool2d(1)

    def bilinear_resize(self, _layer, of):
        return Resize(of)

    def subsample(self, layer, of):
        return Subsample(layer["in_channels"], of["out_channels"], of["stride"])

    def channel_norm(self, _layer, of):
        return ChannelNorm(of["epsilon"])

    def instance_norm(self, _layer, of):
        return MapNorm(of["epsilon"])

    def scale(self, _layer, of):
        return Scale(of["factor"])


def pair(of, name):
    return of[name + "_h"], of[name + "_w"]


def padding_of(of):
    """What is on both sides of height and width, and what is left, in ZeroPad2d's order: left, right, top, bottom."""
    top, bottom, left, right = (of["pad_" + side] for side in ["top", "bottom", "left", "right"])
    height, width = min(top, bottom), min(left, right)
    return height, width, (left - width, right - width, top - height, bottom - height)


def pool_padding(layer):
    height, width, rest = padding_of(layer["attributes"])
    if any(rest):
        raise ValueError(f"{layer['path']}: pooling with another padding before than after; PyTorch has none")
    return height, width


def size_of(x):
    """Height and width, as numbers also while PyTorch traces: they are then constants of the exported network."""
    return int(x.shape[2]), int(x.shape[3])


class Sum(nn.Module):
    def __init__(self, children):
        super().__init__()
        self.branches = nn.ModuleList(children)

    def forward(self, x):
        total = self.branches[0](x)
        for branch in self.branches[1:]:
            total = total + branch(x)
        return total


class Concat(nn.Module):
    def __init__(self, children):
        super().__init__()
        self.branches = nn.ModuleList(children)

    def forward(self, x):
        return torch.cat([branch(x) for branch in self.branches], 1)


class DownUp(nn.Module):
    def __init__(self, down, inner, up):
        super().__init__()
        self.inside = nn.Sequential(down, inner)
        self.up = up

    def forward(self, x):
        return self.up(self.inside(x), size_of(x))


class Attention(nn.Module):
    def __init__(self, trunk, mask, residual):
        super().__init__()
        self.trunk, self.mask, self.residual = trunk, mask, residual

    def forward(self, x):
        trunk, mask = self.trunk(x), self.mask(x)
        return (1 + mask) * trunk if self.residual else mask * trunk


class Linear(nn.Module):
    """Between images of one pixel."""

    def __init__(self, matrix):
        super().__init__()
        self.matrix = matrix

    def forward(self, x):
        return self.matrix(x.flatten(1))[:, :, None, None]


class Resize(nn.Module):
    def __init__(self, of):
        super().__init__()
        self.fixed, self.factor = (of["height"], of["width"]), of["factor"]
        self.align_corners = bool(of["align_corners"])

    def forward(self, x, size=None):
        wanted = size or [int(side * self.factor) for side in size_of(x)]
        wanted = [fixed or side for fixed, side in zip(self.fixed, wanted)]
        return F.interpolate(x, size=wanted, mode="bilinear", align_corners=self.align_corners)


class UpConvolution(nn.Module):
    """Transposed convolution, whose output reaches a wanted size: at most stride - 1 further than without output
    padding, with zeros beyond."""

    def __init__(self, module, of):
        super().__init__()
        self.module = module
        self.before, self.after = (of["pad_top"], of["pad_left"]), (of["pad_bottom"], of["pad_right"])
        self.extra, self.stride = pair(of, "output_pad"), pair(of, "stride")

    def forward(self, x, size=None):
        module = self.module
        full = F.conv_transpose2d(x, module.weight, None, module.stride, 0, 0, module.groups, module.dilation)
        computed, beyond = [], []
        for d, side in enumerate(size_of(full)):
            natural = side - self.before[d] - self.after[d]
            wanted = size[d] if size else natural + self.extra[d]
            reached = min(wanted, natural + self.stride[d] - 1)
            computed.append((-self.before[d], self.before[d] + reached - side))
            beyond.append((0, wanted - reached))
        part = F.pad(full, [*computed[1], *computed[0]])
        if module.bias is not None:
            part = part + module.bias[:, None, None]
        return F.pad(part, [*beyond[1], *beyond[0]])


class Subsample(nn.Module):
    def __init__(self, in_channels, out_channels, stride):
        super().__init__()
        before = (out_channels - in_channels) // 2
        self.padding, self.stride = [0, 0, 0, 0, before, out_channels - in_channels - before], stride

    def forward(self, x):
        return F.pad(x[:, :, ::self.stride, ::self.stride], self.padding)


class ChannelNorm(nn.Module):
    def __init__(self, epsilon):
        super().__init__()
        self.epsilon = epsilon

    def forward(self, x):
        return x / torch.sqrt((x * x).sum(1, keepdim=True) + self.epsilon)


class MapNorm(nn.Module):
    def __init__(self, epsilon):
        super().__init__()
        self.epsilon = epsilon

    def forward(self, x):
        centred = x - x.mean((2, 3), keepdim=True)
        return centred / torch.sqrt((centred * centred).mean((2, 3), keepdim=True) + self.epsilon)


class Scale(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return x * self.factor


def build(document, weights):
    """The network that `document`, what info --json prints, tells of: logits (batch, classes) of images."""
    builder = Builder(weights)
    network = nn.Sequential(builder.build(document["tree"]), nn.Flatten())
    if builder.weights:
        raise ValueError(f"{document['network']}: no layer has the weights {', '.join(sorted(builder.weights)[:5])}")
    return network.eval()
