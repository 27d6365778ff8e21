#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What peers.py has PyTorch do, each time in a process of its own."""
import argparse
import inspect
import json
import pathlib
import statistics
import sys
import time
import warnings

import numpy
import torch

import torch_network

WARM_UP = 3
OPSET = 13


def hash_of(text):
    """FNV-1a, 64 bits."""
    state = 0xcbf29ce484222325
    for byte in text.encode():
        state = (state ^ byte) * 0x100000001b3 % (1 << 64)
    return state


def reproducible(name, shape, low, high):
    """The numbers that test/reproducible.h describes."""
    with numpy.errstate(over="ignore"):
        z = numpy.arange(1, numpy.prod(shape) + 1, dtype="u8") * numpy.uint64(0x9E3779B97F4A7C15)
        z += numpy.uint64(hash_of(name))
        z = (z ^ (z >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
    z ^= z >> numpy.uint64(31)
    uniform = (z >> numpy.uint64(40)).astype("f8") / (1 << 24)
    return torch.from_numpy((low + (high - low) * uniform).astype("f4").reshape(shape))


def reproducible_parameter(seed, name, shape):
    """As reproducible_network() of test/reproducible.c fills it."""
    kind = name.rpartition(".")[2]
    if kind == "running_var":
        low, high = 0.75, 1.25
    elif kind != "weight":
        low, high = -0.1, 0.1
    elif len(shape) == 1:
        low, high = 0.5, 1.0
    else:
        high = (3 / numpy.prod(shape[1:])) ** 0.5
        low = -high
    return reproducible(seed + name, shape, low, high)


def open_network(arguments):
    document = json.loads(pathlib.Path(arguments.tree).read_text(encoding="utf-8"))
    if arguments.seed is not None:
        weights = {parameter["name"]: reproducible_parameter(arguments.seed, parameter["name"], parameter["shape"])
                   for parameter in document["parameters"]}
    else:
        weights = torch_network.read_safetensors(arguments.weights)
    return torch_network.build(document, weights), document


def shape_of(arguments, document):
    return [arguments.batch, document["in_channels"], arguments.size, arguments.size]


def run_once(network, images):
    with torch.inference_mode():
        return network(images).contiguous()


def write_floats(path, tensor):
    pathlib.Path(path).write_bytes(tensor.numpy().astype("<f4").tobytes())


def logits(arguments):
    """Writes an image of reproducible numbers and its logits, as plain float32."""
    network, document = open_network(arguments)
    image = reproducible(arguments.seed + "data", shape_of(arguments, document), -1, 1)
    write_floats(arguments.image, image)
    write_floats(arguments.logits, run_once(network, image))


def export(arguments):
    """Writes the network as ONNX, for batches of one size: a batch that may vary costs ONNX Runtime some percent."""
    network, document = open_network(arguments)
    images = torch.zeros(shape_of(arguments, document))
    settings = {"opset_version": OPSET, "do_constant_folding": True, "input_names": ["images"],
                "output_names": ["logits"]}
    if arguments.dynamic:
        settings["dynamic_axes"] = {"images": {0: "batch"}, "logits": {0: "batch"}}
    if "dynamo" in inspect.signature(torch.onnx.export).parameters:
        settings["dynamo"] = False  # the older exporter, which needs no further packages
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that sizes become constants is wanted
        torch.onnx.export(network, images, arguments.onnx, **settings)


def best_form(network, images):
    """Batch norms folded, operations fused, weights in oneDNN's order: as fast as this version gets by itself."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(network, images)
        return torch.jit.optimize_for_inference(torch.jit.freeze(traced))


def print_median(arguments, work):
    times = []
    for i in range(-WARM_UP, arguments.runs):
        started = time.perf_counter()
        work()
        if i >= 0:
            times.append(time.perf_counter() - started)
    print(f"{1000 * statistics.median(times) / arguments.batch:.4f}")


def measure(arguments):
    """Prints the median milliseconds of an image."""
    network, document = open_network(arguments)
    images = 4 * torch.rand(shape_of(arguments, document)) - 2
    network = best_form(network, images)
    print_median(arguments, lambda: run_once(network, images))


def train(arguments, layout=torch.channels_last):
    """The same for training steps as `resattn bench --train` makes them."""
    network, document = open_network(arguments)
    network = network.train().to(memory_format=layout)
    images = (4 * torch.rand(shape_of(arguments, document)) - 2).contiguous(memory_format=layout)
    labels = torch.randint(document["out_channels"], [arguments.batch])
    sgd = torch.optim.SGD(network.parameters(), 1e-4, momentum=0.9, nesterov=True, weight_decay=1e-4)

    def step():
        sgd.zero_grad(set_to_none=True)
        torch.nn.functional.cross_entropy(network(images), labels).backward()
        sgd.step()
    print_median(arguments, step)


def train_default(arguments):
    train(arguments, torch.contiguous_format)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tree", help="a network's tree, from resattn info NAME --json")
    parser.add_argument("--weights", help="its weights, from resattn convert NAME FILE.safetensors")
    parser.add_argument("--seed", help="instead of weights: reproducible ones")
    parser.add_argument("--size", type=int)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--image", help="logits: the file to write")
    parser.add_argument("--logits", help="logits: the file to write")
    parser.add_argument("--onnx", help="export: the file to write")
    parser.add_argument("--dynamic", action="store_true", help="export: for batches of any size")
    commands = {"version": lambda _: print(torch.__version__), "logits": logits, "export": export, "time": measure,
                "train": train, "train-default": train_default}
    parser.add_argument("command", choices=commands)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.set_num_interop_threads(1)
    commands[arguments.command](arguments)


if __name__ == "__main__":
    main()
