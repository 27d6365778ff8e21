#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Trains a network with PyTorch on CIFAR-10's binary files as `resattn train` does: SGD with Nesterov's momentum, one
cycle of the rate, crops and mirror images. For a given number of steps, or for a given time: then how far the cycle is
depends on the time, so that a slower program gets fewer steps of the same schedule."""
import argparse
import json
import math
import pathlib
import sys
import time

import numpy
import torch
import torch.nn.functional as F

import torch_network

RISE, FIRST, LAST = 0.3, 25, 250000  # share of the cycle in which the rate rises, divisors of the rate at its ends
BORDER = 4
RECORD = 1 + 3 * 32 * 32


def read_images(paths):
    records = numpy.concatenate([numpy.fromfile(path, numpy.uint8).reshape(-1, RECORD) for path in paths])
    return torch.from_numpy(records[:, 1:].reshape(-1, 3, 32, 32).copy()), torch.from_numpy(records[:, 0].astype("i8"))


def rate(largest, share):
    if share < RISE:
        low, share = largest / FIRST, 1 - share / RISE
    else:
        low, share = largest / LAST, (share - RISE) / (1 - RISE)
    return low + (largest - low) * (1 + math.cos(math.pi * share)) / 2


def vary(images, random):
    """Every image cut at random from itself with a mirrored border, every second one a mirror image."""
    padded = F.pad(images, [BORDER] * 4, mode="reflect")
    side, count = images.shape[-1], len(images)
    places = torch.randint(2 * BORDER + 1, (count, 2), generator=random)
    mirrored = torch.rand(count, generator=random) < 0.5
    cut = torch.stack([image[:, y:y + side, x:x + side] for image, (y, x) in zip(padded, places.tolist())])
    return torch.where(mirrored[:, None, None, None], cut.flip(-1), cut)


def accuracy(network, images, labels, layout):
    network.eval()
    with torch.inference_mode():
        right = sum((network(part.contiguous(memory_format=layout)).argmax(1) == answers).sum().item()
                    for part, answers in zip(images.split(100), labels.split(100)))
    network.train()
    return 100 * right / len(labels)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tree", required=True, help="from resattn info NAME --classes 10 --json")
    parser.add_argument("--weights", required=True, help="from resattn convert NAME FILE.safetensors --classes 10")
    parser.add_argument("--data", required=True, type=pathlib.Path, help="a folder with CIFAR-10's binary files")
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--seconds", type=float, help="of training, without the test at the end")
    length.add_argument("--steps", type=int)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rate", type=float, default=0.1)
    parser.add_argument("--decay", type=float, default=5e-4)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--default-layout", action="store_true", help="not channels-last")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    random = torch.Generator().manual_seed(arguments.seed)
    layout = torch.contiguous_format if arguments.default_layout else torch.channels_last

    document = json.loads(pathlib.Path(arguments.tree).read_text(encoding="utf-8"))
    network = torch_network.build(document, torch_network.read_safetensors(arguments.weights))
    for parameter in network.parameters():
        parameter.requires_grad_(True)
    network = network.train().to(memory_format=layout)
    images, labels = read_images(sorted(arguments.data.glob("data_batch_*.bin")))
    tests, answers = read_images([arguments.data / "test_batch.bin"])
    mean = images.float().mean((0, 2, 3))[:, None, None] / 255
    deviation = (images.float() / 255).std((0, 2, 3))[:, None, None]
    tests = (tests.float() / 255 - mean) / deviation

    groups = [{"params": [p for p in network.parameters() if p.dim() > 1], "weight_decay": arguments.decay},
              {"params": [p for p in network.parameters() if p.dim() <= 1], "weight_decay": 0}]
    sgd = torch.optim.SGD(groups, arguments.rate, momentum=0.9, nesterov=True)
    started, steps, epoch, share = time.perf_counter(), 0, 0, 0
    while share < 1:
        epoch += 1
        total = 0
        for chosen in torch.randperm(len(images), generator=random).split(arguments.batch):
            share = steps / arguments.steps if arguments.steps else (time.perf_counter() - started) / arguments.seconds
            if share >= 1:
                break
            for group in sgd.param_groups:
                group["lr"] = rate(arguments.rate, share)
            batch = (vary(images[chosen].float() / 255, random) - mean) / deviation
            sgd.zero_grad(set_to_none=True)
            loss = F.cross_entropy(network(batch.contiguous(memory_format=layout)), labels[chosen])
            loss.backward()
            sgd.step()
            total += loss.item()
            steps += 1
        spent = time.perf_counter() - started
        print(f"epoch {epoch}, {spent:.0f} s, {steps} steps: loss {total / math.ceil(len(images) / arguments.batch):.3f}"
              f", rate {sgd.param_groups[0]['lr']:.4f}", file=sys.stderr, flush=True)
    print(f"{steps} steps, {steps * arguments.batch / len(images):.1f} epochs in {spent:.0f} s:"
          f" {accuracy(network, tests, answers, layout):.2f} % of the test images")


if __name__ == "__main__":
    main()
