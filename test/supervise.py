#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Runs the example of supervised masks with few steps: it ends well, and targets make masks overlap the objects more."""
import re
import subprocess
import sys


def run(*arguments, code=0):
    result = subprocess.run([sys.argv[1], *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            universal_newlines=True)
    if result.returncode != code:
        sys.exit(f"{arguments}: exit code {result.returncode}, expected {code}\n{result.stdout}\n{result.stderr}")
    return result.stdout, result.stderr


def main():
    if "Usage: supervise" not in run("--help")[0]:
        sys.exit("--help prints no usage")
    for arguments, part in [(["--images", "49"], "49"), (["--weight", "0"], "weight"), (["--seed", "x"], "seed"),
                            (["--colour"], "colour"), (["more"], "more")]:
        if part not in run(*arguments, code=2)[1]:
            sys.exit(f"{arguments}: the message does not say {part}")
    # Of few images, targets that weigh much: they show more than in four times as many steps with the usual weight.
    out, err = run("--images", "500", "--epochs", "1", "--weight", "5")
    overlaps = [float(text) for text in re.findall(r"overlap ([0-9.]+)", out)]
    areas = [[float(text) for text in line.split()] for line in re.findall(r"object:([ 0-9.]+)$", out, flags=re.M)]
    if len(overlaps) != 2 or [len(area) for area in areas] != [3, 3] or "images/s" not in err:
        sys.exit(f"unexpected output:\n{out}\n{err}")
    if not overlaps[1] > overlaps[0] + 0.02 or not max(areas[1]) > max(max(a, 1 - a) for a in areas[0]) + 0.05:
        sys.exit(f"supervised masks do not overlap more:\n{out}")


main()
