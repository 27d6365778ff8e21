#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The trained network that comes with the examples is what its card says: its bytes, its accuracy, its masks' overlap
with the objects; and the sample pictures are of the classes that they are called after."""
import hashlib
import os
import re
import subprocess
import sys

TOOL, FOLDER = sys.argv[1:3]
MODEL = os.path.join(FOLDER, "quickstart.resattn")


def run(*arguments):
    result = subprocess.run([TOOL, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
    if result.returncode:
        sys.exit(f"{arguments}: exit code {result.returncode}\n{result.stdout}\n{result.stderr}")
    return result.stdout


def number(pattern, text):
    found = re.search(pattern, text)
    if not found:
        sys.exit(f"no {pattern} in:\n{text}")
    return float(found.group(1))


def main():
    with open(os.path.join(FOLDER, "README.md"), encoding="utf-8") as file:
        card = file.read()
    with open(MODEL, "rb") as file:
        blob = file.read()
    if len(blob) > 1 << 20:
        sys.exit(f"{len(blob)} bytes, expected at most {1 << 20}")
    if hashlib.sha256(blob).hexdigest() not in card:
        sys.exit(f"the card does not have the SHA-256 {hashlib.sha256(blob).hexdigest()}")
    said = run("eval", MODEL, "--data", "shapes", "--masks")
    for name, pattern, largest in [("accuracy", r"Test accuracy: ([0-9.]+) %", 0.5),
                                   ("mask overlap", r"Mask overlap: ([0-9.]+)", 0.01)]:
        expected, measured = number(pattern, card), number(pattern, said)
        if not abs(expected - measured) <= largest:
            sys.exit(f"{name} {measured}, the card says {expected}")
    info = run("info", MODEL)
    if "222,154" not in info or "float16" not in info:
        sys.exit(f"unexpected:\n{info}")
    pictures = sorted(name for name in os.listdir(FOLDER) if name.endswith(".png"))
    if len(sys.argv) > 3:
        for picture in pictures:
            first = run("classify", MODEL, os.path.join(FOLDER, picture)).splitlines()[1].split()
            if first[-1] + ".png" != picture or float(first[0]) < 90:
                sys.exit(f"{picture}: {first}")


main()
