#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Runs the program that tries the paper's claims on a few images: which rows its file gets, that it goes on where it was
stopped, and that the tables are what the file says."""
import csv
import os
import re
import statistics
import subprocess
import sys
import tempfile

ACTIVATIONS = ["residual-1", "channel-1", "spatial-1", "none-1", "trunk-1"]
FILE = "runs.csv"


def expect(truth, *what):
    if not truth:
        sys.exit(" ".join(str(part) for part in what))


def run(*arguments, code=0):
    result = subprocess.run([PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            universal_newlines=True, encoding="utf-8")
    expect(result.returncode == code, arguments, "exit code", result.returncode, result.stdout, result.stderr)
    return result.stdout, result.stderr


def quick(experiment, *arguments, seeds=1):
    out, err = run("--quick", "--csv", FILE, "--experiment", experiment, "--seeds", str(seeds), *arguments)
    return out, re.findall(r"^run \d+ of \d+: (\S+), (\d+) %", err, flags=re.M)


def rows():
    with open(FILE, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def keys(chosen):
    return sorted((row["network"], int(row["noise"]), int(row["seed"])) for row in chosen)


def check_table(out, column, digits, values, seeds, epochs=1):
    """The cells of a column against the mean and deviation of what the file has for their runs."""
    lines = [[cell.strip() for cell in line.strip("|\n").split("|")] for line in out.splitlines() if line[:1] == "|"]
    at, found = lines[0].index(column), set()
    for cells in lines[2:]:
        network, _, noise = cells[1].partition(", ")
        noise = int(noise.rstrip(" %") or 0)
        known = [float(row[values]) for row in rows() if row["epochs"] == str(epochs) and row["network"] == network and
                 int(row["noise"]) == noise and int(row["seed"]) <= seeds]
        expected = f"{statistics.mean(known):.{digits}f}"
        expected += f" ± {statistics.stdev(known):.{digits}f}" if seeds > 1 else ""
        numbers = [float(text) for text in re.findall(r"[0-9.]+", cells[at])]
        wanted = [float(text) for text in re.findall(r"[0-9.]+", expected)]
        expect(len(numbers) == len(wanted) == seeds and
               all(abs(a - b) < 1.01 * 10**-digits for a, b in zip(numbers, wanted)), cells, "expected", expected)
        found.add((network, noise))
    return found


def check_restart():
    out, made = quick("activation", seeds=2)
    expected = sorted((network, 0, seed) for network in ACTIVATIONS for seed in (1, 2))
    expect(keys(rows()) == expected and len(made) == 10, "rows", keys(rows()))
    expect(check_table(out, "test error, %", 2, "error", 2) == {(network, 0) for network in ACTIVATIONS}, out)
    with open(FILE, "rb") as file:
        before = file.read()
    expect(quick("activation", seeds=2) == (out, []), "a second time, runs are made or the table is another")
    with open(FILE, "rb") as file:
        expect(file.read() == before, "the file has changed although no run was missing")

    lines = before.splitlines(keepends=True)
    lost = lines.pop(4)
    with open(FILE, "wb") as file:
        file.writelines(lines)
    again, made = quick("activation", seeds=2)
    expect(len(made) == 1 and rows()[-1]["network"] == made[0][0], "not the lost run was made:", made)
    with open(FILE, "rb") as file:
        expect(file.read() == b"".join(lines) + lost and again == out, "a run made again came to something else")


def check_shared():
    """Experiments share runs; other numbers of epochs are other runs."""
    count = len(rows())
    quick("structure", seeds=2)
    expect(keys(rows()[count:]) == [("local-1", 0, 1), ("local-1", 0, 2)], "rows", keys(rows()[count:]))
    quick("structure", "--epochs", "2")
    expect([row["epochs"] for row in rows()[count + 2:]] == ["2", "2"], "rows", rows()[count + 2:])


def check_noise():
    """Trains three times as long as the others."""
    out, _ = quick("noise")
    wanted = {(network, noise) for network in ("quickstart", "resnet") for noise in (0, 10, 30, 50, 70)}
    expect(check_table(out, "test error, %", 2, "error", 1, epochs=3) == wanted, out)
    cost = {row["network"]: int(row["multiply_adds"]) for row in rows()}
    for network, other in [("resnet", "quickstart"), ("local-1", "residual-1")]:
        expect(abs(cost[network] / cost[other] - 1) < 0.05, network, "costs", cost)


def check_overlap():
    out, _ = quick("supervision", seeds=2)
    check_table(out, "test error, %", 2, "error", 2)
    check_table(out, "overlap", 3, "overlap", 2)
    for row in rows():
        measured = row["network"].startswith("quickstart")
        expect(bool(row["overlap"]) == bool(row["cut"]) == measured, row)
        expect(not measured or (0 < float(row["overlap"]) <= 1 and re.match(r"module [1-3] (above|below) 0\.\d\d$",
                                                                           row["cut"])), row)


def check_wrong():
    expect("Usage: paper" in run("--help")[0], "--help prints no usage")
    for arguments, part in [(["--experiment", "fly"], "fly"), (["--seeds", "0"], "seeds"), (["more"], "more"),
                            (["--images", "9"], "images"), (["--colour"], "colour")]:
        expect(part in run(*arguments, code=2)[1], arguments, "the message does not say", part)
    expect("--images" in run("--images", "8001", "--csv", "none.csv", code=1)[1], "too many images")
    with open(FILE, "rb") as file:
        text = file.read()
    for name, content, part in [("cut.csv", text[:-9], f"line {len(text.splitlines())} "),
                                ("other.csv", b"a,b\n1,2\n", "a,b")]:
        with open(name, "wb") as file:
            file.write(content)
        message = run("--quick", "--csv", name, code=1)[1]
        expect(name in message and part in message, message)


def main():
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        check_restart()
        check_shared()
        check_noise()
        check_overlap()
        check_wrong()
        os.chdir("/")


PROGRAM = os.path.abspath(sys.argv[1])
main()
