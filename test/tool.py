#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Runs the resattn tool: every command, its output, its exit code, and what it says about bad input."""
import argparse
import json
import math
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest
import zlib

options = None
tool = None
folder = None

SMALL = "resnet-20-cifar"  # a network that is quick to make


def run(*arguments, code=0):
    """Runs the tool in the test's folder; returns what it printed, as (stdout, stderr)."""
    result = subprocess.run([tool, *map(str, arguments)], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = result.stdout.decode(), result.stderr.decode(errors="replace")
    if result.returncode != code:
        raise AssertionError(f"{arguments}: exit code {result.returncode}, expected {code}\n{out}\n{err}")
    return out, err


def write(name, data):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return name


def png(width, height, kind=2, pixel=lambda x, y: (x * 7 % 256, y * 5 % 256, (x + y) * 3 % 256)):
    """A PNG file; kind is its colour type: 0 grey, 2 RGB, 6 RGB and alpha."""
    channels = {0: 1, 2: 3, 6: 4}[kind]
    rows = b"".join(b"\0" + b"".join(bytes(pixel(x, y)[:channels]) for x in range(width)) for y in range(height))

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)) +
            chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def spots(seed):
    """Pixels that differ from picture to picture."""
    return lambda x, y: ((x * (seed + 3) ^ y * 5) * 9 % 256, (x // 4 + seed * y) * 31 % 256, (seed * 53 + x + y) % 256)


def read_tensors(name):
    """Of a safetensors file: the header and the bytes of the tensors."""
    data = (folder / name).read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    return json.loads(data[8:8 + size]), data[8 + size:]


def write_tensors(name, header, data):
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return write(name, struct.pack("<Q", len(text)) + text + data)


def layers_of(layer):
    """A layer of info --json and all that are inside, in their order."""
    yield layer
    for child in layer["children"]:
        yield from layers_of(child)


def classify(*arguments, code=0):
    out, _ = run("classify", *arguments, "--json", code=code)
    return [json.loads(line) for line in out.splitlines()]


class CommandLine(unittest.TestCase):
    def test_help(self):
        out, _ = run("--help")
        commands = re.findall(r"^  ([a-z]+)  ", out, re.M)
        self.assertLessEqual({"info", "train", "eval", "bench", "models", "convert", "classify", "attend"},
                             set(commands))
        for command in commands:
            with self.subTest(command=command):
                self.assertIn(f"Usage: resattn {command}", run(command, "--help")[0])
                self.assertIn(f"resattn {command} --help", run(command, "--no-such-option", code=2)[1])

    def test_wrong(self):
        for arguments in [(), ("fly",), ("eval",), ("eval", "x"), ("classify", "x"), ("convert", "x"), ("bench",),
                          ("info", "a", "b"), ("info", "--dot"), ("info", "--json"),
                          ("info", SMALL, "--json", "--layers"), ("info", SMALL, "--json", "--dot"),
                          ("models", "no-such"), ("train", "--model", "x"),
                          ("convert", "x", "y", "--type", "f8"), ("convert", "x", "y", "--mean", "1,2"),
                          ("convert", "x", "y", "--lenient"), ("classify", "x", "y", "--top", "0"),
                          ("attend", "x"), ("attend", "x", "y", "--channel", "1", "--top", "2"),
                          ("attend", "x", "y", "--channel", "-1"), ("attend", "x", "y", "--alpha", "2"),
                          ("attend", "x", "y", "--range", "1,0"), ("attend", "x", "y", "--range", "0"),
                          ("attend", "x", "y", "--side", "10")]:
            with self.subTest(arguments=arguments):
                out, err = run(*arguments, code=2)
                self.assertEqual(out, "")
                self.assertIn("--help", err)


class Models(unittest.TestCase):
    def test_table(self):
        out, _ = run("models", "--csv", "attention-56")
        header, row = out.splitlines()
        facts = dict(zip(header.split(","), row.split(",")))
        self.assertEqual(facts["parameters"], "31810728")
        self.assertEqual(facts["parameters_paper_1e6"], "31.9")
        self.assertEqual(facts["multiply_adds_224"], facts["multiply_adds_test_size"])
        self.assertAlmostEqual(int(facts["multiply_adds_224"]) * 1e-9, 6.271, places=3)
        self.assertEqual(facts["top1_error_paper"], "21.76")

    def test_all(self):
        out, _ = run("models", "--all", "--csv", SMALL, "attention-56-cifar")
        rows = {line.split(",")[0]: line.split(",")[1:3] for line in out.splitlines()[1:]}
        self.assertEqual(set(rows), {SMALL, "attention-56-cifar"})
        self.assertEqual(rows[SMALL], ["269722", "32"])
        self.assertAlmostEqual(int(rows["attention-56-cifar"][0]) * 1e-6, 1.03, places=2)
        self.assertIn("GMAC", run("models", "--all", SMALL)[0])


class Info(unittest.TestCase):
    def test_layer_of_another_program(self):
        def chunk(kind, payload):
            head = kind + struct.pack("<Q", len(payload)) + payload
            return head + struct.pack("<I", zlib.crc32(head))

        tree = struct.pack("<I", 3) + b"x-acme-warp\0\0warp\0" + struct.pack("<II", 0, 0)
        header = b"\x89RAN\r\n\x1a\n" + struct.pack("<III", 1, 0, 0)
        write("warp.resattn", header + struct.pack("<I", zlib.crc32(header)) + chunk(b"TREE", tree))
        for command in [("info", "warp.resattn"), ("info", "warp.resattn", "--json"), ("classify", "warp.resattn", "x.png")]:
            out, err = run(*command, code=1)
            self.assertEqual(out, "")
            self.assertIn("warp: layer kind 'x-acme-warp' is unknown: it is a host program's own", err)

    def test_machine(self):
        self.assertIn("BLIS", run("info")[0])

    def test_tree(self):
        out, _ = run("info", SMALL, "--layers")
        self.assertIn("269,722", out)
        rows = out[out.index("\noutput"):].splitlines()[2:]
        self.assertRegex(rows[0], r"^10 x 1 x 1 +269,722 +40\.\d\d\d M  sequential")
        leaves = [row for row in rows if re.search(r"conv2d|linear|batch_norm", row)]
        values = [re.match(r"\d+ x \d+ x \d+ +([\d,]+)", row).group(1) for row in leaves]
        self.assertEqual(sum(int(value.replace(",", "")) for value in values), 269722)
        self.assertRegex(out, r"(?m)^16 x 32 x 32 +432 +0\.442 M +conv2d conv1: 3x3, pad 1$")
        self.assertRegex(out, r"(?m)^64 x 8 x 8 .*shortcut = subsample")
        self.assertIn("16 x 64 x 64", run("info", SMALL, "--layers", "--size", "64")[0])

    def test_graph(self):
        for options in [("--dot",), ("--dot", "--layers")]:
            out, _ = run("info", "attention-56-cifar", *options)
            self.assertEqual(out.count("{"), out.count("}"))
            self.assertEqual(len(re.findall('label="trunk"', out)), 3)
            self.assertEqual(len(re.findall('label="mask"', out)), 3)
            nodes = re.findall(r"(?m)^(n\d+) \[", out)
            edges = re.findall(r"(?m)^(n\d+) -> (n\d+)", out)
            self.assertEqual(len(nodes), len(set(nodes)))
            # one node without an edge to it, one without an edge from it
            self.assertEqual(set(nodes) - {edge[1] for edge in edges}, {"n0"})
            self.assertEqual(len(set(nodes) - {edge[0] for edge in edges}), 1)
            if shutil.which("dot"):
                subprocess.run(["dot", "-Tsvg"], input=out.encode(), stdout=subprocess.DEVNULL, check=True)

    def check_filters(self, document):
        """Every filter's shape is what its layer's attributes and channels say."""
        shapes = {parameter["name"]: parameter["shape"] for parameter in document["parameters"]}
        for layer in layers_of(document["tree"]):
            of = layer["attributes"]
            if layer["kind"] == "conv2d":
                self.assertEqual(shapes.pop(layer["path"] + ".weight"), [
                    of["out_channels"], layer["in_channels"] // of["groups"], of["kernel_h"], of["kernel_w"]])
                self.assertEqual(layer["out_channels"], of["out_channels"])
                if of["bias"]:
                    self.assertEqual(shapes.pop(layer["path"] + ".bias"), [of["out_channels"]])
            elif layer["kind"] == "linear":
                self.assertEqual(shapes.pop(layer["path"] + ".weight"), [of["out_features"], layer["in_channels"]])
                self.assertEqual(shapes.pop(layer["path"] + ".bias"), [of["out_features"]])
            elif layer["kind"] == "batch_norm":
                for name in ["weight", "bias", "running_mean", "running_var"]:
                    self.assertEqual(shapes.pop(f"{layer['path']}.{name}"), [layer["in_channels"]])
        self.assertEqual(shapes, {})

    def test_json(self):
        out, _ = run("info", SMALL, "--json")
        document = json.loads(out)
        facts = [document[key] for key in ["network", "side", "in_channels", "out_channels"]]
        self.assertEqual(facts, [SMALL, 32, 3, 10])
        trained = [parameter["shape"] for parameter in document["parameters"] if parameter["trained"]]
        self.assertEqual(sum(math.prod(shape) for shape in trained), 269722)
        self.check_filters(document)
        first = next(layer for layer in layers_of(document["tree"]) if layer["kind"] == "batch_norm")
        self.assertEqual(first["attributes"], {"epsilon": 1e-5, "momentum": 0.1, "frozen": 0})
        four = json.loads(run("info", SMALL, "--json", "--classes", "4", "--size", "48")[0])
        self.assertEqual([four["side"], four["out_channels"]], [48, 4])

    def test_json_attention(self):
        document = json.loads(run("info", "attention-56-cifar", "--json")[0])
        self.check_filters(document)
        modules = [layer for layer in layers_of(document["tree"]) if layer["kind"] == "attention"]
        self.assertEqual([module["mask_name"] for module in modules],
                         [f"Attention{stage}_1.mask" for stage in "ABC"])
        for module in modules:
            self.assertEqual([module["learning"], module["activation"], len(module["children"])],
                             ["residual", "mixed", 2])

    def test_json_file(self):
        file = 'a "quoted" \\ ü.resattn'
        run("convert", SMALL, file)
        saved, named = (json.loads(run("info", name, "--json")[0]) for name in [file, SMALL])
        self.assertEqual(saved.pop("network"), file)
        self.assertEqual(named.pop("network"), SMALL)
        self.assertEqual(saved, named)

    def test_bad(self):
        self.assertIn("no-such", run("info", "no-such", code=1)[1])
        self.assertEqual(run("info", "no-such", "--json", code=1)[0], "")


class Convert(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        run("convert", SMALL, "plain.resattn")
        if options.weights:
            run("convert", "plain.resattn", "plain.safetensors")

    def need_weights(self):
        if not options.weights:
            self.skipTest("no files of weights")

    def test_round_trip(self):
        self.need_weights()
        run("convert", "plain.safetensors", "again.resattn", "--model", SMALL)
        self.assertEqual((folder / "plain.resattn").read_bytes(), (folder / "again.resattn").read_bytes())
        header, _ = read_tensors("plain.safetensors")
        self.assertEqual(header["conv1.weight"]["shape"], [16, 3, 3, 3])

    def test_types(self):
        sizes = {}
        for kind in ["f32", "f16", "bf16"]:
            run("convert", "plain.resattn", kind + ".resattn", "--type", kind)
            sizes[kind] = os.path.getsize(folder / (kind + ".resattn"))
            if options.weights:
                run("convert", "plain.resattn", kind + ".safetensors", "--type", kind)
                header, _ = read_tensors(kind + ".safetensors")
                self.assertEqual(header["conv1.weight"]["dtype"], kind.upper())
        self.assertLess(sizes["f16"], 0.6 * sizes["f32"])
        self.assertIn("bfloat16", run("info", "bf16.resattn")[0])
        run("convert", "plain.resattn", "level0.resattn", "--level", "0")
        self.assertGreater(os.path.getsize(folder / "level0.resattn"), 4 * 269722)

    def test_metadata(self):
        names = ["a \"quoted\" one", "Größe", "back\\slash"] + [f"class {i}" for i in range(3, 10)]
        write("names.txt", "\r\n".join(names).encode())
        run("convert", "plain.resattn", "named.resattn", "--class-names", "names.txt", "--input-size", "48", "--mean",
            "0.5,0.25,0.125", "--deviation", "0.2,0.3,0.4")
        out, _ = run("info", "--probe", "named.resattn")
        self.assertRegex(out, r"file +blob\n")
        self.assertRegex(out, r"trained values +269,722\n")
        self.assertRegex(out, r"class names +10\n")
        self.assertRegex(out, r"input +48 x 48\n")
        write("cut.resattn", (folder / "named.resattn").read_bytes()[:-1])
        self.assertIn("truncated", run("info", "--probe", "cut.resattn", code=1)[1])
        self.assertIn("--json", run("info", "--probe", "--json", "named.resattn", code=2)[1])
        out, _ = run("info", "named.resattn")
        self.assertIn("48 x 48", out)
        self.assertIn("0.5 / 0.2, 0.25 / 0.3, 0.125 / 0.4", out)
        self.assertIn(", ".join(names), out)
        write("few.txt", b"one\ntwo\n")
        self.assertIn("few.txt: 2 names", run("convert", "plain.resattn", "x", "--class-names", "few.txt", code=1)[1])
        self.assertFalse((folder / "x").exists())

    def test_differences(self):
        self.need_weights()
        header, data = read_tensors("plain.safetensors")
        run("convert", "plain.safetensors", "x", "--model", "resnet-32-cifar", code=1)
        renamed = {"model." + name: entry for name, entry in header.items()}
        write_tensors("renamed.safetensors", renamed, data)
        run("convert", "renamed.safetensors", "renamed.resattn", "--model", SMALL, "--prefix", "model.")
        self.assertEqual((folder / "plain.resattn").read_bytes(), (folder / "renamed.resattn").read_bytes())
        renamed = {"extra" if name == "bn1.weight" else name: entry for name, entry in header.items()}
        write_tensors("other.safetensors", renamed, data)
        _, err = run("convert", "other.safetensors", "x", "--model", SMALL, code=1)
        self.assertIn("1 missing, 1 unknown, 0 of another shape", err)
        self.assertRegex(err, r"(?m)^  bn1\.weight: ")
        self.assertRegex(err, r"(?m)^  extra: ")
        self.assertFalse((folder / "x").exists())
        _, err = run("convert", "other.safetensors", "lenient.resattn", "--model", SMALL, "--lenient")
        self.assertIn("1 missing, 1 unknown", err)

    def test_new_head(self):
        self.need_weights()
        _, err = run("convert", "plain.safetensors", "x", "--model", SMALL, "--classes", "4", code=1)
        self.assertIn("2 of another shape", err)
        run("convert", "plain.safetensors", "four.resattn", "--model", SMALL, "--classes", "4", "--new-head")
        self.assertRegex(run("info", "four.resattn")[0], r"classes +4\n")

    def test_bad(self):
        self.need_weights()
        write("bad.safetensors", b"\xff" * 100)
        for arguments in [("bad.safetensors", "x", "--model", SMALL), ("bad.safetensors", "x"), ("absent", "x"),
                          (".", "x", "--model", SMALL), ("plain.resattn", "x", "--model", SMALL),
                          ("plain.resattn", "absent/x"), ("plain.safetensors", "x", "--model", "no-such")]:
            with self.subTest(arguments=arguments):
                _, err = run("convert", *arguments, code=1)
                self.assertRegex(err, r"bad\.safetensors|absent|\.: |plain\.resattn|no-such")


class Pictures(unittest.TestCase):
    """classify, and eval on folders."""

    @classmethod
    def setUpClass(cls):
        if not options.pictures:
            raise unittest.SkipTest("no pictures")
        run("convert", SMALL, "net.resattn", "--mean", "0.5,0.5,0.5", "--deviation", "0.3,0.3,0.3")
        for i in range(6):
            write(f"p{i}.png", png(40 + 7 * i, 64 - 5 * i, 2, spots(i)))
        cls.pictures = [f"p{i}.png" for i in range(6)]

    def check_same(self, one, other):
        for first, second in zip(one["classes"], other["classes"]):
            self.assertEqual(first["class"], second["class"])
            self.assertAlmostEqual(first["probability"], second["probability"], places=5)

    def test_text(self):
        lines = run("classify", "net.resattn", "p0.png", "p1.png", "--top", "3")[0].splitlines()
        self.assertEqual([lines[0], lines[4]], ["p0.png", "p1.png"])
        self.assertEqual(len(lines), 8)
        self.assertRegex(lines[1], r"^ +\d+\.\d\d % +\d$")

    def test_batches(self):
        alone = classify("net.resattn", *self.pictures, "--batch", "1", "--top", "10")
        self.assertEqual([answer["file"] for answer in alone], self.pictures)
        for answer in alone:
            shares = [entry["probability"] for entry in answer["classes"]]
            self.assertEqual(shares, sorted(shares, reverse=True))
            self.assertAlmostEqual(sum(shares), 1, places=4)
        for batch in [4, 6, 100]:
            for one, other in zip(alone, classify("net.resattn", *self.pictures, "--batch", batch, "--top", "10")):
                self.check_same(one, other)

    def test_formats(self):
        grey = lambda x, y: (x * y % 256,) * 3 + (255,)
        for kind in [0, 2, 6]:
            write(f"kind{kind}.png", png(50, 40, kind, grey))
        answers = classify("net.resattn", "kind0.png", "kind2.png", "kind6.png")
        self.check_same(answers[0], answers[1])
        self.check_same(answers[0], answers[2])
        write("clear.png", png(40, 40, 6, lambda x, y: (x, y, 0, 0)))
        write("white.png", png(40, 40, 0, lambda x, y: (255,)))
        self.check_same(*classify("net.resattn", "clear.png", "white.png"))
        write("thin.png", png(1, 300))
        write("flat.png", png(300, 1))
        write("dot.png", png(1, 1))
        self.assertEqual(len(classify("net.resattn", "thin.png", "flat.png", "dot.png", "--size", "64")), 3)

    def test_jpeg(self):
        if not options.jpeg:
            self.skipTest("no libjpeg")
        for kind in ["rgb", "grey", "cmyk"]:
            subprocess.run([options.jpeg, folder / (kind + ".jpg"), kind, "90", "70", "1"], check=True)
        self.assertEqual(len(classify("net.resattn", "rgb.jpg", "grey.jpg", "cmyk.jpg")), 3)
        whole = (folder / "rgb.jpg").read_bytes()
        for size in [4, 300, len(whole) // 2, len(whole) - 20]:
            write("cut.jpg", whole[:size])
            _, err = run("classify", "net.resattn", "cut.jpg", code=1)
            self.assertIn("cut.jpg: damaged or cut short", err)
        subprocess.run([options.jpeg, folder / "thin.jpg", "rgb", "1", "400", "1"], check=True)
        self.assertEqual(len(classify("net.resattn", "thin.jpg")), 1)

    def test_json(self):
        names = ["a \"quoted\" one", "Größe", "back\\slash"] + [f"class {i}" for i in range(3, 10)]
        write("odd names.txt", "\n".join(names).encode())
        run("convert", "net.resattn", "odd.resattn", "--class-names", "odd names.txt")
        file = "new\nline \"quoted\" \\ ü.png"
        shutil.copy(folder / "p0.png", folder / file)
        answer = classify("odd.resattn", file, "--top", "10")[0]
        self.assertEqual(answer["file"], file)
        for entry in answer["classes"]:
            self.assertEqual(entry["name"], names[entry["class"]])
        latin = os.fsencode(str(folder)) + b"/latin\xfc.png"
        shutil.copy(folder / "p0.png", latin)
        out = subprocess.run([tool, "classify", folder / "net.resattn", latin, "--json"], stdout=subprocess.PIPE,
                             check=True).stdout.decode()
        self.assertTrue(json.loads(out)["file"].endswith("latin\ufffd.png"))

    def test_bad_files(self):
        whole = (folder / "p0.png").read_bytes()
        write("cut.png", whole[:len(whole) // 2])
        write("damaged.png", whole[:-30] + bytes(10) + whole[-20:])
        write("huge.png", png(1, 1).replace(struct.pack(">II", 1, 1), struct.pack(">II", 1 << 30, 1 << 30)))
        write("empty.png", b"")
        write("text.jpg", b"not a picture\n")
        (folder / "folder.png").mkdir(exist_ok=True)
        bad = ["cut.png", "damaged.png", "huge.png", "empty.png", "text.jpg", "folder.png", "absent.png"]
        for name in bad:
            with self.subTest(name=name):
                out, err = run("classify", "net.resattn", name, code=1)
                self.assertEqual(out, "")
                self.assertIn(f"resattn: {name}: ", err)
                self.assertEqual(len(err.splitlines()), 1)
        # the others are answered nevertheless
        answers = classify("net.resattn", "p0.png", *bad, "p1.png", "--batch", "2", code=1)
        self.assertEqual([answer["file"] for answer in answers], ["p0.png", "p1.png"])
        self.assertIn("absent", run("classify", "absent", "p0.png", code=1)[1])

    def sort_pictures(self, target, name_of):
        """Puts each picture into the folder of the class that the network takes it for."""
        top = classify("net.resattn", *self.pictures, "--top", "10")
        for i in range(10):
            (folder / target / name_of(i)).mkdir(parents=True)
        for answer in top:
            shutil.copy(folder / answer["file"], folder / target / name_of(answer["classes"][0]["class"]))
        return top

    def test_eval_order(self):
        top = self.sort_pictures("sorted", lambda i: f"n{i:02}")
        write("sorted/n00/notes.txt", b"passed over")
        write("sorted/.hidden/p0.png", b"passed over")
        out, err = run("eval", "net.resattn", "--data", "sorted", "--batch", "4")
        self.assertIn("top-1 100.00 %, top-5 100.00 % of 6 images", out)
        self.assertIn("in the order of their names", err)
        # the same pictures, one of them where it is the network's third choice, another where it is the last
        for answer, rank in [(top[0], 2), (top[1], 9)]:
            (folder / "sorted" / f"n{answer['classes'][0]['class']:02}" / answer["file"]).unlink()
            shutil.copy(folder / answer["file"], folder / "sorted" / f"n{answer['classes'][rank]['class']:02}")
        out, _ = run("eval", "net.resattn", "--data", "sorted")
        self.assertIn("top-1 66.67 %, top-5 83.33 % of 6 images", out)

    def test_eval_names(self):
        names = [f"name {9 - i}" for i in range(10)]
        write("reversed.txt", "\n".join(names).encode())
        run("convert", "net.resattn", "reversed.resattn", "--class-names", "reversed.txt")
        self.sort_pictures("named", lambda i: names[i])
        out, err = run("eval", "reversed.resattn", "--data", "named")
        self.assertIn("top-1 100.00 %, top-5 100.00 % of 6 images", out)
        self.assertNotIn("order", err)

    def test_eval_parts(self):
        """A folder that is divided into parts: the test pictures, of the classes that the training pictures tell."""
        top = self.sort_pictures("parts/train", lambda i: f"n{i:02}")
        for part in ["test", "val"]:
            for answer, rank in [(top[0], 0), (top[1], 1), (top[2], 9)]:
                name = f"n{answer['classes'][rank]['class']:02}"
                (folder / "parts" / part / name).mkdir(parents=True, exist_ok=True)
                shutil.copy(folder / answer["file"], folder / "parts" / part / name)
            out, _ = run("eval", "net.resattn", "--data", "parts")
            self.assertIn("top-1 33.33 %, top-5 66.67 % of 3 images", out)
            self.assertIn("top-1 100.00 %", run("eval", "net.resattn", "--data", "parts/train")[0])
            shutil.rmtree(folder / "parts" / part)
        self.assertIn("parts: neither test/ nor val/", run("eval", "net.resattn", "--data", "parts", code=1)[1])

    def test_eval_jpeg(self):
        if not options.jpeg:
            self.skipTest("no libjpeg")
        for i in range(10):
            (folder / "jpegs" / f"n{i}").mkdir(parents=True)
            for k in range(5):
                subprocess.run([options.jpeg, folder / "jpegs" / f"n{i}" / f"{k}.jpg", "rgb", "90", "70", str(k + i)],
                               check=True)
        out, _ = run("eval", "net.resattn", "--data", "jpegs", "--batch", "3")
        self.assertIn("of 50 images", out)
        self.assertEqual(run("eval", "net.resattn", "--data", "jpegs", "--batch", "20")[0], out)
        whole = (folder / "jpegs/n7/3.jpg").read_bytes()
        write("jpegs/n7/3.jpg", whole[:len(whole) // 2])
        out, err = run("eval", "net.resattn", "--data", "jpegs", "--batch", "3", code=1)
        self.assertEqual(out, "")
        self.assertIn("jpegs/n7/3.jpg: damaged or cut short", err)

    def test_eval_bad(self):
        (folder / "nothing").mkdir()
        self.assertIn("nothing: ", run("eval", "net.resattn", "--data", "nothing", code=1)[1])
        write("no-pictures/a/text.txt", b"")
        self.assertIn("no-pictures: ", run("eval", "net.resattn", "--data", "no-pictures", code=1)[1])
        write("few/a/p.png", png(32, 32))
        self.assertIn("few: 1 folders", run("eval", "net.resattn", "--data", "few", code=1)[1])
        for i in range(10):
            write(f"bad/n{i}/p.png", png(32, 32))
        write("bad/n5/p.png", png(32, 32)[:80])
        self.assertIn("bad/n5/p.png: ", run("eval", "net.resattn", "--data", "bad", code=1)[1])
        self.assertIn("absent: ", run("eval", "net.resattn", "--data", "absent", code=1)[1])
        self.assertIn("--resize", run("eval", "net.resattn", "--data", "bad", "--resize", "20", code=1)[1])


class Training(unittest.TestCase):
    """train, eval and bench on a few images in CIFAR-10's form."""

    def test_all(self):
        def record(i):
            return bytes([i % 10]) + bytes((i * 37 + k * (i % 10 + 1)) % 256 for k in range(3072))
        write("cifar/data_batch_1.bin", b"".join(map(record, range(40))))
        write("cifar/test_batch.bin", b"".join(map(record, range(20))))
        write("cifar/batches.meta.txt", "".join(f"kind{i}\n" for i in range(10)).encode())
        out, _ = run("train", "--model", SMALL, "--data", "cifar", "--epochs", "2", "--batch", "10", "--out", "t.resattn")
        accuracy = re.search(r"Test accuracy: \d+\.\d\d %", out).group()
        out, _ = run("eval", "t.resattn", "--data", "cifar")
        self.assertIn(accuracy, out)
        self.assertIn("kind9", out)
        self.assertIn("kind0, kind1", run("info", "t.resattn")[0])
        wide, _ = run("eval", "t.resattn", "--data", "cifar", "--size", "64", "--batch", "7")
        self.assertIn("of 20 images", wide)
        if options.pictures:
            self.assertIn("name", classify("t.resattn", write("small.png", png(32, 32)))[0]["classes"][0])
        self.assertIn("ms_per_image", run("bench", "--model", SMALL, "--runs", "1")[0])
        self.assertIn("resattn train", run("bench", "--model", SMALL, "--runs", "1", "--train", "--recompute")[0])
        run("train", "--load", "t.resattn", "--data", "cifar", "--epochs", "1", "--out", "absent/t", code=1)

    def test_cifar_100(self):
        def record(i):
            return bytes([i % 20, i % 100]) + bytes((i * 37 + k * (i % 10 + 1)) % 256 for k in range(3072))
        run("convert", SMALL, "hundred.resattn", "--classes", "100")
        write("cifar100/test.bin", b"".join(map(record, range(200))))
        write("cifar100/fine_label_names.txt", "".join(f"kind{i}\n" for i in range(100)).encode())
        out, _ = run("eval", "hundred.resattn", "--data", "cifar100")
        self.assertRegex(out, r"^Test accuracy: top-1 \d+\.\d\d %, top-5 \d+\.\d\d % of 200 images\n$")
        run("convert", SMALL, "ten.resattn")
        self.assertIn("cifar100: 100 classes", run("eval", "ten.resattn", "--data", "cifar100", code=1)[1])
        write("cifar100/test.bin", record(0)[:-1])
        self.assertIn("test.bin: 3073 bytes", run("eval", "hundred.resattn", "--data", "cifar100", code=1)[1])


def main(module):
    """Runs the tests of a module."""
    global options, tool, folder
    parser = argparse.ArgumentParser(description="Tests the resattn tool.")
    parser.add_argument("tool")
    parser.add_argument("--pictures", action="store_true", help="it reads PNG files")
    parser.add_argument("--jpeg", metavar="MAKE_PICTURES", help="it reads JPEG files, which this program writes")
    parser.add_argument("--cairo", metavar="MASK_VALUES", help="it draws; this program writes masks as text")
    parser.add_argument("--weights", action="store_true", help="it reads and writes files of weights")
    options = parser.parse_args()
    tool = os.path.abspath(options.tool)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        unittest.main(module=module, argv=sys.argv[:1])


if __name__ == "__main__":
    main("__main__")
