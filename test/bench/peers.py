#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Times libresattn beside ONNX Runtime and PyTorch: the same networks, weights and shapes.

Each measurement is a process of its own, and the programs take turns. Before that, the logits of all of them are
compared. Prints a table in Markdown; how it goes on is told on standard error. README.md beside this file says how
to get the peers.
"""
import argparse
import array
import datetime
import itertools
import json
import os
import pathlib
import platform
import re
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
# PyTorch trains its images channels-last, as it is fastest, and once more in the layout that it has by default.
PEERS = {"ort": "ONNX Runtime", "torch": "PyTorch", "torch-default": "PyTorch, default layout"}
# What is timed without --network: network, size, threads, batch.
ROWS = [
    ("attention-56", 224, 1, 1),
    ("attention-56", 224, 2, 1),
    ("attention-56", 224, 2, 8),
    ("attention-92", 224, 2, 1),
    ("attentionnext-56", 224, 2, 1),
    ("resnext-101", 224, 2, 1),
    ("resnet-152", 224, 2, 1),
    ("resnet-152", 224, 2, 8),
    ("inception-resnet-v2", 299, 2, 1),
    ("attention-92-cifar", 32, 2, 1),
    ("attention-92-cifar", 32, 2, 64),
]
# The same with --train.
TRAINING_ROWS = [("attention-56", 224, 2, 8), ("attention-92-cifar", 32, 2, 64)]
# Logits may differ by so much of the largest one: the bound of test/compare_vectors.py.
LOGITS = 2e-4
SEED = "peers"
REFERENCE_CLASSES = 1000  # of every network that the program reference_vectors makes
FEWEST_RUNS, MOST_RUNS = 5, 2000


class Failure(Exception):
    pass


def tell(text):
    print(text, file=sys.stderr, flush=True)


def run(*command, **environment):
    """Runs a program; returns what it printed."""
    command = [str(word) for word in command]
    try:
        result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False,
                                env={**os.environ, **environment})
    except OSError as error:
        raise Failure(f"{command[0]}: {error.strerror}") from error
    if result.returncode != 0:
        lines = result.stderr.strip().splitlines() or [f"ended with code {result.returncode}"]
        raise Failure(f"{' '.join(command[:3])}: {lines[-1]}")
    return result.stdout


class Ours:
    title = "libresattn"

    def __init__(self, tool, vectors, train):
        self.tool, self.vectors, self.options = tool, vectors, ["--train"] if train else []

    def version(self):
        facts = dict(re.findall(r"(?m)^\s*(\S.*?)\s{2,}(.+)$", run(self.tool, "info")))
        return f"{facts['libresattn']} ({facts['own kernels']}; BLIS {facts['BLIS']}, {facts['BLIS kernels']})"

    def tree(self, network, *options):
        return run(self.tool, "info", network, "--json", *options)

    def write_weights(self, network, path):
        run(self.tool, "convert", network, path)

    def logits(self, network, size):
        """Of the image and the parameters that torch_peer.py makes too; None without the program for it."""
        if not self.vectors.exists():
            return None
        printed = run(self.vectors, network, "--size", size, "--batch", 1, "--seed", SEED)
        return json.loads(printed)["logits"][0]

    def time(self, row, runs):
        network, size, threads, batch = row
        printed = run(self.tool, "bench", "--model", network, "--size", size, "--threads", threads, "--batch", batch,
                      "--runs", runs, *self.options)
        return float(re.search(r"ms_per_image=([\d.]+)", printed).group(1))


class Torch:
    def __init__(self, name, python, folder, way):
        self.title, self.python, self.folder, self.way = PEERS[name], python, folder, way

    def call(self, command, *options):
        return run(self.python, "-B", HERE / "torch_peer.py", command, *options)

    def version(self):
        return self.call("version").strip()

    def network(self, network):
        return ["--tree", self.folder / f"{network}.json", "--weights", self.folder / f"{network}.safetensors"]

    def reference(self, network):
        return ["--tree", self.folder / f"{network}.reference.json", "--seed", SEED]

    def logits(self, network, size):
        """Leaves the image for others."""
        image, found = self.folder / f"image-{size}", self.folder / "logits"
        self.call("logits", *self.reference(network), "--size", size, "--image", image, "--logits", found)
        return read_floats(found)

    def export(self, source, size, batch, path):
        self.call("export", *source, "--size", size, "--batch", batch, "--onnx", path)

    def time(self, row, runs):
        network, size, threads, batch = row
        return float(self.call(self.way, *self.network(network), "--size", size, "--threads", threads, "--batch", batch,
                               "--runs", runs))


class Ort:
    title = PEERS["ort"]

    def __init__(self, module, torch, folder):
        self.module, self.torch, self.folder = module, torch, folder
        self.exported = set()

    def call(self, *words):
        return run("node", HERE / "ort.js", *words, **({"ORT_MODULE": self.module} if self.module else {}))

    def version(self):
        return self.call("version").strip()

    def logits(self, network, size):
        """Of the image that PyTorch left, or leaves now."""
        if not (self.folder / f"image-{size}").exists():
            self.torch.logits(network, size)
        path, found = self.folder / "reference.onnx", self.folder / "logits"
        self.torch.export(self.torch.reference(network), size, 1, path)
        self.call("logits", path, size, self.folder / f"image-{size}", found)
        path.unlink()
        return read_floats(found)

    def time(self, row, runs):
        network, size, threads, batch = row
        path = self.folder / f"{network}-{size}-b{batch}.onnx"
        if path not in self.exported:
            self.torch.export(self.torch.network(network), size, batch, path)
            self.exported.add(path)
        return float(self.call("time", path, size, batch, threads, runs))


def read_floats(path):
    values = array.array("f", path.read_bytes())
    if sys.byteorder == "big":
        values.byteswap()
    return values


def find_peers(arguments, folder):
    """Those that work here, with their versions; says why the others do not."""
    torch = Torch("torch", arguments.python, folder, "train" if arguments.train else "time")
    default = Torch("torch-default", arguments.python, folder, "train-default")
    found = {}
    for name, peer in [("torch", torch), ("torch-default", default), ("ort", Ort(arguments.ort_module, torch, folder))]:
        if name == "torch" or name in arguments.peers:
            try:
                found[name] = (peer, peer.version())
            except Failure as failure:
                tell(f"{peer.title} is missing: {failure}")
    if "ort" in found and "torch" not in found:
        tell(f"{PEERS['ort']} is left out: PyTorch writes the ONNX files for it")
        found = {}
    return {name: found[name] for name in arguments.peers if name in found}


def compare_logits(network, size, ours, peers):
    """All programs on the same numbers; ours is compared where the build has the program for it."""
    answers = {peer.title: peer.logits(network, size) for peer in peers}
    mine = ours.logits(network, size)
    if mine is None:
        tell(f"{network}, {size}: not compared with libresattn: {ours.vectors} is missing (-Dtests=enabled)")
    else:
        answers[ours.title] = mine
    largest = max(abs(value) for values in answers.values() for value in values)
    for (one, a), (other, b) in itertools.combinations(answers.items(), 2):
        error = max(abs(x - y) for x, y in zip(a, b)) / largest if len(a) == len(b) else float("inf")
        tell(f"{network}, {size}: logits of {one} and {other} differ by {error:.1e} of the largest")
        if not error <= LOGITS:
            raise Failure(f"{network}, {size}: logits differ by {error:.1e}, expected at most {LOGITS:.0e}")


def prepare(network, sizes, ours, peers, folder):
    """What the peers need for a network: its tree and weights; and shows that they compute the same."""
    (folder / f"{network}.json").write_text(ours.tree(network), encoding="utf-8")
    reference = ours.tree(network, "--classes", REFERENCE_CLASSES)
    (folder / f"{network}.reference.json").write_text(reference, encoding="utf-8")
    ours.write_weights(network, folder / f"{network}.safetensors")
    ordered = sorted(peers, key=lambda peer: peer.title, reverse=True)  # PyTorch first: it makes the image
    for size in sizes:
        compare_logits(network, size, ours, ordered)


def measure(row, programs, rounds, seconds):
    """The times of each program, by its title; a program that fails has none."""
    ours = programs[0]
    once = ours.time(row, FEWEST_RUNS)
    runs = max(FEWEST_RUNS, min(MOST_RUNS, round(1000 * seconds / (once * row[3]))))
    times = {program.title: [] for program in programs}
    for _, program in itertools.product(range(rounds), programs):
        if times[program.title] is None:
            continue
        try:
            times[program.title].append(program.time(row, runs))
        except Failure as failure:
            if program is ours:
                raise
            tell(f"{program.title}: {failure}")
            times[program.title] = None
    spread = [f"{title} {statistics.median(found):.2f} ({min(found):.2f} to {max(found):.2f})"
              for title, found in times.items() if found]
    tell(f"{row[0]}, size {row[1]}, {row[2]} threads, batch {row[3]}, {runs} runs: {', '.join(spread)}")
    return times


def cpu_name():
    try:
        facts = dict(re.findall(r"(?m)^([^\t:]+)\t*: (.*)$", pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8")))
    except OSError:
        facts = {}
    name = facts.get("model name") or platform.processor() or platform.machine()
    return name + (f", family {facts['cpu family']}" if "cpu family" in facts else "") + f", {os.cpu_count()} CPUs"


def heading(arguments, ours, peers):
    programs = [f"{ours.title} {ours.version()}", *(f"{peer.title} {version}" for peer, version in peers.values())]
    columns = ["network", "size", "threads", "batch", "libresattn"]
    for name in arguments.peers:
        columns += [PEERS[name], "ratio"]
    what = "Training steps" if arguments.train else "Inference"
    return [f"{datetime.date.today()}, {cpu_name()}; {', '.join(programs)}.",
            f"{what}: milliseconds an image, medians of {arguments.rounds}; ratio: the peer's time divided by ours.",
            "", "| " + " | ".join(columns) + " |", "| --- |" + " ---: |" * (len(columns) - 1)]


def table_row(row, times, names):
    mine = statistics.median(times[Ours.title])
    cells = [*map(str, row), f"{mine:.2f}"]
    for name in names:
        found = times.get(PEERS[name])
        cells += [f"{statistics.median(found):.2f}", f"{statistics.median(found) / mine:.2f}"] if found else ["-", "-"]
    return "| " + " | ".join(cells) + " |"


def measure_all(arguments, rows, ours, folder):
    """Prints the table row by row. Returns whether every peer that was found gave every number."""
    peers = find_peers(arguments, folder)
    working = [peer for peer, _ in peers.values()]
    lines, complete = [], True

    def put(line):
        lines.append(line)
        print(line, flush=True)

    for line in heading(arguments, ours, peers):
        put(line)
    for network, group in itertools.groupby(rows, lambda row: row[0]):
        group = list(group)
        if working:
            prepare(network, sorted({row[1] for row in group}), ours, working, folder)
        for row in group:
            times = measure(row, [ours, *working], arguments.rounds, arguments.seconds)
            complete = complete and all(times.values())
            put(table_row(row, times, arguments.peers))
        for path in [*folder.glob(f"{network}-*.onnx"), *folder.glob(f"{network}.*")]:
            if not arguments.keep:
                path.unlink()
    if arguments.output:
        arguments.output.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return complete


def numbers(text):
    values = [int(word) for word in text.split(",")]
    if min(values) < 1:
        raise ValueError
    return values


def peer_names(text):
    names = text.split(",")
    if not set(names) <= set(PEERS):
        raise argparse.ArgumentTypeError(f"'{text}', expected some of {','.join(PEERS)}")
    return names


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--tool", type=pathlib.Path, default="build/examples/resattn", help="the resattn tool (default: %(default)s)")
    add("--vectors", type=pathlib.Path, metavar="PROGRAM",
        help="reference_vectors of the same build, for our logits (default: where the build has it)")
    add("--network", action="append", help="only this one, by name; may be repeated (default: a list of seven)")
    add("--size", type=numbers, metavar="S,...", help="instead of the list's, or the network's own")
    add("--threads", type=numbers, metavar="T,...", help="instead of the list's; with --network otherwise 2")
    add("--batch", type=numbers, metavar="B,...", help="instead of the list's; with --network otherwise 1")
    add("--train", action="store_true", help="training steps as of resattn bench --train, beside PyTorch only")
    add("--rounds", type=int, default=5, help="how often the programs take turns (default: %(default)s)")
    add("--seconds", type=float, default=2, help="that our part of a round takes; all make as many runs (default: 2)")
    add("--peers", type=peer_names, help="some of ort,torch (default: those that can do it)")
    add("--python", default=sys.executable, help="a Python that has PyTorch (default: this one)")
    add("--ort-module", default=os.environ.get("ORT_MODULE"), metavar="FOLDER",
        help="where onnxruntime-node is (default: the environment variable ORT_MODULE, or where node looks)")
    add("--keep", type=pathlib.Path, metavar="FOLDER", help="for trees, weights and ONNX files; otherwise removed")
    add("--output", type=pathlib.Path, metavar="FILE", help="for the table, too")
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error(f"--rounds is {arguments.rounds}, expected at least 1")
    able = ["torch", "torch-default"] if arguments.train else ["ort", "torch"]
    for name in arguments.peers or []:
        if name not in able:
            parser.error(f"{name} is not among the peers {'with' if arguments.train else 'without'} --train")
    arguments.peers = arguments.peers or able
    if not arguments.vectors:
        arguments.vectors = arguments.tool.resolve().parent.parent / "test" / "reference_vectors"
    return arguments


def choose_rows(arguments, ours):
    base = TRAINING_ROWS if arguments.train else ROWS
    for name in arguments.network or []:
        if not re.fullmatch(r"[\w-]+", name):
            raise Failure(f"--network is '{name}', expected a name that 'resattn models --all' lists")
    if arguments.network:
        base = [(name, json.loads(ours.tree(name))["side"], 2, 1) for name in arguments.network]
    chosen = [(row[0], *rest) for row in base
              for rest in itertools.product(arguments.size or [row[1]], arguments.threads or [row[2]],
                                            arguments.batch or [row[3]])]
    return list(dict.fromkeys(chosen))


def main():
    arguments = parse()
    ours = Ours(arguments.tool, arguments.vectors, arguments.train)
    try:
        rows = choose_rows(arguments, ours)
        with tempfile.TemporaryDirectory(prefix="peers-") as name:
            folder = arguments.keep or pathlib.Path(name)
            folder.mkdir(parents=True, exist_ok=True)
            return 0 if measure_all(arguments, rows, ours, folder) else 1
    except Failure as failure:
        tell(f"{pathlib.Path(sys.argv[0]).name}: {failure}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
