#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The trained network that comes with the examples is what its card says: its bytes, its accuracy, its masks' overlap
with the objects; and the sample pictures, shipped and drawn anew, are of the classes that they are called after."""
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile

TOOL, FOLDER = sys.argv[1:3]
MODEL = os.path.join(FOLDER, "quickstart.resattn")


def run(*arguments, program=None, code=0):
    result = subprocess.run([program or TOOL, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            universal_newlines=True)
    if result.returncode != code:
        sys.exit(f"{arguments}: exit code {result.returncode}, expected {code}\n{result.stdout}\n{result.stderr}")
    return result.stderr if code else result.stdout


def number(pattern, text):
    found = re.search(pattern, text)
    if not found:
        sys.exit(f"no {pattern} in:\n{text}")
    return float(found.group(1))


def check_pictures(folder, count):
    pictures = sorted(name for name in os.listdir(folder) if name.endswith(".png"))
    if len(pictures) != count:
        sys.exit(f"{folder}: {pictures}, expected {count} pictures")
    for picture in pictures:
        first = run("classify", MODEL, os.path.join(folder, picture)).splitlines()[1].split()
        if first[-1] + ".png" != picture or float(first[0]) < 90:
            sys.exit(f"{picture}: {first}")


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
    with tempfile.TemporaryDirectory() as folder:
        os.mkdir(os.path.join(folder, "heart"))
        shutil.copy(os.path.join(FOLDER, "heart.png"), os.path.join(folder, "heart"))
        if "--masks" not in run("eval", MODEL, "--data", folder, "--masks", code=1):
            sys.exit("eval --masks takes pictures of which nobody knows where the objects are")
    if len(sys.argv) > 3:
        check_pictures(FOLDER, 2)
        with tempfile.TemporaryDirectory() as folder:
            run("--samples", folder, program=sys.argv[3])
            check_pictures(folder, 10)
            nowhere = os.path.join(folder, "none")
            if nowhere not in run("--samples", nowhere, program=sys.argv[3], code=1):
                sys.exit("--samples to a folder that is not there: the message does not name it")


main()
